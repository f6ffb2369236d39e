#include "connect/postgres/pgoutput.h"

#include "base/buf.h"
#include "base/test.h"

static struct buf b = {.max = 1 << 20};
static struct pgout d;
static struct pgout_msg m;
static struct err e;

static void begin(char kind)
{
    buf_reset(&b);
    buf_u8(&b, (uint8_t)kind);
}

static void z(const char *s)
{
    buf_put(&b, s, strlen(s) + 1);
}

static void cell(char kind, const char *text)
{
    buf_u8(&b, (uint8_t)kind);
    if (kind == 't') {
        buf_i32(&b, (int32_t)strlen(text));
        buf_str(&b, str_of(text));
    }
}

TEST(a_transaction_has_its_times_and_places)
{
    begin('B');
    buf_i64(&b, 0x1234567890);
    buf_i64(&b, 1000000); // a second after 2000-01-01
    buf_i32(&b, 777);
    OK(pgout_read(&d, buf_view(&b), &m, &e));
    OK(m.kind == PGOUT_BEGIN && m.begin.final_lsn == 0x1234567890 && m.begin.xid == 777);
    OK(m.begin.commit_us == INT64_C(946684801000000));
    begin('C');
    buf_u8(&b, 0);
    buf_i64(&b, 5);
    buf_i64(&b, 9);
    buf_i64(&b, 0);
    OK(pgout_read(&d, buf_view(&b), &m, &e) && m.commit.lsn == 5 && m.commit.end_lsn == 9);
}

TEST(a_relation_names_its_columns)
{
    begin('R');
    buf_i32(&b, 16400);
    z("public");
    z("orders");
    buf_u8(&b, 'd');
    buf_i16(&b, 2);
    buf_u8(&b, 1);
    z("id");
    buf_i32(&b, 23);
    buf_i32(&b, -1);
    buf_u8(&b, 0);
    z("total");
    buf_i32(&b, 1700);
    buf_i32(&b, 655366);
    OK(pgout_read(&d, buf_view(&b), &m, &e));
    OK(m.relation == 16400 && str_is(m.relation_info.schema, "public") && m.relation_info.identity == 'd');
    OK(m.relation_info.count == 2 && m.relation_info.columns[0].key && !m.relation_info.columns[1].key);
    OK(str_is(m.relation_info.columns[1].name, "total") && m.relation_info.columns[1].modifier == 655366);
}

TEST(an_update_has_two_rows)
{
    begin('U');
    buf_i32(&b, 16400);
    buf_u8(&b, 'K');
    buf_i16(&b, 2);
    cell('t', "1");
    cell('n', NULL);
    buf_u8(&b, 'N');
    buf_i16(&b, 2);
    cell('t', "2");
    cell('u', NULL);
    OK(pgout_read(&d, buf_view(&b), &m, &e));
    OK(m.row.old_kind == 'K' && m.row.old.count == 2 && m.row.old.cells[1].kind == PGOUT_NULL);
    OK(str_is(m.row.new.cells[0].text, "2") && m.row.new.cells[1].kind == PGOUT_UNCHANGED);
}

TEST(what_is_cut_off_is_an_error)
{
    begin('I');
    buf_i32(&b, 16400);
    buf_u8(&b, 'N');
    buf_i16(&b, 2);
    cell('t', "hello");
    cell('t', "world");
    for (size_t n = 0; n < b.n; n++)
        OK(!pgout_read(&d, str_from(b.p, n), &m, &e));
    OK(pgout_read(&d, buf_view(&b), &m, &e) && m.row.new.count == 2);
    begin('I');
    buf_i32(&b, 1);
    buf_u8(&b, 'N');
    buf_i16(&b, 30000);
    OK(!pgout_read(&d, buf_view(&b), &m, &e));
    pgout_fini(&d);
    buf_fini(&b);
}

TEST_MAIN
