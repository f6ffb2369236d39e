#include "base/limits.h"
#include "base/mem.h"
#include "schema/store_int.h"

#include <assert.h>

/*
 * A change: take `changing`, decide, write the records, apply them. The state that was looked at cannot change in between,
 * because only changes change it.
 */
enum { SUBJECT_MAX = 4096 };

struct store_change {
    struct schema_store *s;
    struct arena a;
    struct schema_record *records;
    size_t count, cap;
    enum schema_code code;
    struct err *e;
};

static void begin(struct store_change *c, struct schema_store *s, struct err *e)
{
    *c = (struct store_change){.s = s, .e = e};
    mutex_lock(&s->state);
    while (s->changing)
        cond_wait(&s->changed, &s->state);
    s->changing = true;
    mutex_unlock(&s->state);
}

/* ---- records, as Confluent writes them ---- */

static void add_record(struct store_change *c, struct buf *key, struct buf *value)
{
    MEM_PUSH_ROOM(c->records, c->count, c->cap);
    c->records[c->count++] = (struct schema_record){arena_str(&c->a, buf_view(key)),
                                                    value ? arena_str(&c->a, buf_view(value)) : STR_NULL};
    buf_fini(key);
    if (value)
        buf_fini(value);
}

static struct buf schema_key(struct str subject, int version)
{
    struct buf key = buf_make(MIB);

    buf_str(&key, STR("{\"keytype\":\"SCHEMA\",\"subject\":"));
    buf_json(&key, subject);
    buf_fmt(&key, ",\"version\":%d,\"magic\":1}", version);
    return key;
}

/* {"keytype":KEYTYPE,"subject":SUBJECT,"magic":0}; subject null: of all. */
static struct buf plain_key(const char *keytype, struct str subject)
{
    struct buf key = buf_make(MIB);

    buf_fmt(&key, "{\"keytype\":\"%s\",\"subject\":", keytype);
    if (subject.p)
        buf_json(&key, subject);
    else
        buf_str(&key, STR("null"));
    buf_str(&key, STR(",\"magic\":0}"));
    return key;
}

static void put_references(struct buf *out, const struct schema_text *t)
{
    if (t->reference_count == 0)
        return;
    buf_str(out, STR("\"references\":["));
    for (size_t i = 0; i < t->reference_count; i++) {
        buf_str(out, i ? STR(",{\"name\":") : STR("{\"name\":"));
        buf_json(out, t->references[i].name);
        buf_str(out, STR(",\"subject\":"));
        buf_json(out, t->references[i].subject);
        buf_fmt(out, ",\"version\":%d}", t->references[i].version);
    }
    buf_str(out, STR("],"));
}

static void schema_record(struct store_change *c, struct str subject, int version, int id,
                          const struct schema_text *t, bool deleted)
{
    struct buf key = schema_key(subject, version), value = buf_make(16 * LIMIT_SCHEMA);

    buf_str(&value, STR("{\"subject\":"));
    buf_json(&value, subject);
    buf_fmt(&value, ",\"version\":%d,\"id\":%d,", version, id);
    if (!str_is(t->type, "AVRO")) {
        buf_str(&value, STR("\"schemaType\":"));
        buf_json(&value, t->type);
        buf_u8(&value, ',');
    }
    put_references(&value, t);
    buf_str(&value, STR("\"schema\":"));
    buf_json(&value, t->text);
    buf_fmt(&value, ",\"deleted\":%s}", deleted ? "true" : "false");
    if (!buf_ok(&value)) {
        err_set(c->e, ERR_LIMIT, "the schema is over %zu bytes", value.max);
        c->code = SCHEMA_BAD_SCHEMA;
    }
    add_record(c, &key, &value);
}

static void tombstone(struct store_change *c, struct str subject, int version)
{
    struct buf key = schema_key(subject, version);

    add_record(c, &key, NULL);
}

static void plain_tombstone(struct store_change *c, const char *keytype, struct str subject)
{
    struct buf key = plain_key(keytype, subject);

    add_record(c, &key, NULL);
}

/* Writes what there is, applies it, lets the next change begin. */
static enum schema_code finish(struct store_change *c)
{
    if (c->code == SCHEMA_OK && c->count > 0 && !c->s->append(c->s->arg, c->records, c->count, c->e)) {
        err_wrap(c->e, "the change was not stored");
        c->code = SCHEMA_STORE;
    }
    mutex_lock(&c->s->state);
    for (size_t i = 0; c->code == SCHEMA_OK && i < c->count; i++) {
        bool ok = schema_apply_locked(c->s, c->records[i].key, c->records[i].value, c->e);

        assert(ok); // we have just written it
    }
    c->s->changing = false;
    cond_signal(&c->s->changed);
    mutex_unlock(&c->s->state);
    mem_free(c->records);
    arena_fini(&c->a);
    return c->code;
}

