/*
 * The broker over real sockets: a client made of the same tables talks to it.
 */
#include "kafka/testbroker.h"

/* ---- ApiVersions, Metadata ---- */

TEST(an_unknown_version_of_api_versions_is_answered_as_0)
{
    struct k_api_versions_req req = {.software = STR("t"), .software_version = STR("1")};
    struct k_api_versions_res res;
    int fd;

    begin();
    fd = dial();
    ask(fd, &API_VERSIONS, 9, &req);
    OK(hear(fd, &API_VERSIONS, 0, correlation, &res));
    OK(res.error == K_UNSUPPORTED_VERSION && res.apis_n > 15);
    close(fd);
    end();
}

TEST(what_is_not_spoken_hangs_up)
{
    static const struct api nothing = {99, 100, &k_heartbeat_req_msg, &k_heartbeat_res_msg};
    struct k_produce_req req = {.acks = -1};
    int fd;

    begin();
    fd = dial();
    ask(fd, &nothing, 0, &(struct k_heartbeat_req){0});
    OK(hung_up(fd));
    close(fd);
    fd = dial();
    ask(fd, &PRODUCE, 2, &req); // told, so that old librdkafka compresses, but not served
    OK(hung_up(fd));
    close(fd);
    fd = dial();
    send_all(fd, "\x7f\xff\xff\xff", 4);
    OK(hung_up(fd));
    close(fd);
    fd = dial();
    send_all(fd, "\0\0\0\3abc", 7);
    OK(hung_up(fd));
    close(fd);
    end();
}

TEST(metadata_in_every_version)
{
    struct k_metadata_req_topic t = {.name = STR("orders")};
    struct k_metadata_req req = {.topics = &t, .topics_n = 1, .auto_create = true};
    struct k_metadata_res res;
    int fd;

    begin();
    fd = dial();
    for (int v = 0; v <= 13; v++) {
        call(fd, &METADATA, v, &req, &res);
        OK(res.brokers_n == 1 && res.brokers[0].port == port && str_is(res.brokers[0].host, "127.0.0.1"));
        OK(res.topics_n == 1 && res.topics[0].error == K_NONE && res.topics[0].partitions_n == 2);
        OK(res.topics[0].partitions[1].leader == res.brokers[0].node_id);
        OK(v < 2 || res.cluster_id.n == 22);
    }
    OK(memcmp(&res.topics[0].id, &(struct log_uuid){{0}}, 16) != 0);
    t = (struct k_metadata_req_topic){.id = res.topics[0].id};
    call(fd, &METADATA, 12, &req, &res); // by id
    OK(res.topics_n == 1 && res.topics[0].error == K_NONE && str_is(res.topics[0].name, "orders"));
    t.id.b[0] ^= 1;
    call(fd, &METADATA, 12, &req, &res);
    OK(res.topics[0].error == K_UNKNOWN_TOPIC_ID);
    t = (struct k_metadata_req_topic){.name = STR("no such name!")};
    call(fd, &METADATA, 5, &req, &res);
    OK(res.topics[0].error == K_INVALID_TOPIC);
    t.name = STR("absent");
    req.auto_create = false;
    call(fd, &METADATA, 5, &req, &res);
    OK(res.topics[0].error == K_UNKNOWN_TOPIC_OR_PARTITION);
    req.topics_n = -1;
    call(fd, &METADATA, 5, &req, &res);
    OK(res.topics_n == 2 && str_is(res.topics[0].name, OFFSETS_TOPIC) && res.topics[0].internal);
    close(fd);
    end();
}

/* ---- Produce, Fetch ---- */

TEST(what_is_produced_is_fetched)
{
    struct batch_writer w = {0};
    struct k_produce_res_partition p;
    struct k_fetch_res_partition f;
    struct k_metadata_res_topic t;
    struct str b;
    int fd;

    begin();
    fd = dial();
    t = ensure(fd, "orders");
    for (int v = 3; v <= 12; v++) {
        b = batch_of(&w, 3, 1000, STR("k"));
        p = produce(fd, v, "orders", b);
        OK(p.error == K_NONE && p.base_offset == 3 * ((int64_t)v - 3) && p.append_time_ms == -1);
    }
    for (int v = 4; v <= 17; v++) {
        f = fetch(fd, v, "orders", (struct wish){.offset = 3, .min_bytes = 1, .id = t.id});
        OK(f.error == K_NONE && f.high_watermark == 30 && f.last_stable_offset == 30);
        OK(f.preferred_replica == -1 && f.records.bytes.n == 9 * b.n);
        OK(be_get64(f.records.bytes.p) == 3 && memcmp(f.records.bytes.p + 17, b.p + 17, b.n - 17) == 0);
    }
    f = fetch(fd, 11, "orders",
              (struct wish){.offset = 4, .min_bytes = 1}); // in the middle of a batch: the whole batch
    OK(be_get64(f.records.bytes.p) == 3);
    f = fetch(fd, 11, "orders", (struct wish){.offset = 31, .max_wait_ms = 5000, .min_bytes = 1});
    OK(f.error == K_OFFSET_OUT_OF_RANGE && f.records.bytes.n == 0);
    f = fetch(fd, 11, "nothing", (struct wish){.max_wait_ms = 5000, .min_bytes = 1});
    OK(f.error == K_UNKNOWN_TOPIC_OR_PARTITION);
    f = fetch(fd, 13, "", (struct wish){.max_wait_ms = 5000, .min_bytes = 1});
    OK(f.error == K_UNKNOWN_TOPIC_ID);
    p = produce(fd, 9, "nothing", batch_of(&w, 1, 1, STR("k")));
    OK(p.error == K_UNKNOWN_TOPIC_OR_PARTITION && p.base_offset == -1 && p.error_message.n > 0);
    batch_fini(&w);
    close(fd);
    end();
}

