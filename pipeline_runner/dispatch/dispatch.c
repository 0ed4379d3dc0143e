/*
 * dispatch: slots, and the cycle that brings outcomes home and work in.
 *
 * One call completes a batch and claims the next: half the commits, which is the cost at small
 * batches. At most one cycle is in flight. A new one leaves when a claim is due (pace.c) and a slot
 * is or comes free, or when outcomes have waited a millisecond for company. Where nothing else runs
 * no company can come, and they leave at once.
 *
 * A cycle is all or nothing. When SQL refuses it because one completion is stale or its output is
 * not storable, nobody knows whose fault it was: each is then sent alone (report.c), and claims go
 * on.
 */
#include "pipeline_runner/dispatch/dispatch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/failpoint.h"
#include "pipeline_runner/call/handlers.h"
#include "pipeline_runner/dispatch/drain.h"
#include "pipeline_runner/dispatch/lease.h"
#include "pipeline_runner/dispatch/report.h"

#define HOLD_NS       (200 * PACE_MS)
#define PAUSE_NS      (2000 * PACE_MS)
#define PAUSE_MOST_NS (30000 * PACE_MS)
#define TICK_EVERY_MS 100
#define BUSY_AFTER_MS 1000

/* ---- a machine that cannot work ---- */

static bool is_pausing(const struct dispatch *d, uint64_t now_ns)
{
    return now_ns < d->claim_hold_ns;
}

/* Else we would take back at once what we have just handed back, and the rest of the queue with
 * it: nobody is as quick to ask for work as a runner that cannot do any. */
static void pause_claims(struct dispatch *d)
{
    uint64_t now = base_now_ns();

    if (is_pausing(d, now)) /* one fault meets all that runs: it counts once */
        return;
    d->claim_pause_ns = d->claim_pause_ns ? d->claim_pause_ns * 2 : PAUSE_NS;
    if (d->claim_pause_ns > PAUSE_MOST_NS)
        d->claim_pause_ns = PAUSE_MOST_NS;
    d->claim_hold_ns = now + d->claim_pause_ns;
    log_error("this machine cannot work: claiming nothing for a while", "ms",
              LOG_I64(d->claim_pause_ns / PACE_MS), NULL);
}

/* A fault counts until work that needs what had failed was done. */
static void on_machine(struct task *task, bool is_able)
{
    struct dispatch *d = task->runner->dispatch;

    if (is_able)
        d->claim_pause_ns = 0;
    else
        pause_claims(d);
}

const struct task_owner dispatch_task_owner = { slots_outcome, slots_free, on_machine };

/* ---- claiming ---- */

static int64_t number(const PGresult *rows, int row, int column)
{
    return strtoll(PQgetvalue(rows, row, column), NULL, 10);
}

static void fill(struct task *task, struct batch *batch, int row, int64_t runner_id)
{
    const PGresult *rows = batch->rows;

    task->batch        = batch;
    task->state        = TASK_RUNNING;
    task->runner_id    = runner_id;
    task->task_id      = number(rows, row, 0);
    task->fence        = number(rows, row, 1);
    task->job_id       = number(rows, row, 2);
    task->queue_id     = (int)number(rows, row, 3);
    task->stage        = (int)number(rows, row, 4);
    task->stage_name   = PQgetvalue(rows, row, 5);
    task->attempt      = (int)number(rows, row, 6);
    task->handler_name = PQgetvalue(rows, row, 7);
    task->config       = PQgetvalue(rows, row, 8);
    task->input        = PQgetvalue(rows, row, 9);
    task->media        = PQgetvalue(rows, row, 10);
    task->timeout_ms   = (int)number(rows, row, 11);
    task->handler      = handler_find(task->handler_name);
}

