/*
 * How `tarn topic` comes to a cluster: where it is, the client, and all topics there are.
 *
 * librdkafka tries again and again and tells why only by the way, so that is kept: a wrong password, a certificate that nobody knows and a port
 * where nobody listens are different errors for who has to mend them.
 */
#include "cli/topic.h"

#include <stdio.h>

enum { FIRST_TRY_MS = 1000 };

/* Where the roles of the project's tarn are. */
static bool ask_project(struct topic_run *t, struct err *e)
{
    struct fetch f = {.timeout_ms = 10000};
    struct fetch_answer answer;
    const json_t *r;
    json_t *root = NULL;
    size_t i;

    if (!cli_ask(t->project, &f, "/api/status", &t->arena, &answer, &root, e)) {
        json_decref(root);
        return err_wrap(e, "no --bootstrap is given, and");
    }
    json_array_foreach(json_object_get(root, "roles"), i, r)
    {
        const char *name = topic_json_text(r, "name"), *host = topic_json_text(r, "host");
        const char *at = arena_fmt(&t->arena, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host,
                                   (int)topic_json_number(r, "port"));

        if (*host && strcmp(name, "kafka") == 0)
            t->bootstrap = at;
        else if (*host && strcmp(name, "registry") == 0 && !t->registry)
            t->registry = arena_fmt(&t->arena, "http://%s", at);
    }
    json_decref(root);
    return t->bootstrap || err_set(e, ERR_UNSUPPORTED, "the role kafka is off (kafka.port)");
}

/* What librdkafka would print about connections is said by the error of the call. */
static void silent(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    (void)level;
    (void)facility;
    (void)text;
}

static bool set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *e)
{
    char why[200] = "";

    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
        return true;
    return err_set(e, ERR_BAD_INPUT, "%s=%s: %s", name, value, why);
}

/* Keeps the first reason why no broker is reached, without the broker's name and the moment. rd_kafka_poll() calls it on this thread. */
static void keep_reason(rd_kafka_t *client, int code, const char *text, void *opaque)
{
    struct topic_run *t = opaque;
    const char *place = strstr(text, "/bootstrap: "), *end;

    (void)client;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || t->unreached)
        return;
    if (place)
        text = place + strlen("/bootstrap: ");
    end = strstr(text, " (after ");
    t->unreached_code = code;
    t->unreached =
        end ? arena_fmt(&t->arena, "%.*s", (int)(end - text), text) : arena_fmt(&t->arena, "%s", text);
}

static bool make_client(struct topic_run *t, rd_kafka_type_t type, const char *const *more, struct err *e)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[200] = "";
    bool ok = set(conf, "bootstrap.servers", t->bootstrap, e) && set(conf, "client.id", "tarn-topic", e);

    for (; ok && more && *more; more += 2)
        ok = set(conf, more[0], more[1], e);
    for (size_t i = 0; ok && i < t->property_count; i += 2)
        ok = set(conf, t->properties[i], t->properties[i + 1], e);
    rd_kafka_conf_set_log_cb(conf, silent);
    rd_kafka_conf_set_opaque(conf, t);
    rd_kafka_conf_set_error_cb(conf, keep_reason);
    if (t->delivered)
        rd_kafka_conf_set_dr_msg_cb(conf, t->delivered);
    if (ok)
        t->client = rd_kafka_new(type, conf, why, sizeof why); // takes conf
    if (!t->client) {
        rd_kafka_conf_destroy(conf);
        return ok ? err_set(e, ERR_BAD_INPUT, "%s", why) : false;
    }
    t->answers = rd_kafka_queue_new(t->client);
    return true;
}

static bool is_unreached(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
           code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
}

/* Whether the reason is one that waiting does not mend; a single server that is not there is waited for a little. */
static bool is_hopeless(const struct topic_run *t, int waited_ms)
{
    return t->unreached_code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
           t->unreached_code == RD_KAFKA_RESP_ERR__SSL ||
           (t->unreached && waited_ms > 2 * FIRST_TRY_MS && !strchr(t->bootstrap, ','));
}

/* Asks for all topics, for TOPIC_WAIT_MS at most. */
static rd_kafka_resp_err_t ask_topics(struct topic_run *t)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;

    for (int waited_ms = 0, try_ms = FIRST_TRY_MS; waited_ms < TOPIC_WAIT_MS; try_ms *= 2) {
        try_ms = try_ms < TOPIC_WAIT_MS - waited_ms ? try_ms : TOPIC_WAIT_MS - waited_ms;
        waited_ms += try_ms;
        code = rd_kafka_metadata(t->client, 1, NULL, &t->topics, try_ms);
        while (rd_kafka_poll(t->client, 0) > 0)
            continue;
        if (!is_unreached(code) || is_hopeless(t, waited_ms))
            break;
    }
    return code;
}

static bool no_answer(const struct topic_run *t, struct err *e)
{
    const char *why = t->unreached;

    if (!why)
        return err_set(e, ERR_REMOTE, "no Kafka answers at %s", t->bootstrap);
    if (strncmp(why, "Disconnected", strlen("Disconnected")) == 0)
        why = "it closes the connection, and may want a login or TLS: -X security.protocol=SASL_PLAINTEXT, "
              "SSL or "
              "SASL_SSL";
    return err_set(e, ERR_REMOTE, "no Kafka answers at %s: %s", t->bootstrap, why);
}

bool topic_connect(struct topic_run *t, rd_kafka_type_t type, const char *const *more, struct err *e)
{
    rd_kafka_resp_err_t code;

    if ((!t->bootstrap && !ask_project(t, e)) || !make_client(t, type, more, e))
        return false;
    code = ask_topics(t);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    t->topics = NULL;
    return is_unreached(code) ? no_answer(t, e) : topic_refused(code, NULL, t->bootstrap, e);
}
