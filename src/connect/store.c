/*
 * The topics of the runtime, in Kafka Connect's formats (KafkaConfigBackingStore, KafkaOffsetBackingStore and
 * KafkaStatusBackingStore of the Kafka source, JSON without schemas):
 *
 *     connect-configs   "connector-NAME"     {"properties":{...}}
 *                       "task-NAME-0"        {"properties":{...}}
 *                       "commit-NAME"        {"tasks":1}
 *                       "target-state-NAME"  {"state":"STARTED","state.v2":"STARTED"}
 *     connect-offsets   ["NAME",{partition}] {position}
 *     connect-status    "status-connector-NAME", "status-task-NAME-0"  {"state","trace","worker_id","generation"}
 *                       "status-topic-TOPIC:connector-NAME"            {"topic":{...}}
 *
 * All have one partition: what is written together is seen together.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "connect/connect_int.h"
#include "os/os.h"

#include <jansson.h>

enum { STORE_READ_BYTES = 1 << 20 };

static int64_t now_ms(const struct connect *c)
{
    return c->env.os->wall_us(c->env.os) / 1000;
}

static bool store_write(struct connect *c, const char *topic, const struct store_record *r, size_t count,
                        struct err *e)
{
    struct batch_writer w = {0};
    struct log_part_write part = {.topic = str_of(topic)};
    bool ok;

    batch_begin(&w, LIMIT_BATCH);
    for (size_t i = 0; i < count; i++)
        batch_add(&w, now_ms(c), r[i].key, r[i].value, NULL, 0);
    part.batches = batch_end(&w);
    ok = part.batches.p ? log_append(c->env.log, &part, 1, e)
                        : err_set(e, ERR_LIMIT, "a record for %s is over %zu bytes", topic, LIMIT_BATCH);
    batch_fini(&w);
    return ok || err_wrap(e, "%s", topic);
}

char *position_key(struct str connector, struct str partition_json)
{
    struct buf b = buf_make(LIMIT_SETTINGS);
    char *key;

    buf_u8(&b, '[');
    buf_json(&b, connector);
    buf_u8(&b, ',');
    buf_str(&b, partition_json);
    buf_u8(&b, ']');
    key = str_dup(buf_view(&b));
    buf_fini(&b);
    return key;
}

/* ---- positions ---- */

static void holds_clear(struct connect *c, const char *owner)
{
    for (struct map_it it = {0}; map_next(&c->holds, &it);) {
        struct hold *h = it.value;

        if (strcmp(h->owner, owner) != 0)
            continue;
        map_del(&c->holds, it.key);
        mem_free(h->owner);
        mem_free(h);
    }
}

static void holds_set(struct connect *c, const char *owner, const char *value)
{
    json_t *o = json_loads(value, 0, NULL), *v;
    const char *topic;

    json_object_foreach(json_object_get(o, "held"), topic, v)
    {
        struct hold *h = MEM_NEW(struct hold), *old;

        *h = (struct hold){.owner = mem_str(owner), .offset = json_integer_value(v)};
        old = map_put(&c->holds, str_of(topic), h);
        if (old) {
            mem_free(old->owner);
            mem_free(old);
        }
    }
    json_decref(o);
}

/* Positions are written often and rarely hold a topic: look for the word before parsing. */
static bool mentions_held(const char *value)
{
    return value && strstr(value, "\"held\"") != NULL;
}

void positions_put(struct connect *c, struct str key, char *value)
{
    char *old = value ? map_put(&c->positions, key, value) : map_del(&c->positions, key);
    bool changes = mentions_held(old) || mentions_held(value);

    if (changes) {
        char *owner = str_dup(key);

        holds_clear(c, owner);
        if (value)
            holds_set(c, owner, value);
        mem_free(owner);
        poke_sinks_locked(c);
    }
    if (changes || !old)
        cond_broadcast(&c->changed);
    mem_free(old);
}

