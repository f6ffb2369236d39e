/* Events as Debezium writes them in Avro: on the topic, and in the S3 sink's objects. */
#include "base/limits.h"
#include "base/mem.h"
#include "object/object.h"
#include "schema/avro.h"
#include "schema/schema.h"
#include "verify/verify_int.h"

enum { FETCH_BYTES = 1024 * 1024, WIRE_HEAD = 5 }; // Confluent's wire format: 0x00 and the schema's id

/* Columns that every decoder here gives, before the table's own: op, txId, then the key as it was before. */
enum { OP, TX_ID, FIXED };

struct decoder {
    struct decoder *next;
    int id;
    struct avro_decoder *d;
};

struct events {
    const struct verify_env *env;
    const struct source_table *t;
    struct arena *a; // lives as long as the feed
    struct decoder *decoders;
    struct columns row;
    struct arena row_arena;
};

/* The table's columns as the writer's schema has them; a column it does not know yet is null. */
static bool make_decoder(const struct events *ev, struct arena *a, struct str schema,
                         struct avro_decoder **out, struct err *e)
{
    const struct source_table *t = ev->t;
    size_t n = FIXED + t->key_count + t->column_count, at = 0;
    struct avro_want *want = ARENA_ARRAY(a, struct avro_want, n);
    struct avro *writer;
    struct column ignored;

    if (!avro_parse(a, schema, &writer, e))
        return false;
    want[at++].path = "op";
    want[at++].path = "source.txId";
    for (size_t i = 0; i < t->key_count; i++)
        want[at++].path = arena_fmt(a, "before.%.*s", STR_ARG(t->keys[i]));
    for (size_t i = 0; i < t->column_count; i++) {
        want[at].path = arena_fmt(a, "after.%.*s", STR_ARG(t->columns[i]));
        if (!avro_column(writer, want[at].path, &ignored))
            want[at].path = NULL;
        at++;
    }
    return avro_decoder_new(a, writer, want, n, out, e);
}

static bool decoder_of_id(struct events *ev, int id, struct avro_decoder **out, struct err *e)
{
    struct schema_version v;
    struct decoder *d;

    for (d = ev->decoders; d; d = d->next)
        if (d->id == id) {
            *out = d->d;
            return true;
        }
    if (!schema_by_id(ev->env->connect_env->schemas, id, ev->a, &v))
        return err_set(e, ERR_CORRUPT, "%.*s: no schema with id %d", STR_ARG(ev->t->topic), id);
    d = ARENA_NEW(ev->a, struct decoder);
    d->id = id;
    if (!make_decoder(ev, ev->a, v.schema.text, &d->d, e))
        return err_wrap(e, "%.*s: schema %d", STR_ARG(ev->t->topic), id);
    d->next = ev->decoders;
    ev->decoders = d;
    *out = d->d;
    return true;
}

/* An empty row of this decoder's shape. */
static void row_for(struct events *ev, const struct avro_decoder *d)
{
    size_t n = FIXED + ev->t->key_count + ev->t->column_count;

    arena_reset(&ev->row_arena);
    columns_init(&ev->row, &ev->row_arena, avro_decoder_columns(d), n, 1);
}

static bool decode(struct events *ev, struct str value, struct err *e)
{
    struct rd r = rd_str(value);
    struct avro_decoder *d;
    uint8_t magic = rd_u8(&r);
    int32_t id = rd_i32(&r);

    if (!rd_ok(&r) || magic != 0)
        return err_set(e, ERR_CORRUPT, "%.*s: not in Confluent's wire format", STR_ARG(ev->t->topic));
    if (!decoder_of_id(ev, id, &d, e))
        return false;
    row_for(ev, d);
    return avro_decode(d, rd_bytes(&r, rd_left(&r)), &ev->row, e);
}

/* The decoded event as a row of the feed. Truncations and messages have no row. */
static void add_event(struct feed *f, struct events *ev, int64_t pos)
{
    const struct columns *c = &ev->row;
    const struct source_table *t = ev->t;
    size_t after = FIXED + t->key_count; // where the table's own columns begin
    char op = c->column[OP].strs[0].n == 1 ? c->column[OP].strs[0].p[0] : '?';

    if (op == 'd')
        feed_add(f, feed_key(f, c, FIXED, NULL, t->key_count, 0), 0, pos, true);
    else if (op == 'c' || op == 'u' || op == 'r')
        feed_add(f, feed_key(f, c, after, t->key_at, t->key_count, 0),
                 rowsum_row(f->sum, c, after, t->column_count, 0), pos, false);
}

static int64_t position(int32_t partition, int64_t offset)
{
    return (int64_t)partition << 48 | offset;
}

