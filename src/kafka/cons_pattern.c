/* Patterns that members subscribe by: each is compiled once for those who share it, and keeps what it matches. */
#include "base/mem.h"
#include "kafka/consumers_int.h"

static void leave_pattern(struct cons_group *g, struct str text)
{
    struct cons_pattern *p = text.p ? map_get(&g->patterns, text) : NULL;

    if (!p || --p->users > 0)
        return;
    (void)map_del(&g->patterns, text);
    topic_pattern_free(p->compiled);
    arena_fini(&p->arena);
    mem_free(p);
}

static void use_pattern(struct cons_group *g, struct str text)
{
    struct cons_pattern *p = map_get(&g->patterns, text);
    char why[160];

    if (!p) {
        p = MEM_NEW(struct cons_pattern);
        p->compiled = topic_pattern_new(text, why); // NULL if another program stored it: it matches nothing
        (void)map_put(&g->patterns, text, p);
    }
    p->users++;
}

void cons_member_set_pattern(struct cons_group *g, struct cons_member *m, struct str pattern)
{
    if (pattern.n == 0)
        pattern = STR_NULL;
    if (pattern.p)
        use_pattern(g, pattern);
    leave_pattern(g, m->pattern);
    cons_set(&m->pattern, pattern);
}

void cons_pattern_match(struct consumers *c, struct cons_pattern *p)
{
    if (p->version == c->topics_version)
        return;
    arena_reset(&p->arena);
    p->matches = ARENA_ARRAY(&p->arena, const struct consumer_topic *, c->topic_count);
    p->match_count = 0;
    for (size_t i = 0; p->compiled && i < c->topic_count; i++)
        if (topic_pattern_matches(p->compiled, c->by_name[i]->name))
            p->matches[p->match_count++] = c->by_name[i];
    p->version = c->topics_version;
}
