#include "base/test.h"
#include "os/thread.h"
#include "schema/schema.h"

#include <stdlib.h>

/* A topic in memory: what was appended, and a fault on demand. */
static struct topic {
    struct schema_record records[200];
    size_t count, appends;
    bool broken;
} topic;
static struct arena arena;
static struct err e;

static bool append(void *arg, const struct schema_record *records, size_t count, struct err *why)
{
    struct topic *t = arg;

    if (t->broken)
        return err_set(why, ERR_FULL, "no space left");
    t->appends++;
    for (size_t i = 0; i < count; i++)
        t->records[t->count++] =
            (struct schema_record){arena_str(&arena, records[i].key), arena_str(&arena, records[i].value)};
    return true;
}

static struct schema_store *fresh(void)
{
    topic = (struct topic){0};
    return schema_store_new(append, &topic);
}

static int add(struct schema_store *s, const char *subject, const char *text)
{
    struct schema_version v;

    return schema_add(s, str_of(subject), &(struct schema_text){.text = str_of(text)}, &v, &e) == SCHEMA_OK
               ? v.id
               : -1;
}

static int code_of(struct schema_store *s, const char *subject, const char *text)
{
    struct schema_version v;

    return (int)schema_add(s, str_of(subject), &(struct schema_text){.text = str_of(text)}, &v, &e);
}

#define REC(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define A           "{\"name\":\"a\",\"type\":\"int\"}"
#define B           "{\"name\":\"b\",\"type\":\"int\"}"
#define B0          "{\"name\":\"b\",\"type\":\"int\",\"default\":0}"

static bool record_is(size_t i, const char *key, const char *value)
{
    if (i >= topic.count)
        return false;
    printf("# %.*s = %.*s\n", STR_ARG(topic.records[i].key), STR_ARG(topic.records[i].value));
    return str_is(topic.records[i].key, key) &&
           (value ? str_is(topic.records[i].value, value) : !topic.records[i].value.p);
}

TEST(ids_are_dense_and_shared)
{
    struct schema_store *s = fresh();
    struct schema_version v;

    OK(add(s, "a-value", "\"string\"") == 1);
    OK(add(s, "a-value", " {\"type\": \"string\"} ") == 1); // the same schema, written otherwise
    OK(add(s, "b-value", "\"string\"") == 1);
    OK(add(s, "b-value", "\"bytes\"") == 2);
    OK(topic.count == 3 && topic.appends == 3);
    OK(record_is(
        0, "{\"keytype\":\"SCHEMA\",\"subject\":\"a-value\",\"version\":1,\"magic\":1}",
        "{\"subject\":\"a-value\",\"version\":1,\"id\":1,\"schema\":\"\\\"string\\\"\",\"deleted\":false}"));
    OK(schema_by_id(s, 2, &arena, &v) && str_is(v.schema.text, "\"bytes\"") && str_is(v.schema.type, "AVRO"));
    OK(!schema_by_id(s, 3, &arena, &v) && !schema_by_id(s, 0, &arena, &v));
    OK(schema_get(s, STR("b-value"), SCHEMA_LATEST, false, &arena, &v, &e) == SCHEMA_OK && v.version == 2);
    OK(schema_get(s, STR("b-value"), 1, false, &arena, &v, &e) == SCHEMA_OK && v.id == 1);
    OK(schema_get(s, STR("b-value"), 3, false, &arena, &v, &e) == SCHEMA_NO_VERSION &&
       strcmp(e.msg, "Version 3 not found.") == 0);
    OK(schema_get(s, STR("c"), 1, false, &arena, &v, &e) == SCHEMA_NO_SUBJECT &&
       strcmp(e.msg, "Subject 'c' not found.") == 0);
    schema_store_free(s);
}

