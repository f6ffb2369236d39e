#include "log/settings.h"

#include "base/limits.h"
#include "base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { NUMBER, FLAG, WORD, RATIO, POLICY, TIME_TYPE, ONE };

#define AT(field) offsetof(struct log_settings, field)
#define NUMBER_ROW(type, name, broker, field, least, most, otherwise, sentence)                    \
    {                                                                                              \
        name, broker, LOG_##type, false, sentence, NUMBER, AT(field), least, most, otherwise, NULL \
    }
#define FLAG_ROW(name, broker, field, sentence)                                 \
    {                                                                           \
        name, broker, LOG_BOOL, false, sentence, FLAG, AT(field), 0, 1, 0, NULL \
    }
#define ONE_ROW(type, name, broker, value, sentence)                     \
    {                                                                    \
        name, broker, LOG_##type, true, sentence, ONE, 0, 0, 0, 0, value \
    }

#define NO_TIERS "There is no tiered storage."

/* By name. */
static const struct log_setting rows[] = {
    {"cleanup.policy", "log.cleanup.policy", LOG_LIST, false,
     "delete: old segments go. compact: the last record of each key stays. Or both.", POLICY, AT(compact), 0,
     0, 0, NULL},
    NUMBER_ROW(INT, "compression.gzip.level", "compression.gzip.level", gzip_level, -1, 9, -1,
               "How hard gzip works when compression.type is gzip: 1 to 9, -1 for its own default."),
    NUMBER_ROW(INT, "compression.lz4.level", "compression.lz4.level", lz4_level, 1, 17, 9,
               "How hard lz4 works when compression.type is lz4; 9 is its fast way, others the slow one."),
    {"compression.type", "compression.type", LOG_STRING, false,
     "producer: batches stay as the producer packed them. Another one: they are packed anew with it when "
     "they are not packed so already.",
     WORD, AT(compression), 0, 0, LOG_COMPRESSION_PRODUCER, "producer|uncompressed|gzip|snappy|lz4|zstd"},
    NUMBER_ROW(INT, "compression.zstd.level", "compression.zstd.level", zstd_level, -131072, 22, 3,
               "How hard zstd works when compression.type is zstd."),
    NUMBER_ROW(LONG, "delete.retention.ms", "log.cleaner.delete.retention.ms", delete_retention_ms, 0,
               INT64_MAX, 86400000,
               "How long compaction keeps a record without a value, counted from the first run that saw it."),
    NUMBER_ROW(LONG, "file.delete.delay.ms", "log.segment.delete.delay.ms", file_delete_delay_ms, 0,
               INT64_MAX, 60000,
               "Without effect: files go at once, and who is reading one holds it open until the end."),
    NUMBER_ROW(LONG, "flush.messages", "log.flush.interval.messages", flush_messages, 1, INT64_MAX, INT64_MAX,
               "Without effect: every append is on disk before it is acknowledged."),
    NUMBER_ROW(LONG, "flush.ms", "log.flush.interval.ms", flush_ms, 0, INT64_MAX, INT64_MAX,
               "Without effect: every append is on disk before it is acknowledged."),
    ONE_ROW(LIST, "follower.replication.throttled.replicas", NULL, "", "There are no followers to throttle."),
    NUMBER_ROW(INT, "index.interval.bytes", "log.index.interval.bytes", index_interval_bytes, 0, INT32_MAX,
               4096, "Bytes of log between two entries of the index, for segments begun from now on."),
    ONE_ROW(LIST, "leader.replication.throttled.replicas", NULL, "", "There are no followers to throttle."),
    ONE_ROW(LONG, "local.retention.bytes", "log.local.retention.bytes", "-2", NO_TIERS),
    ONE_ROW(LONG, "local.retention.ms", "log.local.retention.ms", "-2", NO_TIERS),
    NUMBER_ROW(LONG, "max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms", max_compaction_lag_ms, 1,
               INT64_MAX, INT64_MAX, "Age at which records are compacted however few there are."),
    NUMBER_ROW(INT, "max.message.bytes", "message.max.bytes", max_message_bytes, 0, LIMIT_BATCH, 1048588,
               "The largest record batch that is taken."),
    NUMBER_ROW(LONG, "message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms",
               timestamp_after_ms, 0, INT64_MAX, 3600000,
               "How much newer than the broker's clock a record's time may be, with CreateTime."),
    NUMBER_ROW(LONG, "message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms",
               timestamp_before_ms, 0, INT64_MAX, INT64_MAX,
               "How much older than the broker's clock a record's time may be, with CreateTime."),
    {"message.timestamp.type", "log.message.timestamp.type", LOG_STRING, false,
     "CreateTime: as the producer says. LogAppendTime: when it was appended.", TIME_TYPE, AT(append_time), 0,
     0, 0, NULL},
    {"min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio", LOG_DOUBLE, false,
     "Share of closed segments that must be new since the last compaction before the next one.", RATIO,
     AT(min_dirty_ratio), 0, 0, 0, NULL},
    NUMBER_ROW(LONG, "min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms", min_compaction_lag_ms, 0,
               INT64_MAX, 0, "Age that records must have before they are compacted."),
    NUMBER_ROW(INT, "min.insync.replicas", "min.insync.replicas", min_insync_replicas, 1, INT32_MAX, 1,
               "Without effect: there is one broker, and its copy is on disk before it is acknowledged."),
    FLAG_ROW("preallocate", "log.preallocate", preallocate,
             "Without effect: segments always grow in reserved steps."),
    ONE_ROW(BOOL, "remote.log.copy.disable", NULL, "false", NO_TIERS),
    ONE_ROW(BOOL, "remote.log.delete.on.disable", NULL, "false", NO_TIERS),
    ONE_ROW(BOOL, "remote.storage.enable", NULL, "false", NO_TIERS),
    NUMBER_ROW(LONG, "retention.bytes", "log.retention.bytes", retention_bytes, -1, INT64_MAX, -1,
               "Bytes of a partition beyond which old segments go; -1: no limit."),
    NUMBER_ROW(LONG, "retention.ms", "log.retention.ms", retention_ms, -1, INT64_MAX, 604800000,
               "Age beyond which old segments go; -1: no limit."),
    NUMBER_ROW(INT, "segment.bytes", "log.segment.bytes", segment_bytes, 14, INT32_MAX, (int64_t)1 << 30,
               "Size of one segment file."),
    NUMBER_ROW(INT, "segment.index.bytes", "log.index.size.max.bytes", segment_index_bytes, 4, INT32_MAX,
               10485760, "Without effect: an index is as long as it must be."),
    NUMBER_ROW(LONG, "segment.jitter.ms", "log.roll.jitter.ms", segment_jitter_ms, 0, INT64_MAX, 0,
               "Most by which segment.ms is shortened, by chance, so that not all segments end at once."),
    NUMBER_ROW(LONG, "segment.ms", "log.roll.ms", segment_ms, 1, INT64_MAX, 604800000,
               "Age at which a new segment is begun though the old one is not full."),
    FLAG_ROW("unclean.leader.election.enable", "unclean.leader.election.enable", unclean_election,
             "Without effect: there is one broker, so no election loses records."),
};
static_assert(ARRAY_LEN(rows) <= 64, "log_settings.set has a bit a row");

