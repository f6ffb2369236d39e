/* Clusters, brokers, topics and partitions of v3. There is one cluster of one broker. */
#include "group/offsets.h"
#include "ingest/proxy_int.h"

enum { BROKER_ID = 1 };

/* ---- what all resources begin with ---- */

static const char *cluster_url(struct trip *c)
{
    return arena_fmt(c->a, "%s/v3/clusters/%s", trip_base(c), log_cluster_id(c->p->log));
}

static const char *topic_url(struct trip *c, struct str topic)
{
    return arena_fmt(c->a, "%s/topics/%.*s", cluster_url(c), STR_ARG(topic)); // names need no encoding
}

/* {"kind":...,"metadata":{...},"cluster_id":...; path: behind "kafka=ID" in its resource name */
static void begin(struct trip *c, struct buf *b, const char *kind, const char *self, const char *path)
{
    const char *id = log_cluster_id(c->p->log);

    buf_fmt(b, "{\"kind\":\"%s\",\"metadata\":{\"self\":", kind);
    buf_json(b, str_of(self));
    buf_fmt(b, ",\"resource_name\":\"crn:///kafka=%s%s\"},\"cluster_id\":\"%s\"", id, path, id);
}

static void related(struct buf *b, const char *name, const char *url, const char *rest)
{
    buf_fmt(b, ",\"%s\":{\"related\":\"%s%s\"}", name, url, rest);
}

static void begin_list(struct buf *b, const char *kind, const char *self)
{
    buf_fmt(b, "{\"kind\":\"%s\",\"metadata\":{\"self\":\"%s\",\"next\":null},\"data\":[", kind, self);
}

static void end_list(struct trip *c, struct buf *b)
{
    buf_str(b, STR("]}"));
    trip_json(c, 200, b);
}

/* ---- clusters and brokers ---- */

static void put_cluster(struct trip *c, struct buf *b)
{
    const char *url = cluster_url(c);

    begin(c, b, "KafkaCluster", url, "");
    related(b, "controller", url, arena_fmt(c->a, "/brokers/%d", BROKER_ID));
    related(b, "brokers", url, "/brokers");
    related(b, "topics", url, "/topics");
    buf_u8(b, '}');
}

void v3_clusters(struct trip *c)
{
    struct buf b = trip_buf();

    begin_list(&b, "KafkaClusterList", arena_fmt(c->a, "%s/v3/clusters", trip_base(c)));
    put_cluster(c, &b);
    end_list(c, &b);
}

void v3_cluster(struct trip *c)
{
    struct buf b = trip_buf();

    put_cluster(c, &b);
    trip_json(c, 200, &b);
}

static void put_broker(struct trip *c, struct buf *b)
{
    const char *path = arena_fmt(c->a, "/broker=%d", BROKER_ID);

    begin(c, b, "KafkaBroker", arena_fmt(c->a, "%s/brokers/%d", cluster_url(c), BROKER_ID), path);
    buf_fmt(b, ",\"broker_id\":%d,\"host\":", BROKER_ID);
    buf_json(b, str_of(c->p->kafka_host));
    buf_fmt(b, ",\"port\":%d,\"rack\":null}", c->p->kafka_port);
}

void v3_brokers(struct trip *c)
{
    struct buf b = trip_buf();

    begin_list(&b, "KafkaBrokerList", arena_fmt(c->a, "%s/brokers", cluster_url(c)));
    put_broker(c, &b);
    end_list(c, &b);
}

void v3_broker(struct trip *c)
{
    struct buf b = trip_buf();

    if (!str_is(c->name[1], "1")) {
        trip_error(c, 404, "HTTP 404 Not Found");
        return;
    }
    put_broker(c, &b);
    trip_json(c, 200, &b);
}

/* ---- topics ---- */

static void put_topic(struct trip *c, struct buf *b, const struct log_topic *t)
{
    const char *url = topic_url(c, t->name);

    begin(c, b, "KafkaTopic", url, arena_fmt(c->a, "/topic=%.*s", STR_ARG(t->name)));
    buf_str(b, STR(",\"topic_name\":"));
    buf_json(b, t->name);
    buf_fmt(b, ",\"is_internal\":%s,\"replication_factor\":1,\"partitions_count\":%d",
            proxy_is_internal(t->name) ? "true" : "false", t->partitions);
    related(b, "partitions", url, "/partitions");
    related(b, "configs", url, "/configs");
    buf_str(b, STR(",\"authorized_operations\":[]}"));
}

