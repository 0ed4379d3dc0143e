/*
 * websocket: handshake through MHD, frames of clients through wslay, the rest is stream.c's.
 */
#include "server/stream/websocket.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#include "lib/failpoint.h"
#include "lib/jscan.h"
#include "lib/log.h"
#include "server/auth/act_as.h"
#include "server/http/origin.h"
#include "server/pool/owner.h"
#include "server/http/problem.h"
#include "server/http/statements.h"
#include "server/stream/stream.h"

#define MESSAGE_BYTES  65536
#define HEAD_BYTES     14
#define FRAGMENTS_MAX  256
#define CALLS_MAX      8
#define SILENT_MS      45000
#define READS_AT_ONCE  16 /* of 4 KiB; then other streams are served, however fast one writes */
#define ID_BYTES       100
#define IDENTITY_BYTES 512
#define ACCEPT_BYTES   29
#define GUID           "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define CLOSE_1002     "\x88\x02\x03\xea"

struct websocket {
    struct stream                     stream; /* first */
    wslay_event_context_ptr           frames;
    struct MHD_UpgradeResponseHandle *handle;
    struct arena                     *arena;
    const struct identity            *identity; /* for act_as, asked again for each call */
    const char                       *request_id;
    bool                              is_paused, is_closing, is_mute;
    unsigned                          fragments;
    uint64_t                          heard_ms;
    const uint8_t                    *in; /* what was read and wslay has not taken */
    size_t                            in_bytes;
    uint8_t                           head[HEAD_BYTES]; /* of the frame that wslay is being given */
    size_t                            head_have;
    uint64_t                          payload_left;
    uint8_t         *left; /* what came while it was paused; what came with the handshake */
    size_t           left_bytes;
    struct loop_task more; /* there may be bytes to read yet */
};

/* A call of SQL for one message. */
struct pending_call {
    struct call       call;
    struct websocket *ws;
    unsigned          status; /* of success */
    char             *id, *context, *path, *body;
};

static bool read_frames(struct websocket *ws);

/* ---- saying ---- */

static void put_text(struct websocket *ws, const char *text, size_t bytes)
{
    struct frame *frame = stream_frame(&ws->stream);

    frame_text(frame, text, bytes);
    stream_put(&ws->stream, frame->text, frame->bytes);
}

static void put_json(struct websocket *ws, struct jbuf *j)
{
    jbuf_end(j);
    put_text(ws, jbuf_text(j), j->len);
    jbuf_free(j);
}

static void begin_json(struct jbuf *j, const char *type, const char *id)
{
    jbuf_object(j);
    jbuf_key(j, "type");
    jbuf_str(j, type);
    if (id) {
        jbuf_key(j, "id");
        jbuf_str(j, id);
    }
}

static void say_problem(struct websocket *ws, const char *id, const struct err *err)
{
    const struct problem *problem = problem_find(err);
    struct jbuf           j = { 0 }, what = { 0 };

    if (!problem->is_ours)
        log_warn("a message failed", "account_id", ws->stream.account_text, "sqlstate",
                 err->sqlstate, "error", err->message, NULL);
    problem_json(&what, problem, err, NULL);
    begin_json(&j, "error", id);
    jbuf_key(&j, "problem");
    jbuf_raw(&j, jbuf_text(&what));
    put_json(ws, &j);
    jbuf_free(&what);
}

static void refuse(struct websocket *ws, const char *id, const char *sqlstate, const char *sentence)
{
    struct err err;

    err_set(&err, sqlstate, "%s", sentence);
    say_problem(ws, id, &err);
}

/* ---- closing ---- */

/* wslay's own words (close, pong) go through the stream's queue like all others. */
static ssize_t send_frames(wslay_event_context_ptr ctx, const uint8_t *data, size_t bytes,
                           int flags, void *user_data)
{
    struct websocket *ws = user_data;

    (void)ctx;
    (void)flags;
    if (!ws->is_mute)
        stream_put(&ws->stream, (const char *)data, bytes);
    return (ssize_t)bytes;
}

