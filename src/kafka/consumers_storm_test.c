/*
 * The coordinator of KIP-848 groups under a storm: members that come, go, vanish, subscribe otherwise and lose answers, topics that
 * grow and go, stores that end late or fail, and a coordinator that dies and is made anew of what was stored. Never do two
 * members hold a partition, epochs only grow, and when the storm is over every partition is held by one who reads it.
 */
#include "kafka/consumers.h"

#include "base/mem.h"
#include "kafka/testcoord.h"

enum {
    CLIENTS = 6,
    STEPS = 6000,
    SEEDS = 60,
    CALM_MS = 60000,
    TOPICS = 8,
    PARTS = 8,
    KEPT = 256,
    STORES = 4096,
    BITS = 64
};

struct client {
    int number, life; // its processes so far
    bool is_static, joined, told_all, waits;
    char id[32];
    int32_t epoch;
    uint64_t holds, shall; // partitions, a bit each
    unsigned reads;        // topics, a bit each
    int64_t next_ms, asked_ms, revoke_ms;
};

struct request {
    struct client *c;
    int life;
    bool lost;
    int answers;
};

static struct consumers *co;
static struct client clients[CLIENTS];
static struct request *requests;
static size_t request_count;
static bool stormy;
static struct {
    int32_t partitions; // 0: not there
} topics[TOPICS];
static uint64_t topics_version;
static int32_t group_epoch; // as it was last stored

/* What the log holds, and what is on its way to it. */
static struct arena disk;
static struct consumer_record kept[KEPT];
static size_t kept_count;
static struct {
    uint64_t version;
    int64_t at_ms;
    struct consumer_change change;
} stores[STORES];
static size_t store_count;

/* ---- topics ---- */

static const char *const names[TOPICS] = {"t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"};

static struct log_uuid id_of(int topic)
{
    return (struct log_uuid){{(uint8_t)(topic + 1)}};
}

static uint64_t bit_of(const struct log_uuid *topic, int32_t partition)
{
    return 1ull << ((topic->b[0] - 1) * PARTS + partition);
}

static uint64_t version_now(void *arg)
{
    (void)arg;
    return topics_version;
}

static void all_topics(void *arg, struct arena *a, struct consumer_topic **out, size_t *count)
{
    (void)arg;
    *count = 0;
    *out = ARENA_ARRAY(a, struct consumer_topic, TOPICS);
    for (int i = 0; i < TOPICS; i++)
        if (topics[i].partitions > 0)
            (*out)[(*count)++] = (struct consumer_topic){id_of(i), str_of(names[i]), topics[i].partitions};
}

static bool may_see(void *arg, struct str user, struct str host, struct str topic)
{
    (void)arg;
    (void)user;
    (void)host;
    (void)topic;
    return true;
}

static void change_topics(void)
{
    int t = (int)roll(TOPICS);

    if (topics[t].partitions == 0 && t >= 6)
        return; // has been and is gone, or comes with the next seed
    if (t >= 4 && topics[t].partitions > 0 && roll(3) == 0)
        topics[t].partitions = 0;
    else if (topics[t].partitions > 0 && topics[t].partitions < PARTS)
        topics[t].partitions++;
    topics_version++;
}

/* ---- the log ---- */

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
    if (r->kind == CONSUMER_GROUP) {
        OK(r->epoch >= group_epoch);
        group_epoch = r->epoch;
    }
    if (at == kept_count)
        kept_count++;
    OK(kept_count < KEPT);
    kept[at] = *r;
}

/* A copy that lives as long as the storm. */
static struct consumer_change copy_of(const struct consumer_change *from)
{
    struct consumer_record *r = arena_copy(&disk, from->records, from->count * sizeof *from->records);

    for (size_t i = 0; i < from->count; i++) {
        struct str *n = arena_copy(&disk, r[i].names, r[i].name_count * sizeof *n);
        struct consumer_topic *t = arena_copy(&disk, r[i].topics, r[i].topic_count * sizeof *t);

        for (size_t k = 0; k < r[i].name_count; k++)
            n[k] = arena_str(&disk, n[k]);
        for (size_t k = 0; k < r[i].topic_count; k++)
            t[k].name = arena_str(&disk, t[k].name);
        r[i].names = n;
        r[i].member = arena_str(&disk, r[i].member);
        r[i].instance_id = arena_str(&disk, r[i].instance_id);
        r[i].client_id = arena_str(&disk, r[i].client_id);
        r[i].client_host = arena_str(&disk, r[i].client_host);
        r[i].pattern = arena_str(&disk, r[i].pattern);
        r[i].assignor = arena_str(&disk, r[i].assignor);
        r[i].owned = arena_copy(&disk, r[i].owned, r[i].owned_count * sizeof *r[i].owned);
        r[i].revoked = arena_copy(&disk, r[i].revoked, r[i].revoked_count * sizeof *r[i].revoked);
        r[i].topics = t;
    }
    return (struct consumer_change){r, from->count, from->whole};
}

