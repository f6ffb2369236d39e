#include "lake/manifest.h"

#include "base/limits.h"
#include "base/mem.h"
#include "lake/manifest_schemas.h"
#include "schema/avro.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- writing: the fields in the order of the schemas ---- */

static void put_long(struct buf *b, int64_t v)
{
    buf_varint(b, v);
}

static void put_text(struct buf *b, struct str s)
{
    buf_varint(b, (int64_t)s.n);
    buf_str(b, s);
}

static void put_null(struct buf *b)
{
    buf_varint(b, 0); // the first branch of ["null", T]
}

static void put_some(struct buf *b)
{
    buf_varint(b, 1);
}

/* A map with int keys: an array of key and value, of those columns that have the value. */
enum metric_part { PART_SIZE, PART_VALUES, PART_NULLS, PART_LOWER, PART_UPPER };

static bool part_of(const struct ice_metric *m, enum metric_part part, int64_t *number, struct str *bytes)
{
    *bytes = part == PART_LOWER ? m->lower : part == PART_UPPER ? m->upper : STR_NULL;
    *number = part == PART_SIZE ? m->size : part == PART_VALUES ? m->values : m->nulls;
    return part < PART_LOWER ? *number >= 0 : bytes->p != NULL;
}

static void put_metrics(struct buf *b, const struct ice_file *f, enum metric_part part)
{
    int64_t number, n = 0;
    struct str bytes;
    for (size_t i = 0; i < f->metric_count; i++)
        n += part_of(&f->metrics[i], part, &number, &bytes);
    if (n == 0) {
        put_null(b);
        return;
    }
    put_some(b);
    put_long(b, n);
    for (size_t i = 0; i < f->metric_count; i++) {
        if (!part_of(&f->metrics[i], part, &number, &bytes))
            continue;
        put_long(b, f->metrics[i].id);
        if (bytes.p)
            put_text(b, bytes);
        else
            put_long(b, number);
    }
    put_long(b, 0); // no further block
}

static void put_file(struct buf *b, const struct ice_file *f)
{
    put_long(b, f->content);
    put_text(b, f->path);
    put_text(b, f->format);
    put_long(b, f->rows); // the partition before it is a record without fields: no bytes
    put_long(b, f->size_bytes);
    put_metrics(b, f, PART_SIZE);
    put_metrics(b, f, PART_VALUES);
    put_metrics(b, f, PART_NULLS);
    put_null(b); // nan_value_counts
    put_metrics(b, f, PART_LOWER);
    put_metrics(b, f, PART_UPPER);
    put_null(b); // key_metadata
    put_null(b); // split_offsets
    put_null(b); // equality_ids
    put_null(b); // sort_order_id
    if (f->referenced.p) {
        put_some(b);
        put_text(b, f->referenced);
    } else {
        put_null(b);
    }
}

static void put_optional_long(struct buf *b, int64_t v)
{
    if (v < 0) {
        put_null(b);
        return;
    }
    put_some(b);
    put_long(b, v);
}

struct container_head {
    const char *schema;
    const struct avro_file_meta *meta;
    size_t meta_count;
    const uint8_t *sync;
};

/* A container file of one block. */
static bool put_container(struct buf *out, const struct container_head *h, struct buf *rows, int64_t count,
                          struct err *e)
{
    static const struct str codec = {"deflate", 7};
    avro_file_begin(out, str_of(h->schema), codec, h->meta, h->meta_count, h->sync);
    if (!buf_ok(rows))
        return err_set(e, ERR_LIMIT, "a manifest would have more than %d bytes", MANIFEST_MAX);
    if (count > 0 && !avro_file_block(out, codec, count, buf_view(rows), h->sync, e))
        return false;
    return buf_ok(out) ? true : err_set(e, ERR_LIMIT, "a manifest would have more than %zu bytes", out->max);
}

bool manifest_write(const struct manifest_head *h, const struct ice_entry *entries, size_t count,
                    struct buf *out, struct err *e)
{
    struct buf rows = buf_make(MANIFEST_MAX);
    char id[16];
    snprintf(id, sizeof(id), "%d", h->schema_id);
    for (size_t i = 0; i < count; i++) {
        put_long(&rows, entries[i].status);
        put_optional_long(&rows, entries[i].snapshot_id);
        put_optional_long(&rows, entries[i].sequence);
        put_optional_long(&rows, entries[i].file_sequence);
        put_file(&rows, &entries[i].file);
    }
    const struct avro_file_meta meta[] = {
        {STR("schema"), h->schema_json},
        {STR("schema-id"), str_of(id)},
        {STR("partition-spec"), STR("[]")},
        {STR("partition-spec-id"), STR("0")},
        {STR("format-version"), STR("2")},
        {STR("content"), h->content == ICE_DATA ? STR("data") : STR("deletes")},
    };
    struct container_head head = {
        .schema = MANIFEST_SCHEMA, .meta = meta, .meta_count = ARRAY_LEN(meta), .sync = h->sync};
    bool ok = put_container(out, &head, &rows, (int64_t)count, e);
    buf_fini(&rows);
    return ok;
}

