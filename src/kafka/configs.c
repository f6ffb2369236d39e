/*
 * DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources. Changes are jobs: they wait for the disk.
 */
#include "base/mem.h"
#include "kafka/config.h"
#include "kafka/kafka_int.h"

/* ConfigResource.java, AlterConfigOp.java */
enum {
    RESOURCE_TOPIC = 2,
    RESOURCE_BROKER = 4,
    RESOURCE_LOGGER = 8,
    RESOURCE_METRICS = 16,
    RESOURCE_GROUP = 32,
};
enum { OP_SET, OP_DELETE, OP_ADD, OP_SUBTRACT };
enum { TOLD_MOST = 300000 }; // settings in one answer; there may be any number of resources

/* ---- DescribeConfigs ---- */

/* No keys at all ask for everything. */
static bool is_asked(const struct k_describe_configs_req_resource *r, const char *name)
{
    for (int32_t i = 0; i < r->keys_n; i++)
        if (str_is(r->keys[i], name))
            return true;
    return r->keys_n <= 0;
}

static void add_synonym(struct k_describe_configs_res_config *out, const char *name, struct str value,
                        int8_t source)
{
    if (value.p)
        out->synonyms[out->synonyms_n++] =
            (struct k_describe_configs_res_synonym){.name = str_of(name), .value = value, .source = source};
}

/* Synonyms are where a value could come from, the one that counts first (Kafka's ConfigHelper). */
static void tell(struct kafka_req *q, const struct config_entry *c, struct k_describe_configs_res_config *out)
{
    const struct k_describe_configs_req *req = q->in;
    const char *broker = c->broker_name ? c->broker_name : c->name;

    *out = (struct k_describe_configs_res_config){.name = str_of(c->name),
                                                  .value = c->value,
                                                  .read_only = c->read_only,
                                                  .source = c->source,
                                                  .type = c->type};
    if (req->documentation)
        out->documentation = str_of(c->sentence);
    if (!req->synonyms)
        return;
    out->synonyms = ARENA_ARRAY(&q->arena, struct k_describe_configs_res_synonym, 5);
    add_synonym(out, c->name, c->own, c->source);
    add_synonym(out, broker, c->of_broker, CONFIG_OF_BROKER);
    add_synonym(out, broker, c->of_all_brokers, CONFIG_OF_ALL_BROKERS);
    add_synonym(out, broker, c->of_file, CONFIG_OF_FILE);
    add_synonym(out, broker, c->otherwise, CONFIG_DEFAULT);
}

/* Why a resource has no settings that can be told or altered; NULL: it may have some. */
static const char *why_unknown(int8_t type, struct str name)
{
    int64_t id;

    if (type == RESOURCE_BROKER && name.n > 0 && !str_is(name, CONFIG_BROKER_NAME))
        return str_i64(name, &id) ? "there is broker 1 alone, and the empty name for what is set for all"
                                  : "a broker's name is its number, or empty for what is set for all";
    if (type == RESOURCE_GROUP && name.n == 0)
        return "a group has a name";
    if (type != RESOURCE_TOPIC && type != RESOURCE_BROKER && type != RESOURCE_GROUP)
        return "only topics, brokers and groups have settings";
    return NULL;
}

/* How many settings room was taken for. */
static size_t describe_one(struct kafka_req *q, const struct k_describe_configs_req_resource *in,
                           struct k_describe_configs_res_resource *out)
{
    const char *why = why_unknown(in->type, in->name);
    struct config_entry *all = NULL;
    struct log_topic t;
    size_t n = 0;

