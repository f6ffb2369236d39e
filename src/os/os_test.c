#include "os/os.h"

#include "base/arena.h"
#include "base/test.h"
#include "os/fault.h"
#include "os/spool.h"
#include "os/tempdir.h"

#include "os/thread.h"
#include <unistd.h>

#include <fcntl.h>

TEST(files_come_back_as_written)
{
    char dir[TEMPDIR_MAX];
    struct arena a = {0};
    struct err e;
    struct str s, *names;
    size_t count;

    OK(tempdir_make(dir));
    OK(os_make_dirs(os_real(), arena_fmt(&a, "%s/a/b", dir), &e));
    OK(os_replace_file(os_real(), arena_fmt(&a, "%s/a/b/f", dir), STR("one"), &e));
    OK(os_replace_file(os_real(), arena_fmt(&a, "%s/a/b/f", dir), STR("two!"), &e));
    OK(os_read_file(os_real(), arena_fmt(&a, "%s/a/b/f", dir), 100, &a, &s, &e));
    OK(str_is(s, "two!"));
    OK(!os_read_file(os_real(), arena_fmt(&a, "%s/a/b/f", dir), 3, &a, &s, &e));
    OK(e.kind == ERR_LIMIT);
    OK(!os_read_file(os_real(), arena_fmt(&a, "%s/a/none", dir), 3, &a, &s, &e));
    OK(e.kind == ERR_NOT_FOUND);
    OK(os_list(os_real(), arena_fmt(&a, "%s/a/b", dir), &a, &names, &count, &e));
    OK(count == 1 && str_is(names[0], "f"));
    OK(os_remove_tree(os_real(), dir, &e));
    OK(!os_exists(os_real(), dir));
    arena_fini(&a);
}

/* After any fault the file holds the old content or the new, and the new if that was promised. */
static bool replace_scenario(struct os *os, void *arg)
{
    const char *path = arg;
    struct arena a = {0};
    struct err e;
    struct str s;
    bool promised, ok;

    if (!os_replace_file(os_real(), path, STR("old"), &e))
        return false;
    promised = os_replace_file(os, path, STR("new"), &e);
    ok = os_read_file(os_real(), path, 100, &a, &s, &e) &&
         (promised ? str_is(s, "new") : str_is(s, "old") || str_is(s, "new"));
    arena_fini(&a);
    return ok;
}

TEST(replace_is_whole_under_every_fault)
{
    char dir[TEMPDIR_MAX];
    struct arena a = {0};
    struct err e;
    unsigned faults;

    OK(tempdir_make(dir));
    OK(os_fault_walk(replace_scenario, arena_fmt(&a, "%s/f", dir), &faults));
    printf("# %u faults\n", faults);
    OK(faults >= 6 * 3 * 2);
    OK(os_remove_tree(os_real(), dir, &e));
    arena_fini(&a);
}

struct counter {
    struct mutex lock;
    struct cond changed;
    int value;
};

static void count_up(void *arg)
{
    struct counter *c = arg;

    mutex_lock(&c->lock);
    c->value++;
    cond_broadcast(&c->changed);
    mutex_unlock(&c->lock);
}

TEST(threads_meet_at_a_condition)
{
    struct counter c = {.value = 0};
    struct thread t[3];

    mutex_init(&c.lock);
    cond_init(&c.changed);
    for (int i = 0; i < 3; i++)
        thread_start(&t[i], "counter", count_up, &c);
    mutex_lock(&c.lock);
    while (c.value < 3)
        cond_wait(&c.changed, &c.lock);
    OK(!cond_wait_ms(&c.changed, &c.lock, 0) || c.value == 3);
    mutex_unlock(&c.lock);
    for (int i = 0; i < 3; i++)
        thread_join(&t[i]);
    cond_fini(&c.changed);
    mutex_fini(&c.lock);
}

TEST(a_lock_is_held_once)
{
    char lock_dir[TEMPDIR_MAX], path[300], pid[40];
    struct err e;
    int fd;

    OK(tempdir_make(lock_dir));
    (void)snprintf(path, sizeof path, "%s/lock", lock_dir);
    (void)snprintf(pid, sizeof pid, "with pid %d", (int)getpid());
    fd = os_lock_file(path, &e);
    OK(fd >= 0);
    OK(os_lock_file(path, &e) == -1 && e.kind == ERR_CONFLICT && strstr(e.msg, pid) != NULL);
    os_close(os_real(), fd);
    fd = os_lock_file(path, &e);
    OK(fd >= 0);
    os_close(os_real(), fd);
    OK(os_lock_file("/nonexistent/lock", &e) == -1 && e.kind == ERR_IO);
    OK(os_remove_tree(os_real(), lock_dir, &e));
}

TEST(the_process_can_be_asked)
{
    OK(os_rss_bytes() > 0);
    OK(os_cores() >= 1);
    OK(os_real()->now_ns(os_real()) > 0);
}

TEST(a_spool_is_one_run_and_leaves_no_file)
{
    char dir[TEMPDIR_MAX];
    struct os_spool spool = {0};
    struct arena a = {0};
    struct str all, *names;
    struct err e;
    size_t n;

    OK(tempdir_make(dir));
    OK(os_spool_open(&spool, os_real(), dir, &e) && os_spool_view(&spool, &all, &e) && all.n == 0);
    OK(os_spool_add(&spool, STR("one "), &e) && os_spool_view(&spool, &all, &e) && str_is(all, "one "));
    OK(os_spool_add(&spool, STR("two"), &e) && os_spool_view(&spool, &all, &e) && str_is(all, "one two"));
    OK(os_list(os_real(), dir, &a, &names, &n, &e) && n == 0);
    os_spool_close(&spool);
    os_spool_close(&spool);
    OK(!os_spool_open(&spool, os_real(), "/nowhere/at/all", &e));
    arena_fini(&a);
    OK(os_remove_tree(os_real(), dir, &e));
}

/* All of the bytes, or an error with words; a spool that failed can be closed. */
static bool spool_scenario(struct os *os, void *dir)
{
    struct os_spool spool = {0};
    struct str all;
    struct err e = {0};
    bool ok = os_spool_open(&spool, os, dir, &e) && os_spool_add(&spool, STR("one "), &e) &&
              os_spool_add(&spool, STR("two"), &e) && os_spool_view(&spool, &all, &e);
    bool kept = ok ? str_is(all, "one two") : e.msg[0] != '\0';

    os_spool_close(&spool);
    return kept;
}

TEST(a_spool_holds_under_every_fault)
{
    char dir[TEMPDIR_MAX];
    struct arena a = {0};
    struct str *names;
    struct err e;
    unsigned faults;
    size_t n;

    OK(tempdir_make(dir));
    OK(os_fault_walk(spool_scenario, dir, &faults) && faults > 10);
    OK(os_list(os_real(), dir, &a, &names, &n, &e) && n == 0);
    arena_fini(&a);
    OK(os_remove_tree(os_real(), dir, &e));
}

TEST(space_of_a_file_system)
{
    struct os_space space;
    struct err e;

    OK(os_space("/tmp", &space, &e));
    OK(space.total_bytes > 0 && space.usable_bytes >= 0 && space.usable_bytes <= space.total_bytes);
    OK(!os_space("/nowhere/at/all", &space, &e));
}

TEST_MAIN
