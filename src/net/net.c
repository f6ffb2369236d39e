#include "net/net_int.h"

#include "base/mem.h"
#include "os/os.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>

struct loop *net_loop(struct net *net, unsigned i)
{
    return &net->loop[i % net->loops];
}

static void start_threads(struct net *net)
{
    char name[16];

    for (unsigned i = 0; i < net->loops; i++) {
        (void)snprintf(name, sizeof name, "loop-%u", i);
        thread_start(&net->loop[i].thread, name, loop_run, &net->loop[i]);
    }
}

bool net_start(const struct net_options *o, struct net **out, struct err *e)
{
    unsigned cores = (unsigned)os_cores();
    struct net *net = MEM_NEW(struct net);
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    (void)sigaction(SIGPIPE, &ignore, NULL); // sendfile has no flag against it
    net->loops = o->loops ? o->loops : cores < 8 ? cores : 8;
    if (net->loops > LOOPS_MAX)
        net->loops = LOOPS_MAX;
    net->conn_max = o->conn_max ? o->conn_max : 4096;
    atomic_init(&net->next_id, 1);
    atomic_init(&net->conns, 0);
    mutex_init(&net->lock);
    cond_init(&net->conns_gone);
    jobs_init(&net->jobs, o->job_threads ? o->job_threads : 32);
    net->loop = MEM_ARRAY(struct loop, net->loops);
    if (o->tls_cert && !tls_context_new(o->tls_cert, o->tls_key, &net->tls, e))
        goto fail;
    for (unsigned i = 0; i < net->loops; i++) {
        if (!loop_init(&net->loop[i], net, i, e)) {
            net->loops = i;
            goto fail;
        }
    }
    start_threads(net);
    *out = net;
    return true;
fail:
    for (unsigned i = 0; i < net->loops && net->loop[i].net; i++)
        loop_fini(&net->loop[i]);
    net->loops = 0;
    net_stop(net);
    return false;
}

/* On each loop: tell every connection, those of the listeners' last accepts included, that the end is near. */
static void shut_loop(void *arg)
{
    struct loop *l = arg;

    l->shutting = true;
    for (uint32_t i = 0; i < l->slot_count; i++) {
        struct conn *c = l->slots[i].c;
        if (!c || c->closing)
            continue;
        if (c->proto->stop)
            c->proto->stop(c->state);
        else
            conn_close(c);
    }
}

static void abort_loop(void *arg)
{
    struct loop *l = arg;

    for (uint32_t i = 0; i < l->slot_count; i++)
        if (l->slots[i].c)
            conn_abort(l->slots[i].c);
}

/* False when connections are left after timeout_ms; -1 waits without end. */
static bool wait_conns(struct net *net, int64_t timeout_ms)
{
    struct os *os = os_real();
    int64_t until_ms = os->now_ns(os) / 1000000 + timeout_ms;
    bool gone;

    mutex_lock(&net->lock);
    while (atomic_load(&net->conns) > 0) {
        int64_t left_ms = until_ms - os->now_ns(os) / 1000000;
        if (timeout_ms < 0)
            cond_wait(&net->conns_gone, &net->lock);
        else if (left_ms <= 0 || !cond_wait_ms(&net->conns_gone, &net->lock, left_ms))
            break;
    }
    gone = atomic_load(&net->conns) == 0;
    mutex_unlock(&net->lock);
    return gone;
}

void net_shut(struct net *net, int64_t grace_ms)
{
    assert(loop_current() == NULL);
    listeners_close(net);
    for (unsigned i = 0; i < net->loops; i++)
        loop_call(&net->loop[i], shut_loop, &net->loop[i]);
    if (!wait_conns(net, grace_ms)) {
        for (unsigned i = 0; i < net->loops; i++)
            loop_call(&net->loop[i], abort_loop, &net->loop[i]);
        (void)wait_conns(net, -1);
    }
    jobs_drain(&net->jobs); // those of requests that are over still call their handlers
}

static void stop_loop(void *arg)
{
    struct loop *l = arg;

    uv_stop(&l->uv);
}

void net_stop(struct net *net)
{
    if (!net)
        return;
    if (net->loops > 0)
        net_shut(net, 0);
    jobs_drain(&net->jobs);
    jobs_stop(&net->jobs);
    for (unsigned i = 0; i < net->loops; i++)
        loop_post(&net->loop[i], stop_loop, &net->loop[i]);
    for (unsigned i = 0; i < net->loops; i++)
        thread_join(&net->loop[i].thread);
    for (unsigned i = 0; i < net->loops; i++)
        loop_fini(&net->loop[i]);
    listeners_free(net);
    jobs_fini(&net->jobs);
    tls_context_free(net->tls);
    cond_fini(&net->conns_gone);
    mutex_fini(&net->lock);
    mem_free(net->loop);
    mem_free(net);
}
