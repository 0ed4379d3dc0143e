/*
 * call: the read link, the pool of writers, and what waits for them.
 */
#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failpoint.h"
#include "http.h"
#include "log.h"
#include "problem.h"
#include "refusal.h"
#include "uri.h"

#define READS_MAX   24000 /* in flight; connections are fewer, so a request always has its place */
#define WAITING_MAX 1024
#define WAITING_MS  5000
#define PARKED_MS   1500 /* a restart of the database takes about a second */
#define DEADLINE_MS 10000

struct queue {
    struct call  *first;
    struct call **last;
    size_t        count;
};

struct calls {
    struct server       *server;
    struct db_statement *statements;
    size_t               nstatements;
    struct db           *read;
    struct db          **writers;
    size_t               nwriters, next_writer;
    struct queue         waiting; /* for a writer */
    struct queue         parked;  /* reads whose link was lost, for the next one */
    struct loop_timer    timer;   /* looks for those that waited too long */
};

/* ---- statements ---- */

#define FUNCTION_SQL(name) \
    "select kiln_api." name "(kiln_api.act_as($1::text), $2::jsonb, $3::jsonb, $4::text)"

static const struct db_statement others[CALL_OTHERS] = {
    [CALL_BEGIN_UPLOAD]  = { "begin_upload", FUNCTION_SQL("begin_upload"), 4 },
    [CALL_DIRECT_UPLOAD] = { "create_direct_upload", FUNCTION_SQL("create_direct_upload"), 4 },
    [CALL_BEGIN_TRYON]   = { "begin_tryon", FUNCTION_SQL("begin_tryon"), 4 },
    [CALL_WEBHOOK_KEYS]  = { "webhook_keys", FUNCTION_SQL("webhook_keys"), 4 },
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

/* ---- queues ---- */

static void queue_init(struct queue *queue)
{
    *queue = (struct queue) { .last = &queue->first };
}

static void queue_push(struct queue *queue, struct call *call)
{
    call->next   = NULL;
    *queue->last = call;
    queue->last  = &call->next;
    queue->count++;
}

static struct call *queue_pop(struct queue *queue)
{
    struct call *call = queue->first;

    if (!call)
        return NULL;
    queue->first = call->next;
    if (!queue->first)
        queue->last = &queue->first;
    queue->count--;
    return call;
}

static void wait_in(struct calls *calls, struct queue *queue, struct call *call, uint64_t ms)
{
    call->due_ms = base_now_ms() + ms;
    queue_push(queue, call);
    if (calls->timer.slot == 0)
        loop_timer_set(calls->server->loop, &calls->timer, 250);
}

static void fail_late(struct queue *queue, uint64_t now, const char *sqlstate, const char *sentence)
{
    struct err err;

    err_set(&err, sqlstate, "%s", sentence);
    while (queue->first && queue->first->due_ms <= now) {
        struct call *call = queue_pop(queue);
        call->on_reply(call->ctx, NULL, &err);
    }
}

static void on_waiting_time(void *ctx)
{
    struct calls *calls = ctx;
    uint64_t      now   = base_now_ms();

    fail_late(&calls->waiting, now, "53300", "no writing connection became free in time");
    fail_late(&calls->parked, now, "08006", "the database did not come back in time");
    if (calls->waiting.first || calls->parked.first)
        loop_timer_set(calls->server->loop, &calls->timer, 250);
}

/* ---- reads ---- */

static bool send_read(struct call *call, struct err *err);

/* 57P01, 57P02: the server is going down and has not run it. */
static bool is_link_lost(const struct err *err)
{
    return err && (err_is(err, "08006") || err_is(err, "57P01") || err_is(err, "57P02"));
}

static void on_read_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct call *call = ctx;

    FAILPOINT("server.read.answered");
    if (is_link_lost(err) && !call->was_sent_again && !call->calls->server->is_draining) {
        call->was_sent_again = true;
        wait_in(call->calls, &call->calls->parked, call, PARKED_MS);
        return;
    }
    call->on_reply(call->ctx, result, err);
}

static bool send_read(struct call *call, struct err *err)
{
    FAILPOINT("server.read.asking");
    return db_send(call->calls->read, call->statement, call->params, on_read_reply, call, err);
}

static void on_read_up(void *ctx, struct db *db)
{
    struct calls *calls = ctx;
    struct err    err;

    (void)db;
    refusal_end(calls->server);
    for (size_t n = calls->parked.count; n > 0; n--) {
        struct call *call = queue_pop(&calls->parked);
        if (!send_read(call, &err))
            call->on_reply(call->ctx, NULL, &err);
    }
}

/* ---- writes ---- */

static void on_write_reply(void *ctx, PGresult *result, const struct err *err);

static bool send_write(struct calls *calls, size_t writer, struct call *call, struct err *err)
{
    call->writer = writer;
    FAILPOINT("server.write.asking");
    return db_send(calls->writers[writer], call->statement, call->params, on_write_reply, call,
                   err);
}

static void send_waiting(struct calls *calls, size_t writer)
{
    struct err err;

    while (calls->waiting.first && db_can_send(calls->writers[writer])) {
        struct call *call = queue_pop(&calls->waiting);
        if (!send_write(calls, writer, call, &err))
            call->on_reply(call->ctx, NULL, &err);
    }
}

