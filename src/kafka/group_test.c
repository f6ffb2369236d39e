/*
 * The coordinator under a clock that the test turns. A waiter is a struct call: what was answered is kept in it.
 */
#include "kafka/group.h"

#include "base/mem.h"
#include "kafka/testcoord.h"

struct call {
    int answers;
    int16_t error;
    int32_t generation;
    char member_id[128], leader[128], protocol[32], assignment[64];
    int32_t members;
    bool skip;
};

static struct coord *c;
static char stored_group[64];
static int32_t stored_generation;
static size_t stored_members;
static uint64_t stored_version;
static int stores;
static int32_t before;

static void keep(char *to, size_t max, struct str s)
{
    (void)snprintf(to, max, "%.*s", STR_ARG(s));
}

static void joined(void *waiter, const struct k_join_group_res *res)
{
    struct call *w = waiter;

    w->answers++;
    w->error = res->error;
    w->generation = res->generation;
    w->members = res->members_n;
    w->skip = res->skip_assignment;
    keep(w->member_id, sizeof w->member_id, res->member_id);
    keep(w->leader, sizeof w->leader, res->leader);
    keep(w->protocol, sizeof w->protocol, res->protocol);
}

static void synced(void *waiter, const struct k_sync_group_res *res)
{
    struct call *w = waiter;

    w->answers++;
    w->error = res->error;
    keep(w->assignment, sizeof w->assignment, res->assignment);
}

static void store(void *arg, struct str group, const struct group_meta *m, uint64_t version)
{
    (void)arg;
    stores++;
    keep(stored_group, sizeof stored_group, group);
    stored_generation = m->generation;
    stored_members = m->member_count;
    stored_version = version;
}

static int32_t last_generation(void *arg, struct str group)
{
    (void)arg;
    (void)group;
    return before;
}

static void begin(int64_t delay_ms)
{
    struct coord_options o = {.io = {.now_ms = now_ms,
                                     .wall_ms = now_ms,
                                     .random_id = random_id,
                                     .joined = joined,
                                     .synced = synced,
                                     .store = store,
                                     .last_generation = last_generation},
                              .initial_delay_ms = delay_ms,
                              .max_members = 3};

    clock_ms = 1000000;
    ids = stores = 0;
    before = 0;
    c = coord_new(&o);
}

static void end(void)
{
    coord_close(c);
    coord_free(c);
}

/* Time goes by, and the coordinator is woken whenever it asked for it. */
static void pass(int64_t ms)
{
    int64_t until = clock_ms + ms;

    while (coord_next_ms(c) <= until) {
        if (coord_next_ms(c) > clock_ms)
            clock_ms = coord_next_ms(c);
        coord_tick(c);
    }
    clock_ms = until;
}

struct how {
    const char *id, *instance, *protocol, *says;
    int version;
    int32_t session_ms, rebalance_ms;
};

static void join(struct call *w, struct how h)
{
    struct k_join_group_req_protocol p[] = {
        {str_of(h.protocol ? h.protocol : "range"), str_of(h.says ? h.says : "s")},
        {STR("sticky"), STR("s")}};
    struct k_join_group_req req = {.group = STR("g"),
                                   .session_timeout_ms = h.session_ms ? h.session_ms : 10000,
                                   .rebalance_timeout_ms = h.rebalance_ms ? h.rebalance_ms : 30000,
                                   .member_id = str_of(h.id ? h.id : ""),
                                   .instance_id = str_of(h.instance),
                                   .protocol_type = STR("consumer"),
                                   .protocols = p,
                                   .protocols_n = h.protocol ? 1 : 2};
    struct coord_client client = {STR("client"), STR("/h")};

    coord_join(c, &client, h.version ? h.version : 5, &req, w);
}

