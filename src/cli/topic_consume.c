/*
 * tarn topic consume: records as lines, from a place to the end that the topic has now, or on and on with --follow.
 *
 * A partition is done when its last record of now has come, or when there is nothing more of it (compaction and transactions leave
 * gaps before the end).
 */
#include "cli/topic.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/utc.h"
#include "os/os.h"

#include <stdio.h>
#include <unistd.h>

struct row { // of a tail, kept until all of it is there
    int64_t time_ms, offset;
    int32_t partition;
    struct str line;
};

struct consume {
    struct topic_run *t;
    const struct rd_kafka_metadata_topic *topic;
    const char *from, *partitions, *key, *grep;
    int64_t tail, max, printed;
    bool follow, values;
    rd_kafka_topic_partition_list_t *list;
    int64_t *end; // of each in the list
    bool *is_done;
    int left; // that are not done
    struct row *rows;
    size_t row_count, row_cap;
    struct buf line;
    struct topic_progress progress;
    int64_t looked_at; // records
};

/* ---- where ---- */

static bool at_moment(struct consume *c, int64_t ms, struct err *e)
{
    rd_kafka_resp_err_t code;

    for (int i = 0; i < c->list->cnt; i++)
        c->list->elems[i].offset = ms;
    code = rd_kafka_offsets_for_times(c->t->client, c->list, TOPIC_WAIT_MS);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || topic_refused(code, NULL, "--from", e);
}

static bool place(struct consume *c, int i, bool by_time, int64_t offset, struct err *e)
{
    rd_kafka_topic_partition_t *p = &c->list->elems[i];
    int64_t start, at;

    if (!topic_ends(c->t, p->topic, p->partition, &start, &c->end[i], e))
        return false;
    if (by_time)
        at = p->offset >= 0 ? p->offset : c->end[i];
    else if (c->tail >= 0)
        at = c->end[i] - c->tail;
    else if (offset >= 0)
        at = offset;
    else if (c->from ? strcmp(c->from, "latest") == 0 : c->follow)
        at = c->end[i];
    else
        at = start;
    p->offset = at < start ? start : at > c->end[i] ? c->end[i] : at;
    c->is_done[i] = p->offset == c->end[i];
    c->left += !c->is_done[i];
    return true;
}

/* An offset that no partition has reached is a slip, unless what comes is waited for. */
static bool is_reached(struct consume *c, int64_t offset, struct err *e)
{
    struct buf ends = buf_make(1000);
    bool reached = c->follow || c->list->cnt == 0;

    for (int i = 0; i < c->list->cnt; i++) {
        reached = reached || offset <= c->end[i];
        buf_fmt(&ends, "%s%d at %lld", i > 0 ? ", " : "", c->list->elems[i].partition, (long long)c->end[i]);
    }
    if (!reached)
        (void)err_set(e, ERR_NOT_FOUND, "there is no offset %lld yet in %s: its partitions end: %s",
                      (long long)offset, c->topic->topic, buf_ok(&ends) ? buf_z(&ends) : "before");
    buf_fini(&ends);
    return reached;
}

static bool place_all(struct consume *c, struct err *e)
{
    int64_t now_ms = os_real()->wall_us(os_real()) / 1000, offset = -1, ms = 0;
    bool word = !c->from || strcmp(c->from, "earliest") == 0 || strcmp(c->from, "latest") == 0;
    bool by_time = !word && !(str_i64(str_of(c->from), &offset) && offset >= 0);

    if (by_time && !topic_moment(c->from, now_ms, &ms))
        return err_set(e, ERR_BAD_INPUT,
                       "--from is earliest, latest, an offset, or a moment such as 2026-11-21T08:30:00Z or "
                       "PT90M, not %s",
                       c->from);
    c->list = rd_kafka_topic_partition_list_new(c->topic->partition_cnt);
    if (c->partitions && !topic_add_partitions(c->topic, c->partitions, c->list, e))
        return false;
    for (int32_t i = 0; !c->partitions && i < c->topic->partition_cnt; i++)
        rd_kafka_topic_partition_list_add(c->list, c->topic->topic, i);
    c->end = ARENA_ARRAY(&c->t->arena, int64_t, (size_t)c->list->cnt);
    c->is_done = ARENA_ARRAY(&c->t->arena, bool, (size_t)c->list->cnt);
    if (by_time && !at_moment(c, ms, e))
        return false;
    for (int i = 0; i < c->list->cnt; i++)
        if (!place(c, i, by_time, offset, e))
            return false;
    return by_time || offset < 0 || is_reached(c, offset, e);
}

