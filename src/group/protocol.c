#include "group/protocol.h"

#include "base/rd.h"

#include <stdlib.h>

/* ---- bytes ---- */

static void put_name(struct buf *out, struct str s)
{
    buf_i16(out, (int16_t)s.n);
    buf_str(out, s);
}

void group_subscription_write(struct buf *out, const struct str *topics, size_t count)
{
    buf_i16(out, 0);
    buf_i32(out, (int32_t)count);
    for (size_t i = 0; i < count; i++)
        put_name(out, topics[i]);
    buf_i32(out, -1); // no user data
}

static struct str get_name(struct rd *r)
{
    int16_t n = rd_i16(r);

    if (n < 0)
        rd_fail(r, "a topic without a name");
    return rd_bytes(r, n < 0 ? 0 : (size_t)n);
}

bool group_subscription_read(struct str bytes, struct arena *a, struct str **topics, size_t *count,
                             struct err *e)
{
    struct rd r = rd_str(bytes);

    if (rd_i16(&r) < 0)
        rd_fail(&r, "a negative version");
    *count = rd_count(&r, rd_i32(&r), 2);
    *topics = ARENA_ARRAY(a, struct str, *count);
    for (size_t i = 0; i < *count; i++)
        (*topics)[i] = get_name(&r);
    return rd_ok(&r) || err_set(e, ERR_BAD_INPUT, "a member's subscription: %s", rd_why(&r));
}

void group_assignment_write(struct buf *out, const struct group_part *parts, size_t count)
{
    size_t at, n;
    int32_t topics = 0;

    buf_i16(out, 0);
    at = out->n;
    buf_i32(out, 0);
    for (size_t i = 0; i < count; i += n) {
        for (n = 1; i + n < count && str_eq(parts[i + n].topic, parts[i].topic); n++)
            ;
        put_name(out, parts[i].topic);
        buf_i32(out, (int32_t)n);
        for (size_t j = 0; j < n; j++)
            buf_i32(out, parts[i + j].partition);
        topics++;
    }
    if (buf_ok(out))
        buf_set_i32(out, at, topics);
    buf_i32(out, -1);
}

/* First how many there are, then with `parts` what they are. */
static size_t read_parts(struct rd *r, struct group_part *parts)
{
    size_t all = 0;

    for (size_t topics = rd_count(r, rd_i32(r), 6); topics > 0 && rd_ok(r); topics--) {
        struct str name = get_name(r);

        for (size_t n = rd_count(r, rd_i32(r), 4); n > 0 && rd_ok(r); n--) {
            int32_t partition = rd_i32(r);

            if (parts)
                parts[all] = (struct group_part){name, partition};
            all++;
        }
    }
    return all;
}

bool group_assignment_read(struct str bytes, struct arena *a, struct group_part **parts, size_t *count,
                           struct err *e)
{
    struct rd r = rd_str(bytes), again;

    *parts = NULL;
    *count = 0;
    if (bytes.n == 0) // Kafka's brokers give a member that the leader has left out nothing at all
        return true;
    if (rd_i16(&r) < 0)
        rd_fail(&r, "a negative version");
    again = r;
    *count = read_parts(&r, NULL);
    if (!rd_ok(&r))
        return err_set(e, ERR_BAD_INPUT, "an assignment: %s", rd_why(&r));
    *parts = ARENA_ARRAY(a, struct group_part, *count);
    (void)read_parts(&again, *parts);
    return true;
}

/* ---- assignors ---- */

static int by_id(const void *a, const void *b)
{
    return str_cmp(((const struct group_reader *)a)->id, ((const struct group_reader *)b)->id);
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int by_part(const void *a, const void *b)
{
    const struct group_part *x = a, *y = b;
    int order = str_cmp(x->topic, y->topic);

    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static bool wants(const struct group_reader *r, struct str topic)
{
    for (size_t i = 0; i < r->topic_count; i++)
        if (str_eq(r->topics[i], topic))
            return true;
    return false;
}

static size_t all_topics(const struct group_reader *readers, size_t count, struct arena *a, struct str **out)
{
    size_t n = 0, distinct = 0;

    for (size_t i = 0; i < count; i++)
        n += readers[i].topic_count;
    *out = ARENA_ARRAY(a, struct str, n);
    n = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < readers[i].topic_count; j++)
            (*out)[n++] = readers[i].topics[j];
    if (n > 0)
        qsort(*out, n, sizeof **out, by_name);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || !str_eq((*out)[i], (*out)[distinct - 1]))
            (*out)[distinct++] = (*out)[i];
    return distinct;
}

/* Who gets which partition of a topic; both assignors are told by this. */
struct deal {
    struct group_reader *readers;
    size_t count;
    struct str topic;
    int32_t partitions;
    size_t *next; // of the round
};

static void give(struct group_reader *r, struct str topic, int32_t partition)
{
    if (r->parts)
        r->parts[r->part_count] = (struct group_part){topic, partition};
    r->part_count++;
}

static void deal_range(const struct deal *d)
{
    size_t takers = 0;
    int32_t partition = 0, each, more;

    for (size_t i = 0; i < d->count; i++)
        takers += wants(&d->readers[i], d->topic);
    if (takers == 0)
        return;
    each = d->partitions / (int32_t)takers;
    more = d->partitions % (int32_t)takers;
    for (size_t i = 0; i < d->count; i++) {
        int32_t n;

        if (!wants(&d->readers[i], d->topic))
            continue;
        n = each + (more > 0);
        more -= more > 0;
        for (; n > 0; n--)
            give(&d->readers[i], d->topic, partition++);
    }
}

static void deal_round(const struct deal *d)
{
    for (int32_t p = 0; p < d->partitions; p++) {
        for (size_t tried = 0; tried < d->count; tried++) {
            struct group_reader *r = &d->readers[*d->next];

            *d->next = (*d->next + 1) % d->count;
            if (wants(r, d->topic)) {
                give(r, d->topic, p);
                break;
            }
        }
    }
}

bool group_assign(struct str assignor, struct group_reader *readers, size_t count,
                  group_partitions_fn *partitions, void *arg, struct arena *a)
{
    bool range = str_is(assignor, "range");
    struct str *topics;
    size_t n, next;

    if (!range && !str_is(assignor, "roundrobin"))
        return false;
    if (count > 0)
        qsort(readers, count, sizeof *readers, by_id);
    n = all_topics(readers, count, a, &topics);
    for (int pass = 0; pass < 2; pass++) { // count, then give
        next = 0;
        for (size_t i = 0; i < count; i++) {
            readers[i].parts = pass ? ARENA_ARRAY(a, struct group_part, readers[i].part_count) : NULL;
            readers[i].part_count = 0;
        }
        for (size_t i = 0; i < n; i++) {
            struct deal d = {readers, count, topics[i], partitions(arg, topics[i]), &next};

            if (range)
                deal_range(&d);
            else
                deal_round(&d);
        }
    }
    for (size_t i = 0; i < count; i++)
        if (readers[i].part_count > 0)
            qsort(readers[i].parts, readers[i].part_count, sizeof *readers[i].parts, by_part);
    return true;
}