/* A dynamic member's first two requests: it is given an id and comes back with it. */
static void enter(struct call *w)
{
    struct call first = {0};

    join(&first, (struct how){0});
    OK(first.answers == 1 && first.error == K_MEMBER_ID_REQUIRED && first.member_id[0]);
    join(w, (struct how){.id = first.member_id});
    keep(w->member_id, sizeof w->member_id, str_of(first.member_id));
}

static void sync_as(struct call *w, const char *id, int32_t generation, const char *give_to,
                    const char *assignment)
{
    struct k_sync_group_req_assignment a = {str_of(give_to), str_of(assignment)};
    struct k_sync_group_req req = {.group = STR("g"),
                                   .generation = generation,
                                   .member_id = str_of(id),
                                   .assignments = &a,
                                   .assignments_n = give_to ? 1 : 0};

    coord_sync(c, &req, w);
}

static int16_t heartbeat(const char *id, int32_t generation)
{
    struct k_heartbeat_req req = {.group = STR("g"), .generation = generation, .member_id = str_of(id)};

    return coord_heartbeat(c, &req);
}

static int16_t may_commit(const char *id, int32_t generation)
{
    struct coord_commit m = {.group = STR("g"),
                             .generation = generation,
                             .member_id = str_of(id),
                             .no_group = K_ILLEGAL_GENERATION};

    return coord_may_commit(c, &m);
}

static int16_t leave(struct str member_id, struct str instance_id)
{
    struct coord_leaver who = {.member_id = member_id, .instance_id = instance_id};

    OK(coord_leave(c, STR("g"), &who, 1) == K_NONE);
    return who.error;
}

static bool state_is(const char *state)
{
    struct k_describe_groups_res_group g;
    struct arena a = {0};
    bool found = coord_describe(c, STR("g"), &a, &g), is = found && str_is(g.state, state);

    arena_fini(&a);
    return state ? is : !found;
}

/* A member that subscribes to the topics tu and v, as Kafka's consumers write it. */
static void one_reading(struct call *w)
{
    static const char says[] = "\0\1\0\0\0\2\0\2tu\0\1v\377\377\377\377";
    struct k_join_group_req_protocol p = {STR("range"), str_from(says, sizeof says - 1)};
    struct k_join_group_req req = {.group = STR("g"),
                                   .session_timeout_ms = 10000,
                                   .rebalance_timeout_ms = 30000,
                                   .member_id = STR(""),
                                   .protocol_type = STR("consumer"),
                                   .protocols = &p,
                                   .protocols_n = 1};
    struct coord_client client = {STR("client"), STR("/h")};

    coord_join(c, &client, 3, &req, w);
    OK(w->answers == 1 && w->error == K_NONE);
}

/* One member, Stable in its generation. */
static void one_stable(struct call *m)
{
    struct call s = {0};

    enter(m);
    OK(m->answers == 1 && m->error == K_NONE && m->members == 1);
    sync_as(&s, m->member_id, m->generation, m->member_id, "p0");
    OK(s.answers == 0 && stored_members == 1);
    coord_stored(c, STR("g"), stored_version, true);
    OK(s.answers == 1 && s.error == K_NONE && strcmp(s.assignment, "p0") == 0);
    OK(state_is("Stable"));
}

/* Two members, Stable. */
static void two_stable(struct call *a, struct call *b)
{
    struct call again = {0}, sa = {0}, sb = {0};

    one_stable(a);
    enter(b);
    OK(b->answers == 0 && heartbeat(a->member_id, a->generation) == K_REBALANCE_IN_PROGRESS);
    join(&again, (struct how){.id = a->member_id});
    OK(again.answers == 1 && again.members == 2 && b->answers == 1 && b->members == 0);
    OK(again.generation == b->generation && strcmp(b->leader, a->member_id) == 0);
    a->generation = again.generation;
    sync_as(&sb, b->member_id, b->generation, NULL, NULL);
    sync_as(&sa, a->member_id, a->generation, b->member_id, "pb");
    OK(sa.answers == 0 && sb.answers == 0);
    coord_stored(c, STR("g"), stored_version, true);
    OK(sa.answers == 1 && sb.answers == 1 && strcmp(sb.assignment, "pb") == 0);
}

