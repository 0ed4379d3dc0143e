/*
 * websocket: whatever bytes a client sends, in whatever pieces they are read and in whatever order its
 * calls are answered: what we say are whole frames of JSON, what goes to SQL is JSON, and only so
 * many calls are under way.
 *
 * The input: how large the reads are, which calls are answered when, then the client's bytes. The
 * frames are read as in the program (read_frames() of websocket.c, wslay below it); what is around
 * them (socket, stream, database) is stood in for here, so the file itself is included.
 */
#include <jansson.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "server/auth/act_as.h"
#include "server/http/rpc.h"
#include "server/routes.h"
#include "server/stream/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static struct server         server;
static const struct identity ann = { .sub = "ann" };

static ssize_t       fuzz_recv(int fd, void *buffer, size_t bytes, int flags);
static bool          fuzz_send(struct pools *pools, struct call *call, struct err *err);
static void          fuzz_put(struct stream *stream, const char *data, size_t bytes);
static void          fuzz_end(struct stream *stream, enum stream_end why, unsigned retry_ms);
static void          fuzz_finish(struct stream *stream);
static void          fuzz_call_ended(struct stream *stream);
static void          fuzz_subscribe(struct stream *stream);
static struct frame *fuzz_frame(struct stream *stream);

#define recv(fd, buffer, bytes, flags)          fuzz_recv(fd, buffer, bytes, flags)
#define pools_send(pools, call, err)            fuzz_send(pools, call, err)
#define stream_put(stream, data, bytes)         fuzz_put(stream, data, bytes)
#define stream_end(stream, why, ms)             fuzz_end(stream, why, ms)
#define stream_finish(stream)                   fuzz_finish(stream)
#define stream_call_ended(stream)               fuzz_call_ended(stream)
#define stream_subscribe(stream)                fuzz_subscribe(stream)
#define stream_frame(stream)                    fuzz_frame(stream)
#define streams_server(streams)                 (&server)
#define bus_leave(bus, listener)                ((void)(listener))
#define statement_of_function(routes, function) 0
#define loop_defer(loop, task)                  ((task)->is_queued = true)
#define loop_defer_cancel(loop, task)           ((task)->is_queued = false)
#include "server/stream/websocket.c" /* NOLINT(bugprone-suspicious-include) */

/* ---- what is around it ---- */

static const uint8_t *client;
static size_t         client_bytes, piece_bytes;
static struct call   *waiting[CALLS_MAX];
static size_t         nwaiting;
static char          *said;
static size_t         said_bytes, said_size;

static ssize_t fuzz_recv(int fd, void *buffer, size_t bytes, int flags)
{
    size_t n = client_bytes < piece_bytes ? client_bytes : piece_bytes;

    (void)fd;
    (void)flags;
    if (n > bytes)
        n = bytes;
    if (n == 0) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(buffer, client, n);
    client += n;
    client_bytes -= n;
    return (ssize_t)n;
}

static json_t *object(const char *text)
{
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(value))
        __builtin_trap();
    return value;
}

static bool fuzz_send(struct pools *pools, struct call *call, struct err *err)
{
    json_t *context = object(call->params[0]), *path = object(call->params[1]);
    json_t *query = object(call->params[2]), *body = object(call->params[3]);

    (void)pools;
    if (nwaiting == CALLS_MAX || !json_object_get(context, "function")
        || !json_is_string(json_object_get(path, "id")) || json_object_get(body, "type")
        || json_object_get(body, "id") || json_object_get(body, "conversation_id"))
        __builtin_trap();
    json_decref(context);
    json_decref(path);
    json_decref(query);
    json_decref(body);
    if (piece_bytes % 7 == 6) {
        err_set(err, "53300", "too many calls wait");
        return false;
    }
    waiting[nwaiting++] = call;
    return true;
}

static void fuzz_put(struct stream *stream, const char *data, size_t bytes)
{
    if (stream->phase >= STREAM_ENDING)
        return;
    if (said_bytes + bytes > said_size) {
        said_size = (said_bytes + bytes) * 2;
        said      = realloc(said, said_size);
        if (!said)
            abort();
    }
    memcpy(said + said_bytes, data, bytes);
    said_bytes += bytes;
}

static void fuzz_end(struct stream *stream, enum stream_end why, unsigned retry_ms)
{
    if (stream->phase >= STREAM_ENDING)
        return;
    stream->kind->last(stream, why, retry_ms);
    if (stream->phase < STREAM_ENDING)
        stream->phase = STREAM_ENDING;
}

