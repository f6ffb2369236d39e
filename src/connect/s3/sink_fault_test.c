/*
 * The n-th call of the disk under the object store fails, once or for good, while the S3 sink writes. No object is there in
 * half; once the disk works again and the records since the last safe offset are put again, each record is in one object, once.
 *
 * A round: two partitions of RECORDS records, an object each FLUSH of them, with the offsets that flush() calls safe kept as the
 * runtime keeps them in the consumer group.
 */
#include "connect/s3/s3_sink_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "os/fault.h"
#include "os/tempdir.h"

#include <stdio.h>

enum { PARTS = 2, RECORDS = 4, FLUSH = 3, OBJECTS = PARTS * 2 };

static const char CONFIG[] =
    "{\"name\":\"sink\",\"s3.bucket.name\":\"raw\",\"s3.region\":\"us-east-1\","
    "\"store.url\":\"http://"
    "localhost:9000\",\"topics.dir\":\"kafka\",\"flush.size\":\"3\",\"timezone\":\"UTC\","
    "\"format.class\":\"io.confluent.connect.s3.format.bytearray.ByteArrayFormat\","
    "\"value.converter\":\"org.apache.kafka.connect.converters.ByteArrayConverter\"}";

static struct world {
    char dir[TEMPDIR_MAX];
    struct os_fault faulty;
    struct connect_env env;
    struct config config;
    struct s3_sink *sink;
    int64_t committed[PARTS];
    struct arena a;
    struct err e;
} w;

static void arm(enum os_fault_kind kind, unsigned nth, bool persistent)
{
    w.faulty.kind = kind;
    w.faulty.persistent = persistent;
    w.faulty.hits = 0;
    w.faulty.countdown = nth;
}

static void disarm(void)
{
    w.faulty.persistent = false;
    w.faulty.countdown = UINT32_MAX;
}

/* ---- the sink, as the runtime drives it ---- */

static bool flush(bool all)
{
    int64_t safe[PARTS] = {0};

    if (!s3_sink_flush(w.sink, all, safe, &w.e))
        return false;
    for (int i = 0; i < PARTS; i++)
        if (safe[i] > w.committed[i])
            w.committed[i] = safe[i];
    return true;
}

static bool put(struct sink_partition *part, int64_t offset)
{
    const char *value = arena_fmt(&w.a, "%d-%lld", part->partition, (long long)offset);
    struct sink_record r = {part, {.offset = offset, .value = str_of(value)}};

    return s3_sink_put(w.sink, &r, 1, &w.e) && (s3_sink_next_flush_ms(w.sink) != 0 || flush(false));
}

/* From what is committed to the end. */
static bool write_all(void)
{
    struct sink_partition parts[PARTS];
    bool ok;

    for (int i = 0; i < PARTS; i++)
        parts[i] = (struct sink_partition){STR("shop.orders"), i, w.committed[i]};
    w.sink = NULL;
    ok = s3_sink_open(&w.env, &w.config, parts, PARTS, &w.sink, &w.e);
    for (int64_t n = 0; ok && n < RECORDS; n++)
        for (int i = 0; ok && i < PARTS; i++)
            ok = n < parts[i].next || put(&parts[i], n);
    ok = ok && flush(true);
    s3_sink_close(w.sink);
    return ok;
}

/* ---- what is there ---- */

static const char *key_of(int part, int64_t first)
{
    return arena_fmt(&w.a, "kafka/shop.orders/partition=%d/shop.orders+%d+%010lld.bin", part, part,
                     (long long)first);
}

static bool is_whole(int part, int64_t first, struct str bytes)
{
    struct buf want = buf_make(MIB);
    bool ok;

    for (int64_t n = first; n < first + FLUSH && n < RECORDS; n++)
        buf_fmt(&want, "%d-%lld\n", part, (long long)n);
    ok = str_eq(bytes, buf_view(&want));
    buf_fini(&want);
    return ok;
}

