#include "lake/keys_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "os/os.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { RUNS_MAX = 8, MERGE_RATIO = 4, STATE_MAX = 64 * 1024 * 1024 };

struct keys {
    atomic_int refs;
    struct os *os;
    char *dir;
    struct key_secret secret;
    uint32_t next_file;
    struct key_run **runs; // [count] oldest first
    size_t count;
};

/* ---- SipHash-2-4 with 128 bits of output (J.-P. Aumasson, D. J. Bernstein) ---- */

static inline uint64_t rotated(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotated(v[1], 13) ^ v[0];
    v[0] = rotated(v[0], 32);
    v[2] += v[3];
    v[3] = rotated(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotated(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotated(v[1], 17) ^ v[2];
    v[2] = rotated(v[2], 32);
}

static uint64_t le64(const uint8_t *p, size_t n) // the first n <= 8 bytes
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

struct fingerprint key_fingerprint(const struct key_secret *s, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t k0 = le64(s->b, 8), k1 = le64(s->b + 8, 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee, k0 ^ 0x6c7967656e657261,
                     k1 ^ 0x7465646279746573};
    for (size_t i = 0; i <= n / 8; i++) {
        bool last = i == n / 8;
        uint64_t m = le64(p + 8 * i, last ? n % 8 : 8) | (last ? (uint64_t)n << 56 : 0);
        v[3] ^= m;
        sip_round(v);
        sip_round(v);
        v[0] ^= m;
    }
    v[2] ^= 0xee;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    struct fingerprint out = {.a = v[0] ^ v[1] ^ v[2] ^ v[3]};
    v[1] ^= 0xdd;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    out.b = v[0] ^ v[1] ^ v[2] ^ v[3];
    return out;
}

int fingerprint_cmp(const struct fingerprint *x, const struct fingerprint *y)
{
    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    return x->b < y->b ? -1 : x->b > y->b;
}

/* ---- states ---- */

static struct keys *state_new(struct os *os, const char *dir)
{
    struct keys *k = MEM_NEW(struct keys);
    k->refs = 1;
    k->os = os;
    k->dir = mem_str(dir);
    return k;
}

struct keys *keys_new(struct os *os, const char *dir)
{
    struct keys *k = state_new(os, dir);
    os->random(os, k->secret.b, sizeof(k->secret.b));
    return k;
}

struct keys *keys_ref(struct keys *k)
{
    atomic_fetch_add(&k->refs, 1);
    return k;
}

void keys_unref(struct keys *k)
{
    if (!k || atomic_fetch_sub(&k->refs, 1) > 1)
        return;
    for (size_t i = 0; i < k->count; i++)
        run_unref(k->runs[i]);
    mem_free(k->runs);
    mem_free(k->dir);
    mem_free(k);
}

const struct key_secret *keys_secret(const struct keys *k)
{
    return &k->secret;
}

uint32_t keys_next_file(const struct keys *k)
{
    return k->next_file;
}

static char *state_path(const struct keys *k, int64_t snapshot_id)
{
    return mem_fmt("%s/%" PRId64 ".json", k->dir, snapshot_id);
}

static const char *run_name(const struct key_run *r)
{
    return strrchr(r->path, '/') + 1;
}

/* ---- saving and opening ---- */

bool keys_save(struct keys *k, int64_t snapshot_id, const struct key_file *files, size_t file_count,
               struct err *e)
{
    struct buf b = buf_make(STATE_MAX);
    buf_str(&b, STR("{\"version\":1,\"secret\":\""));
    buf_hex(&b, k->secret.b, sizeof(k->secret.b));
    buf_fmt(&b, "\",\"next_file\":%" PRIu32 ",\"runs\":[", k->next_file);
    for (size_t i = 0; i < k->count; i++) {
        buf_str(&b, i ? STR(",") : STR(""));
        buf_json(&b, str_of(run_name(k->runs[i])));
    }
    buf_str(&b, STR("],\"files\":["));
    for (size_t i = 0; i < file_count; i++) {
        buf_fmt(&b, "%s[%" PRIu32 ",", i ? "," : "", files[i].number);
        buf_json(&b, files[i].path);
        buf_u8(&b, ']');
    }
    buf_str(&b, STR("]}\n"));
    char *path = state_path(k, snapshot_id);
    bool ok = buf_ok(&b) ? os_replace_file(k->os, path, buf_view(&b), e)
                         : err_set(e, ERR_LIMIT, "%s would have more than %d bytes", path, STATE_MAX);
    mem_free(path);
    buf_fini(&b);
    return ok;
}

static bool hex_secret(const char *text, struct key_secret *out)
{
    if (!text || strlen(text) != 2 * sizeof(out->b))
        return false;
    for (size_t i = 0; i < 2 * sizeof(out->b); i++) {
        const char *at = strchr("0123456789abcdef", text[i]);
        if (!at)
            return false;
        out->b[i / 2] = (uint8_t)(out->b[i / 2] << 4 | (at - "0123456789abcdef"));
    }
    return true;
}

static bool open_runs(struct keys *k, const json_t *runs, struct err *e)
{
    size_t n = json_array_size(runs);
    k->runs = MEM_ARRAY(struct key_run *, n + 1);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(runs, i));
        if (!name || strchr(name, '/'))
            return err_set(e, ERR_CORRUPT, "a run without a name");
        char *path = mem_fmt("%s/%s", k->dir, name);
        bool ok = run_open(k->os, path, &k->runs[i], e);
        mem_free(path);
        if (!ok)
            return false;
        k->count++;
    }
    return true;
}