/* ---- the topic ---- */

struct topic_feed {
    struct feed f; // first
    struct events ev;
    int32_t partition;
    int64_t offset; // of the next record; -1: the partition's first
    struct buf bytes;
    struct arena record_arena;
    struct batch_reader reader;
    bool open; // reader is on bytes of this partition
};

/* What a broken snapshot left, or retention took, is before the partition's first record. */
static int64_t first_offset(const struct topic_feed *t)
{
    struct log_range range = {0};

    (void)log_range(t->ev.env->connect_env->log, t->ev.t->topic, t->partition, &range);
    return range.start;
}

/* The next record before the cut, in partition order. False at the end, or with e->kind set. */
static bool next_record(struct topic_feed *t, struct record *r, struct err *e)
{
    const struct source_table *table = t->ev.t;
    int64_t from;

    for (; t->partition < table->partitions; t->partition++, t->offset = -1, t->open = false) {
        for (;;) {
            if (t->open && batch_next(&t->reader, r) && r->offset < table->cut[t->partition]) {
                t->offset = r->offset + 1;
                return true;
            }
            if (t->open && !batch_ok(&t->reader, e))
                return false;
            if (t->offset < 0)
                t->offset = first_offset(t);
            if (t->offset >= table->cut[t->partition])
                break;
            buf_reset(&t->bytes);
            arena_reset(&t->record_arena);
            from = t->offset;
            if (!log_fetch_committed(t->ev.env->connect_env->log, table->topic, t->partition, &t->offset,
                                     FETCH_BYTES, &t->bytes, e))
                return false;
            if (t->offset == from)
                break;
            batch_open(&t->reader, &t->record_arena, buf_view(&t->bytes));
            t->reader.skip_below = from;
            t->open = true;
        }
    }
    return false;
}

static bool topic_fill(struct feed *f, struct err *e)
{
    struct topic_feed *t = (struct topic_feed *)f;
    struct record r;

    e->kind = ERR_NONE;
    while (f->out.rows < FEED_ROWS && next_record(t, &r, e)) {
        if (!r.value.p || r.control) // a tombstone repeats what the delete before it said
            continue;
        if (!decode(&t->ev, r.value, e))
            return false;
        add_event(f, &t->ev, position(t->partition, r.offset));
    }
    return e->kind == ERR_NONE;
}

static void topic_close(struct feed *f)
{
    struct topic_feed *t = (struct topic_feed *)f;

    buf_fini(&t->bytes);
    arena_fini(&t->record_arena);
    arena_fini(&t->ev.row_arena);
}

static struct topic_feed *topic_feed_new(const struct verify_env *env, const struct source_table *table,
                                         struct arena *a)
{
    struct topic_feed *t = ARENA_NEW(a, struct topic_feed);

    feed_init(&t->f);
    t->f.fill = topic_fill;
    t->f.close = topic_close;
    t->ev = (struct events){.env = env, .t = table, .a = a};
    t->offset = -1;
    t->bytes = buf_make(2 * LIMIT_BATCH);
    return t;
}

struct feed *topic_feed(const struct verify_env *env, const struct source_table *table, struct arena *a)
{
    return &topic_feed_new(env, table, a)->f;
}

/* Is the record at hand one that the snapshot does not see? Rows of the initial snapshot are older than any. */
static bool beyond(struct events *ev, const struct source_snapshot *s)
{
    const struct column *op = &ev->row.column[OP], *tx = &ev->row.column[TX_ID];

    return !str_is(op->strs[0], "r") && !tx->nulls[0] && !snapshot_sees(s, tx->i64[0]);
}

bool events_find_cut(const struct verify_env *env, struct source_table *t, const struct source_snapshot *s,
                     struct arena *a, struct err *e)
{
    struct topic_feed *feed;
    struct log_topic topic;
    struct log_range range;
    struct record r;
    bool ok = true;

    /* A table without a topic has had no row yet: it is compared as empty. */
    if (log_find_topic(env->connect_env->log, t->topic, a, &topic))
        t->partitions = topic.partitions;
    t->cut = ARENA_ARRAY(a, int64_t, (size_t)t->partitions + 1);
    feed = topic_feed_new(env, t, a);
    for (int32_t p = 0; p < t->partitions; p++)
        t->cut[p] = log_range(env->connect_env->log, t->topic, p, &range) ? range.end : 0;
    e->kind = ERR_NONE;
    while (ok && next_record(feed, &r, e)) {
        if (!r.value.p || r.control)
            continue;
        ok = decode(&feed->ev, r.value, e);
        if (ok && beyond(&feed->ev, s))
            t->cut[feed->partition] = r.offset;
    }
    ok = ok && e->kind == ERR_NONE;
    feed_close(&feed->f);
    return ok;
}

