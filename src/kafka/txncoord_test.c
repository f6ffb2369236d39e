/* The coordinator of transactions as a state machine: who may do what in which state, and its records. */
#include "kafka/txn.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "kafka/kafka_int.h"

static struct txns all;
static struct txn_clock now;
static struct txn_step step;

static void begin(void)
{
    txns_init(&all, 60000);
    now = (struct txn_clock){.now_ms = 1000, .wall_ms = 1700000000000};
}

static void end(void)
{
    txns_fini(&all);
}

static void wait_ms(int64_t ms)
{
    now.now_ms += ms;
    now.wall_ms += ms;
}

static struct txn_who who(const char *id, int64_t producer, int16_t epoch)
{
    return (struct txn_who){str_of(id), producer, epoch};
}

/* Ends the step that was made, if there is one. */
static void store(bool ok)
{
    if (!step.txn)
        return;
    txns_begin(&step);
    txns_done(&all, &step, &now, ok);
}

static int16_t make(const char *id, int64_t producer, int16_t epoch, int64_t fresh)
{
    struct txn_wish w = {.who = who(id, producer, epoch), .timeout_ms = 5000, .fresh_id = fresh};
    bool needs;
    int16_t error = txns_new_producer(&all, &w, &now, &step, &needs);

    if (error == K_NONE && needs)
        return -2;
    if (error == K_NONE)
        store(true);
    return error;
}

static int16_t add(const char *id, int64_t producer, int16_t epoch, int32_t partition)
{
    struct txn_who w = who(id, producer, epoch);
    struct txn_part p = {STR("t"), partition};
    int16_t error = txns_add(&all, &w, &p, 1, &now, &step);

    if (error == K_NONE)
        store(true);
    return error;
}

static int16_t finish(const char *id, int64_t producer, int16_t epoch, bool commit)
{
    struct txn_who w = who(id, producer, epoch);
    int16_t error = txns_end(&all, &w, commit, &now, &step);

    if (error == K_NONE)
        store(true);
    return error;
}

static int16_t may_write(int64_t producer, int16_t epoch, int32_t partition)
{
    struct txn_who w = who("a", producer, epoch);

    return txns_may_write(&all, &w, STR("t"), partition);
}

static bool is(int64_t producer, int16_t epoch, enum txn_state state)
{
    const struct txn *x = txns_find(&all, STR("a"));

    return x && x->now.producer_id == producer && x->now.epoch == epoch && x->now.state == state;
}

TEST(each_instance_has_a_higher_epoch)
{
    begin();
    OK(make("a", -1, -1, -1) == -2 && all.by_id.n == 0);
    OK(make("a", -1, -1, 7) == K_NONE && is(7, 0, TXN_EMPTY));
    OK(make("a", -1, -1, -1) == K_NONE && is(7, 1, TXN_EMPTY));
    OK(add("a", 7, 0, 0) == K_PRODUCER_FENCED);
    OK(add("a", 8, 1, 0) == K_INVALID_PRODUCER_ID_MAPPING);
    OK(add("b", 7, 1, 0) == K_INVALID_PRODUCER_ID_MAPPING && add("", 7, 1, 0) == K_INVALID_REQUEST);
    OK(make("", -1, -1, 9) == K_INVALID_REQUEST);
    end();
}

TEST(a_timeout_has_a_limit)
{
    struct txn_wish w = {.who = who("a", -1, -1), .fresh_id = 1, .timeout_ms = 60001};
    bool needs;

    begin();
    OK(txns_new_producer(&all, &w, &now, &step, &needs) == K_INVALID_TRANSACTION_TIMEOUT);
    w.timeout_ms = 0;
    OK(txns_new_producer(&all, &w, &now, &step, &needs) == K_INVALID_TRANSACTION_TIMEOUT);
    w.timeout_ms = 60000;
    OK(txns_new_producer(&all, &w, &now, &step, &needs) == K_NONE);
    store(false);
    OK(all.by_id.n == 0); // it never was
    end();
}