static void close_with(struct websocket *ws, uint16_t code, const char *reason)
{
    if (ws->is_closing)
        return;
    ws->is_closing = true;
    wslay_event_queue_close(ws->frames, code, (const uint8_t *)reason, strlen(reason));
    wslay_event_send(ws->frames);
}

/* wslay says no code then: ours is the last word. */
static void close_broken(struct websocket *ws)
{
    if (!ws->is_mute && !wslay_event_get_close_sent(ws->frames))
        stream_put(&ws->stream, CLOSE_1002, sizeof(CLOSE_1002) - 1);
    ws->is_closing = ws->is_mute = true;
}

static void last(struct stream *stream, enum stream_end why, unsigned retry_ms)
{
    char reason[64];

    snprintf(reason, sizeof(reason), "%s; again in %u ms",
             why == END_EXPIRED ? "token expired"
             : why == END_DRAIN ? "stopping"
                                : "try again",
             retry_ms);
    close_with((struct websocket *)stream,
               (uint16_t)(why == END_EXPIRED ? 4001
                          : why == END_DRAIN ? WSLAY_CODE_GOING_AWAY
                                             : 1013),
               reason);
}

/* ---- what a client says ---- */

static void pending_free(struct pending_call *pending)
{
    free(pending->id);
    free(pending->context);
    free(pending->path);
    free(pending->body);
    free(pending);
}

static void answer(struct websocket *ws, const struct pending_call *pending, const PGresult *result)
{
    struct jbuf j    = { 0 };
    bool        none = PQntuples(result) != 1 || PQgetisnull(result, 0, 0);

    begin_json(&j, "answer", pending->id);
    jbuf_key(&j, "status");
    jbuf_i64(&j, pending->status);
    jbuf_key(&j, "body");
    jbuf_raw(&j, none ? "null" : PQgetvalue(result, 0, 0));
    put_json(ws, &j);
}

static void on_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct pending_call *pending = ctx;
    struct websocket    *ws      = pending->ws;

    if (ws->stream.phase < STREAM_ENDING) {
        if (err)
            say_problem(ws, pending->id, err);
        else
            answer(ws, pending, result);
    }
    PQclear(result);
    pending_free(pending);
    if (ws->is_paused && ws->stream.phase < STREAM_ENDING) {
        ws->is_paused = false;
        stream_call_ended(&ws->stream);
        (void)read_frames(ws);
    } else {
        stream_call_ended(&ws->stream);
    }
}

static const struct command {
    const char *type, *function;
    unsigned    status;
} commands[] = { { "message.send", "create_message", 201 },
                 { "message.read", "mark_read", 200 },
                 { "message.delivered", "mark_delivered", 200 },
                 { "typing", "send_typing", 204 } };

/* The object without what is ours is the body that REST would have. */
static bool call_command(struct websocket *ws, const struct command *command, json_t *message,
                         const char *id, struct err *err)
{
    const char *conversation = json_string_value(json_object_get(message, "conversation_id"));
    struct pending_call *pending;
    json_t              *path;

    if (!conversation)
        return problem_field(err, "/conversation_id", "is required");
    pending = calloc(1, sizeof(*pending));
    path    = json_pack("{s:s}", "id", conversation);
    if (!pending || !path)
        abort();
    pending->path    = json_dumps(path, 0);
    pending->context = act_as_json(&(struct act_as) { .identity   = ws->identity,
                                                      .function   = command->function,
                                                      .writes     = true,
                                                      .request_id = ws->request_id });
    json_decref(path);
    pending->id = id ? strdup(id) : NULL;
    json_object_del(message, "type");
    json_object_del(message, "id");
    json_object_del(message, "conversation_id");
    pending->body   = json_dumps(message, 0);
    pending->ws     = ws;
    pending->status = command->status;
    pending->call =
        (struct call) { .pool      = POOL_WRITE,
                        .statement = statement_of_function(
                            streams_server(ws->stream.streams)->routes, command->function),
                        .owner    = owner_of_account(ws->stream.listener.account),
                        .params   = { pending->context, pending->path, "{}", pending->body },
                        .on_reply = on_reply,
                        .ctx      = pending };
    if (!pools_send(streams_server(ws->stream.streams)->pools, &pending->call, err)) {
        pending_free(pending);
        return false;
    }
    ws->stream.calls++;
    return true;
}

