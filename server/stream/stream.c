/*
 * stream: one stream from its socket to its end.
 *
 *   HANDSHAKE ─descriptor copied─► ADOPTED ─► JOINING ─head─► [REPLAYING ─up to the head─►] LIVE
 *   ─► ENDING ─queue empty─► [DRAINING ─the client has closed─►] OVER ─► freed
 *
 * At ADOPTED the socket is duplicated and MHD is told to give up its connection: under
 * MHD_USE_TURBO it closes its descriptor without a shutdown, so the socket lives on as ours alone,
 * and MHD's buffers are free again. Measured with 5,000 idle streams: 18 MiB in all; kept
 * suspended in MHD they take 67 MiB.
 */
#include "server/stream/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server/http/connection.h"
#include "lib/failpoint.h"
#include "server/stream/instance.h"
#include "lib/log.h"
#include "server/http/http.h"
#include "server/http/metrics.h"
#include "server/http/mhd.h"
#include "server/http/rpc.h"
#include "server/pool/owner.h"
#include "server/http/uri.h"

#define KERNEL_BYTES        32768
#define QUEUE_BYTES         65536
#define REPLAY_BYTES        (1u << 20)
#define REPLAY_ROWS         100
#define REPLAY_ROWS_TEXT    "100"
#define HEARTBEAT_MS        10000 /* and up to HEARTBEAT_SPREAD_MS more: below 20 s in any case */
#define HEARTBEAT_SPREAD_MS 5000
#define ENDING_MS           5000
#define DRAINING_MS         2000
#define PEER_DEAD_MS        30000 /* of unanswered bytes */

struct streams {
    struct server    *server;
    struct stream   **live;
    size_t            nlive, size;
    size_t            count; /* with those that shake hands */
    struct frame      frame;
    struct loop_timer sweep;
};

static void ask_replay(struct stream *stream);

struct frame *stream_frame(struct stream *stream)
{
    return &stream->streams->frame;
}

static struct server *server_of(const struct stream *stream)
{
    return stream->streams->server;
}

static enum transport transport_of(const struct stream *stream)
{
    return stream->kind->frame == FRAME_SSE ? TRANSPORT_SSE : TRANSPORT_WEBSOCKET;
}

/* ---- ends ---- */

static void leave_live(struct stream *stream)
{
    struct streams *streams = stream->streams;
    struct stream  *last;

    if (!stream->slot)
        return;
    last                            = streams->live[--streams->nlive];
    streams->live[stream->slot - 1] = last;
    last->slot                      = stream->slot;
    stream->slot                    = 0;
    metrics_stream_closed(streams->server->metrics, transport_of(stream));
    if (!stream->listener.wants_all) /* an administrator who watches is not present */
        instance_stream_closed(streams->server->instance, stream->listener.account);
}

static void stream_free(struct stream *stream)
{
    stream->streams->count--;
    loop_defer_cancel(server_of(stream)->loop, &stream->later);
    outq_free(&stream->out);
    outq_free(&stream->held);
    free(stream->from);
    free(stream->upto);
    http_release_peer(server_of(stream)->http, stream->peer);
    if (stream->kind->gone)
        stream->kind->gone(stream);
    else
        free(stream);
}

/* Replies that are on their way still point here, so the last of them frees. */
static void reap(void *ctx)
{
    struct stream *stream = ctx;

    if (!stream->is_replay_asked && stream->calls == 0)
        stream_free(stream);
}

void stream_call_ended(struct stream *stream)
{
    stream->calls--;
    if (stream->phase == STREAM_OVER && !stream->later.is_queued)
        reap(stream);
}

/* The memory stays until the end of the iteration: callers up the stack still read the phase. */
void stream_finish(struct stream *stream)
{
    struct server *server = server_of(stream);

    if (stream->phase == STREAM_OVER)
        return;
    stream->phase = STREAM_OVER;
    bus_leave(server->bus, &stream->listener);
    loop_del(server->loop, &stream->watch);
    leave_live(stream);
    close(stream->fd);
    loop_defer_cancel(server->loop, &stream->later);
    stream->later.on_turn_end = reap;
    loop_defer(server->loop, &stream->later);
}

