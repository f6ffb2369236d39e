/* Reading a configuration: JSON text to strings by key. */
#include "base/limits.h"
#include "base/mem.h"
#include "connect/connect_int.h"

#include <assert.h>
#include <jansson.h>

/* The text of a scalar in a; false for anything else. */
static bool scalar_text(struct arena *a, const json_t *v, struct str *out)
{
    if (json_is_string(v))
        *out = arena_str(a, str_from(json_string_value(v), json_string_length(v)));
    else if (json_is_integer(v))
        *out = str_of(arena_fmt(a, "%lld", (long long)json_integer_value(v)));
    else if (json_is_real(v))
        *out = str_of(arena_fmt(a, "%.17g", json_real_value(v)));
    else if (json_is_boolean(v))
        *out = json_is_true(v) ? STR("true") : STR("false");
    else
        return false;
    return true;
}

static json_t *load_object(struct str json, struct err *e)
{
    json_error_t why;
    json_t *o = NULL;

    if (json.n > LIMIT_SETTINGS) {
        err_set(e, ERR_LIMIT, "configuration is over %zu bytes", LIMIT_SETTINGS);
        return NULL;
    }
    o = json_loadb(json.p ? json.p : "", json.n, JSON_REJECT_DUPLICATES, &why);
    if (!o)
        err_set(e, ERR_BAD_INPUT, "configuration is not JSON: line %d: %s", why.line, why.text);
    else if (!json_is_object(o)) {
        err_set(e, ERR_BAD_INPUT, "configuration must be a JSON object");
        json_decref(o);
        o = NULL;
    }
    return o;
}

bool config_parse(struct config *c, struct arena *a, struct str json, const struct config_key *keys,
                  size_t key_count, struct err *e)
{
    json_t *o = load_object(json, e), *v;
    const char *key;

    *c = (struct config){.keys = keys, .key_count = key_count};
    if (!o)
        return false;
    json_object_foreach(o, key, v)
    {
        struct str text;

        if (json_is_null(v))
            continue;
        if (!scalar_text(a, v, &text)) {
            err_set(e, ERR_INVALID, "Invalid value for configuration %s: it must be a string", key);
            json_decref(o);
            config_fini(c);
            return false;
        }
        map_put(&c->values, str_of(key), (void *)(uintptr_t)text.p);
    }
    json_decref(o);
    c->name = config_str(c, "name");
    return true;
}

void config_fini(struct config *c)
{
    map_fini(&c->values);
}

static const struct config_key *key_find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->key_count; i++)
        if (strcmp(c->keys[i].name, name) == 0)
            return &c->keys[i];
    return NULL;
}

struct str config_str(const struct config *c, const char *key)
{
    const char *v = map_get(&c->values, str_of(key));
    const struct config_key *k = v ? NULL : key_find(c, key);

    return str_of(v ? v : k ? k->otherwise : NULL);
}

int64_t config_i64(const struct config *c, const char *key)
{
    struct str v = config_str(c, key);
    int64_t n = 0;
    bool ok = v.p && str_i64(str_trim(v), &n);

    assert(ok);
    return n;
}

bool config_bool(const struct config *c, const char *key)
{
    struct str v = config_str(c, key);

    return v.p && str_eq_nocase(str_trim(v), STR("true"));
}

bool config_refuse(const struct config *c, const char *key, const char *why, struct err *e)
{
    struct str v = config_str(c, key);

    return err_set(e, ERR_INVALID, "Invalid value %.*s for configuration %s: %s", STR_ARG(v), key, why);
}

/* {"name":NAME, ...} with all values as strings, in the order given. */
static struct str settings_text(struct connector_settings *s, struct str name, json_t *o)
{
    struct buf b = buf_make(2 * LIMIT_SETTINGS);
    struct str out;
    const char *key;
    json_t *v;

    buf_str(&b, STR("{\"name\":"));
    buf_json(&b, name);
    json_object_foreach(o, key, v)
    {
        struct str text;

        if (strcmp(key, "name") == 0 || !scalar_text(&s->arena, v, &text))
            continue;
        buf_str(&b, STR(","));
        buf_json(&b, str_of(key));
        buf_str(&b, STR(":"));
        buf_json(&b, text);
    }
    buf_str(&b, STR("}"));
    out = arena_str(&s->arena, buf_view(&b));
    buf_fini(&b);
    return out;
}

struct connector_settings *connector_settings_new(struct str name, struct str json, struct err *e)
{
    json_t *o = load_object(json, e);
    struct connector_settings *s;
    struct str regex;

    if (!o)
        return NULL;
    s = MEM_NEW(struct connector_settings);
    s->json = settings_text(s, name, o);
    json_decref(o);
    /* The text given, not the one made: a value that is no string must be refused. */
    if (!config_parse(&s->config, &s->arena, json, NULL, 0, e)) {
        connector_settings_free(s);
        return NULL;
    }
    s->config.name = arena_str(&s->arena, name);
    map_put(&s->config.values, STR("name"), (void *)(uintptr_t)s->config.name.p);
    s->class = class_find(config_str(&s->config, "connector.class"));
    if (s->class)
        s->config.keys = class_keys(s->class, &s->arena, &s->config.key_count);
    regex = config_str(&s->config, "topics.regex");
    if (regex.n > 0)
        (void)patterns_add(&s->topics, regex, false); // one that is none was refused, or matches nothing
    return s;
}

void connector_settings_free(struct connector_settings *s)
{
    if (!s)
        return;
    patterns_fini(&s->topics);
    config_fini(&s->config);
    arena_fini(&s->arena);
    mem_free(s);
}

int connector_settings_tasks(const struct connector_settings *s)
{
    int64_t max = config_i64(&s->config, "tasks.max");

    return s->class->tasks ? s->class->tasks(&s->config, (int)max) : (int)max;
}
