/* What clients ask of consumers: life, subscription and assignment. */
#include "ingest/consumers.h"

#include "base/mem.h"
#include "os/os.h"

/* ---- finding ---- */

static struct consumer *find(struct proxy *p, struct str group, struct str name) // lock held
{
    for (struct consumer *k = p->consumers; k; k = k->next)
        if (str_eq(k->name, name) && str_eq(k->group, group))
            return k;
    return NULL;
}

struct consumer *consumer_of(struct trip *c)
{
    struct consumer *k;

    mutex_lock(&c->p->lock);
    k = find(c->p, c->name[0], c->name[1]);
    if (k && str_eq(k->user, c->user)) {
        k->used_ms = proxy_now_ms(c->p);
        (void)consumer_ref(k);
    } else {
        k = NULL;
    }
    mutex_unlock(&c->p->lock);
    if (!k)
        trip_error(c, CODE_NO_CONSUMER, "Consumer instance not found.");
    return k;
}

/* ---- POST /consumers/GROUP ---- */

static bool refuse(struct trip *c, int code, const char *name)
{
    trip_error(c, code, "Invalid consumer configuration: %s", name);
    return false;
}

static bool flag_of(struct js v, struct arena *a, bool *out)
{
    struct str text = js_str(v, a);

    *out = v.kind == JS_TRUE || str_eq_nocase(text, STR("true"));
    return *out || v.kind == JS_FALSE || str_eq_nocase(text, STR("false"));
}

/* A number, or one in quotes. */
static bool number_of(struct js v, struct arena *a, int64_t least, int64_t most, int64_t *out)
{
    struct str text = js_str(v, a);

    return (text.p ? str_i64(text, out) : js_i64(v, out)) && *out >= least && *out <= most;
}

static bool read_reset(struct consumer *k, struct str text)
{
    static const char *const words[] = {
        [RESET_LATEST] = "latest", [RESET_EARLIEST] = "earliest", [RESET_NONE] = "none"};

    for (int i = 0; i < (int)ARRAY_LEN(words); i++) {
        if (str_is(text, words[i])) {
            k->reset = i;
            return true;
        }
    }
    return false;
}

static bool read_format(struct trip *c, struct consumer *k, struct str name)
{
    for (enum format f = FORMAT_BINARY; f <= FORMAT_AVRO; f++) {
        if (f != FORMAT_STRING && str_eq_nocase(name, str_of(format_name(f)))) {
            k->format = f;
            return true;
        }
    }
    trip_error(c, CODE_INVALID, "Invalid format type.");
    return false;
}

static bool read_settings(struct trip *c, struct consumer *k)
{
    struct js body, v;

    if (str_trim(c->q->body).n == 0)
        return true;
    if (!trip_body(c, &body))
        return false;
    for (struct js_it it = js_in(body); js_next(&it, &v);) {
        if (v.kind == JS_NULL)
            continue;
        if (js_key_is(&it, "name") || js_key_is(&it, "id")) {
            k->name = js_str(v, c->a);
            if (k->name.n == 0 || k->name.n > 255)
                return refuse(c, CODE_CONSUMER_CONFIG, "name has 1 to 255 characters");
        } else if (js_key_is(&it, "format")) {
            if (!read_format(c, k, js_str(v, c->a)))
                return false;
        } else if (js_key_is(&it, "auto.offset.reset")) {
            if (!read_reset(k, js_str(v, c->a)))
                return refuse(c, CODE_CONSUMER_CONFIG, "auto.offset.reset is earliest, latest or none");
        } else if (js_key_is(&it, "auto.commit.enable")) {
            if (!flag_of(v, c->a, &k->auto_commit))
                return refuse(c, CODE_CONSUMER_CONFIG, "auto.commit.enable is true or false");
        } else if (js_key_is(&it, "fetch.min.bytes")) {
            if (!number_of(v, c->a, -1, 10000000, &k->min_bytes))
                return refuse(c, CODE_CONSUMER_SETTING, "fetch.min.bytes is -1 to 10000000");
        } else if (js_key_is(&it, "consumer.request.timeout.ms")) {
            if (!number_of(v, c->a, 0, 30000, &k->wait_ms))
                return refuse(c, CODE_CONSUMER_CONFIG, "consumer.request.timeout.ms is 0 to 30000");
        } else {
            trip_error(c, CODE_INVALID, "Unrecognized field: %.*s", STR_ARG(it.key));
            return false;
        }
    }
    return true;
}

static struct str random_name(struct trip *c)
{
    struct buf b = buf_make(64);
    uint8_t bytes[16];
    struct str name;

    c->p->os->random(c->p->os, bytes, sizeof bytes);
    buf_str(&b, STR("rest-consumer-"));
    buf_hex(&b, bytes, sizeof bytes);
    name = arena_str(c->a, buf_view(&b));
    buf_fini(&b);
    return name;
}

