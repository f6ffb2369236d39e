#include "os/os.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

int os_lock_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char pid[24] = "";

    if (fd < 0) {
        (void)err_sys(e, "open %s", path);
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
            (void)err_set(e, ERR_CONFLICT, "%s is locked by the process with pid %.*s", path,
                          n > 0 ? (int)n : 1, n > 0 ? pid : "?");
        } else {
            (void)err_sys(e, "lock %s", path);
        }
        (void)close(fd);
        return -1;
    }
    int n = snprintf(pid, sizeof pid, "%d", (int)getpid());
    if (pwrite(fd, pid, (size_t)n, 0) == n) // the pid is for people: a full disk keeps nobody from starting
        (void)(ftruncate(fd, n) == 0);
    return fd;
}
