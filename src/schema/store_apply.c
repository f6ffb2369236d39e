#include "base/limits.h"
#include "base/mem.h"
#include "schema/avro_int.h"
#include "schema/store_int.h"

#include <limits.h>
#include <stdlib.h>

/*
 * Records of _schemas, as Confluent's registry writes them: the key says what the value is about.
 *
 *     {"keytype":"SCHEMA","subject":"s","version":1,"magic":1}   {"subject":"s","version":1,"id":1,"schema":"...","deleted":false}
 *     {"keytype":"CONFIG","subject":null,"magic":0}              {"compatibilityLevel":"FULL"}
 *     {"keytype":"MODE","subject":"s","magic":0}                 {"mode":"READONLY"}
 *     {"keytype":"DELETE_SUBJECT","subject":"s","magic":0}       {"subject":"s","version":3}: versions up to 3 are soft-deleted
 *     {"keytype":"NOOP","magic":0}                               nothing
 *
 * A null value takes the record of that key back. Schemas of types that tarn cannot read are kept and served.
 */
enum { VALUE_MAX = 8 * 1024 * 1024 };

struct record {
    struct str keytype, subject;
    int version;
    json_t *key, *value; // value NULL: a tombstone
};

static int number(const json_t *object, const char *name, int otherwise)
{
    const json_t *j = json_object_get(object, name);

    if (!json_is_integer(j) || json_integer_value(j) < 0 || json_integer_value(j) > INT_MAX)
        return otherwise;
    return (int)json_integer_value(j);
}

static struct str text_of(const json_t *object, const char *name)
{
    return avro_json_str(json_object_get(object, name));
}

static struct str owned(struct str s)
{
    return (struct str){str_dup(s), s.n};
}

static struct schema_subject *make_subject(struct schema_store *s, struct str name)
{
    struct schema_subject *sub = schema_subject(s, name);

    if (sub)
        return sub;
    sub = MEM_NEW(struct schema_subject);
    sub->name = owned(name);
    (void)map_put(&s->subjects, name, sub);
    return sub;
}

static struct schema_reference *references(const json_t *value, size_t *count)
{
    const json_t *list = json_object_get(value, "references");
    struct schema_reference *out;

    *count = json_array_size(list);
    if (*count == 0)
        return NULL;
    out = MEM_ARRAY(struct schema_reference, *count);
    for (size_t i = 0; i < *count; i++) {
        const json_t *r = json_array_get(list, i);

        out[i].name = owned(text_of(r, "name").p ? text_of(r, "name") : STR(""));
        out[i].subject = owned(text_of(r, "subject").p ? text_of(r, "subject") : STR(""));
        out[i].version = number(r, "version", 0);
    }
    return out;
}

void schema_text_free(struct schema_text *t)
{
    mem_free((char *)(uintptr_t)t->text.p);
    mem_free((char *)(uintptr_t)t->type.p);
    for (size_t i = 0; i < t->reference_count; i++) {
        mem_free((char *)(uintptr_t)t->references[i].name.p);
        mem_free((char *)(uintptr_t)t->references[i].subject.p);
    }
    mem_free(t->references);
}

/* The entry of an id, made when it is new. An id stands for one schema for ever. */
static struct schema_entry *make_entry(struct schema_store *s, int id, const json_t *value, struct err *e)
{
    struct str type = text_of(value, "schemaType");
    struct schema_text t = {.type = owned(type.p ? type : STR("AVRO")),
                            .text = owned(text_of(value, "schema"))};
    struct schema_entry *entry = schema_entry_by_id(s, id);
    struct buf key;

    t.references = references(value, &t.reference_count);
    key = schema_content_key(&t);
    if (entry) {
        struct buf have = schema_content_key(&entry->schema);

        if (!str_eq(buf_view(&have), buf_view(&key))) {
            err_set(e, ERR_CORRUPT, "two schemas with the id %d", id);
            entry = NULL;
        }
        buf_fini(&have);
        schema_text_free(&t);
    } else {
        entry = MEM_NEW(struct schema_entry);
        *entry = (struct schema_entry){.id = id, .schema = t};
        (void)map_put(&s->ids, str_from(&id, sizeof id), entry);
        if (!map_get(&s->contents, buf_view(&key)))
            (void)map_put(&s->contents, buf_view(&key), entry);
    }
    buf_fini(&key);
    return entry;
}

static void remove_version(struct schema_store *s, struct str subject, int version)
{
    struct schema_subject *sub = schema_subject(s, subject);

    for (size_t i = 0; sub && i < sub->count; i++) {
        if (sub->slots[i].version != version)
            continue;
        sub->slots[i].entry->uses--;
        memmove(&sub->slots[i], &sub->slots[i + 1], (sub->count - i - 1) * sizeof sub->slots[0]);
        sub->count--;
        return;
    }
}

