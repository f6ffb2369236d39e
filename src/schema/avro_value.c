#include "schema/avro_int.h"

/*
 * Values of a writer's schema. What a stranger can make expensive is bounded: nesting by AVRO_DEPTH, and work by the
 * bytes there are, because a type of which all values are empty (min_bytes 0) is never walked.
 */

const struct avro *avro_branch(const struct avro *s, struct rd *r)
{
    int64_t i;

    if (s->kind != AVRO_UNION)
        return s;
    i = rd_varint(r);
    if (rd_ok(r) && i >= 0 && (uint64_t)i < s->count)
        return s->branches[i];
    rd_fail(r, "no such branch of a union");
    return NULL;
}

/* Bytes that one element of an array or a map has at least. */
static size_t element_min(const struct avro *s)
{
    return s->kind == AVRO_MAP ? s->items->min_bytes + 1 : s->items->min_bytes;
}

/* The header of a block: its elements, and its bytes when the writer has said them, else -1. */
static int64_t block(const struct avro *s, struct rd *r, int64_t *bytes)
{
    int64_t n = rd_varint(r);
    size_t least = element_min(s);

    *bytes = -1;
    if (n < 0) {
        if (n == INT64_MIN) {
            rd_fail(r, "count is larger than the message");
            return 0;
        }
        n = -n;
        *bytes = rd_varint(r);
        if (*bytes < 0 || (uint64_t)*bytes > rd_left(r))
            rd_fail(r, "block is larger than the message");
    }
    if (least == 0)
        return rd_ok(r) ? n : 0;
    return (int64_t)rd_count(r, n, least);
}

int64_t avro_block(const struct avro *s, struct rd *r)
{
    int64_t bytes;

    return block(s, r, &bytes);
}

static void skip_bytes(struct rd *r)
{
    rd_skip(r, rd_count(r, rd_varint(r), 1));
}

static void skip(const struct avro *s, struct rd *r, int depth);

static void skip_items(const struct avro *s, struct rd *r, int depth)
{
    int64_t n, bytes;

    while ((n = block(s, r, &bytes)) > 0) {
        if (bytes >= 0) {
            rd_skip(r, (size_t)bytes);
            continue;
        }
        if (element_min(s) == 0)
            continue;
        for (; n > 0 && rd_ok(r); n--) {
            if (s->kind == AVRO_MAP)
                skip_bytes(r);
            skip(s->items, r, depth);
        }
    }
}

static void skip(const struct avro *s, struct rd *r, int depth)
{
    if (depth > AVRO_DEPTH)
        rd_fail(r, "nested too deep");
    if (s->min_bytes == 0 || !rd_ok(r))
        return;
    switch (s->kind) {
    case AVRO_NULL:
        break;
    case AVRO_BOOLEAN:
        rd_skip(r, 1);
        break;
    case AVRO_INT:
    case AVRO_LONG:
    case AVRO_ENUM:
        rd_uvarint64(r);
        break;
    case AVRO_FLOAT:
        rd_skip(r, 4);
        break;
    case AVRO_DOUBLE:
        rd_skip(r, 8);
        break;
    case AVRO_FIXED:
        rd_skip(r, (size_t)s->size);
        break;
    case AVRO_BYTES:
    case AVRO_STRING:
        skip_bytes(r);
        break;
    case AVRO_RECORD:
        for (size_t i = 0; i < s->count && rd_ok(r); i++)
            skip(s->fields[i].type, r, depth + 1);
        break;
    case AVRO_ARRAY:
    case AVRO_MAP:
        skip_items(s, r, depth + 1);
        break;
    case AVRO_UNION:
        s = avro_branch(s, r);
        if (s)
            skip(s, r, depth + 1);
        break;
    }
}

void avro_skip(const struct avro *s, struct rd *r)
{
    skip(s, r, 0);
}

/* ---- JSON ---- */

struct how {
    int depth;
    bool tagged; // Avro's own encoding: branches of unions by name, bytes as characters up to U+00FF
};

static struct how deeper(struct how how)
{
    how.depth++;
    return how;
}

static void put_json(const struct avro *s, struct rd *r, struct buf *out, struct how how);

static void put_real(const struct avro *s, struct rd *r, struct buf *out)
{
    if (s->kind == AVRO_FLOAT) {
        uint32_t bits = rd_u32le(r);
        float v;

        memcpy(&v, &bits, sizeof v);
        avro_json_real(out, (double)v, true);
    } else {
        uint64_t bits = rd_u64le(r);
        double v;

        memcpy(&v, &bits, sizeof v);
        avro_json_real(out, v, false);
    }
}

static void put_latin(struct str bytes, struct buf *out)
{
    struct buf text = buf_make(2 * bytes.n);

    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];

        if (c >= 0x80)
            buf_u8(&text, (uint8_t)(0xc0 | c >> 6));
        buf_u8(&text, c >= 0x80 ? (uint8_t)(0x80 | (c & 0x3f)) : c);
    }
    buf_json(out, buf_view(&text));
    buf_fini(&text);
}