static bool refuse(struct store_change *c, enum schema_code code, enum err_kind kind, const char *text)
{
    c->code = code;
    return err_set(c->e, kind, "%s", text);
}

/* A subject that may be changed. */
static bool may_write(struct store_change *c, struct str subject)
{
    enum schema_mode mode = schema_mode_get(c->s, subject);

    mode = mode == SCHEMA_MODE_UNSET ? schema_mode_get(c->s, STR_NULL) : mode;
    if (mode == SCHEMA_READONLY)
        return refuse(c, SCHEMA_READ_ONLY, ERR_DENIED,
                      arena_fmt(&c->a, "Subject %.*s is in read-only mode", STR_ARG(subject)));
    return true;
}

/* ---- registering ---- */

static bool good_subject(struct store_change *c, struct str subject)
{
    bool ok = subject.n > 0 && subject.n <= SUBJECT_MAX && !str_starts(subject, STR(":"));

    for (size_t i = 0; i < subject.n; i++)
        ok &= (unsigned char)subject.p[i] >= 0x20;
    return ok || refuse(c, SCHEMA_BAD_SUBJECT, ERR_INVALID, "The specified subject is not a valid.");
}

static struct buf recent_key(struct str subject, struct str text)
{
    struct buf key = buf_make(SIZE_MAX / 4);

    buf_str(&key, subject);
    buf_u8(&key, 0);
    buf_str(&key, text);
    return key;
}

/* The short way: this very text was registered before and nothing was deleted since. */
static bool recent(struct schema_store *s, struct str subject, const struct schema_text *t,
                   struct schema_version *out)
{
    struct buf key;
    struct schema_recent *r;

    if (t->reference_count > 0 || (t->type.n > 0 && !str_is(t->type, "AVRO")))
        return false;
    key = recent_key(subject, t->text);
    mutex_lock(&s->state);
    r = map_get(&s->recent, buf_view(&key));
    if (r)
        *out = (struct schema_version){.subject = subject, .version = r->version, .id = r->id};
    mutex_unlock(&s->state);
    buf_fini(&key);
    return r != NULL;
}

static void remember(struct schema_store *s, const struct schema_text *t, const struct schema_version *v)
{
    struct schema_recent *r;
    struct buf key;

    if (t->reference_count > 0)
        return;
    key = recent_key(v->subject, t->text);
    r = MEM_NEW(struct schema_recent);
    *r = (struct schema_recent){v->id, v->version};
    mutex_lock(&s->state);
    if (s->recent.n >= SCHEMA_RECENT_MAX)
        schema_forget_recent(s);
    mem_free(map_put(&s->recent, buf_view(&key), r));
    mutex_unlock(&s->state);
    buf_fini(&key);
}

/* Finds the schema in the subject: true when it is live there. Otherwise out gets the id and version it will have. */
static bool place(struct store_change *c, struct str subject, const struct schema_parsed *t,
                  struct schema_version *out)
{
    struct schema_store *s = c->s;
    const struct schema_subject *sub;
    const struct schema_entry *entry;
    bool live = false;

    mutex_lock(&s->state);
    sub = schema_subject(s, subject);
    entry = schema_entry_of(s, &t->text);
    *out =
        (struct schema_version){.subject = subject, .version = 1, .id = entry ? entry->id : s->last_id + 1};
    if (sub && sub->count > 0)
        out->version = sub->slots[sub->count - 1].version + 1;
    for (size_t i = 0; sub && entry && !live && i < sub->count; i++) {
        live = sub->slots[i].entry == entry && !sub->slots[i].deleted;
        if (live)
            out->version = sub->slots[i].version;
    }
    mutex_unlock(&s->state);
    return live;
}

/* A soft-deleted version of the same schema goes when it is registered anew, unless something refers to it. */
static void replace_deleted(struct store_change *c, struct str subject, int id)
{
    struct schema_version *all;
    size_t n;

    if (!schema_versions(c->s, subject, SCHEMA_DELETED_ONLY, &c->a, &all, &n))
        return;
    for (size_t i = 0; i < n; i++)
        if (all[i].id == id)
            tombstone(c, subject, all[i].version);
}

static bool check(struct store_change *c, struct str subject, const struct schema_parsed *t)
{
    struct schema_messages m = {.arena = &c->a};
    enum schema_code code = schema_check_parsed(c->s, subject, 0, t, &m, c->e);

    if (code != SCHEMA_OK) {
        c->code = code;
        return false;
    }
    if (m.count == 0)
        return true;
    return refuse(
        c, SCHEMA_INCOMPATIBLE, ERR_CONFLICT,
        arena_fmt(&c->a,
                  "Schema being registered is incompatible with an earlier schema for subject \"%.*s\", "
                  "details: [%.*s]",
                  STR_ARG(subject), STR_ARG(m.list[0])));
}

