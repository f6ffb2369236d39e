/*
 * The lake's sink connector: topics of Debezium changes into bronze and silver tables.
 *
 * It is a thin hand: feeds take the records (lake/lake.h), this decides when they are committed, all of them in one step: when the
 * oldest waiting row is commit.interval.ms old, or commit.bytes wait. The position is in the tables' snapshots, so open() takes
 * it from there and each change is in the tables exactly once, whatever the group says.
 *
 * A full disk does not end the task: the commit is tried again each second, and while commit.bytes wait nothing more is taken.
 */
#include "connect/lake/lake_sink.h"
#include "base/mem.h"
#include "connect/connect.h"
#include "lake/lake.h"
#include "os/os.h"

#include <poll.h>

enum { RETRY_MS = 1000 };

struct lake_sink {
    struct task *task;
    struct os *os;
    struct lake *lake;
    struct sink_partition *parts;
    size_t count;
    struct lake_feed **feeds; // one a topic
    size_t feed_count;
    size_t *feed_of; // [count] which feed a partition's records go to
    int64_t interval_ms, bytes;
    int64_t first_ns; // when the oldest waiting row came; 0: none waits
    int64_t retry_ns; // not before; 0: at once
};

static const struct config_key keys[] = {
    {"commit.interval.ms", CONFIG_LONG, "5000", false, CONFIG_HIGH,
     "How far the tables may be behind the topics. Queries through tarn see the topics' newest records in "
     "any case."},
    {"commit.bytes", CONFIG_LONG, "67108864", false, CONFIG_MEDIUM,
     "Bytes of records after which a commit is made at once."},
};

static bool is_avro(const struct config *c, const char *key)
{
    struct str v = config_str(c, key);
    return !v.p || str_is(v, "io.confluent.connect.avro.AvroConverter");
}

static bool check(const struct config *c, struct err *e)
{
    int64_t interval_ms = config_i64(c, "commit.interval.ms"), bytes = config_i64(c, "commit.bytes");
    if (interval_ms < 100 || interval_ms > 3600000)
        return config_refuse(c, "commit.interval.ms", "it must be from 100 to 3600000", e);
    if (bytes < 65536 || bytes > 1073741824)
        return config_refuse(c, "commit.bytes", "it must be from 65536 to 1073741824", e);
    if (!is_avro(c, "key.converter") || !is_avro(c, "value.converter"))
        return err_set(e, ERR_INVALID,
                       "key.converter and value.converter must be io.confluent.connect.avro.AvroConverter");
    return true;
}

static int one_task(const struct config *c, int tasks_max)
{
    (void)c;
    (void)tasks_max;
    return 1; // a commit is of all tables
}

/* ---- opening ---- */

static bool open_feeds(struct lake_sink *s, struct err *e)
{
    for (size_t i = 0; i < s->count; i++) {
        size_t first = 0; // partition of the same topic
        while (!str_eq(s->parts[first].topic, s->parts[i].topic))
            first++;
        if (first < i) {
            s->feed_of[i] = s->feed_of[first];
        } else {
            if (!lake_feed_open(s->lake, s->parts[i].topic, &s->feeds[s->feed_count], e))
                return false;
            s->feed_of[i] = s->feed_count++;
        }
        int64_t next = lake_feed_next(s->feeds[s->feed_of[i]], s->parts[i].partition);
        s->parts[i].next = next < 0 ? 0 : next;
    }
    return true;
}

static void lake_sink_close(void *state)
{
    struct lake_sink *s = state;
    if (!s)
        return;
    for (size_t i = 0; i < s->feed_count; i++)
        lake_feed_close(s->feeds[i]);
    mem_free(s->feeds);
    mem_free(s->feed_of);
    mem_free(s);
}

static bool lake_sink_open(struct task *t, const struct config *c, struct sink_partition *parts, size_t count,
                           void **state, struct err *e)
{
    const struct connect_env *env = task_env(t);
    if (!env->lake)
        return err_set(e, ERR_INVALID, "this process has no lake: turn its role on");
    struct lake_sink *s = MEM_NEW(struct lake_sink);
    *s = (struct lake_sink){
        .task = t,
        .os = env->os,
        .lake = env->lake,
        .parts = parts,
        .count = count,
        .feeds = MEM_ARRAY(struct lake_feed *, count + 1),
        .feed_of = MEM_ARRAY(size_t, count + 1),
        .interval_ms = config_i64(c, "commit.interval.ms"),
        .bytes = config_i64(c, "commit.bytes"),
    };
    if (!open_feeds(s, e)) {
        lake_sink_close(s);
        return false;
    }
    *state = s;
    return true;
}