static void cut_slow(struct stream *stream)
{
    metrics_slow_reader_cut(server_of(stream)->metrics);
    log_debug("slow reader cut", "account_id", stream->account_text, NULL);
    stream_finish(stream);
}

/* MHD is done with the connection: as agreed, or because the client left during the handshake. */
static void handshake_completed(void *data)
{
    struct stream *stream = data;

    if (stream->phase == STREAM_HANDSHAKE)
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

    if (stream->phase >= STREAM_ENDING)
        return;
    if (stream->out.bytes == 0 && !send_some(stream, data, bytes, &sent))
        stream_finish(stream);
    else if (sent < bytes && !outq_add(&stream->out, data + sent, bytes - sent, max))
        cut_slow(stream);
}

/* latest as in struct bus_event: a reader that is behind needs only the newest progress of a
 * job. */
static bool hold(struct outq *q, const struct frame *frame, int64_t latest)
{
    return latest ? outq_add_latest(q, frame->text, frame->bytes, QUEUE_BYTES, latest)
                  : outq_add(q, frame->text, frame->bytes, QUEUE_BYTES);
}

static void put_event(struct stream *stream, const struct frame *frame, int64_t latest)
{
    size_t sent    = 0;
    bool   is_held = true;

    if (stream->out.bytes == 0 && !send_some(stream, frame->text, frame->bytes, &sent)) {
        stream_finish(stream);
        return;
    }
    if (sent == 0)
        is_held = hold(&stream->out, frame, latest);
    else if (sent < frame->bytes)
        is_held = outq_add(&stream->out, frame->text + sent, frame->bytes - sent, QUEUE_BYTES);
    if (!is_held)
        cut_slow(stream);
}

void stream_put(struct stream *stream, const char *data, size_t bytes)
{
    put_bounded(stream, data, bytes, QUEUE_BYTES);
}

/* All has been said. */
static void close_after(struct stream *stream)
{
    if (!stream->kind->is_drained || shutdown(stream->fd, SHUT_WR) < 0) {
        stream_finish(stream);
        return;
    }
    stream->phase        = STREAM_DRAINING;
    stream->heartbeat_ms = base_now_ms() + DRAINING_MS;
}

/* Says a last word; closes when all of it has been sent. */
void stream_end(struct stream *stream, enum stream_end why, unsigned retry_ms)
{
    if (stream->phase >= STREAM_ENDING)
        return;
    stream->kind->last(stream, why, retry_ms);
    if (stream->phase >= STREAM_ENDING)
        return;
    bus_leave(server_of(stream)->bus, &stream->listener);
    stream->phase        = STREAM_ENDING;
    stream->heartbeat_ms = base_now_ms() + ENDING_MS;
    if (stream->out.bytes == 0)
        close_after(stream);
}

static void flush_stream(struct stream *stream)
{
    size_t sent = 1;

    while (stream->out.bytes && sent) {
        if (!send_some(stream, stream->out.data + stream->out.start, stream->out.bytes, &sent)) {
            stream_finish(stream);
            return;
        }
        outq_consume(&stream->out, sent);
    }
    if (stream->out.bytes)
        return;
    if (stream->phase == STREAM_ENDING)
        close_after(stream);
    else if (stream->phase == STREAM_REPLAYING && !stream->is_replay_asked)
        ask_replay(stream);
}

/* ---- what the bus says ---- */

static void say(struct stream *stream, const char *position, const char *type, const char *data)
{
    struct frame *frame = stream_frame(stream);

    frame_event(frame, stream->kind->frame, position, type, data);
    stream_put(stream, frame->text, frame->bytes);
}

/* Its data names the position too, for clients that cannot see ids; a frame that has room for one
 * says it once. */
static void say_ready(struct stream *stream, const char *position)
{
    struct jbuf j = { 0 };

    if (stream->is_ready_said)
        return;
    stream->is_ready_said = true;
    jbuf_object(&j);
    jbuf_key(&j, "type");
    jbuf_str(&j, "ready");
    if (stream->kind->frame == FRAME_SSE) {
        jbuf_key(&j, "position");
        jbuf_str(&j, position);
    }
    jbuf_end(&j);
    say(stream, position, "ready", jbuf_text(&j));
    jbuf_free(&j);
}

