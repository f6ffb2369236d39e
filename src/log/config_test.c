/* What clients set for brokers and groups: kept, followed by topics, whole under every fault. */
#include "log/config.h"

#include "log/log_int.h"
#include "log/testtold.h"

#include <fcntl.h>

struct want {
    const char *key, *value; // value NULL: out with it
};

static bool put(void *arg, struct log_pairs *p, struct arena *a, struct err *e)
{
    const struct want *w = arg;

    (void)e;
    log_pairs_put(p, a, str_of(w->key), w->value ? str_of(w->value) : STR_NULL);
    return true;
}

static bool set(struct testlog *t, enum log_config_scope scope, const char *name, const char *key,
                const char *value)
{
    struct want w = {key, value};

    return log_change_config(t->l, &(struct log_config_change){scope, str_of(name), put, &w, false}, &t->e);
}

static bool has(struct testlog *t, enum log_config_scope scope, const char *name, const char *key,
                const char *value)
{
    struct arena a = {0};
    struct log_pairs p;
    struct str got;
    bool same;

    log_config(t->l, scope, str_of(name), &a, &p);
    got = log_pairs_get(&p, str_of(key));
    same = value ? str_is(got, value) : !got.p;
    arena_fini(&a);
    return same;
}

static struct log_settings settings_of(struct testlog *t, const char *topic)
{
    struct arena a = {0};
    struct log_topic found = {0};

    OK(log_find_topic(t->l, str_of(topic), &a, &found));
    arena_fini(&a);
    return found.settings;
}

static bool is_own(const struct log_settings *s, const char *name)
{
    return log_setting_is_set(log_setting_find(str_of(name)), s);
}

static bool set_lag(void *arg, struct log_settings *s, struct err *e)
{
    (void)arg;
    return log_setting_parse(log_setting_find(STR("min.compaction.lag.ms")), STR("7"), s, e);
}

static void reopen(struct testlog *t)
{
    log_close(t->l);
    OK(testlog_open(t));
}

TEST(topics_follow_what_is_set_for_brokers)
{
    struct testlog t = {0};
    struct log_settings s;

    OK(testlog_start(&t) && testlog_topic(&t, "a", 1));
    log_settings_default(t.l, &s);
    s.retention_ms = 5;
    OK(log_create_topic(t.l, STR("own"), 1, &s, &t.e));
    OK(set(&t, LOG_OF_ALL_BROKERS, "", "log.retention.ms", "1000"));
    OK(settings_of(&t, "a").retention_ms == 1000 && settings_of(&t, "own").retention_ms == 5);
    OK(set(&t, LOG_OF_BROKER, "1", "log.retention.ms", "2000"));
    OK(set(&t, LOG_OF_BROKER, "1", "background.threads", "9")); // not the log's
    OK(settings_of(&t, "a").retention_ms == 2000);
    OK(testlog_topic(&t, "b", 1) && log_change_topic(t.l, STR("a"), set_lag, NULL, &t.e));
    for (int i = 0; i < 2; i++) {
        s = settings_of(&t, "b");
        OK(s.retention_ms == 2000 && s.set == 0);
        s = settings_of(&t, "a");
        OK(s.retention_ms == 2000 && !is_own(&s, "retention.ms") && is_own(&s, "min.compaction.lag.ms"));
        log_settings_now(t.l, &s);
        OK(s.retention_ms == 2000 && s.set == 0);
        log_settings_default(t.l, &s);
        OK(s.retention_ms == 604800000);
        OK(has(&t, LOG_OF_BROKER, "1", "background.threads", "9"));
        reopen(&t);
    }
    OK(set(&t, LOG_OF_BROKER, "1", "log.retention.ms", NULL));
    OK(settings_of(&t, "a").retention_ms == 1000 && settings_of(&t, "own").retention_ms == 5);
    OK(set(&t, LOG_OF_ALL_BROKERS, "", "log.retention.ms", NULL));
    OK(settings_of(&t, "b").retention_ms == 604800000);
    OK(testlog_end(&t));
}

