#include "group/offsets.h"

#include "base/limits.h"
#include "base/mem.h"
#include "group/offsets_int.h"
#include "log/log.h"

enum { PARTITIONS = 8, REPLAY_BYTES = 1 << 20 };

/* The offset behind the last batch in bytes: compaction may have taken that batch's last records away. */
static int64_t after_batches(struct str bytes, int64_t next)
{
    struct batch_header h;

    while (batch_header(bytes, &h)) {
        size_t n = (size_t)h.length + 12;

        next = h.base_offset + h.last_offset_delta + 1;
        if (n >= bytes.n)
            break;
        bytes = str_from(bytes.p + n, bytes.n - n);
    }
    return next;
}

/*
 * What is below the last stable offset is read as committed, because compaction takes markers away in time. Each record counts at its own
 * place there, and at its marker's in life; that is the same, because a later record of its key is what stays.
 */
static bool replay_settled(struct offsets *o, int32_t partition, const struct log_range *range, struct err *e)
{
    struct buf b = buf_make(LIMIT_BATCH + REPLAY_BYTES);
    bool ok = true;

    for (int64_t at = range->start, was = -1, unused; ok && at > was && at < range->stable; buf_reset(&b)) {
        was = at;
        ok = log_fetch_committed(o->log, STR(OFFSETS_TOPIC), partition, &at, REPLAY_BYTES, &b, e) &&
             offsets_apply(
                 o, &(struct offsets_piece){.batches = buf_view(&b), .partition = partition, .settled = true},
                 &unused, e);
    }
    buf_fini(&b);
    return ok;
}

static bool replay(struct offsets *o, int32_t partition, struct err *e)
{
    struct buf b = buf_make(LIMIT_BATCH + REPLAY_BYTES);
    struct log_range range;
    bool ok = log_range(o->log, STR(OFFSETS_TOPIC), partition, &range);

    if (!ok)
        err_set(e, ERR_NOT_FOUND, "it has no such partition");
    ok = ok && replay_settled(o, partition, &range, e);
    for (int64_t at = ok ? range.stable : 0; ok && at < range.end; buf_reset(&b)) {
        int64_t next = at;

        ok = log_fetch(o->log, STR(OFFSETS_TOPIC), partition, at, REPLAY_BYTES, &b, e) &&
             offsets_apply(o, &(struct offsets_piece){.batches = buf_view(&b), .partition = partition}, &next,
                           e);
        next = after_batches(buf_view(&b), next);
        if (ok && next <= at)
            ok = err_set(e, ERR_CORRUPT, "nothing is readable at offset %lld", (long long)at);
        at = next;
    }
    buf_fini(&b);
    return ok || err_wrap(e, "replay of " OFFSETS_TOPIC " partition %d", partition);
}

static bool ensure_topic(struct offsets *o, int32_t partitions, struct err *e)
{
    struct log_settings s;
    struct log_topic t;
    struct arena a = {0};

    log_settings_default(o->log, &s);
    s.compact = true;
    s.remove = false;
    s.segment_bytes = (int64_t)(100 * MIB); // Kafka: offsets.topic.segment.bytes
    s.max_message_bytes = OFFSETS_BATCH_MAX;
    if (!log_ensure_topic(o->log, STR(OFFSETS_TOPIC), partitions > 0 ? partitions : PARTITIONS, &s, e))
        return err_wrap(e, "topic " OFFSETS_TOPIC);
    o->partitions = log_find_topic(o->log, STR(OFFSETS_TOPIC), &a, &t) ? t.partitions : 0;
    arena_fini(&a);
    return o->partitions > 0 || err_set(e, ERR_NOT_FOUND, "topic " OFFSETS_TOPIC " was deleted");
}

bool offsets_open(const struct offsets_options *options, struct offsets **out, struct err *e)
{
    struct offsets *o = MEM_NEW(struct offsets);
    bool ok;

    o->os = options->os;
    o->log = options->log;
    mutex_init(&o->lock);
    ok = ensure_topic(o, options->partitions, e);
    for (int32_t i = 0; ok && i < o->partitions; i++)
        ok = replay(o, i, e);
    if (!ok) {
        offsets_close(o);
        return false;
    }
    *out = o;
    return true;
}

void offsets_close(struct offsets *o)
{
    if (!o)
        return;
    for (struct map_it it = {0}; map_next(&o->groups, &it);)
        offsets_group_free(it.value);
    map_fini(&o->groups);
    pending_fini(&o->pending);
    mutex_fini(&o->lock);
    mem_free(o);
}

int32_t offsets_partition(const struct offsets *o, struct str group)
{
    return group_partition(group, o->partitions);
}
