/* Fuzz target: a schema, a zero byte, and a record of it.  Decoding, passing over and JSON agree on where the record ends. */
#include "schema/avro.h"

#include <stdlib.h>

enum { WANTS = 64 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void decode(struct arena *a, const struct avro *s, struct str data, size_t end)
{
    struct avro_want wants[WANTS] = {0};
    struct avro_decoder *d;
    struct columns c;
    struct err e;
    size_t n = 0;

    for (; n < s->count && n < WANTS; n++)
        wants[n].path = s->fields[n].name.p;
    if (!avro_decoder_new(a, s, wants, n, &d, &e))
        return;
    columns_init(&c, a, avro_decoder_columns(d), n, 1);
    if (avro_decode(d, data, &c, &e))
        must(c.rows == 1 && end == data.n);
    else
        must(c.rows == 0);
}

/* What JSON becomes is a whole value of the schema. */
static void from_json(const struct avro *s, struct str json)
{
    struct buf bytes = buf_make(1 << 20);
    struct err e;

    if (avro_from_json(s, json, &bytes, &e)) {
        struct rd r = rd_str(buf_view(&bytes));

        avro_skip(s, &r);
        must(rd_ok(&r) && rd_left(&r) == 0);
    }
    buf_fini(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    struct str schema, record;
    struct buf json = buf_make(1 << 20);
    struct arena a = {0};
    struct avro *s;
    struct err e;

    if (!zero)
        return 0;
    schema = str_from(data, (size_t)(zero - data));
    record = str_from(zero + 1, size - schema.n - 1);
    if (avro_parse(&a, schema, &s, &e)) {
        struct rd skipped = rd_str(record), shown = skipped;

        avro_skip(s, &skipped);
        if (avro_to_json(s, &shown, &json, &e)) {
            must(rd_ok(&skipped) ? skipped.at == shown.at : true);
            from_json(s, buf_view(&json));
        }
        from_json(s, record);
        if (s->kind == AVRO_RECORD)
            decode(&a, s, record, rd_ok(&skipped) ? record.n - rd_left(&skipped) : SIZE_MAX);
    }
    buf_fini(&json);
    arena_fini(&a);
    return 0;
}
