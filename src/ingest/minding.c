/* The loop's side of consumers: their members, their commits, and what is due. consumers.c has the requests. */
#include "ingest/consumers.h"

#include "base/mem.h"
#include "obs/obs.h"
#include "os/os.h"

int64_t proxy_now_ms(const struct proxy *p)
{
    return p->os->now_ns(p->os) / 1000000;
}

static void under_way(struct proxy *p, int by)
{
    mutex_lock(&p->lock);
    p->waiting += (size_t)by;
    if (p->waiting == 0)
        cond_broadcast(&p->idle);
    mutex_unlock(&p->lock);
}

/* ---- the loop's side ---- */

static void arm(struct proxy *p);

static void on_loop(void *arg)
{
    struct errand *x = arg;
    struct proxy *p = x->p;

    x->run(x);
    arm(p);
    consumer_unref(x->k);
    mem_free(x);
    under_way(p, -1);
}

/* k: NULL, or one whose reference goes with it. */
void errand_send(struct proxy *p, struct consumer *k, void (*run)(struct errand *x))
{
    struct errand *x = MEM_NEW(struct errand);

    *x = (struct errand){p, k, run};
    under_way(p, 1);
    loop_post(p->home, on_loop, x);
}

struct consumer *consumer_ref(struct consumer *k)
{
    k->refs++;
    return k;
}

void consumer_unref(struct consumer *k)
{
    bool last;

    if (!k)
        return;
    mutex_lock(&k->p->lock);
    last = --k->refs == 0;
    mutex_unlock(&k->p->lock);
    if (!last)
        return;
    arena_fini(&k->names);
    arena_fini(&k->topics_arena);
    arena_fini(&k->parts_arena);
    topic_pattern_free(k->pattern);
    mem_free(k);
}

/* ---- members ---- */

static int64_t member_now_ms(void *arg)
{
    return proxy_now_ms(((struct consumer *)arg)->p);
}

static int32_t partitions_of(void *arg, struct str topic)
{
    struct consumer *k = arg;
    struct arena a = {0};
    struct log_topic t;
    int32_t n = log_find_topic(k->p->log, topic, &a, &t) ? t.partitions : 0;

    arena_fini(&a);
    return n;
}

void consumer_forget_parts(struct consumer *k) // lock held
{
    arena_fini(&k->parts_arena);
    k->parts = NULL;
    k->part_count = 0;
    k->round++;
}

/* Where the group stands. */
static int64_t committed(struct consumer *k, struct str topic, int32_t partition)
{
    struct arena a = {0};
    struct offset_at at;
    int64_t offset = offsets_get(k->p->offsets, k->group, topic, partition, &a, &at) ? at.offset : -1;

    arena_fini(&a);
    return offset;
}

/* lock held */
void consumer_take_parts(struct consumer *k, const struct group_part *parts, size_t count)
{
    consumer_forget_parts(k);
    k->parts = ARENA_ARRAY(&k->parts_arena, struct position, count);
    for (; k->part_count < count; k->part_count++) {
        const struct group_part *from = &parts[k->part_count];
        int64_t at = committed(k, from->topic, from->partition);

        k->parts[k->part_count] =
            (struct position){arena_str(&k->parts_arena, from->topic), from->partition, at, at};
    }
    consumer_wake(k);
}

void commit_moved(struct commit *m)
{
    struct consumer *k = m->k;

    m->at = ARENA_ARRAY(&m->arena, struct offset_at, k->part_count);
    for (size_t i = 0; i < k->part_count; i++) {
        struct position *p = &k->parts[i];

        if (p->next < 0 || p->next == p->committed)
            continue;
        m->at[m->count++] = (struct offset_at){.topic = arena_str(&m->arena, p->topic),
                                               .partition = p->partition,
                                               .leader_epoch = -1,
                                               .offset = p->next,
                                               .metadata = STR("")};
    }
}

void commit_free(struct commit *m)
{
    consumer_unref(m->k);
    arena_fini(&m->arena);
    mem_free(m);
}

/* On the loop. */
static void note_committed(const struct commit *m)
{
    mutex_lock(&m->k->p->lock);
    for (size_t i = 0; i < m->count; i++) {
        struct position *p = consumer_part(m->k, m->at[i].topic, m->at[i].partition);

        if (p)
            p->committed = m->at[i].offset;
    }
    mutex_unlock(&m->k->p->lock);
}

static void auto_committed(void *arg, int16_t error)
{
    struct commit *m = arg;
    struct proxy *p = m->k->p;
    static struct obs_repeat again;

    if (error == GROUP_NONE)
        note_committed(m);
    else
        obs_repeated(&again, OBS_WARN, "ingest",
                     "a consumer's positions were not committed group=%.*s error=%d", STR_ARG(m->k->group),
                     error);
    commit_free(m);
    under_way(p, -1);
}

