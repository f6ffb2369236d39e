/*
 * thread: threads, mutexes, conditions, as thin as they can be.
 *
 * A failure here is a broken program (out of threads, misuse of a lock), so every function aborts instead of
 * returning one. Lock order and owners are in docs/threads.md. Never hold a lock across I/O, across a callback, or
 * across a call into another room.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct mutex {
    pthread_mutex_t _m;
};

struct cond {
    pthread_cond_t _c; // waits on the monotonic clock
};

typedef void thread_fn(void *arg);

struct thread {
    pthread_t _t;
};

void mutex_init(struct mutex *m);
void mutex_fini(struct mutex *m);
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);

void cond_init(struct cond *c);
void cond_fini(struct cond *c);
void cond_wait(struct cond *c, struct mutex *m);
/* False when timeout_ms went by first. Wakes may be spurious: always re-check what was waited for. */
bool cond_wait_ms(struct cond *c, struct mutex *m, int64_t timeout_ms);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

/* Runs fn(arg) on a new thread with all signals blocked. name: at most 15 characters, shown by ps and gdb. */
void thread_start(struct thread *t, const char *name, thread_fn *fn, void *arg);
void thread_join(struct thread *t);
