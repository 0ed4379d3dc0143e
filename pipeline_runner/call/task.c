/*
 * task: what happens to one claimed task besides the work itself.
 */
#include "pipeline_runner/call/task.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/failpoint.h"

#define PROGRESS_EVERY_MS 500

enum log_level task_level(const struct task *task)
{
    return task->handler && task->handler->is_chatty ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

void task_log(const struct task *task, enum log_level level, const char *msg, const char *key,
              const char *value, const char *key2, const char *value2)
{
    if (!log_wants(level))
        return;
    log_write(level, msg, "job_id", LOG_I64(task->job_id), "task_id", LOG_I64(task->task_id),
              "fence", LOG_I64(task->fence), "attempt", LOG_I64(task->attempt), "stage",
              task->stage_name, key ? key : "handler", key ? value : task->handler_name, key2,
              value2, NULL);
}

uint64_t task_left_ms(const struct task *task)
{
    uint64_t spent = base_now_ms() - task->started_ms;
    uint64_t limit = (uint64_t)task->timeout_ms;

    return spent < limit ? limit - spent : 0;
}

static void has_outcome(struct task *task)
{
    loop_timer_stop(task->runner->loop, &task->progress_timer);
    FAILPOINT("runner.worked");
    task->work  = NULL;
    task->state = TASK_READY;
    task->owner->on_outcome(task);
}

/* What is reported of a task that was told to stop does not depend on how its work ended. True:
 * nothing more to do. */
static bool was_stopped(struct task *task)
{
    switch (task->stopping) {
    case STOP_NO: return false;
    case STOP_CANCELLED:
        task->report  = REPORT_FAIL;
        task->outcome = OUTCOME_CANCELLED;
        snprintf(task->message, sizeof task->message, "stopped, because it was cancelled");
        break;
    case STOP_RELEASE:
        task->report = REPORT_RELEASE;
        snprintf(task->message, sizeof task->message, "the runner is stopping");
        break;
    case STOP_LOST: task_gone(task); return true;
    }
    has_outcome(task);
    return true;
}

void task_done(struct task *task, const char *output)
{
    /* Work that ended well while it was to be handed back is no longer unfinished. */
    if (task->stopping == STOP_RELEASE)
        task->stopping = STOP_NO;
    if (was_stopped(task))
        return;
    task->report  = REPORT_COMPLETE;
    task->outcome = OUTCOME_DONE;
    task->output  = output;
    if (log_wants(task_level(task)))
        task_log(task, task_level(task), "finished", "ms",
                 LOG_I64(base_now_ms() - task->started_ms), NULL, NULL);
    has_outcome(task);
}

void task_done_owned(struct task *task, char *output)
{
    task->output_owned = output;
    task_done(task, output);
}

void task_fail(struct task *task, enum outcome outcome, int retry_after_ms, const char *fmt, ...)
{
    va_list args;

    if (was_stopped(task))
        return;
    task->report         = REPORT_FAIL;
    task->outcome        = outcome;
    task->retry_after_ms = retry_after_ms;
    va_start(args, fmt);
    if (vsnprintf(task->message, sizeof task->message, fmt, args) >= (int)sizeof task->message)
        err_end_sentence(task->message, sizeof task->message);
    va_end(args);
    protocol_clean(task->message);
    has_outcome(task);
}

void task_gone(struct task *task)
{
    loop_timer_stop(task->runner->loop, &task->progress_timer);
    task->work = NULL;
    task->owner->on_over(task);
}

void task_unable(struct task *task, const char *reason, const char *detail)
{
    if (was_stopped(task))
        return;
    task->report = REPORT_RELEASE;
    snprintf(task->message, sizeof task->message, "the runner cannot work: %s", reason);
    task_log(task, LOG_LEVEL_ERROR, "the runner cannot work", "reason", reason, "error", detail);
    task->owner->on_machine(task, false);
    has_outcome(task);
}

void task_able(struct task *task)
{
    task->owner->on_machine(task, true);
}

void task_start(struct task *task)
{
    task->started_ms = base_now_ms();
    task_log(task, task_level(task), "started", NULL, NULL, NULL, NULL);
    FAILPOINT("runner.starting");
    if (task->handler)
        task->handler->start(task);
    else
        task_fail(task, OUTCOME_INVALID, -1, "this runner has no handler \"%s\"",
                  task->handler_name);
}

void task_stop(struct task *task, enum task_stop why)
{
    static const char *const reasons[] = {
        [STOP_CANCELLED] = "cancelled",
        [STOP_LOST]      = "lost",
        [STOP_RELEASE]   = "handed back",
    };

    /* One whose outcome is on its way is not stopped: SQL decides what the outcome is worth. */
    if (task->state != TASK_RUNNING || (task->stopping != STOP_NO && why != STOP_LOST)
        || task->stopping == STOP_LOST)
        return;
    task->stopping = why;
    task_log(task, LOG_LEVEL_INFO, "stopping", "reason", reasons[why], NULL, NULL);
    task->handler->stop(task);
}

/* ---- progress ---- */

static void send_progress(struct task *task);

static void progress_answered(void *ctx, PGresult *result, const struct err *err)
{
    struct task *task = ctx;

    FAILPOINT("runner.progress.reported");
    PQclear(result);
    task->asked--;
    if (task->is_over)
        task->owner->on_over(task);
    else if (err && err_is(err, "KN010"))
        task_stop(task, STOP_LOST);
}

static void progress_due(void *ctx)
{
    send_progress(ctx);
}

static void send_progress(struct task *task)
{
    char        id[24], fence[24], fraction[32];
    const char *params[] = { id, fence, fraction, task->label };

    snprintf(id, sizeof id, "%lld", (long long)task->task_id);
    snprintf(fence, sizeof fence, "%lld", (long long)task->fence);
    snprintf(fraction, sizeof fraction, "%.4f", task->fraction);
    task->has_progress     = false;
    task->progress_sent_ms = base_now_ms();
    FAILPOINT("runner.progress.asking");
    /* Not sent while the link is down: the next line of the tool brings a newer one. */
    if (db_send(task->runner->work, ST_PROGRESS, params, progress_answered, task, NULL))
        task->asked++;
}

void task_progress(struct task *task, double fraction, const char *label)
{
    uint64_t now = base_now_ms();

    if (task->state != TASK_RUNNING || task->stopping != STOP_NO)
        return;
    task->fraction = fraction;
    snprintf(task->label, sizeof task->label, "%s", label);
    protocol_clean(task->label);
    if (now - task->progress_sent_ms >= PROGRESS_EVERY_MS) {
        send_progress(task);
        return;
    }
    if (!task->has_progress)
        loop_timer_set(task->runner->loop, &task->progress_timer,
                       task->progress_sent_ms + PROGRESS_EVERY_MS - now);
    task->has_progress = true;
}

/* ---- slots ---- */

void task_clear(struct task *task)
{
    struct runner           *runner = task->runner;
    const struct task_owner *owner  = task->owner;

    loop_timer_stop(runner->loop, &task->progress_timer);
    free(task->output_owned);
    *task                = (struct task) { .runner = runner, .owner = owner, .retry_after_ms = -1 };
    task->progress_timer = (struct loop_timer) { .on_time = progress_due, .ctx = task };
}
