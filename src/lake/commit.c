/*
 * Commits: from a change to the next version, and the one append that makes it count.
 *
 *     change_prepare()   manifests, manifest list and metadata.json are put as objects; the next version is made in memory
 *     lake_publish()     one append to _tables with a record for each table; then everybody sees the next versions
 *     change_fini()      after a failure: what was put is removed. Nobody can have seen it
 */
#include "lake/lake_int.h"
#include "obs/obs.h"

#include "base/limits.h"
#include "base/mem.h"
#include "log/log.h"
#include "os/os.h"

#include <assert.h>
#include <inttypes.h>

enum { MANIFESTS_MAX = 10 }; // of data files in a list; then they are merged into one

/* What a commit writes while it is under way. */
struct writing {
    struct table_change *c;
    struct lake *l;
    struct version *next;
    struct ice_snapshot snapshot;
    const struct ice_schema *schema; // of the snapshot
    struct ice_entry *entries;       // of the manifest being made
    size_t entry_count, entry_cap;
    struct ice_manifest *manifests; // of the list being made
    size_t manifest_count, manifest_cap;
};

static struct str remember(struct table_change *c, struct str uri)
{
    assert(c->written_count < ARRAY_LEN(c->written));
    return c->written[c->written_count++] = arena_str(&c->arena, uri);
}

/* ---- entries ---- */

static void add_entry(struct writing *w, const struct data_file *f, enum ice_status status)
{
    MEM_PUSH_ROOM(w->entries, w->entry_count, w->entry_cap);
    struct ice_entry *out = &w->entries[w->entry_count++];
    *out = f->entry;
    out->status = status;
    if (status != ICE_EXISTING)
        out->snapshot_id = w->snapshot.id;
    if (status == ICE_ADDED)
        out->sequence = out->file_sequence = -1; // the list's: a retry needs no new manifest
}

static bool slot_removed(const struct table_change *c, size_t i)
{
    return c->removed && c->removed[i];
}

static const struct slot *slot_changed(const struct table_change *c, size_t i)
{
    return c->changed && c->changed[i].data ? &c->changed[i] : NULL;
}

/* All delete files there are, and those that go now. */
static void delete_entries(struct writing *w)
{
    const struct table_change *c = w->c;
    for (size_t i = 0; c->base && i < c->base->slot_count; i++) {
        const struct slot *old = &c->base->slots[i], *changed = slot_changed(c, i);
        bool kept = !slot_removed(c, i) && !changed;
        if (old->deletes)
            add_entry(w, old->deletes, kept ? ICE_EXISTING : ICE_DELETED);
        if (changed && changed->deletes)
            add_entry(w, changed->deletes, ICE_ADDED);
    }
    for (size_t i = 0; i < c->added_count; i++)
        if (c->added[i].deletes)
            add_entry(w, c->added[i].deletes, ICE_ADDED);
}

/* `all`: files that stay too, and those that go. */
static void data_entries(struct writing *w, bool all)
{
    const struct table_change *c = w->c;
    for (size_t i = 0; all && c->base && i < c->base->slot_count; i++)
        add_entry(w, c->base->slots[i].data, slot_removed(c, i) ? ICE_DELETED : ICE_EXISTING);
    for (size_t i = 0; i < c->added_count; i++)
        add_entry(w, c->added[i].data, ICE_ADDED);
}

/* ---- manifests ---- */

static void count_entries(const struct writing *w, struct ice_manifest *m)
{
    m->min_sequence = m->sequence;
    for (size_t i = 0; i < w->entry_count; i++) {
        const struct ice_entry *t = &w->entries[i];
        int *files = t->status == ICE_ADDED      ? &m->added_files
                     : t->status == ICE_EXISTING ? &m->existing_files
                                                 : &m->deleted_files;
        int64_t *rows = t->status == ICE_ADDED      ? &m->added_rows
                        : t->status == ICE_EXISTING ? &m->existing_rows
                                                    : &m->deleted_rows;
        ++*files;
        *rows += t->file.rows;
        if (t->status != ICE_DELETED && t->sequence >= 0 && t->sequence < m->min_sequence)
            m->min_sequence = t->sequence;
    }
}

static void keep_manifest(struct writing *w, const struct ice_manifest *m)
{
    MEM_PUSH_ROOM(w->manifests, w->manifest_count, w->manifest_cap);
    w->manifests[w->manifest_count++] = *m;
}