/* A position that cannot be one is answered by reset, as /events does. */
static void subscribe(struct websocket *ws, const json_t *message, const char *id)
{
    struct stream *stream = &ws->stream;
    const json_t  *from   = json_object_get(message, "last_event_id");
    const char    *text   = json_string_value(from);

    if (stream->is_wanted) {
        refuse(ws, id, "KN006", "This connection is subscribed already.");
        return;
    }
    if (from && !json_is_null(from) && !text) {
        refuse(ws, id, "KN006", "last_event_id must be a string.");
        return;
    }
    stream->is_wanted = true;
    if (text) {
        free(stream->from);
        stream->is_from_unknown = !frame_id_is_sane(text);
        stream->from            = stream->is_from_unknown ? NULL : strdup(text);
    }
    bus_leave(streams_server(stream->streams)->bus, &stream->listener);
    stream_subscribe(stream);
}

static void pong(struct websocket *ws, const char *id)
{
    struct jbuf j = { 0 };

    begin_json(&j, "pong", id);
    put_json(ws, &j);
}

static void handle_message(struct websocket *ws, json_t *message, const char *id)
{
    const char *type = json_string_value(json_object_get(message, "type"));
    struct err  err;

    for (size_t i = 0; type && i < countof(commands); i++)
        if (strcmp(type, commands[i].type) == 0) {
            if (!call_command(ws, &commands[i], message, id, &err))
                say_problem(ws, id, &err);
            return;
        }
    if (type && strcmp(type, "subscribe") == 0)
        subscribe(ws, message, id);
    else if (type && strcmp(type, "ping") == 0)
        pong(ws, id);
    else
        refuse(ws, id, "KN006",
               "type must be subscribe, message.send, message.read, message.delivered, typing or "
               "ping.");
}

/* The id of a message that is refused for what stands elsewhere in it; NULL: none can be read.
 * malloc'ed. */
static char *refused_id(const char *text, size_t bytes)
{
    char       *copy = malloc(bytes + 1), *id = NULL;
    json_t     *message;
    const char *given;

    if (!copy)
        abort();
    memcpy(copy, text, bytes);
    jscan_blank_numbers(copy, bytes);
    jscan_blank_escapes(copy, bytes);
    message = json_loadb(copy, bytes, JSON_REJECT_DUPLICATES, NULL);
    given   = json_string_value(json_object_get(message, "id"));
    if (given && strlen(given) <= ID_BYTES)
        id = strdup(given);
    json_decref(message);
    free(copy);
    return id;
}

static void take_text(struct websocket *ws, const char *text, size_t bytes)
{
    json_t     *message;
    const char *given;
    char       *id;
    struct err  err;

    if (!jscan_check(text, bytes, &err)) {
        id = refused_id(text, bytes);
        say_problem(ws, id, &err);
        free(id);
        return;
    }
    message = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    given   = json_string_value(json_object_get(message, "id"));
    if (!json_is_object(message)) {
        refuse(ws, NULL, "KN006", "A message must be a JSON object.");
    } else if (json_object_get(message, "id") && (!given || strlen(given) > ID_BYTES)) {
        refuse(ws, NULL, "KN006", "id must be a string of at most 100 bytes.");
    } else {
        id = given ? strdup(given) : NULL;
        handle_message(ws, message, id);
        free(id);
    }
    json_decref(message);
}

/* ---- frames ---- */

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg,
                       void *user_data)
{
    struct websocket *ws = user_data;

    (void)ctx;
    ws->fragments = 0;
    if (arg->opcode == WSLAY_TEXT_FRAME && !ws->is_closing)
        take_text(ws, (const char *)arg->msg, arg->msg_length);
    else if (arg->opcode == WSLAY_BINARY_FRAME)
        close_with(ws, WSLAY_CODE_UNSUPPORTED_DATA, "text only");
    else if (arg->opcode == WSLAY_CONNECTION_CLOSE && arg->msg_length == 1)
        close_broken(ws); /* half a code: wslay takes it for none */
}

