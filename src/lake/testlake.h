/*
 * testlake: a lake in a temporary folder and a topic of changes to feed it, for the room's tests and its bench.
 *
 * The source's table is items(id bigint primary key, name text, price numeric(10,2), at timestamp, note text); a second shape has
 * one column more, a wider one and one less. Records are Debezium's envelopes, encoded here by hand.
 */
#pragma once

#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "engine/engine.h"
#include "lake/lake.h"
#include "log/log.h"
#include "object/object.h"
#include "os/os.h"
#include "os/tempdir.h"
#include "schema/schema.h"

#include <inttypes.h>
#include <stdio.h>

#define ITEMS "shop.public.items"

struct testlake {
    struct os *os;
    char dir[TEMPDIR_MAX];
    struct log *log;
    struct blobs *blobs;
    struct schema_store *schemas;
    struct engine *engine;
    struct lake *lake;
    struct arena a;
    int key_id, value_id, wide_id;
    int64_t lsn;
    struct batch_writer batch;
    struct err e;
};

#define TESTLAKE_ENVELOPE(columns)                                                                          \
    "{\"type\":\"record\",\"name\":\"Envelope\",\"namespace\":\"shop.public.items\",\"fields\":["           \
    "{\"name\":\"before\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Value\",\"fields\":[" columns  \
    "]}],\"default\":null},{\"name\":\"after\",\"type\":[\"null\",\"Value\"],\"default\":null},"            \
    "{\"name\":\"source\",\"type\":{\"type\":\"record\",\"name\":\"Source\",\"namespace\":\"io.debezium\"," \
    "\"fields\":[{\"name\":\"ts_ms\",\"type\":\"long\"},{\"name\":\"snapshot\",\"type\":[\"string\","       \
    "\"null\"]},"                                                                                           \
    "{\"name\":\"ts_us\",\"type\":[\"null\",\"long\"]},{\"name\":\"txId\",\"type\":[\"null\",\"long\"]},"   \
    "{\"name\":\"lsn\",\"type\":[\"null\",\"long\"]}]}},{\"name\":\"op\",\"type\":\"string\"},"             \
    "{\"name\":\"ts_ms\",\"type\":[\"null\",\"long\"]}]}"
#define TESTLAKE_DECIMAL                                                                                  \
    "[\"null\",{\"type\":\"bytes\",\"scale\":2,\"precision\":10,\"connect.version\":1,\"connect."         \
    "parameters\":"                                                                                       \
    "{\"scale\":\"2\",\"connect.decimal.precision\":\"10\"},\"connect.name\":\"org.apache.kafka.connect." \
    "data.Decimal\","                                                                                     \
    "\"logicalType\":\"decimal\"}]"
#define TESTLAKE_TIMESTAMP                                                                    \
    "[\"null\",{\"type\":\"long\",\"connect.version\":1,\"connect.name\":\"io.debezium.time." \
    "MicroTimestamp\"}]"

static const char testlake_value[] = TESTLAKE_ENVELOPE(
    "{\"name\":\"id\",\"type\":\"long\"},{\"name\":\"name\",\"type\":[\"null\",\"string\"],\"default\":null},"
    "{\"name\":\"price\",\"type\":" TESTLAKE_DECIMAL ",\"default\":null},"
    "{\"name\":\"at\",\"type\":" TESTLAKE_TIMESTAMP ",\"default\":null},"
    "{\"name\":\"count\",\"type\":\"int\",\"default\":0},"
    "{\"name\":\"note\",\"type\":[\"null\",\"string\"],\"default\":null}");
/* count is wider, note is gone, colour is new. */
static const char testlake_wide[] = TESTLAKE_ENVELOPE(
    "{\"name\":\"id\",\"type\":\"long\"},{\"name\":\"name\",\"type\":[\"null\",\"string\"],\"default\":null},"
    "{\"name\":\"price\",\"type\":" TESTLAKE_DECIMAL ",\"default\":null},"
    "{\"name\":\"at\",\"type\":" TESTLAKE_TIMESTAMP ",\"default\":null},"
    "{\"name\":\"count\",\"type\":\"long\",\"default\":0},"
    "{\"name\":\"colour\",\"type\":[\"null\",\"string\"],\"default\":null}");
static const char testlake_key[] =
    "{\"type\":\"record\",\"name\":\"Key\",\"namespace\":\"shop.public.items\",\"fields\":["
    "{\"name\":\"id\",\"type\":\"long\"}]}";

