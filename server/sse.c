/*
 * sse: one stream from handshake to end.
 *
 *   OPENING ─SQL says whose─► GREETING ─first chunk through MHD─► TAKING ─descriptor duplicated─►
 *   JOINING ─head─► [REPLAYING ─up to the head─►] LIVE ─► ENDING ─queue empty─► OVER ─► freed
 *
 * At TAKING the socket is duplicated and MHD is told to give its connection up: under MHD_USE_TURBO
 * it closes its descriptor without a shutdown, so the socket lives on as ours alone, and MHD's
 * buffers are free again. Measured with 5,000 idle streams: 18 MiB in all; kept suspended in
 * MHD, as was tried first, they took 67 MiB.
 */
#include "sse.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bus.h"
#include "failpoint.h"
#include "http.h"
#include "log.h"
#include "metrics.h"
#include "uri.h"

#define KERNEL_BYTES     32768
#define QUEUE_BYTES      65536
#define REPLAY_BYTES     (1u << 20)
#define REPLAY_ROWS      100
#define REPLAY_ROWS_TEXT "100"
#define BEAT_MS          10000 /* and up to BEAT_SPREAD_MS more: below 20 s in any case */
#define BEAT_SPREAD_MS   5000
#define ENDING_MS        5000
#define PEER_DEAD_MS     30000 /* of unanswered bytes */
#define GREETING         "retry: 2000\n: kiln\n\n"

enum phase { AT_GREETING, AT_TAKING, AT_JOINING, AT_REPLAYING, AT_LIVE, AT_ENDING, AT_OVER };

struct stream {
    struct stream_link link; /* first: how the bus holds it */
    struct sse        *sse;
    enum phase         phase;
    bool               is_replay_asked; /* a reply is on its way */
    bool               is_ready_said;
    bool               is_from_unknown; /* the client named something that cannot be a position */
    int                fd;
    int64_t            account, expires_at;
    uint64_t           beat_ms; /* of the next heartbeat; at ENDING when to cut */
    size_t             slot;    /* in sse->live + 1; 0: not there */
    struct loop_watch  watch;
    struct loop_task   later;     /* start, then reap: not in the middle of others' work */
    struct outq        out, held; /* to be sent; events that wait for the replay's end */
    char              *from, *upto;
    struct call        call;
    char               account_text[24];
};

struct sse {
    struct server    *server;
    struct stream   **live;
    size_t            nlive, size;
    size_t            nstreams; /* with those that shake hands */
    struct frame      frame;
    struct frame      beat;
    struct loop_timer sweep;
};

static void flush_stream(struct stream *stream);
static void ask_replay(struct stream *stream);

struct stream_link *stream_link(struct stream *stream)
{
    return &stream->link;
}

int64_t stream_account(const struct stream *stream)
{
    return stream->account;
}

/* ---- ends ---- */

static void leave_live(struct stream *stream)
{
    struct sse    *sse = stream->sse;
    struct stream *last;

    if (!stream->slot)
        return;
    last                        = sse->live[--sse->nlive];
    sse->live[stream->slot - 1] = last;
    last->slot                  = stream->slot;
    stream->slot                = 0;
    metrics_stream_closed(sse->server->metrics);
}

static void stream_free(struct stream *stream)
{
    stream->sse->nstreams--;
    loop_defer_cancel(stream->sse->server->loop, &stream->later);
    outq_free(&stream->out);
    outq_free(&stream->held);
    free(stream->from);
    free(stream->upto);
    free(stream);
}

/* A replay's reply still points here, so the last of the two frees. */
static void reap(void *ctx)
{
    struct stream *stream = ctx;

    if (!stream->is_replay_asked)
        stream_free(stream);
}

/* The memory stays until the end of the turn: callers up the stack still look at the phase. */
static void finish(struct stream *stream)
{
    struct server *server = stream->sse->server;

    if (stream->phase == AT_OVER)
        return;
    stream->phase = AT_OVER;
    bus_leave(server->bus, stream);
    loop_del(server->loop, &stream->watch);
    leave_live(stream);
    close(stream->fd);
    loop_defer_cancel(server->loop, &stream->later);
    stream->later.on_turn_end = reap;
    loop_defer(server->loop, &stream->later);
}

