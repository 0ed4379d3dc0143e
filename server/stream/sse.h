/*
 * sse: server-sent events (WHATWG HTML, 9.2): the handshake and the framing of a stream.
 */
#ifndef KILN_SSE_H
#define KILN_SSE_H

#include "server/http/route.h"
#include "server/stream/stream.h"

/* Answers with a stream, which is zeroed, of a kind that has these three. */
void sse_answer(struct request *r, struct stream *stream, const struct stream_kind *of,
                int64_t account);
void sse_heartbeat(struct stream *stream, uint64_t now_ms);
void sse_last(struct stream *stream, enum stream_end why, unsigned retry_ms);
bool sse_input(struct stream *stream);

extern const struct handler sse_events, sse_ticket;

#endif
