/*
 * poll: a listener that a suspended request owns.
 *
 *   JOINING ─head─► ASKING ─nothing─► WAITING ─an event─► ASKING ─events─► answered
 *
 * What an event says is not taken from the pump but read from the log, from `after` up to the head:
 * so there is one way, and the position that is answered is the head.
 */
#include "server/stream/poll.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/failpoint.h"
#include "server/http/metrics.h"
#include "server/http/problem.h"
#include "server/http/statements.h"
#include "server/stream/instance.h"
#include "server/pool/owner.h"
#include "server/stream/stream.h"
#include "server/http/uri.h"

#define ROWS           100
#define ROWS_TEXT      "100"
#define WAIT_SECONDS   25
#define WAIT_MOST_TEXT "50"
#define WAIT_MOST      50 /* below the minute that proxies wait */
#define HEAD_MS        5000

enum phase { JOINING, ASKING, WAITING, ANSWERED };

struct poll {
    struct listener   listener; /* first */
    struct request   *request;
    enum phase        phase;
    bool              is_notified; /* an event came, or the time did, while it was asking */
    bool              is_late;
    char             *after, *upto;
    struct call       call;
    struct loop_timer timer;
    struct loop_task  later;
    struct poll      *next, **at;
    char              account_text[24];
};

static void ask(struct poll *poll);
static void on_time(void *ctx);

static struct server *server_of(const struct poll *poll)
{
    return poll->request->server;
}

/* With its request. */
static void poll_free(void *data)
{
    struct poll *poll = data;

    free(poll->after);
    free(poll->upto);
    free(poll);
}

static void detach(struct poll *poll)
{
    struct server *server = server_of(poll);

    poll->phase = ANSWERED;
    bus_leave(server->bus, &poll->listener);
    loop_timer_stop(server->loop, &poll->timer);
    loop_defer_cancel(server->loop, &poll->later);
    *poll->at = poll->next;
    if (poll->next)
        poll->next->at = poll->at;
    streams_release(server->streams);
    metrics_stream_closed(server->metrics, TRANSPORT_POLL);
    instance_stream_closed(server->instance, poll->listener.account);
}

/* ---- answering ---- */

static void send_json(struct poll *poll, struct jbuf *j, const char *position)
{
    size_t bytes;

    jbuf_end(j); /* of events */
    jbuf_key(j, "position");
    jbuf_str(j, position);
    jbuf_end(j);
    bytes = j->len;
    detach(poll);
    request_answer(poll->request, 200,
                   request_text_response(jbuf_take(j), bytes, "application/json"));
}

static void begin_json(struct jbuf *j)
{
    jbuf_object(j);
    jbuf_key(j, "events");
    jbuf_array(j);
}

static void answer_nothing(struct poll *poll)
{
    struct jbuf j    = { 0 };
    const char *head = bus_head(server_of(poll)->bus);

    begin_json(&j);
    send_json(poll, &j, poll->after ? poll->after : head);
}

static void answer_reset(struct poll *poll, const char *position)
{
    struct jbuf j   = { 0 };
    time_t      now = (time_t)base_unix_seconds();
    struct tm   tm;
    char        at[32];

    gmtime_r(&now, &tm);
    strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm);
    begin_json(&j);
    jbuf_object(&j);
    jbuf_key(&j, "position");
    jbuf_str(&j, position);
    jbuf_key(&j, "type");
    jbuf_str(&j, "reset");
    jbuf_key(&j, "at");
    jbuf_str(&j, at);
    jbuf_end(&j);
    send_json(poll, &j, position);
}

/* `{"position":…,` and the rest of the event's own object. */
static void add_event(struct jbuf *j, const char *position, const char *data)
{
    struct jbuf one = { 0 };
    char       *text;

    if (!position) {
        jbuf_raw(j, data);
        return;
    }
    jbuf_str(&one, position);
    if (asprintf(&text, "{\"position\":%s,%s", jbuf_text(&one), data + 1) < 0)
        abort();
    jbuf_raw(j, text);
    free(text);
    jbuf_free(&one);
}

/* A page that is full goes on from its last row; one that is not has all up to the head. */
static void answer_rows(struct poll *poll, const PGresult *result)
{
    struct jbuf j    = { 0 };
    int         rows = PQntuples(result);
    const char *last = PQgetisnull(result, rows - 1, 0) ? NULL : PQgetvalue(result, rows - 1, 0);

    begin_json(&j);
    for (int row = 0; row < rows; row++)
        add_event(&j, PQgetisnull(result, row, 0) ? NULL : PQgetvalue(result, row, 0),
                  PQgetvalue(result, row, 2));
    send_json(poll, &j, rows == ROWS && last ? last : poll->upto);
}

/* ---- asking ---- */

static void wait(struct poll *poll)
{
    poll->phase = WAITING;
    free(poll->after); /* there is nothing between it and the head */
    poll->after = strdup(poll->upto);
    if (poll->is_notified)
        ask(poll);
    else if (poll->is_late)
        answer_nothing(poll);
}

static void on_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct poll *poll = ctx;

    FAILPOINT("server.poll.answered");
    if (!err && PQntuples(result) > 0) {
        answer_rows(poll, result);
    } else if (!err) {
        wait(poll);
    } else if (err_is(err, "KN013")) {
        answer_reset(poll, poll->upto);
    } else {
        detach(poll);
        request_problem(poll->request, err);
    }
    PQclear(result);
}

