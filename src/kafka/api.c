#include "base/mem.h"
#include "group/offsets.h"
#include "kafka/access.h"
#include "kafka/kafka_int.h"

/* The table of api.def. */
static const struct kafka_api apis[] = {
#define X(NAME, number, message, lowest, from, to, flexible_from, function) \
    {.name = #NAME,                                                         \
     .key = (number),                                                       \
     .told = (lowest),                                                      \
     .first = (from),                                                       \
     .last = (to),                                                          \
     .flexible = (flexible_from),                                           \
     .req = &k_##message##_req_msg,                                         \
     .res = &k_##message##_res_msg,                                         \
     .handler = (function)},
#include "kafka/api.def"
#undef X
};

const struct kafka_api *kafka_api(int16_t key)
{
    for (size_t i = 0; i < ARRAY_LEN(apis); i++)
        if (apis[i].key == key)
            return &apis[i];
    return NULL;
}

/* An unknown version is answered with a body of version 0 that says what is known, so the client can ask again (KIP-511). */
void kafka_api_versions(struct kafka_req *q, const void *in)
{
    struct k_api_versions_res_api rows[ARRAY_LEN(apis)];
    struct k_api_versions_res res = {.apis = rows, .apis_n = ARRAY_LEN(apis)};

    (void)in;
    for (size_t i = 0; i < ARRAY_LEN(apis); i++)
        rows[i] = (struct k_api_versions_res_api){apis[i].key, apis[i].told, apis[i].last};
    if (q->version < q->api->first || q->version > q->api->last) {
        res.error = K_UNSUPPORTED_VERSION;
        q->version = 0;
    }
    kafka_reply(q, &res);
}

void kafka_describe_cluster(struct kafka_req *q, const void *in)
{
    const struct k_describe_cluster_req *req = in;
    struct k_describe_cluster_res_broker self = {
        .node_id = KAFKA_NODE_ID, .host = str_of(q->door->host), .port = q->door->port};
    struct k_describe_cluster_res res = {.endpoint_type = req->endpoint_type,
                                         .cluster_id = str_of(q->k->cluster_id),
                                         .controller = KAFKA_NODE_ID,
                                         .brokers = &self,
                                         .brokers_n = 1,
                                         .operations = INT32_MIN};

    if (req->operations)
        res.operations = kafka_operations(q, ACL_CLUSTER, STR(ACL_CLUSTER_NAME));
    if (req->endpoint_type != 1) {
        res = (struct k_describe_cluster_res){
            .error = K_INVALID_REQUEST,
            .error_message = STR("only brokers can be asked for, there is no controller endpoint"),
            .endpoint_type = req->endpoint_type,
            .controller = -1,
            .operations = INT32_MIN};
    }
    kafka_reply(q, &res);
}

/* The log speaks of kinds; where Kafka's clients act on a finer code it is chosen here. */
int16_t kafka_error_of(const struct err *e)
{
    return (int16_t)err_kafka(e->kind);
}

int16_t kafka_find_topic(struct kafka_req *q, bool by_id, struct str name, const struct log_uuid *id,
                         struct log_topic *t)
{
    if (by_id)
        return log_find_topic_id(q->k->log, id, &q->arena, t) ? K_NONE : K_UNKNOWN_TOPIC_ID;
    return log_find_topic(q->k->log, name, &q->arena, t) ? K_NONE : K_UNKNOWN_TOPIC_OR_PARTITION;
}

bool kafka_is_internal(struct str topic)
{
    return str_is(topic, OFFSETS_TOPIC) || str_is(topic, TXN_TOPIC);
}

/* There is one broker, so a partition has had one leader: epoch 0. */
int16_t kafka_check_epoch(int32_t epoch)
{
    if (epoch < 0 || epoch == KAFKA_LEADER_EPOCH)
        return K_NONE;
    return epoch < KAFKA_LEADER_EPOCH ? K_FENCED_LEADER_EPOCH : K_UNKNOWN_LEADER_EPOCH;
}
