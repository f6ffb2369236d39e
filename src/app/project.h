/*
 * project: a folder of the user's, and what its files say before anything runs.
 *
 *     project_load(&p, folder, assignments, count, e)   tarn.yaml, .env, the settings checked; touches nothing
 *     project_fini(&p)                                  also after a load that failed
 *
 * It does not change after that, so every thread may read it.
 */
#pragma once

#include "base/arena.h"
#include "conf/conf.h"

struct project {
    struct os *os;
    struct arena arena; // lives as long: settings, paths, names. The main thread's
    struct settings s;
    struct conf_env env;
    const char *folder; // whole path
    const char *data;   // data folder
};

/* assignments: "NAME=VALUE", over what tarn.yaml says. */
bool project_load(struct project *p, struct os *os, const char *folder, const char *const *assignments,
                  size_t count, struct err *e) MUST_CHECK;
void project_fini(struct project *p);

/* DATA/tarn.run tells the verbs where the program answers: {"pid":1,"console":"http://127.0.0.1:8080",...}. */
bool run_file_write(const struct project *p, const char *console_host, int console_port,
                    struct err *e) MUST_CHECK; // host NULL: there is no console
void run_file_remove(struct project *p);
/* URL of the console of the tarn that runs on this project, in a. ERR_NOT_FOUND: none does. */
bool run_file_console(const char *folder, struct arena *a, const char **url, struct err *e) MUST_CHECK;
