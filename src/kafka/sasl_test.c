#include "kafka/testbroker.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static void begin_with_users(void)
{
    users = auth_new(os_real());
    auth_add_password(users, STR("alice"), STR("pencil"));
    begin();
}

static void end_with_users(void)
{
    end();
    auth_free(users);
    users = NULL;
}

static int16_t handshake(int fd, int version, const char *mechanism)
{
    struct k_sasl_handshake_res res;

    call(fd, &SASL_HANDSHAKE, version, &(struct k_sasl_handshake_req){str_of(mechanism)}, &res);
    OK(!users || (res.mechanisms_n == 3 && str_is(res.mechanisms[0], "SCRAM-SHA-256")));
    return res.error;
}

static struct k_sasl_authenticate_res say(int fd, int version, struct str token)
{
    struct k_sasl_authenticate_res res;

    call(fd, &SASL_AUTHENTICATE, version, &(struct k_sasl_authenticate_req){token}, &res);
    OK(res.session_lifetime_ms == 0);
    return res;
}

static bool can_ask(int fd)
{
    struct k_metadata_res res;

    ask(fd, &METADATA, 1, &(struct k_metadata_req){.topics_n = 0});
    return hear(fd, &METADATA, 1, correlation, &res) && res.brokers_n == 1;
}

TEST(plain)
{
    int fd;

    begin_with_users();
    for (int v = 0; v <= 2; v++) {
        fd = dial();
        OK(handshake(fd, 1, "PLAIN") == K_NONE);
        OK(say(fd, v, STR("\0alice\0pencil")).error == K_NONE);
        OK(can_ask(fd));
        OK(say(fd, v, STR("\0alice\0pencil")).error == K_ILLEGAL_SASL_STATE); // once is enough
        OK(handshake(fd, 1, "PLAIN") == K_ILLEGAL_SASL_STATE);
        OK(can_ask(fd));
        close(fd);
    }
    end_with_users();
}

TEST(a_wrong_password_is_told_and_ends_the_connection)
{
    static const struct str wrong[] = {{"\0alice\0pen", 10}, {"\0bob\0pencil", 11}, {"alice", 5}, {"", 0}};

    begin_with_users();
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct k_sasl_authenticate_res res;
        int fd = dial();

        OK(handshake(fd, 1, "PLAIN") == K_NONE);
        res = say(fd, 2, wrong[i]);
        OK(res.error == K_SASL_AUTHENTICATION_FAILED);
        OK(str_is(res.error_message,
                  "Authentication failed due to invalid credentials with SASL mechanism PLAIN"));
        OK(hung_up(fd));
        close(fd);
    }
    end_with_users();
}

/* What a client computes: SaltedPassword, the proof. */
static struct str client_final(const char *nonce, struct str first_bare, struct str challenge,
                               const char *password)
{
    struct buf b = buf_make(4000), out = buf_make(4000);
    struct scram_credential c = {.mechanism = AUTH_SCRAM_SHA_256, .iterations = 4096};
    struct str rest = challenge, r, salt, text;
    uint8_t bytes[64], salted[32], key[32], signature[32];
    unsigned n = 32;
    int got;

    OK(str_cut(&rest, ',', &r) && str_cut(&rest, ',', &salt) && str_is(rest, "i=4096"));
    OK(str_starts(str_from(r.p + 2, r.n - 2), str_of(nonce)) && r.n > strlen(nonce) + 20);
    got = EVP_DecodeBlock(bytes, (const uint8_t *)salt.p + 2, (int)salt.n - 2);
    OK(got == 18 && str_ends(salt, STR("==")));
    OK(PKCS5_PBKDF2_HMAC(password, (int)strlen(password), bytes, 16, 4096, EVP_sha256(), 32, salted));
    scram_derive_salted(&c, salted);
    buf_fmt(&b, "%.*s,%.*s,c=biws,%.*s", STR_ARG(first_bare), STR_ARG(challenge), STR_ARG(r));
    text = buf_view(&b);
    HMAC(EVP_sha256(), salted, 32, (const uint8_t *)"Client Key", 10, key, &n);
    HMAC(EVP_sha256(), c.stored_key, 32, (const uint8_t *)text.p, text.n, signature, &n);
    for (int i = 0; i < 32; i++)
        key[i] ^= signature[i];
    buf_fmt(&out, "c=biws,%.*s,p=", STR_ARG(r));
    buf_base64(&out, key, 32);
    text = arena_str(&mem, buf_view(&out));
    buf_fini(&b);
    buf_fini(&out);
    return text;
}

