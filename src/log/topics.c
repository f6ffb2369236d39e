/* Topics: the maps, the file topics, creating and changing. The file is replaced before a change is seen. */
#include "base/limits.h"
#include "base/mem.h"
#include "base/rd.h"
#include "log/log_int.h"

#include <stdlib.h>

enum { VERSION = 2, FLAG_COMPACT = 1, FLAG_DELETE = 2, FLAG_APPEND_TIME = 4, FLAG_HAD_COMPACT = 8 };

void admin_take(struct log *l)
{
    mutex_lock(&l->topics_lock);
    while (l->admin_busy)
        cond_wait(&l->admin_free, &l->topics_lock);
    l->admin_busy = true;
    mutex_unlock(&l->topics_lock);
}

void admin_give(struct log *l)
{
    mutex_lock(&l->topics_lock);
    l->admin_busy = false;
    cond_signal(&l->admin_free);
    mutex_unlock(&l->topics_lock);
}

/* ---- in memory ---- */

static struct part *part_new(struct topic *t, int32_t index)
{
    struct part *p = MEM_NEW(struct part);

    p->topic = t;
    p->index = index;
    p->expected = EXPECT_UNKNOWN;
    mutex_init(&p->lock);
    cond_init(&p->loaded);
    return p;
}

static void part_free(struct part *p)
{
    for (size_t i = 0; i < p->seg_n; i++)
        seg_unref(p->segs[i]);
    mem_free(p->segs);
    producer_fini(&p->producers);
    mem_free(p->ongoing.list);
    cond_fini(&p->loaded);
    mutex_fini(&p->lock);
    mem_free(p);
}

static void grow_parts(struct topic *t, int32_t n)
{
    for (; t->part_n < n; t->part_n++) {
        MEM_PUSH_ROOM(t->parts, (size_t)t->part_n, t->part_cap);
        t->parts[t->part_n] = part_new(t, t->part_n);
    }
}

static struct topic *topic_new(struct str name, const struct log_uuid *id, int32_t parts,
                               const struct log_settings *s)
{
    struct topic *t = MEM_NEW(struct topic);

    t->refs = 1;
    t->name = str_from(str_dup(name), name.n);
    t->id = *id;
    t->internal = name.p[0] == '_';
    t->settings = *s;
    t->had_compact = s->compact;
    grow_parts(t, parts);
    return t;
}

static void topic_free(struct topic *t)
{
    for (int32_t i = 0; i < t->part_n; i++)
        part_free(t->parts[i]);
    mem_free(t->parts);
    union { // str has no mutable pointer
        const char *from;
        char *to;
    } name = {.from = t->name.p};
    mem_free(name.to);
    mem_free(t);
}

static struct topic *topic_ref(struct topic *t)
{
    if (t)
        (void)__atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED);
    return t;
}

static void topic_unref(struct topic *t)
{
    if (t && __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) == 0)
        topic_free(t);
}

static struct str id_key(const struct log_uuid *id)
{
    return str_from(id->b, sizeof id->b);
}

static void topics_put(struct log *l, struct topic *t)
{
    mutex_lock(&l->topics_lock);
    (void)map_put(&l->by_name, t->name, t);
    (void)map_put(&l->by_id, id_key(&t->id), t);
    l->topics_version++;
    mutex_unlock(&l->topics_lock);
}

static struct topic *topic_find(struct log *l, struct str name)
{
    struct topic *t;

    mutex_lock(&l->topics_lock);
    t = topic_ref(map_get(&l->by_name, name));
    mutex_unlock(&l->topics_lock);
    return t;
}

struct part *part_find(struct log *l, struct str topic, int32_t partition)
{
    struct part *p = NULL;
    struct topic *t;

    mutex_lock(&l->topics_lock);
    t = map_get(&l->by_name, topic);
    if (t && partition >= 0 && partition < t->part_n) {
        p = t->parts[partition];
        (void)topic_ref(t);
    }
    mutex_unlock(&l->topics_lock);
    return p;
}

struct part *part_find_id(struct log *l, const struct log_uuid *id, int32_t partition)
{
    struct topic *t;
    struct part *p;

    mutex_lock(&l->topics_lock);
    t = map_get(&l->by_id, id_key(id));
    p = t && partition >= 0 && partition < t->part_n ? t->parts[partition] : NULL;
    mutex_unlock(&l->topics_lock);
    return p;
}

