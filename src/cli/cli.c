#include "cli/cli.h"

#include "app/project.h"
#include "base/mem.h"
#include "log/settings.h"
#include "obs/obs.h"
#include "os/os.h"

#include <stdio.h>

static bool verb_help(struct words *w, struct err *e);
static bool verb_version(struct words *w, struct err *e);

static const struct verb {
    const char *name, *args, *sentence;
    bool (*run)(struct words *w, struct err *e);
    void (*help)(void); // of one that a sentence does not explain
} verbs[] = {
    {"up", "[FOLDER] [--set NAME=VALUE]...", "Run the project of a folder (default: this one).", verb_up,
     NULL},
    {"status", "[FOLDER] [--json]", "What runs, where, how fast and how far behind.", verb_status, NULL},
    {"sql", "[FOLDER] \"QUERY\" [--committed] [--json]",
     "Ask the tables; --committed: as other engines see them.", verb_sql, NULL},
    {"verify", "[FOLDER] [--json]", "Is every table the same in all five places?", verb_verify, NULL},
    {"connector", "list | status|config|restart|pause|resume|stop|delete NAME [FOLDER]",
     "Ask about a connector, or change what it does; the answer is JSON.", verb_connector, NULL},
    {"topic", "list|create|describe|alter|delete|produce|consume|groups|reset-offsets ... (tarn topic help)",
     "Topics and their records, groups and where they read; here or on any Kafka.", verb_topic, topic_help},
    {"init", "[EXAMPLE] FOLDER", "Make a project from an example, storefront where none is named.", verb_init,
     NULL},
    {"version", "[--json]", "Say which tarn this is.", verb_version, NULL},
    {"help", "[VERB | settings | topic-settings [--markdown]]",
     "Say this, or explain a verb, or every setting of tarn.yaml, or of topics.", verb_help, NULL},
};

/* ---- words ---- */

static void take_out(struct words *w, const char **v, size_t at, size_t n)
{
    memmove(v + at, v + at + n, (w->n - at - n) * sizeof *v);
    w->n -= n;
}

bool cli_flag(struct words *w, const char *name)
{
    const char **v = (const char **)(uintptr_t)w->v; // cli_main's own array

    for (size_t i = 0; i < w->n; i++) {
        if (str_is(str_of(v[i]), name)) {
            take_out(w, v, i, 1);
            return true;
        }
    }
    return false;
}

bool cli_values(struct words *w, const char *name, const char **out, size_t max, size_t *count)
{
    const char **v = (const char **)(uintptr_t)w->v;
    size_t len = strlen(name);

    *count = 0;
    for (size_t i = 0; i < w->n;) {
        bool joined = strncmp(v[i], name, len) == 0 && v[i][len] == '=', alone = strcmp(v[i], name) == 0;
        if (!joined && !alone) {
            i++;
            continue;
        }
        if ((alone && i + 1 == w->n) || *count == max)
            return false;
        out[(*count)++] = joined ? v[i] + len + 1 : v[i + 1];
        take_out(w, v, i, joined ? 1 : 2);
    }
    return true;
}

bool cli_rest(const struct words *w, size_t most, struct err *e)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i][0] == '-' && w->v[i][1])
            return err_set(e, ERR_BAD_INPUT, "tarn %s does not know %s", w->verb, w->v[i]);
    if (w->n > most)
        return err_set(e, ERR_BAD_INPUT, "tarn %s: '%s' is one word too many", w->verb, w->v[most]);
    return true;
}

/* ---- asking a running tarn ---- */

static bool refused(const char *url, const struct fetch_answer *answer, const json_t *root, struct err *e)
{
    const char *said = json_string_value(json_object_get(root, "error"));

    return said ? err_set(e, ERR_REMOTE, "%s", said)
                : err_set(e, ERR_REMOTE, "%s answered %d", url, answer->status);
}

