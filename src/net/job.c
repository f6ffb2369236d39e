/*
 * The pool: one queue, threads that are started when a job waits and none is free, up to the limit. A job counts as
 * pending until its done() has returned, so jobs_drain() is also the end of what the jobs started.
 */
#include "net/net_int.h"

#include "base/mem.h"
#include "obs/obs.h"

#include <assert.h>

struct job {
    struct job *next;
    struct net *net;
    struct loop *loop; // that asked, or NULL
    loop_fn *run, *done;
    void *arg;
};

static void job_end(struct jobs *j, struct job *job)
{
    mutex_lock(&j->lock);
    if (--j->pending == 0)
        cond_broadcast(&j->idle);
    mutex_unlock(&j->lock);
    mem_free(job);
}

static void job_done(void *arg)
{
    struct job *job = arg;

    job->done(job->arg);
    job_end(&job->net->jobs, job);
}

static void pool_thread(void *arg)
{
    struct jobs *j = arg;

    mutex_lock(&j->lock);
    for (;;) {
        struct job *job = j->first;
        if (!job) {
            if (j->stopping)
                break;
            j->free_threads++;
            cond_wait(&j->work, &j->lock);
            j->free_threads--;
            continue;
        }
        j->first = job->next;
        if (!j->first)
            j->last = &j->first;
        j->waiting--;
        obs_set(OBS_net_jobs_waiting, j->waiting);
        mutex_unlock(&j->lock);
        obs_add(OBS_net_jobs_total, 1);
        job->run(job->arg);
        if (job->done && job->loop) {
            loop_post(job->loop, job_done, job);
        } else {
            if (job->done)
                job->done(job->arg);
            job_end(j, job);
        }
        mutex_lock(&j->lock);
    }
    mutex_unlock(&j->lock);
}

static void enqueue(struct net *net, struct loop *l, loop_fn *run, loop_fn *done, void *arg)
{
    struct jobs *j = &net->jobs;
    struct job *job = MEM_NEW(struct job);

    *job = (struct job){.net = net, .loop = l, .run = run, .done = done, .arg = arg};
    mutex_lock(&j->lock);
    assert(!j->stopping);
    *j->last = job;
    j->last = &job->next;
    j->pending++;
    j->waiting++;
    obs_set(OBS_net_jobs_waiting, j->waiting);
    /* A thread that was signalled counts as free until it runs: compare with the queue, not with none. */
    if (j->waiting > j->free_threads && j->threads < j->threads_max)
        thread_start(&j->thread[j->threads++], "job", pool_thread, j);
    cond_signal(&j->work);
    mutex_unlock(&j->lock);
}

void job_run(struct net *net, loop_fn *run, loop_fn *done, void *arg)
{
    enqueue(net, loop_current(), run, done, arg);
}

void job_run_for(struct loop *l, loop_fn *run, loop_fn *done, void *arg)
{
    enqueue(l->net, l, run, done, arg);
}

void jobs_init(struct jobs *j, unsigned threads_max)
{
    mutex_init(&j->lock);
    cond_init(&j->work);
    cond_init(&j->idle);
    j->last = &j->first;
    j->threads_max = threads_max;
    j->thread = MEM_ARRAY(struct thread, threads_max);
}

void jobs_drain(struct jobs *j)
{
    mutex_lock(&j->lock);
    while (j->pending > 0)
        cond_wait(&j->idle, &j->lock);
    mutex_unlock(&j->lock);
}

void jobs_stop(struct jobs *j)
{
    mutex_lock(&j->lock);
    j->stopping = true;
    cond_broadcast(&j->work);
    mutex_unlock(&j->lock);
    for (unsigned i = 0; i < j->threads; i++)
        thread_join(&j->thread[i]);
}

void jobs_fini(struct jobs *j)
{
    mem_free(j->thread);
    cond_fini(&j->work);
    cond_fini(&j->idle);
    mutex_fini(&j->lock);
}
