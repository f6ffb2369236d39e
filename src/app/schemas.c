#include "app/schemas.h"

#include "base/limits.h"
#include "base/mem.h"
#include "log/batch.h"
#include "log/log.h"
#include "obs/obs.h"
#include "os/os.h"

/* A schema's text may be LIMIT_SCHEMA bytes, and several times that as JSON in JSON. */
enum { RECORD_MAX = 16 * 1024 * 1024, FETCH_BYTES = 4 * 1024 * 1024 };

#define TOPIC STR(SCHEMAS_TOPIC)

struct schemas {
    struct log *log;
    struct os *os;
    struct schema_store *store;
};

/* The store's schema_append_fn; one change at a time. */
static bool append(void *arg, const struct schema_record *records, size_t count, struct err *e)
{
    struct schemas *s = arg;
    struct log_part_write part = {.topic = TOPIC};
    struct batch_writer w = {0};
    bool ok;

    batch_begin(&w, RECORD_MAX);
    for (size_t i = 0; i < count; i++)
        batch_add(&w, s->os->wall_us(s->os) / 1000, records[i].key, records[i].value, NULL, 0);
    part.batches = batch_end(&w);
    ok = part.batches.p ? log_append(s->log, &part, 1, e)
                        : err_set(e, ERR_LIMIT, "a change of over %d bytes", RECORD_MAX);
    batch_fini(&w);
    return ok || err_wrap(e, "_schemas");
}

static bool replay_batches(struct schemas *s, struct str batches, int64_t from, struct err *e)
{
    struct arena a = {0};
    struct batch_reader r;
    struct record record;
    struct err bad;
    bool ok;

    batch_open(&r, &a, batches);
    r.skip_below = from;
    while (batch_next(&r, &record)) {
        if (!record.control && record.key.p && !schema_store_apply(s->store, record.key, record.value, &bad))
            obs_warn("schema", "record of _schemas is passed over: %s offset=%lld", bad.msg,
                     (long long)record.offset);
    }
    ok = batch_ok(&r, e);
    arena_fini(&a);
    return ok;
}

/* What a transaction of some Kafka client wrote and aborted is no schema. */
static bool replay(struct schemas *s, struct err *e)
{
    struct buf batches = buf_make(LIMIT_BATCH + FETCH_BYTES);
    struct log_range range;
    bool ok = true;

    if (!log_range(s->log, TOPIC, 0, &range))
        return err_set(e, ERR_NOT_FOUND, "_schemas has no partition");
    for (int64_t at = range.start, was = -1; ok && at > was; buf_reset(&batches)) {
        was = at;
        ok = log_fetch_committed(s->log, TOPIC, 0, &at, FETCH_BYTES, &batches, e) &&
             replay_batches(s, buf_view(&batches), was, e);
    }
    buf_fini(&batches);
    return ok || err_wrap(e, "reading _schemas");
}

bool schemas_open(struct log *log, struct os *os, enum schema_level level, struct schemas **out,
                  struct err *e)
{
    struct schemas *s = MEM_NEW(struct schemas);
    struct log_settings settings;

    *s = (struct schemas){.log = log, .os = os};
    s->store = schema_store_new(append, s);
    schema_store_default_level(s->store, level);
    log_settings_default(log, &settings);
    settings.compact = true;
    settings.remove = false;
    settings.max_message_bytes = RECORD_MAX;
    if (!log_ensure_topic(log, TOPIC, 1, &settings, e) || !replay(s, e)) {
        schemas_close(s);
        return false;
    }
    *out = s;
    return true;
}

struct schema_store *schemas_store(struct schemas *s)
{
    return s->store;
}

void schemas_close(struct schemas *s)
{
    if (!s)
        return;
    schema_store_free(s->store);
    mem_free(s);
}