void v3_topics(struct trip *c)
{
    struct buf b = trip_buf();
    struct log_topic *t;
    size_t n, shown = 0;

    log_list_topics(c->p->log, c->a, &t, &n);
    begin_list(&b, "KafkaTopicList", arena_fmt(c->a, "%s/topics", cluster_url(c)));
    for (size_t i = 0; i < n; i++) {
        if (!trip_may(c, INGEST_TOPIC, t[i].name, INGEST_DESCRIBE))
            continue;
        if (shown++ > 0)
            buf_u8(&b, ',');
        put_topic(c, &b, &t[i]);
    }
    end_list(c, &b);
}

void v3_topic(struct trip *c)
{
    struct buf b = trip_buf();
    struct log_topic t;

    if (!trip_topic(c, INGEST_DESCRIBE, &t))
        return;
    put_topic(c, &b, &t);
    trip_json(c, 200, &b);
}

/* ---- creating and deleting ---- */

struct create {
    struct str name;
    int64_t partitions, replicas;
    struct log_settings s;
    bool only_check;
};

static bool bad(struct trip *c, const char *what)
{
    trip_error(c, CODE_BAD_REQUEST, "%s is not of the type it should be", what);
    return false;
}

static bool read_configs(struct trip *c, struct js list, struct log_settings *s)
{
    struct js entry;
    struct err e;

    if (list.kind != JS_ARRAY && list.kind != JS_NULL)
        return bad(c, "configs");
    for (struct js_it it = js_in(list); js_next(&it, &entry);) {
        struct str name = js_str(js_get(entry, "name"), c->a), value = js_str(js_get(entry, "value"), c->a);
        const struct log_setting *row = log_setting_find(name);

        if (!row || !value.p) {
            trip_error(c, CODE_BROKER_REFUSED, "Unknown topic config name: %.*s", STR_ARG(name));
            return false;
        }
        if (!log_setting_parse(row, value, s, &e)) {
            trip_err(c, CODE_BROKER_REFUSED, &e);
            return false;
        }
    }
    return true;
}

static bool is_empty(struct js list)
{
    struct js_it it = js_in(list);
    struct js first;

    return !js_next(&it, &first);
}

static bool read_create(struct trip *c, struct create *out)
{
    struct js body, v;

    if (!trip_body(c, &body))
        return false;
    out->partitions = c->p->partitions;
    out->replicas = 1;
    log_settings_default(c->p->log, &out->s);
    for (struct js_it it = js_in(body); js_next(&it, &v);) {
        if (js_key_is(&it, "topic_name"))
            out->name = js_str(v, c->a);
        else if (js_key_is(&it, "partitions_count")) {
            if (v.kind != JS_NULL && !js_i64(v, &out->partitions))
                return bad(c, "partitions_count");
        } else if (js_key_is(&it, "replication_factor")) {
            if (v.kind != JS_NULL && !js_i64(v, &out->replicas))
                return bad(c, "replication_factor");
        } else if (js_key_is(&it, "configs")) {
            if (!read_configs(c, v, &out->s))
                return false;
        } else if (js_key_is(&it, "validate_only")) {
            out->only_check = v.kind == JS_TRUE;
        } else if (js_key_is(&it, "replicas_assignments") && !is_empty(v)) {
            trip_error(c, CODE_BROKER_REFUSED, "there is one broker: replicas are not assigned by hand");
            return false;
        }
    }
    if (out->name.n > 0)
        return true;
    trip_error(c, CODE_PAYLOAD, "Payload error. Invalid topic name.");
    return false;
}

static bool may_create(struct trip *c, const struct create *r)
{
    struct log_settings whole = r->s;
    struct log_topic there;
    struct err e;

    log_settings_follow(c->p->log, &whole);
    if (r->replicas != -1 && (r->replicas < 1 || r->replicas > c->p->replication_max))
        trip_error(c, CODE_BROKER_REFUSED, "Replication factor: %lld larger than available brokers: %d.",
                   (long long)r->replicas, c->p->replication_max);
    else if (r->partitions < 1 || r->partitions > INT32_MAX)
        trip_error(c, CODE_BROKER_REFUSED, "Number of partitions must be larger than 0.");
    else if (log_find_topic(c->p->log, r->name, c->a, &there))
        trip_error(c, CODE_BROKER_REFUSED, "Topic '%.*s' already exists.", STR_ARG(r->name));
    else if (!log_settings_check(&whole, &e))
        trip_err(c, CODE_BROKER_REFUSED, &e);
    else
        return true;
    return false;
}