static void say_reset(struct stream *stream, const char *position)
{
    time_t    now = (time_t)base_unix_seconds();
    struct tm tm;
    char      data[64];

    gmtime_r(&now, &tm);
    strftime(data, sizeof(data), "{\"type\":\"reset\",\"at\":\"%Y-%m-%dT%H:%M:%SZ\"}", &tm);
    say(stream, position, "reset", data);
}

static void go_live(struct stream *stream)
{
    if (stream->phase >= STREAM_ENDING)
        return;
    stream->phase = STREAM_LIVE;
    free(stream->from);
    free(stream->upto);
    stream->from = stream->upto = NULL;
    if (stream->held.bytes)
        put_bounded(stream, stream->held.data + stream->held.start, stream->held.bytes,
                    REPLAY_BYTES);
    outq_free(&stream->held);
}

/* It has said ready and gets nothing until it asks, and then from here on. It stays with the bus,
 * which tells when its session ends. */
static void be_quiet(struct stream *stream, const char *head)
{
    stream->phase = STREAM_QUIET;
    stream->from  = strdup(head);
}

static void on_begin(struct listener *listener, const char *head)
{
    struct stream *stream = (struct stream *)listener;

    if (stream->from) {
        stream->phase = STREAM_REPLAYING;
        stream->upto  = strdup(head);
        ask_replay(stream);
        return;
    }
    say_ready(stream, head);
    if (stream->phase >= STREAM_ENDING)
        return;
    if (stream->is_from_unknown)
        say_reset(stream, head);
    if (stream->is_wanted)
        go_live(stream);
    else
        be_quiet(stream, head);
    stream->is_from_unknown = false;
}

static void on_event(struct listener *listener, struct bus_event *event)
{
    struct stream      *stream = (struct stream *)listener;
    const struct frame *frame;

    if (listener->account == event->account && strcmp(event->type, "session.ended") == 0) {
        stream_end(stream, END_SESSION, 500); /* a client that still may comes back at once */
        return;
    }
    if (stream->phase == STREAM_QUIET)
        return;
    frame = stream->kind->frame_of ? stream->kind->frame_of(stream, event)
                                   : bus_event_frame(event, stream->kind->frame);
    if (!frame)
        return;
    metrics_events_sent(server_of(stream)->metrics, 1);
    if (stream->phase == STREAM_LIVE)
        put_event(stream, frame, event->latest);
    else if (!hold(&stream->held, frame, event->latest))
        cut_slow(stream);
}

static void on_reset(struct listener *listener, const char *head)
{
    struct stream *stream = (struct stream *)listener;

    /* a quiet one is told when it asks; in the middle of a replay: when the client comes back */
    if (stream->phase == STREAM_QUIET)
        return;
    if (stream->phase != STREAM_LIVE)
        stream_end(stream, END_AGAIN, 1000);
    else
        say_reset(stream, head);
}

static const struct listener_ops listener_ops = { on_begin, on_event, on_reset };

/* ---- replay ---- */

/* A row without a type, of a filtered replay, says how far it looked. */
static void send_page(struct stream *stream, const PGresult *result)
{
    struct frame *frame = stream_frame(stream);
    int           rows  = PQntuples(result);

    for (int row = 0; row < rows; row++) {
        const char *position = PQgetisnull(result, row, 0) ? NULL : PQgetvalue(result, row, 0);
        if (!PQgetisnull(result, row, 1)) {
            frame_event(frame, stream->kind->frame, position, PQgetvalue(result, row, 1),
                        PQgetvalue(result, row, 2));
            put_bounded(stream, frame->text, frame->bytes, REPLAY_BYTES);
        }
        if (position) {
            free(stream->from);
            stream->from = strdup(position);
        }
    }
    metrics_events_sent(server_of(stream)->metrics, (size_t)rows);
}

static bool has_more(const struct stream *stream, const PGresult *result)
{
    int rows = PQntuples(result);

    if (stream->kind->page)
        return rows > 0 && PQgetisnull(result, rows - 1, 1) && !PQgetisnull(result, rows - 1, 2);
    return rows >= REPLAY_ROWS;
}

