/*
 * statements: every SQL statement that the server calls over its pools, in one list: those of this
 * file, then one a route. Statements of the event log and of the instance: bus.c, instance.c.
 */
#ifndef KILN_STATEMENTS_H
#define KILN_STATEMENTS_H

#include "lib/base.h"
#include "lib/db.h"
#include "server/http/route.h"

/* The statements that are no route's. */
enum {
    STATEMENT_BEGIN_UPLOAD,
    STATEMENT_BEGIN_TRYON,
    STATEMENT_KEEP_RECEIVING,
    STATEMENT_END_RECEIVING,
    STATEMENT_DIRECT_UPLOAD,
    STATEMENT_WEBHOOK_KEYS,
    STATEMENT_OPEN_STREAM,
    STATEMENT_USE_TICKET,
    STATEMENT_BUS_REPLAY,
    STATEMENT_OPEN_WATCH,
    STATEMENT_WATCH_REPLAY,
    STATEMENTS_OWN
};

struct statements {
    struct db_statement *list;
    size_t               count;
};

struct statements *statements_open(const struct routes *routes);
void               statements_close(struct statements *statements);

/* The statement of a route that has a function, which stays inside its table. */
size_t statement_of_route(const struct routes *routes, const struct route *route);
size_t statement_of_function(const struct routes *routes, const char *function);

#endif
