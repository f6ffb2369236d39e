/*
 * keys_int: runs of the key index, as keys.c and keys_run.c share them.
 *
 * A run file: entries of 24 bytes in blocks of KEY_BLOCK, a table of the blocks' first keys and checksums, and a foot. A run is
 * written by run_writer in ascending order and read block by block; docs/formats.md has the bytes.
 */
#pragma once

#include "base/buf.h"
#include "lake/keys.h"

#include <stdatomic.h>

enum { KEY_ENTRY = 24, KEY_BLOCK = 682, KEY_BLOCK_BYTES = KEY_BLOCK * KEY_ENTRY };

struct key_run {
    atomic_int refs;
    atomic_bool doomed; // no state that is saved has it: the file goes with the last reference
    struct os *os;
    char *path;
    int fd;
    uint64_t entries;
    size_t blocks;
    uint64_t *first; // [blocks] the first key's upper half
    uint32_t *crc;   // [blocks]
};

bool run_open(struct os *os, const char *path, struct key_run **out, struct err *e) MUST_CHECK;
struct key_run *run_ref(struct key_run *r);
void run_unref(struct key_run *r);
/* Reads block i into out[KEY_BLOCK]; how many entries it has, or -1. */
int run_block(struct key_run *r, size_t i, uint8_t *bytes, struct key_entry *out, struct err *e);

struct run_writer {
    struct os *os;
    char *path;
    int fd;
    int64_t at;
    struct buf block, table;
    uint64_t entries;
    size_t in_block;
};
bool run_create(struct run_writer *w, struct os *os, const char *path, struct err *e) MUST_CHECK;
bool run_put(struct run_writer *w, const struct key_entry *entry, struct err *e) MUST_CHECK;
/* Synced, open for reading. */
bool run_finish(struct run_writer *w, struct key_run **out, struct err *e) MUST_CHECK;
void run_abort(struct run_writer *w); // also after run_finish(): does nothing then