static void on_frame(wslay_event_context_ptr                           ctx,
                     const struct wslay_event_on_frame_recv_start_arg *arg, void *user_data)
{
    struct websocket *ws = user_data;

    (void)ctx;
    if (!wslay_is_ctrl_frame(arg->opcode) && ++ws->fragments > FRAGMENTS_MAX)
        close_with(ws, WSLAY_CODE_POLICY_VIOLATION, "too many fragments");
}

/* How long the head of a frame is, as far as its bytes tell (RFC 6455, 5.2). */
static size_t head_bytes(const struct websocket *ws)
{
    unsigned size = ws->head[1] & 127U;

    if (ws->head_have < 2)
        return 2;
    return 2 + (size == 126 ? 2U : size == 127 ? 8U : 0U) + (ws->head[1] & 128U ? 4U : 0U);
}

static uint64_t payload_bytes(const struct websocket *ws)
{
    uint64_t size  = ws->head[1] & 127U;
    size_t   width = size == 126 ? 2 : size == 127 ? 8 : 0;

    if (width)
        size = 0;
    for (size_t i = 0; i < width; i++)
        size = size << 8 | ws->head[2 + i];
    return size;
}

static void follow_frame(struct websocket *ws, const uint8_t *bytes, size_t count)
{
    if (ws->payload_left) {
        ws->payload_left -= count;
        return;
    }
    memcpy(ws->head + ws->head_have, bytes, count);
    ws->head_have += count;
    if (ws->head_have < head_bytes(ws))
        return;
    ws->payload_left = payload_bytes(ws);
    ws->head_have    = 0;
}

/* Never beyond the end of a frame: wslay would read on, and whole messages would wait in its buffer
 * for nobody, or be carried out all at once, however many calls are under way. */
static ssize_t give_bytes(wslay_event_context_ptr ctx, uint8_t *buffer, size_t bytes, int flags,
                          void *user_data)
{
    struct websocket *ws = user_data;
    size_t            n  = ws->in_bytes < bytes ? ws->in_bytes : bytes;
    uint64_t          to = ws->payload_left ? ws->payload_left : head_bytes(ws) - ws->head_have;

    (void)flags;
    if (n > to)
        n = (size_t)to;
    if (n == 0 || ws->is_closing || ws->stream.phase >= STREAM_ENDING
        || ws->stream.calls >= CALLS_MAX) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buffer, ws->in, n);
    follow_frame(ws, ws->in, n);
    ws->in += n;
    ws->in_bytes -= n;
    return (ssize_t)n;
}

static const struct wslay_event_callbacks callbacks = { .recv_callback                = give_bytes,
                                                        .send_callback                = send_frames,
                                                        .on_frame_recv_start_callback = on_frame,
                                                        .on_msg_recv_callback = on_message };

static void end_if_closed(struct websocket *ws)
{
    if (!wslay_event_get_close_sent(ws->frames))
        return;
    ws->is_closing = true;
    stream_end(&ws->stream, END_AGAIN, 0); /* last() has nothing left to say */
}

/* False: it is over, or ending. */
static bool feed(struct websocket *ws)
{
    size_t before;

    do {
        before = ws->in_bytes;
        if (wslay_event_recv(ws->frames) != 0) {
            close_broken(ws);
            stream_end(&ws->stream, END_AGAIN, 0);
            return false;
        }
    } while (ws->in_bytes && ws->in_bytes < before);
    if (wslay_event_want_write(ws->frames))
        wslay_event_send(ws->frames);
    end_if_closed(ws);
    return ws->stream.phase < STREAM_ENDING;
}

/* What was read is kept where too many calls are under way: the client waits, nothing is lost. */
static bool keep_rest(struct websocket *ws)
{
    uint8_t *rest = NULL;

    if (ws->in_bytes) {
        rest = malloc(ws->in_bytes);
        if (!rest)
            abort();
        memcpy(rest, ws->in, ws->in_bytes);
    }
    free(ws->left);
    ws->left       = rest;
    ws->left_bytes = ws->in_bytes;
    ws->is_paused  = ws->stream.calls >= CALLS_MAX;
    return true;
}

