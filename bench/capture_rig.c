/*
 * capture_rig: log, schemas, group offsets and the connect runtime with its REST interface, and nothing else; for the capture
 * benches and their tests.
 *
 *     capture_rig DIR          prints {"connect":PORT} when it serves; then does what lines on stdin say:
 *
 *     end TOPIC                prints the end offset of partition 0, or -1
 *     times TOPIC FROM COUNT   waits for COUNT records from offset FROM, prints when each became readable (microseconds)
 *     dump TOPIC               prints each record as JSON: {"offset":..,"key":..,"value":..,"headers":..}
 *     schema SUBJECT           prints the latest text registered under it
 *     quit                     stops cleanly (as the end of stdin does)
 */
#include "base/mem.h"
#include "connect/connect.h"
#include "group/offsets.h"
#include "net/net.h"
#include "os/os.h"
#include "os/thread.h"
#include "schema/avro.h"
#include "schema/schema.h"

#include <stdio.h>
#include <stdlib.h>

static struct log *the_log;
static struct schema_store *schemas;

static _Noreturn void fail(const struct err *e)
{
    fprintf(stderr, "capture_rig: %s\n", e->msg);
    exit(1);
}

static void warn(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "warn %s\n", text);
}

/* ---- schemas, as app/ keeps them ---- */

static bool append_schemas(void *arg, const struct schema_record *records, size_t count, struct err *e)
{
    struct batch_writer w = {0};
    struct log_part_write part = {.topic = STR("_schemas")};
    bool ok;

    (void)arg;
    batch_begin(&w, 1 << 24);
    for (size_t i = 0; i < count; i++)
        batch_add(&w, 0, records[i].key, records[i].value, NULL, 0);
    part.batches = batch_end(&w);
    ok = log_append(the_log, &part, 1, e);
    batch_fini(&w);
    return ok;
}

static void replay_schemas(void)
{
    struct buf b = buf_make(SIZE_MAX);
    struct log_settings s;
    struct log_range range;
    struct arena a = {0};
    struct err e;

    log_settings_default(the_log, &s);
    s.compact = true;
    s.remove = false;
    if (!log_ensure_topic(the_log, STR("_schemas"), 1, &s, &e))
        fail(&e);
    schemas = schema_store_new(append_schemas, NULL);
    if (!log_range(the_log, STR("_schemas"), 0, &range))
        return;
    for (int64_t at = range.start; at < range.end;) {
        struct batch_reader r = {0};
        struct record rec;

        buf_reset(&b);
        if (!log_fetch(the_log, STR("_schemas"), 0, at, 1 << 20, &b, &e))
            fail(&e);
        batch_open(&r, &a, buf_view(&b));
        while (batch_next(&r, &rec)) {
            at = rec.offset + 1;
            if (!schema_store_apply(schemas, rec.key, rec.value, &e))
                fail(&e);
        }
    }
    buf_fini(&b);
    arena_fini(&a);
}

/* ---- what lines ask ---- */

static void put_value(struct buf *out, struct str v, struct arena *a)
{
    struct schema_version s;
    struct avro *schema;
    struct err e;
    struct rd r;

    if (!v.p) {
        buf_str(out, STR("null"));
        return;
    }
    if (v.n < 5 || v.p[0] != 0) { // JSON
        buf_str(out, v);
        return;
    }
    r = rd_str(str_from(v.p + 1, v.n - 1));
    if (!schema_by_id(schemas, rd_i32(&r), a, &s) || !avro_parse(a, s.schema.text, &schema, &e) ||
        !avro_to_json(schema, &r, out, &e))
        fail(&e);
    if (rd_left(&r) > 0)
        buf_str(out, STR("\"bytes behind the value\""));
}

