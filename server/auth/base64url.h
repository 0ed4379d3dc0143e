/*
 * base64url: RFC 4648 §5 as RFC 7515 uses it, strictly: no padding, no other characters, unused low
 * bits zero, so that bytes have one spelling only.
 */
#ifndef KILN_BASE64URL_H
#define KILN_BASE64URL_H

#include "lib/base.h"

/* out has room for chars * 3 / 4 bytes. */
MUST_CHECK bool base64url_read(const char *text, size_t chars, void *out, size_t *bytes);

/* Writes a NUL too; out has room for bytes * 4 / 3 + 3. Returns where the NUL is. */
char *base64url_write(char *out, const void *data, size_t bytes);

#endif