bool positions_settled(struct connect *c, struct str connector)
{
    char *key = position_key(connector, STR(""));
    struct str prefix = {key, strlen(key) - 1}; // without the bracket that ends it
    bool any = false, held = false;

    for (struct map_it it = {0}; map_next(&c->positions, &it);)
        if (str_starts(it.key, prefix)) {
            any = true;
            held |= mentions_held(it.value);
        }
    mem_free(key);
    return any && !held;
}

int64_t topic_limit(struct connect *c, struct str topic)
{
    struct hold *h;
    int64_t limit;

    mutex_lock(&c->lock);
    h = map_get(&c->holds, topic);
    limit = h ? h->offset : INT64_MAX;
    mutex_unlock(&c->lock);
    return limit;
}

/* ---- replay ---- */

typedef void replay_fn(struct connect *c, struct str key, struct str value);

static struct connector *connector_at(struct connect *c, struct str name)
{
    struct connector *k = map_get(&c->connectors, name);

    if (!k) {
        k = MEM_NEW(struct connector);
        k->connect = c;
        k->name = str_dup(name);
        map_put(&c->connectors, name, k);
    }
    return k;
}

static void replay_connector(struct connect *c, struct str name, struct str value)
{
    struct connector *k = connector_at(c, name);
    json_t *o = value.p ? json_loadb(value.p, value.n, 0, NULL) : NULL;
    char *text = json_dumps(json_object_get(o, "properties"), JSON_COMPACT);
    struct err e;

    connector_settings_free(k->settings);
    k->settings = text ? connector_settings_new(name, str_of(text), &e) : NULL;
    if (text && !k->settings)
        connect_warn(c, "connector %.*s: %s", STR_ARG(name), e.msg);
    mem_free(text);
    json_decref(o);
}

static void replay_target(struct connect *c, struct str name, struct str value)
{
    struct connector *k = connector_at(c, name);
    json_t *o = value.p ? json_loadb(value.p, value.n, 0, NULL) : NULL;
    const char *v2 = json_string_value(json_object_get(o, "state.v2"));
    const char *text = v2 ? v2 : json_string_value(json_object_get(o, "state"));
    struct str s = str_of(text);

    k->target = str_is(s, "PAUSED")    ? CONNECT_PAUSED
                : str_is(s, "STOPPED") ? CONNECT_STOPPED
                                       : CONNECT_STARTED;
    json_decref(o);
}

static bool after_prefix(struct str s, const char *prefix, struct str *rest)
{
    struct str p = str_of(prefix);

    if (!str_starts(s, p))
        return false;
    *rest = str_from(s.p + p.n, s.n - p.n);
    return true;
}

static void replay_config(struct connect *c, struct str key, struct str value)
{
    struct str name;

    if (after_prefix(key, "connector-", &name))
        replay_connector(c, name, value);
    else if (after_prefix(key, "target-state-", &name))
        replay_target(c, name, value);
}

static void replay_offset(struct connect *c, struct str key, struct str value)
{
    mutex_lock(&c->lock);
    positions_put(c, key, value.p ? str_dup(value) : NULL);
    mutex_unlock(&c->lock);
}

/* Only which topics a connector has used: states begin anew. Configs have been replayed before. */
static void replay_status(struct connect *c, struct str key, struct str value)
{
    struct str rest, topic;
    struct connector *k;

    if (!after_prefix(key, "status-topic-", &rest) || !str_cut(&rest, ':', &topic) ||
        !after_prefix(rest, "connector-", &rest))
        return;
    k = map_get(&c->connectors, rest);
    if (k && value.p)
        map_put(&k->topics, topic, k);
    else if (k)
        map_del(&k->topics, topic);
}

static bool replay_piece(struct connect *c, struct str bytes, int64_t from, replay_fn *fn, struct err *e)
{
    struct arena a = {0};
    struct batch_reader r = {0};
    struct record rec;
    bool ok;

    batch_open(&r, &a, bytes);
    r.skip_below = from;
    while (batch_next(&r, &rec))
        if (!rec.control && rec.key.p)
            fn(c, rec.key, rec.value);
    ok = batch_ok(&r, e);
    arena_fini(&a);
    return ok;
}

