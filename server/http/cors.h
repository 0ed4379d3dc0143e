/*
 * cors: the headers by which a browser lets a page of another origin read an answer (Fetch
 * Standard, 3.3). KILN_ALLOWED_ORIGINS names the pages; without it there is no such header.
 *
 * No answer says Allow-Credentials: who asks is in Authorization, X-API-Key or a signed link, never
 * in a cookie. So "*" is safe, too: a page knows no token that its user did not give it.
 *
 * Pure: texts in, headers out.
 */
#ifndef KILN_CORS_H
#define KILN_CORS_H

#include "lib/base.h"

#define CORS_HEADERS_MAX 5

struct cors_header {
    const char *name, *value;
};

/* The headers of an answer, and how many. origin: of the request, or NULL. methods: of the path,
 * where the request is a preflight; else NULL. Values are static, or the arguments. */
size_t cors_headers(const char *allowed, const char *origin, const char *methods,
                    struct cors_header headers[CORS_HEADERS_MAX]);

/* Is this the question of an allowed page before its request? wanted:
 * Access-Control-Request-Method. */
bool cors_is_preflight(const char *allowed, const char *method, const char *origin,
                       const char *wanted);

#endif
