/*
 * drain: how a runner ends without losing or repeating work.
 *
 * First it drains: claims nothing, lets what runs come to its end. After KILN_RUNNER_DRAIN_MS, or
 * at a second SIGTERM, it stops what still runs and hands it back, which costs neither an attempt
 * nor counts as a death. With all slots free it signs off, and the loop ends. If the database does
 * not answer meanwhile, it goes after a few seconds all the same: its leases run out by themselves.
 */
#include "pipeline_runner/dispatch/drain.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/failpoint.h"

#define PATIENCE_MS 5000 /* for the database to take what is left */

static void hand_back(struct dispatch *d)
{
    d->runner->drain = HANDING_BACK;
    log_info("handing back what still runs", "running", LOG_I64(slots_in_use(d)), NULL);
    for (int i = 0; i < d->runner->slots; i++)
        task_stop(&d->slots[i], STOP_RELEASE);
    loop_timer_set(d->runner->loop, &d->drain_timer, PATIENCE_MS);
    slots_wake(d);
}

static void give_up(struct dispatch *d)
{
    log_warn("leaving without the database's answer", "running", LOG_I64(slots_in_use(d)), NULL);
    loop_stop(d->runner->loop);
}

static void on_time(void *ctx)
{
    struct dispatch *d = ctx;

    if (d->runner->drain == DRAINING)
        hand_back(d);
    else
        give_up(d);
}

void drain(struct dispatch *d)
{
    if (d->runner->drain == NOT_DRAINING) {
        d->runner->drain = DRAINING;
        log_info("draining", "running", LOG_I64(slots_in_use(d)), NULL);
        d->drain_timer = (struct loop_timer) { .on_time = on_time, .ctx = d };
        loop_timer_set(d->runner->loop, &d->drain_timer, (uint64_t)d->runner->cfg->runner_drain_ms);
    } else if (d->runner->drain == DRAINING) {
        hand_back(d);
    }
    slots_wake(d);
}

static void signed_off(void *ctx, PGresult *result, const struct err *err)
{
    struct dispatch *d = ctx;

    FAILPOINT("runner.unregistered");
    PQclear(result);
    if (err)
        log_warn("could not sign off", "sqlstate", err->sqlstate, "error", err->message, NULL);
    loop_stop(d->runner->loop);
}

void drain_step(struct dispatch *d)
{
    char        id[24];
    const char *params[] = { id };

    if (d->runner->drain == NOT_DRAINING || d->runner->drain == SIGNING_OFF || slots_in_use(d) > 0
        || d->is_cycling)
        return;
    d->runner->drain = SIGNING_OFF;
    loop_timer_set(d->runner->loop, &d->drain_timer, PATIENCE_MS);
    snprintf(id, sizeof id, "%" PRId64, d->runner->runner_id);
    FAILPOINT("runner.unregister.asking");
    if (d->runner->runner_id == 0
        || !db_send(d->runner->work, ST_UNREGISTER, params, signed_off, d, NULL))
        loop_stop(d->runner->loop);
}