static void cut_slow(struct stream *stream)
{
    metrics_slow_reader_cut(stream->sse->server->metrics);
    log_debug("slow reader cut", "account_id", stream->account_text, NULL);
    finish(stream);
}

/* MHD is done with the connection: as agreed, or because the client left during the handshake. */
static void handshake_completed(void *data)
{
    struct stream *stream = data;

    if (stream->phase <= AT_TAKING)
        stream_free(stream);
}

/* ---- writing ---- */

static bool send_some(struct stream *stream, const char *data, size_t bytes, size_t *sent)
{
    ssize_t n;

    FAILPOINT("server.stream.writing");
    do
        n = send(stream->fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    *sent = n > 0 ? (size_t)n : 0;
    return n >= 0 || errno == EAGAIN;
}

static void put_bounded(struct stream *stream, const char *data, size_t bytes, size_t max)
{
    size_t sent = 0;

    if (stream->phase >= AT_ENDING)
        return;
    if (stream->out.bytes == 0 && !send_some(stream, data, bytes, &sent))
        finish(stream);
    else if (sent < bytes && !outq_add(&stream->out, data + sent, bytes - sent, max))
        cut_slow(stream);
}

static void put(struct stream *stream, const struct frame *frame)
{
    put_bounded(stream, frame->text, frame->bytes, QUEUE_BYTES);
}

/* Says a last word and ends the chunked body; closes when all of it has been sent. */
static void stream_end(struct stream *stream, const char *lines)
{
    if (stream->phase >= AT_ENDING)
        return;
    frame_last(&stream->sse->frame, lines);
    put(stream, &stream->sse->frame);
    if (stream->phase == AT_OVER)
        return;
    bus_leave(stream->sse->server->bus, stream);
    stream->phase   = AT_ENDING;
    stream->beat_ms = base_now_ms() + ENDING_MS;
    if (stream->out.bytes == 0)
        finish(stream);
}

static void flush_stream(struct stream *stream)
{
    size_t sent = 1;

    while (stream->out.bytes && sent) {
        if (!send_some(stream, stream->out.data + stream->out.start, stream->out.bytes, &sent)) {
            finish(stream);
            return;
        }
        outq_take(&stream->out, sent);
    }
    if (stream->out.bytes)
        return;
    if (stream->phase == AT_ENDING)
        finish(stream);
    else if (stream->phase == AT_REPLAYING && !stream->is_replay_asked)
        ask_replay(stream);
}

/* ---- what the bus says ---- */

static void say_ready(struct stream *stream, const char *position)
{
    struct jbuf j = { 0 };

    if (stream->is_ready_said)
        return;
    stream->is_ready_said = true;
    jbuf_object(&j);
    jbuf_key(&j, "type");
    jbuf_str(&j, "ready");
    jbuf_key(&j, "position");
    jbuf_str(&j, position);
    jbuf_end(&j);
    frame_event(&stream->sse->frame, position, "ready", jbuf_text(&j));
    put(stream, &stream->sse->frame);
    jbuf_free(&j);
}

static void say_reset(struct stream *stream, const char *position)
{
    time_t    now = (time_t)base_unix_seconds();
    struct tm tm;
    char      data[64];

    gmtime_r(&now, &tm);
    strftime(data, sizeof(data), "{\"type\":\"reset\",\"at\":\"%Y-%m-%dT%H:%M:%SZ\"}", &tm);
    frame_event(&stream->sse->frame, position, "reset", data);
    put(stream, &stream->sse->frame);
}

static void go_live(struct stream *stream)
{
    if (stream->phase >= AT_ENDING)
        return;
    stream->phase = AT_LIVE;
    free(stream->from);
    free(stream->upto);
    stream->from = stream->upto = NULL;
    if (stream->held.bytes)
        put_bounded(stream, stream->held.data + stream->held.start, stream->held.bytes,
                    REPLAY_BYTES);
    outq_free(&stream->held);
}

void stream_begin(struct stream *stream, const char *head)
{
    if (stream->from) {
        stream->phase = AT_REPLAYING;
        stream->upto  = strdup(head);
        ask_replay(stream);
        return;
    }
    say_ready(stream, head);
    if (stream->is_from_unknown)
        say_reset(stream, head);
    go_live(stream);
}

void stream_event(struct stream *stream, const struct frame *frame)
{
    metrics_events_sent(stream->sse->server->metrics, 1);
    if (stream->phase == AT_LIVE)
        put(stream, frame);
    else if (!outq_add(&stream->held, frame->text, frame->bytes, QUEUE_BYTES))
        cut_slow(stream);
}

void stream_reset(struct stream *stream, const char *head)
{
    if (stream->phase
        != AT_LIVE) { /* in the middle of a replay: the client comes back and is told then */
        stream_end(stream, "retry: 1000\n\n");
        return;
    }
    say_reset(stream, head);
}

/* ---- replay ---- */

static void send_page(struct stream *stream, const PGresult *result)
{
    struct frame *frame = &stream->sse->frame;
    int           rows  = PQntuples(result);

    for (int row = 0; row < rows; row++) {
        const char *position = PQgetisnull(result, row, 0) ? NULL : PQgetvalue(result, row, 0);
        frame_event(frame, position, PQgetvalue(result, row, 1), PQgetvalue(result, row, 2));
        put_bounded(stream, frame->text, frame->bytes, REPLAY_BYTES);
        if (position) {
            free(stream->from);
            stream->from = strdup(position);
        }
    }
    metrics_events_sent(stream->sse->server->metrics, (size_t)rows);
}

static void on_page(struct stream *stream, const PGresult *result)
{
    say_ready(stream, stream->from);
    send_page(stream, result);
    if (stream->phase != AT_REPLAYING)
        return;
    if (PQntuples(result) < REPLAY_ROWS)
        go_live(stream);
    else if (stream->out.bytes
             == 0) /* else when it has been sent: a slow reader paces the replay */
        ask_replay(stream);
}

static void on_replay(void *ctx, PGresult *result, const struct err *err)
{
    struct stream *stream = ctx;

    FAILPOINT("server.stream.replaying");
    stream->is_replay_asked = false;
    if (stream->phase == AT_OVER) {
        stream_free(stream);
    } else if (stream->phase != AT_REPLAYING) {
        /* it is ending */
    } else if (!err) {
        on_page(stream, result);
    } else if (err_is(err, "KN013")) {
        say_ready(stream, stream->upto);
        say_reset(stream, stream->upto);
        go_live(stream);
    } else {
        log_warn("a replay failed", "account_id", stream->account_text, "sqlstate", err->sqlstate,
                 "error", err->message, NULL);
        stream_end(stream, "retry: 2000\n\n");
    }
    PQclear(result);
}

static void ask_replay(struct stream *stream)
{
    struct call *call = &stream->call;
    struct err   err;

    *call                   = (struct call) { .pool      = POOL_READ,
                                              .statement = CALL_STATEMENT(CALL_BUS_REPLAY),
                                              .on_reply  = on_replay,
                                              .ctx       = stream };
    call->params[0]         = stream->account_text;
    call->params[1]         = stream->from;
    call->params[2]         = stream->upto;
    call->params[3]         = REPLAY_ROWS_TEXT;
    stream->is_replay_asked = call_start(stream->sse->server->calls, call, &err);
    if (!stream->is_replay_asked)
        stream_end(stream, "retry: 2000\n\n");
}

/* ---- the socket ---- */

static void discard_input(int fd)
{
    char buffer[4096];

    while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) == (ssize_t)sizeof(buffer))
        ;
}

