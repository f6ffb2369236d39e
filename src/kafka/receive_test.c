/*
 * Where long produce requests are received: which beginnings get the log's memory, and that the batch lies in it as it will on the disk.
 * Then whole ones over sockets, which are told to be kept and come back as they were sent.
 */
#include "kafka/testbroker.h"

#include <stdlib.h>

enum {
    BLOCK = 4096,
    SIZE = 4,
    BATCH_MAX = 1 << 20,
    PARTITIONS = 4,
    OLDEST = 3,
    NEWEST = 12,
    FIRST_FLEXIBLE = 9
};

/* A batch of one record with so many bytes that nobody can pack; another number, other bytes. Yours to mem_free(). */
static struct str make_batch(size_t bytes, uint32_t number)
{
    struct batch_writer w = {0};
    char *value = mem_alloc(bytes);
    struct str b;

    for (size_t i = 0; i < bytes; i++) {
        number = number * 1664525 + 1013904223;
        value[i] = (char)(number >> 24);
    }
    batch_begin(&w, BATCH_MAX);
    batch_add(&w, 1600000000000, STR("key"), str_from(value, bytes), NULL, 0);
    b = batch_end(&w);
    b = str_from(mem_copy(b.p, b.n), b.n);
    batch_fini(&w);
    mem_free(value);
    return b;
}

static void free_batch(struct str b)
{
    union { // it is the test's own
        const char *given;
        char *own;
    } bytes = {.given = b.p};

    mem_free(bytes.own);
}

/* What a request is made of; the header's tags are for versions that have them. */
struct shape {
    int version;
    struct str client, transactional_id, topic;
    int tags, topics, partitions;
    int32_t partition;
    struct str batch;
};

static struct shape usual(int version, struct str batch)
{
    return (struct shape){.version = version,
                          .client = STR("client"),
                          .transactional_id = STR_NULL,
                          .topic = STR("t"),
                          .topics = 1,
                          .partitions = 1,
                          .batch = batch};
}

/* The frame, its size in front, as the tables write it; yours to buf_fini(). */
static struct buf frame_of(const struct shape *s)
{
    struct k_produce_req_partition p[2] = {{.partition = s->partition, .records.bytes = s->batch},
                                           {.partition = s->partition + 1, .records.bytes = s->batch}};
    struct k_produce_req_topic t[2] = {
        {.name = s->topic, .partitions = p, .partitions_n = s->partitions},
        {.name = STR("other"), .partitions = p, .partitions_n = s->partitions}};
    struct k_produce_req req = {.transactional_id = s->transactional_id,
                                .acks = -1,
                                .timeout_ms = 30000,
                                .topics = t,
                                .topics_n = s->topics};
    struct wire_out o = {.buf = buf_make(64 << 20)};

    buf_i32(&o.buf, 0);
    buf_i16(&o.buf, PRODUCE.key);
    buf_i16(&o.buf, (int16_t)s->version);
    buf_i32(&o.buf, 7);
    buf_i16(&o.buf, (int16_t)(s->client.p ? (int)s->client.n : -1));
    buf_str(&o.buf, s->client);
    if (s->version >= FIRST_FLEXIBLE)
        buf_uvarint(&o.buf, (uint32_t)s->tags);
    for (int i = 0; s->version >= FIRST_FLEXIBLE && i < s->tags; i++) {
        buf_uvarint(&o.buf, (uint32_t)(1000 + i));
        buf_uvarint(&o.buf, 200);
        for (int k = 0; k < 200; k++)
            buf_u8(&o.buf, 0x80);
    }
    wire_write(&o, PRODUCE.req, s->version, s->version >= FIRST_FLEXIBLE, &req);
    buf_set_i32(&o.buf, 0, (int32_t)o.buf.n - SIZE);
    OK(buf_ok(&o.buf) && o.splice_count == 0);
    return o.buf;
}

/* Where the batch is in the frame, which was not found out by reading it. */
static size_t place(struct buf *frame, struct str batch)
{
    const char *at = memmem(frame->p, frame->n, batch.p, batch.n);

    OK(at != NULL);
    return (size_t)(at - (const char *)frame->p);
}

/* Asks with the first `seen` bytes, in memory of just that size, of a message of n. */
static struct conn_memory ask_log(const struct buf *frame, size_t seen, size_t n)
{
    char *begun = mem_copy(frame->p, seen);
    struct conn_memory m = kafka_receive(kafka, str_from(begun, seen), n);

    mem_free(begun);
    OK(!m.p == !m.release && !m.p == !m.arg && !m.p == !kafka_received(&m));
    return m;
}

