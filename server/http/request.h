/*
 * request: one HTTP request, from its first line until libmicrohttpd is done with it, and its
 * answer.
 *
 * Ownership: a request lives in its arena. A suspended connection is not closed by MHD even when
 *            the client is gone, so whoever suspends a request must answer it, always.
 */
#ifndef KILN_REQUEST_H
#define KILN_REQUEST_H

#include <microhttpd.h>

#include "lib/arena.h"
#include "lib/base.h"
#include "lib/err.h"
#include "server/http/limit.h"
#include "server/http/route.h"
#include "server/pool/pools.h"
#include "server/server.h"

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

    const char            *context;  /* JSON for act_as: auth/act_as.h */
    const struct identity *identity; /* who opens a stream; else NULL */
    const char            *ticket;
    int64_t                expires_at;
    bool                   has_token; /* one was sent, good or not */
    uint64_t               owner;     /* who is asking, for owner.h; 0: not said */
    bool                   is_proven; /* that is checked already, without the database */

    const char *target; /* where MHD has the first line's; for framing.h */
    size_t      target_bytes;

    char    *body; /* NUL-ended */
    size_t   body_bytes, body_size;
    uint64_t received_bytes, discard_from;

    struct call  call;
    db_reply_fn *on_reply; /* rpc_send()'s */

    struct MHD_Response *answer;
    unsigned             status;
    bool                 is_suspended, is_queued;
    bool                 is_early; /* answered before all of it was read */

    void (*on_open)(struct request *r, int64_t account); /* stream_request()'s */

    void *data; /* the handler's: an upload, a stream */
    void (*data_free)(void *data);
};

const char *request_header(struct request *r, const char *name);

/* Whose request it is: the peer, or the client that a trusted proxy names. */
struct limit_address request_client(struct request *r);

void request_suspend(struct request *r);
/* Only out of begin(): lets the body in. */
void request_resume(struct request *r);

/* Once a request. Takes the response; adds X-Request-Id; resumes where it was suspended. */
void request_answer(struct request *r, unsigned status, struct MHD_Response *response);
void request_problem(struct request *r, const struct err *err);
/* The same, of a SQLSTATE and a sentence. */
void request_refuse(struct request *r, const char *sqlstate, const char *sentence);

/* A response that frees text, of the type given. */
struct MHD_Response *request_text_response(char *text, size_t bytes, const char *content_type);

#endif
