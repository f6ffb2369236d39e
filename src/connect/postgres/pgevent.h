/*
 * pgevent: a row change as Debezium's event: key and value in the format the converters ask for.
 *
 * The envelope's fields, in order: before, after, source, transaction, op, ts_ms, ts_us, ts_ns (Debezium 3). Schemas are
 * registered under TOPIC-key and TOPIC-value before the first event that uses them. source.version says tarn's own version.
 */
#pragma once

#include "base/buf.h"
#include "connect/postgres/pgtable.h"

struct schema_store;

#define EVENT_VERSION "tarn-" TARN_VERSION

/* What the source block says. */
struct event_source {
    int64_t ts_us;        // of the commit, or of the snapshot
    const char *snapshot; // "false", "true", "first", ...
    uint64_t last_commit; // end of the transaction before; 0: not known
    uint64_t lsn;         // of this change
    int64_t xid;          // -1: not known
    uint64_t origin_lsn;
    struct str origin; // p NULL: none
};

struct event {
    char op; // c u d r t
    struct pg_table *table;
    const struct pgout_row *before, *after; // NULL: null
    struct event_source source;
    int64_t now_us;
};

/* Two or three times in Avro, kept as long as the clock stands still: many events share them. */
struct event_times {
    int64_t us;
    uint8_t bytes[40];
    size_t n;
};

struct events {
    const struct pg_settings *settings;
    struct schema_store *schemas;
    struct buf key, value; // of the event encoded last
    struct buf scratch;
    struct buf head, db; // of the source block in Avro: what never changes
    struct event_times commit, now;
};
void pgevents_init(struct events *x, const struct pg_settings *s, struct schema_store *schemas);
void pgevents_fini(struct events *x);

/* The value in x->value. */
bool pgevent_value(struct events *x, const struct event *ev, struct err *e) MUST_CHECK;
/* The key of a row in x->key; the caller has seen that the table has one. */
bool pgevent_key(struct events *x, struct pg_table *t, const struct pgout_row *row, struct err *e) MUST_CHECK;
/* The key as the text that Connect's SimpleHeaderConverter makes of a struct, in out. */
bool pgevent_key_text(struct pg_table *t, const struct pgout_row *row, struct buf *out,
                      struct err *e) MUST_CHECK;