/* ---- rows ---- */

const struct log_setting *log_setting(size_t i)
{
    return i < ARRAY_LEN(rows) ? &rows[i] : NULL;
}

const struct log_setting *log_setting_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_is(name, rows[i].name))
            return &rows[i];
    return NULL;
}

const struct log_setting *log_setting_of_broker(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].broker_name && str_is(name, rows[i].broker_name))
            return &rows[i];
    return NULL;
}

static uint64_t bit_of(const struct log_setting *row)
{
    return (uint64_t)1 << (row - rows);
}

bool log_setting_is_set(const struct log_setting *row, const struct log_settings *s)
{
    return (s->set & bit_of(row)) != 0;
}

static int64_t *number_of(const struct log_setting *row, struct log_settings *s)
{
    return (int64_t *)(void *)((char *)s + row->_at);
}

static int64_t number_in(const struct log_setting *row, const struct log_settings *s)
{
    return *(const int64_t *)(const void *)((const char *)s + row->_at);
}

/* ---- as text ---- */

static struct str nth_word(const char *words, int64_t n)
{
    struct str rest = str_of(words), word = STR_NULL;

    for (int64_t i = 0; i <= n; i++)
        (void)str_cut(&rest, '|', &word);
    return word;
}

static struct str policy_text(const struct log_settings *s)
{
    if (s->compact && s->remove)
        return s->remove_first ? STR("delete,compact") : STR("compact,delete");
    return s->compact ? STR("compact") : STR("delete");
}

