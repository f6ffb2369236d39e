/*
 * The shop's life, a transaction a tick:
 *
 *     order ──▶ pending ──paid──▶ shipped ──▶ delivered
 *                  │
 *                  └──▶ cancelled (stock comes back) ──▶ deleted
 *
 * Which customer, product or order is concerned is drawn by its id; the next one at or above the number drawn is taken, so
 * deleted ids do no harm.
 */
#include "ingest/seeder_int.h"

#include "base/mem.h"

#include <stdlib.h>

enum { RETRY_MS = 500 }; // between two tries to reach a database that is away

struct traffic {
    struct seeder *s;
    struct shop shop;
    PGconn *pg;
    uint64_t changes;                    // of this tick
    int64_t customers, products, orders; // highest ids
};

/* ---- statements ---- */

#define STATEMENTS(X)                                                                                        \
    X(new_customer, 5,                                                                                       \
      "INSERT INTO customers (full_name, email, address, city, country) VALUES ($1, $2, $3, $4, $5) "        \
      "RETURNING id")                                                                                        \
    X(any_customer, 1, "SELECT id FROM customers WHERE id >= $1 ORDER BY id LIMIT 1")                        \
    X(move_customer, 4,                                                                                      \
      "UPDATE customers SET address = $2, city = $3, country = $4 WHERE id = $1 RETURNING id")               \
    X(new_product, 4,                                                                                        \
      "INSERT INTO products (name, category, price, stock_quantity) VALUES ($1, $2, $3, $4) RETURNING id")   \
    X(restock, 1, "UPDATE products SET stock_quantity = stock_quantity + 50 WHERE id = $1 RETURNING id")     \
    X(sell, 2,                                                                                               \
      "UPDATE products SET stock_quantity = stock_quantity - $2 WHERE id = (SELECT id FROM products "        \
      "WHERE id >= $1 AND stock_quantity >= $2 ORDER BY id LIMIT 1) RETURNING id, (price * 100)::bigint")    \
    X(new_order, 1,                                                                                          \
      "INSERT INTO orders (customer_id, status, total) VALUES ($1, 'pending', 0) RETURNING id")              \
    X(new_item, 4,                                                                                           \
      "INSERT INTO order_items (order_id, product_id, quantity, price_at_purchase) VALUES ($1, $2, $3, $4) " \
      "RETURNING id")                                                                                        \
    X(set_total, 2, "UPDATE orders SET total = $2 WHERE id = $1 RETURNING id")                               \
    X(new_payment, 4,                                                                                        \
      "INSERT INTO payments (order_id, payment_method, paid_at, amount, status) "                            \
      "VALUES ($1, $2, CASE WHEN $4 = 'paid' THEN now() END, $3, $4) RETURNING id")                          \
    X(retry_payment, 1,                                                                                      \
      "UPDATE payments SET status = 'paid', paid_at = now() WHERE id = (SELECT id FROM payments WHERE "      \
      "order_id >= $1 "                                                                                      \
      "AND status <> 'paid' ORDER BY order_id LIMIT 1) RETURNING id")                                        \
    X(ship, 1,                                                                                               \
      "UPDATE orders SET status = 'shipped' WHERE id = (SELECT id FROM orders WHERE id >= $1 AND status = "  \
      "'pending' "                                                                                           \
      "ORDER BY id LIMIT 1) RETURNING id")                                                                   \
    X(deliver, 1,                                                                                            \
      "UPDATE orders SET status = 'delivered' WHERE id = (SELECT id FROM orders WHERE id >= $1 "             \
      "AND status = 'shipped' ORDER BY id LIMIT 1) RETURNING id")                                            \
    X(cancel, 1,                                                                                             \
      "UPDATE orders SET status = 'cancelled' WHERE id = (SELECT id FROM orders WHERE id >= $1 "             \
      "AND status = 'pending' ORDER BY id LIMIT 1) RETURNING id")                                            \
    X(take_back, 1,                                                                                          \
      "UPDATE products p SET stock_quantity = p.stock_quantity + i.quantity FROM (SELECT product_id, "       \
      "sum(quantity) AS quantity FROM order_items WHERE order_id = $1 GROUP BY product_id) i "               \
      "WHERE p.id = i.product_id RETURNING p.id")                                                            \
    X(any_cancelled, 1, "SELECT id FROM orders WHERE id >= $1 AND status = 'cancelled' ORDER BY id LIMIT 1") \
    X(delete_items, 1, "DELETE FROM order_items WHERE order_id = $1 RETURNING id")                           \
    X(delete_payments, 1, "DELETE FROM payments WHERE order_id = $1 RETURNING id")                           \
    X(delete_order, 1, "DELETE FROM orders WHERE id = $1 RETURNING id")

