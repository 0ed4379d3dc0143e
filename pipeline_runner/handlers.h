/*
 * handlers: what a stage can ask a runner to do, by name.
 */
#ifndef RUNNER_HANDLERS_H
#define RUNNER_HANDLERS_H

#include "task.h"

struct handler {
    const char *name;
    bool        is_chatty;            /* its everyday lines are for debug */
    void (*start)(struct task *task); /* ends as task.h says, now or later */
    void (*stop)(struct task *task);  /* the work must end now; task_fail() follows, now or later */
};

/* NULL where there is none of that name. */
const struct handler *handler_find(const char *name);

/* In the order of the table, for --help: NULL behind the last. */
const char *handler_name(size_t index);

#endif
