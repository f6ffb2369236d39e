/*
 * io.debezium.connector.postgresql.PostgresConnector: the task.
 *
 * It runs sessions: connect, check the server and the slot, take the first snapshot when there is no position, then stream until
 * it should stop. A session that fails because the server is away (ERR_REMOTE) or the disk is full (ERR_FULL) is followed by
 * another one after a wait; other failures end the task.
 */
#include "connect/postgres/capture.h"

#include "base/limits.h"
#include "base/mem.h"
#include "os/os.h"

#include <jansson.h>
#include <poll.h>
#include <stdio.h>

enum { FIRST_WAIT_MS = 100 };

/* ---- the stored position ---- */

struct stored {
    bool there;
    bool broken_snapshot;
    uint64_t lsn;
    char system_id[24];
};

static uint64_t json_lsn(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

static void read_stored(struct capture *c, struct str position, struct stored *out)
{
    json_t *o = position.p ? json_loadb(position.p, position.n, 0, NULL) : NULL;
    const char *system = json_string_value(json_object_get(o, "system"));
    uint64_t proc = json_lsn(o, "lsn_proc"), commit = json_lsn(o, "lsn_commit");

    *out = (struct stored){
        .there = o != NULL,
        .broken_snapshot =
            json_object_get(o, "held") != NULL || json_is_false(json_object_get(o, "snapshot_completed")),
        .lsn = proc > commit ? proc : commit,
    };
    (void)snprintf(out->system_id, sizeof out->system_id, "%s", system ? system : "");
    c->last_commit = commit;
    c->last_xid = json_integer_value(json_object_get(o, "txId"));
    c->last_commit_us = json_integer_value(json_object_get(o, "ts_usec"));
    json_decref(o);
}

/* Would streaming from the stored position miss something? */
static bool check_stored(struct capture *c, const struct stored *stored, const struct slot_facts *slot,
                         struct err *e)
{
    char confirmed[24], ours[24];

    if (*stored->system_id && strcmp(stored->system_id, c->server.system_id) != 0)
        return err_set(e, ERR_CONFLICT,
                       "this is another PostgreSQL (system %s) than the one the stored position is of "
                       "(system %s): stop the connector and DELETE its /offsets to take a new snapshot",
                       c->server.system_id, stored->system_id);
    if (!slot->there)
        return err_set(
            e, ERR_NOT_FOUND,
            "replication slot %s is gone, but changes are stored up to %s only: those since then are lost. "
            "Stop the connector and DELETE its /offsets to take a new snapshot",
            c->settings.slot, pglsn_text(stored->lsn, ours));
    if (slot->confirmed > stored->lsn)
        return err_set(
            e, ERR_CONFLICT,
            "replication slot %s was moved to %s by somebody else; changes are stored up to %s only: "
            "those between are lost. Stop the connector and DELETE its /offsets to take a new snapshot",
            c->settings.slot, pglsn_text(slot->confirmed, confirmed), pglsn_text(stored->lsn, ours));
    return true;
}

/* ---- a session ---- */

/* Slot and position where the stream begins with what is new from now on. */
static bool begin_without_snapshot(struct capture *c, const struct slot_facts *slot, struct err *e)
{
    struct new_slot made = {.start = slot->confirmed};
    char position[2048];

    if (!slot->there && !pgserver_create_slot(&c->replication, c->settings.slot, false, false, &made, e))
        return false;
    c->durable = made.start;
    return source_append(c->task, NULL, 0, str_of(c->partition),
                         position_text(c, made.start, position, sizeof position), e);
}

/* A slot that somebody reads is often our own of a moment ago: the server has not noticed yet. */
static bool wait_for_slot(struct capture *c, const struct slot_facts *slot, struct err *e)
{
    int64_t now = capture_now_us(c), most_ms = c->settings.slot_retries * c->settings.slot_retry_ms;

    if (!slot->active) {
        c->slot_busy_since_us = 0;
        return true;
    }
    if (c->slot_busy_since_us == 0)
        c->slot_busy_since_us = now;
    return err_set(e, now - c->slot_busy_since_us < most_ms * 1000 ? ERR_REMOTE : ERR_CONFLICT,
                   "replication slot %s is read by another process (pid %d at the server)", c->settings.slot,
                   slot->active_pid);
}

static bool prepare(struct capture *c, struct err *e)
{
    struct str partition = str_of(c->partition), position = source_position(c->task, partition, &c->scratch);
    struct slot_facts slot;
    struct stored stored;

    read_stored(c, position, &stored);
    if (stored.broken_snapshot && !pgsnapshot_clean(c, position, e))
        return false;
    if (!pgserver_slot(&c->sql, c->settings.slot, &slot, e) || !wait_for_slot(c, &slot, e) ||
        (slot.there && !pgserver_check_slot(&slot, &c->settings, e)) ||
        !pgserver_publication(&c->sql, &c->settings, e))
        return false;
    if (stored.there && !stored.broken_snapshot) {
        c->durable = stored.lsn;
        return check_stored(c, &stored, &slot, e);
    }
    if (c->settings.snapshot == PG_SNAPSHOT_NEVER)
        return begin_without_snapshot(c, &slot, e);
    return pgsnapshot_run(c, &slot, e);
}

static void wait_for_stop(struct capture *c)
{
    struct pollfd p = {.fd = task_wake_fd(c->task), .events = POLLIN};

    capture_report(c, true, "snapshot completed; snapshot.mode is initial_only");
    while (!task_should_stop(c->task))
        (void)poll(&p, 1, -1);
}

static bool session(struct capture *c, struct err *e)
{
    struct err ignored;
    bool ok;

    pggroups_abandon(&c->groups);
    arena_reset(&c->scratch);
    ok = pglink_open(&c->sql, c->task, &c->settings, false, e) &&
         pglink_open(&c->replication, c->task, &c->settings, true, e) &&
         pgserver_identify(&c->sql, &c->replication, &c->server, e) && prepare(c, e);
    if (ok && c->settings.snapshot == PG_SNAPSHOT_INITIAL_ONLY)
        wait_for_stop(c);
    else
        ok = ok && pgstream_run(c, e);
    pglink_close(&c->replication);
    if (ok && c->settings.drop_slot && !pgserver_drop_slot(&c->sql, c->settings.slot, &ignored))
        capture_warn(c, ignored.msg);
    pglink_close(&c->sql);
    return ok;
}

/* ---- the task ---- */

static void wait_ms(struct capture *c, int64_t ms)
{
    struct pollfd p = {.fd = task_wake_fd(c->task), .events = POLLIN};

    (void)poll(&p, 1, (int)ms);
}

/* A trouble that goes on is told once. */
static void warn_once(struct capture *c, char *said, size_t size, const char *what)
{
    char *text;

    if (strcmp(said, what) == 0)
        return;
    (void)snprintf(said, size, "%s", what);
    text = mem_fmt("task %s: %s; trying again until it works", task_name(c->task), what);
    capture_warn(c, text);
    mem_free(text);
}

static void capture_init(struct capture *c, struct task *t, const struct config *config)
{
    struct buf b = buf_make(sizeof c->partition);

    *c = (struct capture){.task = t, .key_text = buf_make(LIMIT_BATCH)};
    pg_settings_read(&c->settings, config);
    buf_str(&b, STR("{\"server\":"));
    buf_json(&b, c->settings.prefix);
    buf_u8(&b, '}');
    (void)snprintf(c->partition, sizeof c->partition, "%s", buf_z(&b));
    buf_fini(&b);
    pgevents_init(&c->events, &c->settings, task_env(t)->schemas);
    pggroups_init(&c->groups, t);
    c->stats.source_lag_bytes = c->stats.source_lag_ms = -1;
}

static void capture_fini(struct capture *c)
{
    pglink_close(&c->replication);
    pglink_close(&c->sql);
    pggroups_abandon(&c->groups);
    pggroups_fini(&c->groups);
    pgevents_fini(&c->events);
    pgout_fini(&c->decoder);
    arena_fini(&c->scratch);
    buf_fini(&c->key_text);
    map_fini(&c->tables);
    pg_settings_fini(&c->settings);
}

static bool run(struct task *t, const struct config *config, struct err *e)
{
    struct capture c;
    int64_t wait = FIRST_WAIT_MS;
    char said[400] = "";
    bool ok;

    capture_init(&c, t, config);
    for (;;) {
        c.progress = false;
        ok = session(&c, e);
        if (ok || task_should_stop(t)) {
            ok = true;
            break;
        }
        if (e->kind != ERR_REMOTE && e->kind != ERR_FULL)
            break;
        if (c.progress)
            wait = FIRST_WAIT_MS;
        warn_once(&c, said, sizeof said, e->msg);
        capture_report(&c, true, "trying again: %s", e->msg);
        wait_ms(&c, wait);
        wait = wait * 2 < c.settings.backoff_ms ? wait * 2 : c.settings.backoff_ms;
    }
    capture_fini(&c);
    return ok;
}

const struct source_class pg_source = {.run = run};
