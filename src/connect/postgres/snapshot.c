/*
 * The first copy of the tables.
 *
 * A new slot exports a snapshot that is consistent with the position where its stream begins: what the snapshot sees is
 * copied, what it does not see comes by the stream, nothing twice and nothing not at all. When the slot is there already
 * (an administrator made it, or an earlier snapshot broke off) a temporary slot gives the snapshot and the position
 * instead; the stream then begins at that position, which the slot still covers.
 *
 * Rows of COPY are PostgreSQL's text, as the stream's are, so both go the same way. One row is always kept back: only when
 * the next one comes, or none, is it known whether it is the last of its table or of all.
 */
#include "base/mem.h"
#include "connect/postgres/capture.h"

#include <jansson.h>
#include <stdio.h>

enum { SNAPSHOT_SEND_BYTES = 4 << 20 };

struct snapshot {
    struct capture *c;
    struct table_facts *facts;
    struct pg_table **tables;
    size_t count;
    struct new_slot start;
    int64_t now_us;
    struct pgout_cell *cells;
    size_t cell_cap;

    char *kept; // the row that waits for its mark; libpq's memory
    size_t kept_bytes;
    struct pg_table *kept_table;
    bool kept_first, kept_first_of_all;
    uint64_t rows;
};

/* ---- what a broken snapshot left ---- */

bool pgsnapshot_clean(struct capture *c, struct str position, struct err *e)
{
    struct log *log = task_env(c->task)->log;
    json_t *o = json_loadb(position.p, position.n, 0, NULL), *v;
    const char *topic;
    bool ok = true;

    json_object_foreach(json_object_get(o, "held"), topic, v)
    {
        struct log_range r;

        if (ok && log_range(log, str_of(topic), 0, &r) && r.end > json_integer_value(v))
            ok = log_trim(log, str_of(topic), 0, r.end, e) || err_wrap(e, "topic %s", topic);
    }
    json_decref(o);
    return ok;
}

/* ---- rows ---- */

/* Undoes COPY's escapes in place; how many bytes are left. */
static size_t unescape(char *from, const char *end)
{
    char *start = from, *to = from;

    while (from < end) {
        char ch = *from++;

        if (ch == '\\' && from < end) {
            ch = *from++;
            switch (ch) {
            case 'b':
                ch = '\b';
                break;
            case 'f':
                ch = '\f';
                break;
            case 'n':
                ch = '\n';
                break;
            case 'r':
                ch = '\r';
                break;
            case 't':
                ch = '\t';
                break;
            case 'v':
                ch = '\v';
                break;
            default:
                break;
            }
        }
        *to++ = ch;
    }
    return (size_t)(to - start);
}

/* One line of COPY's text format into cells; the line is written over. */
static bool split_row(struct snapshot *s, char *line, size_t n, struct pgout_row *row, struct err *e)
{
    size_t count = s->kept_table->count, i = 0;
    char *end = line + (n > 0 && line[n - 1] == '\n' ? n - 1 : n);
    bool escapes = memchr(line, '\\', n) != NULL;

    if (count > s->cell_cap) {
        s->cells = mem_grow(s->cells, count * sizeof *s->cells);
        s->cell_cap = count;
    }
    for (char *at = line; i < count; i++) {
        char *tab = memchr(at, '\t', (size_t)(end - at)), *stop = tab ? tab : end;
        struct pgout_cell *cell = &s->cells[i];
        size_t bytes = (size_t)(stop - at);

        if (bytes == 2 && at[0] == '\\' && at[1] == 'N')
            *cell = (struct pgout_cell){.kind = PGOUT_NULL};
        else
            *cell = (struct pgout_cell){PGOUT_TEXT, str_from(at, escapes ? unescape(at, stop) : bytes)};
        at = stop + 1;
        if (!tab) {
            i++;
            break;
        }
    }
    *row = (struct pgout_row){s->cells, count};
    return i == count || err_set(e, ERR_CORRUPT, "COPY of %.*s.%.*s gave a row of %zu columns, not %zu",
                                 STR_ARG(s->kept_table->schema), STR_ARG(s->kept_table->name), i, count);
}