static bool state_read(struct keys *k, const json_t *root, struct arena *a, struct keys_saved *out,
                       struct err *e)
{
    const json_t *list = json_object_get(root, "files"), *next = json_object_get(root, "next_file");
    if (json_integer_value(json_object_get(root, "version")) != 1 || !json_is_array(list) ||
        !json_is_integer(next) || !hex_secret(json_string_value(json_object_get(root, "secret")), &k->secret))
        return err_set(e, ERR_CORRUPT, "the state of the key index is damaged");
    k->next_file = (uint32_t)json_integer_value(next);
    out->file_count = json_array_size(list);
    out->files = ARENA_ARRAY(a, struct key_file, out->file_count + 1);
    for (size_t i = 0; i < out->file_count; i++) {
        const json_t *row = json_array_get(list, i);
        const char *path = json_string_value(json_array_get(row, 1));
        if (!path)
            return err_set(e, ERR_CORRUPT, "the state of the key index names a file without a path");
        out->files[i] = (struct key_file){.number = (uint32_t)json_integer_value(json_array_get(row, 0)),
                                          .path = arena_str(a, str_of(path))};
    }
    return open_runs(k, json_object_get(root, "runs"), e);
}

bool keys_open(struct os *os, const char *dir, int64_t snapshot_id, struct arena *a, struct keys_saved *out,
               struct err *e)
{
    struct keys *k = state_new(os, dir);
    struct err why = {0};
    json_error_t ignored;
    struct str text;
    char *path = state_path(k, snapshot_id);
    json_t *root = NULL;

    *out = (struct keys_saved){0};
    bool ok = os_read_file(os, path, STATE_MAX, a, &text, &why);
    if (ok)
        root = json_loadb(text.p, text.n, 0, &ignored);
    ok = ok && state_read(k, root, a, out, &why);
    json_decref(root);
    mem_free(path);
    if (ok) {
        out->keys = k;
        return true;
    }
    keys_unref(k);
    if (why.kind == ERR_NOT_FOUND || why.kind == ERR_CORRUPT)
        return true; // to be made anew
    *e = why;
    return false;
}