static void start_rows(struct dispatch *d, PGresult *rows)
{
    int           count = PQntuples(rows);
    struct batch *batch = count > 0 ? malloc(sizeof *batch) : NULL;

    if (!batch) {
        PQclear(rows);
        return;
    }
    *batch = (struct batch) { rows, 1 };
    for (int i = 0; i < count; i++) {
        if (d->nfree == 0) { /* more than we asked for */
            log_error("the database gave more tasks than slots", "rows", LOG_I64(count), NULL);
            d->is_claim_lost = true;
            lease_renew(d);
            break;
        }
        struct task *task = d->free_slots[--d->nfree];
        batch->users++;
        fill(task, batch, i, d->runner->runner_id);
        task_start(task);
    }
    batch_release(batch);
    runner_tell(d->runner, RUNNER_CLAIMED);
}

/* ---- the answer ---- */

static void free_sent(struct dispatch *d)
{
    while (d->sending.first)
        slots_free(task_list_take(&d->sending));
}

static void keep_idle_count(struct dispatch *d, bool is_empty)
{
    bool is_alone = is_empty && d->was_idle && slots_in_use(d) == 0;

    d->empty_claims = is_alone ? d->empty_claims + 1 : 0;
}

static void cycle_took(struct dispatch *d, PGresult *rows)
{
    uint64_t now       = base_now_ns();
    bool     gave_work = PQntuples(rows) > 0;

    if (gave_work)
        FAILPOINT("runner.claimed");
    free_sent(d);
    if (d->is_claiming) {
        pace_answered(&d->pace, d->sent_ns, now, d->was_idle, gave_work);
        keep_idle_count(d, !gave_work);
    }
    if (gave_work)
        d->worked_ms = base_now_ms();
    start_rows(d, rows);
}

static void unsend(struct dispatch *d, enum task_report how, struct task_list *to)
{
    for (struct task *task = d->sending.first; task; task = task->next) {
        task->report = how;
        task->state  = TASK_READY;
    }
    task_list_move(to, &d->sending);
}

static void cycle_failed(struct dispatch *d, const struct err *err)
{
    bool was_bare = d->sending.count == 0;

    /* Whether it was committed is not known. If it was, tasks are ours of which we know nothing. */
    if (d->is_claiming && (err_is(err, "08") || err_is(err, "57P0")))
        d->is_claim_lost = true;
    if (err_is(err, "KN011")) {
        unsend(d, REPORT_COMPLETE, &d->done);
        d->cycle_hold_ns =
            base_now_ns() + HOLD_NS; /* were it to repeat itself: not at full speed */
        lease_unknown(d, d->runner->runner_id);
        return;
    }
    if (err_is_passing(err)) {
        unsend(d, REPORT_COMPLETE, &d->done);
        d->cycle_hold_ns = base_now_ns() + HOLD_NS;
        return;
    }
    unsend(d, REPORT_COMPLETE_ALONE, &d->others);
    if (was_bare) {
        log_error("claiming failed", "sqlstate", err->sqlstate, "error", err->message, NULL);
        d->cycle_hold_ns = base_now_ns() + 1000 * PACE_MS;
    }
}

static void cycle_answered(void *ctx, PGresult *result, const struct err *err)
{
    struct dispatch *d = ctx;

    FAILPOINT("runner.cycle.answered");
    d->is_cycling = false;
    if (result)
        cycle_took(d, result);
    else
        cycle_failed(d, err);
    slots_wake(d);
}

/* ---- the question ---- */

/* Moves outcomes from done to sending, as many as one call may carry, and writes their arrays. */
static void load(struct dispatch *d)
{
    size_t bytes = 0;

    array_literal_begin(&d->ids);
    array_literal_begin(&d->fences);
    array_literal_begin(&d->outputs);
    while (d->done.first && d->sending.count < BATCH_TASKS) {
        struct task *task = d->done.first;

        bytes += strlen(task->output);
        if (d->sending.count > 0 && bytes > BATCH_BYTES)
            break;
        task_list_add(&d->sending, task_list_take(&d->done));
        task->state = TASK_SENDING;
        array_literal_add_i64(&d->ids, task->task_id);
        array_literal_add_i64(&d->fences, task->fence);
        array_literal_add(&d->outputs, task->output);
    }
}