struct part *part_ref(struct part *p)
{
    (void)topic_ref(p->topic);
    return p;
}

void part_unref(struct part *p)
{
    if (p)
        topic_unref(p->topic);
}

void topic_settings(struct log *l, const struct topic *t, struct log_settings *out, bool *gaps)
{
    mutex_lock(&l->topics_lock);
    *out = t->settings;
    if (gaps)
        *gaps = t->had_compact;
    mutex_unlock(&l->topics_lock);
}

struct part **parts_all(struct log *l, struct arena *a, size_t *count)
{
    struct part **all = NULL;
    size_t n = 0;

    mutex_lock(&l->topics_lock);
    for (struct map_it it = {0}; map_next(&l->by_name, &it);)
        n += (size_t)((struct topic *)it.value)->part_n;
    all = ARENA_ARRAY(a, struct part *, n);
    n = 0;
    for (struct map_it it = {0}; map_next(&l->by_name, &it);) {
        struct topic *t = it.value;

        for (int32_t i = 0; i < t->part_n; i++) {
            all[n++] = t->parts[i];
            (void)topic_ref(t);
        }
    }
    mutex_unlock(&l->topics_lock);
    *count = n;
    return all;
}

char *part_path(struct log *l, const struct part *p, struct arena *a)
{
    return arena_fmt(a, "%s/topics/%.*s-%d", l->dir, STR_ARG(p->topic->name), p->index);
}

/* ---- the file ---- */

/* What a change makes of the topics in memory. */
struct topics_change {
    const struct topic *plus, *minus, *altered;
    struct log_settings settings; // of altered
    int32_t parts;
};

static void put_name(struct buf *b, struct str name, const struct log_uuid *id, int32_t parts)
{
    buf_i16(b, (int16_t)name.n);
    buf_str(b, name);
    buf_put(b, id->b, sizeof id->b);
    buf_i32(b, parts);
}

static void put_text(struct buf *b, struct str text)
{
    buf_i16(b, (int16_t)text.n);
    buf_str(b, text);
}

/* What was set for the topic, by name; the rest follows the defaults of the program that reads it. */
static void put_settings(struct buf *b, const struct log_settings *s)
{
    struct arena a = {0};
    const struct log_setting *row;

    buf_i16(b, (int16_t)__builtin_popcountll(s->set));
    for (size_t i = 0; (row = log_setting(i)) != NULL; i++)
        if (log_setting_is_set(row, s)) {
            put_text(b, str_of(row->name));
            put_text(b, log_setting_text(row, s, &a));
        }
    arena_fini(&a);
}

static void put_topic(struct buf *b, const struct topic *t, const struct topics_change *c)
{
    bool other = c->altered && t == c->altered;
    const struct log_settings *s = other ? &c->settings : &t->settings;

    put_name(b, t->name, &t->id, other ? c->parts : t->part_n);
    buf_u8(b, s->compact || t->had_compact ? FLAG_HAD_COMPACT : 0);
    put_settings(b, s);
}

/* REQUIRES the admin token: nobody else changes what is read here. */
static bool save(struct log *l, const struct topics_change *c, struct err *e)
{
    struct buf b = buf_make(SIZE_MAX / 2);
    bool ok;

    file_begin(&b, "tarntops", VERSION);
    buf_i32(&b, (int32_t)(l->by_name.n + (c->plus != NULL) - (c->minus != NULL)));
    buf_i32(&b, (int32_t)(l->dead_n + (c->minus != NULL)));
    for (struct map_it it = {0}; map_next(&l->by_name, &it);)
        if (it.value != c->minus)
            put_topic(&b, it.value, c);
    if (c->plus)
        put_topic(&b, c->plus, c);
    for (size_t i = 0; i < l->dead_n; i++)
        put_name(&b, l->dead[i].name, &l->dead[i].id, l->dead[i].parts);
    if (c->minus)
        put_name(&b, c->minus->name, &c->minus->id, c->minus->part_n);
    file_end(&b);
    ok = file_replace(l, "topics.list", &b, e);
    buf_fini(&b);
    return ok;
}

bool topics_create(struct log *l, struct err *e)
{
    return save(l, &(struct topics_change){0}, e);
}

