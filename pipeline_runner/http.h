/*
 * http: the handler `http`: sends a task's input to an address and takes the answer as its output.
 *
 * Thousands of calls may be in flight: libcurl tells which sockets and when, the loop waits.
 *
 * Ownership: end http_open() with http_close(), when no task is using it any more.
 */
#ifndef RUNNER_HTTP_H
#define RUNNER_HTTP_H

#include "task.h"

struct http *http_open(struct runner *runner, struct err *err);
void         http_close(struct http *http);

void http_start(struct task *task);
void http_stop(struct task *task);

/* What a status means; OUTCOME_DONE for 2xx. */
enum outcome http_outcome(long status);

#endif
