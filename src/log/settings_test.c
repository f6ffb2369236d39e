/* Settings of topics: from text and back, what is refused, what is kept in the file. */
#include "log/settings.h"
#include "log/testlog.h"

static bool set(struct log_settings *s, const char *name, const char *value)
{
    const struct log_setting *row = log_setting_find(str_of(name));
    struct err e;

    return row && log_setting_parse(row, str_of(value), s, &e) && log_settings_check(s, &e);
}

static bool says(const struct log_settings *s, const char *name, const char *value)
{
    struct arena a = {0};
    bool same = str_is(log_setting_text(log_setting_find(str_of(name)), s, &a), value);

    arena_fini(&a);
    return same;
}

TEST(rows_are_in_order_and_their_defaults_are_fine)
{
    struct log_settings s, again;
    const struct log_setting *row, *before = NULL;
    struct arena a = {0};
    struct err e;

    log_settings_init(&s);
    again = s;
    OK(log_settings_check(&s, &e) && s.set == 0);
    for (size_t i = 0; (row = log_setting(i)) != NULL; before = row, i++) {
        OK(!before || strcmp(before->name, row->name) < 0);
        OK(!log_setting_is_set(row, &s));
        OK(log_setting_parse(row, log_setting_text(row, &s, &a), &again, &e)); // each default can be said
        OK(log_setting_is_set(row, &again));
        OK(strlen(row->sentence) > 10);
    }
    log_settings_mark(&s, &again);
    for (size_t i = 0; (row = log_setting(i)) != NULL; i++)
        log_setting_reset(row, &s, &again);
    OK(again.set == 0);
    log_settings_mark(&s, &again);
    OK(again.set == 0); // nothing had become another
    arena_fini(&a);
}

TEST(values_are_checked)
{
    static const struct {
        const char *name, *good, *bad[4];
    } cases[] = {
        {"retention.ms", "-1", {"-2", "x", "", "9223372036854775808"}},
        {"max.message.bytes", "0", {"-1", "1e3", "67108865", "1.5"}},
        {"segment.ms", " 1 ", {"0", "-1", "1 h", "0x1"}},
        {"segment.bytes", "14", {"13", "2147483648", "-5", "a"}},
        {"preallocate", "TRUE", {"yes", "1", "", "truee"}},
        {"min.cleanable.dirty.ratio", "0.25", {"1.1", "-0.1", "nan", ""}},
        {"compression.type", "lz4", {"lz5", "", "LZ4", "producer|gzip"}},
        {"compression.gzip.level", "-1", {"0", "10", "-2", "best"}},
        {"message.timestamp.type", "LogAppendTime", {"logappendtime", "", "now", "CreateTime,"}},
        {"cleanup.policy", "delete, compact", {"", "compact,x", "none", "compact;delete"}},
        {"remote.storage.enable", "false", {"true", "", "no", "0"}},
        {"follower.replication.throttled.replicas", "", {"*", "0:1", "none", "1"}},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct log_settings s;

        log_settings_init(&s);
        OK(set(&s, cases[i].name, cases[i].good));
        for (size_t k = 0; k < ARRAY_LEN(cases[i].bad); k++) {
            struct log_settings t;

            log_settings_init(&t);
            if (set(&t, cases[i].name, cases[i].bad[k])) {
                printf("# %s=%s was taken\n", cases[i].name, cases[i].bad[k]);
                OK(!"refused");
            }
        }
    }
    OK(!log_setting_find(STR("no.such")));
}

TEST(what_holds_between_settings)
{
    struct log_settings s;

    log_settings_init(&s);
    OK(set(&s, "max.compaction.lag.ms", "1000") && set(&s, "min.compaction.lag.ms", "1000"));
    OK(!set(&s, "min.compaction.lag.ms", "1001"));
}

TEST(lists_keep_their_order)
{
    struct log_settings s;

    log_settings_init(&s);
    OK(says(&s, "cleanup.policy", "delete"));
    OK(set(&s, "cleanup.policy", "delete,compact") && says(&s, "cleanup.policy", "delete,compact"));
    OK(set(&s, "cleanup.policy", "compact,delete") && says(&s, "cleanup.policy", "compact,delete"));
    OK(set(&s, "cleanup.policy", "compact") && says(&s, "cleanup.policy", "compact") && !s.remove);
    OK(set(&s, "min.cleanable.dirty.ratio", "1") && says(&s, "min.cleanable.dirty.ratio", "1.0"));
}

static bool rename_it(void *arg, struct log_settings *s, struct err *e)
{
    (void)arg;
    (void)e;
    return set(s, "delete.retention.ms", "86400000") && set(s, "min.cleanable.dirty.ratio", "0.1");
}

static bool refuse(void *arg, struct log_settings *s, struct err *e)
{
    (void)arg;
    s->retention_ms = 1;
    return err_set(e, ERR_INVALID, "not today");
}

TEST(what_was_set_is_kept)
{
    struct testlog t = {0};
    struct arena a = {0};
    struct log_topic topic;
    struct log_settings s;

    t.o.segment_bytes = 5 * MIB;
    OK(testlog_start(&t));
    log_settings_default(t.l, &s);
    s.compact = true; // without saying that it was set
    OK(set(&s, "compression.type", "zstd") && set(&s, "retention.ms", "604800000"));
    OK(log_create_topic(t.l, STR("t"), 1, &s, &t.e));
    OK(log_change_topic(t.l, STR("t"), rename_it, NULL, &t.e));
    OK(!log_change_topic(t.l, STR("t"), refuse, NULL, &t.e) && t.e.kind == ERR_INVALID);
    OK(!log_change_topic(t.l, STR("u"), rename_it, NULL, &t.e) && t.e.kind == ERR_NOT_FOUND);
    log_close(t.l);
    t.o.segment_bytes = 6 * MIB; // the topic follows the log's default
    OK(testlog_open(&t));
    OK(log_find_topic(t.l, STR("t"), &a, &topic));
    OK(says(&topic.settings, "cleanup.policy", "compact,delete") &&
       says(&topic.settings, "compression.type", "zstd"));
    OK(topic.settings.segment_bytes == (int64_t)(6 * MIB) && topic.settings.min_dirty_ratio < 0.2);
    OK(log_setting_is_set(log_setting_find(STR("cleanup.policy")), &topic.settings));
    OK(log_setting_is_set(log_setting_find(STR("retention.ms")), &topic.settings));
    OK(log_setting_is_set(log_setting_find(STR("delete.retention.ms")), &topic.settings));
    OK(!log_setting_is_set(log_setting_find(STR("segment.bytes")), &topic.settings));
    OK(topic.settings.retention_ms == 604800000);
    arena_fini(&a);
    OK(testlog_end(&t));
}

TEST_MAIN
