#include "kafka/txns.h"

#include "base/limits.h"
#include "base/mem.h"
#include "group/offsets.h"
#include "log/batch.h"
#include "obs/obs.h"
#include "os/os.h"

enum {
    PARTITIONS = 4,          // of the topic when it is made (Kafka: transaction.state.log.num.partitions, 50)
    SEGMENT_BYTES = 1 << 20, // compaction takes closed ones only, and a start reads what it has not taken
    SWEEP_MS = 3600000,      // Kafka: transaction.remove.expired.transaction.cleanup.interval.ms
    REPLAY_BYTES = 1 << 20,  //
    SWEEP_MOST = 1000,       // ids that are forgotten with one append
    COORDINATOR_EPOCH = 0    // there has been one coordinator
};

struct kafka_txns {
    struct txns table;
    int32_t partitions; // of the topic; 0: it is not there yet
    struct timer *timer, *sweep;
    int64_t due_ms; // what the timer is set to
    bool closed;
};

struct txns *kafka_txns(struct kafka *k)
{
    return &k->txns->table;
}

struct txn_clock kafka_txn_clock(struct kafka *k)
{
    return (struct txn_clock){.now_ms = k->os->now_ns(k->os) / 1000000,
                              .wall_ms = k->os->wall_us(k->os) / 1000};
}

/* ---- storing a step ---- */

struct storing {
    struct kafka *k;
    struct txn_step step;
    struct kafka_req *q;
    kafka_txn_then *then;
    struct batch_writer record, mark;
    struct log_part_write *parts;
    size_t count;
    bool ok;
    enum err_kind why;
};

static void arm(struct kafka *k);
static void write_step(struct storing *s);

static void storing_reset(struct storing *s)
{
    batch_fini(&s->record);
    batch_fini(&s->mark);
    s->record = s->mark = (struct batch_writer){0};
    mem_free(s->parts);
    s->parts = NULL;
    s->count = 0;
}

/* On the home loop. */
static void on_stored(void *arg)
{
    struct storing *s = arg;
    struct kafka *k = s->k;
    struct txn_clock c = kafka_txn_clock(k);

    storing_reset(s);
    if (!s->ok && s->why == ERR_NOT_FOUND) { // a topic was deleted meanwhile: without it
        write_step(s);
        return;
    }
    txns_done(&k->txns->table, &s->step, &c, s->ok);
    if (s->then)
        s->then(s->q, s->ok ? K_NONE : K_COORDINATOR_NOT_AVAILABLE);
    arm(k);
    mem_free(s);
    kafka_busy(k, -1);
}

/* On the committer's thread, in the order of the log. */
static void on_appended(void *arg, bool ok, const struct err *e)
{
    struct storing *s = arg;

    s->ok = ok;
    s->why = ok ? ERR_NONE : e->kind;
    for (size_t i = 0; ok && s->step.ends && i < s->count; i++)
        if (str_is(s->parts[i].topic, OFFSETS_TOPIC))
            offsets_end_txn(s->k->offsets, s->parts[i].partition, s->step.txn->now.producer_id,
                            s->step.commit);
    loop_post(s->k->home, on_stored, s);
}

static void add_part(struct storing *s, struct str topic, int32_t partition, struct str batches)
{
    s->parts[s->count++] =
        (struct log_part_write){.topic = topic, .partition = partition, .batches = batches};
}

/* r NULL: a tombstone. */
static void add_record(struct batch_writer *w, struct str id, const struct txn_record *r, int64_t wall_ms)
{
    struct buf key = buf_make(64 * KIB), value = buf_make(LIMIT_BATCH / 2);

    txn_key_write(&key, id);
    if (r)
        txn_value_write(&value, r);
    if (buf_ok(&value))
        batch_add(w, wall_ms, buf_view(&key), r ? buf_view(&value) : STR_NULL, NULL, 0);
    else
        w->buf.max = 0; // batch_end() says that it is too large
    buf_fini(&key);
    buf_fini(&value);
}

