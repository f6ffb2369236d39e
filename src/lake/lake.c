#include "lake/lake_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "log/log.h"
#include "object/object.h"
#include "os/os.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum { TAIL_MIB = 32, MAINTAIN_MS = 15000, REPLAY_BYTES = 1 << 20 };

/* ---- turns ---- */

static void turn_init(struct turn *t)
{
    mutex_init(&t->m);
    cond_init(&t->c);
}

static void turn_fini(struct turn *t)
{
    assert(!t->taken);
    mutex_fini(&t->m);
    cond_fini(&t->c);
}

void turn_take(struct turn *t)
{
    mutex_lock(&t->m);
    while (t->taken)
        cond_wait(&t->c, &t->m);
    t->taken = true;
    mutex_unlock(&t->m);
}

void turn_give(struct turn *t)
{
    mutex_lock(&t->m);
    t->taken = false;
    cond_signal(&t->c);
    mutex_unlock(&t->m);
}

/* ---- tables and streams ---- */

struct str table_namespace(const struct table *t)
{
    struct str name = str_of(t->name), space;
    (void)str_cut(&name, '.', &space);
    return space;
}

struct table *lake_table(struct lake *l, struct str name)
{
    mutex_lock(&l->lock);
    struct table *t = map_get(&l->tables, name);
    mutex_unlock(&l->lock);
    return t;
}

static struct stream *stream_locked(struct lake *l, struct str topic)
{
    struct stream *s = map_get(&l->streams, topic);
    if (s)
        return s;
    s = MEM_NEW(struct stream);
    s->lake = l;
    s->topic = str_dup(topic);
    turn_init(&s->tail_turn);
    map_put(&l->streams, topic, s);
    return s;
}

struct stream *lake_stream(struct lake *l, struct str topic)
{
    mutex_lock(&l->lock);
    struct stream *s = stream_locked(l, topic);
    mutex_unlock(&l->lock);
    return s;
}

static void stream_free(struct stream *s)
{
    tail_free(s->tail);
    turn_fini(&s->tail_turn);
    mem_free(s->topic);
    mem_free(s);
}

struct table *table_locked(struct lake *l, struct str name, struct str topic)
{
    struct table *t = map_get(&l->tables, name);
    if (t)
        return t;
    t = MEM_NEW(struct table);
    t->lake = l;
    t->name = str_dup(name);
    t->topic = topic.p ? str_dup(topic) : NULL;
    t->info.snapshot_id = t->info.lsn = -1;
    turn_init(&t->turn);
    turn_init(&t->keys_turn);
    map_put(&l->tables, name, t);
    if (topic.p) {
        struct stream *s = stream_locked(l, topic);
        *(str_is(table_namespace(t), "bronze") ? &s->bronze : &s->silver) = t;
    }
    return t;
}

static void table_free(struct table *t)
{
    version_unref(t->current);
    turn_fini(&t->turn);
    turn_fini(&t->keys_turn);
    arena_fini(&t->info_arena);
    mem_free(t->name);
    mem_free(t->topic);
    mem_free(t);
}

/* ---- the topic of pointers ---- */

static struct str text_of(struct arena *a, const json_t *root, const char *key)
{
    return arena_str(a, str_of(json_string_value(json_object_get(root, key))));
}

static int64_t number_of(const json_t *root, const char *key)
{
    const json_t *v = json_object_get(root, key);
    return json_is_integer(v) ? json_integer_value(v) : -1;
}

static void info_of(const json_t *root, struct str name, struct arena *a, struct lake_table *out)
{
    const json_t *offsets = json_object_get(root, "offsets");
    *out = (struct lake_table){
        .name = arena_str(a, name),
        .topic = text_of(a, root, "topic"),
        .location = text_of(a, root, "location"),
        .metadata_location = text_of(a, root, "metadata-location"),
        .snapshot_id = number_of(root, "snapshot-id"),
        .committed_ms = number_of(root, "committed-ms"),
        .lsn = number_of(root, "lsn"),
        .rows = number_of(root, "rows"),
        .files = number_of(root, "files"),
        .bytes = number_of(root, "bytes"),
        .offset_count = json_array_size(offsets),
    };
    out->offsets = ARENA_ARRAY(a, struct lake_offset, out->offset_count + 1);
    for (size_t i = 0; i < out->offset_count; i++) {
        const json_t *pair = json_array_get(offsets, i);
        out->offsets[i] =
            (struct lake_offset){.partition = (int32_t)json_integer_value(json_array_get(pair, 0)),
                                 .next = json_integer_value(json_array_get(pair, 1))};
    }
}

