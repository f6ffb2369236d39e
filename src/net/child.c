#include "net/net_int.h"

#include "base/arena.h"
#include "base/mem.h"
#include "os/os.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

struct child {
    union { // a child of ours, or a descriptor of an adopted process that becomes readable at its end
        uv_process_t uv;
        uv_poll_t poll;
    };
    int pidfd;
    struct loop *loop;
    child_exit_fn *on_exit;
    void *arg;
    _Atomic int pid; // 0 after its exit
    bool closed, freed;
};

static void child_closed(uv_handle_t *h)
{
    struct child *c = h->data;

    c->closed = true;
    if (c->freed)
        mem_free(c);
}

static void on_exit_of(uv_process_t *uv, int64_t status, int signal)
{
    struct child *c = uv->data;

    atomic_store(&c->pid, 0);
    uv_close((uv_handle_t *)uv, child_closed);
    if (c->on_exit)
        c->on_exit(c->arg, status, signal);
}

struct start {
    struct child *c;
    const struct child_options *o;
    int rc, output;
};

static void start_on_loop(void *arg)
{
    struct start *s = arg;
    const struct child_options *o = s->o;
    uv_stdio_container_t io[3 + CHILD_INHERIT] = {
        {.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
    uv_process_options_t po = {
        .exit_cb = on_exit_of,
        .file = o->file,
        .args = (char **)(uintptr_t)o->argv, // libuv only reads them
        .env = (char **)(uintptr_t)o->env,
        .cwd = o->cwd,
        .flags = UV_PROCESS_DETACHED,
        .stdio = io,
        .stdio_count = 3 + (int)o->inherit_count,
    };

    if (s->output >= 0)
        io[1] = io[2] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = s->output};
    assert(o->inherit_count <= CHILD_INHERIT);
    for (size_t i = 0; i < o->inherit_count; i++)
        io[3 + i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = o->inherit[i]};
    if (o->uid) {
        po.flags |= UV_PROCESS_SETUID;
        po.uid = o->uid;
    }
    if (o->gid) {
        po.flags |= UV_PROCESS_SETGID;
        po.gid = o->gid;
    }
    s->c->uv.data = s->c;
    s->rc = uv_spawn(&s->c->loop->uv, &s->c->uv, &po);
    if (s->rc == 0) {
        atomic_store(&s->c->pid, s->c->uv.pid);
    } else {
        s->c->freed = true;
        uv_close((uv_handle_t *)&s->c->uv, child_closed);
    }
}

/* Opened by libuv's own call: os/ makes files that only we may read and seeks to no end. */
static int open_output(const char *path, struct err *e)
{
    uv_fs_t req;
    int fd = uv_fs_open(NULL, &req, path, UV_FS_O_CREAT | UV_FS_O_WRONLY | UV_FS_O_APPEND, 0640, NULL);

    uv_fs_req_cleanup(&req);
    if (fd < 0)
        (void)err_set_at(e, ERR_IO, -fd, ERR_HERE, "open %s: %s", path, uv_strerror(fd));
    return fd;
}

bool child_start(struct loop *l, const struct child_options *o, child_exit_fn *on_exit, void *arg,
                 struct child **out, struct err *e)
{
    struct start s = {.o = o, .output = -1};
    uv_fs_t req;

    if (o->output_path && (s.output = open_output(o->output_path, e)) < 0)
        return false;
    s.c = MEM_NEW(struct child);
    s.c->loop = l;
    s.c->on_exit = on_exit;
    s.c->arg = arg;
    *out = s.c; // now: it may end, and on_exit() free it, before this returns
    loop_call(l, start_on_loop, &s);
    if (s.output >= 0) {
        (void)uv_fs_close(NULL, &req, s.output, NULL);
        uv_fs_req_cleanup(&req);
    }
    if (s.rc == 0)
        return true;
    *out = NULL;
    return err_set_at(e, s.rc == UV_ENOENT ? ERR_NOT_FOUND : ERR_IO, -s.rc, ERR_HERE, "start %s: %s", o->file,
                      uv_strerror(s.rc));
}

/* ---- adopted ---- */

static void on_adopted_exit(uv_poll_t *poll, int status, int events)
{
    struct child *c = poll->data;

    (void)status;
    (void)events;
    atomic_store(&c->pid, 0);
    (void)uv_poll_stop(poll);
    (void)close(c->pidfd);
    uv_close((uv_handle_t *)poll, child_closed);
    if (c->on_exit)
        c->on_exit(c->arg, -1, 0);
}

static bool is_named(int pid, const char *name)
{
    struct arena a = {0};
    char text[64];
    struct err e;
    int fd = os_open(os_real(), arena_fmt(&a, "/proc/%d/comm", pid), O_RDONLY, &e);
    ssize_t n = fd < 0 ? -1 : os_read_some(os_real(), fd, text, sizeof text, 0, &e);

    os_close(os_real(), fd);
    arena_fini(&a);
    return n > 0 && str_is(str_trim(str_from(text, (size_t)n)), name);
}

static void adopt_on_loop(void *arg)
{
    struct start *s = arg;
    struct child *c = s->c;

    c->poll.data = c;
    s->rc = uv_poll_init(&c->loop->uv, &c->poll, c->pidfd);
    if (s->rc == 0)
        s->rc = uv_poll_start(&c->poll, UV_READABLE, on_adopted_exit);
}

bool child_adopt(struct loop *l, int pid, const char *name, child_exit_fn *on_exit, void *arg,
                 struct child **out)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0); // Debian 12's headers do not declare the function
    struct start s = {.rc = -1};

    if (pidfd < 0)
        return false;
    if (!is_named(pid, name)) { // asked after the descriptor is held, so the number cannot have changed hands
        (void)close(pidfd);
        return false;
    }
    s.c = MEM_NEW(struct child);
    *s.c = (struct child){.pidfd = pidfd, .loop = l, .on_exit = on_exit, .arg = arg, .pid = pid};
    *out = s.c;
    loop_call(l, adopt_on_loop, &s);
    if (s.rc == 0)
        return true;
    (void)close(pidfd);
    mem_free(s.c);
    return false;
}

int child_pid(const struct child *c)
{
    return atomic_load(&c->pid);
}

void child_kill(struct child *c, int signal)
{
    int pid = atomic_load(&c->pid);

    if (pid > 0)
        (void)uv_kill(pid, signal);
}

void child_free(struct child *c)
{
    if (!c)
        return;
    assert(child_pid(c) == 0 && loop_current() == c->loop);
    c->freed = true;
    if (c->closed)
        mem_free(c);
}
