/* Who waits for an answer, and when the coordinator has to look again. */
#include "base/mem.h"
#include "kafka/consumers_int.h"

void cons_let_out(struct consumers *c, struct cons_waiting *w)
{
    c->o.io.answer(w->waiter, &w->res);
    arena_fini(&w->arena);
    mem_free(w);
}

void cons_answer_error(struct consumers *c, void *waiter, int16_t error, struct str message)
{
    c->o.io.answer(waiter, &(struct k_consumer_beat_res){.error = error, .error_message = message});
}

void cons_answer(struct consumers *c, struct cons_group *g, struct cons_waiting *w)
{
    if (!g || g->sent == g->stored) {
        cons_let_out(c, w);
        return;
    }
    w->version = g->sent;
    *g->waiting_tail = w;
    g->waiting_tail = &w->next;
}

int64_t cons_due(struct consumers *c, int64_t at_ms)
{
    if (at_ms < c->next_ms)
        c->next_ms = at_ms;
    return at_ms;
}

void cons_times(const struct consumers *c, struct str group, int64_t *session_ms, int32_t *heartbeat_ms)
{
    *session_ms = c->o.session_ms;
    *heartbeat_ms = c->o.heartbeat_ms;
    if (c->o.io.times)
        c->o.io.times(c->o.io.arg, group, session_ms, heartbeat_ms);
}