static inline bool testlake_append(void *arg, const struct schema_record *records, size_t count,
                                   struct err *e)
{
    (void)arg;
    (void)records;
    (void)count;
    (void)e;
    return true;
}

static inline bool testlake_register(struct testlake *t, const char *subject, const char *text, int *id)
{
    int version;
    struct schema_text s = {.text = str_of(text)};
    return schema_register(t->schemas, str_of(subject), &s, id, &version, &t->e);
}

/* Opens all over t->dir; what is there already is found again. */
static inline bool testlake_open(struct testlake *t)
{
    struct arena a = {0};
    const char *objects = arena_fmt(&a, "%s/objects", t->dir), *lake = arena_fmt(&a, "%s/lake", t->dir);
    const char *readable[] = {objects, lake, NULL};
    struct log_options lo = {.os = t->os, .dir = arena_fmt(&a, "%s/log", t->dir), .journal_bytes = 1 << 20};
    struct lake_options o = {.os = t->os, .dir = lake, .maintain_ms = -1};
    bool ok = log_open(&lo, &t->log, &t->e) && object_open_local(t->os, objects, &t->blobs, &t->e);
    if (ok) {
        t->engine = engine_new(
            &(struct engine_options){.temp_dir = arena_fmt(&a, "%s/spill", t->dir), .readable = readable});
        o.log = t->log;
        o.blobs = t->blobs;
        o.engine = t->engine;
        o.schemas = t->schemas;
        struct log_settings settings;
        log_settings_default(t->log, &settings);
        ok = log_ensure_topic(t->log, STR(ITEMS), 1, &settings, &t->e) && lake_open(&o, &t->lake, &t->e);
    }
    arena_fini(&a);
    if (!ok)
        printf("# open: %s\n", t->e.msg);
    return ok;
}

static inline void testlake_close(struct testlake *t)
{
    lake_close(t->lake);
    engine_free(t->engine);
    if (t->blobs)
        object_close(t->blobs);
    log_close(t->log);
    t->lake = NULL;
    t->engine = NULL;
    t->blobs = NULL;
    t->log = NULL;
}

static inline bool testlake_start(struct testlake *t, struct os *os)
{
    *t = (struct testlake){.os = os};
    t->schemas = schema_store_new(testlake_append, NULL);
    return tempdir_make(t->dir) && testlake_register(t, ITEMS "-key", testlake_key, &t->key_id) &&
           testlake_register(t, ITEMS "-value", testlake_value, &t->value_id) && testlake_open(t);
}

static inline bool testlake_end(struct testlake *t)
{
    testlake_close(t);
    schema_store_free(t->schemas);
    arena_fini(&t->a);
    batch_fini(&t->batch);
    return os_remove_tree(os_real(), t->dir, &t->e);
}

/* ---- records ---- */

struct testlake_row {
    int64_t id;
    const char *name;
    int64_t cents; // price; INT64_MIN: null
    int64_t count;
    const char *note; // colour in the wide shape
};

static inline void testlake_text(struct buf *b, const char *s)
{
    buf_varint(b, (int64_t)strlen(s));
    buf_str(b, str_of(s));
}

static inline void testlake_optional(struct buf *b, const char *s)
{
    buf_varint(b, s != NULL);
    if (s)
        testlake_text(b, s);
}

static inline void testlake_values(struct buf *b, const struct testlake_row *r)
{
    buf_varint(b, r->id);
    testlake_optional(b, r->name);
    buf_varint(b, r->cents != INT64_MIN);
    if (r->cents != INT64_MIN) {
        buf_varint(b, 8);
        buf_i64(b, r->cents);
    }
    buf_varint(b, 1);
    buf_varint(b, 1700000000000000 + r->id);
    buf_varint(b, r->count);
    testlake_optional(b, r->note);
}

