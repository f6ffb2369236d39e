#include "object/object.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "os/fault.h"
#include "os/tempdir.h"
#include "os/thread.h"

#include <fcntl.h>
#include <unistd.h>

static struct arena a;
static struct err e;
static char dir[TEMPDIR_MAX];

static struct blobs *fresh(void)
{
    struct blobs *b;

    OK(tempdir_make(dir));
    OK(object_open_local(os_real(), dir, &b, &e));
    OK(bucket_create(b, STR("raw"), &e));
    return b;
}

static void gone(struct blobs *b)
{
    object_close(b);
    OK(os_remove_tree(os_real(), dir, &e));
    arena_fini(&a);
}

static struct blobs *again(struct blobs *b)
{
    object_close(b);
    OK(object_open_local(os_real(), dir, &b, &e));
    return b;
}

static bool put(struct blobs *b, const char *key, const char *bytes)
{
    return object_put_bytes(b, STR("raw"), str_of(key), str_of(bytes), NULL, &e);
}

static bool is(struct blobs *b, const char *key, const char *bytes)
{
    struct str s;

    return object_get_bytes(b, STR("raw"), str_of(key), MIB, &a, &s, &e) && str_is(s, bytes);
}

/* Files under the folder of blobs. */
static size_t count_files(const char *where)
{
    struct str *folders, *names;
    size_t n, m, all = 0;

    OK(os_list(os_real(), arena_fmt(&a, "%s/blobs", where), &a, &folders, &n, &e));
    for (size_t i = 0; i < n; i++) {
        OK(os_list(os_real(), arena_fmt(&a, "%s/blobs/%.*s", where, STR_ARG(folders[i])), &a, &names, &m,
                   &e));
        all += m;
    }
    return all;
}

TEST(buckets_come_and_go)
{
    struct blobs *b = fresh();
    struct object_bucket *list;
    size_t n;
    bool yes;

    OK(!bucket_create(b, STR("raw"), &e) && e.kind == ERR_CONFLICT);
    OK(!bucket_create(b, STR("Raw"), &e) && e.kind == ERR_INVALID);
    OK(!bucket_create(b, STR("a"), &e) && e.kind == ERR_INVALID);
    OK(!bucket_create(b, STR("10.0.0.1"), &e) && e.kind == ERR_INVALID);
    OK(!bucket_create(b, STR("a..b"), &e) && e.kind == ERR_INVALID);
    OK(!bucket_create(b, STR("../b"), &e) && e.kind == ERR_INVALID);
    OK(bucket_create(b, STR("lake.house-1"), &e));
    b = again(b);
    OK(bucket_list(b, &a, &list, &n, &e));
    OK(n == 2 && str_is(list[0].name, "lake.house-1") && list[1].created_us > 0);
    OK(put(b, "k", "v"));
    OK(!bucket_delete(b, STR("raw"), &e) && e.kind == ERR_CONFLICT);
    OK(object_delete(b, STR("raw"), STR("k"), &e));
    OK(bucket_delete(b, STR("raw"), &e));
    OK(!bucket_delete(b, STR("raw"), &e) && e.kind == ERR_NOT_FOUND);
    OK(bucket_exists(b, STR("raw"), &yes, &e) && !yes);
    OK(!put(b, "k", "v") && e.kind == ERR_NOT_FOUND);
    gone(b);
}

TEST(objects_come_back_as_put)
{
    struct blobs *b = fresh();
    struct object_meta m = {STR("x-amz-meta-a"), STR("1")};
    struct object_put_options o = {.meta = &m, .meta_count = 1};
    struct object_info info;
    struct object_put *p;

    OK(object_put_begin(b, STR("raw"), STR("a/b c.txt"), &o, &p, &e));
    OK(object_put_write(p, STR("hello "), &e));
    OK(object_put_write(p, STR("world"), &e));
    object_put_meta(p, STR("content-type"), STR("text/plain"));
    OK(object_put_commit(p, &a, &info, &e));
    OK(str_is(info.etag, "5eb63bbbe01eeed093cb22bb8f5acdc3"));
    OK(info.size_bytes == 11 && info.meta_count == 2);
    b = again(b);
    OK(object_head(b, STR("raw"), STR("a/b c.txt"), &a, &info, &e));
    OK(info.size_bytes == 11 && info.meta_count == 2 && info.modified_us > 0);
    OK(str_is(info.meta[1].value, "text/plain"));
    OK(is(b, "a/b c.txt", "hello world"));
    OK(!object_head(b, STR("raw"), STR("a"), &a, &info, &e) && e.kind == ERR_NOT_FOUND);
    OK(!object_head(b, STR("raw"), STR(""), &a, &info, &e) && e.kind == ERR_INVALID);
    OK(!object_head(b, STR("raw"), STR("\xff"), &a, &info, &e) && e.kind == ERR_INVALID);
    OK(put(b, "", "x") == false);
    OK(put(b, "empty", "") && is(b, "empty", ""));
    OK(put(b, "../../etc/passwd", "mine") && is(b, "../../etc/passwd", "mine"));
    OK(put(b, "a", "key and folder") && is(b, "a", "key and folder") && is(b, "a/b c.txt", "hello world"));
    gone(b);
}

