/*
 * slots: what the files of this folder share: the tasks of a runner, the lists of their outcomes,
 * and when to look at them again.
 *
 * dispatch.c runs the cycle, report.c tells what is told alone, lease.c keeps the registration,
 * drain.c ends the runner; each uses this file, and dispatch.c uses them.
 *
 * Bounds: as many tasks as slots; one cycle in flight, with at most BATCH_TASKS outcomes or
 *         BATCH_BYTES of them.
 */
#ifndef RUNNER_SLOTS_H
#define RUNNER_SLOTS_H

#include "lib/array_literal.h"
#include "pipeline_runner/call/task.h"
#include "pipeline_runner/dispatch/pace.h"

#define BATCH_TASKS 1000
#define BATCH_BYTES ((size_t)4 << 20)
#define OLD_LEASES  4

/* A list of tasks in order, linked through task->next. */
struct task_list {
    struct task  *first;
    struct task **last;
    size_t        count;
};

/* The rows of one answer, kept while a task in a slot still points into them: nothing is copied. */
struct batch {
    PGresult *rows;
    size_t    users;
};

struct dispatch {
    struct runner *runner;
    struct task   *slots;      /* runner->slots of them */
    struct task  **free_slots; /* a stack */
    size_t         nfree;

    struct task_list done;    /* for the next cycle */
    struct task_list sending; /* in the cycle that is in flight */
    struct task_list others;  /* to be reported alone */

    /* the cycle in flight */
    bool     is_cycling;
    bool     is_claiming; /* it asked for tasks */
    bool     was_idle;    /* it marked us asleep */
    uint64_t sent_ns;

    struct pace pace;
    uint64_t    gather_until_ns; /* outcomes wait for company until then */
    uint64_t    cycle_hold_ns;   /* after an error: not before */
    uint64_t    report_hold_ns;
    uint64_t    claim_hold_ns;  /* after a fault of this machine: outcomes only until then */
    uint64_t    claim_pause_ns; /* how long that was; 0 = none since work last succeeded */
    uint64_t    worked_ms;      /* when a task was last claimed or ran */
    unsigned    empty_claims;   /* in a row, asleep, with every slot free */

    struct loop_task  step;
    struct loop_timer timer;
    struct loop_timer tick_timer;
    bool              is_ticking;

    /* lease.c */
    int64_t           old_ids[OLD_LEASES];
    bool              is_registering;
    bool              is_claim_lost; /* a claim was sent and its answer never came */
    struct loop_timer register_timer;

    /* drain.c */
    struct loop_timer drain_timer;

    struct array_literal ids, fences, outputs, busy;
};

void task_list_add(struct task_list *list, struct task *task);
void task_list_move(struct task_list *to, struct task_list *from); /* all of from, to the end */
struct task *task_list_take(struct task_list *list);               /* the first */

void batch_release(struct batch *batch); /* one user fewer; NULL is fine */

/* The one who holds this task, or NULL. */
struct task *slots_find(struct dispatch *d, int64_t task_id, int64_t fence);
size_t       slots_in_use(const struct dispatch *d);

/* For task.h: an outcome is there; a task is over. */
void slots_outcome(struct task *task);
void slots_free(struct task *task);

void slots_wake(struct dispatch *d);                    /* looks again at the end of this turn */
void slots_wake_at(struct dispatch *d, uint64_t at_ns); /* and at that time */

#endif
