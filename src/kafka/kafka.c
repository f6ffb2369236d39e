#include "kafka/kafka.h"

#include "base/mem.h"
#include "kafka/conn.h"
#include "kafka/kafka_int.h"

enum { OFFSETS_RETENTION_MS = 7 * 24 * 3600 * 1000 };

static bool is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static struct kafka *kafka_new(const struct kafka_options *o, const char *told)
{
    struct kafka *k = MEM_NEW(struct kafka);

    k->os = o->os;
    k->net = o->net;
    k->log = o->log;
    k->offsets = o->offsets;
    k->host = mem_str(told);
    k->cluster_id = mem_str(log_cluster_id(o->log));
    k->auto_create = o->auto_create;
    k->partitions = o->partitions > 0 ? o->partitions : 1;
    k->initial_rebalance_ms = o->initial_rebalance_ms;
    k->group_max_members = (size_t)o->group_max_members;
    k->offsets_retention_ms = o->offsets_retention_ms > 0 ? o->offsets_retention_ms : OFFSETS_RETENTION_MS;
    k->home = net_loop(o->net, 0);
    mutex_init(&k->lock);
    cond_init(&k->idle);
    return k;
}

static void kafka_free(struct kafka *k)
{
    cond_fini(&k->idle);
    mutex_fini(&k->lock);
    mem_free(k->host);
    mem_free(k->advertised);
    mem_free(k->cluster_id);
    mem_free(k);
}

bool kafka_start(const struct kafka_options *o, struct kafka **out, int *port, struct err *e)
{
    const char *told = o->advertised_host ? o->advertised_host : o->host;
    struct kafka *k;

    if (is_wildcard(told))
        return err_set(
            e, ERR_INVALID,
            "kafka listens on %s, which no client can connect to: set the host that clients are told", told);
    k = kafka_new(o, told);
    kafka_groups_start(k);
    if (!kafka_txns_start(k, e)) {
        kafka_stop(k);
        return err_wrap(e, "kafka");
    }
    k->port = o->advertised_port > 0 ? o->advertised_port : o->port;
    if (!net_listen(o->net,
                    &(struct net_listen){
                        .host = o->host, .port = o->port, .tls = o->tls, .proto = &kafka_proto, .arg = k},
                    port, e)) {
        kafka_stop(k);
        return false;
    }
    if (k->port == 0)
        k->port = *port;
    k->advertised = mem_fmt(strchr(k->host, ':') ? "[%s]:%d" : "%s:%d", k->host, k->port);
    *out = k;
    return true;
}

void kafka_stop(struct kafka *k)
{
    if (!k)
        return;
    kafka_txns_stop(k);
    kafka_groups_stop(k);
    kafka_txns_free(k);
    kafka_free(k);
}

const char *kafka_advertised(const struct kafka *k)
{
    return k->advertised;
}
