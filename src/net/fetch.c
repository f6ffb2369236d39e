#include "net/fetch.h"

#include "base/buf.h"
#include "base/limits.h"
#include "os/thread.h"

#include <curl/curl.h>

enum { KEPT_MAX = 8, CONNECT_MS = 10000 };

/* Handles that no call has now, each with the connections it made. */
static struct mutex lock = {PTHREAD_MUTEX_INITIALIZER};
static CURL *kept[KEPT_MAX];
static int kept_count;
static bool ready; // guarded by lock

static CURL *take(void)
{
    CURL *c = NULL;

    mutex_lock(&lock);
    if (!ready)
        ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    if (ready && kept_count > 0)
        c = kept[--kept_count];
    else if (ready)
        c = curl_easy_init();
    mutex_unlock(&lock);
    return c;
}

static void give_back(CURL *c)
{
    curl_easy_reset(c); // options only: its connections stay
    mutex_lock(&lock);
    if (kept_count < KEPT_MAX) {
        kept[kept_count++] = c;
        c = NULL;
    }
    mutex_unlock(&lock);
    if (c)
        curl_easy_cleanup(c);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct buf *b = arg;

    buf_put(b, p, size * n);
    return buf_ok(b) ? size * n : 0;
}

/* Header lines; the line of a status begins a new answer. */
static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct buf *b = arg;

    if (str_starts(str_from(p, size * n), STR("HTTP/")))
        buf_reset(b);
    else
        buf_put(b, p, size * n);
    return buf_ok(b) ? size * n : 0;
}

struct str fetch_header(const struct fetch_answer *a, const char *name)
{
    struct str rest = a->head, line, key;

    while (str_cut(&rest, '\n', &line))
        if (str_cut(&line, ':', &key) && str_eq_nocase(key, str_of(name)))
            return str_trim(line);
    return STR_NULL;
}

static void set_sign(CURL *c, const struct fetch_sign *s, struct arena *a)
{
    (void)curl_easy_setopt(c, CURLOPT_AWS_SIGV4, arena_fmt(a, "aws:amz:%s:%s", s->region, s->service));
    (void)curl_easy_setopt(c, CURLOPT_USERNAME, s->access_key);
    (void)curl_easy_setopt(c, CURLOPT_PASSWORD, s->secret_key);
}

static struct curl_slist *header_list(const struct fetch *f, struct arena *a)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:"); // no waiting for 100 Continue

    for (size_t i = 0; i < f->header_count; i++)
        list = curl_slist_append(list, arena_fmt(a, "%s: %s", f->headers[i].name, f->headers[i].value));
    return list;
}

static void set_options(CURL *c, const struct fetch *f, struct curl_slist *headers, struct buf *body,
                        char *why)
{
    (void)curl_easy_setopt(c, CURLOPT_URL, f->url);
    (void)curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L); // ".." may be part of an object's key
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_PROXY, ""); // what is asked for is named by the user's own settings
    (void)curl_easy_setopt(c, CURLOPT_USERAGENT, "tarn");
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(f->timeout_ms ? f->timeout_ms : 30000));
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, f->follow ? 1L : 0L);
    (void)curl_easy_setopt(c, CURLOPT_MAXREDIRS, 5L);
    (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, body);
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
    if (f->body.p) {
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, f->body.p);
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->body.n);
    }
    if (f->method && str_is(str_of(f->method), "HEAD"))
        (void)curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    else if (f->method)
        (void)curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, f->method);
}

static bool failed(const struct fetch *f, CURLcode rc, const struct buf *body, const char *why, struct err *e)
{
    enum err_kind kind = ERR_REMOTE;

    if (!buf_ok(body))
        return err_set(e, ERR_LIMIT, "%s: the answer is over %zu bytes", f->url, body->max);
    if (rc == CURLE_OPERATION_TIMEDOUT)
        kind = ERR_TIMEOUT;
    else if (rc == CURLE_URL_MALFORMAT || rc == CURLE_UNSUPPORTED_PROTOCOL)
        kind = ERR_INVALID;
    return err_set(e, kind, "%s: %s", f->url, why[0] ? why : curl_easy_strerror(rc));
}

bool fetch(const struct fetch *f, struct arena *a, struct fetch_answer *out, struct err *e)
{
    struct buf body = buf_make(f->max_bytes ? f->max_bytes : LIMIT_HTTP_BODY),
               head = buf_make(LIMIT_HTTP_HEAD);
    char why[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers;
    const char *type = NULL;
    CURL *c = take();
    long status = 0;
    CURLcode rc;

    if (!c)
        return err_set(e, ERR_IO, "the HTTP client cannot be set up");
    headers = header_list(f, a);
    set_options(c, f, headers, &body, why);
    (void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(c, CURLOPT_HEADERDATA, &head);
    if (f->sign)
        set_sign(c, f->sign, a);
    rc = curl_easy_perform(c);
    if (rc == CURLE_OK) {
        (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &type);
        *out = (struct fetch_answer){(int)status, arena_str(a, buf_view(&body)),
                                     arena_str(a, str_of(type ? type : "")), arena_str(a, buf_view(&head))};
    } else {
        (void)failed(f, rc, &body, why, e);
    }
    give_back(c);
    curl_slist_free_all(headers);
    buf_fini(&body);
    buf_fini(&head);
    return rc == CURLE_OK;
}
