#include "connect/postgres/pgserver.h"

#include "base/mem.h"

#include <stdio.h>

/* ---- positions ---- */

static bool hex(struct str s, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                       : -1;

        if (d < 0)
            return false;
        *out = *out << 4 | (uint64_t)d;
    }
    return s.n > 0 && s.n <= 8;
}

static bool pglsn_parse(struct str text, uint64_t *out)
{
    struct str high;
    uint64_t h, l;

    if (!str_cut(&text, '/', &high) || !hex(high, &h) || !hex(text, &l))
        return false;
    *out = h << 32 | l;
    return true;
}

const char *pglsn_text(uint64_t lsn, char out[24])
{
    (void)snprintf(out, 24, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
    return out;
}

static struct str field(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column)
               ? STR_NULL
               : str_from(PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column));
}

static int64_t number(const PGresult *r, int row, int column)
{
    int64_t n;

    return str_i64(field(r, row, column), &n) ? n : 0;
}

static uint64_t lsn_field(const PGresult *r, int row, int column)
{
    uint64_t n;

    return pglsn_parse(field(r, row, column), &n) ? n : 0;
}

static void text_field(const PGresult *r, int row, int column, char *out, size_t size)
{
    (void)snprintf(out, size, "%.*s", STR_ARG(field(r, row, column)));
}

/* ---- the server ---- */

bool pgserver_identify(struct link *sql, struct link *replication, struct server_facts *out, struct err *e)
{
    PGresult *r = pglink_query(replication, "IDENTIFY_SYSTEM", e);
    bool ok;

    if (!r)
        return false;
    *out = (struct server_facts){.version = PQserverVersion(sql->conn)};
    text_field(r, 0, 0, out->system_id, sizeof out->system_id);
    PQclear(r);
    r = pglink_query(sql, "SELECT current_setting('wal_level'), txid_current()", e);
    if (!r)
        return false;
    out->xid = number(r, 0, 1);
    ok =
        str_is(field(r, 0, 0), "logical") ||
        err_set(
            e, ERR_INVALID,
            "PostgreSQL has wal_level = %.*s; change capture needs wal_level = logical: set it at the server "
            "(ALTER SYSTEM SET wal_level = logical) and restart that",
            STR_ARG(field(r, 0, 0)));
    PQclear(r);
    return ok;
}

/* ---- slot ---- */

bool pgserver_slot(struct link *sql, const char *slot, struct slot_facts *out, struct err *e)
{
    PGresult *r = pglink_query1(
        sql,
        "SELECT coalesce(plugin, ''), coalesce(database, ''), active, coalesce(active_pid, 0), "
        "coalesce(wal_status, ''), confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $1",
        slot, e);

    if (!r)
        return false;
    *out = (struct slot_facts){.there = PQntuples(r) == 1};
    if (out->there) {
        text_field(r, 0, 0, out->plugin, sizeof out->plugin);
        text_field(r, 0, 1, out->database, sizeof out->database);
        out->active = str_is(field(r, 0, 2), "t");
        out->active_pid = (int)number(r, 0, 3);
        out->lost = str_is(field(r, 0, 4), "lost");
        out->confirmed = lsn_field(r, 0, 5);
    }
    PQclear(r);
    return true;
}

bool pgserver_check_slot(const struct slot_facts *f, const struct pg_settings *s, struct err *e)
{
    if (strcmp(f->plugin, "pgoutput") != 0)
        return err_set(e, ERR_CONFLICT,
                       "replication slot %s has plugin %s, not pgoutput: give slot.name another name",
                       s->slot, *f->plugin ? f->plugin : "(physical)");
    if (strcmp(f->database, s->database) != 0)
        return err_set(e, ERR_CONFLICT, "replication slot %s belongs to database %s, not %s", s->slot,
                       f->database, s->database);
    if (f->lost)
        return err_set(
            e, ERR_INVALID,
            "replication slot %s is lost: PostgreSQL removed WAL it still needed (max_slot_wal_keep_size). "
            "Changes are missing: drop the slot and take a new snapshot",
            s->slot);
    return true;
}

