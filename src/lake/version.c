/* Versions of tables: loading them, and what is read of them only when it is needed. */
#include "lake/lake_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "lake/changes.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

struct version *version_new(struct table *t)
{
    struct version *v = MEM_NEW(struct version);
    v->refs = 1;
    v->table = t;
    v->lsn = -1;
    mutex_init(&v->lock);
    return v;
}

struct version *version_ref(struct version *v)
{
    if (v)
        atomic_fetch_add(&v->refs, 1);
    return v;
}

void version_unref(struct version *v)
{
    if (!v || atomic_fetch_sub(&v->refs, 1) > 1)
        return;
    for (size_t i = 0; i < v->slot_count; i++) {
        file_unref(v->slots[i].data);
        file_unref(v->slots[i].deletes);
        bits_unref(v->slots[i].dead);
    }
    keys_unref(v->keys);
    mem_free(v->by_number);
    ice_meta_free(v->meta);
    arena_fini(&v->arena);
    mutex_fini(&v->lock);
    mem_free(v);
}

int64_t version_next(const struct version *v, int32_t partition)
{
    for (size_t i = 0; v && i < v->offset_count; i++)
        if (v->offsets[i].partition == partition)
            return v->offsets[i].next;
    return -1;
}

/* tarn.offsets is {"0":1234,...}: partition to next offset. */
bool version_read_summary(struct version *v, struct err *e)
{
    struct str text = v->snapshot ? ice_summary(v->snapshot, "tarn.offsets") : STR_NULL;
    json_error_t why;
    int64_t partition;
    size_t n = 0;
    v->lsn = v->snapshot ? ice_summary_i64(v->snapshot, "tarn.lsn", -1) : -1;
    if (!text.p)
        return true;
    json_t *root = json_loadb(text.p, text.n, 0, &why);
    v->offsets = ARENA_ARRAY(&v->arena, struct lake_offset, json_object_size(root) + 1);
    bool ok = json_is_object(root);
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        ok = ok && json_is_integer(value) && str_i64(str_of(key), &partition) && partition >= 0 &&
             partition <= INT32_MAX;
        if (ok)
            v->offsets[n++] =
                (struct lake_offset){.partition = (int32_t)partition, .next = json_integer_value(value)};
    }
    v->offset_count = n;
    json_decref(root);
    return ok ? true
              : err_set(e, ERR_CORRUPT, "snapshot %" PRId64 ": tarn.offsets is no map of offsets",
                        v->snapshot->id);
}

/* ---- loading ---- */

struct loading {
    struct version *v;
    struct arena a; // texts of manifests
    struct data_file **deletes;
    size_t delete_count, delete_cap, slot_cap;
};

static void take_entry(struct loading *g, const struct ice_entry *entry)
{
    struct version *v = g->v;
    struct data_file *f = file_new(v->table->lake, entry);
    if (entry->file.content == ICE_DATA) {
        MEM_PUSH_ROOM(v->slots, v->slot_count, g->slot_cap);
        v->slots[v->slot_count++] = (struct slot){.data = f};
    } else {
        g->deletes = mem_room(g->deletes, g->delete_count, &g->delete_cap, sizeof(void *));
        g->deletes[g->delete_count++] = f;
    }
}

static bool take_manifest(struct loading *g, const struct ice_manifest *m, struct err *e)
{
    struct ice_entry *entries;
    struct str bytes;
    size_t n;
    arena_reset(&g->a);
    if (!lake_get(g->v->table->lake, m->path, MANIFEST_MAX, &g->a, &bytes, e) ||
        !manifest_read(m, bytes, &g->a, &entries, &n, e))
        return false;
    for (size_t i = 0; i < n; i++)
        if (entries[i].status != ICE_DELETED)
            take_entry(g, &entries[i]);
    return true;
}

/* A delete file that names one data file in its entry or by equal bounds of its column file_path. */
static struct str deletes_of(const struct ice_file *f)
{
    if (f->referenced.p)
        return f->referenced;
    for (size_t i = 0; i < f->metric_count; i++)
        if (f->metrics[i].id == 2147483546 && f->metrics[i].lower.p &&
            str_eq(f->metrics[i].lower, f->metrics[i].upper))
            return f->metrics[i].lower;
    return STR_NULL;
}