static void write_step(struct storing *s)
{
    const struct txn *x = s->step.txn;
    int64_t wall_ms = kafka_txn_clock(s->k).wall_ms;
    struct str mark, record;

    s->parts = MEM_ARRAY(struct log_part_write, 1 + x->now.part_n);
    batch_begin(&s->record, LIMIT_BATCH);
    add_record(&s->record, x->id, &s->step.next, wall_ms);
    record = batch_end(&s->record);
    add_part(s, STR(TXN_TOPIC), group_partition(x->id, s->k->txns->partitions), record);
    mark = batch_mark_write(&s->mark, x->now.producer_id, s->step.mark_epoch,
                            &(struct batch_mark){s->step.commit, COORDINATOR_EPOCH}, wall_ms);
    for (size_t i = 0; s->step.ends && i < x->now.part_n; i++) {
        const struct txn_part *p = &x->now.parts[i];
        struct log_range unused;

        if (log_range(s->k->log, p->topic, p->partition, &unused)) // the topic may have been deleted
            add_part(s, p->topic, p->partition, mark);
    }
    log_append_async(s->k->log, s->parts, s->count, on_appended, s);
}

void kafka_txn_store(struct kafka *k, const struct txn_step *step, struct kafka_req *q, kafka_txn_then *then)
{
    struct storing *s = MEM_NEW(struct storing);

    *s = (struct storing){.k = k, .step = *step, .q = q, .then = then};
    txns_begin(&s->step);
    kafka_busy(k, 1);
    write_step(s);
}

/* ---- time ---- */

static void on_timer(void *arg)
{
    struct kafka *k = arg;
    struct txn_step step;
    struct txn_clock c = kafka_txn_clock(k);

    k->txns->due_ms = INT64_MAX;
    while (txns_overdue(&k->txns->table, &c, &step)) {
        if (step.txn->now.state == TXN_ONGOING)
            obs_warn(
                "kafka", "a transaction took too long and is aborted id=%.*s producer=%lld timeout_ms=%d",
                STR_ARG(step.txn->id), (long long)step.txn->now.producer_id, (int)step.txn->now.timeout_ms);
        kafka_txn_store(k, &step, NULL, NULL);
    }
    arm(k);
}

/* After everything that may have changed when a transaction is overdue. */
static void arm(struct kafka *k)
{
    struct kafka_txns *t = k->txns;
    int64_t now = kafka_txn_clock(k).now_ms;

    if (t->closed || t->table.next_ms >= t->due_ms)
        return;
    if (!t->timer)
        t->timer = timer_new(k->home, on_timer, k);
    t->due_ms = t->table.next_ms;
    timer_start(t->timer, t->due_ms > now ? t->due_ms - now : 0);
}

/* ---- ids that nobody uses any more ---- */

struct forgetting {
    struct kafka *k;
    struct batch_writer w;
    struct log_part_write part;
};

static void on_forgotten(void *arg, bool ok, const struct err *e)
{
    struct forgetting *f = arg;

    (void)e; // they are there again after a restart, and are found again
    (void)ok;
    batch_fini(&f->w);
    kafka_busy(f->k, -1);
    mem_free(f);
}

static bool is_old(const struct kafka *k, const struct txn *x, int64_t wall_ms)
{
    return !x->busy && x->now.update_ms < wall_ms - k->transactional_id_ms &&
           (x->now.state == TXN_EMPTY || x->now.state == TXN_COMPLETE_ABORT ||
            x->now.state == TXN_COMPLETE_COMMIT);
}

/* The tombstones of one partition; the ids are forgotten at once: who comes back meanwhile writes behind the tombstone. */
static void forget(struct kafka *k, int32_t partition)
{
    struct kafka_txns *t = k->txns;
    struct forgetting *f = MEM_NEW(struct forgetting);
    int64_t wall_ms = kafka_txn_clock(k).wall_ms;

    *f = (struct forgetting){.k = k, .part = {.topic = STR(TXN_TOPIC), .partition = partition}};
    batch_begin(&f->w, LIMIT_BATCH);
    for (struct map_it it = {0}; f->w.count < SWEEP_MOST && map_next(&t->table.by_id, &it);) {
        struct txn *x = it.value;

        if (!is_old(k, x, wall_ms) || group_partition(x->id, t->partitions) != partition)
            continue;
        add_record(&f->w, x->id, NULL, wall_ms);
        txns_drop(&t->table, x);
    }
    f->part.batches = batch_end(&f->w);
    kafka_busy(k, 1);
    if (f->part.batches.n > 0)
        log_append_async(k->log, &f->part, 1, on_forgotten, f);
    else
        on_forgotten(f, true, NULL);
}

