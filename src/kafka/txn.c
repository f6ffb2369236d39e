#include "kafka/txn.h"

#include "base/mem.h"
#include "kafka/kafka_int.h"

#include <stdlib.h>

enum {
    IDS_MAX = 100000, // an id takes some hundred bytes
    AGAIN_MS = 1000   // after an end that could not be written
};

const char *txn_state_name(enum txn_state s)
{
    static const char *const names[TXN_STATES] = {"Empty",        "Ongoing",          "PrepareCommit",
                                                  "PrepareAbort", "CompleteCommit",   "CompleteAbort",
                                                  "Dead",         "PrepareEpochFence"};

    return names[s];
}

/* ---- the table ---- */

void txns_init(struct txns *t, int32_t max_timeout_ms)
{
    *t = (struct txns){.max_timeout_ms = max_timeout_ms, .max_ids = IDS_MAX, .next_ms = INT64_MAX};
}

static void txn_free(struct txn *x)
{
    union { // str has no mutable pointer
        const char *from;
        char *to;
    } id = {.from = x->id.p};

    arena_fini(&x->arena);
    mem_free(id.to);
    mem_free(x);
}

void txns_fini(struct txns *t)
{
    for (struct map_it it = {0}; map_next(&t->by_id, &it);)
        txn_free(it.value);
    map_fini(&t->by_id);
}

struct txn *txns_find(const struct txns *t, struct str id)
{
    return map_get(&t->by_id, id);
}

static struct txn *txn_new(struct txns *t, struct str id)
{
    struct txn *x = MEM_NEW(struct txn);

    x->id = str_from(str_dup(id), id.n);
    x->now = (struct txn_record){.producer_id = -1, .epoch = -1, .start_ms = -1};
    x->last_epoch = -1;
    (void)map_put(&t->by_id, x->id, x);
    return x;
}

void txns_drop(struct txns *t, struct txn *x)
{
    (void)map_del(&t->by_id, x->id);
    txn_free(x);
}

