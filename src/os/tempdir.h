/*
 * tempdir: a folder of one's own for a test.
 *
 * Remove it with os_remove_tree().
 */
#pragma once

#include <stdbool.h>

enum { TEMPDIR_MAX = 256 };

/* Makes a new empty folder under $TMPDIR or /tmp and writes its path to `out` of TEMPDIR_MAX bytes. */
bool tempdir_make(char *out);
