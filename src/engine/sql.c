/* Text of SQL: quoting, and s3:// literals made into files. */
#include "engine/engine.h"

#include "base/mem.h"

void sql_literal(struct buf *out, struct str s)
{
    buf_u8(out, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\'')
            buf_u8(out, '\'');
        buf_u8(out, (uint8_t)s.p[i]);
    }
    buf_u8(out, '\'');
}

void sql_name(struct buf *out, struct str s)
{
    buf_u8(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            buf_u8(out, '"');
        buf_u8(out, (uint8_t)s.p[i]);
    }
    buf_u8(out, '"');
}

/* ---- tokens: enough of SQL to tell a literal from a comment and to know which call it stands in ---- */

enum token_kind { TOKEN_SPACE, TOKEN_WORD, TOKEN_LITERAL, TOKEN_QUOTED, TOKEN_OTHER };

static size_t until(struct str s, size_t from, struct str end) // position behind `end`, or the end of s
{
    for (size_t i = from; i + end.n <= s.n; i++)
        if (memcmp(s.p + i, end.p, end.n) == 0)
            return i + end.n;
    return s.n;
}

static size_t quoted_end(struct str s, char quote) // s begins with quote; a doubled one does not end it
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] != quote)
            continue;
        if (i + 1 < s.n && s.p[i + 1] == quote)
            i++;
        else
            return i + 1;
    }
    return s.n;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80);
}

/* $tag$ ... $tag$; 0 when s does not begin one. */
static size_t dollar_end(struct str s)
{
    size_t n = 1;
    while (n < s.n && is_word(s.p[n]))
        n++;
    if (n >= s.n || s.p[n] != '$')
        return 0;
    return until(s, n + 1, str_from(s.p, n + 1));
}

/* Length of the token that s begins with; at least 1. */
static size_t token(struct str s, enum token_kind *kind)
{
    char c = s.p[0];
    size_t n = 0;
    *kind = TOKEN_SPACE;
    if (str_starts(s, STR("--")))
        return until(s, 2, STR("\n"));
    if (str_starts(s, STR("/*")))
        return until(s, 2, STR("*/"));
    while (n < s.n && strchr(" \t\r\n\f", s.p[n]) && s.p[n])
        n++;
    if (n > 0)
        return n;
    *kind = TOKEN_LITERAL;
    if (c == '\'')
        return quoted_end(s, c);
    *kind = TOKEN_QUOTED;
    if (c == '"')
        return quoted_end(s, c);
    if (c == '$' && dollar_end(s) > 0)
        return dollar_end(s);
    while (n < s.n && is_word(s.p[n]))
        n++;
    *kind = n > 0 ? TOKEN_WORD : TOKEN_OTHER;
    return n > 0 ? n : 1;
}

/* ---- where a literal stands ---- */

enum { DEPTH_MAX = 256 };

struct place {
    struct str word;         // the last word, "" after anything else
    bool reads[DEPTH_MAX];   // for each open bracket: is it of a call that reads files?
    size_t depth;            //
    sql_resolve_fn *resolve; //
    void *arg;               //
    struct buf *out;         //
};

static bool reads_files(struct str function)
{
    static const char *const names[] = {"read_parquet",
                                        "parquet_scan",
                                        "parquet_metadata",
                                        "parquet_schema",
                                        "parquet_file_metadata",
                                        "parquet_kv_metadata",
                                        "read_csv",
                                        "read_csv_auto",
                                        "read_json",
                                        "read_json_auto",
                                        "read_ndjson",
                                        "read_json_objects",
                                        "read_ndjson_auto",
                                        "read_ndjson_objects",
                                        "read_text",
                                        "read_blob",
                                        "sniff_csv",
                                        "glob"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq_nocase(function, str_of(names[i])))
            return true;
    return false;
}

