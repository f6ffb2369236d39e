#include "os/thread.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void must(int rc, const char *what)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "tarn: %s failed with %d\n", what, rc);
    abort();
}

void mutex_init(struct mutex *m)
{
    must(pthread_mutex_init(&m->_m, NULL), "pthread_mutex_init");
}

void mutex_fini(struct mutex *m)
{
    must(pthread_mutex_destroy(&m->_m), "pthread_mutex_destroy");
}

void mutex_lock(struct mutex *m)
{
    must(pthread_mutex_lock(&m->_m), "pthread_mutex_lock");
}

void mutex_unlock(struct mutex *m)
{
    must(pthread_mutex_unlock(&m->_m), "pthread_mutex_unlock");
}

void cond_init(struct cond *c)
{
    pthread_condattr_t attr;

    must(pthread_condattr_init(&attr), "pthread_condattr_init");
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC), "pthread_condattr_setclock");
    must(pthread_cond_init(&c->_c, &attr), "pthread_cond_init");
    must(pthread_condattr_destroy(&attr), "pthread_condattr_destroy");
}

void cond_fini(struct cond *c)
{
    must(pthread_cond_destroy(&c->_c), "pthread_cond_destroy");
}

void cond_wait(struct cond *c, struct mutex *m)
{
    must(pthread_cond_wait(&c->_c, &m->_m), "pthread_cond_wait");
}

bool cond_wait_ms(struct cond *c, struct mutex *m, int64_t timeout_ms)
{
    struct timespec until;
    int rc;

    assert(timeout_ms >= 0);
    must(clock_gettime(CLOCK_MONOTONIC, &until), "clock_gettime");
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    rc = pthread_cond_timedwait(&c->_c, &m->_m, &until);
    if (rc == ETIMEDOUT)
        return false;
    must(rc, "pthread_cond_timedwait");
    return true;
}

void cond_signal(struct cond *c)
{
    must(pthread_cond_signal(&c->_c), "pthread_cond_signal");
}

void cond_broadcast(struct cond *c)
{
    must(pthread_cond_broadcast(&c->_c), "pthread_cond_broadcast");
}

struct start {
    thread_fn *fn;
    void *arg;
};

static void *run(void *p)
{
    struct start s = *(struct start *)p;

    mem_free(p);
    s.fn(s.arg);
    return NULL;
}

void thread_start(struct thread *t, const char *name, thread_fn *fn, void *arg)
{
    struct start *s = MEM_NEW(struct start);
    sigset_t all, before;

    *s = (struct start){fn, arg};
    (void)sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before), "pthread_sigmask");
    must(pthread_create(&t->_t, NULL, run, s), "pthread_create");
    must(pthread_sigmask(SIG_SETMASK, &before, NULL), "pthread_sigmask");
    (void)pthread_setname_np(t->_t, name);
}

void thread_join(struct thread *t)
{
    must(pthread_join(t->_t, NULL), "pthread_join");
}