static void put_bytes(struct str bytes, struct buf *out, struct how how)
{
    if (how.tagged) {
        put_latin(bytes, out);
        return;
    }
    buf_u8(out, '"');
    buf_base64(out, bytes.p, bytes.n);
    buf_u8(out, '"');
}

static void put_record(const struct avro *s, struct rd *r, struct buf *out, struct how how)
{
    buf_u8(out, '{');
    for (size_t i = 0; i < s->count && rd_ok(r) && buf_ok(out); i++) {
        if (i > 0)
            buf_u8(out, ',');
        buf_json(out, s->fields[i].name);
        buf_u8(out, ':');
        put_json(s->fields[i].type, r, out, how);
    }
    buf_u8(out, '}');
}

static void put_items(const struct avro *s, struct rd *r, struct buf *out, struct how how)
{
    bool first = true;
    int64_t n, bytes;

    buf_u8(out, s->kind == AVRO_MAP ? '{' : '[');
    while ((n = block(s, r, &bytes)) > 0) {
        const uint8_t *begin = r->at;

        for (; n > 0 && rd_ok(r) && buf_ok(out); n--) {
            if (!first)
                buf_u8(out, ',');
            first = false;
            if (s->kind == AVRO_MAP) {
                buf_json(out, rd_bytes(r, rd_count(r, rd_varint(r), 1)));
                buf_u8(out, ':');
            }
            put_json(s->items, r, out, how);
        }
        if (!buf_ok(out))
            return;
        if (bytes >= 0 && r->at - begin != bytes)
            rd_fail(r, "a block is not as long as it says");
    }
    buf_u8(out, s->kind == AVRO_MAP ? '}' : ']');
}

static void put_enum(const struct avro *s, struct rd *r, struct buf *out)
{
    int64_t i = rd_varint(r);

    if (i < 0 || (uint64_t)i >= s->count)
        rd_fail(r, "no such symbol of an enum");
    else
        buf_json(out, s->symbols[i]);
}

static void put_union(const struct avro *s, struct rd *r, struct buf *out, struct how how)
{
    const struct avro *branch = avro_branch(s, r);
    bool tagged = how.tagged && branch && branch->kind != AVRO_NULL;

    if (!branch)
        return;
    if (tagged) {
        buf_u8(out, '{');
        buf_json(out, branch->name.p ? branch->name : str_of(avro_kind_name(branch->kind)));
        buf_u8(out, ':');
    }
    put_json(branch, r, out, how);
    if (tagged)
        buf_u8(out, '}');
}

static void put_json(const struct avro *s, struct rd *r, struct buf *out, struct how how)
{
    if (how.depth > AVRO_DEPTH)
        rd_fail(r, "nested too deep");
    if (!rd_ok(r) || !buf_ok(out))
        return;
    switch (s->kind) {
    case AVRO_NULL:
        buf_str(out, STR("null"));
        break;
    case AVRO_BOOLEAN:
        buf_str(out, rd_u8(r) ? STR("true") : STR("false"));
        break;
    case AVRO_INT:
    case AVRO_LONG:
        buf_fmt(out, "%lld", (long long)rd_varint(r));
        break;
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
        put_real(s, r, out);
        break;
    case AVRO_ENUM:
        put_enum(s, r, out);
        break;
    case AVRO_STRING:
        buf_json(out, rd_bytes(r, rd_count(r, rd_varint(r), 1)));
        break;
    case AVRO_BYTES:
        put_bytes(rd_bytes(r, rd_count(r, rd_varint(r), 1)), out, how);
        break;
    case AVRO_FIXED:
        put_bytes(rd_bytes(r, (size_t)s->size), out, how);
        break;
    case AVRO_RECORD:
        put_record(s, r, out, deeper(how));
        break;
    case AVRO_ARRAY:
    case AVRO_MAP:
        put_items(s, r, out, deeper(how));
        break;
    case AVRO_UNION:
        put_union(s, r, out, deeper(how));
        break;
    }
}

static bool to_json(const struct avro *s, struct rd *r, struct buf *out, bool tagged, struct err *e)
{
    put_json(s, r, out, (struct how){.tagged = tagged});
    if (!rd_ok(r))
        return err_set(e, ERR_CORRUPT, "Avro value: %s", rd_why(r));
    if (!buf_ok(out))
        return err_set(e, ERR_LIMIT, "an Avro value is over %zu bytes as JSON", out->max);
    return true;
}

bool avro_to_json(const struct avro *s, struct rd *r, struct buf *out, struct err *e)
{
    return to_json(s, r, out, false, e);
}

bool avro_to_tagged_json(const struct avro *s, struct rd *r, struct buf *out, struct err *e)
{
    return to_json(s, r, out, true, e);
}
