/*
 * origin: which web pages may open a WebSocket here. Browsers send cookies and reach private
 * networks from any page, and say truthfully where that page is from; other clients send nothing.
 */
#ifndef KILN_ORIGIN_H
#define KILN_ORIGIN_H

#include "base.h"

/* origin NULL: no browser. host: the Host header. public_url and allowed (origins, separated by
 * commas; * for all) may be empty. Allowed are pages of the host that was asked, of public_url, and
 * those listed. */
bool origin_is_allowed(const char *origin, const char *host, const char *public_url,
                       const char *allowed);

#endif
