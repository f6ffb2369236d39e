#include "base/map.h"
#include "base/mem.h"
#include "schema/avro_int.h"

#include <assert.h>

/*
 * Java's SchemaCompatibility.checkReaderWriterCompatibility (Avro 1.11). A pair of types that is being compared already is
 * taken to fit, so records inside themselves end; a pair that was compared before has its answer kept.
 */
enum { PAIRS_MAX = 200000, DIFFERENCES_MAX = 200 };

/* What is known of a pair; of one that differs, its first difference, to be told again where it is met again. */
struct pair {
    bool differs;
    struct avro_difference first;
};

struct compare {
    struct arena *a;
    struct map pairs;
    struct buf path;
    struct avro_difference *list;
    size_t count, cap;
    bool too_large;
};

static bool fits(struct compare *c, const char *token, const struct avro *r, const struct avro *w, int depth);

const char *avro_difference_name(enum avro_difference_kind kind)
{
    static const char *const names[] = {
        [AVRO_NAME_MISMATCH] = "NAME_MISMATCH",
        [AVRO_FIXED_SIZE_MISMATCH] = "FIXED_SIZE_MISMATCH",
        [AVRO_MISSING_ENUM_SYMBOLS] = "MISSING_ENUM_SYMBOLS",
        [AVRO_READER_FIELD_MISSING_DEFAULT_VALUE] = "READER_FIELD_MISSING_DEFAULT_VALUE",
        [AVRO_TYPE_MISMATCH] = "TYPE_MISMATCH",
        [AVRO_MISSING_UNION_BRANCH] = "MISSING_UNION_BRANCH",
    };

    return names[kind];
}

/* Notes a difference at the path (and `below` it); always false. */
static bool differ(struct compare *c, enum avro_difference_kind kind, const char *below, const char *text,
                   const char *what)
{
    if (c->count < DIFFERENCES_MAX) {
        MEM_PUSH_ROOM(c->list, c->count, c->cap);
        c->list[c->count++] = (struct avro_difference){
            .kind = kind,
            .path = str_of(arena_fmt(c->a, "%.*s%s", STR_ARG(buf_view(&c->path)), below)),
            .text = str_of(text),
            .what = str_of(what),
        };
    }
    return false;
}

static const char *upper_kind(const struct avro *s)
{
    static const char *const names[] = {"NULL",   "BOOLEAN", "INT",  "LONG",  "FLOAT", "DOUBLE", "BYTES",
                                        "STRING", "RECORD",  "ENUM", "ARRAY", "MAP",   "UNION",  "FIXED"};

    return names[s->kind];
}

/* Without its namespace. */
static struct str last_name(struct str full)
{
    for (size_t i = full.n; i > 0; i--)
        if (full.p[i - 1] == '.')
            return str_from(full.p + i, full.n - i);
    return full;
}

static bool name_fits(struct compare *c, const struct avro *r, const struct avro *w)
{
    if (str_eq(last_name(r->name), last_name(w->name)))
        return true;
    for (size_t i = 0; i < r->alias_count; i++)
        if (str_eq(r->aliases[i], w->name))
            return true;
    return differ(c, AVRO_NAME_MISMATCH, "/name",
                  arena_fmt(c->a, "the name is %.*s for the reader and %.*s for the writer", STR_ARG(r->name),
                            STR_ARG(w->name)),
                  arena_fmt(c->a, "expected: %.*s", STR_ARG(w->name)));
}

static bool enum_fits(struct compare *c, const struct avro *r, const struct avro *w)
{
    struct buf missing = buf_make(4000);
    struct map have = {0};
    size_t n = 0;

    if (!name_fits(c, r, w))
        return false;
    if (r->enum_default.p)
        return true;
    for (size_t i = 0; i < r->count; i++)
        (void)map_put(&have, r->symbols[i], &have);
    for (size_t i = 0; i < w->count; i++)
        if (!map_get(&have, w->symbols[i]))
            buf_fmt(&missing, "%s%.*s", n++ ? ", " : "", STR_ARG(w->symbols[i]));
    map_fini(&have);
    if (n > 0) {
        const char *list = arena_fmt(c->a, "[%.*s]", STR_ARG(buf_view(&missing)));

        (void)differ(
            c, AVRO_MISSING_ENUM_SYMBOLS, "/symbols",
            arena_fmt(c->a, "the reader's enum lacks symbols of the writer and has no default: %s", list),
            list);
    }
    buf_fini(&missing);
    return n == 0;
}

