/*
 * avro_decode: rows a second of one core from Avro records of the storefront's orders to columns, beside copying the same bytes.
 *
 *     ninja -C build/dev bench_avro_decode && build/dev/bench_avro_decode [5]      5: seconds a case, not 1
 *
 * Prints one JSON object a line, as bench/run does. `all` decodes what bronze keeps, `silver` the five columns of the table,
 * `op` one column only: what passing over the rest costs.
 */
#include "os/os.h"
#include "schema/avro.h"
#include "schema/avro_golden.h"

#include <stdio.h>

enum { BATCH = 2048, EVENTS = 3 };

static const struct str events[EVENTS] = {{(const char *)golden_order_c, sizeof golden_order_c},
                                          {(const char *)golden_order_u, sizeof golden_order_u},
                                          {(const char *)golden_order_d, sizeof golden_order_d}};

/* Time of the processor, so that a busy machine does not show. */
static double seconds(void)
{
    return (double)os_cpu_us() / 1e6;
}

/* Rows a second of copying each record to where the one before ended. */
static double copy_rate(double limit)
{
    static char to[BATCH * 1024];
    double begin = seconds(), rows = 0;

    do {
        size_t at = 0;

        for (size_t i = 0; i < BATCH; i++) {
            struct str from = events[i % EVENTS];

            memcpy(to + at, from.p, from.n);
            at += from.n;
            __asm__ volatile("" ::"r"(to) : "memory");
        }
        rows += BATCH;
    } while (seconds() - begin < limit);
    return rows / (seconds() - begin);
}

static double decode_rate(const struct avro *schema, const char *const *paths, size_t n, double limit)
{
    struct avro_want wants[32] = {0};
    struct arena keep = {0}, batch = {0};
    struct avro_decoder *d;
    struct err e;
    double begin, rows = 0;

    for (size_t i = 0; i < n; i++)
        wants[i].path = paths[i];
    if (!avro_decoder_new(&keep, schema, wants, n, &d, &e)) {
        (void)fprintf(stderr, "%s\n", e.msg);
        return 0;
    }
    begin = seconds();
    do {
        struct columns c;

        arena_reset(&batch);
        columns_init(&c, &batch, avro_decoder_columns(d), n, BATCH);
        for (size_t i = 0; i < BATCH; i++)
            if (!avro_decode(d, events[i % EVENTS], &c, &e))
                return 0;
        rows += BATCH;
    } while (seconds() - begin < limit);
    arena_fini(&batch);
    arena_fini(&keep);
    return rows / (seconds() - begin);
}

int main(int argc, char **argv)
{
    static const char *const all[] = {
        "before.id", "before.customer_id", "before.status", "before.total", "before.created_at",
        "after.id",  "after.customer_id",  "after.status",  "after.total",  "after.created_at",
        "op",        "source.lsn",         "source.txId",   "source.ts_us", "ts_us"};
    static const char *const silver[] = {"op",           "after.id",    "after.customer_id",
                                         "after.status", "after.total", "after.created_at"};
    static const char *const op[] = {"op"};
    const struct {
        const char *name;
        const char *const *paths;
        size_t n;
    } cases[] = {{"all", all, 15}, {"silver", silver, 6}, {"op", op, 1}};
    double limit = argc > 1 && strcmp(argv[1], "5") == 0 ? 5 : 1, copy;
    struct arena keep = {0};
    struct avro *schema;
    struct err e;

    if (!avro_parse(&keep, str_of(golden_orders_schema), &schema, &e)) {
        (void)fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    copy = copy_rate(limit);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double rate = decode_rate(schema, cases[i].paths, cases[i].n, limit);

        printf("{\"name\":\"avro.decode_%s\",\"unit\":\"rows/"
               "s\",\"ours\":%.0f,\"reference\":\"memcpy\",\"reference_value\":"
               "%.0f,\"ratio\":%.3f}\n",
               cases[i].name, rate, copy, rate / copy);
    }
    arena_fini(&keep);
    return 0;
}
