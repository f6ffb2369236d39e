/*
 * testset: a setting of a topic, changed by its name, for the tests of every room that has a log.
 */
#pragma once

#include "log/log.h"
#include "log/settings.h"

struct testset {
    const char *name, *value;
};

static inline bool testset_change(void *arg, struct log_settings *s, struct err *e)
{
    const struct testset *t = arg;

    return log_setting_parse(log_setting_find(str_of(t->name)), str_of(t->value), s, e);
}

static inline bool testset_topic(struct log *l, const char *topic, const char *name, const char *value)
{
    struct testset t = {name, value};
    struct err e;

    return log_change_topic(l, str_of(topic), testset_change, &t, &e);
}