TEST(one_member)
{
    struct call m = {0};

    begin(0);
    one_stable(&m);
    OK(m.generation == 1 && strcmp(m.leader, m.member_id) == 0 && strcmp(m.protocol, "range") == 0);
    OK(strncmp(m.member_id, "client-", 7) == 0);
    OK(heartbeat(m.member_id, 1) == K_NONE);
    OK(heartbeat(m.member_id, 2) == K_ILLEGAL_GENERATION);
    OK(heartbeat("who", 1) == K_UNKNOWN_MEMBER_ID);
    OK(may_commit(m.member_id, 1) == K_NONE && may_commit(m.member_id, 0) == K_ILLEGAL_GENERATION);
    OK(may_commit("", -1) == K_UNKNOWN_MEMBER_ID);
    OK(leave(str_of(m.member_id), STR_NULL) == K_NONE);
    OK(state_is(NULL) && stored_members == 0 && stored_generation == 2);
    OK(may_commit("", -1) == K_NONE && may_commit(m.member_id, 1) == K_ILLEGAL_GENERATION);
    end();
}

TEST(old_clients_need_no_id)
{
    struct call m = {0};

    begin(0);
    join(&m, (struct how){.version = 3});
    OK(m.answers == 1 && m.error == K_NONE && m.generation == 1);
    end();
}

TEST(bad_joins)
{
    struct call m = {0}, bad = {0};

    begin(0);
    join(&bad, (struct how){.session_ms = 5999});
    OK(bad.error == K_INVALID_SESSION_TIMEOUT);
    join(&bad, (struct how){.id = "nobody"});
    OK(bad.error == K_UNKNOWN_MEMBER_ID);
    one_stable(&m);
    join(&bad, (struct how){.protocol = "mine"});
    OK(bad.error == K_INCONSISTENT_GROUP_PROTOCOL);
    end();
}

TEST(a_second_member_makes_all_join_again)
{
    struct call a = {0}, b = {0};

    begin(0);
    two_stable(&a, &b);
    OK(a.generation == 2 && heartbeat(a.member_id, 2) == K_NONE && heartbeat(b.member_id, 2) == K_NONE);
    end();
}

TEST(a_commit_during_a_rebalance)
{
    struct call a = {0}, b = {0}, again = {0};

    begin(0);
    one_stable(&a);
    enter(&b);
    OK(may_commit(a.member_id, 1) == K_NONE); // Preparing: what was read before may be committed
    join(&again, (struct how){.id = a.member_id});
    OK(may_commit(a.member_id, 2) == K_REBALANCE_IN_PROGRESS);
    OK(may_commit(a.member_id, 1) == K_ILLEGAL_GENERATION);
    end();
}

TEST(who_does_not_join_again_in_time_is_gone)
{
    struct call a = {0}, b = {0};

    begin(0);
    one_stable(&a);
    enter(&b);
    for (int i = 0; i < 10; i++) { // it beats, but does not join
        pass(3000);
        (void)heartbeat(a.member_id, 1);
    }
    OK(b.answers == 1 && b.members == 1 && strcmp(b.leader, b.member_id) == 0);
    OK(heartbeat(a.member_id, 1) == K_UNKNOWN_MEMBER_ID);
    end();
}

TEST(a_silent_member_is_gone)
{
    struct call a = {0}, b = {0};

    begin(0);
    two_stable(&a, &b);
    pass(6000);
    OK(heartbeat(a.member_id, 2) == K_NONE);
    pass(5000);
    OK(heartbeat(b.member_id, 2) == K_UNKNOWN_MEMBER_ID);
    OK(heartbeat(a.member_id, 2) == K_REBALANCE_IN_PROGRESS);
    pass(60000);
    OK(state_is(NULL));
    end();
}

