#include "net/net_int.h"

#include "base/mem.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>

struct child {
    uv_process_t uv;
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
    uv_stdio_container_t io[3] = {{.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
    uv_process_options_t po = {
        .exit_cb = on_exit_of,
        .file = o->file,
        .args = (char **)(uintptr_t)o->argv, // libuv only reads them
        .env = (char **)(uintptr_t)o->env,
        .cwd = o->cwd,
        .flags = UV_PROCESS_DETACHED,
        .stdio = io,
        .stdio_count = 3,
    };

    if (s->output >= 0)
        io[1] = io[2] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = s->output};
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