static void on_page(struct stream *stream, const PGresult *result)
{
    say_ready(stream, stream->from);
    send_page(stream, result);
    if (stream->phase != STREAM_REPLAYING)
        return;
    if (!has_more(stream, result))
        go_live(stream);
    else if (stream->out.bytes == 0) /* else when it has been sent: a slow reader paces it */
        ask_replay(stream);
}

static void on_replay(void *ctx, PGresult *result, const struct err *err)
{
    struct stream *stream = ctx;

    FAILPOINT("server.stream.replaying");
    stream->is_replay_asked = false;
    if (stream->phase == STREAM_OVER) {
        if (!stream->later.is_queued)
            reap(stream);
    } else if (stream->phase != STREAM_REPLAYING) {
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
        stream_end(stream, END_AGAIN, 2000);
    }
    PQclear(result);
}

static void ask_replay(struct stream *stream)
{
    struct call *call = &stream->call;
    struct err   err;

    *call           = (struct call) { .pool      = POOL_STREAM,
                                      .statement = STATEMENT_BUS_REPLAY,
                                      .owner     = owner_of_account(stream->listener.account),
                                      .on_reply  = on_replay,
                                      .ctx       = stream };
    call->params[0] = stream->account_text;
    call->params[1] = stream->from;
    call->params[2] = stream->upto;
    call->params[3] = REPLAY_ROWS_TEXT;
    if (stream->kind->page)
        stream->kind->page(stream, call);
    stream->is_replay_asked = pools_send(server_of(stream)->pools, call, &err);
    if (!stream->is_replay_asked)
        stream_end(stream, END_AGAIN, 2000);
}

void stream_subscribe(struct stream *stream)
{
    stream->phase = STREAM_JOINING;
    bus_join(server_of(stream)->bus, &stream->listener, stream->from != NULL);
}

/* ---- the socket ---- */

static void on_socket(void *ctx, uint32_t events)
{
    struct stream *stream = ctx;

    if (events & EPOLLIN && !stream->kind->input(stream))
        return;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        stream_finish(stream);
        return;
    }
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
    struct streams *streams = stream->streams;

    if (streams->nlive == streams->size) {
        streams->size = streams->size ? streams->size * 2 : 64;
        streams->live = realloc(streams->live, streams->size * sizeof(struct stream *));
        if (!streams->live)
            abort();
    }
    streams->live[streams->nlive++] = stream;
    stream->slot                    = streams->nlive;
    metrics_stream_opened(streams->server->metrics, transport_of(stream));
    if (!stream->listener.wants_all)
        instance_stream_opened(streams->server->instance, stream->listener.account);
}

void stream_start(struct stream *stream)
{
    struct server *server = server_of(stream);
    struct err     err;

    mhd_run_again(server->mhd); /* it frees given-up connections in its next run only */
    bound_socket(stream->fd);
    enter_live(stream);
    stream->phase = STREAM_JOINING;
    if (!loop_add(server->loop, &stream->watch, stream->fd,
                  EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &err))
        stream_finish(stream);
    else if (server->is_draining)
        stream_end(stream, END_DRAIN, 1000);
    else
        stream_subscribe(stream);
}

void stream_adopt(struct stream *stream, int fd)
{
    stream->fd    = fd;
    stream->phase = STREAM_ADOPTED;
    loop_defer(server_of(stream)->loop, &stream->later); /* not in the middle of MHD's own work */
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

static void start(void *ctx)
{
    stream_start(ctx);
}

void stream_init(struct stream *stream, const struct stream_kind *kind, struct request *r,
                 int64_t account)
{
    struct streams *streams = r->server->streams;
    char            buffer[4096];
    const char     *from = last_event_id(r, buffer, sizeof(buffer));

    stream->kind    = kind;
    stream->streams = streams;
    stream->listener =
        (struct listener) { .ops = &listener_ops, .account = account, .since_ns = r->started_ns };
    stream->expires_at = r->expires_at;
    stream->fd         = -1;
    stream->watch      = (struct loop_watch) { .on_event = on_socket, .ctx = stream, .fd = -1 };
    stream->later      = (struct loop_task) { .on_turn_end = start, .ctx = stream };
    stream->is_from_unknown = from && !frame_id_is_sane(from);
    stream->from            = from && !stream->is_from_unknown ? strdup(from) : NULL;
    stream->heartbeat_ms =
        base_now_ms() + HEARTBEAT_MS + (uint64_t)streams->count * 7919 % HEARTBEAT_SPREAD_MS;
    snprintf(stream->account_text, sizeof(stream->account_text), "%lld", (long long)account);
    stream->peer = connection_detach(r->connection);
    streams->count++;
    r->data      = stream;
    r->data_free = handshake_completed;
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
        r->on_open(r, account);
    }
    PQclear(result);
}

