/*
 * sse: GET /events and the ticket that opens it where no header can be set.
 */
#include "server/stream/sse.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "server/http/rpc.h"
#include "server/stream/stream.h"

#define GREETING  "retry: 2000\n: kiln\n\n"
#define HEARTBEAT "3\r\n:\n\n\r\n" /* an empty comment, as a chunk */

void sse_heartbeat(struct stream *stream, uint64_t now_ms)
{
    (void)now_ms;
    stream_put(stream, HEARTBEAT, sizeof(HEARTBEAT) - 1);
}

/* With the chunk that ends the body. */
void sse_last(struct stream *stream, enum stream_end why, unsigned retry_ms)
{
    struct frame *frame = stream_frame(stream);
    char          lines[64];

    snprintf(lines, sizeof(lines), "%sretry: %u\n\n",
             why == END_EXPIRED   ? ": token expired\n"
             : why == END_SESSION ? ": session ended\n"
                                  : "",
             retry_ms);
    frame_last(frame, lines);
    stream_put(stream, frame->text, frame->bytes);
}

/* The client has nothing to say. */
bool sse_input(struct stream *stream)
{
    char buffer[4096];

    while (recv(stream->fd, buffer, sizeof(buffer), MSG_DONTWAIT) == (ssize_t)sizeof(buffer))
        ;
    return true;
}

static const struct stream_kind kind = {
    .frame = FRAME_SSE, .heartbeat = sse_heartbeat, .last = sse_last, .input = sse_input
};

/* No descriptor left: MHD closes, and what was begun is freed with the request. */
static void adopt_socket(struct stream *stream)
{
    int fd = fcntl(stream->fd, F_DUPFD_CLOEXEC, 0);

    if (fd >= 0)
        stream_adopt(stream, fd);
}

/* MHD asks for bytes: the greeting; then, which means that the greeting is written, the socket
 * becomes ours. The error is the one way to make MHD go without writing the last chunk. */
static ssize_t read_stream(void *cls, uint64_t position, char *buffer, size_t max)
{
    struct stream *stream = cls;

    if (position == 0 && max >= sizeof(GREETING) - 1) {
        memcpy(buffer, GREETING, sizeof(GREETING) - 1);
        return sizeof(GREETING) - 1;
    }
    if (position > 0 && stream->phase == STREAM_HANDSHAKE)
        adopt_socket(stream);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

void sse_answer(struct request *r, struct stream *stream, const struct stream_kind *of,
                int64_t account)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 64, read_stream, stream, NULL);

    if (!response)
        abort();
    stream_init(stream, of, r, account);
    stream->is_wanted = true;
    stream->fd = MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    MHD_add_response_header(response, "Content-Type", "text/event-stream");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Accel-Buffering", "no");
    MHD_add_response_header(response, "Connection", "close"); /* it ends with the stream */
    request_answer(r, 200, response);
}

static void on_open(struct request *r, int64_t account)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (!stream)
        abort();
    sse_answer(r, stream, &kind, account);
}

static void open_events(struct request *r)
{
    struct err err;

    if (stream_can_flow(r, &err))
        stream_request(r, on_open);
    else
        request_problem(r, &err);
}

const struct handler sse_events = { .finish = open_events };

/* A ticket lives as long as the token it was made with, which SQL never sees. */
static void make_ticket(struct request *r)
{
    rpc_route(r, arena_printf(r->arena, "{\"token_expires_at\":%lld}", (long long)r->expires_at));
}

const struct handler sse_ticket = { .finish = make_ticket };
