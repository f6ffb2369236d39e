/* Groups of KIP-848 over the wire: both APIs in all versions, what the other APIs say of such groups, and that a restart keeps them. */
#include "kafka/acl.h"
#include "kafka/testbroker.h"

static int fd;
static struct log_uuid topic_id;

static void open_broker(void)
{
    begin();
    fd = dial();
    topic_id = ensure(fd, "t").id;
}

static void close_broker(void)
{
    close(fd);
    end();
}

static struct k_consumer_beat_res beat(const struct k_consumer_beat_req *req)
{
    struct k_consumer_beat_res res;

    call(fd, &CONSUMER_GROUP_HEARTBEAT, 1, req, &res);
    return res;
}

static struct k_consumer_beat_req joining(const char *id, struct str *name)
{
    static struct k_consumer_partitions none[1];

    return (struct k_consumer_beat_req){.group = STR("g"),
                                        .member_id = str_of(id),
                                        .rebalance_timeout_ms = 60000,
                                        .names = name,
                                        .names_n = 1,
                                        .owned = none};
}

static struct k_consumer_beat_res join(const char *id)
{
    struct str name = STR("t");
    struct k_consumer_beat_req req = joining(id, &name);

    return beat(&req);
}

static struct k_consumer_beat_res still(const char *id, int32_t epoch)
{
    return beat(&(struct k_consumer_beat_req){.group = STR("g"),
                                              .member_id = str_of(id),
                                              .member_epoch = epoch,
                                              .rebalance_timeout_ms = -1,
                                              .names_n = -1,
                                              .owned_n = -1});
}

static int32_t owned(const struct k_consumer_beat_res *res)
{
    if (res->assignment_n <= 0)
        return -1;
    return res->assignment->topics_n == 0 ? 0 : res->assignment->topics[0].partitions_n;
}

static struct k_consumer_describe_res_group describe(int version)
{
    struct str group = STR("g");
    struct k_consumer_describe_res res;

    call(fd, &CONSUMER_GROUP_DESCRIBE, version, &(struct k_consumer_describe_req){&group, 1, true}, &res);
    OK(res.groups_n == 1);
    return res.groups[0];
}

static int16_t join_classic(const char *group)
{
    struct k_join_group_req_protocol p = {STR("range"), STR("")};
    struct k_join_group_req req = {.group = str_of(group),
                                   .session_timeout_ms = 10000,
                                   .rebalance_timeout_ms = 10000,
                                   .member_id = STR(""),
                                   .protocol_type = STR("consumer"),
                                   .protocols = &p,
                                   .protocols_n = 1};
    struct k_join_group_res res;

    call(fd, &JOIN_GROUP, 3, &req, &res);
    return res.error;
}

static int16_t commit(int version, const char *id, int32_t epoch)
{
    struct k_offset_commit_req_partition p = {.offset = 0, .leader_epoch = -1, .metadata = STR("")};
    struct k_offset_commit_req_topic t = {STR("t"), &p, 1};
    struct k_offset_commit_req req = {
        .group = STR("g"), .generation = epoch, .member_id = str_of(id), .topics = &t, .topics_n = 1};
    struct k_offset_commit_res res;

    call(fd, &OFFSET_COMMIT, version, &req, &res);
    return res.topics[0].partitions[0].error;
}

static int16_t fetch_position(const char *id, int32_t epoch)
{
    int32_t partition = 0;
    struct k_offset_fetch_req_topic t = {STR("t"), &partition, 1};
    struct k_offset_fetch_req_group g = {STR("g"), str_of(id), epoch, &t, 1};
    struct k_offset_fetch_res res;

    call(fd, &OFFSET_FETCH, 9, &(struct k_offset_fetch_req){.groups = &g, .groups_n = 1}, &res);
    OK(res.groups_n == 1);
    return res.groups[0].error;
}

static struct str type_listed(void)
{
    struct str type = STR("Consumer");
    struct k_list_groups_res res;

