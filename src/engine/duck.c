#include "engine/engine_int.h"

#include "os/os.h"

#include <assert.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

struct duck duck;

static struct mutex load_lock = {PTHREAD_MUTEX_INITIALIZER};
static bool loaded;

static bool fill(void *so, struct err *e)
{
    /* dlsym gives an object pointer for a function: POSIX says the bits may be copied. */
#define X(name)                                                                                          \
    {                                                                                                    \
        void *at = dlsym(so, "duckdb_" #name);                                                           \
        if (!at)                                                                                         \
            return err_set(e, ERR_UNSUPPORTED, "libduckdb.so has no duckdb_" #name ": 1.4 or newer is needed"); \
        memcpy(&duck.name, &at, sizeof(at));                                                             \
    }
    DUCK_FUNCTIONS(X)
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

static bool load(const char *library, struct err *e)
{
    char beside[PATH_MAX + 32];
    const char *env = getenv("TARN_DUCKDB");
    if (!library && env && *env)
        library = env;
    if (!library)
        library = beside_program(beside, sizeof(beside)) ? beside : TARN_DUCKDB_SO;
    void *so = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!so)
        return err_set(e, ERR_NOT_FOUND, "cannot load DuckDB (%s): set TARN_DUCKDB to the path of libduckdb.so", dlerror());
    if (!fill(so, e)) {
        dlclose(so);
        return err_wrap(e, "%s", library);
    }
    return true;
}

bool duck_load(const char *library, struct err *e)
{
    mutex_lock(&load_lock);
    bool ok = loaded || load(library, e);
    loaded = ok;
    mutex_unlock(&load_lock);
    return ok;
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
    if (type == DUCKDB_ERROR_INVALID && strstr(message, "INTERRUPT"))
        type = DUCKDB_ERROR_INTERRUPT;
    return err_set(e, kind_of(type, message), "%s", message);
}