TEST(bad_schemas_and_types_are_refused)
{
    struct schema_store *s = fresh();
    struct schema_version v;
    int id, version;

    OK(code_of(s, "s", "{\"type\":\"record\"}") == SCHEMA_BAD_SCHEMA && strstr(e.msg, "Invalid schema"));
    OK(schema_add(s, STR("s"), &(struct schema_text){.type = STR("PROTOBUF"), .text = STR("x")}, &v, &e) ==
       SCHEMA_BAD_SCHEMA);
    OK(strstr(e.msg, "only AVRO") != NULL);
    OK(code_of(s, "", "\"int\"") == SCHEMA_BAD_SUBJECT &&
       code_of(s, ":.x:s", "\"int\"") == SCHEMA_BAD_SUBJECT);
    OK(!schema_register(s, STR("s"), &(struct schema_text){.text = STR("x")}, &id, &version, &e) &&
       e.kind == ERR_INVALID);
    OK(topic.count == 0);
    schema_store_free(s);
}

TEST(levels_decide)
{
    static const struct {
        enum schema_level level;
        const char *first, *second;
        int code;
    } cases[] = {
        {SCHEMA_NONE, REC(A), REC(A "," B), SCHEMA_OK},
        {SCHEMA_NONE, REC(A), "\"string\"", SCHEMA_OK},
        {SCHEMA_BACKWARD, REC(A), REC(A "," B0), SCHEMA_OK},
        {SCHEMA_BACKWARD, REC(A), REC(A "," B), SCHEMA_INCOMPATIBLE},
        {SCHEMA_BACKWARD, REC(A "," B), REC(A), SCHEMA_OK},
        {SCHEMA_FORWARD, REC(A), REC(A "," B), SCHEMA_OK},
        {SCHEMA_FORWARD, REC(A "," B), REC(A), SCHEMA_INCOMPATIBLE},
        {SCHEMA_FORWARD, REC(A "," B0), REC(A), SCHEMA_OK},
        {SCHEMA_FULL, REC(A), REC(A "," B0), SCHEMA_OK},
        {SCHEMA_FULL, REC(A), REC(A "," B), SCHEMA_INCOMPATIBLE},
        {SCHEMA_FULL, REC(A "," B), REC(A), SCHEMA_INCOMPATIBLE},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct schema_store *s = fresh();

        OK(schema_level_set(s, STR_NULL, cases[i].level, &e) == SCHEMA_OK);
        OK(add(s, "s", cases[i].first) == 1);
        OK(code_of(s, "s", cases[i].second) == cases[i].code);
        OK(cases[i].code == SCHEMA_OK ||
           (e.kind == ERR_CONFLICT && strstr(e.msg, "for subject \"s\", details: [{")));
        schema_store_free(s);
    }
}

TEST(transitive_levels_look_at_all)
{
    static const enum schema_level near[] = {SCHEMA_BACKWARD, SCHEMA_FORWARD},
                                   far[] = {SCHEMA_BACKWARD_TRANSITIVE, SCHEMA_FORWARD_TRANSITIVE};
    /* The third fits the second, not the first: a was an int without default, came as a string with one. */
    static const char *const three[2][3] = {
        {REC("{\"name\":\"a\",\"type\":\"string\"}"), REC(B0),
         REC("{\"name\":\"a\",\"type\":\"int\",\"default\":1}")},
        {REC("{\"name\":\"a\",\"type\":\"string\",\"default\":\"\"}"), REC(B0), REC(A)}};

    for (int k = 0; k < 2; k++) {
        for (int transitive = 0; transitive < 2; transitive++) {
            struct schema_store *s = fresh();

            OK(schema_level_set(s, STR("s"), transitive ? far[k] : near[k], &e) == SCHEMA_OK);
            OK(add(s, "s", three[k][0]) == 1 && add(s, "s", three[k][1]) == 2);
            OK(code_of(s, "s", three[k][2]) == (transitive ? SCHEMA_INCOMPATIBLE : SCHEMA_OK));
            schema_store_free(s);
        }
    }
}