bool manifest_list_write(const struct manifest_list_head *h, const struct ice_manifest *list, size_t count,
                         struct buf *out, struct err *e)
{
    struct buf rows = buf_make(MANIFEST_MAX);
    char id[24], parent[24] = "null", sequence[24];
    snprintf(id, sizeof(id), "%" PRId64, h->snapshot_id);
    snprintf(sequence, sizeof(sequence), "%" PRId64, h->sequence);
    if (h->parent != -1)
        snprintf(parent, sizeof(parent), "%" PRId64, h->parent);
    for (size_t i = 0; i < count; i++) {
        const struct ice_manifest *m = &list[i];
        put_text(&rows, m->path);
        const int64_t numbers[] = {m->length,        m->spec_id,        m->content,       m->sequence,
                                   m->min_sequence,  m->added_snapshot, m->added_files,   m->existing_files,
                                   m->deleted_files, m->added_rows,     m->existing_rows, m->deleted_rows};
        for (size_t k = 0; k < ARRAY_LEN(numbers); k++)
            put_long(&rows, numbers[k]);
        put_some(&rows);
        put_long(&rows, 0); // partitions: none
        put_null(&rows);    // key_metadata
    }
    const struct avro_file_meta meta[] = {
        {STR("snapshot-id"), str_of(id)},
        {STR("parent-snapshot-id"), str_of(parent)},
        {STR("sequence-number"), str_of(sequence)},
        {STR("format-version"), STR("2")},
    };
    struct container_head head = {
        .schema = MANIFEST_LIST_SCHEMA, .meta = meta, .meta_count = ARRAY_LEN(meta), .sync = h->sync};
    bool ok = put_container(out, &head, &rows, (int64_t)count, e);
    buf_fini(&rows);
    return ok;
}

/* ---- reading: whatever order, found by field id ---- */

/* The next value's type with its union resolved; NULL: it is null, or r failed. */
static const struct avro *present(const struct avro *s, struct rd *r)
{
    const struct avro *t = avro_branch(s, r);
    return t && t->kind != AVRO_NULL ? t : NULL;
}

static int64_t get_long(const struct avro *s, struct rd *r, int64_t otherwise)
{
    const struct avro *t = present(s, r);
    if (!t)
        return otherwise;
    if (t->kind != AVRO_INT && t->kind != AVRO_LONG) {
        rd_fail(r, "a field that should be a number is none");
        return otherwise;
    }
    return rd_varint(r);
}

static struct str get_text(const struct avro *s, struct rd *r, struct arena *a)
{
    const struct avro *t = present(s, r);
    if (!t)
        return STR_NULL;
    if (t->kind != AVRO_STRING && t->kind != AVRO_BYTES) {
        rd_fail(r, "a field that should be text is none");
        return STR_NULL;
    }
    int64_t n = rd_varint(r);
    struct str bytes = rd_bytes(r, rd_count(r, n, 1));
    return rd_ok(r) ? arena_str(a, bytes) : STR_NULL;
}

static struct ice_metric *metric_of(struct ice_file *f, size_t *cap, int64_t id, struct rd *r)
{
    for (size_t i = 0; i < f->metric_count; i++)
        if (f->metrics[i].id == id)
            return &f->metrics[i];
    if (id < 0 || id > INT32_MAX || f->metric_count > 10000) {
        rd_fail(r, "metrics of a column that cannot be");
        return NULL;
    }
    MEM_PUSH_ROOM(f->metrics, f->metric_count, *cap);
    f->metrics[f->metric_count] = (struct ice_metric){.id = (int)id, .size = -1, .values = -1, .nulls = -1};
    return &f->metrics[f->metric_count++];
}

