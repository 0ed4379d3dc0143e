/*
 * tool: the handlers `exec` and `media`: one child process a task, in a folder of its own.
 */
#ifndef RUNNER_TOOL_H
#define RUNNER_TOOL_H

#include "pipeline_runner/call/task.h"

void exec_start(struct task *task);
void media_start(struct task *task);
void tool_stop(struct task *task);

#endif
