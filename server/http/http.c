/*
 * http: the way of a request.
 *
 *   first line ─► on_uri ─► headers ─► begin() ─► [body] ─► finish() ─► answer ─► on_completed
 *
 * on_completed may never come: MHD (0.9.75) omits it where it refuses a head itself. So a request
 * belongs to its connection (connection.h), and ends with it at the latest.
 *
 * MHD calls on_request at the end of the headers, for each piece of the body, once more at its end,
 * and after each resume; the phase says where we are. A refusal before the body is still held back
 * until the body has been read and thrown away (up to DISCARD_BYTES_MAX): closing with unread bytes
 * makes the kernel send a reset, and the client would see that instead of our 401.
 */
#include "server/http/http.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http/connection.h"
#include "server/http/cors.h"
#include "lib/failpoint.h"
#include "server/http/framing.h"
#include "lib/jbuf.h"
#include "lib/jscan.h"
#include "server/http/limit.h"
#include "server/http/mhd.h"
#include "lib/log.h"
#include "server/http/metrics.h"
#include "server/http/problem.h"

#define CONNECTION_BYTES 8192
#define IDLE_SECONDS \
    65 /* above the 60 s that proxies keep an idle connection, or they would meet our close */
#define DISCARD_BYTES_MAX   (16u << 20)
#define REQUEST_ARENA_BYTES 1400
#define BODIES_BYTES_MAX    (64u << 20)

struct http {
    struct server      *server;
    struct connections *connections;
    size_t              requests, body_bytes;

    http_authenticate_fn *authenticate;
};

/* ---- answering ---- */

static enum MHD_Result queue_answer(struct request *r)
{
    struct MHD_Response *response = r->answer;
    enum MHD_Result      result;

    FAILPOINT("server.answering");
    connection_enter(r->connection, CONNECTION_ANSWER);
    result = MHD_queue_response(r->conn, r->status, response);

    MHD_destroy_response(response); /* our reference; MHD keeps its own */
    r->is_queued = true;
    return result;
}

/* MHD closes the connection behind it. */
static enum MHD_Result queue_early(struct request *r)
{
    r->is_early = true;
    return queue_answer(r);
}

/* ---- before the body ---- */

/* A proxy's id is kept, so that its log and ours can be laid side by side; anything odd is
 * replaced. */
static void choose_id(struct request *r)
{
    const char *given = request_header(r, "X-Request-Id");
    size_t      bytes = given ? strlen(given) : 0;
    bool        ok    = bytes >= 8 && bytes < sizeof(r->id);

    for (size_t i = 0; ok && i < bytes; i++)
        ok = isalnum((unsigned char)given[i]) || given[i] == '-' || given[i] == '_'
             || given[i] == '.';
    if (ok)
        memcpy(r->id, given, bytes + 1);
    else
        base_random_hex(r->id, 32);
}

static bool is_preflight(struct request *r)
{
    return cors_is_preflight(r->server->cfg->allowed_origins, r->method,
                             request_header(r, "Origin"),
                             request_header(r, "Access-Control-Request-Method"));
}