/* A program's own compacted topic stays so when all topics were compacted on the day that it was made. */
TEST(what_a_maker_says_is_the_topics_own)
{
    struct testlog t = {0};
    struct log_settings s;

    OK(testlog_start(&t));
    OK(set(&t, LOG_OF_ALL_BROKERS, "", "log.cleanup.policy", "compact"));
    log_settings_default(t.l, &s);
    s.compact = true;
    s.remove = false;
    OK(log_create_topic(t.l, STR("state"), 1, &s, &t.e) && testlog_topic(&t, "other", 1));
    OK(settings_of(&t, "other").compact);
    OK(set(&t, LOG_OF_ALL_BROKERS, "", "log.cleanup.policy", NULL));
    s = settings_of(&t, "state");
    OK(s.compact && !s.remove && is_own(&s, "cleanup.policy"));
    OK(!settings_of(&t, "other").compact);
    OK(testlog_end(&t));
}

static bool has_gaps(struct testlog *t, const char *topic)
{
    struct part *p = part_find(t->l, str_of(topic), 0);
    struct log_settings s;
    bool gaps;

    OK(p != NULL);
    topic_settings(t->l, p->topic, &s, &gaps);
    part_unref(p);
    return gaps;
}

TEST(a_topic_that_was_compacted_for_a_while_is_known_for_it)
{
    struct testlog t = {0};

    OK(testlog_start(&t) && testlog_topic(&t, "a", 1));
    OK(!has_gaps(&t, "a"));
    OK(set(&t, LOG_OF_BROKER, "1", "log.cleanup.policy", "delete,compact"));
    OK(has_gaps(&t, "a"));
    OK(set(&t, LOG_OF_BROKER, "1", "log.cleanup.policy", NULL));
    reopen(&t);
    OK(has_gaps(&t, "a") && !settings_of(&t, "a").compact);
    OK(testlog_end(&t));
}

TEST(what_contradicts_is_refused_and_a_check_keeps_nothing)
{
    struct testlog t = {0};
    struct want w = {"log.retention.ms", "1"};
    struct arena a = {0};
    struct str *names;
    int64_t number;
    size_t n;

    OK(testlog_start(&t) && testlog_topic(&t, "a", 1));
    OK(set(&t, LOG_OF_BROKER, "1", "log.cleaner.max.compaction.lag.ms", "10"));
    OK(!set(&t, LOG_OF_ALL_BROKERS, "", "log.cleaner.min.compaction.lag.ms", "11"));
    OK(t.e.kind == ERR_INVALID && has(&t, LOG_OF_ALL_BROKERS, "", "log.cleaner.min.compaction.lag.ms", NULL));
    OK(!set(&t, LOG_OF_BROKER, "1", "log.retention.ms", "soon") && t.e.kind == ERR_INVALID);
    OK(log_change_config(t.l, &(struct log_config_change){LOG_OF_BROKER, STR("1"), put, &w, true}, &t.e));
    OK(settings_of(&t, "a").retention_ms == 604800000);
    OK(set(&t, LOG_OF_GROUP, "g", "consumer.session.timeout.ms", "50000"));
    OK(set(&t, LOG_OF_GROUP, "a", "consumer.session.timeout.ms", "50001"));
    reopen(&t);
    OK(log_config_number(t.l, LOG_OF_GROUP, STR("g"), STR("consumer.session.timeout.ms"), &number));
    OK(number == 50000);
    OK(!log_config_number(t.l, LOG_OF_GROUP, STR("g"), STR("consumer.heartbeat.interval.ms"), &number));
    log_config_names(t.l, LOG_OF_GROUP, &a, &names, &n);
    OK(n == 2 && str_is(names[0], "a") && str_is(names[1], "g"));
    OK(set(&t, LOG_OF_GROUP, "a", "consumer.session.timeout.ms", NULL));
    log_config_names(t.l, LOG_OF_GROUP, &a, &names, &n);
    OK(n == 1);
    arena_fini(&a);
    OK(testlog_end(&t));
}

