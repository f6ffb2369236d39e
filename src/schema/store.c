#include "base/mem.h"
#include "schema/avro.h"
#include "schema/store_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- state ---- */

struct schema_store *schema_store_new(schema_append_fn *append, void *arg)
{
    struct schema_store *s = MEM_NEW(struct schema_store);

    mutex_init(&s->state);
    cond_init(&s->changed);
    s->append = append;
    s->arg = arg;
    s->level = s->default_level = SCHEMA_BACKWARD;
    s->mode = SCHEMA_READWRITE;
    return s;
}

void schema_store_default_level(struct schema_store *s, enum schema_level level)
{
    assert(level != SCHEMA_LEVEL_UNSET);
    s->level = s->default_level = level;
}

void schema_forget_recent(struct schema_store *s)
{
    for (struct map_it it = {0}; map_next(&s->recent, &it);)
        mem_free(it.value);
    map_fini(&s->recent);
    s->recent = (struct map){0};
}

void schema_store_free(struct schema_store *s)
{
    if (!s)
        return;
    for (struct map_it it = {0}; map_next(&s->subjects, &it);) {
        struct schema_subject *sub = it.value;

        mem_free(sub->slots);
        mem_free((char *)(uintptr_t)sub->name.p);
        mem_free(sub);
    }
    for (struct map_it it = {0}; map_next(&s->ids, &it);) {
        struct schema_entry *entry = it.value;

        schema_text_free(&entry->schema);
        mem_free(entry);
    }
    schema_forget_recent(s);
    map_fini(&s->subjects);
    map_fini(&s->ids);
    map_fini(&s->contents);
    cond_fini(&s->changed);
    mutex_fini(&s->state);
    mem_free(s);
}

struct schema_subject *schema_subject(struct schema_store *s, struct str name)
{
    return map_get(&s->subjects, name);
}

struct schema_slot *schema_slot(const struct schema_subject *sub, int version, bool deleted_too)
{
    for (size_t i = sub->count; i > 0; i--) {
        struct schema_slot *slot = &sub->slots[i - 1];

        if ((version == SCHEMA_LATEST || slot->version == version) && (deleted_too || !slot->deleted))
            return slot;
    }
    return NULL;
}

static size_t live_count(const struct schema_subject *sub)
{
    size_t n = 0;

    for (size_t i = 0; i < sub->count; i++)
        n += !sub->slots[i].deleted;
    return n;
}

struct schema_entry *schema_entry_by_id(struct schema_store *s, int id)
{
    return map_get(&s->ids, str_from(&id, sizeof id));
}

/* Two schemas are one when type, text and references are the same. */
struct buf schema_content_key(const struct schema_text *t)
{
    struct buf key = buf_make(SIZE_MAX / 4);

    buf_fmt(&key, "%.*s %zu ", STR_ARG(t->type), t->reference_count);
    for (size_t i = 0; i < t->reference_count; i++) {
        const struct schema_reference *r = &t->references[i];

        buf_fmt(&key, "%zu %zu %d ", r->name.n, r->subject.n, r->version);
        buf_str(&key, r->name);
        buf_str(&key, r->subject);
    }
    buf_str(&key, t->text);
    return key;
}

struct schema_entry *schema_entry_of(struct schema_store *s, const struct schema_text *t)
{
    struct buf key = schema_content_key(t);
    struct schema_entry *entry = map_get(&s->contents, buf_view(&key));

    buf_fini(&key);
    return entry;
}

/* ---- reading ---- */

static struct schema_text copy_text(struct arena *a, const struct schema_text *t)
{
    struct schema_text out = {.type = arena_str(a, t->type), .text = arena_str(a, t->text)};

    out.reference_count = t->reference_count;
    out.references = ARENA_ARRAY(a, struct schema_reference, t->reference_count);
    for (size_t i = 0; i < t->reference_count; i++)
        out.references[i] =
            (struct schema_reference){arena_str(a, t->references[i].name),
                                      arena_str(a, t->references[i].subject), t->references[i].version};
    return out;
}

static struct schema_version copy_version(struct arena *a, const struct schema_subject *sub,
                                          const struct schema_slot *slot)
{
    return (struct schema_version){.subject = arena_str(a, sub->name),
                                   .version = slot->version,
                                   .id = slot->entry->id,
                                   .schema = copy_text(a, &slot->entry->schema),
                                   .deleted = slot->deleted};
}

