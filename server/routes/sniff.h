/*
 * sniff: what a file's first bytes say it is. A content type that a client declares is believed
 * only as far as these agree; decoding (kiln-media, in its own process) is the real check.
 */
#ifndef KILN_SNIFF_H
#define KILN_SNIFF_H

#include "lib/base.h"

#define SNIFF_BYTES 32

/* NULL: nothing we know. An ISO file (ftyp) is told apart by its brand. */
const char *sniff_type(const void *head, size_t bytes);

/* content_type without parameters; aliases such as audio/x-wav and image/jpg count as their
 * type. */
bool sniff_agrees(const char *content_type, const void *head, size_t bytes);

#endif
