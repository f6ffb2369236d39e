#include "app/postgres.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "net/net.h"
#include "obs/obs.h"
#include "os/os.h"
#include "os/thread.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

enum {
    READY_MS = 60000,     // recovery after a crash included
    PROBE_MS = 20,        // between two tries to connect while the server starts
    RESTART_MIN_MS = 100, // between the server's death and its next start; doubles
    RESTART_MAX_MS = 5000,
    STOP_MS = 30000, // a fast shutdown writes a checkpoint; after this the server is killed
};

/*
 *      start ──▶ STARTING ──ready──▶ UP ──died──▶ DOWN ──wait──▶ STARTING
 *                   │ died                │
 *                   ▼                     ▼ stop
 *                 DOWN ──stop──▶ STOPPED ◀┘
 */
enum state { STARTING, UP, DOWN, STOPPED };

struct postgres {
    struct postgres_options o; // strings are our copies
    struct arena a;            // immutable after start
    const char *dir;           // the server's data
    const char *known_as;      // the same as the server calls it
    const char *conninfo, *admin_conninfo;
    uint32_t uid, gid; // 0: as we are
    int port;
    struct thread owner;

    struct mutex lock; // guards what follows
    struct cond changed;
    enum state state;
    bool stopping;
    bool alive; // the child or the adopted process
    struct child *child;
    struct err failure; // of the first start
};

/* ---- where it lives and who it is ---- */

static void choose_user(struct postgres *p)
{
    struct passwd *pw;

    if (geteuid() != 0)
        return;
    pw = getpwnam("postgres"); // NOLINT(concurrency-mt-unsafe): start-up, nobody else asks
    if (!pw)
        pw = getpwnam("nobody"); // NOLINT(concurrency-mt-unsafe)
    p->uid = pw ? pw->pw_uid : 65534;
    p->gid = pw ? pw->pw_gid : 65534;
}

static bool choose_dir(struct postgres *p, struct err *e)
{
    p->dir = arena_fmt(&p->a, "%s/postgres", p->o.data_dir);
    p->known_as = p->uid != 0 ? "/proc/self/fd/3" : p->dir;
    return os_make_dirs(p->o.os, p->dir, e) && (p->uid == 0 || os_give(p->dir, p->uid, p->gid, e));
}

static bool choose_bin(struct postgres *p, struct err *e)
{
    const char *root = "/usr/lib/postgresql";
    int64_t version, newest = 0;
    struct str *names;
    size_t count;

    if (p->o.bin_dir)
        return true;
    if (!os_exists(p->o.os, root) || !os_list(p->o.os, root, &p->a, &names, &count, e))
        count = 0;
    for (size_t i = 0; i < count; i++)
        if (str_i64(names[i], &version) && version > newest &&
            os_exists(p->o.os, arena_fmt(&p->a, "%s/%lld/bin/initdb", root, (long long)version)))
            newest = version;
    if (newest == 0)
        return err_set(
            e, ERR_NOT_FOUND,
            "no PostgreSQL server found under %s: install the package postgresql-15, or set postgres.url "
            "to a server that is there",
            root);
    p->o.bin_dir = arena_fmt(&p->a, "%s/%lld/bin", root, (long long)newest);
    return true;
}

/* ---- the child ---- */

static void on_exit_of(void *arg, int64_t status, int sig)
{
    struct postgres *p = arg;

    (void)status;
    (void)sig;
    mutex_lock(&p->lock);
    p->alive = false;
    cond_broadcast(&p->changed);
    mutex_unlock(&p->lock);
}

/*
 * argv[0] is the program's name in bin_dir; it becomes the whole path, by which PostgreSQL's programs find each other. The program
 * has the data's folder as descriptor 3 and `file`, unless it is -1, as 4.
 */
static bool start_child(struct postgres *p, const char **argv, int file, struct err *e)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
    int inherit[] = {os_open(p->o.os, p->dir, O_RDONLY | O_DIRECTORY, e), file};
    struct child_options o = {
        .argv = argv,
        .env = env,
        .cwd = "/",
        .output_path = arena_fmt(&p->a, "%s/postgres.log", p->o.data_dir),
        .uid = p->uid,
        .gid = p->gid,
        .inherit = inherit,
        .inherit_count = file < 0 ? 1 : 2,
    };
    struct child *child;
    bool ok = inherit[0] >= 0;

    argv[0] = arena_fmt(&p->a, "%s/%s", p->o.bin_dir, argv[0]);
    o.file = argv[0];
    p->alive = ok; // before: the child may be gone by the time child_start returns
    if (ok && !child_start(net_loop(p->o.net, 0), &o, on_exit_of, p, &child, e))
        p->alive = ok = false;
    if (ok)
        p->child = child;
    os_close(p->o.os, inherit[0]);
    return ok;
}

