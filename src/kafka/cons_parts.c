/* What members and groups own: texts, and lists of partitions. */
#include "base/mem.h"
#include "kafka/consumers_int.h"

#include <stdlib.h>

void cons_set(struct str *own, struct str value)
{
    char *p = value.p ? str_dup(value) : NULL, *old;

    memcpy(&old, &own->p, sizeof old); // it is ours, though a view
    mem_free(old);
    *own = str_from(p, p ? value.n : 0);
}

static int cmp_parts(const void *a, const void *b)
{
    return topic_partition_cmp(a, b);
}

struct parts parts_copy(const struct topic_partition *v, size_t n)
{
    struct parts p = {.v = n > 0 ? mem_copy(v, n * sizeof *v) : NULL};

    if (n > 1)
        qsort(p.v, n, sizeof *v, cmp_parts);
    for (size_t i = 0; i < n; i++)
        if (p.n == 0 || topic_partition_cmp(&p.v[p.n - 1], &p.v[i]) != 0)
            p.v[p.n++] = p.v[i];
    return p;
}

bool parts_have(const struct parts *p, const struct topic_partition *at)
{
    return p->n > 0 && bsearch(at, p->v, p->n, sizeof *p->v, cmp_parts) != NULL;
}

bool parts_equal(const struct parts *a, const struct parts *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (topic_partition_cmp(&a->v[i], &b->v[i]) != 0)
            return false;
    return true;
}
