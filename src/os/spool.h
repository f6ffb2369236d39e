/*
 * spool: bytes that are gathered on disk because memory is not the place for them, and then seen as one run.
 *
 * The file has no name, so it is gone with the process. The view is a mapping of the file: its pages are the kernel's to
 * drop. A spool is used by one thread.
 *
 *     struct os_spool s;
 *     os_spool_open(&s, os, dir, e); os_spool_add(&s, bytes, e); ... os_spool_view(&s, &all, e); os_spool_close(&s);
 */
#pragma once

#include "os/os.h"

struct os_spool {
    struct os *_os; // NULL: closed
    int _fd;
    int64_t n; // bytes in it
    void *_map;
    size_t _mapped;
};

bool os_spool_open(struct os_spool *s, struct os *os, const char *dir, struct err *e) MUST_CHECK;
bool os_spool_add(struct os_spool *s, struct str bytes, struct err *e) MUST_CHECK;
/* All bytes so far, until the next add or the close. */
bool os_spool_view(struct os_spool *s, struct str *out, struct err *e) MUST_CHECK;
void os_spool_close(struct os_spool *s); // a zeroed or closed one is fine
