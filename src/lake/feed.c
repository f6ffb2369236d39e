#include "lake/feed.h"

#include "base/limits.h"
#include "base/mem.h"
#include "log/log.h"
#include "schema/schema.h"

#include <inttypes.h>

/* ---- the tables of a topic ---- */

/* "storefront.public.orders": prefix, schema, table. Parts that are missing are empty. */
static void topic_parts(struct str topic, struct str *prefix, struct str *schema, struct str *table)
{
    struct str rest = topic, part;
    *prefix = *schema = STR("");
    *table = topic;
    if (str_cut(&rest, '.', &part) && rest.n > 0) {
        *prefix = part;
        *table = rest;
        if (str_cut(&rest, '.', &part) && rest.n > 0) {
            *schema = part;
            *table = rest;
        }
    }
}

/* A table's name: the source table's, with the schema and then the prefix in front while another topic has that name. */
static const char *free_name(struct lake *l, struct arena *a, struct str topic, const char *layer)
{
    struct str prefix, schema, table;
    topic_parts(topic, &prefix, &schema, &table);
    const char *names[] = {
        arena_fmt(a, "%s.%.*s", layer, STR_ARG(table)),
        arena_fmt(a, "%s.%.*s_%.*s", layer, STR_ARG(schema), STR_ARG(table)),
        arena_fmt(a, "%s.%.*s_%.*s_%.*s", layer, STR_ARG(prefix), STR_ARG(schema), STR_ARG(table)),
        arena_fmt(a, "%s.%.*s", layer, STR_ARG(topic)),
    };
    size_t i = 0;
    for (; i + 1 < ARRAY_LEN(names); i++) {
        struct table *t = map_get(&l->tables, str_of(names[i]));
        if (!t || (t->topic && str_is(topic, t->topic)))
            break;
    }
    for (char *p = (char *)(uintptr_t)names[i] + strlen(layer) + 1; *p; p++)
        if (*p == '.')
            *p = '_'; // one level of names: the catalog's is the layer
    return names[i];
}

static struct table *own_table(struct lake_feed *f, const char *layer)
{
    struct lake *l = f->lake;
    struct arena a = {0};
    mutex_lock(&l->lock);
    struct table *t = strcmp(layer, "bronze") == 0 ? f->stream->bronze : f->stream->silver;
    if (!t)
        t = table_locked(l, str_of(free_name(l, &a, str_of(f->stream->topic), layer)),
                         str_of(f->stream->topic));
    mutex_unlock(&l->lock);
    arena_fini(&a);
    return t;
}

/* A layer and a name may not lead out of their folder. */
struct str feed_location(const struct table *t, struct arena *a)
{
    struct str prefix, schema, table, name = str_of(t->name), layer;
    topic_parts(str_of(t->topic), &prefix, &schema, &table);
    (void)str_cut(&name, '.', &layer);
    return str_of(arena_fmt(a, "s3://%s/%.*s%s%.*s/%.*s", t->lake->bucket, STR_ARG(prefix),
                            prefix.n ? "/" : "", STR_ARG(layer), STR_ARG(name)));
}

/* ---- opening ---- */

static struct lake_offset *position_of(struct lake_feed *f, int32_t partition)
{
    for (size_t i = 0; i < f->position_count; i++)
        if (f->position[i].partition == partition)
            return &f->position[i];
    return NULL;
}

static void set_position(struct lake_feed *f, int32_t partition, int64_t next)
{
    struct lake_offset *p = position_of(f, partition);
    if (!p) {
        MEM_PUSH_ROOM(f->position, f->position_count, f->position_cap);
        MEM_PUSH_ROOM(f->safe, f->position_count, f->safe_cap);
        f->safe[f->position_count] = -1;
        p = &f->position[f->position_count++];
    }
    *p = (struct lake_offset){.partition = partition, .next = next};
}

static void schema_copy(const struct ice_schema *from, struct arena *a, struct ice_schema *out)
{
    *out = *from;
    out->fields = arena_copy(a, from->fields, from->count * sizeof(*from->fields));
    for (size_t i = 0; i < out->count; i++)
        out->fields[i].like.name = arena_str(a, from->fields[i].like.name);
    out->keys = arena_copy(a, from->keys, from->key_count * sizeof(*from->keys));
}