bool pgserver_create_slot(struct link *replication, const char *slot, bool temporary, bool snapshot,
                          struct new_slot *out, struct err *e)
{
    char sql[256];
    PGresult *r;
    bool ok;

    (void)snprintf(sql, sizeof sql, "CREATE_REPLICATION_SLOT \"%s\"%s LOGICAL pgoutput (SNAPSHOT '%s')", slot,
                   temporary ? " TEMPORARY" : "", snapshot ? "export" : "nothing");
    r = pglink_query(replication, sql, e);
    if (!r)
        return false;
    *out = (struct new_slot){.start = lsn_field(r, 0, 1)};
    text_field(r, 0, 2, out->snapshot, sizeof out->snapshot);
    ok = out->start != 0 || err_set(e, ERR_REMOTE, "PostgreSQL gave no position for slot %s", slot);
    PQclear(r);
    return ok;
}

bool pgserver_drop_slot(struct link *sql, const char *slot, struct err *e)
{
    PGresult *r = pglink_query1(
        sql, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
        slot, e);

    PQclear(r);
    return r != NULL;
}

/* ---- publication ---- */

static bool create_publication(struct link *sql, const struct pg_settings *s, struct err *e)
{
    char *name = PQescapeIdentifier(sql->conn, s->publication, strlen(s->publication));
    struct buf b = buf_make(SIZE_MAX);
    bool ok = true;

    buf_fmt(&b, "CREATE PUBLICATION %s FOR ", name);
    if (s->autocreate == PG_AUTOCREATE_ALL) {
        buf_str(&b, STR("ALL TABLES"));
    } else {
        PGresult *r = pglink_query(
            sql,
            "SELECT n.nspname, c.relname, format('%I.%I', n.nspname, c.relname) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND NOT "
            "c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2",
            e);
        int wanted = 0;

        for (int i = 0; r && i < PQntuples(r); i++)
            if (pg_settings_wants(s, field(r, i, 0), field(r, i, 1)))
                buf_fmt(&b, "%s%.*s", wanted++ ? ", " : "TABLE ", STR_ARG(field(r, i, 2)));
        PQclear(r);
        ok = r && (wanted > 0 || err_set(e, ERR_NOT_FOUND,
                                         "no table fits table.include.list, so publication %s would be empty",
                                         s->publication));
    }
    ok = ok && pglink_run(sql, buf_z(&b), e);
    PQfreemem(name);
    buf_fini(&b);
    return ok;
}

bool pgserver_publication(struct link *sql, const struct pg_settings *s, struct err *e)
{
    PGresult *r = pglink_query1(sql, "SELECT 1 FROM pg_publication WHERE pubname = $1", s->publication, e);
    bool there = r && PQntuples(r) > 0;

    PQclear(r);
    if (!r || there)
        return r != NULL;
    if (s->autocreate == PG_AUTOCREATE_OFF)
        return err_set(e, ERR_NOT_FOUND,
                       "publication %s does not exist and publication.autocreate.mode is disabled: CREATE "
                       "PUBLICATION it",
                       s->publication);
    return create_publication(sql, s, e) ||
           err_wrap(e, "publication %s does not exist and cannot be made", s->publication);
}

/* ---- tables ---- */

bool pgserver_tables(struct link *sql, const struct pg_settings *s, struct arena *a, struct table_facts **out,
                     size_t *count, struct err *e)
{
    bool filters = PQserverVersion(sql->conn) >= 150000;
    char query[400];
    PGresult *r;
    size_t n = 0;

    (void)snprintf(
        query, sizeof query,
        "SELECT c.oid, p.schemaname, p.tablename, %s FROM pg_publication_tables p JOIN pg_namespace n ON "
        "n.nspname = p.schemaname JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename "
        "WHERE p.pubname = $1 ORDER BY 2, 3",
        filters ? "p.rowfilter" : "NULL");
    r = pglink_query1(sql, query, s->publication, e);
    if (!r)
        return false;
    *out = ARENA_ARRAY(a, struct table_facts, (size_t)PQntuples(r) + 1);
    for (int i = 0; i < PQntuples(r); i++)
        if (pg_settings_wants(s, field(r, i, 1), field(r, i, 2)))
            (*out)[n++] = (struct table_facts){.oid = (uint32_t)number(r, i, 0),
                                               .schema = arena_str(a, field(r, i, 1)),
                                               .name = arena_str(a, field(r, i, 2)),
                                               .filter = arena_str(a, field(r, i, 3))};
    PQclear(r);
    *count = n;
    for (size_t i = 0; i < n; i++)
        if (!pgserver_columns(sql, (*out)[i].oid, a, &(*out)[i], e))
            return false;
    return true;
}