static void load_busy(struct dispatch *d)
{
    array_literal_begin(&d->busy);
    if (d->sending.count == slots_in_use(d)) /* nothing else: a poll need not look at each slot */
        return;
    for (int i = 0; i < d->runner->slots; i++)
        if (d->slots[i].state == TASK_RUNNING || d->slots[i].state == TASK_READY)
            array_literal_add_i64(&d->busy, d->slots[i].queue_id);
}

static void send_cycle(struct dispatch *d, uint64_t now_ns)
{
    char        id[24], limit[24];
    const char *params[7]  = { [0] = id, [4] = limit };
    size_t      free_after = 0;

    load(d);
    load_busy(d);
    if (d->runner->drain == NOT_DRAINING && !is_pausing(d, now_ns))
        free_after = d->nfree + d->sending.count;
    d->is_claiming = free_after > 0;
    d->was_idle    = d->is_claiming && d->pace.is_idle;
    d->sent_ns     = now_ns;
    snprintf(id, sizeof id, "%" PRId64, d->runner->runner_id);
    snprintf(limit, sizeof limit, "%zu", free_after);
    params[1] = array_literal_end(&d->ids);
    params[2] = array_literal_end(&d->fences);
    params[3] = array_literal_end(&d->outputs);
    params[5] = array_literal_end(&d->busy);
    params[6] = d->was_idle ? "t" : "f";
    FAILPOINT("runner.cycle.asking");
    d->is_cycling = db_send(d->runner->work, ST_CYCLE, params, cycle_answered, d, NULL);
    if (!d->is_cycling) {
        unsend(d, REPORT_COMPLETE, &d->done);
        d->cycle_hold_ns = now_ns + HOLD_NS;
    }
}

/* ---- when ---- */

static bool outcomes_are_due(const struct dispatch *d, uint64_t now_ns)
{
    return d->done.count > 0
           && (now_ns >= d->gather_until_ns || d->done.count >= BATCH_TASKS
               || d->done.count == slots_in_use(d));
}

static bool may_claim(const struct dispatch *d)
{
    return d->runner->drain == NOT_DRAINING && d->nfree > 0;
}

static uint64_t claim_due_ns(const struct dispatch *d)
{
    return d->pace.due_ns > d->claim_hold_ns ? d->pace.due_ns : d->claim_hold_ns;
}

static void cycle_step(struct dispatch *d, uint64_t now_ns)
{
    if (d->is_cycling || d->runner->runner_id == 0 || d->is_registering
        || !db_is_up(d->runner->work))
        return;
    if (now_ns < d->cycle_hold_ns) {
        slots_wake_at(d, d->cycle_hold_ns);
        return;
    }
    if (outcomes_are_due(d, now_ns) || (may_claim(d) && now_ns >= claim_due_ns(d))) {
        send_cycle(d, now_ns);
        return;
    }
    if (d->done.count > 0)
        slots_wake_at(d, d->gather_until_ns);
    if (may_claim(d))
        slots_wake_at(d, claim_due_ns(d));
}

/* Two empty claims while asleep: the first of them ran the timer of the queue, the second saw what
 * it had moved. */
static void is_over_step(struct dispatch *d)
{
    const struct runner *runner  = d->runner;
    uint64_t             idle_ms = base_now_ms() - d->worked_ms;

    if (d->runner->drain != NOT_DRAINING || slots_in_use(d) > 0)
        return;
    if ((runner->is_once && d->empty_claims >= 2)
        || (runner->idle_exit_ms > 0 && idle_ms >= runner->idle_exit_ms))
        drain(d);
    else if (runner->idle_exit_ms > 0)
        slots_wake_at(d, base_now_ns() + (runner->idle_exit_ms - idle_ms) * PACE_MS);
}

