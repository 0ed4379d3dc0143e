/*
 * report: what is told to the database one task at a time: failures, releases, and completions
 * whose batch was refused. All are sent at once, in order, and answered in order; an error of the
 * moment (the link, a lock) is tried again, anything else is final.
 */
#include "pipeline_runner/dispatch/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/failpoint.h"

#define HOLD_NS (200 * PACE_MS)

static void refused(struct task *task, const struct err *err);

static void log_accepted(const struct task *task, const PGresult *result)
{
    const char *state =
        PQntuples(result) == 1 && PQnfields(result) == 1 ? PQgetvalue(result, 0, 0) : "";

    if (task->report == REPORT_RELEASE)
        task_log(task, LOG_LEVEL_INFO, "handed back", NULL, NULL, NULL, NULL);
    else if (task->report == REPORT_FAIL)
        task_log(task, task->outcome == OUTCOME_CANCELLED ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
                 strcmp(state, "failed") == 0 ? "failed" : "attempt ended", "error", task->message,
                 "state", state);
}

static void answered(void *ctx, PGresult *result, const struct err *err)
{
    struct task     *task = ctx;
    struct dispatch *d    = task->runner->dispatch;

    FAILPOINT("runner.reported");
    if (result) {
        log_accepted(task, result);
        slots_free(task);
    } else if (err_is_passing(err)) {
        task->state = TASK_READY;
        task_list_add(&d->others, task);
        d->report_hold_ns = base_now_ns() + HOLD_NS;
        slots_wake(d);
    } else
        refused(task, err);
    PQclear(result);
}

static void refused(struct task *task, const struct err *err)
{
    if (err_is(err, "KN010")) {
        task_log(task, LOG_LEVEL_WARN, "stale", "error", err->message, NULL, NULL);
        slots_free(task);
        return;
    }
    task_log(task, LOG_LEVEL_ERROR, "the outcome was refused", "sqlstate", err->sqlstate, "error",
             err->message);
    if (task->report == REPORT_COMPLETE_ALONE) {
        /* An output that the database cannot store would be refused again after the same work. */
        task->report  = REPORT_FAIL;
        task->outcome = OUTCOME_INVALID;
        err_format(task->message, sizeof task->message, "the output was refused: %s", err->message);
        protocol_clean(task->message);
        task->state = TASK_READY;
        slots_outcome(task);
        return;
    }
    slots_free(task); /* the task's time limit will find it */
}

static bool send_one(struct task *task)
{
    char        id[24], fence[24], retry[16];
    struct db  *work      = task->runner->work;
    const char *params[5] = { id, fence, task->output, NULL, NULL };

    snprintf(id, sizeof id, "%" PRId64, task->task_id);
    snprintf(fence, sizeof fence, "%" PRId64, task->fence);
    snprintf(retry, sizeof retry, "%d", task->retry_after_ms);
    FAILPOINT("runner.report.asking");
    if (task->report == REPORT_COMPLETE_ALONE)
        return db_send(work, ST_COMPLETE, params, answered, task, NULL);
    if (task->report == REPORT_RELEASE) {
        params[2] = task->message;
        return db_send(work, ST_RELEASE, params, answered, task, NULL);
    }
    params[2] = outcome_name(task->outcome);
    params[3] = task->message;
    params[4] = task->retry_after_ms >= 0 ? retry : NULL;
    return db_send(work, ST_FAIL, params, answered, task, NULL);
}

void report_step(struct dispatch *d, uint64_t now_ns)
{
    struct task_list todo = { 0 };

    if (d->others.count == 0 || !db_is_up(d->runner->work))
        return;
    if (now_ns < d->report_hold_ns) {
        slots_wake_at(d, d->report_hold_ns);
        return;
    }
    task_list_move(&todo, &d->others);
    while (todo.first) {
        struct task *task = todo.first;

        todo.first  = task->next;
        task->state = TASK_SENDING;
        if (send_one(task))
            continue;
        task->state = TASK_READY;
        task_list_add(&d->others, task);
        d->report_hold_ns = now_ns + HOLD_NS;
        slots_wake_at(d, d->report_hold_ns);
    }
}
