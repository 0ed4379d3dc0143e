/*
 * task: one claimed task in its slot, from the claim until the database has taken its outcome.
 *
 * A slot is free again only when SQL has acknowledged the outcome (or called it stale). So while
 * the database is away results wait in memory, and there are never more of them than slots.
 *
 *   handler->start ──► task_done / task_fail / task_unable, exactly once, maybe from within start
 *   task_stop      ──► handler->stop (kill the work) ──► task_fail as above; what is reported
 *                      follows from why
 */
#ifndef RUNNER_TASK_H
#define RUNNER_TASK_H

#include "lib/base.h"
#include "lib/log.h"
#include "pipeline_runner/exec/protocol.h"
#include "pipeline_runner/context/runner.h"

struct batch;
struct task;

/* What a stage can ask for, by name (handlers.c). */
struct handler {
    const char *name;
    bool        is_chatty;            /* its everyday lines are for debug */
    void (*start)(struct task *task); /* ends as said above, now or later */
    void (*stop)(struct task *task);  /* the work must end now; task_fail() follows, now or later */
};

/* Whoever owns the slots. */
struct task_owner {
    void (*on_outcome)(struct task *task); /* there is an outcome to report */
    void (*on_over)(struct task *task);    /* it is over without one, or with the last answer */
    /* A fault of this machine kept work from being done; or work was done that needs what
     * failed. */
    void (*on_machine)(struct task *task, bool is_able);
};

enum task_state {
    TASK_FREE,
    TASK_RUNNING,
    TASK_READY,   /* has an outcome to send */
    TASK_SENDING, /* sent, not answered */
};

enum task_report {
    REPORT_COMPLETE,       /* in the next cycle */
    REPORT_COMPLETE_ALONE, /* its cycle was refused: alone, to learn whose fault it was */
    REPORT_FAIL,
    REPORT_RELEASE,
};

enum task_stop {
    STOP_NO,
    STOP_CANCELLED, /* report fail(cancelled) */
    STOP_LOST,      /* it is no longer ours: report nothing */
    STOP_RELEASE,   /* hand it back */
};

struct task {
    struct runner           *runner;
    const struct task_owner *owner;
    const struct handler    *handler; /* NULL: no such handler */
    struct batch            *batch;   /* holds the texts below */
    enum task_state          state;
    enum task_stop           stopping;
    uint64_t                 started_ms;

    int64_t     task_id, fence, job_id, runner_id; /* runner_id: whose lease covers it */
    int         queue_id, stage, attempt, timeout_ms;
    const char *stage_name, *handler_name, *config, *input, *media;

    void *work; /* the handler's */

    enum task_report report;
    enum outcome     outcome;
    const char      *output;         /* JSON object */
    char            *output_owned;   /* free() it, or NULL */
    int              retry_after_ms; /* -1 = not said */
    char             message[512];

    struct task *next; /* in the dispatcher's lists of outcomes */

    unsigned asked;   /* questions about it in flight, whose answers will come back to this slot */
    bool     is_over; /* the slot is free when they have */

    bool              has_progress;
    uint64_t          progress_sent_ms;
    double            fraction;
    char              label[PROTOCOL_LABEL_MAX];
    struct loop_timer progress_timer;
};

/* ---- for handlers ---- */

/* The work is done. output must live until the slot is free: part of the batch, or malloc'ed and
 * handed over. */
void task_done(struct task *task, const char *output);
void task_done_owned(struct task *task, char *output);
void task_fail(struct task *task, enum outcome outcome, int retry_after_ms, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* The work could not be done for a fault of this machine (its disk, its programs), which says
 * nothing about the task: it is handed back, which is no attempt, and nothing is claimed for a
 * while. reason is for everyone ("it cannot …"); detail is for our log alone. */
void task_unable(struct task *task, const char *reason, const char *detail);

/* Work was done that needs this machine's disk and programs: they do not fail now. */
void task_able(struct task *task);

/* SQL has put the task aside itself: there is nothing to report, and the slot is free. */
void task_gone(struct task *task);

/* Sent at most twice a second a task; the last one wins. */
void task_progress(struct task *task, double fraction, const char *label);

/* Milliseconds until the task's time limit; 0 = it is over. */
uint64_t task_left_ms(const struct task *task);

/* ---- for the dispatcher and the heartbeats ---- */

void task_start(struct task *task);
void task_stop(struct task *task, enum task_stop why);

/* Ends what belongs to the task in its slot; the dispatcher does the rest. */
void task_clear(struct task *task);

/* One line with job_id, task_id, fence, attempt and stage, and at most two pairs more (NULL:
 * none). */
void task_log(const struct task *task, enum log_level level, const char *msg, const char *key,
              const char *value, const char *key2, const char *value2);

/* The level of a task's everyday lines: a handler with thousands a second talks at debug only. */
enum log_level task_level(const struct task *task);

#endif