static bool gives(const struct buf *frame, size_t seen, size_t n)
{
    struct conn_memory m = ask_log(frame, seen, n);

    if (m.p)
        m.release(m.arg);
    return m.p;
}

static void make_topic(void)
{
    struct log_settings s;
    struct err e;

    log_settings_default(wal, &s);
    OK(log_ensure_topic(wal, STR("t"), PARTITIONS, &s, &e));
    OK(log_ensure_topic(wal, STR("other"), PARTITIONS, &s, &e));
}

/*
 * One request of that shape: with as little as tells the batch's place it gets memory, and the batch begins there in a block where the
 * partition's end does: `end`, which goes on behind what is announced.
 */
static void check_shape(const struct shape *s, int64_t *end)
{
    struct buf frame = frame_of(s);
    size_t at = place(&frame, s->batch);
    struct conn_memory m = ask_log(&frame, at, frame.n);

    OK(m.p && kafka_received(&m) == m.arg);
    OK(((uintptr_t)m.p + at) % BLOCK == (uint64_t)*end % BLOCK);
    memcpy(m.p, frame.p, frame.n); // all of it is ours
    m.release(m.arg);
    *end += (int64_t)s->batch.n;
    m = ask_log(&frame, frame.n - 1, frame.n);
    OK(m.p && ((uintptr_t)m.p + at) % BLOCK == (uint64_t)*end % BLOCK);
    m.release(m.arg);
    *end += (int64_t)s->batch.n;
    buf_fini(&frame);
}

TEST(the_batch_lies_as_it_will_on_the_disk)
{
    const struct str ids[] = {STR("transactions-1"), STR("")};
    struct str batch = make_batch(600000, 1);
    int64_t at[PARTITIONS] = {0};

    begin();
    make_topic();
    OK(kafka_api(PRODUCE.key)->first == OLDEST && kafka_api(PRODUCE.key)->last == NEWEST &&
       kafka_api(PRODUCE.key)->flexible == FIRST_FLEXIBLE);
    for (int v = OLDEST; v <= NEWEST; v++) {
        struct shape s = usual(v, batch);

        s.partition = v % PARTITIONS;
        check_shape(&s, &at[s.partition]);
        s.client = STR_NULL;
        check_shape(&s, &at[s.partition]);
        s.client = STR("");
        check_shape(&s, &at[s.partition]);
        for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
            s.transactional_id = ids[i];
            check_shape(&s, &at[s.partition]);
        }
        for (s.tags = 1; v >= FIRST_FLEXIBLE && s.tags < 130; s.tags += 128)
            check_shape(&s, &at[s.partition]);
    }
    free_batch(batch);
    end();
}

/* What was appended counts, and each has its own memory. */
TEST(the_place_is_behind_what_was_appended_and_announced)
{
    struct str batch = make_batch(600000, 1), small = make_batch(1234, 2);
    struct conn_memory m[3];
    struct buf frame;
    struct shape s;
    size_t at;
    int fd;

    begin();
    make_topic();
    fd = dial();
    OK(produce(fd, 9, "t", small).error == K_NONE && produce(fd, 9, "t", small).error == K_NONE);
    s = usual(NEWEST, batch);
    frame = frame_of(&s);
    at = place(&frame, batch);
    for (size_t i = 0; i < ARRAY_LEN(m); i++) {
        m[i] = ask_log(&frame, at, frame.n);
        OK(m[i].p && ((uintptr_t)m[i].p + at) % BLOCK == (2 * small.n + i * batch.n) % BLOCK);
        memset(m[i].p, (int)i, frame.n);
    }
    for (size_t i = 0; i < ARRAY_LEN(m); i++) {
        const char *p = m[i].p;

        OK(p[0] == (char)i && memcmp(p, p + 1, frame.n - 1) == 0);
        m[i].release(m[i].arg);
    }
    buf_fini(&frame);
    free_batch(batch);
    free_batch(small);
    close(fd);
    end();
}

TEST(a_beginning_that_does_not_tell_yet_gets_none)
{
    struct str batch = make_batch(600000, 1);

    begin();
    make_topic();
    for (int v = OLDEST; v <= NEWEST; v++) {
        struct shape s = usual(v, batch);
        struct buf frame;
        size_t at;

        s.tags = 3;
        s.transactional_id = STR("id");
        frame = frame_of(&s);
        at = place(&frame, batch);
        for (size_t seen = 0; seen < at; seen++)
            OK(!gives(&frame, seen, frame.n));
        OK(gives(&frame, at, frame.n));
        for (size_t n = 0; n <= at; n++) // nor one that is shorter than it says
            OK(!gives(&frame, at, n));
        OK(!gives(&frame, at, at + batch.n - 1) && gives(&frame, at, at + batch.n));
        OK(!gives(&frame, at, SIZE_MAX) && !gives(&frame, at, (size_t)LIMIT_KAFKA_FRAME + SIZE + 1));
        buf_fini(&frame);
    }
    free_batch(batch);
    end();
}

