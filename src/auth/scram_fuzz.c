/*
 * Any bytes as a client's SCRAM messages, a line each, then as a stored credential and as PLAIN's message. Without the password nothing
 * may be proven, whatever is sent.
 */
#include "auth/auth.h"
#include "os/os.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct auth *users(void)
{
    static struct auth *a;

    if (!a) {
        a = auth_new(os_real());
        auth_add_password(a, STR("user"), STR("a password that no input has"));
    }
    return a;
}

static void talk(struct str lines, enum auth_mechanism m)
{
    struct scram s;
    struct str line;

    scram_init(&s, users(), m);
    while (str_cut(&lines, '\n', &line)) {
        struct buf out = buf_make((size_t)4 * SCRAM_MESSAGE_MAX);
        enum scram_result r = scram_step(&s, line, &out);
        assert(r != SCRAM_DONE && buf_ok(&out) && (r == SCRAM_FAILED) == (out.n == 0));
        buf_fini(&out);
    }
    scram_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct str text = str_from(n > 0 ? p : (const uint8_t *)"", n), name, password;
    struct scram_credential c;
    struct err e;

    talk(text, n % 2 ? AUTH_SCRAM_SHA_256 : AUTH_SCRAM_SHA_512);
    if (scram_parse(text, &c, &e)) {
        struct scram_credential again;
        struct buf b = buf_make(1000);
        bool ok;
        scram_print(&c, &b);
        ok = scram_parse(buf_view(&b), &again, &e);
        assert(ok && memcmp(&c, &again, sizeof c) == 0);
        buf_fini(&b);
    }
    if (auth_plain_parse(text, &name, &password))
        assert(name.n > 0 && password.n > 0 && name.n + password.n < n);
    return 0;
}