bool schema_by_id(struct schema_store *s, int id, struct arena *a, struct schema_version *out)
{
    struct schema_entry *entry;

    mutex_lock(&s->state);
    entry = schema_entry_by_id(s, id);
    if (entry && entry->uses > 0)
        *out = (struct schema_version){.id = id, .schema = copy_text(a, &entry->schema)};
    else
        entry = NULL;
    mutex_unlock(&s->state);
    return entry != NULL;
}

int schema_max_id(struct schema_store *s)
{
    int id;

    mutex_lock(&s->state);
    id = s->last_id;
    mutex_unlock(&s->state);
    return id;
}

static enum schema_code no_subject(struct str subject, struct err *e)
{
    err_set(e, ERR_NOT_FOUND, "Subject '%.*s' not found.", STR_ARG(subject));
    return SCHEMA_NO_SUBJECT;
}

static enum schema_code no_version(int version, struct err *e)
{
    err_set(e, ERR_NOT_FOUND, "Version %d not found.", version);
    return SCHEMA_NO_VERSION;
}

enum schema_code schema_get(struct schema_store *s, struct str subject, int version, bool deleted_too,
                            struct arena *a, struct schema_version *out, struct err *e)
{
    const struct schema_subject *sub;
    const struct schema_slot *slot = NULL;
    bool any = false;

    mutex_lock(&s->state);
    sub = schema_subject(s, subject);
    if (sub) {
        any = deleted_too ? sub->count > 0 : live_count(sub) > 0;
        slot = schema_slot(sub, version, deleted_too);
    }
    if (slot)
        *out = copy_version(a, sub, slot);
    mutex_unlock(&s->state);
    if (slot)
        return SCHEMA_OK;
    return any ? no_version(version, e) : no_subject(subject, e);
}

enum schema_code schema_lookup(struct schema_store *s, struct str subject, const struct schema_text *t,
                               bool deleted_too, struct schema_version *out, struct err *e)
{
    struct arena a = {0};
    struct schema_parsed parsed;
    const struct schema_subject *sub;
    bool known = false, found = false;
    enum schema_code code = schema_parse(s, t, &a, &parsed, e);

    mutex_lock(&s->state);
    sub = code == SCHEMA_OK ? schema_subject(s, subject) : NULL;
    if (sub) {
        const struct schema_entry *entry = schema_entry_of(s, &parsed.text);

        known = deleted_too ? sub->count > 0 : live_count(sub) > 0;
        for (size_t i = sub->count; entry && !found && i > 0; i--) {
            const struct schema_slot *slot = &sub->slots[i - 1];

            found = slot->entry == entry && (deleted_too || !slot->deleted);
            if (found)
                *out = (struct schema_version){
                    .subject = subject, .version = slot->version, .id = entry->id, .deleted = slot->deleted};
        }
    }
    mutex_unlock(&s->state);
    arena_fini(&a);
    if (code != SCHEMA_OK || found)
        return code;
    if (!known)
        return no_subject(subject, e);
    err_set(e, ERR_NOT_FOUND, "Schema not found");
    return SCHEMA_NO_SCHEMA;
}

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static bool shows(const struct schema_slot *slot, enum schema_which which)
{
    return which == SCHEMA_LIVE_AND_DELETED || slot->deleted == (which == SCHEMA_DELETED_ONLY);
}

/* For a subject, deleted only means that no version is live. */
static bool subject_shows(const struct schema_subject *sub, enum schema_which which)
{
    size_t live = live_count(sub);

    if (which == SCHEMA_LIVE_AND_DELETED)
        return sub->count > 0;
    return which == SCHEMA_LIVE ? live > 0 : live == 0 && sub->count > 0;
}

static size_t subjects_locked(struct schema_store *s, struct str prefix, enum schema_which which,
                              struct arena *a, struct str **out)
{
    struct str *list = ARENA_ARRAY(a, struct str, s->subjects.n);
    size_t n = 0;

    for (struct map_it it = {0}; map_next(&s->subjects, &it);) {
        const struct schema_subject *sub = it.value;

        if (str_starts(sub->name, prefix) && subject_shows(sub, which))
            list[n++] = arena_str(a, sub->name);
    }
    if (n > 0)
        qsort(list, n, sizeof *list, by_bytes);
    *out = list;
    return n;
}

