/*
 * heartbeat: says that this runner lives, and hears what it is to stop.
 *
 * Sent over the second link, apart from the work: a slow batch must not look like a death. Where
 * that link is down the first one carries the heartbeats. Each second while anything runs, each
 * three seconds while nothing does; the lease is five.
 *
 * Ownership: end heartbeat_open() with heartbeat_close(), after the links are closed.
 */
#ifndef RUNNER_HEARTBEAT_H
#define RUNNER_HEARTBEAT_H

#include "pipeline_runner/context/runner.h"

struct heartbeat;

struct heartbeat *heartbeat_open(struct runner *runner);
void              heartbeat_close(struct heartbeat *heartbeat);

#endif