static bool make_changes(struct lake_feed *f, const struct key_secret *secret, struct err *e)
{
    struct ice_schema *b = &f->bronze_schema, *s = &f->silver_schema;
    struct changes_options o = {
        .schemas = f->lake->schemas, .topic = str_of(f->stream->topic), .secret = secret};
    struct column *columns = ARENA_ARRAY(&f->arena, struct column, b->count + 1);
    struct str *keys = ARENA_ARRAY(&f->arena, struct str, s->key_count + 1);
    if (b->count < CHANGE_META)
        return err_set(e, ERR_CORRUPT, "table %s has not the columns of a bronze table", f->bronze->name);
    for (size_t i = CHANGE_META; i < b->count; i++)
        columns[o.count++] = b->fields[i].like;
    for (size_t i = 0; f->silver && i < s->key_count; i++)
        keys[o.key_count++] = ice_field_by_id(s, s->keys[i])->like.name;
    o.columns = columns;
    o.keys = keys;
    changes_free(f->changes);
    f->changes = changes_new(&o);
    return true;
}

/* The shape of tables that are there. */
static bool shape_of_tables(struct lake_feed *f, struct version *bronze, struct version *silver,
                            struct err *e)
{
    struct str id = ice_property(bronze->meta, "tarn.schema.id");
    int64_t n = -1;
    if (id.p && !str_i64(id, &n))
        return err_set(e, ERR_CORRUPT, "table %s: the property tarn.schema.id is no number", f->bronze->name);
    f->schema_id = (int)n;
    schema_copy(&bronze->meta->schema, &f->arena, &f->bronze_schema);
    const struct key_secret *secret = NULL;
    if (silver) {
        if (!version_need_keys(silver, e))
            return false;
        schema_copy(&silver->meta->schema, &f->arena, &f->silver_schema);
        secret = keys_secret(silver->keys);
    }
    for (size_t i = 0; i < bronze->offset_count; i++)
        set_position(f, bronze->offsets[i].partition, bronze->offsets[i].next);
    for (size_t i = 0; i < f->position_count; i++)
        f->safe[i] = f->position[i].next;
    return make_changes(f, secret, e);
}

/* A topic that was deleted and made anew counts from nothing: its records would be taken for old ones. */
static bool positions_exist(const struct lake_feed *f, struct err *e)
{
    struct log_range range;
    for (size_t i = 0; i < f->position_count; i++)
        if (log_range(f->lake->log, str_of(f->stream->topic), f->position[i].partition, &range) &&
            range.end < f->position[i].next)
            return err_set(e, ERR_CONFLICT,
                           "partition %" PRId32 " ends at offset %" PRId64
                           ", but table %s has its records up to %" PRId64 ": the topic was made anew",
                           f->position[i].partition, range.end, f->bronze->name, f->position[i].next);
    return true;
}

bool lake_feed_open(struct lake *l, struct str topic, struct lake_feed **out, struct err *e)
{
    struct lake_feed *f = MEM_NEW(struct lake_feed);
    struct version *bronze = NULL, *silver = NULL;
    f->lake = l;
    f->schema_id = f->key_schema_id = -1;
    f->stream = lake_stream(l, topic);
    mutex_lock(&l->lock);
    f->bronze = f->stream->bronze;
    f->silver = f->stream->silver;
    mutex_unlock(&l->lock);
    bool ok = (!f->bronze || table_version(f->bronze, &bronze, e)) &&
              (!f->silver || table_version(f->silver, &silver, e));
    if (ok && bronze)
        ok = shape_of_tables(f, bronze, silver, e) && positions_exist(f, e);
    version_unref(bronze);
    version_unref(silver);
    if (!ok) {
        lake_feed_close(f);
        return err_wrap(e, "topic %.*s", STR_ARG(topic));
    }
    *out = f;
    return true;
}

void feed_forget(struct lake_feed *f)
{
    for (size_t i = 0; i < f->chunk_count; i++)
        chunk_unref(f->chunks[i]);
    f->chunk_count = 0;
    f->rows = 0;
    f->bytes = 0;
}

void lake_feed_close(struct lake_feed *f)
{
    if (!f)
        return;
    feed_forget(f);
    changes_free(f->changes);
    keys_unref(f->first_keys);
    mem_free(f->chunks);
    mem_free(f->position);
    mem_free(f->safe);
    arena_fini(&f->arena);
    mem_free(f);
}

int64_t lake_feed_next(const struct lake_feed *f, int32_t partition)
{
    const struct lake_offset *p = position_of((struct lake_feed *)(uintptr_t)f, partition);
    return p ? p->next : -1;
}