    *out = (struct k_describe_configs_res_resource){.type = in->type, .name = in->name};
    if (why) {
        out->error = K_INVALID_REQUEST;
        out->error_message = str_of(why);
    } else if (in->type == RESOURCE_GROUP) {
        kafka_config_of_group(q->k, in->name, &q->arena, &all, &n);
    } else if (in->type == RESOURCE_BROKER) {
        (in->name.n > 0 ? kafka_config_of_broker : kafka_config_of_all_brokers)(q->k, &q->arena, &all, &n);
    } else {
        out->error =
            kafka_topic_name_ok(in->name) ? kafka_find_topic(q, false, in->name, NULL, &t) : K_INVALID_TOPIC;
        if (out->error == K_NONE)
            kafka_config_of_topic(q->k, &t.settings, &q->arena, &all, &n);
        else
            out->error_message = STR("there is no such topic");
    }
    out->configs = ARENA_ARRAY(&q->arena, struct k_describe_configs_res_config, n);
    for (size_t i = 0; i < n; i++)
        if (is_asked(in, all[i].name))
            tell(q, &all[i], &out->configs[out->configs_n++]);
    return n;
}

void kafka_describe_configs(struct kafka_req *q, const void *in_req)
{
    const struct k_describe_configs_req *req = in_req;
    struct k_describe_configs_res res = {.resources_n = req->resources_n};
    size_t told = 0;

    res.resources = ARENA_ARRAY(&q->arena, struct k_describe_configs_res_resource, (size_t)req->resources_n);
    for (int32_t i = 0; i < req->resources_n; i++) {
        const struct k_describe_configs_req_resource *in = &req->resources[i];

        if (told < TOLD_MOST)
            told += describe_one(q, in, &res.resources[i]);
        else
            res.resources[i] = (struct k_describe_configs_res_resource){
                .error = K_POLICY_VIOLATION,
                .error_message = STR("the request asks for too many settings at once"),
                .type = in->type,
                .name = in->name};
    }
    kafka_reply(q, &res);
}

/* ---- changes ---- */

/* One resource of either request. */
struct alteration {
    struct kafka_req *q;
    int8_t type;
    struct str name;
    bool validate_only;
    const struct k_alter_configs_req_config *all; // AlterConfigs: what is not named goes back to the default
    const struct k_incremental_alter_req_config *some; // IncrementalAlterConfigs
    int32_t count;
    struct config_entry *known; // of a broker or group: what there is to alter
    size_t known_n;
    int16_t error; // of the change
};

static struct str nth_name(const struct alteration *c, int32_t i)
{
    return c->all ? c->all[i].name : c->some[i].name;
}

static struct str nth_value(const struct alteration *c, int32_t i)
{
    return c->all ? c->all[i].value : c->some[i].value;
}

static int8_t nth_op(const struct alteration *c, int32_t i)
{
    return c->all ? OP_SET : c->some[i].op;
}

static bool list_has(struct str list, struct str word)
{
    for (struct str one; str_cut(&list, ',', &one);)
        if (str_eq(str_trim(one), str_trim(word)))
            return true;
    return false;
}

/* The list `from` without the words of `minus`, and behind it those of `plus` that it does not have. */
static struct str merged(struct arena *a, struct str from, struct str plus, struct str minus)
{
    struct buf b = buf_make(from.n + plus.n + 2);
    struct str result;

    for (struct str rest = from, one; str_cut(&rest, ',', &one);)
        if (one.n > 0 && !list_has(minus, one))
            buf_fmt(&b, "%s%.*s", b.n ? "," : "", STR_ARG(one));
    for (struct str rest = plus, one; str_cut(&rest, ',', &one);)
        if (one.n > 0 && !list_has(buf_view(&b), one))
            buf_fmt(&b, "%s%.*s", b.n ? "," : "", STR_ARG(one));
    result = arena_str(a, buf_view(&b));
    buf_fini(&b);
    return result;
}

static bool apply_op(struct alteration *c, int32_t i, const struct log_settings *defaults,
                     struct log_settings *s, struct err *e)
{
    struct str name = nth_name(c, i), value = nth_value(c, i);
    const struct log_setting *row = log_setting_find(name);
    struct arena *a = &c->q->arena;
    int8_t op = nth_op(c, i);

