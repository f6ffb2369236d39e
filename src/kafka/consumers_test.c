/* The coordinator of KIP-848 groups with a clock, topics and a log that the test says all of. */
#include "kafka/consumers.h"

#include "base/mem.h"
#include "kafka/testcoord.h"

enum { TOPICS_MAX = 8, STORES_MAX = 64 };

static struct consumers *co;
static struct consumer_topic topics[TOPICS_MAX];
static size_t topic_count;
static uint64_t topics_version;
static const char *hidden; // a topic that nobody may see

/* The last answer. */
static struct {
    int count;
    int16_t error;
    int32_t epoch, heartbeat_ms;
    char id[64];
    bool told;
    struct topic_partition owned[64];
    size_t owned_count;
} got;

/* Stores wait for stored(), unless at_once. */
static bool at_once;
static uint64_t stores[STORES_MAX];
static size_t store_count;
static int records, tombstones;
static bool was_whole;
static struct arena disk; // the last state, as records by kind and member
static struct consumer_record kept[256];
static size_t kept_count;

static void answer(void *waiter, const struct k_consumer_beat_res *res)
{
    (void)waiter;
    got.count++;
    got.error = res->error;
    got.epoch = res->member_epoch;
    got.heartbeat_ms = res->heartbeat_ms;
    (void)snprintf(got.id, sizeof got.id, "%.*s", STR_ARG(res->member_id));
    got.told = res->assignment_n > 0;
    got.owned_count = 0;
    for (int32_t i = 0; got.told && i < res->assignment->topics_n; i++)
        for (int32_t k = 0; k < res->assignment->topics[i].partitions_n; k++)
            got.owned[got.owned_count++] = (struct topic_partition){res->assignment->topics[i].topic,
                                                                    res->assignment->topics[i].partitions[k]};
}

static struct topic_partition *copy_parts(const struct topic_partition *v, size_t n)
{
    return arena_copy(&disk, v, n * sizeof *v);
}

static struct str *copy_names(const struct str *v, size_t n)
{
    struct str *names = arena_copy(&disk, v, n * sizeof *v);

    for (size_t i = 0; i < n; i++)
        names[i] = arena_str(&disk, v[i]);
    return names;
}

static struct consumer_topic *copy_topics(const struct consumer_topic *v, size_t n)
{
    struct consumer_topic *all = arena_copy(&disk, v, n * sizeof *v);

    for (size_t i = 0; i < n; i++)
        all[i].name = arena_str(&disk, v[i].name);
    return all;
}

static void keep(const struct consumer_record *r)
{
    size_t at = 0;

    while (at < kept_count && (kept[at].kind != r->kind || !str_eq(kept[at].member, r->member)))
        at++;
    if (r->gone) {
        if (at < kept_count)
            kept[at] = kept[--kept_count];
        return;
    }
    if (at == kept_count)
        kept_count++;
    kept[at] = *r;
    kept[at].member = arena_str(&disk, r->member);
    kept[at].owned = copy_parts(r->owned, r->owned_count);
    kept[at].revoked = copy_parts(r->revoked, r->revoked_count);
    kept[at].instance_id = arena_str(&disk, r->instance_id);
    kept[at].client_id = arena_str(&disk, r->client_id);
    kept[at].client_host = arena_str(&disk, r->client_host);
    kept[at].pattern = arena_str(&disk, r->pattern);
    kept[at].assignor = arena_str(&disk, r->assignor);
    kept[at].names = copy_names(r->names, r->name_count);
    kept[at].topics = copy_topics(r->topics, r->topic_count);
}

static void store(void *arg, struct str group, const struct consumer_change *change, uint64_t version)
{
    (void)arg;
    (void)group;
    was_whole = change->whole;
    if (change->whole)
        kept_count = 0;
    for (size_t i = 0; i < change->count; i++) {
        keep(&change->records[i]);
        records++;
        tombstones += change->records[i].gone;
    }
    OK(store_count < STORES_MAX);
    stores[store_count++] = version;
}

