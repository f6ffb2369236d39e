/* tarn topic groups: who reads, how far, and how far behind. */
#include "cli/topic.h"

#include "base/mem.h"

#include <stdio.h>

/* ---- one group ---- */

static json_t *member_json(const rd_kafka_MemberDescription_t *m)
{
    const rd_kafka_MemberAssignment_t *a = rd_kafka_MemberDescription_assignment(m);
    const rd_kafka_topic_partition_list_t *list = a ? rd_kafka_MemberAssignment_partitions(a) : NULL;
    json_t *reads = json_array();

    for (int i = 0; list && i < list->cnt; i++)
        json_array_append_new(reads, json_pack("{s:s,s:i}", "topic", list->elems[i].topic, "partition",
                                               list->elems[i].partition));
    return json_pack("{s:s,s:s?,s:s,s:s,s:o}", "member", rd_kafka_MemberDescription_consumer_id(m),
                     "instance", rd_kafka_MemberDescription_group_instance_id(m), "client",
                     rd_kafka_MemberDescription_client_id(m), "host", rd_kafka_MemberDescription_host(m),
                     "reads", reads);
}

json_t *topic_group(struct topic_run *t, const char *group, struct err *e)
{
    rd_kafka_event_t *answer;
    json_t *out = NULL, *members;
    size_t n = 0;

    rd_kafka_DescribeConsumerGroups(t->client, &group, 1, NULL, t->answers);
    answer = topic_answer(t, group, e);
    if (!answer)
        return NULL;
    const rd_kafka_ConsumerGroupDescription_t **told = rd_kafka_DescribeConsumerGroups_result_groups(
        rd_kafka_event_DescribeConsumerGroups_result(answer), &n);
    const rd_kafka_error_t *why = n == 1 ? rd_kafka_ConsumerGroupDescription_error(told[0]) : NULL;
    if (n != 1 || why) {
        (void)topic_refused(why ? rd_kafka_error_code(why) : RD_KAFKA_RESP_ERR__BAD_MSG,
                            why ? rd_kafka_error_string(why) : NULL, group, e);
    } else {
        members = json_array();
        for (size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(told[0]); i++)
            json_array_append_new(members, member_json(rd_kafka_ConsumerGroupDescription_member(told[0], i)));
        out = json_pack("{s:s,s:s,s:s?,s:o}", "group", group, "state",
                        rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(told[0])),
                        "assignor", rd_kafka_ConsumerGroupDescription_partition_assignor(told[0]), "members",
                        members);
    }
    rd_kafka_event_destroy(answer);
    return out;
}

rd_kafka_topic_partition_list_t *topic_committed(struct topic_run *t, const char *group, struct err *e)
{
    rd_kafka_ListConsumerGroupOffsets_t *ask = rd_kafka_ListConsumerGroupOffsets_new(group, NULL);
    rd_kafka_topic_partition_list_t *out = NULL;
    rd_kafka_event_t *answer;
    size_t n = 0;

    rd_kafka_ListConsumerGroupOffsets(t->client, &ask, 1, NULL, t->answers);
    rd_kafka_ListConsumerGroupOffsets_destroy(ask);
    answer = topic_answer(t, group, e);
    if (!answer)
        return NULL;
    const rd_kafka_group_result_t **told = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(answer), &n);
    const rd_kafka_error_t *why = n == 1 ? rd_kafka_group_result_error(told[0]) : NULL;
    if (n == 1 && !why) {
        out = rd_kafka_topic_partition_list_copy(rd_kafka_group_result_partitions(told[0]));
        rd_kafka_topic_partition_list_sort(out, NULL, NULL);
    } else {
        (void)topic_refused(why ? rd_kafka_error_code(why) : RD_KAFKA_RESP_ERR__BAD_MSG,
                            why ? rd_kafka_error_string(why) : NULL, group, e);
    }
    rd_kafka_event_destroy(answer);
    return out;
}

/* The client of the member that reads a partition, or null. */
static json_t *reader_of(const json_t *group, const char *topic, int32_t partition)
{
    const json_t *m, *r;
    size_t i, j;

    json_array_foreach(json_object_get(group, "members"), i, m)
    {
        json_array_foreach(json_object_get(m, "reads"), j, r)
        {
            if (strcmp(topic_json_text(r, "topic"), topic) == 0 &&
                topic_json_number(r, "partition") == partition)
                return json_incref(json_object_get(m, "client"));
        }
    }
    return json_null();
}