    c->error = K_INVALID_CONFIG;
    if (!row)
        return kafka_config_set(s, name, value, e); // says so, or lets one of Kafka 3 pass
    if (op == OP_DELETE) {
        log_setting_reset(row, defaults, s);
        return true;
    }
    if (op == OP_SET)
        return kafka_config_set(s, name, value, e);
    if (row->type != LOG_LIST)
        return err_set(e, ERR_INVALID,
                       "%s is not a list, nothing can be appended to it or subtracted from it", row->name);
    value = merged(a, log_setting_text(row, s, a), op == OP_ADD ? value : STR(""),
                   op == OP_SUBTRACT ? value : STR(""));
    return kafka_config_set(s, name, value, e);
}

static bool apply(void *arg, struct log_settings *s, struct err *e)
{
    struct alteration *c = arg;
    struct log_settings defaults;

    log_settings_now(c->q->k->log, &defaults);
    if (c->all)
        *s = defaults;
    for (int32_t i = 0; i < c->count; i++)
        if (!apply_op(c, i, &defaults, s, e))
            return false;
    c->error = K_INVALID_CONFIG;
    if (!log_settings_check(s, e))
        return false;
    c->error = K_NONE;
    return true;
}

/* What is wrong with the request itself, before any setting is looked at. */
static const char *why_refused(const struct alteration *c)
{
    struct kafka_names names = {0};
    const char *why = NULL;

    for (int32_t i = 0; i < c->count; i++)
        kafka_name(&names, nth_name(c, i));
    for (int32_t i = 0; i < c->count && !why; i++) {
        int8_t op = nth_op(c, i);

        if (kafka_named_twice(&names, nth_name(c, i)))
            why = "a setting is named twice";
        else if (op < OP_SET || op > OP_SUBTRACT)
            why = "what shall be done with a setting is not set, delete, append or subtract";
        else if (op != OP_DELETE && !nth_value(c, i).p)
            why = "null is not a value";
    }
    kafka_names_fini(&names);
    return why;
}

static int16_t alter_topic(struct alteration *c, struct err *e)
{
    struct log_topic t;
    bool ok;

    c->error = K_NONE;
    if (!c->validate_only) {
        ok = log_change_topic(c->q->k->log, c->name, apply, c, e);
    } else {
        ok = log_find_topic(c->q->k->log, c->name, &c->q->arena, &t)
                 ? apply(c, &t.settings, e)
                 : err_set(e, ERR_NOT_FOUND, "there is no topic %.*s", STR_ARG(c->name));
    }
    return ok ? K_NONE : c->error != K_NONE ? c->error : kafka_error_of(e);
}

/* ---- of brokers and groups: pairs that are kept as they are told ---- */

static const struct config_entry *find(const struct config_entry *all, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(name, all[i].name))
            return &all[i];
    return NULL;
}

/* Kafka answers what is wrong with a broker's setting with INVALID_REQUEST (KAFKA-13609), of a group's with INVALID_CONFIG. */
static bool apply_pair(struct alteration *c, int32_t i, struct log_pairs *p, struct arena *a, struct err *e)
{
    struct str name = nth_name(c, i), value = nth_value(c, i), old, kept;
    const struct config_entry *known = find(c->known, c->known_n, name);
    int8_t op = nth_op(c, i);

    c->error = c->type == RESOURCE_BROKER ? K_INVALID_REQUEST : K_INVALID_CONFIG;
    if (op == OP_DELETE) {
        log_pairs_put(p, a, name, STR_NULL);
        return true;
    }
    if (!known)
        return err_set(e, ERR_INVALID, "there is no setting \"%.*s\" of a %s here", STR_ARG(name),
                       c->type == RESOURCE_BROKER ? "broker" : "group");
    if (known->read_only)
        return err_set(e, ERR_INVALID, "%s cannot be altered while the broker runs", known->name);
    if (op != OP_SET) {
        if (known->type != LOG_LIST) {
            c->error = K_INVALID_CONFIG;
            return err_set(e, ERR_INVALID,
                           "%s is not a list, nothing can be appended to it or subtracted from it",
                           known->name);
        }
        old = log_pairs_get(p, name);
        value = merged(a, old.p ? old : known->otherwise, op == OP_ADD ? value : STR(""),
                       op == OP_SUBTRACT ? value : STR(""));
    }
    if (!kafka_config_check(known, value, a, &kept, e))
        return false;
    log_pairs_put(p, a, name, kept);
    return true;
}

