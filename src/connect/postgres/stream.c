/*
 * The stream of changes: START_REPLICATION with pgoutput, protocol version 1.
 *
 * The server sends whole transactions in the order of their commits. Rows go to the group being filled; a group is sent at
 * a commit: at once when nothing is in flight or the socket is empty (so a lone change is not kept waiting), else when it is
 * large enough to be worth a trip.
 */
#include "base/mem.h"
#include "base/rd.h"
#include "connect/postgres/capture.h"

#include <stdio.h>

/* A group this large is sent at the next commit even though more is waiting in the socket. */
enum {
    SEND_BYTES = 1 << 20,
    NEWS_MS = 250, // the server hears of progress no more often, and no less often while there is any
};

struct stream {
    struct capture *c;
    struct pggroup *group; // being filled; NULL when none is free
    bool in_transaction, skipping;
    struct event_source source;
    char origin[256];
    uint64_t begin_lsn;    // of the transaction: where its commit record begins
    uint64_t idle_lsn;     // the server says: nothing for us before this
    int64_t status_due_us; // when the server must hear from us
    uint64_t told_lsn;     // what it has heard to be durable
    int64_t told_us;       // when
    bool reply_now;
};

/* ---- tables ---- */

static struct pg_table *find_table(struct stream *s, uint32_t oid)
{
    struct capture *c = s->c;
    void *t;

    if (c->last_table && c->last_table->oid == oid)
        return c->last_table;
    t = map_get(&c->tables, str_from(&oid, sizeof oid));
    if (!t || t == c)
        return NULL;
    c->last_table = t;
    return t;
}

/* The catalog, over the second connection, which may have been closed while it was idle. */
static bool ask_columns(struct capture *c, uint32_t oid, struct table_facts *facts, struct err *e)
{
    if (c->sql.conn && pgserver_columns(&c->sql, oid, &c->scratch, facts, e))
        return true;
    pglink_close(&c->sql);
    return pglink_open(&c->sql, c->task, &c->settings, false, e) &&
           pgserver_columns(&c->sql, oid, &c->scratch, facts, e);
}

static bool on_relation(struct stream *s, const struct pgout_msg *m, struct err *e)
{
    struct capture *c = s->c;
    struct table_facts facts = {
        .oid = m->relation,
        .schema = m->relation_info.schema,
        .name = m->relation_info.name,
    };
    struct str key = str_from(&m->relation, sizeof m->relation);
    void *old;

    c->last_table = NULL;
    if (!pg_settings_wants(&c->settings, facts.schema, facts.name)) {
        map_put(&c->tables, key, c);
        return true;
    }
    arena_reset(&c->scratch);
    if (!ask_columns(c, m->relation, &facts, e))
        return false;
    old = map_put(
        &c->tables, key,
        pgtable_new(&facts, m->relation_info.columns, m->relation_info.count, &c->settings, capture_warn, c));
    if (old != c)
        pgtable_free(old);
    return true;
}

/* ---- messages ---- */

static void on_begin(struct stream *s, const struct pgout_msg *m)
{
    s->in_transaction = true;
    s->begin_lsn = m->begin.final_lsn;
    /* What the server sends again though it is stored: it goes back to what was confirmed, which may be older. */
    s->skipping = m->begin.final_lsn < s->c->processed;
    s->source = (struct event_source){
        .ts_us = m->begin.commit_us,
        .snapshot = "false",
        .last_commit = s->c->last_commit,
        .xid = m->begin.xid,
    };
}

static void on_commit(struct stream *s, const struct pgout_msg *m)
{
    struct capture *c = s->c;

    s->in_transaction = false;
    if (s->skipping)
        return;
    c->processed = m->commit.end_lsn;
    c->last_commit = m->commit.end_lsn;
    c->last_xid = s->source.xid;
    c->last_commit_us = m->commit.commit_us;
    s->group->end_lsn = m->commit.end_lsn;
    s->group->commit_us = m->commit.commit_us;
    if (s->group->rows == 0 && m->commit.end_lsn > s->idle_lsn)
        s->idle_lsn = m->commit.end_lsn; // nothing in it was for us
}

static void on_origin(struct stream *s, const struct pgout_msg *m)
{
    (void)snprintf(s->origin, sizeof s->origin, "%.*s", STR_ARG(m->origin.name));
    s->source.origin = str_of(s->origin);
    s->source.origin_lsn = m->origin.lsn;
}

static bool on_truncate(struct stream *s, const struct pgout_msg *m, struct err *e)
{
    for (size_t i = 0; i < m->truncate.count && !s->c->settings.skip_truncate; i++) {
        struct pgchange ch = {
            .op = 't', .table = find_table(s, m->truncate.relations[i]), .source = s->source};

        if (ch.table && !pgchange_add(s->c, s->group, &ch, e))
            return false;
    }
    return true;
}