void schema_subjects(struct schema_store *s, struct str prefix, enum schema_which which, struct arena *a,
                     struct str **out, size_t *count)
{
    mutex_lock(&s->state);
    *count = subjects_locked(s, prefix, which, a, out);
    mutex_unlock(&s->state);
}

bool schema_versions(struct schema_store *s, struct str subject, enum schema_which which, struct arena *a,
                     struct schema_version **out, size_t *count)
{
    struct str *names = &subject;
    size_t subjects = 1, n = 0, total = 0;

    mutex_lock(&s->state);
    if (!subject.p)
        subjects = subjects_locked(s, STR(""), SCHEMA_LIVE_AND_DELETED, a, &names);
    for (size_t i = 0; i < subjects; i++) {
        const struct schema_subject *sub = schema_subject(s, names[i]);

        total += sub ? sub->count : 0;
    }
    *out = ARENA_ARRAY(a, struct schema_version, total);
    for (size_t i = 0; i < subjects; i++) {
        const struct schema_subject *sub = schema_subject(s, names[i]);

        for (size_t k = 0; sub && k < sub->count; k++)
            if (shows(&sub->slots[k], which))
                (*out)[n++] = copy_version(a, sub, &sub->slots[k]);
    }
    mutex_unlock(&s->state);
    *count = n;
    return n > 0;
}

bool schema_id_versions(struct schema_store *s, int id, bool deleted_too, struct arena *a,
                        struct schema_version **out, size_t *count)
{
    const struct schema_entry *entry;
    struct str *names;
    size_t subjects, n = 0;

    mutex_lock(&s->state);
    entry = schema_entry_by_id(s, id);
    subjects = entry ? subjects_locked(s, STR(""), SCHEMA_LIVE_AND_DELETED, a, &names) : 0;
    *out = ARENA_ARRAY(a, struct schema_version, entry ? entry->uses : 0);
    for (size_t i = 0; i < subjects; i++) {
        const struct schema_subject *sub = schema_subject(s, names[i]);

        for (size_t k = 0; k < sub->count; k++)
            if (sub->slots[k].entry == entry && (deleted_too || !sub->slots[k].deleted))
                (*out)[n++] = copy_version(a, sub, &sub->slots[k]);
    }
    mutex_unlock(&s->state);
    *count = n;
    return entry && entry->uses > 0;
}

static bool refers(const struct schema_text *t, struct str subject, int version)
{
    for (size_t i = 0; i < t->reference_count; i++)
        if (t->references[i].version == version && str_eq(t->references[i].subject, subject))
            return true;
    return false;
}

/* Does a version that is not deleted have this id? */
static bool is_live(struct schema_store *s, int id)
{
    for (struct map_it it = {0}; map_next(&s->subjects, &it);) {
        const struct schema_subject *sub = it.value;

        for (size_t i = 0; i < sub->count; i++)
            if (sub->slots[i].entry->id == id && !sub->slots[i].deleted)
                return true;
    }
    return false;
}