static bool apply_pairs(void *arg, struct log_pairs *p, struct arena *a, struct err *e)
{
    struct alteration *c = arg;

    if (c->all)
        *p = (struct log_pairs){0};
    for (int32_t i = 0; i < c->count; i++)
        if (!apply_pair(c, i, p, a, e))
            return false;
    c->error = K_INVALID_CONFIG;
    if (c->type == RESOURCE_GROUP && !kafka_config_group_ok(c->q->k, p, e))
        return false;
    c->error = K_NONE;
    return true;
}

static int16_t alter_pairs(struct alteration *c, struct err *e)
{
    struct log_config_change change = {.scope = c->type == RESOURCE_GROUP ? LOG_OF_GROUP
                                                : c->name.n > 0           ? LOG_OF_BROKER
                                                                          : LOG_OF_ALL_BROKERS,
                                       .name = c->name,
                                       .fn = apply_pairs,
                                       .arg = c,
                                       .only_check = c->validate_only};

    c->error = K_NONE;
    if (c->type == RESOURCE_GROUP)
        kafka_config_of_group(c->q->k, c->name, &c->q->arena, &c->known, &c->known_n);
    else
        kafka_config_of_broker(c->q->k, &c->q->arena, &c->known, &c->known_n);
    if (log_change_config(c->q->k->log, &change, e))
        return K_NONE;
    return c->error != K_NONE ? c->error : kafka_error_of(e);
}

/* K_NONE, or the code and the text of why nothing of it was done. */
static int16_t alter_one(struct alteration *c, bool twice, struct err *e)
{
    const char *why = twice ? "the request names this resource twice" : why_refused(c);

    if (!why)
        why = why_unknown(c->type, c->name);
    if (why) {
        err_set(e, ERR_INVALID, "%s", why);
        return K_INVALID_REQUEST;
    }
    return c->type == RESOURCE_TOPIC ? alter_topic(c, e) : alter_pairs(c, e);
}

/* A name for "the request names this twice": of the type and the name. */
static struct str resource_key(struct arena *a, int8_t type, struct str name)
{
    return str_of(arena_fmt(a, "%d %.*s", type, STR_ARG(name)));
}

static struct str message(struct kafka_req *q, int16_t error, const struct err *e)
{
    return error == K_NONE ? STR_NULL : arena_str(&q->arena, str_of(e->msg));
}

static void alter_configs(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_alter_configs_req *req = q->in;
    struct k_alter_configs_res res = {.resources_n = req->resources_n};
    struct kafka_names names = {0};

    res.resources = ARENA_ARRAY(&q->arena, struct k_alter_configs_res_resource, (size_t)req->resources_n);
    for (int32_t i = 0; i < req->resources_n; i++)
        kafka_name(&names, resource_key(&q->arena, req->resources[i].type, req->resources[i].name));
    for (int32_t i = 0; i < req->resources_n; i++) {
        const struct k_alter_configs_req_resource *r = &req->resources[i];
        struct alteration c = {.q = q,
                               .type = r->type,
                               .name = r->name,
                               .validate_only = req->validate_only,
                               .all = r->configs,
                               .count = r->configs_n};
        bool twice = kafka_named_twice(&names, resource_key(&q->arena, r->type, r->name));
        struct err e = {0};
        int16_t error = alter_one(&c, twice, &e);

        res.resources[i] =
            (struct k_alter_configs_res_resource){error, message(q, error, &e), r->type, r->name};
    }
    kafka_names_fini(&names);
    kafka_reply(q, &res);
}

