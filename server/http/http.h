/*
 * http: libmicrohttpd in our loop, and a request from its first header to its answer.
 *
 * MHD has no thread of its own: its epoll descriptor is watched in ours and MHD_run() is called at
 * the end of a turn. A resumed connection does not wake it (0.9.75), so request_answer() asks for
 * another run.
 *
 * Ownership: a request lives in its arena from its first line until MHD reports it completed, or its
 *            connection closed, which MHD (0.9.75) may do without the former. A suspended connection is not
 *            closed by MHD even when the client is gone, so whoever suspends must answer, always.
 * Bounds:    8 KiB for head and header, 1 MiB of JSON and 64 MiB of all such bodies; other bodies are the
 *            handler's business. Time and number of connections: connection.h.
 */
#ifndef KILN_HTTP_H
#define KILN_HTTP_H

#include <microhttpd.h>

#include "lib/arena.h"
#include "lib/base.h"
#include "server/http/call.h"
#include "lib/err.h"
#include "server/routes.h"
#include "server/server.h"

#define HTTP_JSON_BYTES_MAX (1u << 20)

enum request_phase { REQUEST_NEW, REQUEST_BEGINNING, REQUEST_BODY, REQUEST_RUNNING };

struct request {
    struct server         *server;
    struct MHD_Connection *conn;
    struct connection     *connection;
    struct arena          *arena;
    const struct route    *route; /* NULL: no such path */
    enum request_phase     phase;
    uint64_t               started_ns;

    const char *method;
    char       *path;  /* undecoded */
    char       *query; /* undecoded, or NULL */
    const char *path_id;
    size_t      path_id_bytes;
    char        id[65];
    bool        is_http_1_0;
    const char *preflight; /* the path's methods, for a page that asks before its request */

    const char *context; /* JSON for act_as */
    const char *ticket;
    int64_t     expires_at;
    bool        has_token; /* one was sent, good or not */
    uint64_t    owner;     /* who is asking, for owner.h; 0: nobody says */
    bool        is_proven; /* that is checked already, without the database */

    const char *target; /* where MHD has the first line's; for framing.h */
    size_t      target_bytes;

    char    *body; /* NUL-ended */
    size_t   body_bytes, body_size;
    uint64_t received_bytes, discard_from;

    struct call  call;
    db_reply_fn *on_reply; /* call_request()'s */

    struct MHD_Response *answer;
    unsigned             status;
    bool                 is_suspended, is_queued;
    bool                 is_early; /* answered before all of it was read */

    void (*on_open)(struct request *r, int64_t account); /* stream_request()'s */

    void *data; /* the handler's: an upload, a stream */
    void (*data_free)(void *data);
};

struct http;

struct http *http_open(struct server *server, const char *bind, int port, struct err *err);
void         http_stop_accepting(struct http *http);
size_t       http_requests(
          const struct http *http); /* begun and not completed; idle connections do not count */
struct peer;
void   http_release_peer(struct http *http, struct peer *peer); /* connection_give_up()'s */
size_t http_connections(const struct http *http);
void   http_cut(struct http *http);   /* drain: clients that do not send or read */
void   http_close(struct http *http); /* no request may be suspended any more */

/* MHD has something to clean up that no event tells it of. */
void http_run_again(struct http *http);

const char *request_header(struct request *r, const char *name);
void        request_suspend(struct request *r);

/* Only out of begin(): lets the body in. */
void request_resume(struct request *r);

/* Once a request. Takes the response; adds X-Request-Id; resumes where it was suspended. */
void request_answer(struct request *r, unsigned status, struct MHD_Response *response);
void request_problem(struct request *r, const struct err *err);

/* A response that frees text, of the type given. */
struct MHD_Response *http_text_response(char *text, size_t bytes, const char *content_type);

#endif