static void step(void *ctx)
{
    struct dispatch *d   = ctx;
    uint64_t         now = base_now_ns();

    loop_timer_stop(d->runner->loop, &d->timer);
    if (d->runner->runner_id != 0)
        lease_check_old(d);
    report_step(d, now);
    cycle_step(d, now);
    is_over_step(d);
    drain_step(d);
}

static void on_time(void *ctx)
{
    slots_wake(ctx);
}

void dispatch_notified(struct dispatch *d)
{
    pace_wake(&d->pace, base_now_ns());
    slots_wake(d);
}

/* ---- the timer of the queue ---- */

static void tick_answered(void *ctx, PGresult *result, const struct err *err)
{
    struct dispatch *d = ctx;

    FAILPOINT("runner.ticked");
    PQclear(result);
    d->is_ticking = false;
    if (err && err_is(err, "KN011"))
        lease_unknown(d, d->runner->runner_id);
    else if (err && !err_is_passing(err))
        log_warn("tick failed", "sqlstate", err->sqlstate, "error", err->message, NULL);
}

/* While asleep the claims tick; in a pause there are none. */
static void on_tick(void *ctx)
{
    struct dispatch *d       = ctx;
    bool             is_busy = slots_in_use(d) > 0 || base_now_ms() - d->worked_ms < BUSY_AFTER_MS;
    char             id[24];
    const char      *params[] = { id };

    loop_timer_set(d->runner->loop, &d->tick_timer, TICK_EVERY_MS);
    if ((!is_busy && !is_pausing(d, base_now_ns())) || d->is_ticking || d->runner->runner_id == 0)
        return;
    snprintf(id, sizeof id, "%" PRId64, d->runner->runner_id);
    FAILPOINT("runner.tick.asking");
    d->is_ticking = db_send(d->runner->work, ST_TICK, params, tick_answered, d, NULL);
}

/* ---- start and end ---- */

void dispatch_link_up(struct dispatch *d)
{
    d->cycle_hold_ns = d->report_hold_ns = 0;
    if (d->runner->runner_id == 0 || d->is_claim_lost)
        lease_renew(d);
    pace_wake(&d->pace, base_now_ns());
    slots_wake(d);
}

struct dispatch *dispatch_open(struct runner *runner)
{
    struct dispatch *d     = calloc(1, sizeof *d);
    size_t           slots = (size_t)runner->slots;

    if (!d)
        abort();
    d->runner     = runner;
    d->slots      = calloc(slots, sizeof *d->slots);
    d->free_slots = calloc(slots, sizeof *d->free_slots);
    if (!d->slots || !d->free_slots)
        abort();
    for (size_t i = slots; i > 0; i--) {
        d->slots[i - 1].runner = runner;
        d->slots[i - 1].owner  = &dispatch_task_owner;
        task_clear(&d->slots[i - 1]);
        d->free_slots[d->nfree++] = &d->slots[i - 1];
    }
    d->worked_ms = base_now_ms();
    pace_start(&d->pace, base_now_ns());
    d->step       = (struct loop_task) { .on_turn_end = step, .ctx = d };
    d->timer      = (struct loop_timer) { .on_time = on_time, .ctx = d };
    d->tick_timer = (struct loop_timer) { .on_time = on_tick, .ctx = d };
    loop_timer_set(runner->loop, &d->tick_timer, TICK_EVERY_MS);
    lease_start(d);
    return d;
}

void dispatch_close(struct dispatch *d)
{
    if (!d)
        return;
    for (int i = 0; i < d->runner->slots; i++) {
        batch_release(d->slots[i].batch);
        task_clear(&d->slots[i]);
    }
    array_literal_free(&d->ids);
    array_literal_free(&d->fences);
    array_literal_free(&d->outputs);
    array_literal_free(&d->busy);
    free(d->slots);
    free(d->free_slots);
    free(d);
}
