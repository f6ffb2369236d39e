#include "base/utf8.h"

static bool tail(const unsigned char *p, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return false;
    return true;
}

size_t utf8_len(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t len = u[0] < 0x80                    ? 1
                 : u[0] >= 0xc2 && u[0] <= 0xdf ? 2
                 : (u[0] & 0xf0) == 0xe0        ? 3
                 : u[0] >= 0xf0 && u[0] <= 0xf4 ? 4
                                                : 0;

    if (len == 0 || len > n || !tail(u, len))
        return 0;
    if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) || (u[0] == 0xf0 && u[1] < 0x90) ||
        (u[0] == 0xf4 && u[1] > 0x8f))
        return 0;
    return len;
}

bool utf8_ok(struct str s)
{
    for (size_t i = 0, len; i < s.n; i += len) {
        len = utf8_len(s.p + i, s.n - i);
        if (len == 0)
            return false;
    }
    return true;
}