TEST(a_fetch_gets_at_least_one_batch_and_no_more_than_it_asks_for)
{
    struct batch_writer w = {0};
    struct k_fetch_res_partition f;
    size_t n = 0;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    for (int i = 0; i < 10; i++) {
        struct str b = batch_of(&w, 5, 1, STR("k"));
        n = b.n;
        OK(produce(fd, 7, "t", b).error == K_NONE);
    }
    f = fetch(fd, 11, "t", (struct wish){.max_bytes = 1, .min_bytes = 1});
    OK(f.records.bytes.n == n);
    f = fetch(fd, 11, "t", (struct wish){.partition_max_bytes = 1, .min_bytes = 1});
    OK(f.records.bytes.n == n);
    f = fetch(fd, 11, "t", (struct wish){.max_bytes = (int32_t)(3 * n + 1), .min_bytes = 1});
    OK(f.records.bytes.n == 3 * n);
    batch_fini(&w);
    close(fd);
    end();
}

TEST(many_bytes_are_fetched_from_the_file)
{
    struct batch_writer w = {0};
    struct k_fetch_res_partition f;
    char *big = mem_zero(300000);
    struct str b;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    for (int i = 0; i < 3; i++) {
        batch_begin(&w, LIMIT_BATCH);
        batch_add(&w, 1, STR("k"), str_from(big, 300000), NULL, 0);
        b = batch_end(&w);
        OK(produce(fd, 7, "t", b).error == K_NONE);
    }
    f = fetch(fd, 12, "t", (struct wish){.min_bytes = 1});
    OK(f.records.bytes.n == 3 * b.n && memcmp(f.records.bytes.p + 2 * b.n + 17, b.p + 17, b.n - 17) == 0);
    OK(fetch(fd, 11, "t", (struct wish){.offset = 2, .min_bytes = 1}).records.bytes.n ==
       b.n); // the frame was whole
    mem_free(big);
    batch_fini(&w);
    close(fd);
    end();
}

TEST(a_fetch_waits_for_records)
{
    struct batch_writer w = {0};
    struct k_fetch_res_partition f;
    int64_t began, now;
    int fd, other;

    begin();
    fd = dial();
    other = dial();
    ensure(fd, "t");
    ask_fetch(fd, 11, "t", (struct wish){.max_wait_ms = 15000, .min_bytes = 1});
    OK(produce(other, 7, "t", batch_of(&w, 1, 1, STR("k"))).error == K_NONE);
    correlation--;
    f = hear_fetch(fd, 11);
    OK(f.records.bytes.n > 0 && f.high_watermark == 1);
    correlation++;

    began = os_real()->now_ns(os_real());
    f = fetch(fd, 11, "t", (struct wish){.offset = 1, .max_wait_ms = 50, .min_bytes = 1});
    now = os_real()->now_ns(os_real());
    OK(f.records.bytes.n == 0 && f.error == K_NONE && now - began >= 45000000);

    ask_fetch(fd, 11, "t", (struct wish){.offset = 1, .max_wait_ms = 15000, .min_bytes = 100});
    OK(produce(other, 7, "t", batch_of(&w, 1, 1, STR("k"))).error == K_NONE); // too few bytes to answer
    OK(produce(other, 7, "t", batch_of(&w, 1, 1, STR("k"))).error == K_NONE);
    correlation -= 2;
    f = hear_fetch(fd, 11);
    OK(f.high_watermark == 3);
    batch_fini(&w);
    close(fd);
    close(other);
    end();
}

