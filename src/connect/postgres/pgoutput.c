#include "connect/postgres/pgoutput.h"

#include "base/mem.h"
#include "base/rd.h"

enum { COLUMNS_MAX = 1664 }; // MaxTupleAttributeNumber of PostgreSQL

/* A NUL-terminated string. */
static struct str read_string(struct rd *r)
{
    const uint8_t *end = rd_left(r) ? memchr(r->at, '\0', rd_left(r)) : NULL;
    struct str s = STR_NULL;

    if (!end) {
        rd_fail(r, "a string does not end");
        return s;
    }
    s = rd_bytes(r, (size_t)(end - r->at));
    rd_skip(r, 1);
    return s;
}

/* Wraps around where a stranger's number would overflow. */
static int64_t read_time(struct rd *r)
{
    return (int64_t)((uint64_t)rd_i64(r) + (uint64_t)PGOUT_EPOCH_US);
}

static void read_relation(struct pgout *d, struct rd *r, struct pgout_msg *m)
{
    size_t n;

    m->relation = (uint32_t)rd_i32(r);
    m->relation_info.schema = read_string(r);
    if (rd_ok(r) && m->relation_info.schema.n == 0)
        m->relation_info.schema = STR("pg_catalog");
    m->relation_info.name = read_string(r);
    m->relation_info.identity = (char)rd_u8(r);
    n = rd_count(r, rd_i16(r), 10);
    if (n > COLUMNS_MAX) {
        rd_fail(r, "too many columns");
        n = 0;
    }
    if (n > d->_column_cap) {
        d->_columns = mem_grow(d->_columns, n * sizeof *d->_columns);
        d->_column_cap = n;
    }
    for (size_t i = 0; i < n; i++) {
        struct pgout_column *c = &d->_columns[i];

        c->key = (rd_u8(r) & 1) != 0;
        c->name = read_string(r);
        c->type = (uint32_t)rd_i32(r);
        c->modifier = rd_i32(r);
    }
    m->relation_info.columns = d->_columns;
    m->relation_info.count = n;
}

static void read_row(struct rd *r, struct pgout_cell **cells, size_t *cap, struct pgout_row *row)
{
    size_t n = rd_count(r, rd_i16(r), 1);

    if (n > COLUMNS_MAX) {
        rd_fail(r, "too many columns");
        n = 0;
    }
    if (n > *cap) {
        *cells = mem_grow(*cells, n * sizeof **cells);
        *cap = n;
    }
    for (size_t i = 0; i < n; i++) {
        struct pgout_cell *c = &(*cells)[i];
        uint8_t kind = rd_u8(r);

        *c = (struct pgout_cell){.kind = PGOUT_NULL};
        if (kind == 't') {
            int32_t len = rd_i32(r);

            if (len < 0)
                rd_fail(r, "a negative length");
            else
                *c = (struct pgout_cell){PGOUT_TEXT, rd_bytes(r, (size_t)len)};
        } else if (kind == 'u') {
            c->kind = PGOUT_UNCHANGED;
        } else if (kind != 'n') {
            rd_fail(r, "unknown kind of column value");
        }
    }
    row->cells = *cells;
    row->count = rd_ok(r) ? n : 0;
}

static void read_insert(struct pgout *d, struct rd *r, struct pgout_msg *m)
{
    m->relation = (uint32_t)rd_i32(r);
    if (rd_u8(r) != 'N')
        rd_fail(r, "insert without a new row");
    read_row(r, &d->_new, &d->_new_cap, &m->row.new);
}

static void read_update(struct pgout *d, struct rd *r, struct pgout_msg *m)
{
    uint8_t kind;

    m->relation = (uint32_t)rd_i32(r);
    kind = rd_u8(r);
    if (kind == 'K' || kind == 'O') {
        m->row.old_kind = (char)kind;
        read_row(r, &d->_old, &d->_old_cap, &m->row.old);
        kind = rd_u8(r);
    }
    if (kind != 'N')
        rd_fail(r, "update without a new row");
    read_row(r, &d->_new, &d->_new_cap, &m->row.new);
}

static void read_delete(struct pgout *d, struct rd *r, struct pgout_msg *m)
{
    uint8_t kind;

    m->relation = (uint32_t)rd_i32(r);
    kind = rd_u8(r);
    if (kind != 'K' && kind != 'O')
        rd_fail(r, "delete without an old row");
    m->row.old_kind = (char)kind;
    read_row(r, &d->_old, &d->_old_cap, &m->row.old);
}

static void read_truncate(struct pgout *d, struct rd *r, struct pgout_msg *m)
{
    int32_t count = rd_i32(r);
    uint8_t options = rd_u8(r);
    size_t n = rd_count(r, count, 4);

    m->truncate.cascade = (options & 1) != 0;
    m->truncate.restart = (options & 2) != 0;
    if (n > d->_relation_cap) {
        d->_relations = mem_grow(d->_relations, n * sizeof *d->_relations);
        d->_relation_cap = n;
    }
    for (size_t i = 0; i < n; i++)
        d->_relations[i] = (uint32_t)rd_i32(r);
    m->truncate.relations = d->_relations;
    m->truncate.count = n;
}

static void read_message(struct rd *r, struct pgout_msg *m)
{
    int32_t len;

    m->message.transactional = (rd_u8(r) & 1) != 0;
    m->message.lsn = (uint64_t)rd_i64(r);
    m->message.prefix = read_string(r);
    len = rd_i32(r);
    if (len < 0)
        rd_fail(r, "a negative length");
    else
        m->message.content = rd_bytes(r, (size_t)len);
}

bool pgout_read(struct pgout *d, struct str bytes, struct pgout_msg *m, struct err *e)
{
    struct rd r = rd_str(bytes);

    memset(m, 0, sizeof *m);
    m->kind = (enum pgout_kind)rd_u8(&r);
    switch (m->kind) {
    case PGOUT_BEGIN:
        m->begin.final_lsn = (uint64_t)rd_i64(&r);
        m->begin.commit_us = read_time(&r);
        m->begin.xid = (uint32_t)rd_i32(&r);
        break;
    case PGOUT_COMMIT:
        rd_skip(&r, 1); // flags, none are defined
        m->commit.lsn = (uint64_t)rd_i64(&r);
        m->commit.end_lsn = (uint64_t)rd_i64(&r);
        m->commit.commit_us = read_time(&r);
        break;
    case PGOUT_ORIGIN:
        m->origin.lsn = (uint64_t)rd_i64(&r);
        m->origin.name = read_string(&r);
        break;
    case PGOUT_RELATION:
        read_relation(d, &r, m);
        break;
    case PGOUT_TYPE:
        break; // its oid and name: the catalog is asked instead
    case PGOUT_INSERT:
        read_insert(d, &r, m);
        break;
    case PGOUT_UPDATE:
        read_update(d, &r, m);
        break;
    case PGOUT_DELETE:
        read_delete(d, &r, m);
        break;
    case PGOUT_TRUNCATE:
        read_truncate(d, &r, m);
        break;
    case PGOUT_MESSAGE:
        read_message(&r, m);
        break;
    default:
        rd_fail(&r, "unknown message");
    }
    if (rd_ok(&r))
        return true;
    return err_set(e, ERR_CORRUPT, "replication message '%c' of %zu bytes: %s",
                   m->kind > ' ' && m->kind < 0x7f ? (char)m->kind : '?', bytes.n, rd_why(&r));
}

void pgout_fini(struct pgout *d)
{
    mem_free(d->_old);
    mem_free(d->_new);
    mem_free(d->_columns);
    mem_free(d->_relations);
    *d = (struct pgout){0};
}
