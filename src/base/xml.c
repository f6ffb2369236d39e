#include "base/xml.h"

#include <string.h>

struct xml xml_from(struct arena *a, struct str text)
{
    if (str_starts(text, STR("\xef\xbb\xbf"))) // a byte order mark
        text = str_from(text.p + 3, text.n - 3);
    return (struct xml){._arena = a, ._rest = text, .text = STR("")};
}

static bool bad(struct xml *x)
{
    x->_bad = true;
    return false;
}

static void skip(struct xml *x, size_t n)
{
    x->_rest = str_from(x->_rest.p + n, x->_rest.n - n);
}

/* Past the next occurrence of z; what was before it goes to *before. */
static bool cut_at(struct xml *x, const char *z, struct str *before)
{
    const char *at = x->_rest.n > 0 ? memmem(x->_rest.p, x->_rest.n, z, strlen(z)) : NULL;

    if (!at)
        return bad(x);
    *before = str_from(x->_rest.p, (size_t)(at - x->_rest.p));
    skip(x, before->n + strlen(z));
    return true;
}

/* ---- text ---- */

static size_t utf8_put(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* "#233" or "#xe9" */
static bool numeric(struct str name, uint32_t *out)
{
    unsigned base = name.n > 1 && name.p[1] == 'x' ? 16 : 10;
    uint32_t v = 0;

    for (size_t i = base == 16 ? 2 : 1; i < name.n; i++) {
        char c = name.p[i];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                            : 16;

        if (d >= base || v > 0x10ffff)
            return false;
        v = v * base + d;
    }
    *out = v;
    return name.n > (base == 16 ? 2U : 1U) && v > 0 && v <= 0x10ffff && !(v >= 0xd800 && v <= 0xdfff);
}

static bool entity(struct str name, uint32_t *out)
{
    static const struct {
        const char *name;
        uint32_t c;
    } known[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};

    if (name.n > 0 && name.p[0] == '#')
        return numeric(name, out);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_is(name, known[i].name)) {
            *out = known[i].c;
            return true;
        }
    return false;
}

/* s behind the text of this element so far; resolving an entity never makes it longer. */
static bool add_text(struct xml *x, struct str s, bool entities)
{
    if (s.n > XML_TEXT - x->_text_n)
        return bad(x);
    for (size_t i = 0; i < s.n;) {
        const char *end;
        uint32_t c;

        if (!entities || s.p[i] != '&') {
            x->_text[x->_text_n++] = s.p[i++];
            continue;
        }
        end = memchr(s.p + i, ';', s.n - i);
        if (!end || !entity(str_from(s.p + i + 1, (size_t)(end - s.p) - i - 1), &c))
            return bad(x);
        x->_text_n += utf8_put(c, x->_text + x->_text_n);
        i = (size_t)(end - s.p) + 1;
    }
    return true;
}

static bool close_element(struct xml *x)
{
    x->kind = XML_CLOSE;
    x->_closing = true;
    x->text = arena_str(x->_arena, str_from(x->_text, x->_text_n));
    return true;
}

/* ---- elements ---- */

static struct str name_of(struct str tag)
{
    size_t n = 0;
    ptrdiff_t colon;

    while (n < tag.n && !strchr(" \t\r\n/", tag.p[n]))
        n++;
    tag.n = n;
    colon = str_find(tag, ':');
    return colon < 0 ? tag : str_from(tag.p + colon + 1, tag.n - (size_t)colon - 1);
}

/* The length of a tag up to its '>', which quotes may hide. 0: it does not end. */
static size_t tag_length(struct str s)
{
    char quote = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (quote)
            quote = s.p[i] == quote ? 0 : quote;
        else if (s.p[i] == '"' || s.p[i] == '\'')
            quote = s.p[i];
        else if (s.p[i] == '>')
            return i;
    }
    return 0;
}

static bool element(struct xml *x)
{
    size_t n = tag_length(x->_rest);
    struct str tag = str_from(x->_rest.p, n);

    if (n == 0)
        return bad(x);
    skip(x, n + 1);
    if (tag.p[0] == '/') {
        x->name = name_of(str_from(tag.p + 1, n - 1));
        if (x->_depth == 0 || !str_eq(x->name, x->_path[x->_depth - 1]))
            return bad(x);
        return close_element(x);
    }
    x->name = name_of(tag);
    if (x->name.n == 0 || x->_depth == XML_DEPTH || (x->_depth == 0 && x->_path[0].p))
        return bad(x); // no name, too deep, or a second root
    x->_path[x->_depth++] = x->name;
    x->_empty = tag.p[n - 1] == '/';
    x->kind = XML_OPEN;
    x->_text_n = 0;
    return true;
}

/* Comment, processing instruction or CDATA after '<'; *other says that it was none of them. */
static bool special(struct xml *x, bool *other)
{
    struct str skipped;

    *other = false;
    if (str_starts(x->_rest, STR("?")))
        return cut_at(x, "?>", &skipped);
    if (str_starts(x->_rest, STR("!--")))
        return cut_at(x, "-->", &skipped);
    if (str_starts(x->_rest, STR("![CDATA["))) {
        skip(x, 8);
        return cut_at(x, "]]>", &skipped) && add_text(x, skipped, false);
    }
    *other = true;
    return x->_rest.n > 0 && x->_rest.p[0] == '!' ? bad(x) : true; // <!DOCTYPE
}

bool xml_next(struct xml *x)
{
    struct str text;
    bool other;

    if (x->_bad)
        return false;
    if (x->_empty) {
        x->_empty = false;
        return close_element(x);
    }
    if (x->_closing) {
        x->_closing = false;
        x->_depth--;
        x->_text_n = 0;
    }
    for (;;) {
        const char *at = x->_rest.n > 0 ? memchr(x->_rest.p, '<', x->_rest.n) : NULL;

        text = str_from(x->_rest.p, at ? (size_t)(at - x->_rest.p) : x->_rest.n);
        if (x->_depth == 0 && str_trim(text).n > 0)
            return bad(x);
        if (x->_depth > 0 && text.n > 0 && !add_text(x, text, true))
            return false;
        if (!at) {
            x->_rest.n = 0;
            return false;
        }
        skip(x, text.n + 1);
        if (!special(x, &other))
            return false;
        if (other)
            return element(x);
    }
}

bool xml_ok(const struct xml *x)
{
    return !x->_bad && x->_depth == 0 && x->_path[0].p;
}

bool xml_at(const struct xml *x, const char *path)
{
    struct str rest = str_of(path), name;
    size_t n = 0;

    while (str_cut(&rest, '/', &name))
        if (n == x->_depth || !str_eq(name, x->_path[n++]))
            return false;
    return n == x->_depth;
}

/* ---- writing ---- */

void xml_text(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];

        switch (c) {
        case '&':
            buf_str(out, STR("&amp;"));
            break;
        case '<':
            buf_str(out, STR("&lt;"));
            break;
        case '>':
            buf_str(out, STR("&gt;"));
            break;
        case '"':
            buf_str(out, STR("&quot;"));
            break;
        default:
            if (c < 32 || c == 127)
                buf_fmt(out, "&#%u;", c);
            else
                buf_u8(out, c);
        }
    }
}

void xml_element(struct buf *out, const char *name, struct str text)
{
    buf_fmt(out, "<%s>", name);
    xml_text(out, text);
    buf_fmt(out, "</%s>", name);
}
