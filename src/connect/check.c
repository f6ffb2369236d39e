/*
 * What is wrong with a configuration, in Kafka Connect's own words (org.apache.kafka.common.config.ConfigDef and
 * AbstractHerder of the Kafka source), so that those who know them find their way.
 */
#include "connect/connect_int.h"

#include <stdio.h>

enum { TASKS_MAX = 64 };

/* Keys that Kafka Connect has and that change nothing here; they are not worth a warning. */
static const char *const known_prefixes[] = {
    "key.converter.",  "value.converter.", "header.converter", "consumer.override.", "producer.override.",
    "topic.creation.", "errors.",          "admin.override.",  "config.action.",     "exactly.once.support",
    "transaction.",    "offsets.storage.", "tasks.max.",       "config.providers",
};

struct problems {
    struct arena *arena;
    struct config_problem *list;
    size_t n, cap;
};

static void problem(struct problems *p, const char *key, const char *text)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 8;
        struct config_problem *list = ARENA_ARRAY(p->arena, struct config_problem, cap);

        for (size_t i = 0; i < p->n; i++)
            list[i] = p->list[i];
        p->list = list;
        p->cap = cap;
    }
    p->list[p->n++] = (struct config_problem){str_of(arena_fmt(p->arena, "%s", key)), str_of(text)};
}

static const char *type_fault(struct config_key k, struct str v)
{
    int64_t n;

    switch (k.type) {
    case CONFIG_INT:
        return str_i64(v, &n) && n >= INT32_MIN && n <= INT32_MAX ? NULL : "Not a number of type INT";
    case CONFIG_LONG:
        return str_i64(v, &n) ? NULL : "Not a number of type LONG";
    case CONFIG_BOOLEAN:
        return str_eq_nocase(v, STR("true")) || str_eq_nocase(v, STR("false"))
                   ? NULL
                   : "Expected value to be either true or false";
    default:
        return NULL;
    }
}

static void check_keys(const struct config *c, struct problems *p)
{
    for (size_t i = 0; i < c->key_count; i++) {
        const struct config_key *k = &c->keys[i];
        struct str v = config_str(c, k->name);
        const char *fault = v.p ? type_fault(*k, str_trim(v)) : NULL;

        if (k->required && !v.p)
            problem(p, k->name,
                    arena_fmt(p->arena, "Missing required configuration \"%s\" which has no default value.",
                              k->name));
        if (fault)
            problem(p, k->name,
                    arena_fmt(p->arena, "Invalid value %.*s for configuration %s: %s", STR_ARG(v), k->name,
                              fault));
    }
}

/* What the runtime has a say in. */
static void check_common(const struct config *c, struct problems *p)
{
    struct str tolerance = config_str(c, "errors.tolerance");
    int64_t tasks;

    if (str_i64(str_trim(config_str(c, "tasks.max")), &tasks) && (tasks < 1 || tasks > TASKS_MAX))
        problem(p, "tasks.max",
                arena_fmt(p->arena, "Invalid value %lld for configuration tasks.max: Value must be 1 to %d",
                          (long long)tasks, TASKS_MAX));
    if (str_trim(config_str(c, "transforms")).n > 0)
        problem(p, "transforms",
                "Invalid value for configuration transforms: transformations are not supported");
    if (str_trim(config_str(c, "predicates")).n > 0)
        problem(p, "predicates", "Invalid value for configuration predicates: predicates are not supported");
    if (!str_is(tolerance, "none"))
        problem(p, "errors.tolerance",
                arena_fmt(p->arena,
                          "Invalid value %.*s for configuration errors.tolerance: only none is supported",
                          STR_ARG(tolerance)));
}

static void check_topics(const struct config *c, struct problems *p)
{
    bool list = str_trim(config_str(c, "topics")).n > 0;
    struct str regex = config_str(c, "topics.regex");
    struct patterns compiled = {0};

    if (list && regex.n > 0)
        problem(p, "topics", "topics and topics.regex are mutually exclusive options, but both are set.");
    else if (!list && regex.n == 0)
        problem(p, "topics", "Must configure one of topics or topics.regex");
    if (regex.n > 0 && !patterns_add(&compiled, regex, false))
        problem(
            p, "topics.regex",
            arena_fmt(p->arena, "Invalid value %s for configuration topics.regex: Invalid regex", regex.p));
    patterns_fini(&compiled);
}

static const char *unknown_class(struct arena *a, struct str name)
{
    const struct connector_class *const *k = connect_classes();
    struct buf b = buf_make(SIZE_MAX);
    const char *text;

    buf_fmt(&b,
            "Failed to find any class that implements Connector and which name matches %.*s, available "
            "connectors are: ",
            STR_ARG(name));
    for (; *k; k++)
        buf_fmt(&b, "%s%s", k == connect_classes() ? "" : ", ", (*k)->names[0]);
    text = arena_str(a, buf_view(&b)).p;
    buf_fini(&b);
    return text;
}

void connector_settings_problems(const struct connector_settings *s, struct arena *a,
                                 struct config_problem **out, size_t *count)
{
    struct problems p = {.arena = a};
    struct str class = config_str(&s->config, "connector.class");
    struct err e;

    if (!class.p)
        problem(&p, "connector.class",
                "Missing required configuration \"connector.class\" which has no default value.");
    else if (!s->class)
        problem(&p, "connector.class", unknown_class(a, class));
    if (s->class) {
        check_keys(&s->config, &p);
        if (p.n == 0) {
            check_common(&s->config, &p);
            if (!s->class->source)
                check_topics(&s->config, &p);
        }
        if (p.n == 0 && s->class->check && !s->class->check(&s->config, &e))
            problem(&p, "connector.class", arena_fmt(a, "%s", e.msg));
    }
    *out = p.list;
    *count = p.n;
}

static bool key_is_known(const struct config *c, struct str key)
{
    for (size_t i = 0; i < c->key_count; i++)
        if (str_is(key, c->keys[i].name))
            return true;
    for (size_t i = 0; i < sizeof known_prefixes / sizeof known_prefixes[0]; i++)
        if (str_starts(key, str_of(known_prefixes[i])))
            return true;
    return false;
}

void connector_settings_warn(const struct connector_settings *s, const struct connect_env *env)
{
    char text[400];

    if (!env->warn)
        return;
    for (struct map_it it = {0}; map_next(&s->config.values, &it);) {
        if (key_is_known(&s->config, it.key))
            continue;
        (void)snprintf(text, sizeof text,
                       "connector %.*s: the configuration '%.*s' was supplied but isn't a known config",
                       STR_ARG(s->config.name), STR_ARG(it.key));
        env->warn(env->warn_arg, text);
    }
}