static void take_name(struct rd *r, struct str *name, struct log_uuid *id, int32_t *parts)
{
    struct str bytes;

    *name = rd_bytes(r, (uint16_t)rd_i16(r));
    bytes = rd_bytes(r, sizeof id->b);
    if (bytes.p)
        memcpy(id->b, bytes.p, sizeof id->b);
    *parts = rd_i32(r);
    if (rd_ok(r) && (name->n < 1 || name->n > LIMIT_NAME || *parts < 1 || *parts > PARTITIONS_MAX))
        rd_fail(r, "a topic's name or number of partitions is out of range");
}

/* Version 1 had some settings, all of them for each topic. */
static void take_first_settings(struct rd *r, uint8_t flags, struct log_settings *s)
{
    s->compact = (flags & FLAG_COMPACT) != 0;
    s->remove = (flags & FLAG_DELETE) != 0;
    s->append_time = (flags & FLAG_APPEND_TIME) != 0;
    s->retention_ms = rd_i64(r);
    s->retention_bytes = rd_i64(r);
    s->segment_bytes = rd_i64(r);
    s->segment_ms = rd_i64(r);
    s->max_message_bytes = rd_i64(r);
}

static void take_settings(struct rd *r, struct log_settings *s)
{
    uint16_t n = (uint16_t)rd_i16(r);
    struct err e;

    for (uint16_t i = 0; i < n && rd_ok(r); i++) {
        struct str name = rd_bytes(r, (uint16_t)rd_i16(r)), text = rd_bytes(r, (uint16_t)rd_i16(r));
        const struct log_setting *row = rd_ok(r) ? log_setting_find(name) : NULL;

        if (!row || !log_setting_parse(row, text, s, &e))
            rd_fail(r, "a topic has a setting that this program does not know");
    }
}

static void take_topic(struct log *l, struct rd *r, uint32_t version)
{
    struct log_settings s, defaults;
    struct log_uuid id = {0};
    struct topic *t;
    struct str name;
    int32_t parts;
    uint8_t flags;

    log_settings_default(l, &defaults);
    s = defaults;
    take_name(r, &name, &id, &parts);
    flags = rd_u8(r);
    if (version == 1)
        take_first_settings(r, flags, &s);
    else
        take_settings(r, &s);
    if (!rd_ok(r) || map_get(&l->by_name, name)) {
        rd_fail(r, "a topic is there twice");
        return;
    }
    log_settings_mark(&defaults, &s);
    t = topic_new(name, &id, parts, &s);
    t->had_compact = (flags & FLAG_HAD_COMPACT) != 0;
    topics_put(l, t);
}

static void bury_later(struct log *l, struct str name, const struct log_uuid *id, int32_t parts)
{
    MEM_PUSH_ROOM(l->dead, l->dead_n, l->dead_cap);
    l->dead[l->dead_n++] = (struct tombstone){str_from(str_dup(name), name.n), *id, parts};
}

bool topics_load(struct log *l, struct err *e)
{
    struct arena a = {0};
    const char *path = arena_fmt(&a, "%s/topics.list", l->dir);
    struct file_body body = {.oldest = 1, .known = VERSION};
    struct str bytes;
    size_t topics, dead;
    struct rd r;
    bool ok;

    ok = os_read_file(l->os, path, SIZE_MAX / 2, &a, &bytes, e) &&
         file_open(bytes, "tarntops", path, &body, e);
    if (ok) {
        r = rd_str(body.bytes);
        topics = (uint32_t)rd_i32(&r);
        dead = (uint32_t)rd_i32(&r);
        for (size_t i = 0; i < topics && rd_ok(&r); i++)
            take_topic(l, &r, body.version);
        for (size_t i = 0; i < dead && rd_ok(&r); i++) {
            struct tombstone d;

            take_name(&r, &d.name, &d.id, &d.parts);
            if (rd_ok(&r))
                bury_later(l, d.name, &d.id, d.parts);
        }
        ok = rd_ok(&r) || err_set(e, ERR_CORRUPT, "%s: %s", path, rd_why(&r));
    }
    arena_fini(&a);
    return ok;
}

static void dead_drop(struct log *l)
{
    for (size_t i = 0; i < l->dead_n; i++) {
        union { // str has no mutable pointer
            const char *from;
            char *to;
        } name = {.from = l->dead[i].name.p};
        mem_free(name.to);
    }
    l->dead_n = 0;
}

