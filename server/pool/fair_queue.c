/*
 * fair_queue: a table of flows, a queue for each, and a heap of those that may start an entry.
 *
 * A flow's tag is the time that it has used so far, in microseconds of the links, never behind the
 * queue's clock (virtual time), which is the tag of the flow that started last. A flow is in the
 * heap exactly while it waits and may start.
 */
#include "server/pool/fair_queue.h"

#include <assert.h>
#include <stdlib.h>

#define BUCKETS     4096 /* a power of two */
#define IDLE_MAX    4096
#define DEBT_US     UINT64_C(1000000)
#define NOT_IN_HEAP SIZE_MAX

struct fair_flow {
    uint64_t           id, tag, came; /* came: decides among equal tags */
    uint32_t           cost_us;       /* what one of its entries takes, smoothed */
    size_t             under_way, waiting;
    uint64_t           under_way_us;
    struct fair_entry *first, *last;
    size_t             place; /* in the heap */
    struct fair_flow  *same_bucket;
    struct fair_flow  *newer, *older; /* idle ones */
};

struct fair_queue {
    struct fair_queue_bounds bounds;
    uint64_t                 clock, arrivals;
    size_t                   waiting, under_way;
    struct fair_entry       *first, *last; /* that wait */

    struct fair_flow **heap;
    size_t             heap_count, heap_size;

    struct fair_flow *newest, *oldest; /* idle */
    size_t            idle;
    struct fair_flow *buckets[BUCKETS];
};

/* ---- the heap ---- */

/* Among equal tags the flow with the cheaper entries goes first, then the one that came first. */
static bool goes_before(const struct fair_flow *a, const struct fair_flow *b)
{
    if (a->tag != b->tag)
        return a->tag < b->tag;
    return a->cost_us != b->cost_us ? a->cost_us < b->cost_us : a->came < b->came;
}

static void put(struct fair_queue *queue, struct fair_flow *flow, size_t place)
{
    queue->heap[place] = flow;
    flow->place        = place;
}

static void sift(struct fair_queue *queue, struct fair_flow *flow)
{
    size_t place = flow->place;

    while (place > 0 && goes_before(flow, queue->heap[(place - 1) / 2])) {
        put(queue, queue->heap[(place - 1) / 2], place);
        place = (place - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * place + 1;
        if (child + 1 < queue->heap_count
            && goes_before(queue->heap[child + 1], queue->heap[child]))
            child++;
        if (child >= queue->heap_count || !goes_before(queue->heap[child], flow))
            break;
        put(queue, queue->heap[child], place);
        place = child;
    }
    put(queue, flow, place);
}

static void heap_add(struct fair_queue *queue, struct fair_flow *flow)
{
    if (queue->heap_count == queue->heap_size) {
        queue->heap_size = queue->heap_size ? 2 * queue->heap_size : 64;
        queue->heap      = realloc(queue->heap, queue->heap_size * sizeof(*queue->heap));
        if (!queue->heap)
            abort();
    }
    flow->came = queue->arrivals++;
    put(queue, flow, queue->heap_count++);
    sift(queue, flow);
}

static void heap_remove(struct fair_queue *queue, struct fair_flow *flow)
{
    size_t            place = flow->place;
    struct fair_flow *last  = queue->heap[--queue->heap_count];

    flow->place = NOT_IN_HEAP;
    if (last == flow)
        return;
    put(queue, last, place);
    sift(queue, last);
}

static bool may_start(const struct fair_queue *queue, const struct fair_flow *flow)
{
    const struct fair_queue_bounds *b = &queue->bounds;

    if (!flow->first || flow->under_way == 0)
        return flow->first;
    return flow->under_way < b->under_way
           && (b->under_way_us == 0
               || flow->under_way_us + flow->first->cost_us <= b->under_way_us);
}

/* After any change of its queue, its tag or what it has under way. */
static void settle(struct fair_queue *queue, struct fair_flow *flow)
{
    bool may = may_start(queue, flow);

    if (may && flow->place == NOT_IN_HEAP)
        heap_add(queue, flow);
    else if (!may && flow->place != NOT_IN_HEAP)
        heap_remove(queue, flow);
    else if (may)
        sift(queue, flow);
}

/* ---- flows ---- */

static size_t bucket_of(uint64_t id)
{
    return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 52) % BUCKETS;
}

