/*
 * cors: see cors.h.
 */
#include "server/http/cors.h"

#include <string.h>

#include "server/http/origin.h"

/* What the handlers read. Authorization has to be named: "*" would not include it. */
#define REQUEST_HEADERS                                                                    \
    "Authorization, Content-MD5, Content-Type, Idempotency-Key, If-None-Match, If-Range, " \
    "Last-Event-ID, Range, X-API-Key, X-Request-Id"

/* What they add, besides those that every page may read. */
#define ANSWER_HEADERS                                                                 \
    "Accept-Ranges, Allow, Content-Disposition, Content-Length, Content-Range, ETag, " \
    "Location, Retry-After, WWW-Authenticate, X-Request-Id"

#define PREFLIGHT_SECONDS "7200" /* Chromium keeps no answer longer */

size_t cors_headers(const char *allowed, const char *origin, const char *methods,
                    struct cors_header headers[CORS_HEADERS_MAX])
{
    const char *listed = origin_listed(origin, allowed);
    size_t      n      = 0;

    if (!allowed[0])
        return 0;
    /* Also on an answer without the others: a cache must not give it to an allowed page. */
    headers[n++] = (struct cors_header) { "Vary", "Origin" };
    if (!listed)
        return n;
    headers[n++] = (struct cors_header) { "Access-Control-Allow-Origin", listed };
    if (!methods) {
        headers[n++] = (struct cors_header) { "Access-Control-Expose-Headers", ANSWER_HEADERS };
        return n;
    }
    headers[n++] = (struct cors_header) { "Access-Control-Allow-Methods", methods };
    headers[n++] = (struct cors_header) { "Access-Control-Allow-Headers", REQUEST_HEADERS };
    headers[n++] = (struct cors_header) { "Access-Control-Max-Age", PREFLIGHT_SECONDS };
    return n;
}

bool cors_is_preflight(const char *allowed, const char *method, const char *origin,
                       const char *wanted)
{
    return strcmp(method, "OPTIONS") == 0 && wanted && origin_listed(origin, allowed);
}
