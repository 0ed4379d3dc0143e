/*
 * sse: event streams. MHD shakes hands; after the first chunk the socket is ours, in our epoll, and
 * MHD has forgotten it: no walk over suspended connections at each event, no buffers held for idle
 * streams, one frame for all of them.
 *
 * Bounds: KILN_MAX_STREAMS; 32 KiB of the kernel's memory and 64 KiB of ours a stream, then the
 * reader is cut and
 *         resumes by its position. While replaying: 1 MiB, and the next page is asked for when all
 * of it was sent.
 */
#ifndef KILN_SSE_H
#define KILN_SSE_H

#include "base.h"
#include "err.h"
#include "frame.h"
#include "routes.h"

struct sse;
struct server;
struct stream;

struct sse *sse_open(struct server *server);
void        sse_close(struct sse *sse);
size_t      sse_streams(const struct sse *sse);

/* Ends every stream with a retry, spread over some seconds, so that the clients do not come back
 * all at once. */
void sse_drain(struct sse *sse);

/* ---- between sse and bus ---- */
struct stream_link { /* how the bus holds a stream; embedded in it */
    struct stream  *next;
    struct stream **at; /* what points here; NULL: in no list */
};

struct stream_link *stream_link(struct stream *stream);
int64_t             stream_account(const struct stream *stream);

/* The pump stands at head: say ready, or replay up to it. */
void stream_begin(struct stream *stream, const char *head);
void stream_event(struct stream *stream, const struct frame *frame);
/* The pump's position is not known any more: tell the client, go on from head. */
void stream_reset(struct stream *stream, const char *head);

extern const struct handler sse_events, sse_ticket;

#endif