TEST(conditions_hold)
{
    struct blobs *b = fresh();
    struct object_put_options absent = {.only_if_absent = true}, same = {.only_if_etag = STR("x")},
                              sum = {.content_md5 = STR("0123456789abcdef")};
    struct object_info info;

    OK(!object_put_bytes(b, STR("raw"), STR("k"), STR("1"), &same, &e) && e.kind == ERR_NOT_FOUND);
    OK(object_put_bytes(b, STR("raw"), STR("k"), STR("1"), &absent, &e));
    OK(!object_put_bytes(b, STR("raw"), STR("k"), STR("2"), &absent, &e) && e.kind == ERR_CONFLICT);
    OK(!object_put_bytes(b, STR("raw"), STR("k"), STR("2"), &same, &e) && e.kind == ERR_CONFLICT);
    OK(object_head(b, STR("raw"), STR("k"), &a, &info, &e));
    same.only_if_etag = info.etag;
    OK(object_put_bytes(b, STR("raw"), STR("k"), STR("3"), &same, &e));
    OK(!object_put_bytes(b, STR("raw"), STR("k"), STR("4"), &sum, &e) && e.kind == ERR_INVALID);
    OK(is(b, "k", "3"));
    OK(count_files(dir) == 1); // what was refused left nothing
    gone(b);
}

TEST(a_reader_keeps_what_it_opened)
{
    struct blobs *b = fresh();
    struct object_info info;
    struct object_get *g;
    char got[8] = "";
    int fd;

    OK(put(b, "k", "old"));
    OK(object_get_open(b, STR("raw"), STR("k"), &a, &info, &g, &e));
    OK(put(b, "k", "newer"));
    OK(is(b, "k", "newer"));
    OK(object_delete(b, STR("raw"), STR("k"), &e));
    OK(object_get_read(g, got, sizeof got, 0, &e) == 3 && memcmp(got, "old", 3) == 0);
    OK(object_get_read(g, got, 1, 2, &e) == 1 && got[0] == 'd');
    OK(access(object_get_path(g), R_OK) == 0);
    fd = object_get_fd(g);
    OK(fd >= 0 && read(fd, got, sizeof got) == 3);
    OK(close(fd) == 0);
    OK(count_files(dir) == 1);
    object_get_close(g);
    OK(count_files(dir) == 0);
    gone(b);
}

static struct object_listing list(struct blobs *b, const char *prefix, const char *delimiter,
                                  const char *after, int max)
{
    struct object_list_options o = {str_of(prefix), str_of(delimiter), str_of(after), max};
    struct object_listing l;

    OK(object_list(b, STR("raw"), &o, &a, &l, &e));
    return l;
}

TEST(listing_is_by_bytes_and_pages)
{
    static const char *const keys[] = {"a", "a/1", "a/2", "a0", "b/c/d", "b/e", "\xc3\xa9", "z", "\xff"};
    struct blobs *b = fresh();
    struct object_listing l;

    for (size_t i = 0; i + 1 < ARRAY_LEN(keys); i++)
        OK(put(b, keys[ARRAY_LEN(keys) - 2 - i], "x"));
    l = list(b, NULL, NULL, NULL, 1000);
    OK(l.object_count == 8 && !l.more);
    OK(str_is(l.objects[0].key, "a") && str_is(l.objects[7].key, "\xc3\xa9"));
    l = list(b, NULL, "/", NULL, 1000);
    OK(l.object_count == 4 && l.prefix_count == 2 && str_is(l.prefixes[0], "a/") &&
       str_is(l.prefixes[1], "b/"));
    l = list(b, "b/", "/", NULL, 1000);
    OK(l.object_count == 1 && l.prefix_count == 1 && str_is(l.prefixes[0], "b/c/"));
    l = list(b, "a/", NULL, "a/1", 1000);
    OK(l.object_count == 1 && str_is(l.objects[0].key, "a/2"));
    l = list(b, "nothing", "/", NULL, 1000);
    OK(l.object_count == 0 && l.prefix_count == 0 && !l.more);
    gone(b);
}

