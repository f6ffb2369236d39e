/*
 * The parts of the program in the order of their start. Each has a few lines here, that give a room what it needs from
 * settings and from the parts before it.
 */
#include "app/app_int.h"
#include "app/ask.h"
#include "app/connectors.h"
#include "app/schemas.h"
#include "app/users.h"
#include "auth/auth.h"
#include "base/mem.h"
#include "console/console.h"
#include "engine/engine.h"
#include "group/offsets.h"
#include "ingest/ingest.h"
#include "kafka/kafka.h"
#include "lake/lake.h"
#include "log/log.h"
#include "net/net.h"
#include "object/object.h"
#include "os/os.h"
#include "registry/registry.h"
#include "s3/s3.h"

enum { RETENTION_GRACE_MS = 60000 };

static void role_up(struct app *app, enum role_id id, int port)
{
    roles_set(&app->roles, id, (struct role_state){"up", app->project.s.listen_host, port});
}

/* ---- network ---- */

static const char *in_folder(struct app *app, const char *path)
{
    return path[0] == '/' ? path : arena_fmt(&app->project.arena, "%s/%s", app->project.folder, path);
}

static bool start_net(struct app *app, struct err *e)
{
    struct net_options o = {.conn_max = (unsigned)app->project.s.listen_connections};

    if (app->project.s.tls_cert[0]) {
        o.tls_cert = in_folder(app, app->project.s.tls_cert);
        o.tls_key = in_folder(app, app->project.s.tls_key);
    }
    return net_start(&o, &app->net, e);
}

static void stop_net(struct app *app)
{
    net_stop(app->net);
    app->net = NULL;
}

/* ---- database ---- */

static bool begin_database(struct app *app, struct err *e)
{
    (void)e;
    database_begin(&app->database, app->net);
    return true;
}

static bool wait_database(struct app *app, struct err *e)
{
    return database_wait(&app->database, &app->roles, e);
}

static void stop_database(struct app *app)
{
    database_stop(&app->database);
}

/* ---- log ---- */

static bool start_log(struct app *app, struct err *e)
{
    struct log_options o = {
        .os = app->os,
        .dir = arena_fmt(&app->project.arena, "%s/log", app->project.data),
        .journal_bytes = app->project.s.log_journal_bytes,
        .segment_bytes = app->project.s.log_segment_bytes,
        .memory_bytes = app->project.s.memory_budget / 16,
        .retention_grace_ms = RETENTION_GRACE_MS,
    };

    return log_open(&o, &app->log, e) &&
           offsets_open(&(struct offsets_options){.os = app->os, .log = app->log}, &app->offsets, e) &&
           schemas_open(app->log, app->os, schema_level_of(str_of(app->project.s.schema_compatibility)),
                        &app->schemas, e);
}

static void stop_log(struct app *app)
{
    schemas_close(app->schemas);
    offsets_close(app->offsets);
    log_close(app->log);
    app->schemas = NULL;
    app->offsets = NULL;
    app->log = NULL;
}

/* ---- objects ---- */

static bool make_bucket(struct app *app, const char *name, struct err *e)
{
    bool there;

    return bucket_exists(app->blobs, str_of(name), &there, e) &&
           (there || bucket_create(app->blobs, str_of(name), e));
}

static bool start_objects(struct app *app, struct err *e)
{
    if (!object_open_local(app->os, arena_fmt(&app->project.arena, "%s/objects", app->project.data),
                           &app->blobs, e))
        return false;
    for (size_t i = 0; i < app->project.s.buckets.n; i++)
        if (!make_bucket(app, app->project.s.buckets.v[i], e))
            return err_wrap(e, "buckets: %s", app->project.s.buckets.v[i]);
    return true;
}

static void stop_objects(struct app *app)
{
    object_close(app->blobs);
    app->blobs = NULL;
}

/* ---- tables; DuckDB itself is loaded at its first use ---- */

static bool start_lake(struct app *app, struct err *e)
{
    const char *dir = arena_fmt(&app->project.arena, "%s/lake", app->project.data);
    const char **readable = ARENA_ARRAY(&app->project.arena, const char *, 3);
    struct engine_options engine = {
        .temp_dir = arena_fmt(&app->project.arena, "%s/tmp", dir),
        .readable = readable,
        .memory_bytes = app->project.s.memory_budget / 2,
    };
    struct lake_options lake = {
        .os = app->os,
        .log = app->log,
        .blobs = app->blobs,
        .schemas = schemas_store(app->schemas),
        .dir = dir,
    };

    readable[0] = dir;
    readable[1] = arena_fmt(&app->project.arena, "%s/objects", app->project.data);
    if (!os_make_dirs(app->os, engine.temp_dir, e))
        return false;
    app->engine = engine_new(&engine);
    lake.engine = app->engine;
    return lake_open(&lake, &app->lake, e);
}