/* ---- one record ---- */

/* JSON in JSON is itself, text is a string, bytes are {"base64":...}. */
static void put_json(struct buf *b, const struct topic_value *v)
{
    if (v->kind == TOPIC_JSON || v->kind == TOPIC_NOTHING) {
        buf_str(b, v->text);
    } else if (v->kind == TOPIC_TEXT) {
        buf_json(b, v->text);
    } else {
        buf_str(b, STR("{\"base64\":"));
        buf_json(b, v->text);
        buf_u8(b, '}');
    }
}

static void put_headers(struct buf *b, const rd_kafka_message_t *m)
{
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t n;

    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    buf_str(b, STR(",\"headers\":{"));
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &n) == RD_KAFKA_RESP_ERR_NO_ERROR;
         i++) {
        if (i > 0)
            buf_u8(b, ',');
        buf_json(b, str_of(name));
        buf_u8(b, ':');
        if (value)
            buf_json(b, str_from(value, n));
        else
            buf_str(b, STR("null"));
    }
    buf_u8(b, '}');
}

static void put_line(struct consume *c, const rd_kafka_message_t *m, int64_t time_ms)
{
    struct str key = m->key ? str_from(m->key, m->key_len) : STR_NULL;
    struct str value = m->payload ? str_from(m->payload, m->len) : STR_NULL;
    struct topic_value v;
    char when[UTC_TEXT];
    struct buf *b = &c->line;

    buf_reset(b);
    (void)utc_iso(time_ms * 1000, 3, when);
    if (c->values) {
        v = topic_show(c->t, value);
        buf_str(b, v.text);
    } else if (c->t->as_json) {
        buf_fmt(b, "{\"partition\":%d,\"offset\":%lld,\"time\":\"%s\",\"key\":", m->partition,
                (long long)m->offset, when);
        v = topic_show(c->t, key);
        put_json(b, &v);
        put_headers(b, m);
        v = topic_show(c->t, value);
        if (v.schema_id > 0)
            buf_fmt(b, ",\"schema_id\":%d", v.schema_id);
        buf_str(b, STR(",\"value\":"));
        put_json(b, &v);
        buf_u8(b, '}');
    } else {
        buf_fmt(b, "%d:%lld  %s  ", m->partition, (long long)m->offset, when);
        v = topic_show(c->t, key);
        buf_str(b, key.p ? v.text : STR("-"));
        buf_str(b, STR("  "));
        v = topic_show(c->t, value);
        buf_str(b, v.text);
    }
}

static bool is_wanted(struct consume *c, const rd_kafka_message_t *m)
{
    struct topic_value v;

    if (c->key) {
        v = topic_show(c->t, m->key ? str_from(m->key, m->key_len) : STR_NULL);
        if (!m->key || !str_is(v.text, c->key))
            return false;
    }
    if (!c->grep)
        return true;
    v = topic_show(c->t, m->payload ? str_from(m->payload, m->len) : STR_NULL);
    return memmem(v.text.p, v.text.n, c->grep, strlen(c->grep)) != NULL;
}

static void print_line(struct consume *c, struct str line)
{
    topic_progress_clear(&c->progress);
    (void)fwrite(line.p, 1, line.n, stdout);
    (void)fputc('\n', stdout);
    c->printed++;
}

static int by_time(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* The last ones of all partitions together, in the order of their times. */
static void print_tail(struct consume *c)
{
    size_t skip = c->row_count > (size_t)c->tail ? c->row_count - (size_t)c->tail : 0;

    if (c->row_count > 1)
        qsort(c->rows, c->row_count, sizeof *c->rows, by_time);
    for (size_t i = 0; i < c->row_count; i++) {
        if (i >= skip && c->rows[i].line.p && (c->max < 0 || c->printed < c->max))
            print_line(c, c->rows[i].line);
        mem_free((char *)(uintptr_t)c->rows[i].line.p);
    }
    mem_free(c->rows);
    c->rows = NULL;
    c->row_count = 0;
    c->tail = -1;
}

/* A record, or (a tail, sought first) its place in the rows. A tail counts those too that are not wanted. */
static bool take(struct consume *c, const rd_kafka_message_t *m, struct err *e)
{
    int64_t time_ms = rd_kafka_message_timestamp(m, NULL);
    bool wanted = is_wanted(c, m);

    c->looked_at++;
    if (wanted)
        put_line(c, m, time_ms);
    if (wanted && !buf_ok(&c->line))
        return err_set(e, ERR_LIMIT, "%s-%d offset %lld is over %zu bytes as text", c->topic->topic,
                       m->partition, (long long)m->offset, c->line.max);
    if (c->tail >= 0) {
        MEM_PUSH_ROOM(c->rows, c->row_count, c->row_cap);
        c->rows[c->row_count++] = (struct row){
            time_ms, m->offset, m->partition,
            wanted
                ? str_from(mem_copy(c->line.p ? (char *)c->line.p : "", c->line.n ? c->line.n : 1), c->line.n)
                : STR_NULL};
    } else if (wanted) {
        print_line(c, buf_view(&c->line));
    }
    return true;
}

/* ---- all ---- */

/* While a terminal shows the records themselves there is nothing else to show. */
static void show_progress(struct consume *c)
{
    if (c->key || c->grep || c->tail >= 0 || !isatty(STDOUT_FILENO))
        topic_progress(&c->progress, "%lld records looked at, %lld shown", (long long)c->looked_at,
                       (long long)c->printed);
}

static void done_with(struct consume *c, const rd_kafka_message_t *m)
{
    for (int i = 0; i < c->list->cnt; i++) {
        if (c->list->elems[i].partition != m->partition || c->is_done[i])
            continue;
        if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF || m->offset >= c->end[i] - 1) {
            c->is_done[i] = true;
            c->left--;
        }
    }
}