static void on_socket(void *ctx, uint32_t events)
{
    struct stream *stream = ctx;

    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        finish(stream);
        return;
    }
    if (events & EPOLLIN)
        discard_input(stream->fd);
    if (events & EPOLLOUT)
        flush_stream(stream);
}

static void bound_socket(int fd)
{
    int kernel_bytes = KERNEL_BYTES, dead_ms = PEER_DEAD_MS, one = 1;

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kernel_bytes, sizeof(kernel_bytes));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof(dead_ms));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void enter_live(struct stream *stream)
{
    struct sse *sse = stream->sse;

    if (sse->nlive == sse->size) {
        sse->size = sse->size ? sse->size * 2 : 64;
        sse->live = realloc(sse->live, sse->size * sizeof(struct stream *));
        if (!sse->live)
            abort();
    }
    sse->live[sse->nlive++] = stream;
    stream->slot            = sse->nlive;
    metrics_stream_opened(sse->server->metrics);
}

static void start_stream(void *ctx)
{
    struct stream *stream = ctx;
    struct server *server = stream->sse->server;
    struct err     err;

    http_run_again(server->http); /* it frees given-up connections in its next run only */
    bound_socket(stream->fd);
    enter_live(stream);
    if (!loop_add(server->loop, &stream->watch, stream->fd,
                  EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &err))
        finish(stream);
    else if (server->is_draining)
        stream_end(stream, "retry: 1000\n\n");
    else
        bus_join(server->bus, stream);
}

