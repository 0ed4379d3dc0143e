/*
 * call: one SQL function call. Which links it goes over, and when its turn is: lanes.h.
 */
#ifndef KILN_CALL_H
#define KILN_CALL_H

#include "lib/base.h"
#include "lib/db.h"
#include "lib/err.h"
#include "server/routes.h"
#include "server/pool/turns.h"

struct calls;
struct lanes;
struct link;
struct server;

/* Filled by its owner; parameters must live until the reply. */
struct call {
    enum pool    pool;
    size_t       statement;
    const char  *params[6];
    uint64_t     owner; /* for whom it counts: owner.h */
    db_reply_fn *on_reply;
    void        *ctx;

    struct turn  turn; /* from here on lanes.c's own */
    struct link *link;
    struct call *rider; /* that gets the same answer */
    bool         was_sent_again;
};

/* The statements that are no route's; a route's statement is its index in routes[]. */
enum {
    CALL_BEGIN_UPLOAD,
    CALL_BEGIN_TRYON,
    CALL_KEEP_RECEIVING,
    CALL_END_RECEIVING,
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
bool          calls_read_is_up(const struct calls *calls); /* each kind has a link that is up */
size_t        calls_waiting(const struct calls *calls);
size_t        calls_writers_up(const struct calls *calls);

const struct lanes *calls_lanes(const struct calls *calls);

/* False: nothing will be replied. */
MUST_CHECK bool call_start(struct calls *calls, struct call *call, struct err *err);

/* For whom the calls of a request count: its account, or what is known of it so far. */
uint64_t call_owner(struct request *r);

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