static void fuzz_finish(struct stream *stream)
{
    stream->phase = STREAM_OVER;
}

static void fuzz_call_ended(struct stream *stream)
{
    stream->calls--;
}

static void fuzz_subscribe(struct stream *stream)
{
    if (!stream->is_wanted || (stream->from && !frame_id_is_sane(stream->from)))
        __builtin_trap();
    stream->phase = STREAM_JOINING;
}

static struct frame *fuzz_frame(struct stream *stream)
{
    static struct frame frame;

    (void)stream;
    return &frame;
}

/* ---- looking ---- */

static void look_at_text(const char *text, size_t bytes)
{
    json_t     *value = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    const char *type  = json_string_value(json_object_get(value, "type"));

    if (!type
        || (strcmp(type, "answer") != 0 && strcmp(type, "error") != 0 && strcmp(type, "pong") != 0))
        __builtin_trap();
    json_decref(value);
}

/* One frame of ours, of those that are there; how long it is. */
static size_t look_at_frame(const unsigned char *at, size_t bytes)
{
    unsigned opcode = at[0] & 15U;
    size_t   size, head = 2;

    if (bytes < 2 || (at[0] & 0xf0) != 0x80 || at[1] > 127)
        __builtin_trap();
    size = at[1];
    if (size == 126 && bytes >= 4) {
        size = (size_t)at[2] << 8 | at[3];
        head = 4;
    } else if (size == 127 && bytes >= 10) {
        size = 0;
        head = 10;
        for (size_t i = 2; i < 10; i++)
            size = size << 8 | at[i];
    }
    if (size > bytes - head)
        __builtin_trap();
    if (opcode == 1)
        look_at_text((const char *)at + head, size);
    else if ((opcode != 8 && opcode != 10) || size > 125 || (opcode == 8 && size == 1))
        __builtin_trap();
    return head + size;
}

static void look(void)
{
    size_t at = 0;

    while (at < said_bytes) {
        const unsigned char *frame = (unsigned char *)said + at;
        at += look_at_frame(frame, said_bytes - at);
        if ((frame[0] & 15U) == 8 && at < said_bytes)
            __builtin_trap(); /* nothing is said behind the last word */
    }
}

/* ---- a connection ---- */

static void reply(size_t which)
{
    static PGresAttDesc column = { .name = "x" };
    struct call        *call   = waiting[which];
    PGresult           *result = NULL;
    struct err          err;

    waiting[which] = waiting[--nwaiting];
    if (piece_bytes % 3 == 0) {
        err_set(&err, "KN004", "you have left this conversation");
        call->on_reply(call->ctx, NULL, &err);
        return;
    }
    result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    if (!result || !PQsetResultAttrs(result, 1, &column)
        || (piece_bytes % 3 == 1 && !PQsetvalue(result, 0, 0, "{\"id\":\"1\"}", 10)))
        abort();
    call->on_reply(call->ctx, result, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct websocket *ws = calloc(1, sizeof(*ws));
    uint8_t           order;

    if (count < 2) {
        free(ws);
        return 0;
    }
    if (!ws || wslay_event_context_server_init(&ws->frames, &callbacks, ws) != 0)
        abort();
    wslay_event_config_set_max_recv_msg_length(ws->frames, MESSAGE_BYTES);
    piece_bytes      = 1 + (size_t)bytes[0] * bytes[0];
    order            = bytes[1];
    client           = bytes + 2;
    client_bytes     = count - 2;
    said_bytes       = 0;
    ws->identity     = &ann;
    ws->stream.kind  = &kind;
    ws->stream.phase = STREAM_QUIET;
    ws->stream.from  = strdup("1-1.2_2_");
    while ((client_bytes || ws->left_bytes || nwaiting) && ws->stream.phase < STREAM_ENDING) {
        if (ws->is_paused && !nwaiting)
            __builtin_trap(); /* nothing would ever wake it */
        if (!ws->is_paused && (client_bytes || ws->left_bytes))
            (void)kind.input(&ws->stream);
        if (nwaiting && (order & 1 || ws->is_paused || !client_bytes))
            reply(order % nwaiting);
        order = (uint8_t)(order >> 1 | order << 7);
    }
    while (nwaiting)
        reply(0);
    look();
    free(ws->stream.from);
    gone(&ws->stream);
    return 0;
}