/* The entries gathered become a manifest of the list. */
static bool write_manifest(struct writing *w, enum ice_content content, struct err *e)
{
    struct buf json = buf_make(ICE_METADATA_MAX), bytes = buf_make(MANIFEST_MAX);
    uint8_t sync[16];
    char id[37];
    if (w->entry_count == 0)
        return true;
    w->l->os->random(w->l->os, sync, sizeof(sync));
    lake_uuid(w->l, id);
    ice_schema_text(w->schema, &json);
    struct manifest_head h = {
        .schema_json = buf_view(&json), .schema_id = w->schema->id, .content = content, .sync = sync};
    struct ice_manifest m = {
        .content = content, .sequence = w->snapshot.sequence, .added_snapshot = w->snapshot.id};
    m.path = remember(w->c, str_of(arena_fmt(&w->c->arena, "%.*s/metadata/%s-m%d.avro",
                                             STR_ARG(w->c->location), id, content == ICE_DATA ? 0 : 1)));
    bool ok = manifest_write(&h, w->entries, w->entry_count, &bytes, e) &&
              lake_put(w->l, m.path, buf_view(&bytes), e);
    m.length = (int64_t)bytes.n;
    count_entries(w, &m);
    if (ok)
        keep_manifest(w, &m);
    w->entry_count = 0;
    buf_fini(&json);
    buf_fini(&bytes);
    return ok;
}

static bool any_removed(const struct table_change *c)
{
    for (size_t i = 0; c->base && i < c->base->slot_count; i++)
        if (slot_removed(c, i))
            return true;
    return false;
}

static bool deletes_change(const struct table_change *c)
{
    for (size_t i = 0; c->base && i < c->base->slot_count; i++)
        if (slot_changed(c, i) || (slot_removed(c, i) && c->base->slots[i].deletes))
            return true;
    for (size_t i = 0; i < c->added_count; i++)
        if (c->added[i].deletes)
            return true;
    return false;
}

/* Which manifests of the base stay, and what is new. A manifest with entries that go, or one of many, is written anew. */
static bool write_manifests(struct writing *w, struct err *e)
{
    const struct table_change *c = w->c;
    size_t data = 0;
    bool deletes = deletes_change(c);
    for (size_t i = 0; c->base && i < c->base->manifest_count; i++)
        data += c->base->manifests[i].content == ICE_DATA;
    bool all = any_removed(c) || data + 1 > MANIFESTS_MAX;
    for (size_t i = 0; c->base && i < c->base->manifest_count; i++) {
        const struct ice_manifest *m = &c->base->manifests[i];
        bool live =
            m->added_files > 0 || m->existing_files > 0; // one with nothing but removed entries is history
        if (live && (m->content == ICE_DATA ? !all : !deletes))
            keep_manifest(w, m);
    }
    data_entries(w, all);
    if (!write_manifest(w, ICE_DATA, e))
        return false;
    if (deletes)
        delete_entries(w);
    return write_manifest(w, ICE_POSITION_DELETES, e);
}

static bool write_list(struct writing *w, struct err *e)
{
    uint8_t sync[16];
    char id[37];
    struct buf bytes = buf_make(MANIFEST_MAX);
    w->l->os->random(w->l->os, sync, sizeof(sync));
    lake_uuid(w->l, id);
    w->snapshot.manifest_list =
        remember(w->c, str_of(arena_fmt(&w->c->arena, "%.*s/metadata/snap-%" PRId64 "-1-%s.avro",
                                        STR_ARG(w->c->location), w->snapshot.id, id)));
    struct manifest_list_head h = {.snapshot_id = w->snapshot.id,
                                   .parent = w->snapshot.parent,
                                   .sequence = w->snapshot.sequence,
                                   .sync = sync};
    bool ok = manifest_list_write(&h, w->manifests, w->manifest_count, &bytes, e) &&
              lake_put(w->l, w->snapshot.manifest_list, buf_view(&bytes), e);
    buf_fini(&bytes);
    return ok;
}

/* ---- the next version in memory ---- */

