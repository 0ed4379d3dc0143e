/*
 * spawn: starts one child process, shut off from everything that is the runner's.
 *
 * Own session and process group, a small environment, no descriptors but the three pipes, resource
 * limits, a sandbox (sandbox.h), and it dies when the runner dies.
 *
 *   runner ──► watcher: the namespaces' first process; sees what the program takes, ends with it
 *                      ──► the program
 *
 * What the program leaves behind ends with the watcher: in a process namespace by the kernel, else
 * with the group, which the filter lets nobody leave.
 *
 * Ownership: what struct spawned holds (three pipe ends, a pidfd, a child to reap, the step) is the
 *            caller's.
 */
#ifndef RUNNER_SPAWN_H
#define RUNNER_SPAWN_H

#include <sys/types.h>

#include "lib/base.h"
#include "lib/err.h"
#include "pipeline_runner/exec/sandbox.h"

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
    uint64_t                 memory_bytes;   /* address space; 0 = no limit */
    uint64_t                 cpu_seconds;    /* 0 = no limit */
    uint64_t                 file_bytes;     /* the largest file it may write; 0 = no limit */
    uint64_t                 folder_bytes;   /* all that lies in the folder; 0 = no limit */
    uint64_t                 folder_entries; /* files, folders, links; with folder_bytes */
    const struct sandbox    *sandbox;        /* NULL: none, for tests; run() has none */
    const char *reads;  /* paths, by colons, that it reads and executes, beside the system's */
    const char *writes; /* paths, by colons, that it reads and writes */
    bool        has_network;
    bool        keeps_inputs; /* in/ is only read */
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

/* What it took too much of, and was ended for. */
enum spawn_excess { SPAWN_NO_EXCESS, SPAWN_BYTES, SPAWN_ENTRIES, SPAWN_PROCESSES };

/* Shared with the child until it execs, so that no program can forge it. */
struct spawn_report {
    enum spawn_step   step;
    enum spawn_excess excess;
    bool              has_status; /* the watcher has seen the program's end: */
    int               status;     /* as waitpid() gave it */
};

#define SPAWN_PROCESSES_MOST 1024 /* with namespaces of its own; threads count too, but for root */

struct spawned {
    pid_t pid;      /* also the number of its process group */
    int   pidfd;    /* readable when it has ended */
    int   stdin_fd; /* -1 with run() */
    int   stdout_fd;
    int   stderr_fd;

    volatile struct spawn_report *report; /* to read once it has ended */
};

#define SPAWN_EXIT_SETUP 125 /* the child could not be set up; stderr says why */

MUST_CHECK bool spawn_start(const struct spawn *spawn, struct spawned *child, struct err *err);

void spawn_forget(volatile struct spawn_report *report);

#endif
