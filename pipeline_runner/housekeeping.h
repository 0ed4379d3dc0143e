/*
 * housekeeping: removes from the store, each ten seconds, the files whose rows are gone, and those
 * that never had one.
 *
 * Ownership: end housekeeping_open() with housekeeping_close(), after the links are closed.
 */
#ifndef RUNNER_HOUSEKEEPING_H
#define RUNNER_HOUSEKEEPING_H

#include "pipeline_runner/context/runner.h"

struct housekeeping *housekeeping_open(struct runner *runner);
void                 housekeeping_close(struct housekeeping *housekeeping);

#endif
