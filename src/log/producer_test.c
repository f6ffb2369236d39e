/* Idempotent producers: KIP-98's rules, and that they live through crashes, checkpoints and retention. */
#include "log/testlog.h"

static struct str batch_of(struct testlog *t, int64_t producer, int16_t epoch, int32_t sequence, int count)
{
    batch_begin(&t->w, MIB);
    for (int i = 0; i < count; i++)
        batch_add(&t->w, 1700000000000, STR_NULL, STR("value"), NULL, 0);
    t->w.producer_id = producer;
    t->w.producer_epoch = epoch;
    t->w.base_sequence = sequence;
    return batch_end(&t->w);
}

/* The base offset; -1: out of order, -2: fenced, -3: something else. */
static int64_t send(struct testlog *t, int64_t producer, int16_t epoch, int32_t sequence, int count,
                    bool *duplicate)
{
    struct log_part_write p = {.topic = STR("a"), .batches = batch_of(t, producer, epoch, sequence, count)};

    if (log_append(t->l, &p, 1, &t->e)) {
        *duplicate = p.duplicate;
        return p.base_offset;
    }
    return p.refused == ERR_INVALID ? -1 : p.refused == ERR_DENIED ? -2 : -3;
}

TEST(repeats_are_known_and_gaps_refused)
{
    struct testlog t = {0};
    bool dup;

    OK(testlog_start(&t) && testlog_topic(&t, "a", 1));
    OK(send(&t, 7, 0, 0, 3, &dup) == 0 && !dup);
    OK(send(&t, 7, 0, 0, 3, &dup) == 0 && dup);
    OK(send(&t, 7, 0, 4, 1, &dup) == -1);
    OK(send(&t, 7, 0, 0, 2, &dup) == -1); // the same start, another length
    OK(send(&t, 7, 0, 3, 1, &dup) == 3 && !dup);
    OK(send(&t, 8, 0, 0, 1, &dup) == 4 && !dup); // another producer
    for (int i = 0; i < 4; i++)
        OK(send(&t, 7, 0, 4 + i, 1, &dup) == 5 + i && !dup);
    OK(send(&t, 7, 0, 3, 1, &dup) == 3 && dup); // the fifth last
    OK(send(&t, 7, 0, 0, 3, &dup) == -1);       // the sixth last is forgotten
    OK(testlog_end(&t));
}

TEST(a_new_epoch_begins_at_zero_and_fences_the_old)
{
    struct testlog t = {0};
    bool dup;

    OK(testlog_start(&t) && testlog_topic(&t, "a", 1));
    OK(send(&t, 7, 3, 0, 3, &dup) == 0);
    OK(send(&t, 7, 4, 3, 1, &dup) == -1);
    OK(send(&t, 7, 4, 0, 1, &dup) == 3 && !dup);
    OK(send(&t, 7, 3, 3, 1, &dup) == -2);
    OK(send(&t, 9, 0, 77, 1, &dup) == 4 && !dup); // not known: any sequence (KIP-360)
    OK(testlog_end(&t));
}

TEST(sequences_go_round_after_the_largest)
{
    struct testlog t = {0};
    bool dup;

    OK(testlog_start(&t) && testlog_topic(&t, "a", 1));
    OK(send(&t, 7, 0, INT32_MAX - 1, 1, &dup) == 0);
    OK(send(&t, 7, 0, INT32_MAX, 3, &dup) == 1 && !dup); // MAX, 0, 1
    OK(send(&t, 7, 0, INT32_MAX, 3, &dup) == 1 && dup);
    OK(send(&t, 7, 0, 2, 1, &dup) == 4 && !dup);
    OK(testlog_end(&t));
}

TEST(what_a_producer_sent_lives_through_a_crash)
{
    struct testlog t = {0};
    bool dup;

    OK(testlog_start(&t) && testlog_topic(&t, "a", 1));
    OK(send(&t, 7, 1, 0, 2, &dup) == 0);
    for (int round = 0; round < 6; round++) {
        int32_t next = 2 + 2 * round;

        if (round % 3 == 0)
            testlog_crash(&t);
        else if (round % 3 == 1)
            log_close(t.l);
        else
            OK(log_maintain(t.l, &t.e));
        if (round % 3 == 2)
            testlog_crash(&t);
        OK(testlog_open(&t));
        OK(send(&t, 7, 1, next - 2, 2, &dup) == next - 2 && dup);
        OK(send(&t, 7, 0, next, 2, &dup) == -2);
        OK(send(&t, 7, 1, next + 1, 2, &dup) == -1);
        OK(send(&t, 7, 1, next, 2, &dup) == next && !dup);
    }
    OK(log_trim(t.l, STR("a"), 0, 14,
                &t.e)); // KAFKA-5435: trimmed records do not take the producer's state with them
    OK(send(&t, 7, 1, 12, 2, &dup) == 12 && dup);
    OK(send(&t, 7, 1, 14, 1, &dup) == 14 && !dup);
    OK(testlog_end(&t));
}

/* A part that is refused leaves no trace in the state of those before it. */
TEST(a_refused_append_forgets_its_sequences)
{
    struct testlog t = {0};
    struct log_part_write p[2] = {{.topic = STR("a")}, {.topic = STR("none")}};
    bool dup;

    OK(testlog_start(&t) && testlog_topic(&t, "a", 1));
    OK(send(&t, 7, 0, 0, 2, &dup) == 0);
    p[0].batches = p[1].batches = batch_of(&t, 7, 0, 2, 3);
    OK(!log_append(t.l, p, 2, &t.e) && t.e.kind == ERR_NOT_FOUND);
    OK(send(&t, 7, 0, 5, 1, &dup) == -1);
    OK(send(&t, 7, 0, 2, 3, &dup) == 2 && !dup);
    p[0].batches = p[1].batches = batch_of(&t, 8, 0, 0, 1);
    OK(!log_append(t.l, p, 2, &t.e));
    OK(send(&t, 8, 0, 0, 1, &dup) == 5 && !dup);
    OK(testlog_end(&t));
}

TEST_MAIN