static void ask(struct poll *poll)
{
    const char *head = bus_head(server_of(poll)->bus);
    struct err  err;

    poll->is_notified = false;
    if (head[0]) {
        free(poll->upto);
        poll->upto = strdup(head);
    }
    poll->phase          = ASKING;
    poll->call           = (struct call) { .pool      = POOL_STREAM,
                                           .statement = STATEMENT_BUS_REPLAY,
                                           .owner     = owner_of_account(poll->listener.account),
                                           .on_reply  = on_reply,
                                           .ctx       = poll };
    poll->call.params[0] = poll->account_text;
    poll->call.params[1] = poll->after;
    poll->call.params[2] = poll->upto;
    poll->call.params[3] = ROWS_TEXT;
    if (!pools_send(server_of(poll)->pools, &poll->call, &err)) {
        detach(poll);
        request_problem(poll->request, &err);
    }
}

/* ---- what the bus says ---- */

static void on_begin(struct listener *listener, const char *head)
{
    struct poll *poll = (struct poll *)listener;

    if (!poll->after) {
        poll->after = strdup(head);
        answer_nothing(poll);
        return;
    }
    poll->upto = strdup(head);
    if (!frame_id_is_sane(poll->after))
        answer_reset(poll, head);
    else
        ask(poll);
}

/* At the end of the loop's iteration: a read brings many. */
static void on_event(struct listener *listener, struct bus_event *event)
{
    struct poll *poll = (struct poll *)listener;

    if (!event->position) /* ephemeral */
        return;
    if (strcmp(event->type, "session.ended") == 0) { /* a client that still may asks again */
        on_time(poll);
        return;
    }
    poll->is_notified = true;
    if (poll->phase == WAITING)
        loop_defer(server_of(poll)->loop, &poll->later);
}

static void on_turn_end(void *ctx)
{
    struct poll *poll = ctx;

    if (poll->phase == WAITING)
        ask(poll);
}

static void on_reset(struct listener *listener, const char *head)
{
    struct poll *poll = (struct poll *)listener;

    if (poll->phase == WAITING)
        answer_reset(poll, head);
}

static const struct listener_ops ops = { on_begin, on_event, on_reset };

static void give_up(struct poll *poll, const char *sqlstate, const char *sentence)
{
    struct err err;

    err_set(&err, sqlstate, "%s", sentence);
    detach(poll);
    request_problem(poll->request, &err);
}

/* Where it asks, the answer comes with that; where the pump has no head yet, one is on its way. */
static void on_time(void *ctx)
{
    struct poll *poll     = ctx;
    bool         was_late = poll->is_late;

    poll->is_late = true;
    if (poll->phase == WAITING)
        answer_nothing(poll);
    else if (poll->phase == JOINING && was_late)
        give_up(poll, "08006", "the event log cannot be read at the moment");
    else if (poll->phase == JOINING)
        loop_timer_set(server_of(poll)->loop, &poll->timer, HEAD_MS);
}

/* ---- opening ---- */

static bool wanted_seconds(const struct request *r, unsigned *seconds)
{
    char text[8];

    *seconds = WAIT_SECONDS;
    if (!uri_query_has(r->query, "timeout"))
        return true;
    if (!uri_query_get(r->query, "timeout", text, sizeof(text)) || !text[0]
        || strspn(text, "0123456789") != strlen(text) || strtoul(text, NULL, 10) > WAIT_MOST)
        return false;
    *seconds = (unsigned)strtoul(text, NULL, 10);
    return true;
}

static char *wanted_position(const struct request *r)
{
    char buffer[4096];

    if (!uri_query_has(r->query, "after"))
        return NULL;
    return strdup(uri_query_get(r->query, "after", buffer, sizeof(buffer)) ? buffer : "");
}

static void on_open(struct request *r, int64_t account)
{
    struct server *server = r->server;
    struct poll   *poll   = calloc(1, sizeof(*poll));
    int64_t        left   = r->expires_at - base_unix_seconds();
    unsigned       seconds;

    if (!poll)
        abort();
    (void)wanted_seconds(r, &seconds);
    if (left < (int64_t)seconds) /* nothing is sent after the end of the token */
        seconds = left > 0 ? (unsigned)left : 0;
    poll->listener =
        (struct listener) { .ops = &ops, .account = account, .since_ns = r->started_ns };
    poll->request = r;
    poll->timer   = (struct loop_timer) { .on_time = on_time, .ctx = poll };
    poll->later   = (struct loop_task) { .on_turn_end = on_turn_end, .ctx = poll };
    poll->after   = wanted_position(r);
    snprintf(poll->account_text, sizeof(poll->account_text), "%lld", (long long)account);
    poll->next = server->polls;
    poll->at   = &server->polls;
    if (poll->next)
        poll->next->at = &poll->next;
    server->polls = poll;
    r->data       = poll;
    r->data_free  = poll_free;
    streams_hold(server->streams);
    metrics_stream_opened(server->metrics, TRANSPORT_POLL);
    instance_stream_opened(server->instance, account);
    loop_timer_set(server->loop, &poll->timer, (uint64_t)seconds * 1000);
    /* A client at the head need not wait until a large batch, which led there, is sent. */
    bus_join(server->bus, &poll->listener,
             poll->after && strcmp(poll->after, bus_head(server->bus)) != 0);
}

static void open_poll(struct request *r)
{
    struct err err;
    unsigned   seconds;

    if (wanted_seconds(r, &seconds)) {
        stream_request(r, on_open);
        return;
    }
    problem_field(&err, "timeout", "must be seconds, 0 to " WAIT_MOST_TEXT);
    request_problem(r, &err);
}

const struct handler poll_events = { .finish = open_poll };

void polls_drain(struct server *server)
{
    for (struct poll *poll = server->polls, *next; poll; poll = next) {
        next = poll->next;
        if (poll->phase == JOINING)
            give_up(poll, "57P01", "the server is stopping");
        else
            on_time(poll);
    }
}