static void stop_lake(struct app *app)
{
    lake_close(app->lake);
    engine_free(app->engine);
    app->lake = NULL;
    app->engine = NULL;
}

/* ---- doors ---- */

static const char *or_null(const char *text)
{
    return text[0] ? text : NULL;
}

static struct kafka_listen plain_listen(const struct app *app)
{
    if (app->project.s.kafka_port == CONF_OFF)
        return (struct kafka_listen){0};
    return (struct kafka_listen){.host = app->project.s.listen_host,
                                 .port = (int)app->project.s.kafka_port,
                                 .advertised_host = or_null(app->project.s.kafka_advertised_host)};
}

static struct kafka_listen tls_listen(const struct app *app)
{
    const char *host = or_null(app->project.s.kafka_tls_host);

    if (app->project.s.kafka_tls_port == CONF_OFF)
        return (struct kafka_listen){0};
    return (struct kafka_listen){.host = host ? host : app->project.s.listen_host,
                                 .port = (int)app->project.s.kafka_tls_port,
                                 .advertised_host = or_null(app->project.s.kafka_tls_advertised_host)};
}

/* The topics of parts that run here; without the connect role its topics are somebody else's, whose Kafka Connect works here. */
static const char *const *held_topics(struct app *app, size_t *count)
{
    static const struct held {
        const char *topic;
        enum role_id role;
    } all[] = {{SCHEMAS_TOPIC, NO_ROLE},
               {LAKE_TABLES, NO_ROLE},
               {CONNECT_CONFIGS, ROLE_connect},
               {CONNECT_OFFSETS, ROLE_connect},
               {CONNECT_STATUS, ROLE_connect}};
    const char **held = ARENA_ARRAY(&app->project.arena, const char *, ARRAY_LEN(all));

    *count = 0;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].role == NO_ROLE || !role_is_off(&app->project.s, all[i].role))
            held[(*count)++] = all[i].topic;
    return held;
}

static bool start_kafka(struct app *app, struct err *e)
{
    struct kafka_options o = {
        .os = app->os,
        .net = app->net,
        .log = app->log,
        .offsets = app->offsets,
        .plain = plain_listen(app),
        .tls = tls_listen(app),
        .reauth_ms = app->project.s.kafka_reauth_ms,
        .auto_create = strcmp(app->project.s.kafka_auto_create, "true") == 0,
        .partitions = (int32_t)app->project.s.kafka_partitions,
        .replication_max = (int16_t)app->project.s.kafka_replication_max,
        .initial_rebalance_ms = app->project.s.kafka_group_delay_ms,
        .group_max_members = (int32_t)app->project.s.kafka_group_max_size,
        .consumer_session_ms = app->project.s.kafka_consumer_session_ms,
        .consumer_heartbeat_ms = (int32_t)app->project.s.kafka_consumer_heartbeat_ms,
        .transaction_max_ms = (int32_t)app->project.s.kafka_transaction_max_ms,
        .transactional_id_ms = app->project.s.kafka_transactional_id_ms,
        .offsets_retention_ms = app->project.s.kafka_offsets_retention_min * 60000,
    };
    int port;

    if (!users_make(&app->project.s, app->os, &app->users, e))
        return false;
    o.users = app->users;
    o.held = held_topics(app, &o.held_count);
    o.acl_file = arena_fmt(&app->project.arena, "%s/security.json", app->project.data);
    o.open_acls = strcmp(app->project.s.kafka_acls, "open") == 0;
    o.super_users = users_super(&app->project.s, &app->project.arena, &o.super_count);
    for (size_t i = 0; i < app->project.s.kafka_mechanisms.n; i++) {
        enum auth_mechanism m;
        if (auth_mechanism_of(str_of(app->project.s.kafka_mechanisms.v[i]),
                              &m)) // conf_check() has looked at them
            o.mechanisms[m] = true;
    }
    if (!kafka_start(&o, &app->kafka, &port, e))
        return false;
    role_up(app, ROLE_kafka, port);
    return true;
}

static void stop_kafka(struct app *app)
{
    kafka_stop(app->kafka);
    auth_free(app->users);
    app->kafka = NULL;
    app->users = NULL;
}

static bool start_registry(struct app *app, struct err *e)
{
    struct registry_options o = {
        .net = app->net,
        .schemas = schemas_store(app->schemas),
        .host = app->project.s.listen_host,
        .port = (int)app->project.s.registry_port,
    };

    if (!registry_start(&o, &app->registry, e))
        return false;
    role_up(app, ROLE_registry, registry_port(app->registry));
    return true;
}