static void next_slots(struct writing *w)
{
    struct table_change *c = w->c;
    struct version *next = w->next;
    size_t most = (c->base ? c->base->slot_count : 0) + c->added_count;
    next->slots = ARENA_ARRAY(&next->arena, struct slot, most + 1);
    for (size_t i = 0; c->base && i < c->base->slot_count; i++) {
        const struct slot *old = &c->base->slots[i], *changed = slot_changed(c, i);
        const struct slot *from = changed ? changed : old;
        if (!slot_removed(c, i))
            next->slots[next->slot_count++] = (struct slot){.data = file_ref(old->data),
                                                            .deletes = file_ref(from->deletes),
                                                            .dead = bits_ref(from->dead)};
    }
    for (size_t i = 0; i < c->added_count; i++)
        next->slots[next->slot_count++] = (struct slot){.data = file_ref(c->added[i].data),
                                                        .deletes = file_ref(c->added[i].deletes),
                                                        .dead = bits_ref(c->added[i].dead)};
    for (size_t i = 0; i < next->slot_count; i++) { // what the manifests leave to inheritance
        struct data_file *files[] = {next->slots[i].data, next->slots[i].deletes};
        for (size_t k = 0; k < 2; k++)
            if (files[k] && files[k]->entry.sequence < 0) {
                files[k]->entry.snapshot_id = w->snapshot.id;
                files[k]->entry.sequence = files[k]->entry.file_sequence = w->snapshot.sequence;
            }
    }
    next->manifests = arena_copy(&next->arena, w->manifests ? (void *)w->manifests : "",
                                 w->manifest_count * sizeof(*w->manifests));
    next->manifest_count = w->manifest_count;
    for (size_t i = 0; i < next->manifest_count; i++)
        next->manifests[i].path = arena_str(&next->arena, next->manifests[i].path);
}

/* ---- the snapshot ---- */

struct totals {
    int64_t data_files, rows, bytes, delete_files, position_deletes;
};

static struct totals totals_of(const struct slot *slots, size_t n)
{
    struct totals t = {0};
    for (size_t i = 0; i < n; i++) {
        if (!slots[i].data)
            continue;
        t.data_files++;
        t.rows += slots[i].data->entry.file.rows;
        t.bytes += slots[i].data->entry.file.size_bytes;
        if (slots[i].deletes) {
            t.delete_files++;
            t.position_deletes += slots[i].deletes->entry.file.rows;
            t.bytes += slots[i].deletes->entry.file.size_bytes;
        }
    }
    return t;
}

static void put_count(json_t *summary, const char *key, int64_t v, bool always)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, v);
    if (always || v != 0)
        json_object_set_new(summary, key, json_string(text));
}

static void put_offsets(json_t *summary, const struct lake_offset *offsets, size_t n)
{
    struct buf b = buf_make(MIB);
    for (size_t i = 0; i < n; i++)
        buf_fmt(&b, "%s\"%" PRId32 "\":%" PRId64, i ? "," : "{", offsets[i].partition, offsets[i].next);
    buf_u8(&b, '}');
    if (n > 0)
        json_object_set_new(summary, "tarn.offsets", json_string(buf_z(&b)));
    buf_fini(&b);
}

static json_t *summary_of(const struct writing *w)
{
    const struct table_change *c = w->c;
    json_t *j = json_object();
    struct totals added = totals_of(c->added, c->added_count);
    struct totals total = totals_of(w->next->slots, w->next->slot_count);
    struct totals removed = {0};
    for (size_t i = 0; c->base && i < c->base->slot_count; i++) {
        const struct slot *changed = slot_changed(c, i);
        struct totals one = totals_of(&c->base->slots[i], 1);
        if (slot_removed(c, i)) {
            removed.data_files++;
            removed.rows += one.rows;
        }
        if (slot_removed(c, i) || changed) {
            removed.delete_files += one.delete_files;
            removed.position_deletes += one.position_deletes;
        }
        if (changed && changed->deletes) {
            added.delete_files++;
            added.position_deletes += changed->deletes->entry.file.rows;
        }
    }
    json_object_set_new(j, "operation", json_string(c->operation));
    put_count(j, "added-data-files", added.data_files, false);
    put_count(j, "added-records", added.rows, false);
    put_count(j, "added-files-size", added.bytes, false);
    put_count(j, "added-delete-files", added.delete_files, false);
    put_count(j, "added-position-delete-files", added.delete_files, false);
    put_count(j, "added-position-deletes", added.position_deletes, false);
    put_count(j, "deleted-data-files", removed.data_files, false);
    put_count(j, "deleted-records", removed.rows, false);
    put_count(j, "removed-delete-files", removed.delete_files, false);
    put_count(j, "removed-position-delete-files", removed.delete_files, false);
    put_count(j, "removed-position-deletes", removed.position_deletes, false);
    put_count(j, "total-data-files", total.data_files, true);
    put_count(j, "total-records", total.rows, true);
    put_count(j, "total-files-size", total.bytes, true);
    put_count(j, "total-delete-files", total.delete_files, true);
    put_count(j, "total-position-deletes", total.position_deletes, true);
    put_count(j, "total-equality-deletes", 0, true);
    int64_t base_lsn = c->base ? c->base->lsn : -1;
    int64_t lsn = c->lsn > base_lsn ? c->lsn : base_lsn;
    if (lsn >= 0)
        put_count(j, "tarn.lsn", lsn, true);
    if (c->offsets)
        put_offsets(j, c->offsets, c->offset_count);
    else if (c->base)
        put_offsets(j, c->base->offsets, c->base->offset_count);
    return j;
}

