#include "cli/topic.h"

#include "base/mem.h"
#include "base/utc.h"
#include "os/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const struct action {
    const char *word, *args, *sentence;
    bool (*run)(struct topic_run *t, struct err *e);
} actions[] = {
    {"list", "[--internal]", "Names and partitions of the topics.", topic_list},
    {"create", "NAME [--partitions N] [--replicas N] [--config NAME=VALUE]...", "Make a topic.",
     topic_create},
    {"describe", "NAME",
     "Its partitions with their first offset and end, and the settings that are not the default.",
     topic_describe},
    {"alter", "NAME [--partitions N] [--config NAME=VALUE]... [--reset NAME]...",
     "Give it more partitions or other settings.", topic_alter},
    {"delete", "NAME...", "Delete topics with all their records.", topic_delete},
    {"produce",
     "NAME [--key-separator TEXT] [--partition N] [--header NAME=VALUE]... [--empty-is-null]\n"
     "          [--subject NAME | --schema-id N] [--input lines|json]",
     "Send a record for each line of stdin; lines of JSON as Avro with --subject.", topic_produce},
    {"consume",
     "NAME [--from earliest|latest|OFFSET|MOMENT] [--tail N] [--follow] [--max N]\n"
     "          [--partition N,...] [--key TEXT] [--grep TEXT] [--values]",
     "Print records up to the end of now, or with --follow go on; Avro is decoded.", topic_consume},
    {"groups", "[GROUP [--delete]]", "Groups and their lag; or one with its members and positions.",
     topic_groups},
    {"reset-offsets",
     "GROUP (--topic NAME[:PARTITION,...])... | --all-topics\n"
     "          --to-earliest | --to-latest | --to-current | --to-offset N | --to-datetime MOMENT | "
     "--by-duration\n"
     "          DURATION | --shift-by N   [--execute]",
     "Say where a group without members would go on reading; with --execute make it so.",
     topic_reset_offsets},
};

void topic_help(void)
{
    (void)printf("tarn topic speaks to the tarn of this folder, or to any Kafka.\n\n");
    for (size_t i = 0; i < ARRAY_LEN(actions); i++)
        (void)printf("  tarn topic %s %s\n      %s\n", actions[i].word, actions[i].args, actions[i].sentence);
    (void)printf(
        "\nAll take:\n"
        "  --json              the result as JSON\n"
        "  --project FOLDER    the project whose tarn is asked (default: this folder)\n"
        "  --bootstrap H:P     another Kafka;  --registry URL its Schema Registry;  -X NAME=VALUE a "
        "property\n"
        "                      of librdkafka, for instance security.protocol;  -F FILE has one a line\n\n"
        "A MOMENT is 2026-11-21, 2026-11-21T08:30:00Z, or as long ago as an ISO 8601 DURATION: "
        "PT90M, P1D.\n");
}

/* ---- words ---- */

bool topic_option(struct topic_run *t, const char *name, const char **out, struct err *e)
{
    size_t n;

    if (!cli_values(t->w, name, out, 1, &n))
        return err_set(e, ERR_BAD_INPUT, "%s wants one value, once", name);
    return true;
}

bool topic_number(struct topic_run *t, const char *name, int64_t least, int64_t *out, struct err *e)
{
    const char *text = NULL;

    if (!topic_option(t, name, &text, e))
        return false;
    if (text && (!str_i64(str_of(text), out) || *out < least))
        return err_set(e, ERR_BAD_INPUT, "%s wants a whole number of at least %lld, not %s", name,
                       (long long)least, text);
    return true;
}