static void store(void *arg, struct str group, const struct consumer_change *change, uint64_t version)
{
    (void)arg;
    (void)group;
    OK(store_count < STORES);
    stores[store_count].version = version;
    stores[store_count].at_ms = clock_ms + (int64_t)roll(200);
    stores[store_count++].change = copy_of(change);
}

static void end_stores(void)
{
    while (store_count > 0 && stores[0].at_ms <= clock_ms) {
        bool ok = !(stormy && roll(20) == 0);
        struct consumer_change change = stores[0].change;
        uint64_t version = stores[0].version;

        memmove(stores, stores + 1, --store_count * sizeof *stores);
        if (ok && change.whole)
            kept_count = 0;
        for (size_t i = 0; ok && i < change.count; i++)
            keep(&change.records[i]);
        consumers_stored(co, STR("g"), version, ok);
    }
}

/* ---- what a client hears ---- */

static void check_alone(void)
{
    for (int i = 0; i < CLIENTS; i++)
        for (int k = 0; k < i; k++)
            OK((clients[i].holds & clients[k].holds) == 0);
}

static void begin_again(struct client *c)
{
    c->joined = false;
    c->epoch = 0;
    c->holds = c->shall = 0;
    c->next_ms = clock_ms + (int64_t)roll(300);
}

static void new_life(struct client *c)
{
    begin_again(c);
    c->life++;
    c->waits = false;
    (void)snprintf(c->id, sizeof c->id, "p%d-%d", c->number, c->life);
    c->next_ms = clock_ms + (int64_t)roll(roll(4) == 0 ? 60000 : 500);
}

static void take(struct client *c, const struct k_consumer_beat_res *res)
{
    uint64_t told = 0;

    OK(res->member_epoch >= c->epoch);
    c->epoch = res->member_epoch;
    c->joined = true;
    for (int32_t i = 0; res->assignment_n > 0 && i < res->assignment->topics_n; i++)
        for (int32_t k = 0; k < res->assignment->topics[i].partitions_n; k++)
            told |= bit_of(&res->assignment->topics[i].topic, res->assignment->topics[i].partitions[k]);
    if (res->assignment_n == 0)
        return;
    c->shall = told;
    c->holds |= told;
    check_alone();
    if (c->holds != told)
        c->revoke_ms = clock_ms + (int64_t)roll(2000);
}

static void answer(void *waiter, const struct k_consumer_beat_res *res)
{
    struct request *r = waiter;
    struct client *c = r->c;

    OK(++r->answers == 1);
    if (r->life != c->life || r->lost)
        return;
    c->waits = false;
    c->next_ms = clock_ms + 200 + (int64_t)roll(2000);
    c->told_all = res->error != K_COORDINATOR_NOT_AVAILABLE;
    switch (res->error) {
    case K_NONE:
        take(c, res);
        break;
    case K_FENCED_MEMBER_EPOCH:
    case K_UNKNOWN_MEMBER_ID:
    case K_GROUP_ID_NOT_FOUND:
        begin_again(c);
        break;
    case K_FENCED_INSTANCE_ID:
        new_life(c);
        break;
    default:
        OK(res->error == K_COORDINATOR_NOT_AVAILABLE || res->error == K_UNRELEASED_INSTANCE_ID);
    }
}

/* ---- what it says ---- */

static struct str instance(const struct client *c)
{
    static const char *const all[CLIENTS] = {"s0", "s1", "s2", "s3", "s4", "s5"};

    return c->is_static ? str_of(all[c->number]) : STR_NULL;
}

static struct request *request(struct client *c)
{
    requests[request_count] = (struct request){.c = c, .life = c->life, .lost = stormy && roll(15) == 0};
    return &requests[request_count++];
}

static void say(struct client *c, struct k_consumer_beat_req *req)
{
    struct consumers_client client = {STR("c"), STR("/h"), STR_NULL};

    consumers_beat(co, &client, 1, req, request(c));
}

static int32_t owned_of(const struct client *c, struct k_consumer_partitions *out, int32_t *numbers)
{
    int32_t n = 0;

    for (int t = 0; t < TOPICS; t++)
        for (int32_t p = 0; p < PARTS; p++) {
            struct log_uuid id = id_of(t);

            if ((c->holds & bit_of(&id, p)) == 0)
                continue;
            numbers[n] = p;
            out[n] = (struct k_consumer_partitions){id, &numbers[n], 1};
            n++;
        }
    return n;
}

