/* The proxy on a log of its own, without a coordinator: partitions are assigned. */
#include "group/offsets.h"
#include "ingest/ingest.h"
#include "log/testlog.h"
#include "net/fetch.h"
#include "net/net.h"
#include "schema/schema.h"

static struct testlog tl;
static struct net *net;
static struct offsets *offsets;
static struct schema_store *schemas;
static struct ingest *ingest;
static struct arena arena;

static bool append(void *arg, const struct schema_record *records, size_t count, struct err *e)
{
    (void)arg;
    (void)records;
    (void)count;
    (void)e;
    return true;
}

static void begin(void)
{
    struct ingest_options o = {.host = "127.0.0.1", .auto_create = true};

    OK(testlog_start(&tl) && testlog_topic(&tl, "t", 2));
    OK(offsets_open(&(struct offsets_options){.os = tl.o.os, .log = tl.l}, &offsets, &tl.e));
    OK(net_start(&(struct net_options){.loops = 1}, &net, &tl.e));
    schemas = schema_store_new(append, NULL);
    o.os = tl.o.os;
    o.net = net;
    o.log = tl.l;
    o.offsets = offsets;
    o.schemas = schemas;
    OK(ingest_start(&o, &ingest, &tl.e));
}

static void end(void)
{
    ingest_stop(ingest);
    net_shut(net, 1000);
    ingest_free(ingest);
    offsets_close(offsets);
    schema_store_free(schemas);
    OK(testlog_end(&tl));
    net_stop(net);
    arena_fini(&arena);
}

static bool ask(const char *method, const char *path, const char *body, int status, const char *expected)
{
    struct fetch_header type = {"Content-Type", strstr(path, "/topics/") == path
                                                    ? "application/vnd.kafka.json.v2+json"
                                                    : "application/vnd.kafka.v2+json"};
    struct fetch f = {.method = method, .headers = &type, .header_count = body ? 1 : 0, .body = str_of(body)};
    struct fetch_answer a = {0};

    f.url = arena_fmt(&arena, "http://127.0.0.1:%d%s", ingest_port(ingest), path);
    if (fetch(&f, &arena, &a, &tl.e) && a.status == status && str_starts(a.body, str_of(expected)))
        return true;
    printf("# %s %s: %d %.*s\n", method, path, a.status, STR_ARG(a.body));
    return false;
}

#define ONE  "/consumers/g/instances/one"
#define PART "{\"topic\":\"t\",\"partition\":1}"

TEST(records_go_in_and_come_out)
{
    begin();
    OK(ask("POST", "/topics/t/partitions/1",
           "{\"records\":[{\"value\":1},{\"key\":\"k\",\"value\":{\"a\" : 2.50}}]}", 200,
           "{\"offsets\":[{\"partition\":1,\"offset\":0,\"error_code\":null,\"error\":null},{\"partition\":1,"
           "\"offset\":1,"));
    OK(ask("POST", "/consumers/g",
           "{\"name\":\"one\",\"format\":\"json\",\"auto.offset.reset\":\"earliest\"}", 200,
           "{\"instance_id\":\"one\""));
    OK(ask("POST", ONE "/subscription", "{\"topics\":[\"t\"]}", 501, "{\"error_code\":501"));
    OK(ask("POST", ONE "/assignments", "{\"partitions\":[" PART "]}", 204, ""));
    OK(ask("GET", ONE "/records", NULL, 200,
           "[{\"topic\":\"t\",\"key\":null,\"value\":1,\"partition\":1,\"offset\":0},"
           "{\"topic\":\"t\",\"key\":\"k\",\"value\":{\"a\":2.50},\"partition\":1,\"offset\":1}]"));
    OK(ask("GET", ONE "/records?timeout=10", NULL, 200, "[]"));
    OK(ask("POST", ONE "/offsets", NULL, 200, "[]"));
    OK(ask("GET", ONE "/offsets", "{\"partitions\":[" PART "]}", 200,
           "{\"offsets\":[{\"topic\":\"t\",\"partition\":1,\"offset\":2,\"metadata\":\"\"}]}"));
    OK(ask("DELETE", ONE, NULL, 204, ""));
    end();
}

/* What the disk does not take is told for each record, and consumers that are left end with the program. */
TEST(a_disk_that_fails_is_told)
{
    begin();
    OK(ask("POST", "/topics/t", "{\"records\":[{\"value\":1}]}", 200, "{\"offsets\":[{\"partition\":"));
    OK(ask("POST", "/consumers/g", "{\"name\":\"one\",\"format\":\"json\"}", 200,
           "{\"instance_id\":\"one\""));
    OK(ask("POST", ONE "/assignments", "{\"partitions\":[" PART "]}", 204, ""));
    __atomic_store_n(&tl.os.countdown, 0, __ATOMIC_SEQ_CST);
    OK(ask("POST", "/topics/t", "{\"records\":[{\"value\":2},{\"value\":3}]}", 200,
           "{\"offsets\":[{\"partition\":null,\"offset\":null,\"error_code\":50003,\"error\":\"Retriable "
           "Kafka error: "));
    end();
}

TEST_MAIN
