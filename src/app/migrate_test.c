#include "app/migrate.h"

#include "base/arena.h"
#include "base/test.h"

TEST(names_are_taken_apart)
{
    struct arena a = {0};
    struct migration m;
    struct err e;

    OK(migrate_parse_name(&a, STR("V1__storefront_tables.sql"), &m, &e));
    OK(str_is(m.version, "1") && str_is(m.description, "storefront tables"));
    OK(migrate_parse_name(&a, STR("V001_02__x.sql"), &m, &e));
    OK(str_is(m.version, "1.2"));
    OK(migrate_parse_name(&a, STR("R__views.sql"), &m, &e));
    OK(!m.version.p && str_is(m.description, "views"));
    OK(!migrate_parse_name(&a, STR("V1_x.sql"), &m, &e));
    OK(!migrate_parse_name(&a, STR("Vx__x.sql"), &m, &e));
    OK(strstr(e.msg, "is not a version") != NULL);
    OK(!migrate_parse_name(&a, STR("notes.sql"), &m, &e));
    OK(!migrate_parse_name(&a, STR("V1__.sql"), &m, &e));
    OK(!migrate_parse_name(&a, STR("R1__x.sql"), &m, &e));
    OK(!migrate_parse_name(&a, STR(".sql"), &m, &e));
    arena_fini(&a);
}

TEST(versions_compare_as_numbers)
{
    OK(migrate_compare(STR("1.10"), STR("1.9")) > 0);
    OK(migrate_compare(STR("1"), STR("1.0")) == 0);
    OK(migrate_compare(STR("2"), STR("1.9.9")) > 0);
    OK(migrate_compare(STR("1.1"), STR("1.1.1")) < 0);
}

/* CRC-32 of "SELECT 1;" (zlib's crc32 gives the same), whatever ends the line. */
TEST(line_ends_do_not_change_a_checksum)
{
    int32_t unix_ends = migrate_checksum(STR("SELECT 1;\nSELECT 2;\n"));

    OK(unix_ends == migrate_checksum(STR("SELECT 1;\r\nSELECT 2;")));
    OK(unix_ends == migrate_checksum(STR("\xef\xbb\xbfSELECT 1;\rSELECT 2;")));
    OK(unix_ends != migrate_checksum(STR("SELECT 1;\nSELECT 3;\n")));
    OK(migrate_checksum(STR("")) == 0);
    OK(migrate_checksum(STR("123456789\n")) == (int32_t)0xcbf43926U); // the check value of CRC-32
}

static const char *env(void *arg, const char *name)
{
    (void)arg;
    if (strcmp(name, "FLYWAY_PLACEHOLDERS_USER") == 0)
        return "alice";
    return strcmp(name, "PASSWORD") == 0 ? "secret" : NULL;
}

TEST(placeholders_are_filled_in)
{
    struct migrate_options o = {.env = env};
    struct arena a = {0};
    struct err e;
    struct str out;

    OK(migrate_fill_in(&a, &o, STR("ROLE ${user} PASSWORD '${password}' $1 ${"), &out, &e));
    OK(str_is(out, "ROLE alice PASSWORD 'secret' $1 ${"));
    OK(!migrate_fill_in(&a, &o, STR("${nobody}"), &out, &e));
    OK(strstr(e.msg, "${nobody}") != NULL);
    arena_fini(&a);
}

TEST_MAIN
