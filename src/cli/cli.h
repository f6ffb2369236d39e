/*
 * cli: the command line.
 *
 * A verb is a row of cli.c and a function of the shape below. Its words come without the program's name and the verb.
 * It prints its result to stdout (as JSON with --json), and with a struct err fails: cli.c says "tarn: message" and ends with
 * status 1, or 2 when the words were wrong (cli_usage).
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "net/fetch.h"

#include <jansson.h>

struct words {
    const char *verb;
    const char *const *v;
    size_t n;
    const char *action, *args; // of a verb with actions: the one that is done, and what it takes; else NULL
};

enum { WORDS_MAX = 64 };

int cli_main(int argc, char **argv);

/* Takes the option out of the words: "--json". */
bool cli_flag(struct words *w, const char *name);
/* Takes all of "--set VALUE" and "--set=VALUE"; how many, their values in `out`. False: one has no value. */
bool cli_values(struct words *w, const char *name, const char **out, size_t max, size_t *count);
/* True when at most `most` words are left and none looks like an option; otherwise e is set to be answered with usage. */
bool cli_rest(const struct words *w, size_t most, struct err *e) MUST_CHECK;

/*
 * Asks the tarn that runs on the project folder. A status of 400 and above is an error with the server's message. *root, the
 * answer's JSON, is the caller's to json_decref(), also after a failure.
 */
bool cli_ask(const char *folder, struct fetch *f, const char *path, struct arena *a, struct fetch_answer *out,
             json_t **root, struct err *e) MUST_CHECK;

/* Verbs; true: done, exit status 0. */
bool verb_up(struct words *w, struct err *e);
bool verb_status(struct words *w, struct err *e);
bool verb_connector(struct words *w, struct err *e);
bool verb_topic(struct words *w, struct err *e);
void topic_help(void); // all that `tarn topic` can
bool verb_sql(struct words *w, struct err *e);
bool verb_verify(struct words *w, struct err *e);
bool verb_init(struct words *w, struct err *e);
