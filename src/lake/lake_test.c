#include "lake/testlake.h"

static struct testlake lk;
#define ROW(...)        ((struct testlake_row){__VA_ARGS__})
#define GONE(i)         ((struct testlake_row){.id = (i)})
#define COMMITTED(s, w) testlake_is(&lk, s, true, w)
#define FRESH(s, w)     testlake_is(&lk, s, false, w)
#define WORKS(x)        ((x) || (printf("# %s\n", lk.e.msg), false))

TEST(first_commit_and_queries)
{
    OK(testlake_start(&lk, os_real()));
    OK(testlake_one(&lk, 'r', ROW(1, "one", 150, 5, "a note")));
    OK(testlake_one(&lk, 'c', ROW(2, NULL, INT64_MIN, -1, NULL)));
    OK(!testlake_ask(&lk, "FROM silver.items", true));
    OK(WORKS(testlake_drain(&lk)));
    OK(COMMITTED(
        "SELECT * FROM silver.items ORDER BY id",
        "[1,\"one\",1.50,\"2023-11-14 22:13:20.000001\",5,\"a note\",1,\"2023-11-14 22:13:20.123456+00\"]\n"
        "[2,null,null,\"2023-11-14 22:13:20.000002\",-1,null,2,\"2023-11-14 22:13:20.123456+00\"]\n"));
    OK(COMMITTED(
        "SELECT * EXCLUDE (_ts, \"at\") FROM bronze.items ORDER BY _offset",
        "[\"r\",1,7,0,0,true,1,\"one\",1.50,5,\"a note\"]\n[\"c\",2,7,0,1,false,2,null,null,-1,null]\n"));
    OK(COMMITTED("SELECT count(*) FROM items", "[2]\n")); // silver comes first

    struct lake_table info;
    OK(lake_find_topic(lk.lake, STR(ITEMS), "silver", &lk.a, &info));
    OK(info.rows == 2 && info.lsn == 2 && info.files == 1 && info.offset_count == 1 &&
       info.offsets[0].next == 2);
    OK(str_is(info.location, "s3://lakehouse/shop/silver/items") && str_is(info.topic, ITEMS));
    OK(lake_find_topic(lk.lake, STR(ITEMS), "bronze", &lk.a, &info) && str_is(info.name, "bronze.items"));
    OK(testlake_end(&lk));
}

TEST(updates_and_deletes)
{
    struct lake_stats stats;
    OK(testlake_start(&lk, os_real()));
    for (int i = 0; i < 10; i++)
        OK(testlake_one(&lk, 'c', ROW(i, "v0", i, 0, NULL)));
    OK(WORKS(testlake_drain(&lk)));
    OK(testlake_one(&lk, 'u', ROW(3, "v1", 3, 1, NULL)));
    OK(testlake_one(&lk, 'u', ROW(3, "v2", 3, 2, NULL)));
    OK(testlake_one(&lk, 'd', GONE(5)));
    OK(testlake_one(&lk, 'c', ROW(100, "new", 1, 1, NULL)));
    OK(testlake_one(&lk, 'c', ROW(101, "gone at once", 1, 1, NULL)));
    OK(testlake_one(&lk, 'd', GONE(101)));
    OK(WORKS(testlake_drain(&lk)));
    lake_stats(lk.lake, &stats);
    OK(stats.bronze_rows == 16 && stats.silver_rows == 10 + 4); // the second commit: 3, 5, 100 and 101
    OK(COMMITTED("SELECT count(*), sum(id), max(name) FROM silver.items", "[10,140,\"v2\"]\n"));
    OK(COMMITTED("SELECT name, count FROM silver.items WHERE id = 3", "[\"v2\",2]\n"));
    OK(COMMITTED("SELECT id FROM silver.items WHERE id IN (5, 101)", ""));
    OK(COMMITTED("SELECT count(*), count(DISTINCT _offset) FROM bronze.items", "[16,16]\n"));
    OK(COMMITTED("SELECT _op, id, name FROM bronze.items WHERE _op = 'd' ORDER BY id",
                 "[\"d\",5,null]\n[\"d\",101,null]\n"));
    /* A key that comes back after its delete. */
    OK(testlake_one(&lk, 'c', ROW(5, "again", 1, 1, NULL)));
    OK(testlake_one(&lk, 'u', ROW(100, "newer", 1, 1, NULL)));
    OK(WORKS(testlake_drain(&lk)));
    OK(COMMITTED("SELECT count(*), count(DISTINCT id) FROM silver.items", "[11,11]\n"));
    OK(COMMITTED("SELECT name FROM silver.items WHERE id IN (5, 100) ORDER BY id",
                 "[\"again\"]\n[\"newer\"]\n"));
    OK(testlake_end(&lk));
}

