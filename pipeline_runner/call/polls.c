/*
 * polls: claim_polls → requests → poll_answers.
 */
#include "pipeline_runner/call/polls.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline_runner/call/answer.h"
#include "lib/failpoint.h"
#include "lib/jbuf.h"
#include "pipeline_runner/http/attachments.h"
#include "pipeline_runner/http/transfer.h"

#define AT_ONCE      64
#define FRESH_MS     250
#define BUSY_MS      1000
#define IDLE_MS      7000 /* what another runner asked about, and died, is not left for long */
#define FRESH_FOR_MS 10000
#define BUSY_FOR_MS  60000
#define GATHER_MS    100
#define GATHER_BYTES ((size_t)1 << 20)
#define REPLY_MAX    ((size_t)1 << 20)
#define BODY_MAX     ((size_t)1 << 20)

struct poll {
    struct polls    *polls;
    struct poll     *next, *before;
    struct transfer *transfer;
    char             call_id[24], kind[16];
};

struct polls {
    struct runner         *runner;
    struct runner_listener listener;
    struct poll           *first;
    size_t                 in_flight;
    bool                   is_asking;
    bool                   is_full; /* there was more to take than room for it */
    uint64_t               busy_until_ms, fresh_until_ms;
    struct loop_timer      ask, tell;
    struct jbuf            answers;
    size_t                 nanswers;
};

/* ---- telling ---- */

static void told(void *ctx, PGresult *result, const struct err *err)
{
    (void)ctx;
    FAILPOINT("runner.polls.reported");
    PQclear(result);
    if (err && !err_is_passing(err))
        log_warn("answers to polls were refused", "sqlstate", err->sqlstate, "error", err->message,
                 NULL);
}

static void tell(void *ctx)
{
    struct polls *polls = ctx;
    const char   *params[1];

    loop_timer_stop(polls->runner->loop, &polls->tell);
    if (polls->nanswers == 0)
        return;
    jbuf_end(&polls->answers);
    params[0] = jbuf_text(&polls->answers);
    FAILPOINT("runner.polls.reporting");
    /* Else the same is asked again when its time comes. */
    (void)!db_send(polls->runner->work, ST_POLL_ANSWERS, params, told, polls, NULL);
    jbuf_reset(&polls->answers);
    polls->nanswers = 0;
}

static void poll_free(struct poll *poll)
{
    struct polls *polls = poll->polls;

    if (poll->before)
        poll->before->next = poll->next;
    else
        polls->first = poll->next;
    if (poll->next)
        poll->next->before = poll->before;
    polls->in_flight--;
    free(poll);
}

static void answered(void *ctx, const struct transfer_end *end)
{
    struct poll  *poll  = ctx;
    struct polls *polls = poll->polls;

    FAILPOINT("runner.polls.answered");
    if (polls->nanswers++ == 0) {
        jbuf_reset(&polls->answers);
        jbuf_array(&polls->answers);
        loop_timer_set(polls->runner->loop, &polls->tell, GATHER_MS);
    }
    answer_write(&polls->answers, poll->call_id, poll->kind, end, NULL);
    poll_free(poll);
    if (polls->answers.len >= GATHER_BYTES)
        tell(polls);
    if (polls->is_full && polls->in_flight < AT_ONCE / 2) {
        polls->is_full = false;
        loop_timer_set(polls->runner->loop, &polls->ask, 0);
    }
}

/* ---- asking providers ---- */

static struct poll *poll_new(struct polls *polls, const json_t *row)
{
    struct poll *poll = calloc(1, sizeof *poll);
    const char  *id   = json_string_value(json_object_get(row, "call_id"));
    const char  *kind = json_string_value(json_object_get(row, "kind"));

    if (!poll)
        abort();
    poll->polls = polls;
    poll->next  = polls->first;
    if (poll->next)
        poll->next->before = poll;
    polls->first = poll;
    polls->in_flight++;
    snprintf(poll->call_id, sizeof poll->call_id, "%s", id ? id : "0");
    snprintf(poll->kind, sizeof poll->kind, "%s", kind ? kind : "poll");
    return poll;
}

static uint64_t number_of(const json_t *object, const char *key, uint64_t otherwise)
{
    json_int_t number = json_integer_value(json_object_get(object, key));

    return number > 0 ? (uint64_t)number : otherwise;
}

