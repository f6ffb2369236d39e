/* The file config.list and what is in it. */
#include "log/config.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rd.h"
#include "log/log_int.h"

#include <stdlib.h>

enum { VERSION = 1, NAME_MAX_BYTES = 32767 };

/* All that is set; never changed, only replaced. */
struct config {
    struct arena arena;
    struct map by_key; // scope and name -> struct one *
    struct one {
        enum log_config_scope scope;
        struct str name;
        struct log_pairs pairs;
    } * v;
    size_t n;
};

/* ---- pairs ---- */

static size_t place(const struct log_pairs *p, struct str name)
{
    size_t i = 0;

    while (i < p->n && str_cmp(p->v[i].name, name) < 0)
        i++;
    return i;
}

struct str log_pairs_get(const struct log_pairs *p, struct str name)
{
    size_t i = place(p, name);

    return i < p->n && str_eq(p->v[i].name, name) ? p->v[i].value : STR_NULL;
}

void log_pairs_put(struct log_pairs *p, struct arena *a, struct str name, struct str value)
{
    struct log_pair *v = ARENA_ARRAY(a, struct log_pair, p->n + 1);
    size_t n = 0, at = place(p, name);

    for (size_t i = 0; p->v && i < at; i++)
        v[n++] = p->v[i];
    if (value.p)
        v[n++] = (struct log_pair){name, value};
    for (size_t i = at + (at < p->n && str_eq(p->v[at].name, name)); i < p->n; i++)
        v[n++] = p->v[i];
    *p = (struct log_pairs){v, n};
}

static struct log_pairs copy_pairs(const struct log_pairs *p, struct arena *a)
{
    struct log_pairs c = {ARENA_ARRAY(a, struct log_pair, p->n), p->n};

    for (size_t i = 0; i < p->n; i++)
        c.v[i] = (struct log_pair){arena_str(a, p->v[i].name), arena_str(a, p->v[i].value)};
    return c;
}

/* ---- all of them ---- */

/* The scope and the name; of a group that may have any bytes, zeros too. */
static struct str key_of(enum log_config_scope scope, struct str name, struct arena *a)
{
    char *key = arena_alloc(a, name.n + 1);

    key[0] = (char)scope;
    memcpy(key + 1, name.n > 0 ? name.p : "", name.n);
    return str_from(key, name.n + 1);
}

static const struct one *find(const struct config *c, enum log_config_scope scope, struct str name)
{
    struct arena a = {0};
    const struct one *o = c ? map_get(&c->by_key, key_of(scope, name, &a)) : NULL;

    arena_fini(&a);
    return o;
}

static struct config *config_new(size_t room)
{
    struct config *c = MEM_NEW(struct config);

    c->v = ARENA_ARRAY(&c->arena, struct one, room);
    return c;
}

/* Nothing when there are no pairs. */
static void add(struct config *c, enum log_config_scope scope, struct str name, const struct log_pairs *p)
{
    struct one *o = &c->v[c->n];

    if (p->n == 0)
        return;
    *o = (struct one){scope, arena_str(&c->arena, name), copy_pairs(p, &c->arena)};
    (void)map_put(&c->by_key, key_of(scope, name, &c->arena), o);
    c->n++;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    map_fini(&c->by_key);
    arena_fini(&c->arena);
    mem_free(c);
}

/* The old ones with those of one replaced. */
static struct config *changed(const struct config *old, const struct log_config_change *c,
                              const struct log_pairs *p)
{
    struct config *now = config_new((old ? old->n : 0) + 1);

    for (size_t i = 0; old && i < old->n; i++)
        if (old->v[i].scope != c->scope || !str_eq(old->v[i].name, c->name))
            add(now, old->v[i].scope, old->v[i].name, &old->v[i].pairs);
    add(now, c->scope, c->name, p);
    return now;
}

/* ---- defaults of topics ---- */

