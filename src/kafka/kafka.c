#include "kafka/kafka.h"

#include "base/mem.h"
#include "kafka/acl.h"
#include "kafka/conn.h"
#include "kafka/consumers.h"
#include "kafka/group.h"
#include "kafka/kafka_int.h"

#include <assert.h>

enum {
    OFFSETS_RETENTION_MS = 7 * 24 * 3600 * 1000,
    TRANSACTION_MAX_MS = 900000,
    TRANSACTIONAL_ID_MS = 7 * 24 * 3600 * 1000
};

static bool is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static struct kafka *kafka_new(const struct kafka_options *o)
{
    struct kafka *k = MEM_NEW(struct kafka);
    bool none = !o->mechanisms[0] && !o->mechanisms[1] && !o->mechanisms[2];

    k->os = o->os;
    k->net = o->net;
    k->log = o->log;
    k->offsets = o->offsets;
    k->users = o->users;
    for (int i = 0; i < AUTH_MECHANISMS; i++)
        k->spoken[i] = o->mechanisms[i] || none;
    k->reauth_ms = o->reauth_ms;
    k->cluster_id = mem_str(log_cluster_id(o->log));
    k->held = o->held;
    k->held_count = o->held_count;
    k->auto_create = o->auto_create;
    k->partitions = o->partitions > 0 ? o->partitions : 1;
    k->replication_max = o->replication_max > 0 ? o->replication_max : 1;
    k->initial_rebalance_ms = o->initial_rebalance_ms;
    k->group_max_members = o->group_max_members > 0 ? (size_t)o->group_max_members : COORD_MEMBERS_MAX;
    k->consumer_session_ms = o->consumer_session_ms > 0 ? o->consumer_session_ms : CONSUMERS_SESSION_MS;
    k->consumer_heartbeat_ms =
        o->consumer_heartbeat_ms > 0 ? o->consumer_heartbeat_ms : CONSUMERS_HEARTBEAT_MS;
    k->transaction_max_ms = o->transaction_max_ms > 0 ? o->transaction_max_ms : TRANSACTION_MAX_MS;
    k->transactional_id_ms = o->transactional_id_ms > 0 ? o->transactional_id_ms : TRANSACTIONAL_ID_MS;
    k->offsets_retention_ms = o->offsets_retention_ms > 0 ? o->offsets_retention_ms : OFFSETS_RETENTION_MS;
    k->home = net_loop(o->net, 0);
    kafka_desk_init(k);
    kafka_blocks_init(k);
    mutex_init(&k->lock);
    cond_init(&k->idle);
    return k;
}

static void kafka_free(struct kafka *k)
{
    kafka_blocks_fini(k);
    cond_fini(&k->idle);
    mutex_fini(&k->lock);
    for (int i = 0; i < KAFKA_DOORS; i++)
        mem_free(k->doors[i].host);
    acls_close(k->acls);
    auth_free(k->nobody);
    mem_free(k->advertised);
    mem_free(k->cluster_id);
    mem_free(k);
}

static bool open_door(struct kafka *k, int which, const struct kafka_listen *l, struct err *e)
{
    const char *told = l->advertised_host ? l->advertised_host : l->host;
    struct kafka_door *d = &k->doors[which];
    struct net_listen what = {
        .host = l->host, .port = l->port, .tls = which == KAFKA_TLS_DOOR, .proto = &kafka_proto, .arg = d};
    int port;

    if (is_wildcard(told))
        return err_set(
            e, ERR_INVALID,
            "kafka listens on %s, which no client can connect to: set the host that clients are told", told);
    d->k = k;
    d->host = mem_str(told);
    d->port = l->advertised_port > 0 ? l->advertised_port : l->port;
    if (!net_listen(k->net, &what, &port, e))
        return false;
    if (d->port == 0)
        d->port = port;
    d->listens_on = port;
    return true;
}

static bool open_acls(struct kafka *k, const struct kafka_options *o, struct err *e)
{
    struct acls_options a = {.os = o->os,
                             .path = o->acl_file,
                             .users = o->users,
                             .open = o->open_acls,
                             .super_users = o->super_users,
                             .super_count = o->super_count};

    if (!o->users && o->open_acls)
        a.users = k->nobody = auth_new(o->os);
    return !a.users || acls_open(&a, &k->acls, e);
}

bool kafka_start(const struct kafka_options *o, struct kafka **out, int *port, struct err *e)
{
    const struct kafka_listen *listens[KAFKA_DOORS] = {&o->plain, &o->tls};
    struct kafka *k = kafka_new(o);
    const struct kafka_door *first = NULL;

    *out = NULL;
    if (!open_acls(k, o, e)) {
        kafka_free(k);
        return false;
    }
    kafka_groups_start(k);
    if (!kafka_txns_start(k, e)) {
        kafka_stop(k);
        return false;
    }
    for (int i = 0; i < KAFKA_DOORS; i++) {
        if (!listens[i]->host)
            continue;
        if (!open_door(k, i, listens[i], e)) {
            if (!first)
                kafka_stop(k);
            return false;
        }
        *out = k;
        if (!first)
            first = &k->doors[i];
    }
    assert(first);
    *port = first->listens_on;
    k->advertised = mem_fmt(strchr(first->host, ':') ? "[%s]:%d" : "%s:%d", first->host, first->port);
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

void kafka_told(const struct kafka *k, const char **host, int *port)
{
    const struct kafka_door *d =
        &k->doors[k->doors[KAFKA_PLAIN_DOOR].host ? KAFKA_PLAIN_DOOR : KAFKA_TLS_DOOR];

    *host = d->host;
    *port = d->port;
}

bool kafka_allows(struct kafka *k, struct str user, struct str host, int type, struct str name, int operation)
{
    struct acl_question ask = {.user = user,
                               .host = host,
                               .type = (enum acl_resource)type,
                               .name = name,
                               .operation = (enum acl_operation)operation};

    return !k->users || acls_allow(k->acls, &ask);
}
