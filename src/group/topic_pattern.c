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

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The letter behind a backslash, one of `known`; punctuation stands for itself. */
static bool escape_ok(char c, const char *known)
{
    if (c == '\0' || (unsigned char)c >= 0x80)
        return false;
    if (is_letter(c) || (c >= '0' && c <= '9'))
        return strchr(known, c) != NULL;
    return true;
}

/* The end of "{2}", "{2,}" or "{2,3}", with *most its largest number; 0: the brace is no repeat but stands for itself. */
static size_t repeat_end(struct str s, size_t i, int *most)
{
    bool digit = false, comma = false;

    *most = 0;
    for (int n = 0; i < s.n && s.p[i] != '}'; i++) {
        char c = s.p[i];

        if (c == ',' && digit && !comma) {
            comma = true;
            n = 0;
        } else if (c >= '0' && c <= '9') {
            digit = true;
            n = n > REPEAT_MAX ? n : n * 10 + (c - '0');
            *most = n > *most ? n : *most;
        } else {
            return 0;
        }
    }
    return digit && i < s.n ? i : 0;
}

/* A walk through a pattern. */
struct walk {
    struct str s;
    size_t i;
    bool repeats; // what is before i is a repeat, which may not be repeated
};

/* A repeat that ends at `end`, with what makes it lazy, which changes nothing here. */
static const char *repeat(struct walk *w, size_t end, int most)
{
    bool again = w->repeats;

    w->i = at(w->s, end + 1) == '?' ? end + 1 : end;
    w->repeats = true;
    return again ? "a repeat of a repeat" : most > REPEAT_MAX ? "repeats above 1000" : NULL;
}

static const char *piece(struct walk *w)
{
    struct str s = w->s;
    size_t i = w->i, end;
    int most = 0;

    switch (s.p[i]) {
    case '*':
    case '+':
    case '?':
        return repeat(w, i, 0);
    case '{':
        end = repeat_end(s, i + 1, &most);
        if (end > 0)
            return repeat(w, end, most);
        break;
    case '(':
        if (at(s, i + 1) == '*')
            return "verbs";
        if (at(s, i + 1) == '?') {
            if (!group_ok(s, i + 2))
                return "groups that look around, are atomic or have conditions";
            w->i++;
        }
        break;
    default:
        break;
    }
    w->repeats = false;
    return NULL;
}

/* Behind "[:": the place of ":]"'s bracket; 0: it names no class, so PCRE2 takes each character for itself. */
static size_t class_end(struct str s, size_t i)
{
    for (i += at(s, i) == '^'; is_letter(at(s, i));)
        i++;
    return at(s, i) == ':' && at(s, i + 1) == ']' ? i + 1 : 0;
}

/* From '[' to its ']'. What is in between is for PCRE2, but where it ends must be the same for both. */
static const char *bracket(struct walk *w)
{
    struct str s = w->s;
    size_t i = w->i + (at(s, w->i + 1) == '^' ? 2 : 1), end;

    for (i += at(s, i) == ']'; i < s.n && s.p[i] != ']'; i++) {
        if (s.p[i] == '\\') {
            if (!escape_ok(at(s, ++i), "aftnrvxdDsSwWpP0"))
                return "this escape in brackets";
        } else if (s.p[i] == '[' && at(s, i + 1) == ':') {
            end = class_end(s, i + 2);
            i = end > 0 ? end : i;
        }
    }
    w->i = i;
    w->repeats = false;
    return NULL;
}

/* A backslash; "\Q" takes what is up to "\E" for itself. */
static const char *escape(struct walk *w)
{
    struct str s = w->s;
    size_t from = ++w->i + 1;

    if (!escape_ok(at(s, w->i), "aftnrvxQAbBzdDsSwWpP0"))
        return "this escape";
    if (at(s, w->i) != 'Q') {
        w->repeats = false;
        return NULL;
    }
    for (w->i = from; w->i < s.n && !(s.p[w->i] == '\\' && at(s, w->i + 1) == 'E');)
        w->i++;
    w->repeats = w->repeats && w->i == from;
    w->i++;
    return NULL;
}

static const char *not_re2(struct str s)
{
    const char *why = NULL;

    for (struct walk w = {.s = s}; w.i < s.n && !why; w.i++)
        why = s.p[w.i] == '\\' ? escape(&w) : s.p[w.i] == '[' ? bracket(&w) : piece(&w);
    return why;
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
    (void)pcre2_set_match_limit(p->limits, 1); // what goes through the name a second time is nothing of RE2's
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