bool stream_can_flow(const struct request *r, struct err *err)
{
    if (!r->is_http_1_0) /* it knows no chunks, and would show their lengths as text */
        return true;
    err_set(err, "H0505", "Event streams need HTTP/1.1; GET /events/poll does not.");
    return false;
}

bool stream_has_room(const struct request *r, struct err *err)
{
    if (r->server->streams->count >= (size_t)r->server->cfg->max_streams) {
        err_set(err, "53300", "this process holds as many streams as it may");
        return false;
    }
    return true;
}

void stream_request(struct request *r, void (*on_open)(struct request *r, int64_t account))
{
    struct err err;

    r->on_open = on_open;
    r->call    = (struct call) { .pool      = POOL_STREAM,
                                 .statement = r->ticket ? STATEMENT_USE_TICKET : STATEMENT_OPEN_STREAM,
                                 .owner     = rpc_owner(r),
                                 .params    = { r->ticket ? r->ticket : r->context },
                                 .on_reply  = on_opened,
                                 .ctx       = r };
    if (stream_has_room(r, &err) && pools_send(r->server->pools, &r->call, &err))
        request_suspend(r);
    else
        request_problem(r, &err);
}

/* ---- once a second: heartbeats, expiry, endings that take too long ---- */

static void check(struct stream *stream, uint64_t now_ms, int64_t now)
{
    if (stream->phase >= STREAM_ENDING) {
        if (now_ms >= stream->heartbeat_ms)
            stream_finish(stream);
    } else if (now >= stream->expires_at) {
        stream_end(stream, END_EXPIRED, 1000);
    } else if (now_ms >= stream->heartbeat_ms) {
        stream->heartbeat_ms =
            now_ms + HEARTBEAT_MS + (uint64_t)stream->slot * 7919 % HEARTBEAT_SPREAD_MS;
        stream->kind->heartbeat(stream, now_ms);
    }
}

static void sweep(void *ctx)
{
    struct streams *streams = ctx;
    uint64_t        now_ms  = base_now_ms();
    int64_t         now     = base_unix_seconds();

    /* backwards: a stream that leaves is replaced by the last, which was seen already */
    for (size_t i = streams->nlive; i > 0; i--)
        check(streams->live[i - 1], now_ms, now);
    loop_timer_set(streams->server->loop, &streams->sweep, 1000);
}

void streams_drain(struct streams *streams)
{
    for (size_t i = streams->nlive; i > 0; i--)
        stream_end(streams->live[i - 1], END_DRAIN, 500 + (unsigned)(i * 7919 % 4000));
}

struct streams *streams_open(struct server *server)
{
    struct streams *streams = calloc(1, sizeof(*streams));

    if (!streams)
        abort();
    streams->server = server;
    streams->sweep  = (struct loop_timer) { .on_time = sweep, .ctx = streams };
    loop_timer_set(server->loop, &streams->sweep, 1000);
    return streams;
}

void streams_close(struct streams *streams)
{
    if (!streams)
        return;
    loop_timer_stop(streams->server->loop, &streams->sweep);
    frame_free(&streams->frame);
    free(streams->live);
    free(streams);
}

void streams_hold(struct streams *streams)
{
    streams->count++;
}

void streams_release(struct streams *streams)
{
    streams->count--;
}

size_t streams_count(const struct streams *streams)
{
    return streams->count;
}

struct server *streams_server(const struct streams *streams)
{
    return streams->server;
}
