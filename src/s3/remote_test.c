/* object/'s remote store against this door: what is put over HTTP is what the local store behind the door has. */
#include "s3/s3.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "net/net.h"
#include "object/object.h"
#include "os/os.h"
#include "os/tempdir.h"

static char dir[TEMPDIR_MAX];
static struct arena a;
static struct err e;
static struct net *net;
static struct blobs *local, *remote;
static struct s3 *s3;

static void start(void)
{
    struct object_remote o = {
        .region = "eu-central-1", .access_key = "KEY", .secret_key = "secret", .path_style = true};

    OK(tempdir_make(dir));
    OK(net_start(&(struct net_options){.loops = 1, .job_threads = 2}, &net, &e));
    OK(object_open_local(os_real(), dir, &local, &e));
    OK(s3_start(&(struct s3_options){.os = os_real(),
                                     .net = net,
                                     .blobs = local,
                                     .host = "127.0.0.1",
                                     .access_key = "KEY",
                                     .secret_key = "secret"},
                &s3, &e));
    o.url = arena_fmt(&a, "http://127.0.0.1:%d", s3_port(s3));
    OK(object_open_remote(&o, &remote, &e));
    OK(bucket_create(remote, STR("raw"), &e));
}

static void stop(void)
{
    object_close(remote);
    net_stop(net);
    s3_free(s3);
    object_close(local);
    OK(os_remove_tree(os_real(), dir, &e));
    arena_fini(&a);
}

TEST(small_objects_go_over_and_back)
{
    struct object_meta m = {STR("x-amz-meta-who"), STR("me")};
    struct object_put_options o = {.meta = &m, .meta_count = 1}, absent = {.only_if_absent = true},
                              same = {.only_if_etag = STR("00")};
    struct str s, key = STR("a b/../c+d~\xc3\xa9?&=");
    struct object_info info;
    bool yes;

    start();
    OK(object_put_bytes(remote, STR("raw"), key, STR("hello"), &o, &e));
    OK(object_get_bytes(local, STR("raw"), key, 100, &a, &s, &e) && str_is(s, "hello"));
    OK(object_get_bytes(remote, STR("raw"), key, 100, &a, &s, &e) && str_is(s, "hello"));
    OK(object_head(remote, STR("raw"), key, &a, &info, &e));
    OK(info.size_bytes == 5 && str_is(info.etag, "5d41402abc4b2a76b9719d911017c592"));
    OK(info.modified_us > 0 && info.meta_count >= 1 && str_is(info.meta[info.meta_count - 1].value, "me"));
    OK(!object_put_bytes(remote, STR("raw"), key, STR("x"), &absent, &e) && e.kind == ERR_CONFLICT);
    OK(!object_put_bytes(remote, STR("raw"), key, STR("x"), &same, &e) && e.kind == ERR_CONFLICT);
    OK(!object_head(remote, STR("raw"), STR("none"), &a, &info, &e) && e.kind == ERR_NOT_FOUND);
    OK(!object_head(remote, STR("none"), STR("none"), &a, &info, &e) && e.kind == ERR_NOT_FOUND);
    OK(bucket_exists(remote, STR("raw"), &yes, &e) && yes);
    OK(bucket_exists(remote, STR("none"), &yes, &e) && !yes);
    OK(!bucket_create(remote, STR("raw"), &e) && e.kind == ERR_CONFLICT);
    OK(object_put_bytes(remote, STR("raw"), STR("empty"), STR(""), NULL, &e));
    OK(object_get_bytes(remote, STR("raw"), STR("empty"), 100, &a, &s, &e) && s.n == 0);
    OK(object_delete(remote, STR("raw"), STR("empty"), &e) && object_delete(remote, STR("raw"), key, &e));
    OK(bucket_delete(remote, STR("raw"), &e));
    stop();
}

