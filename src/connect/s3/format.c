#include "connect/s3/s3_sink_int.h"

#include "base/limits.h"
#include "base/rd.h"
#include "schema/avro.h"
#include "schema/schema.h"

#include <jansson.h>

enum { BLOCK_BYTES = 64000, WIRE_PREFIX = 5 }; // Avro's usual block; magic byte and schema id

bool format_schema_id(struct str value, int *id)
{
    struct rd r = rd_str(value);
    uint8_t magic = rd_u8(&r);

    *id = rd_i32(&r);
    return rd_ok(&r) && magic == 0;
}

/* Gives the block's bytes to the object when there are enough of them. */
static bool pour(struct s3_sink_file *f, struct buf *b, size_t at_least, struct err *e)
{
    if (!buf_ok(b))
        return err_set(e, ERR_LIMIT, "a record is over %zu bytes", b->max);
    if (b->n < at_least || b->n == 0)
        return true;
    if (!object_put_write(f->put, buf_view(b), e))
        return false;
    buf_reset(b);
    return true;
}

/* ---- Avro ---- */

static bool container_begin(struct s3_sink_file *f, struct err *e)
{
    struct buf head = buf_make(2 * LIMIT_SCHEMA);
    struct schema_version v;
    struct arena a = {0};
    bool ok = schema_by_id(f->sink->env->schemas, f->schema_id, &a, &v) ||
              err_set(e, ERR_NOT_FOUND, "schema id %d is not in the registry", f->schema_id);

    if (ok && v.schema.type.n > 0 && !str_is(v.schema.type, "AVRO"))
        ok = err_set(e, ERR_UNSUPPORTED, "schema id %d is %.*s, AvroFormat needs AVRO", f->schema_id,
                     STR_ARG(v.schema.type));
    if (ok && v.schema.reference_count > 0)
        ok = err_set(e, ERR_UNSUPPORTED, "schema id %d refers to other schemas, which a file cannot hold",
                     f->schema_id);
    if (ok) {
        avro_file_begin(&head, v.schema.text, f->sink->set.codec, NULL, 0, f->sync);
        ok = pour(f, &head, 1, e);
    }
    buf_fini(&head);
    arena_fini(&a);
    return ok;
}

static bool container_block(struct s3_sink_file *f, struct err *e)
{
    struct buf out = buf_make(2 * LIMIT_BATCH);
    bool ok = avro_file_block(&out, f->sink->set.codec, f->records, buf_view(&f->block), f->sync, e) &&
              pour(f, &out, 1, e);

    buf_fini(&out);
    buf_reset(&f->block);
    f->records = 0;
    return ok;
}

static bool container_add(struct s3_sink_file *f, struct str value, struct err *e)
{
    buf_put(&f->block, value.p + WIRE_PREFIX, value.n - WIRE_PREFIX);
    f->records++;
    if (!buf_ok(&f->block))
        return err_set(e, ERR_LIMIT, "a record is over %zu bytes", f->block.max);
    return f->block.n < BLOCK_BYTES || container_block(f, e);
}

static bool container_end(struct s3_sink_file *f, struct err *e)
{
    return f->records == 0 || container_block(f, e);
}

/* ---- lines and bytes ---- */

static bool plain_begin(struct s3_sink_file *f, struct err *e)
{
    (void)f;
    (void)e;
    return true;
}

/* JSON without the blanks between its words, so that a record is one line. */
static void put_compact(struct buf *out, struct str json)
{
    bool text = false;

    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];

        if (!text && (c == ' ' || c == '\t' || c == '\r' || c == '\n'))
            continue;
        buf_u8(out, (uint8_t)c);
        if (c == '"')
            text = !text;
        else if (text && c == '\\' && i + 1 < json.n)
            buf_u8(out, (uint8_t)json.p[++i]);
    }
}

static bool json_add(struct s3_sink_file *f, struct str value, struct err *e)
{
    json_error_t why;
    json_t *v = json_loadb(value.p, value.n, JSON_DECODE_ANY, &why);

    if (!v)
        return err_set(e, ERR_INVALID, "the value is not JSON: %s", why.text);
    json_decref(v);
    put_compact(&f->block, value);
    buf_u8(&f->block, '\n');
    return pour(f, &f->block, BLOCK_BYTES, e);
}

static bool bytes_add(struct s3_sink_file *f, struct str value, struct err *e)
{
    buf_str(&f->block, value);
    buf_str(&f->block, f->sink->set.separator);
    return pour(f, &f->block, BLOCK_BYTES, e);
}

static bool plain_end(struct s3_sink_file *f, struct err *e)
{
    return pour(f, &f->block, 1, e);
}

/* ---- which one ---- */

static const struct sink_format formats[] = {
    {"io.confluent.connect.s3.format.avro.AvroFormat", "AvroConverter", ".avro", true, container_begin,
     container_add, container_end},
    {"io.confluent.connect.s3.format.json.JsonFormat", "JsonConverter", ".json", false, plain_begin, json_add,
     plain_end},
    {"io.confluent.connect.s3.format.bytearray.ByteArrayFormat", "ByteArrayConverter", NULL, false,
     plain_begin, bytes_add, plain_end},
};

const struct sink_format *format_find(struct str class_name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (str_is(class_name, formats[i].name))
            return &formats[i];
    return NULL;
}