void topics_fini(struct log *l)
{
    for (struct map_it it = {0}; map_next(&l->by_name, &it);)
        topic_unref(it.value);
    map_fini(&l->by_name);
    map_fini(&l->by_id);
    dead_drop(l);
    mem_free(l->dead);
}

/* ---- folders ---- */

/* Moves the folders of deleted topics out of the way of new ones with the same name. REQUIRES the admin token. */
bool topics_bury(struct log *l, struct err *e)
{
    struct arena a = {0};
    bool ok = true;

    for (size_t i = 0; i < l->dead_n; i++) {
        const struct tombstone *d = &l->dead[i];
        struct buf id = buf_make(64);

        buf_hex(&id, d->id.b, sizeof d->id.b);
        for (int32_t k = 0; ok && k < d->parts; k++) {
            const char *from = arena_fmt(&a, "%s/topics/%.*s-%d", l->dir, STR_ARG(d->name), k);

            if (l->os->rename(l->os, from, arena_fmt(&a, "%s/deleted/%s-%d", l->dir, buf_z(&id), k)) != 0 &&
                errno != ENOENT)
                ok = err_sys(e, "move folder %s away", from);
        }
        buf_fini(&id);
    }
    ok = ok && (l->dead_n == 0 || (os_sync_dir(l->os, arena_fmt(&a, "%s/topics", l->dir), e) &&
                                   os_sync_dir(l->os, arena_fmt(&a, "%s/deleted", l->dir), e)));
    if (ok)
        dead_drop(l);
    arena_fini(&a);
    return ok;
}

bool topics_remove_buried(struct log *l, struct err *e)
{
    struct arena a = {0};
    struct str *names;
    size_t count;
    bool ok = os_list(l->os, arena_fmt(&a, "%s/deleted", l->dir), &a, &names, &count, e);

    for (size_t i = 0; ok && i < count; i++)
        ok = os_remove_tree(l->os, arena_fmt(&a, "%s/deleted/%.*s", l->dir, STR_ARG(names[i])), e);
    arena_fini(&a);
    return ok;
}

static bool make_folders(struct log *l, struct str name, int32_t from, int32_t to, struct err *e)
{
    struct arena a = {0};
    bool ok = true;

    for (int32_t i = from; ok && i < to; i++) {
        const char *path = arena_fmt(&a, "%s/topics/%.*s-%d", l->dir, STR_ARG(name), i);

        if (l->os->mkdir(l->os, path) != 0 && errno != EEXIST)
            ok = err_sys(e, "make folder %s", path);
    }
    ok = ok && os_sync_dir(l->os, arena_fmt(&a, "%s/topics", l->dir), e);
    arena_fini(&a);
    return ok;
}

/* ---- what callers ask for ---- */

void log_settings_default(struct log *l, struct log_settings *s)
{
    log_settings_init(s);
    s->segment_bytes = l->o.segment_bytes;
}

void log_settings_now(struct log *l, struct log_settings *s)
{
    mutex_lock(&l->topics_lock);
    *s = l->defaults;
    mutex_unlock(&l->topics_lock);
}

static void follow(const struct log_settings *defaults, struct log_settings *s)
{
    const struct log_setting *row;

    for (size_t i = 0; (row = log_setting(i)) != NULL; i++)
        if (!log_setting_is_set(row, s))
            log_setting_reset(row, defaults, s);
}

void log_settings_follow(struct log *l, struct log_settings *s)
{
    struct log_settings defaults;

    log_settings_now(l, &defaults);
    follow(&defaults, s);
}

bool topics_will_follow(struct log *l, const struct log_settings *defaults, struct err *e)
{
    bool more = false;

    mutex_lock(&l->topics_lock);
    for (struct map_it it = {0}; map_next(&l->by_name, &it);) {
        struct topic *t = it.value;
        struct log_settings s = t->settings;

        follow(defaults, &s);
        more = more || (s.compact && !t->had_compact);
        t->had_compact = t->had_compact || s.compact;
    }
    mutex_unlock(&l->topics_lock);
    return !more || save(l, &(struct topics_change){0}, e);
}