TEST(checks_say_why)
{
    struct schema_store *s = fresh();
    struct schema_messages m = {.arena = &arena};
    struct schema_text t = {.text = STR(REC(A "," B))};

    OK(add(s, "s", REC(A)) == 1);
    OK(schema_check(s, STR("s"), SCHEMA_LATEST, &t, &m, &e) == SCHEMA_OK && m.count == 4);
    OK(str_starts(
        m.list[0],
        STR("{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'the new schema cannot")));
    OK(str_is(m.list[1], "{oldSchemaVersion: 1}") && str_is(m.list[3], "{compatibility: 'BACKWARD'}"));
    OK(schema_check(s, STR("s"), 0, &t, &m, &e) == SCHEMA_OK && m.count == 4);
    OK(schema_check(s, STR("s"), 2, &t, &m, &e) == SCHEMA_NO_VERSION);
    OK(schema_check(s, STR("none"), SCHEMA_LATEST, &t, &m, &e) == SCHEMA_OK && m.count == 0);
    OK(schema_check(s, STR("none"), 1, &t, &m, &e) == SCHEMA_NO_SUBJECT);
    t.text = STR(REC(A "," B0));
    OK(schema_check(s, STR("s"), 1, &t, &m, &e) == SCHEMA_OK && m.count == 0);
    OK(topic.count == 1);
    schema_store_free(s);
}

TEST(lookups_find_the_version)
{
    struct schema_store *s = fresh();
    struct schema_text t = {.text = STR("{ \"type\" : \"bytes\" }")};
    struct schema_version v;

    OK(add(s, "s", "\"string\"") == 1 && add(s, "s", "\"bytes\"") == 2);
    OK(schema_lookup(s, STR("s"), &t, false, &v, &e) == SCHEMA_OK && v.version == 2 && v.id == 2);
    t.text = STR("\"int\"");
    OK(schema_lookup(s, STR("s"), &t, false, &v, &e) == SCHEMA_NO_SCHEMA);
    OK(schema_lookup(s, STR("x"), &t, false, &v, &e) == SCHEMA_NO_SUBJECT);
    t.text = STR("int");
    OK(schema_lookup(s, STR("s"), &t, false, &v, &e) == SCHEMA_BAD_SCHEMA);
    schema_store_free(s);
}

TEST(deleting_is_soft_then_permanent)
{
    struct schema_store *s = fresh();
    struct schema_version v, *list;
    struct str *names;
    int version, *versions;
    size_t n;

    OK(add(s, "s", "\"string\"") == 1 && add(s, "s", "\"bytes\"") == 2 && add(s, "t", "\"string\"") == 1);
    OK(schema_delete_version(s, STR("s"), 1, true, &version, &e) == SCHEMA_VERSION_NOT_DELETED);
    OK(schema_delete_version(s, STR("s"), 1, false, &version, &e) == SCHEMA_OK && version == 1);
    OK(record_is(
        3, "{\"keytype\":\"SCHEMA\",\"subject\":\"s\",\"version\":1,\"magic\":1}",
        "{\"subject\":\"s\",\"version\":1,\"id\":1,\"schema\":\"\\\"string\\\"\",\"deleted\":true}"));
    OK(schema_delete_version(s, STR("s"), 1, false, &version, &e) == SCHEMA_VERSION_DELETED);
    OK(schema_get(s, STR("s"), 1, false, &arena, &v, &e) == SCHEMA_NO_VERSION);
    OK(schema_get(s, STR("s"), 1, true, &arena, &v, &e) == SCHEMA_OK && v.deleted);
    OK(schema_delete_subject(s, STR("s"), true, &arena, &versions, &n, &e) == SCHEMA_SUBJECT_NOT_DELETED);
    OK(schema_delete_subject(s, STR("s"), false, &arena, &versions, &n, &e) == SCHEMA_OK && n == 1 &&
       versions[0] == 2);
    OK(record_is(4, "{\"keytype\":\"DELETE_SUBJECT\",\"subject\":\"s\",\"magic\":0}",
                 "{\"subject\":\"s\",\"version\":2}"));
    OK(schema_delete_subject(s, STR("s"), false, &arena, &versions, &n, &e) == SCHEMA_SUBJECT_DELETED);
    schema_subjects(s, STR(""), SCHEMA_LIVE, &arena, &names, &n);
    OK(n == 1 && str_is(names[0], "t"));
    schema_subjects(s, STR(""), SCHEMA_DELETED_ONLY, &arena, &names, &n);
    OK(n == 1 && str_is(names[0], "s"));
    OK(schema_by_id(s, 2, &arena, &v)); // what was written with it is still read
    OK(!schema_versions(s, STR("s"), SCHEMA_LIVE, &arena, &list, &n) &&
       schema_versions(s, STR("s"), SCHEMA_LIVE_AND_DELETED, &arena, &list, &n) && n == 2);
    OK(schema_delete_subject(s, STR("s"), true, &arena, &versions, &n, &e) == SCHEMA_OK && n == 2);
    OK(record_is(5, "{\"keytype\":\"SCHEMA\",\"subject\":\"s\",\"version\":1,\"magic\":1}", NULL));
    OK(!schema_by_id(s, 2, &arena, &v) && schema_by_id(s, 1, &arena, &v));
    OK(schema_delete_subject(s, STR("s"), true, &arena, &versions, &n, &e) == SCHEMA_NO_SUBJECT);
    schema_store_free(s);
}

