/*
 * accept: which statuses a description takes for a success. SQL decides by the same list what a
 * reply says (kiln_internal.read_reply()); here it tells whether the body is the result, or about
 * an error.
 */
#ifndef RUNNER_ACCEPT_H
#define RUNNER_ACCEPT_H

#include <jansson.h>

#include "lib/base.h"

/* accept: an array of statuses; null or NULL: 2xx. */
bool accept_is_success(const json_t *accept, int status);

#endif
