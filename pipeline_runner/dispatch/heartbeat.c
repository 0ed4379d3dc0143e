/*
 * heartbeat: heartbeats and stop orders.
 */
#include "pipeline_runner/dispatch/heartbeat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline_runner/dispatch/lease.h"
#include "lib/failpoint.h"

#define BUSY_MS 1000
#define IDLE_MS 2000

/* One heartbeat in flight: remembers for which id. */
struct ask {
    struct heartbeat *heartbeat;
    int64_t           runner_id;
    bool              is_asking;
};

struct heartbeat {
    struct runner         *runner;
    struct loop_timer      timer;
    struct runner_listener listener;
    struct ask             asks[OLD_LEASES + 1];
};

static void obey(struct dispatch *d, const PGresult *orders)
{
    for (int i = 0; i < PQntuples(orders); i++) {
        int64_t      task_id = strtoll(PQgetvalue(orders, i, 0), NULL, 10);
        int64_t      fence   = strtoll(PQgetvalue(orders, i, 1), NULL, 10);
        struct task *task    = slots_find(d, task_id, fence);

        if (task) /* else its outcome has crossed the order */
            task_stop(task, strcmp(PQgetvalue(orders, i, 2), "cancelled") == 0 ? STOP_CANCELLED
                                                                               : STOP_LOST);
    }
}

static void answered(void *ctx, PGresult *result, const struct err *err)
{
    struct ask      *ask = ctx;
    struct dispatch *d   = ask->heartbeat->runner->dispatch;

    FAILPOINT("runner.heartbeat.answered");
    ask->is_asking = false;
    if (result)
        obey(d, result);
    else if (err_is(err, "KN011"))
        lease_unknown(d, ask->runner_id);
    else if (!err_is_passing(err))
        log_warn("heartbeat failed", "sqlstate", err->sqlstate, "error", err->message, NULL);
    PQclear(result);
}

static void send_for(struct heartbeat *heartbeat, struct ask *ask, int64_t runner_id)
{
    const struct runner *runner = heartbeat->runner;
    char                 id[24];
    const char          *params[] = { id };

    if (ask->is_asking)
        return;
    *ask = (struct ask) { heartbeat, runner_id, false };
    snprintf(id, sizeof id, "%" PRId64, runner_id);
    FAILPOINT("runner.heartbeat.asking");
    ask->is_asking = db_send(db_is_up(runner->listen) ? runner->listen : runner->work, ST_HEARTBEAT,
                             params, answered, ask, NULL);
}

static uint64_t interval_ms(const struct heartbeat *heartbeat)
{
    return slots_in_use(heartbeat->runner->dispatch) > 0 ? BUSY_MS : IDLE_MS;
}

static void on_time(void *ctx)
{
    struct heartbeat *heartbeat = ctx;
    int64_t           ids[OLD_LEASES + 1];
    size_t            count = lease_ids(heartbeat->runner->dispatch, ids);

    for (size_t i = 0; i < count; i++)
        send_for(heartbeat, &heartbeat->asks[i], ids[i]);
    loop_timer_set(heartbeat->runner->loop, &heartbeat->timer, interval_ms(heartbeat));
}

/* A stop order must be heard within a second of its writing, also by work that began a moment after
 * a heartbeat. */
static void hurry(void *ctx, enum runner_event event)
{
    struct heartbeat *heartbeat = ctx;

    (void)event;
    if (heartbeat->timer.slot == 0
        || heartbeat->timer.due_ns > base_now_ns() + BUSY_MS * UINT64_C(1000000))
        loop_timer_set(heartbeat->runner->loop, &heartbeat->timer, BUSY_MS);
}

struct heartbeat *heartbeat_open(struct runner *runner)
{
    struct heartbeat *heartbeat = calloc(1, sizeof *heartbeat);

    if (!heartbeat)
        abort();
    heartbeat->runner   = runner;
    heartbeat->timer    = (struct loop_timer) { .on_time = on_time, .ctx = heartbeat };
    heartbeat->listener = (struct runner_listener) { .on_event = hurry, .ctx = heartbeat };
    runner_listen(runner, &heartbeat->listener);
    loop_timer_set(runner->loop, &heartbeat->timer, IDLE_MS);
    return heartbeat;
}

void heartbeat_close(struct heartbeat *heartbeat)
{
    if (!heartbeat)
        return;
    loop_timer_stop(heartbeat->runner->loop, &heartbeat->timer);
    free(heartbeat);
}
