#include "group/member.h"

#include "base/mem.h"

#include <assert.h>

enum { HEARTBEAT_MS = 1000, SESSION_MS = 10000, REBALANCE_MS = 60000, LATER_MS = 500, BYTES_MAX = 16 << 20 };

static const char *const assignors[] = {"range", "roundrobin"};

struct group_member {
    const struct group_desk *desk;
    struct group_member_io io;
    char *group, *client_id, *client_host;
    enum { OUT, JOINING, SYNCING, STABLE, LATER, FAILED, LEAVING } state;
    char *id; // "": none yet
    int32_t generation;
    char **topics;
    size_t topic_count;
    bool changed;          // the topics, since the last join
    bool holds;            // partitions
    bool leads;            //
    unsigned calls;        // that the desk has not answered
    bool beating;          // one of them is a heartbeat
    int64_t due_ms;        // of the next heartbeat, or of joining when LATER
    struct arena seen;     // of the leader: the topics of all, and how many partitions they had
    struct str *seen_name; //
    int32_t *seen_count;
    size_t seen_n;
    group_answer_fn *left;
    void *left_arg;
};

static struct group_who who(const struct group_member *m)
{
    return (struct group_who){.group = str_of(m->group),
                              .member_id = str_of(m->id),
                              .generation = m->generation,
                              .client_id = str_of(m->client_id),
                              .client_host = str_of(m->client_host)};
}

static void set_id(struct group_member *m, struct str id)
{
    char *copy = str_dup(id);

    mem_free(m->id);
    m->id = copy;
}

static void give_up(struct group_member *m, bool known)
{
    if (m->holds)
        m->io.revoked(m->io.arg, known);
    m->holds = false;
    m->leads = false;
}

/* ---- joining ---- */

static group_joined_fn on_joined;
static group_synced_fn on_synced;

static void join(struct group_member *m)
{
    struct group_join j = {.who = who(m),
                           .session_ms = SESSION_MS,
                           .rebalance_ms = REBALANCE_MS,
                           .assignors = assignors,
                           .assignor_count = ARRAY_LEN(assignors)};
    struct buf b = buf_make(BYTES_MAX);
    struct str *topics = MEM_ARRAY(struct str, m->topic_count + 1);

    for (size_t i = 0; i < m->topic_count; i++)
        topics[i] = str_of(m->topics[i]);
    group_subscription_write(&b, topics, m->topic_count);
    mem_free(topics);
    j.subscription = buf_view(&b);
    m->state = JOINING;
    m->changed = false;
    m->calls++;
    m->desk->join(m->desk->arg, &j, on_joined, m);
    buf_fini(&b);
}

static void later(struct group_member *m)
{
    m->state = LATER;
    m->due_ms = m->io.now_ms(m->io.arg) + LATER_MS;
    m->io.due(m->io.arg);
}

/* After an answer that was no success. */
static void go_back(struct group_member *m, int16_t error)
{
    give_up(m, error == GROUP_REBALANCING);
    switch (error) {
    case GROUP_UNKNOWN_MEMBER:
        if (m->id[0]) {
            set_id(m, STR(""));
            join(m);
        } else {
            later(m);
        }
        break;
    case GROUP_ILLEGAL_GENERATION:
    case GROUP_REBALANCING:
    case GROUP_MEMBER_ID_REQUIRED:
        join(m);
        break;
    case GROUP_COORDINATOR_LOADING:
    case GROUP_COORDINATOR_NOT_AVAILABLE:
        later(m);
        break;
    default:
        m->state = FAILED;
        m->io.failed(m->io.arg, error);
    }
}

static void maybe_left(struct group_member *m)
{
    if (m->state != LEAVING || m->calls > 0)
        return;
    m->state = OUT;
    set_id(m, STR(""));
    m->generation = -1;
    if (m->changed) // it wants to be in again
        join(m);
    m->left(m->left_arg, GROUP_NONE);
}

/* ---- leading ---- */

static void see_topics(struct group_member *m, const struct group_reader *readers, size_t n)
{
    size_t most = 0;

    arena_reset(&m->seen);
    for (size_t i = 0; i < n; i++)
        most += readers[i].topic_count;
    m->seen_name = ARENA_ARRAY(&m->seen, struct str, most);
    m->seen_count = ARENA_ARRAY(&m->seen, int32_t, most);
    m->seen_n = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < readers[i].topic_count; j++) {
            m->seen_name[m->seen_n] = arena_str(&m->seen, readers[i].topics[j]);
            m->seen_count[m->seen_n++] = m->io.partitions(m->io.arg, readers[i].topics[j]);
        }
    }
}

static void free_topics(struct group_member *m)
{
    for (size_t i = 0; i < m->topic_count; i++)
        mem_free(m->topics[i]);
    mem_free(m->topics);
}

static bool topics_differ(const struct group_member *m)
{
    for (size_t i = 0; m->leads && i < m->seen_n; i++)
        if (m->io.partitions(m->io.arg, m->seen_name[i]) != m->seen_count[i])
            return true;
    return false;
}

/* A member whose subscription cannot be read gets nothing, and the others go on. */
static size_t lead(struct group_member *m, const struct group_joined *res, struct arena *a,
                   struct group_peer **out)
{
    struct group_reader *readers = ARENA_ARRAY(a, struct group_reader, res->peer_count);
    struct err ignored;

