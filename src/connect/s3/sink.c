/* Files, rotation, positions. All of a sink is its task's thread's. */
#include "base/limits.h"
#include "base/mem.h"
#include "connect/s3/s3_sink_int.h"
#include "log/log.h"
#include "os/os.h"

#include <assert.h>
#include <openssl/evp.h>

enum { FILES_MAX = 256, NAME_MAX_BYTES = 1024 }; // open files of a partition; a key's own limit
#define NEVER INT64_MAX

/* A partition of a topic. */
struct s3_sink_part {
    char *topic;
    int32_t partition;
    int64_t safe;        // below it all is durable
    int64_t next;        // offset after the last record put
    int64_t told;        // safe as flush() gave it last
    int64_t records;     // in the open files
    int64_t first_ms;    // time of the first of them
    int64_t schedule_ms; // the wall clock's next rotation
    int64_t path_ms;     // path_time() of the last record
    int schema_id;       // of the open files
    char *path;          // of the last record
    struct s3_sink_file *files;
    size_t file_count;
};

/* ---- files ---- */

static void file_free(struct s3_sink_file *f)
{
    object_put_abort(f->put);
    buf_fini(&f->block);
    mem_free(f->path);
    mem_free(f);
}

static void drop_files(struct s3_sink_part *p)
{
    while (p->files) {
        struct s3_sink_file *f = p->files;

        p->files = f->next;
        file_free(f);
    }
    p->file_count = 0;
    p->records = 0;
}

/* topics.dir/TOPIC/PATH/TOPIC+PARTITION+OFFSET.avro */
static bool file_name(struct s3_sink *s, const struct s3_sink_part *p, const char *path, int64_t offset,
                      struct err *e)
{
    const struct s3_sink_settings *set = &s->set;
    struct buf *b = &s->name;

    buf_reset(b);
    if (set->topics_dir.n > 0)
        buf_fmt(b, "%.*s%.*s", STR_ARG(set->topics_dir), STR_ARG(set->dir_delim));
    buf_fmt(b, "%s%.*s%s%.*s", p->topic, STR_ARG(set->dir_delim), path, STR_ARG(set->dir_delim));
    buf_fmt(b, "%s%.*s%d%.*s%0*lld%.*s", p->topic, STR_ARG(set->file_delim), p->partition,
            STR_ARG(set->file_delim), set->pad, (long long)offset, STR_ARG(set->extension));
    return buf_ok(b) || err_set(e, ERR_INVALID, "the name of an object for topic %s is over %d bytes",
                                p->topic, NAME_MAX_BYTES);
}

static bool file_new(struct s3_sink *s, struct s3_sink_part *p, const char *path, int64_t offset,
                     struct s3_sink_file **out, struct err *e)
{
    struct s3_sink_file *f;

    if (!file_name(s, p, path, offset, e))
        return false;
    f = MEM_NEW(struct s3_sink_file);
    *f = (struct s3_sink_file){
        .sink = s, .path = mem_str(path), .block = buf_make(2 * LIMIT_BATCH), .schema_id = p->schema_id};
    if (EVP_Digest(s->name.p, s->name.n, f->sync, NULL, EVP_md5(), NULL) != 1 ||
        !object_put_begin(s->blobs, s->set.bucket, buf_view(&s->name), NULL, &f->put, e) ||
        !s->set.format->begin(f, e)) {
        file_free(f);
        return err_wrap(e, "object %s", buf_z(&s->name));
    }
    f->next = p->files;
    p->files = f;
    p->file_count++;
    *out = f;
    return true;
}

static bool file_for(struct s3_sink *s, struct s3_sink_part *p, const char *path, int64_t offset,
                     struct s3_sink_file **out, struct err *e)
{
    for (struct s3_sink_file *f = p->files; f; f = f->next)
        if (strcmp(f->path, path) == 0) {
            *out = f;
            return true;
        }
    return file_new(s, p, path, offset, out, e);
}

static bool file_commit(struct s3_sink *s, struct s3_sink_file *f, struct err *e)
{
    struct object_info info;
    struct arena a = {0};
    struct object_put *put = f->put;
    bool ok = s->set.format->end(f, e);

    if (ok) {
        f->put = NULL; // freed by its commit
        ok = object_put_commit(put, &a, &info, e);
    }
    arena_fini(&a);
    return ok;
}

