/*
 * beat: says that this runner lives, and hears what it is to stop.
 *
 * Sent over the second link, apart from the work: a slow batch must not look like a death. Where
 * that link is down the first one carries the beats. Each second while anything runs, each three
 * seconds while nothing does; the lease is five.
 *
 * Ownership: end beat_open() with beat_close(), after the links are closed.
 */
#ifndef RUNNER_BEAT_H
#define RUNNER_BEAT_H

#include "runner.h"

struct beat;

struct beat *beat_open(struct runner *runner);
void         beat_close(struct beat *beat);

/* Work has begun: the next beat comes within a second. */
void beat_hurry(struct beat *beat);

#endif
