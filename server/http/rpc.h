/*
 * rpc: a request becomes one call of a kiln_api function, and the function's result its answer.
 *
 * The function's parameters are the context (who asks), the path's parameter, the query and the
 * body, each as JSON. A reply of a call must be followed by an answer.
 */
#ifndef KILN_RPC_H
#define KILN_RPC_H

#include "lib/base.h"
#include "lib/db.h"
#include "lib/err.h"
#include "server/http/request.h"
#include "server/http/statements.h"

/* For whom the calls of a request count: its account, or what is known of it so far. */
uint64_t rpc_owner(struct request *r);

/* Any statement that has a function's four parameters. The caller suspends the request. */
MUST_CHECK bool rpc_send(struct request *r, size_t statement, enum pool_kind pool, const char *body,
                         db_reply_fn *on_reply, struct err *err);

/* rpc_send() of the route's own function and pool. */
MUST_CHECK bool rpc_send_route(struct request *r, const char *body, db_reply_fn *on_reply,
                               struct err *err);

/* The same, and suspends. Where nothing could be sent, on_reply hears why at once. */
void rpc_route_then(struct request *r, const char *body, db_reply_fn *on_reply);

/* The same, its result sent as it is. */
void rpc_route(struct request *r, const char *body);

/* Sends a result's text with the route's status of success, or the problem. Takes result. */
void rpc_answer(struct request *r, PGresult *result, const struct err *err);

extern const struct handler rpc_handler; /* finish() is rpc_route() of the body */

#endif
