/*
 * base64: RFC 4648 by nettle, read strictly: no white space, unused low bits zero, so that bytes
 * have one spelling only.
 */
#ifndef KILN_BASE64_H
#define KILN_BASE64_H

#include "lib/base.h"

/* The alphabet of §5 without padding, as RFC 7515 uses it. out has room for chars * 3 / 4 bytes. */
MUST_CHECK bool base64url_read(const char *text, size_t chars, void *out, size_t *bytes);

/* Either alphabet, with or without padding: secrets and keys are written down in each way. False
 * where out, of `size` bytes, has no room. */
MUST_CHECK bool base64_read_any(const char *text, size_t chars, void *out, size_t size,
                                size_t *bytes);

/* Writes a NUL too; out has room for bytes * 4 / 3 + 3. Returns where the NUL is. */
char *base64url_write(char *out, const void *data, size_t bytes);

#endif