static void stored(bool ok)
{
    for (size_t i = 0; i < store_count; i++)
        consumers_stored(co, STR("g"), stores[i], ok);
    store_count = 0;
}

static uint64_t version_now(void *arg)
{
    (void)arg;
    return topics_version;
}

static void all_topics(void *arg, struct arena *a, struct consumer_topic **out, size_t *count)
{
    (void)arg;
    *out = arena_copy(a, topics, topic_count * sizeof *topics);
    *count = topic_count;
}

static bool may_see(void *arg, struct str user, struct str host, struct str topic)
{
    (void)arg;
    (void)user;
    (void)host;
    return !hidden || !str_is(topic, hidden);
}

static void topic(const char *name, int32_t partitions)
{
    size_t at = 0;

    while (at < topic_count && !str_is(topics[at].name, name))
        at++;
    if (at == topic_count)
        topic_count++;
    topics[at] = (struct consumer_topic){.name = str_of(name), .partitions = partitions};
    topics[at].id.b[0] = (uint8_t)(at + 1);
    topics_version++;
}

static void open_co(size_t max_members)
{
    co = consumers_new(&(struct consumers_options){.io = {.now_ms = now_ms,
                                                          .random_id = random_id,
                                                          .answer = answer,
                                                          .store = store,
                                                          .topics_version = version_now,
                                                          .topics = all_topics,
                                                          .may_see = may_see},
                                                   .max_members = max_members});
}

static void begin(void)
{
    clock_ms = 1000000;
    topic_count = store_count = kept_count = 0;
    topics_version = 1;
    records = tombstones = 0;
    hidden = NULL;
    at_once = true;
    memset(&got, 0, sizeof got);
    topic("t", 4);
    topic("u", 2);
    open_co(0);
}

static void end(void)
{
    consumers_close(co);
    consumers_free(co);
    arena_fini(&disk);
}

/* ---- a member ---- */

struct says {
    const char *id, *instance, *topic, *pattern, *assignor;
    int32_t epoch, rebalance_ms;
    const struct topic_partition *owns; // with `owned`
    size_t owned;
    bool owns_none;
    int version;
};

static int16_t beat(struct says s)
{
    static struct k_consumer_partitions owned[64];
    static int32_t numbers[64];
    struct str names[1] = {str_of(s.topic)};
    struct k_consumer_beat_req req = {.group = STR("g"),
                                      .member_id = str_of(s.id),
                                      .member_epoch = s.epoch,
                                      .instance_id = str_of(s.instance),
                                      .rebalance_timeout_ms = s.rebalance_ms ? s.rebalance_ms
                                                              : s.epoch == 0 ? 60000
                                                                             : -1,
                                      .names = names,
                                      .names_n = s.topic ? s.topic[0] ? 1 : 0 : -1,
                                      .pattern = str_of(s.pattern),
                                      .assignor = str_of(s.assignor),
                                      .owned = owned,
                                      .owned_n = s.epoch == 0 || s.owns_none ? 0
                                                 : s.owns                    ? (int32_t)s.owned
                                                                             : -1};
    struct consumers_client client = {STR("c"), STR("/h"), STR("user")};
    int before = got.count;

    for (int32_t i = 0; i < req.owned_n; i++) {
        numbers[i] = s.owns[i].partition;
        owned[i] = (struct k_consumer_partitions){s.owns[i].topic, &numbers[i], 1};
    }
    consumers_beat(co, &client, s.version ? s.version : 1, &req, NULL);
    if (at_once)
        stored(true);
    OK(!at_once || got.count == before + 1);
    return got.error;
}

static int16_t join(const char *id, const char *name)
{
    return beat((struct says){.id = id, .topic = name});
}

static bool tells(int32_t epoch, size_t owned)
{
    if (got.error || got.epoch != epoch || !got.told || got.owned_count != owned)
        printf("# error %d epoch %d told %d owned %zu\n", got.error, got.epoch, got.told, got.owned_count);
    return got.error == K_NONE && got.epoch == epoch && got.told && got.owned_count == owned;
}