/* ---- the S3 sink's objects ---- */

struct raw_feed {
    struct feed f; // first
    struct events ev;
    struct str bucket, prefix;
    struct object_listing page;
    struct arena page_arena;
    size_t at; // of page
    bool last_page;
    struct arena file_arena;
    struct avro_file file;
    struct avro_decoder *decoder;
    struct rd block;
    int64_t left; // records of block
    int64_t pos;  // of the next record
};

/* "<topic>+<partition>+<offset>.avro": where a file begins. */
static bool parse_name(const struct raw_feed *r, struct str key, int64_t *pos)
{
    struct str base = key, part, number, offset;
    int64_t partition, start;

    while (str_find(base, '/') >= 0)
        (void)str_cut(&base, '/', &part);
    if (!str_ends(base, STR(".avro")))
        return false;
    base.n -= 5;
    if (!str_cut(&base, '+', &part) || !str_eq(part, r->ev.t->topic) || !str_cut(&base, '+', &number) ||
        !str_cut(&base, '+', &offset) || !str_i64(number, &partition) || !str_i64(offset, &start))
        return false;
    *pos = position((int32_t)partition, start);
    return true;
}

static bool next_page(struct raw_feed *r, struct err *e)
{
    struct object_list_options o = {.prefix = r->prefix, .max = 1000};
    struct arena scratch = {0};
    bool ok;

    o.after = r->page.next.p ? arena_str(&scratch, r->page.next) : STR_NULL;
    arena_reset(&r->page_arena);
    ok = object_list(r->ev.env->connect_env->blobs, r->bucket, &o, &r->page_arena, &r->page, e);
    arena_fini(&scratch);
    r->at = 0;
    r->last_page = ok && !r->page.more;
    return ok;
}

static bool open_file(struct raw_feed *r, struct str key, struct err *e)
{
    struct str bytes;

    arena_reset(&r->file_arena);
    return (object_get_bytes(r->ev.env->connect_env->blobs, r->bucket, key, 2 * LIMIT_BATCH, &r->file_arena,
                             &bytes, e) &&
            avro_file_open(&r->file, &r->file_arena, bytes, e) &&
            make_decoder(&r->ev, &r->file_arena, r->file.schema_text, &r->decoder, e)) ||
           err_wrap(e, "object %.*s", STR_ARG(key));
}

/* Moves to a block with records. False at the end, or with e->kind set. */
static bool next_block(struct raw_feed *r, struct err *e)
{
    struct str data;

    for (;;) {
        if (r->decoder && avro_file_next(&r->file, &r->left, &data, e)) {
            r->block = rd_str(data);
            if (r->left > 0)
                return true;
            continue;
        }
        if (e->kind != ERR_NONE)
            return false;
        r->decoder = NULL;
        while (!r->decoder && r->at < r->page.object_count) {
            struct str key = r->page.objects[r->at++].key;

            if (parse_name(r, key, &r->pos) && !open_file(r, key, e))
                return false;
        }
        if (r->decoder)
            continue;
        if (r->last_page || !next_page(r, e))
            return false;
    }
}

static bool raw_fill(struct feed *f, struct err *e)
{
    struct raw_feed *r = (struct raw_feed *)f;

    e->kind = ERR_NONE;
    while (f->out.rows < FEED_ROWS) {
        if (r->left == 0 && !next_block(r, e))
            return e->kind == ERR_NONE;
        row_for(&r->ev, r->decoder);
        if (!avro_decode_next(r->decoder, &r->block, &r->ev.row, e))
            return false;
        add_event(f, &r->ev, r->pos++);
        r->left--;
    }
    return true;
}

static void raw_close(struct feed *f)
{
    struct raw_feed *r = (struct raw_feed *)f;

    arena_fini(&r->page_arena);
    arena_fini(&r->file_arena);
    arena_fini(&r->ev.row_arena);
}

struct feed *raw_feed(const struct verify_env *env, const struct source_table *t, struct str bucket,
                      struct str topics_dir, struct arena *a)
{
    struct raw_feed *r = ARENA_NEW(a, struct raw_feed);

    feed_init(&r->f);
    r->f.fill = raw_fill;
    r->f.close = raw_close;
    r->ev = (struct events){.env = env, .t = t, .a = a};
    r->bucket = bucket;
    r->prefix = str_of(arena_fmt(a, "%.*s/%.*s/", STR_ARG(topics_dir), STR_ARG(t->topic)));
    return &r->f;
}
