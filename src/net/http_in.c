/*
 * Bytes to events. http-parser walks the bytes; its callbacks note one event and pause it, so that the caller can pull
 * event by event. What the library lets through and RFC 9112 does not is refused here.
 */
#include "net/http_int.h"

#include "base/arena.h"

#include <assert.h>

static struct http_in *of(http_parser *p)
{
    return p->data;
}

static int bad(struct http_in *in, int status, const char *why)
{
    in->event = HTTP_IN_BAD;
    in->status = status;
    in->why = why;
    return -1; // 1 means something else to on_headers_complete
}

static int event(http_parser *p, enum http_event ev)
{
    of(p)->event = ev;
    http_parser_pause(p, 1);
    return 0;
}

static int add(struct http_in *in, const char *at, size_t n)
{
    buf_put(&in->text, at, n);
    return buf_ok(&in->text) ? 0 : bad(in, 431, "the request's head is too large");
}

static int on_url(http_parser *p, const char *at, size_t n)
{
    of(p)->target_n += n;
    return add(of(p), at, n);
}

static int on_header_field(http_parser *p, const char *at, size_t n)
{
    struct http_in *in = of(p);

    if (in->in_body) // trailers are read and dropped
        return 0;
    if (in->lines == 0 || in->in_value) {
        if (in->lines == HTTP_HEADERS_MAX)
            return bad(in, 431, "the request has too many headers");
        in->line[in->lines++].name = (uint32_t)in->text.n;
        in->in_value = false;
    }
    return add(in, at, n);
}

static int on_header_value(http_parser *p, const char *at, size_t n)
{
    struct http_in *in = of(p);

    if (in->in_body)
        return 0;
    if (!in->in_value)
        in->line[in->lines - 1].value = (uint32_t)in->text.n;
    in->in_value = true;
    if (add(in, at, n) != 0)
        return -1;
    in->line[in->lines - 1].end = (uint32_t)in->text.n;
    return 0;
}

/* RFC 9110, 5.6.2. The library lets blanks through in names: "Content-Length : 5" is how one server fools the next. */
static bool is_token(struct str s)
{
    static const char other[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c && strchr(other, c))))
            return false;
    }
    return s.n > 0;
}

static bool is_clean(struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        if ((uint8_t)value.p[i] < 32 && value.p[i] != '\t')
            return false;
    return true;
}

