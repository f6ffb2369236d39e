#include "object/files.h"

#include "base/arena.h"
#include "base/mem.h"
#include "object/index.h"
#include "os/os.h"
#include "os/thread.h"

#include <assert.h>
#include <stdio.h>

/* A number that something is going on with. Few at a time, so a plain array is searched. */
struct number {
    int64_t n;
    bool unsettled; // neither committed nor removed
    bool doomed;    // lost its row: remove the file with the last pin
    unsigned pins;
};

struct files {
    struct os *os;
    char *dir;
    files_reserve_fn *reserve;
    void *reserve_arg;
    struct mutex lock; // guards all below
    struct cond reserved_changed;
    int64_t next, reserved; // numbers [next, reserved) are ours to give out
    bool reserving;
    struct number *numbers;
    size_t count, cap;
    int64_t *removed; // garbage whose files are gone
    size_t removed_count, removed_cap;
};

const char *files_path(const struct files *f, int64_t number, char out[FILES_PATH])
{
    (void)snprintf(out, FILES_PATH, "%s/%06llx/%016llx", f->dir, (unsigned long long)(number / FILES_BLOCK),
                   (unsigned long long)number);
    return out;
}

static const char *folder_path(const struct files *f, int64_t number, char out[FILES_PATH])
{
    (void)snprintf(out, FILES_PATH, "%s/%06llx", f->dir, (unsigned long long)(number / FILES_BLOCK));
    return out;
}

static struct number *find_locked(struct files *f, int64_t n)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->numbers[i].n == n)
            return &f->numbers[i];
    return NULL;
}

static struct number *add_locked(struct files *f, int64_t n)
{
    MEM_PUSH_ROOM(f->numbers, f->count, f->cap);
    f->numbers[f->count] = (struct number){.n = n};
    return &f->numbers[f->count++];
}

static void forget_locked(struct files *f, struct number *n)
{
    if (!n->unsettled && !n->doomed && n->pins == 0)
        *n = f->numbers[--f->count];
}

/* ---- start: what a crash left behind ---- */

static bool hex_number(struct str s, int64_t *out)
{
    int64_t v = 0;

    if (s.n != 16)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        const char *digits = "0123456789abcdef", *at = s.p[i] ? strchr(digits, s.p[i]) : NULL;

        if (!at || (i == 0 && at - digits > 7))
            return false;
        v = v << 4 | (at - digits);
    }
    *out = v;
    return true;
}

static bool sweep_folder(struct files *f, struct index *x, int64_t block, int64_t floor, struct err *e)
{
    struct arena a = {0};
    struct str *names;
    char path[FILES_PATH];
    size_t count;
    bool ok = os_list(f->os, folder_path(f, block * FILES_BLOCK, path), &a, &names, &count, e);

    if (!ok && e->kind == ERR_NOT_FOUND) {
        ok = true;
        count = 0;
    }
    for (size_t i = 0; ok && i < count; i++) {
        bool known = true;
        int64_t n;

        ok = !hex_number(names[i], &n) || n < floor || index_knows_blob(x, n, &known, e);
        if (ok && !known && f->os->unlink(f->os, files_path(f, n, path)) != 0)
            ok = err_sys(e, "remove %s", path);
    }
    arena_fini(&a);
    return ok;
}

static bool files_sweep(struct files *f, struct index *x, struct err *e)
{
    int64_t floor, reserved, *garbage;
    size_t count;
    bool ok = true;

    if (!index_state(x, &floor, &reserved, &garbage, &count, e))
        return false;
    f->next = f->reserved = reserved;
    for (int64_t block = floor / FILES_BLOCK; ok && block * FILES_BLOCK < reserved; block++)
        ok = sweep_folder(f, x, block, floor, e);
    if (ok)
        files_free(f, garbage, count);
    mem_free(garbage);
    return ok;
}

bool files_open(struct os *os, const char *dir, struct index *x, files_reserve_fn *reserve, void *arg,
                struct files **out, struct err *e)
{
    struct files *f = MEM_NEW(struct files);

    *f = (struct files){.os = os, .dir = mem_str(dir), .reserve = reserve, .reserve_arg = arg};
    mutex_init(&f->lock);
    cond_init(&f->reserved_changed);
    if (!files_sweep(f, x, e)) {
        files_close(f);
        return err_wrap(e, "look for files that a crash left in %s", dir);
    }
    *out = f;
    return true;
}

void files_close(struct files *f)
{
    if (!f)
        return;
    mutex_fini(&f->lock);
    cond_fini(&f->reserved_changed);
    mem_free(f->numbers);
    mem_free(f->removed);
    mem_free(f->dir);
    mem_free(f);
}

/* ---- numbers ---- */

