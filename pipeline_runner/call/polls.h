/*
 * polls: asks providers how accepted calls stand. Tasks that wait hold no slot; any runner takes
 * what is due, sends it, and brings the answers back in batches.
 *
 * Bounds: 64 requests in flight. While something waits the database is asked each second (four
 * times
 *         a second for a while after a call was accepted here: some images take no longer), else
 *         every
 *         7 s; what is lost here comes again.
 * Ownership: end polls_open() with polls_close(), before the transfers are closed.
 */
#ifndef RUNNER_POLLS_H
#define RUNNER_POLLS_H

#include "pipeline_runner/context/runner.h"

struct polls;

struct polls *polls_open(struct runner *runner);
void          polls_close(struct polls *polls);

/* A call was accepted: its answer may come at any moment. polls may be NULL. */
void polls_wake(struct polls *polls);

#endif