/* Pages of any size give the same as one page. */
TEST(pages_join_up)
{
    struct blobs *b = fresh();
    struct object_listing whole, l;

    for (int i = 0; i < 30; i++)
        OK(put(b, arena_fmt(&a, "%c/%d", 'a' + i % 5, i), "x"));
    OK(put(b, "c", "x") && put(b, "c0", "x"));
    whole = list(b, NULL, "/", NULL, 1000);
    OK(whole.prefix_count == 5 && whole.object_count == 2);
    for (int max = 1; max <= 8; max++) {
        size_t objects = 0, prefixes = 0;
        char *after = NULL;

        do {
            l = list(b, NULL, "/", after, max);
            for (size_t i = 0; i < l.object_count; i++)
                OK(str_eq(l.objects[i].key, whole.objects[objects++].key));
            for (size_t i = 0; i < l.prefix_count; i++)
                OK(str_eq(l.prefixes[i], whole.prefixes[prefixes++]));
            after = arena_fmt(&a, "%.*s", STR_ARG(l.next));
        } while (l.more);
        OK(objects == 2 && prefixes == 5);
    }
    gone(b);
}

TEST(many_are_deleted_at_once)
{
    static const struct str keys[] = {{"a", 1}, {"b", 1}, {"none", 4}};
    struct blobs *b = fresh();
    struct err each[3];

    OK(put(b, "a", "1") && put(b, "b", "2") && put(b, "c", "3"));
    OK(object_delete_many(b, STR("raw"), keys, 3, each, &e));
    OK(each[0].kind == ERR_NONE && each[1].kind == ERR_NONE && each[2].kind == ERR_NONE);
    OK(count_files(dir) == 1 && is(b, "c", "3"));
    OK(!object_delete_many(b, STR("none"), keys, 3, each, &e) && e.kind == ERR_NOT_FOUND);
    gone(b);
}

TEST(a_file_is_taken_in)
{
    struct blobs *b = fresh();
    struct str s;
    char *path = arena_fmt(&a, "%s/elsewhere", dir);
    int64_t size;

    OK(os_replace_file(os_real(), path, STR("parquet"), &e));
    OK(object_put_file(b, STR("raw"), STR("t/1.parquet"), path, &size, &e));
    OK(size == 7 && !os_exists(os_real(), path));
    OK(is(b, "t/1.parquet", "parquet"));
    OK(!object_put_file(b, STR("raw"), STR("t/2"), path, &size, &e) && e.kind == ERR_NOT_FOUND);
    OK(os_replace_file(os_real(), path, STR("kept"), &e));
    OK(!object_put_file(b, STR("none"), STR("t/2"), path, &size, &e) && e.kind == ERR_NOT_FOUND);
    OK(os_read_file(os_real(), path, 100, &a, &s, &e) && str_is(s, "kept"));
    gone(b);
}

/* ---- multipart ---- */

static struct object_part part(struct blobs *b, const struct object_upload *u, int number, char fill,
                               size_t n)
{
    char *bytes = mem_alloc(n);
    struct object_info info;
    struct object_put *p;

    memset(bytes, fill, n);
    OK(object_upload_part(b, u, number, NULL, &p, &e));
    OK(object_put_write(p, str_from(bytes, n), &e));
    OK(object_put_commit(p, &a, &info, &e));
    mem_free(bytes);
    return (struct object_part){number, info.etag, info.size_bytes, 0};
}