/* Where the method that it asks for is not among these, the browser tells the page. */
static void answer_preflight(struct request *r, const char *methods)
{
    r->preflight = arena_strdup(r->arena, methods);
    request_answer(r, 204, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
}

static bool find_route(struct request *r)
{
    struct route_match match = { 0 };

    switch (routes_match(r->server->routes, r->server->roles, r->method, r->path, &match)) {
    case ROUTE_FOUND:
        r->route         = match.route;
        r->path_id       = match.id;
        r->path_id_bytes = match.id_bytes;
        return true;
    case ROUTE_NO_PATH: request_refuse(r, "H0404", "There is nothing at this path."); return false;
    default:
        if (is_preflight(r)) {
            answer_preflight(r, match.allow);
            return false;
        }
        request_refuse(r, "H0405", "This path has other methods; see Allow.");
        MHD_add_response_header(r->answer, "Allow", match.allow);
        return false;
    }
}

static bool has_body(struct request *r)
{
    const char *length = request_header(r, "Content-Length");

    return (length && strcmp(length, "0") != 0) || request_header(r, "Transfer-Encoding");
}

/* What the client announces; 0 where it announces nothing. MHD has checked that it is a number. */
static uint64_t announced_bytes(struct request *r)
{
    const char *length = request_header(r, "Content-Length");

    return length ? strtoull(length, NULL, 10) : 0;
}

static bool body_is_welcome(struct request *r)
{
    const char *type = request_header(r, "Content-Type");

    if (r->route->handler->on_data || !has_body(r))
        return true;
    if (announced_bytes(r) > HTTP_JSON_BYTES_MAX) {
        request_refuse(r, "H0413", "The body may have 1 MiB.");
        return false;
    }
    if (r->route->handler->is_raw)
        return true;
    if (!type || strncasecmp(type, "application/json", 16) != 0 || !strchr("; \t", type[16])) {
        request_refuse(r, "H0415", "The body must be application/json.");
        return false;
    }
    return true;
}

/* A client that does not say who it is and yet has the database write is counted by its address. */
static bool address_may(struct request *r, struct err *err)
{
    struct limit_address client;

    if (r->route->limit == LIMIT_NONE)
        return true;
    client = request_client(r);
    return limits_take(r->server->limits, r->route->limit, &client, base_now_ms(), err);
}

static bool may_enter(struct request *r)
{
    struct err err;

    if (!find_route(r) || !body_is_welcome(r))
        return false;
    if (address_may(r, &err) && r->server->http->authenticate(r, &err))
        return true;
    request_problem(r, &err);
    return false;
}

/* Without a body the answer waits for MHD's next call, after which the connection can be kept. */
static enum MHD_Result answer_or_read_on(struct request *r)
{
    if (!r->answer || !has_body(r))
        return MHD_YES;
    if (announced_bytes(r) > DISCARD_BYTES_MAX || request_header(r, "Expect"))
        return queue_early(r); /* too much is coming, or nothing has been sent yet */
    return MHD_YES;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                 size_t name_bytes, const char *value, size_t value_bytes)
{
    struct framing *framing = cls;

    (void)kind;
    framing_header(framing, name, name_bytes, value ? value : "", value_bytes);
    return framing->wrong ? MHD_NO : MHD_YES;
}

static bool head_is_sound(struct request *r, const char *version)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct framing framing;
    const char    *wrong;

    framing_begin(&framing, r->method, r->target, r->target_bytes, version);
    MHD_get_connection_values_n(r->conn, MHD_HEADER_KIND, on_header, &framing);
    wrong = framing_end(&framing, r->method + (info ? info->header_size : 0));
    if (wrong)
        request_refuse(r, "KN006", wrong);
    return !wrong;
}

static void wait_for_body(struct request *r)
{
    r->phase = REQUEST_BODY;
    connection_enter(r->connection, has_body(r) ? CONNECTION_BODY : CONNECTION_BUSY);
}

/* Where the head is not sound the end of the body is unknown: the answer closes the connection. */
static enum MHD_Result begin_request(struct request *r, const char *version)
{
    choose_id(r);
    if (!head_is_sound(r, version)) {
        r->phase = REQUEST_RUNNING;
        return queue_early(r);
    }
    r->phase = REQUEST_BODY;
    if (may_enter(r) && r->route->handler->begin) {
        r->phase = REQUEST_BEGINNING;
        r->route->handler->begin(r);
    }
    connection_enter(r->connection, CONNECTION_BUSY);
    if (!r->is_suspended)
        wait_for_body(r);
    return answer_or_read_on(r);
}

/* ---- the body ---- */

static void free_body(struct request *r)
{
    r->server->http->body_bytes -= r->body_size;
    free(r->body);
    r->body       = NULL;
    r->body_bytes = r->body_size = 0;
}

/* The body that has been coming for longest gives up its memory, so that a client that sends
 * slowly, with or without a token, keeps no other out. The rest of it is thrown away, then its
 * client is told. */
