/*
 * tarn.yaml: libyaml gives events with their places; a mapping is walked by recursion, with the names above joined by
 * dots. Anchors and aliases are refused: settings need none, and they can make a small file huge.
 */
#include "base/limits.h"
#include "conf/conf_int.h"
#include "os/os.h"

#include <yaml.h>

enum { DEPTH_MAX = 8, NAME_MAX_BYTES = 200 };

struct walk {
    yaml_parser_t parser;
    struct settings *s;
    struct arena *a;
    struct conf_env *env;
    const char *file;
    struct map seen; // path -> line, as a pointer
    struct err *e;
};

struct place {
    size_t line, column; // from 1
};

static struct place place_of(const yaml_event_t *ev)
{
    return (struct place){ev->start_mark.line + 1, ev->start_mark.column + 1};
}

static bool wrong_at(struct walk *w, struct place at)
{
    return err_wrap(w->e, "%s:%zu:%zu", w->file, at.line, at.column);
}

static bool next(struct walk *w, yaml_event_t *ev)
{
    const yaml_parser_t *p = &w->parser;

    if (yaml_parser_parse(&w->parser, ev))
        return true;
    return err_set(w->e, ERR_BAD_INPUT, "%s:%zu:%zu: not YAML: %s%s%s", w->file, p->problem_mark.line + 1,
                   p->problem_mark.column + 1, p->problem ? p->problem : "unreadable", p->context ? ", " : "",
                   p->context ? p->context : "");
}

static struct str scalar(const yaml_event_t *ev)
{
    return str_from(ev->data.scalar.value, ev->data.scalar.length);
}

/* An empty plain scalar, ~ or null: nothing is there. */
static bool is_null(const yaml_event_t *ev)
{
    struct str v = scalar(ev);

    return ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (v.n == 0 || str_is(v, "~") || str_is(v, "null"));
}

static bool unknown(struct walk *w, struct str path, struct place at)
{
    const char *nearest = conf_nearest(path);

    (void)err_set(w->e, ERR_INVALID, "there is no setting %.*s%s%s", STR_ARG(path),
                  nearest ? ", did you mean " : "", nearest ? nearest : "");
    return wrong_at(w, at);
}

static bool wrong_type(struct walk *w, const struct setting *row, const char *is, struct place at)
{
    struct buf allowed = buf_make(400);

    conf_allowed(row, &allowed);
    (void)err_set(w->e, ERR_INVALID, "%s is %s, expected %s", row->name, is, buf_z(&allowed));
    buf_fini(&allowed);
    return wrong_at(w, at);
}

static bool set(struct walk *w, const struct setting *row, struct str path, const yaml_event_t *ev)
{
    struct str value;

    if (!conf_expand(w->a, w->env, scalar(ev), &value, w->e) || !conf_set(w->s, w->a, row, path, value, w->e))
        return wrong_at(w, place_of(ev));
    return true;
}

static bool walk_list(struct walk *w, const struct setting *row)
{
    yaml_event_t ev;
    bool ok = true, more = true;

    while (ok && more) {
        if (!next(w, &ev))
            return false;
        if (ev.type == YAML_SEQUENCE_END_EVENT)
            more = false;
        else if (ev.type == YAML_SCALAR_EVENT && !is_null(&ev))
            ok = set(w, row, str_of(row->name), &ev);
        else
            ok = wrong_type(w, row, "a list of something else", place_of(&ev));
        yaml_event_delete(&ev);
    }
    return ok;
}

static bool walk_mapping(struct walk *w, struct str prefix, int depth);

/* A key right below `users` is a user's name, and has settings below it. */
static bool is_user(struct str path, int depth)
{
    return depth == 1 && str_starts(path, STR("users."));
}

static bool is_section(struct str path, int depth)
{
    return is_user(path, depth) ? path.n > CONF_USER_PREFIX : conf_is_section(path);
}

static bool walk_value(struct walk *w, struct str path, struct place key_at, int depth)
{
    const struct setting *row = conf_find(path);
    yaml_event_t ev;
    struct place at;
    bool ok;

    if (!row && !is_section(path, depth))
        return unknown(w, path, key_at);
    if (!row &&
        is_user(path,
                depth)) // also one with nothing below: who names a user does not want a door for everybody
        (void)conf_user(w->s, w->a, str_from(path.p + CONF_USER_PREFIX, path.n - CONF_USER_PREFIX));
    if (!next(w, &ev))
        return false;
    at = place_of(&ev);
    if (ev.type == YAML_ALIAS_EVENT) {
        (void)err_set(w->e, ERR_INVALID, "anchors and aliases are not used in settings");
        ok = wrong_at(w, at);
    } else if (row && ev.type == YAML_SCALAR_EVENT) {
        if (row->type == SETTING_LIST && !is_null(&ev))
            ok = wrong_type(w, row, "one value", at);
        else
            ok = is_null(&ev) || set(w, row, path, &ev); // "name:" with nothing behind it: the default stays
    } else if (row && ev.type == YAML_SEQUENCE_START_EVENT) {
        ok = row->type == SETTING_LIST ? walk_list(w, row) : wrong_type(w, row, "a list", at);
    } else if (row) {
        ok = wrong_type(w, row, "a section", at);
    } else if (ev.type == YAML_MAPPING_START_EVENT) {
        ok = walk_mapping(w, path, depth + 1);
    } else if (ev.type == YAML_SCALAR_EVENT && is_null(&ev)) {
        ok = true;
    } else {
        (void)err_set(w->e, ERR_INVALID,
                      "%.*s is a section: its settings stand indented below it, each as `name: value`",
                      STR_ARG(path));
        ok = wrong_at(w, at);
    }
    yaml_event_delete(&ev);
    return ok;
}