bool topic_words(struct topic_run *t, size_t least, size_t most, const char *what, struct err *e)
{
    if (!cli_rest(t->w, most, e))
        return false;
    return t->w->n >= least || err_set(e, ERR_BAD_INPUT, "tarn topic %s", what);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes a number of at most `most` digits off the front. */
static bool take_int(const char **s, int most, int *out)
{
    int n = 0;

    for (*out = 0; n < most && is_digit(**s); n++)
        *out = *out * 10 + (*(*s)++ - '0');
    return n > 0;
}

/* The same with a fraction. */
static bool take_decimal(const char **s, double *out)
{
    double worth = 0.1;
    int whole;
    bool ok = take_int(s, 9, &whole);

    *out = whole;
    if (ok && **s == '.')
        for ((*s)++; is_digit(**s); (*s)++) {
            *out += (**s - '0') * worth;
            worth /= 10;
        }
    return ok;
}

/* "P1DT2H3M4.5S" in milliseconds. */
static bool duration(const char *s, int64_t *out)
{
    static const struct unit {
        char letter;
        bool of_time;
        double ms;
    } units[] = {{'W', false, 604800e3},
                 {'D', false, 86400e3},
                 {'H', true, 3600e3},
                 {'M', true, 60e3},
                 {'S', true, 1e3}};
    bool in_time = false;
    double ms = 0;
    size_t next = 0;

    for (s++; *s;) {
        double n;

        if (*s == 'T' && !in_time) {
            in_time = true;
            s++;
            continue;
        }
        if (!take_decimal(&s, &n))
            return false;
        while (next < ARRAY_LEN(units) && (units[next].letter != *s || units[next].of_time != in_time))
            next++;
        if (next == ARRAY_LEN(units))
            return false;
        ms += n * units[next++].ms;
        s++;
    }
    *out = (int64_t)(ms + 0.5);
    return next > 0 && ms < 1e15;
}

/* "Z", "+02:00", "-0530" or nothing; in minutes east of Greenwich. */
static bool zone(const char *s, int *minutes)
{
    int h, m, sign = *s == '-' ? -1 : 1;

    *minutes = 0;
    if (*s == '\0' || strcmp(s, "Z") == 0)
        return true;
    if (*s != '+' && *s != '-')
        return false;
    s++;
    if (!take_int(&s, 2, &h))
        return false;
    s += *s == ':';
    if (!take_int(&s, 2, &m))
        return false;
    *minutes = (h * 60 + m) * sign;
    return *s == '\0' && h <= 18 && m < 60;
}

bool topic_moment(const char *text, int64_t now_ms, int64_t *out)
{
    int year, month, day, hour = 0, minute = 0, east;
    double second = 0;
    struct utc u;

    if (*text == 'P') {
        int64_t ago;

        if (!duration(text, &ago))
            return false;
        *out = now_ms - ago;
        return true;
    }
    if (!take_int(&text, 4, &year) || *text++ != '-' || !take_int(&text, 2, &month) || *text++ != '-' ||
        !take_int(&text, 2, &day))
        return false;
    if (*text == 'T' || *text == ' ') {
        text++;
        if (!take_int(&text, 2, &hour) || *text++ != ':' || !take_int(&text, 2, &minute))
            return false;
        if (*text == ':') {
            text++;
            if (!take_decimal(&text, &second))
                return false;
        }
    }
    if (!zone(text, &east) || month < 1 || month > 12 || day < 1 || day > 31 || hour > 24 || minute > 59 ||
        second >= 61)
        return false;
    u = (struct utc){.year = year,
                     .month = (unsigned)month,
                     .day = (unsigned)day,
                     .hour = (unsigned)hour,
                     .minute = (unsigned)minute};
    *out = utc_micros(&u) / 1000 + (int64_t)(second * 1000 + 0.5) - (int64_t)east * 60000;
    return true;
}

/* ---- the cluster ---- */

/* Kafka does not tell topics to who may not describe them. */
static bool as_user(const struct topic_run *t)
{
    for (size_t i = 0; i < t->property_count; i += 2)
        if (strcmp(t->properties[i], "sasl.username") == 0)
            return true;
    return false;
}

const struct rd_kafka_metadata_topic *topic_find(struct topic_run *t, const char *name, struct err *e)
{
    struct buf known = buf_make(200);

    for (int i = 0; i < t->topics->topic_cnt; i++)
        if (strcmp(t->topics->topics[i].topic, name) == 0)
            return &t->topics->topics[i];
    for (int i = 0; i < t->topics->topic_cnt; i++)
        if (t->topics->topics[i].topic[0] != '_')
            buf_fmt(&known, "%s%s", known.n > 0 ? ", " : "; there are: ", t->topics->topics[i].topic);
    (void)err_set(e, ERR_NOT_FOUND, "there is no topic %s%s%s", name,
                  as_user(t) ? " that this user may see" : "",
                  buf_ok(&known) ? buf_z(&known) : " (tarn topic list tells those there are)");
    buf_fini(&known);
    return NULL;
}

void topic_progress(struct topic_progress *p, const char *fmt, ...)
{
    int64_t now_ms = os_real()->now_ns(os_real()) / 1000000;
    va_list ap;

    if (p->due_ms == 0)
        p->due_ms = isatty(STDERR_FILENO) ? now_ms + 1000 : INT64_MAX;
    if (now_ms < p->due_ms)
        return;
    p->due_ms = now_ms + 200;
    p->shown = true;
    (void)fputc('\r', stderr);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
}

void topic_progress_clear(struct topic_progress *p)
{
    if (p->shown)
        (void)fprintf(stderr, "\r\033[K");
    p->shown = false;
}

bool topic_refused(rd_kafka_resp_err_t code, const char *text, const char *what, struct err *e)
{
    return err_set(e, code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ? ERR_NOT_FOUND : ERR_REMOTE, "%s: %s",
                   what, text && *text ? text : rd_kafka_err2str(code));
}

rd_kafka_event_t *topic_answer(struct topic_run *t, const char *what, struct err *e)
{
    rd_kafka_event_t *answer = rd_kafka_queue_poll(t->answers, 4 * TOPIC_WAIT_MS);

    if (!answer) {
        (void)err_set(e, ERR_TIMEOUT, "%s: no answer came", what);
        return NULL;
    }
    if (rd_kafka_event_error(answer) == RD_KAFKA_RESP_ERR_NO_ERROR)
        return answer;
    (void)topic_refused(rd_kafka_event_error(answer), rd_kafka_event_error_string(answer), what, e);
    rd_kafka_event_destroy(answer);
    return NULL;
}

bool topic_ends(struct topic_run *t, const char *topic, int32_t partition, int64_t *start, int64_t *end,
                struct err *e)
{
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(t->client, topic, partition, start, end, TOPIC_WAIT_MS);

    return code == RD_KAFKA_RESP_ERR_NO_ERROR ||
           topic_refused(code, NULL, arena_fmt(&t->arena, "%s-%d", topic, partition), e);
}

bool topic_add_partitions(const struct rd_kafka_metadata_topic *topic, const char *numbers,
                          rd_kafka_topic_partition_list_t *list, struct err *e)
{
    for (struct str rest = str_of(numbers), one; str_cut(&rest, ',', &one);) {
        int64_t n;

        if (!str_i64(one, &n) || n < 0 || n >= topic->partition_cnt)
            return err_set(e, ERR_NOT_FOUND, "topic %s has the partitions 0 to %d, not %.*s", topic->topic,
                           topic->partition_cnt - 1, STR_ARG(one));
        if (!rd_kafka_topic_partition_list_find(list, topic->topic, (int32_t)n))
            rd_kafka_topic_partition_list_add(list, topic->topic, (int32_t)n);
    }
    return true;
}

bool topic_add_spec(struct topic_run *t, const char *spec, rd_kafka_topic_partition_list_t *list,
                    struct err *e)
{
    const char *colon = strchr(spec, ':');
    const char *name = colon ? arena_fmt(&t->arena, "%.*s", (int)(colon - spec), spec) : spec;
    const struct rd_kafka_metadata_topic *topic = topic_find(t, name, e);

    if (!topic)
        return false;
    if (colon)
        return topic_add_partitions(topic, colon + 1, list, e);
    for (int32_t i = 0; i < topic->partition_cnt; i++)
        if (!rd_kafka_topic_partition_list_find(list, name, i))
            rd_kafka_topic_partition_list_add(list, name, i);
    return true;
}

/* ---- printing ---- */

void topic_print(json_t *root)
{
    (void)json_dumpf(root, stdout, JSON_COMPACT);
    (void)fputc('\n', stdout);
    json_decref(root);
}

const char *topic_json_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

int64_t topic_json_number(const json_t *o, const char *key)
{
    const json_t *n = json_object_get(o, key);

    return json_is_integer(n) ? json_integer_value(n) : -1;
}

/* ---- the verb ---- */

/* blanks: those around the equals sign belong to nobody. */
static bool add_property(struct topic_run *t, struct str property, bool blanks, const char *from,
                         struct err *e)
{
    struct str name;

    if (property.n == 0 || !memchr(property.p, '=', property.n) || !str_cut(&property, '=', &name))
        return err_set(e, ERR_BAD_INPUT, "%s wants NAME=VALUE, not %.*s", from, STR_ARG(property));
    if (t->property_count == ARRAY_LEN(t->properties))
        return err_set(e, ERR_BAD_INPUT, "%s: more than %d properties", from, TOPIC_PROPERTIES);
    t->properties[t->property_count++] = arena_str(&t->arena, blanks ? str_trim(name) : name).p;
    t->properties[t->property_count++] = arena_str(&t->arena, blanks ? str_trim(property) : property).p;
    return true;
}

/* As kcat has it: a property a line; empty ones and those that begin with # say nothing. A password is not for the command line. */
static bool read_properties(struct topic_run *t, const char *path, struct err *e)
{
    enum { FILE_MAX = 1 << 20 };
    struct str rest, line;

    if (!os_read_file(os_real(), path, FILE_MAX, &t->arena, &rest, e))
        return err_wrap(e, "-F");
    while (str_cut(&rest, '\n', &line)) {
        line = str_trim(line);
        if (line.n > 0 && line.p[0] != '#' && !add_property(t, line, true, path, e))
            return false;
    }
    return true;
}

static bool common_options(struct topic_run *t, struct err *e)
{
    const char *properties[8], *file = NULL;
    size_t n;

    t->as_json = cli_flag(t->w, "--json");
    if (!topic_option(t, "--project", &t->project, e) || !topic_option(t, "--bootstrap", &t->bootstrap, e) ||
        !topic_option(t, "--registry", &t->registry, e) || !topic_option(t, "-F", &file, e) ||
        (file && !read_properties(t, file, e)))
        return false;
    if (!cli_values(t->w, "-X", properties, ARRAY_LEN(properties), &n))
        return err_set(e, ERR_BAD_INPUT, "-X wants NAME=VALUE, at most %zu times", ARRAY_LEN(properties));
    for (size_t i = 0; i < n; i++)
        if (!add_property(t, str_of(properties[i]), false, "-X", e))
            return false;
    return true;
}

static void fini(struct topic_run *t)
{
    if (t->topics)
        rd_kafka_metadata_destroy(t->topics);
    if (t->answers)
        rd_kafka_queue_destroy(t->answers);
    if (t->client)
        rd_kafka_destroy(t->client);
    topic_values_end(t);
    arena_fini(&t->arena);
}

bool verb_topic(struct words *w, struct err *e)
{
    struct topic_run t = {.w = w, .project = "."};
    const struct action *act = NULL;
    bool ok;

    if (w->n == 0 || strcmp(w->v[0], "help") == 0) {
        topic_help();
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(actions); i++)
        if (strcmp(w->v[0], actions[i].word) == 0)
            act = &actions[i];
    if (!act)
        return err_set(e, ERR_BAD_INPUT, "tarn topic cannot %s: tarn topic help tells what it can", w->v[0]);
    w->v++;
    w->n--;
    w->action = act->word;
    w->args = act->args;
    ok = common_options(&t, e) && act->run(&t, e);
    fini(&t);
    return ok;
}