void v3_create(struct trip *c)
{
    struct create r = {0};
    struct buf b = trip_buf();
    struct log_topic t = {0};
    struct err e;

    if (!read_create(c, &r))
        return;
    if (!trip_may(c, INGEST_CLUSTER, STR("kafka-cluster"), INGEST_CREATE) &&
        !trip_allow(c, INGEST_TOPIC, r.name, INGEST_CREATE))
        return;
    if (!may_create(c, &r))
        return;
    if (r.only_check) {
        t = (struct log_topic){.name = r.name, .partitions = (int32_t)r.partitions};
        put_topic(c, &b, &t);
        trip_json(c, 200, &b);
        return;
    }
    if (!log_create_topic(c->p->log, r.name, (int32_t)r.partitions, &r.s, &e) ||
        !log_find_topic(c->p->log, r.name, c->a, &t)) {
        trip_err(c, e.kind == ERR_FULL || e.kind == ERR_IO ? CODE_RETRY : CODE_BROKER_REFUSED, &e);
        return;
    }
    http_set(c->q, "Location", str_of(topic_url(c, r.name)));
    put_topic(c, &b, &t);
    trip_json(c, 201, &b);
}

void v3_delete(struct trip *c)
{
    struct log_topic t;
    struct err e;

    if (!trip_topic(c, INGEST_DELETE, &t))
        return;
    if (proxy_is_internal(t.name)) {
        trip_error(c, CODE_DENIED, "%.*s belongs to the coordinators", STR_ARG(t.name));
        return;
    }
    if (!log_delete_topic(c->p->log, t.name, &e) || !offsets_delete_topic(c->p->offsets, t.name, &e)) {
        trip_err(c, e.kind == ERR_NOT_FOUND ? CODE_NO_TOPIC_V3 : CODE_RETRY, &e);
        return;
    }
    http_answer(c->q, 204, NULL, STR(""));
}

/* ---- settings and partitions ---- */

static void put_config(struct trip *c, struct buf *b, const struct log_topic *t,
                       const struct log_setting *row)
{
    bool set = log_setting_is_set(row, &t->settings);
    struct str value = log_setting_text(row, &t->settings, c->a);

    begin(c, b, "KafkaTopicConfig", arena_fmt(c->a, "%s/configs/%s", topic_url(c, t->name), row->name),
          arena_fmt(c->a, "/topic=%.*s/config=%s", STR_ARG(t->name), row->name));
    buf_str(b, STR(",\"topic_name\":"));
    buf_json(b, t->name);
    buf_fmt(b, ",\"name\":\"%s\",\"value\":", row->name);
    buf_json(b, value);
    buf_fmt(
        b,
        ",\"is_default\":%s,\"is_read_only\":false,\"is_sensitive\":false,\"source\":\"%s\",\"synonyms\":[]}",
        set ? "false" : "true", set ? "DYNAMIC_TOPIC_CONFIG" : "DEFAULT_CONFIG");
}

void v3_configs(struct trip *c)
{
    struct buf b = trip_buf();
    const struct log_setting *row;
    struct log_topic t;

    if (!trip_topic(c, INGEST_DESCRIBE_CONFIGS, &t))
        return;
    begin_list(&b, "KafkaTopicConfigList", arena_fmt(c->a, "%s/configs", topic_url(c, t.name)));
    for (size_t i = 0; (row = log_setting(i)) != NULL; i++) {
        if (i > 0)
            buf_u8(&b, ',');
        put_config(c, &b, &t, row);
    }
    end_list(c, &b);
}

static void put_partition(struct trip *c, struct buf *b, const struct log_topic *t, int32_t p)
{
    begin(c, b, "KafkaPartition", arena_fmt(c->a, "%s/partitions/%d", topic_url(c, t->name), p),
          arena_fmt(c->a, "/topic=%.*s/partition=%d", STR_ARG(t->name), p));
    buf_str(b, STR(",\"topic_name\":"));
    buf_json(b, t->name);
    buf_fmt(b, ",\"partition_id\":%d}", p);
}

void v3_partitions(struct trip *c)
{
    struct buf b = trip_buf();
    struct log_topic t;

    if (!trip_topic(c, INGEST_DESCRIBE, &t))
        return;
    begin_list(&b, "KafkaPartitionList", arena_fmt(c->a, "%s/partitions", topic_url(c, t.name)));
    for (int32_t i = 0; i < t.partitions; i++) {
        if (i > 0)
            buf_u8(&b, ',');
        put_partition(c, &b, &t, i);
    }
    end_list(c, &b);
}

void v3_partition(struct trip *c)
{
    struct buf b = trip_buf();
    struct log_topic t;
    int32_t partition;

    if (!trip_topic(c, INGEST_DESCRIBE, &t) || !trip_partition(c, &t, c->name[2], &partition))
        return;
    put_partition(c, &b, &t, partition);
    trip_json(c, 200, &b);
}
