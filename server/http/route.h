/*
 * route: a row of the table of routes, and which row a request finds. The table itself: routes.c.
 */
#ifndef KILN_ROUTE_H
#define KILN_ROUTE_H

#include <stdio.h>

#include "lib/base.h"
#include "server/http/limit.h"
#include "server/pool/pools.h"

struct request;

enum auth_kind {
    AUTH_NONE,   /* anyone */
    AUTH_USER,   /* Authorization: Bearer, or X-API-Key */
    AUTH_ADMIN,  /* the same, where SQL looks for the role; or the operator's X-API-Key */
    AUTH_SIGNED, /* exp and sig in the query; SQL checks them */
    AUTH_STREAM, /* Bearer, or ?ticket= */
    AUTH_WATCH,  /* as AUTH_ADMIN, of a stream */
};

/* What a route does with a request. A begin that has to wait suspends; it has refused once an
 * answer is set. */
struct handler {
    void (*begin)(struct request *r); /* before the body, or NULL */
    /* A piece of the body; NULL: the body is collected. */
    void (*on_data)(struct request *r, const char *data, size_t bytes);
    void (*finish)(struct request *r); /* the whole body is here */
    bool is_raw;                       /* the body that is collected may be of any type */
};

struct route {
    const char           *method;
    const char           *pattern; /* {id} is one segment, {id...} the rest of the path */
    enum auth_kind        auth;
    const struct handler *handler;
    const char           *function; /* kiln_api.NAME, or NULL */
    unsigned              status;   /* of success */
    enum pool_kind        pool;     /* POOL_SEARCH: see rpc.c */
    unsigned              roles;    /* enum role: which processes have it */
    enum limit_class      limit;    /* what its client's address counts towards */
};

struct routes {
    const struct route *rows;
    size_t              count;
};

enum route_result { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };

struct route_match {
    const struct route *route;
    const char         *id; /* undecoded; NULL where the pattern has none */
    size_t              id_bytes;
    char                allow[64]; /* of ROUTE_NO_METHOD: the methods that the path does have */
};

/* It holds a connection open for events. */
bool route_is_stream(const struct route *route);

/* The rows of these roles as JSON, one a line, in reading order: for tests and generators. */
void routes_print(const struct routes *routes, unsigned roles, FILE *out);

/* HEAD finds the row of GET, except for streams. */
enum route_result routes_match(const struct routes *routes, unsigned roles, const char *method,
                               const char *path, struct route_match *match);

#endif
