/*
 * call: every statement that the server calls, and what a request makes of one.
 */
#include "server/http/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/http/http.h"
#include "server/pool/lanes.h"
#include "server/pool/owner.h"
#include "server/http/problem.h"
#include "server/http/uri.h"

struct calls {
    struct db_statement *statements;
    struct lanes        *lanes;
};

/* ---- statements ---- */

/* The second column tells for whom the next call of the same token or key counts. */
#define FUNCTION_SQL(name)                                                                  \
    "select kiln_api." name "(kiln_api.act_as($1::text), $2::jsonb, $3::jsonb, $4::text), " \
    "pg_catalog.current_setting('kiln.account_id', true)"

static const struct db_statement others[CALL_OTHERS] = {
    [CALL_BEGIN_UPLOAD]   = { "begin_upload", FUNCTION_SQL("begin_upload"), 4 },
    [CALL_DIRECT_UPLOAD]  = { "create_direct_upload", FUNCTION_SQL("create_direct_upload"), 4 },
    [CALL_KEEP_RECEIVING] = { "keep_receiving", FUNCTION_SQL("keep_receiving"), 4 },
    [CALL_END_RECEIVING]  = { "end_receiving", FUNCTION_SQL("end_receiving"), 4 },
    [CALL_BEGIN_TRYON]    = { "begin_tryon", FUNCTION_SQL("begin_tryon"), 4 },
    [CALL_WEBHOOK_KEYS]   = { "webhook_keys", FUNCTION_SQL("webhook_keys"), 4 },
    [CALL_OPEN_STREAM]  = { "open_stream", "select kiln_api.open_stream(kiln_api.act_as($1::text))",
                            1 },
    [CALL_USE_TICKET]   = { "use_ticket",
                            "select account_id, expires_at from kiln_api.use_ticket($1::text)", 1 },
    [CALL_BUS_REPLAY]   = { "bus_replay",
                            "select position, type, data "
                              "from kiln_api.bus_replay($1::bigint, $2::text, $3::text, $4::int)",
                            4 },
    [CALL_OPEN_WATCH]   = { "open_watch",
                            "select actor, account_id, kinds, states from kiln_api.open_watch("
                              "kiln_api.act_as($1::text), $2::jsonb, $3::jsonb, $4::text)",
                            4 },
    [CALL_WATCH_REPLAY] = { "watch_replay",
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

/* One statement a route, so that a route's index is its statement's; a route without a function has
 * a harmless one. */
static struct db_statement *build_statements(void)
{
    struct db_statement *list = calloc(nroutes + CALL_OTHERS, sizeof(*list));

    if (!list)
        abort();
    for (size_t i = 0; i < nroutes; i++) {
        const char *function = routes[i].function;
        list[i].name         = function ? function : routes[i].pattern;
        list[i].sql          = function ? function_sql(function) : strdup("select 1");
        list[i].nparams      = function ? 4 : 0;
    }
    memcpy(list + nroutes, others, sizeof(others));
    return list;
}

static void free_statements(struct db_statement *list)
{
    for (size_t i = 0; list && i < nroutes; i++)
        free((char *)(uintptr_t)list[i].sql);
    free(list);
}

bool call_start(struct calls *calls, struct call *call, struct err *err)
{
    return lanes_start(calls->lanes, call, err);
}

const struct lanes *calls_lanes(const struct calls *calls)
{
    return calls->lanes;
}

size_t calls_waiting(const struct calls *calls)
{
    size_t waiting = 0;

    for (size_t i = 0; i < LANES; i++)
        waiting += lanes_count(calls->lanes, i).waiting;
    return waiting;
}

bool calls_read_is_up(const struct calls *calls)
{
    for (size_t i = 0; i < LANES; i++)
        if (i + 1 != POOL_WRITE && lanes_count(calls->lanes, i).links_up == 0
            && lanes_count(calls->lanes, i).links > 0)
            return false;
    return true;
}

size_t calls_writers_up(const struct calls *calls)
{
    return lanes_count(calls->lanes, POOL_WRITE - 1).links_up;
}

/* ---- opening and closing ---- */

struct calls *calls_open(struct server *server, struct err *err)
{
    struct calls *calls = calloc(1, sizeof(*calls));

    if (!calls)
        abort();
    calls->statements = build_statements();
    calls->lanes      = lanes_open(server, calls->statements, nroutes + CALL_OTHERS, err);
    if (calls->lanes)
        return calls;
    calls_close(calls);
    return NULL;
}

void calls_close(struct calls *calls)
{
    if (!calls)
        return;
    lanes_close(calls->lanes);
    free_statements(calls->statements);
    free(calls);
}

bool calls_check(struct server *server, struct err *err)
{
    struct db_statement *statements = build_statements();
    struct db_options    opt        = lanes_options(server, statements, nroutes + CALL_OTHERS);
    bool                 ok         = db_check(&opt, err);

    free_statements(statements);
    return ok;
}

/* ---- a request's call ---- */

/* The parameter has the name that the route's pattern gives it: {id}, {provider}. */
static const char *path_name(struct request *r)
{
    const char *open = strchr(r->route->pattern, '{') + 1;

    return arena_strndup(r->arena, open, strcspn(open, ".}"));
}

static const char *path_json(struct request *r, struct err *err)
{
    struct jbuf j = { 0 };
    size_t      len;
    const char *json;
    char       *id;

    if (!r->path_id)
        return "{}";
    id = arena_alloc(r->arena, r->path_id_bytes + 1);
    if (!uri_decode(r->path_id, r->path_id_bytes, false, id, &len)) {
        err_set(err, "KN006", "The path is not properly percent-encoded UTF-8.");
        return NULL;
    }
    jbuf_object(&j);
    jbuf_key(&j, path_name(r));
    jbuf_strn(&j, id, len);
    jbuf_end(&j);
    json = arena_strdup(r->arena, jbuf_text(&j));
    jbuf_free(&j);
    return json;
}

static const char *query_json(struct request *r, struct err *err)
{
    struct jbuf j    = { 0 };
    const char *json = NULL;

    if (!r->query)
        return "{}";
    if (uri_query_json(&j, r->query, err))
        json = arena_strdup(r->arena, jbuf_text(&j));
    jbuf_free(&j);
    return json;
}

/* Anybody can make a key up that has the form of one: until the database has known it, its address counts. */
uint64_t call_owner(struct request *r)
{
    uint64_t known = owners_known(r->server->owners, r->owner);

    return known == r->owner && !r->is_proven ? owner_of_address(r) : known;
}

/* As jbuf writes a member; inside a string its quotes would be escaped. */
static enum pool pool_with(enum pool pool, const char *query)
{
    if (pool != POOL_SEARCH)
        return pool;
    return strstr(query, "\"q\":") ? POOL_LONG : POOL_PAGE;
}

static void on_reply_of_request(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r = ctx;

    if (result && PQnfields(result) == 2 && PQntuples(result) == 1 && PQgetlength(result, 0, 1) > 0)
        owners_learn(r->server->owners, r->owner, strtoll(PQgetvalue(result, 0, 1), NULL, 10));
    r->on_reply(r, result, err);
}

bool call_request(struct request *r, size_t statement, enum pool pool, const char *body,
                  db_reply_fn *on_reply, struct err *err)
{
    const char *path  = path_json(r, err);
    const char *query = path ? query_json(r, err) : NULL;

    if (!query)
        return false;
    r->on_reply = on_reply;
    r->call     = (struct call) { .pool      = pool_with(pool, query),
                                  .statement = statement,
                                  .params    = { r->context, path, query, body },
                                  .owner     = call_owner(r),
                                  .on_reply  = on_reply_of_request,
                                  .ctx       = r };
    return call_start(r->server->calls, &r->call, err);
}

struct answer {
    PGresult    *result;
    struct held *held;
};

static void free_answer(void *ctx)
{
    struct answer *answer = ctx;

    PQclear(answer->result);
    lanes_release(answer->held);
    free(answer);
}

static struct answer *make_answer(struct request *r, PGresult *result)
{
    struct answer *answer = malloc(sizeof(*answer));

    if (!answer)
        abort();
    *answer = (struct answer) { result, lanes_hold(r->server->calls->lanes) };
    return answer;
}

/* The text goes out from libpq's own memory, which MHD frees when the last byte is sent. */
void call_answer(struct request *r, PGresult *result, const struct err *err)
{
    struct MHD_Response *response;
    bool                 is_empty;

    if (err) {
        request_problem(r, err);
        return;
    }
    is_empty = PQntuples(result) != 1 || PQgetisnull(result, 0, 0);
    if (is_empty) {
        PQclear(result);
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    } else {
        response = MHD_create_response_from_buffer_with_free_callback_cls(
            (size_t)PQgetlength(result, 0, 0), PQgetvalue(result, 0, 0), free_answer,
            make_answer(r, result));
    }
    if (!is_empty)
        MHD_add_response_header(response, "Content-Type", "application/json");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    request_answer(r, r->route->status, response);
}

static void on_route_reply(void *ctx, PGresult *result, const struct err *err)
{
    call_answer(ctx, result, err);
}

void call_route_then(struct request *r, const char *body, db_reply_fn *on_reply)
{
    struct err err;

    if (call_request(r, (size_t)(r->route - routes), r->route->pool, body, on_reply, &err))
        request_suspend(r);
    else
        on_reply(r, NULL, &err);
}

void call_route(struct request *r, const char *body)
{
    call_route_then(r, body, on_route_reply);
}

static void finish(struct request *r)
{
    call_route(r, r->body);
}

const struct handler call_sql = { .finish = finish };
