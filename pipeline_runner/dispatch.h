/*
 * dispatch: the heart of a runner: claims tasks into free slots, starts them, brings their outcomes
 * home.
 *
 * Four files share struct dispatch: dispatch.c (slots and the cycle), report.c (what is reported
 * alone), lease.c (who we are to the database), leave.c (how we end). All work is sent over one
 * link, in order.
 *
 * Ownership: end dispatch_open() with dispatch_close(), after the links are closed.
 * Bounds:    as many tasks as slots; one cycle in flight, with at most BATCH_TASKS outcomes or
 *            BATCH_BYTES of them.
 */
#ifndef RUNNER_DISPATCH_H
#define RUNNER_DISPATCH_H

#include "literal.h"
#include "pace.h"
#include "task.h"

#define BATCH_TASKS 1000
#define BATCH_BYTES ((size_t)4 << 20)
#define OLD_LEASES  4

/* A list of tasks in order, linked through task->next. */
struct task_list {
    struct task  *first;
    struct task **last;
    size_t        count;
};

enum leaving {
    STAYING,
    DRAINING,     /* claims nothing; what runs may finish */
    HANDING_BACK, /* what still runs is stopped and released */
    SIGNING_OFF,  /* all slots are free: unregister, then the loop stops */
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
    int64_t           runner_id; /* 0 = not registered */
    int64_t           old_ids[OLD_LEASES];
    bool              is_registering;
    bool              is_claim_lost; /* a claim was sent and its answer never came */
    struct loop_timer register_timer;

    /* leave.c */
    enum leaving      leaving;
    bool              is_signing_off;
    struct loop_timer leave_timer;

    struct literal ids, fences, outputs, busy;
};

struct dispatch *dispatch_open(struct runner *runner);
void             dispatch_close(struct dispatch *d);

void dispatch_link_up(struct dispatch *d);
void dispatch_bell(struct dispatch *d);

/* The one who holds this task, or NULL. */
struct task *dispatch_find(struct dispatch *d, int64_t task_id, int64_t fence);
size_t       dispatch_running(const struct dispatch *d); /* slots in use */

/* From task.c: an outcome is there; a task is over without one. */
void dispatch_outcome(struct task *task);
void dispatch_drop(struct task *task);

/* A fault of this machine kept work from being done; work was done that needs what had failed. */
void dispatch_is_unable(struct dispatch *d);
void dispatch_is_able(struct dispatch *d);

/* Between the four files. */
void task_list_add(struct task_list *list, struct task *task);
void task_list_move(struct task_list *to, struct task_list *from); /* all of from, to the end */
void dispatch_wake(struct dispatch *d);                  /* looks again at the end of this turn */
void dispatch_later(struct dispatch *d, uint64_t at_ns); /* and at that time */
void report_step(struct dispatch *d, uint64_t now_ns);

void   lease_start(struct dispatch *d);
void   lease_renew(struct dispatch *d);                      /* the answer to a claim was lost */
void   lease_check_old(struct dispatch *d);                  /* a slot came free */
void   lease_unknown(struct dispatch *d, int64_t runner_id); /* KN011 */
size_t lease_ids(const struct dispatch *d, int64_t ids[OLD_LEASES + 1]);

/* SIGTERM: once to drain, twice to hand back at once. */
void leave(struct dispatch *d);
void leave_step(struct dispatch *d, uint64_t now_ns);

#endif
