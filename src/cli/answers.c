/* tarn sql and tarn verify: the console's answers, as they are or as tables. */
#include "base/buf.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "cli/cli.h"

#include <stdio.h>

enum { SQL_MS = 3600 * 1000, VERIFY_MS = 1200 * 1000, CELL = 60 };
#define ANSWER_MAX (1024 * MIB)

/* ---- a table on a terminal ---- */

/* A JSON value as people read it; at most CELL characters. */
static void cell_text(const json_t *v, char out[4 * CELL + 4])
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    struct str s;
    size_t at = 0, chars = 0;

    if (json_is_string(v))
        buf_str(&b, str_from(json_string_value(v), json_string_length(v)));
    else if (!json_is_null(v)) {
        size_t n = json_dumpb(v, NULL, 0, JSON_ENCODE_ANY | JSON_COMPACT);
        uint8_t *to = buf_room(&b, n);

        if (to)
            b.n += json_dumpb(v, (char *)to, n, JSON_ENCODE_ANY | JSON_COMPACT);
    }
    s = buf_view(&b);
    while (at < s.n && chars < CELL) {
        size_t n = utf8_len(s.p + at, s.n - at);

        at += n ? n : 1;
        chars++;
    }
    (void)snprintf(out, 4 * CELL + 4, "%.*s%s", (int)at, s.p, at < s.n ? "~" : "");
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    buf_fini(&b);
}