static bool attach_deletes(struct loading *g, struct err *e)
{
    struct version *v = g->v;
    struct map by_path = {0};
    bool ok = true;
    for (size_t i = 0; i < v->slot_count; i++)
        map_put(&by_path, v->slots[i].data->entry.file.path, &v->slots[i]);
    for (size_t i = 0; ok && i < g->delete_count; i++) {
        struct data_file *f = g->deletes[i];
        struct str of = deletes_of(&f->entry.file);
        struct slot *slot = of.p ? map_get(&by_path, of) : NULL;
        if (f->entry.file.content != ICE_POSITION_DELETES || !of.p || (slot && slot->deletes))
            ok = err_set(e, ERR_UNSUPPORTED,
                         "delete file %.*s is not of one data file alone: another program wrote it",
                         STR_ARG(f->entry.file.path));
        else if (slot)
            slot->deletes = file_ref(f);
    }
    map_fini(&by_path);
    return ok;
}

static bool load_files(struct version *v, struct err *e)
{
    struct loading g = {.v = v};
    struct str bytes;
    bool ok = lake_get(v->table->lake, v->snapshot->manifest_list, MANIFEST_MAX, &v->arena, &bytes, e) &&
              manifest_list_read(bytes, &v->arena, &v->manifests, &v->manifest_count, e);
    for (size_t i = 0; ok && i < v->manifest_count; i++)
        ok = take_manifest(&g, &v->manifests[i], e);
    ok = ok && attach_deletes(&g, e);
    struct slot *slots = v->slots;
    v->slots = ARENA_ARRAY(&v->arena, struct slot, v->slot_count + 1);
    memcpy(v->slots, slots ? (void *)slots : "", v->slot_count * sizeof(*slots));
    mem_free(slots);
    for (size_t i = 0; i < g.delete_count; i++)
        file_unref(g.deletes[i]);
    mem_free(g.deletes);
    arena_fini(&g.a);
    return ok;
}

static bool load(struct version *v, int64_t snapshot_id, struct err *e)
{
    struct str text;
    if (!lake_get(v->table->lake, v->metadata_location, ICE_METADATA_MAX, &v->arena, &text, e) ||
        !ice_meta_parse(text, &v->meta, e))
        return false;
    v->schema = v->meta->schema;
    if (snapshot_id == -1 && v->meta->current_snapshot == -1)
        return true;
    v->snapshot = ice_snapshot(v->meta, snapshot_id == -1 ? v->meta->current_snapshot : snapshot_id);
    if (!v->snapshot)
        return err_set(e, ERR_NOT_FOUND, "there is no snapshot %" PRId64 " (any more)", snapshot_id);
    return (snapshot_id == -1 || ice_snapshot_schema(v->meta, v->snapshot, &v->arena, &v->schema, e)) &&
           version_read_summary(v, e) && load_files(v, e);
}

/* The version that a metadata.json is; snapshot_id -1: its current snapshot. */
static bool version_load(struct table *t, struct str metadata_location, int64_t snapshot_id,
                         struct version **out, struct err *e)
{
    struct version *v = version_new(t);
    v->metadata_location = arena_str(&v->arena, metadata_location);
    if (!load(v, snapshot_id, e)) {
        version_unref(v);
        return err_wrap(e, "table %s", t->name);
    }
    *out = v;
    return true;
}

bool version_at(struct version *v, int64_t snapshot_id, struct version **out, struct err *e)
{
    if (v->snapshot && v->snapshot->id == snapshot_id) {
        *out = version_ref(v);
        return true;
    }
    return version_load(v->table, v->metadata_location, snapshot_id, out, e);
}

static struct version *current_locked(struct table *t, struct str *location, struct arena *a)
{
    *location = arena_str(a, t->info.metadata_location);
    return version_ref(t->current);
}

bool table_version(struct table *t, struct version **out, struct err *e)
{
    struct lake *l = t->lake;
    struct arena a = {0};
    struct str location;
    mutex_lock(&l->lock);
    *out = current_locked(t, &location, &a);
    mutex_unlock(&l->lock);
    bool ok = true;
    if (!*out && location.p) {
        struct version *loaded = NULL;
        ok = version_load(t, location, -1, &loaded, e);
        mutex_lock(&l->lock);
        if (ok && !t->current && str_eq(t->info.metadata_location, location))
            t->current = version_ref(loaded);
        *out = t->current ? version_ref(t->current) : version_ref(loaded); // a commit may have been faster
        mutex_unlock(&l->lock);
        version_unref(loaded);
    }
    arena_fini(&a);
    return ok;
}

/* ---- dead rows ---- */

