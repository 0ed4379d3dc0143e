/*
 * watch: a stream of server-sent events that listens to all accounts. SQL says who may, reads the
 * filter, and says of each event what the filter looks at; here words are compared.
 *
 * Its positions are its own (place): one account's position says that all of a batch was sent where
 * only that account's part of it was.
 */
#include "server/stream/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/failpoint.h"
#include "server/http/rpc.h"
#include "server/stream/sse.h"

#define PAGE_TEXT "500" /* events looked at; what passes the filter is at most these */

struct watch {
    struct stream stream;  /* first */
    int64_t       account; /* 0: all */
    char          account_text[24];
    char         *kinds, *states; /* NULL: all; else ",job.queued,job.failed," */
    struct frame  frame;
};

static bool is_among(const char *list, const char *word)
{
    size_t bytes;

    if (!list)
        return true;
    if (!word)
        return false;
    bytes = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at++)
        if (at[-1] == ',' && at[bytes] == ',') /* the list begins with one */
            return true;
    return false;
}

static const struct frame *frame_of(struct stream *stream, struct bus_event *event)
{
    struct watch *watch = (struct watch *)stream;
    char         *data;

    if (!event->place) /* ephemeral */
        return NULL;
    if ((watch->account && watch->account != event->account) || !is_among(watch->kinds, event->type)
        || !is_among(watch->states, event->state))
        return NULL;
    /* As kiln_api.watch_replay() does it: the object has members. */
    if (asprintf(&data, "{\"account_id\": \"%lld\", %s", (long long)event->account, event->data + 1)
        < 0)
        abort();
    frame_event(&watch->frame, FRAME_SSE, event->place, event->type, data);
    free(data);
    return &watch->frame;
}

static void page(struct stream *stream, struct call *call)
{
    struct watch *watch = (struct watch *)stream;

    call->statement = STATEMENT_WATCH_REPLAY;
    call->params[0] = watch->account ? watch->account_text : NULL;
    call->params[1] = watch->kinds;
    call->params[2] = watch->states;
    call->params[3] = stream->from;
    call->params[4] = stream->upto;
    call->params[5] = PAGE_TEXT;
}

static void gone(struct stream *stream)
{
    struct watch *watch = (struct watch *)stream;

    free(watch->kinds);
    free(watch->states);
    frame_free(&watch->frame);
    free(watch);
}

static const struct stream_kind kind = { .frame     = FRAME_SSE,
                                         .heartbeat = sse_heartbeat,
                                         .last      = sse_last,
                                         .input     = sse_input,
                                         .gone      = gone,
                                         .frame_of  = frame_of,
                                         .page      = page };

static char *copy(const PGresult *result, int column)
{
    return PQgetisnull(result, 0, column) ? NULL : strdup(PQgetvalue(result, 0, column));
}

static void begin(struct request *r, const PGresult *result)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        abort();
    snprintf(watch->account_text, sizeof(watch->account_text), "%s", PQgetvalue(result, 0, 1));
    watch->account = strtoll(watch->account_text, NULL, 10);
    watch->kinds   = copy(result, 2);
    watch->states  = copy(result, 3);
    sse_answer(r, &watch->stream, &kind, strtoll(PQgetvalue(result, 0, 0), NULL, 10));
    watch->stream.listener.wants_all = true;
}

static void on_opened(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r = ctx;
    struct err      own;

    FAILPOINT("server.read.answered");
    if (!err && r->server->is_draining)
        err_set(&own, "57P01", "the server is stopping"), err = &own;
    if (err)
        request_problem(r, err);
    else
        begin(r, result);
    PQclear(result);
}

static void open_watch(struct request *r)
{
    struct err err;

    if (stream_can_flow(r, &err) && stream_has_room(r, &err)
        && rpc_send(r, STATEMENT_OPEN_WATCH, POOL_STREAM, NULL, on_opened, &err))
        request_suspend(r);
    else
        request_problem(r, &err);
}

const struct handler watch_events = { .finish = open_watch };
