/*
 * conf: what the user may set, and the environment.
 *
 * Settings are rows of conf/settings.def and fields of `struct settings`. They come from their defaults, then from tarn.yaml,
 * then from --set name=value. A value that is wrong names the file, the line, the column and what is allowed, and nothing
 * starts; so does an unknown key (with the nearest known one) and a key given twice.
 *
 * In values ${NAME} is replaced by a variable of the environment and ${NAME:-text} by text when there is none. The
 * environment is the process's, and under it the file .env of the project folder.
 *
 *     conf_env_load(&env, os, ".env", e)
 *     conf_defaults(&s, &arena)
 *     conf_load(&s, &arena, os, "tarn.yaml", &env, e)
 *     conf_check(&s, e)
 *
 * All text is in the arena given. Not for two threads at once; settings do not change after the start.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"

struct os;

struct conf_list {
    const char **v;
    size_t n;
};

#define CONF_TYPE_STRING const char *
#define CONF_TYPE_SECRET const char * /* as STRING, but never shown */
#define CONF_TYPE_CHOICE const char *
#define CONF_TYPE_INT    int64_t
#define CONF_TYPE_BYTES  int64_t
#define CONF_TYPE_PORT   int64_t /* 0: any free one; CONF_OFF */
#define CONF_TYPE_LIST   struct conf_list

enum { CONF_OFF = -1 };

/* One of the section `users`. */
struct conf_user {
    const char *name;
#define X(...)
#define U(field, name, type, otherwise, least, most, unit, sentence) CONF_TYPE_##type field;
#include "conf/settings.def"
#undef X
};

struct settings {
#define X(field, name, type, otherwise, least, most, unit, sentence) CONF_TYPE_##type field;
#include "conf/settings.def"
#undef X
    struct conf_user *users; // in the order of the file
    size_t user_count;
};

/* ---- environment ---- */

struct conf_env {
    struct map file; // of .env: name -> NUL-terminated value
    struct arena arena;
};

/* Lines NAME=value, with # comments, quotes as a shell has them, and `export` allowed. An absent file is fine. */
bool conf_env_load(struct conf_env *env, struct os *os, const char *path, struct err *e) MUST_CHECK;
void conf_env_fini(struct conf_env *env);
const char *conf_env_get(struct conf_env *env, const char *name); // NULL when it is not set
/* ${NAME} and ${NAME:-text} in text replaced, in a. A name that is not set is ERR_INVALID and named. */
bool conf_expand(struct arena *a, struct conf_env *env, struct str text, struct str *out,
                 struct err *e) MUST_CHECK;

/* ---- settings ---- */

void conf_defaults(struct settings *s, struct arena *a);
/* An absent file is fine: all defaults. */
bool conf_load(struct settings *s, struct arena *a, struct os *os, const char *path, struct conf_env *env,
               struct err *e) MUST_CHECK;
/* file: the name in messages. */
bool conf_parse(struct settings *s, struct arena *a, const char *file, struct str text, struct conf_env *env,
                struct err *e) MUST_CHECK;
/* "kafka.port=0". */
bool conf_assign(struct settings *s, struct arena *a, struct str assignment, struct err *e) MUST_CHECK;
/* What no single row can tell: who may listen beyond loopback, with which keys. */
bool conf_check(const struct settings *s, struct err *e) MUST_CHECK;

/* ---- reference ---- */

void conf_help(struct buf *b);     // for a terminal
void conf_markdown(struct buf *b); // docs/settings.md
/* {"kafka.port":9092,...}, secrets left out. */
void conf_json(const struct settings *s, struct buf *b);
