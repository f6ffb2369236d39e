#include "log/batch.h"

#include "base/be.h"
#include "base/crc.h"
#include "base/limits.h"
#include "base/rd.h"
#include "log/codec.h"

#include <assert.h>

/* Where the fields of the header lie (KIP-98). */
enum {
    AT_LENGTH = 8,
    AT_EPOCH = 12,
    AT_MAGIC = 16,
    AT_CRC = 17,
    AT_ATTRIBUTES = BATCH_CRC_FROM,
    AT_LAST_DELTA = 23,
    AT_BASE_TIME = 27,
    AT_MAX_TIME = 35,
    AT_PRODUCER = 43,
    AT_PRODUCER_EPOCH = 51,
    AT_SEQUENCE = 53,
    AT_COUNT = 57,
};
enum { LENGTH_MIN = BATCH_HEADER - AT_EPOCH };
#define OFFSET_MAX (INT64_MAX - INT32_MAX - 1) // so that the offset behind the batch is one too
// of one record: an empty one has two bytes on the wire and sixteen times that here
enum { HEADERS_MAX = 65536 };

bool batch_header(struct str bytes, struct batch_header *h)
{
    struct rd r = rd_str(bytes);

    if (bytes.n < BATCH_HEADER || bytes.p[AT_MAGIC] != 2)
        return false;
    h->base_offset = rd_i64(&r);
    h->length = rd_i32(&r);
    h->leader_epoch = rd_i32(&r);
    h->magic = rd_i8(&r);
    h->crc = (uint32_t)rd_i32(&r);
    h->attributes = rd_i16(&r);
    h->last_offset_delta = rd_i32(&r);
    h->base_timestamp_ms = rd_i64(&r);
    h->max_timestamp_ms = rd_i64(&r);
    h->producer_id = rd_i64(&r);
    h->producer_epoch = rd_i16(&r);
    h->base_sequence = rd_i32(&r);
    h->count = rd_i32(&r);
    return h->length >= LENGTH_MIN && h->length <= INT32_MAX - AT_EPOCH && h->base_offset <= OFFSET_MAX;
}

bool batch_cut(struct str *rest, struct str *one, struct batch_header *h)
{
    size_t n;

    if (!batch_header(*rest, h))
        return false;
    n = (size_t)h->length + AT_EPOCH;
    if (n > rest->n)
        return false;
    *one = str_from(rest->p, n);
    *rest = str_from(rest->p + n, rest->n - n);
    return true;
}

bool batch_crc_ok(struct str one)
{
    assert(one.n >= BATCH_HEADER);
    return be_get32(one.p + AT_CRC) == crc32c(0, one.p + AT_ATTRIBUTES, one.n - AT_ATTRIBUTES);
}

/* What is wrong with a header that a client sent, or NULL. The rules are those of Kafka's LogValidator. */
static const char *why_refused(const struct batch_header *h)
{
    if (h->count < 1 || h->last_offset_delta != h->count - 1)
        return "count of records and last offset delta disagree";
    if (h->count > (h->length - LENGTH_MIN) / 7 && (h->attributes & BATCH_CODEC) == BATCH_NONE)
        return "more records than bytes for them";
    if ((h->attributes & BATCH_CODEC) > BATCH_ZSTD)
        return "its compression is not known";
    if (h->attributes & BATCH_CONTROL)
        return "it is a control batch, which only the broker writes";
    if (h->producer_id >= 0 && (h->base_sequence < 0 || h->producer_epoch < 0))
        return "it has a producer id but no sequence or epoch";
    if (h->producer_id < 0 && (h->attributes & BATCH_TRANSACTIONAL))
        return "it is transactional but has no producer id";
    return NULL;
}