static bool give_up_oldest_body(struct http *http, const struct request *but)
{
    struct connection *c = connections_receiving(http->connections, NULL);

    while (c && (c->request == but || !c->request || c->request->answer || !c->request->body))
        c = connections_receiving(http->connections, c);
    if (!c)
        return false;
    free_body(c->request);
    request_refuse(c->request, "53200",
                   "the bodies of all requests take as much memory as they may");
    return true;
}

static bool grow_body(struct request *r, size_t need)
{
    struct http *http = r->server->http;
    size_t       size = need > 2 * r->body_size ? need : 2 * r->body_size;

    while (http->body_bytes - r->body_size + size > BODIES_BYTES_MAX
           && give_up_oldest_body(http, r))
        continue;
    if (http->body_bytes - r->body_size + size > BODIES_BYTES_MAX) {
        request_refuse(r, "53200", "the bodies of all requests take as much memory as they may");
        return false;
    }
    http->body_bytes += size - r->body_size;
    r->body_size = size;
    r->body      = realloc(r->body, size);
    if (!r->body)
        abort();
    return true;
}

static void collect(struct request *r, const char *data, size_t bytes)
{
    size_t need = r->body_bytes + bytes + 1;

    if (need > HTTP_JSON_BYTES_MAX + 1) {
        request_refuse(r, "H0413", "The body may have 1 MiB.");
        return;
    }
    if (need > r->body_size && !grow_body(r, need))
        return;
    memcpy(r->body + r->body_bytes, data, bytes);
    r->body_bytes += bytes;
    r->body[r->body_bytes] = '\0';
}

static enum MHD_Result take_body(struct request *r, const char *data, size_t bytes)
{
    r->received_bytes += bytes;
    connection_received(r->connection, bytes);
    if (r->answer) /* thrown away, but not for ever */
        return r->received_bytes > r->discard_from + DISCARD_BYTES_MAX ? MHD_NO : MHD_YES;
    if (r->route->handler->on_data)
        r->route->handler->on_data(r, data, bytes);
    else
        collect(r, data, bytes);
    return MHD_YES;
}

/* Before anything reads it. Of a raw body its handler knows what it is. */
static void check_body(struct request *r)
{
    struct err err;

    if (memchr(r->body, '\0', r->body_bytes))
        request_refuse(r, "KN006", "The body holds a NUL byte.");
    else if (!jbuf_is_utf8(r->body, r->body_bytes))
        request_refuse(r, "KN006", "The body is not UTF-8.");
    else if (!r->route->handler->is_raw && !jscan_check(r->body, r->body_bytes, &err))
        request_problem(r, &err);
}

static enum MHD_Result end_request(struct request *r)
{
    r->phase = REQUEST_RUNNING;
    connection_enter(r->connection, CONNECTION_BUSY);
    if (!r->answer && r->body)
        check_body(r);
    if (!r->answer)
        r->route->handler->finish(r);
    return r->answer && !r->is_suspended ? queue_answer(r) : MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_bytes, void **con_cls)
{
    struct request *r = *con_cls;

    (void)cls;
    (void)url;
    switch (r->phase) {
    case REQUEST_NEW:
        r->conn        = conn;
        r->method      = method;
        r->is_http_1_0 = strcmp(version, "HTTP/1.0") == 0;
        return begin_request(r, version);
    case REQUEST_BEGINNING: /* resumed; still before the body */
        wait_for_body(r);
        return answer_or_read_on(r);
    case REQUEST_BODY:
        if (*data_bytes == 0)
            return end_request(r);
        if (take_body(r, data, *data_bytes) == MHD_NO)
            return MHD_NO;
        *data_bytes = 0;
        return MHD_YES;
    default: return r->answer ? queue_answer(r) : MHD_NO;
    }
}

/* ---- past MHD ---- */

/* What request_answer() adds. r NULL: nobody knows yet whose page it is. */
static void write_cors(struct request *r, char *text, size_t size)
{
    struct cors_header headers[CORS_HEADERS_MAX];
    size_t n = r ? cors_headers(r->server->cfg->allowed_origins, request_header(r, "Origin"), NULL,
                                headers)
                 : 0;

    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(text);
        snprintf(text + used, size - used, "%s: %s\r\n", headers[i].name, headers[i].value);
    }
}