static bool on_row(struct stream *s, const struct pgout_msg *m, struct err *e)
{
    struct pg_table *t = find_table(s, m->relation);

    if (!t)
        return true;
    switch (m->kind) {
    case PGOUT_INSERT:
        return pgchange_insert(s->c, s->group, t, m, &s->source, e);
    case PGOUT_UPDATE:
        return pgchange_update(s->c, s->group, t, m, &s->source, e);
    default:
        return pgchange_delete(s->c, s->group, t, m, &s->source, e);
    }
}

static bool on_change(struct stream *s, uint64_t lsn, struct str bytes, struct err *e)
{
    struct pgout_msg m;

    if (!pgout_read(&s->c->decoder, bytes, &m, e))
        return false;
    switch (m.kind) {
    case PGOUT_BEGIN:
        on_begin(s, &m);
        return true;
    case PGOUT_COMMIT:
        on_commit(s, &m);
        return true;
    case PGOUT_RELATION:
        return on_relation(s, &m, e);
    case PGOUT_ORIGIN:
        on_origin(s, &m);
        return true;
    case PGOUT_INSERT:
    case PGOUT_UPDATE:
    case PGOUT_DELETE:
        s->source.lsn = lsn;
        return s->skipping || on_row(s, &m, e);
    case PGOUT_TRUNCATE:
        s->source.lsn = lsn;
        return s->skipping || on_truncate(s, &m, e);
    default:
        return true; // types, and logical messages nobody asked for
    }
}

/* ---- to the server ---- */

/* Standby status update: written, flushed, applied, our clock, and that no answer is needed. */
static bool send_status(struct stream *s, struct err *e)
{
    struct capture *c = s->c;
    struct buf b = buf_make(64);
    bool ok;

    buf_u8(&b, 'r');
    buf_i64(&b, (int64_t)(c->received > c->durable ? c->received : c->durable));
    buf_i64(&b, (int64_t)c->durable);
    buf_i64(&b, (int64_t)c->durable);
    buf_i64(&b, capture_now_us(c) - PGOUT_EPOCH_US);
    buf_u8(&b, 0);
    ok = pglink_put_copy(&c->replication, b.p, b.n, e);
    buf_fini(&b);
    s->reply_now = false;
    s->told_lsn = c->durable;
    s->told_us = capture_now_us(c);
    s->status_due_us = s->told_us + c->settings.status_ms * 1000;
    return ok;
}

/* ---- groups ---- */

static bool send_group(struct stream *s, uint64_t lsn, struct err *e)
{
    struct capture *c = s->c;
    char position[2048];

    s->group->end_lsn = lsn;
    c->stats.source_lag_ms = s->group->rows ? (capture_now_us(c) - s->group->commit_us) / 1000 : 0;
    s->group = NULL;
    return pggroups_send(&c->groups, str_of(c->partition), position_text(c, lsn, position, sizeof position),
                         e);
}

static bool take_landed(struct stream *s, struct err *e)
{
    struct capture *c = s->c;

    if (c->groups.flying > 0 && !pggroups_take(&c->groups, &c->durable, e))
        return false;
    if (!s->group)
        s->group = pggroups_filling(&c->groups);
    return true;
}

static bool need_group(struct stream *s, struct err *e)
{
    if (!s->group)
        s->group = capture_group(s->c, e);
    return s->group != NULL;
}

/* At a commit or when nothing is waiting: is it time to send? */
static bool send_if_due(struct stream *s, bool drained, struct err *e)
{
    if (s->in_transaction || !s->group || s->group->rows == 0)
        return true;
    if (drained || s->c->groups.flying == 0 || s->group->bytes >= SEND_BYTES)
        return send_group(s, s->group->end_lsn, e);
    return true;
}

/*
 * The server has nothing for us before idle_lsn, and all we got is stored: store that as the position, so that it may be
 * confirmed and the server can let go of its log.
 */
static bool advance_idle(struct stream *s, bool *sent, struct err *e)
{
    struct capture *c = s->c;

    if (s->in_transaction || !s->group || s->group->rows > 0 || c->groups.flying > 0 ||
        s->idle_lsn <= c->durable)
        return true;
    c->processed = s->idle_lsn > c->processed ? s->idle_lsn : c->processed;
    *sent = true;
    return send_group(s, c->processed, e);
}

/* ---- the loop ---- */

static void on_keepalive(struct stream *s, struct rd *r)
{
    uint64_t end = (uint64_t)rd_i64(r);

    (void)rd_i64(r); // the server's clock
    s->reply_now |= rd_u8(r) != 0;
    if (end > s->c->received)
        s->c->received = end;
    if (!s->in_transaction && end > s->idle_lsn)
        s->idle_lsn = end;
}