static int width_of(const char *text)
{
    int n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_cell(const char *text, int width, bool right, bool last)
{
    int pad = width - width_of(text);

    if (right)
        (void)printf("%*s%s%s", pad > 0 ? pad : 0, "", text, last ? "\n" : "  ");
    else
        (void)printf("%s%*s%s", text, pad > 0 && !last ? pad : 0, "", last ? "\n" : "  ");
}

/* Rows of arrays under their columns' names; numbers to the right. */
static void print_table(struct arena *a, const json_t *columns, const json_t *rows)
{
    size_t n = json_array_size(columns), i, r;
    int *width = ARENA_ARRAY(a, int, n + 1);
    bool *right = ARENA_ARRAY(a, bool, n + 1);
    char text[4 * CELL + 4];
    const json_t *column, *row;

    json_array_foreach(columns, i, column)
    {
        const char *type = json_string_value(json_object_get(column, "type"));

        width[i] = width_of(json_string_value(json_object_get(column, "name")));
        right[i] = type && (strstr(type, "INT") || strstr(type, "DECIMAL") || strstr(type, "DOUBLE") ||
                            strstr(type, "FLOAT"));
    }
    json_array_foreach(rows, r, row)
    {
        for (i = 0; i < n; i++) {
            cell_text(json_array_get(row, i), text);
            width[i] = width_of(text) > width[i] ? width_of(text) : width[i];
        }
    }
    json_array_foreach(columns, i, column)
    {
        print_cell(json_string_value(json_object_get(column, "name")), width[i], right[i], i + 1 == n);
    }
    for (i = 0; i < n; i++)
        for (int k = 0; k < width[i] + (i + 1 < n ? 2 : 1); k++)
            (void)putchar(k < width[i] ? '-' : i + 1 < n ? ' ' : '\n');
    json_array_foreach(rows, r, row)
    {
        for (i = 0; i < n; i++) {
            cell_text(json_array_get(row, i), text);
            print_cell(text, width[i], right[i], i + 1 == n);
        }
    }
}

/* ---- tarn sql ---- */

static bool show_rows(const json_t *root, bool as_json, struct str body, struct arena *a, struct err *e)
{
    const char *error = json_string_value(json_object_get(root, "error"));
    const json_t *rows = json_object_get(root, "rows"), *reads = json_object_get(root, "reads"), *read;
    size_t i;

    if (error)
        return err_set(e, ERR_REMOTE, "%s", error);
    if (as_json) {
        (void)printf("%.*s\n", STR_ARG(body));
        return true;
    }
    print_table(a, json_object_get(root, "columns"), rows);
    (void)printf("(%zu row%s)\n", json_array_size(rows), json_array_size(rows) == 1 ? "" : "s");
    json_array_foreach(reads, i, read)
    {
        json_int_t left_out = json_integer_value(json_object_get(read, "left_out"));

        if (left_out > 0)
            (void)printf("note: %s is as old as its last commit, %lld newer records are not in this answer\n",
                         json_string_value(json_object_get(read, "table")), (long long)left_out);
    }
    return true;
}

bool verb_sql(struct words *w, struct err *e)
{
    bool as_json = cli_flag(w, "--json"), committed = cli_flag(w, "--committed"), ok = false;
    struct buf question = buf_make(LIMIT_HTTP_BODY);
    struct fetch f = {.timeout_ms = SQL_MS, .max_bytes = ANSWER_MAX};
    struct fetch_answer answer;
    struct arena a = {0};
    json_t *root = NULL;

    if (!cli_rest(w, WORDS_MAX, e))
        goto out;
    if (w->n == 0 || w->n > 2) {
        (void)err_set(e, ERR_BAD_INPUT, "tarn sql wants the query as one word: put it in quotes");
        goto out;
    }
    buf_str(&question, STR("{\"sql\":"));
    buf_json(&question, str_of(w->v[w->n - 1]));
    buf_fmt(&question, ",\"committed_only\":%s,\"numbers_as_text\":%s}", committed ? "true" : "false",
            as_json ? "false" : "true");
    f.body = buf_view(&question);
    ok = cli_ask(w->n > 1 ? w->v[0] : ".", &f, "/api/sql", &a, &answer, &root, e) &&
         show_rows(root, as_json, answer.body, &a, e);
out:
    json_decref(root);
    buf_fini(&question);
    arena_fini(&a);
    return ok;
}

/* ---- tarn verify ---- */

static void show_place(const json_t *table, const char *place)
{
    const json_t *here = json_object_get(table, place), *source = json_object_get(table, "source");
    bool same = json_equal(json_object_get(here, "rows"), json_object_get(source, "rows")) &&
                json_equal(json_object_get(here, "checksum"), json_object_get(source, "checksum"));

    if (json_is_null(here))
        (void)printf(" %14s", "-");
    else
        (void)printf(" %12lld %s", (long long)json_integer_value(json_object_get(here, "rows")),
                     same ? "=" : "!");
}

static void show_report(const json_t *root)
{
    static const char *const places[] = {"topic", "raw", "bronze", "silver"};
    const json_t *table, *difference;
    size_t i, k;

    (void)printf("at %s of the database's log\n\n%-40s %12s", json_string_value(json_object_get(root, "lsn")),
                 "table", "source");
    for (k = 0; k < 4; k++)
        (void)printf(" %14s", places[k]);
    (void)putchar('\n');
    json_array_foreach(json_object_get(root, "tables"), i, table)
    {
        (void)printf(
            "%-40s %12lld", json_string_value(json_object_get(table, "table")),
            (long long)json_integer_value(json_object_get(json_object_get(table, "source"), "rows")));
        for (k = 0; k < 4; k++)
            show_place(table, places[k]);
        (void)putchar('\n');
        json_array_foreach(json_object_get(table, "differences"), k, difference)(void)
            printf("    %s\n", json_string_value(difference));
    }
    (void)printf("\n%s\n", json_is_true(json_object_get(root, "equal"))
                               ? "equal: live rows and checksum are the source's in every place"
                               : "DIFFERENT: see the lines above");
}

bool verb_verify(struct words *w, struct err *e)
{
    bool as_json = cli_flag(w, "--json"), ok = false;
    struct fetch f = {.method = "POST", .timeout_ms = VERIFY_MS, .body = STR("{}")};
    struct fetch_answer answer;
    struct arena a = {0};
    json_t *root = NULL;

    if (!cli_rest(w, 1, e) || !cli_ask(w->n > 0 ? w->v[0] : ".", &f, "/api/verify", &a, &answer, &root, e))
        goto out;
    if (as_json)
        (void)printf("%.*s\n", STR_ARG(answer.body));
    else
        show_report(root);
    ok = json_is_true(json_object_get(root, "equal")) ||
         err_set(e, ERR_CORRUPT, "what arrived is not what was there");
out:
    json_decref(root);
    arena_fini(&a);
    return ok;
}