static bool apply_schema(struct schema_store *s, const struct record *r, struct err *e)
{
    struct schema_entry *entry;
    struct schema_subject *sub;
    struct schema_slot *slot;
    size_t at;
    int id;

    if (!r->subject.p || r->version < 1)
        return err_set(e, ERR_CORRUPT, "a SCHEMA key without subject or version");
    schema_forget_recent(s);
    if (!r->value) {
        remove_version(s, r->subject, r->version);
        return true;
    }
    id = number(r->value, "id", 0);
    if (id < 1 || !text_of(r->value, "schema").p)
        return err_set(e, ERR_CORRUPT, "subject %.*s, version %d: a value without id or schema",
                       STR_ARG(r->subject), r->version);
    entry = make_entry(s, id, r->value, e);
    if (!entry)
        return err_wrap(e, "subject %.*s, version %d", STR_ARG(r->subject), r->version);
    s->last_id = id > s->last_id ? id : s->last_id;
    sub = make_subject(s, r->subject);
    slot = schema_slot(sub, r->version, true);
    entry->uses++;
    if (slot) {
        slot->entry->uses--;
    } else {
        MEM_PUSH_ROOM(sub->slots, sub->count, sub->cap);
        for (at = sub->count++; at > 0 && sub->slots[at - 1].version > r->version; at--)
            sub->slots[at] = sub->slots[at - 1];
        slot = &sub->slots[at];
    }
    *slot = (struct schema_slot){r->version, entry, json_is_true(json_object_get(r->value, "deleted"))};
    return true;
}

static bool apply_delete_subject(struct schema_store *s, const struct record *r)
{
    struct schema_subject *sub = r->subject.p ? schema_subject(s, r->subject) : NULL;
    int upto = r->value ? number(r->value, "version", 0) : 0;

    schema_forget_recent(s);
    for (size_t i = 0; sub && i < sub->count; i++)
        sub->slots[i].deleted |= sub->slots[i].version <= upto;
    return true;
}

static bool apply_level(struct schema_store *s, const struct record *r)
{
    enum schema_level level =
        r->value ? schema_level_of(text_of(r->value, "compatibilityLevel")) : SCHEMA_LEVEL_UNSET;

    if (r->subject.p)
        make_subject(s, r->subject)->level = level;
    else
        s->level = level == SCHEMA_LEVEL_UNSET ? s->default_level : level;
    return true;
}

static bool apply_mode(struct schema_store *s, const struct record *r)
{
    enum schema_mode mode = r->value ? schema_mode_of(text_of(r->value, "mode")) : SCHEMA_MODE_UNSET;

    schema_forget_recent(s);
    if (r->subject.p)
        make_subject(s, r->subject)->mode = mode;
    else
        s->mode = mode == SCHEMA_MODE_UNSET ? SCHEMA_READWRITE : mode;
    return true;
}

static bool apply(struct schema_store *s, const struct record *r, struct err *e)
{
    if (str_starts(r->subject, STR(":."))) // of another context, whose ids are its own
        return true;
    if (str_is(r->keytype, "SCHEMA"))
        return apply_schema(s, r, e);
    if (str_is(r->keytype, "DELETE_SUBJECT"))
        return apply_delete_subject(s, r);
    if (str_is(r->keytype, "CONFIG"))
        return apply_level(s, r);
    if (str_is(r->keytype, "MODE"))
        return apply_mode(s, r);
    return true;
}

bool schema_apply_locked(struct schema_store *s, struct str key, struct str value, struct err *e)
{
    struct record r = {0};
    bool ok;

    r.key = avro_json(key, VALUE_MAX, e);
    if (r.key && value.p)
        r.value = avro_json(value, VALUE_MAX, e);
    ok = json_is_object(r.key) && (!value.p || json_is_object(r.value));
    if (ok) {
        r.keytype = text_of(r.key, "keytype");
        r.subject = text_of(r.key, "subject");
        r.version = number(r.key, "version", 0);
        ok = apply(s, &r, e);
    } else {
        err_set(e, ERR_CORRUPT, "%s is not a JSON object", json_is_object(r.key) ? "a value" : "a key");
    }
    json_decref(r.key);
    json_decref(r.value);
    return ok || err_wrap(e, "_schemas");
}

bool schema_store_apply(struct schema_store *s, struct str key, struct str value, struct err *e)
{
    bool ok;

    mutex_lock(&s->state);
    ok = schema_apply_locked(s, key, value, e);
    mutex_unlock(&s->state);
    return ok;
}