static const char *mark(const struct snapshot *s, bool last_of_table, bool last_of_all)
{
    return last_of_all            ? "last"
           : s->kept_first_of_all ? "first"
           : last_of_table        ? "last_in_data_collection"
           : s->kept_first        ? "first_in_data_collection"
                                  : "true";
}

/* The kept row becomes an event, now that its mark is known. */
static bool emit_kept(struct snapshot *s, bool last_of_table, bool last_of_all, struct err *e)
{
    struct capture *c = s->c;
    struct pggroup *g = capture_group(c, e);
    struct pgout_row row;
    struct pgchange ch = {
        .op = 'r',
        .table = s->kept_table,
        .after = &row,
        .source = {.ts_us = s->now_us,
                   .snapshot = mark(s, last_of_table, last_of_all),
                   .lsn = s->start.start,
                   .xid = c->server.xid},
    };
    bool ok = g && split_row(s, s->kept, s->kept_bytes, &row, e) && pgchange_add(c, g, &ch, e);

    PQfreemem(s->kept);
    s->kept = NULL;
    if (ok && g->bytes >= SNAPSHOT_SEND_BYTES)
        ok = pggroups_send(&c->groups, str_of(c->partition), STR_NULL, e);
    return ok;
}

static bool keep(struct snapshot *s, struct pg_table *t, char *data, size_t n, bool first, struct err *e)
{
    if (s->kept && !emit_kept(s, s->kept_table != t, false, e)) {
        PQfreemem(data);
        return false;
    }
    s->kept = data;
    s->kept_bytes = n;
    s->kept_table = t;
    s->kept_first = first;
    s->kept_first_of_all = s->rows++ == 0;
    return true;
}

/* ---- tables ---- */

static char *copy_statement(struct snapshot *s, const struct pg_table *t)
{
    struct buf b = buf_make(SIZE_MAX);
    PGconn *conn = s->c->sql.conn;
    char *schema = PQescapeIdentifier(conn, t->schema.p, t->schema.n),
         *name = PQescapeIdentifier(conn, t->name.p, t->name.n);
    char *out;

    buf_str(&b, STR("COPY (SELECT "));
    for (size_t i = 0; i < t->count; i++) {
        char *column = PQescapeIdentifier(conn, t->columns[i].name.p, t->columns[i].name.n);

        buf_fmt(&b, "%s%s", i ? ", " : "", t->columns[i].type.conv == CONV_NONE ? "NULL" : column);
        PQfreemem(column);
    }
    buf_fmt(&b, " FROM %s.%s", schema, name);
    if (t->filter.p)
        buf_fmt(&b, " WHERE %.*s", STR_ARG(t->filter));
    buf_str(&b, STR(") TO STDOUT"));
    out = mem_str(buf_z(&b));
    buf_fini(&b);
    PQfreemem(schema);
    PQfreemem(name);
    return out;
}

/* All rows libpq has; 0: wait for more, -1: the table is done, -2: failed. */
static int take_rows(struct snapshot *s, struct pg_table *t, bool *first, struct err *e)
{
    char *data;
    size_t n;
    int got;

    while ((got = pglink_copy(&s->c->sql, &data, &n, e)) > 0) {
        if (!keep(s, t, data, n, *first, e))
            return -2;
        *first = false;
    }
    return got;
}

static bool copy_table(struct snapshot *s, struct pg_table *t, struct err *e)
{
    struct capture *c = s->c;
    char *sql = copy_statement(s, t);
    PGresult *r = pglink_query(&c->sql, sql, e);
    bool first = true;
    int got = 0;

    mem_free(sql);
    if (!r)
        return false;
    PQclear(r);
    while (got == 0) {
        c->now_us = capture_now_us(c);
        if (!PQconsumeInput(c->sql.conn))
            return pglink_err(&c->sql, NULL, "PostgreSQL", e);
        got = take_rows(s, t, &first, e);
        if (got == -2 || (got == 0 && !pglink_wait(&c->sql, false, -1, -1, e)))
            return false;
        capture_report(c, false, "snapshot of %.*s.%.*s, %llu rows so far", STR_ARG(t->schema),
                       STR_ARG(t->name), (unsigned long long)s->rows);
        if (!pggroups_take(&c->groups, &c->durable, e))
            return false;
    }
    r = PQgetResult(c->sql.conn);
    if (PQresultStatus(r) != PGRES_COMMAND_OK) {
        pglink_err(&c->sql, r, "COPY", e);
        PQclear(r);
        return false;
    }
    PQclear(r);
    while ((r = PQgetResult(c->sql.conn)) != NULL)
        PQclear(r);
    return true;
}