void topics_follow(struct log *l, const struct log_settings *defaults)
{
    mutex_lock(&l->topics_lock);
    l->defaults = *defaults;
    for (struct map_it it = {0}; map_next(&l->by_name, &it);) {
        struct topic *t = it.value;

        follow(defaults, &t->settings);
        t->had_compact = t->had_compact || t->settings.compact;
    }
    l->topics_version++;
    mutex_unlock(&l->topics_lock);
}

static bool check_name(struct str name, struct err *e)
{
    bool ok = name.n >= 1 && name.n <= LIMIT_NAME && !str_is(name, ".") && !str_is(name, "..");

    for (size_t i = 0; ok && i < name.n; i++) {
        char c = name.p[i];

        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
             c == '_' || c == '-';
    }
    return ok || err_set(e, ERR_INVALID, "topic name \"%.*s\" is not 1 to %d of a-z A-Z 0-9 . _ -",
                         (int)(name.n > 260 ? 260 : name.n), name.p ? name.p : "", LIMIT_NAME);
}

static bool check_partitions(int32_t n, struct err *e)
{
    return (n >= 1 && n <= PARTITIONS_MAX) ||
           err_set(e, ERR_INVALID, "%d partitions, allowed are 1 to %d", n, PARTITIONS_MAX);
}

/* Those of a new topic: what its maker changed is its own, be it what all follow just now. */
static bool complete(struct log *l, struct log_settings *s, struct err *e)
{
    struct log_settings made_of;

    log_settings_default(l, &made_of);
    log_settings_mark(&made_of, s);
    log_settings_follow(l, s);
    return log_settings_check(s, e);
}

/* Fine settings, marked as set where they are not what is followed. */
static bool check_settings(struct log *l, struct log_settings *s, struct err *e)
{
    struct log_settings defaults;

    log_settings_now(l, &defaults);
    log_settings_mark(&defaults, s);
    return log_settings_check(s, e);
}

static bool create_locked(struct log *l, struct str name, int32_t partitions, const struct log_settings *s,
                          struct err *e)
{
    struct log_settings mine = *s;
    struct log_uuid id;
    struct topic *t;

    if (!check_name(name, e) || !check_partitions(partitions, e) || !complete(l, &mine, e))
        return false;
    if (map_get(&l->by_name, name))
        return err_set(e, ERR_CONFLICT, "topic %.*s exists already", STR_ARG(name));
    if (!topics_bury(l, e) || !make_folders(l, name, 0, partitions, e))
        return false;
    l->os->random(l->os, id.b, sizeof id.b);
    id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x40); // a UUID of version 4
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    t = topic_new(name, &id, partitions, &mine);
    if (!save(l, &(struct topics_change){.plus = t}, e)) {
        topic_unref(t);
        return false;
    }
    topics_put(l, t);
    return true;
}

bool log_create_topic(struct log *l, struct str name, int32_t partitions, const struct log_settings *s,
                      struct err *e)
{
    bool ok;

    admin_take(l);
    ok = create_locked(l, name, partitions, s, e);
    admin_give(l);
    return ok;
}

bool log_ensure_topic(struct log *l, struct str name, int32_t partitions, const struct log_settings *s,
                      struct err *e)
{
    struct err mine = {0};
    struct topic *t = topic_find(l, name);

    topic_unref(t);
    if (t || log_create_topic(l, name, partitions, s, &mine) || mine.kind == ERR_CONFLICT)
        return true;
    *e = mine;
    return false;
}

static bool alter(struct log *l, struct str name, int32_t partitions, const struct log_settings *s,
                  struct err *e)
{
    struct topic *t = map_get(&l->by_name, name);
    struct topics_change c = {.altered = t, .parts = partitions};

    if (!t)
        return err_set(e, ERR_NOT_FOUND, "topic %.*s does not exist", STR_ARG(name));
    c.parts = partitions ? partitions : t->part_n;
    c.settings = s ? *s : t->settings;
    if (c.parts <= t->part_n && !s)
        return err_set(e, ERR_INVALID, "topic %.*s has %d partitions already; their number can only grow",
                       STR_ARG(name), t->part_n);
    if (!check_partitions(c.parts, e) || !check_settings(l, &c.settings, e) || !topics_bury(l, e) ||
        !make_folders(l, name, t->part_n, c.parts, e) || !save(l, &c, e))
        return false;
    mutex_lock(&l->topics_lock);
    t->settings = c.settings;
    t->had_compact = t->had_compact || c.settings.compact;
    grow_parts(t, c.parts);
    l->topics_version++;
    mutex_unlock(&l->topics_lock);
    return true;
}