/* FROM 's3://...' has no function that says how to read it: the key's end does. */
static const char *reader_of(struct str url)
{
    static const char *const rows[][2] = {{".parquet", "read_parquet"},  {".csv", "read_csv"},
                                          {".csv.gz", "read_csv"},       {".tsv", "read_csv"},
                                          {".json", "read_json_auto"},   {".jsonl", "read_json_auto"},
                                          {".ndjson", "read_json_auto"}, {".json.gz", "read_json_auto"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_ends(url, str_of(rows[i][0])))
            return rows[i][1];
    return NULL;
}

/* Without its quotes, doubled ones inside made single. */
static struct str unquoted(struct arena *a, struct str quoted)
{
    char *p = arena_alloc(a, quoted.n + 1);
    size_t n = 0;
    for (size_t i = 1; i + 1 < quoted.n; i++) {
        p[n++] = quoted.p[i];
        i += quoted.p[i] == quoted.p[0];
    }
    return str_from(p, n);
}

static bool put_literal(struct place *at, struct str literal, struct err *e)
{
    bool in_call = at->depth > 0 && at->depth <= DEPTH_MAX && at->reads[at->depth - 1];
    bool from = str_eq_nocase(at->word, STR("from")) || str_eq_nocase(at->word, STR("join"));
    if ((!in_call && !from) || !str_starts(literal, STR("'s3://"))) {
        buf_str(at->out, literal);
        return true;
    }
    struct arena a = {0};
    struct str url = unquoted(&a, literal);
    const char *reader = from ? reader_of(url) : NULL;
    bool ok = true;
    if (from && !reader)
        ok = err_set(e, ERR_INVALID,
                     "%.*s: its name does not say what it holds; use read_parquet, read_csv or read_json",
                     STR_ARG(url));
    if (reader)
        buf_fmt(at->out, "%s(", reader);
    ok = ok && at->resolve(at->arg, url, at->out, e);
    if (reader)
        buf_u8(at->out, ')');
    arena_fini(&a);
    return ok;
}

/* A list inside a call that reads files is still its argument; another bracket begins something else. */
static void bracket(struct place *at, char c)
{
    if (c == '(' || c == '[' || c == '{') {
        bool inside = at->depth > 0 && at->depth <= DEPTH_MAX && at->reads[at->depth - 1];
        bool reads = c == '(' ? reads_files(at->word) : c == '[' && inside;
        if (at->depth < DEPTH_MAX)
            at->reads[at->depth] = reads;
        at->depth++;
    } else if ((c == ')' || c == ']' || c == '}') && at->depth > 0) {
        at->depth--;
    }
}

bool sql_resolve(struct str sql, sql_resolve_fn *resolve, void *arg, struct buf *out, struct err *e)
{
    struct place at = {.resolve = resolve, .arg = arg, .out = out};
    while (sql.n > 0) {
        enum token_kind kind;
        size_t n = token(sql, &kind);
        struct str text = str_from(sql.p, n);
        if (kind == TOKEN_LITERAL) {
            if (!put_literal(&at, text, e))
                return false;
        } else {
            buf_str(out, text);
        }
        if (kind == TOKEN_OTHER)
            bracket(&at, text.p[0]);
        if (kind != TOKEN_SPACE)
            at.word = kind == TOKEN_WORD ? text : STR("");
        sql.p += n;
        sql.n -= n;
    }
    return buf_ok(out) ? true
                       : err_set(e, ERR_LIMIT, "the statement with its files has over %zu bytes", out->max);
}

bool sql_next_name(struct str *sql, struct arena *a, struct str *name)
{
    while (sql->n > 0) {
        enum token_kind kind;
        struct str text = str_from(sql->p, token(*sql, &kind));
        sql->p += text.n;
        sql->n -= text.n;
        if (kind == TOKEN_WORD || (kind == TOKEN_QUOTED && text.p[0] == '"')) {
            *name = kind == TOKEN_WORD ? text : unquoted(a, text);
            return true;
        }
    }
    return false;
}