/* As Java prints it: 0.5, 1.0. */
static struct str ratio_text(double ratio, struct arena *a)
{
    char *text = arena_fmt(a, "%.15g", ratio);

    if (!strpbrk(text, ".e"))
        text = arena_fmt(a, "%s.0", text);
    return str_of(text);
}

struct str log_setting_text(const struct log_setting *row, const struct log_settings *s, struct arena *a)
{
    switch ((enum kind)row->_kind) {
    case NUMBER:
        return str_of(arena_fmt(a, "%lld", (long long)number_in(row, s)));
    case FLAG:
        return number_in(row, s) ? STR("true") : STR("false");
    case WORD:
        return nth_word(row->_words, number_in(row, s));
    case RATIO:
        return ratio_text(s->min_dirty_ratio, a);
    case POLICY:
        return policy_text(s);
    case TIME_TYPE:
        return s->append_time ? STR("LogAppendTime") : STR("CreateTime");
    case ONE:
        break;
    }
    return str_of(row->_words);
}

/* ---- from text ---- */

static bool take_number(const struct log_setting *row, struct str text, struct log_settings *s, struct err *e)
{
    int64_t n;

    if (!str_i64(text, &n) || n < row->_least || n > row->_most)
        return err_set(e, ERR_INVALID, "%s: \"%.*s\" is not a whole number from %lld to %lld", row->name,
                       STR_ARG(text), (long long)row->_least, (long long)row->_most);
    *number_of(row, s) = n;
    return true;
}

static bool take_word(const struct log_setting *row, struct str text, struct log_settings *s, struct err *e)
{
    struct str rest = str_of(row->_words), word;

    for (int64_t i = 0; str_cut(&rest, '|', &word); i++)
        if (str_eq(word, text)) {
            *number_of(row, s) = i;
            return true;
        }
    return err_set(e, ERR_INVALID, "%s: \"%.*s\" is none of %s", row->name, STR_ARG(text), row->_words);
}

static bool take_flag(const struct log_setting *row, struct str text, struct log_settings *s, struct err *e)
{
    bool yes = str_eq_nocase(text, STR("true"));

    if (!yes && !str_eq_nocase(text, STR("false")))
        return err_set(e, ERR_INVALID, "%s: \"%.*s\" is not true or false", row->name, STR_ARG(text));
    *number_of(row, s) = yes;
    return true;
}

static bool take_ratio(const struct log_setting *row, struct str text, struct log_settings *s, struct err *e)
{
    char z[32] = "", *end = z;
    double n = -1;

    if (text.n > 0 && text.n < sizeof z) {
        memcpy(z, text.p, text.n);
        z[text.n] = 0;
        n = strtod(z, &end);
    }
    if (end == z || *end || !(n >= 0 && n <= 1)) // not a number is not in there either
        return err_set(e, ERR_INVALID, "%s: \"%.*s\" is not a number from 0 to 1", row->name, STR_ARG(text));
    s->min_dirty_ratio = n;
    return true;
}

static bool take_policy(struct str text, struct log_settings *s, struct err *e)
{
    bool compact = false, remove = false, remove_first = false;

    for (struct str rest = text, one; str_cut(&rest, ',', &one);) {
        one = str_trim(one);
        if (str_eq_nocase(one, STR("compact"))) {
            compact = true;
        } else if (str_eq_nocase(one, STR("delete"))) {
            remove_first = remove_first || !compact;
            remove = true;
        } else {
            return err_set(e, ERR_INVALID, "cleanup.policy: \"%.*s\" is not compact or delete", STR_ARG(one));
        }
    }
    if (!compact && !remove)
        return err_set(e, ERR_INVALID, "cleanup.policy: it must be compact, delete or both");
    s->compact = compact;
    s->remove = remove;
    s->remove_first = compact && remove_first;
    return true;
}

static bool take_time_type(struct str text, struct log_settings *s, struct err *e)
{
    if (!str_is(text, "CreateTime") && !str_is(text, "LogAppendTime"))
        return err_set(e, ERR_INVALID, "message.timestamp.type: \"%.*s\" is not CreateTime or LogAppendTime",
                       STR_ARG(text));
    s->append_time = str_is(text, "LogAppendTime");
    return true;
}