TEST(parts_become_an_object)
{
    struct blobs *b = fresh();
    struct object_meta m = {STR("content-type"), STR("video/x")};
    struct object_put_options o = {.meta = &m, .meta_count = 1};
    struct object_upload u = {STR("raw"), STR("film"), STR_NULL}, other;
    struct object_upload_info *uploads;
    struct object_part parts[3], *have;
    struct object_complete c = {parts, 3, NULL};
    struct object_info info;
    struct str s;
    size_t n;

    OK(object_upload_begin(b, &u, &o, &a, &e));
    parts[2] = part(b, &u, 9, 'z', 3);
    parts[0] = part(b, &u, 1, 'x', 5 * MIB);
    (void)part(b, &u, 4, 'q', 10);
    parts[1] = part(b, &u, 4, 'y', 5 * MIB); // replaces
    (void)part(b, &u, 10, 'n', 1);           // not chosen
    OK(object_upload_parts(b, &u, &a, &have, &n, &e) && n == 4 && have[1].number == 4);
    OK(object_upload_list(b, STR("raw"), &a, &uploads, &n, &e) && n == 1 && str_eq(uploads[0].id, u.id));
    other = u;
    other.key = STR("film2");
    OK(!object_upload_complete(b, &other, &c, &a, &info, &e) && e.kind == ERR_NOT_FOUND);
    b = again(b);
    OK(object_upload_complete(b, &u, &c, &a, &info, &e));
    OK(info.size_bytes == 10 * (int64_t)MIB + 3 && str_ends(info.etag, STR("-3")) && info.meta_count == 1);
    OK(!object_upload_complete(b, &u, &c, &a, &info, &e) && e.kind == ERR_NOT_FOUND);
    OK(object_get_bytes(b, STR("raw"), STR("film"), 20 * MIB, &a, &s, &e));
    OK(s.p[0] == 'x' && s.p[5 * MIB - 1] == 'x' && s.p[5 * MIB] == 'y' && s.p[10 * MIB] == 'z');
    OK(count_files(dir) == 1);
    gone(b);
}

TEST(uploads_that_do_not_fit_are_refused)
{
    struct blobs *b = fresh();
    struct object_upload u = {STR("raw"), STR("k"), STR_NULL};
    struct object_part parts[2];
    struct object_complete c = {parts, 2, NULL};
    struct object_info info;
    struct object_put *p;

    OK(object_upload_begin(b, &u, NULL, &a, &e));
    parts[0] = part(b, &u, 1, 'x', 5);
    parts[1] = part(b, &u, 2, 'y', 5);
    OK(!object_upload_complete(b, &u, &c, &a, &info, &e) && e.kind == ERR_LIMIT);
    parts[1].number = 1;
    OK(!object_upload_complete(b, &u, &c, &a, &info, &e) && e.kind == ERR_INVALID);
    parts[1] = (struct object_part){2, STR("00"), 5, 0};
    OK(!object_upload_complete(b, &u, &c, &a, &info, &e) && e.kind == ERR_INVALID);
    c.count = 0;
    OK(!object_upload_complete(b, &u, &c, &a, &info, &e) && e.kind == ERR_INVALID);
    OK(!object_upload_part(b, &u, 10001, NULL, &p, &e) && e.kind == ERR_INVALID);
    c.count = 1; // one part is taken without a copy
    OK(object_upload_complete(b, &u, &c, &a, &info, &e));
    OK(is(b, "k", "xxxxx") && count_files(dir) == 1);
    OK(object_upload_begin(b, &u, NULL, &a, &e));
    (void)part(b, &u, 1, 'x', 5);
    OK(object_upload_part(b, &u, 2, NULL, &p, &e));
    OK(object_upload_abort(b, &u, &e));
    OK(!object_put_commit(p, &a, &info, &e) && e.kind == ERR_NOT_FOUND);
    OK(!object_upload_abort(b, &u, &e) && e.kind == ERR_NOT_FOUND);
    OK(count_files(dir) == 1);
    OK(object_upload_begin(b, &u, NULL, &a, &e));
    (void)part(b, &u, 1, 'x', 5);
    OK(object_delete(b, STR("raw"), STR("k"), &e));
    OK(bucket_delete(b, STR("raw"), &e)); // its uploads end with it
    OK(count_files(dir) == 0);
    gone(b);
}

/* ---- crashes and faults ---- */

/* Copies a folder as a crash of the process would leave it: nothing is synced. */
static void copy_tree(const char *from, const char *to)
{
    struct str *names, bytes;
    struct os_stat st;
    size_t n = 0;
    int fd;

    OK(os_make_dirs(os_real(), to, &e) && os_list(os_real(), from, &a, &names, &n, &e));
    for (size_t i = 0; i < n; i++) {
        char *source = arena_fmt(&a, "%s/%.*s", from, STR_ARG(names[i]));
        char *target = arena_fmt(&a, "%s/%.*s", to, STR_ARG(names[i]));

        OK(os_real()->stat(os_real(), source, &st) == 0);
        if (st.is_dir) {
            copy_tree(source, target);
            continue;
        }
        OK(os_read_file(os_real(), source, 8 * MIB, &a, &bytes, &e));
        fd = os_open(os_real(), target, O_WRONLY | O_CREAT, &e);
        OK(fd >= 0 && os_write(os_real(), fd, bytes.p, bytes.n, 0, &e));
        os_close(os_real(), fd);
    }
}

