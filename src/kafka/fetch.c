/*
 * Fetch: batches as they lie in the log, read once, checked and sent from there when there are many bytes.
 *
 *     kafka_fetch ──▶ fill ──all is in memory──▶ decide ──enough, an error, or no time to wait──▶ answer
 *                     ▲  │                       ▲   │
 *                     │  └─the disk is needed─▶ job  │ too little
 *                     │                              ▼
 *     the end of a partition moved ◀────────────── parked ──timer, or the client is gone──▶ fill, answer
 *
 * A loop reads only what is in memory. The first partition that needs the disk, and all behind it, are read by a job; nobody else
 * touches the request meanwhile. A parked request holds one watch a partition and a timer. The watches call on the committer's
 * thread, where the first posts to the loop; that one message is awaited before the request ends.
 */
#include "base/mem.h"
#include "kafka/kafka_int.h"
#include "obs/obs.h"
#include "os/os.h"

#include <stdatomic.h>

enum {
    COPY_MOST = 64 << 10,  // as many bytes are copied: cheaper than to lend them
    LENT_MOST = 64,        // reads of one partition
    BLOCKS_MOST = 8,       // of one answer: others need some too
    BYTES_MOST = 64 << 20, // one answer (Kafka: fetch.max.bytes is 55 MB)
    WAIT_MOST_MS = 5 * 60 * 1000,
};

struct fetch {
    struct kafka_req *q;
    const struct k_fetch_req *req;
    struct k_fetch_res res;
    struct arena arena; // what res points to; of one fill
    int64_t bytes;      // records in res
    size_t filled;      // partitions of res that are whole
    bool error;         // some partition has one: answer at once
    bool job;           // it is a job that fills
    bool later;         // a job must go on

    struct kafka_block *block;          // what is read next goes here
    size_t block_used, blocks;          // bytes of it; how many there were
    const struct wire_records *reading; // what it is for

    struct timer *timer;
    struct log_watch *watches;
    size_t watch_count, partitions;
    atomic_bool woken; // a message to the loop is on its way
    bool expired;      // answer with what there is when it comes
};

/* ---- fill ---- */

static bool by_id(const struct fetch *f)
{
    return f->q->version >= 13;
}

/* The client wants records of transactions only when they are committed: up to the last stable offset (KIP-98). */
static bool committed_only(const struct fetch *f)
{
    return f->req->isolation_level == 1;
}

/* What the client must pass over in the piece that it gets. */
static bool fill_aborted(struct fetch *f, struct str topic, const struct k_fetch_req_partition *in,
                         int64_t next, struct k_fetch_res_partition *out, struct err *e)
{
    struct log_span span = {topic, in->partition, in->offset, next};
    struct log_aborted *list;
    size_t n;

    if (!log_aborted(f->q->k->log, &span, &f->arena, &list, &n, e))
        return false;
    out->aborted = ARENA_ARRAY(&f->arena, struct k_fetch_res_aborted, n);
    for (size_t i = 0; i < n; i++)
        out->aborted[i] = (struct k_fetch_res_aborted){list[i].producer_id, list[i].first};
    out->aborted_n = (int32_t)n;
    return true;
}

/* Clients learn a code only; what is wrong with this disk is told to who runs the program. */
static int16_t read_error(const struct err *e)
{
    static struct obs_repeat again;

    if (e->kind == ERR_CORRUPT || e->kind == ERR_IO)
        obs_repeated(&again, OBS_ERROR, "kafka", "records cannot be read: %s", e->msg);
    return kafka_error_of(e);
}

static void drop(struct fetch *f, struct wire_records *r)
{
    for (size_t i = 0; i < r->lent_n; i++)
        r->lent[i].release(r->lent[i].arg);
    if (r->piece.n > 0)
        os_close(f->q->k->os, r->piece.fd);
    *r = (struct wire_records){0};
}

/* Few bytes, when they are all, go to the arena; else it is a block. */
static void *room(void *arg, size_t n)
{
    struct fetch *f = arg;

    if (f->reading->lent_n == 0 && n <= COPY_MOST)
        return arena_alloc(&f->arena, n);
    if (n > KAFKA_BLOCK || f->reading->lent_n == LENT_MOST)
        return NULL;
    if (!f->block || KAFKA_BLOCK - f->block_used < n) {
        kafka_block_unref(f->block);
        f->block = f->blocks < BLOCKS_MOST ? kafka_block_take(f->q->k) : NULL;
        f->blocks += f->block != NULL;
        f->block_used = 0;
    }
    return f->block ? kafka_block_bytes(f->block) + f->block_used : NULL;
}

/* More of a partition's records. False: nothing can follow them. */
static bool add(struct fetch *f, const struct log_got *got, struct wire_records *out)
{
    uint8_t *block = f->block ? kafka_block_bytes(f->block) : NULL;

    if (got->piece.n > 0) {
        out->piece = got->piece;
        return false;
    }
    if (!block || got->p < block || got->p >= block + KAFKA_BLOCK) {
        out->bytes = str_from(got->p, got->n);
        return false;
    }
    if (!out->lent)
        out->lent = ARENA_ARRAY(&f->arena, struct wire_lent, LENT_MOST);
    out->lent[out->lent_n++] =
        (struct wire_lent){got->p, got->n, kafka_block_unref, kafka_block_ref(f->block)};
    f->block_used = (size_t)(got->p + got->n - block);
    return true;
}

