/*
 * lease: who this process is to the database.
 *
 * Everything a runner holds hangs on its runner_id's heartbeat. Two things make a new id necessary.
 * KN011: the database does not know us any more. And a claim whose answer was lost with the link:
 * if it was committed, tasks stand under our id of which we know nothing, and as long as we send
 * heartbeats for that id nobody else would get them. So we register again; for the old id we send
 * them only while tasks that we do know still run under it, then sign it off, which puts the
 * unknown ones back. Outcomes are taken by fence, whatever the id.
 */
#include "pipeline_runner/dispatch/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/failpoint.h"
#include "pipeline_runner/exec/sandbox.h"

#define RETRY_MS 500

static void unregister_answered(void *ctx, PGresult *result, const struct err *err)
{
    (void)ctx;
    FAILPOINT("runner.unregistered");
    PQclear(result);
    if (err)
        log_warn("the old registration could not be ended", "sqlstate", err->sqlstate, "error",
                 err->message, NULL);
}

static bool is_used(const struct dispatch *d, int64_t runner_id)
{
    for (int i = 0; i < d->runner->slots; i++)
        if (d->slots[i].state != TASK_FREE && d->slots[i].runner_id == runner_id)
            return true;
    return false;
}

void lease_check_old(struct dispatch *d)
{
    for (size_t i = 0; i < OLD_LEASES; i++) {
        char        id[24];
        const char *params[] = { id };

        if (d->old_ids[i] == 0 || is_used(d, d->old_ids[i]))
            continue;
        snprintf(id, sizeof id, "%" PRId64, d->old_ids[i]);
        FAILPOINT("runner.unregister.asking");
        /* Where it is not sent the lease runs out by itself, since the heartbeats for it end
         * here. */
        (void)!db_send(d->runner->work, ST_UNREGISTER, params, unregister_answered, d, NULL);
        d->old_ids[i] = 0;
    }
}

void lease_unknown(struct dispatch *d, int64_t runner_id)
{
    /* Who is declared dead has lost its tasks with it: another runner has them or will. */
    for (int i = 0; i < d->runner->slots; i++)
        if (d->slots[i].state == TASK_RUNNING && d->slots[i].runner_id == runner_id)
            task_stop(&d->slots[i], STOP_LOST);
    for (size_t i = 0; i < OLD_LEASES; i++)
        if (d->old_ids[i] == runner_id)
            d->old_ids[i] = 0;
    if (runner_id == d->runner->runner_id)
        lease_renew(d);
}

size_t lease_ids(const struct dispatch *d, int64_t ids[OLD_LEASES + 1])
{
    size_t count = 0;

    if (d->runner->runner_id != 0)
        ids[count++] = d->runner->runner_id;
    for (size_t i = 0; i < OLD_LEASES; i++)
        if (d->old_ids[i] != 0)
            ids[count++] = d->old_ids[i];
    return count;
}

/* The oldest is given up when there are too many: its tasks will be told that they are stale. */
static void keep_old(struct dispatch *d)
{
    memmove(&d->old_ids[1], &d->old_ids[0], (OLD_LEASES - 1) * sizeof d->old_ids[0]);
    d->old_ids[0] = d->runner->runner_id;
}

static void registered(void *ctx, PGresult *result, const struct err *err)
{
    struct dispatch *d      = ctx;
    struct runner   *runner = d->runner;

    FAILPOINT("runner.registered");
    d->is_registering = false;
    if (result) {
        d->runner->runner_id = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        log_info("registered", "runner_id", LOG_I64(d->runner->runner_id), "name", runner->name,
                 "slots", LOG_I64(runner->slots), "queues", runner->queues ? runner->queues : "all",
                 NULL);
        PQclear(result);
        lease_check_old(d);
        runner_tell(runner, RUNNER_REGISTERED);
        slots_wake(d);
    } else if (err_is_passing(err)) {
        loop_timer_set(runner->loop, &d->register_timer, RETRY_MS);
    } else { /* a queue that does not exist, for one: waiting would not mend it */
        log_fatal("kiln-runner", err);
        d->runner->exit_code = EXIT_CONFIG;
        loop_stop(runner->loop);
    }
}

static void send_register(void *ctx)
{
    struct dispatch     *d         = ctx;
    const struct runner *runner    = d->runner;
    char                 host[256] = "", pid[16], slots[16];
    const char          *params[]  = { runner->name,
                                       host,
                                       pid,
                                       KILN_VERSION,
                                       runner->queues,
                                       slots,
                             runner->sandbox ? sandbox_name(runner->sandbox) : "none" };

    if (d->is_registering || d->runner->runner_id != 0)
        return;
    gethostname(host, sizeof host - 1);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    snprintf(slots, sizeof slots, "%d", runner->slots);
    FAILPOINT("runner.register.asking");
    d->is_registering = db_send(runner->work, ST_REGISTER, params, registered, d, NULL);
    if (!d->is_registering)
        loop_timer_set(runner->loop, &d->register_timer, RETRY_MS);
}

void lease_start(struct dispatch *d)
{
    d->register_timer = (struct loop_timer) { .on_time = send_register, .ctx = d };
}

void lease_renew(struct dispatch *d)
{
    if (d->is_claim_lost && d->runner->runner_id != 0)
        keep_old(d);
    d->is_claim_lost     = false;
    d->runner->runner_id = 0;
    if (d->runner->drain < SIGNING_OFF)
        send_register(d);
}
