/*
 * origin: which web pages may use this server from another origin. Browsers reach private networks
 * from any page, and say truthfully where that page is from; other clients send no Origin.
 */
#ifndef KILN_ORIGIN_H
#define KILN_ORIGIN_H

#include "lib/base.h"
#include "lib/err.h"

/* May this page open a WebSocket? No preflight and no CORS header guards that. origin NULL: no
 * browser. host: the Host header. public_url and allowed (KILN_ALLOWED_ORIGINS) may be empty.
 * Allowed are pages of the host that was asked, of public_url, and those listed. */
bool origin_is_allowed(const char *origin, const char *host, const char *public_url,
                       const char *allowed);

/* What Access-Control-Allow-Origin says to a page: its own origin where the list has it, "*" where
 * the list has only that; NULL: nothing. origin NULL: no browser, or a page of this origin. */
const char *origin_listed(const char *origin, const char *allowed);

/* Each entry is one that a browser's Origin can equal; err names the first that is not. */
MUST_CHECK bool origin_check_list(const char *allowed, struct err *err);

#endif