static bool on_message(struct stream *s, const char *data, size_t n, struct err *e)
{
    struct rd r = rd_from(data, n);
    uint8_t kind = rd_u8(&r);
    uint64_t lsn, end;

    if (kind == 'k') {
        on_keepalive(s, &r);
        return rd_ok(&r) || err_set(e, ERR_CORRUPT, "keepalive: %s", rd_why(&r));
    }
    lsn = (uint64_t)rd_i64(&r);
    end = (uint64_t)rd_i64(&r);
    (void)rd_i64(&r);
    if (kind != 'w' || !rd_ok(&r))
        return err_set(e, ERR_CORRUPT, "unknown replication message of %zu bytes", n);
    if (lsn > s->c->received)
        s->c->received = lsn;
    s->c->stats.source_lag_bytes = end > lsn ? (int64_t)(end - lsn) : 0;
    return on_change(s, lsn, str_from(r.at, rd_left(&r)), e);
}

/* All that libpq has. *any: there was something. */
static bool drain(struct stream *s, bool *any, struct err *e)
{
    struct capture *c = s->c;
    char *data;
    size_t n;
    int got = 0;

    while (need_group(s, e) && (got = pglink_copy(&c->replication, &data, &n, e)) > 0) {
        bool ok = on_message(s, data, n, e);

        PQfreemem(data);
        *any = true;
        if (!ok)
            return false;
        if (!send_if_due(s, false, e))
            return false;
    }
    if (!s->group || got == -2)
        return false;
    return got == 0 || err_set(e, ERR_REMOTE, "PostgreSQL ended the stream");
}

/* Is there something that the server would like to know: more is durable, or could be stored as the position? */
static bool has_news(const struct stream *s)
{
    return s->c->durable > s->told_lsn || (!s->in_transaction && s->idle_lsn > s->c->durable);
}

/* When status() should be called next, though nothing comes. */
static int64_t status_at_us(const struct stream *s)
{
    int64_t news_us = s->told_us + (int64_t)NEWS_MS * 1000;

    return has_news(s) && news_us < s->status_due_us ? news_us : s->status_due_us;
}

static bool status(struct stream *s, struct err *e)
{
    bool sent = false;

    if (!s->reply_now && s->c->now_us < status_at_us(s))
        return true;
    if (!advance_idle(s, &sent, e))
        return false;
    return sent || send_status(s, e); // first store, then say so: the answer follows when it has landed
}

static bool turn(struct stream *s, struct err *e)
{
    struct capture *c = s->c;
    int64_t left_ms;
    bool any = false;

    c->now_us = capture_now_us(c);
    if (!PQconsumeInput(c->replication.conn))
        return pglink_err(&c->replication, NULL, "PostgreSQL", e);
    if (!drain(s, &any, e) || !take_landed(s, e))
        return false;
    c->progress |= any;
    if (!send_if_due(s, !any, e) || !status(s, e))
        return false;
    capture_report(c, false, "streaming");
    if (any)
        return !pglink_stopped(&c->replication) || err_set(e, ERR_BUSY, "the task is stopping");
    left_ms = (status_at_us(s) - capture_now_us(c)) / 1000 + 1;
    return pglink_wait(&c->replication, false, c->groups.event_fd, left_ms > 0 ? (int)left_ms : 1, e);
}

static bool start(struct capture *c, struct err *e)
{
    struct buf b = buf_make(1024);
    char *publication =
        PQescapeIdentifier(c->replication.conn, c->settings.publication, strlen(c->settings.publication));
    char lsn[24], *literal;
    PGresult *r;

    literal = PQescapeLiteral(c->replication.conn, publication, strlen(publication));
    buf_fmt(&b, "START_REPLICATION SLOT \"%s\" LOGICAL %s (proto_version '1', publication_names ",
            c->settings.slot, pglsn_text(c->durable, lsn));
    buf_fmt(&b, "%s)", literal); // a literal that holds a list of identifiers
    r = pglink_query(&c->replication, buf_z(&b), e);
    PQfreemem(literal);
    PQfreemem(publication);
    buf_fini(&b);
    PQclear(r);
    return r != NULL;
}

static void forget_tables(struct capture *c)
{
    for (struct map_it it = {0}; map_next(&c->tables, &it);)
        if (it.value != c)
            pgtable_free(it.value);
    map_fini(&c->tables);
    c->last_table = NULL;
}

bool pgstream_run(struct capture *c, struct err *e)
{
    struct stream s = {.c = c, .status_due_us = capture_now_us(c)};
    bool ok = true;

    c->processed = c->received = c->durable;
    forget_tables(c); // the server describes each table anew in a session
    if (!start(c, e))
        return false;
    while (ok)
        ok = turn(&s, e);
    if (pglink_stopped(&c->replication)) {
        struct err ignored;

        ok = s.in_transaction || !s.group || s.group->rows == 0 || send_group(&s, s.group->end_lsn, &ignored);
        if (ok && pggroups_wait(&c->groups, &c->durable, &ignored) && c->replication.conn)
            (void)send_status(&s, &ignored); // so that the slot is where we are
        ok = true;
    }
    forget_tables(c);
    return ok;
}