static void beat(struct client *c)
{
    struct k_consumer_partitions owned[BITS];
    int32_t numbers[BITS];
    struct str subscribed[TOPICS];
    bool full = !c->joined || !c->told_all || roll(4) == 0;
    struct k_consumer_beat_req req = {.group = STR("g"),
                                      .member_id = str_of(c->id),
                                      .member_epoch = c->joined ? c->epoch : 0,
                                      .instance_id = full ? instance(c) : STR_NULL,
                                      .rebalance_timeout_ms = full ? 30000 : -1,
                                      .names = subscribed,
                                      .names_n = -1,
                                      .owned = owned,
                                      .owned_n = -1};

    if (full) {
        req.names_n = 0;
        for (int t = 0; t < TOPICS - 1; t++)
            if (c->reads & 1u << t)
                subscribed[req.names_n++] = str_of(names[t]);
        req.pattern = c->reads & 1u << (TOPICS - 1) ? STR("t[67]") : STR("");
    }
    if (full || roll(2) == 0)
        req.owned_n = owned_of(c, owned, numbers);
    c->waits = true;
    c->asked_ms = clock_ms;
    say(c, &req);
}

static void leave(struct client *c)
{
    say(c, &(struct k_consumer_beat_req){.group = STR("g"),
                                         .member_id = str_of(c->id),
                                         .member_epoch = c->is_static && roll(3) > 0 ? -2 : -1,
                                         .instance_id = instance(c),
                                         .rebalance_timeout_ms = -1,
                                         .names_n = -1,
                                         .owned_n = -1});
    new_life(c);
}

static void act(struct client *c)
{
    if (c->holds != c->shall && c->revoke_ms <= clock_ms)
        c->holds &= c->shall;
    if (c->waits && c->asked_ms + 1500 <= clock_ms) { // the answer was lost
        c->waits = c->told_all = false;
        c->next_ms = clock_ms;
    }
    if (c->waits || c->next_ms > clock_ms)
        return;
    if (stormy && c->joined && roll(40) == 0) {
        leave(c);
    } else if (stormy && roll(60) == 0) {
        new_life(c);
    } else {
        if (stormy && c->joined && roll(30) == 0) {
            c->reads = 1u + (unsigned)roll(255);
            c->told_all = false;
        }
        beat(c);
    }
}

/* ---- time ---- */

static void open_co(void)
{
    co = consumers_new(&(struct consumers_options){.io = {.now_ms = now_ms,
                                                          .random_id = random_id,
                                                          .answer = answer,
                                                          .store = store,
                                                          .topics_version = version_now,
                                                          .topics = all_topics,
                                                          .may_see = may_see}});
}

/* It dies with what is on its way; whoever waits hears nothing. */
static void crash(void)
{
    for (size_t i = 0; i < request_count; i++)
        requests[i].lost = true;
    consumers_close(co);
    consumers_free(co);
    store_count = 0;
    open_co();
    consumers_load(co, STR("g"), kept, kept_count);
}

static void step(void)
{
    clock_ms += (int64_t)roll(60);
    end_stores();
    if (consumers_next_ms(co) <= clock_ms)
        consumers_tick(co);
    if (stormy && roll(300) == 0)
        change_topics();
    if (stormy && roll(700) == 0)
        crash();
    act(&clients[roll(CLIENTS)]);
    check_alone();
}

static bool is_at_rest(void)
{
    uint64_t held = 0, wanted = 0;

    for (int i = 0; i < CLIENTS; i++) {
        const struct client *c = &clients[i];

        if (!c->joined || c->holds != c->shall || c->epoch != clients[0].epoch || !c->told_all)
            return false;
        held |= c->holds;
        for (int t = 0; t < TOPICS; t++)
            for (int32_t p = 0; p < topics[t].partitions; p++) {
                struct log_uuid id = id_of(t);
                bool reads = c->reads & 1u << t || (t >= 6 && c->reads & 1u << (TOPICS - 1));

                wanted |= reads ? bit_of(&id, p) : 0;
                OK(reads || c->epoch != group_epoch || (c->holds & bit_of(&id, p)) == 0);
            }
    }
    return held == wanted;
}

static void storm(uint64_t seed)
{
    bool calm = false;

    chance = seed * 0x9e3779b97f4a7c15u + 1;
    clock_ms = 1000000;
    request_count = store_count = kept_count = 0;
    group_epoch = 0;
    stormy = true;
    topics_version = 1;
    for (int t = 0; t < TOPICS; t++)
        topics[t].partitions = 1 + (int32_t)roll(4);
    open_co();
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] =
            (struct client){.number = i, .is_static = roll(3) == 0, .reads = 1u + (unsigned)roll(255)};
        new_life(&clients[i]);
    }
    for (int i = 0; i < STEPS; i++)
        step();
    stormy = false;
    for (int64_t end_ms = clock_ms + 60000 + CALM_MS; clock_ms < end_ms && !calm; calm = is_at_rest())
        step();
    if (!calm)
        printf("# seed %llu does not come to rest\n", (unsigned long long)seed);
    OK(calm);
    consumers_close(co);
    consumers_free(co);
    for (size_t i = 0; i < request_count; i++)
        OK(requests[i].answers == 1);
    arena_fini(&disk);
}

TEST(storms_end_in_a_group)
{
    requests = MEM_ARRAY(struct request, STEPS * 8);
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        storm(seed);
    mem_free(requests);
}

TEST_MAIN
