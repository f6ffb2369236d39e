#include "base/buf.h"
#include "base/limits.h"
#include "base/test.h"
#include "net/fetch.h"
#include "net/net.h"
#include "registry/registry.h"
#include "schema/schema.h"

#include <stdlib.h>

static struct net *net;
static struct registry *registry;
static struct schema_store *store;
static struct arena arena;
static struct err e;
static bool broken;

static bool append(void *arg, const struct schema_record *records, size_t count, struct err *why)
{
    (void)arg;
    (void)records;
    (void)count;
    return !broken || err_set(why, ERR_FULL, "no space left");
}

static void begin(void)
{
    struct registry_options o = {.host = "127.0.0.1"};

    broken = false;
    store = schema_store_new(append, NULL);
    OK(net_start(&(struct net_options){.loops = 1}, &net, &e));
    o.net = net;
    o.schemas = store;
    OK(registry_start(&o, &registry, &e));
}

static void end(void)
{
    net_stop(net);
    registry_free(registry);
    schema_store_free(store);
    arena_reset(&arena);
}

static struct fetch_answer ask_as(const char *method, const char *path, const char *body, const char *type,
                                  const char *accept)
{
    struct fetch_header headers[] = {{"Accept", accept}, {"Content-Type", type}};
    struct fetch f = {
        .method = method, .headers = headers, .header_count = type ? 2 : 1, .body = str_of(body)};
    struct fetch_answer a = {0};

    f.url = arena_fmt(&arena, "http://127.0.0.1:%d%s", registry_port(registry), path);
    if (!fetch(&f, &arena, &a, &e))
        printf("# %s\n", e.msg);
    return a;
}

static bool ask(const char *method, const char *path, const char *body, int status, const char *expected)
{
    struct fetch_answer a =
        ask_as(method, path, body, body ? "application/vnd.schemaregistry.v1+json" : NULL, "*/*");
    struct str want = str_of(expected);
    bool prefix = str_ends(want, STR("..."));
    bool same = prefix ? str_starts(a.body, str_from(want.p, want.n - 3)) : str_eq(a.body, want);

    if (a.status == status && same && str_is(a.type, "application/vnd.schemaregistry.v1+json"))
        return true;
    printf("# %s %s: %d %.*s (%.*s)\n", method, path, a.status, STR_ARG(a.body), STR_ARG(a.type));
    return false;
}

#define STRING "{\"schema\":\"\\\"string\\\"\"}"
#define REC(fields) \
    "{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"R\\\",\\\"fields\\\":[" fields "]}\"}"
#define A          "{\\\"name\\\":\\\"a\\\",\\\"type\\\":\\\"int\\\"}"
#define B          "{\\\"name\\\":\\\"b\\\",\\\"type\\\":\\\"int\\\"}"
#define NO_SUBJECT "{\"error_code\":40401,\"message\":\"Subject 'x' not found.\"}"