enum statement {
#define X(name, params, sql) S_##name,
    STATEMENTS(X)
#undef X
        STATEMENT_COUNT
};

static const struct {
    const char *name, *sql;
    int params;
} statements[] = {
#define X(name, params, sql) [S_##name] = {#name, sql, params},
    STATEMENTS(X)
#undef X
};

static bool prepare(struct traffic *t, struct err *e)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        PGresult *res = PQprepare(t->pg, statements[i].name, statements[i].sql, statements[i].params, NULL);
        bool ok = PQresultStatus(res) == PGRES_COMMAND_OK ||
                  err_set(e, ERR_CONFLICT, "no storefront to seed: %.*s",
                          STR_ARG(str_trim(str_of(PQerrorMessage(t->pg)))));

        PQclear(res);
        if (!ok)
            return false;
    }
    return true;
}

/*
 * Runs a statement. *id (may be NULL) gets the first column of its first row and *second (may be NULL) the second, 0 when there is no row.
 */
static bool run(struct traffic *t, enum statement s, const char *const *values, int64_t *id, int64_t *second,
                struct err *e)
{
    PGresult *res = PQexecPrepared(t->pg, statements[s].name, statements[s].params, values, NULL, NULL, 0);
    bool ok = PQresultStatus(res) == PGRES_TUPLES_OK;
    int64_t *out[2] = {id, second};

    if (!ok)
        (void)err_set(e, ERR_REMOTE, "seeder: %s: %.*s", statements[s].name,
                      STR_ARG(str_trim(str_of(PQerrorMessage(t->pg)))));
    for (int i = 0; ok && i < 2; i++) {
        if (out[i])
            *out[i] = 0;
        if (out[i] && PQntuples(res) > 0)
            ok = str_i64(str_of(PQgetvalue(res, 0, i)), out[i]) ||
                 err_set(e, ERR_REMOTE, "seeder: not a number");
    }
    if (ok && s != S_any_customer && s != S_any_cancelled)
        t->changes += (uint64_t)PQntuples(res);
    PQclear(res);
    return ok;
}

enum { NUMBER = 24 };

static const char *number(int64_t n, char *out)
{
    (void)snprintf(out, NUMBER, "%lld", (long long)n);
    return out;
}

static const char *money(int64_t cents, char *out)
{
    (void)snprintf(out, NUMBER, "%lld.%02lld", (long long)(cents / 100), (long long)(cents % 100));
    return out;
}

/* A statement of one number. */
static bool run1(struct traffic *t, enum statement s, int64_t n, int64_t *id, struct err *e)
{
    char text[NUMBER];
    const char *values[] = {number(n, text)};

    return run(t, s, values, id, NULL, e);
}

/* Some id up to the highest. */
static int64_t some(struct traffic *t, int64_t highest)
{
    return highest < 1 ? 1 : 1 + (int64_t)shop_pick(&t->shop, (uint32_t)highest);
}

/* Some id among the newest, where the open orders are. */
static int64_t recent(struct traffic *t, int64_t highest)
{
    return highest < 1000 ? some(t, highest) : highest - (int64_t)shop_pick(&t->shop, 1000);
}

/* ---- what happens in a shop ---- */