void keys_forget(struct keys *k, int64_t snapshot_id, const struct keys *successor)
{
    char *path = state_path(k, snapshot_id);
    k->os->unlink(k->os, path); // what stays is removed by keys_tidy()
    mem_free(path);
    for (size_t i = 0; i < k->count; i++) {
        bool kept = false;
        for (size_t n = 0; successor && n < successor->count; n++)
            kept |= successor->runs[n] == k->runs[i];
        if (!kept)
            k->runs[i]->doomed = true;
    }
}

void keys_tidy(struct keys *k, int64_t snapshot_id)
{
    struct arena a = {0};
    struct str *names;
    size_t n;
    struct err ignored;
    char *state = state_path(k, snapshot_id);

    if (!os_list(k->os, k->dir, &a, &names, &n, &ignored))
        n = 0;
    for (size_t i = 0; i < n; i++) {
        bool kept = str_is(names[i], strrchr(state, '/') + 1);
        for (size_t r = 0; r < k->count; r++)
            kept |= str_is(names[i], run_name(k->runs[r]));
        if (!kept)
            k->os->unlink(k->os, arena_fmt(&a, "%s/%.*s", k->dir, STR_ARG(names[i])));
    }
    mem_free(state);
    arena_fini(&a);
}

/* ---- adding, with merges ---- */

/* Something sorted that is merged: a run, or entries in memory. */
struct input {
    struct key_run *run; // NULL: memory
    size_t block;        // the next to read
    uint8_t *bytes;
    struct key_entry *entries;
    size_t at, count;
};

static bool input_fill(struct input *in, struct err *e)
{
    if (in->at < in->count || !in->run || in->block == in->run->blocks)
        return true;
    int n = run_block(in->run, in->block++, in->bytes, in->entries, e);
    in->at = 0;
    in->count = n < 0 ? 0 : (size_t)n;
    return n >= 0;
}

static struct input *least(struct input *in, size_t n)
{
    struct input *best = NULL;
    for (size_t i = 0; i < n; i++)
        if (in[i].at < in[i].count &&
            (!best || fingerprint_cmp(&in[i].entries[in[i].at].key, &best->entries[best->at].key) < 0))
            best = &in[i];
    return best;
}

/* Entries of runs that are live no more are left behind; those in memory are all new. */
static bool merge_into(struct run_writer *w, struct input *in, size_t n, const struct key_add *add,
                       struct err *e)
{
    for (;;) {
        for (size_t i = 0; i < n; i++)
            if (!input_fill(&in[i], e))
                return false;
        struct input *from = least(in, n);
        if (!from)
            return true;
        const struct key_entry *entry = &from->entries[from->at++];
        if ((!from->run || add->live(add->arg, entry->at)) && !run_put(w, entry, e))
            return false;
    }
}

static char *new_run_path(const struct keys *k)
{
    uint64_t id;
    k->os->random(k->os, &id, sizeof(id));
    return mem_fmt("%s/%016" PRIx64 ".run", k->dir, id);
}

/* How many of the newest runs are folded together with the new entries: none while there are few. */
static size_t merged_runs(const struct keys *k, uint64_t added)
{
    size_t n = 0;
    if (k->count < RUNS_MAX)
        return 0;
    while (n < k->count && (n < RUNS_MAX / 2 || k->runs[k->count - 1 - n]->entries <= MERGE_RATIO * added))
        added += k->runs[k->count - 1 - n++]->entries;
    return n;
}

static bool write_run(struct keys *k, const struct key_add *add, size_t merged, struct key_run **out,
                      struct err *e)
{
    struct input *in = MEM_ARRAY(struct input, merged + 1);
    struct run_writer w;
    char *path = new_run_path(k);

    in[0] = (struct input){.entries = add->entries, .count = add->count};
    for (size_t i = 0; i < merged; i++)
        in[1 + i] = (struct input){.run = k->runs[k->count - 1 - i],
                                   .bytes = mem_alloc(KEY_BLOCK_BYTES),
                                   .entries = MEM_ARRAY(struct key_entry, KEY_BLOCK)};
    bool ok =
        run_create(&w, k->os, path, e) && merge_into(&w, in, merged + 1, add, e) && run_finish(&w, out, e);
    run_abort(&w);
    for (size_t i = 0; i < merged; i++) {
        mem_free(in[1 + i].bytes);
        mem_free(in[1 + i].entries);
    }
    mem_free(in);
    mem_free(path);
    return ok;
}

