/* REST: compatibility checks, levels and modes. */
#include "registry/registry_int.h"

/* ---- compatibility ---- */

static void check(struct call *c, int version)
{
    struct schema_messages m = {.arena = c->a};
    struct schema_text t;
    struct err e;
    struct buf b;

    if (!call_schema(c, &t) || !call_ok(c, schema_check(c->s, c->subject, version, &t, &m, &e), &e))
        return;
    b = call_buf();
    buf_fmt(&b, "{\"is_compatible\":%s", m.count == 0 ? "true" : "false");
    if (call_flag(c, "verbose")) {
        buf_str(&b, STR(",\"messages\":["));
        for (size_t i = 0; i < m.count; i++) {
            if (i)
                buf_u8(&b, ',');
            buf_json(&b, m.list[i]);
        }
        buf_u8(&b, ']');
    }
    buf_u8(&b, '}');
    call_json(c, &b);
}

void call_check(struct call *c)
{
    check(c, 0);
}

void call_check_version(struct call *c)
{
    int version;

    if (call_version(c, c->part, &version))
        check(c, version);
}

/* ---- levels and modes ---- */

static void answer_word(struct call *c, const char *name, const char *value)
{
    struct buf b = call_buf();

    buf_fmt(&b, "{\"%s\":\"%s\"}", name, value);
    call_json(c, &b);
}

/* The word that a PUT's body gives for `name`, in the request's memory; null when it has none. False: has answered. */
static bool word(struct call *c, const char *name, struct str *out)
{
    json_t *body = call_body(c);
    const json_t *j = body ? json_object_get(body, name) : NULL;

    *out = STR_NULL;
    if (json_is_string(j))
        *out = arena_str(c->a, str_from(json_string_value(j), json_string_length(j)));
    json_decref(body);
    return body != NULL;
}

static bool is_global(const struct call *c)
{
    return !c->subject.p;
}

static void no_subject(struct call *c)
{
    call_error(c, SCHEMA_NO_SUBJECT, arena_fmt(c->a, "Subject '%.*s' not found.", STR_ARG(c->subject)));
}

void call_level_get(struct call *c)
{
    enum schema_level level = schema_level_get(c->s, c->subject);

    if (level == SCHEMA_LEVEL_UNSET && call_flag(c, "defaultToGlobal"))
        level = schema_level_get(c->s, STR_NULL);
    if (level == SCHEMA_LEVEL_UNSET)
        call_error(c, SCHEMA_NO_SUBJECT_LEVEL,
                   arena_fmt(c->a, "Subject '%.*s' does not have subject-level compatibility configured",
                             STR_ARG(c->subject)));
    else
        answer_word(c, "compatibilityLevel", schema_level_name(level));
}

void call_level_put(struct call *c)
{
    enum schema_level level;
    struct str name;
    struct err e;

    if (!word(c, "compatibility", &name))
        return;
    level = schema_level_of(name);
    if (level == SCHEMA_LEVEL_UNSET)
        call_error(c, SCHEMA_BAD_LEVEL,
                   "Invalid compatibility level. Valid values are none, backward, forward, full, "
                   "backward_transitive, "
                   "forward_transitive, and full_transitive");
    else if (call_ok(c, schema_level_set(c->s, c->subject, level, &e), &e))
        answer_word(c, "compatibility", schema_level_name(level));
}

void call_level_delete(struct call *c)
{
    enum schema_level before = schema_level_get(c->s, c->subject);
    struct err e;

    if (before == SCHEMA_LEVEL_UNSET && !is_global(c))
        no_subject(c);
    else if (call_ok(c, schema_level_set(c->s, c->subject, SCHEMA_LEVEL_UNSET, &e), &e))
        answer_word(c, "compatibilityLevel", schema_level_name(before));
}

void call_mode_get(struct call *c)
{
    enum schema_mode mode = schema_mode_get(c->s, c->subject);

    if (mode == SCHEMA_MODE_UNSET && call_flag(c, "defaultToGlobal"))
        mode = schema_mode_get(c->s, STR_NULL);
    if (mode == SCHEMA_MODE_UNSET)
        call_error(c, SCHEMA_NO_SUBJECT_MODE,
                   arena_fmt(c->a, "Subject '%.*s' does not have subject-level mode configured",
                             STR_ARG(c->subject)));
    else
        answer_word(c, "mode", schema_mode_name(mode));
}

void call_mode_put(struct call *c)
{
    enum schema_mode mode;
    struct str name;
    struct err e;

    if (!word(c, "mode", &name))
        return;
    mode = schema_mode_of(name);
    if (mode == SCHEMA_MODE_UNSET)
        call_error(c, SCHEMA_BAD_MODE, "Invalid mode. Valid values are READWRITE and READONLY");
    else if (call_ok(c, schema_mode_set(c->s, c->subject, mode, &e), &e))
        answer_word(c, "mode", schema_mode_name(mode));
}

void call_mode_delete(struct call *c)
{
    enum schema_mode before = schema_mode_get(c->s, c->subject);
    struct err e;

    if (before == SCHEMA_MODE_UNSET && !is_global(c))
        no_subject(c);
    else if (call_ok(c, schema_mode_set(c->s, c->subject, SCHEMA_MODE_UNSET, &e), &e))
        answer_word(c, "mode", schema_mode_name(before));
}