TEST(large_objects_go_in_parts)
{
    struct object_info info;
    struct object_upload_info *uploads;
    struct object_put *p;
    struct object_get *g;
    char *piece = mem_alloc(3 * MIB), *got = mem_alloc(3 * MIB);
    struct arena own = {0};
    size_t n;

    start();
    OK(object_put_begin(remote, STR("raw"), STR("big"), NULL, &p, &e));
    for (int i = 0; i < 7; i++) {
        memset(piece, 'a' + i, 3 * MIB);
        OK(object_put_write(p, str_from(piece, 3 * MIB), &e));
    }
    OK(object_upload_list(remote, STR("raw"), &a, &uploads, &n, &e) && n == 1);
    OK(object_put_commit(p, &a, &info, &e));
    OK(info.size_bytes == 21 * (int64_t)MIB && str_ends(info.etag, STR("-3")));
    OK(object_get_open(remote, STR("raw"), STR("big"), &own, &info, &g, &e));
    OK(object_get_read(g, got, 3 * MIB, 6 * (int64_t)MIB - 1, &e) == 3 * (ssize_t)MIB);
    OK(got[0] == 'b' && got[1] == 'c' && got[3 * MIB - 1] == 'c');
    OK(object_get_read(g, got, 10, 21 * (int64_t)MIB - 4, &e) == 4 && got[3] == 'g');
    OK(object_get_read(g, got, 10, 21 * (int64_t)MIB, &e) == 0);
    OK(object_put_bytes(local, STR("raw"), STR("big"), STR("other"), NULL, &e));
    OK(object_get_read(g, got, 10, 0, &e) == -1 && e.kind == ERR_CONFLICT); // never bytes of two versions
    object_get_close(g);
    OK(object_put_begin(remote, STR("raw"), STR("broken"), NULL, &p, &e));
    for (int i = 0; i < 4; i++)
        OK(object_put_write(p, str_from(piece, 3 * MIB), &e));
    object_put_abort(p);
    OK(object_upload_list(remote, STR("raw"), &a, &uploads, &n, &e) && n == 0);
    arena_fini(&own);
    mem_free(piece);
    mem_free(got);
    stop();
}

TEST(lists_join_up)
{
    struct object_list_options o = {.delimiter = STR("/"), .max = 2};
    struct object_listing l;
    struct object_bucket *buckets;
    size_t objects = 0, prefixes = 0, pages = 0, n;

    start();
    for (int i = 0; i < 12; i++)
        OK(object_put_bytes(local, STR("raw"),
                            str_of(arena_fmt(&a, "%c%s%d", 'a' + i / 3, i % 3 ? "/" : " &", i)), STR("x"),
                            NULL, &e));
    do {
        OK(object_list(remote, STR("raw"), &o, &a, &l, &e));
        objects += l.object_count;
        prefixes += l.prefix_count;
        pages++;
        o.after = l.next;
    } while (l.more);
    OK(objects == 4 && prefixes == 4 && pages == 4);
    OK(bucket_list(remote, &a, &buckets, &n, &e) && n == 1 && str_is(buckets[0].name, "raw"));
    stop();
}

TEST(a_wrong_key_or_url_is_told)
{
    struct object_remote o = {
        .url = "http://127.0.0.1:1", .region = "x", .access_key = "a", .secret_key = "b"};
    struct blobs *b;
    bool yes;

    start();
    OK(object_open_remote(&o, &b, &e));
    OK(!bucket_exists(b, STR("raw"), &yes, &e) && e.kind == ERR_REMOTE);
    object_close(b);
    o.url = arena_fmt(&a, "http://127.0.0.1:%d", s3_port(s3));
    o.path_style = true;
    OK(object_open_remote(&o, &b, &e));
    OK(!bucket_exists(b, STR("raw"), &yes, &e) && e.kind == ERR_DENIED);
    object_close(b);
    o.url = "ftp://x";
    OK(!object_open_remote(&o, &b, &e) && e.kind == ERR_INVALID);
    stop();
}

TEST_MAIN