int64_t lake_feed_safe(const struct lake_feed *f, int32_t partition)
{
    const struct lake_offset *p = position_of((struct lake_feed *)(uintptr_t)f, partition);
    if (!p)
        return -1;
    return f->rows == 0 ? p->next : f->safe[p - f->position];
}

size_t lake_feed_pending_bytes(const struct lake_feed *f)
{
    return f->bytes;
}

int64_t lake_feed_pending_rows(const struct lake_feed *f)
{
    return f->rows;
}

/* ---- following the schema ---- */

static void add_field(struct ice_schema *s, struct arena *a, const struct column *like, int id)
{
    struct ice_field *more = ARENA_ARRAY(a, struct ice_field, s->count + 1);
    memcpy(more, s->fields ? (void *)s->fields : "", s->count * sizeof(*more));
    more[s->count] = (struct ice_field){.id = id, .like = *like};
    more[s->count].like.name = arena_str(a, like->name);
    s->fields = more;
    s->count++;
}

static int last_id(const struct ice_schema *s)
{
    int last = 0;
    for (size_t i = 0; i < s->count; i++)
        last = s->fields[i].id > last ? s->fields[i].id : last;
    return last;
}

static void first_schemas(struct lake_feed *f, const struct changes_options *shape)
{
    struct arena *a = &f->arena;
    struct ice_schema *b = &f->bronze_schema, *s = &f->silver_schema;
    for (size_t i = 0; i < CHANGE_META; i++)
        add_field(b, a, &change_columns[i], (int)i + 1);
    for (size_t i = 0; i < shape->count; i++) {
        add_field(b, a, &shape->columns[i], CHANGE_META + (int)i + 1);
        add_field(s, a, &shape->columns[i], (int)i + 1);
    }
    add_field(s, a, &change_columns[CHANGE_LSN], (int)shape->count + 1);
    add_field(s, a, &change_columns[CHANGE_TS], (int)shape->count + 2);
    s->keys = ARENA_ARRAY(a, int, shape->key_count + 1);
    for (size_t i = 0; i < shape->key_count; i++)
        for (size_t c = 0; c < s->count; c++)
            if (str_eq(s->fields[c].like.name, shape->keys[i])) {
                s->fields[c].like.required = true;
                s->keys[s->key_count++] = s->fields[c].id;
            }
}

/* A column of the new shape in one table's schema: added, widened, or as it is. */
static bool follow_column(struct ice_schema *s, int *last, const struct column *c, struct arena *a,
                          bool *changed, struct err *e)
{
    struct ice_field *f = (struct ice_field *)(uintptr_t)ice_field(s, c->name);
    if (!f) {
        add_field(s, a, c, ++*last);
        *changed = true;
        return true;
    }
    if (f->like.type == c->type && f->like.precision == c->precision && f->like.scale == c->scale)
        return true;
    if (ice_may_promote(c, &f->like)) // the table is wider already
        return true;
    if (!ice_may_promote(&f->like, c) || ice_is_key(s, f->id)) {
        struct buf was = buf_make(KIB), is = buf_make(KIB);
        ice_type_text(&f->like, &was);
        ice_type_text(c, &is);
        err_set(e, ERR_INVALID,
                "column %.*s was %s and now is %s, which a table cannot follow: rename it in the source",
                STR_ARG(c->name), buf_z(&was), buf_z(&is));
        buf_fini(&was);
        buf_fini(&is);
        return false;
    }
    f->like.type = c->type;
    f->like.precision = c->precision;
    *changed = true;
    return true;
}

/* Silver loses columns that the source has no more; bronze keeps them, as it keeps their values. */
static void drop_columns(struct ice_schema *s, const struct changes_options *shape, bool *changed)
{
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++) {
        bool kept = str_eq(s->fields[i].like.name, change_columns[CHANGE_LSN].name) ||
                    str_eq(s->fields[i].like.name, change_columns[CHANGE_TS].name) ||
                    ice_is_key(s, s->fields[i].id);
        for (size_t c = 0; c < shape->count && !kept; c++)
            kept = str_eq(s->fields[i].like.name, shape->columns[c].name);
        if (kept)
            s->fields[n++] = s->fields[i];
        else
            *changed = true;
    }
    s->count = n;
}

