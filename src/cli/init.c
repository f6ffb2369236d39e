/* tarn init: a project is a folder of plain files, so a new one is a copy of an example. */
#include "cli/cli.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "os/os.h"

#include <stdio.h>

enum { DEPTH_MAX = 8 };
#define FIRST_EXAMPLE "storefront"

/* Where the examples are: installed, or in the source tree this was built from. */
static const char *examples_dir(struct os *os)
{
    return os_exists(os, TARN_EXAMPLES_INSTALLED) ? TARN_EXAMPLES_INSTALLED : TARN_EXAMPLES_SOURCE;
}

static bool copy_tree(struct os *os, struct arena *a, const char *from, const char *to, int depth,
                      struct err *e)
{
    struct str *names, text;
    size_t n;

    if (depth > DEPTH_MAX)
        return err_set(e, ERR_LIMIT, "%s: folders are nested deeper than %d", from, DEPTH_MAX);
    if (!os_make_dirs(os, to, e) || !os_list(os, from, a, &names, &n, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *src = arena_fmt(a, "%s/%.*s", from, STR_ARG(names[i]));
        const char *dst = arena_fmt(a, "%s/%.*s", to, STR_ARG(names[i]));
        struct os_stat st;
        if (str_is(names[i], "data")) // of a tarn that ran in the source tree
            continue;
        if (os->stat(os, src, &st) != 0)
            return err_sys(e, "%s", src);
        if (st.is_dir
                ? !copy_tree(os, a, src, dst, depth + 1, e)
                : !os_read_file(os, src, LIMIT_SETTINGS, a, &text, e) || !os_replace_file(os, dst, text, e))
            return false;
    }
    return true;
}

static bool unknown_example(struct os *os, struct arena *a, const char *dir, const char *name, struct err *e)
{
    struct buf known = buf_make(300);
    struct str *names;
    size_t n = 0;
    struct err ignored;

    if (!os_list(os, dir, a, &names, &n, &ignored))
        n = 0;
    for (size_t i = 0; i < n; i++)
        buf_fmt(&known, "%s%.*s", i ? ", " : "", STR_ARG(names[i]));
    (void)err_set(e, ERR_NOT_FOUND, "there is no example '%s'; there are: %s", name,
                  buf_ok(&known) ? buf_z(&known) : dir);
    buf_fini(&known);
    return false;
}

static bool is_example(struct os *os, struct arena *a, const char *name)
{
    return !strchr(name, '/') && os_exists(os, arena_fmt(a, "%s/%s/tarn.yaml", examples_dir(os), name));
}

/* A folder with an example's name is of that example. */
bool verb_init(struct words *w, struct err *e)
{
    struct os *os = os_real();
    struct arena a = {0};
    const char *example, *from, *to;
    bool ok = false;

    if (!cli_rest(w, 2, e))
        return false;
    if (w->n == 0)
        return err_set(e, ERR_BAD_INPUT, "tarn init wants the folder to make");
    to = w->v[w->n - 1];
    example = w->n > 1 || is_example(os, &a, to) ? w->v[0] : FIRST_EXAMPLE;
    from = arena_fmt(&a, "%s/%s", examples_dir(os), example);
    if (!is_example(os, &a, example))
        (void)unknown_example(os, &a, examples_dir(os), example, e);
    else if (os_exists(os, arena_fmt(&a, "%s/tarn.yaml", to)))
        (void)err_set(e, ERR_CONFLICT, "%s is a project already", to);
    else
        ok = copy_tree(os, &a, from, to, 0, e);
    if (ok)
        (void)printf("made %s from the example %s: now run tarn up %s\n", to, example, to);
    arena_fini(&a);
    return ok;
}