bool batch_check(struct str bytes, size_t max_bytes, int64_t *records, struct err *e)
{
    struct batch_header h;
    struct str one;
    const char *why;
    int64_t sum = 0;

    for (int i = 0; bytes.n > 0; i++) {
        if (bytes.n > AT_MAGIC && bytes.p[AT_MAGIC] != 2)
            return err_set(e, ERR_BAD_INPUT, "batch %d has magic %d; only version 2 is supported", i,
                           bytes.p[AT_MAGIC]);
        if (batch_header(bytes, &h) && (size_t)h.length + AT_EPOCH > max_bytes)
            return err_set(e, ERR_LIMIT, "batch %d has %lld bytes, at most %zu are allowed", i,
                           (long long)h.length + AT_EPOCH, max_bytes);
        if (!batch_cut(&bytes, &one, &h))
            return err_set(e, ERR_BAD_INPUT, "batch %d is cut short (%zu bytes are left)", i, bytes.n);
        why = why_refused(&h);
        if (why)
            return err_set(e, ERR_BAD_INPUT, "batch %d is refused: %s", i, why);
        if (!batch_crc_ok(one))
            return err_set(e, ERR_CORRUPT, "batch %d has a wrong checksum", i);
        sum += h.count;
    }
    *records = sum;
    return true;
}

void batch_set_offset(uint8_t *head, int64_t base_offset, int32_t leader_epoch)
{
    be_put64(head, (uint64_t)base_offset);
    be_put32(head + AT_EPOCH, (uint32_t)leader_epoch);
}

void batch_set_append_time(uint8_t *head, struct str records, int64_t time_ms)
{
    uint32_t crc;

    be_put16(head + AT_ATTRIBUTES, be_get16(head + AT_ATTRIBUTES) | BATCH_APPEND_TIME);
    be_put64(head + AT_MAX_TIME, (uint64_t)time_ms);
    crc = crc32c(0, head + AT_ATTRIBUTES, BATCH_HEADER - AT_ATTRIBUTES);
    be_put32(head + AT_CRC, crc32c(crc, records.p, records.n));
}

/* ---- writing ---- */

void batch_begin(struct batch_writer *w, size_t max_bytes)
{
    w->buf.max = w->_packed.max = max_bytes;
    buf_reset(&w->buf);
    buf_zero(&w->buf, BATCH_HEADER);
    w->count = 0;
    w->codec = BATCH_NONE;
    w->level = 0;
    w->base_offset = 0;
    w->producer_id = -1;
    w->producer_epoch = -1;
    w->base_sequence = -1;
    w->attributes = 0;
    w->horizon_ms = -1;
    w->_last_delta = -1;
}

static size_t bytes_size(struct str s)
{
    return s.p ? varint_size((int64_t)s.n) + s.n : 1; // null is the length -1, one byte
}

static void put_bytes(struct buf *b, struct str s)
{
    buf_varint(b, s.p ? (int64_t)s.n : -1);
    buf_str(b, s);
}

void batch_add_at(struct batch_writer *w, int32_t offset_delta, const struct record *r)
{
    size_t n = 1 + bytes_size(r->key) + bytes_size(r->value) + varint_size(r->header_count);
    int64_t time;

    assert(offset_delta > w->_last_delta);
    if (w->count == 0) {
        w->max_timestamp_ms = r->timestamp_ms;
        w->base_timestamp_ms = w->horizon_ms >= 0 ? w->horizon_ms : r->timestamp_ms;
    }
    w->max_timestamp_ms = r->timestamp_ms > w->max_timestamp_ms ? r->timestamp_ms : w->max_timestamp_ms;
    time = (int64_t)((uint64_t)r->timestamp_ms - (uint64_t)w->base_timestamp_ms);
    n += varint_size(time) + varint_size(offset_delta);
    for (int32_t i = 0; i < r->header_count; i++)
        n += bytes_size(r->headers[i].key) + bytes_size(r->headers[i].value);

    buf_varint(&w->buf, (int64_t)n);
    buf_u8(&w->buf, 0); // attributes: none are in use
    buf_varint(&w->buf, time);
    buf_varint(&w->buf, offset_delta);
    put_bytes(&w->buf, r->key);
    put_bytes(&w->buf, r->value);
    buf_varint(&w->buf, r->header_count);
    for (int32_t i = 0; i < r->header_count; i++) {
        put_bytes(&w->buf, r->headers[i].key);
        put_bytes(&w->buf, r->headers[i].value);
    }
    w->count++;
    w->_last_delta = offset_delta;
}