static void take_socket(struct stream *stream)
{
    stream->fd = fcntl(stream->fd, F_DUPFD_CLOEXEC, 0);
    if (stream->fd < 0)
        return; /* no descriptor left: MHD closes, handshake_completed() frees */
    stream->phase = AT_JOINING;
    loop_defer(stream->sse->server->loop, &stream->later); /* not in the middle of MHD's own work */
}

/* MHD asks for bytes: the greeting; then, which means that the greeting is written, the socket
 * becomes ours. The error is the one way to make MHD go without writing the last chunk. */
static ssize_t read_stream(void *cls, uint64_t position, char *buffer, size_t max)
{
    struct stream *stream = cls;

    (void)position;
    if (stream->phase == AT_GREETING && max >= sizeof(GREETING) - 1) {
        stream->phase = AT_TAKING;
        memcpy(buffer, GREETING, sizeof(GREETING) - 1);
        return sizeof(GREETING) - 1;
    }
    if (stream->phase == AT_TAKING)
        take_socket(stream);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* ---- opening ---- */

/* NULL: the client names no position. One that cannot be read (broken, too long) is "", which is no
 * position of ours: taken for none, the client would miss what it asks for. */
static const char *last_event_id(struct request *r, char *buffer, size_t size)
{
    const char *header = request_header(r, "Last-Event-ID");

    if (header && header[0])
        return header;
    if (uri_query_get(r->query, "last_event_id", buffer, size))
        return buffer[0] ? buffer : NULL;
    return uri_query_has(r->query, "last_event_id") ? "" : NULL;
}

static struct stream *stream_new(struct request *r, int64_t account, int64_t expires_at)
{
    struct sse    *sse    = r->server->sse;
    struct stream *stream = calloc(1, sizeof(*stream));
    char           buffer[4096];
    const char    *from = last_event_id(r, buffer, sizeof(buffer));

    if (!stream)
        abort();
    stream->sse        = sse;
    stream->account    = account;
    stream->expires_at = expires_at;
    stream->fd    = MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    stream->watch = (struct loop_watch) { .on_event = on_socket, .ctx = stream, .fd = -1 };
    stream->later = (struct loop_task) { .on_turn_end = start_stream, .ctx = stream };
    stream->is_from_unknown = from && !frame_id_is_sane(from);
    stream->from            = from && !stream->is_from_unknown ? strdup(from) : NULL;
    stream->beat_ms = base_now_ms() + BEAT_MS + (uint64_t)sse->nstreams * 7919 % BEAT_SPREAD_MS;
    snprintf(stream->account_text, sizeof(stream->account_text), "%lld", (long long)account);
    sse->nstreams++;
    r->data      = stream;
    r->data_free = handshake_completed;
    return stream;
}

static void answer_stream(struct request *r, struct stream *stream)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 64, read_stream, stream, NULL);

    if (!response)
        abort();
    MHD_add_response_header(response, "Content-Type", "text/event-stream");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Accel-Buffering", "no");
    MHD_add_response_header(response, "Connection", "close"); /* it ends with the stream */
    request_answer(r, 200, response);
}