TEST(scram)
{
    struct k_sasl_authenticate_res res;
    struct str final;
    int fd;

    begin_with_users();
    for (int wrong = 0; wrong < 3; wrong++) {
        const char *first = wrong == 2 ? "n,,n=bob,r=abc" : "n,,n=alice,r=abc";
        fd = dial();
        OK(handshake(fd, 1, "SCRAM-SHA-256") == K_NONE);
        res = say(fd, 1, str_of(first));
        OK(res.error == K_NONE);
        final = client_final("abc", str_of(first + 3), res.token, wrong == 1 ? "pen" : "pencil");
        res = say(fd, 1, final);
        OK(res.error == (wrong ? K_SASL_AUTHENTICATION_FAILED : K_NONE));
        OK(wrong ? hung_up(fd) : can_ask(fd));
        close(fd);
    }
    end_with_users();
}

static void send_token(int fd, struct str token)
{
    uint8_t n[4];

    be_put32(n, (uint32_t)token.n);
    send_all(fd, n, 4);
    if (token.n > 0)
        send_all(fd, token.p, token.n);
}

/* After a handshake of version 0 tokens come without Kafka's headers; kafka-python logs in so. */
TEST(bare_tokens)
{
    uint8_t n[4];
    int fd;

    begin_with_users();
    fd = dial();
    OK(handshake(fd, 0, "PLAIN") == K_NONE);
    send_token(fd, STR("\0alice\0pencil"));
    OK(receive(fd, n, 4) && be_get32(n) == 0);
    OK(can_ask(fd));
    close(fd);
    fd = dial();
    OK(handshake(fd, 0, "PLAIN") == K_NONE);
    send_token(fd, STR("\0alice\0pen"));
    OK(hung_up(fd));
    close(fd);
    fd = dial();
    OK(handshake(fd, 0, "SCRAM-SHA-512") == K_NONE);
    send_token(fd, STR("n,,n=alice,r=abc"));
    OK(receive(fd, n, 4) && be_get32(n) > 40 && be_get32(n) < 200);
    close(fd);
    end_with_users();
}

TEST(before_a_login_nothing_else_is_answered)
{
    struct k_api_versions_res versions;
    uint8_t big[4];
    int fd;

    begin_with_users();
    fd = dial();
    call(fd, &API_VERSIONS, 0, &(struct k_api_versions_req){0}, &versions);
    OK(versions.error == K_NONE && versions.apis_n > 20);
    OK(!can_ask(fd)); // closed
    close(fd);
    fd = dial();
    OK(handshake(fd, 1, "GSSAPI") == K_UNSUPPORTED_SASL_MECHANISM && hung_up(fd));
    close(fd);
    fd = dial();
    OK(say(fd, 1, STR("\0alice\0pencil")).error == K_ILLEGAL_SASL_STATE && hung_up(fd));
    close(fd);
    fd = dial();
    OK(handshake(fd, 1, "PLAIN") == K_NONE && !can_ask(fd));
    close(fd);
    fd = dial();
    be_put32(big, (512 << 10) + 1); // nobody may send that much before he is known
    send_all(fd, big, 4);
    OK(hung_up(fd));
    close(fd);
    end_with_users();
}

TEST(without_users_nobody_has_to_log_in)
{
    int fd;

    begin();
    fd = dial();
    OK(can_ask(fd));
    OK(handshake(fd, 1, "PLAIN") == K_ILLEGAL_SASL_STATE);
    OK(say(fd, 1, STR("\0alice\0pencil")).error == K_ILLEGAL_SASL_STATE);
    OK(can_ask(fd));
    close(fd);
    end();
}

/* What was sent behind the last token waits for the answer, and is then read as what it is. */
TEST(requests_sent_ahead_wait_for_the_login)
{
    struct k_sasl_authenticate_res res;
    struct k_metadata_res got;
    int fd;

    begin_with_users();
    fd = dial();
    OK(handshake(fd, 1, "PLAIN") == K_NONE);
    ask(fd, &SASL_AUTHENTICATE, 1, &(struct k_sasl_authenticate_req){STR("\0alice\0pencil")});
    ask(fd, &METADATA, 1, &(struct k_metadata_req){.topics_n = 0});
    OK(hear(fd, &SASL_AUTHENTICATE, 1, correlation - 1, &res) && res.error == K_NONE);
    OK(hear(fd, &METADATA, 1, correlation, &got) && got.brokers_n == 1);
    close(fd);
    end_with_users();
}

