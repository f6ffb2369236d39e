#include "auth/auth_int.h"
#include "base/mem.h"

#include <openssl/crypto.h>

void scram_init(struct scram *s, struct auth *a, enum auth_mechanism m)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t random[SCRAM_NONCE];

    *s = (struct scram){.auth = a, .mechanism = m};
    s->signs = s->binds = s->together = buf_make((size_t)4 * SCRAM_MESSAGE_MAX);
    auth_random(a, random, sizeof random);
    for (size_t i = 0; i < SCRAM_NONCE; i++)
        s->nonce[i] = letters[random[i] % 64];
}

void scram_fini(struct scram *s)
{
    buf_fini(&s->signs);
    buf_fini(&s->binds);
    buf_fini(&s->together);
    OPENSSL_cleanse(s, sizeof *s);
}

/* The next attribute, "n=..." up to a comma, when its letter is the one expected. */
static bool take(struct str *rest, char letter, struct str *value)
{
    struct str part;

    if (!str_cut(rest, ',', &part) || part.n < 2 || part.p[0] != letter || part.p[1] != '=')
        return false;
    *value = str_from(part.p + 2, part.n - 2);
    return true;
}

/* saslname: "=2C" is a comma and "=3D" an equals sign. */
static bool put_user(struct scram *s, struct str name)
{
    size_t n = 0;

    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        struct str rest = str_from(name.p + i, name.n - i);
        if (c == '=') {
            if (!str_starts(rest, STR("=2C")) && !str_starts(rest, STR("=3D")))
                return false;
            c = rest.p[1] == '2' ? ',' : '=';
            i += 2;
        }
        if (c == 0 || n >= AUTH_NAME_MAX)
            return false;
        s->user[n++] = c;
    }
    s->user[n] = 0;
    return n > 0;
}

static bool is_nonce(struct str nonce)
{
    for (size_t i = 0; i < nonce.n; i++)
        if (nonce.p[i] < 0x21 || nonce.p[i] > 0x7e)
            return false;
    return nonce.n > 0;
}

/* "n,," or "y,a=name,": no channel binding, and nobody acts for another. Leaves the bare message in *rest. */
static bool take_header(struct scram *s, struct str *rest, struct str *authzid)
{
    struct str whole = *rest, flag;

    if (!str_cut(rest, ',', &flag) || !(str_is(flag, "n") || str_is(flag, "y")))
        return false;
    if (!str_cut(rest, ',', authzid))
        return false;
    if (authzid->n > 0) {
        if (!str_starts(*authzid, STR("a=")))
            return false;
        *authzid = str_from(authzid->p + 2, authzid->n - 2);
    }
    if (!rest->p)
        return false;
    buf_base64(&s->binds, whole.p, (size_t)(rest->p - whole.p));
    return true;
}

static bool step_first(struct scram *s, struct str message, struct buf *out)
{
    struct str rest = message, authzid, bare, name, nonce;

    if (!take_header(s, &rest, &authzid))
        return false;
    bare = rest;
    /* What follows the nonce are extensions; an unknown one may be passed over, but Kafka's delegation token is another login. */
    if (!take(&rest, 'n', &name) || !take(&rest, 'r', &nonce) || !is_nonce(nonce) || !put_user(s, name) ||
        (authzid.n > 0 && !str_eq(authzid, name)) || str_starts(rest, STR("tokenauth")))
        return false;
    s->known = auth_find(s->auth, str_of(s->user), s->mechanism, &s->credential);
    buf_str(&s->together, nonce);
    buf_str(&s->together, str_of(s->nonce));
    buf_str(&s->signs, bare);
    buf_u8(&s->signs, ',');
    size_t from = s->signs.n;
    buf_fmt(&s->signs, "r=%.*s,s=", STR_ARG(buf_view(&s->together)));
    buf_base64(&s->signs, s->credential.salt, s->credential.salt_n);
    buf_fmt(&s->signs, ",i=%d", s->credential.iterations);
    buf_put(out, s->signs.p + from, s->signs.n - from);
    s->state = SCRAM_WANTS_FINAL;
    return true;
}

/* Is the hash of (proof XOR HMAC(StoredKey, AuthMessage)) the StoredKey? */
static bool proof_fits(const struct scram *s, struct str auth_message, const uint8_t *proof)
{
    const struct scram_credential *c = &s->credential;
    size_t n = scram_key_bytes(s->mechanism);
    uint8_t key[SCRAM_KEY_MAX], hashed[SCRAM_KEY_MAX];
    bool fits;

    auth_hmac(s->mechanism, str_from(c->stored_key, n), auth_message, key);
    for (size_t i = 0; i < n; i++)
        key[i] ^= proof[i];
    auth_hash(s->mechanism, key, hashed);
    fits = CRYPTO_memcmp(hashed, c->stored_key, n) == 0;
    OPENSSL_cleanse(key, sizeof key);
    return fits && s->known;
}

static bool step_final(struct scram *s, struct str message, struct buf *out)
{
    struct str rest = message, binds, nonce, text;
    uint8_t proof[SCRAM_KEY_MAX], signature[SCRAM_KEY_MAX];
    size_t n = 0, without;

    if (!take(&rest, 'c', &binds) || !take(&rest, 'r', &nonce))
        return false;
    for (without = message.n; without > 0 && message.p[without - 1] != ',';)
        without--; // the proof is last, and is not part of what is signed
    text = str_from(message.p + without, message.n - without);
    if (without == 0 || !take(&text, 'p', &text) || !auth_base64(text, proof, sizeof proof, &n) ||
        n != scram_key_bytes(s->mechanism))
        return false;
    /*
     * A nonce that is not ours is a replay (CVE-2024-56128). librdkafka before 2.6.1 puts its own part in front once more, so, as
     * Kafka has it since 3.8.1, what must be there is only the end: it is fresh, and signed with the rest.
     */
    if (!str_eq(binds, buf_view(&s->binds)) || !str_ends(nonce, buf_view(&s->together)))
        return false;
    buf_u8(&s->signs, ',');
    buf_put(&s->signs, message.p, without - 1);
    if (!buf_ok(&s->signs) || !proof_fits(s, buf_view(&s->signs), proof))
        return false;
    auth_hmac(s->mechanism, str_from(s->credential.server_key, n), buf_view(&s->signs), signature);
    buf_str(out, STR("v="));
    buf_base64(out, signature, n);
    s->state = SCRAM_OVER;
    return true;
}

enum scram_result scram_step(struct scram *s, struct str message, struct buf *out)
{
    bool ok = false;

    if (s->state != SCRAM_OVER && message.n <= SCRAM_MESSAGE_MAX)
        ok = s->state == SCRAM_WANTS_FIRST ? step_first(s, message, out) : step_final(s, message, out);
    if (ok)
        return s->state == SCRAM_OVER ? SCRAM_DONE : SCRAM_GO_ON;
    s->state = SCRAM_OVER;
    s->user[0] = 0;
    return SCRAM_FAILED;
}
