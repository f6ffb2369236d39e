#include "kafka/accept.h"

#include "base/limits.h"
#include "base/mem.h"
#include "log/batch.h"
#include "os/os.h"

enum { ZSTD_FIRST_VERSION = 7, BLAMED_MAX = 10000 };

static int16_t code_of(const struct err *e)
{
    return e->kind == ERR_LIMIT     ? K_MESSAGE_TOO_LARGE
           : e->kind == ERR_CORRUPT ? K_CORRUPT_MESSAGE
                                    : K_INVALID_RECORD;
}

/* ---- record by record ---- */

struct opening {
    const struct log_settings *set;
    struct kafka_req *q;
    struct arena arena;
    struct batch_writer *writer; // NULL: it stays as it is packed
    struct accepted *out;
    struct err *e;
    int64_t now;
    int64_t base_offset;
};

static int16_t check_record(const struct opening *o, const struct record *r, int64_t before, struct err *e)
{
    if (o->set->compact && !r->key.p) {
        err_set(e, ERR_INVALID, "a compacted topic takes no records without a key");
        return K_INVALID_RECORD; // since 2.4
    }
    if (!log_settings_time_ok(o->set, o->now, r->timestamp_ms, e))
        return K_INVALID_TIMESTAMP;
    if (r->offset <= before) {
        err_set(e, ERR_INVALID, "its offset is not above that of the record before");
        return K_INVALID_RECORD;
    }
    return K_NONE;
}

/* The code and the text are those of the first record that is refused; a client is told of each (KIP-467). */
static int16_t each_record(struct opening *o, struct str bytes)
{
    struct accepted *out = o->out;
    struct batch_reader r;
    struct record rec;
    struct err other;
    int64_t before = o->base_offset - 1;
    int16_t first = K_NONE;

    batch_open(&r, &o->arena, bytes);
    for (int32_t i = 0; out->bad_count < BLAMED_MAX && batch_next(&r, &rec); i++) {
        int16_t error = check_record(o, &rec, before, first == K_NONE ? o->e : &other);

        before = rec.offset;
        if (error == K_NONE && o->writer)
            batch_add_at(o->writer, (int32_t)(before - o->base_offset), &rec);
        if (error == K_NONE)
            continue;
        if (first == K_NONE) {
            first = error;
            out->bad = ARENA_ARRAY(&o->q->arena, int32_t, BLAMED_MAX);
        }
        out->bad[out->bad_count++] = i;
    }
    if (first != K_NONE)
        return first;
    return batch_ok(&r, o->e) ? K_NONE : code_of(o->e);
}

/* ---- compression.type ---- */

static enum batch_codec codec_of(const struct log_settings *s, enum batch_codec given)
{
    int level;

    return (enum batch_codec)log_settings_codec(s, (int)given, &level);
}

static void begin_anew(struct batch_writer *w, const struct log_settings *s, const struct batch_header *h)
{
    batch_begin(w, LIMIT_BATCH);
    w->codec = (enum batch_codec)log_settings_codec(s, BATCH_NONE, &w->level);
    w->attributes = (int16_t)(h->attributes & ~BATCH_CODEC);
    w->base_offset = h->base_offset;
    w->producer_id = h->producer_id;
    w->producer_epoch = h->producer_epoch;
    w->base_sequence = h->base_sequence;
}

static int16_t end_anew(struct opening *o, struct batch_writer *w)
{
    struct str packed = batch_end(w);

    if (!packed.p || packed.n > (size_t)o->set->max_message_bytes) {
        err_set(o->e, ERR_LIMIT,
                "packed as the topic wants it the batch has %zu bytes, at most %lld are allowed", packed.n,
                (long long)o->set->max_message_bytes);
        return K_MESSAGE_TOO_LARGE;
    }
    o->out->bytes = str_from(arena_copy(&o->q->arena, packed.p, packed.n), packed.n);
    return K_NONE;
}

static int16_t open_batch(struct opening *o, const struct batch_header *h, struct str bytes)
{
    enum batch_codec codec = (enum batch_codec)(h->attributes & BATCH_CODEC);
    struct batch_writer w = {0};
    int16_t error;

    o->base_offset = h->base_offset;
    if (codec_of(o->set, codec) != codec) {
        begin_anew(&w, o->set, h);
        o->writer = &w; // cppcheck-suppress autoVariables ; taken away below
    }
    error = each_record(o, bytes);
    if (error == K_NONE && o->writer)
        error = end_anew(o, &w);
    o->writer = NULL;
    batch_fini(&w);
    arena_fini(&o->arena);
    return error;
}

/* ---- a batch ---- */

static bool must_open(const struct log_settings *s, enum batch_codec codec)
{
    return s->compact || codec_of(s, codec) != codec ||
           (!s->append_time && s->timestamp_before_ms != INT64_MAX);
}

/* What the header says against what the topic takes. */
static int16_t check_header(struct kafka_req *q, const struct log_topic *t, const struct batch_header *h,
                            struct err *e)
{
    int64_t now = q->k->os->wall_us(q->k->os) / 1000;

    if ((h->attributes & BATCH_CODEC) == BATCH_ZSTD && q->version < ZSTD_FIRST_VERSION) {
        err_set(e, ERR_UNSUPPORTED, "zstd needs produce version 7");
        return K_UNSUPPORTED_COMPRESSION_TYPE;
    }
    if (h->attributes & BATCH_APPEND_TIME) {
        err_set(e, ERR_INVALID, "a producer says when a record was created, not when it is appended");
        return K_INVALID_TIMESTAMP;
    }
    if (h->max_timestamp_ms > now && !log_settings_time_ok(&t->settings, now, h->max_timestamp_ms, e))
        return K_INVALID_TIMESTAMP;
    return K_NONE;
}

int16_t kafka_accept(struct kafka_req *q, const struct log_topic *t, struct str bytes, struct accepted *out,
                     struct err *e)
{
    struct opening o = {
        .set = &t->settings, .q = q, .out = out, .e = e, .now = q->k->os->wall_us(q->k->os) / 1000};
    struct batch_header h;
    int64_t records;
    int16_t error;

    *out = (struct accepted){.bytes = bytes};
    if (!batch_check(bytes, (size_t)t->settings.max_message_bytes, &records, e))
        return code_of(e);
    if (!batch_header(bytes, &h) || (size_t)h.length + 12 != bytes.n) {
        err_set(e, ERR_INVALID, "a produce request has exactly one record batch a partition");
        return K_INVALID_RECORD;
    }
    error = check_header(q, t, &h, e);
    if (error != K_NONE || !must_open(&t->settings, (enum batch_codec)(h.attributes & BATCH_CODEC)))
        return error;
    return open_batch(&o, &h, bytes);
}