void batch_add(struct batch_writer *w, int64_t timestamp_ms, struct str key, struct str value,
               const struct record_header *headers, int32_t header_count)
{
    batch_add_at(w, w->_last_delta + 1,
                 &(struct record){.timestamp_ms = timestamp_ms,
                                  .key = key,
                                  .value = value,
                                  .headers = headers,
                                  .header_count = header_count});
}

struct str batch_end(struct batch_writer *w)
{
    struct buf *b = &w->buf;
    uint8_t *p;

    if (buf_ok(b) && w->codec != BATCH_NONE && w->count > 0) {
        b = &w->_packed;
        buf_reset(b);
        buf_zero(b, BATCH_HEADER);
        codec_pack(w->codec, w->level, str_from(w->buf.p + BATCH_HEADER, w->buf.n - BATCH_HEADER), b);
    }
    if (!buf_ok(b))
        return STR_NULL;
    if (w->count == 0)
        return STR("");
    p = b->p;
    be_put64(p, (uint64_t)w->base_offset);
    be_put32(p + AT_LENGTH, (uint32_t)(b->n - AT_EPOCH));
    be_put32(p + AT_EPOCH, 0);
    p[AT_MAGIC] = 2;
    be_put16(p + AT_ATTRIBUTES,
             (uint16_t)(w->attributes | (int)w->codec | (w->horizon_ms >= 0 ? BATCH_HAS_HORIZON : 0)));
    be_put32(p + AT_LAST_DELTA, (uint32_t)w->_last_delta);
    be_put64(p + AT_BASE_TIME, (uint64_t)w->base_timestamp_ms);
    be_put64(p + AT_MAX_TIME, (uint64_t)w->max_timestamp_ms);
    be_put64(p + AT_PRODUCER, (uint64_t)w->producer_id);
    be_put16(p + AT_PRODUCER_EPOCH, (uint16_t)w->producer_epoch);
    be_put32(p + AT_SEQUENCE, (uint32_t)w->base_sequence);
    be_put32(p + AT_COUNT, (uint32_t)w->count);
    be_put32(p + AT_CRC, crc32c(0, p + AT_ATTRIBUTES, b->n - AT_ATTRIBUTES));
    return buf_view(b);
}

void batch_fini(struct batch_writer *w)
{
    buf_fini(&w->buf);
    buf_fini(&w->_packed);
}

/* ---- transaction markers ---- */

enum { MARK_ABORT, MARK_COMMIT }; // control record types; the versions of key and value are 0

struct str batch_mark_write(struct batch_writer *w, int64_t producer_id, int16_t producer_epoch,
                            const struct batch_mark *m, int64_t time_ms)
{
    char key[4] = {0}, value[6] = {0};

    be_put16(key + 2, m->commit ? MARK_COMMIT : MARK_ABORT);
    be_put32(value + 2, (uint32_t)m->coordinator_epoch);
    batch_begin(w, KIB);
    w->producer_id = producer_id;
    w->producer_epoch = producer_epoch;
    w->attributes = BATCH_CONTROL | BATCH_TRANSACTIONAL;
    batch_add(w, time_ms, str_from(key, sizeof key), str_from(value, sizeof value), NULL, 0);
    return batch_end(w);
}

static struct str take_bytes(struct rd *in);

bool batch_mark_read(struct str records, struct batch_mark *out)
{
    struct rd r = rd_str(records);
    struct str key, value;

    (void)rd_varint(&r);  // length
    rd_skip(&r, 1);       // attributes
    (void)rd_varint(&r);  // time
    (void)rd_varint(&r);  // offset
    key = take_bytes(&r); // version and type
    value = take_bytes(&r);
    if (!rd_ok(&r) || key.n < 4 || value.n < 6 || be_get16(key.p + 2) > MARK_COMMIT)
        return false;
    *out = (struct batch_mark){be_get16(key.p + 2) == MARK_COMMIT, (int32_t)be_get32(value.p + 2)};
    return true;
}

/* ---- reading ---- */

void batch_open(struct batch_reader *r, struct arena *a, struct str batches)
{
    *r = (struct batch_reader){.arena = a, .rest = batches, .skip_below = INT64_MIN};
}