TEST(found_again_after_a_restart)
{
    struct lake_feed *f;
    OK(testlake_start(&lk, os_real()));
    for (int i = 0; i < 5; i++)
        OK(testlake_one(&lk, 'c', ROW(i, "v0", i, 0, NULL)));
    OK(WORKS(testlake_drain(&lk)));
    OK(testlake_one(&lk, 'u', ROW(2, "v1", 1, 1, NULL)));
    OK(WORKS(testlake_drain(&lk)));
    testlake_close(&lk);
    OK(testlake_open(&lk));
    OK(COMMITTED("SELECT count(*), max(name) FROM silver.items", "[5,\"v1\"]\n"));
    /* All records again: those of the snapshot are passed over. */
    OK(WORKS(lake_feed_open(lk.lake, STR(ITEMS), &f, &lk.e)));
    OK(lake_feed_next(f, 0) == 6);
    struct record old = {.offset = 3, .value = STR("not even Avro")};
    OK(lake_feed_put(f, 0, &old, &lk.e) && lake_feed_pending_rows(f) == 0);
    lake_feed_close(f);
    OK(testlake_one(&lk, 'u', ROW(2, "v2", 1, 1, NULL)));
    OK(testlake_one(&lk, 'd', GONE(4)));
    OK(WORKS(testlake_drain(&lk)));
    OK(COMMITTED("SELECT count(*), max(name) FROM silver.items", "[4,\"v2\"]\n"));
    OK(COMMITTED("SELECT count(*), count(DISTINCT _offset) FROM bronze.items", "[8,8]\n"));

    /* Without the index it is made anew, and finds the same rows. */
    testlake_close(&lk);
    OK(os_remove_tree(os_real(), arena_fmt(&lk.a, "%s/lake/keys", lk.dir), &lk.e));
    OK(testlake_open(&lk));
    OK(testlake_one(&lk, 'u', ROW(2, "v3", 1, 1, NULL)));
    OK(testlake_one(&lk, 'd', GONE(0)));
    OK(WORKS(testlake_drain(&lk)));
    OK(COMMITTED("SELECT count(*), max(name) FROM silver.items", "[3,\"v3\"]\n"));
    OK(testlake_end(&lk));
}

TEST(the_tail_is_seen)
{
    OK(testlake_start(&lk, os_real()));
    for (int i = 0; i < 4; i++)
        OK(testlake_one(&lk, 'c', ROW(i, "v0", i, 0, NULL)));
    OK(WORKS(testlake_drain(&lk)));
    OK(testlake_one(&lk, 'u', ROW(1, "tail", 1, 1, NULL)));
    OK(testlake_one(&lk, 'd', GONE(2)));
    OK(testlake_one(&lk, 'c', ROW(9, "new", 1, 1, NULL)));
    OK(COMMITTED("SELECT count(*), max(name) FROM silver.items", "[4,\"v0\"]\n"));
    OK(FRESH("SELECT id, name FROM silver.items ORDER BY id",
             "[0,\"v0\"]\n[1,\"tail\"]\n[3,\"v0\"]\n[9,\"new\"]\n"));
    OK(FRESH("SELECT count(*), count(DISTINCT _offset) FROM bronze.items", "[7,7]\n"));
    /* Read on, not anew; the same key again, and a join of the table with itself. */
    OK(testlake_one(&lk, 'u', ROW(1, "tail2", 1, 1, NULL)));
    OK(testlake_one(&lk, 'd', GONE(9)));
    OK(FRESH("SELECT a.id, b.name FROM silver.items a JOIN silver.items b USING (id) ORDER BY a.id",
             "[0,\"v0\"]\n[1,\"tail2\"]\n[3,\"v0\"]\n"));
    OK(WORKS(testlake_drain(&lk)));
    OK(FRESH("SELECT id, name FROM silver.items ORDER BY id", "[0,\"v0\"]\n[1,\"tail2\"]\n[3,\"v0\"]\n"));
    OK(COMMITTED("SELECT id, name FROM silver.items ORDER BY id", "[0,\"v0\"]\n[1,\"tail2\"]\n[3,\"v0\"]\n"));
    OK(testlake_end(&lk));
}

