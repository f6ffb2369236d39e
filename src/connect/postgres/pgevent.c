#include "connect/postgres/pgevent.h"

#include "base/limits.h"
#include "connect/postgres/pgvalue.h"
#include "schema/schema.h"

#include <stdio.h>

static void avro_text(struct buf *out, struct str s)
{
    buf_varint(out, (int64_t)s.n);
    buf_str(out, s);
}

void pgevents_init(struct events *x, const struct pg_settings *s, struct schema_store *schemas)
{
    *x = (struct events){.settings = s,
                         .schemas = schemas,
                         .key = buf_make(LIMIT_BATCH),
                         .value = buf_make(LIMIT_BATCH),
                         .scratch = buf_make(LIMIT_SCHEMA),
                         .head = buf_make(LIMIT_SCHEMA),
                         .db = buf_make(LIMIT_SCHEMA),
                         .commit = {.us = INT64_MIN},
                         .now = {.us = INT64_MIN}};
    avro_text(&x->head, STR(EVENT_VERSION));
    avro_text(&x->head, STR("postgresql"));
    avro_text(&x->head, s->prefix);
    avro_text(&x->db, str_of(s->database));
}

void pgevents_fini(struct events *x)
{
    buf_fini(&x->key);
    buf_fini(&x->value);
    buf_fini(&x->scratch);
    buf_fini(&x->head);
    buf_fini(&x->db);
}

static bool column_err(const struct pg_table *t, const struct pg_column *c, struct err *e)
{
    return err_wrap(e, "%.*s.%.*s.%.*s", STR_ARG(t->schema), STR_ARG(t->name), STR_ARG(c->name));
}

static struct pgout_cell cell_at(const struct pgout_row *row, size_t i)
{
    return i < row->count ? row->cells[i] : (struct pgout_cell){.kind = PGOUT_NULL};
}

/* ---- registry ---- */

static bool register_shape(struct events *x, struct str topic, const char *suffix, const struct shape *shape,
                           int *id, struct err *e)
{
    char subject[LIMIT_NAME + 16];
    int n = snprintf(subject, sizeof subject, "%.*s%s", STR_ARG(topic), suffix), version;
    struct schema_text text = {.type = STR("AVRO")};

    buf_reset(&x->scratch);
    shape_avro(&x->scratch, shape);
    text.text = buf_view(&x->scratch);
    return schema_register(x->schemas, str_from(subject, (size_t)n), &text, id, &version, e) ||
           err_wrap(e, "schema %s", subject);
}

/* Confluent's wire format: a zero and the schema's id. */
static bool open_avro(struct events *x, struct buf *out, struct pg_table *t, bool key, struct err *e)
{
    int *id = key ? &t->key_id : &t->value_id;

    if (*id == 0 &&
        !register_shape(x, t->topic, key ? "-key" : "-value", key ? t->key_shape : t->value_shape, id, e))
        return false;
    buf_u8(out, 0);
    buf_i32(out, *id);
    return true;
}

/* ---- Avro ---- */

/* Branch 1 of ["null", T], before its value. */
static void avro_some(struct buf *out)
{
    buf_u8(out, 2);
}

static void avro_null(struct buf *out)
{
    buf_u8(out, 0);
}

static void avro_some_long(struct buf *out, int64_t v)
{
    avro_some(out);
    buf_varint(out, v);
}

static bool avro_cell(struct events *x, struct buf *out, const struct pg_column *c, struct pgout_cell v,
                      struct err *e)
{
    if (v.kind == PGOUT_UNCHANGED && c->placeholder.p) {
        buf_str(out, c->placeholder);
    } else if (v.kind == PGOUT_TEXT) {
        if (c->optional)
            buf_u8(out, c->null_last ? 0 : 2);
        return pgvalue_avro(out, &c->type, v.text, e);
    } else if (!c->optional || (c->null_last && !x->settings->nulls_stay)) {
        buf_str(out, c->absent);
    } else {
        buf_u8(out, c->null_last ? 2 : 0);
    }
    return true;
}

static bool avro_row(struct events *x, struct buf *out, const struct pg_table *t, const struct pgout_row *row,
                     struct err *e)
{
    if (!row) {
        avro_null(out);
        return true;
    }
    avro_some(out);
    for (size_t i = 0; i < t->count; i++) {
        const struct pg_column *c = &t->columns[i];

        if (c->type.conv != CONV_NONE && !avro_cell(x, out, c, cell_at(row, i), e))
            return column_err(t, c, e);
    }
    return true;
}

static int64_t floor_ms(int64_t us)
{
    return us / 1000 - (us % 1000 < 0);
}

/* v in decimal, at the end of out; how many digits. */
static size_t put_decimal(char *out, uint64_t v)
{
    char digits[20];
    size_t n = sizeof digits;

    do
        digits[--n] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    memcpy(out, digits + n, sizeof digits - n);
    return sizeof digits - n;
}

