/* A whole shop at once, by COPY; and the life of seeder.h's functions. The live ticks are in traffic.c. */
#include "ingest/seeder.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/utc.h"
#include "ingest/seeder_int.h"

#include <stdlib.h>

bool seeder_connect(const struct seeder *s, PGconn **pg, struct err *e)
{
    *pg = PQconnectdb(s->conninfo);
    if (PQstatus(*pg) == CONNECTION_OK)
        return true;
    (void)err_set(e, ERR_REMOTE, "seeder: %.*s", STR_ARG(str_trim(str_of(PQerrorMessage(*pg)))));
    PQfinish(*pg);
    *pg = NULL;
    return false;
}

bool seeder_sql(PGconn *pg, const char *sql, struct err *e)
{
    PGresult *res = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(res);
    bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_IN ||
              err_set(e, ERR_REMOTE, "seeder: %.*s", STR_ARG(str_trim(str_of(PQerrorMessage(pg)))));

    PQclear(res);
    return ok;
}

/* ---- a whole shop ---- */

/* One batch on its way: the text of COPY for each table, and the ids the sequences gave. */
struct batch {
    PGconn *pg;
    struct shop *shop;
    int64_t size;
    struct buf rows[5]; // in the order of TABLES
    int64_t *customers, *products, *orders, *items, *payments;
    int64_t *prices; // of products, in cents
    int64_t item_count;
    int64_t day_us; // when this batch's orders begin
};

static const struct {
    const char *name, *copy;
} TABLES[5] = {
    {"customers", "COPY customers (id, full_name, email, address, city, country, created_at) FROM STDIN"},
    {"products", "COPY products (id, name, category, price, stock_quantity, created_at) FROM STDIN"},
    {"orders", "COPY orders (id, customer_id, status, total, created_at) FROM STDIN"},
    {"order_items", "COPY order_items (id, order_id, product_id, quantity, price_at_purchase) FROM STDIN"},
    {"payments", "COPY payments (id, order_id, payment_method, paid_at, amount, status) FROM STDIN"},
};
enum table { CUSTOMERS, PRODUCTS, ORDERS, ORDER_ITEMS, PAYMENTS };

/* n fresh ids of a table's sequence, yours. */
static bool take_ids(struct batch *b, enum table t, int64_t n, int64_t **ids, struct err *e)
{
    char sql[160];
    PGresult *res;
    bool ok;

    (void)snprintf(sql, sizeof sql,
                   "SELECT nextval(pg_get_serial_sequence('%s', 'id')) FROM generate_series(1, %lld)",
                   TABLES[t].name, (long long)n);
    res = PQexec(b->pg, sql);
    ok = PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == n;
    *ids = MEM_ARRAY(int64_t, (size_t)n);
    for (int i = 0; ok && i < n; i++)
        ok = str_i64(str_of(PQgetvalue(res, i, 0)), &(*ids)[i]);
    if (!ok)
        (void)err_set(e, ERR_CONFLICT, "no storefront to seed: %.*s",
                      STR_ARG(str_trim(str_of(PQerrorMessage(b->pg)))));
    PQclear(res);
    return ok;
}

static void put_time(struct buf *b, int64_t micros)
{
    char text[UTC_TEXT];

    buf_fmt(b, "%s", utc_iso(micros, 6, text));
    b->n--; // the columns are timestamps without a zone: no Z
}

static void make_customers(struct batch *b)
{
    for (int64_t i = 0; i < (b->size + 1) / 2; i++) {
        struct buf *to = &b->rows[CUSTOMERS];
        struct shop_customer c;

        shop_customer(b->shop, b->customers[i], &c);
        buf_fmt(to, "%lld\t%s\t%s\t%s\t%s\t%s\t", (long long)b->customers[i], c.full_name, c.email, c.address,
                c.city, c.country);
        put_time(to, b->day_us - shop_pick(b->shop, 200) * UTC_DAY -
                         shop_pick(b->shop, 86400) * (int64_t)UTC_SECOND);
        buf_u8(to, '\n');
    }
}