static bool take(const struct log_setting *row, struct str text, struct log_settings *s, struct err *e)
{
    switch ((enum kind)row->_kind) {
    case NUMBER:
        return take_number(row, text, s, e);
    case FLAG:
        return take_flag(row, text, s, e);
    case WORD:
        return take_word(row, text, s, e);
    case RATIO:
        return take_ratio(row, text, s, e);
    case POLICY:
        return take_policy(text, s, e);
    case TIME_TYPE:
        return take_time_type(text, s, e);
    case ONE:
        break;
    }
    return str_is(text, row->_words) || err_set(e, ERR_INVALID, "%s is always \"%s\" here, not \"%.*s\": %s",
                                                row->name, row->_words, STR_ARG(text), row->sentence);
}

bool log_setting_parse(const struct log_setting *row, struct str text, struct log_settings *s, struct err *e)
{
    if (text.n > LIMIT_NAME)
        return err_set(e, ERR_INVALID, "%s: a value of %zu bytes", row->name, text.n);
    if (!take(row, str_trim(text), s, e))
        return false;
    s->set |= bit_of(row);
    return true;
}

/* ---- all of them ---- */

static void copy(const struct log_setting *row, const struct log_settings *from, struct log_settings *to)
{
    switch ((enum kind)row->_kind) {
    case NUMBER:
    case FLAG:
    case WORD:
        *number_of(row, to) = number_in(row, from);
        break;
    case RATIO:
        to->min_dirty_ratio = from->min_dirty_ratio;
        break;
    case POLICY:
        to->compact = from->compact;
        to->remove = from->remove;
        to->remove_first = from->remove_first;
        break;
    case TIME_TYPE:
        to->append_time = from->append_time;
        break;
    case ONE:
        break;
    }
}

void log_setting_reset(const struct log_setting *row, const struct log_settings *defaults,
                       struct log_settings *s)
{
    copy(row, defaults, s);
    s->set &= ~bit_of(row);
}

static bool differs(const struct log_setting *row, const struct log_settings *a, const struct log_settings *b)
{
    switch ((enum kind)row->_kind) {
    case NUMBER:
    case FLAG:
    case WORD:
        return number_in(row, a) != number_in(row, b);
    case RATIO:
        return islessgreater(a->min_dirty_ratio, b->min_dirty_ratio);
    case POLICY:
        return a->compact != b->compact || a->remove != b->remove || a->remove_first != b->remove_first;
    case TIME_TYPE:
        return a->append_time != b->append_time;
    case ONE:
        break;
    }
    return false;
}

void log_settings_mark(const struct log_settings *defaults, struct log_settings *s)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (differs(&rows[i], defaults, s))
            s->set |= bit_of(&rows[i]);
}

void log_settings_init(struct log_settings *s)
{
    *s = (struct log_settings){.remove = true, .min_dirty_ratio = 0.5};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i]._kind == NUMBER || rows[i]._kind == FLAG || rows[i]._kind == WORD)
            *number_of(&rows[i], s) = rows[i]._otherwise;
}

bool log_settings_check(const struct log_settings *s, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i]._kind == NUMBER &&
            (number_in(&rows[i], s) < rows[i]._least || number_in(&rows[i], s) > rows[i]._most))
            return err_set(e, ERR_INVALID, "%s is %lld, allowed are %lld to %lld", rows[i].name,
                           (long long)number_in(&rows[i], s), (long long)rows[i]._least,
                           (long long)rows[i]._most);
    if (s->gzip_level == 0)
        return err_set(e, ERR_INVALID, "compression.gzip.level is 0, allowed are 1 to 9 and -1");
    if (s->min_compaction_lag_ms > s->max_compaction_lag_ms)
        return err_set(e, ERR_INVALID, "min.compaction.lag.ms (%lld) is above max.compaction.lag.ms (%lld)",
                       (long long)s->min_compaction_lag_ms, (long long)s->max_compaction_lag_ms);
    return true;
}

/* ---- for people ---- */

