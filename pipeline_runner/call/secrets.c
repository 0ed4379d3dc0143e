/*
 * secrets: required_secrets → offer_secrets, after each registration and once a minute. Of a secret
 * that tasks wait for and that this runner lacks it tells the operator, once.
 */
#include "pipeline_runner/call/secrets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/failpoint.h"
#include "lib/array_literal.h"
#include "pipeline_runner/http/transfer.h"

#define EVERY_MS 60000
#define AGAIN_MS 1000
#define LATER_MS 5000 /* where no answer comes */
#define TOLD     32   /* variables of which is told; further ones are not */

struct secrets {
    struct runner         *runner;
    struct runner_listener listener;
    struct loop_timer      timer;
    struct array_literal   names;
    char                  *told[TOLD];
    size_t                 told_count;
};

static void again(struct secrets *s, uint64_t ms)
{
    loop_timer_set(s->runner->loop, &s->timer, ms);
}

/* Each variable once in the life of the program: a task may wait for days. */
static void tell(struct secrets *s, const char *name)
{
    for (size_t i = 0; i < s->told_count; i++)
        if (strcmp(s->told[i], name) == 0)
            return;
    if (s->told_count == TOLD)
        return;
    s->told[s->told_count] = strdup(name);
    if (!s->told[s->told_count])
        abort();
    s->told_count++;
    log_warn("tasks wait for a provider's secret that this runner does not have", "variable", name,
             NULL);
}

static void offered(void *ctx, PGresult *result, const struct err *err)
{
    struct secrets *s = ctx;

    FAILPOINT("runner.secrets.offered");
    for (int i = 0; result && i < PQntuples(result); i++)
        tell(s, PQgetvalue(result, i, 0));
    PQclear(result);
    again(s, err ? AGAIN_MS : EVERY_MS);
}

/* One with a line break in it, as of a file with two lines, could not stand in a header. */
static bool is_usable(const char *secret)
{
    for (; secret && *secret; secret++)
        if ((unsigned char)*secret < ' ' && *secret != '\t')
            return false;
    return secret != NULL;
}

static void offer(struct secrets *s, const PGresult *rows)
{
    char        id[24];
    const char *params[2] = { id, NULL };

    snprintf(id, sizeof id, "%" PRId64, s->runner->runner_id);
    array_literal_begin(&s->names);
    for (int i = 0; i < PQntuples(rows); i++)
        if (is_usable(transfer_secret(PQgetvalue(rows, i, 0))))
            array_literal_add(&s->names, PQgetvalue(rows, i, 0));
    params[1] = array_literal_end(&s->names);
    FAILPOINT("runner.secrets.offering");
    (void)!db_send(s->runner->work, ST_OFFER_SECRETS, params, offered, s, NULL);
}

static void wanted(void *ctx, PGresult *result, const struct err *err)
{
    struct secrets *s = ctx;

    FAILPOINT("runner.secrets.required");
    if (err && !err_is_passing(err))
        log_warn("the secrets' names could not be asked for", "sqlstate", err->sqlstate, "error",
                 err->message, NULL);
    if (result && s->runner->runner_id != 0)
        offer(s, result);
    PQclear(result);
}

static void ask(void *ctx)
{
    struct secrets *s         = ctx;
    const char     *params[1] = { NULL };

    again(s, LATER_MS);
    if (s->runner->runner_id == 0)
        return;
    FAILPOINT("runner.secrets.asking");
    (void)!db_send(s->runner->work, ST_SECRETS_WANTED, params, wanted, s, NULL);
}

/* Registered anew: the database knows of no secret. */
static void on_event(void *ctx, enum runner_event event)
{
    if (event == RUNNER_REGISTERED)
        ask(ctx);
}

struct secrets *secrets_open(struct runner *runner)
{
    struct secrets *s = calloc(1, sizeof *s);

    if (!s)
        abort();
    s->runner   = runner;
    s->timer    = (struct loop_timer) { .on_time = ask, .ctx = s };
    s->listener = (struct runner_listener) { .on_event = on_event, .ctx = s };
    runner_listen(runner, &s->listener);
    again(s, AGAIN_MS);
    return s;
}

void secrets_close(struct secrets *s)
{
    if (!s)
        return;
    loop_timer_stop(s->runner->loop, &s->timer);
    array_literal_free(&s->names);
    for (size_t i = 0; i < s->told_count; i++)
        free(s->told[i]);
    free(s);
}
