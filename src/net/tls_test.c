/* TLS between a real client (OpenSSL's) and the HTTP server, with a certificate made here. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/test.h"
#include "net/http.h"
#include "net/testclient.h"
#include "os/os.h"
#include "os/tempdir.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BIG = 3 << 20 };

static char dir[TEMPDIR_MAX], pem[400], file[400];
static struct net *net;
static int port;

static void make_certificate(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name;
    BIO *out = BIO_new(BIO_s_mem());
    struct err e;
    char *text;
    long n;

    OK(key && cert && out);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    (void)X509_set_pubkey(cert, key);
    name = X509_get_subject_name(cert);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
    (void)X509_set_issuer_name(cert, name);
    OK(X509_sign(cert, key, EVP_sha256()) > 0);
    OK(PEM_write_bio_X509(out, cert) == 1);
    OK(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1);
    n = BIO_get_mem_data(out, &text);
    OK(os_replace_file(os_real(), pem, str_from(text, (size_t)n), &e));
    BIO_free(out);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void echo(struct http_req *q)
{
    struct buf b = buf_make(BIG + 100);

    buf_fmt(&b, "%.*s:", STR_ARG(q->path));
    buf_str(&b, q->body);
    http_answer_buf(q, 200, NULL, &b);
}

static void big_file(struct http_req *q)
{
    struct err e;
    int fd = os_open(os_real(), file, O_RDONLY, &e);

    http_answer_file(q, 200, NULL, fd, 0, BIG);
}

static const struct http_route *head(struct http_req *q, void *arg)
{
    static const struct http_route routes[] = {{.run = echo}, {.run = big_file}};

    (void)arg;
    return &routes[str_is(q->path, "/file")];
}

static void set_up(void)
{
    struct err e;
    struct buf b = buf_make(BIG);

    OK(tempdir_make(dir));
    (void)snprintf(pem, sizeof pem, "%s/tls.pem", dir);
    (void)snprintf(file, sizeof file, "%s/file", dir);
    make_certificate();
    memset(buf_room(&b, BIG), 'f', BIG);
    b.n = BIG;
    OK(os_replace_file(os_real(), file, buf_view(&b), &e));
    buf_fini(&b);
    OK(net_start(&(struct net_options){.loops = 1, .tls_cert = pem}, &net, &e));
    OK(http_listen(net, "127.0.0.1", 0, true, &(struct http_server){"t", head, NULL}, &port, &e));
}

static void tear_down(void)
{
    struct err e;

    net_stop(net);
    OK(os_remove_tree(os_real(), dir, &e));
}

struct client {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

static struct client client_open(int version)
{
    struct client c = {.ctx = SSL_CTX_new(TLS_client_method()), .fd = dial(port)};

    (void)SSL_CTX_set_max_proto_version(c.ctx, version);
    c.ssl = SSL_new(c.ctx);
    (void)SSL_set_fd(c.ssl, c.fd);
    return c;
}

static void client_close(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    close(c->fd);
}

/* Head and body of one answer in a static buffer; its length, or -1. */
static char got[BIG + 1000];
static int hear(struct client *c, int body)
{
    int n = 0, want = -1;

    while (want < 0 || n < want) {
        int k = SSL_read(c->ssl, got + n, want < 0 ? 1 : want - n);
        if (k <= 0)
            return -1;
        n += k;
        got[n] = 0;
        if (want < 0 && n > 4 && memcmp(got + n - 4, "\r\n\r\n", 4) == 0)
            want = n + body;
    }
    return n;
}