static bool is_enough(const struct consume *c)
{
    return (c->max >= 0 && c->printed >= c->max) || (c->left == 0 && !c->follow);
}

/* What does not end the reading. librdkafka asks for the coordinator of a group that is never used, and reading needs no right to it. */
static bool is_passing(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__PARTITION_EOF || code == RD_KAFKA_RESP_ERR__TRANSPORT ||
           code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
}

static bool take_all(struct consume *c, struct err *e)
{
    bool ok = true;

    if (c->tail >= 0 && c->left == 0)
        print_tail(c);
    while (ok && !is_enough(c)) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(c->t->client, 100);

        show_progress(c);
        if (!m) {
            (void)fflush(stdout);
            continue;
        }
        if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR && c->max >= 0 && c->printed >= c->max)
            ok = true;
        else if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            ok = take(c, m, e);
        else if (!is_passing(m->err))
            ok = topic_refused(m->err, rd_kafka_message_errstr(m), c->topic->topic, e);
        if (ok && (m->err == RD_KAFKA_RESP_ERR_NO_ERROR || m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF))
            done_with(c, m);
        rd_kafka_message_destroy(m);
        if (c->tail >= 0 && c->left == 0)
            print_tail(c);
    }
    topic_progress_clear(&c->progress);
    return ok;
}

static bool read_words(struct consume *c, struct err *e)
{
    c->follow = cli_flag(c->t->w, "--follow");
    c->values = cli_flag(c->t->w, "--values");
    if (!topic_option(c->t, "--from", &c->from, e) || !topic_option(c->t, "--partition", &c->partitions, e) ||
        !topic_option(c->t, "--key", &c->key, e) || !topic_option(c->t, "--grep", &c->grep, e) ||
        !topic_number(c->t, "--tail", 0, &c->tail, e) || !topic_number(c->t, "--max", 0, &c->max, e))
        return false;
    if (c->from && c->tail >= 0)
        return err_set(e, ERR_BAD_INPUT, "--from and --tail both say where to begin: give one");
    return topic_words(c->t, 1, 1, "consume wants a topic", e);
}

bool topic_consume(struct topic_run *t, struct err *e)
{
    static const char *const properties[] = {"group.id",
                                             "tarn-topic",
                                             "enable.auto.commit",
                                             "false",
                                             "enable.partition.eof",
                                             "true",
                                             "auto.offset.reset",
                                             "error",
                                             "fetch.wait.max.ms",
                                             "100",
                                             NULL};
    struct consume c = {.t = t, .tail = -1, .max = -1};
    bool ok;

    c.line = buf_make(6 * LIMIT_BATCH);
    ok = read_words(&c, e) && topic_connect(t, RD_KAFKA_CONSUMER, properties, e);
    if (ok) {
        (void)rd_kafka_poll_set_consumer(t->client);
        c.topic = topic_find(t, t->w->v[0], e);
        ok = c.topic && place_all(&c, e);
    }
    if (ok && rd_kafka_assign(t->client, c.list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        ok = err_set(e, ERR_REMOTE, "%s: its partitions could not be assigned", t->w->v[0]);
    ok = ok && take_all(&c, e);
    if (c.list)
        rd_kafka_topic_partition_list_destroy(c.list);
    if (t->client)
        (void)rd_kafka_consumer_close(t->client);
    buf_fini(&c.line);
    return ok;
}