/* A change of op c, u, r or d into the batch; a delete is followed by its tombstone. */
static inline void testlake_change(struct testlake *t, char op, const struct testlake_row *r)
{
    struct buf key = buf_make(KIB), value = buf_make(MIB);
    struct testlake_row gone = {.id = r->id, .cents = INT64_MIN};
    buf_u8(&key, 0);
    buf_i32(&key, t->key_id);
    buf_varint(&key, r->id);
    buf_u8(&value, 0);
    buf_i32(&value, t->wide_id ? t->wide_id : t->value_id);
    buf_varint(&value, op == 'd');
    if (op == 'd')
        testlake_values(&value, &gone);
    buf_varint(&value, op != 'd' && op != 't');
    if (op != 'd' && op != 't')
        testlake_values(&value, r);
    buf_varint(&value, 1700000000000); // source: ts_ms, snapshot, ts_us, txId, lsn
    buf_varint(&value, 0);
    testlake_text(&value, op == 'r' ? "true" : "false");
    buf_varint(&value, 1);
    buf_varint(&value, 1700000000123456);
    buf_varint(&value, 1);
    buf_varint(&value, 7);
    buf_varint(&value, 1);
    buf_varint(&value, ++t->lsn);
    testlake_text(&value, (char[2]){op, 0});
    buf_varint(&value, 0);
    batch_add(&t->batch, 1700000000000, op == 't' ? STR_NULL : buf_view(&key), buf_view(&value), NULL, 0);
    if (op == 'd')
        batch_add(&t->batch, 1700000000000, buf_view(&key), STR_NULL, NULL, 0);
    buf_fini(&key);
    buf_fini(&value);
}

static inline void testlake_begin(struct testlake *t)
{
    batch_begin(&t->batch, LIMIT_BATCH);
}

static inline bool testlake_send(struct testlake *t)
{
    struct log_part_write part = {.topic = STR(ITEMS), .batches = batch_end(&t->batch)};
    return log_append(t->log, &part, 1, &t->e);
}

/* One change on the topic. */
static inline bool testlake_one(struct testlake *t, char op, struct testlake_row r)
{
    testlake_begin(t);
    testlake_change(t, op, &r);
    return testlake_send(t);
}

/* Puts all of the topic from where the feed is. */
static inline bool testlake_feed(struct testlake *t, struct lake_feed *f)
{
    struct log_range range;
    struct buf bytes = buf_make(LIMIT_BATCH);
    bool ok = log_range(t->log, STR(ITEMS), 0, &range);
    int64_t at = lake_feed_next(f, 0) < 0 ? 0 : lake_feed_next(f, 0);
    while (ok && at < range.end) {
        struct arena a = {0};
        struct batch_reader r;
        struct record record;
        buf_reset(&bytes);
        ok = log_fetch(t->log, STR(ITEMS), 0, at, 1 << 20, &bytes, &t->e);
        batch_open(&r, &a, buf_view(&bytes));
        while (ok && batch_next(&r, &record)) {
            ok = lake_feed_put(f, 0, &record, &t->e);
            at = record.offset + 1;
        }
        arena_fini(&a);
    }
    buf_fini(&bytes);
    return ok;
}

/* All of the topic into the tables, by a feed of its own. */
static inline bool testlake_drain(struct testlake *t)
{
    struct lake_feed *f;
    if (!lake_feed_open(t->lake, STR(ITEMS), &f, &t->e))
        return false;
    bool ok = testlake_feed(t, f) && lake_commit(t->lake, &f, 1, &t->e);
    lake_feed_close(f);
    return ok;
}

/* ---- questions ---- */

/* All rows as JSON, one a line, in t->a; NULL with t->e when it failed. */
static inline const char *testlake_ask(struct testlake *t, const char *sql, bool committed_only)
{
    struct lake_query q = {.sql = str_of(sql), .committed_only = committed_only};
    struct lake_answer *w;
    struct buf out = buf_make(64 * MIB);
    size_t rows = 1;
    if (!lake_query(t->lake, &q, &w, &t->e))
        return NULL;
    bool ok = true;
    while (ok && (ok = result_next(lake_answer_rows(w), &rows, &t->e)) && rows > 0)
        for (size_t i = 0; i < rows; i++) {
            result_json_row(lake_answer_rows(w), i, &out);
            buf_u8(&out, '\n');
        }
    lake_answer_free(w);
    const char *text = ok ? arena_str(&t->a, str_from(buf_z(&out), out.n + 1)).p : NULL;
    buf_fini(&out);
    return text;
}

static inline bool testlake_is(struct testlake *t, const char *sql, bool committed_only, const char *want)
{
    const char *got = testlake_ask(t, sql, committed_only);
    if (got && strcmp(got, want) == 0)
        return true;
    printf("# %s\n# got  %s\n# want %s\n", sql, got ? got : t->e.msg, want);
    return false;
}