static struct group_who beside(const struct consumer *k)
{
    return (struct group_who){.group = k->group,
                              .member_id = STR(""),
                              .generation = -1,
                              .client_id = k->name,
                              .client_host = k->host};
}

static void on_offsets_told(void *arg)
{
    struct commit *m = arg;

    m->done(m, m->error);
}

/* On the committer's thread. */
static void on_offsets(void *arg, bool ok, const struct err *e)
{
    struct commit *m = arg;

    (void)e;
    m->error = ok ? GROUP_NONE : GROUP_COORDINATOR_NOT_AVAILABLE;
    loop_post(m->k->p->home, on_offsets_told, m);
}

static void commit_at_desk(struct commit *m, group_answer_fn *done)
{
    const struct group_desk *desk = m->k->p->desk;
    struct group_who w = beside(m->k);

    m->done = done;
    if (!desk) // no coordinator, so no members either
        offsets_commit_async(m->k->p->offsets, m->k->group, m->at, m->count, on_offsets, m);
    else if (m->k->member)
        group_member_commit(m->k->member, m->at, m->count, done, m);
    else
        desk->commit(desk->arg, &w, m->at, m->count, done, m);
}

/* On the loop: what moved is committed if the consumer does that by itself. Nobody waits. */
static void commit_alone(struct consumer *k)
{
    struct commit *m;

    if (!k->auto_commit)
        return;
    m = MEM_NEW(struct commit);
    mutex_lock(&k->p->lock);
    m->k = consumer_ref(k);
    commit_moved(m);
    k->commit_ms = proxy_now_ms(k->p);
    mutex_unlock(&k->p->lock);
    under_way(k->p, 1);
    if (m->count > 0)
        commit_at_desk(m, auto_committed);
    else
        auto_committed(m, GROUP_NONE);
}

static void on_revoked(void *arg, bool known)
{
    struct consumer *k = arg;

    if (known)
        commit_alone(k);
    mutex_lock(&k->p->lock);
    consumer_forget_parts(k);
    mutex_unlock(&k->p->lock);
}

static void on_assigned(void *arg, const struct group_part *parts, size_t count)
{
    struct consumer *k = arg;

    mutex_lock(&k->p->lock);
    if (k->mode == CONSUMER_SUBSCRIBED && !k->closed)
        consumer_take_parts(k, parts, count);
    mutex_unlock(&k->p->lock);
}

static void on_failed(void *arg, int16_t error)
{
    struct consumer *k = arg;

    mutex_lock(&k->p->lock);
    k->failed = error;
    consumer_wake(k);
    mutex_unlock(&k->p->lock);
}

static void on_due(void *arg)
{
    arm(((struct consumer *)arg)->p);
}

/* ---- errands ---- */

void errand_join(struct errand *x)
{
    struct consumer *k = x->k;
    struct group_member_options o = {
        .desk = k->p->desk,
        .io = {k, member_now_ms, partitions_of, on_revoked, on_assigned, on_failed, on_due},
        .group = k->group,
        .client_id = k->name,
        .client_host = k->host,
    };
    struct arena a = {0};
    struct str *topics;
    size_t n;

    if (k->closing)
        return;
    if (!k->member)
        k->member = group_member_new(&o);
    mutex_lock(&k->p->lock);
    n = k->topic_count;
    topics = ARENA_ARRAY(&a, struct str, n);
    for (size_t i = 0; i < n; i++)
        topics[i] = arena_str(&a, k->topics[i]);
    k->failed = 0;
    mutex_unlock(&k->p->lock);
    if (n > 0)
        group_member_subscribe(k->member, topics, n);
    arena_fini(&a);
}

static void closed(struct consumer *k)
{
    group_member_free(k->member);
    k->member = NULL;
    if (k->closer)
        trip_go_on(k->closer, k->closer->next);
    k->closer = NULL;
    under_way(k->p, -1); // since close_on_loop()
    consumer_unref(k);   // of being there
}

static void on_left(void *arg, int16_t error)
{
    struct consumer *k = arg;

    (void)error;
    k->leaving = false;
    if (k->closing)
        closed(k);
}

void errand_leave(struct errand *x)
{
    struct consumer *k = x->k;

    if (!k->member || k->leaving || k->closing)
        return;
    k->leaving = true;
    group_member_leave(k->member, on_left, k);
}

/* The reference of the list is held until closed(). */
void errand_close(struct errand *x)
{
    struct consumer *k = x->k;

    under_way(k->p, 1);
    k->closing = true;
    if (!k->member) {
        commit_alone(k);
        closed(k);
    } else if (!k->leaving) {
        k->leaving = true;
        group_member_leave(k->member, on_left, k);
    }
}

/* Out of the list: nobody finds it any more. Lock held. */
void consumer_unlist(struct consumer *k)
{
    struct consumer **at = &k->p->consumers;

    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    k->p->consumer_count--;
    k->closed = true;
    consumer_wake(k);
}

static void nothing(struct errand *x)
{
    (void)x; // what is armed after each errand is all that is wanted
}

