/*
 * schema: what bytes on a topic mean.
 *
 * avro.h        Avro schemas and data
 * columns.h     rows by column
 * this header   the schema store: subjects, versions, ids, levels and modes, as Confluent's Schema Registry has them
 *
 * The store is memory, fed by the records of the compacted topic _schemas in Confluent's format: schema_store_apply() takes
 * one record at start. A change is first written through `append` (durable, all its records or none) and then applied
 * and visible. So state is where a real registry would look for it, and this room does not know the log.
 *
 * A value on a topic is a zero byte, the id of its schema as four bytes, then the data: schema_wire_id().
 *
 * Any thread may call. Changes wait for each other; a change being written does not keep anybody from reading.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct schema_store;

enum schema_level {
    SCHEMA_LEVEL_UNSET, // of a subject: the global one counts
    SCHEMA_NONE,
    SCHEMA_BACKWARD, // the global level when nothing was set
    SCHEMA_BACKWARD_TRANSITIVE,
    SCHEMA_FORWARD,
    SCHEMA_FORWARD_TRANSITIVE,
    SCHEMA_FULL,
    SCHEMA_FULL_TRANSITIVE,
};

struct schema_record {
    struct str key, value; // value p == NULL: a tombstone
};
/* Writes records to _schemas in one atomic append and waits until they are durable. */
typedef bool schema_append_fn(void *arg, const struct schema_record *records, size_t count, struct err *e);

struct schema_store *schema_store_new(schema_append_fn *append, void *arg);
void schema_store_free(struct schema_store *s); // NULL does nothing
/* The global level while nobody has set one; SCHEMA_BACKWARD at first. Before schema_store_apply(). */
void schema_store_default_level(struct schema_store *s, enum schema_level level);
/* One record of _schemas, at start, in the order of the topic. Records it does not know are passed over; damaged ones are ERR_CORRUPT. */
bool schema_store_apply(struct schema_store *s, struct str key, struct str value, struct err *e) MUST_CHECK;

/* ---- schemas ---- */

/*
 * What went wrong, in Confluent's numbers (Errors.java); e has the sentence, and a kind that fits. Other failures (the log) are
 * SCHEMA_STORE.
 */
enum schema_code {
    SCHEMA_OK = 0,
    SCHEMA_NO_SUBJECT = 40401,
    SCHEMA_NO_VERSION = 40402,
    SCHEMA_NO_SCHEMA = 40403,
    SCHEMA_SUBJECT_DELETED = 40404,     // it is soft-deleted already
    SCHEMA_SUBJECT_NOT_DELETED = 40405, // it must be soft-deleted first
    SCHEMA_VERSION_DELETED = 40406,
    SCHEMA_VERSION_NOT_DELETED = 40407,
    SCHEMA_NO_SUBJECT_LEVEL = 40408,
    SCHEMA_NO_SUBJECT_MODE = 40409,
    SCHEMA_INCOMPATIBLE = 409,
    SCHEMA_BAD_SCHEMA = 42201,
    SCHEMA_BAD_VERSION = 42202,
    SCHEMA_BAD_LEVEL = 42203,
    SCHEMA_BAD_MODE = 42204,
    SCHEMA_READ_ONLY = 42205,
    SCHEMA_REFERENCED = 42206,
    SCHEMA_BAD_SUBJECT = 42208,
    SCHEMA_STORE = 50001,
};

struct schema_reference {
    struct str name, subject;
    int version;
};
struct schema_text {
    struct str type; // "AVRO", or null for the same. Others are SCHEMA_BAD_SCHEMA until tarn reads them
    struct str text;
    struct schema_reference *references;
    size_t reference_count;
};
struct schema_version {
    struct str subject;
    int version;
    int id;
    struct schema_text schema;
    bool deleted;
};

enum { SCHEMA_LATEST = -1 };

/*
 * Registers text under a subject and gives its id; the same schema again gives the same id and writes nothing, and the
 * same text again is one look-up. ERR_INVALID: not a schema; ERR_CONFLICT: not compatible with what the subject's level asks
 * for, the message tells the first difference.
 */
bool schema_register(struct schema_store *s, struct str subject, const struct schema_text *t, int *id,
                     int *version, struct err *e) MUST_CHECK;
enum schema_code schema_add(struct schema_store *s, struct str subject, const struct schema_text *t,
                            struct schema_version *out,
                            struct err *e) MUST_CHECK; // out: subject, version, id

