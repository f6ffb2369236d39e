/*
 * postgres: a PostgreSQL server of the project's own.
 *
 * Its data is a folder of the project's data; the server program is Debian's. tarn starts it as a child with logical
 * decoding on, listening on the loopback address only, restarts it when it dies, and stops it when tarn stops. When tarn itself was
 * killed the server lives on and is found again by its pid file at the next start.
 *
 * PostgreSQL refuses to run as root. So when tarn runs as root the server runs as the user `postgres` (or `nobody`), who
 * may not be able to reach the project's folder (under /root, say). It need not: it is given the folder of its data as
 * descriptor 3 and knows it as /proc/self/fd/3, which leads there whoever owns the folders above. The setting
 * tarn.data_folder of the server tells people, and a tarn that looks for its orphan, where that is.
 *
 * One thread owns the child: it starts, watches, restarts and stops it.
 */
#pragma once

#include "base/err.h"

struct net;
struct os;
struct postgres;

struct postgres_options {
    struct os *os;
    struct net *net;
    const char *data_dir; // the project's; holds `postgres/` and `postgres.log`
    const char *bin_dir;  // of initdb and postgres; NULL: the newest under /usr/lib/postgresql
    int port;             // 0: any free one
    const char *user, *password, *database; // superuser made at the first start; database made when absent
};

/* Blocks until the server answers and the database is there; at most a minute. */
bool postgres_start(const struct postgres_options *o, struct postgres **out, struct err *e) MUST_CHECK;
int postgres_port(const struct postgres *p);
const char *postgres_conninfo(const struct postgres *p); // libpq's, of `database` as the superuser
bool postgres_is_up(struct postgres *p);
void postgres_stop(struct postgres *p); // fast shutdown, waits; NULL does nothing