/* Straight into the socket: where MHD waits for bytes it takes no answer. The connection is cut
 * then. */
static void say(struct connection *c, const char *sqlstate, const char *sentence)
{
    const struct problem *problem;
    struct jbuf           j = { 0 };
    struct err            err;
    char                  id[33], cors[1024], text[2048];
    int                   bytes;

    err_set(&err, sqlstate, "%s", sentence);
    problem = problem_find(&err);
    base_random_hex(id, 32);
    problem_json(&j, problem, &err, id);
    write_cors(c->request, cors, sizeof(cors));
    bytes =
        snprintf(text, sizeof(text),
                 "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
                 "Cache-Control: no-store\r\nX-Request-Id: %s\r\n%sContent-Length: %zu\r\n\r\n%s",
                 problem->status, MHD_get_reason_phrase_for(problem->status), id, cors, j.len,
                 jbuf_text(&j));
    jbuf_free(&j);
    FAILPOINT("server.answering");
    if (bytes > 0 && (size_t)bytes < sizeof(text))
        (void)!send(c->fd, text, (size_t)bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_late(struct connection *c)
{
    struct request *r = c->request;

    if (c->phase == CONNECTION_BODY
        || (c->phase == CONNECTION_HEAD && (r || connection_is_unanswered(c)))) {
        say(c, "H0408",
            c->phase == CONNECTION_BODY ? "The body came too slowly."
                                        : "The headers took too long to come.");
        if (r)
            r->status = 408;
    }
}

/* ---- a request's life ---- */

static void free_request(struct http *http, struct request *r)
{
    r->connection->request = NULL;
    http->requests--;
    if (r->answer && !r->is_queued) /* the client left while we were asking for it */
        MHD_destroy_response(r->answer);
    if (r->data_free)
        r->data_free(r->data);
    free_body(r);
    arena_close(r->arena);
}

static struct connection *connection_of(struct MHD_Connection *conn)
{
    return MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* The query is ours to read. MHD (0.9.75) would keep a record of each of its arguments, and where
 * its memory does not suffice it drops the connection without an answer: so it is shown none. The
 * URI lies in its own buffer, which it goes on to cut up. */
static void hide_query(const char *uri)
{
    char *mark = (char *)(uintptr_t)strchr(uri, '?');

    if (mark)
        mark[1] = '\0';
}

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *conn)
{
    struct http    *http  = cls;
    struct arena   *arena = arena_open(REQUEST_ARENA_BYTES);
    struct request *r     = arena_alloc(arena, sizeof(*r));
    char           *mark;

    r->arena      = arena;
    r->server     = http->server;
    r->conn       = conn;
    r->connection = connection_of(conn);
    r->started_ns = base_now_ns();
    r->path       = arena_strdup(arena, uri);
    mark          = strchr(r->path, '?');
    if (mark) {
        *mark    = '\0';
        r->query = mark + 1;
    }
    r->target       = uri;
    r->target_bytes = framing_target_is_sound(uri) ? strlen(uri) : 0;
    hide_query(uri);
    if (r->connection->request)
        free_request(http, r->connection->request);
    r->connection->request  = r;
    r->connection->is_clean = false;
    http->requests++;
    return r;
}

/* The path as logs may have it: that of a public page is its key. */
static const char *told_path(const struct request *r)
{
    return strncmp(r->path, "/s/", 3) == 0 ? "/s/{token}" : r->path;
}

/* What MHD has answered by itself; 0: nothing. */
static unsigned status_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_HTTP_STATUS);

    return info ? info->http_status : 0;
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    struct http    *http = cls;
    struct request *r    = *con_cls;

    if (!r)
        return;
    *con_cls = NULL;
    if (code == MHD_REQUEST_TERMINATED_WITH_ERROR && !r->status)
        r->status = status_of(conn);
    connection_enter(r->connection, CONNECTION_HEAD);
    r->connection->is_clean =
        code == MHD_REQUEST_TERMINATED_COMPLETED_OK && r->phase == REQUEST_RUNNING && !r->is_early;
    metrics_request(http->server->metrics, r->route, r->status, base_now_ns() - r->started_ns);
    if (log_wants(LOG_LEVEL_DEBUG)) /* the path only: the query may hold a ticket or a signature */
        log_debug("request", "request_id", r->id, "method", r->method, "path", told_path(r),
                  "status", LOG_I64(r->status), NULL);
    free_request(http, r);
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http       *http = cls;
    struct connection *c    = *context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = connection_start(
            http->connections,
            MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
            MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
        return;
    }
    if (c->request)
        free_request(http, c->request);
    else if (c->phase == CONNECTION_HEAD && connection_is_unanswered(c))
        say(c, "KN006",
            "The first line must be a method, a target and a version, with one "
            "blank between them.");
    connection_stop(c);
    *context = NULL;
}