TEST(a_deleted_schema_comes_back_as_a_new_version_with_its_id)
{
    struct schema_store *s = fresh();
    struct schema_version v, *list;
    size_t n;
    int version;

    OK(add(s, "s", "\"string\"") == 1 &&
       schema_delete_version(s, STR("s"), 1, false, &version, &e) == SCHEMA_OK);
    OK(add(s, "s", "\"string\"") == 1);
    OK(schema_get(s, STR("s"), SCHEMA_LATEST, true, &arena, &v, &e) == SCHEMA_OK && v.version == 2 &&
       v.id == 1);
    OK(schema_versions(s, STR("s"), SCHEMA_LIVE_AND_DELETED, &arena, &list, &n) && n == 1);
    schema_store_free(s);
}

TEST(references_are_kept_and_guarded)
{
    struct schema_store *s = fresh();
    struct schema_reference ref = {STR("a.In"), STR("in"), 1};
    struct schema_text t = {
        .text = STR("{\"type\":\"record\",\"name\":\"Out\",\"fields\":[{\"name\":\"i\",\"type\":\"a.In\"}]}"),
        .references = &ref,
        .reference_count = 1};
    struct schema_version v;
    int version, *ids;
    size_t n;

    OK(schema_add(s, STR("out"), &t, &v, &e) == SCHEMA_BAD_SCHEMA &&
       strstr(e.msg, "No schema reference found"));
    OK(add(s, "in", "{\"type\":\"record\",\"name\":\"In\",\"namespace\":\"a\",\"fields\":[]}") == 1);
    OK(schema_add(s, STR("out"), &t, &v, &e) == SCHEMA_OK && v.id == 2);
    OK(schema_add(s, STR("out"), &t, &v, &e) == SCHEMA_OK && v.id == 2 && topic.count == 2);
    OK(strstr(topic.records[1].value.p,
              "\"id\":2,\"references\":[{\"name\":\"a.In\",\"subject\":\"in\",\"version\":1}],\"schema\":") !=
       NULL);
    OK(schema_referenced_by(s, STR("in"), 1, &arena, &ids, &n, &e) == SCHEMA_OK && n == 1 && ids[0] == 2);
    OK(schema_delete_version(s, STR("in"), 1, false, &version, &e) == SCHEMA_REFERENCED);
    OK(schema_delete_version(s, STR("out"), 1, false, &version, &e) == SCHEMA_OK);
    OK(schema_delete_version(s, STR("in"), 1, false, &version, &e) == SCHEMA_OK);
    schema_store_free(s);
}

