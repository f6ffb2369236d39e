/*
 * fault: an os whose n-th call fails.
 *
 * A test runs its scenario over and over, with the fault at call 0, 1, 2, ... until a run ends with no fault
 * delivered: then every call of the scenario has failed once. os_fault_walk() is that loop.
 *
 *     static bool scenario(struct os *os, const char *dir) { ... true when all that was promised held ... }
 *     OK(os_fault_walk(scenario, dir, &faults) && faults > 20);
 *
 * open, pread, pwritev, fdatasync, fsync, sync_range, fallocate, ftruncate, rename, unlink, mkdir can fail; close, clock and random do not.
 */
#pragma once

#include "os/os.h"

enum os_fault_kind {
    OS_FAULT_EIO,
    OS_FAULT_ENOSPC,
    OS_FAULT_SHORT, // a write writes half and then the rest fails with ENOSPC; other calls: EIO
    OS_FAULT_KINDS
};

struct os_fault {
    struct os os;            // first: a struct os_fault * is a struct os *
    struct os *under;        // where calls that are not hit go
    enum os_fault_kind kind; //
    unsigned countdown;      // calls left before the fault
    bool persistent;         // keep failing after the first
    bool writes_only;        // only calls that change the disk count (a full disk)
    unsigned hits;           // faults delivered so far
};

void os_fault_init(struct os_fault *f, struct os *under, enum os_fault_kind kind, unsigned nth,
                   bool persistent);

/* The kernel, but a sync only answers, for walks that look at errors, which a busy disk would make wait for minutes; and O_DIRECT is taken everywhere. */
struct os *os_unsynced(void);

/* A pread_now for a page cache that is always empty. */
ssize_t os_pread_uncached(struct os *os, int fd, void *p, size_t n, int64_t at);

/* True when the scenario returned true at every fault, once and for good, of every kind. Counts the faults delivered. */
typedef bool os_scenario_fn(struct os *os, void *arg);
bool os_fault_walk(os_scenario_fn *scenario, void *arg, unsigned *faults);
