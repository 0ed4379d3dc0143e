/*
 * drain: the end of a runner, which loses and repeats no work.
 */
#ifndef RUNNER_DRAIN_H
#define RUNNER_DRAIN_H

#include "pipeline_runner/dispatch/slots.h"

/* SIGTERM: once to drain, twice to hand back at once. */
void drain(struct dispatch *d);
void drain_step(struct dispatch *d);

#endif