static int fill_headers(struct http_in *in, const char *text)
{
    struct http_req *q = in->q;
    unsigned hosts = 0, lengths = 0, encodings = 0;

    q->headers = ARENA_ARRAY(q->arena, struct http_header, in->lines + 1);
    q->header_count = in->lines;
    for (size_t i = 0; i < in->lines; i++) {
        struct str name = {text + in->line[i].name, in->line[i].value - in->line[i].name};
        struct str value = {text + in->line[i].value, in->line[i].end - in->line[i].value};
        if (!is_token(name) || !is_clean(value))
            return bad(in, 400, "a header has a character that is not allowed");
        q->headers[i] = (struct http_header){name, str_trim(value)};
        hosts += str_eq_nocase(name, STR("Host"));
        lengths += str_eq_nocase(name, STR("Content-Length"));
        if (str_eq_nocase(name, STR("Transfer-Encoding"))) {
            encodings++;
            if (!str_eq_nocase(str_trim(value), STR("chunked")))
                return bad(in, 501, "this Transfer-Encoding is not supported");
        }
    }
    if (lengths + encodings > 1)
        return bad(in, 400, "the length of the body is given twice");
    if (encodings > 0 && in->http10)
        return bad(in, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (hosts > 1 || (hosts == 0 && !in->http10))
        return bad(in, 400, "a request has one Host header");
    return 0;
}

/* "/path?query", "*", or "http://host/path?query" (RFC 9112, 3.2). */
static int fill_target(struct http_in *in)
{
    struct http_req *q = in->q;
    struct str rest = q->target;
    ptrdiff_t at;

    if (str_starts(rest, STR("http://")) || str_starts(rest, STR("https://"))) {
        size_t scheme = rest.p[4] == 's' ? 8 : 7;
        rest = str_from(rest.p + scheme, rest.n - scheme);
        at = str_find(rest, '/');
        rest = at < 0 ? STR("/") : str_from(rest.p + at, rest.n - (size_t)at);
    }
    if (rest.n == 0 || (rest.p[0] != '/' && !str_is(rest, "*")))
        return bad(in, 400, "the request's target is not a path");
    at = str_find(rest, '#');
    if (at >= 0)
        rest.n = (size_t)at;
    at = str_find(rest, '?');
    q->path = at < 0 ? rest : str_from(rest.p, (size_t)at);
    q->query = at < 0 ? STR("") : str_from(rest.p + at + 1, rest.n - (size_t)at - 1);
    return 0;
}

static int on_headers_complete(http_parser *p)
{
    struct http_in *in = of(p);
    struct http_req *q = in->q;
    struct str expect;
    const char *text = arena_str(q->arena, buf_view(&in->text)).p;

    p->upgrade = 0; // an offer of h2c or WebSocket may be ignored (RFC 9110, 7.8)
    if (p->http_major != 1)
        return bad(in, 505, "only HTTP/1.1 is spoken here");
    in->http10 = p->http_minor == 0;
    q->method = str_of(http_method_str((enum http_method)p->method));
    q->target = str_from(text, in->target_n);
    if (fill_target(in) != 0 || fill_headers(in, text) != 0)
        return -1;
    q->body_bytes = 0;
    if (p->flags & F_CHUNKED)
        q->body_bytes = -1;
    else if ((p->flags & F_CONTENTLENGTH) && p->content_length > INT64_MAX)
        return bad(in, 400, "Content-Length is out of range");
    else if (p->flags & F_CONTENTLENGTH)
        q->body_bytes = (int64_t)p->content_length;
    in->keep_alive = http_should_keep_alive(p) != 0;
    expect = http_header(q, "Expect");
    in->wants_continue = !in->http10 && str_eq_nocase(expect, STR("100-continue"));
    if (expect.p && !in->http10 && !in->wants_continue)
        return bad(in, 417, "this expectation cannot be met");
    in->in_body = true;
    return event(p, HTTP_IN_HEAD);
}

static int on_body(http_parser *p, const char *at, size_t n)
{
    of(p)->piece = str_from(at, n);
    return event(p, HTTP_IN_PIECE);
}

static int on_message_complete(http_parser *p)
{
    return event(p, HTTP_IN_END);
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http_in_init(struct http_in *in)
{
    in->q = NULL;
    in->text = buf_make(LIMIT_HTTP_HEAD);
}

void http_in_fini(struct http_in *in)
{
    buf_fini(&in->text);
}

void http_in_begin(struct http_in *in, struct http_req *q)
{
    http_parser_init(&in->parser, HTTP_REQUEST);
    in->parser.data = in;
    in->q = q;
    buf_reset(&in->text);
    in->lines = in->target_n = 0;
    in->in_value = in->in_body = false;
}

static void parse_error(struct http_in *in)
{
    enum http_errno no = HTTP_PARSER_ERRNO(&in->parser);

    if (no == HPE_HEADER_OVERFLOW)
        (void)bad(in, 431, "the request's head is too large");
    else if (no == HPE_INVALID_VERSION)
        (void)bad(in, 505, "only HTTP/1.1 is spoken here");
    else if (no == HPE_UNEXPECTED_CONTENT_LENGTH)
        (void)bad(in, 400, "the length of the body is given twice");
    else
        (void)bad(in, 400, http_errno_description(no));
}

size_t http_in_feed(struct http_in *in, struct str bytes, enum http_event *ev)
{
    size_t used;

    assert(in->q);
    in->event = HTTP_IN_MORE;
    used = http_parser_execute(&in->parser, &settings, bytes.p, bytes.n);
    if (in->event != HTTP_IN_BAD && HTTP_PARSER_ERRNO(&in->parser) == HPE_PAUSED)
        http_parser_pause(&in->parser, 0);
    else if (in->event != HTTP_IN_BAD && HTTP_PARSER_ERRNO(&in->parser) != HPE_OK)
        parse_error(in);
    if (in->event == HTTP_IN_END)
        in->q = NULL;
    *ev = in->event;
    return used;
}
