#include "auth/auth.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/test.h"
#include "os/os.h"

static struct auth *users;
static struct scram s;
static struct buf out;

/* The exchange of RFC 7677 section 3; the server's nonce is the RFC's. */
#define SALT         "W22ZaJ0SNY7soEsUEjb6gQ=="
#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define FIRST        "n,,n=user,r=" CLIENT_NONCE
#define CHALLENGE    "r=" CLIENT_NONCE SERVER_NONCE ",s=" SALT ",i=4096"
#define FINAL        "c=biws,r=" CLIENT_NONCE SERVER_NONCE ",p="
#define KEPT_256               \
    "SCRAM-SHA-256$4096:" SALT \
    "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define KEPT_512                                                                                 \
    "SCRAM-SHA-512$4096:" SALT                                                                   \
    "$6AAub3065EYRmyFpM2RNwqK+eGnrkYuEWbXn19LsEmBqzu8QaCXNc1FwpnX9NhH2hK/60dzj9DoO5DvVkOHbvg==:" \
    "jZHbYjC1aHh0/hKbxyBuGFjDrgjgKTT1esA7awWiKcRZ0o/0b1yWEebBeSVkkCFewf91nLDfKF24mvD5nmE6rA=="
#define PROOF_256 "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define PROOF_512 "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ=="

static void begin(void)
{
    struct scram_credential c;
    struct err e;

    users = auth_new(os_real());
    OK(scram_parse(STR(KEPT_256), &c, &e));
    auth_add_credential(users, STR("user"), &c, true);
    OK(scram_parse(STR(KEPT_512), &c, &e));
    auth_add_credential(users, STR("user"), &c, true);
    out = buf_make(8000);
}

static void talk(enum auth_mechanism m)
{
    scram_init(&s, users, m);
    memcpy(s.nonce, SERVER_NONCE, sizeof SERVER_NONCE);
}

static enum scram_result say(const char *text)
{
    buf_reset(&out);
    return scram_step(&s, str_of(text), &out);
}

static void end(void)
{
    scram_fini(&s);
    buf_fini(&out);
    auth_free(users);
}

