/*
 * lake_silver: rows a second from a topic to committed bronze and silver tables, beside DuckDB writing the same rows to one
 * Parquet file.
 *
 *     ninja -C build/dev bench_lake_silver && build/dev/bench_lake_silver [ROWS] [UPDATES]
 *
 * ROWS (default 1,000,000) changes of about 200 bytes wait on the topic, UPDATES in a hundred (default 0) of them updates of earlier
 * keys. Prints one JSON object, as bench/run does. The clock runs from the first record fetched to the last commit durable.
 */
#include "lake/testlake.h"

#include <stdlib.h>

enum { AT_ONCE = 5000, COMMIT_BYTES = 64 << 20 };

static struct testlake lk;
static const char pad[] = "some words about the thing that is sold here, as long as such words are";

static double seconds(void)
{
    return (double)os_real()->now_ns(os_real()) / 1e9;
}

static bool fill_topic(int64_t rows, int64_t updates)
{
    uint64_t x = 88172645463325252;
    for (int64_t at = 0; at < rows;) {
        testlake_begin(&lk);
        for (int i = 0; i < AT_ONCE && at < rows; i++, at++) {
            char name[64];
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            bool update = at > 0 && (int64_t)(x % 100) < updates;
            int64_t id = update ? (int64_t)(x >> 8) % at : at;
            snprintf(name, sizeof(name), "customer-%llu", (unsigned long long)(x % 1000000));
            struct testlake_row r = {.id = id,
                                     .name = name,
                                     .cents = (int64_t)(x % 100000),
                                     .count = (int64_t)(x % 500),
                                     .note = pad};
            testlake_change(&lk, update ? 'u' : 'c', &r);
        }
        if (!testlake_send(&lk))
            return false;
    }
    return true;
}

/* As the sink does: a commit whenever so many bytes wait. */
static bool drain(void)
{
    struct lake_feed *f;
    struct log_range range;
    struct buf bytes = buf_make(LIMIT_BATCH);
    bool ok = lake_feed_open(lk.lake, STR(ITEMS), &f, &lk.e) && log_range(lk.log, STR(ITEMS), 0, &range);
    for (int64_t at = 0; ok && at < range.end;) {
        struct arena a = {0};
        struct batch_reader r;
        struct record record;
        buf_reset(&bytes);
        ok = log_fetch(lk.log, STR(ITEMS), 0, at, 1 << 20, &bytes, &lk.e);
        batch_open(&r, &a, buf_view(&bytes));
        while (ok && batch_next(&r, &record)) {
            ok = lake_feed_put(f, 0, &record, &lk.e);
            at = record.offset + 1;
        }
        arena_fini(&a);
        if (ok && (lake_feed_pending_bytes(f) >= COMMIT_BYTES || at >= range.end))
            ok = lake_commit(lk.lake, &f, 1, &lk.e);
    }
    buf_fini(&bytes);
    lake_feed_close(f);
    return ok;
}

/* DuckDB alone, on rows it has in memory already. */
static double duckdb_rate(int64_t rows)
{
    struct session *s;
    struct err e;
    if (!session_open(lk.engine, &s, &e))
        return 0;
    const char *make = arena_fmt(&lk.a,
                                 "CREATE TEMP TABLE rows AS SELECT i AS id, 'customer-' || hash(i) %% "
                                 "1000000 AS name, (hash(i) %% 100000 / 100)::DECIMAL(10,2) AS "
                                 "price, make_timestamp(1700000000000000 + i) AS at, (hash(i) %% "
                                 "500)::INTEGER AS count, '%s' AS note, i AS _lsn, "
                                 "make_timestamptz(1700000000123456) AS _ts FROM range(%lld) t(i)",
                                 pad, (long long)rows);
    bool ok = session_exec(s, make, &e);
    double begin = seconds();
    ok = ok && session_exec(
                   s,
                   arena_fmt(&lk.a, "COPY rows TO '%s/spill/one.parquet' (FORMAT parquet, COMPRESSION zstd)",
                             lk.dir),
                   &e);
    double took = seconds() - begin;
    if (!ok)
        (void)fprintf(stderr, "%s\n", e.msg);
    session_close(s);
    return ok ? (double)rows / took : 0;
}

int main(int argc, char **argv)
{
    int64_t rows = 1000000, updates = 0;
    if ((argc > 1 && !str_i64(str_of(argv[1]), &rows)) || (argc > 2 && !str_i64(str_of(argv[2]), &updates))) {
        (void)fprintf(stderr, "usage: bench_lake_silver [ROWS] [UPDATES]\n");
        return 2;
    }
    if (!testlake_start(&lk, os_real()) || !fill_topic(rows, updates)) {
        (void)fprintf(stderr, "%s\n", lk.e.msg);
        return 1;
    }
    double begin = seconds();
    bool ok = drain();
    double ours = (double)rows / (seconds() - begin);
    if (!ok)
        (void)fprintf(stderr, "%s\n", lk.e.msg);
    const char *counted =
        ok ? testlake_ask(&lk, "SELECT count(*), (SELECT count(*) FROM bronze.items) FROM silver.items", true)
           : NULL;
    double reference = duckdb_rate(rows);
    printf("{\"name\":\"lake.silver\",\"unit\":\"rows/s\",\"ours\":%.0f,\"reference\":\"DuckDB COPY of the "
           "rows to one Parquet file\","
           "\"reference_value\":%.0f,\"ratio\":%.3f}\n",
           ours, reference, reference > 0 ? ours / reference : 0);
    if (counted)
        (void)fprintf(stderr, "silver and bronze rows: %s", counted);
    testlake_end(&lk);
    return ok ? 0 : 1;
}
