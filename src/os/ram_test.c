#include "os/ram.h"

#include "base/arena.h"
#include "base/test.h"

#include <fcntl.h>

static int open_new(struct ram *r, const char *path)
{
    struct err e;

    return os_open(ram_os(r), path, O_RDWR | O_CREAT, &e);
}

TEST(files_work_as_files_do)
{
    struct ram *r = ram_new(1);
    struct os *os = ram_os(r);
    struct arena a = {0};
    struct str s, *names;
    size_t count;
    struct err e;

    OK(os_make_dirs(os, "/a/b", &e));
    OK(os_replace_file(os, "/a/b/f", STR("one"), &e) && os_replace_file(os, "/a/b/f", STR("two!"), &e));
    OK(os_read_file(os, "/a/b/f", 100, &a, &s, &e) && str_is(s, "two!"));
    OK(os_list(os, "/a/b", &a, &names, &count, &e) && count == 1 && str_is(names[0], "f"));
    OK(os->rename(os, "/a/b", "/a/c") == 0 && os_exists(os, "/a/c/f") && !os_exists(os, "/a/b/f"));
    OK(os->rmdir(os, "/a/c") != 0 && errno == ENOTEMPTY);
    OK(os_remove_tree(os, "/a", &e) && !os_exists(os, "/a/c/f"));
    OK(os_open(os, "/none/f", O_RDWR | O_CREAT, &e) == -1 && e.kind == ERR_NOT_FOUND);
    ram_free(r);
    arena_fini(&a);
}

/* What was synced is there after each of many crashes; what was not is there in some and not in others. */
TEST(a_crash_takes_only_what_was_not_synced)
{
    unsigned kept = 0, lost = 0, named = 0;

    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct ram *r = ram_new(seed);
        struct os *os = ram_os(r);
        struct arena a = {0};
        struct str s;
        struct err e;
        int fd;

        OK(os_make_dirs(os, "/d", &e));
        fd = open_new(r, "/d/f");
        OK(os_write(os, fd, "sure", 4, 0, &e) && os_sync(os, fd, &e) && os_sync_dir(os, "/d", &e));
        OK(os_write(os, fd, "perhaps", 7, 600, &e));
        OK(open_new(r, "/d/g") >= 0);
        ram_crash(r);
        OK(os_read_file(os, "/d/f", 1000, &a, &s, &e) && s.n >= 4 && memcmp(s.p, "sure", 4) == 0);
        kept += s.n == 607 && memcmp(s.p + 600, "perhaps", 7) == 0;
        lost += s.n == 4 || s.p[600] == 0;
        named += os_exists(os, "/d/g");
        ram_free(r);
        arena_fini(&a);
    }
    OK(kept > 0 && lost > 0 && named > 5 && named < 45);
}

TEST(a_dead_machine_answers_nothing_and_a_full_one_says_so)
{
    struct ram *r = ram_new(1);
    struct os *os = ram_os(r);
    struct err e;
    int fd;

    OK(os_make_dirs(os, "/d", &e));
    fd = open_new(r, "/d/f");
    ram_limit(r, 10);
    OK(os_write(os, fd, "0123456789", 10, 0, &e));
    OK(!os_write(os, fd, "x", 1, 10, &e) && e.kind == ERR_FULL);
    OK(os->fallocate(os, fd, 0, 11) != 0 && errno == ENOSPC);
    ram_limit(r, -1);
    ram_die_after(r, 1);
    OK(os_write(os, fd, "x", 1, 10, &e));
    OK(!os_write(os, fd, "x", 1, 11, &e) && e.kind == ERR_IO && !os_exists(os, "/d/f"));
    ram_free(r);
}

TEST_MAIN
