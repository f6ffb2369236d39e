/*
 * auth: who somebody is. Users, what is kept of their passwords, and the ways to prove one: SASL PLAIN (RFC 4616) and
 * SCRAM (RFC 5802, with SHA-256 of RFC 7677, and SHA-512 as Kafka has it).
 *
 * A password is never kept: auth_add_password() makes a SCRAM credential of it for each hash, and PLAIN is checked against
 * one of those. Who is not there is checked against made-up credentials that stay the same while the program runs, so
 * neither the answers nor their time tell which names exist.
 *
 *     a = auth_new(os)
 *     auth_add_password(a, STR("alice"), STR("secret"))
 *     ...
 *     scram_init(&s, a, AUTH_SCRAM_SHA_256)
 *     scram_step(&s, client_first, &out) == SCRAM_GO_ON, then scram_step(&s, client_final, &out) == SCRAM_DONE: s.user is proven
 *     scram_fini(&s)
 *
 * Threads: a struct auth may be used from any; a struct scram by one at a time. auth_check_password() computes for some
 * milliseconds and belongs in a job; the rest is quick.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct arena;
struct auth;
struct os;

enum auth_mechanism { AUTH_SCRAM_SHA_256, AUTH_SCRAM_SHA_512, AUTH_PLAIN, AUTH_MECHANISMS };

const char *auth_mechanism_name(enum auth_mechanism m); // as SASL names it
bool auth_mechanism_of(struct str name, enum auth_mechanism *out);

/* ---- credentials ---- */

enum {
    AUTH_NAME_MAX = 255,
    AUTH_PASSWORD_MAX = 1024,
    SCRAM_KEY_MAX = 64,
    SCRAM_SALT_MAX = 64,
    SCRAM_ITERATIONS =
        4096, // as Kafka's default; its bounds too: fewer are weak, more are a burden to clients
    SCRAM_ITERATIONS_MOST = 16384
};

struct scram_credential {
    enum auth_mechanism mechanism; // a SCRAM one
    int32_t iterations;
    size_t salt_n;
    uint8_t salt[SCRAM_SALT_MAX];
    uint8_t stored_key[SCRAM_KEY_MAX], server_key[SCRAM_KEY_MAX]; // scram_key_bytes() of each
};

size_t scram_key_bytes(enum auth_mechanism m);
/* From a password, with the mechanism, salt and iterations that *c holds already. Takes milliseconds. */
void scram_derive(struct scram_credential *c, struct str password);
/* From what a client has computed itself: PBKDF2 of password, salt and iterations (Kafka: AlterUserScramCredentials). */
void scram_derive_salted(struct scram_credential *c, const uint8_t *salted_password);
/* "SCRAM-SHA-256$4096:c2FsdA==$StoredKey:ServerKey", as PostgreSQL writes it. */
bool scram_parse(struct str text, struct scram_credential *out, struct err *e) MUST_CHECK;
void scram_print(const struct scram_credential *c, struct buf *out);

/* ---- users ---- */

struct auth *auth_new(struct os *os);
void auth_free(struct auth *a); // NULL does nothing

/* Of settings. A name may have a password, or a credential for each hash. Takes milliseconds. */
void auth_add_password(struct auth *a, struct str name, struct str password);
/* fixed: of settings, and not to be changed by clients. Replaces the one of that mechanism. */
void auth_add_credential(struct auth *a, struct str name, const struct scram_credential *c, bool fixed);
void auth_remove_credential(struct auth *a, struct str name, enum auth_mechanism m);
bool auth_is_fixed(struct auth *a, struct str name);

struct auth_user {
    struct str name;
    bool fixed;
    bool has[AUTH_PLAIN]; // a credential of that SCRAM mechanism
    struct scram_credential credential[AUTH_PLAIN];
};
/* All users in the order of their names, in `arena`. */
void auth_list(struct auth *a, struct arena *arena, struct auth_user **out, size_t *count);

/*
 * The credential of a user. False when there is none: then *out is made up, the same for each call, and no password fits it.
 */
bool auth_find(struct auth *a, struct str name, enum auth_mechanism m, struct scram_credential *out);
/* For PLAIN: takes milliseconds, the same for names that do not exist. */
bool auth_check_password(struct auth *a, struct str name, struct str password);
/* Cuts PLAIN's message into name and password; false when it is none, or wants to act for another user (authzid). */
bool auth_plain_parse(struct str message, struct str *name, struct str *password);

/* ---- SCRAM, the server's side ---- */

enum scram_result { SCRAM_GO_ON, SCRAM_DONE, SCRAM_FAILED };

enum { SCRAM_MESSAGE_MAX = 4096, SCRAM_NONCE = 24 };

struct scram {
    struct auth *auth;
    enum auth_mechanism mechanism;
    enum { SCRAM_WANTS_FIRST, SCRAM_WANTS_FINAL, SCRAM_OVER } state;
    char nonce[2 * SCRAM_NONCE];  // ours, printable
    char user[AUTH_NAME_MAX + 1]; // proven once SCRAM_DONE was answered
    bool known;                   // such a user exists
    struct scram_credential credential;
    struct buf signs;    // client-first-message-bare "," server-first-message
    struct buf binds;    // the GS2 header, base64, that client-final must repeat
    struct buf together; // the client's nonce and ours
};

void scram_init(struct scram *s, struct auth *a, enum auth_mechanism m);
void scram_fini(struct scram *s);
/*
 * One message of the client; the answer is appended to out. After SCRAM_FAILED nothing was appended and every further step fails:
 * the caller answers in its protocol's way, without saying why.
 */
enum scram_result scram_step(struct scram *s, struct str message, struct buf *out);