/* Objects that are there, each whole and one of those that should be; -1 when one is not. */
static int count_objects(void)
{
    struct object_list_options o = {.max = 1000};
    struct object_listing l;
    int found = 0;

    for (int part = 0; part < PARTS; part++)
        for (int64_t first = 0; first < RECORDS; first += FLUSH) {
            struct str bytes;
            const char *key = key_of(part, first);

            if (!object_get_bytes(w.env.blobs, STR("raw"), str_of(key), MIB, &w.a, &bytes, &w.e)) {
                if (w.e.kind != ERR_NOT_FOUND)
                    return -1;
            } else if (!is_whole(part, first, bytes)) {
                printf("# %s is %.*s\n", key, STR_ARG(bytes));
                return -1;
            } else {
                found++;
            }
        }
    if (!object_list(w.env.blobs, STR("raw"), &o, &w.a, &l, &w.e))
        return -1;
    return (int)l.object_count == found ? found : -1;
}

/* ---- rounds ---- */

static bool open_store(void)
{
    return object_open_local(&w.faulty.os, w.dir, &w.env.blobs, &w.e);
}

/* What is committed as safe is in objects that are there, after whatever failed. */
static bool safe_is_there(void)
{
    int64_t objects = 0;

    for (int i = 0; i < PARTS; i++)
        objects += (w.committed[i] + FLUSH - 1) / FLUSH;
    return count_objects() >= objects;
}

static bool round_with_fault(enum os_fault_kind kind, unsigned nth, bool persistent, bool *hit)
{
    arm(kind, nth, persistent);
    w.e.msg[0] = '\0';
    bool ok = write_all();
    *hit = w.faulty.hits > 0;
    disarm();
    if (!ok && !w.e.msg[0]) {
        printf("# it failed without a word\n");
        return false;
    }
    if (!safe_is_there())
        return false;
    if (!ok && !write_all()) // what failed on a disk that works again goes through
        return false;
    object_close(w.env.blobs);
    return open_store() && count_objects() == OBJECTS && w.committed[0] == RECORDS &&
           w.committed[1] == RECORDS;
}

static bool walk(enum os_fault_kind kind, bool persistent, unsigned *faults)
{
    bool hit = true, ok = true;

    for (unsigned n = 0; hit && ok; n++) {
        memset(&w, 0, sizeof w);
        os_fault_init(&w.faulty, os_real(), kind, UINT32_MAX, false);
        w.env = (struct connect_env){.os = &w.faulty.os, .blobs_url = "http://localhost:9000"};
        ok = tempdir_make(w.dir) &&
             config_parse(&w.config, &w.a, str_of(CONFIG), s3_sink_class.keys, s3_sink_class.key_count,
                          &w.e) &&
             s3_sink_class.check(&w.config, &w.e) && open_store() &&
             bucket_create(w.env.blobs, STR("raw"), &w.e) && round_with_fault(kind, n, persistent, &hit);
        if (!ok)
            printf("# kind %d, call %u%s: %s\n", kind, n, persistent ? " and all after it" : "", w.e.msg);
        *faults += hit;
        object_close(w.env.blobs);
        config_fini(&w.config);
        ok = os_remove_tree(os_real(), w.dir, &w.e) && ok;
        arena_fini(&w.a);
    }
    printf("# %u faults\n", *faults);
    return ok;
}

TEST(objects_hold_when_a_call_fails_once)
{
    for (int kind = 0; kind < OS_FAULT_KINDS; kind++) {
        unsigned faults = 0;

        OK(walk((enum os_fault_kind)kind, false, &faults) && faults > 30);
    }
}

TEST(objects_hold_when_calls_fail_for_good)
{
    for (int kind = 0; kind < OS_FAULT_KINDS; kind++) {
        unsigned faults = 0;

        OK(walk((enum os_fault_kind)kind, true, &faults) && faults > 30);
    }
}

TEST_MAIN