TEST(the_exchange_of_rfc_7677)
{
    begin();
    talk(AUTH_SCRAM_SHA_256);
    OK(say(FIRST) == SCRAM_GO_ON && str_is(buf_view(&out), CHALLENGE));
    OK(say(FINAL PROOF_256) == SCRAM_DONE);
    OK(str_is(buf_view(&out), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    OK(strcmp(s.user, "user") == 0);
    OK(say(FINAL PROOF_256) == SCRAM_FAILED && out.n == 0); // over is over
    end();
}

/* The figures were computed with another implementation (Python's hashlib). */
TEST(the_same_with_sha_512)
{
    begin();
    talk(AUTH_SCRAM_SHA_512);
    OK(say(FIRST) == SCRAM_GO_ON && str_is(buf_view(&out), CHALLENGE));
    OK(say(FINAL PROOF_512) == SCRAM_DONE);
    OK(str_is(buf_view(&out),
              "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw=="));
    end();
}

TEST(a_password_gives_the_same_keys)
{
    struct scram_credential c, derived;
    struct buf b = buf_make(1000);
    struct err e;

    OK(scram_parse(STR(KEPT_512), &c, &e) && c.iterations == 4096 && c.salt_n == 16);
    derived =
        (struct scram_credential){.mechanism = c.mechanism, .iterations = c.iterations, .salt_n = c.salt_n};
    memcpy(derived.salt, c.salt, c.salt_n);
    scram_derive(&derived, STR("pencil"));
    OK(memcmp(&c, &derived, sizeof c) == 0);
    scram_print(&derived, &b);
    OK(str_is(buf_view(&b), KEPT_512));
    buf_fini(&b);
}

static bool refused_at_once(const char *first)
{
    bool refused;

    talk(AUTH_SCRAM_SHA_256);
    refused = say(first) == SCRAM_FAILED && out.n == 0 && say(FIRST) == SCRAM_FAILED;
    scram_fini(&s);
    return refused;
}

TEST(first_messages_that_are_none)
{
    static const char *const bad[] = {"",
                                      "n",
                                      "n,",
                                      "n,,",
                                      "n,,n=user",
                                      "n,,r=abc,n=user",
                                      "n,,n=,r=abc",
                                      "n,,n=user,r=",
                                      "x,,n=user,r=abc",
                                      "p=tls-unique,,n=user,r=abc", // channel binding was not offered
                                      "n,a=root,n=user,r=abc",      // nobody acts for another
                                      "n,,n=us=41er,r=abc",
                                      "n,,n=us=2,r=abc",
                                      "n,,m=x,n=user,r=abc",
                                      "n,,n=user,r=a b",
                                      "n,,n=user,r=\xc3\xa4",
                                      "n,,n=user,r=abc,tokenauth=true"};

    begin();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        OK(refused_at_once(bad[i]));
    talk(AUTH_SCRAM_SHA_256);
    end();
}

static bool refused_at_the_end(const char *final)
{
    bool refused;

    talk(AUTH_SCRAM_SHA_256);
    refused = say(FIRST) == SCRAM_GO_ON && say(final) == SCRAM_FAILED && out.n == 0 && s.user[0] == 0;
    scram_fini(&s);
    return refused;
}

TEST(final_messages_that_prove_nothing)
{
    begin();
    OK(refused_at_the_end(FINAL "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVE=")); // one bit
    OK(refused_at_the_end(FINAL PROOF_512));
    OK(refused_at_the_end(FINAL));
    OK(refused_at_the_end("c=biws,r=" CLIENT_NONCE SERVER_NONCE));
    OK(refused_at_the_end("c=biws,r=" CLIENT_NONCE ",p=" PROOF_256)); // the nonce must be both
    OK(refused_at_the_end("c=biws,r=" CLIENT_NONCE SERVER_NONCE "x,p=" PROOF_256));
    OK(refused_at_the_end("c=eSws,r=" CLIENT_NONCE SERVER_NONCE ",p=" PROOF_256)); // "y,,": another header
    OK(refused_at_the_end("c=biws,r=" CLIENT_NONCE SERVER_NONCE ",x=1,p=" PROOF_256)); // not what was signed
    OK(refused_at_the_end(FINAL " " PROOF_256));
    OK(refused_at_the_end(""));
    talk(AUTH_SCRAM_SHA_256);
    end();
}

/* librdkafka before 2.6.1 repeats its part of the nonce. */
TEST(a_nonce_with_its_first_part_twice)
{
    begin();
    talk(AUTH_SCRAM_SHA_256);
    OK(say(FIRST) == SCRAM_GO_ON);
    OK(say("c=biws,r=" CLIENT_NONCE CLIENT_NONCE SERVER_NONCE
           ",p=1Y75+q7XaCGJj/r6vyQWwoNxSzV5ksS8xhp5Lqyriec=") == SCRAM_DONE);
    end();
}

/* A name that does not exist gets a challenge like any other, and always the same one. */
TEST(who_is_not_there_is_asked_as_well)
{
    struct scram_credential once, twice;

    begin();
    talk(AUTH_SCRAM_SHA_256);
    OK(say("n,,n=nobody,r=" CLIENT_NONCE) == SCRAM_GO_ON);
    OK(str_starts(buf_view(&out), STR("r=" CLIENT_NONCE SERVER_NONCE ",s=")) &&
       str_ends(buf_view(&out), STR("==,i=4096")));
    OK(say(FINAL PROOF_256) == SCRAM_FAILED);
    OK(!auth_find(users, STR("nobody"), AUTH_SCRAM_SHA_256, &once));
    OK(!auth_find(users, STR("nobody"), AUTH_SCRAM_SHA_256, &twice));
    OK(memcmp(&once, &twice, sizeof once) == 0);
    OK(!auth_find(users, STR("somebody"), AUTH_SCRAM_SHA_256, &twice) &&
       memcmp(once.salt, twice.salt, 16) != 0);
    end();
}

TEST(passwords)
{
    struct str name, password;

    begin();
    OK(auth_plain_parse(STR("\0user\0pencil"), &name, &password));
    OK(auth_check_password(users, name, password));
    OK(auth_plain_parse(STR("user\0user\0pen"), &name, &password) &&
       !auth_check_password(users, name, password));
    OK(!auth_check_password(users, STR("nobody"), STR("pencil")));
    OK(!auth_plain_parse(STR("root\0user\0pencil"), &name, &password)); // nobody acts for another
    OK(!auth_plain_parse(STR("\0user"), &name, &password) &&
       !auth_plain_parse(STR("\0\0x"), &name, &password));
    OK(!auth_plain_parse(STR("\0user\0"), &name, &password));
    OK(!auth_plain_parse(STR("\0user\0a\0b"), &name, &password));
    auth_add_password(users, STR("b,=ob"), STR("p\xc3\xa4ss"));
    OK(auth_check_password(users, STR("b,=ob"), STR("p\xc3\xa4ss")));
    auth_remove_credential(users, STR("b,=ob"), AUTH_SCRAM_SHA_256); // the other one is enough
    OK(auth_check_password(users, STR("b,=ob"), STR("p\xc3\xa4ss")) &&
       !auth_check_password(users, STR("b,=ob"), STR("x")));
    auth_remove_credential(users, STR("b,=ob"), AUTH_SCRAM_SHA_512);
    OK(!auth_check_password(users, STR("b,=ob"), STR("p\xc3\xa4ss")));
    talk(AUTH_SCRAM_SHA_256);
    end();
}

TEST(names_with_commas_and_equals_signs)
{
    begin();
    talk(AUTH_SCRAM_SHA_256);
    OK(say("n,a=b=2C=3Dob,n=b=2C=3Dob,r=x") == SCRAM_GO_ON && strcmp(s.user, "b,=ob") == 0);
    end();
}

TEST(credentials_that_are_none)
{
    static const char *const bad[] = {"",
                                      "secret",
                                      "SCRAM-SHA-1$4096:c2FsdA==$x:y",
                                      "PLAIN$4096:c2FsdA==$x:y",
                                      "SCRAM-SHA-256$4096:c2FsdA==$c2FsdA==:c2FsdA==",
                                      KEPT_256 "=",
                                      KEPT_256 " "};
    struct scram_credential c;
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        OK(!scram_parse(str_of(bad[i]), &c, &e) && strstr(e.msg, "SCRAM-SHA-256$4096:salt"));
    OK(!scram_parse(STR("SCRAM-SHA-256$1000:" SALT "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="),
                    &c, &e));
    OK(strstr(e.msg, "1000 iterations, expected 4096 to 16384") != NULL);
}

TEST(users_in_the_order_of_their_names)
{
    struct arena a = {0};
    struct auth_user *list;
    size_t n;

    begin();
    auth_add_password(users, STR("alice"), STR("x"));
    auth_list(users, &a, &list, &n);
    OK(n == 2 && str_is(list[0].name, "alice") && str_is(list[1].name, "user"));
    OK(list[0].fixed && list[0].has[AUTH_SCRAM_SHA_512] && auth_is_fixed(users, STR("alice")) &&
       !auth_is_fixed(users, STR("x")));
    arena_fini(&a);
    talk(AUTH_SCRAM_SHA_256);
    end();
}

TEST_MAIN