static bool is_silent(int32_t epoch)
{
    return got.error == K_NONE && got.epoch == epoch && !got.told;
}

/* ---- tests ---- */

TEST(one_member_gets_all)
{
    begin();
    OK(join("a", "t") == K_NONE && tells(1, 4) && got.heartbeat_ms == 5000 && strcmp(got.id, "a") == 0);
    OK(beat((struct says){.id = "a", .epoch = 1}) == K_NONE && is_silent(1));
    records = 0;
    OK(beat((struct says){.id = "a", .epoch = 1, .owns = got.owned}) == K_NONE &&
       records == 0); // nothing new, nothing written
    OK(beat((struct says){.id = "", .topic = "t", .version = 0 + 1}) == K_INVALID_REQUEST);
    OK(beat((struct says){.id = "a", .epoch = -1}) == K_NONE && got.epoch == -1 && tombstones == 3);
    OK(beat((struct says){.id = "a", .epoch = 1}) == K_UNKNOWN_MEMBER_ID);
    end();
}

TEST(a_partition_is_given_up_before_it_is_given)
{
    struct topic_partition all[4], two[2];

    begin();
    OK(join("a", "t") == K_NONE && tells(1, 4));
    memcpy(all, got.owned, sizeof all);
    OK(join("b", "t") == K_NONE && tells(2, 0)); // the target has them, but a holds them
    OK(beat((struct says){.id = "a", .epoch = 1}) == K_NONE &&
       tells(1, 2)); // to be given up, at the epoch before
    memcpy(two, got.owned, sizeof two);
    OK(beat((struct says){.id = "b", .epoch = 2}) == K_NONE && is_silent(2));
    OK(beat((struct says){.id = "a", .epoch = 1, .owns = all, .owned = 4}) == K_NONE &&
       is_silent(1)); // not yet
    OK(beat((struct says){.id = "a", .epoch = 1, .owns = two, .owned = 2}) == K_NONE && got.epoch == 2);
    OK(beat((struct says){.id = "b", .epoch = 2}) == K_NONE && tells(2, 2));
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 2; k++)
            OK(got.owned[i].partition != two[k].partition);
    end();
}

TEST(epochs_fence)
{
    struct topic_partition owned[4];

    begin();
    OK(join("a", "t") == K_NONE && tells(1, 4));
    memcpy(owned, got.owned, sizeof owned);
    OK(beat((struct says){.id = "a", .epoch = 2}) == K_FENCED_MEMBER_EPOCH);
    OK(beat((struct says){.id = "x", .epoch = 1}) == K_UNKNOWN_MEMBER_ID);
    topic("t", 5);
    OK(beat((struct says){.id = "a", .epoch = 1}) == K_NONE && tells(2, 5));
    OK(beat((struct says){.id = "a", .epoch = 1}) == K_FENCED_MEMBER_EPOCH);
    OK(beat((struct says){.id = "a", .epoch = 1, .owns = owned, .owned = 4}) == K_NONE &&
       got.epoch == 2);                                                        // its answer was lost
    OK(beat((struct says){.id = "a", .topic = "t"}) == K_NONE && tells(2, 5)); // and it may join anew
    end();
}

TEST(topics_and_subscriptions_change)
{
    begin();
    OK(join("a", "t") == K_NONE && tells(1, 4));
    topic("unread", 3);
    OK(beat((struct says){.id = "a", .epoch = 1}) == K_NONE && is_silent(1)); // a topic that nobody reads
    OK(beat((struct says){.id = "a", .epoch = 1, .topic = "u", .owns_none = true}) == K_NONE && tells(2, 2));
    OK(beat((struct says){.id = "a", .epoch = 2, .topic = "later", .owns_none = true}) == K_NONE &&
       tells(3, 0));
    topic("later", 3);
    OK(beat((struct says){.id = "a", .epoch = 3}) == K_NONE && tells(4, 3));
    OK(beat((struct says){.id = "a", .epoch = 4, .topic = "", .owns_none = true}) == K_NONE && tells(5, 0));
    end();
}