TEST(a_value_left_out_is_filled)
{
    static const char *const left_out = "__debezium_unavailable_value";
    OK(testlake_start(&lk, os_real()));
    OK(testlake_one(&lk, 'c', ROW(1, "one", 1, 0, "a long note")));
    OK(testlake_one(&lk, 'c', ROW(2, "two", 1, 0, NULL)));
    OK(WORKS(testlake_drain(&lk)));
    OK(testlake_one(&lk, 'u', ROW(1, "uno", 1, 0, left_out)));
    OK(testlake_one(&lk, 'u', ROW(2, "due", 1, 0, left_out)));
    OK(testlake_one(&lk, 'c', ROW(3, "tre", 1, 0, "third")));
    OK(testlake_one(&lk, 'u', ROW(3, left_out, 1, 0, left_out)));
    static const char want[] = "[\"uno\",\"a long note\"]\n[\"due\",null]\n[\"tre\",\"third\"]\n";
    OK(FRESH("SELECT name, note FROM silver.items ORDER BY id", want));
    OK(WORKS(testlake_drain(&lk)));
    OK(COMMITTED("SELECT name, note FROM silver.items ORDER BY id", want));
    OK(testlake_one(&lk, 'u', ROW(1, "eins", 1, 0, left_out)));
    OK(FRESH("SELECT name, note FROM silver.items WHERE id = 1", "[\"eins\",\"a long note\"]\n"));
    OK(testlake_end(&lk));
}

TEST(the_schema_is_followed)
{
    OK(testlake_start(&lk, os_real()));
    OK(testlake_one(&lk, 'c', ROW(1, "one", 1, 7, "note")));
    OK(WORKS(testlake_drain(&lk)));
    OK(testlake_one(&lk, 'c', ROW(2, "two", 1, 8, "note")));
    OK(schema_level_set(lk.schemas, STR(ITEMS "-value"), SCHEMA_NONE, &lk.e) == SCHEMA_OK);
    OK(WORKS(testlake_register(&lk, ITEMS "-value", testlake_wide, &lk.wide_id)) && lk.wide_id > lk.value_id);
    OK(testlake_one(&lk, 'c', ROW(3, "three", 1, 5000000000, "red")));
    OK(FRESH("SELECT count(*) FROM silver.items",
             "[1]\n")); // the tail holds what the table cannot: the snapshot alone
    OK(WORKS(testlake_drain(&lk)));
    OK(COMMITTED("SELECT id, count, colour FROM silver.items ORDER BY id",
                 "[1,7,null]\n[2,8,null]\n[3,5000000000,\"red\"]\n"));
    OK(COMMITTED("SELECT id, note, colour FROM bronze.items ORDER BY id",
                 "[1,\"note\",null]\n[2,\"note\",null]\n[3,null,\"red\"]\n"));
    OK(!testlake_ask(&lk, "SELECT note FROM silver.items", true));
    testlake_close(&lk);
    OK(testlake_open(&lk));
    OK(testlake_one(&lk, 'u', ROW(1, "uno", 1, 1, "blue")));
    OK(FRESH("SELECT id, count, colour FROM silver.items ORDER BY id",
             "[1,1,\"blue\"]\n[2,8,null]\n[3,5000000000,\"red\"]\n"));
    OK(WORKS(testlake_drain(&lk)));
    OK(COMMITTED("SELECT id, count, colour FROM silver.items ORDER BY id",
                 "[1,1,\"blue\"]\n[2,8,null]\n[3,5000000000,\"red\"]\n"));
    OK(testlake_end(&lk));
}

TEST(snapshots_of_the_past)
{
    struct lake_table info;
    OK(testlake_start(&lk, os_real()));
    OK(testlake_one(&lk, 'c', ROW(1, "old", 1, 0, NULL)));
    OK(WORKS(testlake_drain(&lk)));
    OK(lake_find_topic(lk.lake, STR(ITEMS), "silver", &lk.a, &info));
    OK(testlake_one(&lk, 'u', ROW(1, "now", 1, 0, NULL)));
    OK(WORKS(testlake_drain(&lk)));
    OK(COMMITTED(arena_fmt(&lk.a,
                           "SELECT a.name, b.name FROM silver.items a JOIN silver.\"items@%" PRId64
                           "\" b USING (id)",
                           info.snapshot_id),
                 "[\"now\",\"old\"]\n"));
    OK(!testlake_ask(&lk, "FROM silver.\"items@42\"", true) && strstr(lk.e.msg, "no snapshot 42"));
    OK(testlake_end(&lk));
}

TEST(a_truncate_empties_silver)
{
    OK(testlake_start(&lk, os_real()));
    for (int i = 0; i < 3; i++)
        OK(testlake_one(&lk, 'c', ROW(i, "v", 1, 0, NULL)));
    OK(WORKS(testlake_drain(&lk)));
    OK(testlake_one(&lk, 'u', ROW(1, "v2", 1, 0, NULL)));
    OK(testlake_one(&lk, 't', GONE(0)));
    OK(testlake_one(&lk, 'c', ROW(7, "after", 1, 0, NULL)));
    OK(FRESH("SELECT id, name FROM silver.items", "[7,\"after\"]\n"));
    OK(WORKS(testlake_drain(&lk)));
    OK(COMMITTED("SELECT id, name FROM silver.items", "[7,\"after\"]\n"));
    OK(COMMITTED("SELECT count(*) FROM bronze.items WHERE _op = 't'", "[1]\n"));
    OK(testlake_end(&lk));
}

