/*
 * tarn topic reset-offsets: where a group goes on reading, as Kafka's kafka-consumer-groups sets it: shown first, made so with
 * --execute, and only while the group has no members, for they would commit over it.
 */
#include "cli/topic.h"

#include "base/mem.h"
#include "os/os.h"

#include <stdio.h>

enum goal { TO_NOTHING, TO_EARLIEST, TO_LATEST, TO_CURRENT, TO_OFFSET, TO_TIME, SHIFT_BY };

struct reset {
    enum goal goal;
    int64_t n; // offset, milliseconds or shift
    bool execute, all_topics;
    const char *specs[TOPIC_OPTIONS_MAX];
    size_t spec_count;
    const char *group;
};

/* ---- words ---- */

static bool one_goal(struct reset *r, enum goal goal, struct err *e)
{
    if (r->goal != TO_NOTHING)
        return err_set(e, ERR_BAD_INPUT,
                       "tarn topic reset-offsets takes one goal, for instance --to-earliest");
    r->goal = goal;
    return true;
}

static bool read_goals(struct topic_run *t, struct reset *r, struct err *e)
{
    static const struct {
        const char *option;
        enum goal goal;
    } plain[] = {{"--to-earliest", TO_EARLIEST}, {"--to-latest", TO_LATEST}, {"--to-current", TO_CURRENT}},
      numbers[] = {{"--to-offset", TO_OFFSET}, {"--shift-by", SHIFT_BY}},
      moments[] = {{"--to-datetime", TO_TIME}, {"--by-duration", TO_TIME}};
    int64_t now_ms = os_real()->wall_us(os_real()) / 1000;

    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (cli_flag(t->w, plain[i].option) && !one_goal(r, plain[i].goal, e))
            return false;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const char *text = NULL;

        if (!topic_option(t, numbers[i].option, &text, e) || (text && !one_goal(r, numbers[i].goal, e)))
            return false;
        if (text && !str_i64(str_of(*text == '+' ? text + 1 : text), &r->n))
            return err_set(e, ERR_BAD_INPUT, "%s wants a whole number, not %s", numbers[i].option, text);
        if (text && numbers[i].goal == TO_OFFSET && r->n < 0)
            return err_set(e, ERR_BAD_INPUT, "%s wants an offset, 0 or more, not %s", numbers[i].option,
                           text);
    }
    for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
        const char *text = NULL;

        if (!topic_option(t, moments[i].option, &text, e) || (text && !one_goal(r, moments[i].goal, e)))
            return false;
        if (text && !topic_moment(text, now_ms, &r->n))
            return err_set(
                e, ERR_BAD_INPUT,
                "%s wants a moment such as 2026-11-21T08:30:00Z, or a duration such as PT90M, not %s",
                moments[i].option, text);
    }
    return r->goal != TO_NOTHING ||
           err_set(e, ERR_BAD_INPUT, "tarn topic reset-offsets wants a goal, for instance --to-earliest");
}

static bool read_words(struct topic_run *t, struct reset *r, struct err *e)
{
    bool dry = cli_flag(t->w, "--dry-run");

    r->execute = cli_flag(t->w, "--execute");
    r->all_topics = cli_flag(t->w, "--all-topics");
    if (dry && r->execute)
        return err_set(e, ERR_BAD_INPUT, "--dry-run and --execute exclude each other");
    if (!read_goals(t, r, e))
        return false;
    if (!cli_values(t->w, "--topic", r->specs, ARRAY_LEN(r->specs), &r->spec_count))
        return err_set(e, ERR_BAD_INPUT, "--topic wants a name, or NAME:0,1");
    if (!topic_words(t, 1, 1, "reset-offsets wants a group", e))
        return false;
    r->group = t->w->v[0];
    if ((r->spec_count > 0) == r->all_topics)
        return err_set(e, ERR_BAD_INPUT, "tarn topic reset-offsets wants --topic NAME or --all-topics");
    return true;
}

/* ---- the plan ---- */

static int64_t committed_at(const rd_kafka_topic_partition_list_t *committed,
                            const rd_kafka_topic_partition_t *p)
{
    for (int i = 0; i < committed->cnt; i++)
        if (strcmp(committed->elems[i].topic, p->topic) == 0 && committed->elems[i].partition == p->partition)
            return committed->elems[i].offset;
    return -1;
}

/* Offsets of a moment for all of the list at once; a partition without records after it goes to its end. */
static bool at_time(struct topic_run *t, rd_kafka_topic_partition_list_t *list, int64_t ms, struct err *e)
{
    rd_kafka_resp_err_t code;

    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = ms;
    code = rd_kafka_offsets_for_times(t->client, list, TOPIC_WAIT_MS);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || topic_refused(code, NULL, "offsets of a moment", e);
}

static bool place(struct topic_run *t, const struct reset *r, rd_kafka_topic_partition_t *p, int64_t now_at,
                  struct err *e)
{
    int64_t start, end, to = 0;

    if (!topic_ends(t, p->topic, p->partition, &start, &end, e))
        return false;
    switch (r->goal) {
    case TO_EARLIEST:
        to = start;
        break;
    case TO_LATEST:
        to = end;
        break;
    case TO_CURRENT: // without one, Kafka's tool takes the end
        to = now_at >= 0 ? now_at : end;
        break;
    case TO_TIME:
        to = p->offset >= 0 ? p->offset : end;
        break;
    case SHIFT_BY:
        if (now_at < 0)
            return err_set(e, ERR_INVALID, "%s has no offset of %s-%d to shift", r->group, p->topic,
                           p->partition);
        to = r->n > 0 && now_at > INT64_MAX - r->n ? INT64_MAX : now_at + r->n;
        break;
    case TO_OFFSET:
        to = r->n;
        break;
    case TO_NOTHING:
        break;
    }
    p->offset = to < start ? start : to > end ? end : to;
    if (p->offset != to)
        (void)fprintf(stderr, "tarn: %s-%d has the offsets %lld to %lld: %lld becomes %lld\n", p->topic,
                      p->partition, (long long)start, (long long)end, (long long)to, (long long)p->offset);
    return true;
}

