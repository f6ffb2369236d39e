#include "os/tempdir.h"

#include <stdio.h>
#include <stdlib.h>

bool tempdir_make(char *out)
{
    const char *base = getenv("TMPDIR"); // NOLINT(concurrency-mt-unsafe): nothing here sets it

    (void)snprintf(out, TEMPDIR_MAX, "%s/tarn-test.XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(out) != NULL;
}
