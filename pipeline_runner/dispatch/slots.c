/* slots: the tasks of a runner and the lists of their outcomes; see slots.h. */
#include "pipeline_runner/dispatch/slots.h"

#include <stdlib.h>

#define GATHER_NS PACE_MS

/* ---- lists ---- */

void task_list_add(struct task_list *list, struct task *task)
{
    if (!list->first)
        list->last = &list->first;
    task->next  = NULL;
    *list->last = task;
    list->last  = &task->next;
    list->count++;
}

struct task *task_list_take(struct task_list *list)
{
    struct task *task = list->first;

    list->first = task->next;
    if (!list->first)
        list->last = &list->first;
    list->count--;
    return task;
}

void task_list_move(struct task_list *to, struct task_list *from)
{
    while (from->first)
        task_list_add(to, task_list_take(from));
}

/* ---- slots ---- */

void batch_release(struct batch *batch)
{
    if (!batch || --batch->users > 0)
        return;
    PQclear(batch->rows);
    free(batch);
}

size_t slots_in_use(const struct dispatch *d)
{
    return (size_t)d->runner->slots - d->nfree;
}

void slots_free(struct task *task)
{
    struct dispatch *d        = task->runner->dispatch;
    bool             was_full = d->nfree == 0;

    task->is_over = task->asked > 0;
    if (task->is_over) { /* an answer about it is still to come; another task must not get it */
        task->state = TASK_SENDING;
        return;
    }
    batch_release(task->batch);
    task_clear(task);
    d->free_slots[d->nfree++] = task;
    d->worked_ms              = base_now_ms();
    if (was_full || slots_in_use(d) == 0)
        pace_wake(&d->pace, base_now_ns());
    slots_wake(d);
}

struct task *slots_find(struct dispatch *d, int64_t task_id, int64_t fence)
{
    for (int i = 0; i < d->runner->slots; i++)
        if (d->slots[i].state != TASK_FREE && d->slots[i].task_id == task_id
            && d->slots[i].fence == fence)
            return &d->slots[i];
    return NULL;
}

void slots_outcome(struct task *task)
{
    struct dispatch *d = task->runner->dispatch;

    if (task->report != REPORT_COMPLETE)
        task_list_add(&d->others, task);
    else {
        if (d->done.count == 0)
            d->gather_until_ns = base_now_ns() + GATHER_NS;
        task_list_add(&d->done, task);
    }
    slots_wake(d);
}

/* ---- when to look again ---- */

void slots_wake(struct dispatch *d)
{
    loop_defer(d->runner->loop, &d->step);
}

void slots_wake_at(struct dispatch *d, uint64_t at_ns)
{
    if (d->timer.slot == 0 || at_ns < d->timer.due_ns)
        loop_timer_at(d->runner->loop, &d->timer, at_ns);
}