static bool replay(struct connect *c, const char *topic, replay_fn *fn, struct err *e)
{
    struct log_settings s;
    struct log_range range;
    struct buf b = buf_make(SIZE_MAX);
    bool ok = true;

    log_settings_default(c->env.log, &s);
    s.compact = true;
    s.remove = false;
    if (!log_ensure_topic(c->env.log, str_of(topic), 1, &s, e))
        return err_wrap(e, "%s", topic);
    ok = log_range(c->env.log, str_of(topic), 0, &range);
    for (int64_t at = ok ? range.start : 0, was = -1; ok && at > was; buf_reset(&b)) {
        was = at;
        ok = log_fetch_committed(c->env.log, str_of(topic), 0, &at, STORE_READ_BYTES, &b, e) &&
             replay_piece(c, buf_view(&b), was, fn, e);
    }
    buf_fini(&b);
    return ok || err_wrap(e, "replay of %s", topic);
}

bool store_open(struct connect *c, struct err *e)
{
    return replay(c, CONNECT_CONFIGS, replay_config, e) && replay(c, CONNECT_OFFSETS, replay_offset, e) &&
           replay(c, CONNECT_STATUS, replay_status, e);
}

/* ---- write ---- */

static struct str fmt_str(struct arena *a, const char *fmt, struct str name)
{
    struct buf b = buf_make(LIMIT_SETTINGS);
    struct str out;

    for (const char *p = fmt; *p; p++)
        if (*p == '%')
            buf_str(&b, name);
        else
            buf_u8(&b, (uint8_t)*p);
    out = arena_str(a, buf_view(&b));
    buf_fini(&b);
    return out;
}

bool store_put_config(struct connect *c, const struct connector_settings *s, struct err *e)
{
    struct arena a = {0};
    size_t tasks = (size_t)connector_settings_tasks(s), n = 0;
    struct store_record *r = ARENA_ARRAY(&a, struct store_record, tasks + 2);
    struct str name = s->config.name;
    struct str value = str_of(arena_fmt(&a, "{\"properties\":%.*s}", STR_ARG(s->json)));
    bool ok;

    r[n++] = (struct store_record){fmt_str(&a, "connector-%", name), value};
    for (size_t i = 0; i < tasks; i++)
        r[n++] = (struct store_record){str_of(arena_fmt(&a, "task-%.*s-%zu", STR_ARG(name), i)), value};
    r[n++] =
        (struct store_record){fmt_str(&a, "commit-%", name), str_of(arena_fmt(&a, "{\"tasks\":%zu}", tasks))};
    ok = store_write(c, CONNECT_CONFIGS, r, n, e);
    arena_fini(&a);
    return ok;
}

bool store_put_target(struct connect *c, struct str name, enum connect_target target, struct err *e)
{
    static const char *const text[] = {
        [CONNECT_STARTED] = "{\"state\":\"STARTED\",\"state.v2\":\"STARTED\"}",
        [CONNECT_PAUSED] = "{\"state\":\"PAUSED\",\"state.v2\":\"PAUSED\"}",
        [CONNECT_STOPPED] = "{\"state\":\"PAUSED\",\"state.v2\":\"STOPPED\"}",
    };
    struct arena a = {0};
    struct store_record r = {fmt_str(&a, "target-state-%", name), str_of(text[target])};
    bool ok = store_write(c, CONNECT_CONFIGS, &r, 1, e);

    arena_fini(&a);
    return ok;
}