/* One pair of a metrics map: a record of two fields, the key the one with the odd id in the specification's tables. */
static void get_pair(const struct avro *pair, int part, struct ice_file *f, size_t *cap, struct arena *a,
                     struct rd *r)
{
    int64_t key = -1, number = -1;
    struct str bytes = STR_NULL;
    for (size_t i = 0; i < pair->count && rd_ok(r); i++) {
        const struct avro *t = pair->fields[i].type;
        if (str_is(pair->fields[i].name, "key"))
            key = get_long(t, r, -1);
        else if (part >= PART_LOWER)
            bytes = get_text(t, r, a);
        else
            number = get_long(t, r, -1);
    }
    struct ice_metric *m = rd_ok(r) ? metric_of(f, cap, key, r) : NULL;
    if (!m)
        return;
    *(part == PART_LOWER ? &m->lower : part == PART_UPPER ? &m->upper : &bytes) = bytes;
    *(part == PART_SIZE     ? &m->size
      : part == PART_VALUES ? &m->values
      : part == PART_NULLS  ? &m->nulls
                            : &number) = number;
}

static void get_metrics(const struct avro *s, int part, struct ice_file *f, size_t *cap, struct arena *a,
                        struct rd *r)
{
    const struct avro *t = present(s, r);
    if (!t)
        return;
    if (t->kind != AVRO_ARRAY || t->items->kind != AVRO_RECORD) {
        rd_fail(r, "metrics are no list of pairs");
        return;
    }
    for (int64_t n; (n = avro_block(t, r)) > 0;)
        for (int64_t i = 0; i < n && rd_ok(r); i++)
            get_pair(t->items, part, f, cap, a, r);
}

static void get_file(const struct avro *s, struct ice_file *f, struct arena *a, struct rd *r)
{
    const struct avro *t = present(s, r);
    size_t cap = 0;
    if (!t || t->kind != AVRO_RECORD) {
        rd_fail(r, "an entry without its data_file");
        return;
    }
    for (size_t i = 0; i < t->count && rd_ok(r); i++) {
        const struct avro *type = t->fields[i].type;
        switch (t->fields[i].field_id) {
        case 134:
            f->content = (enum ice_content)get_long(type, r, ICE_DATA);
            break;
        case 100:
            f->path = get_text(type, r, a);
            break;
        case 101:
            f->format = get_text(type, r, a);
            break;
        case 103:
            f->rows = get_long(type, r, 0);
            break;
        case 104:
            f->size_bytes = get_long(type, r, 0);
            break;
        case 108:
            get_metrics(type, PART_SIZE, f, &cap, a, r);
            break;
        case 109:
            get_metrics(type, PART_VALUES, f, &cap, a, r);
            break;
        case 110:
            get_metrics(type, PART_NULLS, f, &cap, a, r);
            break;
        case 125:
            get_metrics(type, PART_LOWER, f, &cap, a, r);
            break;
        case 128:
            get_metrics(type, PART_UPPER, f, &cap, a, r);
            break;
        case 143:
            f->referenced = get_text(type, r, a);
            break;
        default:
            avro_skip(type, r);
        }
    }
    struct ice_metric *grown = f->metrics;
    f->metrics = arena_copy(a, grown ? (void *)grown : "", f->metric_count * sizeof(*grown));
    mem_free(grown);
    if (rd_ok(r) && (!f->path.p || f->rows < 0 || f->size_bytes < 0 || f->content > ICE_EQUALITY_DELETES))
        rd_fail(r, "a data_file without path, or with counts below zero");
}

static void get_entry(const struct avro *s, void *row, struct arena *a, struct rd *r)
{
    struct ice_entry *out = row;
    *out = (struct ice_entry){.snapshot_id = -1, .sequence = -1, .file_sequence = -1};
    for (size_t i = 0; i < s->count && rd_ok(r); i++) {
        const struct avro *type = s->fields[i].type;
        switch (s->fields[i].field_id) {
        case 0:
            out->status = (enum ice_status)get_long(type, r, 0);
            break;
        case 1:
            out->snapshot_id = get_long(type, r, -1);
            break;
        case 3:
            out->sequence = get_long(type, r, -1);
            break;
        case 4:
            out->file_sequence = get_long(type, r, -1);
            break;
        case 2:
            get_file(type, &out->file, a, r);
            break;
        default:
            avro_skip(type, r);
        }
    }
    if (rd_ok(r) && (out->status > ICE_DELETED || !out->file.path.p))
        rd_fail(r, "an entry without status or data_file");
}

