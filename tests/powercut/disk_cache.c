/*
 * The machine's disk has a cache, as disks have. Preloaded into user-mode Linux, this keeps what is written to the file that the
 * variable DISK names in memory, and brings it to the file when the kernel flushes the disk, and sector by sector in no order whenever it
 * likes. Killed, the machine loses what only the cache had. Without it all that was handed to the disk would be safe, and who
 * writes past the page cache would never be missed a flush.
 *
 * All of that file's input and output is done by one thread, which shares its thread-local memory with another one: so there is no lock,
 * and no memory is allocated.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    SECTOR = 512,
    SECTORS_MAX = 1 << 20,
    EVICT_ONE_IN = 4, // writes: then a sector is brought to the file
};

static struct stat disk;
static uint8_t *now; // as the machine sees it
static bool is_dirty[SECTORS_MAX];
static uint32_t dirty[SECTORS_MAX];
static size_t count;
static uint64_t chance;
static long worker; // the thread that does the disk's work

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("DISK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0 || fstat(fd, &disk) != 0 || disk.st_size > (off_t)SECTORS_MAX * SECTOR) {
        perror("disk_cache");
        exit(1);
    }
    now = mmap(NULL, (size_t)disk.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    if (now == MAP_FAILED) {
        perror("disk_cache");
        exit(1);
    }
    close(fd);
    chance = (uint64_t)getpid() * 0x9e3779b97f4a7c15U;
}

static bool is_disk(int fd)
{
    struct stat st;

    return now && fstat(fd, &st) == 0 && st.st_ino == disk.st_ino && st.st_dev == disk.st_dev;
}

/* Whole sectors only: the kernel asks for no others. */
static bool is_within(size_t n, off_t at)
{
    return at >= 0 && at % SECTOR == 0 && n % SECTOR == 0 && (off_t)n <= disk.st_size - at;
}

static bool bring(int fd, uint32_t first, uint32_t sectors)
{
    size_t n = (size_t)sectors * SECTOR;
    off_t at = (off_t)first * SECTOR;

    memset(is_dirty + first, 0, sectors);
    return syscall(SYS_pwrite64, fd, now + at, n, at) == (ssize_t)n;
}

static bool flush(int fd)
{
    bool ok = true;

    for (size_t i = 0, k; i < count; i = k) {
        for (k = i + 1; k < count && dirty[k] == dirty[k - 1] + 1;)
            k++;
        ok = bring(fd, dirty[i], (uint32_t)(k - i)) && ok;
    }
    count = 0;
    return ok;
}

static void evict(int fd)
{
    size_t i;

    chance = chance * 6364136223846793005U + 1442695040888963407U;
    if ((chance >> 33) % EVICT_ONE_IN != 0 || count == 0)
        return;
    i = (size_t)(chance >> 35) % count;
    (void)bring(fd, dirty[i], 1);
    dirty[i] = dirty[--count];
}

static void wrote(int fd, size_t n, off_t at)
{
    for (uint32_t s = (uint32_t)(at / SECTOR); s < (at + (off_t)n) / SECTOR; s++)
        if (!is_dirty[s]) {
            is_dirty[s] = true;
            dirty[count++] = s;
        }
    evict(fd);
}

ssize_t pread64(int fd, void *p, size_t n, off64_t at)
{
    if (!is_disk(fd) || !is_within(n, at))
        return syscall(SYS_pread64, fd, p, n, at);
    worker = syscall(SYS_gettid);
    memcpy(p, now + at, n);
    return (ssize_t)n;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    if (!is_disk(fd))
        return syscall(SYS_pwrite64, fd, p, n, at);
    if (!is_within(n, at)) {
        errno = EIO;
        return -1;
    }
    memcpy(now + at, p, n);
    wrote(fd, n, at);
    return (ssize_t)n;
}

/* Blocks of zeros, and what is discarded. */
int fallocate64(int fd, int mode, off64_t at, off64_t n)
{
    if (!is_disk(fd))
        return (int)syscall(SYS_fallocate, fd, mode, at, n);
    if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) || !is_within((size_t)n, at)) {
        errno = EOPNOTSUPP;
        return -1;
    }
    memset(now + at, 0, (size_t)n);
    wrote(fd, (size_t)n, at);
    return 0;
}

static int sync_with(int fd, long call)
{
    if (!is_disk(fd))
        return (int)syscall(call, fd);
    if (flush(fd))
        return 0;
    errno = EIO;
    return -1;
}

int fdatasync(int fd)
{
    return sync_with(fd, SYS_fdatasync);
}

int fsync(int fd)
{
    return sync_with(fd, SYS_fsync);
}

/*
 * In Linux 6.1 a flush that the kernel asks for gets no further than to the thread that does the disk's work: it does what a request's pieces
 * say, and a flush has none (do_io() in arch/um/drivers/ubd_kern.c, which would sync the file, is called for each piece). So they are
 * seen here, where that thread tells the kernel which requests are done.
 */
struct request_of_thread { // as Linux 6.1 has it
    void *request;
    int fds[2];
    unsigned long offsets[2];
    unsigned long long offset;
    int sector_bytes, error, pieces;
};

static void flush_if_asked(const void *p, size_t n)
{
    struct request_of_thread *const *done = p;

    for (size_t i = 0; i < n / sizeof *done; i++)
        if (done[i]->pieces == 0 && is_disk(done[i]->fds[0]) && !flush(done[i]->fds[0]))
            done[i]->error = EIO;
}

ssize_t write(int fd, const void *p, size_t n)
{
    if (worker && n % sizeof(void *) == 0 && syscall(SYS_gettid) == worker)
        flush_if_asked(p, n);
    return syscall(SYS_write, fd, p, n);
}