static void on_write_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct call  *call   = ctx;
    struct calls *calls  = call->calls;
    size_t        writer = call->writer;

    FAILPOINT("server.write.answered");
    call->on_reply(call->ctx, result, err); /* the call may be gone after this */
    send_waiting(calls, writer);
}

static void on_writer_up(void *ctx, struct db *db)
{
    struct calls *calls = ctx;

    for (size_t i = 0; i < calls->nwriters; i++)
        if (calls->writers[i] == db)
            send_waiting(calls, i);
}

/* The lowest free one first: few connections stay warm under little load. */
static bool start_write(struct calls *calls, struct call *call, struct err *err)
{
    if (calls_writers_up(calls) == 0) {
        err_set(err, "08003", "the database cannot be reached");
        return false;
    }
    for (size_t i = 0; i < calls->nwriters; i++)
        if (db_can_send(calls->writers[i]))
            return send_write(calls, i, call, err);
    if (calls->waiting.count >= WAITING_MAX) {
        err_set(err, "53300", "too many writes are waiting");
        return false;
    }
    wait_in(calls, &calls->waiting, call, WAITING_MS);
    return true;
}

bool call_start(struct calls *calls, struct call *call, struct err *err)
{
    call->calls          = calls;
    call->was_sent_again = false;
    if (call->pool == POOL_READ ? send_read(call, err) : start_write(calls, call, err))
        return true;
    refusal_explain(calls->server, err);
    return false;
}

size_t calls_writers_up(const struct calls *calls)
{
    size_t n = 0;

    for (size_t i = 0; i < calls->nwriters; i++)
        n += db_is_up(calls->writers[i]);
    return n;
}

size_t calls_waiting(const struct calls *calls)
{
    return calls->waiting.count + calls->parked.count;
}

bool calls_read_is_up(const struct calls *calls)
{
    return db_is_up(calls->read);
}

/* ---- opening and closing ---- */

static void on_refused(void *ctx, struct db *db, const struct err *err)
{
    struct calls *calls = ctx;

    (void)db;
    refusal_take(calls->server, err);
}

static struct db_options options(struct calls *calls, const char *application)
{
    return (struct db_options) { .url                = calls->server->cfg->database_url,
                                 .user               = "kiln_server",
                                 .application        = application,
                                 .statements         = calls->statements,
                                 .nstatements        = nroutes + CALL_OTHERS,
                                 .is_preparing       = calls->server->cfg->is_preparing,
                                 .request_timeout_ms = DEADLINE_MS,
                                 .ctx                = calls,
                                 .on_refused         = on_refused };
}

static bool open_links(struct calls *calls, struct err *err)
{
    struct db_options read  = options(calls, "kiln-server read"),
                      write = options(calls, "kiln-server write");

    read.max_in_flight  = READS_MAX;
    read.on_up          = on_read_up;
    write.max_in_flight = 1;
    write.on_up         = on_writer_up;
    calls->read         = db_open(calls->server->loop, &read, err);
    if (!calls->read)
        return false;
    if (!(calls->server->roles & ROLE_API))
        return true; /* streams only read */
    for (; calls->nwriters < (size_t)calls->server->cfg->db_writers; calls->nwriters++) {
        calls->writers[calls->nwriters] = db_open(calls->server->loop, &write, err);
        if (!calls->writers[calls->nwriters])
            return false;
    }
    return true;
}

struct calls *calls_open(struct server *server, struct err *err)
{
    struct calls *calls = calloc(1, sizeof(*calls));

    if (!calls)
        abort();
    calls->server     = server;
    calls->statements = build_statements();
    calls->writers    = calloc((size_t)server->cfg->db_writers, sizeof(struct db *));
    calls->timer      = (struct loop_timer) { .on_time = on_waiting_time, .ctx = calls };
    queue_init(&calls->waiting);
    queue_init(&calls->parked);
    if (!calls->writers)
        abort();
    if (!open_links(calls, err)) {
        calls_close(calls);
        return NULL;
    }
    return calls;
}

void calls_close(struct calls *calls)
{
    if (!calls)
        return;
    loop_timer_stop(calls->server->loop, &calls->timer);
    fail_late(&calls->waiting, UINT64_MAX, "57P01", "the server is stopping");
    fail_late(&calls->parked, UINT64_MAX, "57P01", "the server is stopping");
    db_close(calls->read);
    for (size_t i = 0; i < calls->nwriters; i++)
        db_close(calls->writers[i]);
    free_statements(calls->statements);
    free(calls->writers);
    free(calls);
}

bool calls_check(struct server *server, struct err *err)
{
    struct calls      calls = { .server = server, .statements = build_statements() };
    struct db_options opt   = options(&calls, "kiln-server check");
    bool              ok    = db_check(&opt, err);

    free_statements(calls.statements);
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

bool call_request(struct request *r, size_t statement, enum pool pool, const char *body,
                  db_reply_fn *on_reply, struct err *err)
{
    const char *path  = path_json(r, err);
    const char *query = path ? query_json(r, err) : NULL;

    if (!query)
        return false;
    r->call = (struct call) { .pool      = pool,
                              .statement = statement,
                              .params    = { r->context, path, query, body },
                              .on_reply  = on_reply,
                              .ctx       = r };
    return call_start(r->server->calls, &r->call, err);
}

static void free_result(void *result)
{
    PQclear(result);
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
            (size_t)PQgetlength(result, 0, 0), PQgetvalue(result, 0, 0), free_result, result);
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
