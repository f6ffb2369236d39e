/*
 * What a topic's settings make of batches, over real sockets.
 */
#include "kafka/testbroker.h"
#include "log/testset.h"

static struct str packed(struct batch_writer *w, enum batch_codec codec, int records, int64_t time_ms)
{
    batch_begin(w, LIMIT_BATCH);
    w->codec = codec;
    for (int i = 0; i < records; i++)
        batch_add(w, time_ms + i, i % 2 ? STR("key") : STR_NULL, STR("the same again and again and again"),
                  &(struct record_header){STR("h"), STR("x")}, 1);
    return batch_end(w);
}

/* The codec of what was kept, and whether all records are there as packed() makes them. */
static int kept(int fd, int64_t offset, int records, int64_t time_ms)
{
    struct k_fetch_res_partition p = fetch(fd, 11, "t", (struct wish){.offset = offset, .max_bytes = 1});
    struct batch_reader r;
    struct record rec;
    struct err e;
    int n = 0;

    OK(p.error == K_NONE);
    batch_open(&r, &mem, p.records.bytes);
    while (batch_next(&r, &rec)) {
        OK(rec.offset == offset + n && rec.timestamp_ms == time_ms + n && rec.header_count == 1);
        OK(n % 2 ? str_is(rec.key, "key") : !rec.key.p);
        OK(str_is(rec.value, "the same again and again and again") && str_is(rec.headers[0].value, "x"));
        n++;
    }
    OK(batch_ok(&r, &e) && n == records);
    return r.head.attributes & BATCH_CODEC;
}

TEST(batches_are_packed_as_the_topic_wants_them)
{
    static const char *const names[] = {"uncompressed", "gzip", "snappy", "lz4", "zstd"};
    struct batch_writer w = {0};
    struct str given;
    int64_t offset = 0;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    for (int codec = 0; codec <= BATCH_ZSTD; codec++) {
        given = packed(&w, (enum batch_codec)codec, 50, 1000);
        OK(produce(fd, 7, "t", given).base_offset == offset && kept(fd, offset, 50, 1000) == codec);
        offset += 50;
    }
    for (int wanted = 0; wanted <= BATCH_ZSTD; wanted++) {
        OK(testset_topic(wal, "t", "compression.type", names[wanted]));
        for (int codec = 0; codec <= BATCH_ZSTD; codec++) {
            given = packed(&w, (enum batch_codec)codec, 50, 1000);
            OK(produce(fd, 7, "t", given).base_offset == offset && kept(fd, offset, 50, 1000) == wanted);
            offset += 50;
        }
    }
    batch_fini(&w);
    close(fd);
    end();
}

TEST(how_hard_a_codec_works)
{
    struct batch_writer w = {0};
    int64_t offset = 0, before = 0;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    OK(testset_topic(wal, "t", "compression.type", "gzip") &&
       testset_topic(wal, "t", "compression.gzip.level", "1"));
    for (int i = 0; i < 2; i++) {
        struct k_fetch_res_partition p;

        batch_begin(&w, LIMIT_BATCH);
        for (int k = 0; k < 2000; k++) {
            char text[64];

            (void)snprintf(text, sizeof text, "%d squared is %d, or nearly so %d", k, k * k, k ^ 77);
            batch_add(&w, 1000, STR_NULL, str_of(text), NULL, 0);
        }
        OK(produce(fd, 7, "t", batch_end(&w)).base_offset == offset);
        p = fetch(fd, 11, "t", (struct wish){.offset = offset, .max_bytes = 1});
        OK(i == 0 || (int64_t)p.records.bytes.n < before); // level 9 made it smaller than level 1
        before = (int64_t)p.records.bytes.n;
        offset += 2000;
        OK(testset_topic(wal, "t", "compression.gzip.level", "9"));
    }
    batch_fini(&w);
    close(fd);
    end();
}

TEST(what_is_too_large_when_it_is_packed_anew)
{
    struct batch_writer w = {0};
    struct k_produce_res_partition p;
    struct str given;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    given = packed(&w, BATCH_ZSTD, 500, 1000);
    OK(given.n < 9000 && testset_topic(wal, "t", "max.message.bytes", "9000") &&
       produce(fd, 8, "t", given).error == K_NONE);
    OK(testset_topic(wal, "t", "compression.type", "uncompressed"));
    p = produce(fd, 8, "t", given);
    OK(p.error == K_MESSAGE_TOO_LARGE && p.base_offset == -1 && p.error_message.n > 0);
    batch_fini(&w);
    close(fd);
    end();
}

TEST(a_repeat_is_known_though_it_was_packed_anew)
{
    struct batch_writer w = {0};
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    OK(testset_topic(wal, "t", "compression.type", "lz4"));
    for (int i = 0; i < 2; i++) {
        batch_begin(&w, LIMIT_BATCH);
        w.producer_id = 7;
        w.producer_epoch = 0;
        w.base_sequence = 0;
        batch_add(&w, 1000, STR_NULL, STR("once"), NULL, 0);
        OK(produce(fd, 7, "t", batch_end(&w)).base_offset == 0);
    }
    OK(fetch(fd, 11, "t", (struct wish){.offset = 0}).high_watermark == 1);
    batch_fini(&w);
    close(fd);
    end();
}