enum schema_code schema_add(struct schema_store *s, struct str subject, const struct schema_text *t,
                            struct schema_version *out, struct err *e)
{
    struct schema_parsed parsed;
    struct store_change c;
    enum schema_code code;

    *out = (struct schema_version){.subject = subject};
    if (recent(s, subject, t, out))
        return SCHEMA_OK;
    begin(&c, s, e);
    if (!good_subject(&c, subject) || !may_write(&c, subject))
        return finish(&c);
    c.code = schema_parse(s, t, &c.a, &parsed, e);
    if (c.code == SCHEMA_OK && !place(&c, subject, &parsed, out) && check(&c, subject, &parsed)) {
        schema_record(&c, subject, out->version, out->id, &parsed.text, false);
        replace_deleted(&c, subject, out->id);
    }
    code = finish(&c);
    if (code == SCHEMA_OK)
        remember(s, t, out);
    return code;
}

bool schema_register(struct schema_store *s, struct str subject, const struct schema_text *t, int *id,
                     int *version, struct err *e)
{
    struct schema_version v = {0};

    if (schema_add(s, subject, t, &v, e) != SCHEMA_OK)
        return false;
    *id = v.id;
    *version = v.version;
    return true;
}

/* ---- deleting ---- */

static bool not_referenced(struct store_change *c, struct str subject, int version)
{
    int *ids;
    size_t n = 0;
    struct err ignored;

    if (schema_referenced_by(c->s, subject, version, &c->a, &ids, &n, &ignored) != SCHEMA_OK || n == 0)
        return true;
    return refuse(c, SCHEMA_REFERENCED, ERR_CONFLICT,
                  arena_fmt(&c->a,
                            "One or more references exist to the schema {magic=1,keytype=SCHEMA,subject=%.*s,"
                            "version=%d}.",
                            STR_ARG(subject), version));
}

/* When the last live version of a subject goes, its level and mode go too. */
static void forget_settings(struct store_change *c, struct str subject)
{
    if (schema_level_get(c->s, subject) != SCHEMA_LEVEL_UNSET)
        plain_tombstone(c, "CONFIG", subject);
    if (schema_mode_get(c->s, subject) != SCHEMA_MODE_UNSET)
        plain_tombstone(c, "MODE", subject);
}

static bool delete_version(struct store_change *c, struct str subject, int version, bool permanent,
                           int *deleted)
{
    struct schema_version v, *live;
    struct str name = subject;
    size_t n;

    c->code = schema_get(c->s, subject, version, permanent || version != SCHEMA_LATEST, &c->a, &v, c->e);
    if (c->code != SCHEMA_OK || !may_write(c, subject))
        return false;
    if (permanent && !v.deleted)
        return refuse(
            c, SCHEMA_VERSION_NOT_DELETED, ERR_CONFLICT,
            arena_fmt(&c->a,
                      "Subject '%.*s' Version %d was not deleted first before being permanently deleted",
                      STR_ARG(name), v.version));
    if (!permanent && v.deleted)
        return refuse(
            c, SCHEMA_VERSION_DELETED, ERR_CONFLICT,
            arena_fmt(&c->a,
                      "Subject '%.*s' Version %d was soft deleted. Set permanent=true to delete permanently",
                      STR_ARG(name), v.version));
    if (!not_referenced(c, subject, v.version))
        return false;
    *deleted = v.version;
    if (permanent) {
        tombstone(c, subject, v.version);
        return true;
    }
    schema_record(c, subject, v.version, v.id, &v.schema, true);
    if (schema_versions(c->s, subject, SCHEMA_LIVE, &c->a, &live, &n) && n == 1)
        forget_settings(c, subject);
    return true;
}

enum schema_code schema_delete_version(struct schema_store *s, struct str subject, int version,
                                       bool permanent, int *deleted, struct err *e)
{
    struct store_change c;

    begin(&c, s, e);
    (void)delete_version(&c, subject, version, permanent, deleted);
    return finish(&c);
}

static bool delete_subject(struct store_change *c, struct str subject, bool permanent,
                           struct schema_version *list, size_t n)
{
    struct buf key, value = buf_make(MIB);

    for (size_t i = 0; i < n; i++)
        if (!not_referenced(c, subject, list[i].version))
            return false;
    if (permanent) {
        for (size_t i = 0; i < n; i++)
            tombstone(c, subject, list[i].version);
        plain_tombstone(c, "DELETE_SUBJECT", subject);
        return true;
    }
    key = plain_key("DELETE_SUBJECT", subject);
    buf_str(&value, STR("{\"subject\":"));
    buf_json(&value, subject);
    buf_fmt(&value, ",\"version\":%d}", list[n - 1].version);
    add_record(c, &key, &value);
    forget_settings(c, subject);
    return true;
}

