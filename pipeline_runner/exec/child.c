/* child: what every tool and kiln-media is given, and what it may take; see child.h. */
#include "pipeline_runner/exec/child.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM_PATH "/usr/local/bin:/usr/bin:/bin"

/* AddressSanitizer maps terabytes of address space; its programs cannot live under this limit. */
uint64_t child_memory_bytes(int memory_mb)
{
#if defined(__SANITIZE_ADDRESS__)
    (void)memory_mb;
    return 0;
#else
    return (uint64_t)memory_mb << 20;
#endif
}

uint64_t child_folder_bytes(int disk_mb)
{
    return (uint64_t)disk_mb << 20;
}

char **child_environment(struct arena *arena, const char *tools, const char *folder)
{
    char **env = arena_alloc(arena, 5 * sizeof *env);

    env[0] = arena_printf(arena, "PATH=%s%s%s", tools, tools[0] ? ":" : "", SYSTEM_PATH);
    env[1] = arena_printf(arena, "HOME=%s", folder);
    env[2] = arena_printf(arena, "TMPDIR=%s", folder);
    env[3] = "LANG=C.UTF-8";
    return env;
}

char *child_find_program(struct arena *arena, const char *folders, const char *name)
{
    struct stat st;

    if (!name[0] || strchr(name, '/'))
        return NULL;
    while (*folders) {
        size_t len  = strcspn(folders, ":");
        char  *path = arena_printf(arena, "%.*s/%s", (int)len, folders, name);

        if (folders[0] == '/' && stat(path, &st) == 0 && S_ISREG(st.st_mode)
            && access(path, X_OK) == 0)
            return path;
        folders += len + (folders[len] == ':');
    }
    return NULL;
}

const char *child_excess(int disk_mb, const struct proc_end *end, char message[128])
{
    switch (end->excess) {
    case SPAWN_ENTRIES:
        snprintf(message, 128, "the tool made more than %d files", CHILD_ENTRIES_MOST);
        break;
    case SPAWN_PROCESSES:
        snprintf(message, 128, "the tool had more than %d processes", SPAWN_PROCESSES_MOST);
        break;
    default:
        snprintf(message, 128, "the tool's files took more than %d MiB (KILN_TOOLS_DISK_MB)",
                 disk_mb);
    }
    return message;
}
