/*
 * The admin APIs over real sockets.
 */
#include "kafka/testbroker.h"

static const struct k_describe_configs_res_config *told(int fd, int8_t type, const char *name,
                                                        const char *key)
{
    static struct k_describe_configs_res res;
    struct str keys[] = {str_of(key)};
    struct k_describe_configs_req_resource r = {
        .type = type, .name = str_of(name), .keys = keys, .keys_n = 1};
    struct k_describe_configs_req req = {
        .resources = &r, .resources_n = 1, .synonyms = true, .documentation = true};

    call(fd, &DESCRIBE_CONFIGS, 4, &req, &res);
    OK(res.resources_n == 1 && res.resources[0].error == K_NONE && res.resources[0].configs_n == 1);
    return &res.resources[0].configs[0];
}

static bool is(int fd, const char *key, const char *value, int8_t source)
{
    const struct k_describe_configs_res_config *c = told(fd, 2, "t", key);

    return str_is(c->value, value) && c->source == source;
}

/* ---- settings ---- */

TEST(settings_are_told_with_their_sources)
{
    const struct k_describe_configs_res_config *c;
    struct k_describe_configs_req_resource r = {.type = 2, .name = STR("t")}; // no keys: all, as null
    struct k_describe_configs_req req = {.resources = &r, .resources_n = 1};
    struct k_describe_configs_res res;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    c = told(fd, 2, "t", "retention.ms");
    OK(str_is(c->value, "604800000") && c->source == 5 && c->type == 5 && !c->read_only && !c->sensitive);
    OK(c->synonyms_n == 1 && str_is(c->synonyms[0].name, "log.retention.ms") && c->synonyms[0].source == 5);
    OK(c->documentation.n > 10);
    c = told(fd, 4, "1", "log.retention.ms");
    OK(str_is(c->value, "604800000") && c->source == 5 && !c->read_only);
    c = told(fd, 4, "1", "num.partitions");
    OK(c->read_only);
    OK(str_is(c->value, "2") && c->source == 4 && c->synonyms_n == 2 && c->synonyms[0].source == 4);
    OK(str_is(told(fd, 4, "1", "group.max.size")->value, "1000"));
    c = told(fd, 4, "1", "offsets.retention.minutes");
    OK(str_is(c->value, "10080") && c->source == 5);
    call(fd, &DESCRIBE_CONFIGS, 4, &req, &res);
    OK(res.resources[0].configs_n > 30);
    r = (struct k_describe_configs_req_resource){.type = 4, .name = STR("")};
    call(fd, &DESCRIBE_CONFIGS, 4, &req, &res);
    OK(res.resources[0].error == K_NONE && res.resources[0].configs_n == 0);
    r = (struct k_describe_configs_req_resource){.type = 2, .name = STR("none")};
    call(fd, &DESCRIBE_CONFIGS, 4, &req, &res);
    OK(res.resources[0].error == K_UNKNOWN_TOPIC_OR_PARTITION);
    close(fd);
    end();
}

static int16_t alter(int fd, int version, const char *name, const char *value, bool validate_only)
{
    struct k_alter_configs_req_config c = {str_of(name), str_of(value)};
    struct k_alter_configs_req_resource r = {2, STR("t"), &c, 1};
    struct k_alter_configs_req req = {&r, 1, validate_only};
    struct k_alter_configs_res res;

    call(fd, &ALTER_CONFIGS, version, &req, &res);
    OK(res.resources_n == 1 && (res.resources[0].error == K_NONE) == !res.resources[0].error_message.p);
    return res.resources[0].error;
}

TEST(alter_configs_sets_all)
{
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    OK(alter(fd, 0, "retention.ms", "1000", true) == K_NONE && is(fd, "retention.ms", "604800000", 5));
    OK(alter(fd, 0, "retention.ms", "1000", false) == K_NONE && is(fd, "retention.ms", "1000", 1));
    OK(alter(fd, 1, "segment.ms", "5000", false) == K_NONE && is(fd, "segment.ms", "5000", 1));
    OK(is(fd, "retention.ms", "604800000", 5));                            // what is not named goes back
    OK(alter(fd, 2, "message.format.version", "0.10.0", false) == K_NONE); // Kafka 3 ignores it too
    OK(alter(fd, 2, "segment.ms", "604800000", false) == K_NONE && is(fd, "segment.ms", "604800000", 1));
    OK(alter(fd, 2, "segment.ms", "0", false) == K_INVALID_CONFIG);
    OK(alter(fd, 2, "segment.ms", "0", true) == K_INVALID_CONFIG);
    OK(alter(fd, 2, "no.such", "0", false) == K_INVALID_CONFIG);
    OK(alter(fd, 2, "segment.ms", NULL, false) == K_INVALID_REQUEST);
    OK(is(fd, "segment.ms", "604800000", 1));
    stop();
    start();
    close(fd);
    fd = dial();
    OK(is(fd, "segment.ms", "604800000", 1)); // and it is kept
    close(fd);
    end();
}