static int64_t now_ms(struct lake *l)
{
    return l->os->wall_us(l->os) / 1000;
}

/* Random, and below 2^53, so that readers whose JSON knows doubles only keep it whole. */
static int64_t snapshot_id(struct lake *l)
{
    uint64_t id = 0;
    while (id == 0) {
        l->os->random(l->os, &id, sizeof(id));
        id >>= 11;
    }
    return (int64_t)id;
}

/* ---- metadata.json ---- */

static bool first_meta(const struct table_change *c, struct ice_meta **out, struct err *e)
{
    struct buf b = buf_make(ICE_METADATA_MAX);
    char any[37];
    lake_uuid(c->table->lake, any);
    struct ice_new n = {.uuid = c->uuid.n > 0 ? c->uuid : str_of(any),
                        .location = c->location,
                        .schema = c->schema,
                        .now_ms = now_ms(c->table->lake)};
    ice_meta_new(&n, &b);
    bool ok = ice_meta_parse(buf_view(&b), out, e);
    buf_fini(&b);
    return ok;
}

/* "00012-UUID.metadata.json": the number counts up from that of the file before. */
static struct str metadata_name(const struct table_change *c, struct arena *a)
{
    struct str before = c->base ? c->base->metadata_location : STR_NULL;
    int64_t n = -1;
    char id[37];
    for (size_t i = before.n; i-- > 0;)
        if (before.p[i] == '/') {
            struct str name = str_from(before.p + i + 1, before.n - i - 1), number;
            if (!str_cut(&name, '-', &number) || !str_i64(number, &n))
                n = -1;
            break;
        }
    lake_uuid(c->table->lake, id);
    return str_of(
        arena_fmt(a, "%.*s/metadata/%05" PRId64 "-%s.metadata.json", STR_ARG(c->location), n + 1, id));
}

static bool write_metadata(struct writing *w, const struct ice_meta *before, struct err *e)
{
    struct table_change *c = w->c;
    struct buf b = buf_make(ICE_METADATA_MAX);
    struct version *next = w->next;
    struct ice_change m = {
        .previous_location = c->base ? c->base->metadata_location : STR_NULL,
        .schema = c->base ? c->schema : NULL,
        .add = c->operation ? &w->snapshot : NULL,
        .expire = c->expire,
        .expire_count = c->expire_count,
        .property = c->property,
        .property_value = c->property_value,
        .now_ms = now_ms(w->l),
    };
    m.now_ms = m.now_ms > before->last_updated_ms ? m.now_ms : before->last_updated_ms;
    bool ok = ice_meta_next(before, &m, &c->arena, &b, &c->dropped_metadata, e) &&
              ice_meta_parse(buf_view(&b), &next->meta, e);
    if (ok) {
        next->metadata_location = arena_str(&next->arena, metadata_name(c, &c->arena));
        remember(c, next->metadata_location);
        ok = lake_put(w->l, next->metadata_location, buf_view(&b), e);
    }
    buf_fini(&b);
    return ok;
}

/* ---- the pointer ---- */

