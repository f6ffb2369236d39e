/*
 * TLS as a filter: OpenSSL reads and writes memory, this file moves that memory to and from the socket. A connection
 * calls tls_recv and tls_send where it would call recv and send.
 */
#include "net/net_int.h"

#include "base/mem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

enum { TLS_WIRE = 17 * 1024, TLS_RECORD = 16 * 1024 }; // one record on the wire; its plain bytes

struct tls_context {
    SSL_CTX *ctx;
};

struct tls {
    SSL *ssl;
    BIO *from_net, *to_net; // owned by ssl
    int fd;
    uint8_t *wire; // what the kernel did not take yet
    size_t wire_at, wire_n;
};

static bool tls_err(struct err *e, const char *what, const char *path)
{
    unsigned long code = ERR_get_error();
    const char *reason =
        ERR_SYSTEM_ERROR(code) ? uv_strerror(-ERR_GET_REASON(code)) : ERR_reason_error_string(code);

    ERR_clear_error();
    return err_set(e, ERR_INVALID, "%s %s: %s", what, path, reason ? reason : "OpenSSL cannot use it");
}

bool tls_context_new(const char *cert, const char *key, struct tls_context **out, struct err *e)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (!ctx)
        return tls_err(e, "TLS", "library");
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                    SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1) {
        SSL_CTX_free(ctx);
        return tls_err(e, "certificate", cert);
    }
    if (!key)
        key = cert;
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        SSL_CTX_free(ctx);
        return tls_err(e, "private key", key);
    }
    *out = MEM_NEW(struct tls_context);
    (*out)->ctx = ctx;
    return true;
}

void tls_context_free(struct tls_context *t)
{
    if (t)
        SSL_CTX_free(t->ctx);
    mem_free(t);
}

struct tls *tls_new(struct tls_context *t, int fd)
{
    struct tls *s = MEM_NEW(struct tls);

    s->fd = fd;
    s->ssl = SSL_new(t->ctx);
    s->from_net = BIO_new(BIO_s_mem());
    s->to_net = BIO_new(BIO_s_mem());
    s->wire = mem_alloc(TLS_WIRE);
    if (!s->ssl || !s->from_net || !s->to_net)
        abort(); // out of memory, as mem_ would
    (void)BIO_set_mem_eof_return(s->from_net, -1);
    SSL_set_bio(s->ssl, s->from_net, s->to_net);
    SSL_set_accept_state(s->ssl);
    return s;
}

void tls_free(struct tls *s)
{
    if (!s)
        return;
    SSL_free(s->ssl);
    mem_free(s->wire);
    mem_free(s);
}

bool tls_pending(const struct tls *s)
{
    return SSL_has_pending(s->ssl) == 1 || BIO_ctrl_pending(s->from_net) > 0;
}

bool tls_flush(struct tls *s)
{
    for (;;) {
        ssize_t got;
        if (s->wire_n == 0) {
            int n = BIO_read(s->to_net, s->wire, TLS_WIRE);
            if (n <= 0)
                return true;
            s->wire_at = 0;
            s->wire_n = (size_t)n;
        }
        got = send(s->fd, s->wire + s->wire_at, s->wire_n, MSG_NOSIGNAL);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        s->wire_at += (size_t)got;
        s->wire_n -= (size_t)got;
    }
}

/* What SSL_read or SSL_write said, as recv and send say it. */
static ssize_t outcome(struct tls *s, int rc)
{
    int why;

    if (rc > 0)
        return rc;
    why = SSL_get_error(s->ssl, rc);
    ERR_clear_error();
    if (why == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return -1;
}

ssize_t tls_recv(struct tls *s, void *p, size_t n)
{
    uint8_t wire[TLS_WIRE];

    for (;;) {
        ssize_t got = outcome(s, SSL_read(s->ssl, p, n < TLS_RECORD ? (int)n : TLS_RECORD));
        int why = errno;
        if (!tls_flush(s) &&
            errno != EAGAIN) // answers of the handshake, or an alert that says what was wrong
            return -1;
        errno = why;
        if (got >= 0 || errno != EAGAIN)
            return got;
        got = recv(s->fd, wire, sizeof wire, 0);
        if (got <= 0)
            return got;
        if (BIO_write(s->from_net, wire, (int)got) != got)
            abort(); // out of memory
    }
}

ssize_t tls_send(struct tls *s, const void *p, size_t n)
{
    if (!tls_flush(s))
        return -1;
    return outcome(s, SSL_write(s->ssl, p, n < TLS_RECORD ? (int)n : TLS_RECORD));
}

void tls_bye(struct tls *s)
{
    (void)SSL_shutdown(s->ssl);
    ERR_clear_error();
}