TEST(levels_and_modes_are_kept)
{
    struct schema_store *s = fresh();
    int version;

    OK(schema_level_get(s, STR_NULL) == SCHEMA_BACKWARD &&
       schema_level_get(s, STR("s")) == SCHEMA_LEVEL_UNSET);
    OK(schema_level_set(s, STR_NULL, SCHEMA_FULL, &e) == SCHEMA_OK);
    OK(record_is(0, "{\"keytype\":\"CONFIG\",\"subject\":null,\"magic\":0}",
                 "{\"compatibilityLevel\":\"FULL\"}"));
    OK(schema_level_set(s, STR("s"), SCHEMA_NONE, &e) == SCHEMA_OK &&
       schema_level_get(s, STR("s")) == SCHEMA_NONE);
    OK(record_is(1, "{\"keytype\":\"CONFIG\",\"subject\":\"s\",\"magic\":0}",
                 "{\"subject\":\"s\",\"compatibilityLevel\":\"NONE\"}"));
    OK(add(s, "s", "\"string\"") == 1);
    OK(schema_mode_set(s, STR("s"), SCHEMA_READONLY, &e) == SCHEMA_OK);
    OK(code_of(s, "s", "\"string\"") == SCHEMA_READ_ONLY && code_of(s, "s", "\"int\"") == SCHEMA_READ_ONLY);
    OK(schema_delete_version(s, STR("s"), 1, false, &version, &e) == SCHEMA_READ_ONLY);
    OK(schema_mode_set(s, STR("s"), SCHEMA_READWRITE, &e) == SCHEMA_OK);
    OK(schema_delete_version(s, STR("s"), 1, false, &version, &e) == SCHEMA_OK);
    OK(schema_level_get(s, STR("s")) == SCHEMA_LEVEL_UNSET &&
       schema_mode_get(s, STR("s")) == SCHEMA_MODE_UNSET);
    OK(schema_level_set(s, STR_NULL, SCHEMA_LEVEL_UNSET, &e) == SCHEMA_OK &&
       schema_level_get(s, STR_NULL) == SCHEMA_BACKWARD);
    OK(schema_level_of(STR("full_transitive")) == SCHEMA_FULL_TRANSITIVE && !schema_level_of(STR("bad")));
    schema_store_free(s);
}

/* What is not stored did not happen. */
TEST(a_failed_append_changes_nothing)
{
    struct schema_store *s = fresh();
    struct schema_version v;
    int version, id;

    OK(add(s, "s", "\"string\"") == 1);
    topic.broken = true;
    OK(code_of(s, "s", "\"bytes\"") == SCHEMA_STORE && e.kind == ERR_FULL &&
       strstr(e.msg, "not stored: no space"));
    OK(!schema_register(s, STR("s"), &(struct schema_text){.text = STR("\"bytes\"")}, &id, &version, &e));
    OK(schema_delete_version(s, STR("s"), 1, false, &version, &e) == SCHEMA_STORE);
    OK(schema_get(s, STR("s"), SCHEMA_LATEST, false, &arena, &v, &e) == SCHEMA_OK && v.version == 1);
    OK(schema_level_set(s, STR_NULL, SCHEMA_NONE, &e) == SCHEMA_STORE &&
       schema_level_get(s, STR_NULL) == SCHEMA_BACKWARD);
    topic.broken = false;
    OK(add(s, "s", "\"bytes\"") == 2);
    schema_store_free(s);
}

/* All that a store answers, as one text. */
static struct str picture(struct schema_store *s)
{
    struct schema_version *list;
    struct buf out = buf_make(1 << 20);
    struct str text;
    size_t n;

    (void)schema_versions(s, STR_NULL, SCHEMA_LIVE_AND_DELETED, &arena, &list, &n);
    for (size_t i = 0; i < n; i++)
        buf_fmt(&out, "%.*s %d %d %d %.*s %zu %d %d\n", STR_ARG(list[i].subject), list[i].version, list[i].id,
                list[i].deleted, STR_ARG(list[i].schema.text), list[i].schema.reference_count,
                (int)schema_level_get(s, list[i].subject), (int)schema_mode_get(s, list[i].subject));
    buf_fmt(&out, "%d %d", (int)schema_level_get(s, STR_NULL), (int)schema_mode_get(s, STR_NULL));
    text = arena_str(&arena, buf_view(&out));
    buf_fini(&out);
    return text;
}

