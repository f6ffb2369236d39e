/* tarn topic list, create, describe, alter, delete. */
#include "cli/topic.h"

#include "base/mem.h"

#include <stdio.h>

enum { REPLICAS_OF_BROKER = -1, PARTITIONS_OF_BROKER = -1 };

/* ---- list ---- */

static int by_name(const void *a, const void *b)
{
    const struct rd_kafka_metadata_topic *const *x = a, *const *y = b;

    return strcmp((*x)->topic, (*y)->topic);
}

bool topic_list(struct topic_run *t, struct err *e)
{
    bool internal = cli_flag(t->w, "--internal");
    const struct rd_kafka_metadata_topic **all;
    json_t *out = json_array();

    if (!topic_words(t, 0, 0, "list", e) || !topic_connect(t, RD_KAFKA_PRODUCER, NULL, e)) {
        json_decref(out);
        return false;
    }
    all = ARENA_ARRAY(&t->arena, const struct rd_kafka_metadata_topic *, (size_t)t->topics->topic_cnt + 1);
    for (int i = 0; i < t->topics->topic_cnt; i++)
        all[i] = &t->topics->topics[i];
    qsort(all, (size_t)t->topics->topic_cnt, sizeof *all, by_name);
    if (!t->as_json)
        (void)printf("%-50s %10s\n", "topic", "partitions");
    for (int i = 0; i < t->topics->topic_cnt; i++) {
        if (all[i]->topic[0] == '_' && !internal)
            continue;
        if (t->as_json)
            json_array_append_new(
                out, json_pack("{s:s,s:i}", "topic", all[i]->topic, "partitions", all[i]->partition_cnt));
        else
            (void)printf("%-50s %10d\n", all[i]->topic, all[i]->partition_cnt);
    }
    if (t->as_json)
        topic_print(out);
    else
        json_decref(out);
    return true;
}

/* ---- answers about one topic ---- */

static bool check_topics(const rd_kafka_topic_result_t **results, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (rd_kafka_topic_result_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR)
            return topic_refused(rd_kafka_topic_result_error(results[i]),
                                 rd_kafka_topic_result_error_string(results[i]),
                                 rd_kafka_topic_result_name(results[i]), e);
    return true;
}

static void say(struct topic_run *t, const char *did, const char *topic)
{
    if (t->as_json)
        topic_print(json_pack("{s:s,s:s}", "topic", topic, "done", did));
    else
        (void)printf("%s %s\n", did, topic);
}

/* All of --config NAME=VALUE as name, value, ... in t's arena. */
static bool configs(struct topic_run *t, const char **out, size_t *n, struct err *e)
{
    const char *given[TOPIC_OPTIONS_MAX / 2];
    size_t count;

    *n = 0;
    if (!cli_values(t->w, "--config", given, ARRAY_LEN(given), &count))
        return err_set(e, ERR_BAD_INPUT, "--config wants NAME=VALUE");
    for (size_t i = 0; i < count; i++) {
        const char *is = strchr(given[i], '=');

        if (!is)
            return err_set(e, ERR_BAD_INPUT, "--config wants NAME=VALUE, not %s", given[i]);
        out[(*n)++] = arena_fmt(&t->arena, "%.*s", (int)(is - given[i]), given[i]);
        out[(*n)++] = is + 1;
    }
    return true;
}

/* ---- create ---- */

static bool create(struct topic_run *t, rd_kafka_NewTopic_t *topic, struct err *e)
{
    rd_kafka_event_t *answer;
    size_t n;
    bool ok;

    rd_kafka_CreateTopics(t->client, &topic, 1, NULL, t->answers);
    answer = topic_answer(t, "create", e);
    if (!answer)
        return false;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer), &n);
    ok = check_topics(results, n, e);
    rd_kafka_event_destroy(answer);
    return ok;
}

bool topic_create(struct topic_run *t, struct err *e)
{
    int64_t partitions = PARTITIONS_OF_BROKER, replicas = REPLICAS_OF_BROKER;
    const char *config[TOPIC_OPTIONS_MAX];
    rd_kafka_NewTopic_t *topic;
    char why[200] = "";
    size_t n;
    bool ok;

    if (!topic_number(t, "--partitions", 1, &partitions, e) ||
        !topic_number(t, "--replicas", 1, &replicas, e) || !configs(t, config, &n, e) ||
        !topic_words(t, 1, 1, "create wants a name", e) || !topic_connect(t, RD_KAFKA_PRODUCER, NULL, e))
        return false;
    topic = partitions <= INT32_MAX && replicas <= INT16_MAX
                ? rd_kafka_NewTopic_new(t->w->v[0], (int)partitions, (int)replicas, why, sizeof why)
                : NULL;
    if (!topic)
        return err_set(e, ERR_BAD_INPUT, "%s: %s", t->w->v[0], *why ? why : "that many are not possible");
    for (size_t i = 0; i < n; i += 2)
        (void)rd_kafka_NewTopic_set_config(topic, config[i], config[i + 1]);
    ok = create(t, topic, e);
    rd_kafka_NewTopic_destroy(topic);
    if (ok)
        say(t, "made", t->w->v[0]);
    return ok;
}

