#include "os/spool.h"

#include <fcntl.h>
#include <sys/mman.h>

bool os_spool_open(struct os_spool *s, struct os *os, const char *dir, struct err *e)
{
    int fd = os_open(os, dir, O_TMPFILE | O_RDWR, e);

    if (fd < 0)
        return err_wrap(e, "spool");
    *s = (struct os_spool){._os = os, ._fd = fd};
    return true;
}

static void unmap(struct os_spool *s)
{
    if (s->_map)
        (void)munmap(s->_map, s->_mapped);
    s->_map = NULL;
}

bool os_spool_add(struct os_spool *s, struct str bytes, struct err *e)
{
    unmap(s);
    if (!os_write(s->_os, s->_fd, bytes.p, bytes.n, s->n, e))
        return err_wrap(e, "spool");
    s->n += (int64_t)bytes.n;
    return true;
}

bool os_spool_view(struct os_spool *s, struct str *out, struct err *e)
{
    void *map;

    *out = STR("");
    if (s->n == 0)
        return true;
    if (!s->_map) {
        map = mmap(NULL, (size_t)s->n, PROT_READ, MAP_SHARED, s->_fd, 0);
        if (map == MAP_FAILED)
            return err_sys(e, "map a spool of %lld bytes", (long long)s->n);
        s->_map = map;
        s->_mapped = (size_t)s->n;
    }
    *out = str_from(s->_map, s->_mapped);
    return true;
}

void os_spool_close(struct os_spool *s)
{
    if (!s->_os)
        return;
    unmap(s);
    os_close(s->_os, s->_fd);
    *s = (struct os_spool){0};
}