TEST(a_leader_that_leaves_is_replaced)
{
    struct call a = {0}, b = {0}, again = {0};

    begin(0);
    two_stable(&a, &b);
    OK(leave(str_of(a.member_id), STR_NULL) == K_NONE);
    join(&again, (struct how){.id = b.member_id});
    OK(again.answers == 1 && again.members == 1 && strcmp(again.leader, b.member_id) == 0 &&
       again.generation == 3);
    end();
}

TEST(a_leader_that_never_syncs_is_gone)
{
    struct call a = {0}, b = {0}, again = {0}, sb = {0};

    begin(0);
    one_stable(&a);
    enter(&b);
    join(&again, (struct how){.id = a.member_id});
    sync_as(&sb, b.member_id, 2, NULL, NULL);
    for (int i = 0; i < 9; i++) {
        pass(3000);
        OK(heartbeat(a.member_id, 2) == K_NONE);
    }
    pass(6000);
    OK(sb.answers == 1 && sb.error == K_REBALANCE_IN_PROGRESS);
    OK(heartbeat(a.member_id, 2) == K_UNKNOWN_MEMBER_ID);
    end();
}

TEST(a_join_while_assignments_are_stored)
{
    struct call a = {0}, b = {0}, s = {0};

    begin(0);
    enter(&a);
    sync_as(&s, a.member_id, 1, a.member_id, "p0");
    OK(s.answers == 0);
    enter(&b);
    OK(s.answers == 1 && s.error == K_REBALANCE_IN_PROGRESS);
    coord_stored(c, STR("g"), stored_version, true); // too late, that generation is over
    OK(state_is("PreparingRebalance"));
    end();
}

TEST(a_store_that_fails)
{
    struct call a = {0}, s = {0};

    begin(0);
    enter(&a);
    sync_as(&s, a.member_id, 1, a.member_id, "p0");
    coord_stored(c, STR("g"), stored_version, false);
    OK(s.answers == 1 && s.error == K_COORDINATOR_NOT_AVAILABLE);
    OK(state_is("PreparingRebalance"));
    end();
}

TEST(a_guest_that_does_not_come_back)
{
    struct call a = {0}, guest = {0}, again = {0};

    begin(0);
    one_stable(&a);
    join(&guest, (struct how){0});
    OK(guest.error == K_MEMBER_ID_REQUIRED);
    join(&again, (struct how){.id = a.member_id}); // the leader: a rebalance, which waits for the guest
    OK(again.answers == 0);
    pass(10001);
    OK(again.answers == 1 && again.members == 1);
    end();
}

TEST(a_guest_alone_leaves_nothing)
{
    struct call guest = {0};

    begin(0);
    join(&guest, (struct how){0});
    OK(state_is("Empty"));
    pass(10001);
    OK(state_is(NULL) && stores == 0);
    end();
}

TEST(the_first_member_waits_for_others)
{
    struct call a = {0}, b = {0};

    begin(3000);
    enter(&a);
    pass(2000);
    enter(&b);
    pass(2000);
    OK(a.answers == 0 && b.answers == 0);
    pass(1000);
    OK(a.answers == 1 && b.answers == 1 && a.members == 2 && a.generation == 1);
    end();
}

TEST(a_lost_answer_is_given_again)
{
    struct call a = {0}, again = {0}, s = {0};

    begin(0);
    enter(&a);
    join(&again, (struct how){.id = a.member_id});
    OK(again.answers == 1 && again.generation == 1 && again.members == 1);
    sync_as(&s, a.member_id, 1, a.member_id, "p0");
    coord_stored(c, STR("g"), stored_version, true);
    s = (struct call){0};
    sync_as(&s, a.member_id, 1, NULL, NULL);
    OK(s.answers == 1 && strcmp(s.assignment, "p0") == 0);
    end();
}

