#include "net/net_int.h"

#include "base/mem.h"

#include <assert.h>
#include <sys/eventfd.h>
#include <unistd.h>

static _Thread_local struct loop *current;

struct loop *loop_current(void)
{
    return current;
}

void ids_push(struct ids *ids, uint64_t id)
{
    MEM_PUSH_ROOM(ids->p, ids->n, ids->cap);
    ids->p[ids->n++] = id;
}

/* ---- messages ---- */

/*
 * Not uv_async_send(): whoever is woken by that one waits, yielding its processor again and again, until the sender has run on; and
 * a sender is off its processor for milliseconds when all are busy.
 */
static void wake(struct loop *l)
{
    (void)eventfd_write(l->wake_fd, 1); // it cannot be full: it is read whole
}

void loop_post(struct loop *l, loop_fn *fn, void *arg)
{
    struct message *m = MEM_NEW(struct message);
    bool was_empty;

    m->fn = fn;
    m->arg = arg;
    mutex_lock(&l->lock);
    was_empty = l->inbox == NULL;
    *l->inbox_tail = m;
    l->inbox_tail = &m->next;
    mutex_unlock(&l->lock);
    if (was_empty)
        wake(l);
}

static struct message *take_inbox(struct loop *l)
{
    struct message *list;

    mutex_lock(&l->lock);
    list = l->inbox;
    l->inbox = NULL;
    l->inbox_tail = &l->inbox;
    mutex_unlock(&l->lock);
    return list;
}

static void on_wake(uv_poll_t *poll, int status, int events)
{
    struct loop *l = poll->data;
    struct message *m, *next;
    eventfd_t ignored;

    (void)status;
    (void)events;
    (void)eventfd_read(l->wake_fd, &ignored); // first: who posts from here on wakes again
    m = take_inbox(l);
    for (; m; m = next) {
        next = m->next;
        m->fn(m->arg);
        mem_free(m);
    }
}

struct call {
    loop_fn *fn;
    void *arg;
    struct mutex lock;
    struct cond cond;
    bool done;
};

static void run_call(void *arg)
{
    struct call *call = arg;

    call->fn(call->arg);
    mutex_lock(&call->lock);
    call->done = true;
    cond_signal(&call->cond);
    mutex_unlock(&call->lock);
}

void loop_call(struct loop *l, loop_fn *fn, void *arg)
{
    struct call call = {.fn = fn, .arg = arg};

    if (current == l) {
        fn(arg);
        return;
    }
    assert(current == NULL); // two loops waiting for each other would wait for ever
    mutex_init(&call.lock);
    cond_init(&call.cond);
    loop_post(l, run_call, &call);
    mutex_lock(&call.lock);
    while (!call.done)
        cond_wait(&call.cond, &call.lock);
    mutex_unlock(&call.lock);
    cond_fini(&call.cond);
    mutex_fini(&call.lock);
}

/* ---- one turn ---- */

/* Both lists are taken whole: what is added meanwhile waits for the next turn, so that no connection starves others. */
static void each_taken(struct loop *l, struct ids *list, void (*fn)(struct conn *c))
{
    struct ids taken = *list;

    *list = (struct ids){0};
    for (size_t i = 0; i < taken.n; i++) {
        struct conn *c = conn_find(l, taken.p[i]);
        if (c)
            fn(c);
    }
    if (list->p || list->n) {
        mem_free(taken.p);
    } else {
        taken.n = 0;
        *list = taken;
    }
}

static void on_before_wait(uv_prepare_t *prepare)
{
    struct loop *l = prepare->data;

    each_taken(l, &l->kicked, conn_deliver);
    each_taken(l, &l->dirty, conn_flush);
    if (l->kicked.n + l->dirty.n > 0)
        wake(l);
}

static void on_sweep(uv_timer_t *sweep)
{
    conn_sweep(sweep->data, (int64_t)uv_now(sweep->loop));
}

/* ---- start and end ---- */

bool loop_init(struct loop *l, struct net *net, unsigned index, struct err *e)
{
    int rc;

    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->wake_fd < 0)
        return err_sys(e, "event loop");
    rc = uv_loop_init(&l->uv);
    if (rc != 0) {
        (void)close(l->wake_fd);
        return err_set_at(e, ERR_IO, -rc, ERR_HERE, "event loop: %s", uv_strerror(rc));
    }
    rc = uv_poll_init(&l->uv, &l->wake, l->wake_fd);
    assert(rc == 0); // a fresh descriptor
    (void)uv_poll_start(&l->wake, UV_READABLE, on_wake);
    l->net = net;
    l->index = index;
    l->inbox_tail = &l->inbox;
    mutex_init(&l->lock);
    (void)uv_prepare_init(&l->uv, &l->before_wait);
    (void)uv_prepare_start(&l->before_wait, on_before_wait);
    (void)uv_timer_init(&l->uv, &l->sweep);
    (void)uv_timer_start(&l->sweep, on_sweep, 1000, 1000);
    l->uv.data = l->wake.data = l->before_wait.data = l->sweep.data = l;
    l->scratch = mem_alloc(SCRATCH_BYTES);
    return true;
}

void loop_run(void *loop)
{
    struct loop *l = loop;

    current = l;
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    current = NULL;
}

static void free_forgotten(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

/* The thread has ended. Timers that nobody freed are closed; their memory was the owner's mistake to keep. */
void loop_fini(struct loop *l)
{
    struct message *m = take_inbox(l), *next;

    for (; m; m = next) {
        next = m->next;
        mem_free(m);
    }
    uv_walk(&l->uv, free_forgotten, NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    assert(l->live == 0);
    int rc = uv_loop_close(&l->uv);
    assert(rc == 0);
    (void)rc;
    (void)close(l->wake_fd);
    mutex_fini(&l->lock);
    mem_free(l->slots);
    mem_free(l->dirty.p);
    mem_free(l->kicked.p);
    mem_free(l->scratch);
}

/* ---- timers ---- */

struct timer {
    uv_timer_t uv;
    loop_fn *fn;
    void *arg;
};

struct timer *timer_new(struct loop *l, loop_fn *fn, void *arg)
{
    struct timer *t = MEM_NEW(struct timer);

    assert(loop_current() == l);
    (void)uv_timer_init(&l->uv, &t->uv);
    t->uv.data = t;
    t->fn = fn;
    t->arg = arg;
    return t;
}

static void on_timer(uv_timer_t *uv)
{
    struct timer *t = uv->data;

    t->fn(t->arg);
}

void timer_start(struct timer *t, int64_t after_ms)
{
    uv_update_time(t->uv.loop); // the loop's clock stands still while callbacks run
    (void)uv_timer_start(&t->uv, on_timer, after_ms > 0 ? (uint64_t)after_ms : 0, 0);
}

static void timer_closed(uv_handle_t *h)
{
    mem_free(h->data);
}

void timer_free(struct timer *t)
{
    if (t)
        uv_close((uv_handle_t *)&t->uv, timer_closed);
}