/* The same answers when all that is read must come from the disk. */
TEST(a_fetch_that_needs_the_disk)
{
    enum { BIG = 60000 }; // too little to be written past the page cache
    struct batch_writer w = {0};
    struct k_fetch_res_partition f;
    char *big = mem_zero(BIG);
    struct str b = {0};
    int fd, other;

    begin();
    disk.os.pread_now = os_pread_uncached;
    fd = dial();
    other = dial();
    ensure(fd, "t");
    for (int i = 0; i < 3; i++) {
        batch_begin(&w, LIMIT_BATCH);
        batch_add(&w, 1, STR("k"), str_from(big, BIG), NULL, 0);
        b = batch_end(&w);
        OK(produce(fd, 7, "t", b).error == K_NONE);
    }
    f = fetch(fd, 12, "t", (struct wish){.min_bytes = 1});
    OK(f.records.bytes.n == 3 * b.n && memcmp(f.records.bytes.p + 2 * b.n + 17, b.p + 17, b.n - 17) == 0);
    f = fetch(fd, 11, "t", (struct wish){.offset = 2, .min_bytes = 1});
    OK(f.records.bytes.n == b.n && be_get64(f.records.bytes.p) == 2);
    f = fetch(fd, 11, "t", (struct wish){.offset = 4, .max_wait_ms = 5000, .min_bytes = 1});
    OK(f.error == K_OFFSET_OUT_OF_RANGE);

    ask_fetch(fd, 11, "t", (struct wish){.offset = 2, .max_wait_ms = 15000, .min_bytes = (int32_t)b.n + 100});
    OK(produce(other, 7, "t", batch_of(&w, 1, 1, STR("k"))).error == K_NONE); // too few bytes to answer
    OK(produce(other, 7, "t", batch_of(&w, 1, 1, STR("k"))).error == K_NONE);
    correlation -= 2;
    f = hear_fetch(fd, 11);
    OK(f.high_watermark == 5 && f.records.bytes.n > b.n);
    correlation += 2;

    for (int i = 0; i < 20; i++) { // whose client goes while it is read, or waits
        int gone = dial();

        ask_fetch(gone, 11, "t",
                  (struct wish){.offset = i % 3, .max_wait_ms = 60000, .min_bytes = i % 2 ? 1 : 1 << 20});
        close(gone);
    }
    mem_free(big);
    batch_fini(&w);
    close(fd);
    close(other);
    end();
}

TEST(who_waits_does_not_hold_up_the_end)
{
    int fd, gone;

    begin();
    fd = dial();
    gone = dial();
    ensure(fd, "t");
    ask_fetch(fd, 11, "t", (struct wish){.max_wait_ms = 60000, .min_bytes = 1});
    ask_fetch(gone, 11, "t", (struct wish){.max_wait_ms = 60000, .min_bytes = 1});
    close(gone);
    end();
    close(fd);
}