TEST(a_start_sweeps_what_a_crash_left)
{
    struct blobs *b = fresh(), *c;
    char other[TEMPDIR_MAX];

    OK(put(b, "k", "v"));
    b = again(b);
    OK(put(b, "k2", "v"));
    /* A copy of the folder now is what a crash would leave, with a file that never got its row. */
    OK(tempdir_make(other));
    copy_tree(dir, other);
    OK(os_replace_file(os_real(), arena_fmt(&a, "%s/blobs/000002/0000000000000801", other), STR("o"), &e));
    OK(count_files(other) == 3);
    OK(object_open_local(os_real(), other, &c, &e));
    OK(is(c, "k", "v") && is(c, "k2", "v"));
    OK(count_files(other) == 2);
    OK(put(c, "k3", "new") && is(c, "k3", "new"));
    object_close(c);
    OK(os_remove_tree(os_real(), other, &e));
    gone(b);
}

/* What is promised holds after any fault: an acknowledged object is there, an overwritten one is old or new, whole. */
static bool put_scenario(struct os *os, void *arg)
{
    const char *at = arg;
    struct blobs *b = NULL;
    bool first = false, second = false, deleted = false, aborted = false, ok;
    struct object_upload u = {STR("raw"), STR("up"), STR_NULL};
    struct object_upload_info *left;
    size_t left_count;

    OK(os_remove_tree(os_real(), at, &e));
    copy_tree(dir, at);
    if (object_open_local(os, at, &b, &e)) {
        first = put(b, "k", "one");
        second = put(b, "k", "second");
        deleted = object_delete(b, STR("raw"), STR("kept"), &e);
        aborted = object_upload_begin(b, &u, NULL, &a, &e) && object_upload_abort(b, &u, &e);
        if (first && second && !is(b, "k", "second") && e.kind != ERR_IO)
            return false;
        object_close(b);
    }
    if (!object_open_local(os_real(), at, &b, &e))
        return false;
    if (second)
        ok = is(b, "k", "second");
    else if (first)
        ok = is(b, "k", "one") || is(b, "k", "second");
    else
        ok = is(b, "k", "zero") || is(b, "k", "one") || is(b, "k", "second");
    ok = ok && (deleted ? !is(b, "kept", "kept") && e.kind == ERR_NOT_FOUND
                        : is(b, "kept", "kept") || e.kind == ERR_NOT_FOUND);
    object_close(b);
    /* Nothing is left over: one file for each object. */
    if (!object_open_local(os_real(), at, &b, &e))
        return false;
    ok = ok &&
         (!aborted || (object_upload_list(b, STR("raw"), &a, &left, &left_count, &e) && left_count == 0));
    ok = ok && count_files(at) == (size_t)(1 + is(b, "kept", "kept"));
    object_close(b);
    arena_reset(&a);
    return ok;
}

TEST(promises_hold_under_every_fault)
{
    struct blobs *b = fresh();
    char at[TEMPDIR_MAX];
    unsigned faults;

    OK(put(b, "kept", "kept") && put(b, "k", "zero"));
    object_close(b);
    OK(tempdir_make(at));
    OK(os_fault_walk(put_scenario, at, &faults));
    printf("# %u faults\n", faults);
    OK(faults > 300);
    OK(os_remove_tree(os_real(), at, &e) && os_remove_tree(os_real(), dir, &e));
    arena_fini(&a);
}

