#include "base/str.h"

#include "base/mem.h"

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n > 0 ? memcmp(a.p, b.p, n) : 0;

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

ptrdiff_t str_find(struct str s, char c)
{
    const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;

    return at ? at - s.p : -1;
}

bool str_cut(struct str *rest, char sep, struct str *part)
{
    ptrdiff_t at;

    if (!rest->p)
        return false;
    at = str_find(*rest, sep);
    if (at < 0) {
        *part = *rest;
        *rest = STR_NULL;
        return true;
    }
    *part = (struct str){rest->p, (size_t)at};
    rest->p += at + 1;
    rest->n -= (size_t)at + 1;
    return true;
}

bool str_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, 10U, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool str_i64(struct str s, int64_t *out)
{
    bool minus = s.n > 0 && s.p[0] == '-';
    uint64_t v;

    if (minus) {
        s.p++;
        s.n--;
    }
    if (!str_u64(s, &v) || v > (uint64_t)INT64_MAX + minus)
        return false;
    *out = (int64_t)(minus ? 0 - v : v);
    return true;
}

char *str_dup(struct str s)
{
    char *z = mem_alloc(s.n + 1);

    if (s.n > 0)
        memcpy(z, s.p, s.n);
    z[s.n] = 0;
    return z;
}

static uint64_t seed_mix = 0x9e3779b97f4a7c15U;

void str_hash_seed(uint64_t seed)
{
    seed_mix = seed | 1;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 u128;
    u128 p = (u128)a * b;

    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t str_hash(struct str s)
{
    uint64_t h = seed_mix ^ s.n;
    uint64_t w;

    for (; s.n >= 8; s.p += 8, s.n -= 8) {
        memcpy(&w, s.p, 8);
        h = fold(h ^ w, 0xa0761d6478bd642fU);
    }
    w = 0;
    if (s.n > 0)
        memcpy(&w, s.p, s.n);
    return fold(h ^ w ^ seed_mix, 0xe7037ed1a0b428dbU);
}