static void free_child(void *child)
{
    child_free(child);
}

/* Waits until the child is gone. */
static void wait_child(struct postgres *p)
{
    mutex_lock(&p->lock);
    while (p->alive)
        cond_wait(&p->changed, &p->lock);
    mutex_unlock(&p->lock);
    loop_post(net_loop(p->o.net, 0), free_child, p->child); // children are freed where they live
    p->child = NULL;
}

static bool init_data(struct postgres *p, struct err *e)
{
    const char *pwfile = arena_fmt(&p->a, "%s.pw", p->dir);
    const char *argv[] = {"initdb",
                          arena_fmt(&p->a, "--pgdata=%s", p->known_as),
                          arena_fmt(&p->a, "--username=%s", p->o.user),
                          "--pwfile=/proc/self/fd/4",
                          "--auth=scram-sha-256",
                          "--encoding=UTF8",
                          "--locale=C.UTF-8",
                          NULL};
    int file = -1;
    bool ok = os_replace_file(p->o.os, pwfile, str_of(p->o.password), e) &&
              (p->uid == 0 || os_give(pwfile, p->uid, p->gid, e)) &&
              (file = os_open(p->o.os, pwfile, O_RDONLY, e)) >= 0 && start_child(p, argv, file, e);

    if (ok)
        wait_child(p);
    os_close(p->o.os, file);
    (void)p->o.os->unlink(p->o.os, pwfile);
    if (ok && !os_exists(p->o.os, arena_fmt(&p->a, "%s/global/pg_control", p->dir)))
        ok = err_set(e, ERR_IO, "initdb did not make a database cluster: see %s/postgres.log", p->o.data_dir);
    return ok;
}

/* How the server is told, and tells, where its data lies: a setting of no meaning to itself. */
#define FOLDER "tarn.data_folder"
static const char *folder_setting(const struct postgres *p, struct arena *a)
{
    return arena_fmt(a, FOLDER "=%s", p->dir);
}

static bool start_server(struct postgres *p, struct err *e)
{
    const char *argv[40];
    static const char *const settings[] = {
        "listen_addresses=127.0.0.1", "unix_socket_directories=", "wal_level=logical",
        "max_wal_senders=10",         "max_replication_slots=10", "max_connections=100",
        "shared_buffers=64MB",        "cluster_name=tarn",        "timezone=UTC",
        "log_timezone=UTC",           "log_min_messages=warning", "max_wal_size=1GB",
    };
    int n = 0;

    if (!net_port_free("127.0.0.1", p->port, e)) // another server would answer in its place
        return err_wrap(e, "set postgres.port to another one, or 0 for any");

    argv[n++] = "postgres";
    argv[n++] = "-D";
    argv[n++] = p->known_as;
    argv[n++] = arena_fmt(&p->a, "--port=%d", p->port);
    argv[n++] = "-c";
    argv[n++] = folder_setting(p, &p->a);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        argv[n++] = "-c";
        argv[n++] = settings[i];
    }
    argv[n] = NULL;
    return start_child(p, argv, -1, e);
}

/* Its command line says so. */
static bool runs_on_our_data(const struct postgres *p, int64_t pid, struct arena *a)
{
    enum { COMMAND_MAX = 16 * 1024 };
    struct os *os = p->o.os;
    struct err e;
    int fd = os_open(os, arena_fmt(a, "/proc/%lld/cmdline", (long long)pid), O_RDONLY, &e);
    char *text = arena_alloc(a, COMMAND_MAX);
    ssize_t n = fd < 0 ? -1 : os_read_some(os, fd, text, COMMAND_MAX, 0, &e);
    struct str words = str_from(text, n > 0 ? (size_t)n : 0), word;
    const char *ours = folder_setting(p, a);

    os_close(os, fd);
    while (str_cut(&words, 0, &word))
        if (str_is(word, ours))
            return true;
    return false;
}

/*
 * A server that outlived tarn: postmaster.pid has its pid on line 1 and its port on line 4 (PostgreSQL, "Server Shutdown"; miscinit.c).
 * True when one runs on our data; a copy of a data folder has the pid of the original's server in it.
 */
static bool adopt_server(struct postgres *p)
{
    struct arena a = {0};
    struct str text, line[4] = {0};
    int64_t pid = 0, port = 0;
    struct child *child;
    struct err e;
    bool ok = os_read_file(p->o.os, arena_fmt(&a, "%s/postmaster.pid", p->dir), 4096, &a, &text, &e);

    for (int i = 0; ok && i < 4; i++)
        ok = str_cut(&text, '\n', &line[i]);
    ok = ok && str_i64(str_trim(line[0]), &pid) && str_i64(str_trim(line[3]), &port) &&
         runs_on_our_data(p, pid, &a);
    if (ok) {
        p->alive = true;
        ok = child_adopt(net_loop(p->o.net, 0), (int)pid, "postgres", on_exit_of, p, &child);
        p->alive = ok;
    }
    if (ok) {
        p->child = child;
        p->port = (int)port;
    }
    arena_fini(&a);
    return ok;
}

