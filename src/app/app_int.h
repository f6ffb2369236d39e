/*
 * app_int: the parts of the program, for app.c and parts.c.
 */
#pragma once

#include "app/app.h"

struct app_part {
    const char *name;
    enum role_id role; // NO_ROLE: not a door
    bool (*start)(struct app *app, struct err *e);
    void (*quiet)(
        struct app *app); // before the connections are closed: end what never ends by itself. May be NULL
    void (*stop)(
        struct app *app); // after it, in reverse order, also when start() failed half way. May be NULL
};

extern const struct app_part parts[];
extern const unsigned part_count;
