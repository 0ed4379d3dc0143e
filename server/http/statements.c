/*
 * statements: the list of statements, built of the table of routes.
 */
#include "server/http/statements.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The second column tells for whom the next call of the same token or key counts. */
#define FUNCTION_SQL(name)                                                                  \
    "select kiln_api." name "(kiln_api.act_as($1::text), $2::jsonb, $3::jsonb, $4::text), " \
    "pg_catalog.current_setting('kiln.account_id', true)"

static const struct db_statement own[STATEMENTS_OWN] = {
    [STATEMENT_BEGIN_UPLOAD]  = { "begin_upload", FUNCTION_SQL("begin_upload"), 4 },
    [STATEMENT_DIRECT_UPLOAD] = { "create_direct_upload", FUNCTION_SQL("create_direct_upload"), 4 },
    [STATEMENT_KEEP_RECEIVING] = { "extend_upload_session", FUNCTION_SQL("extend_upload_session"),
                                   4 },
    [STATEMENT_END_RECEIVING]  = { "end_upload_session", FUNCTION_SQL("end_upload_session"), 4 },
    [STATEMENT_BEGIN_TRYON]    = { "begin_tryon", FUNCTION_SQL("begin_tryon"), 4 },
    [STATEMENT_WEBHOOK_KEYS]   = { "webhook_keys", FUNCTION_SQL("webhook_keys"), 4 },
    [STATEMENT_OPEN_STREAM]    = { "open_stream",
                                   "select kiln_api.open_stream(kiln_api.act_as($1::text))", 1 },
    [STATEMENT_USE_TICKET]     = { "use_ticket",
                                   "select account_id, expires_at from kiln_api.use_ticket($1::text)",
                                   1 },
    [STATEMENT_BUS_REPLAY]     = { "bus_replay",
                                   "select position, type, data "
                                       "from kiln_api.bus_replay($1::bigint, $2::text, $3::text, $4::int)",
                                   4 },
    [STATEMENT_OPEN_WATCH]     = { "open_watch",
                                   "select actor, account_id, kinds, states from kiln_api.open_watch("
                                       "kiln_api.act_as($1::text), $2::jsonb, $3::jsonb, $4::text)",
                                   4 },
    [STATEMENT_WATCH_REPLAY]   = { "watch_replay",
                                   "select position, type, data from kiln_api.watch_replay("
                                     "$1::bigint, $2::text, $3::text, $4::text, $5::text, $6::int)",
                                   6 },
};

static char *function_sql(const char *function)
{
    char *sql;

    if (asprintf(&sql, FUNCTION_SQL("%s"), function) < 0)
        abort();
    return sql;
}

/* A route without a function has a harmless statement, so that each route has one. */
static struct db_statement of_route(const struct route *route)
{
    if (!route->function)
        return (struct db_statement) { route->pattern, strdup("select 1"), 0 };
    return (struct db_statement) { route->function, function_sql(route->function), 4 };
}

struct statements *statements_open(const struct routes *routes)
{
    struct statements *statements = malloc(sizeof(*statements));

    if (!statements)
        abort();
    statements->count = STATEMENTS_OWN + routes->count;
    statements->list  = calloc(statements->count, sizeof(*statements->list));
    if (!statements->list)
        abort();
    memcpy(statements->list, own, sizeof(own));
    for (size_t i = 0; i < routes->count; i++)
        statements->list[STATEMENTS_OWN + i] = of_route(&routes->rows[i]);
    return statements;
}

void statements_close(struct statements *statements)
{
    if (!statements)
        return;
    for (size_t i = STATEMENTS_OWN; i < statements->count; i++)
        free((char *)(uintptr_t)statements->list[i].sql);
    free(statements->list);
    free(statements);
}

size_t statement_of_route(const struct routes *routes, const struct route *route)
{
    assert(route >= routes->rows && route < routes->rows + routes->count);
    return STATEMENTS_OWN + (size_t)(route - routes->rows);
}

size_t statement_of_function(const struct routes *routes, const char *function)
{
    size_t i = 0;

    while (i < routes->count
           && !(routes->rows[i].function && strcmp(routes->rows[i].function, function) == 0))
        i++;
    assert(i < routes->count); /* found by the first test that asks for it */
    return STATEMENTS_OWN + i;
}
