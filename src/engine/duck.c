#include "engine/engine_int.h"

#include "base/mem.h"
#include "os/os.h"

#include <assert.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct duck duck;

static struct mutex load_lock = {PTHREAD_MUTEX_INITIALIZER};
static bool loaded;

static bool fill(void *so, struct err *e)
{
    /* dlsym gives an object pointer for a function: POSIX says the bits may be copied. */
#define X(name)                                                                             \
    {                                                                                       \
        void *at = dlsym(so, "duckdb_" #name);                                              \
        if (!at)                                                                            \
            return err_set(e, ERR_UNSUPPORTED,                                              \
                           "libduckdb.so has no duckdb_" #name ": 1.4 or newer is needed"); \
        memcpy(&duck.name, &at, sizeof(at));                                                \
    }
#include "engine/duck.def"
#undef X
    return true;
}

/* libduckdb.so in the program's own folder, or ../lib/tarn: where a package puts it. */
static bool beside_program(char *out, size_t size)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n <= 0)
        return false;
    exe[n] = 0;
    char *slash = strrchr(exe, '/');
    if (!slash)
        return false;
    *slash = 0;
    static const char *const places[] = {"", "/../lib/tarn"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        int len = snprintf(out, size, "%s%s/libduckdb.so", exe, places[i]);
        if (len > 0 && (size_t)len < size && os_exists(os_real(), out))
            return true;
    }
    return false;
}

static bool load(const char *path, struct err *e)
{
    char beside[PATH_MAX + 32];
    const char *env = getenv("TARN_DUCKDB"); // NOLINT(concurrency-mt-unsafe): nothing here sets it
    if (!path && env && *env)
        path = env;
    if (!path)
        path = beside_program(beside, sizeof(beside)) ? beside : TARN_DUCKDB_SO;
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!so) {
        const char *why = dlerror(); // NOLINT(concurrency-mt-unsafe): under load_lock
        return err_set(e, ERR_NOT_FOUND,
                       "cannot load DuckDB (%s): set TARN_DUCKDB to the path of libduckdb.so", why);
    }
    if (!fill(so, e)) {
        dlclose(so);
        return err_wrap(e, "%s", path);
    }
    return true;
}

bool duck_load(const char *path, struct err *e)
{
    mutex_lock(&load_lock);
    bool ok = loaded || load(path, e);
    loaded = ok;
    mutex_unlock(&load_lock);
    return ok;
}

/* A prepared statement's error has no type of its own: its message begins with the type's name. */
static duckdb_error_type type_in(const char *message)
{
    static const struct {
        const char *prefix;
        duckdb_error_type type;
    } rows[] = {
        {"Permission Error", DUCKDB_ERROR_PERMISSION},
        {"Catalog Error", DUCKDB_ERROR_CATALOG},
        {"Not implemented Error", DUCKDB_ERROR_NOT_IMPLEMENTED},
        {"Missing Extension Error", DUCKDB_ERROR_MISSING_EXTENSION},
        {"IO Error", DUCKDB_ERROR_IO},
        {"Out of Memory Error", DUCKDB_ERROR_OUT_OF_MEMORY},
        {"INTERRUPT Error", DUCKDB_ERROR_INTERRUPT},
        {"INTERNAL Error", DUCKDB_ERROR_INTERNAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_starts(str_of(message), str_of(rows[i].prefix)))
            return rows[i].type;
    return DUCKDB_ERROR_INVALID;
}

static enum err_kind kind_of(duckdb_error_type type, const char *message)
{
    switch (type) {
    case DUCKDB_ERROR_INTERRUPT:
        return ERR_TIMEOUT;
    case DUCKDB_ERROR_OUT_OF_MEMORY:
        return ERR_LIMIT;
    case DUCKDB_ERROR_NOT_IMPLEMENTED:
    case DUCKDB_ERROR_MISSING_EXTENSION:
    case DUCKDB_ERROR_AUTOLOAD:
        return ERR_UNSUPPORTED;
    case DUCKDB_ERROR_PERMISSION:
        return ERR_DENIED;
    case DUCKDB_ERROR_IO:
        return strstr(message, "No space left") ? ERR_FULL : ERR_IO;
    case DUCKDB_ERROR_SERIALIZATION:
        return ERR_CORRUPT;
    case DUCKDB_ERROR_INTERNAL:
    case DUCKDB_ERROR_FATAL:
    case DUCKDB_ERROR_NULL_POINTER:
        return ERR_IO;
    case DUCKDB_ERROR_CATALOG:
        return strstr(message, "does not exist") ? ERR_NOT_FOUND : ERR_INVALID;
    default:
        return ERR_INVALID;
    }
}

bool duck_error(struct err *e, duckdb_error_type type, const char *message)
{
    if (!message)
        message = "DuckDB gave no message";
    if (type == DUCKDB_ERROR_INVALID)
        type = type_in(message);
    return err_set(e, kind_of(type, message), "%s", message);
}