/*
 * Records of one partition. At least one batch comes even when it is larger than what was asked for, but only in the first
 * partition that has any (KIP-74), so that a client always gets on and never gets much more than it wants.
 */
static int16_t read_records(struct fetch *f, struct log_read *r, size_t max, struct wire_records *out)
{
    size_t sum = 0;
    bool more = true;

    f->reading = out;
    while (more && sum < max) {
        struct log_got got;
        enum log_read_answer answer;
        struct err e;
        size_t n;

        r->max_bytes = max - sum;
        answer = log_read(f->q->k->log, r, &got, &e);
        f->later = answer == LOG_READ_LATER && sum == 0;
        if (answer == LOG_READ_FAILED && sum == 0)
            return e.kind == ERR_NOT_FOUND ? K_OFFSET_OUT_OF_RANGE : read_error(&e);
        n = got.n + got.piece.n;
        if (answer != LOG_READ_DONE || n == 0)
            break;
        if (f->bytes > 0 && n > max - sum) {
            os_close(f->q->k->os, got.piece.fd);
            break;
        }
        more = add(f, &got, out);
        r->offset = got.next;
        sum += n;
        f->bytes += (int64_t)n;
    }
    return K_NONE;
}

static int16_t fill_records(struct fetch *f, struct str topic, const struct k_fetch_req_partition *in,
                            struct k_fetch_res_partition *out)
{
    int64_t most = f->req->max_bytes < BYTES_MOST ? f->req->max_bytes : BYTES_MOST, left = most - f->bytes;
    struct log_read r = {.topic = topic,
                         .partition = in->partition,
                         .offset = in->offset,
                         .copy_bytes = COPY_MOST,
                         .stable = committed_only(f),
                         .now = !f->job,
                         .room = room,
                         .arg = f};
    struct err e;
    int16_t error;

    if (left > in->max_bytes)
        left = in->max_bytes;
    if (left <= 0 && f->bytes > 0)
        return K_NONE;
    error = read_records(f, &r, left > 0 ? (size_t)left : 1, &out->records);
    if (error == K_NONE && r.offset > in->offset && committed_only(f) &&
        !fill_aborted(f, topic, in, r.offset, out, &e)) {
        drop(f, &out->records);
        return e.kind == ERR_NOT_FOUND ? K_OFFSET_OUT_OF_RANGE : read_error(&e);
    }
    return error;
}

static int16_t fill_partition(struct fetch *f, const struct log_topic *t, int16_t topic_error,
                              const struct k_fetch_req_partition *in, struct k_fetch_res_partition *out)
{
    struct log_range range;
    int16_t error;

    *out = (struct k_fetch_res_partition){.partition = in->partition,
                                          .high_watermark = -1,
                                          .last_stable_offset = -1,
                                          .start_offset = -1,
                                          .preferred_replica = -1,
                                          .aborted_n = committed_only(f) ? 0 : -1};
    if (topic_error != K_NONE)
        return topic_error;
    if (!log_range(f->q->k->log, t->name, in->partition, &range))
        return K_UNKNOWN_TOPIC_OR_PARTITION;
    if ((error = kafka_check_epoch(in->leader_epoch)) != K_NONE)
        return error;
    out->high_watermark = range.end;
    out->last_stable_offset = range.stable;
    out->start_offset = range.start;
    if (in->offset < range.start || in->offset > range.end)
        return K_OFFSET_OUT_OF_RANGE;
    return in->offset == range.end ? K_NONE : fill_records(f, t->name, in, out);
}

/* Goes on where it ended: *n counts the partitions of the topics before. */
static void fill_topic(struct fetch *f, size_t *n, const struct k_fetch_req_topic *in,
                       struct k_fetch_res_topic *out)
{
    size_t partitions = (size_t)in->partitions_n, begin = f->filled > *n ? f->filled - *n : 0;
    struct log_topic t;
    int16_t error;

    *n += partitions;
    if (begin >= partitions && partitions > 0)
        return;
    error = kafka_find_topic(f->q, by_id(f), in->name, &in->id, &t);
    out->name = in->name;
    out->id = in->id;
    out->partitions_n = in->partitions_n;
    if (!out->partitions)
        out->partitions = ARENA_ARRAY(&f->arena, struct k_fetch_res_partition, partitions);
    for (size_t i = begin; i < partitions; i++) {
        struct k_fetch_res_partition *p = &out->partitions[i];

        p->error = fill_partition(f, &t, error, &in->partitions[i], p);
        if (f->later)
            return;
        f->filled++;
        f->error = f->error || p->error != K_NONE;
    }
}

