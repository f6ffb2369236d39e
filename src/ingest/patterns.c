/* Subscriptions to all topics whose name a pattern matches, as they come and go. */
#include "ingest/consumers.h"

#include "base/mem.h"

#include <stdlib.h>

static bool may_read(const struct consumer *k, struct str topic)
{
    struct ingest_question ask = {.user = k->user, .host = k->host, .name = topic};

    ask.thing = INGEST_TOPIC;
    ask.operation = INGEST_READ;
    return !k->p->users || !k->p->may || k->p->may(k->p->may_arg, &ask);
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

void pattern_match(struct consumer *k, struct topic_pattern *pattern, struct matched *out)
{
    struct log_topic *all;
    size_t n;

    *out = (struct matched){.version = log_topics_version(k->p->log)};
    log_list_topics(k->p->log, &out->arena, &all, &n);
    out->topics = ARENA_ARRAY(&out->arena, struct str, n);
    for (size_t i = 0; i < n; i++)
        if (!proxy_is_internal(all[i].name) && topic_pattern_matches(pattern, all[i].name) &&
            may_read(k, all[i].name))
            out->topics[out->count++] = all[i].name;
    qsort(out->topics, out->count, sizeof out->topics[0], by_name);
}

static bool are_others(const struct consumer *k, const struct matched *m)
{
    bool same = m->count == k->topic_count;

    for (size_t i = 0; same && i < m->count; i++)
        same = str_eq(m->topics[i], k->topics[i]);
    return !same;
}

errand_fn *pattern_look(struct consumer *k)
{
    int64_t now_ms = proxy_now_ms(k->p);
    struct matched m = {0};
    bool others = false, any = false;

    mutex_lock(&k->p->lock);
    if (k->pattern && now_ms >= k->pattern_ms) {
        k->pattern_ms = now_ms + PATTERN_MS;
        if (k->p->users || log_topics_version(k->p->log) != k->pattern_seen) { // rights change too
            pattern_match(k, k->pattern, &m);
            k->pattern_seen = m.version;
            others = are_others(k, &m);
            if (others)
                consumer_take_topics(k, m.topics, m.count);
        }
    }
    any = k->topic_count > 0;
    mutex_unlock(&k->p->lock);
    arena_fini(&m.arena);
    return !others || k->closing ? NULL : any ? errand_join : errand_leave;
}