/* ---- describe ---- */

/* The settings a topic has of its own, as {name:value}; NULL with e. */
static json_t *own_settings(struct topic_run *t, const char *name, struct err *e)
{
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_event_t *answer;
    json_t *out = NULL;
    size_t n = 0;

    rd_kafka_DescribeConfigs(t->client, &resource, 1, NULL, t->answers);
    rd_kafka_ConfigResource_destroy(resource);
    answer = topic_answer(t, name, e);
    if (!answer)
        return NULL;
    const rd_kafka_ConfigResource_t **told =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(answer), &n);
    if (n == 1 && rd_kafka_ConfigResource_error(told[0]) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(told[0], &n);

        out = json_object();
        for (size_t i = 0; i < n; i++)
            if (rd_kafka_ConfigEntry_source(entries[i]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG &&
                rd_kafka_ConfigEntry_value(entries[i]))
                json_object_set_new(out, rd_kafka_ConfigEntry_name(entries[i]),
                                    json_string(rd_kafka_ConfigEntry_value(entries[i])));
    } else {
        (void)topic_refused(n == 1 ? rd_kafka_ConfigResource_error(told[0]) : RD_KAFKA_RESP_ERR__BAD_MSG,
                            n == 1 ? rd_kafka_ConfigResource_error_string(told[0]) : NULL, name, e);
    }
    rd_kafka_event_destroy(answer);
    return out;
}

static json_t *describe(struct topic_run *t, const struct rd_kafka_metadata_topic *topic, struct err *e)
{
    json_t *settings = own_settings(t, topic->topic, e), *partitions = json_array();
    bool ok = settings != NULL;
    int64_t records = 0;

    for (int i = 0; ok && i < topic->partition_cnt; i++) {
        int64_t start, end;

        ok = topic_ends(t, topic->topic, i, &start, &end, e);
        if (!ok)
            break;
        records += end - start;
        json_array_append_new(partitions, json_pack("{s:i,s:i,s:I,s:I}", "partition", i, "leader",
                                                    topic->partitions[i].leader, "start", (json_int_t)start,
                                                    "end", (json_int_t)end));
    }
    if (!ok) {
        json_decref(partitions);
        json_decref(settings);
        return NULL;
    }
    return json_pack("{s:s,s:I,s:o,s:o}", "topic", topic->topic, "offsets", (json_int_t)records, "settings",
                     settings, "partitions", partitions);
}

bool topic_describe(struct topic_run *t, struct err *e)
{
    const struct rd_kafka_metadata_topic *topic;
    const json_t *p, *v;
    const char *name;
    json_t *out;
    size_t i;

    if (!topic_words(t, 1, 1, "describe wants a name", e) || !topic_connect(t, RD_KAFKA_PRODUCER, NULL, e))
        return false;
    topic = topic_find(t, t->w->v[0], e);
    out = topic ? describe(t, topic, e) : NULL;
    if (!out)
        return false;
    if (t->as_json) {
        topic_print(out);
        return true;
    }
    (void)printf("%s: %d partitions, %lld offsets\n", topic->topic, topic->partition_cnt,
                 (long long)topic_json_number(out, "offsets"));
    json_object_foreach(json_object_get(out, "settings"), name, v)
    {
        (void)printf("  %s=%s\n", name, json_string_value(v));
    }
    (void)printf("%10s %8s %16s %16s\n", "partition", "leader", "start", "end");
    json_array_foreach(json_object_get(out, "partitions"), i, p)
    {
        (void)printf("%10zu %8lld %16lld %16lld\n", i, (long long)topic_json_number(p, "leader"),
                     (long long)topic_json_number(p, "start"), (long long)topic_json_number(p, "end"));
    }
    json_decref(out);
    return true;
}

/* ---- alter ---- */

static bool grow(struct topic_run *t, const char *name, int64_t partitions, struct err *e)
{
    char why[200] = "";
    rd_kafka_NewPartitions_t *more =
        partitions <= INT32_MAX ? rd_kafka_NewPartitions_new(name, (size_t)partitions, why, sizeof why)
                                : NULL;
    rd_kafka_event_t *answer;
    size_t n;
    bool ok;

    if (!more)
        return err_set(e, ERR_BAD_INPUT, "%lld partitions: %s", (long long)partitions, why);
    rd_kafka_CreatePartitions(t->client, &more, 1, NULL, t->answers);
    rd_kafka_NewPartitions_destroy(more);
    answer = topic_answer(t, name, e);
    if (!answer)
        return false;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(answer), &n);
    ok = check_topics(results, n, e);
    rd_kafka_event_destroy(answer);
    return ok;
}

