/*
 * dispatch: the heart of a runner: claims tasks into free slots, starts them, brings their outcomes
 * home. All work is sent over one link, in order.
 *
 * Ownership: end dispatch_open() with dispatch_close(), after the links are closed.
 * Bounds:    see slots.h.
 */
#ifndef RUNNER_DISPATCH_H
#define RUNNER_DISPATCH_H

#include "pipeline_runner/context/runner.h"
#include "pipeline_runner/dispatch/slots.h"

struct dispatch *dispatch_open(struct runner *runner);
void             dispatch_close(struct dispatch *d);

void dispatch_link_up(struct dispatch *d);
void dispatch_notified(struct dispatch *d); /* there is work, says the database */

/* What the tasks of a dispatch tell it. */
extern const struct task_owner dispatch_task_owner;

#endif