static int16_t change(int fd, const char *name, int8_t op, const char *value, bool validate_only)
{
    struct k_incremental_alter_req_config c = {str_of(name), op, str_of(value)};
    struct k_incremental_alter_req_resource r = {2, STR("t"), &c, 1};
    struct k_incremental_alter_req req = {&r, 1, validate_only};
    struct k_incremental_alter_res res;

    call(fd, &INCREMENTAL_ALTER_CONFIGS, validate_only, &req, &res); // either version
    OK(res.resources_n == 1);
    return res.resources[0].error;
}

TEST(incremental_changes)
{
    enum { SET, DELETE, APPEND, SUBTRACT };
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    OK(change(fd, "retention.ms", SET, "1000", false) == K_NONE);
    OK(change(fd, "max.message.bytes", SET, "2000", false) == K_NONE);
    OK(is(fd, "retention.ms", "1000", 1) && is(fd, "max.message.bytes", "2000", 1));
    OK(change(fd, "retention.ms", DELETE, NULL, true) == K_NONE && is(fd, "retention.ms", "1000", 1));
    OK(change(fd, "retention.ms", DELETE, NULL, false) == K_NONE && is(fd, "retention.ms", "604800000", 5));
    OK(change(fd, "cleanup.policy", APPEND, "compact", false) == K_NONE);
    OK(is(fd, "cleanup.policy", "delete,compact", 1));
    OK(change(fd, "cleanup.policy", APPEND, "compact", false) == K_NONE);
    OK(is(fd, "cleanup.policy", "delete,compact", 1));
    OK(change(fd, "cleanup.policy", SUBTRACT, "delete", false) == K_NONE &&
       is(fd, "cleanup.policy", "compact", 1));
    OK(change(fd, "cleanup.policy", SUBTRACT, "compact", false) == K_INVALID_CONFIG);
    OK(change(fd, "retention.ms", APPEND, "1", false) == K_INVALID_CONFIG);
    OK(change(fd, "retention.ms", SET, NULL, false) == K_INVALID_REQUEST);
    OK(change(fd, "retention.ms", 7, "1", false) == K_INVALID_REQUEST);
    OK(change(fd, "min.compaction.lag.ms", SET, "5000", false) == K_NONE);
    OK(change(fd, "max.compaction.lag.ms", SET, "4000", true) == K_INVALID_CONFIG);
    OK(change(fd, "remote.storage.enable", SET, "true", false) == K_INVALID_CONFIG);
    OK(is(fd, "max.message.bytes", "2000", 1));
    close(fd);
    end();
}

TEST(changes_that_name_things_twice_or_the_broker)
{
    struct k_incremental_alter_req_config c[] = {{STR("retention.ms"), 0, STR("1")},
                                                 {STR("retention.ms"), 0, STR("2")}};
    struct k_incremental_alter_req_resource r[] = {
        {2, STR("t"), c, 1}, {2, STR("u"), c, 2}, {2, STR("v"), c, 1}, {2, STR("v"), c, 1},
        {4, STR("1"), c, 1}, {8, STR("1"), c, 1}, {2, STR("w"), c, 1}};
    struct k_incremental_alter_req req = {r, ARRAY_LEN(r), false};
    struct k_incremental_alter_res res;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    ensure(fd, "v");
    call(fd, &INCREMENTAL_ALTER_CONFIGS, 1, &req, &res);
    OK(res.resources_n == ARRAY_LEN(r) && res.resources[0].error == K_NONE);
    OK(res.resources[1].error == K_INVALID_REQUEST);
    OK(res.resources[2].error == K_INVALID_REQUEST && res.resources[3].error == K_INVALID_REQUEST);
    OK(res.resources[4].error == K_INVALID_REQUEST && res.resources[5].error == K_INVALID_REQUEST);
    OK(res.resources[6].error == K_UNKNOWN_TOPIC_OR_PARTITION && res.resources[6].error_message.n > 0);
    OK(is(fd, "retention.ms", "1", 1));
    close(fd);
    end();
}