static void talk(int version)
{
    static const char ask[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n";
    struct client c = client_open(version);
    char post[200];
    static char body[BIG];

    OK(SSL_connect(c.ssl) == 1);
    for (size_t i = 0; i < sizeof ask - 1; i++) // a record a byte
        OK(SSL_write(c.ssl, &ask[i], 1) == 1);
    OK(hear(&c, 3) > 0 && strstr(got, "\r\n\r\n/a:") != NULL);
    OK(hear(&c, 3) > 0 && strstr(got, "\r\n\r\n/b:") != NULL);
    (void)snprintf(post, sizeof post, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", BIG);
    memset(body, 'p', BIG);
    OK(SSL_write(c.ssl, post, (int)strlen(post)) > 0);
    OK(SSL_write(c.ssl, body, BIG) == BIG);
    OK(hear(&c, BIG + 3) > 0 && got[sizeof post] == 'p');
    OK(SSL_write(c.ssl, "GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 51) > 0);
    OK(hear(&c, BIG) > BIG && got[BIG] == 'f');
    OK(SSL_read(c.ssl, got, 1) == 0 &&
       SSL_get_error(c.ssl, 0) == SSL_ERROR_ZERO_RETURN); // ended as it should
    client_close(&c);
}

TEST(requests_over_tls)
{
    set_up();
    talk(TLS1_3_VERSION);
    talk(TLS1_2_VERSION);
    tear_down();
}

/* Messages of BIG / 2 bytes, all the same byte; each has its own memory. The answer is that byte, or 0 when something is wrong. */
enum { MESSAGE = BIG / 2 };
static _Atomic int given, released;

static void *message_open(struct conn *c, void *arg)
{
    (void)arg;
    return c;
}

static void message_closed(void *state)
{
    (void)state;
}

static size_t message_need(struct str in)
{
    (void)in;
    return MESSAGE;
}

static void message_release(void *p)
{
    mem_free(p);
    atomic_fetch_add(&released, 1);
}

static struct conn_memory message_memory(void *state, struct str begun, size_t n)
{
    void *p = state && begun.n < n && n == MESSAGE ? mem_alloc(n) : NULL;

    atomic_fetch_add(&given, 1);
    return (struct conn_memory){p, message_release, p};
}

static size_t message_input(void *state, struct str in)
{
    struct conn_memory m;
    char answer = in.p[0];

    if (in.n < MESSAGE)
        return 0;
    m = conn_take(state, str_from(in.p, MESSAGE));
    if (m.p != in.p || m.release != message_release || memcmp(in.p, in.p + 1, MESSAGE - 1) != 0)
        answer = 0;
    if (m.p)
        m.release(m.arg);
    conn_send_copy(state, str_from(&answer, 1));
    return MESSAGE;
}

static const struct net_proto messages = {.name = "message",
                                          .input_max = BIG,
                                          .open = message_open,
                                          .input = message_input,
                                          .need = message_need,
                                          .memory = message_memory,
                                          .closed = message_closed};

TEST(long_messages_are_decrypted_into_the_memory_given)
{
    static char message[MESSAGE];
    struct client c;
    struct err e;
    char answer;

    set_up();
    OK(net_listen(net, &(struct net_listen){.host = "127.0.0.1", .tls = true, .proto = &messages}, &port,
                  &e));
    c = client_open(TLS1_3_VERSION);
    OK(SSL_connect(c.ssl) == 1);
    for (int i = 1; i <= 5; i++) { // the answer to each is awaited: so none has another's bytes in its memory
        memset(message, i, MESSAGE);
        OK(SSL_write(c.ssl, message, MESSAGE) == MESSAGE);
        OK(SSL_read(c.ssl, &answer, 1) == 1 && answer == i);
        OK(given == i && released == i);
    }
    for (int i = 1; i <= 2; i++) // one behind the other, and half of one
        OK(SSL_write(c.ssl, message, MESSAGE) == MESSAGE);
    OK(SSL_write(c.ssl, message, MESSAGE / 2) == MESSAGE / 2);
    for (int i = 1; i <= 2; i++)
        OK(SSL_read(c.ssl, &answer, 1) == 1 && answer == 5);
    client_close(&c);
    tear_down();
    OK(given == released);
}

TEST(old_versions_and_plain_text_are_refused)
{
    struct client c;
    char answer[300];
    int fd;

    set_up();
    c = client_open(TLS1_1_VERSION);
    OK(SSL_connect(c.ssl) != 1);
    client_close(&c);
    fd = dial(port);
    OK(send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27, MSG_NOSIGNAL) == 27);
    while (recv(fd, answer, sizeof answer, 0) > 0)
        OK(memmem(answer, sizeof answer, "200 OK", 6) == NULL);
    close(fd);
    tear_down();
}

TEST(a_wrong_certificate_file_is_named)
{
    struct err e;

    OK(tempdir_make(dir));
    (void)snprintf(pem, sizeof pem, "%s/tls.pem", dir);
    OK(!net_start(&(struct net_options){.loops = 1, .tls_cert = pem}, &net, &e));
    OK(e.kind == ERR_INVALID && strstr(e.msg, pem) != NULL &&
       strstr(e.msg, ": no such file or directory") != NULL);
    OK(os_replace_file(os_real(), pem, STR("no certificate"), &e));
    OK(!net_start(&(struct net_options){.loops = 1, .tls_cert = pem}, &net, &e));
    OK(e.kind == ERR_INVALID && strstr(e.msg, pem) != NULL);
    OK(os_remove_tree(os_real(), dir, &e));
}

TEST_MAIN