/* ---- ready? ---- */

static const char *conninfo_of(struct postgres *p, const char *database)
{
    return arena_fmt(&p->a, "host=127.0.0.1 port=%d user=%s password=%s dbname=%s connect_timeout=5", p->port,
                     p->o.user, p->o.password, database);
}

/* Is it our server that answers at our port? */
static bool is_ours(struct postgres *p, PGconn *pg, struct err *e)
{
    PGresult *res = PQexec(pg, "SHOW " FOLDER);
    bool ok = PQresultStatus(res) == PGRES_TUPLES_OK && os_same_file(p->o.os, PQgetvalue(res, 0, 0), p->dir);

    if (!ok)
        (void)err_set(e, ERR_CONFLICT, "another PostgreSQL server answers at port %d", p->port);
    PQclear(res);
    return ok;
}

static bool make_database(struct postgres *p, PGconn *pg, struct err *e)
{
    const char *name = p->o.database;
    PGresult *res =
        PQexecParams(pg, "SELECT 1 FROM pg_database WHERE datname = $1", 1, NULL, &name, NULL, NULL, 0);
    bool ok = PQresultStatus(res) == PGRES_TUPLES_OK, there = ok && PQntuples(res) == 1;

    PQclear(res);
    if (ok && !there) {
        char *quoted = PQescapeIdentifier(pg, name, strlen(name));

        res = PQexec(pg, arena_fmt(&p->a, "CREATE DATABASE %s", quoted));
        ok = PQresultStatus(res) == PGRES_COMMAND_OK;
        PQclear(res);
        PQfreemem(quoted);
    }
    return ok ||
           err_set(e, ERR_REMOTE, "database %s: %.*s", name, STR_ARG(str_trim(str_of(PQerrorMessage(pg)))));
}

/* Tries to connect until the server answers, dies, or the time is up. */
static bool wait_ready(struct postgres *p, struct err *e)
{
    int64_t until = p->o.os->now_ns(p->o.os) + (int64_t)READY_MS * 1000000;
    bool ready = false, alive = true, ok = false;

    if (!p->conninfo) { // the port is known from here on
        p->conninfo = conninfo_of(p, p->o.database);
        p->admin_conninfo = conninfo_of(p, "postgres");
    }
    while (!ready && alive && p->o.os->now_ns(p->o.os) < until) {
        PGconn *pg = PQconnectdb(p->admin_conninfo);

        ready = PQstatus(pg) == CONNECTION_OK;
        if (ready)
            ok = is_ours(p, pg, e) && make_database(p, pg, e);
        else
            (void)err_set(e, ERR_REMOTE, "PostgreSQL: %.*s", STR_ARG(str_trim(str_of(PQerrorMessage(pg)))));
        PQfinish(pg);
        mutex_lock(&p->lock);
        if (!ready && p->alive && !p->stopping)
            (void)cond_wait_ms(&p->changed, &p->lock, PROBE_MS);
        alive = p->alive && !p->stopping;
        mutex_unlock(&p->lock);
    }
    if (!ready && !alive)
        (void)err_set(e, ERR_IO, "PostgreSQL stopped while it started: see %s/postgres.log", p->o.data_dir);
    return ok;
}

/* ---- the owner ---- */

static void set_state(struct postgres *p, enum state state)
{
    mutex_lock(&p->lock);
    p->state = state;
    cond_broadcast(&p->changed);
    mutex_unlock(&p->lock);
}

static bool is_stopping(struct postgres *p)
{
    bool yes;

    mutex_lock(&p->lock);
    yes = p->stopping;
    mutex_unlock(&p->lock);
    return yes;
}

/* True when the server should be started again after waiting; false when we are stopping. */
static bool wait_restart(struct postgres *p, int64_t wait_ms)
{
    int64_t until = p->o.os->now_ns(p->o.os) + wait_ms * 1000000;
    bool again;

    mutex_lock(&p->lock);
    for (;;) {
        int64_t left_ms = (until - p->o.os->now_ns(p->o.os)) / 1000000;

        if (p->stopping || left_ms <= 0)
            break;
        (void)cond_wait_ms(&p->changed, &p->lock, left_ms);
    }
    again = !p->stopping;
    mutex_unlock(&p->lock);
    return again;
}

