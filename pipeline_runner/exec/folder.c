/*
 * folder: makes, removes and sweeps work folders.
 *
 * What lies in them was written by tools, so it is walked by descriptor, never through a symbolic
 * link, and to a bounded depth.
 */
#include "pipeline_runner/exec/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"

#define DEEPEST 64

/* ---- removing ---- */

static bool remove_tree(int parent_fd, const char *name, int depth);

static bool remove_entries(int fd, int depth)
{
    DIR           *dir = fdopendir(fd); /* owns fd */
    struct dirent *entry;
    bool           ok = dir != NULL;

    if (!dir)
        close(fd);
    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ok = remove_tree(dirfd(dir), entry->d_name, depth + 1) && ok;
    if (dir)
        closedir(dir);
    return ok;
}

static bool remove_tree(int parent_fd, const char *name, int depth)
{
    int fd;

    if (unlinkat(parent_fd, name, 0) == 0)
        return true;
    if ((errno != EISDIR && errno != EPERM) || depth > DEEPEST)
        return errno == ENOENT;
    fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES
        && fchmodat(parent_fd, name, 0700, 0) == 0) /* a tool may have shut its own folder */
        fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    fchmod(fd, 0700);
    remove_entries(fd, depth);
    return unlinkat(parent_fd, name, AT_REMOVEDIR) == 0;
}

void folder_remove(struct folder *folder)
{
    if (folder->fd < 0)
        return;
    if (!remove_tree(folder->parent_fd, folder->name, 0))
        log_warn("a work folder could not be removed", "folder", folder->name, NULL);
    close(folder->fd);
    close(folder->parent_fd);
    folder->fd = folder->parent_fd = -1;
}

/* ---- making ---- */

/* Between making a folder and locking it, it looks like a dead one's. Makers hold this lock
 * shared, a sweep alone. */
static int lock_all(int parent_fd, int how)
{
    int fd = openat(parent_fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    while (fd >= 0 && flock(fd, how) < 0)
        if (errno != EINTR) {
            close(fd);
            return -1;
        }
    return fd;
}

static bool make_inside(struct folder *folder)
{
    if (mkdirat(folder->parent_fd, folder->name, 0700) < 0) {
        /* Fencing numbers begin again with a new database: then this is litter of the old one. */
        if (errno != EEXIST || !remove_tree(folder->parent_fd, folder->name, 0)
            || mkdirat(folder->parent_fd, folder->name, 0700) < 0)
            return false;
    }
    folder->fd =
        openat(folder->parent_fd, folder->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return folder->fd >= 0 && flock(folder->fd, LOCK_EX | LOCK_NB) == 0
           && mkdirat(folder->fd, "in", 0700) == 0 && mkdirat(folder->fd, "out", 0700) == 0;
}

bool folder_make(struct folder *folder, const char *work_folder, int64_t task_id, int64_t fence,
                 struct err *err)
{
    int  lock = -1;
    bool ok   = false;

    *folder = (struct folder) { .fd = -1 };
    snprintf(folder->name, sizeof folder->name, "%" PRId64 "-%" PRId64, task_id, fence);
    snprintf(folder->path, sizeof folder->path, "%s/%s", work_folder, folder->name);
    folder->parent_fd = open(work_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->parent_fd >= 0)
        lock = lock_all(folder->parent_fd, LOCK_SH);
    if (lock >= 0)
        ok = make_inside(folder);
    if (!ok)
        err_errno(err, "make", folder->path);
    if (lock >= 0)
        close(lock);
    if (!ok && folder->fd >= 0)
        folder_remove(folder);
    else if (!ok && folder->parent_fd >= 0)
        close(folder->parent_fd);
    return ok;
}

/* ---- sweeping ---- */

static bool is_in(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    return strncmp(path, folder, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* A runner that was killed takes its children with it, but not theirs. Who still works in the dead
 * one's folder is known by its current directory. */
static void kill_inside(const char *folder)
{
    DIR           *proc = opendir("/proc");
    struct dirent *entry;

    while (proc && (entry = readdir(proc))) {
        long    pid = strtol(entry->d_name, NULL, 10);
        char    link[64], cwd[4096];
        ssize_t len;

        if (pid <= 1 || pid == getpid())
            continue;
        snprintf(link, sizeof link, "/proc/%ld/cwd", pid);
        len = readlink(link, cwd, sizeof cwd - 1);
        if (len <= 0)
            continue;
        cwd[len] = '\0';
        if (is_in(cwd, folder)) {
            log_warn("ended a process that outlived its runner", "pid", LOG_I64(pid), NULL);
            kill((pid_t)pid, SIGKILL);
        }
    }
    if (proc)
        closedir(proc);
}

static bool is_dead(int parent_fd, const char *name)
{
    int  fd      = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool is_free = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;

    if (fd >= 0)
        close(fd);
    return is_free;
}

static void sweep_entries(int parent_fd, const char *work_folder)
{
    int            fd  = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR           *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    char           path[4096];

    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || !is_dead(parent_fd, entry->d_name))
            continue;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", work_folder, entry->d_name) >= sizeof path)
            continue;
        kill_inside(path);
        if (!remove_tree(parent_fd, entry->d_name, 0))
            log_warn("a dead runner's folder could not be removed", "folder", entry->d_name, NULL);
    }
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
}

bool folder_sweep(const char *work_folder, struct err *err)
{
    char real[4096];
    int  fd, lock;

    if (mkdir(work_folder, 0700) < 0 && errno != EEXIST) {
        err_errno(err, "make", work_folder);
        return false;
    }
    fd   = open(work_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    lock = fd >= 0 ? lock_all(fd, LOCK_EX) : -1;
    if (lock < 0) {
        err_errno(err, "lock", work_folder);
        if (fd >= 0)
            close(fd);
        return false;
    }
    sweep_entries(fd, realpath(work_folder, real) ? real : work_folder);
    close(lock);
    close(fd);
    return true;
}
