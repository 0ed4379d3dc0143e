/*
 * stream: what event streams have in common, however they are framed: a socket that is ours alone,
 * a bounded queue, replay, expiry, keeping alive, endings. sse.c and websocket.c shake hands and
 * say how things look on the wire.
 *
 * MHD shakes hands; then the socket is ours, in our epoll, and MHD has forgotten it: no walk over
 * suspended connections at each event, no buffers held for idle streams, one frame for all of them.
 *
 * Bounds: KILN_MAX_STREAMS; 32 KiB of the kernel's memory and 64 KiB of ours a stream, then the
 *         reader is cut and resumes by its position; of how far a job is only the latest waits.
 *         While replaying: 1 MiB, and the next page is asked for when all of it was sent.
 */
#ifndef KILN_STREAM_H
#define KILN_STREAM_H

#include "lib/base.h"
#include "server/stream/bus.h"
#include "lib/err.h"
#include "server/stream/frame.h"
#include "server/http/request.h"

struct streams;
struct stream;

enum stream_phase {
    STREAM_HANDSHAKE,
    STREAM_ADOPTED, /* the socket is ours */
    STREAM_JOINING, /* waits for a head */
    STREAM_QUIET,   /* has said ready, wants no events yet but the end of its session */
    STREAM_REPLAYING,
    STREAM_LIVE,
    STREAM_ENDING,   /* sends its last words */
    STREAM_DRAINING, /* has said all; waits for the other side's end */
    STREAM_OVER
};

enum stream_end { END_AGAIN, END_EXPIRED, END_SESSION, END_SLOW_REPLAY, END_DRAIN };

struct stream_kind {
    enum frame_kind frame;
    bool            is_drained; /* at its end we read on until the client has closed */

    void (*heartbeat)(struct stream *stream, uint64_t now_ms); /* keeps proxies awake */
    /* Puts its last words; retry_ms: when the client may come again. */
    void (*last)(struct stream *stream, enum stream_end why, unsigned retry_ms);
    /* Bytes may be read, until there are none; false: it was finished. */
    bool (*input)(struct stream *stream);
    void (*gone)(struct stream *stream); /* NULL, or: frees what the kind holds and the stream */

    /* NULL: its account's events, as they are. The frame of an event for this stream, NULL: it does
     * not want it. */
    const struct frame *(*frame_of)(struct stream *stream, struct bus_event *event);
    /* Statement and parameters of the next page of its replay. */
    void (*page)(struct stream *stream, struct call *call);
};

struct stream {
    struct listener           listener; /* first: what the bus hands back */
    const struct stream_kind *kind;
    struct streams           *streams;
    enum stream_phase         phase;
    bool                      is_replay_asked; /* a reply is on its way */
    bool                      is_ready_said;
    bool                      is_wanted;       /* events are; else it says ready and is quiet */
    bool                      is_from_unknown; /* the client named what cannot be a position */
    unsigned                  calls; /* of the kind's own, under way: they still point here */
    int                       fd;
    int64_t                   expires_at;
    uint64_t                  heartbeat_ms; /* of the next heartbeat; at the end when to cut */
    size_t                    slot;         /* in streams->live + 1; 0: not there */
    struct loop_watch         watch;
    struct loop_task          later;     /* start, then reap: not in the middle of others' work */
    struct outq               out, held; /* to be sent; events that wait for the replay's end */
    char                     *from, *upto;
    struct call               call;
    struct peer              *peer; /* whose connections this one counts with */
    char                      account_text[24];
};

struct streams *streams_open(struct server *server);
void            streams_close(struct streams *streams);
size_t          streams_count(const struct streams *streams);
/* A long poll counts towards KILN_MAX_STREAMS too. */
void           streams_hold(struct streams *streams);
void           streams_release(struct streams *streams);
struct server *streams_server(const struct streams *streams);

/* Ends every stream with a retry, spread over some seconds, so that the clients do not come back
 * all at once. */
void streams_drain(struct streams *streams);

/* Asks SQL who it is; then on_open(r, account), or the problem. */
bool stream_has_room(const struct request *r, struct err *err);
bool stream_can_flow(const struct request *r, struct err *err); /* not over HTTP/1.0 */
void stream_request(struct request *r, void (*on_open)(struct request *r, int64_t account));

/* Fills a stream that was zeroed, from the request: position, expiry, account. r->data is set, and
 * whatever ends the handshake frees it. */
void stream_init(struct stream *stream, const struct stream_kind *kind, struct request *r,
                 int64_t account);

/* The handshake is over: a descriptor that is a duplicate of MHD's. Starts at the end of the
 * iteration, after `before` (NULL: none). */
void stream_adopt(struct stream *stream, int fd);
/* In the kind's hands: starts a stream that was taken. */
void stream_start(struct stream *stream);

/* Asks for events from its position on (stream->from), which it names now or named before. */
void stream_subscribe(struct stream *stream);

void stream_put(struct stream *stream, const char *data, size_t bytes);
void stream_end(struct stream *stream, enum stream_end why, unsigned retry_ms);
void stream_finish(
    struct stream *stream); /* at once; its memory goes at the end of the iteration */
void stream_call_ended(struct stream *stream);

/* Scratch, until the next call of anything here. */
struct frame *stream_frame(struct stream *stream);

#endif
