/*
 * ram: an os in memory that forgets what was not synced.
 *
 * For tests of what a crash leaves behind, and for fuzz targets that want files without a disk. Files have two states, what
 * was written and what was synced; so have names, and those of a folder are made durable by a sync of the folder alone.
 * ram_crash() is a power cut as hostile as POSIX allows: of every sector written since the last sync of its file, and of
 * every name changed since the last sync of its folder, chance decides whether it is there.
 *
 *     struct ram *r = ram_new(seed);
 *     ... use ram_os(r); after ram_die_after(r, 100) calls that change something, all fail with EIO ...
 *     ram_crash(r);       // descriptors are gone; calls work again on what is left
 *
 * The clock is the real one; random bytes come from the seed. A folder that is renamed moves for good at once. May be used from
 * several threads; ram_crash() only when nobody else does.
 */
#pragma once

#include "os/os.h"

struct ram;

struct ram *ram_new(uint64_t seed);
void ram_free(struct ram *r);
struct os *ram_os(struct ram *r);
/* All calls fail after n more that change something. */
void ram_die_after(struct ram *r, uint64_t n);
uint64_t ram_changes(struct ram *r); // calls so far that changed something
void ram_sync(struct ram *r);        // all that was written is durable, names too
void ram_crash(struct ram *r);
/* Bytes that all files may have; more is ENOSPC. -1: without limit. */
void ram_limit(struct ram *r, int64_t bytes);
