/* The private server as a process: its user, programs and folder, initdb, start, stop, and finding one that outlived tarn. */
#include "app/postgres_int.h"
#include "base/mem.h"
#include "net/net.h"
#include "os/os.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

enum { STOP_MS = 30000 }; // a fast shutdown writes a checkpoint; after this the server is killed

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

bool postgres_place(struct postgres *p, struct err *e)
{
    choose_user(p);
    return choose_bin(p, e) && choose_dir(p, e);
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

void postgres_reap(struct postgres *p)
{
    mutex_lock(&p->lock);
    while (p->alive)
        cond_wait(&p->changed, &p->lock);
    mutex_unlock(&p->lock);
    loop_post(net_loop(p->o.net, 0), free_child, p->child); // children are freed where they live
    p->child = NULL;
}

bool postgres_init_data(struct postgres *p, struct err *e)
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
        postgres_reap(p);
    os_close(p->o.os, file);
    (void)p->o.os->unlink(p->o.os, pwfile);
    if (ok && !os_exists(p->o.os, arena_fmt(&p->a, "%s/global/pg_control", p->dir)))
        ok = err_set(e, ERR_IO, "initdb did not make a database cluster: see %s/postgres.log", p->o.data_dir);
    return ok;
}

static const char *folder_setting(const struct postgres *p, struct arena *a)
{
    return arena_fmt(a, POSTGRES_FOLDER "=%s", p->dir);
}

bool postgres_start_server(struct postgres *p, struct err *e)
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
 * postmaster.pid has the server's pid on line 1 and its port on line 4 (PostgreSQL, "Server Shutdown"; miscinit.c). A copy of a
 * data folder has the pid of the original's server in it.
 */
bool postgres_adopt_server(struct postgres *p)
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

void postgres_stop_server(struct postgres *p)
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
    postgres_reap(p);
}