static void make_products(struct batch *b)
{
    for (int64_t i = 0; i < b->size; i++) {
        struct buf *to = &b->rows[PRODUCTS];
        struct shop_product p;

        shop_product(b->shop, &p);
        b->prices[i] = p.price_cents;
        buf_fmt(to, "%lld\t%s\t%s\t", (long long)b->products[i], p.name, p.category);
        shop_money(to, p.price_cents);
        buf_fmt(to, "\t%d\t", p.stock);
        put_time(to, b->day_us - shop_pick(b->shop, 200) * UTC_DAY);
        buf_u8(to, '\n');
    }
}

/* The items of one order; gives its total in cents. */
static int64_t make_items(struct batch *b, int64_t order)
{
    int64_t total = 0;
    uint32_t count = 1 + shop_pick(b->shop, 4);

    for (uint32_t i = 0; i < count; i++) {
        struct buf *to = &b->rows[ORDER_ITEMS];
        uint32_t product = shop_pick(b->shop, (uint32_t)b->size);
        uint32_t quantity = 1 + shop_pick(b->shop, 5);

        buf_fmt(to, "%lld\t%lld\t%lld\t%u\t", (long long)b->items[b->item_count++], (long long)order,
                (long long)b->products[product], quantity);
        shop_money(to, b->prices[product]);
        buf_u8(to, '\n');
        total += b->prices[product] * quantity;
    }
    return total;
}

static void make_payment(struct batch *b, int64_t id, int64_t order, int64_t total, int64_t at_us)
{
    struct buf *to = &b->rows[PAYMENTS];
    struct shop_payment p;

    shop_payment(b->shop, &p);
    buf_fmt(to, "%lld\t%lld\t%s\t", (long long)id, (long long)order, p.method);
    if (*p.status == 'p' && p.status[1] == 'a')
        put_time(to, at_us + shop_pick(b->shop, 3600) * (int64_t)UTC_SECOND);
    else
        buf_str(to, STR("\\N"));
    buf_u8(to, '\t');
    shop_money(to, total);
    buf_fmt(to, "\t%s\n", p.status);
}

static void make_orders(struct batch *b)
{
    for (int64_t i = 0; i < b->size; i++) {
        struct buf *to = &b->rows[ORDERS];
        int64_t at_us = b->day_us + shop_pick(b->shop, 86400) * (int64_t)UTC_SECOND;
        int64_t total = make_items(b, b->orders[i]);
        uint32_t customer = shop_pick(b->shop, (uint32_t)((b->size + 1) / 2));
        uint32_t roll = shop_pick(b->shop, 100);

        buf_fmt(to, "%lld\t%lld\t%s\t", (long long)b->orders[i], (long long)b->customers[customer],
                roll < 40   ? "pending"
                : roll < 65 ? "shipped"
                : roll < 95 ? "delivered"
                            : "cancelled");
        shop_money(to, total);
        buf_u8(to, '\t');
        put_time(to, at_us);
        buf_u8(to, '\n');
        make_payment(b, b->payments[i], b->orders[i], total, at_us);
    }
}

static bool copy_table(struct batch *b, enum table t, struct err *e)
{
    PGresult *res;
    bool ok = seeder_sql(b->pg, TABLES[t].copy, e);

    if (!ok)
        return false;
    ok = buf_ok(&b->rows[t]) && PQputCopyData(b->pg, (const char *)b->rows[t].p, (int)b->rows[t].n) == 1 &&
         PQputCopyEnd(b->pg, NULL) == 1;
    while ((res = PQgetResult(b->pg)) != NULL) {
        ok = ok && PQresultStatus(res) == PGRES_COMMAND_OK;
        PQclear(res);
    }
    return ok || err_set(e, ERR_REMOTE, "seeder: %s: %.*s", TABLES[t].name,
                         STR_ARG(str_trim(str_of(PQerrorMessage(b->pg)))));
}