static bool is_in(const rd_kafka_topic_partition_list_t *list, const char *topic, int32_t partition)
{
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].partition == partition && strcmp(list->elems[i].topic, topic) == 0)
            return true;
    return false;
}

/* What members read and have not committed yet stands there too, without an offset. */
static void add_unread(const json_t *group, rd_kafka_topic_partition_list_t *list)
{
    const json_t *m, *r;
    size_t i, j;

    json_array_foreach(json_object_get(group, "members"), i, m)
    {
        json_array_foreach(json_object_get(m, "reads"), j, r)
        {
            const char *topic = topic_json_text(r, "topic");
            int32_t partition = (int32_t)topic_json_number(r, "partition");

            if (!is_in(list, topic, partition))
                rd_kafka_topic_partition_list_add(list, topic, partition)->offset = RD_KAFKA_OFFSET_INVALID;
        }
    }
    rd_kafka_topic_partition_list_sort(list, NULL, NULL);
}

static json_t *number_or_null(int64_t n)
{
    return n < 0 ? json_null() : json_integer(n);
}

/* Adds "positions" and "lag". Positions on a topic that is gone have no end and no lag. */
static bool add_positions(struct topic_run *t, json_t *group, struct err *e)
{
    rd_kafka_topic_partition_list_t *list = topic_committed(t, topic_json_text(group, "group"), e);
    json_t *positions = json_array();
    json_int_t behind = 0;

    if (!list) {
        json_decref(positions);
        return false;
    }
    add_unread(group, list);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &list->elems[i];
        int64_t start, end = -1, lag = -1;
        struct err gone;

        if (topic_ends(t, p->topic, p->partition, &start, &end, &gone) && p->offset >= 0)
            lag = end > p->offset ? end - p->offset : 0;
        behind += lag > 0 ? lag : 0;
        json_array_append_new(
            positions, json_pack("{s:s,s:i,s:o,s:o,s:o,s:o}", "topic", p->topic, "partition", p->partition,
                                 "offset", number_or_null(p->offset), "end", number_or_null(end), "lag",
                                 number_or_null(lag), "client", reader_of(group, p->topic, p->partition)));
    }
    rd_kafka_topic_partition_list_destroy(list);
    json_object_set_new(group, "positions", positions);
    json_object_set_new(group, "lag", json_integer(behind));
    return true;
}

/* A number, or "-". */
static const char *shown(const json_t *o, const char *key, char out[32])
{
    (void)snprintf(out, 32, "%lld", (long long)topic_json_number(o, key));
    return json_is_integer(json_object_get(o, key)) ? out : "-";
}

static void show_group(const json_t *g)
{
    const json_t *m, *p;
    size_t i, n = json_array_size(json_object_get(g, "members"));
    char offset[32], end[32], lag[32];

    (void)printf("%s: %s, %zu member%s, lag %lld\n", topic_json_text(g, "group"), topic_json_text(g, "state"),
                 n, n == 1 ? "" : "s", (long long)topic_json_number(g, "lag"));
    json_array_foreach(json_object_get(g, "members"), i, m)
    {
        (void)printf("  %s %s %s, %zu partitions\n", topic_json_text(m, "client"), topic_json_text(m, "host"),
                     *topic_json_text(m, "instance") ? topic_json_text(m, "instance")
                                                     : topic_json_text(m, "member"),
                     json_array_size(json_object_get(m, "reads")));
    }
    if (json_array_size(json_object_get(g, "positions")) > 0)
        (void)printf("%-40s %9s %14s %14s %12s  %s\n", "topic", "partition", "offset", "end", "lag",
                     "client");
    json_array_foreach(json_object_get(g, "positions"), i, p)
    {
        (void)printf("%-40s %9lld %14s %14s %12s  %s\n", topic_json_text(p, "topic"),
                     (long long)topic_json_number(p, "partition"), shown(p, "offset", offset),
                     shown(p, "end", end), shown(p, "lag", lag), topic_json_text(p, "client"));
    }
}

static bool no_group(const char *name, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "there is no group %s: tarn topic groups tells those there are", name);
}

