/*
 * copy: moves media from store to store: `kiln-runner copy-media FROM TO`, with the list on stdin
 * (./kiln media copy writes it).
 *
 * Each line: KEY SHA256 BYTES, where SHA256 and BYTES may be "-". What is there already, with the
 * same size, is passed over, so a copy that was broken off goes on; what is copied is compared with
 * its SHA-256 while it is written, and appears whole or not at all. A file that is gone by now was
 * deleted, which is fine: the stack may run meanwhile.
 */
#ifndef RUNNER_COPY_H
#define RUNNER_COPY_H

#include <stdio.h>

/* An exit code: 0 all is there now, 65 some files are not what their rows say, 74 a store does not
 * answer, 78 a URL is wrong. */
int copy_media(const char *from_url, const char *to_url, FILE *list, FILE *out);

#endif