TEST(the_assignor_that_all_know)
{
    struct call a = {0}, b = {0}, again = {0};

    begin(0);
    one_stable(&a);
    join(&b, (struct how){.protocol = "sticky"});
    join(&b, (struct how){.protocol = "sticky", .id = b.member_id});
    join(&again, (struct how){.id = a.member_id});
    OK(again.answers == 1 && strcmp(again.protocol, "sticky") == 0);
    end();
}

static void static_stable(struct call *m, int version)
{
    struct call s = {0};

    join(m, (struct how){.instance = "i", .version = version});
    OK(m->answers == 1 && m->error == K_NONE);
    sync_as(&s, m->member_id, m->generation, m->member_id, "p0");
    OK(s.error == K_FENCED_INSTANCE_ID ||
       s.answers == 0); // a sync without the instance id is from the same member
    coord_stored(c, STR("g"), stored_version, true);
    OK(state_is("Stable"));
}

TEST(a_static_member_comes_back)
{
    struct call m = {0}, back = {0};

    begin(0);
    static_stable(&m, 9);
    join(&back, (struct how){.instance = "i", .version = 9, .says = "other topics"});
    OK(back.answers == 0 && stores == 2); // the new id is stored first: after a crash it must not be fenced
    coord_stored(c, STR("g"), stored_version, true);
    OK(back.answers == 1 && back.error == K_NONE && back.generation == m.generation);
    OK(back.skip && strcmp(back.leader, back.member_id) == 0 && back.members == 1);
    OK(strcmp(back.member_id, m.member_id) != 0);
    OK(heartbeat(m.member_id, 1) == K_UNKNOWN_MEMBER_ID && heartbeat(back.member_id, 1) == K_NONE);
    OK(state_is("Stable"));
    end();
}

TEST(an_old_static_client_does_not_think_it_leads)
{
    struct call m = {0}, back = {0}, changed = {0};

    begin(0);
    static_stable(&m, 5);
    join(&back, (struct how){.instance = "i", .version = 5});
    coord_stored(c, STR("g"), stored_version, true);
    OK(back.answers == 1 && strcmp(back.leader, m.member_id) == 0 && back.members == 0 && !back.skip);
    join(&changed, (struct how){.instance = "i", .protocol = "range"});
    OK(changed.answers == 0 && state_is("Stable"));
    join(&m, (struct how){.instance = "i", .protocol = "range"}); // before that was stored
    OK(changed.answers == 1 && changed.error == K_FENCED_INSTANCE_ID);
    coord_stored(c, STR("g"), stored_version, false);
    OK(m.answers == 2 && m.error == K_COORDINATOR_NOT_AVAILABLE && state_is("Stable"));
    end();
}

TEST(a_static_members_former_self_is_fenced)
{
    struct call m = {0}, back = {0};
    struct k_heartbeat_req req = {.group = STR("g"), .generation = 1, .instance_id = STR("i")};

    begin(0);
    static_stable(&m, 9);
    join(&back, (struct how){.instance = "i", .version = 9});
    req.member_id = str_of(m.member_id);
    OK(coord_heartbeat(c, &req) == K_FENCED_INSTANCE_ID);
    OK(leave(str_of(m.member_id), STR("i")) == K_FENCED_INSTANCE_ID);
    OK(leave(STR(""), STR("i")) == K_NONE); // an admin's way
    OK(state_is(NULL));
    end();
}

TEST(a_group_after_a_restart)
{
    struct group_meta_member m = {.id = STR("m"),
                                  .client_id = STR("c"),
                                  .client_host = STR("/h"),
                                  .rebalance_timeout_ms = 30000,
                                  .session_timeout_ms = 10000,
                                  .subscription = STR("s"),
                                  .assignment = STR("p0")};
    struct group_meta meta = {.protocol_type = STR("consumer"),
                              .generation = 7,
                              .protocol = STR("range"),
                              .leader = STR("m"),
                              .members = &m,
                              .member_count = 1};

    begin(0);
    coord_load(c, STR("g"), &meta);
    OK(state_is("Stable") && heartbeat("m", 7) == K_NONE && may_commit("m", 7) == K_NONE);
    pass(10001);
    OK(state_is(NULL) && stored_generation == 8);
    end();
}

