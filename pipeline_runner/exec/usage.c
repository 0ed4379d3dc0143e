/*
 * usage: walks by descriptor, never through a symbolic link, without memory of its own.
 */
#include "pipeline_runner/exec/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEEPEST 64 /* as far as folder.c removes */
#define BLOCK   512
#define INODES  128

static bool is_above(const struct usage *usage, const struct usage *most)
{
    return usage->bytes > most->bytes || usage->entries > most->entries;
}

/* A file with holes counts whole: who copies it copies the holes too. */
static uint64_t bytes_of(const struct stat *st)
{
    uint64_t size = (uint64_t)st->st_size, room = (uint64_t)st->st_blocks * BLOCK;

    return size > room ? size : room;
}

static int open_folder(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool is_self_or_parent(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void add_below(struct usage *usage, int fd, const struct usage *most, int depth);

static void add_entry(struct usage *usage, int fd, const char *name, const struct usage *most,
                      int depth)
{
    struct stat st;
    int         inner;

    usage->entries++;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    usage->bytes += S_ISREG(st.st_mode) ? bytes_of(&st) : 0;
    if (!S_ISDIR(st.st_mode))
        return;
    if (depth == DEEPEST) {
        usage->entries = UINT64_MAX; /* nobody would ever come to the end of it */
        return;
    }
    inner = open_folder(fd, name);
    if (inner >= 0) {
        add_below(usage, inner, most, depth + 1);
        close(inner);
    }
}

static void add_below(struct usage *usage, int fd, const struct usage *most, int depth)
{
    _Alignas(struct dirent64) char block[4096];
    ssize_t                        got;

    while (!is_above(usage, most) && (got = getdents64(fd, block, sizeof block)) > 0) {
        for (ssize_t at = 0; at < got && !is_above(usage, most);) {
            const struct dirent64 *entry = (const void *)(block + at);

            at += entry->d_reclen;
            if (!is_self_or_parent(entry->d_name))
                add_entry(usage, fd, entry->d_name, most, depth);
        }
    }
}

void usage_add_folder(struct usage *usage, const char *folder, const struct usage *most)
{
    int fd = open_folder(AT_FDCWD, folder);

    if (fd < 0)
        return;
    add_below(usage, fd, most, 0);
    close(fd);
}

/* ---- processes ---- */

struct held {
    ino_t  inodes[INODES]; /* counted already; more than these may be counted twice */
    size_t count;
    dev_t  device;
};

static bool is_new(struct held *held, const struct stat *st)
{
    for (size_t i = 0; i < held->count; i++)
        if (held->inodes[i] == st->st_ino)
            return false;
    if (held->count < INODES)
        held->inodes[held->count++] = st->st_ino;
    return true;
}

static void add_held(struct usage *usage, int fd, const char *name, struct held *held)
{
    struct stat st;

    if (fstatat(fd, name, &st, 0) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 0
        && st.st_dev == held->device && is_new(held, &st))
        usage->bytes += bytes_of(&st);
}

/* Calls `each` for every entry that is a number. */
static void for_numbers(int fd, void (*each)(struct usage *, int, const char *, struct held *),
                        struct usage *usage, struct held *held)
{
    _Alignas(struct dirent64) char block[4096];
    ssize_t                        got;

    while ((got = getdents64(fd, block, sizeof block)) > 0) {
        for (ssize_t at = 0; at < got;) {
            const struct dirent64 *entry = (const void *)(block + at);

            at += entry->d_reclen;
            if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
                each(usage, fd, entry->d_name, held);
        }
    }
}

static void add_process(struct usage *usage, int proc, const char *name, struct held *held)
{
    int fd, inner;

    if (strtol(name, NULL, 10) == getpid())
        return;
    usage->processes++;
    inner = open_folder(proc, name);
    fd    = inner >= 0 ? open_folder(inner, "fd") : -1;
    if (fd >= 0) {
        for_numbers(fd, add_held, usage, held);
        close(fd);
    }
    if (inner >= 0)
        close(inner);
}

void usage_add_processes(struct usage *usage, const char *folder)
{
    struct held held = { 0 };
    struct stat st;
    int         proc = open_folder(AT_FDCWD, "/proc");

    if (proc >= 0 && stat(folder, &st) == 0) {
        held.device = st.st_dev;
        for_numbers(proc, add_process, usage, &held);
    }
    if (proc >= 0)
        close(proc);
}