static bool take_defaults(const struct log_pairs *p, struct log_settings *s, struct err *e)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct log_setting *row = log_setting_of_broker(p->v[i].name);

        if (row && !log_setting_parse(row, p->v[i].value, s, e))
            return false;
    }
    return true;
}

/* What topics without a value of their own follow. */
static bool defaults_of(struct log *l, const struct config *c, struct log_settings *s, struct err *e)
{
    static const enum log_config_scope order[] = {LOG_OF_ALL_BROKERS, LOG_OF_BROKER};

    log_settings_default(l, s);
    for (size_t k = 0; k < ARRAY_LEN(order); k++)
        for (size_t i = 0; i < c->n; i++)
            if (c->v[i].scope == order[k] && !take_defaults(&c->v[i].pairs, s, e))
                return false;
    s->set = 0;
    return log_settings_check(s, e);
}

/* ---- the file ---- */

static void put_text(struct buf *b, struct str text)
{
    buf_i16(b, (int16_t)text.n);
    buf_str(b, text);
}

static bool save(struct log *l, const struct config *c, struct err *e)
{
    struct buf b = buf_make(SIZE_MAX / 2);
    bool ok;

    file_begin(&b, "tarnconf", VERSION);
    buf_i32(&b, (int32_t)c->n);
    for (size_t i = 0; i < c->n; i++) {
        const struct one *o = &c->v[i];

        buf_u8(&b, (uint8_t)o->scope);
        put_text(&b, o->name);
        buf_i16(&b, (int16_t)o->pairs.n);
        for (size_t k = 0; k < o->pairs.n; k++) {
            put_text(&b, o->pairs.v[k].name);
            put_text(&b, o->pairs.v[k].value);
        }
    }
    file_end(&b);
    ok = file_replace(l, "config.list", &b, e);
    buf_fini(&b);
    return ok;
}

static struct str take_text(struct rd *r)
{
    int16_t n = rd_i16(r);

    if (n < 0)
        rd_fail(r, "a text has a negative length");
    return rd_ok(r) ? rd_bytes(r, (size_t)n) : STR_NULL;
}

static void take_one(struct config *c, struct rd *r, struct arena *a)
{
    uint8_t scope = rd_u8(r);
    struct str name = take_text(r);
    int16_t n = rd_i16(r);
    struct log_pairs p = {0};

    if (rd_ok(r) && (scope >= LOG_CONFIG_SCOPES || n < 1 || n > LOG_CONFIG_PAIRS_MAX ||
                     find(c, (enum log_config_scope)scope, name)))
        rd_fail(r, "settings of what this program does not know, or twice of the same");
    for (int16_t i = 0; i < n && rd_ok(r); i++) {
        struct str key = take_text(r), value = take_text(r);

        if (rd_ok(r))
            log_pairs_put(&p, a, key, value);
    }
    if (rd_ok(r))
        add(c, (enum log_config_scope)scope, name, &p);
}

static struct config *read_all(struct str bytes, const char *path, struct err *e)
{
    struct rd r = rd_str(bytes);
    uint32_t n = (uint32_t)rd_i32(&r);
    struct arena a = {0};
    struct config *c;

    if (rd_ok(&r) && n > LOG_CONFIG_NAMES_MAX)
        rd_fail(&r, "more settings than there can be");
    c = config_new(rd_ok(&r) ? n : 0);
    for (uint32_t i = 0; i < n && rd_ok(&r); i++)
        take_one(c, &r, &a);
    arena_fini(&a);
    if (rd_ok(&r))
        return c;
    (void)err_set(e, ERR_CORRUPT, "%s: %s", path, rd_why(&r));
    config_free(c);
    return NULL;
}