static void pointer_text(const struct table_change *c, struct buf *b)
{
    const struct version *v = c->next;
    struct totals t = totals_of(v->slots, v->slot_count);
    buf_str(b, STR("{\"metadata-location\":"));
    buf_json(b, v->metadata_location);
    buf_str(b, STR(",\"table-uuid\":"));
    buf_json(b, v->meta->uuid);
    buf_str(b, STR(",\"location\":"));
    buf_json(b, v->meta->location);
    if (c->table->topic) {
        buf_str(b, STR(",\"topic\":"));
        buf_json(b, str_of(c->table->topic));
    }
    buf_fmt(b, ",\"snapshot-id\":%" PRId64 ",\"committed-ms\":%" PRId64 ",\"lsn\":%" PRId64,
            v->snapshot ? v->snapshot->id : -1, v->snapshot ? v->snapshot->timestamp_ms : -1, v->lsn);
    buf_fmt(b, ",\"rows\":%" PRId64 ",\"files\":%" PRId64 ",\"bytes\":%" PRId64 ",\"offsets\":[",
            t.rows - t.position_deletes, t.data_files, t.bytes);
    for (size_t i = 0; i < v->offset_count; i++)
        buf_fmt(b, "%s[%" PRId32 ",%" PRId64 "]", i ? "," : "", v->offsets[i].partition, v->offsets[i].next);
    buf_str(b, STR("]}"));
}

/* ---- preparing ---- */

static bool write_snapshot(struct writing *w, const struct ice_meta *before, struct err *e)
{
    struct table_change *c = w->c;
    w->snapshot = (struct ice_snapshot){
        .id = snapshot_id(w->l),
        .parent = before->current_snapshot,
        .sequence = before->last_sequence + 1,
        .timestamp_ms = now_ms(w->l),
        .schema_id = w->schema->id,
    };
    if (w->snapshot.timestamp_ms < before->last_updated_ms) // a clock that was set back
        w->snapshot.timestamp_ms = before->last_updated_ms;
    if (!write_manifests(w, e) || !write_list(w, e))
        return false;
    next_slots(w);
    json_t *summary = summary_of(w);
    w->snapshot.summary = summary;
    bool ok = write_metadata(w, before, e);
    json_decref(summary);
    w->snapshot.summary = NULL;
    if (!ok)
        return false;
    w->next->snapshot = ice_snapshot(w->next->meta, w->next->meta->current_snapshot);
    w->next->schema = w->next->meta->schema;
    w->next->has_dead = !c->base || c->base->has_dead;
    return version_read_summary(w->next, e);
}

/* A commit that changes no rows: the version is the base's with other metadata. */
static bool write_metadata_only(struct writing *w, const struct ice_meta *before, struct err *e)
{
    struct version *base = w->c->base;
    assert(base);
    for (size_t i = 0; i < base->manifest_count; i++)
        keep_manifest(w, &base->manifests[i]);
    next_slots(w);
    w->next->has_dead = base->has_dead;
    if (!write_metadata(w, before, e))
        return false;
    w->next->schema = w->next->meta->schema;
    w->next->snapshot = base->snapshot ? ice_snapshot(w->next->meta, base->snapshot->id) : NULL;
    return version_read_summary(w->next, e);
}

static bool next_keys(struct writing *w, struct err *e)
{
    struct table_change *c = w->c;
    struct keys *k = c->keys ? c->keys : c->base ? c->base->keys : NULL;
    if (!k)
        return true;
    w->next->keys = keys_ref(k);
    w->next->by_number = version_numbered(w->next);
    return !c->operation || keys_save_version(k, w->next, e);
}

bool change_prepare(struct table_change *c, struct err *e)
{
    struct writing w = {.c = c, .l = c->table->lake};
    struct ice_meta *first = NULL;
    w.next = c->next = version_new(c->table);
    bool ok = c->base || first_meta(c, &first, e);
    if (c->base)
        c->location = arena_str(&c->arena, c->base->meta->location);
    const struct ice_meta *before = c->base ? c->base->meta : first;
    assert(!ok || before);
    if (ok) {
        w.schema = c->schema ? c->schema : &before->schema;
        ok = c->operation ? write_snapshot(&w, before, e) : write_metadata_only(&w, before, e);
    }
    ok = ok && next_keys(&w, e);
    if (ok) {
        struct buf b = buf_make(MIB);
        pointer_text(c, &b);
        c->pointer = str_from(mem_copy(b.p, b.n), b.n);
        buf_fini(&b);
    }
    ice_meta_free(first);
    mem_free(w.entries);
    mem_free(w.manifests);
    return ok ? true : err_wrap(e, "commit to %s", c->table->name);
}