static bool run_batch(struct batch *b, struct err *e)
{
    bool ok = seeder_sql(b->pg, "BEGIN", e) && take_ids(b, CUSTOMERS, (b->size + 1) / 2, &b->customers, e) &&
              take_ids(b, PRODUCTS, b->size, &b->products, e) &&
              take_ids(b, ORDERS, b->size, &b->orders, e) &&
              take_ids(b, ORDER_ITEMS, 4 * b->size, &b->items, e) &&
              take_ids(b, PAYMENTS, b->size, &b->payments, e);

    if (ok) {
        b->prices = MEM_ARRAY(int64_t, (size_t)b->size);
        make_customers(b);
        make_products(b);
        make_orders(b);
    }
    for (int t = 0; ok && t < 5; t++)
        ok = copy_table(b, (enum table)t, e);
    return ok && seeder_sql(b->pg, "COMMIT", e);
}

static void batch_free(struct batch *b)
{
    for (int t = 0; t < 5; t++)
        buf_fini(&b->rows[t]);
    mem_free(b->customers);
    mem_free(b->products);
    mem_free(b->orders);
    mem_free(b->items);
    mem_free(b->payments);
    mem_free(b->prices);
}

bool seeder_full(struct seeder *s, int64_t count, int64_t batch_size, struct seeder_counts *made,
                 struct err *e)
{
    struct shop shop;
    PGconn *pg;
    bool ok;

    *made = (struct seeder_counts){0};
    if (count < 1 || count > SEEDER_COUNT_MAX || batch_size < 1 || batch_size > SEEDER_BATCH_MAX)
        return err_set(e, ERR_INVALID, "count must be 1 to %d and batch_size 1 to %d", SEEDER_COUNT_MAX,
                       SEEDER_BATCH_MAX);
    ok = seeder_connect(s, &pg, e);
    shop_init(&shop, s->seed);
    for (int64_t done = 0; ok && done < count; done += batch_size) {
        struct batch b = {
            .pg = pg, .shop = &shop, .size = count - done < batch_size ? count - done : batch_size};

        for (int t = 0; t < 5; t++)
            b.rows[t] = buf_make(512 * MIB);
        b.day_us = (utc_days(2025, 1, 1) + done * 365 / count) * UTC_DAY; // the orders of one year, in order
        ok = run_batch(&b, e);
        made->customers += ok ? (b.size + 1) / 2 : 0;
        made->products += ok ? b.size : 0;
        made->orders += ok ? b.size : 0;
        made->order_items += ok ? b.item_count : 0;
        made->payments += ok ? b.size : 0;
        batch_free(&b);
    }
    PQfinish(pg);
    return ok;
}

/* ---- life ---- */

struct seeder *seeder_new(struct os *os, const char *conninfo, uint64_t seed)
{
    struct seeder *s = MEM_NEW(struct seeder);

    s->os = os;
    s->conninfo = mem_str(conninfo);
    s->seed = seed;
    mutex_init(&s->lock);
    cond_init(&s->changed);
    return s;
}

void seeder_free(struct seeder *s)
{
    if (!s)
        return;
    (void)seeder_stop(s);
    cond_fini(&s->changed);
    mutex_fini(&s->lock);
    mem_free(s->conninfo);
    mem_free(s);
}

bool seeder_start(struct seeder *s, double rate)
{
    bool start;

    mutex_lock(&s->lock);
    start = !s->status.running;
    if (start) {
        s->status.running = true;
        s->status.rate = rate;
        s->status.trouble[0] = 0;
        s->stop = false;
        thread_start(&s->thread, "seeder", seeder_traffic, s);
    }
    mutex_unlock(&s->lock);
    return start;
}

bool seeder_stop(struct seeder *s)
{
    bool ran;

    mutex_lock(&s->lock);
    ran = s->status.running && !s->stop;
    s->stop = true;
    cond_broadcast(&s->changed);
    mutex_unlock(&s->lock);
    if (!ran)
        return false;
    thread_join(&s->thread);
    mutex_lock(&s->lock);
    s->status.running = false;
    mutex_unlock(&s->lock);
    return true;
}

void seeder_status(struct seeder *s, struct seeder_status *out)
{
    mutex_lock(&s->lock);
    *out = s->status;
    mutex_unlock(&s->lock);
}
