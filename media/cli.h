/*
 * cli: the program behind main(): op table, files instead of stdin and stdout so that tests can
 * call it.
 */
#ifndef MEDIA_CLI_H
#define MEDIA_CLI_H

#include <stdio.h>

/* Once a process, before cli_run; false: libvips does not start. */
int cli_start(const char *program);

/* Gives the exit code. */
int cli_run(int argc, char **argv, FILE *in, FILE *out, FILE *log);

#endif