/* ---- rotation ---- */

static int64_t now_ms(const struct s3_sink *s)
{
    return s->env->os->wall_us(s->env->os) / 1000;
}

static void schedule(const struct s3_sink *s, struct s3_sink_part *p, int64_t now)
{
    p->schedule_ms = s->set.schedule_ms > 0 ? (now / s->set.schedule_ms + 1) * s->set.schedule_ms : NEVER;
}

/* All open files become objects. When one cannot, none of the position moves; the others will be overwritten. */
static bool rotate(struct s3_sink *s, struct s3_sink_part *p, int64_t now, struct err *e)
{
    bool ok = true;

    for (struct s3_sink_file *f = p->files; ok && f; f = f->next)
        ok = file_commit(s, f, e) || err_wrap(e, "objects of %s-%d", p->topic, p->partition);
    drop_files(p);
    if (ok)
        p->safe = p->next;
    schedule(s, p, now);
    return ok;
}

static bool is_wallclock(const struct s3_sink *s)
{
    return s->set.path.timed && s->set.path.extractor == EXTRACT_WALLCLOCK;
}

/* When the open files are due though no record comes. */
static int64_t due_ms(const struct s3_sink *s, const struct s3_sink_part *p)
{
    int64_t due = p->schedule_ms;

    if (p->records == 0)
        return NEVER;
    if (s->set.rotate_ms > 0 && is_wallclock(s) && p->first_ms + s->set.rotate_ms < due)
        due = p->first_ms + s->set.rotate_ms;
    return due;
}

/* Must the open files be closed before this record? */
static bool must_rotate(const struct s3_sink *s, const struct s3_sink_part *p, int64_t time_ms,
                        const char *path, int schema_id)
{
    if (p->records == 0)
        return false;
    if (s->set.format->has_schema && schema_id != p->schema_id)
        return true;
    if (s->set.rotate_ms > 0 && s->set.path.timed &&
        (time_ms - p->first_ms >= s->set.rotate_ms || strcmp(p->path, path) != 0))
        return true;
    return p->file_count == FILES_MAX && strcmp(p->path, path) != 0;
}

/* ---- records ---- */

/* The path of a record of that time. Records mostly follow one another, so the last one is kept. */
static const char *path_of(struct s3_sink *s, struct s3_sink_part *p, int64_t time_ms, struct buf *scratch)
{
    int64_t of = path_time(&s->set.path, time_ms);

    if (p->path && p->path_ms == of)
        return p->path;
    path_write(&s->set.path, p->partition, of, scratch);
    return buf_z(scratch);
}

static void keep_path(struct s3_sink *s, struct s3_sink_part *p, const char *path, int64_t time_ms)
{
    if (p->path == path)
        return;
    mem_free(p->path);
    p->path = mem_str(path);
    p->path_ms = path_time(&s->set.path, time_ms);
}

static bool put_one(struct s3_sink *s, struct s3_sink_part *p, const struct record *r, int64_t now,
                    struct err *e)
{
    int64_t time_ms = s->set.path.extractor == EXTRACT_RECORD ? r->timestamp_ms : now;
    struct buf scratch = buf_make(NAME_MAX_BYTES);
    struct s3_sink_file *f;
    const char *path;
    int schema_id = 0;
    bool ok = true;

    if (!r->value.p) {
        p->next = r->offset + 1;
        return s->set.skip_nulls ||
               err_set(e, ERR_INVALID,
                       "Null valued records are not writeable with current behavior.on.null.values 'fail'.");
    }
    if (s->set.format->has_schema && !format_schema_id(r->value, &schema_id))
        return err_set(e, ERR_INVALID,
                       "the value is not Avro as the AvroConverter writes it (magic byte and schema id)");
    path = path_of(s, p, time_ms, &scratch);
    if (now >= due_ms(s, p) || must_rotate(s, p, time_ms, path, schema_id))
        ok = rotate(s, p, now, e);
    if (ok && p->records == 0) {
        p->first_ms = time_ms;
        p->schema_id = schema_id;
    }
    ok = ok && file_for(s, p, path, r->offset, &f, e) && s->set.format->add(f, r->value, e);
    if (ok) {
        keep_path(s, p, path, time_ms);
        p->records++;
        p->next = r->offset + 1;
        if (p->records >= s->set.flush_size)
            ok = rotate(s, p, now, e);
    }
    buf_fini(&scratch);
    return ok;
}

