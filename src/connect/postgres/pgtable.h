/*
 * pgtable: a captured table: its columns, what its key is, its topic and the schemas of its events.
 *
 * Made from the catalog's facts, and made anew when a Relation message says that the columns are others. The schemas are
 * Debezium's: NAME.Key, NAME.Envelope with NAME.Value in before and after, where NAME is the topic.
 */
#pragma once

#include "base/arena.h"
#include "connect/postgres/pgoutput.h"
#include "connect/postgres/pgtype.h"
#include "connect/postgres/settings.h"

/* What the catalog knows of one column. */
struct column_facts {
    struct str name;
    struct type_facts type; // of the base type of a domain
    uint32_t declared;      // the type as declared, as Relation messages have it
    bool not_null;
    struct str expression; // of the default; p NULL: none
};

struct table_facts {
    uint32_t oid;
    struct str schema, name;
    struct str filter; // of the publication, in SQL; p NULL: all rows
    struct column_facts *columns;
    size_t count;
    struct str *key; // names of the key's columns, in their order
    size_t key_count;
};

struct pg_column {
    struct str name;
    struct type type;
    bool optional;
    bool null_last;    // the union is [T, null], as it has a default
    struct str absent; // Avro of what stands for null where null cannot be, or a default is written instead
    struct str absent_json;
    struct str placeholder; // Avro of an unchanged large value
    struct str placeholder_json;
    struct str json_name; // "name": as it begins a member
};

struct pg_table {
    struct arena arena;
    uint32_t oid;
    struct str schema, name, topic;
    struct str filter;
    struct pg_column *columns; // those that are sent; conv NONE are not part of the events
    size_t count;
    size_t *key; // indices into columns, in the key's order
    size_t key_count;
    const struct shape *key_shape; // NULL: no key
    const struct shape *value_shape;
    int key_id, value_id;                // in the registry; 0: not registered yet
    struct str key_schema, value_schema; // JsonConverter's, when it sends them
    bool ready;                          // its topic is there
    size_t out;                          // its place among the topics that are written
};

/*
 * The columns of `facts` that `sent` names, in its order; sent NULL: all. A column the catalog does not know any more is taken
 * as the message describes it. warn gets a sentence for each column that is left out.
 */
typedef void table_warn_fn(void *arg, const char *text);
struct pg_table *pgtable_new(const struct table_facts *facts, const struct pgout_column *sent,
                             size_t sent_count, const struct pg_settings *s, table_warn_fn *warn, void *arg);
void pgtable_free(struct pg_table *t);