TEST(a_producer_may_raise_its_own_epoch)
{
    begin();
    OK(make("a", -1, -1, 7) == K_NONE);
    OK(make("a", 7, 0, -1) == K_NONE && is(7, 1, TXN_EMPTY));
    OK(make("a", 7, 0, -1) == K_NONE && is(7, 1, TXN_EMPTY)); // the answer was lost
    OK(make("a", 7, 1, -1) == K_NONE && is(7, 2, TXN_EMPTY));
    OK(make("a", 7, 0, -1) == K_PRODUCER_FENCED && make("a", 6, 2, -1) == K_PRODUCER_FENCED);
    OK(make("a", -1, -1, -1) == K_NONE && is(7, 3, TXN_EMPTY));
    OK(make("a", 7, 2, -1) == K_PRODUCER_FENCED); // another instance came between
    end();
}

TEST(only_what_was_added_may_be_written)
{
    begin();
    OK(make("a", -1, -1, 7) == K_NONE);
    OK(may_write(7, 0, 0) == K_INVALID_TXN_STATE);
    OK(add("a", 7, 0, 3) == K_NONE && is(7, 0, TXN_ONGOING) && add("a", 7, 0, 1) == K_NONE);
    OK(may_write(7, 0, 3) == K_NONE && may_write(7, 0, 1) == K_NONE);
    OK(may_write(7, 0, 2) == K_INVALID_TXN_STATE && may_write(7, 1, 3) == K_INVALID_PRODUCER_EPOCH);
    OK(may_write(6, 0, 3) == K_INVALID_PRODUCER_ID_MAPPING);
    OK(add("a", 7, 0, 3) == K_NONE && step.txn == NULL); // it is there
    OK(finish("a", 7, 0, true) == K_NONE && is(7, 0, TXN_COMPLETE_COMMIT));
    OK(step.ends && step.commit && may_write(7, 0, 3) == K_INVALID_TXN_STATE);
    OK(add("a", 7, 0, 2) == K_NONE && may_write(7, 0, 3) == K_INVALID_TXN_STATE); // the next one is another
    OK(finish("a", 7, 0, false) == K_NONE && is(7, 0, TXN_COMPLETE_ABORT) && !step.commit);
    end();
}

TEST(an_end_may_be_asked_for_again)
{
    begin();
    OK(make("a", -1, -1, 7) == K_NONE && finish("a", 7, 0, true) == K_INVALID_TXN_STATE);
    OK(add("a", 7, 0, 0) == K_NONE && finish("a", 7, 0, true) == K_NONE);
    OK(finish("a", 7, 0, true) == K_NONE && step.txn == NULL);
    OK(finish("a", 7, 0, false) == K_INVALID_TXN_STATE);
    OK(add("a", 7, 0, 0) == K_NONE && finish("a", 7, 0, false) == K_NONE);
    OK(finish("a", 7, 0, false) == K_NONE && finish("a", 7, 0, true) == K_INVALID_TXN_STATE);
    end();
}

/* While one change is on its way to the disk nothing else may change; writing may go on unless it is the end. */
TEST(one_step_at_a_time)
{
    struct txn_who w = who("a", 7, 0);
    struct txn_part p = {STR("t"), 1};
    struct txn_step other;

    begin();
    OK(make("a", -1, -1, 7) == K_NONE && add("a", 7, 0, 0) == K_NONE);
    OK(txns_add(&all, &w, &p, 1, &now, &step) == K_NONE);
    txns_begin(&step);
    OK(txns_end(&all, &w, true, &now, &other) == K_CONCURRENT_TRANSACTIONS);
    OK(txns_add(&all, &w, &p, 1, &now, &other) == K_CONCURRENT_TRANSACTIONS);
    OK(make("a", -1, -1, -1) == K_CONCURRENT_TRANSACTIONS);
    OK(may_write(7, 0, 0) == K_NONE && may_write(7, 0, 1) == K_INVALID_TXN_STATE);
    txns_done(&all, &step, &now, false);
    OK(may_write(7, 0, 1) == K_INVALID_TXN_STATE);
    OK(txns_end(&all, &w, true, &now, &step) == K_NONE);
    txns_begin(&step);
    OK(may_write(7, 0, 0) == K_INVALID_TXN_STATE);
    txns_done(&all, &step, &now, false); // the disk is full
    OK(is(7, 0, TXN_ONGOING) && may_write(7, 0, 0) == K_NONE);
    OK(finish("a", 7, 0, true) == K_NONE);
    end();
}

