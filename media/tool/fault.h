/*
 * fault: why an op could not be done, as one sentence and the exit code that tells the runner what
 * to make of it.
 *
 * A function that can fail takes `struct fault *fault`, returns false (or NULL) and has filled it.
 * The first reason wins: a later fault_set on a filled fault changes nothing, so the cause is what
 * people read.
 */
#ifndef MEDIA_FAULT_H
#define MEDIA_FAULT_H

#include <stdbool.h>

enum {
    EXIT_INVALID   = 65, /* the input is at fault: trying again cannot help */
    EXIT_TRANSIENT = 75  /* this machine is at fault: another try may succeed */
};

struct fault {
    int  exit_code; /* 0: no fault */
    char sentence[400];
};

bool fault_set(struct fault *fault, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Takes the first line of libvips' own error buffer as the tail of the sentence, and clears that
 * buffer. */
bool fault_vips(struct fault *fault, int exit_code, const char *what);

#endif
