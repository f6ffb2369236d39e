#include "app/ask.h"

#include "app/app_int.h"
#include "base/limits.h"
#include "engine/engine.h"
#include "lake/lake.h"
#include "verify/verify.h"

#include <jansson.h>
#include <stdatomic.h>

enum { PIECE = 256 * 1024 }; // rows are sent in pieces of about this size

static const char application_json[] = "application/json";

static bool has_lake(struct app *app, struct http_req *q)
{
    struct err e;

    if (app->lake)
        return true;
    (void)err_set(&e, ERR_BUSY, "the tables are not up yet");
    console_fail(q, &e);
    return false;
}

/* ---- SQL ---- */

static bool read_question(struct http_req *q, struct lake_query *out, bool *as_text, struct err *e)
{
    json_error_t why;
    json_t *root = json_loadb(q->body.p, q->body.n, 0, &why);
    const char *sql = json_string_value(json_object_get(root, "sql"));
    bool ok = sql || err_set(e, ERR_BAD_INPUT, "the body must be JSON with \"sql\": a text");

    if (ok) {
        out->sql = arena_str(q->arena, str_of(sql));
        out->committed_only = json_is_true(json_object_get(root, "committed_only"));
        *as_text = json_is_true(json_object_get(root, "numbers_as_text"));
    }
    json_decref(root);
    return ok;
}

static void put_fields(struct buf *b, const struct result *r)
{
    const struct result_field *fields;
    size_t n = result_fields(r, &fields);

    buf_str(b, STR("{\"columns\":["));
    for (size_t i = 0; i < n; i++) {
        buf_str(b, i > 0 ? STR(",{\"name\":") : STR("{\"name\":"));
        buf_json(b, fields[i].name);
        buf_str(b, STR(",\"type\":"));
        buf_json(b, fields[i].type);
        buf_u8(b, '}');
    }
    buf_str(b, STR("],\"rows\":["));
}

/* [1,"x",null]; as_text: ["1","x",null], for readers whose numbers are doubles. */
static void put_row(struct buf *b, struct result *r, size_t row, bool as_text)
{
    const struct result_field *fields;
    size_t n = as_text ? result_fields(r, &fields) : 0;

    if (!as_text) {
        result_json_row(r, row, b);
        return;
    }
    buf_u8(b, '[');
    for (size_t i = 0; i < n; i++) {
        struct buf cell = buf_make(LIMIT_BATCH);
        bool number;

        if (i > 0)
            buf_u8(b, ',');
        result_json(r, i, row, &cell);
        number = cell.n > 0 && (cell.p[0] == '-' || (cell.p[0] >= '0' && cell.p[0] <= '9'));
        buf_fmt(b, "%s%.*s%s", number ? "\"" : "", (int)cell.n, (const char *)cell.p, number ? "\"" : "");
        buf_fini(&cell);
    }
    buf_u8(b, ']');
}

static void put_reads(struct buf *b, const struct lake_answer *w)
{
    const struct lake_read *reads;
    size_t n = lake_answer_reads(w, &reads);

    buf_str(b, STR("],\"reads\":["));
    for (size_t i = 0; i < n; i++) {
        buf_str(b, i > 0 ? STR(",{\"table\":") : STR("{\"table\":"));
        buf_json(b, reads[i].table);
        buf_fmt(b, ",\"snapshot_id\":%lld,\"tail_records\":%lld,\"left_out\":%lld}",
                (long long)reads[i].snapshot_id, (long long)reads[i].tail_records,
                (long long)reads[i].left_out);
    }
    buf_str(b, STR("]}"));
}

static bool send_request(struct http_req *q, struct buf *b)
{
    bool there = http_answer_piece(q, buf_view(b));

    buf_reset(b);
    return there;
}

