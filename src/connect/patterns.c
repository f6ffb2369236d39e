#include "connect/patterns.h"

#include "base/mem.h"

#include <regex.h>

struct pattern {
    regex_t re;
    struct pattern *next;
};

bool patterns_add(struct patterns *p, struct str text, bool any_case)
{
    struct pattern *one = MEM_NEW(struct pattern);
    char *z = str_dup(text);
    bool ok = regcomp(&one->re, z, REG_EXTENDED | (any_case ? REG_ICASE : 0)) == 0;

    mem_free(z);
    if (ok) {
        one->next = p->first;
        p->first = one;
    } else {
        mem_free(one);
    }
    return ok;
}

bool patterns_add_list(struct patterns *p, struct str list, bool any_case)
{
    struct str part;
    bool ok = true;

    while (str_cut(&list, ',', &part))
        if (str_trim(part).n > 0)
            ok &= patterns_add(p, str_trim(part), any_case);
    return ok;
}

bool patterns_match(const struct patterns *p, const char *name)
{
    regmatch_t m;

    for (const struct pattern *one = p->first; one; one = one->next)
        if (regexec(&one->re, name, 1, &m, 0) == 0 && m.rm_so == 0 && name[m.rm_eo] == '\0')
            return true;
    return false;
}

void patterns_fini(struct patterns *p)
{
    while (p->first) {
        struct pattern *one = p->first;

        p->first = one->next;
        regfree(&one->re);
        mem_free(one);
    }
}