static int by_place(const void *a, const void *b)
{
    const struct txn_part *x = a, *y = b;
    int c = str_cmp(x->topic, y->topic);

    return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

static struct txn_part *parts_copy(struct arena *a, const struct txn_part *parts, size_t n)
{
    struct txn_part *copy = ARENA_ARRAY(a, struct txn_part, n);

    for (size_t i = 0; i < n; i++)
        copy[i] = (struct txn_part){arena_str(a, parts[i].topic), parts[i].partition};
    return copy;
}

static bool is_open(enum txn_state s)
{
    return s == TXN_ONGOING || s == TXN_PREPARE_COMMIT || s == TXN_PREPARE_ABORT ||
           s == TXN_PREPARE_EPOCH_FENCE;
}

static void due_at(struct txns *t, struct txn *x, int64_t at_ms)
{
    x->deadline_ms = at_ms;
    if (at_ms < t->next_ms)
        t->next_ms = at_ms;
}

/* When an open one is over. One that another broker had begun to end is over now. */
static void set_deadline(struct txns *t, struct txn *x, const struct txn_clock *c)
{
    int64_t gone = c->wall_ms - x->now.start_ms;

    if (!is_open(x->now.state))
        return;
    if (gone < 0 || x->now.start_ms < 0)
        gone = 0; // the clock was set back
    if (x->now.state == TXN_ONGOING && gone < x->now.timeout_ms)
        due_at(t, x, c->now_ms + x->now.timeout_ms - gone);
    else
        due_at(t, x, c->now_ms);
}

void txns_load(struct txns *t, struct str id, const struct txn_record *r, const struct txn_clock *c)
{
    struct txn *x = txns_find(t, id);

    if (!r) {
        if (x)
            txns_drop(t, x);
        return;
    }
    if (!x)
        x = txn_new(t, id);
    arena_reset(&x->arena);
    x->now = *r;
    x->now.parts = parts_copy(&x->arena, r->parts, r->part_n);
    if (r->part_n > 1)
        qsort(x->now.parts, r->part_n, sizeof *r->parts, by_place);
    set_deadline(t, x, c);
}

/* ---- steps ---- */

/* From how it is now, with no transaction. */
static void step_from(struct txn *x, const struct txn_clock *c, struct txn_step *out)
{
    *out = (struct txn_step){.txn = x, .next = x->now, .last_epoch = x->last_epoch};
    out->next.parts = NULL;
    out->next.part_n = 0;
    out->next.update_ms = c->wall_ms;
    out->next.start_ms = -1;
}

void txns_begin(struct txn_step *s)
{
    s->txn->busy = true;
    s->txn->ending = s->ends;
}

void txns_done(struct txns *t, struct txn_step *s, const struct txn_clock *c, bool ok)
{
    struct txn *x = s->txn;
    bool begins = x->now.state != TXN_ONGOING && s->next.state == TXN_ONGOING;

    x->busy = x->ending = false;
    if (!ok) {
        arena_fini(&s->arena);
        if (x->now.epoch < 0)
            txns_drop(t, x); // it never was
        else if (is_open(x->now.state))
            due_at(t, x,
                   s->ends && c->now_ms + AGAIN_MS > x->deadline_ms ? c->now_ms + AGAIN_MS : x->deadline_ms);
        return;
    }
    arena_fini(&x->arena);
    x->arena = s->arena;
    x->now = s->next;
    x->last_epoch = s->last_epoch;
    if (begins)
        set_deadline(t, x, c);
    else if (is_open(x->now.state))
        due_at(t, x, x->deadline_ms); // it was passed over while it was busy
}

/* ---- a new instance ---- */

/* The last epoch is left for a fence. */
static bool is_exhausted(int16_t epoch)
{
    return epoch >= INT16_MAX - 1;
}

/* Is it the producer that we know? K_NONE; *retry: it asks again for the epoch that it got already (KIP-360). */
static int16_t check_wisher(const struct txn *x, const struct txn_who *who, bool *retry)
{
    *retry = false;
    if (who->producer_id < 0 || x->now.epoch < 0)
        return K_NONE;
    if (who->producer_id != x->now.producer_id)
        return K_PRODUCER_FENCED;
    *retry = who->epoch != x->now.epoch && who->epoch == x->last_epoch;
    return *retry || who->epoch == x->now.epoch ? K_NONE : K_PRODUCER_FENCED;
}

static int16_t check_new(const struct txns *t, const struct txn_wish *w)
{
    if (w->who.id.n == 0)
        return K_INVALID_REQUEST;
    if (w->timeout_ms <= 0 || w->timeout_ms > t->max_timeout_ms)
        return K_INVALID_TRANSACTION_TIMEOUT;
    return K_NONE;
}

int16_t txns_new_producer(struct txns *t, const struct txn_wish *w, const struct txn_clock *c,
                          struct txn_step *out, bool *needs_id)
{
    struct txn *x = txns_find(t, w->who.id);
    bool retry = false, fresh, open;
    int16_t error = check_new(t, w), bumped;

    *needs_id = false;
    if (error == K_NONE && x)
        error = x->busy ? K_CONCURRENT_TRANSACTIONS : check_wisher(x, &w->who, &retry);
    if (error != K_NONE)
        return error;
    open = x && is_open(x->now.state);
    if (x && open && x->now.state != TXN_ONGOING)
        return K_CONCURRENT_TRANSACTIONS; // it is about to be ended
    bumped = x && !retry ? (int16_t)(x->now.epoch + (x->now.epoch < INT16_MAX)) : 0;
    fresh = !x || (!retry && (is_exhausted(x->now.epoch) || (open && is_exhausted(bumped))));
    if (fresh && w->fresh_id < 0) {
        *needs_id = true;
        return K_NONE;
    }
    if (!x && t->by_id.n >= t->max_ids)
        return K_POLICY_VIOLATION;
    if (!x)
        x = txn_new(t, w->who.id);
    step_from(x, c, out);
    out->next.timeout_ms = w->timeout_ms;
    out->next.state = TXN_EMPTY;
    out->ends = open;
    out->mark_epoch = bumped;
    if (fresh) {
        out->next.producer_id = w->fresh_id;
        out->next.epoch = 0;
    } else if (!retry) {
        out->next.epoch = bumped;
    }
    if (!retry)
        out->last_epoch = w->who.producer_id >= 0 && !fresh ? x->now.epoch : -1;
    return K_NONE;
}

/* ---- a transaction ---- */

static int16_t check_who(const struct txns *t, const struct txn_who *who, struct txn **out)
{
    struct txn *x = *out = txns_find(t, who->id);

    if (who->id.n == 0)
        return K_INVALID_REQUEST;
    if (!x || x->now.epoch < 0 || x->now.producer_id != who->producer_id)
        return K_INVALID_PRODUCER_ID_MAPPING;
    if (x->now.epoch != who->epoch)
        return K_PRODUCER_FENCED;
    return x->busy ? K_CONCURRENT_TRANSACTIONS : K_NONE;
}

static bool has_part(const struct txn *x, const struct txn_part *p)
{
    return x->now.part_n > 0 && bsearch(p, x->now.parts, x->now.part_n, sizeof *p, by_place) != NULL;
}

int16_t txns_add(struct txns *t, const struct txn_who *who, const struct txn_part *parts, size_t n,
                 const struct txn_clock *c, struct txn_step *out)
{
    struct txn *x;
    int16_t error = check_who(t, who, &x);
    size_t more = 0, m = 0;
    struct txn_part *all;
    bool open;

    out->txn = NULL;
    if (error != K_NONE)
        return error;
    open = x->now.state == TXN_ONGOING;
    if (!open && is_open(x->now.state))
        return K_CONCURRENT_TRANSACTIONS;
    for (size_t i = 0; i < n; i++)
        more += !open || !has_part(x, &parts[i]);
    if (more == 0 && open)
        return K_NONE;
    step_from(x, c, out);
    all = ARENA_ARRAY(&out->arena, struct txn_part, (open ? x->now.part_n : 0) + n);
    if (open && x->now.part_n > 0) {
        struct txn_part *old = parts_copy(&out->arena, x->now.parts, x->now.part_n);

        memcpy(all, old, x->now.part_n * sizeof *all);
        m = x->now.part_n;
    }
    for (size_t i = 0; i < n; i++)
        if (!open || !has_part(x, &parts[i]))
            all[m++] = (struct txn_part){arena_str(&out->arena, parts[i].topic), parts[i].partition};
    if (m > 1)
        qsort(all, m, sizeof *all, by_place);
    for (size_t i = 0; i < m; i++) // a request may name one twice
        if (out->next.part_n == 0 || by_place(&all[out->next.part_n - 1], &all[i]) != 0)
            all[out->next.part_n++] = all[i];
    out->next.parts = all;
    out->next.state = TXN_ONGOING;
    out->next.start_ms = open ? x->now.start_ms : c->wall_ms;
    return K_NONE;
}

static void step_end(struct txn *x, bool commit, const struct txn_clock *c, struct txn_step *out)
{
    step_from(x, c, out);
    out->next.state = commit ? TXN_COMPLETE_COMMIT : TXN_COMPLETE_ABORT;
    out->next.start_ms = x->now.start_ms; // as Kafka keeps it
    out->ends = true;
    out->commit = commit;
    out->mark_epoch = x->now.epoch;
}

int16_t txns_end(struct txns *t, const struct txn_who *who, bool commit, const struct txn_clock *c,
                 struct txn_step *out)
{
    struct txn *x;
    int16_t error = check_who(t, who, &x);

    out->txn = NULL;
    if (error != K_NONE)
        return error;
    switch (x->now.state) {
    case TXN_ONGOING:
        step_end(x, commit, c, out);
        return K_NONE;
    case TXN_COMPLETE_COMMIT: // the answer was lost, and it asks again
        return commit ? K_NONE : K_INVALID_TXN_STATE;
    case TXN_COMPLETE_ABORT:
        return commit ? K_INVALID_TXN_STATE : K_NONE;
    case TXN_PREPARE_COMMIT:
    case TXN_PREPARE_ABORT:
    case TXN_PREPARE_EPOCH_FENCE:
        return K_CONCURRENT_TRANSACTIONS;
    case TXN_EMPTY:
    case TXN_DEAD:
    case TXN_STATES:
        break;
    }
    return K_INVALID_TXN_STATE;
}

bool txns_overdue(struct txns *t, const struct txn_clock *c, struct txn_step *out)
{
    struct txn *found = NULL;

    t->next_ms = INT64_MAX;
    for (struct map_it it = {0}; map_next(&t->by_id, &it);) {
        struct txn *x = it.value;

        if (!is_open(x->now.state) || x->busy) // when it is not busy any more it sets its deadline again
            continue;
        if (!found && x->deadline_ms <= c->now_ms)
            found = x;
        else if (x->deadline_ms < t->next_ms)
            t->next_ms = x->deadline_ms;
    }
    if (!found)
        return false;
    step_end(found, found->now.state == TXN_PREPARE_COMMIT, c, out);
    if (found->now.state == TXN_ONGOING) { // its producer is fenced
        out->mark_epoch = (int16_t)(found->now.epoch + (found->now.epoch < INT16_MAX));
        out->next.epoch = out->mark_epoch;
        out->last_epoch = -1;
    }
    return true;
}

int16_t txns_may_write(const struct txns *t, const struct txn_who *who, struct str topic, int32_t partition)
{
    const struct txn *x = txns_find(t, who->id);
    struct txn_part p = {topic, partition};

    if (!x || x->now.epoch < 0 || x->now.producer_id != who->producer_id)
        return K_INVALID_PRODUCER_ID_MAPPING;
    if (x->now.epoch != who->epoch)
        return K_INVALID_PRODUCER_EPOCH;
    return x->now.state == TXN_ONGOING && !x->ending && has_part(x, &p) ? K_NONE : K_INVALID_TXN_STATE;
}
