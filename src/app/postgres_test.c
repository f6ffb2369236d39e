/* With a real server: the package postgresql-15 is needed. */
#include "app/postgres.h"

#include "base/arena.h"
#include "base/test.h"
#include "net/net.h"
#include "os/os.h"
#include "os/tempdir.h"

#include <libpq-fe.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[TEMPDIR_MAX];

static bool start(struct net **net, struct postgres **p)
{
    struct net_options no = {.loops = 1, .job_threads = 1};
    struct err e;

    if (!net_start(&no, net, &e))
        return false;
    if (postgres_start(&(struct postgres_options){.os = os_real(),
                                                  .net = *net,
                                                  .data_dir = dir,
                                                  .user = "tarn",
                                                  .password = "it's \\ a word",
                                                  .database = "the shop's"},
                       p, &e))
        return true;
    printf("# %s\n", e.msg);
    net_stop(*net);
    return false;
}

/* One number asked of the server; -1 when it does not answer. */
static int64_t ask(struct postgres *p, const char *sql)
{
    PGconn *pg = PQconnectdb(postgres_conninfo(p));
    PGresult *res = PQexec(pg, sql);
    int64_t n = -1;

    if (PQntuples(res) != 1 || !str_i64(str_of(PQgetvalue(res, 0, 0)), &n))
        n = -1;
    PQclear(res);
    PQfinish(pg);
    return n;
}

TEST(a_server_starts_and_is_found_again_by_the_next_tarn)
{
    struct postgres *p;
    struct net *net;
    struct err e;
    int64_t pid;
    int status;
    pid_t other;

    OK(tempdir_make(dir));
    other = fork();
    OK(other >= 0);
    if (other == 0) { // a tarn that dies without stopping its server
        if (!start(&net, &p) || ask(p, "CREATE TABLE t AS SELECT 7 AS n; SELECT n FROM t") != 7)
            _exit(1);
        (void)kill(getpid(), SIGKILL);
    }
    OK(waitpid(other, &status, 0) == other && WIFSIGNALED(status));
    OK(start(&net, &p));
    OK(ask(p, "SELECT n FROM t") == 7);
    OK(ask(p, "SELECT (current_setting('wal_level') = 'logical')::int") == 1);
    pid = ask(p, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
    postgres_stop(p);
    net_stop(net);
    OK(pid > 0 && kill((pid_t)pid, 0) != 0);
    OK(start(&net, &p)); // and again, from its own data
    OK(ask(p, "SELECT n FROM t") == 7);
    postgres_stop(p);
    net_stop(net);
    OK(os_remove_tree(os_real(), dir, &e));
}

TEST(a_taken_port_is_named_and_its_server_left_alone)
{
    struct postgres *p, *other;
    struct net *net;
    struct err e;
    char second[TEMPDIR_MAX];

    OK(tempdir_make(dir) && tempdir_make(second));
    OK(start(&net, &p));
    OK(!postgres_start(&(struct postgres_options){.os = os_real(),
                                                  .net = net,
                                                  .data_dir = second,
                                                  .port = postgres_port(p),
                                                  .user = "tarn",
                                                  .password = "it's \\ a word",
                                                  .database = "the shop's"},
                       &other, &e));
    OK(strstr(e.msg, "is taken") != NULL && strstr(e.msg, "postgres.port") != NULL);
    OK(ask(p, "SELECT 7") == 7);
    postgres_stop(p);
    net_stop(net);
    OK(os_remove_tree(os_real(), dir, &e) && os_remove_tree(os_real(), second, &e));
}

TEST(a_copy_of_a_data_folder_does_not_take_the_originals_server)
{
    struct postgres *p, *other;
    struct net *net;
    struct arena a = {0};
    struct str text;
    struct err e;
    char second[TEMPDIR_MAX];
    struct postgres_options o = {
        .os = os_real(), .user = "tarn", .password = "tarn", .database = "storefront"};

    OK(tempdir_make(dir) && tempdir_make(second));
    OK(start(&net, &p));
    o.net = net;
    o.data_dir = second;
    OK(postgres_start(&o, &other, &e));
    postgres_stop(other);
    OK(os_read_file(os_real(), arena_fmt(&a, "%s/postgres/postmaster.pid", dir), 4096, &a, &text, &e));
    OK(os_replace_file(os_real(), arena_fmt(&a, "%s/postgres/postmaster.pid", second), text, &e));
    OK(!postgres_start(&o, &other, &e)); // its own server sees the pid of a live one and ends
    OK(strstr(e.msg, "postgres.log") != NULL);
    OK(ask(p, "SELECT 7") == 7);
    postgres_stop(p);
    net_stop(net);
    arena_fini(&a);
    OK(os_remove_tree(os_real(), dir, &e) && os_remove_tree(os_real(), second, &e));
}

TEST(a_server_that_is_killed_comes_back)
{
    struct postgres *p;
    struct net *net;
    struct err e;
    char text[64] = "", path[TEMPDIR_MAX + 40];
    const char *started = "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint";
    int64_t pid, before, now;
    FILE *in;

    OK(tempdir_make(dir));
    OK(start(&net, &p));
    (void)snprintf(path, sizeof path, "%s/postgres/postmaster.pid", dir);
    in = fopen(path, "re");
    OK(in && fgets(text, sizeof text, in));
    (void)fclose(in);
    OK(str_i64(str_trim(str_of(text)), &pid));
    before = ask(p, started);
    OK(before > 0);
    OK(kill((pid_t)pid, SIGKILL) == 0);
    do // the test's own time limit ends this
        now = ask(p, started);
    while (now == -1 || now == before);
    postgres_stop(p); // perhaps before it was noticed that the server is ready again
    net_stop(net);
    OK(os_remove_tree(os_real(), dir, &e));
}

TEST_MAIN
