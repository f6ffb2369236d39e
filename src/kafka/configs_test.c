/* Settings of brokers and groups that clients alter, over real sockets. */
#include "kafka/testbroker.h"

enum { TOPIC = 2, BROKER = 4, GROUP = 32 };
enum { SET, DELETE, APPEND, SUBTRACT };
enum { OF_TOPIC = 1, OF_BROKER, OF_ALL, OF_FILE, DEFAULT, OF_GROUP = 8 };

static const struct k_describe_configs_res_resource *describe(int fd, int8_t type, const char *name,
                                                              const char *key)
{
    static struct k_describe_configs_res res;
    struct str keys[] = {str_of(key ? key : "")};
    struct k_describe_configs_req_resource r = {
        .type = type, .name = str_of(name), .keys = keys, .keys_n = key ? 1 : -1};
    struct k_describe_configs_req req = {.resources = &r, .resources_n = 1, .synonyms = true};

    call(fd, &DESCRIBE_CONFIGS, 4, &req, &res);
    OK(res.resources_n == 1);
    return &res.resources[0];
}

static const struct k_describe_configs_res_config *told(int fd, int8_t type, const char *name,
                                                        const char *key)
{
    const struct k_describe_configs_res_resource *r = describe(fd, type, name, key);

    OK(r->error == K_NONE && r->configs_n == 1);
    return &r->configs[0];
}

static bool is(int fd, int8_t type, const char *name, const char *key, const char *value, int8_t source)
{
    const struct k_describe_configs_res_config *c = told(fd, type, name, key);

    OK(c->synonyms_n > 0 && c->synonyms[0].source == c->source && str_eq(c->synonyms[0].value, c->value));
    return str_is(c->value, value) && c->source == source;
}

static int16_t alter(int fd, int8_t type, const char *name, const char *key, int8_t op, const char *value)
{
    struct k_incremental_alter_req_config c = {str_of(key), op, str_of(value)};
    struct k_incremental_alter_req_resource r = {type, str_of(name), &c, 1};
    struct k_incremental_alter_req req = {&r, 1, false};
    struct k_incremental_alter_res res;

    call(fd, &INCREMENTAL_ALTER_CONFIGS, 1, &req, &res);
    OK(res.resources_n == 1 && (res.resources[0].error == K_NONE) == !res.resources[0].error_message.p);
    return res.resources[0].error;
}

static int16_t replace(int fd, int8_t type, const char *name, const char *key, const char *value,
                       bool validate_only)
{
    struct k_alter_configs_req_config c = {str_of(key), str_of(value)};
    struct k_alter_configs_req_resource r = {type, str_of(name), &c, 1};
    struct k_alter_configs_req req = {&r, 1, validate_only};
    struct k_alter_configs_res res;

    call(fd, &ALTER_CONFIGS, 2, &req, &res);
    OK(res.resources_n == 1);
    return res.resources[0].error;
}

static int again(int fd)
{
    close(fd);
    stop();
    start();
    return dial();
}

TEST(a_brokers_settings_come_before_those_of_all)
{
    const struct k_describe_configs_res_config *c;
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    OK(is(fd, BROKER, "1", "log.retention.ms", "604800000", DEFAULT));
    OK(!told(fd, BROKER, "1", "log.retention.ms")->read_only);
    OK(alter(fd, BROKER, "", "log.retention.ms", SET, "1000") == K_NONE);
    OK(is(fd, TOPIC, "t", "retention.ms", "1000", OF_ALL) &&
       is(fd, BROKER, "1", "log.retention.ms", "1000", OF_ALL));
    OK(alter(fd, BROKER, "1", "log.retention.ms", SET, " 2000 ") == K_NONE);
    OK(alter(fd, TOPIC, "t", "retention.ms", SET, "3000") == K_NONE);
    for (int i = 0; i < 2; i++) {
        c = told(fd, TOPIC, "t", "retention.ms");
        OK(str_is(c->value, "3000") && c->source == OF_TOPIC && c->synonyms_n == 4);
        OK(str_is(c->synonyms[0].name, "retention.ms") && str_is(c->synonyms[1].name, "log.retention.ms"));
        OK(str_is(c->synonyms[1].value, "2000") && c->synonyms[1].source == OF_BROKER);
        OK(str_is(c->synonyms[2].value, "1000") && c->synonyms[2].source == OF_ALL);
        OK(str_is(c->synonyms[3].value, "604800000") && c->synonyms[3].source == DEFAULT);
        c = told(fd, BROKER, "", "log.retention.ms");
        OK(str_is(c->value, "1000") && c->source == OF_ALL && c->synonyms_n == 1);
        OK(describe(fd, BROKER, "", NULL)->configs_n == 1);
        fd = again(fd);
    }
    OK(alter(fd, TOPIC, "t", "retention.ms", DELETE, NULL) == K_NONE);
    OK(is(fd, TOPIC, "t", "retention.ms", "2000", OF_BROKER));
    ensure(fd, "new");
    OK(is(fd, TOPIC, "new", "retention.ms", "2000", OF_BROKER));
    OK(alter(fd, BROKER, "1", "log.retention.ms", DELETE, NULL) == K_NONE);
    OK(is(fd, TOPIC, "new", "retention.ms", "1000", OF_ALL));
    OK(alter(fd, BROKER, "", "log.retention.ms", DELETE, NULL) == K_NONE);
    OK(is(fd, TOPIC, "t", "retention.ms", "604800000", DEFAULT));
    OK(describe(fd, BROKER, "", NULL)->configs_n == 0);
    close(fd);
    end();
}