TEST(patterns)
{
    begin();
    hidden = "td";
    OK(beat((struct says){.id = "a", .pattern = "t.*"}) == K_NONE && tells(1, 4));
    topic("ta", 1);
    topic("td", 5);
    OK(beat((struct says){.id = "a", .epoch = 1}) == K_NONE && tells(2, 5));
    OK(beat((struct says){.id = "a", .epoch = 2, .pattern = "(", .owns_none = true}) ==
       K_INVALID_REGULAR_EXPRESSION);
    OK(beat((struct says){.id = "a", .epoch = 2, .pattern = "u", .topic = "ta", .owns_none = true}) ==
           K_NONE &&
       tells(3, 3));
    OK(beat((struct says){.id = "a", .epoch = 3, .pattern = "", .owns_none = true}) == K_NONE && tells(4, 1));
    end();
}

TEST(requests_that_are_none)
{
    begin();
    OK(beat((struct says){.id = "a"}) == K_INVALID_REQUEST);
    OK(beat((struct says){.id = "a", .topic = "t", .rebalance_ms = -1}) == K_INVALID_REQUEST);
    OK(beat((struct says){.id = "a", .topic = "t", .instance = ""}) == K_INVALID_REQUEST);
    OK(beat((struct says){.id = "a", .epoch = -2}) == K_INVALID_REQUEST);
    OK(beat((struct says){.id = "a", .epoch = -3}) == K_INVALID_REQUEST);
    OK(beat((struct says){.id = "a", .topic = "t", .assignor = "sticky"}) == K_UNSUPPORTED_ASSIGNOR);
    OK(beat((struct says){.id = "a", .epoch = 1}) == K_GROUP_ID_NOT_FOUND);
    OK(beat((struct says){.id = "a", .epoch = -1}) == K_GROUP_ID_NOT_FOUND);
    OK(!consumers_is_known(co, STR("g")) && records == 0);
    end();
}

TEST(static_members)
{
    begin();
    OK(beat((struct says){.id = "a", .instance = "i", .topic = "t"}) == K_NONE && tells(1, 4));
    OK(beat((struct says){.id = "b", .instance = "i", .topic = "t"}) == K_UNRELEASED_INSTANCE_ID);
    OK(beat((struct says){.id = "b", .instance = "i", .epoch = 1}) == K_FENCED_INSTANCE_ID);
    OK(beat((struct says){.id = "b", .instance = "j", .epoch = 1}) == K_UNKNOWN_MEMBER_ID);
    OK(beat((struct says){.id = "b", .instance = "i", .epoch = -2}) == K_FENCED_INSTANCE_ID);
    OK(beat((struct says){.id = "a", .instance = "i", .epoch = -2}) == K_NONE && got.epoch == -2);
    OK(beat((struct says){.id = "a", .instance = "i", .epoch = 1}) == K_FENCED_MEMBER_EPOCH);
    OK(beat((struct says){.id = "b", .instance = "i", .topic = "t"}) == K_NONE &&
       tells(1, 4)); // no new epoch: nothing has moved
    OK(beat((struct says){.id = "a", .epoch = 1}) == K_UNKNOWN_MEMBER_ID);
    OK(beat((struct says){.id = "b", .instance = "i", .epoch = -2}) == K_NONE);
    clock_ms += 45000;
    consumers_tick(co); // it does not come back
    stored(true);
    OK(beat((struct says){"c", .topic = "t"}) == K_NONE && tells(3, 4));
    end();
}