static enum MHD_Result on_accept(void *cls, const struct sockaddr *peer, socklen_t bytes)
{
    struct http *http = cls;

    (void)bytes;
    return connections_admit(http->connections, peer) ? MHD_YES : MHD_NO;
}

/* MHD's own decoding is off: see uri.h. */
static size_t keep_escapes(void *cls, struct MHD_Connection *conn, char *text)
{
    (void)cls;
    (void)conn;
    return strlen(text);
}

static void log_mhd(void *cls, const char *fmt, va_list args)
{
    char line[256];

    (void)cls;
    if (!log_wants(LOG_LEVEL_DEBUG))
        return;
    vsnprintf(line, sizeof(line), fmt, args);
    log_debug("libmicrohttpd", "said", line, NULL);
}

/* ---- opening and closing ---- */

/* TURBO: 9 % more requests, and a connection that is given up is closed without a shutdown, which
 * sse.c needs. */
static struct MHD_Daemon *start_mhd(struct http *http, int fd, unsigned connections)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_UPGRADE | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG
            | MHD_USE_TURBO,
        0, on_accept, http, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, connections,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_URI_LOG_CALLBACK, on_uri, http,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
}

/* Long polls stay with MHD and count as streams. */
static unsigned connections_most(const struct server *server)
{
    return (unsigned)server->cfg->max_streams + (unsigned)server->cfg->max_connections;
}

static bool open_daemon(struct http *http, const char *bind_to, int port, struct err *err)
{
    struct server     *server = http->server;
    struct MHD_Daemon *daemon;
    int                fd = mhd_listen(bind_to, port, err);

    if (fd < 0)
        return false;
    http->connections = connections_open(server, on_late);
    daemon            = start_mhd(http, fd, connections_most(server));
    if (!daemon) {
        err_set(err, "58030", "libmicrohttpd does not start");
        close(fd);
        return false;
    }
    server->mhd = mhd_open(server->loop, daemon, err);
    if (!server->mhd)
        MHD_stop_daemon(daemon);
    return server->mhd;
}

struct http *http_open(struct server *server, const char *bind_to, int port,
                       http_authenticate_fn *authenticate, struct err *err)
{
    struct http *http = calloc(1, sizeof(*http));

    if (!http)
        abort();
    http->server       = server;
    http->authenticate = authenticate;
    if (open_daemon(http, bind_to, port, err))
        return http;
    http_close(http);
    return NULL;
}

void http_stop_accepting(struct http *http)
{
    mhd_stop_accepting(http->server->mhd);
    connections_drain(http->connections);
}

void http_cut(struct http *http)
{
    connections_cut(http->connections);
}

void http_release_peer(struct http *http, struct peer *peer)
{
    peer_release(http->connections, peer);
}

size_t http_connections(const struct http *http)
{
    return connections_count(http->connections);
}

size_t http_requests(const struct http *http)
{
    return http->requests;
}

void http_close(struct http *http)
{
    if (!http)
        return;
    mhd_close(http->server->mhd);
    http->server->mhd = NULL;
    connections_close(http->connections);
    free(http);
}