/* ---- committing ---- */

static void waiting(const struct lake_sink *s, int64_t *rows, int64_t *bytes)
{
    *rows = *bytes = 0;
    for (size_t i = 0; i < s->feed_count; i++) {
        *rows += lake_feed_pending_rows(s->feeds[i]);
        *bytes += (int64_t)lake_feed_pending_bytes(s->feeds[i]);
    }
}

static bool is_passing(enum err_kind kind)
{
    return kind == ERR_FULL || kind == ERR_BUSY;
}

/* Unless it must be now, a full disk is no failure: it is tried again later. */
static bool commit(struct lake_sink *s, bool now, struct err *e)
{
    struct err why;
    if (lake_commit(s->lake, s->feeds, s->feed_count, &why)) {
        s->first_ns = s->retry_ns = 0;
        task_say(s->task, "committed");
        return true;
    }
    if (now || !is_passing(why.kind)) {
        *e = why;
        return false;
    }
    s->retry_ns = s->os->now_ns(s->os) + RETRY_MS * (int64_t)1000000;
    task_say(s->task, "waiting for room on the disk");
    return true;
}

/* While too much waits and cannot be committed, the task stands still. */
static bool wait_for_room(struct lake_sink *s, struct err *e)
{
    int64_t rows, bytes;
    waiting(s, &rows, &bytes);
    while (bytes >= s->bytes) {
        if (!commit(s, false, e))
            return false;
        waiting(s, &rows, &bytes);
        if (rows == 0)
            return true;
        struct pollfd stop = {.fd = task_wake_fd(s->task), .events = POLLIN};
        (void)poll(&stop, 1, RETRY_MS);
        if (task_should_stop(s->task))
            return err_set(e, ERR_FULL, "stopped while it waited for room on the disk");
    }
    return true;
}

static bool lake_sink_put(void *state, const struct sink_record *records, size_t count, struct err *e)
{
    struct lake_sink *s = state;
    for (size_t i = 0; i < count; i++) {
        const struct sink_record *r = &records[i];
        if (!lake_feed_put(s->feeds[s->feed_of[r->from - s->parts]], r->from->partition, &r->r, e))
            return false;
    }
    int64_t rows, bytes;
    waiting(s, &rows, &bytes);
    if (s->first_ns == 0 && rows > 0)
        s->first_ns = s->os->now_ns(s->os);
    return wait_for_room(s, e);
}

static int64_t lake_sink_next_flush_ms(void *state)
{
    struct lake_sink *s = state;
    if (s->first_ns == 0)
        return -1;
    int64_t due = s->first_ns + s->interval_ms * 1000000;
    if (s->retry_ns > due)
        due = s->retry_ns;
    int64_t left = due - s->os->now_ns(s->os);
    return left <= 0 ? 0 : (left + 999999) / 1000000;
}

static bool lake_sink_flush(void *state, bool all, int64_t *safe, struct err *e)
{
    struct lake_sink *s = state;
    if (s->first_ns != 0 && (all || lake_sink_next_flush_ms(s) == 0) && !commit(s, all, e))
        return false;
    for (size_t i = 0; i < s->count; i++) {
        int64_t at = lake_feed_safe(s->feeds[s->feed_of[i]], s->parts[i].partition);
        if (at > safe[i])
            safe[i] = at;
    }
    return true;
}

/* ---- the class ---- */

static const char *const names[] = {"io.tarn.connect.lake.LakeSinkConnector", NULL};

static const struct sink_class ops = {
    .open = lake_sink_open,
    .put = lake_sink_put,
    .flush = lake_sink_flush,
    .next_flush_ms = lake_sink_next_flush_ms,
    .close = lake_sink_close,
};

const struct connector_class lake_sink_class = {
    .names = names,
    .step = CONNECT_STEP_TABLES,
    .version = "1.0.0",
    .keys = keys,
    .key_count = ARRAY_LEN(keys),
    .check = check,
    .tasks = one_task,
    .sink_ops = &ops,
};