bool cli_ask(const char *folder, struct fetch *f, const char *path, struct arena *a, struct fetch_answer *out,
             json_t **root, struct err *e)
{
    const char *console;

    *root = NULL;
    if (!run_file_console(folder, a, &console, e))
        return false;
    f->url = arena_fmt(a, "%s%s", console, path);
    if (!fetch(f, a, out, e))
        return err_wrap(e, "the tarn of this project does not answer");
    *root = json_loadb(out->body.p, out->body.n, 0, NULL);
    if (out->status >= 400)
        return refused(f->url, out, *root, e);
    return *root || err_set(e, ERR_REMOTE, "%s did not answer with JSON", f->url);
}

/* ---- help and version ---- */

static void print(struct buf *b)
{
    (void)fwrite(b->p, 1, b->n, stdout);
    buf_fini(b);
}

static const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(name, verbs[i].name) == 0)
            return &verbs[i];
    return NULL;
}

static void explain(FILE *out, const struct verb *v)
{
    (void)fprintf(out, "  tarn %-10s%s\n      %s\n", v->name, v->args, v->sentence);
}

static void help(const struct verb *v)
{
    if (v->help)
        v->help();
    else
        explain(stdout, v);
}

static void usage(FILE *out)
{
    (void)fprintf(out, "tarn runs a data platform of one project folder in one process.\n\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        explain(out, &verbs[i]);
    (void)fprintf(out, "\nExit status: 0 done, 1 failed, 2 wrong usage.\n");
}

static bool verb_help(struct words *w, struct err *e)
{
    bool markdown = cli_flag(w, "--markdown");
    struct buf b = buf_make(1 << 20);
    const struct verb *about;

    if (!cli_rest(w, 1, e))
        return false;
    if (w->n == 0) {
        usage(stdout);
        return true;
    }
    about = verb_find(w->v[0]);
    if (about) {
        help(about);
        return true;
    }
    if (!str_is(str_of(w->v[0]), "settings") && !str_is(str_of(w->v[0]), "topic-settings"))
        return err_set(e, ERR_BAD_INPUT, "there is help about settings, topic-settings and each verb");
    if (str_is(str_of(w->v[0]), "topic-settings"))
        log_settings_page(&b, markdown);
    else if (markdown)
        conf_markdown(&b);
    else
        conf_help(&b);
    print(&b);
    return true;
}

static bool verb_version(struct words *w, struct err *e)
{
    bool as_json = cli_flag(w, "--json");

    if (!cli_rest(w, 0, e))
        return false;
    (void)printf(as_json ? "{\"version\":\"%s\"}\n" : "tarn %s\n", TARN_VERSION);
    return true;
}

/* ---- main ---- */

static int finish(const struct verb *verb, const struct words *w, bool ok, const struct err *e)
{
    if (fflush(stdout) != 0 && ok) {
        (void)fprintf(stderr, "tarn: the output could not be written\n");
        return 1;
    }
    if (ok)
        return 0;
    (void)fprintf(stderr, "tarn: %s\n", e->msg);
    if (e->kind != ERR_BAD_INPUT)
        return 1;
    if (w->action)
        (void)fprintf(stderr, "usage: tarn %s %s %s\n", verb->name, w->action, w->args);
    else
        (void)fprintf(stderr, "usage: tarn %s %s\n", verb->name, verb->args);
    return 2;
}

int cli_main(int argc, char **argv)
{
    const char *v[WORDS_MAX], *name = argc > 1 ? argv[1] : "help";
    struct words w = {.v = v};
    const struct verb *verb;
    struct err e = {0};
    uint64_t seed;
    bool ok;

    obs_catch_crashes();
    os_real()->random(os_real(), &seed, sizeof seed);
    str_hash_seed(seed); // before the first map
    if (argc > WORDS_MAX) {
        (void)fprintf(stderr, "tarn: more than %d words\n", WORDS_MAX - 2);
        return 2;
    }
    for (int i = 2; i < argc; i++)
        v[w.n++] = argv[i];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    verb = verb_find(name);
    if (!verb) {
        (void)fprintf(stderr, "tarn: there is no verb '%s'\n\n", name);
        usage(stderr);
        return 2;
    }
    w.verb = name;
    if (cli_flag(&w, "--help") || cli_flag(&w, "-h")) {
        help(verb);
        return 0;
    }
    ok = verb->run(&w, &e);
    return finish(verb, &w, ok, &e);
}