static bool fixed_fits(struct compare *c, const struct avro *r, const struct avro *w)
{
    if (!name_fits(c, r, w))
        return false;
    if (r->size == w->size)
        return true;
    return differ(c, AVRO_FIXED_SIZE_MISMATCH, "/size",
                  arena_fmt(c->a, "the reader expects %d bytes and the writer has %d", r->size, w->size),
                  arena_fmt(c->a, "expected: %d, found: %d", w->size, r->size));
}

/* The writer's field that a reader's field is read from: by name, else by one of the reader's aliases. */
static const struct avro_field *writer_field(const struct avro *w, const struct avro_field *f)
{
    const struct avro_field *found = avro_field(w, f->name);

    for (size_t i = 0; !found && i < f->alias_count; i++)
        found = avro_field(w, f->aliases[i]);
    return found;
}

static bool record_fits(struct compare *c, const struct avro *r, const struct avro *w, int depth)
{
    bool ok = name_fits(c, r, w);

    for (size_t i = 0; i < r->count && !c->too_large; i++) {
        const struct avro_field *f = &r->fields[i], *from = writer_field(w, f);
        size_t before = c->path.n;

        buf_fmt(&c->path, "/fields/%zu", i);
        if (from)
            ok = fits(c, "/type", f->type, from->type, depth) && ok;
        else if (!f->has_default)
            ok = differ(c, AVRO_READER_FIELD_MISSING_DEFAULT_VALUE, "",
                        arena_fmt(c->a,
                                  "the reader's field %.*s is not in the writer's schema and has no default",
                                  STR_ARG(f->name)),
                        arena_fmt(c->a, "%.*s", STR_ARG(f->name)));
        c->path.n = before;
    }
    return ok;
}

/* Each type that the writer may have written must be read. */
static bool writer_union_fits(struct compare *c, const struct avro *r, const struct avro *w, int depth)
{
    bool ok = true;

    for (size_t i = 0; i < w->count && !c->too_large; i++) {
        char token[32];

        (void)snprintf(token, sizeof token, "/%zu", i);
        ok = fits(c, token, r, w->branches[i], depth) && ok;
    }
    return ok;
}

/* One branch that reads it is enough; why the others do not is nobody's matter. */
static bool reader_union_fits(struct compare *c, const struct avro *r, const struct avro *w, int depth)
{
    size_t before = c->count;

    for (size_t i = 0; i < r->count && !c->too_large; i++) {
        bool ok = fits(c, "", r->branches[i], w, depth);

        c->count = before;
        if (ok)
            return true;
    }
    return differ(c, AVRO_MISSING_UNION_BRANCH, "",
                  arena_fmt(c->a, "the reader's union lacks the writer's type %s%s%.*s",
                            avro_kind_name(w->kind), w->name.p ? " " : "", STR_ARG(w->name)),
                  arena_fmt(c->a, "reader union lacking writer type: %s", upper_kind(w)));
}

static bool promotes(enum avro_kind r, enum avro_kind w)
{
    switch (r) {
    case AVRO_LONG:
        return w == AVRO_INT;
    case AVRO_FLOAT:
        return w == AVRO_INT || w == AVRO_LONG;
    case AVRO_DOUBLE:
        return w == AVRO_INT || w == AVRO_LONG || w == AVRO_FLOAT;
    case AVRO_BYTES:
        return w == AVRO_STRING;
    case AVRO_STRING:
        return w == AVRO_BYTES;
    default:
        return false;
    }
}