static struct s3_sink_part *part_of(struct s3_sink *s, const struct sink_partition *from)
{
    size_t i = 0;

    while (i < s->count &&
           (s->parts[i].partition != from->partition || !str_is(from->topic, s->parts[i].topic)))
        i++;
    assert(i < s->count); // the runtime gives only what open() was told of
    return &s->parts[i];
}

bool s3_sink_put(void *state, const struct sink_record *records, size_t count, struct err *e)
{
    struct s3_sink *s = state;
    struct s3_sink_part *p = count > 0 ? part_of(s, records[0].from) : NULL;
    int64_t now = now_ms(s);

    for (size_t i = 0; i < count; i++) {
        if (i > 0 && records[i].from != records[i - 1].from)
            p = part_of(s, records[i].from);
        if (!put_one(s, p, &records[i].r, now, e))
            return err_wrap(e, "offset %lld", (long long)records[i].r.offset);
    }
    return true;
}

bool s3_sink_flush(void *state, bool all, int64_t *safe, struct err *e)
{
    struct s3_sink *s = state;
    int64_t now = now_ms(s);

    for (size_t i = 0; i < s->count; i++) {
        struct s3_sink_part *p = &s->parts[i];

        if (p->records > 0 && (all || now >= due_ms(s, p)) && !rotate(s, p, now, e))
            return false;
        if (p->records == 0 && p->next > p->safe) // records that gave no object
            p->safe = p->next;
        if (now >= p->schedule_ms)
            schedule(s, p, now);
        if (p->safe > safe[i])
            safe[i] = p->safe;
        p->told = p->safe;
    }
    return true;
}

int64_t s3_sink_next_flush_ms(void *state)
{
    struct s3_sink *s = state;
    int64_t now = now_ms(s), due = NEVER;

    for (size_t i = 0; i < s->count; i++) {
        int64_t at = due_ms(s, &s->parts[i]);

        if (s->parts[i].safe > s->parts[i].told)
            return 0;
        if (at < due)
            due = at;
    }
    if (due == NEVER)
        return -1;
    return due > now ? due - now : 0;
}

/* ---- open, close ---- */

bool s3_sink_open(const struct connect_env *env, const struct config *c, const struct sink_partition *parts,
                  size_t count, struct s3_sink **out, struct err *e)
{
    struct s3_sink *s = MEM_NEW(struct s3_sink);
    bool there = false, ok;

    *s = (struct s3_sink){.env = env, .count = count, .name = buf_make(NAME_MAX_BYTES)};
    s3_sink_settings_read(c, &s->set);
    s->parts = MEM_ARRAY(struct s3_sink_part, count + 1);
    for (size_t i = 0; i < count; i++) {
        s->parts[i] = (struct s3_sink_part){
            .topic = str_dup(parts[i].topic),
            .partition = parts[i].partition,
            .safe = parts[i].next,
            .next = parts[i].next,
            .told = parts[i].next,
        };
        schedule(s, &s->parts[i], now_ms(s));
    }
    ok = s3_sink_open_store(c, env, &s->blobs, &s->own_blobs, e) &&
         bucket_exists(s->blobs, s->set.bucket, &there, e);
    if (ok && !there)
        ok = err_set(e, ERR_NOT_FOUND, "Non-existent S3 bucket: %.*s", STR_ARG(s->set.bucket));
    if (!ok) {
        s3_sink_close(s);
        return false;
    }
    *out = s;
    return true;
}

void s3_sink_close(void *state)
{
    struct s3_sink *s = state;

    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++) {
        drop_files(&s->parts[i]);
        mem_free(s->parts[i].topic);
        mem_free(s->parts[i].path);
    }
    if (s->own_blobs)
        object_close(s->blobs);
    mem_free(s->parts);
    buf_fini(&s->name);
    mem_free(s);
}
