/*
 * pace: when the next claim is due, and whether it should mark this runner asleep.
 *
 * Pure: it is told the time and what a claim brought, and holds no timer of its own. All times are
 * nanoseconds of one monotonic clock.
 */
#ifndef RUNNER_PACE_H
#define RUNNER_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_MS ((uint64_t)1000000)

struct pace {
    uint64_t worked_ns; /* when a claim last gave work; 0 = never */
    uint64_t due_ns;    /* when the next claim is due */
    unsigned step;      /* how many claims in a row found nothing while asleep */
    bool     is_idle;   /* the next claim marks this runner asleep */
};

void pace_start(struct pace *pace, uint64_t now_ns);

/* A claim sent at sent_ns (marking us asleep, or not) was answered at now_ns. */
void pace_answered(struct pace *pace, uint64_t sent_ns, uint64_t now_ns, bool was_idle,
                   bool gave_work);

/* Something happened that may have brought work: a NOTIFY came, a slot came free, the link is
 * back. */
void pace_wake(struct pace *pace, uint64_t now_ns);

#endif