static bool shape_gets(struct shape s)
{
    struct buf frame = frame_of(&s);
    bool given = gives(&frame, frame.n - 1, frame.n);

    buf_fini(&frame);
    return given;
}

/* Changes one thing in what is usual, and puts it back. */
#define WITHOUT(field, ...)               \
    do {                                  \
        struct shape s = usual(v, batch); \
        OK(shape_gets(s));                \
        s.field = __VA_ARGS__;            \
        OK(!shape_gets(s));               \
    } while (0)

TEST(what_the_log_has_no_use_for_gets_none)
{
    struct str batch = make_batch(600000, 1), small = make_batch(500000, 2);

    begin();
    make_topic();
    for (int v = OLDEST; v <= NEWEST; v++) {
        WITHOUT(topics, 0);
        WITHOUT(topics, 2);
        WITHOUT(partitions, 0);
        WITHOUT(partitions, 2);
        WITHOUT(topic, STR("unknown"));
        WITHOUT(topic, STR(""));
        WITHOUT(partition, PARTITIONS);
        WITHOUT(partition, -1);
        WITHOUT(partition, INT32_MIN);
        WITHOUT(partition, INT32_MAX - 1);
        WITHOUT(batch, STR_NULL);
        WITHOUT(batch, STR(""));
        WITHOUT(batch, small);
    }
    free_batch(batch);
    free_batch(small);
    end();
}

TEST(other_requests_get_none)
{
    struct str batch = make_batch(600000, 1);

    begin();
    make_topic();
    for (int v = OLDEST; v <= NEWEST; v++) {
        struct shape s = usual(v, batch);
        struct buf frame = frame_of(&s);

        for (int key = -2; key < 300; key++) {
            be_put16(frame.p + SIZE, (uint16_t)key);
            OK(gives(&frame, frame.n - 1, frame.n) == (key == PRODUCE.key));
        }
        be_put16(frame.p + SIZE, (uint16_t)PRODUCE.key);
        for (int other = -2; other < 300; other++) { // one that is spoken may read as something else
            be_put16(frame.p + SIZE + 2, (uint16_t)other);
            OK((other >= OLDEST && other <= NEWEST) || !gives(&frame, frame.n - 1, frame.n));
        }
        be_put16(frame.p + SIZE + 2, 0x7fff);
        OK(!gives(&frame, frame.n - 1, frame.n));
        buf_fini(&frame);
    }
    free_batch(batch);
    end();
}

/* A byte of the beginning is another one: nothing is read or given that is not there. */
TEST(damaged_beginnings_do_no_harm)
{
    static const uint8_t bytes[] = {0, 1, 2, 0x7f, 0x80, 0xff};
    struct str batch = make_batch(600000, 1);

    begin();
    make_topic();
    for (int v = OLDEST; v <= NEWEST; v++) {
        struct shape s = usual(v, batch);
        struct buf frame;
        size_t at;

        s.tags = 1;
        frame = frame_of(&s);
        at = place(&frame, batch);
        for (size_t i = SIZE; i < at; i++)
            for (size_t k = 0; k < ARRAY_LEN(bytes); k++) {
                uint8_t was = frame.p[i];

                frame.p[i] = bytes[k];
                (void)gives(&frame, at, frame.n);
                (void)gives(&frame, at + 300, frame.n);
                frame.p[i] = was;
            }
        for (size_t i = SIZE + 8; i + 10 < at; i++) { // lengths that do not end
            uint8_t was[10];

            memcpy(was, frame.p + i, sizeof was);
            memset(frame.p + i, 0xff, sizeof was);
            (void)gives(&frame, at, frame.n);
            memcpy(frame.p + i, was, sizeof was);
        }
        OK(gives(&frame, at, frame.n));
        buf_fini(&frame);
    }
    free_batch(batch);
    end();
}

TEST(other_memory_has_no_buffer)
{
    struct conn_memory m = {0};
    char *p = mem_alloc(10);

    OK(kafka_received(&m) == NULL);
    m = (struct conn_memory){p, mem_free, p};
    OK(kafka_received(&m) == NULL);
    m.release(m.arg);
}

/* ---- over sockets ---- */