static bool take_bytes(struct websocket *ws, const uint8_t *bytes, size_t count)
{
    ws->in       = bytes;
    ws->in_bytes = count;
    return feed(ws) && keep_rest(ws);
}

static void read_later(struct websocket *ws)
{
    loop_defer(streams_server(ws->stream.streams)->loop, &ws->more);
}

/* Bytes that were kept first, then the socket's, until there are none. */
static bool read_frames(struct websocket *ws)
{
    uint8_t  buffer[4096];
    uint8_t *left  = ws->left;
    size_t   bytes = ws->left_bytes;
    ssize_t  n;
    int      reads    = 0;
    bool     is_alive = true;

    ws->left       = NULL;
    ws->left_bytes = 0;
    if (bytes)
        is_alive = take_bytes(ws, left, bytes);
    free(left);
    while (is_alive && !ws->is_paused) {
        if (reads++ == READS_AT_ONCE) {
            read_later(ws);
            break;
        }
        FAILPOINT("server.websocket.reading");
        n = recv(ws->stream.fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            stream_finish(&ws->stream);
            return false;
        }
        ws->heard_ms = base_now_ms();
        is_alive     = take_bytes(ws, buffer, (size_t)n);
    }
    return is_alive;
}

/* Read and thrown away until the client has closed, so that it gets our last words and no reset. */
static bool discard(struct stream *stream)
{
    char    buffer[4096];
    ssize_t n     = 1;
    int     reads = 0;

    while (n > 0 && reads++ < READS_AT_ONCE)
        n = recv(stream->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (n > 0)
        read_later((struct websocket *)stream);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return true;
    if (stream->phase == STREAM_DRAINING)
        stream_finish(stream);
    return stream->phase != STREAM_OVER;
}

static bool input(struct stream *stream)
{
    struct websocket *ws = (struct websocket *)stream;

    if (stream->phase >= STREAM_ENDING)
        return discard(stream);
    if (ws->is_paused)
        return true;
    return read_frames(ws) || stream->phase != STREAM_OVER;
}

static void read_more(void *ctx)
{
    struct websocket *ws = ctx;

    if (ws->stream.phase != STREAM_OVER)
        (void)input(&ws->stream);
}

static void heartbeat(struct stream *stream, uint64_t now_ms)
{
    struct websocket                   *ws   = (struct websocket *)stream;
    static const struct wslay_event_msg ping = { .opcode = WSLAY_PING };

    if (now_ms > ws->heard_ms + SILENT_MS) {
        stream_finish(stream);
        return;
    }
    wslay_event_queue_msg(ws->frames, &ping);
    wslay_event_send(ws->frames);
}

static void gone(struct stream *stream)
{
    struct websocket *ws = (struct websocket *)stream;

    loop_defer_cancel(streams_server(stream->streams)->loop, &ws->more);
    wslay_event_context_free(ws->frames);
    arena_close(ws->arena);
    free(ws->left);
    free(ws);
}

static const struct stream_kind kind = { .frame      = FRAME_WS,
                                         .is_drained = true,
                                         .heartbeat  = heartbeat,
                                         .last       = last,
                                         .input      = input,
                                         .gone       = gone };

/* ---- the handshake ---- */

static void start(void *ctx)
{
    struct websocket *ws = ctx;

    MHD_upgrade_action(ws->handle, MHD_UPGRADE_ACTION_CLOSE); /* it closes its own descriptor */
    ws->heard_ms = base_now_ms();
    stream_start(&ws->stream);
    if (ws->stream.phase < STREAM_ENDING && ws->left_bytes)
        (void)read_frames(ws);
}

static void on_upgrade(void *cls, struct MHD_Connection *connection, void *con_cls,
                       const char *extra, size_t extra_bytes, MHD_socket socket,
                       struct MHD_UpgradeResponseHandle *handle)
{
    struct websocket *ws = cls;
    int               fd = fcntl(socket, F_DUPFD_CLOEXEC, 0);

    (void)connection;
    (void)con_cls;
    if (fd < 0) { /* no descriptor left; the request's end frees it */
        MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
        return;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ws->handle = handle;
    if (extra_bytes) {
        ws->left = malloc(extra_bytes);
        if (!ws->left)
            abort();
        memcpy(ws->left, extra, extra_bytes);
        ws->left_bytes = extra_bytes;
    }
    ws->stream.later.on_turn_end = start;
    stream_adopt(&ws->stream, fd);
}

static bool has_word(const char *header, const char *word)
{
    size_t bytes = strlen(word);

    while (header && *header) {
        size_t part = strcspn(header, ",");
        size_t skip = strspn(header, " \t");
        size_t end  = part;

        while (end > skip && strchr(" \t", header[end - 1]))
            end--;
        if (end - skip == bytes && strncasecmp(header + skip, word, bytes) == 0)
            return true;
        header += part + (header[part] == ',');
    }
    return false;
}

static bool key_is_sane(const char *key)
{
    unsigned char raw[24];

    return key && strlen(key) == 24 && key[22] == '=' && key[23] == '='
           && EVP_DecodeBlock(raw, (const unsigned char *)key, 24) == 18;
}

static bool is_handshake(struct request *r, struct err *err)
{
    const char *version = request_header(r, "Sec-WebSocket-Version");

    if (!stream_can_flow(r, err))
        return false;
    if (!has_word(request_header(r, "Upgrade"), "websocket")
        || !has_word(request_header(r, "Connection"), "upgrade")) {
        err_set(err, "H0426", "This path is a WebSocket: ask for it with Upgrade: websocket.");
        return false;
    }
    if (!version || strcmp(version, "13") != 0) {
        err_set(err, "H0426", "Sec-WebSocket-Version must be 13.");
        return false;
    }
    if (!key_is_sane(request_header(r, "Sec-WebSocket-Key"))) {
        err_set(err, "KN006", "Sec-WebSocket-Key must be 16 bytes in base64.");
        return false;
    }
    if (!origin_is_allowed(request_header(r, "Origin"), request_header(r, "Host"),
                           r->server->cfg->public_url, r->server->cfg->allowed_origins)) {
        err_set(err, "KN004", "This Origin may not open a WebSocket here (KILN_ALLOWED_ORIGINS).");
        return false;
    }
    return true;
}

static void accept_of(const char *key, char out[ACCEPT_BYTES])
{
    char          text[24 + sizeof(GUID)];
    unsigned char digest[SHA_DIGEST_LENGTH];

    snprintf(text, sizeof(text), "%.24s" GUID, key);
    SHA1((const unsigned char *)text, strlen(text), digest);
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
}

static void on_open(struct request *r, int64_t account)
{
    struct websocket    *ws       = calloc(1, sizeof(*ws));
    struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgrade, ws);
    char                 accept[ACCEPT_BYTES];

    if (!ws || !response || wslay_event_context_server_init(&ws->frames, &callbacks, ws) != 0)
        abort();
    wslay_event_config_set_max_recv_msg_length(ws->frames, MESSAGE_BYTES);
    ws->arena      = arena_open(IDENTITY_BYTES);
    ws->identity   = identity_copy(ws->arena, r->identity);
    ws->request_id = arena_strdup(ws->arena, r->id);
    ws->more       = (struct loop_task) { .on_turn_end = read_more, .ctx = ws };
    stream_init(&ws->stream, &kind, r, account);
    ws->stream.is_wanted = ws->stream.from || ws->stream.is_from_unknown;
    accept_of(request_header(r, "Sec-WebSocket-Key"), accept);
    MHD_add_response_header(response, "Upgrade", "websocket");
    MHD_add_response_header(response, "Sec-WebSocket-Accept", accept);
    request_answer(r, 101, response);
}

static void open_websocket(struct request *r)
{
    struct err err;

    if (is_handshake(r, &err)) {
        stream_request(r, on_open);
        return;
    }
    request_problem(r, &err);
    if (err_is(&err, "H0426")) {
        MHD_add_response_header(r->answer, "Upgrade", "websocket");
        MHD_add_response_header(r->answer, "Sec-WebSocket-Version", "13");
    }
}

const struct handler websocket_events = { .finish = open_websocket };