/* Under lake->lock, or before others know the lake. */
bool table_point(struct lake *l, struct str name, struct str value, struct err *e)
{
    json_error_t why;
    json_t *root = json_loadb(value.p, value.n, 0, &why);
    const char *metadata = json_string_value(json_object_get(root, "metadata-location"));
    if (!metadata || !memchr(name.p, '.', name.n)) {
        json_decref(root);
        return err_set(e, ERR_CORRUPT, "topic " LAKE_TABLES ": the record of %.*s names no metadata-location",
                       STR_ARG(name));
    }
    struct table *t = table_locked(l, name, str_of(json_string_value(json_object_get(root, "topic"))));
    arena_reset(&t->info_arena);
    info_of(root, name, &t->info_arena, &t->info);
    json_decref(root);
    return true;
}

static bool replay_batches(struct lake *l, struct str batches, int64_t from, struct err *e)
{
    struct arena a = {0};
    struct batch_reader r;
    struct record record;
    bool ok = true;
    batch_open(&r, &a, batches);
    r.skip_below = from;
    while (ok && batch_next(&r, &record))
        if (!record.control && record.key.p && record.value.p)
            ok = table_point(l, record.key, record.value, e);
    ok = ok && batch_ok(&r, e);
    arena_fini(&a);
    return ok;
}

static bool replay(struct lake *l, struct err *e)
{
    struct log_settings s;
    struct log_range range;
    struct buf batches = buf_make(LIMIT_BATCH);
    log_settings_default(l->log, &s);
    s.compact = true;
    s.remove = false;
    s.segment_bytes = 8 * (int64_t)MIB;
    if (!log_ensure_topic(l->log, STR(LAKE_TABLES), 1, &s, e))
        return false;
    bool ok = log_range(l->log, STR(LAKE_TABLES), 0, &range);
    assert(ok);
    for (int64_t at = range.start, was = -1; ok && at > was; buf_reset(&batches)) {
        was = at;
        ok = log_fetch_committed(l->log, STR(LAKE_TABLES), 0, &at, REPLAY_BYTES, &batches, e) &&
             replay_batches(l, buf_view(&batches), was, e);
    }
    buf_fini(&batches);
    return ok;
}

/* ---- open and close ---- */

static bool prepare_places(struct lake *l, struct err *e)
{
    bool there;
    if (!os_remove_tree(l->os, l->tmp, e) || !os_make_dirs(l->os, l->tmp, e))
        return false;
    if (!bucket_exists(l->blobs, str_of(l->bucket), &there, e))
        return false;
    return there || bucket_create(l->blobs, str_of(l->bucket), e);
}

bool lake_open(const struct lake_options *o, struct lake **out, struct err *e)
{
    struct lake *l = MEM_NEW(struct lake);
    *l = (struct lake){
        .os = o->os,
        .log = o->log,
        .blobs = o->blobs,
        .engine = o->engine,
        .schemas = o->schemas,
        .dir = mem_str(o->dir),
        .tmp = mem_fmt("%s/tmp", o->dir),
        .bucket = mem_str(o->bucket ? o->bucket : "lakehouse"),
        .tail_bytes = o->tail_bytes ? o->tail_bytes : TAIL_MIB * (int64_t)MIB,
        .maintain_ms = o->maintain_ms ? o->maintain_ms : MAINTAIN_MS,
    };
    mutex_init(&l->lock);
    mutex_init(&l->keeper_lock);
    cond_init(&l->keeper_wake);
    if (!prepare_places(l, e) || !replay(l, e)) {
        lake_close(l);
        return err_wrap(e, "lake");
    }
    if (l->maintain_ms > 0)
        keeper_start(l);
    *out = l;
    return true;
}

void lake_close(struct lake *l)
{
    if (!l)
        return;
    keeper_stop(l);
    readers_close(l);
    for (size_t i = 0; i < l->idle_count; i++)
        session_close(l->idle[i]);
    for (struct map_it it = {0}; map_next(&l->streams, &it);)
        stream_free(it.value);
    for (struct map_it it = {0}; map_next(&l->tables, &it);)
        table_free(it.value);
    map_fini(&l->streams);
    map_fini(&l->tables);
    mutex_fini(&l->lock);
    mutex_fini(&l->keeper_lock);
    cond_fini(&l->keeper_wake);
    mem_free(l->dir);
    mem_free(l->tmp);
    mem_free(l->bucket);
    mem_free(l);
}

/* ---- what there is ---- */