TEST(what_has_settings_is_listed)
{
    struct k_list_config_resources_req req = {.types = STR("")};
    struct k_list_config_resources_res res;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    call(fd, &LIST_CONFIG_RESOURCES, 0, &req, &res);
    OK(res.error == K_NONE && res.resources_n == 0);
    req.types = STR("\x02\x04");
    call(fd, &LIST_CONFIG_RESOURCES, 1, &req, &res);
    OK(res.error == K_NONE && res.resources_n >= 2);
    OK(str_is(res.resources[res.resources_n - 1].name, "1") && res.resources[res.resources_n - 1].type == 4);
    OK(str_is(res.resources[res.resources_n - 2].name, "t") && res.resources[res.resources_n - 2].type == 2);
    req.types = STR("\x07");
    call(fd, &LIST_CONFIG_RESOURCES, 1, &req, &res);
    OK(res.error == K_UNSUPPORTED_VERSION);
    close(fd);
    end();
}

/* ---- partitions and records ---- */

TEST(partitions_are_added)
{
    int32_t here[] = {1}, there[] = {2};
    struct k_create_partitions_req_assignment good[] = {{here, 1}}, bad[] = {{there, 1}};
    struct k_create_partitions_req_topic t[] = {
        {STR("t"), 5, NULL, -1},  {STR("t2"), 2, NULL, -1},   {STR("t3"), 3, good, 1}, {STR("t4"), 3, bad, 1},
        {STR("t5"), 1, NULL, -1}, {STR("none"), 9, NULL, -1}, {STR("t6"), 9, good, 1}};
    struct k_create_partitions_req req = {t, ARRAY_LEN(t), 1000, true};
    struct k_create_partitions_res res;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    for (size_t i = 1; i < ARRAY_LEN(t); i++)
        if (!str_is(t[i].name, "none"))
            ensure(fd, t[i].name.p);
    for (int v = 0; v <= 3; v++) {
        req.validate_only = v < 3;
        call(fd, &CREATE_PARTITIONS, v, &req, &res);
        OK(res.topics_n == ARRAY_LEN(t));
        OK(res.topics[0].error == K_NONE && res.topics[2].error == K_NONE);
        OK(res.topics[1].error == K_INVALID_PARTITIONS && res.topics[4].error == K_INVALID_PARTITIONS);
        OK(res.topics[3].error == K_INVALID_REPLICA_ASSIGNMENT &&
           res.topics[6].error == K_INVALID_REPLICA_ASSIGNMENT);
        OK(res.topics[5].error == K_UNKNOWN_TOPIC_OR_PARTITION);
        OK(ensure(fd, "t").partitions_n == (v < 3 ? 2 : 5));
    }
    OK(ensure(fd, "t3").partitions_n == 3 && ensure(fd, "t4").partitions_n == 2);
    t[1] = t[0] = (struct k_create_partitions_req_topic){STR("t"), 7, NULL, -1};
    call(fd, &CREATE_PARTITIONS, 2, &req, &res);
    OK(res.topics[0].error == K_INVALID_REQUEST && res.topics[1].error == K_INVALID_REQUEST);
    close(fd);
    end();
}

static struct k_delete_records_res_partition cut(int fd, int version, const char *topic, int64_t offset)
{
    struct k_delete_records_req_partition p = {0, offset};
    struct k_delete_records_req_topic t = {str_of(topic), &p, 1};
    struct k_delete_records_req req = {&t, 1, 1000};
    struct k_delete_records_res res;

    call(fd, &DELETE_RECORDS, version, &req, &res);
    OK(res.topics_n == 1 && res.topics[0].partitions_n == 1);
    return res.topics[0].partitions[0];
}