static bool read_dead(struct session *s, struct data_file *deletes, struct bits *out, struct err *e)
{
    struct buf sql = buf_make(MIB);
    struct arena a = {0};
    struct columns c;
    struct result *r = NULL;
    const char *path;
    size_t rows = 1;
    bool ok = file_path(deletes, &path, e);
    if (ok) {
        buf_str(&sql, STR("SELECT pos FROM read_parquet("));
        sql_literal(&sql, str_of(path));
        buf_str(&sql,
                STR(", schema = MAP {2147483545: {name: 'pos', type: 'BIGINT', default_value: NULL}})"));
        ok = session_query(s, buf_view(&sql), 0, &r, e);
    }
    while (ok && (ok = result_next(r, &rows, e)) && rows > 0) {
        arena_reset(&a);
        ok = result_columns(r, &a, &c, e);
        for (size_t i = 0; ok && i < rows; i++)
            bits_add(out, (size_t)c.column[0].i64[i]);
    }
    result_free(r);
    arena_fini(&a);
    buf_fini(&sql);
    return ok ? true : err_wrap(e, "delete file %.*s", STR_ARG(deletes->entry.file.path));
}

bool version_need_dead(struct version *v, struct err *e)
{
    mutex_lock(&v->lock);
    bool has = v->has_dead;
    mutex_unlock(&v->lock);
    if (has)
        return true;
    struct session *s;
    struct bits **dead = MEM_ARRAY(struct bits *, v->slot_count + 1);
    bool ok = lake_session(v->table->lake, &s, e);
    for (size_t i = 0; ok && i < v->slot_count; i++)
        if (v->slots[i].deletes && !v->slots[i].dead) {
            dead[i] = bits_new((size_t)v->slots[i].data->entry.file.rows, NULL);
            ok = read_dead(s, v->slots[i].deletes, dead[i], e);
        }
    if (ok)
        lake_session_done(v->table->lake, s);
    mutex_lock(&v->lock);
    for (size_t i = 0; ok && !v->has_dead && i < v->slot_count; i++)
        if (dead[i]) {
            v->slots[i].dead = dead[i];
            dead[i] = NULL;
        }
    v->has_dead |= ok;
    mutex_unlock(&v->lock);
    for (size_t i = 0; i < v->slot_count; i++)
        bits_unref(dead[i]);
    mem_free(dead);
    return ok;
}

/* ---- the key index ---- */

char *keys_dir(const struct table *t, struct str uuid)
{
    return mem_fmt("%s/keys/%.*s", t->lake->dir, STR_ARG(uuid));
}

static int by_number(const void *x, const void *y)
{
    uint32_t a = (*(const struct slot *const *)x)->data->number,
             b = (*(const struct slot *const *)y)->data->number;
    return a < b ? -1 : a > b;
}

const struct slot **version_numbered(const struct version *v)
{
    const struct slot **list = MEM_ARRAY(const struct slot *, v->slot_count + 1);
    for (size_t i = 0; i < v->slot_count; i++)
        list[i] = &v->slots[i];
    qsort(list, v->slot_count, sizeof(void *), by_number);
    return list;
}