    for (size_t i = 0; i < res->peer_count; i++) {
        readers[i].id = res->peers[i].id;
        if (!group_subscription_read(res->peers[i].bytes, a, &readers[i].topics, &readers[i].topic_count,
                                     &ignored))
            readers[i].topic_count = 0;
    }
    see_topics(m, readers, res->peer_count);
    if (!group_assign(res->assignor, readers, res->peer_count, m->io.partitions, m->io.arg, a))
        return 0;
    *out = ARENA_ARRAY(a, struct group_peer, res->peer_count);
    for (size_t i = 0; i < res->peer_count; i++) {
        struct buf b = buf_make(BYTES_MAX);

        group_assignment_write(&b, readers[i].parts, readers[i].part_count);
        (*out)[i] = (struct group_peer){readers[i].id, str_from(arena_copy(a, b.p, b.n), b.n)};
        buf_fini(&b);
    }
    return res->peer_count;
}

static void on_joined(void *arg, const struct group_joined *res)
{
    struct group_member *m = arg;
    struct group_peer *given = NULL;
    struct arena a = {0};
    struct group_who w;
    size_t n = 0;

    m->calls--;
    if (m->state == LEAVING) {
        maybe_left(m);
        return;
    }
    if (res->member_id.n > 0)
        set_id(m, res->member_id);
    if (res->error != GROUP_NONE) {
        go_back(m, res->error);
        return;
    }
    m->generation = res->generation;
    m->leads = str_is(res->leader, m->id);
    if (m->leads)
        n = lead(m, res, &a, &given);
    m->state = SYNCING;
    m->calls++;
    w = who(m);
    m->desk->sync(m->desk->arg, &w, given, n, on_synced, m);
    arena_fini(&a);
}

static void on_synced(void *arg, int16_t error, struct str assignment)
{
    struct group_member *m = arg;
    struct arena a = {0};
    struct group_part *parts;
    struct err e;
    size_t n;

    m->calls--;
    if (m->state == LEAVING) {
        maybe_left(m);
        return;
    }
    if (error != GROUP_NONE) {
        go_back(m, error);
        return;
    }
    if (!group_assignment_read(assignment, &a, &parts, &n, &e))
        n = 0;
    m->state = STABLE;
    m->holds = true;
    m->due_ms = m->io.now_ms(m->io.arg) + HEARTBEAT_MS;
    m->io.assigned(m->io.arg, parts, n);
    m->io.due(m->io.arg);
    arena_fini(&a);
    if (m->state == STABLE && m->changed)
        go_back(m, GROUP_REBALANCING);
}

/* ---- staying ---- */

static void on_beaten(void *arg, int16_t error)
{
    struct group_member *m = arg;

    m->calls--;
    m->beating = false;
    if (m->state == LEAVING)
        maybe_left(m);
    else if (m->state == STABLE && error != GROUP_NONE)
        go_back(m, error);
}

int64_t group_member_next_ms(const struct group_member *m)
{
    return m->state == STABLE || m->state == LATER ? m->due_ms : INT64_MAX;
}

void group_member_tick(struct group_member *m)
{
    int64_t now_ms = m->io.now_ms(m->io.arg);
    struct group_who w = who(m);

    if (group_member_next_ms(m) > now_ms)
        return;
    if (m->state == LATER) {
        join(m);
        return;
    }
    m->due_ms = now_ms + HEARTBEAT_MS;
    if (topics_differ(m)) {
        go_back(m, GROUP_REBALANCING);
    } else if (!m->beating) {
        m->beating = true;
        m->calls++;
        m->desk->heartbeat(m->desk->arg, &w, on_beaten, m);
    }
}

void group_member_commit(struct group_member *m, const struct offset_at *at, size_t count,
                         group_answer_fn *done, void *arg)
{
    struct group_who w = who(m);

    if (m->state == OUT || m->state == FAILED) {
        w.member_id = STR("");
        w.generation = -1;
    }
    m->desk->commit(m->desk->arg, &w, at, count, done, arg);
}

/* ---- life ---- */

struct group_member *group_member_new(const struct group_member_options *o)
{
    struct group_member *m = MEM_NEW(struct group_member);

    m->desk = o->desk;
    m->io = o->io;
    m->group = str_dup(o->group);
    m->client_id = str_dup(o->client_id);
    m->client_host = str_dup(o->client_host);
    m->id = mem_str("");
    m->generation = -1;
    return m;
}

void group_member_subscribe(struct group_member *m, const struct str *topics, size_t count)
{
    free_topics(m);
    m->topics = MEM_ARRAY(char *, count + 1);
    m->topic_count = count;
    for (size_t i = 0; i < count; i++)
        m->topics[i] = str_dup(topics[i]);
    m->changed = true;
    if (m->state == OUT || m->state == FAILED)
        join(m);
    else if (m->state == STABLE)
        go_back(m, GROUP_REBALANCING);
}

static void on_left(void *arg, int16_t error)
{
    struct group_member *m = arg;

    (void)error; // who is not known there has left
    m->calls--;
    maybe_left(m);
}

void group_member_leave(struct group_member *m, group_answer_fn *done, void *arg)
{
    bool is_in = m->state != OUT && m->state != FAILED && m->id[0];
    struct group_who w = who(m);

    assert(m->state != LEAVING);
    give_up(m, m->state == STABLE);
    free_topics(m);
    m->topics = NULL;
    m->topic_count = 0;
    m->changed = false;
    m->left = done;
    m->left_arg = arg;
    m->state = LEAVING;
    m->calls++;
    if (is_in)
        m->desk->leave(m->desk->arg, &w, on_left, m);
    else
        on_left(m, GROUP_NONE);
}

void group_member_free(struct group_member *m)
{
    if (!m)
        return;
    assert(m->calls == 0);
    free_topics(m);
    arena_fini(&m->seen);
    mem_free(m->group);
    mem_free(m->client_id);
    mem_free(m->client_host);
    mem_free(m->id);
    mem_free(m);
}
