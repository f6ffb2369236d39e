#include "kafka/testbroker.h"

#include "kafka/access.h"

static int root, alice;        // connections
static struct log_uuid secret; // id of the topic that nobody may know

static void begin_with_users(void)
{
    users = auth_new(os_real());
    auth_add_password(users, STR("admin"), STR("a"));
    auth_add_password(users, STR("alice"), STR("b"));
    begin();
    root = dial_as("admin", "a");
    alice = dial_as("alice", "b");
}

static void end_with_users(void)
{
    close(root);
    close(alice);
    end();
    auth_free(users);
    users = NULL;
}

static void grant(enum acl_resource type, const char *name, enum acl_pattern pattern,
                  enum acl_operation operation)
{
    struct k_create_acls_req_acl one = {.type = (int8_t)type,
                                        .name = str_of(name),
                                        .pattern_type = (int8_t)pattern,
                                        .principal = STR("User:alice"),
                                        .host = STR("127.0.0.1"),
                                        .operation = (int8_t)operation,
                                        .permission = ACL_ALLOW};
    struct k_create_acls_res res;

    call(root, &CREATE_ACLS, 3, &(struct k_create_acls_req){&one, 1}, &res);
    OK(res.acls_n == 1 && res.acls[0].error == K_NONE);
}

/* ---- the table ---- */

static const struct {
    int16_t key;
    const char *how, *path, *answer;
} rows[] = {
#define X(key, how, path, resource, operation, instead, answer) {key, #how, path, answer},
#include "kafka/access.def"
#undef X
};

static bool has_row(int16_t key)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].key == key)
            return true;
    printf("# API %d has no row in access.def\n", key);
    return false;
}

static bool leads_somewhere(const struct wire_msg *m, const char *path)
{
    struct str rest = str_of(path), word;
    const struct wire_field *f = NULL;

    while (m && str_cut(&rest, '.', &word)) {
        f = access_field(m, word);
        if (!f)
            return false;
        m = f->of;
    }
    return f && !rest.p;
}

TEST(every_api_has_a_row_and_every_path_leads_somewhere)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct kafka_api *api = kafka_api(rows[i].key);
        bool shown = strcmp(rows[i].how, "SHOWN") == 0;

        OK(api != NULL);
        OK(!rows[i].path[0] || leads_somewhere(shown ? api->res : api->req, rows[i].path));
        OK(!rows[i].answer[0] || leads_somewhere(api->res, rows[i].answer));
    }
#define X(NAME, number, message, told, first, last, flexible, handler) OK(has_row(number));
#include "kafka/api.def"
#undef X
}

/* ---- a stranger asks for everything ---- */

static bool is_refusal(int16_t code)
{
    return code == K_TOPIC_AUTHORIZATION_FAILED || code == K_GROUP_AUTHORIZATION_FAILED ||
           code == K_CLUSTER_AUTHORIZATION_FAILED || code == K_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
}

/* Refused elements and no others; brokers are told to everybody. Counts the refusals. */
static bool only_refusals(const struct wire_msg *m, const char *in, int version, int *refusals)
{
    const struct wire_field *error = access_field(m, STR("error"));
    int16_t code = 0;

    if (error && version >= error->first && version <= error->last)
        memcpy(&code, in + error->at, sizeof code);
    if (code && !is_refusal(code))
        return false;
    *refusals += code != 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct wire_field *f = &m->fields[i];
        const char *list;
        int32_t n, before;

        if (f->kind != WIRE_LIST || version < f->first || version > f->last ||
            strcmp(f->name, "brokers") == 0)
            continue;
        memcpy(&list, in + f->at, sizeof list);
        memcpy(&n, in + f->at_n, sizeof n);
        for (int32_t j = 0; j < n; j++) {
            before = *refusals;
            if (!only_refusals(f->of, list + f->of->size * (size_t)j, version, refusals) ||
                *refusals == before)
                return false;
        }
    }
    return true;
}

