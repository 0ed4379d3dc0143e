/*
 * frame: events as bytes, for server-sent events and for WebSocket, and the bounded queue of a
 * stream that cannot take them at once.
 *
 * SSE: MHD has announced Transfer-Encoding: chunked, so what we write ourselves is framed as
 * chunks. A frame is made once an event and sent to every stream that wants it.
 */
#ifndef KILN_FRAME_H
#define KILN_FRAME_H

#include "lib/base.h"

enum frame_kind { FRAME_SSE, FRAME_WS, FRAME_KINDS };

struct frame {
    char  *text;
    size_t bytes, size;
};

void frame_free(struct frame *frame);

/* One event, replacing what was in frame; id NULL: none.
 * FRAME_SSE: one chunk. Line breaks in data become several data lines; id and type with a control
 * character are left out, since they could forge a line.
 * FRAME_WS: one unmasked text message, data (a JSON object) with "position" as its first member. */
void frame_event(struct frame *frame, enum frame_kind kind, const char *id, const char *type,
                 const char *data);

/* One unmasked text message (RFC 6455, 5.2). */
void frame_text(struct frame *frame, const char *text, size_t bytes);

/* Lines as they are (comments, retry), as one chunk; text ends with an empty line. */
void frame_raw(struct frame *frame, const char *text);

/* The same, and behind it the chunk that ends the body. */
void frame_last(struct frame *frame, const char *text);

/* Whether a client's Last-Event-ID can be a position: 1 to 2,048 printable ASCII characters. */
bool frame_id_is_sane(const char *id);

/* ---- a queue of bytes ---- */
struct outq {
    char             *data;
    size_t            start, bytes, size;
    struct outq_mark *marks; /* of what may be replaced, in the order of the bytes */
    size_t            nmarks;
};

void outq_free(struct outq *q);

/* False, and nothing added, where it would pass max. */
MUST_CHECK bool outq_add(struct outq *q, const char *data, size_t bytes, size_t max);
void            outq_consume(struct outq *q, size_t bytes); /* bytes from the front were sent */

/* The same, in place of what was added under this key before, unless a byte of that was taken. It
 * goes to the end: what stands between the two keeps its order and is before it still. Keys of
 * which this is remembered at a time: OUTQ_MARKS, the latest. */
#define OUTQ_MARKS 64
MUST_CHECK bool outq_add_latest(struct outq *q, const char *data, size_t bytes, size_t max,
                                int64_t key);

#endif