/* A domain is what it is made of; a domain over a domain loses its modifier, as with Debezium. */
static const char columns_sql[] =
    "WITH RECURSIVE base AS ("
    " SELECT a.attnum, a.atttypid AS oid, a.atttypmod AS mod, 0 AS depth FROM pg_attribute a"
    " WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''"
    " UNION ALL SELECT b.attnum, t.typbasetype, CASE WHEN b.depth = 0 THEN t.typtypmod ELSE -1 END, b.depth "
    "+ 1"
    " FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd')"
    " SELECT a.attname, t.oid, b.mod, a.atttypid, a.attnotnull, pg_get_expr(d.adbin, d.adrelid), t.typname,"
    " CASE WHEN t.typtype = 'e' THEN (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)"
    " FROM pg_enum e WHERE e.enumtypid = t.oid) END"
    " FROM base b JOIN pg_type t ON t.oid = b.oid AND t.typtype <> 'd'"
    " JOIN pg_attribute a ON a.attrelid = $1::oid AND a.attnum = b.attnum"
    " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum ORDER BY a.attnum";

/* The primary key, else the first unique index over plain columns without a condition. */
static const char key_sql[] =
    "SELECT a.attname FROM (SELECT i.indrelid, i.indkey, i.indnkeyatts FROM pg_index i JOIN pg_class c ON "
    "c.oid = i.indexrelid"
    " WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS "
    "NULL"
    " ORDER BY i.indisprimary DESC, c.relname LIMIT 1) x, generate_series(0, x.indnkeyatts - 1) AS pos"
    " JOIN pg_attribute a ON true WHERE a.attrelid = x.indrelid AND a.attnum = x.indkey[pos] ORDER BY pos";

static void read_columns(const PGresult *r, struct arena *a, struct table_facts *out)
{
    out->count = (size_t)PQntuples(r);
    out->columns = ARENA_ARRAY(a, struct column_facts, out->count + 1);
    for (size_t i = 0; i < out->count; i++) {
        int row = (int)i;

        out->columns[i] = (struct column_facts){
            .name = arena_str(a, field(r, row, 0)),
            .type = {.oid = (uint32_t)number(r, row, 1),
                     .modifier = (int32_t)number(r, row, 2),
                     .name = arena_str(a, field(r, row, 6)),
                     .labels = arena_str(a, field(r, row, 7))},
            .declared = (uint32_t)number(r, row, 3),
            .not_null = str_is(field(r, row, 4), "t"),
            .expression = arena_str(a, field(r, row, 5)),
        };
    }
}

bool pgserver_columns(struct link *sql, uint32_t oid, struct arena *a, struct table_facts *out, struct err *e)
{
    char param[16];
    PGresult *r;

    (void)snprintf(param, sizeof param, "%u", oid);
    r = pglink_query1(sql, columns_sql, param, e);
    if (!r)
        return false;
    read_columns(r, a, out);
    PQclear(r);
    r = pglink_query1(sql, key_sql, param, e);
    if (!r)
        return false;
    out->key_count = (size_t)PQntuples(r);
    out->key = ARENA_ARRAY(a, struct str, out->key_count + 1);
    for (size_t i = 0; i < out->key_count; i++)
        out->key[i] = arena_str(a, field(r, (int)i, 0));
    PQclear(r);
    return true;
}