static bool plan(struct topic_run *t, const struct reset *r, const rd_kafka_topic_partition_list_t *committed,
                 rd_kafka_topic_partition_list_t *list, struct err *e)
{
    for (size_t i = 0; i < r->spec_count; i++)
        if (!topic_add_spec(t, r->specs[i], list, e))
            return false;
    for (int i = 0; r->all_topics && i < committed->cnt; i++)
        rd_kafka_topic_partition_list_add(list, committed->elems[i].topic, committed->elems[i].partition);
    if (list->cnt == 0)
        return err_set(e, ERR_NOT_FOUND, "group %s has committed nothing: name topics with --topic",
                       r->group);
    rd_kafka_topic_partition_list_sort(list, NULL, NULL);
    if (r->goal == TO_TIME && !at_time(t, list, r->n, e))
        return false;
    for (int i = 0; i < list->cnt; i++)
        if (!place(t, r, &list->elems[i], committed_at(committed, &list->elems[i]), e))
            return false;
    return true;
}

/* ---- make it so ---- */

static bool has_no_members(struct topic_run *t, const char *group, struct err *e)
{
    json_t *g = topic_group(t, group, e);
    size_t members = json_array_size(json_object_get(g, "members"));
    const char *client = topic_json_text(json_array_get(json_object_get(g, "members"), 0), "client");
    bool ok = g && (members == 0 ||
                    err_set(e, ERR_CONFLICT, "group %s has %zu member%s (the first is %s): stop them first",
                            group, members, members == 1 ? "" : "s", client));

    json_decref(g);
    return ok;
}

static bool commit(struct topic_run *t, const char *group, const rd_kafka_topic_partition_list_t *list,
                   struct err *e)
{
    rd_kafka_AlterConsumerGroupOffsets_t *ask = rd_kafka_AlterConsumerGroupOffsets_new(group, list);
    const rd_kafka_topic_partition_list_t *done = NULL;
    const rd_kafka_error_t *why;
    rd_kafka_event_t *answer;
    size_t n = 0;
    bool ok;

    rd_kafka_AlterConsumerGroupOffsets(t->client, &ask, 1, NULL, t->answers);
    rd_kafka_AlterConsumerGroupOffsets_destroy(ask);
    answer = topic_answer(t, group, e);
    if (!answer)
        return false;
    const rd_kafka_group_result_t **told = rd_kafka_AlterConsumerGroupOffsets_result_groups(
        rd_kafka_event_AlterConsumerGroupOffsets_result(answer), &n);
    why = n == 1 ? rd_kafka_group_result_error(told[0]) : NULL;
    ok = n == 1 && (!why || topic_refused(rd_kafka_error_code(why), rd_kafka_error_string(why), group, e));
    done = ok ? rd_kafka_group_result_partitions(told[0]) : NULL;
    for (int i = 0; ok && done && i < done->cnt; i++)
        if (done->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            ok = topic_refused(done->elems[i].err, NULL,
                               arena_fmt(&t->arena, "%s-%d", done->elems[i].topic, done->elems[i].partition),
                               e);
    rd_kafka_event_destroy(answer);
    return ok;
}

static void show(struct topic_run *t, const struct reset *r, const rd_kafka_topic_partition_list_t *committed,
                 const rd_kafka_topic_partition_list_t *list)
{
    json_t *rows = json_array();

    if (!t->as_json)
        (void)printf("%-30s %-40s %9s %14s %14s\n", "group", "topic", "partition", "offset", "new offset");
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &list->elems[i];
        int64_t now_at = committed_at(committed, p);
        char text[32] = "-";

        if (now_at >= 0)
            (void)snprintf(text, sizeof text, "%lld", (long long)now_at);
        if (!t->as_json)
            (void)printf("%-30s %-40s %9d %14s %14lld\n", r->group, p->topic, p->partition, text,
                         (long long)p->offset);
        json_array_append_new(rows,
                              json_pack("{s:s,s:i,s:o,s:I}", "topic", p->topic, "partition", p->partition,
                                        "offset", now_at < 0 ? json_null() : json_integer(now_at),
                                        "new_offset", (json_int_t)p->offset));
    }
    if (t->as_json)
        topic_print(json_pack("{s:s,s:b,s:o}", "group", r->group, "executed", r->execute, "positions", rows));
    else
        json_decref(rows);
    if (!t->as_json && !r->execute)
        (void)printf("nothing was changed: --execute makes it so\n");
}

bool topic_reset_offsets(struct topic_run *t, struct err *e)
{
    rd_kafka_topic_partition_list_t *committed, *list;
    struct reset r = {0};
    bool ok;

    if (!read_words(t, &r, e) || !topic_connect(t, RD_KAFKA_PRODUCER, NULL, e) ||
        !has_no_members(t, r.group, e))
        return false;
    committed = topic_committed(t, r.group, e);
    if (!committed)
        return false;
    list = rd_kafka_topic_partition_list_new(16);
    ok = plan(t, &r, committed, list, e) && (!r.execute || commit(t, r.group, list, e));
    if (ok)
        show(t, &r, committed, list);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_topic_partition_list_destroy(committed);
    return ok;
}
