#include "conf/conf.h"

#include <arpa/inet.h>

static bool is_loopback(const char *host)
{
    struct in_addr in;
    struct in6_addr in6;

    if (inet_pton(AF_INET, host, &in) == 1)
        return ntohl(in.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &in6) == 1 && IN6_IS_ADDR_LOOPBACK(&in6);
}

static bool is_address(const char *host)
{
    struct in6_addr any;

    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static bool is_mechanism(const char *name)
{
    struct str n = str_of(name);

    return str_is(n, "SCRAM-SHA-256") || str_is(n, "SCRAM-SHA-512") || str_is(n, "PLAIN");
}

static bool check_users(const struct settings *s, struct err *e)
{
    for (size_t i = 0; i < s->user_count; i++) {
        const struct conf_user *u = &s->users[i];
        bool derived = u->scram_sha_256[0] || u->scram_sha_512[0];
        if (strlen(u->name) > 255)
            return err_set(e, ERR_INVALID, "users: a name of %zu bytes, the limit is 255", strlen(u->name));
        if (!u->password[0] && !derived)
            return err_set(e, ERR_INVALID, "users.%s has no password (nor scram_sha_256 or scram_sha_512)",
                           u->name);
        if (u->password[0] && derived)
            return err_set(e, ERR_INVALID, "users.%s has a password and a credential: set one of them",
                           u->name);
        if (strlen(u->password) > 1024)
            return err_set(e, ERR_INVALID, "users.%s.password is over 1024 bytes", u->name);
    }
    for (size_t i = 0; i < s->kafka_mechanisms.n; i++)
        if (!is_mechanism(s->kafka_mechanisms.v[i]))
            return err_set(e, ERR_INVALID,
                           "kafka.mechanisms has '%s', expected SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN",
                           s->kafka_mechanisms.v[i]);
    return true;
}

static bool check_tls(const struct settings *s, struct err *e)
{
    const char *host = s->kafka_tls_host[0] ? s->kafka_tls_host : s->listen_host;

    if (s->kafka_tls_port == CONF_OFF)
        return true;
    if (!is_address(host))
        return err_set(e, ERR_INVALID, "kafka.tls_host is '%s', expected a numeric address such as 0.0.0.0",
                       host);
    if (!s->tls_cert[0] || !s->tls_key[0])
        return err_set(e, ERR_INVALID, "kafka.tls_port needs a certificate: set tls.cert and tls.key");
    if (!is_loopback(host) && s->user_count == 0)
        return err_set(
            e, ERR_INVALID,
            "kafka.tls_port would listen on %s, which is beyond loopback, and there are no users: add "
            "some to the section users, or set kafka.tls_host to 127.0.0.1",
            host);
    return true;
}

/* Roles that ask nobody for a name: what may be done there may be done by whoever reaches the port. */
static const char *open_role(const struct settings *s)
{
    if (s->console_port != CONF_OFF)
        return "console";
    if (s->ingest_port != CONF_OFF)
        return "ingest";
    if (s->kafka_port != CONF_OFF)
        return "kafka";
    if (s->registry_port != CONF_OFF)
        return "registry";
    return s->connect_port != CONF_OFF ? "connect" : NULL;
}

bool conf_check(const struct settings *s, struct err *e)
{
    if (!is_address(s->listen_host))
        return err_set(e, ERR_INVALID, "listen.host is '%s', expected a numeric address such as 127.0.0.1",
                       s->listen_host);
    if (!s->data[0])
        return err_set(e, ERR_INVALID, "data is empty, expected a folder");
    if (!s->s3_access_key[0] || !s->s3_secret_key[0])
        return err_set(e, ERR_INVALID, "s3.access_key and s3.secret_key may not be empty");
    if (!check_users(s, e) || !check_tls(s, e))
        return false;
    if (is_loopback(s->listen_host))
        return true;
    if (s->kafka_port != CONF_OFF && s->user_count > 0)
        return err_set(
            e, ERR_INVALID,
            "listen.host %s is beyond loopback, and kafka.port speaks without TLS: set kafka.port to off "
            "and kafka.tls_port to a port, or listen.host to 127.0.0.1",
            s->listen_host);
    if (open_role(s))
        return err_set(
            e, ERR_INVALID,
            "listen.host %s is beyond loopback, and the role %s has no authentication: set %s.port to off or "
            "listen.host to 127.0.0.1",
            s->listen_host, open_role(s), open_role(s));
    if (str_is(str_of(s->s3_secret_key), "tarn-secret"))
        return err_set(e, ERR_INVALID,
                       "listen.host %s is beyond loopback, and s3.secret_key is the default that everybody "
                       "knows: set your own",
                       s->listen_host);
    return true;
}