/* ---- publishing ---- */

static bool append(struct lake *l, const struct table_change *changes, size_t count, struct err *e)
{
    struct batch_writer w = {0};
    batch_begin(&w, LIMIT_BATCH);
    for (size_t i = 0; i < count; i++)
        batch_add(&w, now_ms(l), str_of(changes[i].table->name), changes[i].pointer, NULL, 0);
    struct log_part_write part = {.topic = STR(LAKE_TABLES), .partition = 0, .batches = batch_end(&w)};
    bool ok = part.batches.p
                  ? log_append(l->log, &part, 1, e)
                  : err_set(e, ERR_LIMIT, "a commit of %zu tables is too large for one record batch", count);
    batch_fini(&w);
    return ok;
}

/* For readers that have only the files: which metadata.json is the newest. */
static void put_hint(const struct table_change *c)
{
    struct str at = c->next->metadata_location, name = at;
    struct arena a = {0};
    struct err ignored;
    for (size_t i = at.n; i-- > 0;)
        if (at.p[i] == '/') {
            name = str_from(at.p + i + 1, at.n - i - 1);
            break;
        }
    name.n -= strlen(".metadata.json");
    struct str uri =
        str_of(arena_fmt(&a, "%.*s/metadata/version-hint.text", STR_ARG(c->next->meta->location)));
    (void)!lake_put(c->table->lake, uri, name, &ignored);
    arena_fini(&a);
}

bool lake_publish(struct lake *l, struct table_change *changes, size_t count, struct err *e)
{
    struct err impossible;
    obs_trace("lake", "commit: tables, first snapshot", (int64_t)count,
              changes[0].next->snapshot ? changes[0].next->snapshot->id : -1);
    if (!append(l, changes, count, e)) {
        bool uncertain =
            log_failed(l->log, &impossible); // it may be found on disk when the log is opened anew
        for (size_t i = 0; i < count; i++)
            changes[i].uncertain = uncertain;
        return false;
    }
    mutex_lock(&l->lock);
    for (size_t i = 0; i < count; i++) {
        struct table *t = changes[i].table;
        bool ok = table_point(l, str_of(t->name), changes[i].pointer, &impossible);
        assert(ok);
        version_unref(t->current);
        t->current = version_ref(changes[i].next);
    }
    mutex_unlock(&l->lock);
    for (size_t i = 0; i < count; i++) {
        struct table_change *c = &changes[i];
        put_hint(c);
        if (c->dropped_metadata.p)
            lake_drop(l, c->dropped_metadata);
        if (c->operation && c->next->keys && c->base && c->base->keys)
            keys_forget(c->base->keys, c->base->snapshot->id, c->next->keys);
    }
    return true;
}

static void drop_file(struct lake *l, struct data_file *f)
{
    if (f)
        lake_drop(l, f->entry.file.path);
}

void change_fini(struct table_change *c, bool committed)
{
    struct lake *l = c->table->lake;
    size_t changed = c->changed ? c->base->slot_count : 0;
    bool drop = !committed && !c->uncertain;
    for (size_t i = 0; drop && i < c->written_count; i++)
        lake_drop(l, c->written[i]);
    if (drop && c->keys && c->next && c->next->snapshot)
        keys_forget(c->keys, c->next->snapshot->id, c->base ? c->base->keys : NULL);
    for (size_t i = 0; i < c->added_count; i++) {
        if (drop) {
            drop_file(l, c->added[i].data);
            drop_file(l, c->added[i].deletes);
        }
        file_unref(c->added[i].data);
        file_unref(c->added[i].deletes);
        bits_unref(c->added[i].dead);
    }
    for (size_t i = 0; i < changed; i++) {
        if (drop)
            drop_file(l, c->changed[i].deletes);
        file_unref(c->changed[i].data);
        file_unref(c->changed[i].deletes);
        bits_unref(c->changed[i].dead);
    }
    mem_free(c->added);
    mem_free(c->changed);
    mem_free(c->removed);
    keys_unref(c->keys);
    version_unref(c->next);
    version_unref(c->base);
    mem_free((void *)(uintptr_t)c->pointer.p);
    arena_fini(&c->arena);
    *c = (struct table_change){.table = c->table};
}