TEST(a_schema_is_registered_and_found)
{
    begin();
    OK(ask("GET", "/", NULL, 200, "{}"));
    OK(ask("GET", "/subjects", NULL, 200, "[]"));
    OK(ask("GET", "/schemas/types", NULL, 200, "[\"AVRO\"]"));
    OK(ask("POST", "/subjects/s-value/versions", STRING, 200, "{\"id\":1}"));
    OK(ask("POST", "/subjects/s-value/versions?normalize=false", STRING, 200, "{\"id\":1}"));
    OK(ask("POST", "/subjects/a%2Fb/versions", REC(A), 200, "{\"id\":2}"));
    OK(ask("GET", "/subjects", NULL, 200, "[\"a/b\",\"s-value\"]"));
    OK(ask("GET", "/subjects?subjectPrefix=s", NULL, 200, "[\"s-value\"]"));
    OK(ask("GET", "/subjects?offset=1&limit=5", NULL, 200, "[\"s-value\"]"));
    OK(ask("GET", "/subjects/s-value/versions", NULL, 200, "[1]"));
    OK(ask("GET", "/subjects/s-value/versions/1", NULL, 200,
           "{\"subject\":\"s-value\",\"version\":1,\"id\":1,\"schema\":\"\\\"string\\\"\"}"));
    OK(ask("GET", "/subjects/s-value/versions/latest", NULL, 200,
           "{\"subject\":\"s-value\",\"version\":1,..."));
    OK(ask("GET", "/subjects/s-value/versions/-1/schema", NULL, 200, "\"string\""));
    OK(ask("POST", "/subjects/s-value",
           "{\"schema\":\"{\\\"type\\\":\\\"string\\\"}\",\"schemaType\":\"AVRO\"}", 200,
           "{\"subject\":\"s-value\",\"version\":1,\"id\":1,\"schema\":\"\\\"string\\\"\"}"));
    OK(ask("GET", "/schemas/ids/1", NULL, 200, "{\"schema\":\"\\\"string\\\"\"}"));
    OK(ask("GET", "/schemas/ids/1?fetchMaxId=true", NULL, 200,
           "{\"schema\":\"\\\"string\\\"\",\"maxId\":2}"));
    OK(ask("GET", "/schemas/ids/1/schema", NULL, 200, "\"string\""));
    OK(ask("GET", "/schemas/ids/1/subjects", NULL, 200, "[\"s-value\"]"));
    OK(ask("GET", "/schemas/ids/1/versions", NULL, 200, "[{\"subject\":\"s-value\",\"version\":1}]"));
    OK(ask("GET", "/schemas?subjectPrefix=s", NULL, 200, "[{\"subject\":\"s-value\",..."));
    OK(ask("HEAD", "/subjects", NULL, 200, ""));
    end();
}

TEST(errors_have_confluents_numbers)
{
    begin();
    OK(ask("GET", "/subjects/x/versions", NULL, 404, NO_SUBJECT));
    OK(ask("GET", "/subjects/x/versions/1", NULL, 404, NO_SUBJECT));
    OK(ask("DELETE", "/subjects/x", NULL, 404, NO_SUBJECT));
    OK(ask("POST", "/subjects/x", STRING, 404, NO_SUBJECT));
    OK(ask("GET", "/schemas/ids/9", NULL, 404, "{\"error_code\":40403,\"message\":\"Schema 9 not found\"}"));
    OK(ask("GET", "/schemas/ids/nine", NULL, 404, "{\"error_code\":404,\"message\":\"HTTP 404 Not Found\"}"));
    OK(ask("GET", "/nothing", NULL, 404, "{\"error_code\":404,\"message\":\"HTTP 404 Not Found\"}"));
    OK(ask("PUT", "/subjects", "{}", 405,
           "{\"error_code\":405,\"message\":\"HTTP 405 Method Not Allowed\"}"));
    OK(ask("POST", "/subjects/s/versions", "{", 400, "{\"error_code\":400,..."));
    OK(ask("POST", "/subjects/s/versions", "{}", 422, "{\"error_code\":42201,\"message\":\"Empty schema\"}"));
    OK(ask("POST", "/subjects/s/versions", "{\"schema\":\"{}\"}", 422,
           "{\"error_code\":42201,\"message\":\"Invalid schema..."));
    OK(ask("POST", "/subjects/s/versions", "{\"schema\":\"{}\",\"schemaType\":\"JSON\"}", 422,
           "{\"error_code\":42201,\"message\":\"Invalid schema type JSON: only AVRO is supported\"}"));
    OK(ask("POST", "/subjects/s/versions", "{\"schema\":\"\\\"int\\\"\",\"id\":5}", 422,
           "{\"error_code\":42205,..."));
    OK(ask("POST", "/subjects/s/versions",
           "{\"schema\":\"\\\"int\\\"\",\"references\":[{\"name\":\"n\",\"subject\":\"q\",\"version\":1}]}",
           422,
           "{\"error_code\":42201,\"message\":\"No schema reference found for subject \\\"q\\\" and version "
           "1\"}"));
    OK(ask("POST", "/subjects/s/versions", REC(A), 200, "{\"id\":1}"));
    OK(ask("GET", "/subjects/s/versions/2", NULL, 404,
           "{\"error_code\":40402,\"message\":\"Version 2 not found.\"}"));
    OK(ask("GET", "/subjects/s/versions/0", NULL, 422,
           "{\"error_code\":42202,\"message\":\"The specified version '0'..."));
    OK(ask("POST", "/subjects/s", STRING, 404, "{\"error_code\":40403,\"message\":\"Schema not found\"}"));
    OK(ask("POST", "/subjects/s/versions", REC(A "," B), 409,
           "{\"error_code\":409,\"message\":\"Schema being registered..."));
    OK(ask("PUT", "/config", "{\"compatibility\":\"SOME\"}", 422, "{\"error_code\":42203,..."));
    OK(ask("PUT", "/mode", "{\"mode\":\"IMPORT\"}", 422, "{\"error_code\":42204,..."));
    OK(ask("DELETE", "/subjects/s?permanent=true", NULL, 404, "{\"error_code\":40405,..."));
    broken = true;
    OK(ask("POST", "/subjects/s/versions", REC(""), 500, "{\"error_code\":50001,..."));
    end();
}