TEST(what_is_set_for_brokers_takes_effect)
{
    struct batch_writer w = {0};
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    OK(produce(fd, 9, "t", batch_of(&w, 10, 1, STR_NULL)).error == K_NONE);
    OK(alter(fd, BROKER, "1", "message.max.bytes", SET, "100") == K_NONE);
    OK(produce(fd, 9, "t", batch_of(&w, 10, 1, STR_NULL)).error == K_MESSAGE_TOO_LARGE);
    OK(alter(fd, TOPIC, "t", "max.message.bytes", SET, "1000") == K_NONE);
    OK(produce(fd, 9, "t", batch_of(&w, 10, 1, STR_NULL)).error == K_NONE);
    OK(alter(fd, BROKER, "1", "log.cleanup.policy", APPEND, "compact") == K_NONE);
    OK(is(fd, BROKER, "1", "log.cleanup.policy", "delete,compact", OF_BROKER));
    OK(produce(fd, 9, "t", batch_of(&w, 1, 1, STR_NULL)).error == K_INVALID_RECORD); // it has no key
    OK(alter(fd, BROKER, "1", "log.cleanup.policy", SUBTRACT, "compact") == K_NONE);
    OK(is(fd, BROKER, "1", "log.cleanup.policy", "delete", OF_BROKER));
    OK(produce(fd, 9, "t", batch_of(&w, 1, 1, STR_NULL)).error == K_NONE);
    batch_fini(&w);
    close(fd);
    end();
}

TEST(what_cannot_be_altered_is_refused)
{
    int fd;

    begin();
    fd = dial();
    OK(told(fd, BROKER, "1", "num.partitions")->read_only);
    OK(alter(fd, BROKER, "1", "num.partitions", SET, "3") == K_INVALID_REQUEST);
    OK(alter(fd, BROKER, "1", "max.connections", SET, "3") == K_INVALID_REQUEST);
    OK(alter(fd, BROKER, "1", "no.such.setting", SET, "3") == K_INVALID_REQUEST);
    OK(alter(fd, BROKER, "1", "log.local.retention.ms", SET, "3") == K_INVALID_REQUEST);
    OK(alter(fd, BROKER, "1", "log.retention.ms", SET, "soon") == K_INVALID_REQUEST);
    OK(alter(fd, BROKER, "1", "background.threads", SET, "0") == K_INVALID_REQUEST);
    OK(alter(fd, BROKER, "1", "background.threads", SET, "many") == K_INVALID_REQUEST);
    OK(alter(fd, BROKER, "1", "background.threads", APPEND, "1") == K_INVALID_CONFIG);
    OK(alter(fd, BROKER, "1", "log.cleanup.policy", SUBTRACT, "delete") == K_INVALID_REQUEST); // none is left
    OK(alter(fd, BROKER, "2", "log.retention.ms", SET, "1") == K_INVALID_REQUEST);
    OK(alter(fd, BROKER, "one", "log.retention.ms", SET, "1") == K_INVALID_REQUEST);
    OK(describe(fd, BROKER, "2", NULL)->error == K_INVALID_REQUEST);
    OK(replace(fd, BROKER, "1", "background.threads", "9", true) == K_NONE);
    OK(is(fd, BROKER, "1", "background.threads", "10", DEFAULT));
    OK(replace(fd, BROKER, "1", "background.threads", "9", false) == K_NONE);
    OK(is(fd, BROKER, "1", "background.threads", "9", OF_BROKER));
    OK(replace(fd, BROKER, "1", "sasl.kerberos.min.time.before.relogin", "58000", false) == K_NONE);
    OK(is(fd, BROKER, "1", "background.threads", "10", DEFAULT)); // what is not named goes back
    OK(is(fd, BROKER, "1", "sasl.kerberos.min.time.before.relogin", "58000", OF_BROKER));
    OK(alter(fd, BROKER, "1", "log.cleaner.max.compaction.lag.ms", SET, "10") == K_NONE);
    OK(alter(fd, BROKER, "", "log.cleaner.min.compaction.lag.ms", SET, "20") == K_INVALID_REQUEST);
    disk.countdown = 0; // full
    OK(alter(fd, BROKER, "1", "log.retention.ms", SET, "1") == K_KAFKA_STORAGE_ERROR);
    disk.countdown = UINT_MAX;
    OK(is(fd, BROKER, "1", "log.retention.ms", "604800000", DEFAULT));
    close(fd);
    end();
}

