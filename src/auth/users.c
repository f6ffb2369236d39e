#include "auth/auth_int.h"
#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"
#include "os/os.h"
#include "os/thread.h"

#include <openssl/crypto.h>
#include <stdlib.h>

enum { SALT = 16 };

struct user {
    bool fixed;
    bool has[AUTH_PLAIN];
    struct scram_credential credential[AUTH_PLAIN];
};

struct auth {
    struct os *os;
    uint8_t secret[32]; // made-up salts are HMACs of names with it
    struct mutex lock;  // over users
    struct map users;   // name -> struct user
};

struct auth *auth_new(struct os *os)
{
    struct auth *a = MEM_NEW(struct auth);

    a->os = os;
    os->random(os, a->secret, sizeof a->secret);
    mutex_init(&a->lock);
    return a;
}

static void user_free(struct user *u)
{
    OPENSSL_cleanse(u, sizeof *u);
    mem_free(u);
}

void auth_free(struct auth *a)
{
    if (!a)
        return;
    for (struct map_it it = {0}; map_next(&a->users, &it);)
        user_free(it.value);
    map_fini(&a->users);
    mutex_fini(&a->lock);
    OPENSSL_cleanse(a->secret, sizeof a->secret);
    mem_free(a);
}

void auth_random(struct auth *a, void *p, size_t n)
{
    a->os->random(a->os, p, n);
}

void auth_add_credential(struct auth *a, struct str name, const struct scram_credential *c, bool fixed)
{
    struct user *u;

    mutex_lock(&a->lock);
    u = map_get(&a->users, name);
    if (!u) {
        u = MEM_NEW(struct user);
        (void)map_put(&a->users, name, u);
    }
    u->fixed = u->fixed || fixed;
    u->has[c->mechanism] = true;
    u->credential[c->mechanism] = *c;
    mutex_unlock(&a->lock);
}

void auth_add_password(struct auth *a, struct str name, struct str password)
{
    for (int m = 0; m < AUTH_PLAIN; m++) {
        struct scram_credential c = {
            .mechanism = (enum auth_mechanism)m, .iterations = SCRAM_ITERATIONS, .salt_n = SALT};
        auth_random(a, c.salt, SALT);
        scram_derive(&c, password);
        auth_add_credential(a, name, &c, true);
    }
}

void auth_remove_credential(struct auth *a, struct str name, enum auth_mechanism m)
{
    struct user *u;
    bool left = false;

    mutex_lock(&a->lock);
    u = map_get(&a->users, name);
    if (u) {
        u->has[m] = false;
        OPENSSL_cleanse(&u->credential[m], sizeof u->credential[m]);
        for (int i = 0; i < AUTH_PLAIN; i++)
            left = left || u->has[i];
        if (!left)
            user_free(map_del(&a->users, name));
    }
    mutex_unlock(&a->lock);
}

bool auth_is_fixed(struct auth *a, struct str name)
{
    const struct user *u;
    bool fixed;

    mutex_lock(&a->lock);
    u = map_get(&a->users, name);
    fixed = u && u->fixed;
    mutex_unlock(&a->lock);
    return fixed;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct auth_user *)a)->name, ((const struct auth_user *)b)->name);
}

void auth_list(struct auth *a, struct arena *arena, struct auth_user **out, size_t *count)
{
    size_t n = 0;

    mutex_lock(&a->lock);
    *out = ARENA_ARRAY(arena, struct auth_user, a->users.n);
    for (struct map_it it = {0}; map_next(&a->users, &it);) {
        const struct user *u = it.value;
        struct auth_user *to = &(*out)[n++];
        to->name = arena_str(arena, it.key);
        to->fixed = u->fixed;
        memcpy(to->has, u->has, sizeof to->has);
        memcpy(to->credential, u->credential, sizeof to->credential);
    }
    mutex_unlock(&a->lock);
    *count = n;
    if (n > 1)
        qsort(*out, n, sizeof **out, by_name);
}

static void make_up(struct auth *a, struct str name, enum auth_mechanism m, struct scram_credential *out)
{
    uint8_t keys[SCRAM_KEY_MAX];

    *out = (struct scram_credential){.mechanism = m, .iterations = SCRAM_ITERATIONS, .salt_n = SALT};
    auth_hmac(m, str_from(a->secret, sizeof a->secret), name, keys);
    memcpy(out->salt, keys, SALT);
    auth_hmac(m, str_from(keys, scram_key_bytes(m)), STR("Stored Key"), out->stored_key);
    auth_hmac(m, str_from(keys, scram_key_bytes(m)), STR("Server Key"), out->server_key);
}

bool auth_find(struct auth *a, struct str name, enum auth_mechanism m, struct scram_credential *out)
{
    const struct user *u;
    bool found;

    make_up(a, name, m, out);
    mutex_lock(&a->lock);
    u = map_get(&a->users, name);
    found = u && u->has[m];
    if (found)
        *out = u->credential[m];
    mutex_unlock(&a->lock);
    return found;
}

/* ---- PLAIN ---- */

bool auth_plain_parse(struct str message, struct str *name, struct str *password)
{
    struct str rest = message, authzid;

    if (message.n > SCRAM_MESSAGE_MAX || !str_cut(&rest, 0, &authzid) || !str_cut(&rest, 0, name) || !rest.p)
        return false;
    *password = rest;
    return name->n > 0 && name->n <= AUTH_NAME_MAX && rest.n > 0 && rest.n <= AUTH_PASSWORD_MAX &&
           str_find(rest, 0) < 0 && (authzid.n == 0 || str_eq(authzid, *name));
}

bool auth_check_password(struct auth *a, struct str name, struct str password)
{
    struct scram_credential kept, tried;
    bool known = auth_find(a, name, AUTH_SCRAM_SHA_256, &kept);
    bool fits;

    if (!known) {
        struct scram_credential other;
        known = auth_find(a, name, AUTH_SCRAM_SHA_512, &other);
        if (known)
            kept = other;
    }
    tried = kept;
    scram_derive(&tried, password);
    fits = CRYPTO_memcmp(tried.stored_key, kept.stored_key, scram_key_bytes(kept.mechanism)) == 0;
    OPENSSL_cleanse(&tried, sizeof tried);
    return fits && known;
}