TEST(batches_that_are_refused)
{
    struct batch_writer w = {0};
    struct log_settings s;
    struct k_produce_res_partition p;
    struct err e;
    char *bytes;
    struct str b;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    log_settings_default(wal, &s);
    s.compact = true;
    s.max_message_bytes = 1000;
    OK(log_create_topic(wal, STR("compacted"), 1, &s, &e));

    b = batch_of(&w, 1, 1, STR("k"));
    bytes = arena_copy(&mem, b.p, b.n);
    bytes[b.n - 1] ^= 1;
    OK(produce(fd, 7, "t", str_from(bytes, b.n)).error == K_CORRUPT_MESSAGE);
    OK(produce(fd, 7, "t", str_from(bytes, b.n - 1)).error == K_INVALID_RECORD);
    OK(produce(fd, 7, "t", STR("")).error == K_INVALID_RECORD);
    p = produce(fd, 9, "compacted", batch_of(&w, 1, 1, STR_NULL));
    OK(p.error == K_INVALID_RECORD && p.error_message.n > 0);
    OK(produce(fd, 9, "compacted", batch_of(&w, 1, 1, STR(""))).error == K_NONE); // empty is not null
    OK(produce(fd, 9, "compacted", batch_of(&w, 100, 1, STR("k"))).error == K_MESSAGE_TOO_LARGE);
    OK(produce(fd, 9, OFFSETS_TOPIC, batch_of(&w, 1, 1, STR("k"))).error == K_INVALID_TOPIC);
    batch_begin(&w, LIMIT_BATCH);
    w.attributes = BATCH_TRANSACTIONAL;
    w.producer_id = 1;
    w.producer_epoch = 0;
    w.base_sequence = 0;
    batch_add(&w, 1, STR("k"), STR("v"), NULL, 0);
    OK(produce(fd, 9, "t", batch_end(&w)).error == K_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    batch_fini(&w);
    close(fd);
    end();
}

TEST(a_full_disk_refuses_writes_and_goes_on_reading)
{
    struct batch_writer w = {0};
    struct k_produce_res_partition p;
    char *big = mem_zero(900000);
    struct str b;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    batch_begin(&w, LIMIT_BATCH);
    batch_add(&w, 1, STR("k"), str_from(big, 900000), NULL,
              0); // a small one may still fit where room is reserved
    b = batch_end(&w);
    OK(produce(fd, 9, "t", b).error == K_NONE);
    disk.countdown = 0;
    p = produce(fd, 9, "t", b);
    OK(p.error == K_KAFKA_STORAGE_ERROR && p.base_offset == -1 && p.error_message.n > 0);
    OK(fetch(fd, 11, "t", (struct wish){.min_bytes = 1}).high_watermark == 1);
    disk.persistent = false; // there is room again
    OK(produce(fd, 9, "t", b).base_offset == 1);
    OK(fetch(fd, 11, "t", (struct wish){.offset = 1, .min_bytes = 1}).records.bytes.n == b.n);
    mem_free(big);
    batch_fini(&w);
    close(fd);
    end();
}

static struct str sequenced(struct batch_writer *w, int64_t producer, int16_t epoch, int32_t sequence)
{
    batch_begin(w, LIMIT_BATCH);
    w->producer_id = producer;
    w->producer_epoch = epoch;
    w->base_sequence = sequence;
    batch_add(w, 1, STR("k"), STR("v"), NULL, 0);
    batch_add(w, 1, STR("k"), STR("v"), NULL, 0);
    return batch_end(w);
}

TEST(an_idempotent_producer)
{
    struct k_init_producer_id_req req = {
        .transaction_timeout_ms = -1, .producer_id = -1, .producer_epoch = -1};
    struct k_init_producer_id_res id, other;
    struct batch_writer w = {0};
    struct k_produce_res_partition p;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    for (int v = 0; v <= 5; v++) {
        call(fd, &INIT_PRODUCER_ID, v, &req, &id);
        OK(id.error == K_NONE && id.producer_id >= 0 && id.producer_epoch == 0);
    }
    call(fd, &INIT_PRODUCER_ID, 4, &req, &other);
    OK(other.producer_id != id.producer_id);
    OK(produce(fd, 7, "t", sequenced(&w, id.producer_id, 0, 0)).base_offset == 0);
    OK(produce(fd, 7, "t", sequenced(&w, id.producer_id, 0, 2)).base_offset == 2);
    p = produce(fd, 7, "t", sequenced(&w, id.producer_id, 0, 0)); // sent again: kept once
    OK(p.error == K_NONE && p.base_offset == 0);
    OK(produce(fd, 7, "t", sequenced(&w, id.producer_id, 0, 6)).error == K_OUT_OF_ORDER_SEQUENCE_NUMBER);
    OK(produce(fd, 7, "t", sequenced(&w, id.producer_id, 1, 0)).base_offset == 4);
    OK(produce(fd, 7, "t", sequenced(&w, id.producer_id, 0, 4)).error == K_INVALID_PRODUCER_EPOCH);
    batch_fini(&w);
    close(fd);
    end();
}

TEST(acks_0_has_no_answer)
{
    struct batch_writer w = {0};
    struct k_produce_req_partition p = {.records.bytes = batch_of(&w, 1, 1, STR("k"))};
    struct k_produce_req_topic t = {.name = STR("t"), .partitions = &p, .partitions_n = 1};
    struct k_produce_req req = {.acks = 0, .topics = &t, .topics_n = 1};
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    ask(fd, &PRODUCE, 7, &req);
    ask(fd, &PRODUCE, 7, &req);
    OK(fetch(fd, 11, "t", (struct wish){.min_bytes = 1}).high_watermark ==
       2); // the next answer is this one's
    t.name = STR("nothing");
    ask(fd, &PRODUCE, 7, &req);
    OK(hung_up(fd));
    batch_fini(&w);
    close(fd);
    end();
}

TEST(many_requests_at_once_are_answered_in_order)
{
    struct batch_writer w = {0};
    struct k_produce_req_partition p = {.records.bytes = batch_of(&w, 1, 1, STR("k"))};
    struct k_produce_req_topic t = {.name = STR("t"), .partitions = &p, .partitions_n = 1};
    struct k_produce_req req = {.acks = -1, .topics = &t, .topics_n = 1};
    struct k_produce_res res;
    int32_t first;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    first = correlation + 1;
    for (int i = 0; i < 100; i++)
        ask(fd, &PRODUCE, 7, &req);
    ask_fetch(fd, 11, "t", (struct wish){.min_bytes = 1});
    for (int i = 0; i < 100; i++) {
        OK(hear(fd, &PRODUCE, 7, first + i, &res));
        OK(res.topics[0].partitions[0].base_offset == i);
    }
    OK(hear_fetch(fd, 11).high_watermark == 100); // not begun before they were done
    batch_fini(&w);
    close(fd);
    end();
}

/* ---- ListOffsets ---- */

static struct k_list_offsets_res_partition where(int fd, int version, int64_t time_ms)
{
    struct k_list_offsets_req_partition p = {.leader_epoch = -1, .timestamp_ms = time_ms};
    struct k_list_offsets_req_topic t = {.name = STR("t"), .partitions = &p, .partitions_n = 1};
    struct k_list_offsets_req req = {.replica_id = -1, .topics = &t, .topics_n = 1};
    struct k_list_offsets_res res;

    call(fd, &LIST_OFFSETS, version, &req, &res);
    OK(res.topics_n == 1 && res.topics[0].partitions_n == 1);
    return res.topics[0].partitions[0];
}

TEST(offsets_by_time)
{
    struct batch_writer w = {0};
    struct k_list_offsets_res_partition p;
    struct err e;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    OK(where(fd, 7, -3).offset == -1);                                         // nothing there yet
    OK(produce(fd, 7, "t", batch_of(&w, 10, 1000, STR("k"))).error == K_NONE); // 1000 to 1009
    OK(produce(fd, 7, "t", batch_of(&w, 10, 5000, STR("k"))).error == K_NONE); // 5000 to 5009
    OK(produce(fd, 7, "t", batch_of(&w, 10, 2000, STR("k"))).error == K_NONE);
    for (int v = 1; v <= 10; v++) {
        OK(where(fd, v, -1).offset == 30 && where(fd, v, -2).offset == 0);
        p = where(fd, v, 1003);
        OK(p.error == K_NONE && p.offset == 3 && p.timestamp_ms == 1003);
        OK(where(fd, v, 0).offset == 0);
        OK(where(fd, v, 1010).offset == 10); // the first at or after, between batches
        p = where(fd, v, 5010);
        OK(p.error == K_NONE && p.offset == -1 && p.timestamp_ms == -1);
    }
    p = where(fd, 7, -3);
    OK(p.offset == 19 && p.timestamp_ms == 5009);
    OK(where(fd, 8, -4).offset == 0 && where(fd, 9, -5).offset == -1);
    OK(where(fd, 6, -3).error == K_UNSUPPORTED_VERSION && where(fd, 7, -4).error == K_UNSUPPORTED_VERSION);
    OK(where(fd, 8, -5).error == K_UNSUPPORTED_VERSION && where(fd, 10, -6).error == K_UNSUPPORTED_VERSION);
    OK(where(fd, 9, INT64_MIN).error == K_UNSUPPORTED_VERSION);
    OK(log_trim(wal, STR("t"), 0, 12, &e));
    OK(where(fd, 4, -2).offset == 12);
    OK(where(fd, 4, 1003).offset == 12); // what is gone is not found
    batch_fini(&w);
    close(fd);
    end();
}

/* ---- topics ---- */

TEST(topics_are_made_described_and_deleted)
{
    struct k_create_topics_req_config c = {STR("cleanup.policy"), STR("compact")},
                                      wrong = {STR("no.such"), STR("1")};
    struct k_create_topics_req_topic t[] = {
        {.name = STR("made"), .partitions = 3, .replication = 1, .configs = &c, .configs_n = 1},
        {.name = STR("three"), .partitions = 1, .replication = 3},
        {.name = STR("a b"), .partitions = 1, .replication = 1},
        {.name = STR("none"), .partitions = 0, .replication = 1},
        {.name = STR("odd"), .partitions = 1, .replication = 1, .configs = &wrong, .configs_n = 1},
        {.name = STR("any"), .partitions = -1, .replication = -1},
        {.name = STR("two"), .partitions = 1, .replication = 2}};
    struct k_create_topics_req req = {.topics = t, .topics_n = ARRAY_LEN(t)};
    struct k_create_topics_res res;
    int fd;

    begin();
    fd = dial();
    req.validate_only = true;
    call(fd, &CREATE_TOPICS, 7, &req, &res);
    OK(res.topics[0].error == K_NONE && res.topics[0].partitions == 3);
    req.validate_only = false;
    call(fd, &CREATE_TOPICS, 7, &req, &res);
    OK(res.topics_n == ARRAY_LEN(t));
    OK(res.topics[0].error == K_NONE && res.topics[0].configs_n > 5 && res.topics[0].replication == 1);
    OK(res.topics[1].error == K_INVALID_REPLICATION_FACTOR && res.topics[1].error_message.n > 0);
    OK(res.topics[2].error == K_INVALID_TOPIC && res.topics[3].error == K_INVALID_PARTITIONS);
    OK(res.topics[4].error == K_INVALID_CONFIG);
    OK(res.topics[5].error == K_NONE && res.topics[5].partitions == 2);
    OK(res.topics[6].error == K_NONE && res.topics[6].replication == 1); // asked for more, and allowed to
    call(fd, &CREATE_TOPICS, 2, &req, &res);
    OK(res.topics[0].error == K_TOPIC_ALREADY_EXISTS);
    t[1] = t[0];
    call(fd, &CREATE_TOPICS, 5, &req, &res);
    OK(res.topics[0].error == K_INVALID_REQUEST && res.topics[1].error == K_INVALID_REQUEST);
    close(fd);
    end();
}

TEST(settings_are_told)
{
    struct k_describe_configs_req_resource r = {.type = 2, .name = STR("t"), .keys_n = -1};
    struct k_describe_configs_req req = {.resources = &r, .resources_n = 1, .synonyms = true};
    struct str one = STR("retention.ms");
    struct k_describe_configs_res res;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    for (int v = 1; v <= 4; v++) {
        call(fd, &DESCRIBE_CONFIGS, v, &req, &res);
        OK(res.resources_n == 1 && res.resources[0].error == K_NONE && res.resources[0].configs_n > 8);
        OK(res.resources[0].configs[0].source == 5 && res.resources[0].configs[0].synonyms_n == 1);
    }
    r.keys = &one;
    r.keys_n = 1;
    call(fd, &DESCRIBE_CONFIGS, 4, &req, &res);
    OK(res.resources[0].configs_n == 1 && str_is(res.resources[0].configs[0].value, "604800000"));
    r = (struct k_describe_configs_req_resource){.type = 4, .name = STR("1"), .keys_n = -1};
    call(fd, &DESCRIBE_CONFIGS, 1, &req, &res);
    OK(res.resources[0].error == K_NONE && res.resources[0].configs_n > 5);
    r.name = STR("7");
    call(fd, &DESCRIBE_CONFIGS, 1, &req, &res);
    OK(res.resources[0].error == K_INVALID_REQUEST);
    close(fd);
    end();
}

/* ---- groups ---- */

static void join_alone(int fd, int version, struct k_join_group_res *res)
{
    struct k_join_group_req_protocol p = {STR("range"), STR("meta")};
    struct k_join_group_req req = {.group = STR("g"),
                                   .session_timeout_ms = 10000,
                                   .rebalance_timeout_ms = 10000,
                                   .protocol_type = STR("consumer"),
                                   .protocols = &p,
                                   .protocols_n = 1};

    call(fd, &JOIN_GROUP, version, &req, res);
    if (res->error == K_MEMBER_ID_REQUIRED) {
        req.member_id = res->member_id;
        call(fd, &JOIN_GROUP, version, &req, res);
    }
    OK(res->error == K_NONE && res->members_n == 1 && str_eq(res->leader, res->member_id));
}

static void sync_alone(int fd, int version, const struct k_join_group_res *m)
{
    struct k_sync_group_req_assignment a = {m->member_id, STR("all")};
    struct k_sync_group_req req = {.group = STR("g"),
                                   .generation = m->generation,
                                   .member_id = m->member_id,
                                   .assignments = &a,
                                   .assignments_n = 1};
    struct k_sync_group_res res;

    call(fd, &SYNC_GROUP, version, &req, &res);
    OK(res.error == K_NONE && str_is(res.assignment, "all"));
}

static int16_t commit(int fd, int version, const struct k_join_group_res *m, int64_t offset,
                      const char *topic)
{
    struct k_offset_commit_req_partition p = {.offset = offset, .leader_epoch = -1, .metadata = STR("mine")};
    struct k_offset_commit_req_topic t = {.name = str_of(topic), .partitions = &p, .partitions_n = 1};
    struct k_offset_commit_req req = {.group = STR("g"),
                                      .generation = m ? m->generation : -1,
                                      .member_id = m ? m->member_id : STR(""),
                                      .retention_ms = -1,
                                      .topics = &t,
                                      .topics_n = 1};
    struct k_offset_commit_res res;

    call(fd, &OFFSET_COMMIT, version, &req, &res);
    OK(res.topics_n == 1 && res.topics[0].partitions_n == 1);
    return res.topics[0].partitions[0].error;
}

static struct k_offset_fetch_res_partition committed(int fd, int version, bool all)
{
    int32_t partitions[] = {0};
    struct k_offset_fetch_req_topic t = {STR("t"), partitions, 1};
    struct k_offset_fetch_req_group g = {
        .group = STR("g"), .member_epoch = -1, .topics = &t, .topics_n = all ? -1 : 1};
    struct k_offset_fetch_req req = {
        .group = STR("g"), .topics = &t, .topics_n = all ? -1 : 1, .groups = &g, .groups_n = 1};
    struct k_offset_fetch_res res;
    struct k_offset_fetch_res_topic *to;

    call(fd, &OFFSET_FETCH, version, &req, &res);
    OK(version >= 8 ? res.groups_n == 1 && res.groups[0].topics_n == 1 : res.topics_n == 1);
    to = version >= 8 ? res.groups[0].topics : res.topics;
    OK(str_is(to[0].name, "t") && to[0].partitions_n == 1);
    return to[0].partitions[0];
}

TEST(a_group_in_every_version)
{
    struct k_join_group_res m;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    for (int v = 0; v <= 9; v++) {
        struct k_heartbeat_req beat = {.group = STR("g")};
        struct k_heartbeat_res beaten;
        struct k_leave_group_req_member one = {0};
        struct k_leave_group_req leave = {.group = STR("g"), .members = &one, .members_n = 1};
        struct k_leave_group_res left;

        join_alone(fd, v, &m);
        sync_alone(fd, v < 5 ? v : 5, &m);
        beat.generation = m.generation;
        beat.member_id = leave.member_id = one.id = m.member_id;
        call(fd, &HEARTBEAT, v < 4 ? v : 4, &beat, &beaten);
        OK(beaten.error == K_NONE);
        OK(commit(fd, v < 2 ? 2 : v, &m, 10 + v, "t") == K_NONE);
        OK(commit(fd, 8, &m, 10 + v, "nothing") == K_UNKNOWN_TOPIC_OR_PARTITION);
        OK(commit(fd, 8, NULL, 10 + v, "t") == K_UNKNOWN_MEMBER_ID);
        OK(committed(fd, v < 1 ? 1 : v, false).offset == 10 + v);
        call(fd, &LEAVE_GROUP, v < 5 ? v : 5, &leave, &left);
        OK(left.error == K_NONE && (v < 3 || left.members[0].error == K_NONE));
        call(fd, &LEAVE_GROUP, v < 5 ? v : 5, &leave, &left);
        OK((v < 3 ? left.error : left.members[0].error) == K_UNKNOWN_MEMBER_ID);
    }
    OK(commit(fd, 9, NULL, 77, "t") == K_NONE); // nobody is in it: anyone may
    OK(committed(fd, 9, true).offset == 77 && str_is(committed(fd, 9, true).metadata, "mine"));
    close(fd);
    end();
}

static struct k_describe_groups_res_group described(int fd, int version, const char *group)
{
    struct str name = str_of(group);
    struct k_describe_groups_req req = {.groups = &name, .groups_n = 1};
    struct k_describe_groups_res res;

    call(fd, &DESCRIBE_GROUPS, version, &req, &res);
    OK(res.groups_n == 1);
    return res.groups[0];
}

TEST(groups_are_described_and_listed)
{
    struct k_find_coordinator_req find = {.key = STR("g"), .key_type = 1};
    struct k_find_coordinator_res found;
    struct k_describe_groups_res_group d;
    struct str empty = STR("Empty");
    struct k_list_groups_req list = {0};
    struct k_list_groups_res listed;
    struct k_join_group_res m;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    for (int v = 0; v <= 6; v++) {
        struct k_find_coordinator_req group = {.key = STR("g"), .keys = &group.key, .keys_n = 1};

        call(fd, &FIND_COORDINATOR, v, &group, &found);
        OK(v >= 4 ? found.coordinators[0].port == port : found.port == port && found.error == K_NONE);
    }
    call(fd, &FIND_COORDINATOR, 2, &find, &found);
    OK(found.error == K_NONE && found.port == port); // of transactions
    find.key_type = 2;
    call(fd, &FIND_COORDINATOR, 2, &find, &found);
    OK(found.error == K_INVALID_REQUEST);
    join_alone(fd, 5, &m);
    sync_alone(fd, 3, &m);
    for (int v = 0; v <= 6; v++) {
        d = described(fd, v, "g");
        OK(str_is(d.state, "Stable") && str_is(d.protocol, "range") && d.members_n == 1);
        OK(str_is(d.members[0].client_id, "test") && str_is(d.members[0].client_host, "/127.0.0.1"));
        OK(str_is(d.members[0].assignment, "all") && str_is(d.members[0].metadata, "meta"));
    }
    OK(str_is(described(fd, 5, "who").state, "Dead"));
    OK(described(fd, 6, "who").error == K_GROUP_ID_NOT_FOUND);
    for (int v = 0; v <= 5; v++) {
        call(fd, &LIST_GROUPS, v, &list, &listed);
        OK(listed.groups_n == 1 && str_is(listed.groups[0].group, "g"));
    }
    list.states = &empty;
    list.states_n = 1;
    call(fd, &LIST_GROUPS, 4, &list, &listed);
    OK(listed.groups_n == 0);
    close(fd);
    end();
}

static int16_t delete_group(int fd, int version, const char *group)
{
    struct str names[] = {STR("never"), str_of(group)};
    struct k_delete_groups_req req = {names, 2};
    struct k_delete_groups_res res;

    call(fd, &DELETE_GROUPS, version, &req, &res);
    OK(res.groups_n == 2 && res.groups[0].error == K_GROUP_ID_NOT_FOUND &&
       str_is(res.groups[1].group, group));
    return res.groups[1].error;
}

TEST(groups_are_deleted)
{
    struct k_leave_group_req leave = {.group = STR("g")};
    struct k_leave_group_res left;
    struct k_join_group_res m;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    for (int v = 0; v <= 2; v++) {
        join_alone(fd, 5, &m);
        sync_alone(fd, 3, &m);
        OK(commit(fd, 7, &m, 5, "t") == K_NONE);
        OK(delete_group(fd, v, "g") == K_NON_EMPTY_GROUP);
        leave.member_id = m.member_id;
        call(fd, &LEAVE_GROUP, 1, &leave, &left);
        OK(left.error == K_NONE && str_is(described(fd, 5, "g").state, "Empty"));
        OK(delete_group(fd, v, "g") == K_NONE && committed(fd, 7, false).offset == -1);
        OK(delete_group(fd, v, "g") == K_GROUP_ID_NOT_FOUND);
        OK(described(fd, 6, "g").error == K_GROUP_ID_NOT_FOUND);
    }
    OK(delete_group(fd, 2, "") == K_INVALID_GROUP_ID);
    close(fd);
    end();
}

/* The errors of the whole and of partition 0 of topic t, in group g. */
static int16_t delete_offset(int fd, int32_t partition, int16_t *whole)
{
    struct k_offset_delete_req_topic t = {STR("t"), &partition, 1};
    struct k_offset_delete_req req = {STR("g"), &t, 1};
    struct k_offset_delete_res res;

    call(fd, &OFFSET_DELETE, 0, &req, &res);
    *whole = res.error;
    return res.topics_n == 1 ? res.topics[0].partitions[0].error : K_NONE;
}

TEST(single_positions_are_deleted)
{
    struct k_join_group_res m;
    int16_t whole;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    OK(delete_offset(fd, 0, &whole) == K_NONE && whole == K_GROUP_ID_NOT_FOUND);
    OK(commit(fd, 7, NULL, 5, "t") == K_NONE);
    OK(delete_offset(fd, 9, &whole) == K_UNKNOWN_TOPIC_OR_PARTITION && whole == K_NONE);
    OK(delete_offset(fd, 0, &whole) == K_NONE && whole == K_NONE && committed(fd, 7, false).offset == -1);
    join_alone(fd, 5, &m);
    sync_alone(fd, 3, &m);
    OK(commit(fd, 7, &m, 6, "t") == K_NONE); // its subscription cannot be read, so it may be of this topic
    OK(delete_offset(fd, 0, &whole) == K_GROUP_SUBSCRIBED_TO_TOPIC && committed(fd, 7, false).offset == 6);
    close(fd);
    end();
}

TEST(a_group_survives_a_restart)
{
    struct k_heartbeat_req beat = {.group = STR("g")};
    struct k_heartbeat_res beaten;
    struct k_join_group_res m;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    join_alone(fd, 5, &m);
    sync_alone(fd, 3, &m);
    OK(commit(fd, 7, &m, 5, "t") == K_NONE);
    close(fd);
    stop();
    start();
    fd = dial();
    OK(str_is(described(fd, 5, "g").state, "Stable"));
    beat.generation = m.generation;
    beat.member_id = m.member_id;
    call(fd, &HEARTBEAT, 3, &beat, &beaten);
    OK(beaten.error == K_NONE);
    OK(committed(fd, 5, false).offset == 5);
    OK(commit(fd, 7, &m, 6, "t") == K_NONE);
    close(fd);
    end();
}

TEST(positions_that_nobody_wants_are_forgotten)
{
    int64_t late_ns;
    int fd;

    keep_positions_ms = 200;
    begin();
    fd = dial();
    ensure(fd, "t");
    OK(commit(fd, 7, NULL, 5, "t") == K_NONE && committed(fd, 7, false).offset == 5);
    late_ns = os_real()->now_ns(os_real()) + 20000000000;
    while (committed(fd, 7, false).offset == 5 && os_real()->now_ns(os_real()) < late_ns)
        ;
    OK(committed(fd, 7, false).offset == -1);
    OK(str_is(described(fd, 5, "g").state, "Dead"));
    close(fd);
    keep_positions_ms = 0;
    stop();
    start();
    fd = dial();
    OK(committed(fd, 7, false).offset == -1);
    close(fd);
    end();
}

TEST(a_topic_made_again_has_another_id)
{
    struct str name = STR("t");
    struct k_delete_topics_req req = {.names = &name, .names_n = 1};
    struct k_delete_topics_res res;
    struct log_uuid first;
    int fd;

    begin();
    fd = dial();
    first = ensure(fd, "t").id;
    close(fd);
    stop();
    start();
    fd = dial();
    OK(memcmp(ensure(fd, "t").id.b, first.b, sizeof first.b) == 0);
    call(fd, &DELETE_TOPICS, 3, &req, &res);
    OK(memcmp(ensure(fd, "t").id.b, first.b, sizeof first.b) != 0);
    OK(fetch(fd, 13, "", (struct wish){.id = first}).error == K_UNKNOWN_TOPIC_ID);
    close(fd);
    end();
}

TEST(a_deleted_topics_positions_are_forgotten)
{
    struct str name = STR("t");
    struct k_delete_topics_req req = {.names = &name, .names_n = 1};
    struct k_delete_topics_req_topic by_id = {.id = {{1}}};
    struct k_delete_topics_res res;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    OK(commit(fd, 7, NULL, 5, "t") == K_NONE);
    call(fd, &DELETE_TOPICS, 3, &req, &res);
    OK(res.topics_n == 1 && res.topics[0].error == K_NONE);
    call(fd, &DELETE_TOPICS, 5, &req, &res);
    OK(res.topics[0].error == K_UNKNOWN_TOPIC_OR_PARTITION && res.topics[0].error_message.n > 0);
    req.topics = &by_id;
    req.topics_n = 1;
    call(fd, &DELETE_TOPICS, 6, &req, &res);
    OK(res.topics[0].error == K_UNKNOWN_TOPIC_ID);
    ensure(fd, "t");
    OK(committed(fd, 5, false).offset == -1);
    name = STR(OFFSETS_TOPIC);
    call(fd, &DELETE_TOPICS, 3, &req, &res);
    OK(res.topics[0].error == K_INVALID_REQUEST);
    close(fd);
    end();
}

TEST(the_cluster)
{
    struct k_describe_cluster_req req = {.endpoint_type = 1};
    struct k_describe_cluster_res res;
    struct k_epoch_end_req_partition p = {.current_epoch = -1, .leader_epoch = 0};
    struct k_epoch_end_req_topic t = {STR("t"), &p, 1};
    struct k_epoch_end_req epoch = {.replica_id = -1, .topics = &t, .topics_n = 1};
    struct k_epoch_end_res epochs;
    int fd;

    begin();
    fd = dial();
    for (int v = 0; v <= 2; v++) {
        call(fd, &DESCRIBE_CLUSTER, v, &req, &res);
        OK(res.error == K_NONE && res.brokers_n == 1 && res.brokers[0].port == port &&
           res.cluster_id.n == 22);
    }
    ensure(fd, "t");
    for (int v = 2; v <= 4; v++) {
        call(fd, &OFFSET_FOR_LEADER_EPOCH, v, &epoch, &epochs);
        OK(epochs.topics[0].partitions[0].error == K_NONE && epochs.topics[0].partitions[0].end_offset == 0);
    }
    close(fd);
    end();
}

TEST(nobody_can_connect_to_a_wildcard)
{
    struct kafka *none;
    struct err e;

    begin();
    OK(!kafka_start(
        &(struct kafka_options){
            .os = os_real(), .net = net, .log = wal, .offsets = offsets, .plain = {.host = "0.0.0.0"}},
        &none, &port, &e));
    OK(none == NULL);
    OK(e.kind == ERR_INVALID && strstr(e.msg, "0.0.0.0"));
    OK(strcmp(kafka_advertised(kafka) + strlen("127.0.0.1:"), "") != 0);
    end();
}

TEST_MAIN
