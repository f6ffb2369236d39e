/*
 * settings: what a connector's configuration asks of connect/postgres, read once.
 *
 * The keys, their defaults and their meaning are Debezium's (PostgresConnectorConfig); what is not done here is refused by
 * the class's check() with a sentence that names the key, never ignored.
 */
#pragma once

#include "connect/connect.h"
#include "connect/patterns.h"
#include "connect/postgres/pgtype.h"
enum pg_format { PG_AVRO, PG_JSON, PG_JSON_SCHEMA };
enum pg_snapshot { PG_SNAPSHOT_INITIAL, PG_SNAPSHOT_INITIAL_ONLY, PG_SNAPSHOT_NEVER };
enum pg_autocreate { PG_AUTOCREATE_ALL, PG_AUTOCREATE_OFF, PG_AUTOCREATE_FILTERED };

struct pg_settings {
    const char *host, *user, *password, *database, *sslmode;
    int port;
    struct str prefix; // topic.prefix
    const char *slot, *publication;
    enum pg_autocreate autocreate;
    enum pg_snapshot snapshot;
    enum pg_format key_format, value_format;
    bool tombstones, headers, drop_slot, nulls_stay;
    bool skip_create, skip_update, skip_delete, skip_truncate;
    struct type_modes modes;
    struct str placeholder; // for a large value that the log does not hold
    int64_t status_ms;      // between two confirmations
    int64_t backoff_ms;     // the longest wait before the next try
    int slot_retries;
    int64_t slot_retry_ms;
    int32_t partitions;
    struct patterns include, exclude, include_schemas, exclude_schemas; // none: all, or nothing
};

extern const struct connector_class postgres_class;
extern const struct source_class pg_source; // postgres.c

void pg_settings_read(struct pg_settings *s, const struct config *c); // checked before; borrows from c
void pg_settings_fini(struct pg_settings *s);
/* Is this table asked for? Patterns match the whole of "schema.table" (or the schema), in any case. */
bool pg_settings_wants(const struct pg_settings *s, struct str schema, struct str table);
