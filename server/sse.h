/*
 * sse: server-sent events (WHATWG HTML, 9.2): the handshake and the framing of a stream.
 */
#ifndef KILN_SSE_H
#define KILN_SSE_H

#include "routes.h"

extern const struct handler sse_events, sse_ticket;

#endif