/* Asks the server to stop and, when it does not, kills it. */
static void stop_server(struct postgres *p)
{
    int64_t until = p->o.os->now_ns(p->o.os) + (int64_t)STOP_MS * 1000000;
    bool late;

    if (!p->child)
        return;
    child_kill(p->child, SIGINT); // fast shutdown
    mutex_lock(&p->lock);
    while (p->alive) {
        int64_t left_ms = (until - p->o.os->now_ns(p->o.os)) / 1000000;

        if (left_ms <= 0)
            break;
        (void)cond_wait_ms(&p->changed, &p->lock, left_ms);
    }
    late = p->alive;
    mutex_unlock(&p->lock);
    if (late)
        child_kill(p->child, SIGKILL);
    wait_child(p);
}

/* Watches a server that is up. True when it died by itself, false when we are stopping. */
static bool watch(struct postgres *p)
{
    bool died;

    mutex_lock(&p->lock);
    while (p->alive && !p->stopping)
        cond_wait(&p->changed, &p->lock);
    died = !p->stopping;
    mutex_unlock(&p->lock);
    if (died)
        wait_child(p);
    return died;
}

static void owner_main(void *arg)
{
    struct postgres *p = arg;
    int64_t wait_ms = RESTART_MIN_MS;
    bool first = true;
    struct err e;

    for (;;) {
        bool ok = (first && adopt_server(p)) || start_server(p, &e);

        ok = ok && wait_ready(p, &e);
        if (!ok && first)
            break;
        first = false;
        if (ok) {
            set_state(p, UP);
            wait_ms = RESTART_MIN_MS;
            if (!watch(p))
                break;
            obs_log(OBS_WARN, "postgres", "the server died, starting it again");
        } else {
            if (!is_stopping(p))
                obs_log(OBS_ERROR, "postgres", "%s", e.msg);
            stop_server(p); // it may be alive: too slow, or we were asked to stop before it was ready
        }
        set_state(p, DOWN);
        if (!wait_restart(p, wait_ms))
            break;
        wait_ms = 2 * wait_ms < RESTART_MAX_MS ? 2 * wait_ms : RESTART_MAX_MS;
    }
    stop_server(p);
    mutex_lock(&p->lock);
    if (first)
        p->failure = e;
    mutex_unlock(&p->lock);
    set_state(p, STOPPED);
}

static void postgres_free(struct postgres *p)
{
    cond_fini(&p->changed);
    mutex_fini(&p->lock);
    arena_fini(&p->a);
    mem_free(p);
}

static bool prepare(struct postgres *p, struct err *e)
{
    choose_user(p);
    if (!choose_bin(p, e) || !choose_dir(p, e))
        return false;
    if (p->port == 0) {
        p->port = net_free_port("127.0.0.1", e);
        if (p->port < 0)
            return false;
    }
    return os_exists(p->o.os, arena_fmt(&p->a, "%s/PG_VERSION", p->dir)) || init_data(p, e);
}

bool postgres_start(const struct postgres_options *o, struct postgres **out, struct err *e)
{
    struct postgres *p = MEM_NEW(struct postgres);
    enum state state;

    p->o = *o;
    p->o.data_dir = arena_str(&p->a, str_of(o->data_dir)).p;
    p->o.bin_dir = arena_str(&p->a, str_of(o->bin_dir)).p;
    p->o.user = arena_str(&p->a, str_of(o->user)).p;
    p->o.password = arena_str(&p->a, str_of(o->password)).p;
    p->o.database = arena_str(&p->a, str_of(o->database)).p;
    p->port = o->port;
    mutex_init(&p->lock);
    cond_init(&p->changed);
    if (!prepare(p, e)) {
        postgres_free(p);
        return err_wrap(e, "private PostgreSQL");
    }
    thread_start(&p->owner, "postgres", owner_main, p);
    mutex_lock(&p->lock);
    while (p->state == STARTING)
        cond_wait(&p->changed, &p->lock);
    state = p->state;
    mutex_unlock(&p->lock);
    if (state != STOPPED) {
        *out = p;
        return true;
    }
    *e = p->failure;
    thread_join(&p->owner);
    postgres_free(p);
    return err_wrap(e, "private PostgreSQL");
}

int postgres_port(const struct postgres *p)
{
    return p->port;
}

const char *postgres_conninfo(const struct postgres *p)
{
    return p->conninfo;
}

bool postgres_is_up(struct postgres *p)
{
    bool up;

    mutex_lock(&p->lock);
    up = p->state == UP;
    mutex_unlock(&p->lock);
    return up;
}

void postgres_stop(struct postgres *p)
{
    if (!p)
        return;
    mutex_lock(&p->lock);
    p->stopping = true;
    cond_broadcast(&p->changed);
    mutex_unlock(&p->lock);
    thread_join(&p->owner);
    postgres_free(p);
}
