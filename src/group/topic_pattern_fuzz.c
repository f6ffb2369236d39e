/* Any bytes as a pattern and a name, with a zero byte between them. What is taken must be matched in bounded time, whatever the name. */
#include "group/topic_pattern.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    const uint8_t *zero = n ? memchr(p, 0, n) : NULL;
    struct str text = str_from(p, zero ? (size_t)(zero - p) : n), name = STR("a-topic.of_249");
    char why[160];
    struct topic_pattern *pattern;

    if (zero)
        name = str_from(zero + 1, n - text.n - 1);
    if (name.n > 249)
        name.n = 249;
    pattern = topic_pattern_new(text, why);
    if (pattern)
        (void)topic_pattern_matches(pattern, name);
    topic_pattern_free(pattern);
    return 0;
}
