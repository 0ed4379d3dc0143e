/*
 * call: the handler `http`: a request to a provider, step by step.
 *
 *   begin_call ──► send ──► call_answer ──► … ──► nothing   the slot is free; a poll or
 *              │                       │                         webhook goes on
 *              │                       ├──► fetch ──► outputs ──► task_done
 *              └──► fetch, complete    └──► complete ──► task_done
 *
 * What is sent and what an answer means is SQL's; here it is carried. A request that may be paid
 * for is sent only after SQL has committed that it will be, once, and its answer is told until SQL
 * has taken it: also for a task that was cancelled meanwhile, or that is someone else's by now.
 */
#ifndef RUNNER_CALL_H
#define RUNNER_CALL_H

#include "pipeline_runner/call/task.h"

void call_start(struct task *task);
void call_stop(struct task *task);

#endif
