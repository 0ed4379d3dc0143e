/*
 * call: one SQL function call, over the pipelined read link or the pool of writers.
 *
 * Reads go out at once, many in flight, and are sent once more when the link is lost before the
 * answer. Writes take one free link of KILN_DB_WRITERS each, so that group commit works and a lock
 * wait stops nobody else; beyond those they wait, at most 1,024 and 5 seconds. A write whose link
 * is lost may have happened or not: the client gets 503 and repeats it under its Idempotency-Key.
 */
#ifndef KILN_CALL_H
#define KILN_CALL_H

#include "base.h"
#include "db.h"
#include "err.h"
#include "routes.h"

struct calls;
struct server;

/* Filled by its owner; parameters must live until the reply. */
struct call {
    enum pool    pool;
    size_t       statement;
    const char  *params[6];
    db_reply_fn *on_reply;
    void        *ctx;

    struct calls *calls; /* from here on call.c's own */
    struct call  *next;
    size_t        writer;
    uint64_t      due_ms;
    bool          was_sent_again;
};

/* The statements that are no route's; a route's statement is its index in routes[]. */
enum {
    CALL_BEGIN_UPLOAD,
    CALL_BEGIN_TRYON,
    CALL_DIRECT_UPLOAD,
    CALL_WEBHOOK_KEYS,
    CALL_OPEN_STREAM,
    CALL_USE_TICKET,
    CALL_BUS_REPLAY,
    CALL_OPEN_WATCH,
    CALL_WATCH_REPLAY,
    CALL_OTHERS
};
#define CALL_STATEMENT(other) (nroutes + (other))

struct calls *calls_open(struct server *server, struct err *err);
void          calls_close(struct calls *calls);
bool          calls_check(struct server *server, struct err *err); /* --check: blocking */
bool          calls_read_is_up(const struct calls *calls);
size_t        calls_waiting(const struct calls *calls);
size_t        calls_writers_up(const struct calls *calls);

/* False: nothing will be replied. */
MUST_CHECK bool call_start(struct calls *calls, struct call *call, struct err *err);

/* The request's own call, with context, path, query and body as its parameters. */
MUST_CHECK bool call_request(struct request *r, size_t statement, enum pool pool, const char *body,
                             db_reply_fn *on_reply, struct err *err);

/* call_request() of the route's function; suspends. Where nothing could be sent, on_reply hears why at once. */
void call_route_then(struct request *r, const char *body, db_reply_fn *on_reply);

/* The same, its result sent as it is. */
void call_route(struct request *r, const char *body);

/* Sends a result's text with the route's status of success, or the problem. Takes result. */
void call_answer(struct request *r, PGresult *result, const struct err *err);

extern const struct handler call_sql;

#endif
