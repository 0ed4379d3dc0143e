/*
 * keys: fetches the public keys with which providers sign their webhooks. The server, which
 * verifies them, speaks to no one outside.
 *
 * Ownership: end keys_open() with keys_close(), before the transfers are closed.
 */
#ifndef RUNNER_KEYS_H
#define RUNNER_KEYS_H

#include "pipeline_runner/context/runner.h"

struct keys;

struct keys *keys_open(struct runner *runner);
void         keys_close(struct keys *keys);

#endif
