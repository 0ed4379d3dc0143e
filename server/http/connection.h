/*
 * connection: every TCP connection of libmicrohttpd's, from accept to close: whose it is, what it
 * does, and how long it may.
 *
 *   HEAD ─headers─► [BODY ─►] BUSY ─answer─► ANSWER ─all sent─► HEAD …
 *
 * HEAD    waits for the end of the headers: KILN_CLIENT_TIMEOUT_MS from accept, KEPT_MS from the
 *         last answer.
 * BODY    a body is coming, ANSWER an answer is going: in each KILN_CLIENT_TIMEOUT_MS at least
 *         KILN_CLIENT_BYTES_PER_SECOND of them must pass. A body may take an hour.
 * BUSY    the server works; the client has no deadline. A long poll waits here.
 *
 * Bounds: KILN_CONNECTIONS_PER_ADDRESS, where an IPv6 address counts as its /64; 127.0.0.1, ::1
 *         and KILN_TRUSTED_PROXIES are exempt, since others stand behind them. KILN_MAX_CONNECTIONS
 *         in HEAD: another one closes the oldest of them, preferably one that was never answered.
 *
 * Ownership: a connection lives from MHD_CONNECTION_NOTIFY_STARTED to _CLOSED, and its request no
 *            longer than it, whether or not MHD reports the request as completed.
 */
#ifndef KILN_CONNECTION_H
#define KILN_CONNECTION_H

#include <sys/queue.h>
#include <sys/socket.h>

#include "lib/base.h"
#include "server/server.h"

struct request;
struct connections;
struct peer; /* an address that has connections */

enum connection_phase {
    CONNECTION_HEAD,
    CONNECTION_BODY,
    CONNECTION_BUSY,
    CONNECTION_ANSWER,
    CONNECTION_CUT, /* given up; MHD will close it */
    CONNECTION_PHASES
};

/* Why the server has closed or refused one: labels in /metrics. */
enum connection_end { END_OF_ADDRESS, END_OF_ROOM, END_OF_HEAD, END_OF_BODY, END_OF_READING };

struct connection {
    struct connections *all;
    TAILQ_ENTRY(connection) entry; /* in the list of its phase, the oldest first */
    struct request       *request;
    struct peer          *peer;
    int                   fd;
    enum connection_phase phase;
    uint64_t              since_ms;  /* in this phase */
    uint64_t              window_ms; /* when the stretch began in which bytes are counted */
    uint64_t              bytes; /* of a body in this stretch; of answers: acknowledged before it */
    unsigned              answers;
    bool                  is_clean;    /* nothing that was sent may be unread */
    bool                  is_detached; /* its socket is a stream's */
};

/* on_late: the time of a connection is over; its last chance to say a word before it is cut. */
struct connections *connections_open(struct server *server, void (*on_late)(struct connection *c));
void                connections_close(struct connections *all);

/* False: this address has as many as it may. */
bool connections_admit(struct connections *all, const struct sockaddr *peer);

struct connection *connection_start(struct connections *all, int fd, const struct sockaddr *peer);
/* MHD is about to close the descriptor. What the client has sent and was not read is read, for a
 * moment, so that the client gets its answer and no reset. */
void connection_stop(struct connection *c);

void connection_enter(struct connection *c, enum connection_phase phase);
void connection_received(struct connection *c, size_t bytes); /* of a body */
void connection_cut(struct connection *c);

/* The one whose body has been coming for longest, or the next behind it; NULL: there is none. */
struct connection *connections_receiving(struct connections *all, struct connection *behind);

/* Nothing was answered on it, and something came. */
bool connection_is_unanswered(const struct connection *c);

/* A stream takes the socket over, and the place among those of its address, which it releases. */
struct peer *connection_detach(struct connection *c);
void         peer_release(struct connections *all, struct peer *peer);

/* The server stops: a client in the middle of a head has a second. */
void connections_drain(struct connections *all);
/* Whoever has not sent or read by now keeps the server: cut. */
void connections_cut(struct connections *all);

size_t connections_count(const struct connections *all);

#endif
