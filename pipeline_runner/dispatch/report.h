/*
 * report: what is told to the database one task at a time.
 */
#ifndef RUNNER_REPORT_H
#define RUNNER_REPORT_H

#include "pipeline_runner/dispatch/slots.h"

void report_step(struct dispatch *d, uint64_t now_ns);

#endif
