#include "app/schemas.h"

#include "base/test.h"
#include "log/batch.h"
#include "log/log.h"
#include "os/fault.h"
#include "os/tempdir.h"

static struct arena arena;
static struct err e;

struct place {
    char dir[TEMPDIR_MAX];
    struct os_fault os;
    struct log *log;
    struct schemas *schemas;
};

static bool open_place(struct place *p)
{
    struct log_options o = {.os = &p->os.os, .dir = p->dir, .journal_bytes = 262144};

    os_fault_init(&p->os, os_real(), OS_FAULT_EIO, UINT32_MAX, true);
    return log_open(&o, &p->log, &e) && schemas_open(p->log, &p->os.os, SCHEMA_BACKWARD, &p->schemas, &e);
}

static void close_place(struct place *p)
{
    schemas_close(p->schemas);
    log_close(p->log);
    p->schemas = NULL;
    p->log = NULL;
}

static bool add(struct place *p, const char *subject, const char *text, int *id)
{
    int version;

    return schema_register(schemas_store(p->schemas), str_of(subject),
                           &(struct schema_text){.text = str_of(text)}, id, &version, &e);
}

TEST(schemas_outlive_the_process)
{
    struct place p = {0};
    struct schema_version v;
    struct log_topic topic;
    int id, *versions;
    size_t n;

    OK(tempdir_make(p.dir) && open_place(&p));
    OK(add(&p, "a-value", "\"string\"", &id) && id == 1);
    OK(add(&p, "b-value", "\"bytes\"", &id) && id == 2);
    OK(schema_level_set(schemas_store(p.schemas), STR("b-value"), SCHEMA_FULL, &e) == SCHEMA_OK);
    OK(schema_delete_subject(schemas_store(p.schemas), STR("a-value"), false, &arena, &versions, &n, &e) ==
       SCHEMA_OK);
    OK(log_find_topic(p.log, STR("_schemas"), &arena, &topic) && topic.partitions == 1 &&
       topic.settings.compact && !topic.settings.remove);
    close_place(&p);

    OK(open_place(&p));
    OK(schema_get(schemas_store(p.schemas), STR("a-value"), 1, false, &arena, &v, &e) == SCHEMA_NO_SUBJECT);
    OK(schema_get(schemas_store(p.schemas), STR("a-value"), 1, true, &arena, &v, &e) == SCHEMA_OK &&
       v.id == 1);
    OK(schema_level_get(schemas_store(p.schemas), STR("b-value")) == SCHEMA_FULL);
    OK(add(&p, "c-value", "\"int\"", &id) && id == 3);
    close_place(&p);
    OK(os_remove_tree(os_real(), p.dir, &e));
}

/* Somebody else's record that is no JSON is passed over, and those around it count. */
TEST(a_damaged_record_is_passed_over)
{
    struct place p = {0};
    struct batch_writer w = {0};
    struct log_part_write part = {.topic = STR("_schemas")};
    struct schema_version v;
    int id;

    OK(tempdir_make(p.dir) && open_place(&p));
    OK(add(&p, "a", "\"string\"", &id));
    batch_begin(&w, 1000);
    batch_add(&w, 1, STR("what"), STR("ever"), NULL, 0);
    batch_add(&w, 1, STR_NULL, STR("ever"), NULL, 0);
    part.batches = batch_end(&w);
    OK(log_append(p.log, &part, 1, &e));
    batch_fini(&w);
    OK(add(&p, "a", "\"bytes\"", &id) && id == 2);
    close_place(&p);
    OK(open_place(&p));
    OK(schema_by_id(schemas_store(p.schemas), 1, &arena, &v) &&
       schema_by_id(schemas_store(p.schemas), 2, &arena, &v));
    close_place(&p);
    OK(os_remove_tree(os_real(), p.dir, &e));
}

/* The disk fails at each call in turn: a schema that was acknowledged is there afterwards, and an id means one schema. */
TEST(what_was_acknowledged_is_there)
{
    bool done = false;

    for (unsigned n = 0; !done && n < 200; n++) {
        static const char *const texts[] = {"\"string\"", "\"bytes\""};
        struct place p = {0};
        bool acked[2] = {false, false};
        struct schema_version v;
        int ids[2] = {0, 0};

        OK(tempdir_make(p.dir) && open_place(&p));
        OK(schema_level_set(schemas_store(p.schemas), STR_NULL, SCHEMA_NONE, &e) == SCHEMA_OK);
        __atomic_store_n(&p.os.countdown, n, __ATOMIC_SEQ_CST);
        for (int i = 0; i < 2; i++)
            acked[i] = add(&p, "s", texts[i], &ids[i]);
        done = acked[0] && acked[1];
        close_place(&p);
        OK(open_place(&p));
        for (int i = 0; i < 2; i++)
            if (acked[i])
                OK(schema_by_id(schemas_store(p.schemas), ids[i], &arena, &v) &&
                   str_is(v.schema.text, texts[i]));
        OK(add(&p, "s", texts[0], &ids[0]) && add(&p, "s", texts[1], &ids[1]) && ids[0] != ids[1]);
        close_place(&p);
        OK(os_remove_tree(os_real(), p.dir, &e));
    }
    OK(done);
}
TEST_MAIN