static void stop_registry(struct app *app)
{
    registry_free(app->registry);
    app->registry = NULL;
}

static bool start_s3(struct app *app, struct err *e)
{
    struct s3_options o = {
        .os = app->os,
        .net = app->net,
        .blobs = app->blobs,
        .host = app->project.s.listen_host,
        .port = (int)app->project.s.s3_port,
        .access_key = app->project.s.s3_access_key,
        .secret_key = app->project.s.s3_secret_key,
        .region = app->project.s.s3_region,
    };

    if (!s3_start(&o, &app->s3, e))
        return false;
    role_up(app, ROLE_s3, s3_port(app->s3));
    return true;
}

static void stop_s3(struct app *app)
{
    s3_free(app->s3);
    app->s3 = NULL;
}

static bool start_connect_door(struct app *app, struct err *e)
{
    int port;

    if (!connect_rest_start(app->net, app->project.s.listen_host, (int)app->project.s.connect_port,
                            app->connect, &port, e))
        return false;
    role_up(app, ROLE_connect, port);
    return true;
}

static void write_settings(void *arg, struct buf *out)
{
    conf_json(&((struct app *)arg)->project.s, out);
}

static bool start_console(struct app *app, struct err *e)
{
    struct console_env env = {
        .net = app->net,
        .host = app->project.s.listen_host,
        .port = (int)app->project.s.console_port,
        .status = app_status,
        .settings = write_settings,
        .more = ask_endpoints,
        .more_count = ask_endpoint_count,
        .arg = app,
    };
    int port;

    if (!console_start(&env, &app->console, &port, e))
        return false;
    role_up(app, ROLE_console, port);
    return true;
}

static void stop_console(struct app *app)
{
    console_free(app->console);
    app->console = NULL;
}

static bool may_over_http(void *arg, const struct ingest_question *q)
{
    struct app *app = arg;

    return app->kafka && kafka_allows(app->kafka, q->user, q->host, q->thing, q->name, q->operation);
}

static bool start_ingest(struct app *app, struct err *e)
{
    struct ingest_options o = {
        .os = app->os,
        .net = app->net,
        .host = app->project.s.listen_host,
        .port = (int)app->project.s.ingest_port,
        .conninfo = app->database.conninfo, // what the seeder makes up goes to the database, if there is one
        .seed = (uint64_t)app->project.s.ingest_seed,
        .log = app->log,
        .offsets = app->offsets,
        .schemas = schemas_store(app->schemas),
        .users = app->users,
        .may = may_over_http,
        .may_arg = app,
        .auto_create = strcmp(app->project.s.kafka_auto_create, "true") == 0,
        .partitions = (int32_t)app->project.s.kafka_partitions,
        .replication_max = (int32_t)app->project.s.kafka_replication_max,
        .consumer_idle_ms = app->project.s.ingest_consumer_idle_ms,
    };

    if (app->kafka) {
        kafka_told(app->kafka, &o.kafka_host, &o.kafka_port);
        o.desk = kafka_desk(app->kafka);
    }
    if (!ingest_start(&o, &app->ingest, e))
        return false;
    role_up(app, ROLE_ingest, ingest_port(app->ingest));
    return true;
}

static void quiet_ingest(struct app *app)
{
    if (app->ingest)
        ingest_stop(app->ingest);
}

static void stop_ingest(struct app *app)
{
    ingest_free(app->ingest);
    app->ingest = NULL;
}

/* Connectors come last: they are pointed at the doors. Their runtime is there before its door is. */
const struct app_part parts[] = {
    {"network", NO_ROLE, start_net, NULL, stop_net},
    {"postgres", ROLE_postgres, begin_database, NULL, stop_database},
    {"log", NO_ROLE, start_log, NULL, stop_log},
    {"objects", NO_ROLE, start_objects, NULL, stop_objects},
    {"lake", NO_ROLE, start_lake, NULL, stop_lake},
    {"kafka", ROLE_kafka, start_kafka, NULL, stop_kafka},
    {"registry", ROLE_registry, start_registry, NULL, stop_registry},
    {"s3", ROLE_s3, start_s3, NULL, stop_s3},
    {"console", ROLE_console, start_console, NULL, stop_console},
    {"database", NO_ROLE, wait_database, NULL, NULL},
    {"connectors", NO_ROLE, connectors_start, NULL, connectors_stop},
    {"connect", ROLE_connect, start_connect_door, NULL, NULL},
    {"ingest", ROLE_ingest, start_ingest, quiet_ingest, stop_ingest},
    {"project", NO_ROLE, connectors_apply, NULL, NULL},
};
const unsigned part_count = ARRAY_LEN(parts);
