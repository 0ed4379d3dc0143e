/*
 * proc: a child process in the loop: feeds its stdin, gathers its stdout, reads its stderr by
 * lines, ends it in time.
 *
 * Ownership: proc_start() gives a proc that lives until on_end() has returned; on_end() comes
 *            exactly once, never from inside proc_start(). What its struct proc_end points at lives
 *            until it returns.
 * Bounds:    stdout at most stdout_most (more ends the process), stderr any amount, read by lines
 *            of at most 1 KiB.
 */
#ifndef RUNNER_PROC_H
#define RUNNER_PROC_H

#include "lib/base.h"
#include "lib/err.h"
#include "lib/loop.h"
#include "pipeline_runner/exec/spawn.h"

struct proc;

#define PROC_GRACE_MS 2000 /* between SIGTERM and SIGKILL */
#define PROC_LINE_MAX 1024

enum proc_cause {
    PROC_EXITED, /* by itself: look at status */
    PROC_TIMED_OUT,
    PROC_FLOODED,    /* more than stdout_most */
    PROC_EXCESSIVE,  /* it took too much of the machine: look at excess */
    PROC_STOPPED,    /* proc_stop() or proc_kill() */
    PROC_NOT_SET_UP, /* the child could not be made ready; last_line says why, as below */
    PROC_NOT_RUN,    /* it was ready, but the program could not be run */
};

struct proc_end {
    enum proc_cause   cause;
    enum spawn_excess excess;
    int               status; /* as waitpid() gives it */
    const char       *out;    /* stdout, NUL-ended behind out_bytes */
    size_t            out_bytes;
    const char       *last_line; /* of stderr that is not a report of progress; or "" */
};

struct proc_options {
    struct spawn spawn;
    const char  *input; /* for stdin; lives until on_end() */
    size_t       input_bytes;
    uint64_t     timeout_ms;
    size_t       stdout_most;
    bool (*on_line)(
        void       *ctx,
        const char *line); /* true: was a report, does not count as last_line. May be NULL */
    void (*on_end)(void *ctx, const struct proc_end *end);
    void *ctx;
};

/* *opt is read before it returns; only what the comments above say must live on. */
struct proc *proc_start(struct loop *loop, const struct proc_options *opt, struct err *err);

/* Asks the whole process group to end, and ends it two seconds later. */
void proc_stop(struct proc *proc);

/* Ends the whole process group now. */
void proc_kill(struct proc *proc);

/* The same for who ends before it: waits for its end, and frees it without on_end(). */
void proc_abandon(struct proc *proc);

#endif
