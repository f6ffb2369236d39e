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
    if (is_loopback(s->listen_host))
        return true;
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