void proxy_consumers_due(struct proxy *p)
{
    errand_send(p, NULL, nothing);
}

/* ---- what is due ---- */

static void wake_late(struct consumer *k, int64_t now_ms) // lock held
{
    for (struct read *r = k->reads; r; r = r->next)
        if (r->deadline_ms <= now_ms)
            read_wake(r);
}

/* A consumer as the clock sees it: alive, with a reference. */
struct seen {
    struct consumer *k;
    bool expired; // and out of the list now
};

static size_t look(struct proxy *p, struct arena *a, struct seen **out)
{
    int64_t now_ms = proxy_now_ms(p);
    struct consumer *next;
    size_t n = 0;

    mutex_lock(&p->lock);
    *out = ARENA_ARRAY(a, struct seen, p->consumer_count);
    for (struct consumer *k = p->consumers; k; k = next) {
        next = k->next;
        wake_late(k, now_ms);
        (*out)[n] = (struct seen){consumer_ref(k), !k->reads && now_ms - k->used_ms >= p->idle_ms};
        if ((*out)[n++].expired)
            consumer_unlist(k);
    }
    mutex_unlock(&p->lock);
    return n;
}

static void tick(void *arg)
{
    struct proxy *p = arg;
    struct arena a = {0};
    struct seen *all;
    size_t n = look(p, &a, &all);

    for (size_t i = 0; i < n; i++) {
        struct errand x = {p, all[i].k, NULL};

        if (all[i].expired)
            x.run = errand_close;
        else
            x.run = pattern_look(x.k);
        if (x.run)
            x.run(&x);
        if (!all[i].expired && x.k->member)
            group_member_tick(x.k->member);
        consumer_unref(x.k);
    }
    arena_fini(&a);
    arm(p);
}

static void sooner(int64_t *due_ms, int64_t than_ms)
{
    if (than_ms < *due_ms)
        *due_ms = than_ms;
}

/* On the loop. */
static void arm(struct proxy *p)
{
    int64_t due_ms = INT64_MAX, now_ms = proxy_now_ms(p);

    mutex_lock(&p->lock);
    for (const struct consumer *k = p->consumers; k; k = k->next) {
        for (const struct read *r = k->reads; r; r = r->next)
            if (!read_is_woken(r))
                sooner(&due_ms, r->deadline_ms);
        if (!k->reads)
            sooner(&due_ms, k->used_ms + p->idle_ms);
        if (k->pattern)
            sooner(&due_ms, k->pattern_ms);
        if (k->member)
            sooner(&due_ms, group_member_next_ms(k->member));
    }
    mutex_unlock(&p->lock);
    if (due_ms == INT64_MAX)
        return;
    if (!p->timer)
        p->timer = timer_new(p->home, tick, p);
    timer_start(p->timer, due_ms > now_ms ? due_ms - now_ms : 0);
}

/* ---- parts and reads ---- */

struct position *consumer_part(struct consumer *k, struct str topic, int32_t partition)
{
    for (size_t i = 0; i < k->part_count; i++)
        if (k->parts[i].partition == partition && str_eq(k->parts[i].topic, topic))
            return &k->parts[i];
    return NULL;
}

void consumer_wake(struct consumer *k)
{
    for (struct read *r = k->reads; r; r = r->next)
        read_wake(r);
}

/* ---- committing ---- */

static void on_committed(void *arg, int16_t error)
{
    struct commit *m = arg;
    struct proxy *p = m->k->p;

    m->error = error;
    if (error == GROUP_NONE)
        note_committed(m);
    if (m->trip)
        trip_go_on(m->trip, m->trip->next);
    else
        commit_free(m);
    under_way(p, -1);
}

static void commit_on_loop(void *arg)
{
    struct commit *m = arg;

    commit_at_desk(m, on_committed);
}

void consumer_commit(struct commit *m, trip_fn *then)
{
    struct proxy *p = m->k->p;

    if (m->trip) {
        m->trip->state = m;
        m->trip->next = then;
        trip_wait(m->trip);
    }
    under_way(p, 1);
    loop_post(p->home, commit_on_loop, m);
}

/* ---- the end ---- */

void proxy_consumers_stop(struct proxy *p)
{
    struct consumer *k;

    mutex_lock(&p->lock);
    p->stopping = true;
    while ((k = p->consumers) != NULL) {
        consumer_unlist(k);
        (void)consumer_ref(k);
        mutex_unlock(&p->lock);
        errand_send(p, k, errand_close);
        mutex_lock(&p->lock);
    }
    mutex_unlock(&p->lock);
}

static void free_timer(struct errand *x)
{
    timer_free(x->p->timer);
    x->p->timer = NULL;
}

void proxy_consumers_free(struct proxy *p)
{
    errand_send(p, NULL, free_timer);
    mutex_lock(&p->lock);
    while (p->waiting > 0)
        cond_wait(&p->idle, &p->lock);
    mutex_unlock(&p->lock);
}