static void allowed(const struct log_setting *row, struct buf *b)
{
    struct str rest = str_of(row->_words), word;

    switch ((enum kind)row->_kind) {
    case NUMBER:
        buf_fmt(b, "a whole number from %lld", (long long)row->_least);
        if (row->_most != INT64_MAX && row->_most != INT32_MAX)
            buf_fmt(b, " to %lld", (long long)row->_most);
        break;
    case FLAG:
        buf_str(b, STR("true or false"));
        break;
    case WORD:
        for (bool first = true; str_cut(&rest, '|', &word); first = false)
            buf_fmt(b, "%s%.*s", first ? "" : ", ", STR_ARG(word));
        break;
    case RATIO:
        buf_str(b, STR("a number from 0 to 1"));
        break;
    case POLICY:
        buf_str(b, STR("delete, compact, or both with a comma"));
        break;
    case TIME_TYPE:
        buf_str(b, STR("CreateTime or LogAppendTime"));
        break;
    case ONE:
        buf_str(b, STR("nothing else"));
        break;
    }
}

static void page_row(const struct log_setting *row, const struct log_settings *defaults, bool markdown,
                     struct buf *b)
{
    struct arena a = {0};
    struct str value = log_setting_text(row, defaults, &a);

    if (markdown)
        buf_fmt(b, "| `%s` | %s%.*s%s | ", row->name, value.n ? "`" : "", STR_ARG(value), value.n ? "`" : "");
    else
        buf_fmt(b, "\n%s: %.*s\n    %s Allowed: ", row->name, STR_ARG(value), row->sentence);
    allowed(row, b);
    if (markdown)
        buf_fmt(b, " | %s |\n", row->sentence);
    else
        buf_str(b, STR(".\n"));
    arena_fini(&a);
}

void log_settings_page(struct buf *b, bool markdown)
{
    struct log_settings defaults;

    log_settings_init(&defaults);
    if (markdown)
        buf_str(
            b,
            STR("# Settings of topics\n\n"
                "This page is made from `src/log/settings.c` by `tarn help topic-settings --markdown`; a "
                "test keeps it "
                "current.\n\n"
                "Names, bounds and defaults are Kafka's. They are set when a topic is made or altered, by "
                "any Kafka "
                "client or `tarn topic`. What was not set follows the broker: what clients have set for it "
                "while "
                "it runs ([broker.md](broker.md)), else "
                "`log.segment_bytes` of "
                "`tarn.yaml` and Kafka's defaults. A value that would not be obeyed is refused, but for the "
                "settings below that "
                "begin with "
                "\"Without effect\": one broker, or what tarn always does, makes any value of them true.\n\n"
                "| setting | default | allowed | |\n|---|---|---|---|\n"));
    else
        buf_str(b, STR("Settings of topics, with Kafka's names.\n"));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        page_row(&rows[i], &defaults, markdown, b);
}

/* ---- what they mean for a batch that comes ---- */

int log_settings_codec(const struct log_settings *s, int given, int *level)
{
    *level = 0;
    switch ((enum log_compression)s->compression) {
    case LOG_COMPRESSION_PRODUCER:
        return given;
    case LOG_COMPRESSION_GZIP:
        *level = s->gzip_level == -1 ? 0 : (int)s->gzip_level;
        break;
    case LOG_COMPRESSION_LZ4:
        *level = s->lz4_level == 9 ? 0 : (int)s->lz4_level; // 9 says the fast way (Lz4Compression.java)
        break;
    case LOG_COMPRESSION_ZSTD:
        *level = (int)s->zstd_level;
        break;
    default:
        break;
    }
    return (int)(s->compression - LOG_COMPRESSION_UNCOMPRESSED);
}

static bool is_after(int64_t time, int64_t bound, int64_t by)
{
    return time > bound && (uint64_t)time - (uint64_t)bound > (uint64_t)by;
}

bool log_settings_time_ok(const struct log_settings *s, int64_t now_ms, int64_t time_ms, struct err *e)
{
    if (s->append_time || time_ms == -1)
        return true;
    if (is_after(time_ms, now_ms, s->timestamp_after_ms))
        return err_set(e, ERR_INVALID, "the time %lld is more than %lld ms after the broker's clock, %lld",
                       (long long)time_ms, (long long)s->timestamp_after_ms, (long long)now_ms);
    if (is_after(now_ms, time_ms, s->timestamp_before_ms))
        return err_set(e, ERR_INVALID, "the time %lld is more than %lld ms before the broker's clock, %lld",
                       (long long)time_ms, (long long)s->timestamp_before_ms, (long long)now_ms);
    return true;
}
