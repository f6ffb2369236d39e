/* Data and delete files: in memory, and written as Parquet with their metrics. */
#include "lake/lake_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "object/object.h"
#include "os/os.h"

#include <inttypes.h>

enum { DELETE_PATH_ID = 2147483546, DELETE_POS_ID = 2147483545, SELECT_MAX = 16 * 1024 * 1024 };

/* ---- sets of rows ---- */

struct bits *bits_new(size_t n, const struct bits *from)
{
    struct bits *b = mem_zero(sizeof(*b) + (n + 63) / 64 * sizeof(uint64_t));
    b->refs = 1;
    b->n = n;
    if (from) {
        size_t words = (from->n < n ? from->n : n) / 64 + ((from->n < n ? from->n : n) % 64 != 0);
        memcpy(b->w, from->w, words * sizeof(uint64_t));
        b->set = from->set;
    }
    return b;
}

struct bits *bits_ref(struct bits *b)
{
    if (b)
        atomic_fetch_add(&b->refs, 1);
    return b;
}

void bits_unref(struct bits *b)
{
    if (b && atomic_fetch_sub(&b->refs, 1) == 1)
        mem_free(b);
}

void bits_add(struct bits *b, size_t i)
{
    uint64_t bit = (uint64_t)1 << (i % 64);
    if (i >= b->n || b->w[i / 64] & bit)
        return;
    b->w[i / 64] |= bit;
    b->set++;
}

/* ---- files ---- */

struct data_file *file_new(struct lake *l, const struct ice_entry *entry)
{
    struct data_file *f = MEM_NEW(struct data_file);
    f->refs = 1;
    f->lake = l;
    f->number = LAKE_NO_FILE;
    mutex_init(&f->lock);
    f->entry = *entry;
    struct ice_file *to = &f->entry.file;
    to->path = arena_str(&f->arena, entry->file.path);
    to->format = arena_str(&f->arena, entry->file.format);
    to->referenced = arena_str(&f->arena, entry->file.referenced);
    to->metrics = arena_copy(&f->arena, entry->file.metrics ? (void *)entry->file.metrics : "",
                             to->metric_count * sizeof(*to->metrics));
    for (size_t i = 0; i < to->metric_count; i++) {
        to->metrics[i].lower = arena_str(&f->arena, to->metrics[i].lower);
        to->metrics[i].upper = arena_str(&f->arena, to->metrics[i].upper);
    }
    return f;
}

struct data_file *file_ref(struct data_file *f)
{
    if (f)
        atomic_fetch_add(&f->refs, 1);
    return f;
}

void file_unref(struct data_file *f)
{
    if (!f || atomic_fetch_sub(&f->refs, 1) > 1)
        return;
    if (f->get)
        object_get_close(f->get);
    mutex_fini(&f->lock);
    arena_fini(&f->arena);
    mem_free(f);
}

bool file_path(struct data_file *f, const char **path, struct err *e)
{
    struct arena a = {0};
    struct object_info info;
    struct object_get *get = NULL;
    struct str bucket, key;
    mutex_lock(&f->lock);
    bool open = f->get != NULL;
    mutex_unlock(&f->lock);
    bool ok = open || (uri_parts(f->entry.file.path, &bucket, &key, e) &&
                       object_get_open(f->lake->blobs, bucket, key, &a, &info, &get, e));
    arena_fini(&a);
    if (!ok)
        return err_wrap(e, "%.*s", STR_ARG(f->entry.file.path));
    mutex_lock(&f->lock);
    if (!f->get) {
        f->get = get;
        get = NULL;
    }
    mutex_unlock(&f->lock);
    if (get)
        object_get_close(get); // somebody else was faster
    *path = object_get_path(f->get);
    return *path ? true
                 : err_set(e, ERR_UNSUPPORTED, "%.*s is on another server: queries read local objects only",
                           STR_ARG(f->entry.file.path));
}

/* ---- SQL of files ---- */

void column_sql_type(const struct column *c, struct buf *out)
{
    if (c->type == COLUMN_DECIMAL)
        buf_fmt(out, "DECIMAL(%u,%u)", c->precision, c->scale);
    else
        buf_str(out, str_of(column_type_name(c->type)));
}

void read_files_sql(const struct ice_schema *schema, const char *const *paths, size_t count, struct buf *out)
{
    struct buf type = buf_make(KIB);
    buf_str(out, STR("read_parquet(["));
    for (size_t i = 0; i < count; i++) {
        buf_str(out, i ? STR(", ") : STR(""));
        sql_literal(out, str_of(paths[i]));
    }
    buf_str(out, STR("], schema = MAP {"));
    for (size_t i = 0; i < schema->count; i++) {
        buf_reset(&type);
        column_sql_type(&schema->fields[i].like, &type);
        buf_fmt(out, "%s%d: {name: ", i ? ", " : "", schema->fields[i].id);
        sql_literal(out, schema->fields[i].like.name);
        buf_str(out, STR(", type: "));
        sql_literal(out, buf_view(&type));
        buf_str(out, STR(", default_value: NULL}"));
    }
    buf_str(out, STR("})"));
    buf_fini(&type);
}

/* ---- writing ---- */

static struct str empty_is(struct str s, struct arena *a)
{
    return s.p && s.n == 0 ? str_from(arena_alloc(a, 1), 0) : s;
}

