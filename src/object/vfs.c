#include "object/vfs.h"

#include "base/mem.h"
#include "os/os.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* An open file: ours for the bytes, SQLite's own (which lies behind it in the same block) for locks. */
struct vfs_file {
    sqlite3_file sqlite;
    struct os *os;
    sqlite3_file *under;
    int fd;
    bool sync_folder; // a new journal: its name is not durable before its folder is synced
    char *path;
};

static struct vfs_file *file_of(sqlite3_file *f)
{
    return (struct vfs_file *)f;
}

static int failed(int otherwise)
{
    return errno == ENOSPC || errno == EDQUOT ? SQLITE_FULL : otherwise;
}

static int file_close(sqlite3_file *f)
{
    struct vfs_file *v = file_of(f);
    int rc = v->under->pMethods->xClose(v->under);

    os_close(v->os, v->fd);
    mem_free(v->path);
    return rc;
}

static int file_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    struct vfs_file *v = file_of(f);
    struct err e;
    ssize_t got = os_read_some(v->os, v->fd, p, (size_t)n, at, &e);

    if (got < 0)
        return SQLITE_IOERR_READ;
    if (got == n)
        return SQLITE_OK;
    memset((char *)p + got, 0, (size_t)(n - got)); // SQLite asks for this
    return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    struct vfs_file *v = file_of(f);
    struct err e;

    return os_write(v->os, v->fd, p, (size_t)n, at, &e) ? SQLITE_OK : failed(SQLITE_IOERR_WRITE);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct vfs_file *v = file_of(f);

    return v->os->ftruncate(v->os, v->fd, size) == 0 ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int file_sync(sqlite3_file *f, int flags)
{
    struct vfs_file *v = file_of(f);
    char *slash;
    struct err e;

    (void)flags;
    if (v->os->fdatasync(v->os, v->fd) != 0)
        return SQLITE_IOERR_FSYNC; // never SQLITE_FULL, which says that nothing was committed (local.c)
    if (!v->sync_folder)
        return SQLITE_OK;
    slash = strrchr(v->path, '/');
    *slash = 0;
    v->sync_folder = !os_sync_dir(v->os, v->path, &e);
    *slash = '/';
    return v->sync_folder ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
    struct vfs_file *v = file_of(f);

    return v->under->pMethods->xFileSize(v->under, size);
}

static int file_lock(sqlite3_file *f, int kind)
{
    return file_of(f)->under->pMethods->xLock(file_of(f)->under, kind);
}

static int file_unlock(sqlite3_file *f, int kind)
{
    return file_of(f)->under->pMethods->xUnlock(file_of(f)->under, kind);
}

static int file_reserved(sqlite3_file *f, int *yes)
{
    return file_of(f)->under->pMethods->xCheckReservedLock(file_of(f)->under, yes);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    return file_of(f)->under->pMethods->xFileControl(file_of(f)->under, op, arg);
}

static int file_sector(sqlite3_file *f)
{
    return file_of(f)->under->pMethods->xSectorSize(file_of(f)->under);
}

static int file_device(sqlite3_file *f)
{
    return file_of(f)->under->pMethods->xDeviceCharacteristics(file_of(f)->under);
}

static int file_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return file_of(f)->under->pMethods->xShmMap(file_of(f)->under, page, size, extend, out);
}

static int file_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return file_of(f)->under->pMethods->xShmLock(file_of(f)->under, at, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
    file_of(f)->under->pMethods->xShmBarrier(file_of(f)->under);
}

static int file_shm_unmap(sqlite3_file *f, int remove)
{
    return file_of(f)->under->pMethods->xShmUnmap(file_of(f)->under, remove);
}

/* Version 2: with shared memory, without mapping the database itself, which would go past os/. */
static const sqlite3_io_methods file_methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_device,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static int vfs_open(sqlite3_vfs *s, const char *path, sqlite3_file *f, int flags, int *flags_out)
{
    struct vfs *v = s->pAppData;
    struct vfs_file *file = file_of(f);
    int journal = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
    int rc;

    memset(file, 0, sizeof *file);
    if (!path) // a temporary file: temp_store=MEMORY leaves none to be made
        return SQLITE_CANTOPEN;
    file->os = v->os;
    file->under = (sqlite3_file *)(file + 1);
    file->sync_folder = (flags & SQLITE_OPEN_CREATE) && (flags & journal);
    rc = v->unix_vfs->xOpen(v->unix_vfs, path, file->under, flags, flags_out);
    if (rc != SQLITE_OK)
        return rc;
    file->fd = v->os->open(v->os, path, flags & SQLITE_OPEN_READONLY ? O_RDONLY : O_RDWR);
    if (file->fd < 0) {
        (void)file->under->pMethods->xClose(file->under);
        return SQLITE_CANTOPEN;
    }
    file->path = mem_str(path);
    file->sqlite.pMethods = &file_methods;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *s, const char *path, int sync_dir)
{
    struct vfs *v = s->pAppData;

    (void)sync_dir; // only journals are deleted, and an old WAL that comes back is seen to be old
    if (v->os->unlink(v->os, path) == 0)
        return SQLITE_OK;
    return errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
}

static int vfs_access(sqlite3_vfs *s, const char *path, int flags, int *yes)
{
    struct vfs *v = s->pAppData;

    return v->unix_vfs->xAccess(v->unix_vfs, path, flags, yes);
}

static int vfs_full_path(sqlite3_vfs *s, const char *path, int n, char *out)
{
    struct vfs *v = s->pAppData;

    return v->unix_vfs->xFullPathname(v->unix_vfs, path, n, out);
}

static int vfs_randomness(sqlite3_vfs *s, int n, char *out)
{
    struct vfs *v = s->pAppData;

    v->os->random(v->os, out, (size_t)n);
    return n;
}

static int vfs_sleep(sqlite3_vfs *s, int us)
{
    struct vfs *v = s->pAppData;

    return v->unix_vfs->xSleep(v->unix_vfs, us);
}

static int vfs_time(sqlite3_vfs *s, sqlite3_int64 *julian_ms)
{
    struct vfs *v = s->pAppData;

    *julian_ms = v->os->wall_us(v->os) / 1000 + INT64_C(210866760000000); // 1970-01-01 as a Julian day
    return SQLITE_OK;
}

bool vfs_init(struct vfs *v, struct os *os, struct err *e)
{
    sqlite3_vfs *u = sqlite3_vfs_find("unix");

    *v = (struct vfs){.os = os, .unix_vfs = u};
    if (!u)
        return err_set(e, ERR_UNSUPPORTED, "this SQLite has no VFS named unix");
    (void)snprintf(v->name, sizeof v->name, "tarn-%p", (void *)v);
    v->sqlite = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int)sizeof(struct vfs_file) + u->szOsFile,
        .mxPathname = u->mxPathname,
        .zName = v->name,
        .pAppData = v,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTimeInt64 = vfs_time,
    };
    if (sqlite3_vfs_register(&v->sqlite, 0) != SQLITE_OK)
        return err_set(e, ERR_IO, "register a VFS with SQLite");
    return true;
}

void vfs_fini(struct vfs *v)
{
    (void)sqlite3_vfs_unregister(&v->sqlite);
}