static bool is_open(int16_t key)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].key == key && strcmp(rows[i].how, "OPEN") == 0)
            return true;
    return false;
}

/* These list what is there, and to a stranger there is nothing. */
static bool lists_all(int16_t key)
{
    return key == LIST_GROUPS.key || key == LIST_TRANSACTIONS.key;
}

static void ask_as_stranger(const char *name, const struct api *a, int version)
{
    void *req = arena_alloc(&mem, a->req->size), *res = arena_alloc(&mem, a->res->size);
    int refusals = 0;
    bool refused;

    fill_request(a->req, req, STR("secret"), &secret);
    call(alice, a, version, req, res);
    refused = only_refusals(a->res, res, version, &refusals) && (refusals > 0 || lists_all(a->key));
    /* DescribeLogDirs had no error of its own: the answer is an empty list. */
    refused = refused ||
              (a->key == DESCRIBE_LOG_DIRS.key && version < 3 && ((struct k_log_dirs_res *)res)->dirs_n == 0);
    if (!refused)
        printf("# %s version %d is answered with %d refusals\n", name, version, refusals);
    OK(refused);
}

TEST(a_stranger_gets_nothing_from_any_api)
{
    struct batch_writer w = {0};

    begin_with_users();
    secret = ensure(root, "secret").id;
    OK(produce(root, 9, "secret", batch_of(&w, 1, 5, STR("k"))).error == K_NONE);
#define X(NAME, number, message, told, first, last, flexible, handler) \
    for (int v = (first); v <= (last) && !is_open(number); v++)        \
        ask_as_stranger(#NAME, &NAME, v);
#include "kafka/api.def"
#undef X
    OK(fetch(root, 11, "secret", (struct wish){0}).high_watermark == 1); // nothing was deleted or written
    batch_fini(&w);
    end_with_users();
}

/* ---- single rights ---- */

TEST(topics_of_one_request_are_judged_each)
{
    struct batch_writer w = {0};
    struct str records = batch_of(&w, 1, 5, STR("k"));
    struct k_produce_req_partition p[] = {{.records.bytes = records}, {.records.bytes = records}};
    struct k_produce_req_topic t[] = {{.name = STR("hidden"), .partitions = p, .partitions_n = 1},
                                      {.name = STR("mine"), .partitions = p + 1, .partitions_n = 1}};
    struct k_produce_req req = {.acks = -1, .timeout_ms = 1000, .topics = t, .topics_n = 2};
    struct k_produce_res res;

    begin_with_users();
    ensure(root, "hidden");
    ensure(root, "mine");
    grant(ACL_TOPIC, "mine", ACL_LITERAL, ACL_WRITE);
    call(alice, &PRODUCE, 9, &req, &res);
    OK(res.topics_n == 2 && str_is(res.topics[0].name, "mine") &&
       res.topics[0].partitions[0].error == K_NONE);
    OK(str_is(res.topics[1].name, "hidden") && res.topics[1].partitions_n == 1);
    OK(res.topics[1].partitions[0].error == K_TOPIC_AUTHORIZATION_FAILED &&
       res.topics[1].partitions[0].base_offset == -1);
    OK(fetch(root, 11, "hidden", (struct wish){0}).high_watermark == 0);
    OK(fetch(root, 11, "mine", (struct wish){0}).high_watermark == 1);
    OK(fetch(alice, 11, "mine", (struct wish){0}).error ==
       K_TOPIC_AUTHORIZATION_FAILED); // writing is not reading
    req.acks = 0;                     // there is no answer to say it in
    ask(alice, &PRODUCE, 9, &req);
    OK(hung_up(alice));
    batch_fini(&w);
    end_with_users();
}

TEST(fetch_by_id_and_at_once)
{
    struct k_metadata_res_topic hidden, mine;

    begin_with_users();
    hidden = ensure(root, "hidden");
    mine = ensure(root, "mine");
    grant(ACL_TOPIC, "mi", ACL_PREFIXED, ACL_READ);
    OK(fetch(alice, 13, "", (struct wish){.id = mine.id}).error == K_NONE);
    OK(fetch(alice, 13, "", (struct wish){.id = hidden.id, .max_wait_ms = 60000, .min_bytes = 1}).error ==
       K_TOPIC_AUTHORIZATION_FAILED);
    OK(fetch(alice, 11, "hidden", (struct wish){.max_wait_ms = 60000, .min_bytes = 1}).error ==
       K_TOPIC_AUTHORIZATION_FAILED);
    end_with_users();
}

static struct k_metadata_res metadata(int fd, struct k_metadata_req_topic *t, int32_t n)
{
    struct k_metadata_res res;

    call(fd, &METADATA, 12, &(struct k_metadata_req){.topics = t, .topics_n = n, .auto_create = true}, &res);
    OK(res.brokers_n == 1);
    return res;
}

TEST(metadata_hides_what_may_not_be_described)
{
    struct k_metadata_req_topic ask_for[] = {
        {.name = STR("hidden")}, {.name = STR("mine")}, {.name = STR("made-x")}};
    struct k_metadata_res res;

    begin_with_users();
    ensure(root, "hidden");
    ensure(root, "mine");
    res = metadata(alice, NULL, -1);
    OK(res.topics_n == 0);
    grant(ACL_TOPIC, "mine", ACL_LITERAL, ACL_DESCRIBE);
    res = metadata(alice, NULL, -1);
    OK(res.topics_n == 1 && str_is(res.topics[0].name, "mine") && res.topics[0].partitions_n == 2);
    res = metadata(alice, ask_for, 2);
    OK(res.topics_n == 2 && str_is(res.topics[0].name, "mine") && res.topics[0].error == K_NONE);
    OK(str_is(res.topics[1].name, "hidden") && res.topics[1].error == K_TOPIC_AUTHORIZATION_FAILED);
    ask_for[0].name = STR("nowhere"); // whether it exists is not told
    OK(metadata(alice, ask_for, 1).topics[0].error == K_TOPIC_AUTHORIZATION_FAILED);
    grant(ACL_TOPIC, "made-", ACL_PREFIXED, ACL_DESCRIBE); // not CREATE
    OK(metadata(alice, ask_for + 2, 1).topics[0].error == K_UNKNOWN_TOPIC_OR_PARTITION);
    grant(ACL_TOPIC, "made-", ACL_PREFIXED, ACL_CREATE);
    OK(metadata(alice, ask_for + 2, 1).topics[0].error == K_NONE);
    end_with_users();
}

TEST(what_may_be_done_is_told_who_asks)
{
    struct k_metadata_req_topic t = {.name = STR("t")};
    struct k_metadata_req req = {.topics = &t, .topics_n = 1, .topic_operations = true};
    struct k_metadata_res res;
    struct k_describe_cluster_res cluster;

    begin_with_users();
    ensure(root, "t");
    grant(ACL_TOPIC, "t", ACL_LITERAL, ACL_READ);
    call(alice, &METADATA, 9, &req, &res);
    OK(res.topics_n == 1 && res.topics[0].operations == (1 << ACL_READ | 1 << ACL_DESCRIBE));
    OK(res.operations == INT32_MIN); // not asked for
    req.cluster_operations = true;
    call(root, &METADATA, 9, &req, &res);
    OK(res.topics[0].operations == 0xdf8 && res.operations == 0x1fa0);
    call(alice, &DESCRIBE_CLUSTER, 0,
         &(struct k_describe_cluster_req){.operations = true, .endpoint_type = 1}, &cluster);
    OK(cluster.operations == 0);
    end_with_users();
}

TEST(groups_and_their_topics)
{
    struct k_offset_commit_req_partition p[] = {{.offset = 7, .metadata = STR("")},
                                                {.offset = 7, .metadata = STR("")}};
    struct k_offset_commit_req_topic t[] = {{STR("mine"), p, 1}, {STR("hidden"), p + 1, 1}};
    struct k_offset_commit_req commit = {
        .group = STR("g"), .generation = -1, .member_id = STR(""), .topics = t, .topics_n = 2};
    struct k_offset_commit_res committed;
    int32_t zero[2] = {0};
    struct k_offset_fetch_req_topic ft[] = {{STR("hidden"), zero, 1}, {STR("mine"), zero, 1}},
                                    ft2[] = {{STR("mine"), zero, 1}};
    struct k_offset_fetch_req_group groups[] = {{.group = STR("other"), .topics = ft2, .topics_n = 1},
                                                {.group = STR("g"), .topics = ft, .topics_n = 2}};
    struct k_offset_fetch_req want = {.groups = groups, .groups_n = 2};
    struct k_offset_fetch_res got;
    struct k_list_groups_res listed;

    begin_with_users();
    ensure(root, "mine");
    ensure(root, "hidden");
    call(alice, &OFFSET_COMMIT, 8, &commit, &committed);
    OK(committed.topics_n == 2 && committed.topics[0].partitions[0].error == K_GROUP_AUTHORIZATION_FAILED);
    grant(ACL_GROUP, "g", ACL_LITERAL, ACL_READ);
    grant(ACL_TOPIC, "mine", ACL_LITERAL, ACL_READ);
    commit.topics_n = 2;
    call(alice, &OFFSET_COMMIT, 8, &commit, &committed);
    OK(committed.topics_n == 2 && committed.topics[0].partitions[0].error == K_NONE);
    OK(str_is(committed.topics[1].name, "hidden") &&
       committed.topics[1].partitions[0].error == K_TOPIC_AUTHORIZATION_FAILED);
    call(root, &OFFSET_COMMIT, 8, &commit, &committed); // both
    call(alice, &OFFSET_FETCH, 8, &want, &got);
    OK(got.groups_n == 2 && str_is(got.groups[0].group, "g") && got.groups[0].error == K_NONE &&
       got.groups[0].topics_n == 2);
    OK(str_is(got.groups[0].topics[0].name, "mine") && got.groups[0].topics[0].partitions[0].offset == 7);
    OK(got.groups[0].topics[1].partitions[0].error == K_TOPIC_AUTHORIZATION_FAILED);
    OK(got.groups[0].topics[1].partitions[0].offset != 7);
    OK(str_is(got.groups[1].group, "other") && got.groups[1].error == K_GROUP_AUTHORIZATION_FAILED);
    want.groups = &(struct k_offset_fetch_req_group){.group = STR("g"),
                                                     .topics_n = -1}; // all topics: those that may be seen
    want.groups_n = 1;
    call(alice, &OFFSET_FETCH, 8, &want, &got);
    OK(got.groups[0].topics_n == 1 && str_is(got.groups[0].topics[0].name, "mine"));
    call(root, &OFFSET_FETCH, 8, &want, &got);
    OK(got.groups[0].topics_n == 2);
    call(alice, &LIST_GROUPS, 3, &(struct k_list_groups_req){0}, &listed);
    OK(listed.groups_n == 1 && str_is(listed.groups[0].group, "g"));
    end_with_users();
}

TEST(producer_ids_and_transactions)
{
    struct k_init_producer_id_req init = {
        .transaction_timeout_ms = 1000, .producer_id = -1, .producer_epoch = -1};
    struct k_init_producer_id_res made;
    int32_t zero[2] = {0};
    struct k_txn_partitions_req_topic t[] = {{STR("mine"), zero, 1}, {STR("hidden"), zero, 1}};
    struct k_txn_partitions_req add = {.transactional_id = STR("x"), .topics = t, .topics_n = 2};
    struct k_txn_partitions_res added;

    begin_with_users();
    ensure(root, "mine");
    ensure(root, "hidden");
    call(alice, &INIT_PRODUCER_ID, 3, &init, &made);
    OK(made.error == K_CLUSTER_AUTHORIZATION_FAILED && made.producer_id == -1);
    grant(ACL_TOPIC, "mine", ACL_LITERAL, ACL_WRITE);
    call(alice, &INIT_PRODUCER_ID, 3, &init, &made);
    OK(made.error == K_NONE);
    init.transactional_id = STR("x");
    call(alice, &INIT_PRODUCER_ID, 3, &init, &made);
    OK(made.error == K_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    grant(ACL_TRANSACTIONAL_ID, "x", ACL_LITERAL, ACL_WRITE);
    call(alice, &INIT_PRODUCER_ID, 3, &init, &made);
    OK(made.error == K_NONE);
    add.producer_id = made.producer_id;
    add.producer_epoch = made.producer_epoch;
    call(alice, &ADD_PARTITIONS_TO_TXN, 3, &add, &added); // all of them or none
    OK(added.topics_n == 2 && added.topics[0].partitions[0].error == K_OPERATION_NOT_ATTEMPTED);
    OK(str_is(added.topics[1].name, "hidden") &&
       added.topics[1].partitions[0].error == K_TOPIC_AUTHORIZATION_FAILED);
    add.topics_n = 1;
    call(alice, &ADD_PARTITIONS_TO_TXN, 3, &add, &added);
    OK(added.topics_n == 1 && added.topics[0].partitions[0].error == K_NONE);
    end_with_users();
}

TEST(creating_needs_the_cluster_or_the_name)
{
    struct k_create_topics_req_topic t[] = {{.name = STR("a-1"), .partitions = 1, .replication = 1},
                                            {.name = STR("b-1"), .partitions = 1, .replication = 1}};
    struct k_create_topics_req req = {.topics = t, .topics_n = 2, .timeout_ms = 1000};
    struct k_create_topics_res res;

    begin_with_users();
    grant(ACL_TOPIC, "a-", ACL_PREFIXED, ACL_CREATE);
    call(alice, &CREATE_TOPICS, 5, &req, &res);
    OK(res.topics_n == 2 && str_is(res.topics[0].name, "a-1") && res.topics[0].error == K_NONE);
    OK(str_is(res.topics[1].name, "b-1") && res.topics[1].error == K_TOPIC_AUTHORIZATION_FAILED);
    grant(ACL_CLUSTER, ACL_CLUSTER_NAME, ACL_LITERAL, ACL_CREATE);
    req.topics = t + 1;
    req.topics_n = 1;
    t[1].name = STR("b-1");
    call(alice, &CREATE_TOPICS, 5, &req, &res);
    OK(res.topics_n == 1 && res.topics[0].error == K_NONE);
    end_with_users();
}

/* ---- ACLs and users by their APIs ---- */

TEST(acls_are_listed_and_deleted)
{
    struct k_describe_acls_req filter = {
        .resource_type = 1, .pattern_type = 1, .operation = 1, .permission = 1};
    struct k_describe_acls_res res;
    struct k_delete_acls_req_filter f = {
        .type = ACL_TOPIC, .pattern_type = 1, .operation = 1, .permission = 1};
    struct k_delete_acls_res gone;

    begin_with_users();
    grant(ACL_TOPIC, "t", ACL_LITERAL, ACL_READ);
    grant(ACL_TOPIC, "t", ACL_LITERAL, ACL_WRITE);
    grant(ACL_GROUP, "t", ACL_LITERAL, ACL_READ);
    for (int v = 1; v <= 3; v++) {
        call(root, &DESCRIBE_ACLS, v, &filter, &res);
        OK(res.error == K_NONE && res.resources_n == (v == 0 ? 0 : 2) && res.resources[0].acls_n == 2);
        OK(str_is(res.resources[0].acls[0].principal, "User:alice") && res.resources[1].type == ACL_GROUP);
    }
    stop(); // they are durable
    start();
    close(root);
    close(alice);
    root = dial_as("admin", "a");
    alice = dial_as("alice", "b");
    call(root, &DELETE_ACLS, 2, &(struct k_delete_acls_req){&f, 1}, &gone);
    OK(gone.filters_n == 1 && gone.filters[0].error == K_NONE && gone.filters[0].acls_n == 2);
    call(root, &DESCRIBE_ACLS, 3, &filter, &res);
    OK(res.resources_n == 1 && res.resources[0].type == ACL_GROUP);
    filter.operation = 0;
    call(root, &DESCRIBE_ACLS, 3, &filter, &res);
    OK(res.error == K_INVALID_REQUEST);
    end_with_users();
}

/* PBKDF2 is the client's part (KIP-554): this is what it makes of "pencil", "salt" and 8192 iterations. */
TEST(users_that_clients_make)
{
    static const char salted[] = "\x76\x4b\xbc\x6a\x77\xf2\x0f\x9a\xe6\x03\xda\x11\xa0\x40\x9e\x5d"
                                 "\x5a\x62\x5c\x9d\x3b\x30\x8f\x90\xb2\xff\xd3\x05\x02\x8b\xfa\xed";
    struct k_alter_scram_req_upsertion up = {STR("new"), 1, 8192, STR("salt"), str_from(salted, 32)};
    struct k_alter_scram_req_deletion down = {STR("new"), 1};
    struct k_alter_scram_req req = {.upsertions = &up, .upsertions_n = 1};
    struct k_alter_scram_res res;
    struct k_describe_scram_req_user who = {STR("new")};
    struct k_describe_scram_res told;

    begin_with_users();
    call(root, &ALTER_SCRAM, 0, &req, &res);
    OK(res.users_n == 1 && str_is(res.users[0].name, "new") && res.users[0].error == K_NONE);
    call(root, &DESCRIBE_SCRAM, 0, &(struct k_describe_scram_req){&who, 1}, &told);
    OK(told.users_n == 1 && told.users[0].infos_n == 1 && told.users[0].infos[0].iterations == 8192);
    call(root, &DESCRIBE_SCRAM, 0, &(struct k_describe_scram_req){NULL, -1}, &told);
    OK(told.users_n == 3 && str_is(told.users[0].name, "admin") && told.users[0].infos_n == 2);
    close(alice);
    alice = dial_as("new", "pencil");
    OK(metadata(alice, NULL, -1).topics_n == 0);
    close(alice);
    alice = dial_as("alice", "b");
    up.iterations = 100;
    call(root, &ALTER_SCRAM, 0, &req, &res);
    OK(res.users[0].error == K_UNACCEPTABLE_CREDENTIAL);
    up.iterations = 8192;
    up.name = STR("n\xffw"); // the file would give back another
    call(root, &ALTER_SCRAM, 0, &req, &res);
    OK(res.users[0].error == K_UNACCEPTABLE_CREDENTIAL);
    up.name = STR("alice"); // of the settings
    call(root, &ALTER_SCRAM, 0, &req, &res);
    OK(res.users[0].error == K_UNACCEPTABLE_CREDENTIAL &&
       strstr(res.users[0].error_message.p, "tarn.yaml") != NULL);
    call(alice, &ALTER_SCRAM, 0, &req, &res);
    OK(res.users_n == 1 && res.users[0].error == K_CLUSTER_AUTHORIZATION_FAILED);
    req = (struct k_alter_scram_req){.deletions = &down, .deletions_n = 1};
    call(root, &ALTER_SCRAM, 0, &req, &res);
    OK(res.users[0].error == K_NONE);
    call(root, &ALTER_SCRAM, 0, &req, &res);
    OK(res.users[0].error == K_RESOURCE_NOT_FOUND);
    end_with_users();
}

TEST_MAIN