TEST(compatibility_is_checked)
{
    begin();
    OK(ask("POST", "/compatibility/subjects/s/versions/latest", STRING, 200, "{\"is_compatible\":true}"));
    OK(ask("POST", "/compatibility/subjects/x/versions/1", STRING, 404, NO_SUBJECT));
    OK(ask("POST", "/subjects/s/versions", REC(A), 200, "{\"id\":1}"));
    OK(ask("POST", "/compatibility/subjects/s/versions/latest", REC(A "," B), 200,
           "{\"is_compatible\":false}"));
    OK(ask("POST", "/compatibility/subjects/s/versions", REC(A), 200, "{\"is_compatible\":true}"));
    OK(ask("POST", "/compatibility/subjects/s/versions/1?verbose=true", REC(A), 200,
           "{\"is_compatible\":true,\"messages\":[]}"));
    OK(ask("POST", "/compatibility/subjects/s/versions?verbose=true", REC(B), 200,
           "{\"is_compatible\":false,\"messages\":[\"{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', ..."));
    OK(ask("POST", "/compatibility/subjects/s/versions/7", REC(A), 404, "{\"error_code\":40402,..."));
    end();
}

TEST(levels_and_modes)
{
    begin();
    OK(ask("GET", "/config", NULL, 200, "{\"compatibilityLevel\":\"BACKWARD\"}"));
    OK(ask("PUT", "/config", "{\"compatibility\":\"full\"}", 200, "{\"compatibility\":\"FULL\"}"));
    OK(ask("GET", "/config/s", NULL, 404, "{\"error_code\":40408,..."));
    OK(ask("GET", "/config/s?defaultToGlobal=true", NULL, 200, "{\"compatibilityLevel\":\"FULL\"}"));
    OK(ask("PUT", "/config/s", "{\"compatibility\":\"NONE\"}", 200, "{\"compatibility\":\"NONE\"}"));
    OK(ask("GET", "/config/s", NULL, 200, "{\"compatibilityLevel\":\"NONE\"}"));
    OK(ask("DELETE", "/config/s", NULL, 200, "{\"compatibilityLevel\":\"NONE\"}"));
    OK(ask("DELETE", "/config/x", NULL, 404, NO_SUBJECT));
    OK(ask("DELETE", "/config", NULL, 200, "{\"compatibilityLevel\":\"FULL\"}"));
    OK(ask("GET", "/config", NULL, 200, "{\"compatibilityLevel\":\"BACKWARD\"}"));
    OK(ask("GET", "/mode", NULL, 200, "{\"mode\":\"READWRITE\"}"));
    OK(ask("GET", "/mode/s", NULL, 404, "{\"error_code\":40409,..."));
    OK(ask("PUT", "/mode/s", "{\"mode\":\"READONLY\"}", 200, "{\"mode\":\"READONLY\"}"));
    OK(ask("POST", "/subjects/s/versions", STRING, 422, "{\"error_code\":42205,..."));
    OK(ask("DELETE", "/mode/s", NULL, 200, "{\"mode\":\"READONLY\"}"));
    OK(ask("POST", "/subjects/s/versions", STRING, 200, "{\"id\":1}"));
    end();
}

