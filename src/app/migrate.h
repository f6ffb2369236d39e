/*
 * migrate: bring a database to the state its project folder says, by Flyway's rules.
 *
 * migrations/V1__name.sql, V1.1__name.sql ... run once each, in the order of their versions (numbers between dots or
 * underscores); R__name.sql run again, after them, whenever their text changed. What ran is in the table flyway_schema_history,
 * with Flyway's columns and checksums, so a project can go to Flyway and come back. A file that was changed after it
 * ran, or is gone, or sorts below one that ran, is refused and nothing runs.
 *
 * Each file runs in a transaction of its own, together with its row of the history. ${name} in a file is replaced by the environment's
 * FLYWAY_PLACEHOLDERS_NAME or NAME. Two processes that migrate one database wait for each other (an advisory lock).
 *
 * Source of the rules: Flyway's documentation, "Migrations" and "Schema history table"; the checksum is the CRC-32 of
 * the lines without their ends (and without a byte order mark), as a signed 32-bit number.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct arena;
struct os;

/* Value of a variable, or NULL. */
typedef const char *migrate_env_fn(void *arg, const char *name);

struct migrate_options {
    struct os *os;
    const char *dir;      // an absent folder is no migrations
    const char *conninfo; // libpq's
    migrate_env_fn *env;
    void *env_arg;
};

struct migrate_result {
    int applied; // files that ran now
    int present; // files there are
};

/* Blocks. */
bool migrate_run(const struct migrate_options *o, struct migrate_result *result, struct err *e) MUST_CHECK;

/* ---- for tests ---- */

int32_t migrate_checksum(struct str text);

struct migration {
    struct str script;      // file name
    struct str version;     // "1.2"; null for a repeatable one
    struct str description; // underscores are blanks
    struct str text;
    int32_t checksum;
    bool due; // has not run, or not as it is now
};
/* Takes a file name apart; false with e when it is not a migration's. */
bool migrate_parse_name(struct arena *a, struct str script, struct migration *out, struct err *e) MUST_CHECK;
int migrate_compare(struct str version_a,
                    struct str version_b); // numerically, part by part: 1.10 is after 1.9
/* ${name} replaced; one that is not set is an error that names it. */
bool migrate_fill_in(struct arena *a, const struct migrate_options *o, struct str text, struct str *out,
                     struct err *e) MUST_CHECK;