/* True when it is in the list. */
static bool enlist(struct trip *c, struct consumer *k)
{
    struct proxy *p = c->p;
    const char *why = NULL;
    int code = CODE_CONSUMER_EXISTS;

    mutex_lock(&p->lock);
    if (p->stopping || p->consumer_count >= CONSUMERS_MAX) {
        code = p->stopping ? 503 : 429;
        why = p->stopping ? "tarn stops" : "there are as many consumer instances as are allowed";
    } else if (find(p, k->group, k->name)) {
        why = "Consumer with specified consumer ID already exists in the specified consumer group.";
    } else {
        k->next = p->consumers;
        p->consumers = k;
        p->consumer_count++;
    }
    mutex_unlock(&p->lock);
    if (why)
        trip_error(c, code, "%s", why);
    return !why;
}

void proxy_consumer_create(struct trip *c)
{
    struct consumer *k = MEM_NEW(struct consumer),
                    in = {.format = FORMAT_BINARY, .min_bytes = -1, .wait_ms = -1};
    struct buf b = trip_buf();

    in.auto_commit = true;
    if (!trip_allow(c, INGEST_GROUP, c->name[0], INGEST_READ) || !read_settings(c, &in)) {
        mem_free(k);
        return;
    }
    *k = in;
    k->p = c->p;
    k->refs = 1;
    k->name = arena_str(&k->names, in.name.p ? in.name : random_name(c));
    k->group = arena_str(&k->names, c->name[0]);
    k->user = arena_str(&k->names, c->user);
    k->host = arena_str(&k->names, trip_host(c));
    k->used_ms = k->commit_ms = proxy_now_ms(c->p);
    in.name = arena_str(c->a, k->name);
    if (!enlist(c, k)) {
        consumer_unref(k);
        return;
    }
    proxy_consumers_due(c->p);
    buf_str(&b, STR("{\"instance_id\":"));
    buf_json(&b, in.name);
    buf_fmt(&b, ",\"base_uri\":\"%s/consumers/", trip_base(c));
    http_encode(&b, c->name[0], false);
    buf_str(&b, STR("/instances/"));
    http_encode(&b, in.name, false);
    buf_str(&b, STR("\"}"));
    trip_json(c, 200, &b);
}

/* ---- DELETE an instance ---- */

static void no_content(struct trip *c)
{
    http_answer(c->q, 204, NULL, STR(""));
}

void proxy_consumer_delete(struct trip *c)
{
    struct consumer *k = consumer_of(c);
    bool mine;

    if (!k)
        return;
    mutex_lock(&c->p->lock);
    mine = !k->closed;
    if (mine) {
        consumer_unlist(k);
        k->closer = c;
    }
    mutex_unlock(&c->p->lock);
    if (!mine) {
        consumer_unref(k);
        trip_error(c, CODE_NO_CONSUMER, "Consumer instance not found.");
        return;
    }
    c->next = no_content;
    trip_wait(c);
    errand_send(c->p, k, errand_close);
}

/* ---- subscription ---- */

static bool read_topics(struct trip *c, struct js list, struct str **topics, size_t *count)
{
    struct js v;
    size_t n = 0;

    for (struct js_it it = js_in(list); js_next(&it, &v);)
        n++;
    if (list.kind != JS_ARRAY || n > ITEMS_MAX / 10) {
        trip_error(c, CODE_INVALID, "topics must be a list of names");
        return false;
    }
    *topics = ARENA_ARRAY(c->a, struct str, n);
    *count = 0;
    for (struct js_it it = js_in(list); js_next(&it, &v);) {
        struct str name = js_str(v, c->a);

        if (name.n == 0 || name.n > 249) {
            trip_error(c, CODE_INVALID, "topics must be a list of names");
            return false;
        }
        if (!trip_allow(c, INGEST_TOPIC, name, INGEST_READ))
            return false;
        (*topics)[(*count)++] = name;
    }
    return true;
}

static bool is_there(struct js v)
{
    return v.kind != JS_NONE && v.kind != JS_NULL;
}

static const char exclusive[] =
    "Illegal state: Subscription to topics, partitions and pattern are mutually exclusive";

/* What a client wants to subscribe to: names, or a pattern and the names that it matches now. */
struct wanted {
    struct str *topics;
    size_t count;
    struct topic_pattern *pattern;
    struct matched matched;
};

static bool read_wanted(struct trip *c, struct consumer *k, struct js body, struct wanted *w)
{
    struct js list = js_get(body, "topics"), pattern = js_get(body, "topic_pattern");
    struct str text = js_str(pattern, c->a);
    char why[160];

    if (!is_there(pattern))
        return read_topics(c, list, &w->topics, &w->count);
    if (is_there(list)) {
        trip_error(c, CODE_STATE, "%s", exclusive);
        return false;
    }
    if (!text.p || text.n == 0) {
        trip_error(c, CODE_INVALID, "topic_pattern must be a regular expression");
        return false;
    }
    w->pattern = topic_pattern_new(text, why);
    if (!w->pattern) {
        refuse(c, CODE_CONSUMER_CONFIG, why);
        return false;
    }
    pattern_match(k, w->pattern, &w->matched);
    w->topics = w->matched.topics;
    w->count = w->matched.count;
    return true;
}

