/* A member against a desk whose answers the test gives. */
#include "group/member.h"

#include "base/mem.h"
#include "base/test.h"

static struct {
    char last[64]; // what was asked for
    int asked;
    group_joined_fn *joined;
    group_synced_fn *synced;
    group_answer_fn *answer, *left;
    void *arg;
    struct group_who who;
    size_t given;
    int64_t now_ms;
    int32_t partitions;
    size_t holds, revoked, known;
    int failed, out, told;
} d;

static void asked(const char *what, const struct group_who *w, void *arg)
{
    (void)snprintf(d.last, sizeof d.last, "%s %.*s %d", what, STR_ARG(w->member_id), w->generation);
    d.asked++;
    d.arg = arg;
}

static void join(void *desk, const struct group_join *j, group_joined_fn *done, void *arg)
{
    (void)desk;
    asked("join", &j->who, arg);
    d.joined = done;
}

static void sync_group(void *desk, const struct group_who *w, const struct group_peer *given, size_t count,
                       group_synced_fn *done, void *arg)
{
    (void)desk;
    (void)given;
    asked("sync", w, arg);
    d.synced = done;
    d.given = count;
}

static void heartbeat(void *desk, const struct group_who *w, group_answer_fn *done, void *arg)
{
    (void)desk;
    asked("heartbeat", w, arg);
    d.answer = done;
}

static void leave(void *desk, const struct group_who *w, group_answer_fn *done, void *arg)
{
    (void)desk;
    asked("leave", w, arg);
    d.left = done;
}

static void commit(void *desk, const struct group_who *w, const struct offset_at *at, size_t count,
                   group_answer_fn *done, void *arg)
{
    (void)desk;
    (void)at;
    (void)count;
    asked("commit", w, arg);
    done(arg, GROUP_NONE);
}

static const struct group_desk desk = {
    .join = join, .sync = sync_group, .heartbeat = heartbeat, .leave = leave, .commit = commit};

static int64_t now_ms(void *arg)
{
    (void)arg;
    return d.now_ms;
}

static int32_t partitions(void *arg, struct str topic)
{
    (void)arg;
    (void)topic;
    return d.partitions;
}

static void revoked(void *arg, bool known)
{
    (void)arg;
    d.holds = 0;
    d.revoked++;
    d.known += known;
}

static void assigned(void *arg, const struct group_part *parts, size_t count)
{
    (void)arg;
    (void)parts;
    d.holds = count;
}

static void failed(void *arg, int16_t error)
{
    (void)arg;
    d.failed = error;
}

static void due(void *arg)
{
    (void)arg;
    d.told++;
}

static void out(void *arg, int16_t error)
{
    (void)arg;
    (void)error;
    d.out++;
}

static struct group_member *begin(void)
{
    struct group_member_options o = {
        .desk = &desk,
        .io = {NULL, now_ms, partitions, revoked, assigned, failed, due},
        .group = STR("g"),
        .client_id = STR("c"),
        .client_host = STR("127.0.0.1"),
    };
    struct str topic = STR("t");
    struct group_member *m = group_member_new(&o);

    memset(&d, 0, sizeof d);
    d.partitions = 2;
    group_member_subscribe(m, &topic, 1);
    return m;
}

static void answer_join(int16_t error, int32_t generation, const char *id, bool leads)
{
    struct str topic = STR("t");
    struct buf b = buf_make(100);
    struct group_peer peer;

    group_subscription_write(&b, &topic, 1);
    peer = (struct group_peer){str_of(id), buf_view(&b)};
    d.joined(d.arg, &(struct group_joined){.error = error,
                                           .generation = generation,
                                           .assignor = STR("range"),
                                           .leader = leads ? str_of(id) : STR("other"),
                                           .member_id = str_of(id),
                                           .peers = &peer,
                                           .peer_count = leads});
    buf_fini(&b);
}

