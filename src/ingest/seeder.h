/*
 * seeder: fills the storefront's tables and keeps the shop alive.
 *
 * seeder_full() makes a shop at once: the same seed on empty tables gives the same rows. seeder_start() lets it live: at each tick
 * somebody orders (stock falls), earlier orders move from pending to shipped to delivered or are cancelled (stock comes back), failed
 * payments are tried again, customers move house, goods arrive, and old cancelled orders are deleted; each tick is one transaction.
 *
 * The live traffic has a thread and a connection of its own. When the database goes away it tries again until it is back.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

struct os;
struct seeder;

struct seeder_counts {
    int64_t customers, products, orders, order_items, payments;
};

struct seeder_status {
    bool running;
    double rate;       // ticks a second
    uint64_t ticks;    // committed since the start of the process
    uint64_t changes;  // rows inserted, updated or deleted by them
    char trouble[400]; // why it does not get on, or empty
};

/* conninfo: libpq's, of the database that holds the tables; copied. */
struct seeder *seeder_new(struct os *os, const char *conninfo, uint64_t seed);
void seeder_free(struct seeder *s); // stops; NULL does nothing

/* count orders in batches of batch_size, one transaction each; per batch half as many customers and as many products. Blocks. */
bool seeder_full(struct seeder *s, int64_t count, int64_t batch_size, struct seeder_counts *made,
                 struct err *e) MUST_CHECK;
/* False when it runs already. */
bool seeder_start(struct seeder *s, double rate);
bool seeder_stop(struct seeder *s); // false when it did not run; waits for the tick at hand
void seeder_status(struct seeder *s, struct seeder_status *out);