enum { SEQUENCE_MAX = 64 };

static size_t put_text(char *out, struct str s)
{
    memcpy(out, s.p, s.n);
    return s.n;
}

/* The two positions as a JSON text of strings: ["123","456"], the first null when it is not known. */
static struct str sequence_text(const struct event_source *s, char out[SEQUENCE_MAX])
{
    size_t n;

    if (s->last_commit) {
        n = put_text(out, STR("[\""));
        n += put_decimal(out + n, s->last_commit);
        n += put_text(out + n, STR("\",\""));
    } else
        n = put_text(out, STR("[null,\""));
    n += put_decimal(out + n, s->lsn);
    n += put_text(out + n, STR("\"]"));
    return str_from(out, n);
}

/* Milliseconds, microseconds, nanoseconds: branches of unions, but not the first one of a source block. */
static void set_times(struct event_times *t, int64_t us, bool first_plain)
{
    struct buf b = buf_make(sizeof t->bytes);

    if (t->us == us)
        return;
    if (!first_plain)
        avro_some_long(&b, floor_ms(us));
    avro_some_long(&b, us);
    avro_some_long(&b, us * 1000);
    t->us = us;
    t->n = b.n;
    memcpy(t->bytes, b.p, b.n);
    buf_fini(&b);
}

static void avro_source(struct events *x, struct buf *out, const struct event *ev)
{
    const struct event_source *s = &ev->source;
    char sequence[SEQUENCE_MAX];

    buf_str(out, buf_view(&x->head));
    buf_varint(out, floor_ms(s->ts_us));
    buf_u8(out, 0); // the first branch: snapshot has a default
    avro_text(out, str_of(s->snapshot));
    buf_str(out, buf_view(&x->db));
    avro_some(out);
    avro_text(out, sequence_text(s, sequence));
    set_times(&x->commit, s->ts_us, true);
    buf_put(out, x->commit.bytes, x->commit.n);
    avro_text(out, ev->table->schema);
    avro_text(out, ev->table->name);
    if (s->xid >= 0)
        avro_some_long(out, s->xid);
    else
        avro_null(out);
    avro_some_long(out, (int64_t)s->lsn);
    avro_null(out); // xmin
    if (s->origin.p) {
        avro_some(out);
        avro_text(out, s->origin);
        avro_some_long(out, (int64_t)s->origin_lsn);
    } else {
        avro_null(out);
        avro_null(out);
    }
}

static bool value_as_avro(struct events *x, const struct event *ev, struct err *e)
{
    struct buf *out = &x->value;

    if (!open_avro(x, out, ev->table, false, e) || !avro_row(x, out, ev->table, ev->before, e) ||
        !avro_row(x, out, ev->table, ev->after, e))
        return false;
    avro_source(x, out, ev);
    avro_null(out); // transaction
    avro_text(out, str_from(&ev->op, 1));
    set_times(&x->now, ev->now_us, false);
    buf_put(out, x->now.bytes, x->now.n);
    return true;
}

/* ---- JSON ---- */

static bool json_cell(struct events *x, struct buf *out, const struct pg_column *c, struct pgout_cell v,
                      struct err *e)
{
    if (v.kind == PGOUT_UNCHANGED && c->placeholder_json.p)
        buf_str(out, c->placeholder_json);
    else if (v.kind == PGOUT_TEXT)
        return pgvalue_json(out, &c->type, v.text, e);
    else if (!c->optional || (c->null_last && !x->settings->nulls_stay))
        buf_str(out, c->absent_json);
    else
        buf_str(out, STR("null"));
    return true;
}

static bool json_row(struct events *x, struct buf *out, const struct pg_table *t, const struct pgout_row *row,
                     struct err *e)
{
    bool first = true;

    if (!row) {
        buf_str(out, STR("null"));
        return true;
    }
    buf_u8(out, '{');
    for (size_t i = 0; i < t->count; i++) {
        const struct pg_column *c = &t->columns[i];

        if (c->type.conv == CONV_NONE)
            continue;
        if (!first)
            buf_u8(out, ',');
        first = false;
        buf_str(out, c->json_name);
        if (!json_cell(x, out, c, cell_at(row, i), e))
            return column_err(t, c, e);
    }
    buf_u8(out, '}');
    return true;
}

