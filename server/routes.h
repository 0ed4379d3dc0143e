/*
 * routes: the whole public surface as one array; see routes.c.
 */
#ifndef KILN_ROUTES_H
#define KILN_ROUTES_H

#include <stdio.h>

#include "lib/base.h"

struct request;

enum auth_kind {
    AUTH_NONE,   /* anyone */
    AUTH_USER,   /* Authorization: Bearer */
    AUTH_ADMIN,  /* Authorization: Bearer, where SQL looks for the role; or X-API-Key */
    AUTH_SIGNED, /* exp and sig in the query; SQL checks them */
    AUTH_STREAM, /* Bearer, or ?ticket= */
    AUTH_WATCH,  /* as AUTH_ADMIN, of a stream */
};

enum pool { /* the links that a call goes over: lanes.h */
            POOL_NONE,
            POOL_READ,   /* one thing, by its key */
            POOL_PAGE,   /* a page of a list */
            POOL_LONG,   /* a search, an export, a report, a list of administration */
            POOL_STREAM, /* opens or replays a stream */
            POOL_HEALTH, /* those who run it ask; all who ask at once get the same answer */
            POOL_WRITE,
            POOL_SEARCH, /* POOL_PAGE, but POOL_LONG with q in the query */
};

/* What a route does with a request. A begin that has to wait suspends; it has refused once an
 * answer is set. */
struct handler {
    void (*begin)(struct request *r); /* before the body, or NULL */
    void (*take)(struct request *r, const char *data,
                 size_t bytes);        /* NULL: the body is collected */
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
    enum pool             pool;
    unsigned              roles; /* enum role: which processes have it */
};

extern const struct route routes[];
extern const size_t       nroutes;

enum route_result { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };

struct route_match {
    const struct route *route;
    const char         *id; /* undecoded; NULL where the pattern has none */
    size_t              id_bytes;
    char                allow[64]; /* of ROUTE_NO_METHOD: what the path does have */
};

/* The statement of the route that has this function; there is one. */
size_t routes_statement(const char *function);

/* The rows of these roles as JSON, one a line, in reading order: for tests and generators. */
void routes_print(unsigned roles, FILE *out);

/* HEAD finds the row of GET, except for streams. */
enum route_result routes_match(unsigned roles, const char *method, const char *path,
                               struct route_match *match);

#endif
