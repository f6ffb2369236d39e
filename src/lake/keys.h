/*
 * keys: where the row of a key lies.
 *
 * A key is known by its fingerprint, 128 bits of SipHash under a secret of the table, so two keys of a billion are taken for one
 * another with a chance of 10^-21, and nobody can choose keys that are. An entry says: the row of this key is (or was) at a position of a
 * data file. Whether it still is, the table's delete files tell, not the index: entries of rows that were deleted or files that
 * are gone stay until a merge drops them. So at most one entry of a key is live, in whichever run.
 *
 * Entries lie in runs: immutable files, sorted, a commit writes one. When there are many, small ones are merged. A state (struct
 * keys) is a list of runs, never changed; the next one shares most of them. keys_save() writes down, durably and before
 * the commit, which runs belong to a snapshot; after a crash the snapshot that counts finds its own. What memory holds of
 * a run is 16 bytes for each 16 KiB of it, so 100 million keys take 2.4 GB of disk and 2.3 MB of memory.
 *
 * If the files are lost or damaged the index is made anew from the data files: keys_open() says so.
 *
 * A state may be used by any thread.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct keys;
struct os;

struct fingerprint {
    uint64_t a, b;
};
struct key_secret {
    uint8_t b[16];
};
struct fingerprint key_fingerprint(const struct key_secret *s, const void *data, size_t n);

struct key_place {
    uint32_t file; // number of a data file: given once in a table's life
    uint32_t pos;  // row in it
};
struct key_entry {
    struct fingerprint key;
    struct key_place at;
};
struct key_file { // a data file and its number
    uint32_t number;
    struct str path;
};

/* Is the row at this place there in the snapshot that is asked about? Called without locks, often. */
typedef bool key_live_fn(void *arg, struct key_place at);

/* An empty state, with a new secret. */
struct keys *keys_new(struct os *os, const char *dir);
struct keys_saved {
    struct keys *keys; // NULL: there is none, or it is damaged: make it anew
    struct key_file *files;
    size_t file_count;
};
/* The state that was saved for the snapshot, its files in a. */
bool keys_open(struct os *os, const char *dir, int64_t snapshot_id, struct arena *a, struct keys_saved *out,
               struct err *e) MUST_CHECK;
struct keys *keys_ref(struct keys *k);
void keys_unref(struct keys *k); // NULL does nothing
const struct key_secret *keys_secret(const struct keys *k);
uint32_t keys_next_file(const struct keys *k); // a number not used yet

/*
 * The state with these entries added (none is fine) and numbers below next_file used. Sorts the entries in place. The new run
 * is synced. Runs that are merged on the way keep what live() says is there.
 */
struct key_add {
    struct key_entry *entries;
    size_t count;
    uint32_t next_file;
    key_live_fn *live;
    void *arg;
};
bool keys_add(struct keys *k, const struct key_add *add, struct keys **out, struct err *e) MUST_CHECK;
/* Durable. Files: those of the snapshot. */
bool keys_save(struct keys *k, int64_t snapshot_id, const struct key_file *files, size_t file_count,
               struct err *e) MUST_CHECK;
/* The state of a snapshot that is current no more: its record goes, and runs that only it has go with their last user. successor may be NULL. */
void keys_forget(struct keys *k, int64_t snapshot_id, const struct keys *successor);
/* Removes what crashes left in the folder: whatever does not belong to k and the snapshot. */
void keys_tidy(struct keys *k, int64_t snapshot_id);

/*
 * Looks up `count` different fingerprints in ascending order. found[i] says whether a live row was found, at[i] where.
 */
struct key_find {
    const struct fingerprint *keys;
    size_t count;
    key_live_fn *live;
    void *arg;
    struct key_place *at; // [count] out
    bool *found;          // [count] out
};
bool keys_find(struct keys *k, const struct key_find *q, struct err *e) MUST_CHECK;
int fingerprint_cmp(const struct fingerprint *x, const struct fingerprint *y);
