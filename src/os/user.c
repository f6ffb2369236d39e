/* Who may reach a folder, and whose it is: the few calls that a child running as another user needs. */
#include "base/mem.h"
#include "os/os.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool may_pass(const char *path, uint32_t uid)
{
    struct stat st;

    return stat(path, &st) == 0 && (st.st_mode & (st.st_uid == uid ? S_IXUSR : S_IXOTH));
}

bool os_can_reach(const char *path, uint32_t uid)
{
    char *full = realpath(path, NULL);
    bool ok = full && may_pass("/", uid);

    for (char *at = full; ok && at; at++) {
        char was = *at;

        if ((was != '/' && was != 0) || at == full)
            continue;
        *at = 0;
        ok = may_pass(full, uid);
        *at = was;
        if (was == 0)
            break;
    }
    mem_free(full);
    return ok;
}

bool os_give(const char *path, uint32_t uid, uint32_t gid, struct err *e)
{
    return chown(path, uid, gid) == 0 || err_sys(e, "give %s to user %u", path, uid);
}

bool os_open_to_all(const char *path, struct err *e)
{
    return chmod(path, 0755) == 0 || err_sys(e, "open folder %s to all users", path);
}