TEST(the_coordinators_topics_are_left_alone)
{
    struct k_create_partitions_req_topic t = {STR("__consumer_offsets"), 90, NULL, -1};
    struct k_create_partitions_req req = {&t, 1, 1000, false};
    struct k_create_partitions_res res;
    struct str name = t.name;
    struct k_delete_topics_req away = {.names = &name, .names_n = 1};
    struct k_delete_topics_res gone;
    int fd;

    begin();
    fd = dial();
    call(fd, &CREATE_PARTITIONS, 3, &req, &res);
    OK(res.topics[0].error == K_INVALID_REQUEST && res.topics[0].error_message.n > 0);
    OK(cut(fd, 2, "__consumer_offsets", -1).error == K_INVALID_TOPIC);
    call(fd, &DELETE_TOPICS, 5, &away, &gone);
    OK(gone.topics[0].error == K_INVALID_REQUEST);
    close(fd);
    end();
}

/* A connector whose positions are deleted beneath it fails until the next start. */
TEST(what_other_parts_know_is_not_deleted)
{
    struct str name = str_of(held_topic);
    struct k_delete_topics_req away = {.names = &name, .names_n = 1};
    struct k_delete_topics_res gone;
    struct log_range range;
    int fd;

    begin();
    fd = dial();
    ensure(fd, held_topic);
    call(fd, &DELETE_TOPICS, 5, &away, &gone);
    OK(gone.topics[0].error == K_TOPIC_DELETION_DISABLED && gone.topics[0].error_message.n > 0);
    OK(log_range(wal, name, 0, &range));
    close(fd);
    end();
}

TEST(records_are_deleted)
{
    struct batch_writer w = {0};
    struct k_delete_records_res_partition p;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    OK(produce(fd, 7, "t", batch_of(&w, 10, 1000, STR("k"))).error == K_NONE);
    p = cut(fd, 0, "t", 4);
    OK(p.error == K_NONE && p.low_watermark == 4);
    p = cut(fd, 1, "t", 2); // already
    OK(p.error == K_NONE && p.low_watermark == 4);
    p = cut(fd, 2, "t", 11);
    OK(p.error == K_OFFSET_OUT_OF_RANGE && p.low_watermark == -1);
    OK(cut(fd, 2, "t", -2).error == K_OFFSET_OUT_OF_RANGE);
    OK(cut(fd, 2, "none", 1).error == K_UNKNOWN_TOPIC_OR_PARTITION);
    stop();
    start();
    close(fd);
    fd = dial();
    OK(fetch(fd, 11, "t", (struct wish){.offset = 4, .max_wait_ms = 0}).start_offset == 4);
    p = cut(fd, 2, "t", -1);
    OK(p.error == K_NONE && p.low_watermark == 10);
    OK(produce(fd, 7, "t", batch_of(&w, 1, 1000, STR("k"))).base_offset == 10);
    OK(alter(fd, 2, "cleanup.policy", "compact", false) == K_NONE);
    OK(cut(fd, 2, "t", -1).error == K_POLICY_VIOLATION);
    batch_fini(&w);
    close(fd);
    end();
}

TEST(sizes_are_told)
{
    struct batch_writer w = {0};
    int32_t partitions[] = {0, 1, 7};
    struct k_log_dirs_req_topic t[] = {{STR("t"), partitions, 3}, {STR("none"), partitions, 1}};
    struct k_log_dirs_req req = {t, 2};
    struct k_log_dirs_res res;
    struct str batch;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    batch = batch_of(&w, 10, 1000, STR("k"));
    OK(produce(fd, 7, "t", batch).error == K_NONE);
    for (int v = 1; v <= 4; v++) {
        req.topics_n = 2;
        call(fd, &DESCRIBE_LOG_DIRS, v, &req, &res);
        OK(res.error == K_NONE && res.dirs_n == 1 && str_is(res.dirs[0].dir, dir));
        OK(res.dirs[0].topics_n == 1 && res.dirs[0].topics[0].partitions_n == 2);
        OK(res.dirs[0].topics[0].partitions[0].size == (int64_t)batch.n);
        OK(res.dirs[0].topics[0].partitions[1].size == 0);
        OK(v < 4 || (res.dirs[0].total > 0 && res.dirs[0].usable > 0));
        req.topics_n = -1;
        call(fd, &DESCRIBE_LOG_DIRS, v, &req, &res);
        OK(res.dirs[0].topics_n == 2); // and __consumer_offsets
    }
    batch_fini(&w);
    close(fd);
    end();
}

/* ---- pages of topics ---- */

