#include "app/roles.h"

#include "conf/conf.h"

const struct role role_table[ROLES] = {
#define X(name, field, sentence) {#name, sentence, #name ".port", offsetof(struct settings, field)},
#include "app/roles.def"
#undef X
};

void roles_init(struct roles *r)
{
    mutex_init(&r->lock);
    for (int i = 0; i < ROLES; i++)
        r->state[i] = (struct role_state){.state = "off"};
}

void roles_fini(struct roles *r)
{
    mutex_fini(&r->lock);
}

void roles_set(struct roles *r, enum role_id id, struct role_state now)
{
    mutex_lock(&r->lock);
    r->state[id] = now;
    mutex_unlock(&r->lock);
}

struct role_state roles_get(struct roles *r, enum role_id id)
{
    struct role_state now;

    mutex_lock(&r->lock);
    now = r->state[id];
    mutex_unlock(&r->lock);
    return now;
}

/* Kafka has two ports: with and without TLS. */
bool role_is_off(const struct settings *s, enum role_id id)
{
    const void *field = (const char *)s + role_table[id].port_at;
    int64_t port = *(const int64_t *)field;

    return port == CONF_OFF && (id != ROLE_kafka || s->kafka_tls_port == CONF_OFF);
}
