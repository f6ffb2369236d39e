#include "lake/keys.h"

#include "base/mem.h"
#include "base/test.h"
#include "os/fault.h"
#include "os/os.h"
#include "os/tempdir.h"

#include <stdlib.h>

static bool all_live(void *arg, struct key_place at)
{
    (void)arg;
    (void)at;
    return true;
}

static struct fingerprint fp(const struct keys *k, uint32_t i)
{
    return key_fingerprint(keys_secret(k), &i, sizeof(i));
}

/* The state with keys from..to-1 at file `file`, position key - from. */
static struct keys *with(struct keys *k, uint32_t file, uint32_t from, uint32_t to, key_live_fn *live,
                         void *arg)
{
    struct err e;
    struct keys *next = NULL;
    struct key_entry *entries = MEM_ARRAY(struct key_entry, to - from + 1);
    for (uint32_t i = from; i < to; i++)
        entries[i - from] = (struct key_entry){.key = fp(k, i), .at = {file, i - from}};
    struct key_add add = {
        .entries = entries, .count = to - from, .next_file = file + 1, .live = live, .arg = arg};
    if (!keys_add(k, &add, &next, &e))
        next = NULL;
    mem_free(entries);
    return next;
}

static int by_key(const void *x, const void *y)
{
    return fingerprint_cmp(x, y);
}

/* How many of the keys are found; *sum of found files. */
static size_t find(struct keys *k, uint32_t from, uint32_t to, key_live_fn *live, void *arg, uint64_t *files)
{
    struct err e;
    size_t n = to - from, hits = 0;
    struct fingerprint *keys = MEM_ARRAY(struct fingerprint, n);
    struct key_place *at = MEM_ARRAY(struct key_place, n);
    bool *found = MEM_ARRAY(bool, n);
    for (uint32_t i = from; i < to; i++)
        keys[i - from] = fp(k, i);
    qsort(keys, n, sizeof(*keys), by_key);
    bool ok = keys_find(
        k, &(struct key_find){.keys = keys, .count = n, .live = live, .arg = arg, .at = at, .found = found},
        &e);
    *files = 0;
    for (size_t i = 0; ok && i < n; i++) {
        hits += found[i];
        *files += found[i] ? at[i].file : 0;
    }
    mem_free(keys);
    mem_free(at);
    mem_free(found);
    return ok ? hits : SIZE_MAX;
}

TEST(siphash_128)
{
    /* The reference implementation's vectors for SipHash-2-4-128, key 00..0f, inputs of 0, 1 and 15 bytes 00, 01, ... */
    struct key_secret s;
    uint8_t in[15];
    for (uint8_t i = 0; i < 16; i++)
        s.b[i] = i;
    for (uint8_t i = 0; i < 15; i++)
        in[i] = i;
    struct fingerprint x = key_fingerprint(&s, in, 0), y = key_fingerprint(&s, in, 1),
                       z = key_fingerprint(&s, in, 15);
    OK(x.a == 0xe6a825ba047f81a3 && x.b == 0x930255c71472f66d);
    OK(y.a == 0x44af996bd8c187da && y.b == 0x45fc229b11597634);
    OK(z.a == 0x11a8b03399e99354 && z.b == 0xd9c3cf970fec087e);
}

TEST(many_runs_and_merges)
{
    char dir[TEMPDIR_MAX];
    struct err e;
    uint64_t files;
    OK(tempdir_make(dir));
    struct keys *k = keys_new(os_real(), dir);
    for (uint32_t f = 0; f < 40; f++) {
        struct keys *next = with(k, f, f * 700, f * 700 + 700, all_live, NULL);
        OK(next != NULL);
        keys_forget(k, f, next);
        keys_unref(k);
        k = next;
    }
    OK(find(k, 0, 28000, all_live, NULL, &files) == 28000 && files == (uint64_t)700 * 780);
    OK(find(k, 28000, 30000, all_live, NULL, &files) == 0);
    struct arena a = {0};
    struct str *names;
    size_t n;
    OK(os_list(os_real(), dir, &a, &names, &n, &e) && n <= 12); // merged runs are gone
    keys_unref(k);
    arena_fini(&a);
    OK(os_remove_tree(os_real(), dir, &e));
}

static bool not_file_0(void *arg, struct key_place at)
{
    (void)arg;
    return at.file != 0;
}

