/*
 * program: ffmpeg, ffprobe and espeak-ng as child processes.
 *
 * No shell: an argv array. The child dies with us (PDEATHSIG), dies when its time is up (alarm(2)
 * outlives exec), and has no open file but its three. It is made by fork, not posix_spawn, which
 * cannot set PDEATHSIG; between fork and exec only async-signal-safe calls are made. Its stderr
 * goes to memory without a name, so nothing can block on it.
 */
#ifndef MEDIA_PROGRAM_H
#define MEDIA_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "media/tool/fault.h"

struct program {
    pid_t       pid;
    int         in, out, err; /* in: write here (or -1); out: read here (or -1); err: a memfd */
    const char *name;
};

enum program_pipes { PROGRAM_IN = 1, PROGRAM_OUT = 2 };

/* argv ends with NULL; argv[0] is looked up in PATH. */
bool program_start(struct program *program, const char *const *argv, int pipes, unsigned seconds,
                   struct fault *fault);
bool program_write(struct program *program, const void *bytes,
                   size_t count); /* false: it reads no more */
void program_end_input(struct program *program);

/* Waits. false: it failed, was stopped, or (if is_strict) complained; *fault has exit_code and its
 * first line. */
bool program_finish(struct program *program, bool is_strict, int exit_code, struct fault *fault);
void program_kill(struct program *program);

/* The whole of it for small output: text in (or NULL), at most `most` bytes out; *out is g_free'd
 * by the caller. */
bool program_run(const char *const *argv, const char *in, char **out, size_t *out_bytes,
                 size_t most, unsigned seconds, bool is_strict, int exit_code, struct fault *fault);

#endif