/* ---- groups ---- */

static struct k_consumer_beat_res beat(int fd, const char *member)
{
    struct str names[] = {STR("t")};
    struct k_consumer_beat_req req = {.group = STR("g"),
                                      .member_id = str_of(member),
                                      .rebalance_timeout_ms = 60000,
                                      .names = names,
                                      .names_n = 1};
    struct k_consumer_beat_res res;

    call(fd, &CONSUMER_GROUP_HEARTBEAT, 1, &req, &res);
    OK(res.error == K_NONE);
    return res;
}

TEST(a_group_has_times_of_its_own)
{
    int fd;

    begin();
    fd = dial();
    ensure(fd, "t");
    OK(is(fd, GROUP, "g", "consumer.session.timeout.ms", "45000", DEFAULT));
    OK(describe(fd, GROUP, "g", NULL)->configs_n == 2 &&
       describe(fd, GROUP, "", NULL)->error == K_INVALID_REQUEST);
    OK(beat(fd, "a").heartbeat_ms == 5000);
    OK(alter(fd, GROUP, "g", "consumer.heartbeat.interval.ms", SET, "6000") == K_NONE);
    OK(alter(fd, GROUP, "g", "consumer.session.timeout.ms", SET, "50000") == K_NONE);
    OK(alter(fd, GROUP, "g", "consumer.session.timeout.ms", SET, "60001") == K_INVALID_CONFIG);
    OK(alter(fd, GROUP, "g", "consumer.session.timeout.ms", SET, "44999") == K_INVALID_CONFIG);
    OK(alter(fd, GROUP, "g", "consumer.heartbeat.interval.ms", SET, "4999") == K_INVALID_CONFIG);
    OK(alter(fd, GROUP, "g", "share.session.timeout.ms", SET, "50000") == K_INVALID_CONFIG);
    OK(alter(fd, GROUP, "", "consumer.session.timeout.ms", SET, "50000") == K_INVALID_REQUEST);
    for (int i = 0; i < 2; i++) {
        OK(is(fd, GROUP, "g", "consumer.session.timeout.ms", "50000", OF_GROUP));
        OK(is(fd, GROUP, "other", "consumer.session.timeout.ms", "45000", DEFAULT));
        OK(beat(fd, "a").heartbeat_ms == 6000);
        fd = again(fd);
    }
    OK(alter(fd, GROUP, "g", "consumer.heartbeat.interval.ms", DELETE, NULL) == K_NONE);
    OK(is(fd, GROUP, "g", "consumer.heartbeat.interval.ms", "5000", DEFAULT));
    close(fd);
    end();
}

TEST(what_was_given_settings_is_listed)
{
    struct k_list_config_resources_req req = {.types = STR("\x04\x20")};
    struct k_list_config_resources_res res;
    int fd;

    begin();
    fd = dial();
    call(fd, &LIST_CONFIG_RESOURCES, 1, &req, &res);
    OK(res.resources_n == 1 && str_is(res.resources[0].name, "1"));
    OK(alter(fd, GROUP, "g", "consumer.session.timeout.ms", SET, "50000") == K_NONE);
    OK(alter(fd, BROKER, "", "background.threads", SET, "5") == K_NONE);
    call(fd, &LIST_CONFIG_RESOURCES, 1, &req, &res);
    OK(res.resources_n == 3 && res.resources[0].name.n == 0 && res.resources[0].type == BROKER);
    OK(str_is(res.resources[1].name, "1") && str_is(res.resources[2].name, "g") &&
       res.resources[2].type == GROUP);
    close(fd);
    end();
}

TEST_MAIN