static void info_copy(const struct lake_table *from, struct arena *a, struct lake_table *out)
{
    *out = *from;
    out->name = arena_str(a, from->name);
    out->topic = arena_str(a, from->topic);
    out->location = arena_str(a, from->location);
    out->metadata_location = arena_str(a, from->metadata_location);
    out->offsets = arena_copy(a, from->offsets, from->offset_count * sizeof(*from->offsets));
}

static int by_name(const void *x, const void *y)
{
    return str_cmp(((const struct lake_table *)x)->name, ((const struct lake_table *)y)->name);
}

void lake_list(struct lake *l, struct arena *a, struct lake_table **out, size_t *count)
{
    mutex_lock(&l->lock);
    *out = ARENA_ARRAY(a, struct lake_table, l->tables.n + 1);
    *count = 0;
    for (struct map_it it = {0}; map_next(&l->tables, &it);) {
        const struct table *t = it.value;
        if (t->info.metadata_location.p)
            info_copy(&t->info, a, &(*out)[(*count)++]);
    }
    mutex_unlock(&l->lock);
    qsort(*out, *count, sizeof(**out), by_name);
}

static bool info_locked(const struct table *t, struct arena *a, struct lake_table *out)
{
    bool there = t && t->info.metadata_location.p;
    if (there)
        info_copy(&t->info, a, out);
    return there;
}

void lake_stats(struct lake *l, struct lake_stats *out)
{
    mutex_lock(&l->lock);
    *out = l->stats;
    mutex_unlock(&l->lock);
}

bool lake_find_topic(struct lake *l, struct str topic, const char *layer, struct arena *a,
                     struct lake_table *out)
{
    mutex_lock(&l->lock);
    const struct stream *s = map_get(&l->streams, topic);
    bool there = s && info_locked(strcmp(layer, "bronze") == 0 ? s->bronze : s->silver, a, out);
    mutex_unlock(&l->lock);
    return there;
}

/* ---- sessions ---- */

bool lake_session(struct lake *l, struct session **out, struct err *e)
{
    *out = NULL;
    mutex_lock(&l->lock);
    if (l->idle_count > 0)
        *out = l->idle[--l->idle_count];
    mutex_unlock(&l->lock);
    return *out || session_open(l->engine, out, e);
}

void lake_session_done(struct lake *l, struct session *s)
{
    mutex_lock(&l->lock);
    if (s && l->idle_count < LAKE_SESSIONS) {
        l->idle[l->idle_count++] = s;
        s = NULL;
    }
    mutex_unlock(&l->lock);
    session_close(s);
}

/* ---- names and objects ---- */

void lake_uuid(struct lake *l, char out[37])
{
    uint8_t b[16];
    l->os->random(l->os, b, sizeof(b));
    b[6] = (b[6] & 0x0f) | 0x40; // RFC 4122, version 4
    b[8] = (b[8] & 0x3f) | 0x80;
    char *at = out;
    for (size_t i = 0; i < 16; i++)
        at += snprintf(at, 4, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b[i]);
}

const char *lake_temp(struct lake *l, struct arena *a, const char *end)
{
    char id[37];
    lake_uuid(l, id);
    return arena_fmt(a, "%s/%s%s", l->tmp, id, end);
}

bool uri_parts(struct str uri, struct str *bucket, struct str *key, struct err *e)
{
    struct str rest = uri;
    if (str_starts(uri, STR("s3://"))) {
        rest.p += 5;
        rest.n -= 5;
        if (str_cut(&rest, '/', bucket) && bucket->n > 0 && rest.n > 0) {
            *key = rest;
            return true;
        }
    }
    return err_set(e, ERR_INVALID, "%.*s is no s3://BUCKET/KEY", STR_ARG(uri));
}

bool lake_put(struct lake *l, struct str uri, struct str bytes, struct err *e)
{
    struct str bucket, key;
    struct object_put_options o = {0};
    return uri_parts(uri, &bucket, &key, e) && object_put_bytes(l->blobs, bucket, key, bytes, &o, e);
}

bool lake_get(struct lake *l, struct str uri, size_t max, struct arena *a, struct str *out, struct err *e)
{
    struct str bucket, key;
    return uri_parts(uri, &bucket, &key, e) && object_get_bytes(l->blobs, bucket, key, max, a, out, e);
}

void lake_drop(struct lake *l, struct str uri)
{
    struct str bucket, key;
    struct err ignored;
    if (uri_parts(uri, &bucket, &key, &ignored))
        (void)!object_delete(l->blobs, bucket, key, &ignored);
}