TEST(times_are_up)
{
    struct topic_partition all[4];

    begin();
    OK(join("a", "t") == K_NONE && tells(1, 4));
    memcpy(all, got.owned, sizeof all);
    OK(consumers_next_ms(co) == clock_ms + 45000);
    clock_ms += 44000;
    consumers_tick(co);
    OK(beat((struct says){.id = "a", .epoch = 1, .rebalance_ms = 10000}) == K_NONE);
    OK(join("b", "t") == K_NONE && tells(2, 0));
    OK(beat((struct says){.id = "a", .epoch = 1, .owns = all, .owned = 4}) == K_NONE &&
       tells(1, 2)); // has 10 s to give up two
    for (int i = 0; i < 9; i++) {
        clock_ms += 1000;
        consumers_tick(co);
        OK(beat((struct says){.id = "a", .epoch = 1, .owns = all, .owned = 4}) == K_NONE);
    }
    clock_ms += 1000;
    OK(consumers_next_ms(co) <= clock_ms);
    consumers_tick(co);
    stored(true);
    OK(beat((struct says){.id = "a", .epoch = 1}) == K_UNKNOWN_MEMBER_ID);
    OK(beat((struct says){.id = "b", .epoch = 2}) == K_NONE && tells(3, 4));
    clock_ms += 45000;
    consumers_tick(co);
    stored(true);
    OK(beat((struct says){.id = "b", .epoch = 3}) == K_UNKNOWN_MEMBER_ID);
    OK(consumers_is_known(co, STR("g")) && consumers_forget(co, STR("g")) == K_NONE);
    OK(!consumers_is_known(co, STR("g")));
    end();
}

TEST(a_full_group_takes_nobody)
{
    begin();
    consumers_close(co);
    consumers_free(co);
    open_co(2);
    OK(join("a", "t") == K_NONE && join("b", "t") == K_NONE);
    OK(join("c", "t") == K_GROUP_MAX_SIZE_REACHED);
    OK(join("a", "t") == K_NONE);
    end();
}

TEST(the_broker_names_members_of_version_0)
{
    struct k_consumer_beat_req req = {.group = STR("g"), .member_id = STR(""), .rebalance_timeout_ms = 1000};
    struct consumers_client client = {STR("c"), STR("/h"), STR_NULL};

    begin();
    consumers_beat(co, &client, 0, &req, NULL);
    stored(true);
    OK(got.error == K_NONE && got.id[0] != 0 && got.epoch == 1);
    end();
}

/* What changed is told when it is on disk, and so is what comes behind it. */
TEST(answers_wait_for_the_log)
{
    begin();
    at_once = false;
    join("a", "t");
    OK(got.count == 0 && store_count == 1);
    beat((struct says){.id = "a", .epoch = 1});
    OK(got.count == 0 && store_count == 1); // nothing to write, but its epoch is not on disk yet
    stored(true);
    OK(got.count == 2 && got.epoch == 1);
    topic("t", 5);
    beat((struct says){.id = "a", .epoch = 1});
    stored(false);
    OK(got.count == 3 && got.error == K_COORDINATOR_NOT_AVAILABLE);
    beat((struct says){.id = "a", .epoch = 1, .owns_none = true}); // asks again: all is written anew
    OK(was_whole);
    stored(true);
    OK(got.count == 4 && got.error == K_NONE && got.epoch == 2);
    beat((struct says){.id = "a", .epoch = 2, .topic = "u", .owns_none = true});
    consumers_close(co);
    OK(got.count == 5 && got.error == K_COORDINATOR_NOT_AVAILABLE);
    consumers_free(co);
    arena_fini(&disk);
}