TEST(a_replay_gives_the_same_store)
{
    struct schema_store *s = fresh(), *again = schema_store_new(append, &topic);
    int version, *versions;
    struct schema_version v;
    size_t n;

    OK(add(s, "a", "\"string\"") == 1 && add(s, "a", "\"bytes\"") == 2 && add(s, "b", REC(A)) == 3);
    OK(schema_level_set(s, STR("a"), SCHEMA_NONE, &e) == SCHEMA_OK && add(s, "a", "\"int\"") == 4);
    OK(schema_delete_version(s, STR("a"), 2, false, &version, &e) == SCHEMA_OK);
    OK(schema_delete_subject(s, STR("b"), false, &arena, &versions, &n, &e) == SCHEMA_OK);
    OK(schema_delete_subject(s, STR("b"), true, &arena, &versions, &n, &e) == SCHEMA_OK);
    OK(schema_mode_set(s, STR("a"), SCHEMA_READONLY, &e) == SCHEMA_OK);
    OK(schema_level_set(s, STR_NULL, SCHEMA_FULL_TRANSITIVE, &e) == SCHEMA_OK);
    for (size_t i = 0; i < topic.count; i++)
        OK(schema_store_apply(again, topic.records[i].key, topic.records[i].value, &e));
    OK(str_eq(picture(s), picture(again)));
    OK(!schema_by_id(again, 3, &arena, &v));
    OK(schema_mode_set(again, STR("a"), SCHEMA_MODE_UNSET, &e) == SCHEMA_OK);
    OK(add(again, "c", "\"float\"") == 5); // the id of what is gone is not given again
    schema_store_free(s);
    schema_store_free(again);
}

TEST(records_of_a_real_registry_are_read)
{
    struct schema_store *s = fresh();
    struct schema_version v;

    OK(schema_store_apply(s, STR("{\"keytype\":\"NOOP\",\"magic\":0}"), STR_NULL, &e));
    OK(schema_store_apply(s, STR("{\"keytype\":\"CONFIG\",\"magic\":0}"),
                          STR("{\"compatibilityLevel\":\"FORWARD\",\"normalize\":false}"), &e));
    OK(schema_store_apply(s, STR("{\"keytype\":\"SCHEMA\",\"subject\":\"p\",\"version\":1,\"magic\":1}"),
                          STR("{\"subject\":\"p\",\"version\":1,\"id\":7,\"md5\":\"abc=\",\"schemaType\":"
                              "\"PROTOBUF\",\"schema\":"
                              "\"syntax = \\\"proto3\\\";\",\"deleted\":false}"),
                          &e));
    OK(schema_store_apply(
        s, STR("{\"keytype\":\"SCHEMA\",\"subject\":\":.ctx:p\",\"version\":1,\"magic\":1}"),
        STR("{\"subject\":\":.ctx:p\",\"version\":1,\"id\":7,\"schema\":\"\\\"int\\\"\",\"deleted\":false}"),
        &e));
    OK(schema_level_get(s, STR_NULL) == SCHEMA_FORWARD);
    OK(schema_by_id(s, 7, &arena, &v) && str_is(v.schema.type, "PROTOBUF"));
    OK(add(s, "q", "\"int\"") == 8);
    OK(code_of(s, "p", "\"int\"") == SCHEMA_INCOMPATIBLE && strstr(e.msg, "different schema type"));
    OK(schema_level_set(s, STR("p"), SCHEMA_NONE, &e) == SCHEMA_OK && add(s, "p", "\"int\"") == 8);
    schema_store_free(s);
}