const struct slot *version_slot(const struct version *v, uint32_t number)
{
    size_t low = 0, high = v->slot_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (v->by_number[mid]->data->number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low < v->slot_count && v->by_number[low]->data->number == number ? v->by_number[low] : NULL;
}

bool version_live(void *arg, struct key_place at)
{
    const struct version *v = arg;
    const struct slot *s = version_slot(v, at.file);
    return s && at.pos < s->data->entry.file.rows && !bits_has(s->dead, at.pos);
}

bool keys_of_file(struct version *v, struct session *s, const struct data_file *f,
                  const struct key_secret *secret, struct key_entry **entries, size_t *count, struct err *e)
{
    struct data_file *file = (struct data_file *)(uintptr_t)f;
    struct ice_schema wanted = {.fields = ARENA_ARRAY(&v->arena, struct ice_field, v->schema.key_count + 1)};
    for (size_t i = 0; i < v->schema.key_count; i++)
        wanted.fields[wanted.count++] = *ice_field_by_id(&v->schema, v->schema.keys[i]);
    struct buf sql = buf_make(MIB);
    struct arena a = {0};
    struct columns c;
    struct result *r = NULL;
    const char *path;
    size_t rows = 1, n = 0, room = (size_t)f->entry.file.rows;
    bool ok = file_path(file, &path, e);
    *entries = MEM_ARRAY(struct key_entry, room + 1);
    if (ok) {
        buf_str(&sql, STR("SELECT * FROM "));
        read_files_sql(&wanted, &path, 1, &sql);
        ok = session_query(s, buf_view(&sql), 0, &r, e);
    }
    while (ok && (ok = result_next(r, &rows, e)) && rows > 0) {
        arena_reset(&a);
        ok = result_columns(r, &a, &c, e);
        for (size_t i = 0; ok && i < rows && n < room; i++, n++)
            (*entries)[n] =
                (struct key_entry){.key = changes_key(secret, &c, i), .at = {f->number, (uint32_t)n}};
    }
    *count = n;
    result_free(r);
    arena_fini(&a);
    buf_fini(&sql);
    if (ok && n != room)
        ok = err_set(e, ERR_CORRUPT, "%.*s has %zu rows, its entry says %zu", STR_ARG(f->entry.file.path), n,
                     room);
    return ok;
}

static bool nothing_live(void *arg, struct key_place at)
{
    (void)arg;
    (void)at;
    return true;
}

/* The index from nothing but the data files. Files get new numbers. */
static bool keys_anew(struct version *v, struct keys **out, struct err *e)
{
    char *dir = keys_dir(v->table, v->meta->uuid);
    struct keys *k = keys_new(v->table->lake->os, dir);
    struct session *s = NULL;
    bool ok = lake_session(v->table->lake, &s, e);
    for (size_t i = 0; ok && i < v->slot_count; i++) {
        struct key_add add = {.next_file = (uint32_t)i + 1, .live = nothing_live};
        struct keys *next = NULL;
        v->slots[i].data->number = (uint32_t)i;
        ok = keys_of_file(v, s, v->slots[i].data, keys_secret(k), &add.entries, &add.count, e) &&
             keys_add(k, &add, &next, e);
        mem_free(add.entries);
        if (ok) {
            keys_unref(k);
            k = next;
        }
    }
    if (ok)
        lake_session_done(v->table->lake, s);
    else
        session_close(s);
    mem_free(dir);
    if (!ok) {
        keys_unref(k);
        return err_wrap(e, "key index of %s", v->table->name);
    }
    *out = k;
    return true;
}

/* Gives the version's files the numbers that were saved; false when one of them is missing. */
static bool number_files(struct version *v, const struct keys_saved *saved)
{
    struct map by_path = {0};
    bool all = true;
    for (size_t i = 0; i < saved->file_count; i++)
        map_put(&by_path, saved->files[i].path, &saved->files[i]);
    for (size_t i = 0; i < v->slot_count; i++) {
        const struct key_file *f = map_get(&by_path, v->slots[i].data->entry.file.path);
        all = all && f;
        if (f)
            v->slots[i].data->number = f->number;
    }
    map_fini(&by_path);
    return all;
}

bool keys_save_version(struct keys *k, const struct version *v, struct err *e)
{
    struct key_file *files = MEM_ARRAY(struct key_file, v->slot_count + 1);
    for (size_t i = 0; i < v->slot_count; i++)
        files[i] =
            (struct key_file){.number = v->slots[i].data->number, .path = v->slots[i].data->entry.file.path};
    bool ok = keys_save(k, v->snapshot->id, files, v->slot_count, e);
    mem_free(files);
    return ok;
}

static bool open_keys(struct version *v, struct keys **out, struct err *e)
{
    char *dir = keys_dir(v->table, v->meta->uuid);
    struct keys_saved saved;
    bool ok = keys_open(v->table->lake->os, dir, v->snapshot->id, &v->arena, &saved, e);
    mem_free(dir);
    *out = ok ? saved.keys : NULL;
    if (*out && !number_files(v, &saved)) {
        keys_unref(*out);
        *out = NULL;
    }
    if (ok && !*out)
        ok = keys_anew(v, out, e) && keys_save_version(*out, v, e);
    if (ok)
        keys_tidy(*out, v->snapshot->id);
    return ok;
}

/* Only one thread may number the files: the table's turn for the index is the stream's tail turn or the table's own. */
bool version_need_keys(struct version *v, struct err *e)
{
    if (!version_need_dead(v, e))
        return false;
    turn_take(&v->table->keys_turn);
    mutex_lock(&v->lock);
    bool has = v->keys != NULL;
    mutex_unlock(&v->lock);
    struct keys *k = NULL;
    bool ok = has || !v->snapshot || open_keys(v, &k, e);
    const struct slot **list = ok && k ? version_numbered(v) : NULL;
    mutex_lock(&v->lock);
    if (ok && k) {
        v->keys = k;
        v->by_number = list;
    }
    mutex_unlock(&v->lock);
    turn_give(&v->table->keys_turn);
    return ok;
}