static int entry_cmp(const void *x, const void *y)
{
    return fingerprint_cmp(&((const struct key_entry *)x)->key, &((const struct key_entry *)y)->key);
}

bool keys_add(struct keys *k, const struct key_add *add, struct keys **out, struct err *e)
{
    struct key_run *added = NULL;
    size_t merged = merged_runs(k, add->count);
    if (add->count > 0) {
        qsort(add->entries, add->count, sizeof(*add->entries), entry_cmp);
        if (!os_make_dirs(k->os, k->dir, e) || !write_run(k, add, merged, &added, e))
            return false;
    } else {
        merged = 0;
    }
    struct keys *next = state_new(k->os, k->dir);
    next->secret = k->secret;
    next->next_file = add->next_file;
    next->runs = MEM_ARRAY(struct key_run *, k->count + 2);
    for (size_t i = 0; i + merged < k->count; i++)
        next->runs[next->count++] = run_ref(k->runs[i]);
    if (added)
        next->runs[next->count++] = added;
    *out = next;
    return true;
}

/* ---- finding ---- */

/* The block that may hold the key: the last whose first key is not above it. Several blocks may begin with the same upper half. */
static size_t block_of(const struct key_run *r, uint64_t upper)
{
    size_t low = 0, high = r->blocks; // first[low] <= upper < first[high]
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        *(r->first[mid] < upper ? &low : &high) = mid;
    }
    return low;
}

struct finder {
    const struct key_find *q;
    struct key_run *run;
    size_t block; // read into entries; SIZE_MAX: none
    int count;
    uint8_t *bytes;
    struct key_entry *entries;
};

static bool find_read(struct finder *f, size_t block, struct err *e)
{
    if (f->block == block)
        return true;
    f->count = run_block(f->run, block, f->bytes, f->entries, e);
    f->block = block;
    return f->count >= 0;
}

/* Index in f->entries of the first entry that is not below the key. */
static int lower_bound(const struct finder *f, const struct fingerprint *key)
{
    int low = 0, high = f->count;
    while (low < high) {
        int mid = (low + high) / 2;
        if (fingerprint_cmp(&f->entries[mid].key, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* All entries of the key in this run, in the block found and those behind it, until one is live. */
static bool find_one(struct finder *f, size_t i, struct err *e)
{
    const struct fingerprint *key = &f->q->keys[i];
    for (size_t block = block_of(f->run, key->a); block < f->run->blocks; block++) {
        if (f->run->first[block] > key->a)
            return true;
        if (!find_read(f, block, e))
            return false;
        int at = lower_bound(f, key);
        for (; at < f->count && fingerprint_cmp(&f->entries[at].key, key) == 0; at++)
            if (f->q->live(f->q->arg, f->entries[at].at)) {
                f->q->at[i] = f->entries[at].at;
                f->q->found[i] = true;
                return true;
            }
        if (at < f->count)
            return true;
    }
    return true;
}

bool keys_find(struct keys *k, const struct key_find *q, struct err *e)
{
    struct finder f = {.q = q};
    bool ok = true;
    f.bytes = mem_alloc(KEY_BLOCK_BYTES);
    f.entries = MEM_ARRAY(struct key_entry, KEY_BLOCK);
    memset(q->found, 0, q->count * sizeof(*q->found));
    for (size_t n = k->count;
         ok && n-- > 0;) { // the newest run first: most keys that change have changed of late
        f.run = k->runs[n];
        f.block = SIZE_MAX;
        for (size_t i = 0; ok && i < q->count; i++)
            if (!q->found[i] && f.run->blocks > 0)
                ok = find_one(&f, i, e);
    }
    mem_free(f.bytes);
    mem_free(f.entries);
    return ok;
}
