#include "group/topic_pattern.h"

#include "base/mem.h"
#include "base/test.h"

static bool matches(const char *pattern, const char *name)
{
    char why[160];
    struct topic_pattern *p = topic_pattern_new(str_of(pattern), why);
    bool yes;

    if (!p)
        printf("# %s: %s\n", pattern, why);
    OK(p != NULL);
    yes = topic_pattern_matches(p, str_of(name));
    topic_pattern_free(p);
    return yes;
}

static bool refused(const char *pattern)
{
    char why[160] = "";
    struct topic_pattern *p = topic_pattern_new(str_of(pattern), why);
    bool no = p == NULL && why[0] != '\0';

    topic_pattern_free(p);
    return no;
}

TEST(a_name_matches_as_a_whole)
{
    OK(matches("orders", "orders") && !matches("orders", "orders-2") && !matches("orders", "my-orders"));
    OK(matches("orders.*", "orders-2") && matches(".*", "x"));
    OK(matches("a|ab", "ab") && matches("(a|ab)(c|bcd)", "abcd")); // the longest way is looked for
    OK(matches("^t-[0-9]+$", "t-12") && !matches("^t-[0-9]+$", "t-"));
    OK(matches("a*?", "aaa")); // lazy or not, the whole name
    OK(matches("(?i)ORDERS", "orders") && matches("(?P<x>a)b", "ab") && matches("(?:ab){2}", "abab"));
    OK(matches("[[:alpha:]]+", "abc") && matches("[]a]+", "a") && matches("\\Qa.b\\E", "a.b"));
    OK(matches("[[:x]+", ":x[") && matches("[[:^alpha:]x]+", "1x2") && matches("a{,2}", "a{,2}"));
    OK(matches("a{x}+", "a{x}}") && matches("a{2}b?", "aab") && matches("\\Qa+\\E+", "a++") &&
       matches("(?:a?)?", "a"));
    OK(!matches("\\Qa.b\\E", "axb") && matches("a\\.b", "a.b") && matches("\\d{3}", "123"));
}

TEST(what_re2_does_not_know_is_refused)
{
    static const char *const bad[] = {
        "(a)\\1", "(?=a)a", "(?!a)b", "(?<=a)b", "(?<!a)b", "(?>a)b", "a++", "a**", "a*+", "(*COMMIT)",
        "(?R)", "\\K", "\\G", "\\Ca", "(?(1)a)", "\\R", "a{1001}", "\\", "(?P=x)", "(?#c)",
        /* repeats of repeats, which PCRE2 takes for possessive ones */
        "a?+", "a{2}+", "(a){2}+", "a{2}{3}", "a??+", "a{2,}*", "a+\\E+", "a+\\Q\\E+", "a{9999999999}",
        /* what looks as if the bracket went on */
        "[[:](?=a)]", "[\\Q[:\\E](?=a)]", "[\\Q]\\E]", "[\\b]", "[[:x](?>a)]"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (!refused(bad[i]))
            printf("# %s\n", bad[i]);
        OK(refused(bad[i]));
    }
}

TEST(what_is_no_pattern_is_refused)
{
    char long_one[TOPIC_PATTERN_MAX + 2], why[160];

    OK(refused("(") && refused("[a") && refused("*a") && refused("a)") && refused("[z-a]") &&
       refused("\xff"));
    OK(refused("(((((a{1000}){1000}){1000}){1000}){1000})"));
    memset(long_one, 'a', sizeof long_one);
    OK(!topic_pattern_new(str_from(long_one, sizeof long_one), why));
}

/* Patterns that take engines which go back for ever. */
TEST(no_pattern_takes_long)
{
    char name[250];

    memset(name, 'a', sizeof name - 1);
    name[249] = '\0';
    OK(!matches("(a+)+b", name) && !matches("(a|a)*b", name) && !matches("(a|aa)+b", name));
    OK(!matches("(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)x", name));
    OK(matches("(a?){200}a*", name));
    /* What got by would be looked at from every place anew. */
    OK(refused("(?:.*(?:.*(?:.*x)?+x)?+x)?+") && refused("[[:](?=.*(?=.*(?=.*x)))]"));
}

TEST_MAIN
