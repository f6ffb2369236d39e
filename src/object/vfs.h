/*
 * vfs: SQLite's files through os/, so that the index fails where a test tells the disk to fail.
 *
 * Reading, writing, truncating, syncing and deleting go through a `struct os`; what os/ has no word for (locks, the
 * shared memory of WAL mode, full path names) stays with SQLite's own unix VFS, which keeps a descriptor of its own open
 * on the same file. POSIX drops a process's locks on a file when any of its descriptors is closed, so the connections
 * of one index are closed together, at the end (index.c).
 */
#pragma once

#include "base/err.h"

#include <sqlite3.h>

struct os;

struct vfs {
    struct sqlite3_vfs sqlite;
    struct os *os;
    sqlite3_vfs *unix_vfs;
    char name[40];
};

/* Makes `v` known to SQLite under v->name; it must not move until vfs_fini(). */
bool vfs_init(struct vfs *v, struct os *os, struct err *e) MUST_CHECK;
void vfs_fini(struct vfs *v);
