#include "app/project.h"

#include "base/mem.h"
#include "os/os.h"

static bool find_folder(struct project *p, const char *folder, struct err *e)
{
    char *full = os_full_path(folder, e);
    struct os_stat st;

    if (!full)
        return false;
    p->folder = arena_str(&p->arena, str_of(full)).p;
    mem_free(full);
    if (p->os->stat(p->os, p->folder, &st) != 0 || !st.is_dir)
        return err_set(e, ERR_NOT_FOUND, "%s is not a folder", p->folder);
    if (!os_exists(p->os, arena_fmt(&p->arena, "%s/tarn.yaml", p->folder)))
        return err_set(e, ERR_NOT_FOUND, "%s is no project: it has no tarn.yaml (tarn init FOLDER makes one)",
                       p->folder);
    return true;
}

bool project_load(struct project *p, struct os *os, const char *folder, const char *const *assignments,
                  size_t count, struct err *e)
{
    *p = (struct project){.os = os};
    conf_defaults(&p->s, &p->arena);
    if (!find_folder(p, folder, e) ||
        !conf_env_load(&p->env, os, arena_fmt(&p->arena, "%s/.env", p->folder), e) ||
        !conf_load(&p->s, &p->arena, os, arena_fmt(&p->arena, "%s/tarn.yaml", p->folder), &p->env, e))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!conf_assign(&p->s, &p->arena, str_of(assignments[i]), e))
            return err_wrap(e, "--set");
    p->data = p->s.data[0] == '/' ? p->s.data : arena_fmt(&p->arena, "%s/%s", p->folder, p->s.data);
    return conf_check(&p->s, e);
}

void project_fini(struct project *p)
{
    conf_env_fini(&p->env);
    arena_fini(&p->arena);
}
