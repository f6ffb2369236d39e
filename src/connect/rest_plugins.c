/* REST: the classes there are, their keys, and the check of a configuration against them. */
#include "base/limits.h"
#include "base/mem.h"
#include "connect/rest_int.h"

static const char *const type_names[] = {
    [CONFIG_STRING] = "STRING",   [CONFIG_INT] = "INT",   [CONFIG_LONG] = "LONG",
    [CONFIG_BOOLEAN] = "BOOLEAN", [CONFIG_LIST] = "LIST", [CONFIG_PASSWORD] = "PASSWORD",
    [CONFIG_CLASS] = "CLASS",
};
static const char *const importance_names[] = {
    [CONFIG_HIGH] = "HIGH",
    [CONFIG_MEDIUM] = "MEDIUM",
    [CONFIG_LOW] = "LOW",
};

static void put_or_null(struct buf *b, struct str s)
{
    if (s.p)
        buf_json(b, s);
    else
        buf_str(b, STR("null"));
}

static void put_definition(struct buf *b, const struct config_key *k, size_t order)
{
    buf_str(b, STR("{\"name\":"));
    buf_json(b, str_of(k->name));
    buf_fmt(b, ",\"type\":\"%s\",\"required\":%s,\"default_value\":", type_names[k->type],
            k->required ? "true" : "false");
    put_or_null(b, str_of(k->otherwise));
    buf_fmt(b, ",\"importance\":\"%s\",\"documentation\":", importance_names[k->importance]);
    buf_json(b, str_of(k->sentence));
    buf_str(b, STR(",\"group\":\"Common\",\"width\":\"MEDIUM\",\"display_name\":"));
    buf_json(b, str_of(k->name));
    buf_fmt(b, ",\"dependents\":[],\"order\":%zu}", order);
}

void rest_plugins(struct rest_call *r)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    const struct connector_class *const *k = connect_classes();

    buf_u8(&b, '[');
    for (; *k; k++)
        buf_fmt(&b, "%s{\"class\":\"%s\",\"type\":\"%s\",\"version\":\"%s\"}",
                k == connect_classes() ? "" : ",", (*k)->names[0], (*k)->source ? "source" : "sink",
                (*k)->version);
    buf_u8(&b, ']');
    rest_json(r, 200, &b);
}

/* By its class name, or that without the package. */
static const struct connector_class *find_plugin(struct rest_call *r)
{
    const struct connector_class *k = class_find(r->name);

    for (const struct connector_class *const *p = connect_classes(); !k && *p; p++) {
        const char *dot = strrchr((*p)->names[0], '.');

        if (dot && str_is(r->name, dot + 1))
            k = *p;
    }
    if (!k)
        rest_error(r, 404, rest_fmt(r, "Unknown plugin %.*s.", STR_ARG(r->name)));
    return k;
}

void rest_plugin_config(struct rest_call *r)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    const struct connector_class *k = find_plugin(r);
    struct config_key *keys;
    size_t n;

    if (!k)
        return;
    keys = class_keys(k, r->a, &n);
    buf_u8(&b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_u8(&b, ',');
        put_definition(&b, &keys[i], i + 1);
    }
    buf_u8(&b, ']');
    rest_json(r, 200, &b);
}

static void put_value(struct buf *b, const struct config *c, const struct config_key *k,
                      const struct config_problem *p, size_t count)
{
    bool first = true;

    buf_str(b, STR(",\"value\":{\"name\":"));
    buf_json(b, str_of(k->name));
    buf_str(b, STR(",\"value\":"));
    put_or_null(b, config_str(c, k->name));
    buf_str(b, STR(",\"recommended_values\":[],\"errors\":["));
    for (size_t i = 0; i < count; i++) {
        if (!str_is(p[i].key, k->name))
            continue;
        if (!first)
            buf_u8(b, ',');
        buf_json(b, p[i].text);
        first = false;
    }
    buf_str(b, STR("],\"visible\":true}}"));
}

void rest_plugin_validate(struct rest_call *r)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    const struct connector_class *k = find_plugin(r);
    struct config_problem *p;
    struct config c;
    struct config_key *keys;
    struct err e;
    size_t n, count;

    if (!k)
        return;
    keys = class_keys(k, r->a, &n);
    if (!config_parse(&c, r->a, r->q->body, keys, n, &e)) {
        rest_err(r, &e);
        return;
    }
    connect_validate(r->c, r->q->body, r->a, &p, &count);
    buf_fmt(&b, "{\"name\":\"%s\",\"error_count\":%zu,\"groups\":[\"Common\"],\"configs\":[", k->names[0],
            count);
    for (size_t i = 0; i < n; i++) {
        buf_str(&b, i ? STR(",{\"definition\":") : STR("{\"definition\":"));
        put_definition(&b, &keys[i], i + 1);
        put_value(&b, &c, &keys[i], p, count);
    }
    buf_str(&b, STR("]}"));
    config_fini(&c);
    rest_json(r, 200, &b);
}