/* The batch at that offset is these bytes, but for what the log writes into a header. */
static bool is_kept(int fd, int64_t offset, int32_t partition, struct str batch)
{
    struct k_fetch_req_partition p = {
        .partition = partition, .leader_epoch = -1, .offset = offset, .max_bytes = 1};
    struct k_fetch_req_topic t = {.name = STR("t"), .partitions = &p, .partitions_n = 1};
    struct k_fetch_req req = {.replica_id = -1,
                              .max_wait_ms = 1000,
                              .min_bytes = 1,
                              .max_bytes = 1,
                              .session_epoch = -1,
                              .topics = &t,
                              .topics_n = 1};
    struct k_fetch_res_partition got;
    struct batch_header h;

    ask(fd, &FETCH, 12, &req);
    got = hear_fetch(fd, 12);
    return got.error == K_NONE && got.records.bytes.n == batch.n && batch_header(got.records.bytes, &h) &&
           h.base_offset == offset && batch_crc_ok(got.records.bytes) &&
           memcmp(got.records.bytes.p + BATCH_CRC_FROM, batch.p + BATCH_CRC_FROM, batch.n - BATCH_CRC_FROM) ==
               0;
}

enum { COUNT = 12 };

static struct sent {
    struct str batch;
    int32_t partition;
    int64_t offset;
} sent[COUNT];

/* Batches of which most are long, all of other lengths, to two partitions. */
static void make_sent(void)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        size_t n = i % 5 == 4 ? 3000 : BATCH_MAX - 20000 - (size_t)i * 4099;

        sent[i] = (struct sent){make_batch(n, i), (int32_t)(i / 2 % 2), 0};
    }
}

static void free_sent(void)
{
    for (size_t i = 0; i < COUNT; i++)
        free_batch(sent[i].batch);
}

static void say_sent(int fd, const struct sent *s, int version, size_t bytes)
{
    struct shape shape = usual(version, s->batch);
    struct buf frame;

    shape.partition = s->partition;
    frame = frame_of(&shape);
    send_all(fd, frame.p, bytes < frame.n ? bytes : frame.n);
    buf_fini(&frame);
}

static void hear_sent(int fd, struct sent *s, int version)
{
    struct k_produce_res res;

    OK(hear(fd, &PRODUCE, version, 7, &res));
    OK(res.topics_n == 1 && res.topics[0].partitions_n == 1 && res.topics[0].partitions[0].error == K_NONE);
    s->offset = res.topics[0].partitions[0].base_offset;
}

static void check_sent(int fd)
{
    for (size_t i = 0; i < COUNT; i++) {
        OK(is_kept(fd, sent[i].offset, sent[i].partition, sent[i].batch));
        arena_reset(&mem);
    }
}

TEST(long_batches_come_back_as_they_were_sent)
{
    int64_t behind[PARTITIONS] = {0};
    int fd;

    begin();
    make_topic();
    make_sent();
    fd = dial();
    for (int i = 0; i < COUNT; i++) { // each awaited
        int version = OLDEST + i % (NEWEST - OLDEST + 1);

        say_sent(fd, &sent[i], version, SIZE_MAX);
        hear_sent(fd, &sent[i], version);
        OK(sent[i].offset == behind[sent[i].partition]++);
    }
    check_sent(fd);
    for (int i = 0; i < COUNT; i++) // one behind the other
        say_sent(fd, &sent[i], 9, SIZE_MAX);
    for (int i = 0; i < COUNT; i++) {
        hear_sent(fd, &sent[i], 9);
        OK(sent[i].offset == behind[sent[i].partition]++);
    }
    check_sent(fd);
    fd = redial(fd);
    check_sent(fd);
    free_sent();
    close(fd);
    end();
}

/* Old clients send some (see request.c); the memory is for the whole frame. */
TEST(bytes_behind_the_request_do_no_harm)
{
    int64_t behind = 0;
    int fd;

    begin();
    make_topic();
    make_sent();
    fd = dial();
    for (int version = OLDEST; version <= NEWEST; version++)
        for (int more = 1; more < 10000; more += 5001) {
            struct shape s = usual(version, sent[version % 4].batch);
            struct sent one = {.batch = s.batch};
            struct buf frame = frame_of(&s);

            for (int i = 0; i < more; i++)
                buf_u8(&frame, 0xff);
            buf_set_i32(&frame, 0, (int32_t)frame.n - SIZE);
            send_all(fd, frame.p, frame.n);
            hear_sent(fd, &one, version);
            OK(one.offset == behind++ && is_kept(fd, one.offset, 0, one.batch));
            arena_reset(&mem);
            buf_fini(&frame);
        }
    free_sent();
    close(fd);
    end();
}