enum schema_code schema_delete_subject(struct schema_store *s, struct str subject, bool permanent,
                                       struct arena *a, int **versions, size_t *count, struct err *e)
{
    struct schema_version *live, *all, *list;
    size_t live_n, all_n, n;
    struct store_change c;

    begin(&c, s, e);
    (void)schema_versions(s, subject, SCHEMA_LIVE, &c.a, &live, &live_n);
    (void)schema_versions(s, subject, SCHEMA_LIVE_AND_DELETED, &c.a, &all, &all_n);
    list = permanent ? all : live;
    n = permanent ? all_n : live_n;
    if (all_n == 0)
        (void)refuse(&c, SCHEMA_NO_SUBJECT, ERR_NOT_FOUND,
                     arena_fmt(&c.a, "Subject '%.*s' not found.", STR_ARG(subject)));
    else if (permanent && live_n > 0)
        (void)refuse(&c, SCHEMA_SUBJECT_NOT_DELETED, ERR_CONFLICT,
                     arena_fmt(&c.a, "Subject '%.*s' was not deleted first before being permanently deleted",
                               STR_ARG(subject)));
    else if (!permanent && live_n == 0)
        (void)refuse(&c, SCHEMA_SUBJECT_DELETED, ERR_CONFLICT,
                     arena_fmt(&c.a,
                               "Subject '%.*s' was soft deleted. Set permanent=true to delete permanently",
                               STR_ARG(subject)));
    else if (may_write(&c, subject) && delete_subject(&c, subject, permanent, list, n)) {
        *versions = ARENA_ARRAY(a, int, n);
        for (size_t i = 0; i < n; i++)
            (*versions)[i] = list[i].version;
        *count = n;
    }
    return finish(&c);
}

/* ---- levels and modes ---- */

enum schema_level schema_level_get(struct schema_store *s, struct str subject)
{
    const struct schema_subject *sub;
    enum schema_level level;

    mutex_lock(&s->state);
    sub = subject.p ? schema_subject(s, subject) : NULL;
    level = subject.p ? (sub ? sub->level : SCHEMA_LEVEL_UNSET) : s->level;
    mutex_unlock(&s->state);
    return level;
}

enum schema_mode schema_mode_get(struct schema_store *s, struct str subject)
{
    const struct schema_subject *sub;
    enum schema_mode mode;

    mutex_lock(&s->state);
    sub = subject.p ? schema_subject(s, subject) : NULL;
    mode = subject.p ? (sub ? sub->mode : SCHEMA_MODE_UNSET) : s->mode;
    mutex_unlock(&s->state);
    return mode;
}

const char *schema_mode_name(enum schema_mode m)
{
    return m == SCHEMA_READONLY ? "READONLY" : m == SCHEMA_READWRITE ? "READWRITE" : "";
}

enum schema_mode schema_mode_of(struct str name)
{
    if (str_eq_nocase(name, STR("READWRITE")))
        return SCHEMA_READWRITE;
    return str_eq_nocase(name, STR("READONLY")) ? SCHEMA_READONLY : SCHEMA_MODE_UNSET;
}

/* One record {"subject":..., FIELD: value}, or a tombstone when the value is empty. */
static void put_setting(struct store_change *c, const char *keytype, struct str subject, const char *field,
                        const char *value)
{
    struct buf key = plain_key(keytype, subject), text = buf_make(MIB);

    buf_u8(&text, '{');
    if (subject.p) {
        buf_str(&text, STR("\"subject\":"));
        buf_json(&text, subject);
        buf_u8(&text, ',');
    }
    buf_fmt(&text, "\"%s\":\"%s\"}", field, value);
    add_record(c, &key, value[0] ? &text : NULL);
    buf_fini(&text);
}

enum schema_code schema_level_set(struct schema_store *s, struct str subject, enum schema_level level,
                                  struct err *e)
{
    struct store_change c;

    begin(&c, s, e);
    if ((!subject.p || good_subject(&c, subject)) && may_write(&c, subject))
        put_setting(&c, "CONFIG", subject, "compatibilityLevel", schema_level_name(level));
    return finish(&c);
}

enum schema_code schema_mode_set(struct schema_store *s, struct str subject, enum schema_mode mode,
                                 struct err *e)
{
    struct store_change c;

    begin(&c, s, e);
    if (!subject.p || good_subject(&c, subject))
        put_setting(&c, "MODE", subject, "mode", schema_mode_name(mode));
    return finish(&c);
}