TEST(small_files_are_folded)
{
    struct lake_table info;
    OK(testlake_start(&lk, os_real()));
    for (int i = 0; i < 10; i++) {
        for (int k = 0; k < 20; k++)
            OK(testlake_one(&lk, k % 4 == 3 ? 'd' : 'c',
                            ROW((i * 7 + k) % 50, arena_fmt(&lk.a, "v%d", i), k, i, NULL)));
        OK(WORKS(testlake_drain(&lk)));
    }
    const char *before = testlake_ask(&lk, "SELECT * FROM silver.items ORDER BY id", true);
    const char *bronze = testlake_ask(&lk, "SELECT * FROM bronze.items ORDER BY _offset", true);
    OK(before && bronze);
    OK(WORKS(lake_maintain(lk.lake, &lk.e)));
    OK(lake_find_topic(lk.lake, STR(ITEMS), "silver", &lk.a, &info) && info.files < 3);
    OK(lake_find_topic(lk.lake, STR(ITEMS), "bronze", &lk.a, &info) && info.files < 3);
    OK(COMMITTED("SELECT * FROM silver.items ORDER BY id", before));
    OK(COMMITTED("SELECT * FROM bronze.items ORDER BY _offset", bronze));
    /* The index knows where the rows went. */
    OK(testlake_one(&lk, 'u', ROW(10, "changed", 1, 1, NULL)));
    OK(testlake_one(&lk, 'd', GONE(20)));
    const char *fresh = testlake_ask(&lk, "SELECT * FROM silver.items ORDER BY id", false);
    OK(fresh && strcmp(fresh, before) != 0);
    OK(WORKS(testlake_drain(&lk)));
    OK(COMMITTED("SELECT * FROM silver.items ORDER BY id", fresh));
    testlake_close(&lk);
    OK(testlake_open(&lk));
    OK(COMMITTED("SELECT * FROM silver.items ORDER BY id", fresh));
    OK(testlake_end(&lk));
}

TEST(objects_by_url)
{
    OK(testlake_start(&lk, os_real()));
    OK(bucket_create(lk.blobs, STR("raw"), &lk.e));
    OK(object_put_bytes(lk.blobs, STR("raw"), STR("a/1.csv"), STR("x,y\n1,2\n"),
                        &(struct object_put_options){0}, &lk.e));
    OK(object_put_bytes(lk.blobs, STR("raw"), STR("a/2.csv"), STR("x,y\n3,4\n"),
                        &(struct object_put_options){0}, &lk.e));
    OK(object_put_bytes(lk.blobs, STR("raw"), STR("a/b/3.csv"), STR("x,y\n5,6\n"),
                        &(struct object_put_options){0}, &lk.e));
    OK(FRESH("SELECT sum(x), sum(y) FROM read_csv('s3://raw/a/*.csv')", "[4,6]\n"));
    OK(FRESH("SELECT sum(x) FROM read_csv('s3://raw/**.csv')", "[9]\n"));
    OK(FRESH("SELECT sum(x) FROM 's3://raw/a/[2-3].csv'", "[3]\n"));
    OK(FRESH("SELECT x FROM 's3://raw/a/1.csv'", "[1]\n"));
    OK(!testlake_ask(&lk, "FROM 's3://raw/a/9.csv'", false) && lk.e.kind == ERR_NOT_FOUND);
    OK(!testlake_ask(&lk, "FROM read_csv('s3://raw/z*')", false) && strstr(lk.e.msg, "no object"));
    OK(!testlake_ask(&lk, "CREATE TABLE x (a INT)", false) && lk.e.kind == ERR_DENIED);
    OK(testlake_end(&lk));
}

TEST(a_bad_record_is_named)
{
    struct lake_feed *f;
    OK(testlake_start(&lk, os_real()));
    OK(lake_feed_open(lk.lake, STR(ITEMS), &f, &lk.e));
    struct record r = {.offset = 17, .value = STR("{\"json\": true}")};
    OK(!lake_feed_put(f, 0, &r, &lk.e) && strstr(lk.e.msg, "offset 17") && strstr(lk.e.msg, "Avro"));
    r.value = (struct str){"\0\0\0\x7f\xff??", 7};
    OK(!lake_feed_put(f, 0, &r, &lk.e) && strstr(lk.e.msg, "32767"));
    lake_feed_close(f);
    OK(testlake_end(&lk));
}

TEST_MAIN
