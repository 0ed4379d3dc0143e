/*
 * beat: heartbeats and stop orders.
 */
#include "beat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"
#include "failpoint.h"

#define BUSY_MS 1000
#define IDLE_MS 2000

/* One beat in flight: remembers for which id. */
struct ask {
    struct beat *beat;
    int64_t      runner_id;
    bool         is_asking;
};

struct beat {
    struct runner    *runner;
    struct loop_timer timer;
    struct ask        asks[OLD_LEASES + 1];
};

static void obey(struct dispatch *d, const PGresult *orders)
{
    for (int i = 0; i < PQntuples(orders); i++) {
        int64_t      task_id = strtoll(PQgetvalue(orders, i, 0), NULL, 10);
        int64_t      fence   = strtoll(PQgetvalue(orders, i, 1), NULL, 10);
        struct task *task    = dispatch_find(d, task_id, fence);

        if (task) /* else its outcome has crossed the order */
            task_stop(task, strcmp(PQgetvalue(orders, i, 2), "cancelled") == 0 ? STOP_CANCELLED
                                                                               : STOP_LOST);
    }
}

static void answered(void *ctx, PGresult *result, const struct err *err)
{
    struct ask      *ask = ctx;
    struct dispatch *d   = ask->beat->runner->dispatch;

    FAILPOINT("runner.beaten");
    ask->is_asking = false;
    if (result)
        obey(d, result);
    else if (err_is(err, "KN011"))
        lease_unknown(d, ask->runner_id);
    else if (!runner_is_passing(err))
        log_warn("beat failed", "sqlstate", err->sqlstate, "error", err->message, NULL);
    PQclear(result);
}

static void beat_for(struct beat *beat, struct ask *ask, int64_t runner_id)
{
    const struct runner *runner = beat->runner;
    char                 id[24];
    const char          *params[] = { id };

    if (ask->is_asking)
        return;
    *ask = (struct ask) { beat, runner_id, false };
    snprintf(id, sizeof id, "%" PRId64, runner_id);
    FAILPOINT("runner.beat.asking");
    ask->is_asking = db_send(db_is_up(runner->bell) ? runner->bell : runner->work, ST_BEAT, params,
                             answered, ask, NULL);
}

static uint64_t interval_ms(const struct beat *beat)
{
    return dispatch_running(beat->runner->dispatch) > 0 ? BUSY_MS : IDLE_MS;
}

static void on_time(void *ctx)
{
    struct beat *beat = ctx;
    int64_t      ids[OLD_LEASES + 1];
    size_t       count = lease_ids(beat->runner->dispatch, ids);

    for (size_t i = 0; i < count; i++)
        beat_for(beat, &beat->asks[i], ids[i]);
    loop_timer_set(beat->runner->loop, &beat->timer, interval_ms(beat));
}

void beat_hurry(struct beat *beat)
{
    /* A stop order must be heard within a second of its writing, also by work that began a moment
     * after a beat. */
    if (beat->timer.slot == 0 || beat->timer.due_ns > base_now_ns() + BUSY_MS * UINT64_C(1000000))
        loop_timer_set(beat->runner->loop, &beat->timer, BUSY_MS);
}

struct beat *beat_open(struct runner *runner)
{
    struct beat *beat = calloc(1, sizeof *beat);

    if (!beat)
        abort();
    beat->runner = runner;
    beat->timer  = (struct loop_timer) { .on_time = on_time, .ctx = beat };
    loop_timer_set(runner->loop, &beat->timer, IDLE_MS);
    return beat;
}

void beat_close(struct beat *beat)
{
    if (!beat)
        return;
    loop_timer_stop(beat->runner->loop, &beat->timer);
    free(beat);
}