static bool new_customer(struct traffic *t, int64_t *id, struct err *e)
{
    struct shop_customer c;
    const char *values[] = {c.full_name, c.email, c.address, c.city, c.country};

    shop_customer(&t->shop, 0, &c);
    /* The id is not known yet: the time keeps the address unique over runs. */
    (void)snprintf(c.email, sizeof c.email, "user.%llx.%u@example.com",
                   (unsigned long long)t->s->os->wall_us(t->s->os), shop_pick(&t->shop, 1000000));
    if (!run(t, S_new_customer, values, id, NULL, e))
        return false;
    t->customers = *id;
    return true;
}

static bool new_product(struct traffic *t, struct err *e)
{
    struct shop_product p;
    char price[NUMBER], stock[NUMBER];
    const char *values[] = {p.name, NULL, price, stock};

    shop_product(&t->shop, &p);
    values[1] = p.category;
    (void)money(p.price_cents, price);
    (void)number(p.stock + 20, stock);
    return run(t, S_new_product, values, &t->products, NULL, e);
}

/* One item of an order, when a product with enough stock is found; adds to the total. */
static bool sell(struct traffic *t, int64_t order, int64_t *total, struct err *e)
{
    char at[NUMBER], quantity[NUMBER], order_text[NUMBER], product_text[NUMBER], price_text[NUMBER];
    int64_t product, price, n = 1 + (int64_t)shop_pick(&t->shop, 5);
    const char *pick[] = {number(some(t, t->products), at), number(n, quantity)};
    const char *item[] = {number(order, order_text), product_text, quantity, price_text};

    if (!run(t, S_sell, pick, &product, &price, e))
        return false;
    if (product == 0)
        return new_product(t, e); // the shelf is empty from there on
    (void)number(product, product_text);
    (void)money(price, price_text);
    *total += price * n;
    return run(t, S_new_item, item, NULL, NULL, e);
}

static bool pay(struct traffic *t, int64_t order, int64_t total, struct err *e)
{
    struct shop_payment p;
    char order_text[NUMBER], amount[NUMBER];
    const char *values[] = {number(order, order_text), NULL, money(total, amount), NULL};

    shop_payment(&t->shop, &p);
    values[1] = p.method;
    values[3] = p.status;
    return run(t, S_new_payment, values, NULL, NULL, e);
}

static bool new_order(struct traffic *t, struct err *e)
{
    int64_t customer = 0, order, total = 0;
    char order_text[NUMBER], total_text[NUMBER];
    const char *values[] = {order_text, total_text};

    if (!shop_chance(&t->shop, 30) && !run1(t, S_any_customer, some(t, t->customers), &customer, e))
        return false;
    if (customer == 0 && !new_customer(t, &customer, e))
        return false;
    if (!run1(t, S_new_order, customer, &order, e))
        return false;
    t->orders = order;
    for (uint32_t n = 1 + shop_pick(&t->shop, 4); n > 0; n--)
        if (!sell(t, order, &total, e))
            return false;
    (void)number(order, order_text);
    (void)money(total, total_text);
    return run(t, S_set_total, values, NULL, NULL, e) && pay(t, order, total, e);
}

static bool cancel(struct traffic *t, struct err *e)
{
    int64_t order;

    return run1(t, S_cancel, recent(t, t->orders), &order, e) &&
           (order == 0 || run1(t, S_take_back, order, NULL, e));
}

static bool delete_cancelled(struct traffic *t, struct err *e)
{
    int64_t order;

    return run1(t, S_any_cancelled, some(t, t->orders), &order, e) &&
           (order == 0 ||
            (run1(t, S_delete_items, order, NULL, e) && run1(t, S_delete_payments, order, NULL, e) &&
             run1(t, S_delete_order, order, NULL, e)));
}

static bool move_house(struct traffic *t, struct err *e)
{
    struct shop_customer c;
    char id[NUMBER];
    const char *values[] = {number(some(t, t->customers), id), c.address, c.city, c.country};

    shop_address(&t->shop, &c);
    return run(t, S_move_customer, values, NULL, NULL, e);
}

