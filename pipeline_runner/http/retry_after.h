/*
 * retry_after: the Retry-After header of RFC 9110 §10.2.3 as milliseconds.
 */
#ifndef RUNNER_RETRY_AFTER_H
#define RUNNER_RETRY_AFTER_H

#include <time.h>

/* -1 where the value is neither seconds nor an HTTP date. A moment gone by is 0; at most a day. */
int retry_after_ms(const char *value, time_t now);

#endif