static void start(struct polls *polls, const json_t *row)
{
    const json_t           *request = json_object_get(row, "request");
    const char             *method  = json_string_value(json_object_get(request, "method"));
    const char             *url     = json_string_value(json_object_get(request, "url"));
    const char             *body    = json_string_value(json_object_get(request, "body"));
    struct err              err     = { 0 };
    struct transfer_options opt     = {
            .method     = method ? method : "GET",
            .url        = url,
            .hosts      = json_object_get(request, "hosts"),
            .headers    = json_object_get(request, "headers"),
            .auth       = json_object_get(request, "auth"),
            .is_once    = method && strcmp(method, "GET") != 0,
            .connect_ms = number_of(request, "connect_timeout_ms", 10000),
            .timeout_ms = number_of(request, "timeout_ms", 30000),
            .max_bytes  = (size_t)number_of(request, "max_bytes", REPLY_MAX),
            .fd         = -1,
            .on_end     = answered,
    };

    if (!url
        || (body
            && !attachments_fill(polls->runner->store, body, json_object_get(request, "files"),
                                 BODY_MAX, &opt.body, &opt.body_bytes, &err)))
        return;
    opt.ctx = poll_new(polls, row);
    FAILPOINT("runner.polls.asking");
    ((struct poll *)opt.ctx)->transfer = transfer_start(polls->runner->transfers, &opt);
}

/* ---- asking the database ---- */

static void ask_in(struct polls *polls)
{
    uint64_t now = base_now_ms();
    uint64_t ms  = now < polls->fresh_until_ms  ? FRESH_MS
                   : now < polls->busy_until_ms ? BUSY_MS
                                                : IDLE_MS;

    loop_timer_set(polls->runner->loop, &polls->ask, ms);
}

static void taken(void *ctx, PGresult *result, const struct err *err)
{
    struct polls *polls = ctx;
    int           count = result ? PQntuples(result) : 0;

    FAILPOINT("runner.polls.claimed");
    polls->is_asking = false;
    for (int i = 0; i < count; i++) {
        json_t *row = json_loads(PQgetvalue(result, i, 0), 0, NULL);

        start(polls, row);
        json_decref(row);
    }
    PQclear(result);
    if (err && !err_is_passing(err) && !err_is(err, "KN011"))
        log_warn("polls could not be taken", "sqlstate", err->sqlstate, "error", err->message,
                 NULL);
    if (count > 0)
        polls->busy_until_ms = base_now_ms() + BUSY_FOR_MS;
    polls->is_full = polls->in_flight >= AT_ONCE;
    ask_in(polls);
}

static void ask(void *ctx)
{
    struct polls        *polls  = ctx;
    const struct runner *runner = polls->runner;
    char                 id[24], limit[24];
    const char          *params[] = { id, limit };

    ask_in(polls);
    if (polls->is_asking || polls->in_flight >= AT_ONCE || runner->runner_id == 0
        || runner->drain != NOT_DRAINING)
        return;
    snprintf(id, sizeof id, "%" PRId64, runner->runner_id);
    snprintf(limit, sizeof limit, "%zu", AT_ONCE - polls->in_flight);
    FAILPOINT("runner.polls.claiming");
    polls->is_asking = db_send(polls->runner->work, ST_TAKE_POLLS, params, taken, polls, NULL);
}

static void look(struct polls *polls)
{
    if (polls->ask.slot == 0 || polls->ask.due_ns > base_now_ns() + FRESH_MS * UINT64_C(1000000))
        loop_timer_set(polls->runner->loop, &polls->ask, FRESH_MS);
}

/* The link is back, and others may have died: asks once, soon. */
static void on_event(void *ctx, enum runner_event event)
{
    if (event == RUNNER_REGISTERED)
        look(ctx);
}

void polls_wake(struct polls *polls)
{
    if (!polls)
        return;
    polls->busy_until_ms  = base_now_ms() + BUSY_FOR_MS;
    polls->fresh_until_ms = base_now_ms() + FRESH_FOR_MS;
    look(polls);
}

struct polls *polls_open(struct runner *runner)
{
    struct polls *polls = calloc(1, sizeof *polls);

    if (!polls)
        abort();
    polls->runner   = runner;
    polls->ask      = (struct loop_timer) { .on_time = ask, .ctx = polls };
    polls->tell     = (struct loop_timer) { .on_time = tell, .ctx = polls };
    polls->listener = (struct runner_listener) { .on_event = on_event, .ctx = polls };
    runner_listen(runner, &polls->listener);
    loop_timer_set(runner->loop, &polls->ask, FRESH_MS);
    return polls;
}

void polls_close(struct polls *polls)
{
    if (!polls)
        return;
    for (struct poll *poll = polls->first, *next; poll; poll = next) {
        next = poll->next;
        transfer_stop(poll->transfer);
        poll_free(poll);
    }
    loop_timer_stop(polls->runner->loop, &polls->ask);
    loop_timer_stop(polls->runner->loop, &polls->tell);
    jbuf_free(&polls->answers);
    free(polls);
}
