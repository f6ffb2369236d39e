/*
 * os: the only door to files, clock and random.
 *
 * Code that must survive a bad disk takes a `struct os *` and never calls the kernel itself. os_real() is the kernel;
 * os_fault() (os/fault.h) wraps another one and makes the n-th call fail, so that a test can walk a fault through every
 * call of a scenario. The functions of the table answer as the system calls they are named for do: -1 and errno.
 * os_ functions below are built on the table: they retry EINTR and short transfers and answer with a struct err.
 *
 * Descriptors are opened close-on-exec. Paths are NUL-terminated. All functions may be called from any thread.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct arena;

struct os_stat {
    int64_t size_bytes;
    int64_t mtime_us; // of the last change of content, since 1970
    uint64_t inode;
    bool is_dir;
};

/*
 * What the page cache does with a range of a file: begins to write it to the disk, forgets it once it is there, begins to read it; or reads
 * nothing by itself that was not asked for, whatever is read through this descriptor (the range is all then).
 */
enum os_advice { OS_WRITE_OUT, OS_FORGET, OS_READ_IN, OS_NO_AHEAD };

typedef void os_name_fn(void *arg, struct str name);

struct os {
    int (*open)(struct os *os, const char *path,
                int flags); // flags of open(2); files are made with mode 0600
    ssize_t (*pread)(struct os *os, int fd, void *p, size_t n, int64_t at);
    ssize_t (*pread_now)(struct os *os, int fd, void *p, size_t n,
                         int64_t at); // what is in memory; -1 and EAGAIN: nothing, or it cannot be told
    ssize_t (*pwritev)(struct os *os, int fd, const struct iovec *v, int count, int64_t at);
    int (*fdatasync)(struct os *os, int fd);
    int (*fsync)(struct os *os, int fd);
    int (*sync_range)(struct os *os, int fd, int64_t at, int64_t n); // see os_sync_range
    int (*fallocate)(struct os *os, int fd, int64_t at,
                     int64_t n); // reserves blocks, file grows, holes read as zero
    void (*advise)(struct os *os, int fd, int64_t at, int64_t n,
                   enum os_advice what); // changes no content and promises nothing
    int (*ftruncate)(struct os *os, int fd, int64_t size);
    int (*close)(struct os *os, int fd); // always closes
    int (*rename)(struct os *os, const char *from, const char *to);
    int (*unlink)(struct os *os, const char *path); // a file
    int (*rmdir)(struct os *os, const char *path);
    int (*mkdir)(struct os *os, const char *path); // mode 0700
    int (*stat)(struct os *os, const char *path, struct os_stat *st);
    int (*list)(struct os *os, const char *path, os_name_fn *each,
                void *arg);                           // names in a folder but . and ..
    int64_t (*now_ns)(struct os *os);                 // monotonic
    int64_t (*wall_us)(struct os *os);                // since 1970-01-01T00:00:00Z
    void (*random)(struct os *os, void *p, size_t n); // unpredictable bytes; does not fail
};

struct os *os_real(void);

/* ---- files ---- */

/* -1 and e when it cannot be opened. */
int os_open(struct os *os, const char *path, int flags, struct err *e) MUST_CHECK;
void os_close(struct os *os, int fd); // fd -1 does nothing
bool os_write(struct os *os, int fd, const void *p, size_t n, int64_t at, struct err *e) MUST_CHECK;
/* All of v is written, or it is an error. v is changed. */
bool os_writev(struct os *os, int fd, struct iovec *v, int count, int64_t at, struct err *e) MUST_CHECK;
/* Fills all of p; the file ending earlier is ERR_CORRUPT. */
bool os_read(struct os *os, int fd, void *p, size_t n, int64_t at, struct err *e) MUST_CHECK;
/* Up to n bytes, fewer only at the end of the file. -1 and e on failure. */
ssize_t os_read_some(struct os *os, int fd, void *p, size_t n, int64_t at, struct err *e) MUST_CHECK;
/* Fills all of p without waiting for a disk. False: not all is in memory, and p has anything. */
bool os_read_now(struct os *os, int fd, void *p, size_t n, int64_t at) MUST_CHECK;
bool os_sync(struct os *os, int fd,
             struct err *e) MUST_CHECK; // fdatasync; after a failure the data must be taken for lost
/*
 * These bytes are written before it returns, which makes a later sync short. Where the file has them is not, so without that sync
 * nothing is promised. Its failure is the sync's, which may not tell again: the data must be taken for lost.
 */
bool os_sync_range(struct os *os, int fd, int64_t at, int64_t n, struct err *e) MUST_CHECK;
bool os_sync_dir(struct os *os, const char *path,
                 struct err *e) MUST_CHECK; // makes names in a folder durable

bool os_exists(struct os *os, const char *path);
bool os_same_file(struct os *os, const char *a, const char *b); // two paths of one file or folder
bool os_size(struct os *os, const char *path, int64_t *size, struct err *e) MUST_CHECK;
/* A whole file, NUL behind its end, in a; ERR_LIMIT when larger than max, ERR_NOT_FOUND when absent. */
bool os_read_file(struct os *os, const char *path, size_t max, struct arena *a, struct str *out,
                  struct err *e) MUST_CHECK;
/* Replaces path durably: temporary file beside it, fdatasync, rename, fsync of the folder. Either the old or the new is there. */
bool os_replace_file(struct os *os, const char *path, struct str content, struct err *e) MUST_CHECK;

/* The absolute path without links of what is there, yours to mem_free(); NULL and e (ERR_NOT_FOUND) when nothing is. */
char *os_full_path(const char *path, struct err *e);

/* The file system that path is on. */
struct os_space {
    int64_t total_bytes, usable_bytes; // usable: by a program without privileges
};
bool os_space(const char *path, struct os_space *out, struct err *e) MUST_CHECK;

/* Makes the folder and those above it. Present ones are fine. */
bool os_make_dirs(struct os *os, const char *path, struct err *e) MUST_CHECK;
/* Names in a folder without . and .., sorted by bytes, in a. */
bool os_list(struct os *os, const char *path, struct arena *a, struct str **names, size_t *count,
             struct err *e) MUST_CHECK;
bool os_remove_tree(struct os *os, const char *path, struct err *e) MUST_CHECK; // an absent one is fine
/* chown: for a child that runs as another user. */
bool os_give(const char *path, uint32_t uid, uint32_t gid, struct err *e) MUST_CHECK;
int os_dup(int fd, struct err *e) MUST_CHECK; // the same open file, yours to close; -1 and e

/*
 * Makes the file, writes our pid into it and holds it locked until the descriptor is closed or the process ends. -1 and
 * ERR_CONFLICT, with the pid of who has it, when it is locked already (by this process too).
 */
int os_lock_file(const char *path, struct err *e) MUST_CHECK;

/* ---- this process ---- */

int64_t os_rss_bytes(void);   // resident memory, 0 when it cannot be told
int64_t os_cpu_us(void);      // user and system time so far
void os_say(struct str text); // to stderr, at once; may be called in a signal handler
int os_cores(void);
