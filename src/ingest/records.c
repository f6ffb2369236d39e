/* Records on their way to the disk: where each belongs, the batches they make, and what became of them. */
#include "base/limits.h"
#include "base/mem.h"
#include "ingest/proxy_int.h"
#include "os/os.h"

struct append {
    struct trip *c;
    trip_fn *done;
    struct log_topic t;
    struct item **first, **last; // of each partition
    struct log_part_write *parts;
    struct buf *bytes; // of each part
    size_t count;
    bool ok;
    struct err e;
};

/* ---- placing ---- */

/* Where Kafka's clients put a key: murmur2 with their seed, without its sign (Utils.murmur2, BuiltInPartitioner). */
static uint32_t murmur2(struct str key)
{
    const uint32_t m = 0x5bd1e995;
    const uint8_t *p = (const uint8_t *)key.p;
    uint32_t h = 0x9747b28c ^ (uint32_t)key.n;
    size_t n = key.n;

    for (; n >= 4; n -= 4, p += 4) {
        uint32_t k = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;

        k *= m;
        k ^= k >> 24;
        h = h * m ^ k * m;
    }
    if (n == 3)
        h ^= (uint32_t)p[2] << 16;
    if (n >= 2)
        h ^= (uint32_t)p[1] << 8;
    if (n >= 1)
        h = (h ^ p[0]) * m;
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

static void refuse(struct item *i, int code, const char *why)
{
    i->code = code;
    i->why = why;
}

static void place(struct append *a, struct item *i, int32_t turn)
{
    if (i->partition >= a->t.partitions) {
        refuse(i, CODE_NO_PARTITION, "Partition not found.");
        return;
    }
    if (i->partition < 0 && i->key.p)
        i->partition = (int32_t)((murmur2(i->key) & 0x7fffffff) % (uint32_t)a->t.partitions);
    else if (i->partition < 0)
        i->partition = turn;
    if (a->last[i->partition])
        a->last[i->partition]->_next = i;
    else
        a->first[i->partition] = i;
    a->last[i->partition] = i;
}

/* What the topic asks of a record before it is kept. */
static void check(struct append *a, struct item *i, int64_t now_ms)
{
    struct err e;

    if (a->t.settings.compact && !i->key.p)
        refuse(i, CODE_KAFKA, "Kafka error: a compacted topic takes no records without a key");
    else if (!log_settings_time_ok(&a->t.settings, now_ms, i->timestamp_ms, &e))
        refuse(i, CODE_KAFKA, arena_fmt(a->c->a, "Kafka error: %s", e.msg));
}

/* ---- batches ---- */

static size_t size_at_most(const struct item *i)
{
    size_t n = 32 + i->key.n + i->value.n;

    for (int32_t h = 0; h < i->header_count; h++)
        n += 16 + i->headers[h].key.n + i->headers[h].value.n;
    return n;
}

static void begin(struct append *a, struct batch_writer *w)
{
    batch_begin(w, 2 * LIMIT_BATCH);
    w->codec = (enum batch_codec)log_settings_codec(&a->t.settings, BATCH_NONE, &w->level);
}

/* Ends the batch of the records [from, to): they are all refused when it is too large, which only one alone can be. */
static void end(struct append *a, struct batch_writer *w, struct item *from, const struct item *to)
{
    size_t most = (size_t)a->t.settings.max_message_bytes;
    struct str batch;

    if (w->count == 0)
        return;
    batch = batch_end(w);
    if (batch.p && batch.n <= most) {
        buf_str(&a->bytes[a->count], batch);
        return;
    }
    for (struct item *i = from; i != to; i = i->_next)
        refuse(i, CODE_KAFKA,
               arena_fmt(a->c->a,
                         "Kafka error: the record makes a batch of over %zu bytes, the most that "
                         "max.message.bytes of the topic allows",
                         most));
}

static void make_part(struct append *a, int32_t partition, struct batch_writer *w)
{
    size_t most = (size_t)a->t.settings.max_message_bytes;
    struct item *from = a->first[partition];

    a->bytes[a->count] = buf_make(SIZE_MAX / 4); // the requests's body bounds it
    begin(a, w);
    for (struct item *i = from; i; i = i->_next) {
        if (w->count > 0 && w->buf.n + size_at_most(i) > most) {
            end(a, w, from, i);
            from = i;
            begin(a, w);
        }
        batch_add(w, i->timestamp_ms, i->key, i->value, i->headers, i->header_count);
    }
    end(a, w, from, NULL);
    if (a->bytes[a->count].n == 0)
        return;
    a->parts[a->count] = (struct log_part_write){
        .topic = a->t.name, .partition = partition, .batches = buf_view(&a->bytes[a->count])};
    a->count++;
}

/* ---- the answer of the log ---- */

static void tell(struct append *a, const struct log_part_write *w)
{
    int64_t offset = w->base_offset;
    enum err_kind why = a->ok ? w->refused : a->e.kind;
    bool again = why == ERR_BUSY || why == ERR_FULL || why == ERR_IO;
    const char *text = a->ok ? err_text(why) : a->e.msg;

    for (struct item *i = a->first[w->partition]; i; i = i->_next) {
        if (i->code != 0)
            continue;
        if (why != ERR_NONE) {
            refuse(i, again ? CODE_RETRY : CODE_KAFKA,
                   arena_fmt(a->c->a, "%s: %s", again ? "Retriable Kafka error" : "Kafka error", text));
            continue;
        }
        i->offset = offset++;
        if (w->append_time_ms >= 0)
            i->timestamp_ms = w->append_time_ms;
    }
}

static void finish(struct trip *c)
{
    struct append *a = c->state;

    for (size_t i = 0; i < a->count; i++) {
        tell(a, &a->parts[i]);
        buf_fini(&a->bytes[i]);
    }
    a->done(c);
}

/* On the committer's thread. */
static void on_appended(void *arg, bool ok, const struct err *e)
{
    struct append *a = arg;

    a->ok = ok;
    if (!ok)
        a->e = *e;
    trip_go_on(a->c, finish);
}

void items_append(struct trip *c, const struct log_topic *t, struct item *items, size_t n, trip_fn *done)
{
    struct append *a = ARENA_NEW(c->a, struct append);
    size_t partitions = (size_t)t->partitions;
    int32_t turn = (int32_t)(c->p->turn++ % (uint32_t)t->partitions);
    int64_t now_ms = c->p->os->wall_us(c->p->os) / 1000;
    struct batch_writer w = {0};

    *a = (struct append){.c = c, .done = done, .t = *t};
    a->first = ARENA_ARRAY(c->a, struct item *, partitions);
    a->last = ARENA_ARRAY(c->a, struct item *, partitions);
    a->parts = ARENA_ARRAY(c->a, struct log_part_write, partitions);
    a->bytes = ARENA_ARRAY(c->a, struct buf, partitions);
    c->state = a;
    for (size_t i = 0; i < n; i++) {
        if (items[i].code == 0)
            check(a, &items[i], now_ms);
        if (items[i].code == 0)
            place(a, &items[i], turn);
    }
    for (int32_t p = 0; p < t->partitions; p++)
        if (a->first[p])
            make_part(a, p, &w);
    batch_fini(&w);
    if (a->count == 0) {
        done(c);
        return;
    }
    trip_wait(c);
    log_append_some_async(c->p->log, a->parts, a->count, on_appended, a);
}