    call(fd, &LIST_GROUPS, 5, &(struct k_list_groups_req){.types = &type, .types_n = 1}, &res);
    return res.groups_n == 1 && str_is(res.groups[0].group, "g") ? res.groups[0].state : STR_NULL;
}

static int16_t delete_group(void)
{
    struct str group = STR("g");
    struct k_delete_groups_res res;

    call(fd, &DELETE_GROUPS, 2, &(struct k_delete_groups_req){&group, 1}, &res);
    return res.groups[0].error;
}

TEST(a_group_lives_over_the_wire)
{
    struct k_consumer_beat_res a, b;
    struct k_consumer_describe_res_group d;

    open_broker();
    OK(describe(1).error == K_GROUP_ID_NOT_FOUND);
    a = join("a");
    OK(a.error == K_NONE && a.member_epoch == 1 && owned(&a) == 2 && a.heartbeat_ms == 5000);
    OK(str_is(a.member_id, "a") && memcmp(a.assignment->topics[0].topic.b, topic_id.b, 16) == 0);
    b = join("b");
    OK(b.error == K_NONE && b.member_epoch == 2 && owned(&b) == 0);
    d = describe(1);
    OK(d.error == K_NONE && str_is(d.state, "Reconciling") && d.epoch == 2 && d.assignment_epoch == 2);
    OK(str_is(d.assignor, "uniform") && d.members_n == 2 && d.members[0].type == 1 && d.operations > 0);
    OK(str_is(d.members[0].id, "a") && str_is(d.members[0].client_id, "test") && d.members[0].epoch == 1);
    OK(d.members[0].assignment_n == 1 && d.members[0].assignment[0].partitions_n == 2);
    OK(str_is(d.members[1].target[0].name, "t") && d.members[1].target[0].partitions_n == 1);
    OK(d.members[0].names_n == 1 && str_is(d.members[0].names[0], "t") && describe(0).members[0].type == -1);
    OK(still("a", 9).error == K_FENCED_MEMBER_EPOCH && still("c", 1).error == K_UNKNOWN_MEMBER_ID);
    a = still("a", 1);
    OK(a.error == K_NONE && owned(&a) == 1 && a.member_epoch == 1);
    OK(still("b", -1).error == K_NONE && still("a", -1).error == K_NONE);
    OK(str_is(describe(1).state, "Empty") && str_is(type_listed(), "Empty"));
    OK(delete_group() == K_NONE && describe(1).error == K_GROUP_ID_NOT_FOUND &&
       delete_group() == K_GROUP_ID_NOT_FOUND);
    close_broker();
}