/* A file moved in and an upload of two parts: acknowledged means there and whole; a file refused is its writer's still or swept. */
static bool move_scenario(struct os *os, void *arg)
{
    const char *at = arg;
    char *path = arena_fmt(&a, "%s/elsewhere", at);
    struct object_upload u = {STR("raw"), STR("up"), STR_NULL};
    bool moved = false, whole = false, ok;
    struct object_part parts[1];
    struct object_complete c = {parts, 1, NULL};
    struct object_info info;
    struct object_put *p;
    struct blobs *b = NULL;
    int64_t size;

    OK(os_remove_tree(os_real(), at, &e));
    copy_tree(dir, at);
    OK(os_replace_file(os_real(), path, STR("parquet"), &e));
    if (object_open_local(os, at, &b, &e)) {
        moved = object_put_file(b, STR("raw"), STR("file"), path, &size, &e);
        if (object_upload_begin(b, &u, NULL, &a, &e) && object_upload_part(b, &u, 1, NULL, &p, &e)) {
            ok = object_put_write(p, STR("part"), &e);
            if (!ok)
                object_put_abort(p);
            if (ok && object_put_commit(p, &a, &info, &e)) {
                parts[0] = (struct object_part){1, info.etag, 4, 0};
                whole = object_upload_complete(b, &u, &c, &a, &info, &e);
            }
        }
        object_close(b);
    }
    if (!object_open_local(os_real(), at, &b, &e))
        return false;
    ok = is(b, "file", "parquet") ? !os_exists(os_real(), path) : !moved && e.kind == ERR_NOT_FOUND;
    ok = ok && (is(b, "up", "part") || (!whole && e.kind == ERR_NOT_FOUND));
    object_close(b);
    arena_reset(&a);
    return ok;
}

TEST(moves_and_uploads_hold_under_every_fault)
{
    struct blobs *b = fresh();
    char at[TEMPDIR_MAX];
    unsigned faults;

    object_close(b);
    OK(tempdir_make(at));
    OK(os_fault_walk(move_scenario, at, &faults));
    printf("# %u faults\n", faults);
    OK(faults > 200);
    OK(os_remove_tree(os_real(), at, &e) && os_remove_tree(os_real(), dir, &e));
    arena_fini(&a);
}

TEST(a_full_disk_refuses_puts_and_still_reads)
{
    struct os_fault f;
    struct blobs *b;

    OK(tempdir_make(dir));
    OK(object_open_local(os_real(), dir, &b, &e));
    OK(bucket_create(b, STR("raw"), &e) && put(b, "k", "v"));
    object_close(b);
    os_fault_init(&f, os_real(), OS_FAULT_ENOSPC, 1u << 30, true);
    f.writes_only = true;
    OK(object_open_local(&f.os, dir, &b, &e));
    OK(put(b, "k1", "v"));
    f.countdown = 0;
    OK(!put(b, "k2", "v") && e.kind == ERR_FULL);
    OK(is(b, "k", "v") && is(b, "k1", "v"));
    f.hits = 0;
    f.countdown = 1u << 30; // there is room again
    OK(put(b, "k2", "w") && is(b, "k2", "w"));
    gone(b);
}

/* ---- many at once ---- */

struct many {
    struct blobs *b;
    int id;
    int failures;
};

static void put_many(void *arg)
{
    struct many *m = arg;
    struct arena own = {0};
    struct err why;
    struct str s;

    for (int i = 0; i < 40; i++) {
        struct str key = str_of(arena_fmt(&own, "shared/%d", i % 4));

        m->failures += !object_put_bytes(m->b, STR("raw"), key, STR("same size!"), NULL, &why);
        m->failures += !object_get_bytes(m->b, STR("raw"), key, 100, &own, &s, &why) || s.n != 10;
        key = str_of(arena_fmt(&own, "own/%d/%d", m->id, i));
        m->failures += !object_put_bytes(m->b, STR("raw"), key, key, NULL, &why);
        m->failures += !object_get_bytes(m->b, STR("raw"), key, 100, &own, &s, &why) || !str_eq(s, key);
        if (i % 2)
            m->failures += !object_delete(m->b, STR("raw"), key, &why);
    }
    arena_fini(&own);
}

TEST(many_threads_share_commits)
{
    struct blobs *b = fresh();
    struct many m[6];
    struct thread t[6];

    for (int i = 0; i < 6; i++) {
        m[i] = (struct many){b, i, 0};
        thread_start(&t[i], "putter", put_many, &m[i]);
    }
    for (int i = 0; i < 6; i++) {
        thread_join(&t[i]);
        OK(m[i].failures == 0);
    }
    OK(list(b, "own/", NULL, NULL, 1000).object_count == 120);
    OK(count_files(dir) == 120 + 4);
    b = again(b);
    OK(count_files(dir) == 120 + 4);
    gone(b);
}

TEST_MAIN
