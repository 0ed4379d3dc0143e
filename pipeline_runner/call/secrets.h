/*
 * secrets: tells the database which of the secrets that providers need this runner has. Names only:
 * a secret itself is in this process's environment, and goes into the one request that needs it.
 *
 * Ownership: end secrets_open() with secrets_close().
 */
#ifndef RUNNER_SECRETS_H
#define RUNNER_SECRETS_H

#include "pipeline_runner/context/runner.h"

struct secrets;

struct secrets *secrets_open(struct runner *runner);
void            secrets_close(struct secrets *secrets);

#endif