static void on_opened(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r = ctx;
    struct err      own;
    int64_t         account;

    if (!err && (PQntuples(result) != 1 || PQgetisnull(result, 0, 0)))
        err_set(&own, "KN009", "the ticket is unknown or has expired"), err = &own;
    if (!err && r->server->is_draining)
        err_set(&own, "57P01", "the server is stopping"), err = &own;
    if (err) {
        request_problem(r, err);
    } else {
        account = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        if (r->ticket)
            r->expires_at = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
        answer_stream(r, stream_new(r, account, r->expires_at));
    }
    PQclear(result);
}

static bool has_room(const struct request *r, struct err *err)
{
    if (r->is_http_1_0) { /* it knows no chunks, and would show their lengths as text */
        err_set(err, "H0505", "Event streams need HTTP/1.1.");
        return false;
    }
    if (r->server->sse->nstreams >= (size_t)r->server->cfg->max_streams) {
        err_set(err, "53300", "this process holds as many streams as it may");
        return false;
    }
    return true;
}

static void open_events(struct request *r)
{
    struct err err;

    r->call =
        (struct call) { .pool      = POOL_READ,
                        .statement = CALL_STATEMENT(r->ticket ? CALL_USE_TICKET : CALL_OPEN_STREAM),
                        .params    = { r->ticket ? r->ticket : r->context },
                        .on_reply  = on_opened,
                        .ctx       = r };
    if (has_room(r, &err) && call_start(r->server->calls, &r->call, &err))
        request_suspend(r);
    else
        request_problem(r, &err);
}

const struct handler sse_events = { .finish = open_events };

/* A ticket lives as long as the token it was made with, which SQL never sees. */
static void make_ticket(struct request *r)
{
    call_route(r, arena_printf(r->arena, "{\"token_expires_at\":%lld}", (long long)r->expires_at));
}

const struct handler sse_ticket = { .finish = make_ticket };

/* ---- once a second: heartbeats, expiry, endings that take too long ---- */

static void tend(struct stream *stream, uint64_t now_ms, int64_t now)
{
    if (stream->phase == AT_ENDING) {
        if (now_ms >= stream->beat_ms)
            finish(stream);
    } else if (now >= stream->expires_at) {
        stream_end(stream, ": token expired\nretry: 1000\n\n");
    } else if (now_ms >= stream->beat_ms) {
        stream->beat_ms = now_ms + BEAT_MS + (uint64_t)stream->slot * 7919 % BEAT_SPREAD_MS;
        put(stream, &stream->sse->beat);
    }
}

static void sweep(void *ctx)
{
    struct sse *sse    = ctx;
    uint64_t    now_ms = base_now_ms();
    int64_t     now    = base_unix_seconds();

    for (size_t i = sse->nlive; i > 0;
         i--) /* backwards: who leaves is replaced by the last, who was seen already */
        tend(sse->live[i - 1], now_ms, now);
    loop_timer_set(sse->server->loop, &sse->sweep, 1000);
}

void sse_drain(struct sse *sse)
{
    char lines[32];

    for (size_t i = sse->nlive; i > 0; i--) {
        snprintf(lines, sizeof(lines), "retry: %u\n\n", 500 + (unsigned)(i * 7919 % 4000));
        stream_end(sse->live[i - 1], lines);
    }
}

struct sse *sse_open(struct server *server)
{
    struct sse *sse = calloc(1, sizeof(*sse));

    if (!sse)
        abort();
    sse->server = server;
    sse->sweep  = (struct loop_timer) { .on_time = sweep, .ctx = sse };
    frame_raw(&sse->beat, ":\n\n");
    loop_timer_set(server->loop, &sse->sweep, 1000);
    return sse;
}

void sse_close(struct sse *sse)
{
    if (!sse)
        return;
    loop_timer_stop(sse->server->loop, &sse->sweep);
    frame_free(&sse->frame);
    frame_free(&sse->beat);
    free(sse->live);
    free(sse);
}

size_t sse_streams(const struct sse *sse)
{
    return sse->nstreams;
}