TEST(another_assignor_of_a_static_member_is_a_rebalance)
{
    struct call a = {0}, b = {0}, again = {0}, back = {0}, sa = {0}, sb = {0};

    begin(0);
    static_stable(&a, 9);
    enter(&b);
    join(&again, (struct how){.id = a.member_id, .instance = "i", .version = 9});
    OK(again.answers == 1 && strcmp(again.protocol, "range") == 0);
    sync_as(&sb, b.member_id, 2, NULL, NULL);
    sync_as(&sa, a.member_id, 2, NULL, NULL);
    coord_stored(c, STR("g"), stored_version, true);
    join(&back, (struct how){.instance = "i", .version = 9, .protocol = "sticky"});
    OK(back.answers == 0 && state_is("PreparingRebalance"));
    end();
}

TEST(a_group_has_a_most)
{
    struct call a = {0}, b = {0}, third = {0}, guest = {0}, more = {0}, again[3] = {0};

    begin(0);
    two_stable(&a, &b);
    join(&guest, (struct how){0});
    OK(guest.error == K_MEMBER_ID_REQUIRED);
    enter(&third);
    join(&again[0], (struct how){.id = a.member_id});
    join(&again[1], (struct how){.id = b.member_id});
    join(&more, (struct how){.id = guest.member_id});
    OK(more.error == K_GROUP_MAX_SIZE_REACHED && !more.member_id[0]);
    OK(third.answers == 1 && again[0].members == 3);
    join(&more, (struct how){0});
    OK(more.error == K_GROUP_MAX_SIZE_REACHED);
    end();
}

TEST(who_joins_and_goes_away_is_not_waited_for_forever)
{
    struct call a = {0}, b = {0}, gone = {0};

    begin(0);
    two_stable(&a, &b);
    join(&gone, (struct how){.version = 3, .rebalance_ms = 1800000});
    for (int i = 0; i < 99; i++) {
        pass(3000);
        OK(heartbeat(a.member_id, 2) == K_REBALANCE_IN_PROGRESS);
        OK(heartbeat(b.member_id, 2) == K_REBALANCE_IN_PROGRESS);
    }
    OK(gone.answers == 0);
    pass(3001);
    OK(gone.answers == 1 && gone.error == K_UNKNOWN_MEMBER_ID);
    end();
}

TEST(who_never_syncs_is_gone_though_it_beats)
{
    struct call a = {0}, b = {0}, again = {0}, sa = {0};

    begin(0);
    one_stable(&a);
    enter(&b);
    join(&again, (struct how){.id = a.member_id});
    sync_as(&sa, a.member_id, 2, NULL, NULL);
    coord_stored(c, STR("g"), stored_version, true);
    OK(sa.answers == 1 && state_is("Stable"));
    for (int i = 0; i < 10; i++) {
        OK(heartbeat(a.member_id, 2) == K_NONE && heartbeat(b.member_id, 2) == K_NONE);
        pass(3000);
    }
    OK(heartbeat(b.member_id, 2) == K_UNKNOWN_MEMBER_ID);
    OK(heartbeat(a.member_id, 2) == K_REBALANCE_IN_PROGRESS);
    end();
}