/* ---- from begin to end ---- */

static bool open_snapshot(struct snapshot *s, const struct slot_facts *slot, struct err *e)
{
    struct capture *c = s->c;
    char name[80], sql[200];

    (void)snprintf(name, sizeof name, "%.50s_snapshot", c->settings.slot);
    if (!pgserver_create_slot(&c->replication, slot->there ? name : c->settings.slot, slot->there, true,
                              &s->start, e) ||
        !pglink_run(&c->sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e))
        return false;
    (void)snprintf(sql, sizeof sql, "SET TRANSACTION SNAPSHOT '%s'", s->start.snapshot);
    return pglink_run(&c->sql, sql, e) &&
           pgserver_tables(&c->sql, &c->settings, &c->scratch, &s->facts, &s->count, e);
}

/* The topics, and the position that holds sinks back from what comes. */
static bool begin(struct snapshot *s, struct err *e)
{
    struct capture *c = s->c;
    struct buf b = buf_make(SIZE_MAX);
    bool ok = true;

    s->tables = MEM_ARRAY(struct pg_table *, s->count + 1);
    buf_fmt(&b,
            "{\"snapshot\":\"INITIAL\",\"snapshot_completed\":false,\"lsn\":%llu,\"system\":\"%s\",\"slot\":"
            "\"%s\",\"held\":{",
            (unsigned long long)s->start.start, c->server.system_id, c->settings.slot);
    for (size_t i = 0; ok && i < s->count; i++) {
        struct log_range r = {0};
        struct pg_table *t = pgtable_new(&s->facts[i], NULL, 0, &c->settings, capture_warn, c);

        s->tables[i] = t;
        ok = pgchange_topic(c, t, e);
        (void)log_range(task_env(c->task)->log, t->topic, 0, &r);
        buf_fmt(&b, "%s\"%.*s\":%lld", i ? "," : "", STR_ARG(t->topic), (long long)r.end);
    }
    buf_str(&b, STR("}}"));
    ok = ok && source_append(c->task, NULL, 0, str_of(c->partition), buf_view(&b), e);
    buf_fini(&b);
    return ok;
}

/* The last rows and the position that lets sinks go on are one append. */
static bool finish(struct snapshot *s, struct err *e)
{
    struct capture *c = s->c;
    char position[2048];
    uint64_t durable = 0;
    struct pggroup *g;

    if (s->kept && !emit_kept(s, true, true, e))
        return false;
    g = capture_group(c, e);
    if (!g)
        return false;
    g->end_lsn = s->start.start;
    if (!pggroups_send(&c->groups, str_of(c->partition),
                       position_text(c, s->start.start, position, sizeof position), e) ||
        !pggroups_wait(&c->groups, &durable, e))
        return false;
    c->durable = s->start.start;
    return pglink_run(&c->sql, "COMMIT", e);
}

bool pgsnapshot_run(struct capture *c, const struct slot_facts *slot, struct err *e)
{
    struct snapshot s = {.c = c, .now_us = capture_now_us(c)};
    bool ok;

    arena_reset(&c->scratch);
    capture_report(c, true, "snapshot: waiting for a consistent point");
    ok = open_snapshot(&s, slot, e) && begin(&s, e);
    for (size_t i = 0; ok && i < s.count; i++)
        ok = copy_table(&s, s.tables[i], e);
    ok = ok && finish(&s, e);
    PQfreemem(s.kept);
    for (size_t i = 0; s.tables && i < s.count; i++)
        pgtable_free(s.tables[i]);
    mem_free(s.tables);
    mem_free(s.cells);
    return ok;
}
