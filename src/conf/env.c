#include "base/limits.h"
#include "conf/conf.h"
#include "os/os.h"

#include <stdlib.h>

/* A value: in single quotes as it is, in double quotes with \n \" \\ \$, bare up to a # after a blank. */
static bool put_value(struct arena *a, struct str in, const char **out)
{
    char *p = arena_alloc(a, in.n + 1), quote = in.n > 0 && (in.p[0] == '"' || in.p[0] == '\'') ? in.p[0] : 0;
    size_t n = 0, i = quote != 0;

    for (; i < in.n && !(quote && in.p[i] == quote); i++) {
        char c = in.p[i];
        if (!quote && c == '#' && i > 0 && (in.p[i - 1] == ' ' || in.p[i - 1] == '\t'))
            break;
        if (quote == '"' && c == '\\' && i + 1 < in.n)
            c = in.p[++i] == 'n' ? '\n' : in.p[i];
        p[n++] = c;
    }
    if (quote && i == in.n)
        return false;
    while (!quote && n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    p[n] = 0;
    *out = p;
    return true;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c == '_' || ((c | 32) >= 'a' && (c | 32) <= 'z') || (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return s.n > 0;
}

static bool add_line(struct conf_env *env, struct str line)
{
    const char *value;
    ptrdiff_t at;
    struct str name;

    line = str_trim(line);
    if (line.n == 0 || line.p[0] == '#')
        return true;
    if (str_starts(line, STR("export ")))
        line = str_trim(str_from(line.p + 7, line.n - 7));
    at = str_find(line, '=');
    if (at < 0)
        return false;
    name = str_trim(str_from(line.p, (size_t)at));
    if (!is_name(name) ||
        !put_value(&env->arena, str_trim(str_from(line.p + at + 1, line.n - (size_t)at - 1)), &value))
        return false;
    (void)map_put(&env->file, name, (void *)(uintptr_t)value);
    return true;
}

bool conf_env_load(struct conf_env *env, struct os *os, const char *path, struct err *e)
{
    struct str text, line;
    int no = 0;

    if (!os_exists(os, path))
        return true;
    if (!os_read_file(os, path, LIMIT_SETTINGS, &env->arena, &text, e))
        return false;
    while (str_cut(&text, '\n', &line)) {
        no++;
        if (!add_line(env, line))
            return err_set(e, ERR_INVALID, "%s:%d: this line is not NAME=value", path, no);
    }
    return true;
}

void conf_env_fini(struct conf_env *env)
{
    map_fini(&env->file);
    arena_fini(&env->arena);
}

const char *conf_env_get(struct conf_env *env, const char *name)
{
    const char *value = getenv(name); // NOLINT(concurrency-mt-unsafe): nothing here calls setenv

    return value ? value : map_get(&env->file, str_of(name));
}

/* One ${...} whose inside is `word`. */
static bool put_variable(struct conf_env *env, struct str word, struct buf *b, struct err *e)
{
    ptrdiff_t at = str_find(word, ':');
    bool has_default = at >= 0 && (size_t)at + 1 < word.n && word.p[at + 1] == '-';
    struct str name = at < 0 ? word : str_from(word.p, (size_t)at);
    char z[256];
    const char *value;

    if (!is_name(name) || name.n >= sizeof z || (at >= 0 && !has_default))
        return err_set(e, ERR_INVALID, "${%.*s} is not ${NAME} or ${NAME:-text}", STR_ARG(word));
    memcpy(z, name.p, name.n);
    z[name.n] = 0;
    value = conf_env_get(env, z);
    if (has_default && (!value || !*value))
        buf_str(b, str_from(word.p + at + 2, word.n - (size_t)at - 2));
    else if (value)
        buf_str(b, str_of(value));
    else
        return err_set(e, ERR_INVALID, "the environment has no %s (nor has .env)", z);
    return true;
}

bool conf_expand(struct arena *a, struct conf_env *env, struct str text, struct str *out, struct err *e)
{
    struct buf b = buf_make(LIMIT_SETTINGS);
    bool ok = true;

    for (size_t i = 0; i < text.n && ok; i++) {
        struct str rest = str_from(text.p + i, text.n - i);
        ptrdiff_t end = str_starts(rest, STR("${")) ? str_find(rest, '}') : -1;
        if (end < 0) {
            buf_u8(&b, (uint8_t)text.p[i]);
        } else {
            ok = put_variable(env, str_from(rest.p + 2, (size_t)end - 2), &b, e);
            i += (size_t)end;
        }
    }
    if (ok && !buf_ok(&b))
        ok = err_set(e, ERR_LIMIT, "a value is over %zu bytes after its variables are replaced", b.max);
    if (ok)
        *out = arena_str(a, buf_view(&b));
    buf_fini(&b);
    return ok;
}