void kafka_alter_configs(struct kafka_req *q, const void *in)
{
    (void)in;
    job_run(q->k->net, alter_configs, NULL, q);
}

static void incremental_alter(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_incremental_alter_req *req = q->in;
    struct k_incremental_alter_res res = {.resources_n = req->resources_n};
    struct kafka_names names = {0};

    res.resources = ARENA_ARRAY(&q->arena, struct k_incremental_alter_res_resource, (size_t)req->resources_n);
    for (int32_t i = 0; i < req->resources_n; i++)
        kafka_name(&names, resource_key(&q->arena, req->resources[i].type, req->resources[i].name));
    for (int32_t i = 0; i < req->resources_n; i++) {
        const struct k_incremental_alter_req_resource *r = &req->resources[i];
        struct alteration c = {.q = q,
                               .type = r->type,
                               .name = r->name,
                               .validate_only = req->validate_only,
                               .some = r->configs,
                               .count = r->configs_n};
        bool twice = kafka_named_twice(&names, resource_key(&q->arena, r->type, r->name));
        struct err e = {0};
        int16_t error = alter_one(&c, twice, &e);

        res.resources[i] =
            (struct k_incremental_alter_res_resource){error, message(q, error, &e), r->type, r->name};
    }
    kafka_names_fini(&names);
    kafka_reply(q, &res);
}

void kafka_incremental_alter(struct kafka_req *q, const void *in)
{
    (void)in;
    job_run(q->k->net, incremental_alter, NULL, q);
}

/* ---- ListConfigResources ---- */

static bool wants(const struct k_list_config_resources_req *req, int version, int8_t type)
{
    if (version == 0)
        return type == RESOURCE_METRICS; // what it was made for (KIP-714); there are none
    return req->types.n == 0 || str_find(req->types, (char)type) >= 0;
}

static void list_all(struct k_list_config_resources_res *res, const struct str *names, size_t n, int8_t type)
{
    for (size_t i = 0; i < n; i++)
        res->resources[res->resources_n++] = (struct k_list_config_resources_res_one){names[i], type};
}

/* All that has settings to tell: topics and the broker; and of groups, which need not be there to have some, those that were given some. */
void kafka_list_config_resources(struct kafka_req *q, const void *in)
{
    const struct k_list_config_resources_req *req = in;
    static const char known[] = {RESOURCE_TOPIC,   RESOURCE_BROKER, RESOURCE_LOGGER,
                                 RESOURCE_METRICS, RESOURCE_GROUP,  0};
    struct k_list_config_resources_res res = {0};
    struct str broker = STR(CONFIG_BROKER_NAME), *all, *groups;
    size_t all_n, groups_n, n;
    struct log_topic *topics;

    for (size_t i = 0; i < req->types.n; i++)
        if (str_find(str_of(known), req->types.p[i]) < 0)
            res.error = K_UNSUPPORTED_VERSION;
    log_list_topics(q->k->log, &q->arena, &topics, &n);
    log_config_names(q->k->log, LOG_OF_ALL_BROKERS, &q->arena, &all, &all_n);
    log_config_names(q->k->log, LOG_OF_GROUP, &q->arena, &groups, &groups_n);
    res.resources = ARENA_ARRAY(&q->arena, struct k_list_config_resources_res_one, n + 1 + all_n + groups_n);
    if (res.error == K_NONE && wants(req, q->version, RESOURCE_TOPIC))
        for (size_t i = 0; i < n; i++)
            list_all(&res, &topics[i].name, 1, RESOURCE_TOPIC);
    if (res.error == K_NONE && wants(req, q->version, RESOURCE_BROKER)) {
        list_all(&res, all, all_n, RESOURCE_BROKER);
        list_all(&res, &broker, 1, RESOURCE_BROKER);
    }
    if (res.error == K_NONE && wants(req, q->version, RESOURCE_GROUP))
        list_all(&res, groups, groups_n, RESOURCE_GROUP);
    kafka_reply(q, &res);
}