static void answer_sync(int16_t error)
{
    struct group_part part = {STR("t"), 1};
    struct buf b = buf_make(100);

    group_assignment_write(&b, &part, 1);
    d.synced(d.arg, error, error ? STR("") : buf_view(&b));
    buf_fini(&b);
}

static void settle(bool leads)
{
    answer_join(GROUP_MEMBER_ID_REQUIRED, -1, "m1", false);
    answer_join(0, 5, "m1", leads);
    answer_sync(0);
}

static void end(struct group_member *m)
{
    group_member_leave(m, out, NULL);
    if (strncmp(d.last, "leave", 5) == 0)
        d.left(d.arg, 0);
    group_member_free(m);
}

TEST(it_joins_and_is_given_partitions)
{
    struct group_member *m = begin();

    OK(strcmp(d.last, "join  -1") == 0);
    answer_join(GROUP_MEMBER_ID_REQUIRED, -1, "m1", false);
    OK(strcmp(d.last, "join m1 -1") == 0);
    answer_join(0, 5, "m1", true);
    OK(strcmp(d.last, "sync m1 5") == 0 && d.given == 1);
    answer_sync(0);
    OK(d.holds == 1 && group_member_next_ms(m) == 1000 && d.told == 1);
    end(m);
    OK(d.out == 1 && d.revoked == 1 && d.known == 1);
}

TEST(it_keeps_its_place_and_joins_again)
{
    struct group_member *m = begin();

    settle(false);
    OK(d.given == 0);
    group_member_tick(m);
    OK(strncmp(d.last, "sync", 4) == 0); // nothing is due
    d.now_ms = 1000;
    group_member_tick(m);
    OK(strcmp(d.last, "heartbeat m1 5") == 0);
    d.answer(d.arg, GROUP_REBALANCING);
    OK(strcmp(d.last, "join m1 5") == 0 && d.revoked == 1 && d.known == 1 && d.holds == 0);
    answer_join(0, 6, "m1", false);
    answer_sync(GROUP_ILLEGAL_GENERATION);
    OK(strcmp(d.last, "join m1 6") == 0 && d.revoked == 1);
    answer_join(0, 7, "m1", false);
    answer_sync(0);
    OK(d.holds == 1);
    d.now_ms = 5000;
    group_member_tick(m);
    d.answer(d.arg, GROUP_UNKNOWN_MEMBER);
    OK(strcmp(d.last, "join  7") == 0 && d.revoked == 2 && d.known == 1);
    answer_join(GROUP_COORDINATOR_NOT_AVAILABLE, -1, "", false);
    OK(group_member_next_ms(m) == 5500);
    d.now_ms = 5500;
    group_member_tick(m);
    OK(strncmp(d.last, "join", 4) == 0);
    answer_join(24, -1, "", false);
    OK(d.failed == 24 && group_member_next_ms(m) == INT64_MAX);
    end(m);
    OK(d.out == 1);
}

TEST(a_leader_sees_topics_grow)
{
    struct group_member *m = begin();

    settle(true);
    d.partitions = 3;
    d.now_ms = 1000;
    group_member_tick(m);
    OK(strcmp(d.last, "join m1 5") == 0 && d.known == 1);
    answer_join(0, 6, "m1", true);
    answer_sync(0);
    end(m);
}

TEST(it_leaves_when_what_was_asked_is_answered)
{
    struct group_member *m = begin();
    struct str topic = STR("u");

    settle(false);
    d.now_ms = 1000;
    group_member_tick(m);
    group_member_leave(m, out, NULL);
    OK(strncmp(d.last, "leave m1", 8) == 0);
    d.left(d.arg, 0);
    OK(d.out == 0);
    group_member_subscribe(m, &topic, 1); // wants to be in again meanwhile
    d.answer(d.arg, 0);
    OK(d.out == 1 && strcmp(d.last, "join  -1") == 0);
    answer_join(0, 9, "m2", false);
    answer_sync(0);
    group_member_commit(m, NULL, 0, out, NULL);
    OK(strcmp(d.last, "commit m2 9") == 0);
    end(m);
}

TEST_MAIN