static int by_number(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

/* Ids of live versions that refer to a version; each once. */
static size_t referring(struct schema_store *s, struct str subject, int version, struct arena *a, int **ids)
{
    size_t n = 0, kept = 0;
    int *list = ARENA_ARRAY(a, int, s->ids.n + 1);

    for (struct map_it it = {0}; map_next(&s->ids, &it);) {
        const struct schema_entry *entry = it.value;

        if (entry->uses > 0 && refers(&entry->schema, subject, version))
            list[n++] = entry->id;
    }
    for (size_t i = 0; i < n; i++)
        if (is_live(s, list[i]))
            list[kept++] = list[i];
    if (kept > 0)
        qsort(list, kept, sizeof *list, by_number);
    *ids = list;
    return kept;
}

enum schema_code schema_referenced_by(struct schema_store *s, struct str subject, int version,
                                      struct arena *a, int **ids, size_t *count, struct err *e)
{
    const struct schema_subject *sub;
    const struct schema_slot *slot;
    bool known;

    mutex_lock(&s->state);
    sub = schema_subject(s, subject);
    slot = sub ? schema_slot(sub, version, false) : NULL;
    known = sub && live_count(sub) > 0;
    if (slot)
        *count = referring(s, subject, slot->version, a, ids);
    mutex_unlock(&s->state);
    if (slot)
        return SCHEMA_OK;
    return known ? no_version(version, e) : no_subject(subject, e);
}

/* ---- what a schema refers to ---- */

enum { REFERENCE_DEPTH = 16, REFERENCES_MAX = 1000 };

struct resolve {
    struct schema_store *s;
    struct arena *a;
    struct map seen; // "version subject" of what is in the list
    struct str *texts;
    size_t count, cap;
    struct err *e;
};

static bool resolve_all(struct resolve *r, const struct schema_text *t, int depth);

static bool resolve_one(struct resolve *r, const struct schema_reference *ref, int depth)
{
    struct str key = str_of(arena_fmt(r->a, "%d %.*s", ref->version, STR_ARG(ref->subject)));
    const struct schema_subject *sub = schema_subject(r->s, ref->subject);
    const struct schema_slot *slot = sub ? schema_slot(sub, ref->version, true) : NULL;

    if (!slot)
        return err_set(r->e, ERR_INVALID, "No schema reference found for subject \"%.*s\" and version %d",
                       STR_ARG(ref->subject), ref->version);
    if (map_put(&r->seen, key, r))
        return true;
    if (depth > REFERENCE_DEPTH || r->count >= REFERENCES_MAX)
        return err_set(r->e, ERR_LIMIT, "references are more than %d deep, or more than %d", REFERENCE_DEPTH,
                       REFERENCES_MAX);
    if (!resolve_all(r, &slot->entry->schema, depth + 1))
        return false;
    MEM_PUSH_ROOM(r->texts, r->count, r->cap);
    r->texts[r->count++] = arena_str(r->a, slot->entry->schema.text);
    return true;
}

static bool resolve_all(struct resolve *r, const struct schema_text *t, int depth)
{
    for (size_t i = 0; i < t->reference_count; i++)
        if (!resolve_one(r, &t->references[i], depth))
            return false;
    return true;
}

enum schema_code schema_known(struct schema_store *s, const struct schema_text *t, struct arena *a,
                              struct str **texts, size_t *count, struct err *e)
{
    struct resolve r = {.s = s, .a = a, .e = e};
    bool ok;

    mutex_lock(&s->state);
    ok = resolve_all(&r, t, 0);
    mutex_unlock(&s->state);
    *texts = arena_copy(a, r.texts, r.count * sizeof *r.texts);
    *count = r.count;
    mem_free(r.texts);
    map_fini(&r.seen);
    return ok ? SCHEMA_OK : SCHEMA_BAD_SCHEMA;
}

enum schema_code schema_parse(struct schema_store *s, const struct schema_text *t, struct arena *a,
                              struct schema_parsed *out, struct err *e)
{
    struct buf text = buf_make(SIZE_MAX / 4);
    struct avro *tree;
    enum schema_code code;

    *out = (struct schema_parsed){.text = *t};
    out->text.type = STR("AVRO");
    if (t->type.p && t->type.n > 0 && !str_is(t->type, "AVRO")) {
        err_set(e, ERR_INVALID, "Invalid schema type %.*s: only AVRO is supported", STR_ARG(t->type));
        return SCHEMA_BAD_SCHEMA;
    }
    code = schema_known(s, t, a, &out->known, &out->known_count, e);
    if (code != SCHEMA_OK)
        return code;
    if (!avro_parse_with(a, out->known, out->known_count, t->text, &tree, e)) {
        err_wrap(e, "Invalid schema");
        return SCHEMA_BAD_SCHEMA;
    }
    avro_text(tree, &text);
    out->text.text = arena_str(a, buf_view(&text));
    buf_fini(&text);
    return SCHEMA_OK;
}

/* ---- the wire ---- */

bool schema_wire_id(struct str value, int *id, struct str *data)
{
    const uint8_t *p = (const uint8_t *)value.p;

    if (value.n < SCHEMA_WIRE || p[0] != 0 || p[1] > 127)
        return false;
    *id = p[1] << 24 | p[2] << 16 | p[3] << 8 | p[4];
    *data = str_from(value.p + SCHEMA_WIRE, value.n - SCHEMA_WIRE);
    return true;
}
