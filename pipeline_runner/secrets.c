/*
 * secrets: secrets_wanted → offer_secrets, after each registration and once a minute.
 */
#include "secrets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dispatch.h"
#include "failpoint.h"
#include "literal.h"
#include "transfer.h"

#define EVERY_MS 60000
#define AGAIN_MS 1000
#define LATER_MS 5000 /* where no answer comes */

struct secrets {
    struct runner    *runner;
    struct loop_timer timer;
    struct literal    names;
};

static void again(struct secrets *s, uint64_t ms)
{
    loop_timer_set(s->runner->loop, &s->timer, ms);
}

static void offered(void *ctx, PGresult *result, const struct err *err)
{
    struct secrets *s = ctx;

    FAILPOINT("runner.secrets.offered");
    PQclear(result);
    again(s, err ? AGAIN_MS : EVERY_MS);
}

static void offer(struct secrets *s, const PGresult *rows)
{
    char        id[24];
    const char *params[2] = { id, NULL };

    snprintf(id, sizeof id, "%" PRId64, s->runner->dispatch->runner_id);
    literal_begin(&s->names);
    for (int i = 0; i < PQntuples(rows); i++)
        if (transfer_secret(PQgetvalue(rows, i, 0)))
            literal_add(&s->names, PQgetvalue(rows, i, 0));
    params[1] = literal_end(&s->names);
    FAILPOINT("runner.secrets.offering");
    (void)!db_send(s->runner->work, ST_OFFER_SECRETS, params, offered, s, NULL);
}

static void wanted(void *ctx, PGresult *result, const struct err *err)
{
    struct secrets *s = ctx;

    FAILPOINT("runner.secrets.wanted");
    if (err && !runner_is_passing(err))
        log_warn("the secrets' names could not be asked for", "sqlstate", err->sqlstate, "error",
                 err->message, NULL);
    if (result && s->runner->dispatch->runner_id != 0)
        offer(s, result);
    PQclear(result);
}

static void ask(void *ctx)
{
    struct secrets *s         = ctx;
    const char     *params[1] = { NULL };

    again(s, LATER_MS);
    if (s->runner->dispatch->runner_id == 0)
        return;
    FAILPOINT("runner.secrets.asking");
    (void)!db_send(s->runner->work, ST_SECRETS_WANTED, params, wanted, s, NULL);
}

void secrets_hurry(struct secrets *s)
{
    if (s)
        ask(s);
}

struct secrets *secrets_open(struct runner *runner)
{
    struct secrets *s = calloc(1, sizeof *s);

    if (!s)
        abort();
    s->runner = runner;
    s->timer  = (struct loop_timer) { .on_time = ask, .ctx = s };
    again(s, AGAIN_MS);
    return s;
}

void secrets_close(struct secrets *s)
{
    if (!s)
        return;
    loop_timer_stop(s->runner->loop, &s->timer);
    literal_free(&s->names);
    free(s);
}
