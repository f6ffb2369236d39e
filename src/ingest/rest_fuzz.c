/*
 * Any bytes as requests to the REST proxy, over one connection that stays: up to a zero each. A request's first byte picks its path, the
 * second its type of content; up to a line end follow words for the path's names, and behind it is the body.
 *
 * The proxy lives as long as the fuzzer but for a new start now and then, as topics and consumers pile up.
 */
#include "base/mem.h"
#include "group/offsets.h"
#include "ingest/proxy.h"
#include "log/log.h"
#include "net/net.h"
#include "os/os.h"
#include "os/tempdir.h"
#include "schema/schema.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUESTS_MAX = 6, LIFE = 5000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char dir[TEMPDIR_MAX];
static struct os quick; // nothing waits for the disk
static struct net *net;
static struct log *wal;
static struct offsets *offsets;
static struct schema_store *schemas;
static struct ingest *ingest;
static size_t rows;
static int fd = -1;

static int no_sync(struct os *os, int file)
{
    (void)os;
    (void)file;
    return 0;
}

static bool append(void *arg, const struct schema_record *records, size_t count, struct err *e)
{
    (void)arg;
    (void)records;
    (void)count;
    (void)e;
    return true;
}

static void stop(void)
{
    struct err e;

    close(fd);
    ingest_stop(ingest);
    net_shut(net, 1000);
    ingest_free(ingest);
    offsets_close(offsets);
    schema_store_free(schemas);
    log_close(wal);
    net_stop(net);
    if (!os_remove_tree(os_real(), dir, &e))
        abort();
}

static void dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)ingest_port(ingest))};

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        abort();
}

static void start(void)
{
    struct ingest_options o = {.os = &quick, .host = "127.0.0.1"}; // topics are not made by writing to them
    struct log_settings s;
    struct err e;
    bool ok = tempdir_make(dir);

    quick = *os_real();
    quick.fdatasync = quick.fsync = no_sync;
    ok = ok && log_open(&(struct log_options){.os = &quick, .dir = dir}, &wal, &e) &&
         offsets_open(&(struct offsets_options){.os = &quick, .log = wal, .partitions = 1}, &offsets, &e);
    assert(ok);
    log_settings_default(wal, &s);
    ok = log_ensure_topic(wal, STR("t"), 2, &s, &e) && net_start(&(struct net_options){.loops = 1}, &net, &e);
    assert(ok);
    schemas = schema_store_new(append, NULL);
    o.net = net;
    o.log = wal;
    o.offsets = offsets;
    o.schemas = schemas;
    ok = ingest_start(&o, &ingest, &e);
    assert(ok);
    for (rows = 0; proxy_operation(rows);)
        rows++;
    dial();
}

/* The pattern with a word for each name in braces, or what there is of it. */
static void put_path(struct buf *b, const char *pattern, struct str words)
{
    struct str rest = str_of(pattern), segment, word;

    while (str_cut(&rest, '/', &segment)) {
        if (segment.n == 0)
            continue;
        buf_u8(b, '/');
        if (segment.p[0] != '{')
            buf_str(b, segment);
        else if (str_cut(&words, ' ', &word) && word.n > 0)
            http_encode(b, word, false);
        else
            buf_str(b, str_is(segment, "{cluster}")     ? str_of(log_cluster_id(wal))
                       : str_is(segment, "{partition}") ? STR("0")
                       : str_is(segment, "{topic}")     ? STR("t")
                                                        : STR("g"));
    }
    if (buf_view(b).p[b->n - 1] == ' ')
        buf_u8(b, '/');
}

static void put_request(struct buf *b, struct str text)
{
    static const char *const types[] = {
        "application/vnd.kafka.json.v2+json", "application/vnd.kafka.avro.v2+json",
        "application/vnd.kafka.binary.v2+json", "application/vnd.kafka.v2+json", "application/json"};
    const struct openapi_op *op = proxy_operation((uint8_t)text.p[0] % rows);
    const char *type = types[(uint8_t)text.p[1] % ARRAY_LEN(types)];
    struct str body = str_from(text.p + 2, text.n - 2), words = STR("");
    bool reads = op->path.method[0] == 'G';

    (void)str_cut(&body, '\n', &words);
    buf_fmt(b, "%s ", op->path.method);
    put_path(b, op->path.pattern, words);
    buf_fmt(b, "%s HTTP/1.1\r\nHost: here\r\nAccept: */*\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
            reads ? "?timeout=0&max_bytes=2000" : "", type, body.n);
    buf_str(b, body);
}

static void send_all(struct str s)
{
    while (s.n > 0) {
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) // by libFuzzer's alarm
            continue;
        assert(n > 0);
        s = str_from(s.p + n, s.n - (size_t)n);
    }
}

/* Reads to where `end` is at, or as far as the connection goes. */
static bool read_some(struct buf *b)
{
    uint8_t *room = buf_room(b, 65536);
    ssize_t n = room ? recv(fd, room, 65536, 0) : 0;

    while (n < 0 && errno == EINTR)
        n = recv(fd, room, 65536, 0);
    b->n += n > 0 ? (size_t)n : 0;
    return n > 0;
}

static size_t find(struct str in, const char *what)
{
    const char *p = in.n > 0 ? memmem(in.p, in.n, what, strlen(what)) : NULL;

    return p ? (size_t)(p - in.p) : SIZE_MAX;
}

/* One answer, whole. False: the connection is closed behind it. */
static bool read_answer(void)
{
    struct buf b = buf_make(64 << 20);
    size_t head, length;
    int64_t more = 0;
    bool goes_on;

    while ((head = find(buf_view(&b), "\r\n\r\n")) == SIZE_MAX)
        if (!read_some(&b))
            abort(); // it is none
    length = find(buf_view(&b), "Content-Length: ");
    if (length < head) {
        struct str text = str_from(b.p + length + 16, head - length - 16), number;

        if (!str_cut(&text, '\r', &number) || !str_i64(number, &more))
            abort();
    }
    goes_on = find(str_from(b.p, head), "Connection: close") == SIZE_MAX;
    if (find(str_from(b.p, head), "chunked") != SIZE_MAX) {
        while (!str_ends(buf_view(&b), STR("0\r\n\r\n")))
            if (!read_some(&b))
                break;
    } else {
        while (b.n < head + 4 + (size_t)more)
            if (!read_some(&b))
                abort(); // it is shorter than it says
    }
    if (find(buf_view(&b), "HTTP/1.1 500") == 0 && find(buf_view(&b), "\"error_code\":50002") == SIZE_MAX)
        abort(); // an error is Kafka's (that of a group, say), or the client's
    buf_fini(&b);
    return goes_on;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str rest = str_from(data, n), text;
    static size_t runs;
    static bool at_exit;

    if (runs % LIFE == 0) {
        if (runs > 0)
            stop();
        start();
    }
    runs++;
    if (!at_exit)
        atexit(stop);
    at_exit = true;
    for (int i = 0; i < REQUESTS_MAX && str_cut(&rest, '\0', &text); i++) {
        struct buf b = buf_make(1 << 24);

        if (text.n >= 2) {
            put_request(&b, text);
            send_all(buf_view(&b));
            if (!read_answer()) {
                close(fd);
                dial();
            }
        }
        buf_fini(&b);
    }
    return 0;
}
