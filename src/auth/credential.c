/*
 * What is kept of a password, RFC 5802 section 3: SaltedPassword is PBKDF2 of it, ClientKey and ServerKey are HMACs of two words,
 * and StoredKey is the hash of ClientKey. StoredKey and ServerKey are kept: they prove, but nobody can log in with them.
 */
#include "auth/auth_int.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

static const struct {
    const char *name;
    size_t bytes;
} mechanisms[AUTH_MECHANISMS] = {
    [AUTH_SCRAM_SHA_256] = {"SCRAM-SHA-256", 32},
    [AUTH_SCRAM_SHA_512] = {"SCRAM-SHA-512", 64},
    [AUTH_PLAIN] = {"PLAIN", 0},
};

static const EVP_MD *digest(enum auth_mechanism m)
{
    assert(m < AUTH_PLAIN);
    return m == AUTH_SCRAM_SHA_256 ? EVP_sha256() : EVP_sha512();
}

const char *auth_mechanism_name(enum auth_mechanism m)
{
    return mechanisms[m].name;
}

bool auth_mechanism_of(struct str name, enum auth_mechanism *out)
{
    for (int m = 0; m < AUTH_MECHANISMS; m++)
        if (str_is(name, mechanisms[m].name)) {
            *out = (enum auth_mechanism)m;
            return true;
        }
    return false;
}

size_t scram_key_bytes(enum auth_mechanism m)
{
    assert(m < AUTH_PLAIN);
    return mechanisms[m].bytes;
}

void auth_hmac(enum auth_mechanism m, struct str key, struct str data, uint8_t *to)
{
    unsigned n = 0;

    if (!HMAC(digest(m), key.p, (int)key.n, (const unsigned char *)data.p, data.n, to, &n))
        abort(); // out of memory, as mem_ would
    assert(n == scram_key_bytes(m));
}

void auth_hash(enum auth_mechanism m, const uint8_t *p, uint8_t *to)
{
    if (EVP_Digest(p, scram_key_bytes(m), to, NULL, digest(m), NULL) != 1)
        abort();
}

void scram_derive_salted(struct scram_credential *c, const uint8_t *salted_password)
{
    struct str salted = str_from(salted_password, scram_key_bytes(c->mechanism));
    uint8_t client_key[SCRAM_KEY_MAX];

    auth_hmac(c->mechanism, salted, STR("Client Key"), client_key);
    auth_hash(c->mechanism, client_key, c->stored_key);
    auth_hmac(c->mechanism, salted, STR("Server Key"), c->server_key);
    OPENSSL_cleanse(client_key, sizeof client_key);
}

void scram_derive(struct scram_credential *c, struct str password)
{
    uint8_t salted[SCRAM_KEY_MAX];

    if (PKCS5_PBKDF2_HMAC(password.p, (int)password.n, c->salt, (int)c->salt_n, c->iterations,
                          digest(c->mechanism), (int)scram_key_bytes(c->mechanism), salted) != 1)
        abort();
    scram_derive_salted(c, salted);
    OPENSSL_cleanse(salted, sizeof salted);
}

/* ---- as text ---- */

bool auth_base64(struct str text, uint8_t *to, size_t room, size_t *n)
{
    uint8_t out[SCRAM_MESSAGE_MAX];
    size_t pad = str_ends(text, STR("==")) ? 2 : str_ends(text, STR("=")) ? 1 : 0;
    int got;

    if (text.n == 0 || text.n % 4 != 0 || text.n / 4 * 3 > sizeof out)
        return false;
    for (size_t i = 0; i < text.n; i++) { // OpenSSL passes over blanks at both ends
        char c = text.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && c != '+' && c != '/' && !(c == '=' && i >= text.n - pad))
            return false;
    }
    got = EVP_DecodeBlock(out, (const unsigned char *)text.p, (int)text.n);
    if (got < 0 || (size_t)got < pad || (size_t)got - pad > room)
        return false;
    *n = (size_t)got - pad;
    memcpy(to, out, *n);
    OPENSSL_cleanse(out, sizeof out);
    return true;
}

static bool read_key(struct str text, enum auth_mechanism m, uint8_t *to)
{
    size_t n;

    return auth_base64(text, to, SCRAM_KEY_MAX, &n) && n == scram_key_bytes(m);
}

bool scram_parse(struct str text, struct scram_credential *out, struct err *e)
{
    struct str rest = text, name, iterations, salt, stored;
    struct scram_credential c = {0};
    int64_t count = 0;

    if (!str_cut(&rest, '$', &name) || !auth_mechanism_of(name, &c.mechanism) || c.mechanism == AUTH_PLAIN ||
        !str_cut(&rest, ':', &iterations) || !str_cut(&rest, '$', &salt) || !str_cut(&rest, ':', &stored) ||
        !str_i64(iterations, &count) || !auth_base64(salt, c.salt, sizeof c.salt, &c.salt_n) ||
        !read_key(stored, c.mechanism, c.stored_key) || !read_key(rest, c.mechanism, c.server_key))
        return err_set(e, ERR_INVALID,
                       "expected a credential such as SCRAM-SHA-256$4096:salt$StoredKey:ServerKey, the last "
                       "three in base64");
    if (count < SCRAM_ITERATIONS || count > SCRAM_ITERATIONS_MOST)
        return err_set(e, ERR_INVALID, "a credential of %lld iterations, expected %d to %d", (long long)count,
                       SCRAM_ITERATIONS, SCRAM_ITERATIONS_MOST);
    c.iterations = (int32_t)count;
    *out = c;
    return true;
}

void scram_print(const struct scram_credential *c, struct buf *out)
{
    buf_fmt(out, "%s$%d:", auth_mechanism_name(c->mechanism), c->iterations);
    buf_base64(out, c->salt, c->salt_n);
    buf_u8(out, '$');
    buf_base64(out, c->stored_key, scram_key_bytes(c->mechanism));
    buf_u8(out, ':');
    buf_base64(out, c->server_key, scram_key_bytes(c->mechanism));
}
