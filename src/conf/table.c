#include "base/mem.h"
#include "conf/conf_int.h"

#include <assert.h>

const struct setting conf_rows[] = {
#define X(field, name, type, otherwise, least, most, unit, sentence) \
    {name, SETTING_##type, otherwise, least, most, unit, sentence, offsetof(struct settings, field), false},
#define U(field, name, type, otherwise, least, most, unit, sentence) \
    {name, SETTING_##type, otherwise, least, most, unit, sentence, offsetof(struct conf_user, field), true},
#include "conf/settings.def"
#undef X
};
const size_t conf_row_count = ARRAY_LEN(conf_rows);

/* "users.alice.password" with the row's "users.NAME.password". A user's name may have dots. */
static bool is_row(const struct setting *row, struct str name)
{
    struct str tail = str_of(row->of_user ? row->name + CONF_USER_PREFIX + 4 : row->name);

    if (!row->of_user)
        return str_eq(name, tail);
    return name.n > CONF_USER_PREFIX + tail.n && str_starts(name, STR("users.")) && str_ends(name, tail);
}

const struct setting *conf_find(struct str name)
{
    for (size_t i = 0; i < conf_row_count; i++)
        if (is_row(&conf_rows[i], name))
            return &conf_rows[i];
    return NULL;
}

bool conf_is_section(struct str name)
{
    for (size_t i = 0; i < conf_row_count; i++) {
        struct str known = str_of(conf_rows[i].name);
        if (known.n > name.n && str_starts(known, name) && known.p[name.n] == '.')
            return true;
    }
    return false;
}

/* Edits (insert, delete, replace, swap of neighbours) from a to b. */
static unsigned distance(struct str a, struct str b)
{
    enum { MOST = 64 };
    unsigned d[3][MOST + 1] = {{0}}, *before = d[0], *last = d[1], *row = d[2];

    if (a.n > MOST || b.n > MOST)
        return MOST;
    for (unsigned j = 0; j <= b.n; j++)
        last[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned cost = a.p[i - 1] != b.p[j - 1], best = last[j - 1] + cost;
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b.n];
}

const char *conf_nearest(struct str name)
{
    unsigned best = (unsigned)name.n / 2 + 1; // further away it is another word
    const char *nearest = NULL;

    for (size_t i = 0; i < conf_row_count; i++) {
        struct str known = str_of(conf_rows[i].name);
        ptrdiff_t dot = str_find(known, '.');
        unsigned d = distance(name, known);
        if (dot >= 0 && str_find(name, '.') < 0) { // "port" means something.port
            unsigned tail = distance(name, str_from(known.p + dot + 1, known.n - (size_t)dot - 1));
            unsigned section = distance(name, str_from(known.p, (size_t)dot));
            d = section < d ? section : d;
            d = tail < d ? tail : d;
        }
        if (d < best) {
            best = d;
            nearest = conf_rows[i].name;
        }
    }
    return nearest;
}

void conf_allowed(const struct setting *row, struct buf *b)
{
    struct str rest = str_of(row->unit), word;
    const char *sep = "";

    switch (row->type) {
    case SETTING_STRING:
    case SETTING_SECRET:
        buf_fmt(b, "text%s%s%s", row->unit[0] ? " (" : "", row->unit, row->unit[0] ? ")" : "");
        break;
    case SETTING_LIST:
        buf_str(b, STR("a list of texts"));
        break;
    case SETTING_CHOICE:
        buf_str(b, STR("one of "));
        while (str_cut(&rest, '|', &word)) {
            buf_fmt(b, "%s%.*s", sep, STR_ARG(word));
            sep = ", ";
        }
        break;
    case SETTING_INT:
        buf_fmt(b, "a number from %s to %s%s%s", row->least, row->most, row->unit[0] ? " " : "", row->unit);
        break;
    case SETTING_BYTES:
        buf_fmt(b, "a size from %s to %s", row->least, row->most);
        break;
    case SETTING_PORT:
        buf_fmt(b, "a port from %s to %s (0: any free one), or off", row->least, row->most);
        break;
    }
}

/* ---- values ---- */

static bool parse_bytes(struct str text, int64_t *out)
{
    static const struct {
        const char *name;
        int shift;
    } units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
    size_t digits = 0;
    struct str unit;
    int64_t n;

    while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
        digits++;
    if (!str_i64(str_from(text.p, digits), &n))
        return false;
    unit = str_trim(str_from(text.p + digits, text.n - digits));
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (str_eq_nocase(unit, str_of(units[i].name)) && n <= INT64_MAX >> units[i].shift) {
            *out = n << units[i].shift;
            return true;
        }
    }
    return false;
}

static bool parse_number(const struct setting *row, struct str text, int64_t *out)
{
    return row->type == SETTING_BYTES ? parse_bytes(text, out) : str_i64(text, out);
}

static bool number_ok(const struct setting *row, struct str text, int64_t *out)
{
    int64_t least, most;
    bool range = parse_number(row, str_of(row->least), &least) && parse_number(row, str_of(row->most), &most);

    assert(range); // else a row of settings.def is wrong
    if (row->type == SETTING_PORT && (str_is(text, "off") || str_is(text, "false"))) {
        *out = CONF_OFF;
        return true;
    }
    return parse_number(row, text, out) && *out >= least && *out <= most;
}

static bool is_choice(const struct setting *row, struct str text)
{
    struct str rest = str_of(row->unit), word;

    while (str_cut(&rest, '|', &word))
        if (str_eq(word, text))
            return true;
    return false;
}

static void add_to_list(struct conf_list *list, struct arena *a, struct str value)
{
    const char **v = ARENA_ARRAY(a, const char *, list->n + 1);

    if (list->n > 0)
        memcpy(v, list->v, list->n * sizeof *v);
    v[list->n] = arena_str(a, value).p;
    list->v = v;
    list->n++;
}

static void user_defaults(struct conf_user *u, struct arena *a)
{
    for (size_t i = 0; i < conf_row_count; i++)
        if (conf_rows[i].of_user)
            *(const char **)(void *)((char *)u + conf_rows[i].at) =
                arena_str(a, str_of(conf_rows[i].otherwise)).p;
}

struct conf_user *conf_user(struct settings *s, struct arena *a, struct str name)
{
    struct conf_user *more;

    for (size_t i = 0; i < s->user_count; i++)
        if (str_is(name, s->users[i].name))
            return &s->users[i];
    more = ARENA_ARRAY(a, struct conf_user, s->user_count + 1);
    if (s->user_count > 0)
        memcpy(more, s->users, s->user_count * sizeof *more);
    s->users = more;
    more += s->user_count++;
    user_defaults(more, a);
    more->name = arena_str(a, name).p;
    return more;
}

/* The user that a setting's name has in it. */
static struct conf_user *user_of(struct settings *s, struct arena *a, const struct setting *row,
                                 struct str name)
{
    size_t tail = strlen(row->name) - CONF_USER_PREFIX - 4;

    return conf_user(s, a, str_from(name.p + CONF_USER_PREFIX, name.n - CONF_USER_PREFIX - tail));
}

bool conf_set(struct settings *s, struct arena *a, const struct setting *row, struct str name,
              struct str value, struct err *e)
{
    void *field = (row->of_user ? (char *)user_of(s, a, row, name) : (char *)s) + row->at;
    struct buf allowed;
    bool ok = true;

    switch (row->type) {
    case SETTING_STRING:
    case SETTING_SECRET:
        *(const char **)field = arena_str(a, value).p;
        ok = memchr(value.p, 0, value.n) == NULL;
        break;
    case SETTING_CHOICE:
        *(const char **)field = arena_str(a, value).p;
        ok = is_choice(row, value);
        break;
    case SETTING_LIST:
        add_to_list(field, a, value);
        break;
    case SETTING_INT:
    case SETTING_BYTES:
    case SETTING_PORT:
        ok = number_ok(row, value, field);
        break;
    }
    if (ok)
        return true;
    allowed = buf_make(400);
    conf_allowed(row, &allowed);
    (void)err_set(e, ERR_INVALID, "%.*s is '%.*s', expected %s", STR_ARG(name),
                  row->type == SETTING_SECRET ? 3 : (int)(value.n < 80 ? value.n : 80),
                  row->type == SETTING_SECRET ? "..." : value.p, buf_z(&allowed));
    buf_fini(&allowed);
    return false;
}

void conf_defaults(struct settings *s, struct arena *a)
{
    struct err e;

    *s = (struct settings){0};
    for (size_t i = 0; i < conf_row_count; i++) {
        const struct setting *row = &conf_rows[i];
        bool ok = row->of_user || row->type == SETTING_LIST ||
                  conf_set(s, a, row, str_of(row->name), str_of(row->otherwise), &e);
        assert(ok); // else a row of settings.def is wrong
    }
}

bool conf_assign(struct settings *s, struct arena *a, struct str assignment, struct err *e)
{
    ptrdiff_t at = str_find(assignment, '=');
    struct str name = at < 0 ? assignment : str_from(assignment.p, (size_t)at), value, part;
    const struct setting *row = conf_find(name);

    if (at < 0)
        return err_set(e, ERR_INVALID, "'%.*s' is not name=value", STR_ARG(assignment));
    if (!row) {
        const char *nearest = conf_nearest(name);
        return err_set(e, ERR_INVALID, "there is no setting %.*s%s%s", STR_ARG(name),
                       nearest ? ", did you mean " : "", nearest ? nearest : "");
    }
    value = str_from(assignment.p + at + 1, assignment.n - (size_t)at - 1);
    if (row->type != SETTING_LIST)
        return conf_set(s, a, row, name, value, e);
    *(struct conf_list *)((void *)((char *)s + row->at)) = (struct conf_list){0};
    while (str_cut(&value, ',', &part))
        if (!conf_set(s, a, row, name, str_trim(part), e))
            return false;
    return true;
}