/* Schema of an id, in a; subject and version are not filled in. False when there is no such id. */
bool schema_by_id(struct schema_store *s, int id, struct arena *a, struct schema_version *out);
int schema_max_id(struct schema_store *s); // the highest ever given; 0: none
/* Texts of all that t refers to, those needed first, in a: what avro_parse_with() takes. */
enum schema_code schema_known(struct schema_store *s, const struct schema_text *t, struct arena *a,
                              struct str **texts, size_t *count, struct err *e) MUST_CHECK;
/* A subject's version (or SCHEMA_LATEST), in a. */
enum schema_code schema_get(struct schema_store *s, struct str subject, int version, bool deleted_too,
                            struct arena *a, struct schema_version *out, struct err *e) MUST_CHECK;
/* The version of a subject that has this schema. */
enum schema_code schema_lookup(struct schema_store *s, struct str subject, const struct schema_text *t,
                               bool deleted_too, struct schema_version *out, struct err *e) MUST_CHECK;

enum schema_which { SCHEMA_LIVE, SCHEMA_LIVE_AND_DELETED, SCHEMA_DELETED_ONLY };
/* Names by byte order, those that start with prefix. */
void schema_subjects(struct schema_store *s, struct str prefix, enum schema_which which, struct arena *a,
                     struct str **out, size_t *count);
/* Versions of a subject, or with subject null of all subjects by name, ascending. False when there is none. */
bool schema_versions(struct schema_store *s, struct str subject, enum schema_which which, struct arena *a,
                     struct schema_version **out, size_t *count);
/* The versions that have an id. False when there is no such id. */
bool schema_id_versions(struct schema_store *s, int id, bool deleted_too, struct arena *a,
                        struct schema_version **out, size_t *count);
/* Ids of the schemas that refer to a version. */
enum schema_code schema_referenced_by(struct schema_store *s, struct str subject, int version,
                                      struct arena *a, int **ids, size_t *count, struct err *e) MUST_CHECK;

/* Soft: hidden but kept, reads by id go on. Permanent: gone; needs the soft one before. */
enum schema_code schema_delete_version(struct schema_store *s, struct str subject, int version,
                                       bool permanent, int *deleted, struct err *e) MUST_CHECK;
enum schema_code schema_delete_subject(struct schema_store *s, struct str subject, bool permanent,
                                       struct arena *a, int **versions, size_t *count,
                                       struct err *e) MUST_CHECK;

/* ---- compatibility ---- */

const char *schema_level_name(enum schema_level l); // "BACKWARD_TRANSITIVE"
enum schema_level schema_level_of(struct str name); // any case; SCHEMA_LEVEL_UNSET when it is none

struct schema_messages {
    struct arena *arena; // set by the caller: where the messages go
    struct str *list;
    size_t count;
};
/*
 * Would t be accepted in the subject, against one version (SCHEMA_LATEST too), or with version 0 against those its level names?
 * messages get what is not compatible, as Confluent's verbose answer has it; none: it would.
 */
enum schema_code schema_check(struct schema_store *s, struct str subject, int version,
                              const struct schema_text *t, struct schema_messages *out,
                              struct err *e) MUST_CHECK;

/* subject null: the global level. The answer is SCHEMA_LEVEL_UNSET for a subject without one. */
enum schema_level schema_level_get(struct schema_store *s, struct str subject);
/* Setting a subject's to SCHEMA_LEVEL_UNSET removes it, the global one goes back to the default. */
enum schema_code schema_level_set(struct schema_store *s, struct str subject, enum schema_level level,
                                  struct err *e) MUST_CHECK;

enum schema_mode { SCHEMA_MODE_UNSET, SCHEMA_READWRITE, SCHEMA_READONLY };
const char *schema_mode_name(enum schema_mode m);
enum schema_mode schema_mode_of(struct str name);
enum schema_mode schema_mode_get(struct schema_store *s, struct str subject);
enum schema_code schema_mode_set(struct schema_store *s, struct str subject, enum schema_mode mode,
                                 struct err *e) MUST_CHECK;

/* ---- the wire ---- */

enum { SCHEMA_WIRE = 5 }; // bytes before the data
/* False when it does not begin with a zero byte and an id. */
bool schema_wire_id(struct str value, int *id, struct str *data);