/* A pattern stands for what its member may describe, also of topics and rights that come later. */
TEST(a_pattern_shows_nothing_that_may_not_be_seen)
{
    struct k_create_acls_req_acl acl = {.type = ACL_TOPIC,
                                        .name = STR("open"),
                                        .pattern_type = ACL_PREFIXED,
                                        .principal = STR("User:alice"),
                                        .host = STR("*"),
                                        .operation = ACL_DESCRIBE,
                                        .permission = ACL_ALLOW};
    struct k_create_acls_res made;
    struct k_consumer_beat_req req = joining("a", NULL);
    struct k_consumer_beat_res a;
    int root;

    users = auth_new(os_real());
    auth_add_password(users, STR("admin"), STR("a"));
    auth_add_password(users, STR("alice"), STR("b"));
    begin();
    root = dial_as("admin", "a");
    fd = dial_as("alice", "b");
    (void)ensure(root, "secret");
    topic_id = ensure(root, "open-1").id;
    req.names_n = 0;
    req.pattern = STR(".*");
    OK(beat(&req).error == K_GROUP_AUTHORIZATION_FAILED);
    call(root, &CREATE_ACLS, 3, &(struct k_create_acls_req){&acl, 1}, &made);
    acl = (struct k_create_acls_req_acl){ACL_GROUP, STR("g"), ACL_LITERAL, STR("User:alice"),
                                         STR("*"),  ACL_READ, ACL_ALLOW};
    call(root, &CREATE_ACLS, 3, &(struct k_create_acls_req){&acl, 1}, &made);
    a = beat(&req);
    OK(a.error == K_NONE && a.assignment->topics_n == 1 && owned(&a) == 2);
    OK(memcmp(a.assignment->topics[0].topic.b, topic_id.b, 16) == 0);
    req.names = &(struct str){"secret", 6}; // by name it is refused, as if it were not there
    req.names_n = 1;
    req.member_id = STR("b");
    OK(beat(&req).error == K_TOPIC_AUTHORIZATION_FAILED);
    (void)ensure(root, "open-2"); // it comes later, and may be seen
    (void)ensure(root, "secret-2");
    a = still("a", a.member_epoch);
    OK(a.error == K_NONE && a.assignment_n == 1);
    OK(a.assignment->topics_n == 2);
    acl = (struct k_create_acls_req_acl){ACL_TOPIC, STR("secret"), ACL_LITERAL, STR("User:alice"),
                                         STR("*"),  ACL_DESCRIBE,  ACL_ALLOW};
    call(root, &CREATE_ACLS, 3, &(struct k_create_acls_req){&acl, 1}, &made);
    a = still("a", a.member_epoch);
    OK(a.error == K_NONE && a.assignment_n == 1 && a.assignment->topics_n == 3); // seen, for it may be
    close(root);
    close_broker();
    auth_free(users);
    users = NULL;
}

TEST(version_0_names_the_member)
{
    struct str name = STR("t");
    struct k_consumer_beat_req req = joining("", &name);
    struct k_consumer_beat_res res;

    open_broker();
    call(fd, &CONSUMER_GROUP_HEARTBEAT, 0, &req, &res);
    OK(res.error == K_NONE && res.member_id.n == 36 && owned(&res) == 2);
    call(fd, &CONSUMER_GROUP_HEARTBEAT, 1, &req, &res);
    OK(res.error == K_INVALID_REQUEST && res.error_message.n > 0);
    close_broker();
}

TEST(a_restart_keeps_members_and_epochs)
{
    struct k_consumer_beat_res a;
    struct k_consumer_describe_res_group d;

    open_broker();
    OK(join("a").member_epoch == 1 && join("b").member_epoch == 2);
    fd = redial(fd);
    d = describe(1);
    OK(d.error == K_NONE && d.epoch == 2 && d.members_n == 2);
    a = still("a", 1);
    OK(a.error == K_NONE && a.member_epoch == 1 && owned(&a) == 1); // goes on where it was
    OK(still("b", 2).error == K_NONE && still("b", -1).error == K_NONE);
    fd = redial(fd);
    d = describe(1);
    OK(d.epoch == 3 && d.members_n == 1 && str_is(d.members[0].id, "a"));
    OK(still("b", 2).error == K_UNKNOWN_MEMBER_ID && still("a", 1).member_epoch == 1); // has yet to give up
    close_broker();
}

TEST(topics_that_change_are_seen)
{
    struct k_create_partitions_req_topic more = {.name = STR("t"), .count = 5, .assignments_n = -1};
    struct k_create_partitions_res res;
    struct k_consumer_beat_req req;
    struct k_consumer_beat_res a;

    open_broker();
    req = joining("a", NULL);
    req.names_n = -1;
    req.pattern = STR("t.*");
    a = beat(&req);
    OK(a.error == K_NONE && owned(&a) == 2);
    call(fd, &CREATE_PARTITIONS, 3,
         &(struct k_create_partitions_req){.topics = &more, .topics_n = 1, .timeout_ms = 1000}, &res);
    OK(res.topics[0].error == K_NONE);
    a = still("a", 1);
    OK(a.error == K_NONE && a.member_epoch == 2 && owned(&a) == 5);
    ensure(fd, "t2");
    a = still("a", 2);
    OK(a.error == K_NONE && a.member_epoch == 3 && a.assignment->topics_n == 2);
    req.pattern = STR("(?=t)t");
    OK(beat(&req).error == K_INVALID_REGULAR_EXPRESSION);
    close_broker();
}