static void post_sql(struct http_req *q)
{
    struct app *app = console_arg(q);
    struct buf b = buf_make(2 * LIMIT_BATCH);
    struct lake_query question = {0};
    struct lake_answer *w;
    size_t rows = 1, sent = 0;
    bool there = true, as_text = false;
    struct err e = {0};

    if (!has_lake(app, q))
        return;
    if (!read_question(q, &question, &as_text, &e) || !lake_query(app->lake, &question, &w, &e)) {
        console_fail(q, &e);
        return;
    }
    http_answer_begin(q, 200, application_json);
    put_fields(&b, lake_answer_rows(w));
    while (there && rows > 0 && result_next(lake_answer_rows(w), &rows, &e)) {
        for (size_t i = 0; i < rows; i++) {
            if (sent++ > 0)
                buf_u8(&b, ',');
            put_row(&b, lake_answer_rows(w), i, as_text);
            if (b.n > PIECE)
                there = there && send_request(q, &b);
        }
    }
    if (e.kind == ERR_NONE) {
        put_reads(&b, w);
    } else {
        buf_str(&b, STR("],\"error\":"));
        buf_json(&b, str_of(e.msg));
        buf_u8(&b, '}');
    }
    (void)(there && send_request(q, &b));
    http_answer_end(q);
    lake_answer_free(w);
    buf_fini(&b);
}

/* ---- verify ---- */

static void post_verify(struct http_req *q)
{
    struct app *app = console_arg(q);
    struct verify_env env = {
        .connect_env = &app->connect_env, .connect = app->connect, .engine = app->engine};
    struct verify_report report;
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    static _Atomic bool verifying;
    struct err e;
    bool ok;

    if (!has_lake(app, q))
        return;
    if (atomic_exchange(&verifying, true)) {
        (void)err_set(&e, ERR_CONFLICT, "another verification is under way");
        console_fail(q, &e);
        return;
    }
    ok = verify_run(&env, q->arena, &report, &e);
    atomic_store(&verifying, false);
    if (!ok) {
        console_fail(q, &e);
        return;
    }
    verify_json(&report, &b);
    http_answer_buf(q, 200, application_json, &b);
}

/* ---- tables ---- */

static void put_text(struct buf *b, const char *key, struct str value)
{
    buf_fmt(b, "\"%s\":", key);
    if (value.p)
        buf_json(b, value);
    else
        buf_str(b, STR("null"));
}

static void get_tables(struct http_req *q)
{
    struct app *app = console_arg(q);
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    struct lake_table *t;
    size_t count;

    if (!has_lake(app, q))
        return;
    lake_list(app->lake, q->arena, &t, &count);
    buf_str(&b, STR("{\"tables\":["));
    for (size_t i = 0; i < count; i++) {
        buf_str(&b, i > 0 ? STR(",{") : STR("{"));
        put_text(&b, "name", t[i].name);
        buf_u8(&b, ',');
        put_text(&b, "topic", t[i].topic);
        buf_u8(&b, ',');
        put_text(&b, "location", t[i].location);
        buf_u8(&b, ',');
        put_text(&b, "metadata_location", t[i].metadata_location);
        buf_fmt(&b,
                ",\"snapshot_id\":%lld,\"committed_ms\":%lld,\"lsn\":%lld,\"rows\":%lld,\"files\":%lld,"
                "\"bytes\":%lld}",
                (long long)t[i].snapshot_id, (long long)t[i].committed_ms, (long long)t[i].lsn,
                (long long)t[i].rows, (long long)t[i].files, (long long)t[i].bytes);
    }
    buf_str(&b, STR("]}"));
    http_answer_buf(q, 200, application_json, &b);
}

const struct console_endpoint ask_endpoints[] = {
    {{"POST", "/api/sql"}, {.run = post_sql}},
    {{"POST", "/api/verify"}, {.run = post_verify}},
    {{"GET", "/api/tables"}, {.run = get_tables}},
};
const size_t ask_endpoint_count = sizeof ask_endpoints / sizeof *ask_endpoints;