static void dump(struct str topic)
{
    struct buf b = buf_make(SIZE_MAX), out = buf_make(SIZE_MAX);
    struct arena a = {0};
    struct log_range range = {0};
    struct err e;

    (void)log_range(the_log, topic, 0, &range);
    for (int64_t at = range.start; at < range.end; arena_reset(&a)) {
        struct batch_reader r = {0};
        struct record rec;

        buf_reset(&b);
        if (!log_fetch(the_log, topic, 0, at, 1 << 20, &b, &e))
            fail(&e);
        batch_open(&r, &a, buf_view(&b));
        r.skip_below = at;
        while (batch_next(&r, &rec)) {
            at = rec.offset + 1;
            buf_reset(&out);
            buf_fmt(&out, "{\"offset\":%lld,\"key\":", (long long)rec.offset);
            put_value(&out, rec.key, &a);
            buf_str(&out, STR(",\"value\":"));
            put_value(&out, rec.value, &a);
            buf_str(&out, STR(",\"headers\":{"));
            for (int i = 0; i < rec.header_count; i++) {
                buf_str(&out, i ? STR(",") : STR(""));
                buf_json(&out, rec.headers[i].key);
                buf_u8(&out, ':');
                buf_json(&out, rec.headers[i].value);
            }
            buf_str(&out, STR("}}"));
            printf("%s\n", buf_z(&out));
        }
    }
    printf("\n");
    buf_fini(&b);
    buf_fini(&out);
    arena_fini(&a);
}

struct watcher {
    struct mutex lock;
    struct cond cond;
    int64_t at_us; // 0: not yet
};

static void seen(void *arg)
{
    struct watcher *w = arg;

    mutex_lock(&w->lock);
    w->at_us = os_real()->wall_us(os_real());
    cond_signal(&w->cond);
    mutex_unlock(&w->lock);
}

static void times(struct str topic, int64_t from, int64_t count)
{
    struct watcher w = {0};
    int64_t *at = MEM_ARRAY(int64_t, (size_t)count + 1);

    mutex_init(&w.lock);
    cond_init(&w.cond);
    for (int64_t i = 0; i < count; i++) {
        struct log_watch watch = {.fn = seen, .arg = &w};

        w.at_us = 0;
        log_watch(the_log, topic, 0, from + i, &watch);
        mutex_lock(&w.lock);
        while (!w.at_us)
            cond_wait(&w.cond, &w.lock);
        at[i] = w.at_us;
        mutex_unlock(&w.lock);
        log_unwatch(the_log, &watch);
    }
    for (int64_t i = 0; i < count; i++)
        printf("%lld ", (long long)at[i]);
    printf("\n");
    mem_free(at);
    cond_fini(&w.cond);
    mutex_fini(&w.lock);
}

static void schema(struct str subject)
{
    struct schema_version v;
    struct arena a = {0};
    struct err e;

    if (schema_get(schemas, subject, SCHEMA_LATEST, false, &a, &v, &e) == SCHEMA_OK)
        printf("%.*s\n", STR_ARG(v.schema.text));
    else
        printf("none\n");
    arena_fini(&a);
}

static bool command(struct str line)
{
    struct str word, topic = STR(""), part;
    struct log_range r = {.end = -1};
    int64_t from, count;

    line = str_trim(line);
    if (!str_cut(&line, ' ', &word) || str_is(word, "quit"))
        return false;
    (void)str_cut(&line, ' ', &topic);
    if (str_is(word, "end")) {
        (void)log_range(the_log, topic, 0, &r);
        printf("%lld\n", (long long)r.end);
    } else if (str_is(word, "times") && str_cut(&line, ' ', &part) && str_i64(part, &from) &&
               str_i64(line, &count)) {
        times(topic, from, count);
    } else if (str_is(word, "dump")) {
        dump(topic);
    } else if (str_is(word, "schema")) {
        schema(topic);
    }
    fflush(stdout);
    return true;
}

int main(int argc, char **argv)
{
    struct log_options o = {.os = os_real()};
    struct offsets *offsets;
    struct connect_env env = {.os = os_real(), .warn = warn};
    struct connect *connect;
    struct net *net;
    char line[4096];
    struct err e;
    int port;

    if (argc != 2)
        return 2;
    o.dir = argv[1];
    if (!log_open(&o, &the_log, &e) ||
        !offsets_open(&(struct offsets_options){.os = os_real(), .log = the_log}, &offsets, &e))
        fail(&e);
    replay_schemas();
    if (!net_start(&(struct net_options){.loops = 1, .job_threads = 2}, &net, &e))
        fail(&e);
    env.spool_dir = argv[1];
    env.net = net;
    env.log = the_log;
    env.offsets = offsets;
    env.schemas = schemas;
    if (!connect_start(&env, &connect, &e) || !connect_rest_start(net, "127.0.0.1", 0, connect, &port, &e))
        fail(&e);
    printf("{\"connect\":%d}\n", port);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) && command(str_of(line)))
        ;
    net_stop(net);
    connect_stop(connect);
    offsets_close(offsets);
    schema_store_free(schemas);
    log_close(the_log);
    return 0;
}
