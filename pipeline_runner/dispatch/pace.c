/*
 * pace: the wake-up discipline of a runner.
 *
 * A NOTIFY takes a lock over the whole cluster at commit, so the queue sends one only where a
 * runner waits, and a runner that has just had work asks each millisecond instead of sleeping.
 * After 50 ms without work it marks itself asleep and claims once more in the same statement. An
 * enqueuer that read "awake" and commits after that claim would notify nobody, and no trigger can
 * close this race; so a waiter looks again after 3, 30 and 300 ms, and then each second.
 */
#include "pipeline_runner/dispatch/pace.h"

#include <stddef.h>

#define POLL_NS  PACE_MS
#define AWAKE_NS (50 * PACE_MS)

static const uint64_t look_again_ns[] = { 3 * PACE_MS, 30 * PACE_MS, 300 * PACE_MS,
                                          1000 * PACE_MS };

#define STEPS (sizeof look_again_ns / sizeof *look_again_ns)

void pace_start(struct pace *pace, uint64_t now_ns)
{
    *pace = (struct pace) { .due_ns = now_ns, .is_idle = true };
}

static bool is_awake(const struct pace *pace, uint64_t now_ns)
{
    return pace->worked_ns != 0 && now_ns < pace->worked_ns + AWAKE_NS;
}

void pace_answered(struct pace *pace, uint64_t sent_ns, uint64_t now_ns, bool was_idle,
                   bool gave_work)
{
    if (gave_work)
        pace->worked_ns = now_ns;
    if (is_awake(pace, now_ns)) {
        /* Counted from the sending, so that the round trip is part of the millisecond. */
        pace->due_ns  = sent_ns + POLL_NS > now_ns ? sent_ns + POLL_NS : now_ns;
        pace->is_idle = false;
        pace->step    = 0;
        return;
    }
    if (!was_idle) { /* falls asleep now, and that claim is the "once more" */
        pace->is_idle = true;
        pace->step    = 0;
        pace->due_ns  = now_ns;
        return;
    }
    pace->is_idle = true;
    pace->due_ns  = now_ns + look_again_ns[pace->step];
    if (pace->step + 1 < STEPS)
        pace->step++;
}

/* A NOTIFY wakes all waiters and one of them gets the work: the losers go back to sleep by the very
 * claim that found nothing, instead of 50 ms of polling each. */
void pace_wake(struct pace *pace, uint64_t now_ns)
{
    pace->step = 0;
    if (pace->due_ns > now_ns)
        pace->due_ns = now_ns;
    pace->is_idle = !is_awake(pace, now_ns);
}
