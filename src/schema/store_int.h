/*
 * store_int: the schema store from inside.
 *
 * store.c         state: subjects, versions, schemas by id and by content; reading it
 * store_apply.c   a record of _schemas becomes state
 * store_change.c  a change becomes records, is appended, and then applied: registering, deleting, levels, modes
 * store_check.c   compatibility
 *
 * One lock, `state`, held for moments only and never during I/O, so readers never wait for a disk. Who makes a change holds
 * `changing`, a flag under that lock, until the change is written and applied: changes are decided one after the other.
 */
#pragma once

#include "base/map.h"
#include "os/thread.h"
#include "schema/schema.h"

struct schema_entry { // one schema, however many versions have it
    int id;
    struct schema_text schema; // memory is the entry's
    size_t uses;               // versions that have it
};

struct schema_slot {
    int version;
    struct schema_entry *entry;
    bool deleted;
};

struct schema_subject {
    struct str name;
    struct schema_slot *slots; // ascending
    size_t count, cap;
    enum schema_level level;
    enum schema_mode mode;
};

struct schema_store {
    struct mutex state;
    struct cond changed; // `changing` was given back
    bool changing;
    schema_append_fn *append;
    void *arg;
    struct map subjects; // name -> struct schema_subject
    struct map ids;      // id's bytes -> struct schema_entry
    struct map contents; // content_key -> struct schema_entry
    struct map recent;   // subject, 0, text as given -> struct schema_recent: what schema_register answered
    enum schema_level level, default_level;
    enum schema_mode mode;
    int last_id;
};

struct schema_recent {
    int id, version;
};
enum { SCHEMA_RECENT_MAX = 10000 };

/* All below: state is locked by the caller. */
struct schema_subject *schema_subject(struct schema_store *s, struct str name); // NULL: none
struct schema_slot *schema_slot(const struct schema_subject *sub, int version, bool deleted_too);
struct schema_entry *schema_entry_of(struct schema_store *s, const struct schema_text *t); // by content
struct schema_entry *schema_entry_by_id(struct schema_store *s, int id);
void schema_forget_recent(struct schema_store *s);
/* One record into state. */
bool schema_apply_locked(struct schema_store *s, struct str key, struct str value, struct err *e);
struct buf schema_content_key(const struct schema_text *t); // buf_fini() it
void schema_text_free(struct schema_text *t);               // what it points to

/* Not locked by the caller. */
/* Checks that t is a schema with all it refers to and gives it as it will be stored, in a; known: what it refers to. */
struct schema_parsed {
    struct schema_text text;
    struct str *known;
    size_t known_count;
};
enum schema_code schema_parse(struct schema_store *s, const struct schema_text *t, struct arena *a,
                              struct schema_parsed *out, struct err *e);
/* schema_check() of a schema that was parsed. */
enum schema_code schema_check_parsed(struct schema_store *s, struct str subject, int version,
                                     const struct schema_parsed *t, struct schema_messages *out,
                                     struct err *e);