static bool is_idle(const struct fair_flow *flow)
{
    return flow->under_way == 0 && flow->waiting == 0;
}

static void idle_remove(struct fair_queue *queue, struct fair_flow *flow)
{
    *(flow->newer ? &flow->newer->older : &queue->newest) = flow->older;
    *(flow->older ? &flow->older->newer : &queue->oldest) = flow->newer;
    flow->newer = flow->older = NULL;
    queue->idle--;
}

static void forget(struct fair_queue *queue, struct fair_flow *flow)
{
    struct fair_flow **at = &queue->buckets[bucket_of(flow->id)];

    idle_remove(queue, flow);
    while (*at != flow)
        at = &(*at)->same_bucket;
    *at = flow->same_bucket;
    free(flow);
}

static void idle_add(struct fair_queue *queue, struct fair_flow *flow)
{
    flow->older                                               = queue->newest;
    *(queue->newest ? &queue->newest->newer : &queue->oldest) = flow;
    queue->newest                                             = flow;
    if (++queue->idle > IDLE_MAX)
        forget(queue, queue->oldest);
}

static struct fair_flow *find(struct fair_queue *queue, uint64_t id)
{
    struct fair_flow *flow = queue->buckets[bucket_of(id)];

    while (flow && flow->id != id)
        flow = flow->same_bucket;
    return flow;
}

/* A flow without entries takes its place at the clock, unless its debt is still ahead of it. */
static struct fair_flow *find_or_add(struct fair_queue *queue, uint64_t id)
{
    struct fair_flow *flow = find(queue, id);

    if (!flow) {
        size_t bucket = bucket_of(id);
        flow          = calloc(1, sizeof(*flow));
        if (!flow)
            abort();
        flow->id               = id;
        flow->place            = NOT_IN_HEAP;
        flow->same_bucket      = queue->buckets[bucket];
        queue->buckets[bucket] = flow;
    } else if (is_idle(flow)) {
        idle_remove(queue, flow);
    }
    if (is_idle(flow) && flow->tag < queue->clock)
        flow->tag = queue->clock;
    return flow;
}

/* ---- joining and leaving ---- */

static void append(struct fair_queue *queue, struct fair_flow *flow, struct fair_entry *entry)
{
    entry->flow                                          = flow;
    entry->next                                          = NULL;
    entry->prev                                          = flow->last;
    entry->later                                         = NULL;
    entry->earlier                                       = queue->last;
    *(flow->last ? &flow->last->next : &flow->first)     = entry;
    *(queue->last ? &queue->last->later : &queue->first) = entry;
    flow->last = queue->last = entry;
    entry->is_waiting        = true;
    flow->waiting++;
    queue->waiting++;
}

static void take_out(struct fair_queue *queue, struct fair_entry *entry)
{
    struct fair_flow *flow = entry->flow;

    assert(entry->is_waiting);
    *(entry->prev ? &entry->prev->next : &flow->first)         = entry->next;
    *(entry->next ? &entry->next->prev : &flow->last)          = entry->prev;
    *(entry->earlier ? &entry->earlier->later : &queue->first) = entry->later;
    *(entry->later ? &entry->later->earlier : &queue->last)    = entry->earlier;
    entry->is_waiting                                          = false;
    flow->waiting--;
    queue->waiting--;
}

void fair_queue_join_again(struct fair_queue *queue, struct fair_entry *entry, uint64_t id,
                           uint32_t cost_us, uint64_t due_ms)
{
    struct fair_flow *flow = find_or_add(queue, id);

    entry->due_ms  = due_ms;
    entry->cost_us = cost_us > flow->cost_us ? cost_us : flow->cost_us;
    append(queue, flow, entry);
    settle(queue, flow);
}