static int64_t sweep_ms(const struct kafka *k)
{
    return k->transactional_id_ms < SWEEP_MS ? k->transactional_id_ms : SWEEP_MS;
}

static void on_sweep(void *arg)
{
    struct kafka *k = arg;

    for (int32_t i = 0; i < k->txns->partitions; i++)
        forget(k, i);
    timer_start(k->txns->sweep, sweep_ms(k));
}

/* ---- start ---- */

static bool load_batches(struct kafka *k, struct str batches, struct err *e)
{
    struct txn_clock c = kafka_txn_clock(k);
    struct arena a = {0};
    struct batch_reader r;
    struct record rec;
    bool ok = true;

    batch_open(&r, &a, batches);
    while (ok && batch_next(&r, &rec)) {
        struct txn_record t;
        struct str id;

        ok = txn_key_read(rec.key, &id, e);
        if (!ok || !id.p)
            continue;
        ok = !rec.value.p || txn_value_read(rec.value, &a, &t, e);
        if (ok)
            txns_load(&k->txns->table, id, rec.value.p ? &t : NULL, &c);
    }
    ok = ok && batch_ok(&r, e);
    arena_fini(&a);
    return ok;
}

static bool load(struct kafka *k, int32_t partition, struct err *e)
{
    struct buf b = buf_make(LIMIT_BATCH + REPLAY_BYTES);
    struct log_range range;
    bool ok = log_range(k->log, STR(TXN_TOPIC), partition, &range);

    if (!ok)
        err_set(e, ERR_NOT_FOUND, "it has no such partition");
    for (int64_t at = ok ? range.start : 0, was = -1; ok && at > was; buf_reset(&b)) {
        was = at;
        ok = log_fetch_committed(k->log, STR(TXN_TOPIC), partition, &at, REPLAY_BYTES, &b, e) &&
             load_batches(k, buf_view(&b), e);
    }
    buf_fini(&b);
    return ok || err_wrap(e, "replay of " TXN_TOPIC " partition %d", partition);
}

static void open_home(void *arg)
{
    struct kafka *k = arg;

    k->txns->sweep = timer_new(k->home, on_sweep, k);
    timer_start(k->txns->sweep, sweep_ms(k));
    arm(k);
    kafka_busy(k, -1);
}

bool kafka_txns_start(struct kafka *k, struct err *e)
{
    struct arena a = {0};
    struct log_topic t;
    bool ok = true;

    k->txns = MEM_NEW(struct kafka_txns);
    k->txns->due_ms = INT64_MAX;
    txns_init(&k->txns->table, k->transaction_max_ms);
    if (log_find_topic(k->log, STR(TXN_TOPIC), &a, &t))
        k->txns->partitions = t.partitions;
    for (int32_t i = 0; ok && i < k->txns->partitions; i++)
        ok = load(k, i, e);
    arena_fini(&a);
    kafka_busy(k, 1);
    loop_post(k->home, open_home, k);
    return ok;
}

static void close_home(void *arg)
{
    struct kafka *k = arg;

    timer_free(k->txns->timer);
    timer_free(k->txns->sweep);
    k->txns->closed = true;
    kafka_busy(k, -1);
}

void kafka_txns_stop(struct kafka *k)
{
    kafka_busy(k, 1);
    loop_post(k->home, close_home, k);
}

void kafka_txns_free(struct kafka *k)
{
    txns_fini(&k->txns->table);
    mem_free(k->txns);
}

int32_t kafka_txns_make(struct kafka *k, struct err *e)
{
    struct log_settings s;
    struct log_topic t;
    struct arena a = {0};
    int32_t partitions = 0;

    log_settings_default(k->log, &s);
    s.compact = true;
    s.remove = false;
    s.segment_bytes = SEGMENT_BYTES;
    s.max_message_bytes = (int64_t)LIMIT_BATCH;
    if (log_ensure_topic(k->log, STR(TXN_TOPIC), PARTITIONS, &s, e)) {
        if (log_find_topic(k->log, STR(TXN_TOPIC), &a, &t))
            partitions = t.partitions;
        else
            (void)err_set(e, ERR_NOT_FOUND, "topic " TXN_TOPIC " was deleted");
    }
    arena_fini(&a);
    return partitions;
}

void kafka_txns_made(struct kafka *k, int32_t partitions)
{
    if (k->txns->partitions == 0)
        k->txns->partitions = partitions;
}
