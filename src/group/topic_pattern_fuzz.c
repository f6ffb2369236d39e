/*
 * The first line as a pattern, the rest as names: what is taken is taken by a second way through PCRE2 too, the one with going back, and
 * matches the same names, unless that way takes too long. What RE2 does not know (looking around, atomic groups) matches nothing
 * here, so a pattern that got by would show.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "base/utf8.h"
#include "group/topic_pattern.h"

#include <assert.h>
#include <pcre2.h>

enum { NAMES = 8, NAME_BYTES = 249 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* 1, 0, or -1: it went back too often to tell. */
static int goes_back(const pcre2_code *code, struct str name)
{
    pcre2_match_data *found = pcre2_match_data_create(1, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    int r;

    (void)pcre2_set_match_limit(limits, 20000);
    r = pcre2_match(code, (PCRE2_SPTR)name.p, name.n, 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED, found, limits);
    pcre2_match_context_free(limits);
    pcre2_match_data_free(found);
    return r >= 0 ? 1 : r == PCRE2_ERROR_NOMATCH ? 0 : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str rest = str_from(data, n), text = STR(""), name;
    struct topic_pattern *p;
    pcre2_code *code;
    size_t where;
    int error;
    char why[160] = "";

    (void)str_cut(&rest, '\n', &text);
    p = topic_pattern_new(text, why);
    if (!p) {
        assert(why[0] != '\0');
        return 0;
    }
    code =
        pcre2_compile((PCRE2_SPTR)text.p, text.n, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &where, NULL);
    assert(code != NULL);
    for (int i = 0; i < NAMES && str_cut(&rest, '\n', &name); i++) {
        if (name.n <= NAME_BYTES && utf8_ok(name)) {
            bool yes = topic_pattern_matches(p, name);
            int other = goes_back(code, name);

            assert(other < 0 || other == yes);
        }
    }
    pcre2_code_free(code);
    topic_pattern_free(p);
    return 0;
}
