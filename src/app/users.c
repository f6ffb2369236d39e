#include "app/users.h"

#include "auth/auth.h"
#include "conf/conf.h"

static bool add_credential(struct auth *a, const char *name, const char *text, enum auth_mechanism m,
                           struct err *e)
{
    struct scram_credential c;

    if (!text[0])
        return true;
    if (!scram_parse(str_of(text), &c, e))
        return false;
    if (c.mechanism != m)
        return err_set(e, ERR_INVALID, "a credential of %s, expected one of %s",
                       auth_mechanism_name(c.mechanism), auth_mechanism_name(m));
    auth_add_credential(a, str_of(name), &c, true);
    return true;
}

static bool add(struct auth *a, const struct conf_user *u, struct err *e)
{
    if (u->password[0])
        auth_add_password(a, str_of(u->name), str_of(u->password));
    if (!add_credential(a, u->name, u->scram_sha_256, AUTH_SCRAM_SHA_256, e))
        return err_wrap(e, "users.%s.scram_sha_256", u->name);
    if (!add_credential(a, u->name, u->scram_sha_512, AUTH_SCRAM_SHA_512, e))
        return err_wrap(e, "users.%s.scram_sha_512", u->name);
    return true;
}

bool users_make(const struct settings *s, struct os *os, struct auth **out, struct err *e)
{
    struct auth *a;

    *out = NULL;
    if (s->user_count == 0)
        return true;
    a = auth_new(os);
    for (size_t i = 0; i < s->user_count; i++)
        if (!add(a, &s->users[i], e)) {
            auth_free(a);
            return false;
        }
    *out = a;
    return true;
}

const char *const *users_super(const struct settings *s, struct arena *a, size_t *count)
{
    const char **names = ARENA_ARRAY(a, const char *, s->user_count);

    *count = 0;
    for (size_t i = 0; i < s->user_count; i++)
        if (str_is(str_of(s->users[i].super), "true"))
            names[(*count)++] = s->users[i].name;
    return names;
}