TEST(damaged_records_are_named)
{
    struct schema_store *s = fresh();

    OK(!schema_store_apply(s, STR("x"), STR_NULL, &e) && e.kind == ERR_CORRUPT &&
       strstr(e.msg, "_schemas: a key"));
    OK(!schema_store_apply(s, STR("{}"), STR("[]"), &e) && strstr(e.msg, "a value is not"));
    OK(schema_store_apply(s, STR("{}"), STR("{}"), &e));
    OK(!schema_store_apply(s, STR("{\"keytype\":\"SCHEMA\"}"), STR("{}"), &e));
    OK(!schema_store_apply(s, STR("{\"keytype\":\"SCHEMA\",\"subject\":\"s\",\"version\":1}"),
                           STR("{\"id\":1}"), &e) &&
       strstr(e.msg, "subject s, version 1"));
    OK(schema_store_apply(s, STR("{\"keytype\":\"SCHEMA\",\"subject\":\"s\",\"version\":1}"),
                          STR("{\"id\":1,\"schema\":\"\\\"int\\\"\"}"), &e));
    OK(!schema_store_apply(s, STR("{\"keytype\":\"SCHEMA\",\"subject\":\"s\",\"version\":2}"),
                           STR("{\"id\":1,\"schema\":\"\\\"long\\\"\"}"), &e) &&
       strstr(e.msg, "two schemas with the id 1"));
    schema_store_free(s);
}

/* Changes come one at a time: no append begins before the one before has ended, and no id is given twice. */
enum { THREADS = 4, EACH = 50 };
static int appends_running, appends_done;
static bool appends_overlap;

static bool slow_append(void *arg, const struct schema_record *records, size_t count, struct err *why)
{
    (void)arg;
    (void)records;
    (void)count;
    (void)why;
    if (__atomic_add_fetch(&appends_running, 1, __ATOMIC_SEQ_CST) != 1)
        appends_overlap = true;
    appends_done++;
    (void)__atomic_sub_fetch(&appends_running, 1, __ATOMIC_SEQ_CST);
    return true;
}

static void register_many(void *arg)
{
    for (int i = 0; i < EACH; i++) {
        char text[100];
        struct schema_version v;
        struct arena a = {0};
        struct err why;
        int id, version;

        (void)snprintf(text, sizeof text, "{\"type\":\"fixed\",\"name\":\"F%d\",\"size\":1}", i);
        if (!schema_register(arg, str_of(text), &(struct schema_text){.text = str_of(text)}, &id, &version,
                             &why) ||
            !schema_by_id(arg, id, &a, &v) || version != 1)
            abort();
        arena_fini(&a);
    }
}

TEST(threads_register_the_same_schemas_once)
{
    struct schema_store *s = schema_store_new(slow_append, NULL);
    struct thread threads[THREADS];
    struct schema_version *list;
    bool seen[EACH + 1] = {false};
    size_t n;

    for (int i = 0; i < THREADS; i++)
        thread_start(&threads[i], "register", register_many, s);
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    OK(!appends_overlap && appends_done == EACH);
    OK(schema_versions(s, STR_NULL, SCHEMA_LIVE, &arena, &list, &n) && n == EACH);
    for (size_t i = 0; i < n; i++) {
        OK(list[i].id >= 1 && list[i].id <= EACH && !seen[list[i].id]);
        seen[list[i].id] = true;
    }
    schema_store_free(s);
}

TEST(the_wire_has_an_id)
{
    struct str data;
    int id;

    OK(schema_wire_id(STR("\0\0\1\2\3xy"), &id, &data) && id == 0x010203 && str_is(data, "xy"));
    OK(schema_wire_id(STR("\0\0\0\0\1"), &id, &data) && id == 1 && data.n == 0);
    OK(!schema_wire_id(STR("\1\0\0\0\1"), &id, &data) && !schema_wire_id(STR("\0\0\0\0"), &id, &data) &&
       !schema_wire_id(STR("\0\377\0\0\1"), &id, &data) && !schema_wire_id(STR_NULL, &id, &data));
}
TEST_MAIN
