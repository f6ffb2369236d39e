/*
 * conf_int: the rows of settings.def as data, for the files of conf/.
 */
#pragma once

#include "conf/conf.h"

enum setting_type {
    SETTING_STRING,
    SETTING_SECRET,
    SETTING_CHOICE,
    SETTING_INT,
    SETTING_BYTES,
    SETTING_PORT,
    SETTING_LIST
};

struct setting {
    const char *name;
    enum setting_type type;
    const char *otherwise, *least, *most, *unit, *sentence;
    size_t at;    // in struct settings, or in struct conf_user
    bool of_user; // the name is users.NAME.something
};

extern const struct setting conf_rows[];
extern const size_t conf_row_count;

enum { CONF_USER_PREFIX = 6 }; // "users."

const struct setting *conf_find(struct str name); // NULL when there is none
const char *conf_nearest(struct str name);        // the known name most like it; NULL when none is
/* True when a setting's name begins with name and a dot. */
bool conf_is_section(struct str name);
/* What is allowed, in words: "a port from 0 to 65535, or off". */
void conf_allowed(const struct setting *row, struct buf *b);
/* The user of that name, made when there is none yet. */
struct conf_user *conf_user(struct settings *s, struct arena *a, struct str name);
/* name: the row's, or with a user's name in it. */
bool conf_set(struct settings *s, struct arena *a, const struct setting *row, struct str name,
              struct str value, struct err *e) MUST_CHECK;
