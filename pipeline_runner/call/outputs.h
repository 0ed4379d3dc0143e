/*
 * outputs: brings the files a tool made into the store, one after the other, and their ids into the
 * task's output.
 *
 * For each: opened safely, probed by kiln-media (never believed from the tool), stored durably,
 * then put_media. So a media row always has its file.
 *
 * Ownership: outputs_start() gives an object that lives until on_end() has returned; on_end() comes
 *            exactly once, never from inside outputs_start(). task, arena, folder and reply live
 *            longer.
 */
#ifndef RUNNER_OUTPUTS_H
#define RUNNER_OUTPUTS_H

#include "pipeline_runner/exec/folder.h"
#include "pipeline_runner/call/task.h"

struct outputs;

struct outputs_end {
    enum outcome outcome;
    char        *output;  /* malloc'ed, the receiver's; only with OUTCOME_DONE */
    bool         is_lost; /* the task is no longer ours */
    const char  *unable;  /* for task_unable(), instead of the outcome; or NULL */
    const char  *message;
};

struct outputs *outputs_start(struct task *task, struct arena *arena, const struct folder *folder,
                              struct protocol_reply *reply,
                              void (*on_end)(void *ctx, const struct outputs_end *end), void *ctx);

/* on_end() follows, now or as soon as what runs has ended. */
void outputs_stop(struct outputs *outputs);

#endif