TEST(a_restart_keeps_members_and_epochs)
{
    struct topic_partition all[4];
    size_t n;

    begin();
    OK(beat((struct says){.id = "a", .pattern = "t.*"}) == K_NONE && tells(1, 4));
    memcpy(all, got.owned, sizeof all);
    OK(join("b", "t") == K_NONE && tells(2, 0));
    OK(beat((struct says){.id = "a", .epoch = 1, .owns = all, .owned = 4}) == K_NONE && tells(1, 2));
    consumers_close(co);
    consumers_free(co);
    open_co(0);
    n = kept_count;
    consumers_load(co, STR("g"), kept, n);
    records = 0;
    OK(beat((struct says){.id = "a", .epoch = 1, .owns = all, .owned = 4}) == K_NONE && is_silent(1) &&
       records == 0);
    OK(beat((struct says){.id = "b", .epoch = 2}) == K_NONE && is_silent(2));
    OK(beat((struct says){.id = "a", .epoch = 1, .owns = got.owned, .owns_none = true}) == K_NONE &&
       got.epoch == 2);
    OK(beat((struct says){.id = "b", .epoch = 2}) == K_NONE && tells(2, 2));
    clock_ms += 46000;
    consumers_tick(co);
    stored(true);
    OK(beat((struct says){.id = "a", .epoch = 2}) == K_UNKNOWN_MEMBER_ID);
    end();
}

TEST(an_assignor_is_voted_for)
{
    struct k_consumer_describe_res_group d;
    struct arena a = {0};

    begin();
    OK(beat((struct says){.id = "a", .topic = "t", .assignor = "range"}) == K_NONE && tells(1, 4));
    OK(join("b", "t") == K_NONE);
    OK(consumers_describe(co, STR("g"), &a, &d) && str_is(d.assignor, "range") &&
       str_is(d.state, "Reconciling"));
    OK(d.epoch == 2 && d.assignment_epoch == 2 && d.members_n == 2);
    OK(d.members[0].epoch == 1 && d.members[0].assignment_n == 1 &&
       d.members[0].assignment[0].partitions_n == 4);
    OK(d.members[0].target_n == 1 && d.members[0].target[0].partitions_n == 2 && d.members[0].type == 1);
    OK(d.members[0].target[0].partitions[0] == 0 && d.members[0].target[0].partitions[1] == 1);
    OK(beat((struct says){.id = "a", .epoch = 1, .assignor = "uniform"}) == K_NONE);
    OK(consumers_describe(co, STR("g"), &a, &d) && str_is(d.assignor, "uniform") && d.epoch == 3);
    arena_fini(&a);
    end();
}

TEST(positions_are_for_members)
{
    struct coord_commit m = {.group = STR("g"), .member_id = STR("a"), .generation = 1};
    struct coord_commit nobody = {.group = STR("g"), .member_id = STR(""), .generation = -1};
    struct coord_reads r;

    begin();
    OK(join("a", "t") == K_NONE);
    OK(consumers_may_commit(co, &m, true) == K_NONE);
    OK(consumers_may_commit(co, &m, false) == K_UNSUPPORTED_VERSION);
    OK(consumers_may_commit(co, &nobody, true) == K_UNKNOWN_MEMBER_ID);
    m.generation = 0;
    OK(consumers_may_commit(co, &m, true) == K_STALE_MEMBER_EPOCH);
    m.transactional = nobody.transactional = true;
    OK(consumers_may_commit(co, &m, false) == K_ILLEGAL_GENERATION);
    OK(consumers_may_commit(co, &nobody, false) == K_NONE);
    OK(consumers_may_fetch(co, STR("g"), STR("a"), 1) == K_NONE);
    OK(consumers_may_fetch(co, STR("g"), STR("a"), 2) == K_STALE_MEMBER_EPOCH);
    OK(consumers_may_fetch(co, STR("g"), STR("b"), 1) == K_UNKNOWN_MEMBER_ID);
    OK(consumers_may_fetch(co, STR("g"), STR_NULL, -1) == K_NONE);
    OK(consumers_reads(co, STR("g"), STR("t"), &r) && r.consumers && r.subscribed);
    OK(consumers_reads(co, STR("g"), STR("u"), &r) && !r.subscribed);
    OK(consumers_forget(co, STR("g")) == K_NON_EMPTY_GROUP);
    OK(beat((struct says){.id = "a", .epoch = -1}) == K_NONE);
    nobody.transactional = false;
    OK(consumers_may_commit(co, &nobody, false) == K_NONE && !consumers_reads(co, STR("g"), STR("t"), &r));
    end();
}

TEST_MAIN
