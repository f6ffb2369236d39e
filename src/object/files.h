/*
 * files: the files under the rows, by number.
 *
 * Each blob is a file of its own, DIR/00000a/000000000000283f: the number in hex, 1024 of them to a folder. A number is
 * used once. A block of 1024 numbers is reserved in the index, and its folder made durable, before the first of
 * them is used; `floor` is written with later commits as the number under which nothing is unsettled. So after a crash only
 * the numbers from floor to the end of the reserved block can be files without a row, and files_open() removes
 * those: what it looks at does not grow with the data.
 *
 * A file that lost its row is removed when nobody reads it by its path any more; the row of table `garbage` that came
 * with the loss goes with a later commit.
 *
 * Any thread.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct files;
struct index;
struct os;

enum { FILES_BLOCK = 1024, FILES_PATH = 512 };

/* Reserves numbers below `to` durably: how it is done is the owner's. */
typedef bool files_reserve_fn(void *arg, int64_t to, struct err *e);

bool files_open(struct os *os, const char *dir, struct index *x, files_reserve_fn *reserve, void *arg,
                struct files **out, struct err *e) MUST_CHECK;
void files_close(struct files *f); // NULL does nothing

/* A new number, unsettled until files_settle() or files_drop(). */
bool files_number(struct files *f, int64_t *number, struct err *e) MUST_CHECK;
const char *files_path(const struct files *f, int64_t number, char out[FILES_PATH]);
void files_settle(struct files *f, int64_t number); // its row is committed
void files_drop(struct files *f, int64_t number);   // it has no row and never will: remove the file
bool files_sync_folder(struct files *f, int64_t number, struct err *e) MUST_CHECK; // its name is durable

/* While pinned the file of a number stays, row or not. False: it lost its row, so look at the row again. */
bool files_pin(struct files *f, int64_t number) MUST_CHECK;
void files_unpin(struct files *f, int64_t number);
void files_free(struct files *f, const int64_t *numbers, size_t count); // they lost their rows, durably

/* For the next commit: the floor now, and garbage that is gone (yours to mem_free). */
int64_t files_floor(struct files *f);
int64_t *files_take_removed(struct files *f, size_t *count);
void files_give_removed(struct files *f, int64_t *numbers, size_t count); // that commit failed; takes numbers