bool log_add_partitions(struct log *l, struct str name, int32_t partitions, struct err *e)
{
    bool ok;

    if (partitions < 1)
        return err_set(e, ERR_INVALID, "%d partitions, allowed are 1 to %d", partitions, PARTITIONS_MAX);
    admin_take(l);
    ok = alter(l, name, partitions, NULL, e);
    admin_give(l);
    return ok;
}

bool log_change_topic(struct log *l, struct str name, log_change_fn *change, void *arg, struct err *e)
{
    struct log_settings s;
    struct topic *t;
    bool ok;

    admin_take(l);
    t = map_get(&l->by_name, name);
    if (t)
        s = t->settings; // only who has the token changes them
    ok = t ? change(arg, &s, e) && alter(l, name, 0, &s, e)
           : err_set(e, ERR_NOT_FOUND, "topic %.*s does not exist", STR_ARG(name));
    admin_give(l);
    return ok;
}

static bool delete_locked(struct log *l, struct str name, struct err *e)
{
    struct topic *t = map_get(&l->by_name, name);
    struct op op = {.kind = OP_FORGET, .topic = t, .parts = op.one};
    struct err ignored;

    if (!t)
        return err_set(e, ERR_NOT_FOUND, "topic %.*s does not exist", STR_ARG(name));
    if (!save(l, &(struct topics_change){.minus = t}, e))
        return false;
    bury_later(l, t->name, &t->id, t->part_n);
    mutex_lock(&l->topics_lock);
    (void)map_del(&l->by_id, id_key(&t->id));
    (void)map_del(&l->by_name, t->name);
    l->topics_version++;
    mutex_unlock(&l->topics_lock);
    if (!commit_wait(l, &op, &ignored)) // a log that has failed still forgets
        __atomic_store_n(&t->gone, true, __ATOMIC_RELEASE);
    topic_unref(t);
    /* It is gone. Folders that cannot be moved or removed now go when the log is opened next, or before the name is used again. */
    if (topics_bury(l, &ignored))
        (void)(topics_remove_buried(l, &ignored) || ignored.kind);
    return true;
}

bool log_delete_topic(struct log *l, struct str name, struct err *e)
{
    bool ok;

    admin_take(l);
    ok = delete_locked(l, name, e);
    admin_give(l);
    return ok;
}

/* ---- looking ---- */

/* REQUIRES topics_lock. */
static void describe(const struct topic *t, struct arena *a, struct log_topic *out)
{
    *out = (struct log_topic){
        .name = arena_str(a, t->name),
        .id = t->id,
        .partitions = t->part_n,
        .internal = t->internal,
        .settings = t->settings,
    };
}

bool log_find_topic(struct log *l, struct str name, struct arena *a, struct log_topic *out)
{
    const struct topic *t;

    mutex_lock(&l->topics_lock);
    t = map_get(&l->by_name, name);
    if (t)
        describe(t, a, out);
    mutex_unlock(&l->topics_lock);
    return t != NULL;
}

bool log_find_topic_id(struct log *l, const struct log_uuid *id, struct arena *a, struct log_topic *out)
{
    const struct topic *t;

    mutex_lock(&l->topics_lock);
    t = map_get(&l->by_id, id_key(id));
    if (t)
        describe(t, a, out);
    mutex_unlock(&l->topics_lock);
    return t != NULL;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct log_topic *)a)->name, ((const struct log_topic *)b)->name);
}

void log_list_topics(struct log *l, struct arena *a, struct log_topic **out, size_t *count)
{
    size_t n = 0;

    mutex_lock(&l->topics_lock);
    *out = ARENA_ARRAY(a, struct log_topic, l->by_name.n);
    for (struct map_it it = {0}; map_next(&l->by_name, &it);)
        describe(it.value, a, &(*out)[n++]);
    mutex_unlock(&l->topics_lock);
    if (n > 0)
        qsort(*out, n, sizeof **out, by_name);
    *count = n;
}

uint64_t log_topics_version(struct log *l)
{
    uint64_t version;

    mutex_lock(&l->topics_lock);
    version = l->topics_version;
    mutex_unlock(&l->topics_lock);
    return version;
}
