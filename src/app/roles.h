/*
 * roles: what the program is to others, a row in roles.def each, and how each stands: where its door is, if it has one.
 */
#pragma once

#include "os/thread.h"

#include <stddef.h>

enum role_id {
#define X(name, field, sentence) ROLE_##name,
#include "app/roles.def"
#undef X
    ROLES,
    NO_ROLE = -1
};

struct role { // fixed
    const char *name, *sentence, *setting;
    size_t port_at; // in struct settings
};
extern const struct role role_table[ROLES];

struct role_state {
    const char *state; // "off", "starting", "up", "external"
    const char *host;  // NULL: it cannot be reached
    int port;
};

struct roles {
    struct mutex lock;
    struct role_state state[ROLES]; // guarded by lock
};

void roles_init(struct roles *r);
void roles_fini(struct roles *r);
void roles_set(struct roles *r, enum role_id id, struct role_state now);
struct role_state roles_get(struct roles *r, enum role_id id);

/* By the settings: a port that is off turns its role off. */
struct settings;
bool role_is_off(const struct settings *s, enum role_id id);