/* ---- logging in anew (KIP-368) ---- */

enum { HOUR_MS = 3600000 };
static int64_t later_ms;
static struct os clock_os;

static int64_t later_ns(struct os *os)
{
    return os_real()->now_ns(os) + later_ms * 1000000;
}

static void begin_with_hours(void)
{
    clock_os = *os_real();
    clock_os.now_ns = later_ns;
    door_os = &clock_os;
    later_ms = 0;
    reauth_ms = HOUR_MS;
    users = auth_new(os_real());
    auth_add_password(users, STR("alice"), STR("pencil"));
    auth_add_password(users, STR("bob"), STR("pen"));
    begin();
}

static void end_with_hours(void)
{
    end_with_users();
    door_os = NULL;
    reauth_ms = 0;
}

static struct k_sasl_authenticate_res say_plain(int fd, int version, const char *user, const char *password)
{
    struct k_sasl_authenticate_res res;
    struct buf token = buf_make(1000);

    buf_u8(&token, 0);
    buf_str(&token, str_of(user));
    buf_u8(&token, 0);
    buf_str(&token, str_of(password));
    call(fd, &SASL_AUTHENTICATE, version, &(struct k_sasl_authenticate_req){buf_view(&token)}, &res);
    buf_fini(&token);
    return res;
}

static int dial_in(int version)
{
    int fd = dial();

    OK(handshake(fd, 1, "PLAIN") == K_NONE);
    OK(say_plain(fd, version, "alice", "pencil").session_lifetime_ms == (version > 0 ? HOUR_MS : 0));
    return fd;
}

TEST(a_login_holds_for_its_time)
{
    int old, fd;

    begin_with_hours();
    old = dial_in(0); // is not told, and cut all the same
    fd = dial_in(1);
    later_ms = HOUR_MS - 60000;
    OK(can_ask(old) && can_ask(fd));
    later_ms = HOUR_MS + 60000;
    OK(!can_ask(old) && !can_ask(fd));
    close(old);
    close(fd);
    end_with_hours();
}

TEST(who_logs_in_anew_goes_on)
{
    int fd;

    begin_with_hours();
    fd = dial_in(2);
    for (int i = 1; i <= 3; i++) {
        later_ms = i * (int64_t)HOUR_MS - i * 60000;
        OK(can_ask(fd));
        OK(handshake(fd, 1, "PLAIN") == K_NONE);
        OK(say_plain(fd, 2, "alice", "pencil").session_lifetime_ms == HOUR_MS);
        OK(can_ask(fd));
        OK(handshake(fd, 1, "PLAIN") == K_ILLEGAL_SASL_STATE); // so soon again
        OK(can_ask(fd));
    }
    later_ms += 2 * HOUR_MS; // late, but that alone may be asked for
    OK(handshake(fd, 1, "PLAIN") == K_NONE && say_plain(fd, 2, "alice", "pencil").error == K_NONE);
    OK(can_ask(fd));
    close(fd);
    end_with_hours();
}

TEST(logging_in_anew_changes_nothing_else)
{
    struct k_sasl_authenticate_res res;
    int fd;

    begin_with_hours();
    fd = dial_in(2);
    OK(handshake(fd, 1, "PLAIN") == K_NONE);
    res = say_plain(fd, 2, "bob", "pen"); // right, but another one
    OK(res.error == K_SASL_AUTHENTICATION_FAILED && res.session_lifetime_ms == 0);
    OK(str_is(res.error_message,
              "Cannot change principals during re-authentication from User:alice to User:bob"));
    OK(hung_up(fd));
    close(fd);
    fd = dial_in(2);
    OK(handshake(fd, 1, "PLAIN") == K_NONE);
    OK(say_plain(fd, 2, "alice", "pen").error == K_SASL_AUTHENTICATION_FAILED && hung_up(fd));
    close(fd);
    fd = dial_in(2);
    OK(handshake(fd, 1, "SCRAM-SHA-256") == K_UNSUPPORTED_SASL_MECHANISM && can_ask(fd));
    OK(handshake(fd, 1, "PLAIN") == K_NONE);
    OK(!can_ask(fd)); // half logged in is not logged in
    close(fd);
    end_with_hours();
}

TEST_MAIN