/* AlterConfigs replaces all settings of a topic, so those it has are sent again. */
static bool set_all(struct topic_run *t, const char *name, const json_t *settings, struct err *e)
{
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_event_t *answer;
    json_t *all = json_deep_copy(settings);
    size_t n = 0;
    bool ok;

    for (void *it = json_object_iter(all); it; it = json_object_iter_next(all, it))
        (void)rd_kafka_ConfigResource_set_config(resource, json_object_iter_key(it),
                                                 json_string_value(json_object_iter_value(it)));
    json_decref(all);
    rd_kafka_AlterConfigs(t->client, &resource, 1, NULL, t->answers);
    rd_kafka_ConfigResource_destroy(resource);
    answer = topic_answer(t, name, e);
    if (!answer)
        return false;
    const rd_kafka_ConfigResource_t **told =
        rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(answer), &n);
    ok = n != 1 || rd_kafka_ConfigResource_error(told[0]) == RD_KAFKA_RESP_ERR_NO_ERROR ||
         topic_refused(rd_kafka_ConfigResource_error(told[0]), rd_kafka_ConfigResource_error_string(told[0]),
                       name, e);
    rd_kafka_event_destroy(answer);
    return ok;
}

static bool alter_settings(struct topic_run *t, const char *name, const char **config, size_t n,
                           const char **reset, size_t resets, struct err *e)
{
    json_t *settings = own_settings(t, name, e);
    bool ok;

    if (!settings)
        return false;
    for (size_t i = 0; i < n; i += 2)
        json_object_set_new(settings, config[i], json_string(config[i + 1]));
    ok = true;
    for (size_t i = 0; ok && i < resets; i++)
        ok = json_object_del(settings, reset[i]) == 0 ||
             err_set(e, ERR_NOT_FOUND, "topic %s has no %s of its own: tarn topic describe tells what it has",
                     name, reset[i]);
    ok = ok && set_all(t, name, settings, e);
    json_decref(settings);
    return ok;
}

bool topic_alter(struct topic_run *t, struct err *e)
{
    const char *config[TOPIC_OPTIONS_MAX], *reset[TOPIC_OPTIONS_MAX];
    int64_t partitions = 0;
    size_t n, resets;
    const char *name;

    if (!topic_number(t, "--partitions", 1, &partitions, e) || !configs(t, config, &n, e))
        return false;
    if (!cli_values(t->w, "--reset", reset, ARRAY_LEN(reset), &resets))
        return err_set(e, ERR_BAD_INPUT, "--reset wants a setting's name");
    if (!topic_words(t, 1, 1, "alter wants a name", e))
        return false;
    if (partitions == 0 && n == 0 && resets == 0)
        return err_set(e, ERR_BAD_INPUT, "tarn topic alter wants --partitions, --config or --reset");
    name = t->w->v[0];
    if (!topic_connect(t, RD_KAFKA_PRODUCER, NULL, e) || !topic_find(t, name, e) ||
        (partitions > 0 && !grow(t, name, partitions, e)) ||
        (n + resets > 0 && !alter_settings(t, name, config, n, reset, resets, e)))
        return false;
    say(t, "altered", name);
    return true;
}

/* ---- delete ---- */

bool topic_delete(struct topic_run *t, struct err *e)
{
    bool ok = topic_words(t, 1, WORDS_MAX, "delete wants a name", e) &&
              topic_connect(t, RD_KAFKA_PRODUCER, NULL, e);

    for (size_t i = 0; ok && i < t->w->n; i++) // a wrong name deletes none of them
        ok = topic_find(t, t->w->v[i], e) != NULL;
    for (size_t i = 0; ok && i < t->w->n; i++) {
        rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(t->w->v[i]);
        rd_kafka_event_t *answer;
        size_t n;

        rd_kafka_DeleteTopics(t->client, &topic, 1, NULL, t->answers);
        rd_kafka_DeleteTopic_destroy(topic);
        answer = topic_answer(t, t->w->v[i], e);
        if (!answer)
            return false;
        const rd_kafka_topic_result_t **results =
            rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(answer), &n);
        ok = check_topics(results, n, e);
        rd_kafka_event_destroy(answer);
        if (ok)
            say(t, "deleted", t->w->v[i]);
    }
    return ok;
}