static void get_manifest(const struct avro *s, void *row, struct arena *a, struct rd *r)
{
    struct ice_manifest *m = row;
    int64_t v[20] = {0};
    *m = (struct ice_manifest){0};
    for (size_t i = 0; i < s->count && rd_ok(r); i++) {
        const struct avro *type = s->fields[i].type;
        int id = s->fields[i].field_id;
        if (id == 500)
            m->path = get_text(type, r, a);
        else if (id >= 501 && id <= 517 && id != 507)
            v[id - 500] = get_long(type, r, 0);
        else
            avro_skip(type, r);
    }
    m->length = v[1];
    m->spec_id = (int)v[2];
    m->added_snapshot = v[3];
    m->added_files = (int)v[4];
    m->existing_files = (int)v[5];
    m->deleted_files = (int)v[6];
    m->added_rows = v[12];
    m->existing_rows = v[13];
    m->deleted_rows = v[14];
    m->sequence = v[15];
    m->min_sequence = v[16];
    m->content = v[17] == 0 ? ICE_DATA : ICE_POSITION_DELETES;
    if (rd_ok(r) && !m->path.p)
        rd_fail(r, "a manifest without a path");
}

/* ---- containers ---- */

struct container {
    struct avro_file file;
    struct avro *schema;
};

static bool container_open(struct container *c, struct str bytes, struct arena *a, struct err *e)
{
    if (!avro_file_open(&c->file, a, bytes, e) || !avro_parse(a, c->file.schema_text, &c->schema, e))
        return false;
    if (c->schema->kind != AVRO_RECORD)
        return err_set(e, ERR_CORRUPT, "its schema is no record");
    return true;
}

/* The next block; false at the end, or when *ok became false. Each row has at least one byte, which bounds count. */
static bool container_block(struct container *c, int64_t *count, struct rd *r, bool *ok, struct err *e)
{
    struct str data;
    struct err why = {0};
    *ok = true;
    if (!avro_file_next(&c->file, count, &data, &why)) {
        *ok = why.kind == ERR_NONE;
        if (!*ok)
            *e = why;
        return false;
    }
    *r = rd_str(data);
    if (*count < 0 || (uint64_t)*count > data.n)
        *ok = err_set(e, ERR_CORRUPT, "a block says it has %" PRId64 " rows in %zu bytes", *count, data.n);
    return *ok;
}

typedef void get_row_fn(const struct avro *schema, void *row, struct arena *a, struct rd *r);

struct rows {
    void *p;
    size_t n;
};

/* All rows of a file, `row_bytes` each, in a. `row`: what to call one in an error. */
static bool container_rows(struct str bytes, struct arena *a, get_row_fn *get, size_t row_bytes,
                           const char *row, struct rows *out, struct err *e)
{
    struct container c;
    struct rd r = {0};
    uint8_t *list = NULL;
    size_t n = 0, cap = 0;
    int64_t in_block;
    bool ok = container_open(&c, bytes, a, e);
    while (ok && container_block(&c, &in_block, &r, &ok, e)) {
        for (int64_t i = 0; i < in_block && rd_ok(&r); i++) {
            list = mem_room(list, n, &cap, row_bytes);
            get(c.schema, list + n++ * row_bytes, a, &r);
        }
        if (!rd_ok(&r))
            ok = err_set(e, ERR_CORRUPT, "%s %zu: %s", row, n, rd_why(&r));
    }
    out->p = ok ? arena_copy(a, list ? (void *)list : "", n * row_bytes) : NULL;
    out->n = ok ? n : 0;
    mem_free(list);
    return ok;
}

bool manifest_read(const struct ice_manifest *m, struct str bytes, struct arena *a,
                   struct ice_entry **entries, size_t *count, struct err *e)
{
    struct rows rows;
    bool ok = container_rows(bytes, a, get_entry, sizeof(struct ice_entry), "entry", &rows, e);
    *entries = rows.p;
    *count = rows.n;
    for (size_t i = 0; i < rows.n; i++) { // inheritance (specification, "Sequence Number Inheritance")
        struct ice_entry *t = &(*entries)[i];
        t->snapshot_id = t->snapshot_id < 0 ? m->added_snapshot : t->snapshot_id;
        t->sequence = t->sequence < 0 ? m->sequence : t->sequence;
        t->file_sequence = t->file_sequence < 0 ? m->sequence : t->file_sequence;
    }
    return ok ? true : err_wrap(e, "manifest %.*s", STR_ARG(m->path));
}

bool manifest_list_read(struct str bytes, struct arena *a, struct ice_manifest **out, size_t *count,
                        struct err *e)
{
    struct rows rows;
    bool ok =
        container_rows(bytes, a, get_manifest, sizeof(struct ice_manifest), "manifest of the list", &rows, e);
    *out = rows.p;
    *count = rows.n;
    return ok;
}