bool store_delete_config(struct connect *c, const struct connector *k, struct err *e)
{
    struct arena a = {0};
    struct str name = str_of(k->name);
    size_t tasks = k->settings && k->settings->class ? (size_t)connector_settings_tasks(k->settings) : 0,
           n = 0;
    struct store_record *r = ARENA_ARRAY(&a, struct store_record, tasks + 3);
    bool ok;

    r[n++].key = fmt_str(&a, "connector-%", name);
    r[n++].key = fmt_str(&a, "target-state-%", name);
    r[n++].key = fmt_str(&a, "commit-%", name);
    for (size_t i = 0; i < tasks; i++)
        r[n++].key = str_of(arena_fmt(&a, "task-%s-%zu", k->name, i));
    ok = store_write(c, CONNECT_CONFIGS, r, n, e);
    arena_fini(&a);
    return ok;
}

/* Keys of the connector's positions, in a. */
static size_t position_keys(struct connect *c, struct str connector, struct arena *a,
                            struct store_record **out)
{
    char *prefix = position_key(connector, STR(""));
    struct str want = str_from(prefix, strlen(prefix) - 1); // without the bracket
    size_t n = 0;

    mutex_lock(&c->lock);
    *out = ARENA_ARRAY(a, struct store_record, c->positions.n + 1);
    for (struct map_it it = {0}; map_next(&c->positions, &it);)
        if (str_starts(it.key, want))
            (*out)[n++].key = arena_str(a, it.key);
    mutex_unlock(&c->lock);
    mem_free(prefix);
    return n;
}

bool store_delete_positions(struct connect *c, struct str connector, struct err *e)
{
    struct arena a = {0};
    struct store_record *r;
    size_t n = position_keys(c, connector, &a, &r);
    bool ok = n == 0 || store_write(c, CONNECT_OFFSETS, r, n, e);

    mutex_lock(&c->lock);
    for (size_t i = 0; ok && i < n; i++)
        positions_put(c, r[i].key, NULL);
    mutex_unlock(&c->lock);
    arena_fini(&a);
    return ok;
}

static void write_status(struct connect *c, const struct store_record *r)
{
    struct err e;

    if (!store_write(c, CONNECT_STATUS, r, 1, &e))
        connect_warn(c, "%s", e.msg);
}

void store_put_status(struct connect *c, const struct connector *k, const struct task *t)
{
    struct arena a = {0};
    struct buf b = buf_make(LIMIT_SETTINGS);
    struct store_record r;
    enum run_state state;

    mutex_lock(&c->lock);
    state = t ? t->state : k->state;
    buf_fmt(&b, "{\"state\":\"%s\",\"trace\":", state_name(state));
    if ((t ? t->trace : k->trace) != NULL)
        buf_json(&b, str_of(t ? t->trace : k->trace));
    else
        buf_str(&b, STR("null"));
    mutex_unlock(&c->lock);
    buf_str(&b, STR(",\"worker_id\":"));
    buf_json(&b, str_of(c->env.worker_id));
    buf_str(&b, STR(",\"generation\":1}"));
    r.key = t ? str_of(arena_fmt(&a, "status-task-%s-%d", k->name, t->id))
              : str_of(arena_fmt(&a, "status-connector-%s", k->name));
    r.value = buf_view(&b);
    write_status(c, &r);
    buf_fini(&b);
    arena_fini(&a);
}

void store_put_topic(struct connect *c, const struct connector *k, struct str topic, int task)
{
    struct arena a = {0};
    struct buf b = buf_make(LIMIT_SETTINGS);
    struct store_record r;

    buf_str(&b, STR("{\"topic\":{\"name\":"));
    buf_json(&b, topic);
    buf_str(&b, STR(",\"connector\":"));
    buf_json(&b, str_of(k->name));
    buf_fmt(&b, ",\"task\":%d,\"discoverTimestamp\":%lld}}", task, (long long)now_ms(c));
    r.key = str_of(arena_fmt(&a, "status-topic-%.*s:connector-%s", STR_ARG(topic), k->name));
    r.value = buf_view(&b);
    write_status(c, &r);
    buf_fini(&b);
    arena_fini(&a);
}