/* Makes the folder of the next block, durably, and reserves its numbers. */
static bool next_block(struct files *f, int64_t *first, struct err *e)
{
    char path[FILES_PATH];
    int64_t block = (*first + FILES_BLOCK - 1) / FILES_BLOCK;

    if (block == 0) // number 0 means none
        block = 1;
    *first = block * FILES_BLOCK;
    if (f->os->mkdir(f->os, folder_path(f, *first, path)) != 0 && errno != EEXIST)
        return err_sys(e, "make folder %s", path);
    return os_sync_dir(f->os, f->dir, e) && f->reserve(f->reserve_arg, *first + FILES_BLOCK, e);
}

bool files_number(struct files *f, int64_t *number, struct err *e)
{
    bool ok = true;

    mutex_lock(&f->lock);
    while (ok && f->next == f->reserved) {
        int64_t first = f->next;

        if (f->reserving) {
            cond_wait(&f->reserved_changed, &f->lock);
            continue;
        }
        f->reserving = true;
        mutex_unlock(&f->lock);
        ok = next_block(f, &first, e);
        mutex_lock(&f->lock);
        f->reserving = false;
        if (ok) {
            f->next = first;
            f->reserved = first + FILES_BLOCK;
        }
        cond_broadcast(&f->reserved_changed);
    }
    if (ok) {
        *number = f->next++;
        add_locked(f, *number)->unsettled = true;
    }
    mutex_unlock(&f->lock);
    return ok;
}

void files_settle(struct files *f, int64_t number)
{
    struct number *n;

    mutex_lock(&f->lock);
    n = find_locked(f, number);
    assert(n && n->unsettled);
    n->unsettled = false;
    forget_locked(f, n);
    mutex_unlock(&f->lock);
}

void files_drop(struct files *f, int64_t number)
{
    char path[FILES_PATH];

    /* A file that cannot be removed stays unsettled, so that the next start looks for it. */
    if (f->os->unlink(f->os, files_path(f, number, path)) == 0 || errno == ENOENT)
        files_settle(f, number);
}

bool files_sync_folder(struct files *f, int64_t number, struct err *e)
{
    char path[FILES_PATH];

    return os_sync_dir(f->os, folder_path(f, number, path), e);
}

int64_t files_floor(struct files *f)
{
    int64_t floor;

    mutex_lock(&f->lock);
    floor = f->next;
    for (size_t i = 0; i < f->count; i++)
        if (f->numbers[i].unsettled && f->numbers[i].n < floor)
            floor = f->numbers[i].n;
    mutex_unlock(&f->lock);
    return floor;
}

/* ---- the end of files ---- */

/* The number is doomed and not pinned, so nobody will pin it any more. */
static void remove_now(struct files *f, int64_t number)
{
    char path[FILES_PATH];
    bool gone = f->os->unlink(f->os, files_path(f, number, path)) == 0 || errno == ENOENT;
    struct number *n;

    mutex_lock(&f->lock);
    n = find_locked(f, number);
    n->doomed = false;
    forget_locked(f, n);
    if (gone) { // else its row in `garbage` stays, and the next start tries again
        MEM_PUSH_ROOM(f->removed, f->removed_count, f->removed_cap);
        f->removed[f->removed_count++] = number;
    }
    mutex_unlock(&f->lock);
}

bool files_pin(struct files *f, int64_t number)
{
    struct number *n;
    bool ok;

    mutex_lock(&f->lock);
    n = find_locked(f, number);
    if (!n)
        n = add_locked(f, number);
    ok = !n->doomed;
    if (ok)
        n->pins++;
    mutex_unlock(&f->lock);
    return ok;
}

void files_unpin(struct files *f, int64_t number)
{
    struct number *n;
    bool last;

    mutex_lock(&f->lock);
    n = find_locked(f, number);
    assert(n && n->pins > 0);
    n->pins--;
    last = n->pins == 0 && n->doomed;
    forget_locked(f, n);
    mutex_unlock(&f->lock);
    if (last)
        remove_now(f, number);
}

void files_free(struct files *f, const int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct number *n;
        bool read;

        mutex_lock(&f->lock);
        n = find_locked(f, numbers[i]);
        if (!n)
            n = add_locked(f, numbers[i]);
        n->doomed = true;
        read = n->pins > 0;
        mutex_unlock(&f->lock);
        if (!read)
            remove_now(f, numbers[i]);
    }
}

int64_t *files_take_removed(struct files *f, size_t *count)
{
    int64_t *list;

    mutex_lock(&f->lock);
    list = f->removed;
    *count = f->removed_count;
    f->removed = NULL;
    f->removed_count = f->removed_cap = 0;
    mutex_unlock(&f->lock);
    return list;
}

void files_give_removed(struct files *f, int64_t *numbers, size_t count)
{
    mutex_lock(&f->lock);
    for (size_t i = 0; i < count; i++) {
        MEM_PUSH_ROOM(f->removed, f->removed_count, f->removed_cap);
        f->removed[f->removed_count++] = numbers[i];
    }
    mutex_unlock(&f->lock);
    mem_free(numbers);
}
