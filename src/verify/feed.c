#include "verify/verify_int.h"

#include "base/limits.h"

#include <assert.h>
#include <stdlib.h>

void feed_init(struct feed *f)
{
    static const struct column like[] = {
        {.name = {"key", 3}, .type = COLUMN_TEXT},
        {.name = {"sum", 3}, .type = COLUMN_I64},
        {.name = {"pos", 3}, .type = COLUMN_I64},
        {.name = {"gone", 4}, .type = COLUMN_BOOL},
    };

    columns_init(&f->out, &f->out_arena, like, 4, FEED_ROWS);
    f->sum = rowsum_new();
    f->key = buf_make(LIMIT_BATCH);
}

void feed_fini(struct feed *f)
{
    rowsum_free(f->sum);
    buf_fini(&f->key);
    arena_fini(&f->arena);
    arena_fini(&f->out_arena);
}

void feed_close(struct feed *f)
{
    if (!f)
        return;
    if (f->close)
        f->close(f);
    feed_fini(f);
}

void feed_add(struct feed *f, struct str key, int64_t sum, int64_t pos, bool gone)
{
    struct columns *c = &f->out;
    size_t row = c->rows++;

    assert(row < c->capacity);
    c->column[0].nulls[row] = !key.p;
    c->column[0].strs[row] = key;
    for (int i = 1; i < 4; i++)
        c->column[i].nulls[row] = false;
    c->column[1].i64[row] = sum;
    c->column[2].i64[row] = pos;
    c->column[3].bools[row] = gone;
}

struct str feed_key(struct feed *f, const struct columns *c, size_t first, const size_t *at, size_t count,
                    size_t row)
{
    if (count == 0)
        return STR_NULL;
    buf_reset(&f->key);
    for (size_t i = 0; i < count; i++) {
        const struct column *column = &c->column[first + (at ? at[i] : i)];

        if (i > 0)
            buf_str(&f->key, STR(", "));
        if (!column->nulls[row])
            rowtext_value(&f->key, column, row);
    }
    return arena_str(&f->arena, buf_view(&f->key));
}

/* ---- snapshots ---- */

static int by_number(const void *pa, const void *pb)
{
    uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

    return (a > b) - (a < b);
}

bool snapshot_parse(struct arena *a, struct str text, struct source_snapshot *out, struct err *e)
{
    struct str rest = text, xmin, xmax, one;
    uint64_t *running;
    size_t n = 0;

    *out = (struct source_snapshot){0};
    if (!str_cut(&rest, ':', &xmin) || !str_cut(&rest, ':', &xmax) || !str_u64(xmin, &out->xmin) ||
        !str_u64(xmax, &out->xmax))
        return err_set(e, ERR_REMOTE, "\"%.*s\" is not a snapshot", STR_ARG(text));
    running = ARENA_ARRAY(a, uint64_t, text.n / 2 + 1);
    while (rest.n > 0 && str_cut(&rest, ',', &one))
        if (!str_u64(one, &running[n++]))
            return err_set(e, ERR_REMOTE, "\"%.*s\" is not a snapshot", STR_ARG(text));
    if (n > 0)
        qsort(running, n, sizeof *running, by_number);
    out->running = running;
    out->running_count = n;
    return true;
}

bool snapshot_sees(const struct source_snapshot *s, int64_t xid)
{
    uint64_t full = (s->xmax & ~(uint64_t)UINT32_MAX) | ((uint64_t)xid & UINT32_MAX);

    if (full >= s->xmax + (1ULL << 31) && full >= 1ULL << 32) // of the epoch before
        full -= 1ULL << 32;
    if (full < s->xmin)
        return true;
    if (full >= s->xmax)
        return false;
    return s->running_count == 0 || !bsearch(&full, s->running, s->running_count, sizeof full, by_number);
}