static void fill(struct fetch *f)
{
    size_t n = 0;

    f->later = false;
    for (int32_t i = 0; i < f->req->topics_n && !f->later; i++)
        fill_topic(f, &n, &f->req->topics[i], &f->res.topics[i]);
    kafka_block_unref(f->block);
    f->block = NULL;
}

static void fill_in_job(void *arg)
{
    struct fetch *f = arg;

    f->job = true;
    fill(f);
}

static void decide(void *arg);
static void on_cancel(struct kafka_req *q);

/* Fills from the beginning, and then decides. */
static void begin(struct fetch *f)
{
    f->bytes = 0;
    f->filled = f->blocks = 0;
    f->error = f->job = false;
    f->res = (struct k_fetch_res){.topics_n = f->req->topics_n};
    f->res.topics = ARENA_ARRAY(&f->arena, struct k_fetch_res_topic, (size_t)f->req->topics_n);
    fill(f);
    if (!f->later) {
        decide(f);
        return;
    }
    atomic_store(&f->woken, true); // who cancels must wait for the job
    f->q->parked = f;
    f->q->cancel = f->expired ? NULL : on_cancel;
    job_run_for(f->q->loop, fill_in_job, decide, f);
}

/* Gives back what a fill took. */
static void spill(struct fetch *f)
{
    for (int32_t i = 0; i < f->res.topics_n; i++)
        for (int32_t j = 0; j < f->res.topics[i].partitions_n; j++)
            drop(f, &f->res.topics[i].partitions[j].records);
    f->res.topics_n = 0;
    arena_reset(&f->arena);
}

/* ---- wait ---- */

static void answer(struct fetch *f)
{
    struct kafka_req *q = f->q;
    struct arena a = f->arena;

    timer_free(f->timer);
    obs_add(OBS_kafka_fetched_bytes_total, f->bytes);
    kafka_reply(q, &f->res); // q and f may be gone now; the answer is encoded
    arena_fini(&a);
}

static void on_watch(void *arg);

static void watch(struct fetch *f)
{
    f->watch_count = 0;
    for (int32_t i = 0; i < f->res.topics_n; i++) {
        const struct k_fetch_res_topic *t = &f->res.topics[i];
        struct log_topic topic;

        if (kafka_find_topic(f->q, by_id(f), t->name, &t->id, &topic) != K_NONE)
            continue;
        for (int32_t j = 0; j < t->partitions_n; j++) {
            struct log_watch *w = &f->watches[f->watch_count++];

            w->fn = on_watch;
            w->arg = f;
            log_watch(f->q->k->log, topic.name, t->partitions[j].partition, t->partitions[j].high_watermark,
                      w);
        }
    }
}

static void unwatch(struct fetch *f)
{
    for (size_t i = 0; i < f->watch_count; i++)
        log_unwatch(f->q->k->log, &f->watches[i]);
    f->watch_count = 0;
}

/* On the loop: some partition's end has moved. */
static void on_woken(void *arg)
{
    struct fetch *f = arg;

    unwatch(f);
    spill(f);
    begin(f);
}

static void on_watch(void *arg)
{
    struct fetch *f = arg;

    if (!atomic_exchange(&f->woken, true))
        loop_post(f->q->loop, on_woken, f);
}

static void expire(struct fetch *f)
{
    f->expired = true;
    unwatch(f);
    if (!atomic_load(&f->woken))
        on_woken(f);
}

static void on_timer(void *arg)
{
    expire(arg);
}

static void on_cancel(struct kafka_req *q)
{
    q->cancel = NULL;
    expire(q->parked);
}

static void park(struct fetch *f)
{
    struct kafka_req *q = f->q;
    int64_t wait_ms = f->req->max_wait_ms < WAIT_MOST_MS ? f->req->max_wait_ms : WAIT_MOST_MS;

    if (!f->timer) {
        f->watches = ARENA_ARRAY(&q->arena, struct log_watch, f->partitions);
        f->timer = timer_new(q->loop, on_timer, f);
        timer_start(f->timer, wait_ms);
        q->parked = f;
        q->cancel = on_cancel;
    }
    atomic_store(&f->woken, false);
    watch(f);
}

/* On the loop: all that there is has been filled in. */
static void decide(void *arg)
{
    struct fetch *f = arg;

    if (f->expired || f->error || f->bytes >= f->req->min_bytes || f->req->max_wait_ms <= 0 ||
        f->partitions == 0)
        answer(f);
    else
        park(f);
}

/* Fetch sessions (KIP-227) are declined: session id 0 in every answer, so each request names all it wants. */
void kafka_fetch(struct kafka_req *q, const void *in)
{
    const struct k_fetch_req *req = in;
    struct fetch *f = ARENA_NEW(&q->arena, struct fetch);

    f->q = q;
    f->req = req;
    atomic_init(&f->woken, false);
    if (req->session_id != 0) {
        kafka_reply(q, &(struct k_fetch_res){.error = K_FETCH_SESSION_ID_NOT_FOUND});
        return;
    }
    for (int32_t i = 0; i < req->topics_n; i++)
        f->partitions += (size_t)req->topics[i].partitions_n;
    begin(f);
}