static void answer_mode(struct trip *c, struct consumer *k, bool ok)
{
    if (ok)
        no_content(c);
    else
        trip_error(c, CODE_STATE, "%s", exclusive);
    consumer_unref(k);
}

void consumer_take_topics(struct consumer *k, const struct str *topics, size_t n)
{
    arena_fini(&k->topics_arena);
    k->topics = ARENA_ARRAY(&k->topics_arena, struct str, n);
    for (size_t i = 0; i < n; i++)
        k->topics[i] = arena_str(&k->topics_arena, topics[i]);
    k->topic_count = n;
}

/* As in Kafka's consumer, no topics is to unsubscribe; a pattern may match none yet. Takes w. */
static bool subscribe(struct consumer *k, struct wanted *w)
{
    bool wants = w->count > 0 || w->pattern, ok;

    mutex_lock(&k->p->lock);
    ok = !wants || k->mode != CONSUMER_ASSIGNED;
    if (ok) {
        struct topic_pattern *before = k->pattern;

        consumer_take_topics(k, w->topics, w->count);
        k->pattern = w->pattern;
        w->pattern = before;
        k->pattern_seen = w->matched.version;
        k->pattern_ms = proxy_now_ms(k->p) + PATTERN_MS;
        if (k->mode == CONSUMER_ASSIGNED)
            consumer_forget_parts(k);
        k->mode = wants ? CONSUMER_SUBSCRIBED : CONSUMER_IDLE;
        (void)consumer_ref(k); // goes with the errand
    }
    mutex_unlock(&k->p->lock);
    if (ok)
        errand_send(k->p, k, w->count > 0 ? errand_join : errand_leave);
    topic_pattern_free(w->pattern);
    arena_fini(&w->matched.arena);
    return ok;
}

void proxy_subscribe(struct trip *c)
{
    struct consumer *k = consumer_of(c);
    struct wanted w = {0};
    struct js body;

    if (!k)
        return;
    if (!c->p->desk)
        trip_error(c, 501, "groups are kept by the role kafka, which is off; partitions can be assigned");
    else if (trip_body(c, &body) && read_wanted(c, k, body, &w)) {
        answer_mode(c, k, subscribe(k, &w));
        return;
    }
    consumer_unref(k);
}

void proxy_unsubscribe(struct trip *c)
{
    struct consumer *k = consumer_of(c);

    if (k)
        answer_mode(c, k, subscribe(k, &(struct wanted){0}));
}

void proxy_subscription(struct trip *c)
{
    struct consumer *k = consumer_of(c);
    struct buf b = trip_buf();

    if (!k)
        return;
    buf_str(&b, STR("{\"topics\":["));
    mutex_lock(&c->p->lock);
    for (size_t i = 0; i < k->topic_count; i++) {
        if (i > 0)
            buf_u8(&b, ',');
        buf_json(&b, k->topics[i]);
    }
    mutex_unlock(&c->p->lock);
    buf_str(&b, STR("]}"));
    trip_json(c, 200, &b);
    consumer_unref(k);
}

/* ---- assignments ---- */

static bool parts_ok(struct trip *c, const struct group_part *parts, size_t n)
{
    struct log_range range;

    for (size_t i = 0; i < n; i++) {
        if (!trip_allow(c, INGEST_TOPIC, parts[i].topic, INGEST_READ))
            return false;
        if (!log_range(c->p->log, parts[i].topic, parts[i].partition, &range)) {
            trip_error(c, CODE_NO_PARTITION, "Partition not found.");
            return false;
        }
    }
    return true;
}

void proxy_assign(struct trip *c)
{
    struct consumer *k = consumer_of(c);
    struct group_part *parts;
    size_t n;
    bool ok;

    if (!k)
        return;
    if (!trip_parts(c, &parts, &n) || !parts_ok(c, parts, n)) {
        consumer_unref(k);
        return;
    }
    mutex_lock(&c->p->lock);
    ok = k->mode != CONSUMER_SUBSCRIBED;
    if (ok) {
        k->mode = n > 0 ? CONSUMER_ASSIGNED : CONSUMER_IDLE;
        consumer_take_parts(k, parts, n);
    }
    mutex_unlock(&c->p->lock);
    answer_mode(c, k, ok);
}

void proxy_assignment(struct trip *c)
{
    struct consumer *k = consumer_of(c);
    struct buf b = trip_buf();

    if (!k)
        return;
    buf_str(&b, STR("{\"partitions\":["));
    mutex_lock(&c->p->lock);
    for (size_t i = 0; i < k->part_count; i++) {
        buf_str(&b, i > 0 ? STR(",{\"topic\":") : STR("{\"topic\":"));
        buf_json(&b, k->parts[i].topic);
        buf_fmt(&b, ",\"partition\":%d}", k->parts[i].partition);
    }
    mutex_unlock(&c->p->lock);
    buf_str(&b, STR("]}"));
    trip_json(c, 200, &b);
    consumer_unref(k);
}
