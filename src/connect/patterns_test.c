#include "connect/patterns.h"

#include "base/test.h"

TEST(a_pattern_stands_for_the_whole_name)
{
    struct patterns p = {0};

    OK(!patterns_match(&p, "") && !patterns_match(&p, "public.orders"));
    OK(patterns_add(&p, STR("public\\.(orders|items)"), false));
    OK(patterns_match(&p, "public.orders") && patterns_match(&p, "public.items"));
    OK(!patterns_match(&p, "public.orders2") && !patterns_match(&p, "my.public.orders"));
    OK(!patterns_match(&p, "public_orders") && !patterns_match(&p, "PUBLIC.ORDERS"));
    patterns_fini(&p);
    OK(!patterns_match(&p, "public.orders"));
}

TEST(a_comma_is_part_of_one_pattern_and_between_those_of_a_list)
{
    struct patterns one = {0}, list = {0};

    OK(patterns_add(&one, STR("a{1,2}"), false));
    OK(patterns_match(&one, "aa") && !patterns_match(&one, "aaa"));
    OK(patterns_add_list(&list, STR(" a.*, ,b"), true));
    OK(patterns_match(&list, "Anna") && patterns_match(&list, "B") && !patterns_match(&list, ""));
    patterns_fini(&one);
    patterns_fini(&list);
}

TEST(what_is_no_regular_expression_is_refused)
{
    struct patterns p = {0};

    OK(!patterns_add(&p, STR("a("), false));
    OK(!patterns_add_list(&p, STR("a(,b,c["), false));
    OK(patterns_match(&p, "b") && !patterns_match(&p, "a("));
    patterns_fini(&p);
}

TEST_MAIN
