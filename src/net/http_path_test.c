#include "net/http_path.h"

#include "base/mem.h"
#include "base/test.h"
#include "net/http_int.h"

static const struct row {
    const char *what; // a path need not come first
    struct http_path path;
} rows[] = {
    {"root", {"GET", "/"}},
    {"list", {"GET", "/things"}},
    {"make", {"POST", "/things"}},
    {"all", {"GET", "/things/all"}},
    {"one", {"GET", "/things/{name}"}},
    {"put", {"PUT", "/things/{name}"}},
    {"part", {"DELETE", "/things/{name}/parts/{part}"}},
};
static const struct http_paths paths = HTTP_PATHS(rows, path);

static char allow[200]; // of the last answer
static struct str names[HTTP_PATH_NAMES];
static char kept[HTTP_PATH_NAMES][100];

/* The row found, or "404" or "405". */
static const char *find(const char *method, const char *path)
{
    struct http_call *call = http_call_new(NULL, "127.0.0.1:1");
    int i;

    call->q.method = str_of(method);
    call->q.path = str_of(path);
    i = http_find(&paths, &call->q, names);
    (void)snprintf(allow, sizeof allow, "%.*s", (int)call->headers.n,
                   call->headers.n ? (char *)call->headers.p : "");
    for (int k = 0; k < HTTP_PATH_NAMES; k++) {
        (void)snprintf(kept[k], sizeof kept[k], "%.*s", STR_ARG(names[k]));
        names[k] = names[k].p ? str_of(kept[k]) : STR_NULL;
    }
    http_call_free(call);
    return i >= 0 ? rows[i].what : i == -404 ? "404" : i == -405 ? "405" : "?";
}

static bool finds(const char *method, const char *path, const char *what)
{
    return str_is(str_of(find(method, path)), what);
}

TEST(a_row_is_found_by_its_words)
{
    OK(finds("GET", "/", "root"));
    OK(finds("GET", "", "root"));
    OK(finds("GET", "/things", "list"));
    OK(finds("POST", "/things", "make"));
    OK(finds("GET", "/things/", "list"));
    OK(finds("GET", "//things", "list"));
    OK(!names[0].p);
}

TEST(braces_take_a_segment)
{
    OK(finds("GET", "/things/a%2Fb", "one"));
    OK(str_is(names[0], "a/b") && !names[1].p);
    OK(finds("DELETE", "/things/x/parts/7", "part"));
    OK(str_is(names[0], "x") && str_is(names[1], "7") && !names[2].p);
}

TEST(the_first_row_that_fits_is_it)
{
    OK(finds("GET", "/things/all", "all"));
    OK(!names[0].p);
    OK(finds("PUT", "/things/all", "put"));
    OK(str_is(names[0], "all"));
}

TEST(head_is_answered_as_get)
{
    OK(finds("HEAD", "/things", "list"));
    OK(finds("HEAD", "/things/x/parts/7", "405"));
}

TEST(another_method_is_told_which_there_are)
{
    OK(finds("DELETE", "/things", "405"));
    OK(strcmp(allow, "Allow: GET, HEAD, POST\r\n") == 0);
    OK(finds("get", "/things", "405")); // methods are case-sensitive (RFC 9110, 9.1)
}

TEST(nothing_is_elsewhere)
{
    OK(finds("GET", "/thing", "404"));
    OK(allow[0] == '\0');
    OK(finds("GET", "/things/a/parts", "404"));
    OK(finds("GET", "/things/a/parts/b/c", "404"));
    OK(finds("GET", "/things/%zz", "404"));
    OK(finds("GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13", "404"));
    OK(finds("GET", "/{name}", "404"));
}

TEST_MAIN
