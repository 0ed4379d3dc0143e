/*
 * uri: decoding what a client wrote after the host. libmicrohttpd's own decoding is switched off,
 * since it ends a path at %00 and turns %2F into a divider before we can look.
 */
#ifndef KILN_URI_H
#define KILN_URI_H

#include "lib/base.h"
#include "lib/err.h"
#include "lib/jbuf.h"

/* Decodes %XX (and, in a query, + as a space) into out, which holds bytes + 1. False: a broken
 * escape, a NUL, or what results is not UTF-8. */
MUST_CHECK bool uri_decode(const char *text, size_t bytes, bool is_query, char *out, size_t *len);

/* Writes {"name":"value",…} of a raw query (NULL: {}). A name given twice stays twice: jsonb takes
 * the last. False: an escape is broken, or there are more than 32 pairs or more than 4 KiB; *err
 * says which (KN006). */
MUST_CHECK bool uri_query_json(struct jbuf *j, const char *query, struct err *err);

/* The decoded value of one name, first occurrence. False: not there, broken, or longer than out. */
MUST_CHECK bool uri_query_get(const char *query, const char *name, char *out, size_t size);

/* Whether the name is there, whatever its value. */
bool uri_query_has(const char *query, const char *name);

#endif