TEST(several_leave_at_once)
{
    struct call a = {0}, b = {0}, again[2] = {0}, third = {0};
    struct coord_leaver who[3] = {{.member_id = STR("nobody")}};

    begin(0);
    two_stable(&a, &b);
    enter(&third);
    join(&again[0], (struct how){.id = a.member_id});
    who[1].member_id = str_of(b.member_id);
    who[2].member_id = str_of(a.member_id);
    OK(coord_leave(c, STR("g"), who, 3) == K_NONE);
    OK(who[0].error == K_UNKNOWN_MEMBER_ID && who[1].error == K_NONE && who[2].error == K_NONE);
    OK(again[0].error == K_UNKNOWN_MEMBER_ID && third.answers == 1 && third.members == 1);
    OK(third.generation == 3); // one rebalance for both
    OK(coord_leave(c, STR(""), who, 1) == K_INVALID_GROUP_ID);
    end();
}

TEST(commits_of_those_who_are_no_members)
{
    struct coord_commit m = {.group = STR("g"), .generation = 4, .no_group = K_GROUP_ID_NOT_FOUND};
    struct call a = {0};

    begin(0);
    OK(coord_may_commit(c, &m) == K_GROUP_ID_NOT_FOUND);
    m.group_known = true;
    OK(coord_may_commit(c, &m) == K_UNKNOWN_MEMBER_ID);
    m.generation = -1;
    OK(coord_may_commit(c, &m) == K_NONE);
    one_stable(&a);
    OK(coord_may_commit(c, &m) == K_UNKNOWN_MEMBER_ID);
    m.transactional = true;
    OK(coord_may_commit(c, &m) == K_NONE);
    end();
}

TEST(what_a_group_reads)
{
    struct call a = {0}, s = {0};
    struct coord_reads r;

    begin(0);
    OK(!coord_reads(c, STR("g"), STR("t"), &r) && coord_forget(c, STR("g")) == K_NONE);
    join(&a, (struct how){.version = 3, .says = "s"});
    OK(coord_reads(c, STR("g"), STR("t"), &r) && r.consumers && !r.stable &&
       r.subscribed); // not to be read: any
    OK(coord_forget(c, STR("g")) == K_NON_EMPTY_GROUP);
    (void)leave(str_of(a.member_id), STR_NULL);
    a = (struct call){0};
    one_reading(&a);
    sync_as(&s, a.member_id, a.generation, NULL, NULL);
    coord_stored(c, STR("g"), stored_version, true);
    OK(coord_reads(c, STR("g"), STR("tu"), &r) && r.stable && r.subscribed);
    OK(coord_reads(c, STR("g"), STR("t"), &r) && !r.subscribed);
    end();
}

TEST(generations_go_on_after_an_empty_time)
{
    struct call m = {0};

    begin(0);
    before = 41;
    enter(&m);
    OK(m.generation == 42);
    end();
}

TEST(who_waits_is_told_of_the_end)
{
    struct call a = {0}, b = {0}, late = {0};

    begin(0);
    one_stable(&a);
    enter(&b);
    coord_close(c);
    OK(b.answers == 1 && b.error == K_COORDINATOR_NOT_AVAILABLE);
    join(&late, (struct how){0});
    OK(late.error == K_COORDINATOR_NOT_AVAILABLE && heartbeat(a.member_id, 1) == K_COORDINATOR_NOT_AVAILABLE);
    coord_free(c);
}

/* Found by fuzzing: such a group was kept under one name and looked for under another. */
TEST(a_name_has_no_zero_byte)
{
    struct k_join_group_req_protocol p = {STR("range"), STR("s")};
    struct k_join_group_req req = {.group = str_from("g\0h", 3),
                                   .session_timeout_ms = 10000,
                                   .rebalance_timeout_ms = 30000,
                                   .member_id = STR(""),
                                   .protocol_type = STR("consumer"),
                                   .protocols = &p,
                                   .protocols_n = 1};
    struct coord_client client = {STR("client"), STR("/127.0.0.1")};
    struct call w = {0};

    begin(0);
    coord_join(c, &client, 3, &req, &w);
    OK(w.answers == 1 && w.error == K_INVALID_GROUP_ID && !coord_is_known(c, req.group));
    pass(60000);
    end();
}

TEST_MAIN
