/*
 * receiving: a timer and two calls; see receiving.h.
 */
#include "server/routes/receiving.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/failpoint.h"
#include "lib/log.h"
#include "server/http/statements.h"

#define KEEP_MS 20000 /* or KILN_CLIENT_TIMEOUT_MS, where that is less */
#define HELD_MS 50000 /* below the minute that SQL gives, as of when it was asked */

struct receiving {
    struct server    *server;
    struct request   *request; /* NULL: it is closed */
    struct call       call;
    struct loop_timer timer;
    uint64_t          bytes, held_until_ms, asked_ms;
    bool              is_asking, is_done;
    char              token[33], body[64];
    void (*on_lost)(struct request *r, const struct err *err);
};

/* False: nothing will be replied. */
static bool ask(struct receiving *receiving, size_t statement, db_reply_fn *on_reply,
                struct err *err)
{
    receiving->call      = (struct call) { .pool      = POOL_WRITE,
                                           .statement = statement,
                                           .params    = { "{}", "{}", "{}", receiving->body },
                                           .on_reply  = on_reply,
                                           .ctx       = receiving };
    receiving->is_asking = pools_send(receiving->server->pools, &receiving->call, err);
    return receiving->is_asking;
}

static void on_ended(void *ctx, PGresult *result, const struct err *err)
{
    FAILPOINT("server.upload_session.ended");
    if (err)
        log_debug("a body that came to nothing holds its place for a minute", "sqlstate",
                  err->sqlstate, "error", err->message, NULL);
    PQclear(result);
    free(ctx);
}

static void end(struct receiving *receiving)
{
    struct err ignored;

    FAILPOINT("server.upload_session.ending");
    if (receiving->is_done || !ask(receiving, STATEMENT_END_RECEIVING, on_ended, &ignored))
        free(receiving);
}

static void on_kept(void *ctx, PGresult *result, const struct err *err)
{
    struct receiving *receiving = ctx;

    FAILPOINT("server.upload_session.extended");
    receiving->is_asking = false;
    PQclear(result);
    if (!receiving->request)
        end(receiving);
    else if (!err)
        receiving->held_until_ms = receiving->asked_ms + HELD_MS;
    else if (err_is(err, "KN"))
        receiving->on_lost(receiving->request, err);
}

static void set_timer(struct receiving *receiving)
{
    uint64_t client_ms = (uint64_t)receiving->server->cfg->client_timeout_ms;

    loop_timer_set(receiving->server->loop, &receiving->timer,
                   client_ms < KEEP_MS ? client_ms : KEEP_MS);
}

static void on_time(void *ctx)
{
    struct receiving *receiving = ctx;
    uint64_t          now       = base_now_ms();
    struct err        err;

    set_timer(receiving);
    if (now > receiving->held_until_ms) {
        err_set(&err, "08006", "the database did not hear for too long that this body goes on");
        receiving->on_lost(receiving->request, &err);
    } else if (!receiving->is_asking) {
        FAILPOINT("server.upload_session.extending");
        receiving->asked_ms = now;
        (void)ask(receiving, STATEMENT_KEEP_RECEIVING, on_kept,
                  &err); /* else at the next renewal */
    }
}

struct receiving *receiving_open(struct request *r, const json_t *answer,
                                 void (*on_lost)(struct request *r, const struct err *err))
{
    const char       *token     = json_string_value(json_object_get(answer, "upload_session"));
    struct receiving *receiving = calloc(1, sizeof(*receiving));

    if (!receiving)
        abort();
    receiving->server        = r->server;
    receiving->request       = r;
    receiving->on_lost       = on_lost;
    receiving->bytes         = (uint64_t)json_integer_value(json_object_get(answer, "reserved"));
    receiving->held_until_ms = base_now_ms() + HELD_MS;
    receiving->timer         = (struct loop_timer) { .on_time = on_time, .ctx = receiving };
    snprintf(receiving->token, sizeof(receiving->token), "%s", token ? token : "");
    snprintf(receiving->body, sizeof(receiving->body), "{\"upload_session\":\"%s\"}",
             receiving->token);
    set_timer(receiving);
    return receiving;
}

const char *receiving_token(const struct receiving *receiving)
{
    return receiving->token;
}

uint64_t receiving_bytes(const struct receiving *receiving)
{
    return receiving->bytes;
}

void receiving_done(struct receiving *receiving)
{
    receiving->is_done = true;
}

void receiving_close(struct receiving *receiving)
{
    if (!receiving)
        return;
    loop_timer_stop(receiving->server->loop, &receiving->timer);
    receiving->request = NULL;
    if (!receiving->is_asking)
        end(receiving);
}