/* Opens the next batch that has anything to show. */
static bool open_next(struct batch_reader *r)
{
    struct buf plain = buf_make(LIMIT_BATCH);
    struct str one;
    bool ok;

    do {
        if (r->rest.n == 0)
            return false;
        if (!batch_cut(&r->rest, &one, &r->head) || r->head.last_offset_delta < 0)
            return err_set(&r->_err, ERR_CORRUPT, "record batch is cut short or has no header");
    } while (r->head.base_offset + r->head.last_offset_delta < r->skip_below);
    if (!batch_crc_ok(one))
        return err_set(&r->_err, ERR_CORRUPT, "record batch at offset %lld has a wrong checksum",
                       (long long)r->head.base_offset);
    r->_records = str_from(one.p + BATCH_HEADER, one.n - BATCH_HEADER);
    r->_left = r->head.count;
    if ((r->head.attributes & BATCH_CODEC) == BATCH_NONE)
        return true;
    ok = codec_unpack((enum batch_codec)(r->head.attributes & BATCH_CODEC), r->_records, &plain, &r->_err);
    if (ok)
        r->_records = str_from(arena_copy(r->arena, plain.p, plain.n), plain.n);
    else
        (void)err_wrap(&r->_err, "record batch at offset %lld", (long long)r->head.base_offset);
    buf_fini(&plain);
    return ok;
}

static struct str take_bytes(struct rd *in)
{
    int64_t n = rd_varint(in);

    if (n < -1)
        rd_fail(in, "a length is negative");
    return n < 0 ? STR_NULL : rd_bytes(in, rd_count(in, n, 1));
}

static void take_headers(struct batch_reader *r, struct rd *in, struct record *out)
{
    size_t n = rd_count(in, rd_varint(in), 2);
    struct record_header *h;

    if (n > HEADERS_MAX) {
        rd_fail(in, "it has too many headers");
        n = 0;
    }
    h = n > 0 ? ARENA_ARRAY(r->arena, struct record_header, n) : NULL;
    for (size_t i = 0; i < n; i++) {
        h[i].key = take_bytes(in);
        h[i].value = take_bytes(in);
    }
    out->headers = h;
    out->header_count = (int32_t)n;
}

/* One record off the front of the open batch. False and _err when it is damaged. */
static bool take_record(struct batch_reader *r, struct record *out)
{
    struct rd all = rd_str(r->_records), in;
    int64_t delta, time;

    in = rd_str(rd_bytes(&all, rd_count(&all, rd_varint(&all), 1)));
    if (!rd_ok(&all))
        in = (struct rd){.why = rd_why(&all)};
    rd_skip(&in, 1); // attributes
    time = rd_varint(&in);
    delta = rd_varint(&in);
    out->key = take_bytes(&in);
    out->value = take_bytes(&in);
    take_headers(r, &in, out);
    if (rd_ok(&in) && (delta < 0 || delta > r->head.last_offset_delta))
        rd_fail(&in, "its offset is not in the batch");
    if (!rd_ok(&in))
        return err_set(&r->_err, ERR_CORRUPT, "record %d of the batch at offset %lld: %s",
                       r->head.count - r->_left, (long long)r->head.base_offset, rd_why(&in));
    out->offset = r->head.base_offset + delta;
    out->timestamp_ms = r->head.attributes & BATCH_APPEND_TIME
                            ? r->head.max_timestamp_ms
                            : (int64_t)((uint64_t)r->head.base_timestamp_ms + (uint64_t)time);
    out->control = (r->head.attributes & BATCH_CONTROL) != 0;
    r->_records = str_from(all.at, rd_left(&all));
    r->_left--;
    return true;
}

bool batch_next(struct batch_reader *r, struct record *out)
{
    do {
        while (r->_err.kind == ERR_NONE && r->_left <= 0)
            if (!open_next(r))
                return false;
        if (r->_err.kind != ERR_NONE || !take_record(r, out))
            return false;
    } while (out->offset < r->skip_below);
    return true;
}

bool batch_ok(const struct batch_reader *r, struct err *e)
{
    if (r->_err.kind != ERR_NONE)
        *e = r->_err;
    return r->_err.kind == ERR_NONE;
}
