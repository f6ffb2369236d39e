#define PCRE2_CODE_UNIT_WIDTH 8

#include "group/topic_pattern.h"

#include "base/mem.h"

#include <pcre2.h>
#include <stdio.h>

enum { WORKSPACE = 16384, REPEAT_MAX = 1000, NEST_MAX = 100 };

struct topic_pattern {
    pcre2_code *code;
    pcre2_match_data *found;
    pcre2_match_context *limits;
};

/* ---- what RE2 knows ---- */

static char at(struct str s, size_t i)
{
    return i < s.n ? s.p[i] : '\0';
}

/* Behind "(?": a group that does not capture, has a name, or sets flags. */
static bool group_ok(struct str s, size_t i)
{
    size_t start = i;

    if (at(s, i) == 'P')
        return at(s, i + 1) == '<';
    while (at(s, i) != '\0' && strchr("imsU-", at(s, i)))
        i++;
    return at(s, i) == ':' || (at(s, i) == ')' && i > start);
}

/* The letter behind a backslash; punctuation stands for itself. */
static bool escape_ok(char c)
{
    if (c == '\0' || (unsigned char)c >= 0x80)
        return false;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return strchr("aftnrvxQEAbBzdDsSwWpP0", c) != NULL;
    return true;
}

/* The number of "{n" is read by PCRE2; here only that it is not above RE2's limit. */
static bool repeat_ok(struct str s, size_t i)
{
    for (int n = 0; i < s.n && s.p[i] != '}'; i++) {
        if (s.p[i] == ',')
            n = 0;
        else if (s.p[i] < '0' || s.p[i] > '9')
            return true; // not a repeat, so it stands for itself
        else if ((n = n * 10 + (s.p[i] - '0')) > REPEAT_MAX)
            return false;
    }
    return true;
}

/* One piece of a pattern, outside of brackets: why it is not RE2's, or NULL. *repeats: it is a repeat of what is before it. */
static const char *piece(struct str s, size_t i, bool *repeats)
{
    bool again = *repeats;

    *repeats = false;
    switch (s.p[i]) {
    case '(':
        if (at(s, i + 1) == '*')
            return "verbs";
        return at(s, i + 1) == '?' && !group_ok(s, i + 2)
                   ? "groups that look around, are atomic or have conditions"
                   : NULL;
    case '*':
    case '+':
        *repeats = true;
        return again ? "a repeat of a repeat" : NULL;
    case '?':
        return NULL; // after a repeat it makes it lazy, which changes nothing here
    case '{':
        return repeat_ok(s, i + 1) ? NULL : "repeats above 1000";
    default:
        return NULL;
    }
}

/* The end of a bracket that begins at i; RE2 and PCRE2 agree on what is in it. */
static size_t bracket_end(struct str s, size_t i)
{
    i += at(s, i + 1) == '^' ? 2 : 1;
    for (i += at(s, i) == ']'; i < s.n && s.p[i] != ']'; i++) {
        if (s.p[i] == '\\') {
            i++;
        } else if (s.p[i] == '[' && at(s, i + 1) == ':') {
            for (i += 2; i < s.n && s.p[i] != ']';)
                i++;
        }
    }
    return i;
}

static const char *not_re2(struct str s)
{
    bool repeats = false;

    for (size_t i = 0; i < s.n; i++) {
        const char *why = NULL;

        if (s.p[i] == '\\') {
            if (!escape_ok(at(s, i + 1)))
                return "this escape";
            if (at(s, i + 1) == 'Q')
                while (i < s.n && !(s.p[i] == '\\' && at(s, i + 1) == 'E'))
                    i++;
            i++;
            repeats = false;
        } else if (s.p[i] == '[') {
            i = bracket_end(s, i);
            repeats = false;
        } else {
            why = piece(s, i, &repeats);
        }
        if (why)
            return why;
    }
    return NULL;
}

/* ---- life ---- */

struct topic_pattern *topic_pattern_new(struct str text, char why[160])
{
    struct topic_pattern *p;
    const char *not = text.n > TOPIC_PATTERN_MAX ? "so many bytes" : not_re2(text);
    pcre2_compile_context *how;
    pcre2_code *code;
    PCRE2_SIZE where = 0;
    int error = 0;

    if (not ) {
        (void)snprintf(why, 160, "a pattern of topics has RE2's syntax, which does not know %s", not );
        return NULL;
    }
    how = pcre2_compile_context_create(NULL);
    (void)pcre2_set_parens_nest_limit(how, NEST_MAX);
    code = pcre2_compile((PCRE2_SPTR)text.p, text.n, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_ANCHORED,
                         &error, &where, how);
    pcre2_compile_context_free(how);
    if (!code) {
        char told[100] = "";

        (void)pcre2_get_error_message(error, (PCRE2_UCHAR *)told, sizeof told);
        (void)snprintf(why, 160, "at byte %zu: %s", (size_t)where, told);
        return NULL;
    }
    p = MEM_NEW(struct topic_pattern);
    p->code = code;
    p->found = pcre2_match_data_create(1, NULL);
    p->limits = pcre2_match_context_create(NULL);
    (void)pcre2_set_match_limit(p->limits, 100000);
    (void)pcre2_set_depth_limit(p->limits, NEST_MAX);
    return p;
}

void topic_pattern_free(struct topic_pattern *p)
{
    if (!p)
        return;
    pcre2_match_context_free(p->limits);
    pcre2_match_data_free(p->found);
    pcre2_code_free(p->code);
    mem_free(p);
}

/* The longest match comes first, so the whole name matches when that one is as long. */
bool topic_pattern_matches(struct topic_pattern *p, struct str name)
{
    int *space = MEM_ARRAY(int, WORKSPACE); // not the pattern's: there may be as many of these as members
    int n = pcre2_dfa_match(p->code, (PCRE2_SPTR)name.p, name.n, 0, PCRE2_ANCHORED, p->found, p->limits,
                            space, WORKSPACE);

    mem_free(space);
    return n >= 0 && pcre2_get_ovector_pointer(p->found)[1] == name.n;
}