static bool follow(struct lake_feed *f, const struct changes_options *shape, struct version *bronze,
                   struct version *silver, struct err *e)
{
    int last_bronze = bronze ? bronze->meta->last_column_id : last_id(&f->bronze_schema);
    int last_silver = silver ? silver->meta->last_column_id : last_id(&f->silver_schema);
    bool changed = false, silver_changed = false;
    for (size_t i = 0; i < shape->count; i++) {
        if (!follow_column(&f->bronze_schema, &last_bronze, &shape->columns[i], &f->arena, &changed, e))
            return false;
        if (f->silver && !follow_column(&f->silver_schema, &last_silver, &shape->columns[i], &f->arena,
                                        &silver_changed, e))
            return false;
    }
    if (f->silver)
        drop_columns(&f->silver_schema, shape, &silver_changed);
    if (changed)
        f->bronze_schema.id++;
    if (silver_changed)
        f->silver_schema.id++;
    f->new_schema |= changed || silver_changed;
    return true;
}

static bool first_shape(struct lake_feed *f, const struct changes_options *shape, struct err *e)
{
    f->bronze = own_table(f, "bronze");
    f->silver = shape->key_count > 0 ? own_table(f, "silver") : NULL;
    first_schemas(f, shape);
    f->new_schema = true;
    if (f->silver) {
        lake_uuid(f->lake, f->first_uuid);
        char *dir = keys_dir(f->silver, str_of(f->first_uuid));
        f->first_keys = keys_new(f->lake->os, dir);
        mem_free(dir);
    }
    return make_changes(f, f->first_keys ? keys_secret(f->first_keys) : NULL, e);
}

/* The value's schema is one that was not seen yet. */
static bool new_shape(struct lake_feed *f, int value_id, int key_id, struct err *e)
{
    struct arena a = {0};
    struct changes_options shape;
    struct version *bronze = NULL, *silver = NULL;
    bool ok = changes_shape(f->lake->schemas, value_id, key_id, &a, &shape, e);
    if (ok && !f->changes) {
        ok = first_shape(f, &shape, e);
    } else if (ok) {
        ok = (f->rows == 0 || lake_commit(f->lake, &f, 1, e)) && table_version(f->bronze, &bronze, e) &&
             (!f->silver || table_version(f->silver, &silver, e)) && follow(f, &shape, bronze, silver, e);
        if (ok && silver && !version_need_keys(silver, e))
            ok = false;
        const struct key_secret *secret = silver          ? keys_secret(silver->keys)
                                          : f->first_keys ? keys_secret(f->first_keys)
                                                          : NULL;
        ok = ok && make_changes(f, secret, e);
    }
    if (ok)
        f->schema_id = value_id;
    version_unref(bronze);
    version_unref(silver);
    arena_fini(&a);
    return ok;
}

/* ---- putting ---- */

static struct chunk *room(struct lake_feed *f)
{
    struct chunk *last = f->chunk_count > 0 ? f->chunks[f->chunk_count - 1] : NULL;
    if (last && !chunk_is_full(last))
        return last;
    f->chunks = mem_room(f->chunks, f->chunk_count, &f->chunk_cap, sizeof(void *));
    f->chunks[f->chunk_count] =
        changes_chunk(f->changes, f->chunk_count == 0 ? FEED_CHUNK_FIRST : FEED_CHUNK);
    return f->chunks[f->chunk_count++];
}

bool lake_feed_put(struct lake_feed *f, int32_t partition, const struct record *r, struct err *e)
{
    int value_id, key_id;
    const struct lake_offset *at = position_of(f, partition);
    if (at && r->offset < at->next)
        return true;
    if (!at && f->position_count == PARTITIONS_MAX)
        return err_set(e, ERR_LIMIT, "topic %s has more than %d partitions", f->stream->topic,
                       PARTITIONS_MAX);
    if (!r->control && r->value.p) {
        if (!changes_ids(r, &value_id, &key_id, e) ||
            ((value_id > f->schema_id || !f->changes) && !new_shape(f, value_id, key_id, e)))
            return err_wrap(e, "topic %s, partition %" PRId32 ", offset %" PRId64, f->stream->topic,
                            partition, r->offset);
        struct chunk *k = room(f);
        size_t before = k->bytes;
        if (!changes_add(f->changes, k, partition, r, e))
            return false;
        f->bytes += k->bytes - before;
        f->rows++;
    }
    set_position(f, partition, r->offset + 1);
    return true;
}