static bool join(struct walk *w, struct str prefix, struct str key, struct str *path)
{
    if (prefix.n + key.n + 1 > NAME_MAX_BYTES || memchr(key.p, 0, key.n))
        return err_set(w->e, ERR_INVALID, "a name of %zu bytes is no setting", prefix.n + key.n);
    *path = str_of(prefix.n > 0 ? arena_fmt(w->a, "%.*s.%.*s", STR_ARG(prefix), STR_ARG(key))
                                : arena_fmt(w->a, "%.*s", STR_ARG(key)));
    return true;
}

static bool walk_key(struct walk *w, struct str prefix, const yaml_event_t *ev, int depth)
{
    struct place at = place_of(ev);
    struct str path;
    void *first;

    if (ev->type != YAML_SCALAR_EVENT) {
        (void)err_set(w->e, ERR_INVALID, "a setting's name is a word");
        return wrong_at(w, at);
    }
    if (!join(w, prefix, scalar(ev), &path))
        return wrong_at(w, at);
    first = map_put(&w->seen, path, (void *)(uintptr_t)at.line);
    if (first) {
        (void)err_set(w->e, ERR_INVALID, "%.*s is given twice, first on line %zu", STR_ARG(path),
                      (size_t)(uintptr_t)first);
        return wrong_at(w, at);
    }
    return walk_value(w, path, at, depth);
}

static bool walk_mapping(struct walk *w, struct str prefix, int depth) // NOLINT(misc-no-recursion): DEPTH_MAX
{
    yaml_event_t ev;
    bool ok = true, more = true;

    if (depth > DEPTH_MAX)
        return err_set(w->e, ERR_INVALID, "%s: nested deeper than %d", w->file, DEPTH_MAX);
    while (ok && more) {
        if (!next(w, &ev))
            return false;
        if (ev.type == YAML_MAPPING_END_EVENT)
            more = false;
        else
            ok = walk_key(w, prefix, &ev, depth);
        yaml_event_delete(&ev);
    }
    return ok;
}

/* Stream and document around the one mapping. */
static bool walk_file(struct walk *w)
{
    bool ok = true, end = false, seen_document = false;
    yaml_event_t ev;

    while (ok && !end) {
        if (!next(w, &ev))
            return false;
        struct place at = place_of(&ev);
        if (ev.type == YAML_STREAM_END_EVENT) {
            end = true;
        } else if (ev.type == YAML_DOCUMENT_START_EVENT) {
            if (seen_document) {
                (void)err_set(w->e, ERR_INVALID, "settings are one document, here begins a second");
                ok = wrong_at(w, at);
            }
            seen_document = true;
        } else if (ev.type == YAML_MAPPING_START_EVENT) {
            ok = walk_mapping(w, STR(""), 0);
        } else if (ev.type == YAML_SEQUENCE_START_EVENT || ev.type == YAML_ALIAS_EVENT ||
                   (ev.type == YAML_SCALAR_EVENT && !is_null(&ev))) {
            (void)err_set(w->e, ERR_INVALID, "settings are names with values, as in `kafka:`");
            ok = wrong_at(w, at);
        }
        yaml_event_delete(&ev);
    }
    return ok;
}

bool conf_parse(struct settings *s, struct arena *a, const char *file, struct str text, struct conf_env *env,
                struct err *e)
{
    struct walk w = {.s = s, .a = a, .env = env, .file = file, .e = e};
    bool ok;

    if (!yaml_parser_initialize(&w.parser))
        return err_set(e, ERR_LIMIT, "%s: no memory for the YAML reader", file);
    yaml_parser_set_input_string(&w.parser, (const unsigned char *)text.p, text.n);
    yaml_parser_set_encoding(&w.parser, YAML_UTF8_ENCODING);
    ok = walk_file(&w);
    yaml_parser_delete(&w.parser);
    map_fini(&w.seen);
    return ok;
}

bool conf_load(struct settings *s, struct arena *a, struct os *os, const char *path, struct conf_env *env,
               struct err *e)
{
    struct str text;

    if (!os_exists(os, path))
        return true;
    return os_read_file(os, path, LIMIT_SETTINGS, a, &text, e) && conf_parse(s, a, path, text, env, e);
}