TEST(positions_are_for_members_of_this_epoch)
{
    int32_t partition = 0;
    struct k_offset_delete_req_topic t = {STR("t"), &partition, 1};
    struct k_offset_delete_res res;

    open_broker();
    OK(join("a").member_epoch == 1);
    OK(commit(9, "a", 1) == K_NONE && commit(9, "a", 0) == K_STALE_MEMBER_EPOCH);
    OK(commit(9, "b", 1) == K_UNKNOWN_MEMBER_ID && commit(8, "a", 1) == K_UNSUPPORTED_VERSION);
    OK(commit(9, "", -1) == K_UNKNOWN_MEMBER_ID);
    OK(fetch_position("a", 1) == K_NONE && fetch_position("a", 2) == K_STALE_MEMBER_EPOCH);
    OK(fetch_position("b", 1) == K_UNKNOWN_MEMBER_ID && fetch_position(NULL, -1) == K_NONE);
    call(fd, &OFFSET_DELETE, 0, &(struct k_offset_delete_req){STR("g"), &t, 1}, &res);
    OK(res.error == K_NONE && res.topics[0].partitions[0].error == K_GROUP_SUBSCRIBED_TO_TOPIC);
    OK(delete_group() == K_NON_EMPTY_GROUP);
    OK(still("a", -1).error == K_NONE && commit(2, "", -1) == K_NONE);
    call(fd, &OFFSET_DELETE, 0, &(struct k_offset_delete_req){STR("g"), &t, 1}, &res);
    OK(res.topics[0].partitions[0].error == K_NONE);
    close_broker();
}

TEST(a_group_has_one_protocol_and_changes_it_when_empty)
{
    struct str group = STR("g");
    struct k_describe_groups_res d;
    struct k_leave_group_req_member who = {.id = STR("")};
    struct k_join_group_res joined;
    struct k_leave_group_res left;

    open_broker();
    OK(join("a").error == K_NONE && join_classic("g") == K_INCONSISTENT_GROUP_PROTOCOL);
    call(fd, &DESCRIBE_GROUPS, 6, &(struct k_describe_groups_req){&group, 1, false}, &d);
    OK(d.groups[0].error == K_GROUP_ID_NOT_FOUND && str_is(d.groups[0].state, "Dead"));
    OK(still("a", -1).error == K_NONE);
    {
        struct k_join_group_req_protocol p = {STR("range"), STR("")};
        struct k_join_group_req req = {.group = group,
                                       .session_timeout_ms = 10000,
                                       .rebalance_timeout_ms = 10000,
                                       .member_id = STR(""),
                                       .protocol_type = STR("consumer"),
                                       .protocols = &p,
                                       .protocols_n = 1};

        call(fd, &JOIN_GROUP, 3, &req, &joined);
    }
    OK(joined.error == K_NONE && describe(1).error == K_GROUP_ID_NOT_FOUND && !type_listed().p);
    OK(join("a").error == K_GROUP_ID_NOT_FOUND);
    who.id = joined.member_id;
    call(fd, &LEAVE_GROUP, 3, &(struct k_leave_group_req){.group = group, .members = &who, .members_n = 1},
         &left);
    OK(left.error == K_NONE && join("a").member_epoch == 1 && str_is(type_listed(), "Stable"));
    fd = redial(fd);
    OK(str_is(type_listed(), "Stable") && still("a", 1).error == K_NONE);
    call(fd, &DESCRIBE_GROUPS, 5, &(struct k_describe_groups_req){&group, 1, false}, &d);
    OK(d.groups[0].error == K_NONE && str_is(d.groups[0].state, "Dead"));
    close_broker();
}

TEST_MAIN
