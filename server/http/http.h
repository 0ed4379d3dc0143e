/*
 * http: the way of a request through the server, from its first header to its answer.
 *
 * Ownership: a request lives from its first line until MHD reports it completed, or its connection
 *            closed, which MHD (0.9.75) may do without the former.
 * Bounds:    8 KiB for the head, 1 MiB of JSON and 64 MiB of all such bodies; other bodies are the
 *            handler's business. Time and number of connections: connection.h.
 */
#ifndef KILN_HTTP_H
#define KILN_HTTP_H

#include "lib/base.h"
#include "lib/err.h"
#include "server/http/request.h"
#include "server/server.h"

#define HTTP_JSON_BYTES_MAX (1u << 20)

struct http;
struct peer;

/* Says who asks, as the route wants it: fills r->context, owner and expires_at, or *err. */
typedef bool http_authenticate_fn(struct request *r, struct err *err);

struct http *http_open(struct server *server, const char *bind, int port,
                       http_authenticate_fn *authenticate, struct err *err);
void         http_stop_accepting(struct http *http);
void         http_cut(struct http *http);   /* drain: clients that do not send or read */
void         http_close(struct http *http); /* no request may be suspended any more */

/* Begun and not completed; idle connections do not count. */
size_t http_requests(const struct http *http);
size_t http_connections(const struct http *http);

void http_release_peer(struct http *http, struct peer *peer); /* connection_detach()'s */

#endif
