#include "kafka/kafka_int.h"

static void run_turn(void *arg) // a job
{
    struct kafka_turn *t = arg;

    t->run(t);
}

static void turn_over(void *arg);

static void begin_turn(struct kafka_turn *t)
{
    job_run_for(t->q->k->home, run_turn, turn_over, t);
}

static void tell(void *arg) // the request's loop
{
    struct kafka_turn *t = arg;

    t->done(t);
}

static void turn_over(void *arg) // home
{
    struct kafka_turn *t = arg;

    t->queue->first = t->next;
    if (t->queue->first)
        begin_turn(t->queue->first);
    else
        t->queue->last = &t->queue->first;
    loop_post(t->q->loop, tell, t);
}

static void queue_up(void *arg) // home
{
    struct kafka_turn *t = arg;
    bool alone = !t->queue->first;

    if (alone)
        t->queue->last = &t->queue->first;
    *t->queue->last = t;
    t->queue->last = &t->next;
    if (alone)
        begin_turn(t);
}

void kafka_take_turn(struct kafka_turns *queue, struct kafka_turn *t)
{
    t->queue = queue;
    t->next = NULL;
    loop_post(t->q->k->home, queue_up, t);
}