/* Several write to the same partitions, so that the log's guesses are wrong; and some announce what never comes. */
TEST(wrong_guesses_change_nothing)
{
    enum { PRODUCERS = 3 };
    int fd[PRODUCERS], stalled[4];

    begin();
    make_topic();
    make_sent();
    for (size_t i = 0; i < PRODUCERS; i++)
        fd[i] = dial();
    for (size_t i = 0; i < ARRAY_LEN(stalled); i++) {
        stalled[i] = dial();
        say_sent(stalled[i], &sent[i], 9, 1000 + i * 200000);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i += PRODUCERS) {
            for (int k = 0; k < PRODUCERS; k++) // all begin before the first is whole
                say_sent(fd[k], &sent[i + k], 9, 300000);
            for (int k = PRODUCERS; k-- > 0;) {
                struct shape shape = usual(9, sent[i + k].batch);
                struct buf frame;

                shape.partition = sent[i + k].partition;
                frame = frame_of(&shape);
                if (frame.n > 300000)
                    send_all(fd[k], frame.p + 300000, frame.n - 300000);
                buf_fini(&frame);
                hear_sent(fd[k], &sent[i + k], 9);
            }
        }
        check_sent(fd[0]);
        close(stalled[round]);
    }
    fd[0] = redial(fd[0]); // while one is stalled yet
    check_sent(fd[0]);
    free_sent();
    for (size_t i = 0; i < PRODUCERS; i++)
        close(fd[i]);
    close(stalled[3]);
    end();
}

/* Clients that announce long batches and send no more of them use up what the log gives; the others are received as ever. */
TEST(what_stalled_clients_hold_is_bounded)
{
    enum { MOST = 1000 };
    static struct conn_memory held[MOST];
    struct str batch = make_batch(900000, 1);
    struct shape s = usual(9, batch);
    struct buf frame = frame_of(&s);
    size_t n = 0, most_bytes = 128 << 20; // twice the log's memory, see log_options
    int fd;

    begin();
    make_topic();
    fd = dial();
    while (n < MOST && (held[n] = ask_log(&frame, frame.n - 1, frame.n)).p)
        n++;
    OK(n > 4 && n * frame.n < most_bytes);
    for (int i = 0; i < 100; i++)
        OK(produce(fd, 9, "t", batch).base_offset == i);
    for (int i = 0; i < 100; i += 9)
        OK(is_kept(fd, i, 0, batch));
    OK(!gives(&frame, frame.n - 1, frame.n));
    for (size_t i = 0; i < n; i++)
        held[i].release(held[i].arg);
    OK(gives(&frame, frame.n - 1, frame.n));
    OK(produce(fd, 9, "t", batch).base_offset == 100 && is_kept(fd, 100, 0, batch));
    buf_fini(&frame);
    free_batch(batch);
    close(fd);
    end();
}

/* A long batch that is refused, or whose time the log sets, was received into the log's memory too. */
TEST(long_batches_that_are_changed_or_refused)
{
    struct str batch = make_batch(900000, 1), wrong = make_batch(900000, 2);
    struct k_produce_res_partition told;
    struct k_fetch_res_partition got;
    struct log_settings s;
    struct err e;
    int fd;

    begin();
    make_topic();
    log_settings_default(wal, &s);
    s.append_time = true;
    OK(log_ensure_topic(wal, STR("timed"), 1, &s, &e));
    fd = dial();
    for (int i = 0; i < 3; i++) {
        union {
            const char *given;
            char *own;
        } bytes = {.given = wrong.p};

        bytes.own[5000 + i]++;
        OK(produce(fd, 9, "t", wrong).error == K_CORRUPT_MESSAGE);
        OK(produce(fd, 9, "t", batch).base_offset == i);
        OK(is_kept(fd, i, 0, batch));
        told = produce(fd, 9, "timed", batch);
        OK(told.error == K_NONE && told.base_offset == i && told.append_time_ms > 1600000000000);
        got = fetch(fd, 11, "timed", (struct wish){.offset = i, .max_wait_ms = 1000, .min_bytes = 1});
        OK(got.records.bytes.n == batch.n && batch_crc_ok(got.records.bytes));
        OK(memcmp(got.records.bytes.p + BATCH_HEADER, batch.p + BATCH_HEADER, batch.n - BATCH_HEADER) == 0);
    }
    free_batch(batch);
    free_batch(wrong);
    close(fd);
    end();
}

TEST_MAIN