bool config_load(struct log *l, struct err *e)
{
    struct file_body body = {.oldest = VERSION, .known = VERSION};
    struct log_settings defaults;
    struct arena a = {0};
    const char *path = arena_fmt(&a, "%s/config.list", l->dir);
    struct str bytes;
    bool ok = true;

    if (os_exists(l->os, path)) {
        ok = os_read_file(l->os, path, SIZE_MAX / 2, &a, &bytes, e) &&
             file_open(bytes, "tarnconf", path, &body, e);
        l->config = ok ? read_all(body.bytes, path, e) : NULL;
        ok = l->config && (defaults_of(l, l->config, &defaults, e) || err_wrap(e, "%s", path));
        if (ok)
            topics_follow(l, &defaults);
    }
    arena_fini(&a);
    return ok;
}

/* ---- what callers ask for ---- */

void log_config(struct log *l, enum log_config_scope scope, struct str name, struct arena *a,
                struct log_pairs *out)
{
    const struct one *o;

    mutex_lock(&l->topics_lock);
    o = find(l->config, scope, name);
    *out = o ? copy_pairs(&o->pairs, a) : (struct log_pairs){0};
    mutex_unlock(&l->topics_lock);
}

bool log_config_number(struct log *l, enum log_config_scope scope, struct str name, struct str key,
                       int64_t *out)
{
    const struct one *o;
    bool there;

    mutex_lock(&l->topics_lock);
    o = find(l->config, scope, name);
    there = o && str_i64(log_pairs_get(&o->pairs, key), out);
    mutex_unlock(&l->topics_lock);
    return there;
}

static int by_name(const void *pa, const void *pb)
{
    const struct str *a = pa, *b = pb;

    return str_cmp(*a, *b);
}

void log_config_names(struct log *l, enum log_config_scope scope, struct arena *a, struct str **out,
                      size_t *count)
{
    *count = 0;
    mutex_lock(&l->topics_lock);
    *out = ARENA_ARRAY(a, struct str, l->config ? l->config->n : 0);
    for (size_t i = 0; l->config && i < l->config->n; i++)
        if (l->config->v[i].scope == scope)
            (*out)[(*count)++] = arena_str(a, l->config->v[i].name);
    mutex_unlock(&l->topics_lock);
    if (*count > 1)
        qsort(*out, *count, sizeof **out, by_name);
}

static bool fits(const struct config *c, const struct log_config_change *change, const struct log_pairs *p,
                 struct err *e)
{
    if (change->name.n > NAME_MAX_BYTES || p->n > LOG_CONFIG_PAIRS_MAX || c->n > LOG_CONFIG_NAMES_MAX)
        return err_set(e, ERR_LIMIT, "settings of more than %d names, or too many of one",
                       LOG_CONFIG_NAMES_MAX);
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].name.n > LIMIT_NAME || p->v[i].value.n > LOG_CONFIG_VALUE_MAX)
            return err_set(e, ERR_INVALID, "a setting's value has more than %d bytes", LOG_CONFIG_VALUE_MAX);
    return true;
}

/* The topics come first: one whose offsets will have gaps must be known for that before it is compacted. */
static bool keep(struct log *l, struct config *now, const struct log_settings *defaults, struct err *e)
{
    struct config *old = l->config;

    if (!topics_will_follow(l, defaults, e) || !save(l, now, e))
        return false;
    mutex_lock(&l->topics_lock);
    l->config = now;
    mutex_unlock(&l->topics_lock);
    topics_follow(l, defaults);
    config_free(old);
    return true;
}

bool log_change_config(struct log *l, const struct log_config_change *c, struct err *e)
{
    struct log_settings defaults;
    struct config *now = NULL;
    struct log_pairs p;
    struct arena a = {0};
    bool ok, kept = false;

    admin_take(l);
    log_config(l, c->scope, c->name, &a, &p);
    ok = c->fn(c->arg, &p, &a, e);
    if (ok) {
        now = changed(l->config, c, &p); // only who has the token replaces it
        ok = fits(now, c, &p, e) && defaults_of(l, now, &defaults, e);
    }
    if (ok && !c->only_check)
        ok = kept = keep(l, now, &defaults, e);
    admin_give(l);
    if (!kept)
        config_free(now);
    arena_fini(&a);
    return ok;
}
