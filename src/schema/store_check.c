#include "base/mem.h"
#include "schema/avro.h"
#include "schema/store_int.h"

#include <assert.h>

static const char *const level_names[] = {
    [SCHEMA_LEVEL_UNSET] = "",      [SCHEMA_NONE] = "NONE",
    [SCHEMA_BACKWARD] = "BACKWARD", [SCHEMA_BACKWARD_TRANSITIVE] = "BACKWARD_TRANSITIVE",
    [SCHEMA_FORWARD] = "FORWARD",   [SCHEMA_FORWARD_TRANSITIVE] = "FORWARD_TRANSITIVE",
    [SCHEMA_FULL] = "FULL",         [SCHEMA_FULL_TRANSITIVE] = "FULL_TRANSITIVE",
};

const char *schema_level_name(enum schema_level l)
{
    assert(l <= SCHEMA_FULL_TRANSITIVE);
    return level_names[l];
}

enum schema_level schema_level_of(struct str name)
{
    for (enum schema_level l = SCHEMA_NONE; l <= SCHEMA_FULL_TRANSITIVE; l++)
        if (str_eq_nocase(name, str_of(level_names[l])))
            return l;
    return SCHEMA_LEVEL_UNSET;
}

/* What a level asks for. */
static bool asks_backward(enum schema_level l)
{
    return l == SCHEMA_BACKWARD || l == SCHEMA_BACKWARD_TRANSITIVE || l == SCHEMA_FULL ||
           l == SCHEMA_FULL_TRANSITIVE;
}

static bool asks_forward(enum schema_level l)
{
    return l == SCHEMA_FORWARD || l == SCHEMA_FORWARD_TRANSITIVE || l == SCHEMA_FULL ||
           l == SCHEMA_FULL_TRANSITIVE;
}

static bool asks_all(enum schema_level l)
{
    return l == SCHEMA_BACKWARD_TRANSITIVE || l == SCHEMA_FORWARD_TRANSITIVE || l == SCHEMA_FULL_TRANSITIVE;
}

static void say(struct schema_messages *out, const char *text)
{
    struct str *list = ARENA_ARRAY(out->arena, struct str, out->count + 1);

    for (size_t i = 0; i < out->count; i++)
        list[i] = out->list[i];
    list[out->count++] = str_of(text);
    out->list = list;
}

static bool compare(const struct avro *reader, const struct avro *writer, const char *who,
                    struct schema_messages *out, struct err *e)
{
    struct avro_difference *d;
    size_t n;

    if (!avro_compare(reader, writer, out->arena, &d, &n, e))
        return false;
    for (size_t i = 0; i < n; i++)
        say(out, arena_fmt(out->arena,
                           "{errorType:'%s', description:'%s: %.*s (at path '%s')', additionalInfo:'%.*s'}",
                           avro_difference_name(d[i].kind), who, STR_ARG(d[i].text),
                           d[i].path.n ? d[i].path.p : "/", STR_ARG(d[i].what)));
    return true;
}

/* Against one earlier version. */
static bool check_version(struct schema_store *s, const struct schema_version *old, const struct avro *tree,
                          enum schema_level level, struct schema_messages *out, struct err *e)
{
    struct str *known;
    size_t known_count, before = out->count;
    struct avro *was;

    if (!str_is(old->schema.type, "AVRO")) {
        say(out, "Incompatible because of different schema type");
        return true;
    }
    if (schema_known(s, &old->schema, out->arena, &known, &known_count, e) != SCHEMA_OK ||
        !avro_parse_with(out->arena, known, known_count, old->schema.text, &was, e))
        return err_wrap(e, "version %d of %.*s", old->version, STR_ARG(old->subject));
    if (asks_backward(level) && !compare(tree, was, "the new schema cannot read data of the old one", out, e))
        return false;
    if (asks_forward(level) && !compare(was, tree, "the old schema cannot read data of the new one", out, e))
        return false;
    if (out->count == before)
        return true;
    say(out, arena_fmt(out->arena, "{oldSchemaVersion: %d}", old->version));
    say(out, arena_fmt(out->arena, "{oldSchema: '%.*s'}", STR_ARG(old->schema.text)));
    say(out, arena_fmt(out->arena, "{compatibility: '%s'}", schema_level_name(level)));
    return true;
}

static enum schema_level level_in_force(struct schema_store *s, struct str subject)
{
    enum schema_level level = schema_level_get(s, subject);

    return level == SCHEMA_LEVEL_UNSET ? schema_level_get(s, STR_NULL) : level;
}

enum schema_code schema_check_parsed(struct schema_store *s, struct str subject, int version,
                                     const struct schema_parsed *t, struct schema_messages *out,
                                     struct err *e)
{
    enum schema_level level = level_in_force(s, subject);
    struct schema_version *old = NULL, one;
    struct avro *tree;
    size_t n = 0;

    if (version == 0) {
        (void)schema_versions(s, subject, SCHEMA_LIVE, out->arena, &old, &n);
    } else {
        enum schema_code code = schema_get(s, subject, version, false, out->arena, &one, e);

        if (code != SCHEMA_OK)
            return version == SCHEMA_LATEST ? SCHEMA_OK : code; // nothing there: nothing to break
        old = &one;
        n = 1;
    }
    if (level == SCHEMA_NONE || n == 0)
        return SCHEMA_OK;
    if (!avro_parse_with(out->arena, t->known, t->known_count, t->text.text, &tree, e))
        return SCHEMA_BAD_SCHEMA;
    for (size_t i = n; i > 0 && out->count == 0; i--) { // newest first, until one says no
        if (!check_version(s, &old[i - 1], tree, level, out, e))
            return SCHEMA_BAD_SCHEMA;
        if (!asks_all(level))
            break;
    }
    return SCHEMA_OK;
}

enum schema_code schema_check(struct schema_store *s, struct str subject, int version,
                              const struct schema_text *t, struct schema_messages *out, struct err *e)
{
    struct schema_parsed parsed;
    enum schema_code code = schema_parse(s, t, out->arena, &parsed, e);

    out->list = NULL;
    out->count = 0;
    return code == SCHEMA_OK ? schema_check_parsed(s, subject, version, &parsed, out, e) : code;
}