TEST(topics_come_in_pages)
{
    struct k_topic_partitions_req_topic t[] = {{STR("c")}, {STR("a")}, {STR("none")}, {STR("b")}, {STR("a")}};
    struct k_topic_partitions_cursor at;
    struct k_topic_partitions_req req = {.topics = t, .topics_n = ARRAY_LEN(t), .limit = 3, .cursor_n = -1};
    struct k_topic_partitions_res res;
    int seen = 0, pages = 0, fd;

    begin();
    fd = dial();
    ensure(fd, "a");
    ensure(fd, "b");
    ensure(fd, "c");
    do {
        call(fd, &DESCRIBE_TOPIC_PARTITIONS, 0, &req, &res);
        for (int32_t i = 0; i < res.topics_n; i++) {
            seen += res.topics[i].partitions_n;
            OK(res.topics[i].error ==
               (str_is(res.topics[i].name, "none") ? K_UNKNOWN_TOPIC_OR_PARTITION : K_NONE));
        }
        if (res.next_n > 0)
            at = res.next[0];
        req.cursor = &at;
        req.cursor_n = 1;
        pages++;
    } while (res.next_n > 0 && pages < 9);
    OK(seen == 6 && pages == 2);
    req = (struct k_topic_partitions_req){.limit = 2000, .cursor_n = -1};
    call(fd, &DESCRIBE_TOPIC_PARTITIONS, 0, &req, &res);
    OK(res.topics_n == 4 && res.next_n == -1);
    OK(res.topics[0].internal && str_is(res.topics[1].name, "a") && res.topics[1].partitions_n == 2);
    OK(res.topics[1].partitions[1].leader == 1 && res.topics[1].partitions[1].in_sync_n == 1);
    close(fd);
    end();
}

/* ---- what there is nothing of ---- */

TEST(elections_reassignments_quotas_and_access_lists)
{
    int32_t partitions[] = {0, 9};
    struct k_elect_leaders_req_topic t = {STR("t"), partitions, 2};
    struct k_elect_leaders_req elect = {0, &t, 1, 1000};
    struct k_elect_leaders_res elected;
    struct k_reassignments_res moved;
    struct k_client_quotas_res quotas;
    struct k_describe_acls_res lists;
    struct k_create_acls_req_acl acl = {2, STR("t"), 3, STR("User:a"), STR("*"), 3, 3};
    struct k_create_acls_res made;
    struct k_delete_acls_req_filter filter = {.type = 2};
    struct k_delete_acls_res gone;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    for (int v = 0; v <= 2; v++) {
        elect.topics_n = 1;
        call(fd, &ELECT_LEADERS, v, &elect, &elected);
        OK(elected.topics_n == 1 && elected.topics[0].partitions[0].error == K_ELECTION_NOT_NEEDED);
        OK(elected.topics[0].partitions[1].error == K_UNKNOWN_TOPIC_OR_PARTITION);
        elect.topics_n = -1;
        call(fd, &ELECT_LEADERS, v, &elect, &elected);
        OK(elected.error == K_NONE && elected.topics_n == 0);
    }
    elect.type = 5;
    call(fd, &ELECT_LEADERS, 1, &elect, &elected);
    OK(elected.error == K_INVALID_REQUEST);
    call(fd, &LIST_REASSIGNMENTS, 0, &(struct k_reassignments_req){.topics_n = -1}, &moved);
    OK(moved.error == K_NONE && moved.topics_n == 0);
    for (int v = 0; v <= 1; v++) {
        call(fd, &DESCRIBE_CLIENT_QUOTAS, v, &(struct k_client_quotas_req){0}, &quotas);
        OK(quotas.error == K_NONE && quotas.entries_n == 0);
    }
    for (int v = 1; v <= 3; v++) {
        call(fd, &DESCRIBE_ACLS, v, &(struct k_describe_acls_req){.resource_type = 1}, &lists);
        OK(lists.error == K_SECURITY_DISABLED && lists.error_message.n > 0 && lists.resources_n == 0);
        call(fd, &CREATE_ACLS, v, &(struct k_create_acls_req){&acl, 1}, &made);
        OK(made.acls_n == 1 && made.acls[0].error == K_SECURITY_DISABLED);
        call(fd, &DELETE_ACLS, v, &(struct k_delete_acls_req){&filter, 1}, &gone);
        OK(gone.filters_n == 1 && gone.filters[0].error == K_SECURITY_DISABLED);
    }
    close(fd);
    end();
}

TEST_MAIN