enum fair_queue_answer fair_queue_join(struct fair_queue *queue, struct fair_entry *entry,
                                       uint64_t id, uint32_t cost_us, uint64_t due_ms)
{
    const struct fair_flow *flow = find(queue, id);

    if (flow && flow->waiting >= queue->bounds.waiting)
        return FAIR_QUEUE_FLOW_FULL;
    if (queue->waiting >= queue->bounds.waiting_all)
        return FAIR_QUEUE_FULL;
    fair_queue_join_again(queue, entry, id, cost_us, due_ms);
    return FAIR_QUEUE_JOINED;
}

void fair_queue_remove(struct fair_queue *queue, struct fair_entry *entry)
{
    struct fair_flow *flow = entry->flow;

    take_out(queue, entry);
    settle(queue, flow);
    if (is_idle(flow))
        idle_add(queue, flow);
}

/* ---- starting and ending ---- */

struct fair_entry *fair_queue_first(const struct fair_queue *queue)
{
    return queue->heap_count ? queue->heap[0]->first : NULL;
}

struct fair_entry *fair_queue_next(const struct fair_entry *entry)
{
    return entry->is_waiting ? entry->next : entry->flow->first;
}

void fair_queue_start(struct fair_queue *queue, struct fair_entry *entry)
{
    struct fair_flow *flow = entry->flow;

    take_out(queue, entry);
    if (flow->tag > queue->clock)
        queue->clock = flow->tag;
    flow->tag += entry->cost_us;
    flow->under_way++;
    flow->under_way_us += entry->cost_us;
    queue->under_way++;
    settle(queue, flow);
}

/* Replaces the expected cost by what the entry took. */
static void charge(const struct fair_queue *queue, struct fair_flow *flow, uint32_t expected_us,
                   uint64_t cost_us)
{
    uint64_t most = queue->clock + DEBT_US;
    int64_t  step;

    if (cost_us > DEBT_US)
        cost_us = DEBT_US;
    flow->tag = flow->tag > expected_us ? flow->tag - expected_us : 0;
    flow->tag += cost_us;
    if (flow->tag > most)
        flow->tag = most;
    step          = ((int64_t)cost_us - (int64_t)flow->cost_us) / 16;
    flow->cost_us = (uint32_t)((int64_t)flow->cost_us + step);
}

void fair_queue_end(struct fair_queue *queue, struct fair_entry *entry, uint64_t cost_us)
{
    struct fair_flow *flow = entry->flow;

    assert(!entry->is_waiting);
    flow->under_way--;
    flow->under_way_us -= entry->cost_us;
    queue->under_way--;
    charge(queue, flow, entry->cost_us, cost_us);
    settle(queue, flow);
    if (is_idle(flow))
        idle_add(queue, flow);
}

struct fair_entry *fair_queue_late(const struct fair_queue *queue, uint64_t now_ms)
{
    struct fair_entry *entry = queue->first;

    while (entry && entry->due_ms > now_ms)
        entry = entry->later;
    return entry;
}

size_t fair_queue_waiting(const struct fair_queue *queue)
{
    return queue->waiting;
}

size_t fair_queue_under_way(const struct fair_queue *queue)
{
    return queue->under_way;
}

/* ---- opening and closing ---- */

struct fair_queue *fair_queue_open(const struct fair_queue_bounds *bounds)
{
    struct fair_queue *queue = calloc(1, sizeof(*queue));

    if (!queue)
        abort();
    queue->bounds = *bounds;
    return queue;
}

void fair_queue_close(struct fair_queue *queue)
{
    if (!queue)
        return;
    for (struct fair_flow *flow = queue->oldest, *newer; flow; flow = newer) {
        newer = flow->newer;
        forget(queue, flow);
    }
    free(queue->heap);
    free(queue);
}