static void metrics_of(const struct file_rows *w, const struct parquet_stats *stats, struct arena *a,
                       struct ice_file *out)
{
    out->rows = stats->rows;
    out->size_bytes = stats->size_bytes;
    out->metric_count = w->schema->count;
    out->metrics = ARENA_ARRAY(a, struct ice_metric, out->metric_count + 1);
    for (size_t i = 0; i < out->metric_count; i++) {
        const struct parquet_column *c = &stats->columns[i];
        const struct column *like = &w->schema->fields[i].like;
        struct ice_metric *m = &out->metrics[i];
        *m =
            (struct ice_metric){.id = c->id, .size = c->size_bytes, .values = stats->rows, .nulls = c->nulls};
        if (w->content == ICE_POSITION_DELETES && like->type == COLUMN_TEXT) {
            m->lower = m->upper = w->referenced; // whole: it says which file they are of
        } else if (!c->has_nan) {
            m->lower = empty_is(ice_bound(like, c->min, false, a), a);
            m->upper = empty_is(ice_bound(like, c->max, true, a), a);
        }
    }
}

static bool write_parquet(struct session *s, const struct file_rows *w, const char *path, struct arena *a,
                          struct parquet_stats *stats, struct err *e)
{
    struct parquet_field *fields = ARENA_ARRAY(a, struct parquet_field, w->schema->count + 1);
    struct buf json = buf_make(ICE_METADATA_MAX);
    for (size_t i = 0; i < w->schema->count; i++)
        fields[i] =
            (struct parquet_field){.name = w->schema->fields[i].like.name, .id = w->schema->fields[i].id};
    ice_schema_text(w->schema, &json);
    struct parquet_write p = {
        .path = path,
        .select = w->select,
        .fields = fields,
        .count = w->schema->count,
        .codec = "zstd",
        .iceberg_schema = w->content == ICE_DATA ? buf_view(&json) : STR_NULL,
    };
    bool ok = session_write_parquet(s, &p, a, stats, e);
    buf_fini(&json);
    return ok;
}

bool file_write(struct lake *l, struct session *s, const struct file_rows *w, struct data_file **out,
                struct err *e)
{
    struct arena a = {0};
    struct parquet_stats stats;
    struct ice_entry entry = {.status = ICE_ADDED, .snapshot_id = -1, .sequence = -1, .file_sequence = -1};
    struct str bucket, key;
    char id[37];
    const char *path = lake_temp(l, &a, ".parquet");

    *out = NULL;
    bool ok = write_parquet(s, w, path, &a, &stats, e);
    if (ok && stats.rows > 0) {
        lake_uuid(l, id);
        metrics_of(w, &stats, &a, &entry.file);
        entry.file.content = w->content;
        entry.file.format = STR("PARQUET");
        entry.file.referenced = w->referenced;
        entry.file.path = str_of(arena_fmt(&a, "%.*s/data/%s%s.parquet", STR_ARG(w->location), id,
                                           w->content == ICE_DATA ? "" : "-deletes"));
        ok = uri_parts(entry.file.path, &bucket, &key, e) &&
             object_put_file(l->blobs, bucket, key, path, &entry.file.size_bytes, e);
        if (ok)
            *out = file_new(l, &entry);
    }
    if (!*out)
        l->os->unlink(l->os, path);
    arena_fini(&a);
    return ok;
}

/* ---- delete files ---- */

struct positions { // a source of one column: the rows of a set
    const struct bits *dead;
    size_t at;
    struct arena a;
    struct columns c;
};
static const struct column position_column = {.name = {"pos", 3}, .type = COLUMN_I64};
enum { POSITIONS_AT_ONCE = 4096 };

static void *positions_open(void *arg)
{
    struct positions *p = MEM_NEW(struct positions);
    p->dead = arg;
    columns_init(&p->c, &p->a, &position_column, 1, POSITIONS_AT_ONCE);
    return p;
}

static bool positions_next(void *cursor, struct engine_rows *out, struct err *e)
{
    struct positions *p = cursor;
    size_t n = 0;
    (void)e;
    for (; p->at < p->dead->n && n < POSITIONS_AT_ONCE; p->at++) {
        if (p->at % 64 == 0 && p->dead->w[p->at / 64] == 0)
            p->at += 63;
        else if (bits_has(p->dead, p->at))
            p->c.column[0].i64[n++] = (int64_t)p->at;
    }
    *out = (struct engine_rows){.columns = &p->c, .count = n};
    return true;
}

static void positions_close(void *cursor)
{
    struct positions *p = cursor;
    arena_fini(&p->a);
    mem_free(p);
}

bool file_write_deletes(struct lake *l, struct session *s, const struct data_file *of,
                        const struct bits *dead, struct str location, struct data_file **out, struct err *e)
{
    struct ice_field fields[] = {
        {DELETE_PATH_ID, {.name = STR("file_path"), .type = COLUMN_TEXT, .required = true}},
        {DELETE_POS_ID, {.name = STR("pos"), .type = COLUMN_I64, .required = true}},
    };
    struct ice_schema schema = {.fields = fields, .count = 2};
    struct engine_source src = {.like = &position_column,
                                .count = 1,
                                .arg = (void *)(uintptr_t)dead,
                                .open = positions_open,
                                .next = positions_next,
                                .close = positions_close};
    char name[ENGINE_NAME];
    struct buf sql = buf_make(SELECT_MAX);
    engine_source_add(l->engine, &src, name);
    buf_str(&sql, STR("SELECT "));
    sql_literal(&sql, of->entry.file.path);
    buf_fmt(&sql, " AS file_path, pos FROM tarn_source('%s')", name);
    struct file_rows w = {
        .select = buf_z(&sql),
        .schema = &schema,
        .location = location,
        .content = ICE_POSITION_DELETES,
        .referenced = of->entry.file.path,
    };
    bool ok = file_write(l, s, &w, out, e);
    engine_source_remove(l->engine, name);
    buf_fini(&sql);
    return ok;
}
