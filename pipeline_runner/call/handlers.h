/*
 * handlers: what a stage can ask a runner to do, by name.
 */
#ifndef RUNNER_HANDLERS_H
#define RUNNER_HANDLERS_H

#include "pipeline_runner/call/task.h"

/* NULL where there is none of that name. */
const struct handler *handler_find(const char *name);

/* In the order of the table, for --help: NULL behind the last. */
const char *handler_name(size_t index);

#endif