TEST(a_new_instance_aborts_what_was_open)
{
    begin();
    OK(make("a", -1, -1, 7) == K_NONE && add("a", 7, 0, 0) == K_NONE);
    OK(make("a", 7, 5, -1) == K_PRODUCER_FENCED && is(7, 0, TXN_ONGOING)); // a zombie aborts nothing
    OK(make("a", -1, -1, -1) == K_NONE && is(7, 1, TXN_EMPTY));
    OK(step.ends && !step.commit && step.mark_epoch == 1);
    OK(may_write(7, 0, 0) == K_INVALID_PRODUCER_EPOCH && finish("a", 7, 0, true) == K_PRODUCER_FENCED);
    end();
}

TEST(one_that_takes_too_long_is_aborted_and_fenced)
{
    begin();
    OK(all.next_ms == INT64_MAX && !txns_overdue(&all, &now, &step));
    OK(make("a", -1, -1, 7) == K_NONE && add("a", 7, 0, 0) == K_NONE);
    OK(all.next_ms == now.now_ms + 5000);
    wait_ms(4999);
    OK(!txns_overdue(&all, &now, &step) && add("a", 7, 0, 1) == K_NONE);
    wait_ms(1);
    OK(txns_overdue(&all, &now, &step));
    store(false);
    OK(all.next_ms == now.now_ms + 1000 && !txns_overdue(&all, &now, &step)); // not again and again
    wait_ms(1000);
    OK(txns_overdue(&all, &now, &step) && step.ends && !step.commit && step.mark_epoch == 1);
    store(true);
    OK(is(7, 1, TXN_COMPLETE_ABORT) && add("a", 7, 0, 0) == K_PRODUCER_FENCED);
    OK(!txns_overdue(&all, &now, &step) && all.next_ms == INT64_MAX);
    OK(make("a", 7, 0, -1) == K_PRODUCER_FENCED && make("a", -1, -1, -1) == K_NONE && is(7, 2, TXN_EMPTY));
    end();
}

TEST(a_deadline_that_was_passed_over_is_not_forgotten)
{
    struct txn_who w = who("a", 7, 0);
    struct txn_part p = {STR("t"), 1};
    struct txn_step more;

    begin();
    OK(make("a", -1, -1, 7) == K_NONE && add("a", 7, 0, 0) == K_NONE);
    OK(txns_add(&all, &w, &p, 1, &now, &more) == K_NONE);
    txns_begin(&more);
    wait_ms(6000);
    OK(!txns_overdue(&all, &now, &step) && all.next_ms == INT64_MAX);
    txns_done(&all, &more, &now, true);
    OK(all.next_ms <= now.now_ms && txns_overdue(&all, &now, &step));
    store(true);
    end();
}

TEST(when_the_epochs_are_used_up_there_is_a_new_producer_id)
{
    struct txn_record r = {.producer_id = 7, .epoch = INT16_MAX - 1, .timeout_ms = 5000, .start_ms = -1};

    begin();
    txns_load(&all, STR("a"), &r, &now);
    OK(make("a", -1, -1, -1) == -2 && is(7, INT16_MAX - 1, TXN_EMPTY));
    OK(make("a", -1, -1, 8) == K_NONE && is(8, 0, TXN_EMPTY));
    r.epoch = INT16_MAX - 2;
    r.state = TXN_ONGOING;
    r.parts = &(struct txn_part){STR("t"), 0};
    r.part_n = 1;
    txns_load(&all, STR("a"), &r, &now);
    OK(make("a", -1, -1, -1) == -2);
    OK(make("a", -1, -1, 9) == K_NONE && is(9, 0, TXN_EMPTY) && step.ends &&
       step.mark_epoch == INT16_MAX - 1);
    end();
}