static bool one_group(struct topic_run *t, const char *name, struct err *e)
{
    json_t *g = topic_group(t, name, e);

    if (!g)
        return false;
    if (!add_positions(t, g, e)) {
        json_decref(g);
        return false;
    }
    if (strcmp(topic_json_text(g, "state"), "Dead") == 0 &&
        json_array_size(json_object_get(g, "positions")) == 0) {
        json_decref(g);
        return no_group(name, e);
    }
    if (t->as_json) {
        topic_print(g);
        return true;
    }
    show_group(g);
    json_decref(g);
    return true;
}

/* ---- all groups ---- */

static int by_name(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;

    return strcmp(*x, *y);
}

static bool group_names(struct topic_run *t, const char ***out, size_t *count, struct err *e)
{
    rd_kafka_event_t *answer;

    rd_kafka_ListConsumerGroups(t->client, NULL, t->answers);
    answer = topic_answer(t, "groups", e);
    if (!answer)
        return false;
    const rd_kafka_ConsumerGroupListing_t **told =
        rd_kafka_ListConsumerGroups_result_valid(rd_kafka_event_ListConsumerGroups_result(answer), count);
    *out = ARENA_ARRAY(&t->arena, const char *, *count + 1);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = arena_fmt(&t->arena, "%s", rd_kafka_ConsumerGroupListing_group_id(told[i]));
    qsort(*out, *count, sizeof **out, by_name);
    rd_kafka_event_destroy(answer);
    return true;
}

static bool all_groups(struct topic_run *t, struct err *e)
{
    json_t *all = json_array();
    const char **names;
    size_t n = 0;
    bool ok = group_names(t, &names, &n, e);

    if (ok && !t->as_json)
        (void)printf("%-50s %-20s %8s %12s\n", "group", "state", "members", "lag");
    for (size_t i = 0; ok && i < n; i++) {
        json_t *g = topic_group(t, names[i], e);
        size_t members = json_array_size(json_object_get(g, "members"));

        ok = g && add_positions(t, g, e);
        if (ok && !t->as_json)
            (void)printf("%-50s %-20s %8zu %12lld\n", names[i], topic_json_text(g, "state"), members,
                         (long long)topic_json_number(g, "lag"));
        if (ok)
            json_array_append_new(all, json_pack("{s:s,s:s,s:I,s:I}", "group", names[i], "state",
                                                 topic_json_text(g, "state"), "members", (json_int_t)members,
                                                 "lag", (json_int_t)topic_json_number(g, "lag")));
        json_decref(g);
    }
    if (ok && t->as_json)
        topic_print(all);
    else
        json_decref(all);
    return ok;
}

static bool delete_group(struct topic_run *t, const char *name, struct err *e)
{
    rd_kafka_DeleteGroup_t *group = rd_kafka_DeleteGroup_new(name);
    rd_kafka_event_t *answer;
    const rd_kafka_error_t *why;
    size_t n = 0;
    bool ok;

    rd_kafka_DeleteGroups(t->client, &group, 1, NULL, t->answers);
    rd_kafka_DeleteGroup_destroy(group);
    answer = topic_answer(t, name, e);
    if (!answer)
        return false;
    const rd_kafka_group_result_t **told =
        rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(answer), &n);
    why = n == 1 ? rd_kafka_group_result_error(told[0]) : NULL;
    ok = !why;
    if (why && rd_kafka_error_code(why) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND)
        (void)no_group(name, e);
    else if (why && rd_kafka_error_code(why) == RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP)
        (void)err_set(e, ERR_CONFLICT, "group %s has members: stop them first", name);
    else if (why)
        (void)topic_refused(rd_kafka_error_code(why), rd_kafka_error_string(why), name, e);
    rd_kafka_event_destroy(answer);
    if (ok && t->as_json)
        topic_print(json_pack("{s:s,s:s}", "group", name, "done", "deleted"));
    else if (ok)
        (void)printf("deleted %s\n", name);
    return ok;
}

bool topic_groups(struct topic_run *t, struct err *e)
{
    bool delete = cli_flag(t->w, "--delete");

    if (!topic_words(t, delete, 1, "groups --delete wants a group", e) ||
        !topic_connect(t, RD_KAFKA_PRODUCER, NULL, e))
        return false;
    if (t->w->n == 0)
        return all_groups(t, e);
    return delete ? delete_group(t, t->w->v[0], e) : one_group(t, t->w->v[0], e);
}
