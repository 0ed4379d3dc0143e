/*
 * spawn: starts one child process, shut off from everything that is the runner's.
 *
 * Own session and process group, a small environment, no descriptors but the three pipes, resource
 * limits, no network where the kernel lets us, and it dies when the runner dies.
 *
 * Ownership: what struct spawned holds (three pipe ends, a pidfd, a child to reap, the step) is the
 *            caller's.
 */
#ifndef RUNNER_SPAWN_H
#define RUNNER_SPAWN_H

#include <sys/types.h>

#include "base.h"
#include "err.h"

/* A file the child copies into its folder before it starts: in the child, so that no copy stops
 * the loop. */
struct spawn_file {
    int         fd;   /* open for reading; stays the caller's */
    const char *name; /* relative to the folder */
};

struct spawn {
    const char              *path; /* absolute; NULL: run() instead */
    char *const             *argv;
    char *const             *envp;
    const char              *folder; /* becomes the current directory */
    const struct spawn_file *files;
    size_t                   nfiles;
    uint64_t                 memory_bytes; /* address space; 0 = no limit */
    uint64_t                 cpu_seconds;  /* 0 = no limit */
    uint64_t                 file_bytes;   /* the largest file it may write; 0 = no limit */
    bool                     has_network;
    int (*run)(void *ctx,
               int   stdout_fd); /* our own code in the child; its result is the exit code */
    void *ctx;
};

/* How far a child came. An exit code cannot tell: any program may end with 125 too. */
enum spawn_step {
    SPAWN_SETTING_UP,
    SPAWN_RUNNING,
    SPAWN_NOT_RUN, /* all was ready, but the program could not be run */
};

struct spawned {
    pid_t pid;      /* also the number of its process group */
    int   pidfd;    /* readable when it has ended */
    int   stdin_fd; /* -1 with run() */
    int   stdout_fd;
    int   stderr_fd;

    volatile enum spawn_step *step; /* shared with the child; to read once it has ended */
};

#define SPAWN_EXIT_SETUP 125 /* the child could not be set up; stderr says why */

MUST_CHECK bool spawn_start(const struct spawn *spawn, struct spawned *child, struct err *err);

void spawn_forget(volatile enum spawn_step *step);

/* Whether this process may take the network away from a child: tried once, in a child. */
bool spawn_can_cut_network(void);

#endif