static void json_source(struct events *x, struct buf *out, const struct event *ev)
{
    const struct event_source *s = &ev->source;
    char sequence[SEQUENCE_MAX];

    buf_str(out, STR("{\"version\":\"" EVENT_VERSION "\",\"connector\":\"postgresql\",\"name\":"));
    buf_json(out, x->settings->prefix);
    buf_fmt(out, ",\"ts_ms\":%lld,\"snapshot\":\"%s\",\"db\":", (long long)floor_ms(s->ts_us), s->snapshot);
    buf_json(out, str_of(x->settings->database));
    buf_str(out, STR(",\"sequence\":"));
    buf_json(out, sequence_text(s, sequence));
    buf_fmt(out, ",\"ts_us\":%lld,\"ts_ns\":%lld,\"schema\":", (long long)s->ts_us,
            (long long)s->ts_us * 1000);
    buf_json(out, ev->table->schema);
    buf_str(out, STR(",\"table\":"));
    buf_json(out, ev->table->name);
    if (s->xid >= 0)
        buf_fmt(out, ",\"txId\":%lld", (long long)s->xid);
    else
        buf_str(out, STR(",\"txId\":null"));
    buf_fmt(out, ",\"lsn\":%llu,\"xmin\":null", (unsigned long long)s->lsn);
    if (s->origin.p) {
        buf_str(out, STR(",\"origin\":"));
        buf_json(out, s->origin);
        buf_fmt(out, ",\"origin_lsn\":%llu}", (unsigned long long)s->origin_lsn);
    } else {
        buf_str(out, STR(",\"origin\":null,\"origin_lsn\":null}"));
    }
}

static bool value_as_json(struct events *x, const struct event *ev, struct err *e)
{
    struct buf *out = &x->value;
    bool schema = ev->table->value_schema.p != NULL;

    if (schema) {
        buf_str(out, STR("{\"schema\":"));
        buf_str(out, ev->table->value_schema);
        buf_str(out, STR(",\"payload\":"));
    }
    buf_str(out, STR("{\"before\":"));
    if (!json_row(x, out, ev->table, ev->before, e))
        return false;
    buf_str(out, STR(",\"after\":"));
    if (!json_row(x, out, ev->table, ev->after, e))
        return false;
    buf_str(out, STR(",\"source\":"));
    json_source(x, out, ev);
    buf_fmt(out, ",\"transaction\":null,\"op\":\"%c\",\"ts_ms\":%lld,\"ts_us\":%lld,\"ts_ns\":%lld}", ev->op,
            (long long)floor_ms(ev->now_us), (long long)ev->now_us, (long long)ev->now_us * 1000);
    if (schema)
        buf_u8(out, '}');
    return true;
}

/* ---- both ---- */

bool pgevent_value(struct events *x, const struct event *ev, struct err *e)
{
    buf_reset(&x->value);
    if (!(x->settings->value_format == PG_AVRO ? value_as_avro(x, ev, e) : value_as_json(x, ev, e)))
        return false;
    return buf_ok(&x->value) || err_set(e, ERR_LIMIT, "an event of %.*s.%.*s is over %zu bytes",
                                        STR_ARG(ev->table->schema), STR_ARG(ev->table->name), x->value.max);
}

static bool key_payload(struct pg_table *t, const struct pgout_row *row, struct buf *out, struct err *e)
{
    buf_u8(out, '{');
    for (size_t i = 0; i < t->key_count; i++) {
        const struct pg_column *c = &t->columns[t->key[i]];
        struct pgout_cell v = cell_at(row, t->key[i]);

        if (i)
            buf_u8(out, ',');
        buf_str(out, c->json_name);
        if (v.kind != PGOUT_TEXT)
            buf_str(out, c->optional ? STR("null") : c->absent_json);
        else if (!pgvalue_json(out, &c->type, v.text, e))
            return column_err(t, c, e);
    }
    buf_u8(out, '}');
    return true;
}

bool pgevent_key_text(struct pg_table *t, const struct pgout_row *row, struct buf *out, struct err *e)
{
    return key_payload(t, row, out, e);
}

static bool key_as_json(struct events *x, struct pg_table *t, const struct pgout_row *row, struct err *e)
{
    if (!t->key_schema.p)
        return key_payload(t, row, &x->key, e);
    buf_str(&x->key, STR("{\"schema\":"));
    buf_str(&x->key, t->key_schema);
    buf_str(&x->key, STR(",\"payload\":"));
    if (!key_payload(t, row, &x->key, e))
        return false;
    buf_u8(&x->key, '}');
    return true;
}

bool pgevent_key(struct events *x, struct pg_table *t, const struct pgout_row *row, struct err *e)
{
    buf_reset(&x->key);
    if (x->settings->key_format != PG_AVRO)
        return key_as_json(x, t, row, e);
    if (!open_avro(x, &x->key, t, true, e))
        return false;
    for (size_t i = 0; i < t->key_count; i++) {
        const struct pg_column *c = &t->columns[t->key[i]];

        if (!avro_cell(x, &x->key, c, cell_at(row, t->key[i]), e))
            return column_err(t, c, e);
    }
    return true;
}