/* Everything of one tick, in one transaction. */
static bool tick(struct traffic *t, struct err *e)
{
    t->changes = 0;
    return seeder_sql(t->pg, "BEGIN", e) && new_order(t, e) &&
           run1(t, S_ship, recent(t, t->orders), NULL, e) &&
           run1(t, S_deliver, recent(t, t->orders), NULL, e) &&
           (!shop_chance(&t->shop, 30) || run1(t, S_retry_payment, recent(t, t->orders), NULL, e)) &&
           (!shop_chance(&t->shop, 15) || cancel(t, e)) && (!shop_chance(&t->shop, 20) || move_house(t, e)) &&
           (!shop_chance(&t->shop, 20) || run1(t, S_restock, some(t, t->products), NULL, e)) &&
           (!shop_chance(&t->shop, 10) || new_product(t, e)) &&
           (!shop_chance(&t->shop, 10) || delete_cancelled(t, e)) && seeder_sql(t->pg, "COMMIT", e);
}

/* ---- the thread ---- */

static bool highest_ids(struct traffic *t, struct err *e)
{
    PGresult *res = PQexec(
        t->pg, "SELECT coalesce((SELECT max(id) FROM customers), 0), "
               "coalesce((SELECT max(id) FROM products), 0), coalesce((SELECT max(id) FROM orders), 0)");
    bool ok = PQresultStatus(res) == PGRES_TUPLES_OK &&
              str_i64(str_of(PQgetvalue(res, 0, 0)), &t->customers) &&
              str_i64(str_of(PQgetvalue(res, 0, 1)), &t->products) &&
              str_i64(str_of(PQgetvalue(res, 0, 2)), &t->orders);

    if (!ok)
        (void)err_set(e, ERR_CONFLICT, "no storefront to seed: %.*s",
                      STR_ARG(str_trim(str_of(PQerrorMessage(t->pg)))));
    PQclear(res);
    return ok;
}

static bool ensure_connected(struct traffic *t, struct err *e)
{
    if (t->pg && PQstatus(t->pg) == CONNECTION_OK)
        return true;
    PQfinish(t->pg);
    t->pg = NULL;
    return seeder_connect(t->s, &t->pg, e) && prepare(t, e) && highest_ids(t, e);
}

/* A tick that failed is rolled back and counted as trouble; the next one starts anew. */
static bool try_tick(struct traffic *t)
{
    struct err e = {0}, undo;
    bool ok = ensure_connected(t, &e) && tick(t, &e);

    if (!ok && t->pg && !seeder_sql(t->pg, "ROLLBACK", &undo)) {
        PQfinish(t->pg);
        t->pg = NULL;
    }
    mutex_lock(&t->s->lock);
    t->s->status.ticks += ok;
    t->s->status.changes += ok ? t->changes : 0;
    (void)snprintf(t->s->status.trouble, sizeof t->s->status.trouble, "%s", ok ? "" : e.msg);
    mutex_unlock(&t->s->lock);
    return ok;
}

/* Waits until `at` or until asked to stop; true when it should go on. */
static bool wait_until(struct seeder *s, int64_t at_ns)
{
    bool go_on;

    mutex_lock(&s->lock);
    for (;;) {
        int64_t left_ns = at_ns - s->os->now_ns(s->os);

        if (s->stop || left_ns <= 0)
            break;
        (void)cond_wait_ms(&s->changed, &s->lock, (left_ns + 999999) / 1000000);
    }
    go_on = !s->stop;
    mutex_unlock(&s->lock);
    return go_on;
}

void seeder_traffic(void *arg)
{
    struct seeder *s = arg;
    struct traffic t = {.s = s};
    int64_t step_ns =
        (int64_t)(1e9 / s->status.rate); // set before the thread started and not changed while it runs
    int64_t next_ns = s->os->now_ns(s->os);

    shop_init(&t.shop, s->seed ^ 0x5eed);
    while (wait_until(s, next_ns)) {
        int64_t now_ns;

        next_ns += try_tick(&t) ? step_ns : (int64_t)RETRY_MS * 1000000;
        now_ns = s->os->now_ns(s->os);
        if (next_ns <
            now_ns - 1000000000) // the database is slower than the rate: do not pile up more than a second
            next_ns = now_ns;
    }
    PQfinish(t.pg);
}