/* A group's name is any bytes: what is kept must be read again, or the program would not start. */
TEST(names_with_zeros_are_others)
{
    static const char one[] = "g\0one", two[] = "g\0two";
    struct testlog t = {0};
    struct log_config_change c = {.scope = LOG_OF_GROUP, .fn = put};
    struct want w = {"consumer.session.timeout.ms", "50000"};

    c.arg = &w;
    OK(testlog_start(&t));
    c.name = str_from(one, sizeof one - 1);
    OK(log_change_config(t.l, &c, &t.e));
    c.name = str_from(two, sizeof two - 1);
    OK(has(&t, LOG_OF_GROUP, "g", w.key, NULL) && log_change_config(t.l, &c, &t.e));
    for (int i = 0; i < 2; i++) {
        int64_t number;

        OK(has(&t, LOG_OF_GROUP, "g", w.key, NULL));
        OK(log_config_number(t.l, LOG_OF_GROUP, str_from(one, sizeof one - 1), str_of(w.key), &number));
        reopen(&t);
    }
    OK(testlog_end(&t));
}

TEST(a_damaged_file_is_told)
{
    struct testlog t = {0};
    char path[TEMPDIR_MAX + 20], letter[] = "x";
    int fd;

    OK(testlog_start(&t) && set(&t, LOG_OF_BROKER, "1", "log.retention.ms", "1000"));
    log_close(t.l);
    (void)snprintf(path, sizeof path, "%s/config.list", t.dir);
    fd = os_open(os_real(), path, O_WRONLY, &t.e);
    OK(fd >= 0 && os_real()->pwritev(os_real(), fd, &(struct iovec){letter, 1}, 1, 30) == 1);
    os_close(os_real(), fd);
    OK(!testlog_open(&t) && t.e.kind == ERR_CORRUPT && strstr(t.e.msg, "config.list"));
    t.l = NULL;
    OK(testlog_end(&t));
}

/* ---- under faults ---- */

static void change_twice(struct told *d)
{
    if (set(&d->t, LOG_OF_BROKER, "1", "log.cleanup.policy", "compact"))
        d->step = 1;
    if (d->step == 1 && set(&d->t, LOG_OF_BROKER, "1", "log.retention.ms", "1000"))
        d->step = 2;
    told_append(d, 10);
}

/* What was answered is kept; what was not is there whole or not at all; and topics follow what is kept. */
static bool config_holds(struct told *d)
{
    bool ok = told_open(d, os_real()), first, second;
    struct log_settings s;

    if (ok) {
        first = has(&d->t, LOG_OF_BROKER, "1", "log.cleanup.policy", "compact");
        second = has(&d->t, LOG_OF_BROKER, "1", "log.retention.ms", "1000");
        ok = (first || d->step < 1) && (second || d->step < 2) && (first || !second);
        s = settings_of(&d->t, "b");
        ok = ok && s.compact == first && (s.retention_ms == 1000) == second &&
             (!first || has_gaps(&d->t, "b"));
        log_close(d->t.l);
        d->t.l = NULL;
    }
    return ok;
}

static bool config_scenario(struct os *os, void *arg)
{
    struct told d = {0};
    bool ok = told_prepare(&d, 1 << 20, false) && told_open(&d, os_real());

    (void)arg;
    ok = ok && testlog_topic(&d.t, "b", 1);
    log_close(d.t.l);
    d.t.l = NULL;
    if (ok && told_open(&d, os)) {
        change_twice(&d);
        log_close(d.t.l);
        d.t.l = NULL;
    }
    return told_end(&d, ok && config_holds(&d) && told_holds_after(&d));
}

TEST(settings_hold_under_every_fault)
{
    unsigned faults;

    OK(os_fault_walk(config_scenario, NULL, &faults));
    printf("# %u faults\n", faults);
    OK(faults > 100);
}

TEST_MAIN