TEST(dead_entries_are_passed_over)
{
    char dir[TEMPDIR_MAX];
    struct err e;
    uint64_t files;
    OK(tempdir_make(dir));
    struct keys *empty = keys_new(os_real(), dir), *one = with(empty, 0, 0, 2000, all_live, NULL);
    struct keys *two = with(one, 5, 1000, 1500, not_file_0, NULL);
    OK(find(two, 0, 2000, not_file_0, NULL, &files) == 500 && files == 2500);
    OK(find(two, 0, 2000, all_live, NULL, &files) == 2000);
    OK(find(one, 0, 2000, all_live, NULL, &files) == 2000 && files == 0);
    OK(keys_next_file(two) == 6);
    keys_unref(empty);
    keys_unref(one);
    keys_unref(two);
    OK(os_remove_tree(os_real(), dir, &e));
}

TEST(a_saved_state_opens_again)
{
    char dir[TEMPDIR_MAX];
    struct err e;
    struct arena a = {0};
    struct key_file mine[] = {{7, STR("s3://b/it's.parquet")}};
    struct keys_saved saved;
    size_t n;
    uint64_t sum;
    OK(tempdir_make(dir));
    struct keys *empty = keys_new(os_real(), dir), *k = with(empty, 7, 0, 5000, all_live, NULL);
    OK(keys_save(k, 4242, mine, 1, &e));
    keys_unref(k);
    OK(keys_open(os_real(), dir, 4242, &a, &saved, &e) && saved.keys);
    OK(saved.file_count == 1 && saved.files[0].number == 7 &&
       str_is(saved.files[0].path, "s3://b/it's.parquet"));
    OK(keys_next_file(saved.keys) == 8 && find(saved.keys, 0, 5000, all_live, NULL, &sum) == 5000);
    keys_unref(saved.keys);
    OK(keys_open(os_real(), dir, 4243, &a, &saved, &e) && !saved.keys);

    /* A damaged block is told, not answered from; a damaged foot makes the whole be made anew. */
    struct str *names;
    OK(os_list(os_real(), dir, &a, &names, &n, &e) && n == 2);
    const char *run = arena_fmt(&a, "%s/%s", dir, str_ends(names[0], STR(".run")) ? names[0].p : names[1].p);
    struct str bytes;
    OK(os_read_file(os_real(), run, 1 << 20, &a, &bytes, &e));
    char *copy = arena_copy(&a, bytes.p, bytes.n);
    copy[100] ^= 1;
    OK(os_replace_file(os_real(), run, str_from(copy, bytes.n), &e));
    OK(keys_open(os_real(), dir, 4242, &a, &saved, &e) && saved.keys);
    OK(find(saved.keys, 0, 5000, all_live, NULL, &sum) == SIZE_MAX);
    keys_unref(saved.keys);
    copy[bytes.n - 3] ^= 1;
    OK(os_replace_file(os_real(), run, str_from(copy, bytes.n), &e));
    OK(keys_open(os_real(), dir, 4242, &a, &saved, &e) && !saved.keys);

    keys_tidy(empty, 1);
    OK(os_list(os_real(), dir, &a, &names, &n, &e) && n == 0);
    keys_unref(empty);
    arena_fini(&a);
    OK(os_remove_tree(os_real(), dir, &e));
}

/* Whatever fails: the state before is whole, and a second try works or fails cleanly. */
static bool adds_under_faults(struct os *os, void *arg)
{
    struct err e;
    uint64_t sum;
    struct key_file none = {0};
    struct keys *empty = keys_new(os, arg), *one = with(empty, 1, 0, 900, all_live, NULL);
    bool ok = true;
    if (one) {
        struct keys *two = with(one, 2, 900, 1000, all_live, NULL);
        bool saved = two && keys_save(two, 1, &none, 0, &e);
        if (saved) {
            size_t hits = find(two, 0, 1000, all_live, NULL, &sum);
            ok = hits == 1000 || hits == SIZE_MAX;
        }
        keys_unref(two);
    }
    keys_unref(one);
    keys_unref(empty);
    return ok;
}

TEST(faults)
{
    char dir[TEMPDIR_MAX];
    struct err e;
    unsigned faults = 0;
    OK(tempdir_make(dir));
    OK(os_fault_walk(adds_under_faults, dir, &faults) && faults > 20);
    OK(os_remove_tree(os_real(), dir, &e));
}

TEST_MAIN