static bool same_kind_fits(struct compare *c, const struct avro *r, const struct avro *w, int depth)
{
    switch (r->kind) {
    case AVRO_RECORD:
        return record_fits(c, r, w, depth);
    case AVRO_ENUM:
        return enum_fits(c, r, w);
    case AVRO_FIXED:
        return fixed_fits(c, r, w);
    case AVRO_ARRAY:
        return fits(c, "/items", r->items, w->items, depth);
    case AVRO_MAP:
        return fits(c, "/values", r->items, w->items, depth);
    case AVRO_UNION:
        return writer_union_fits(c, r, w, depth);
    default:
        return true;
    }
}

static bool compare_types(struct compare *c, const struct avro *r, const struct avro *w, int depth)
{
    if (r->kind == w->kind)
        return same_kind_fits(c, r, w, depth);
    if (w->kind == AVRO_UNION)
        return writer_union_fits(c, r, w, depth);
    if (r->kind == AVRO_UNION)
        return reader_union_fits(c, r, w, depth);
    if (promotes(r->kind, w->kind))
        return true;
    return differ(
        c, AVRO_TYPE_MISMATCH, "",
        arena_fmt(c->a, "the reader's type %s cannot be read from the writer's type %s",
                  avro_kind_name(r->kind), avro_kind_name(w->kind)),
        arena_fmt(c->a, "reader type: %s not compatible with writer type: %s", upper_kind(r), upper_kind(w)));
}

static bool known_fits(struct compare *c, const char *token, const struct pair *p)
{
    if (!p->differs)
        return true;
    return differ(c, p->first.kind, token, p->first.text.p ? p->first.text.p : "the types differ",
                  p->first.what.p ? p->first.what.p : "");
}

static bool fits(struct compare *c, const char *token, const struct avro *r, const struct avro *w, int depth)
{
    const void *both[2] = {r, w};
    struct str key = str_from(both, sizeof both);
    size_t before = c->path.n, first = c->count;
    struct pair *p;

    if (r->kind <= AVRO_STRING && r->kind == w->kind)
        return true;
    p = map_get(&c->pairs, key);
    if (p)
        return known_fits(c, token, p);
    if (c->pairs.n >= PAIRS_MAX || depth > AVRO_DEPTH)
        c->too_large = true;
    if (c->too_large)
        return false;
    p = ARENA_NEW(c->a, struct pair);
    (void)map_put(&c->pairs, key, p);
    buf_str(&c->path, str_of(token));
    p->differs = !compare_types(c, r, w, depth + 1);
    if (p->differs && first < c->count)
        p->first = c->list[first];
    c->path.n = before;
    return !p->differs;
}

bool avro_compare(const struct avro *reader, const struct avro *writer, struct arena *a,
                  struct avro_difference **out, size_t *count, struct err *e)
{
    struct compare c = {.a = a, .path = buf_make(1 << 16)};
    bool ok = fits(&c, "", reader, writer, 0);

    *count = c.count;
    *out = arena_copy(a, c.list, c.count * sizeof *c.list);
    assert(ok == (c.count == 0) || c.too_large);
    map_fini(&c.pairs);
    buf_fini(&c.path);
    mem_free(c.list);
    if (c.too_large)
        return err_set(e, ERR_LIMIT, "the schemas are too large to compare");
    return true;
}

bool avro_can_read(const struct avro *reader, const struct avro *writer, struct buf *why)
{
    struct arena a = {0};
    struct avro_difference *list;
    struct err e;
    size_t n = 0;
    bool ok = avro_compare(reader, writer, &a, &list, &n, &e);

    if (!ok)
        buf_str(why, str_of(e.msg));
    else if (n > 0)
        buf_fmt(why, "%s: %.*s (at %s)", avro_difference_name(list[0].kind), STR_ARG(list[0].text),
                list[0].path.n ? list[0].path.p : "/");
    arena_fini(&a);
    return ok && n == 0;
}