TEST(versions_are_deleted)
{
    begin();
    OK(ask("PUT", "/config", "{\"compatibility\":\"NONE\"}", 200, "{..."));
    OK(ask("POST", "/subjects/s/versions", STRING, 200, "{\"id\":1}"));
    OK(ask("POST", "/subjects/s/versions", REC(A), 200, "{\"id\":2}"));
    OK(ask("DELETE", "/subjects/s/versions/1", NULL, 200, "1"));
    OK(ask("DELETE", "/subjects/s/versions/1", NULL, 404, "{\"error_code\":40406,..."));
    OK(ask("GET", "/subjects/s/versions", NULL, 200, "[2]"));
    OK(ask("GET", "/subjects/s/versions?deleted=true", NULL, 200, "[1,2]"));
    OK(ask("GET", "/subjects/s/versions?deletedOnly=true", NULL, 200, "[1]"));
    OK(ask("GET", "/subjects/s/versions?deletedAsNegative=true", NULL, 200, "[-1,2]"));
    OK(ask("DELETE", "/subjects/s/versions/latest", NULL, 200, "2"));
    OK(ask("GET", "/subjects/s/versions", NULL, 404, "{\"error_code\":40401,..."));
    OK(ask("DELETE", "/subjects/s/versions/1?permanent=true", NULL, 200, "1"));
    OK(ask("GET", "/schemas/ids/1", NULL, 404, "{\"error_code\":40403,..."));
    OK(ask("GET", "/schemas/ids/2", NULL, 200, "{\"schema\":..."));
    OK(ask("DELETE", "/subjects/s?permanent=true", NULL, 200, "[2]"));
    OK(ask("GET", "/subjects?deleted=true", NULL, 200, "[]"));
    end();
}

TEST(content_types)
{
    struct fetch_answer a;

    begin();
    a = ask_as("GET", "/", NULL, NULL, "text/html, application/json;q=0.9");
    OK(a.status == 200 && str_is(a.type, "application/json"));
    a = ask_as("POST", "/subjects/s/versions", STRING, "application/json; charset=utf-8",
               "application/vnd.schemaregistry+json");
    OK(a.status == 200 && str_is(a.type, "application/vnd.schemaregistry+json"));
    a = ask_as("POST", "/subjects/s/versions", STRING, "application/x-www-form-urlencoded", "*/*");
    OK(a.status == 415 && str_starts(a.body, STR("{\"error_code\":415,")));
    end();
}

/* More than a schema may have is said so, more than a request may have is not read. */
TEST(large_requests_are_refused)
{
    struct buf body = buf_make(16 << 20);

    begin();
    buf_str(&body, STR("{\"schema\":\""));
    buf_zero(&body, LIMIT_SCHEMA + 1);
    memset(body.p + body.n - LIMIT_SCHEMA - 1, ' ', LIMIT_SCHEMA + 1);
    buf_str(&body, STR("\"}"));
    OK(ask("POST", "/subjects/s/versions", buf_z(&body), 422,
           "{\"error_code\":42201,\"message\":\"Invalid schema: 1048577 bytes of JSON, at most 1048576 are "
           "read\"}"));
    buf_reset(&body);
    buf_zero(&body, LIMIT_HTTP_BODY + 1);
    memset(body.p, ' ', body.n);
    OK(ask_as("POST", "/subjects/s/versions", buf_z(&body), "application/json", "*/*").status == 413);
    buf_fini(&body);
    end();
}

TEST(a_taken_port_is_named)
{
    struct registry *second;
    struct registry_options o = {.host = "127.0.0.1"};

    begin();
    o.net = net;
    o.schemas = store;
    o.port = registry_port(registry);
    OK(!registry_start(&o, &second, &e) && e.kind == ERR_CONFLICT && strstr(e.msg, "is taken by"));
    end();
}
TEST_MAIN