/* What a real broker was in the midst of when its topic was mirrored. */
TEST(an_end_that_another_broker_began_is_ended)
{
    struct txn_part parts[] = {{STR("t"), 3}, {STR("s"), 1}};
    struct txn_record r = {.producer_id = 7,
                           .epoch = 4,
                           .timeout_ms = 5000,
                           .state = TXN_PREPARE_COMMIT,
                           .parts = parts,
                           .part_n = 2,
                           .start_ms = 1};

    begin();
    txns_load(&all, STR("a"), &r, &now);
    OK(finish("a", 7, 4, true) == K_CONCURRENT_TRANSACTIONS &&
       make("a", -1, -1, -1) == K_CONCURRENT_TRANSACTIONS);
    OK(txns_overdue(&all, &now, &step) && step.ends && step.commit && step.mark_epoch == 4);
    store(true);
    OK(is(7, 4, TXN_COMPLETE_COMMIT) && !txns_overdue(&all, &now, &step));
    txns_load(&all, STR("a"), NULL, &now);
    OK(all.by_id.n == 0);
    end();
}

static bool same(const struct txn_record *a, const struct txn_record *b)
{
    bool ok = a->producer_id == b->producer_id && a->epoch == b->epoch && a->timeout_ms == b->timeout_ms &&
              a->state == b->state && a->part_n == b->part_n && a->update_ms == b->update_ms &&
              a->start_ms == b->start_ms;

    for (size_t i = 0; ok && i < a->part_n; i++)
        ok = str_eq(a->parts[i].topic, b->parts[i].topic) && a->parts[i].partition == b->parts[i].partition;
    return ok;
}

TEST(a_record_comes_back)
{
    struct txn_part parts[] = {{STR("s"), 1}, {STR("t"), 0}, {STR("t"), 3}};
    struct txn_record r = {.producer_id = 1234567890123,
                           .epoch = 9,
                           .timeout_ms = 60000,
                           .state = TXN_ONGOING,
                           .parts = parts,
                           .part_n = 3,
                           .update_ms = 5,
                           .start_ms = 4},
                      got;
    struct buf b = buf_make(KIB);
    struct arena a = {0};
    struct str id;
    struct err e;

    txn_key_write(&b, STR("my-id"));
    OK(txn_key_read(buf_view(&b), &id, &e) && str_is(id, "my-id"));
    OK(!txn_key_read(str_from(b.p, b.n - 1), &id, &e));
    buf_reset(&b);
    txn_value_write(&b, &r);
    OK(txn_value_read(buf_view(&b), &a, &got, &e) && same(&r, &got));
    for (size_t n = 0; n < b.n; n++)
        OK(!txn_value_read(str_from(b.p, n), &a, &got, &e));
    b.p[16] = TXN_STATES;
    OK(!txn_value_read(buf_view(&b), &a, &got, &e));
    buf_reset(&b);
    r.start_ms = INT64_MIN;
    txn_value_write(&b, &r);
    OK(!txn_value_read(buf_view(&b), &a, &got, &e));
    buf_reset(&b);
    r.start_ms = 4;
    r.part_n = 0;
    r.state = TXN_EMPTY;
    txn_value_write(&b, &r);
    OK(txn_value_read(buf_view(&b), &a, &got, &e) && same(&r, &got));
    arena_fini(&a);
    buf_fini(&b);
}

/* Version 1, by hand from Kafka's schema: compact, with a tagged field (clientTransactionVersion). */
TEST(a_flexible_record_is_read)
{
    static const uint8_t bytes[] = {0, 1,                         // version
                                    0, 0, 0,    0,    0, 0, 0, 7, // producer id
                                    0, 2,                         // epoch
                                    0, 0, 0xea, 0x60,             // timeout
                                    1,                            // ongoing
                                    2, 2, 't',  3,    0, 0, 0, 1, // one topic, two partitions: 1
                                    0, 0, 0,    4,    0,          // and 4; no tags
                                    0, 0, 0,    0,    0, 0, 0, 9, // update
                                    0, 0, 0,    0,    0, 0, 0, 8, // start
                                    1, 2, 2,    0,    2};         // one tagged field of two bytes
    struct txn_record got;
    struct arena a = {0};
    struct err e;

    OK(txn_value_read(str_from(bytes, sizeof bytes), &a, &got, &e));
    OK(got.producer_id == 7 && got.epoch == 2 && got.timeout_ms == 60000 && got.state == TXN_ONGOING);
    OK(got.part_n == 2 && str_is(got.parts[0].topic, "t") && got.parts[0].partition == 1);
    OK(got.parts[1].partition == 4 && got.update_ms == 9 && got.start_ms == 8);
    arena_fini(&a);
}

TEST_MAIN