/* ---- times ---- */

static int64_t now(void)
{
    return os_real()->wall_us(os_real()) / 1000;
}

TEST(records_of_another_time_are_refused)
{
    const int64_t hour = 3600000;
    struct batch_writer w = {0};
    struct k_produce_res_partition p;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    OK(produce(fd, 8, "t", packed(&w, BATCH_NONE, 3, now() + hour / 2)).error == K_NONE);
    p = produce(fd, 8, "t",
                packed(&w, BATCH_NONE, 3, now() + 2 * hour)); // by default an hour ahead is the most
    OK(p.error == K_INVALID_TIMESTAMP && p.base_offset == -1 && p.error_message.n > 0);
    OK(testset_topic(wal, "t", "message.timestamp.after.max.ms", "9223372036854775807"));
    OK(produce(fd, 8, "t", packed(&w, BATCH_NONE, 3, now() + 2 * hour)).error == K_NONE);
    OK(produce(fd, 8, "t", packed(&w, BATCH_NONE, 3, 1000)).error == K_NONE);
    OK(testset_topic(wal, "t", "message.timestamp.before.max.ms", "3600000"));
    batch_begin(&w, LIMIT_BATCH);
    batch_add(&w, now(), STR_NULL, STR("new"), NULL, 0);
    batch_add(&w, -1, STR_NULL, STR("it says no time"), NULL, 0);
    batch_add(&w, now() - 2 * hour, STR_NULL, STR("old"), NULL, 0);
    p = produce(fd, 8, "t", batch_end(&w));
    OK(p.error == K_INVALID_TIMESTAMP && p.record_errors_n == 1 && p.record_errors[0].index == 2);
    OK(testset_topic(wal, "t", "message.timestamp.type", "LogAppendTime"));
    OK(produce(fd, 8, "t", packed(&w, BATCH_NONE, 3, 1000)).error == K_NONE);
    batch_fini(&w);
    close(fd);
    end();
}

TEST(the_time_of_the_append)
{
    struct batch_writer w = {0};
    struct k_produce_res_partition p;
    struct batch_reader r;
    struct record rec;
    int64_t before = now();
    int n = 0, fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    p = produce(fd, 8, "t", packed(&w, BATCH_GZIP, 3, 1000));
    OK(p.error == K_NONE && p.append_time_ms == -1);
    OK(testset_topic(wal, "t", "message.timestamp.type", "LogAppendTime") &&
       testset_topic(wal, "t", "compression.type", "zstd"));
    p = produce(fd, 8, "t", packed(&w, BATCH_GZIP, 3, 1000));
    OK(p.error == K_NONE && p.append_time_ms >= before && p.append_time_ms <= now());
    batch_open(&r, &mem, fetch(fd, 11, "t", (struct wish){.offset = 3}).records.bytes);
    while (batch_next(&r, &rec))
        n += rec.timestamp_ms == p.append_time_ms;
    OK(n == 3 && (r.head.attributes & BATCH_APPEND_TIME) && (r.head.attributes & BATCH_CODEC) == BATCH_ZSTD);
    batch_begin(&w, LIMIT_BATCH);
    w.attributes = BATCH_APPEND_TIME; // that is not the producer's to say
    batch_add(&w, 1000, STR_NULL, STR("v"), NULL, 0);
    OK(produce(fd, 8, "t", batch_end(&w)).error == K_INVALID_TIMESTAMP);
    batch_fini(&w);
    close(fd);
    end();
}

/* ---- keys ---- */

TEST(a_compacted_topic_wants_keys)
{
    struct batch_writer w = {0};
    struct k_produce_res_partition p;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    OK(testset_topic(wal, "t", "cleanup.policy", "compact,delete"));
    batch_begin(&w, LIMIT_BATCH);
    w.codec = BATCH_SNAPPY;
    batch_add(&w, 1000, STR("key"), STR("v"), NULL, 0);
    batch_add(&w, 1000, STR_NULL, STR("v"), NULL, 0);
    batch_add(&w, 1000, STR("key"), STR("v"), NULL, 0);
    batch_add(&w, 1000, STR_NULL, STR("v"), NULL, 0);
    p = produce(fd, 8, "t", batch_end(&w));
    OK(p.error == K_INVALID_RECORD && p.record_errors_n == 2); // each of them is named
    OK(p.record_errors[0].index == 1 && p.record_errors[1].index == 3 && p.record_errors[1].message.n > 0);
    OK(produce(fd, 8, "t", batch_of(&w, 3, 1000, STR(""))).error == K_NONE); // empty is not null
    batch_fini(&w);
    close(fd);
    end();
}

TEST_MAIN
