/*
 * turns: a table of owners, a queue for each, and a heap of those whose turn it could be.
 *
 * An owner's tag is the time that it has used so far, in microseconds of the links, never behind the
 * clock of all, which is the tag of the one that was started last. An owner is in the heap exactly
 * while it waits and may start.
 */
#include "server/pool/turns.h"

#include <assert.h>
#include <stdlib.h>

#define BUCKETS     4096 /* a power of two */
#define IDLE_MAX    4096
#define DEBT_US     UINT64_C(1000000)
#define NOT_IN_HEAP SIZE_MAX

struct turns_owner {
    uint64_t            id, tag, came; /* came: among equal tags who was there first */
    uint32_t            cost_us;       /* what one of its turns takes, smoothed */
    size_t              under_way, waiting;
    uint64_t            under_way_us;
    struct turn        *first, *last;
    size_t              place; /* in the heap */
    struct turns_owner *same_bucket;
    struct turns_owner *newer, *older; /* idle ones */
};

struct turns {
    struct turns_bounds bounds;
    uint64_t            clock, arrivals;
    size_t              waiting, under_way;
    struct turn        *first, *last; /* that wait */

    struct turns_owner **heap;
    size_t               heap_count, heap_size;

    struct turns_owner *newest, *oldest; /* idle */
    size_t              idle;
    struct turns_owner *buckets[BUCKETS];
};

/* ---- the heap ---- */

/* Among equals who takes little first, then who came first. */
static bool goes_before(const struct turns_owner *a, const struct turns_owner *b)
{
    if (a->tag != b->tag)
        return a->tag < b->tag;
    return a->cost_us != b->cost_us ? a->cost_us < b->cost_us : a->came < b->came;
}

static void put(struct turns *turns, struct turns_owner *owner, size_t place)
{
    turns->heap[place] = owner;
    owner->place       = place;
}

static void sift(struct turns *turns, struct turns_owner *owner)
{
    size_t place = owner->place;

    while (place > 0 && goes_before(owner, turns->heap[(place - 1) / 2])) {
        put(turns, turns->heap[(place - 1) / 2], place);
        place = (place - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * place + 1;
        if (child + 1 < turns->heap_count
            && goes_before(turns->heap[child + 1], turns->heap[child]))
            child++;
        if (child >= turns->heap_count || !goes_before(turns->heap[child], owner))
            break;
        put(turns, turns->heap[child], place);
        place = child;
    }
    put(turns, owner, place);
}

static void heap_add(struct turns *turns, struct turns_owner *owner)
{
    if (turns->heap_count == turns->heap_size) {
        turns->heap_size = turns->heap_size ? 2 * turns->heap_size : 64;
        turns->heap      = realloc(turns->heap, turns->heap_size * sizeof(*turns->heap));
        if (!turns->heap)
            abort();
    }
    owner->came = turns->arrivals++;
    put(turns, owner, turns->heap_count++);
    sift(turns, owner);
}

static void heap_remove(struct turns *turns, struct turns_owner *owner)
{
    size_t              place = owner->place;
    struct turns_owner *last  = turns->heap[--turns->heap_count];

    owner->place = NOT_IN_HEAP;
    if (last == owner)
        return;
    put(turns, last, place);
    sift(turns, last);
}

static bool may_start(const struct turns *turns, const struct turns_owner *owner)
{
    const struct turns_bounds *b = &turns->bounds;

    if (!owner->first || owner->under_way == 0)
        return owner->first;
    return owner->under_way < b->under_way
           && (b->under_way_us == 0
               || owner->under_way_us + owner->first->cost_us <= b->under_way_us);
}

/* After any change of its queue, its tag or what it has under way. */
static void settle(struct turns *turns, struct turns_owner *owner)
{
    bool may = may_start(turns, owner);

    if (may && owner->place == NOT_IN_HEAP)
        heap_add(turns, owner);
    else if (!may && owner->place != NOT_IN_HEAP)
        heap_remove(turns, owner);
    else if (may)
        sift(turns, owner);
}

/* ---- owners ---- */

static size_t bucket_of(uint64_t id)
{
    return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 52) % BUCKETS;
}

static bool is_idle(const struct turns_owner *owner)
{
    return owner->under_way == 0 && owner->waiting == 0;
}

static void idle_remove(struct turns *turns, struct turns_owner *owner)
{
    *(owner->newer ? &owner->newer->older : &turns->newest) = owner->older;
    *(owner->older ? &owner->older->newer : &turns->oldest) = owner->newer;
    owner->newer = owner->older = NULL;
    turns->idle--;
}

static void forget(struct turns *turns, struct turns_owner *owner)
{
    struct turns_owner **at = &turns->buckets[bucket_of(owner->id)];

    idle_remove(turns, owner);
    while (*at != owner)
        at = &(*at)->same_bucket;
    *at = owner->same_bucket;
    free(owner);
}

static void idle_add(struct turns *turns, struct turns_owner *owner)
{
    owner->older                                              = turns->newest;
    *(turns->newest ? &turns->newest->newer : &turns->oldest) = owner;
    turns->newest                                             = owner;
    if (++turns->idle > IDLE_MAX)
        forget(turns, turns->oldest);
}

static struct turns_owner *find(struct turns *turns, uint64_t id)
{
    struct turns_owner *owner = turns->buckets[bucket_of(id)];

    while (owner && owner->id != id)
        owner = owner->same_bucket;
    return owner;
}

/* Who has nothing here takes its place at the clock, unless its debt is still ahead of it. */
static struct turns_owner *find_or_add(struct turns *turns, uint64_t id)
{
    struct turns_owner *owner = find(turns, id);

    if (!owner) {
        size_t bucket = bucket_of(id);
        owner         = calloc(1, sizeof(*owner));
        if (!owner)
            abort();
        owner->id              = id;
        owner->place           = NOT_IN_HEAP;
        owner->same_bucket     = turns->buckets[bucket];
        turns->buckets[bucket] = owner;
    } else if (is_idle(owner)) {
        idle_remove(turns, owner);
    }
    if (is_idle(owner) && owner->tag < turns->clock)
        owner->tag = turns->clock;
    return owner;
}

/* ---- joining and leaving ---- */

static void append(struct turns *turns, struct turns_owner *owner, struct turn *turn)
{
    turn->owner                                          = owner;
    turn->next                                           = NULL;
    turn->prev                                           = owner->last;
    turn->later                                          = NULL;
    turn->earlier                                        = turns->last;
    *(owner->last ? &owner->last->next : &owner->first)  = turn;
    *(turns->last ? &turns->last->later : &turns->first) = turn;
    owner->last = turns->last = turn;
    turn->is_waiting          = true;
    owner->waiting++;
    turns->waiting++;
}

static void take_out(struct turns *turns, struct turn *turn)
{
    struct turns_owner *owner = turn->owner;

    assert(turn->is_waiting);
    *(turn->prev ? &turn->prev->next : &owner->first)        = turn->next;
    *(turn->next ? &turn->next->prev : &owner->last)         = turn->prev;
    *(turn->earlier ? &turn->earlier->later : &turns->first) = turn->later;
    *(turn->later ? &turn->later->earlier : &turns->last)    = turn->earlier;
    turn->is_waiting                                         = false;
    owner->waiting--;
    turns->waiting--;
}

void turns_join_again(struct turns *turns, struct turn *turn, uint64_t id, uint32_t cost_us,
                      uint64_t due_ms)
{
    struct turns_owner *owner = find_or_add(turns, id);

    turn->due_ms  = due_ms;
    turn->cost_us = cost_us > owner->cost_us ? cost_us : owner->cost_us;
    append(turns, owner, turn);
    settle(turns, owner);
}

enum turns_answer turns_join(struct turns *turns, struct turn *turn, uint64_t id, uint32_t cost_us,
                             uint64_t due_ms)
{
    const struct turns_owner *owner = find(turns, id);

    if (owner && owner->waiting >= turns->bounds.waiting)
        return TURNS_OWNER_FULL;
    if (turns->waiting >= turns->bounds.waiting_all)
        return TURNS_FULL;
    turns_join_again(turns, turn, id, cost_us, due_ms);
    return TURNS_JOINED;
}

void turns_leave(struct turns *turns, struct turn *turn)
{
    struct turns_owner *owner = turn->owner;

    take_out(turns, turn);
    settle(turns, owner);
    if (is_idle(owner))
        idle_add(turns, owner);
}

/* ---- starting and ending ---- */

struct turn *turns_first(const struct turns *turns)
{
    return turns->heap_count ? turns->heap[0]->first : NULL;
}

struct turn *turns_behind(const struct turn *turn)
{
    return turn->is_waiting ? turn->next : turn->owner->first;
}

void turns_start(struct turns *turns, struct turn *turn)
{
    struct turns_owner *owner = turn->owner;

    take_out(turns, turn);
    if (owner->tag > turns->clock)
        turns->clock = owner->tag;
    owner->tag += turn->cost_us;
    owner->under_way++;
    owner->under_way_us += turn->cost_us;
    turns->under_way++;
    settle(turns, owner);
}

/* What was expected is taken back, and what it took is charged. */
static void charge(const struct turns *turns, struct turns_owner *owner, uint32_t expected_us,
                   uint64_t cost_us)
{
    uint64_t most = turns->clock + DEBT_US;
    int64_t  step;

    if (cost_us > DEBT_US)
        cost_us = DEBT_US;
    owner->tag = owner->tag > expected_us ? owner->tag - expected_us : 0;
    owner->tag += cost_us;
    if (owner->tag > most)
        owner->tag = most;
    step           = ((int64_t)cost_us - (int64_t)owner->cost_us) / 16;
    owner->cost_us = (uint32_t)((int64_t)owner->cost_us + step);
}

void turns_end(struct turns *turns, struct turn *turn, uint64_t cost_us)
{
    struct turns_owner *owner = turn->owner;

    assert(!turn->is_waiting);
    owner->under_way--;
    owner->under_way_us -= turn->cost_us;
    turns->under_way--;
    charge(turns, owner, turn->cost_us, cost_us);
    settle(turns, owner);
    if (is_idle(owner))
        idle_add(turns, owner);
}

struct turn *turns_late(const struct turns *turns, uint64_t now_ms)
{
    struct turn *turn = turns->first;

    while (turn && turn->due_ms > now_ms)
        turn = turn->later;
    return turn;
}

size_t turns_waiting(const struct turns *turns)
{
    return turns->waiting;
}

size_t turns_under_way(const struct turns *turns)
{
    return turns->under_way;
}

/* ---- opening and closing ---- */

struct turns *turns_open(const struct turns_bounds *bounds)
{
    struct turns *turns = calloc(1, sizeof(*turns));

    if (!turns)
        abort();
    turns->bounds = *bounds;
    return turns;
}

void turns_close(struct turns *turns)
{
    if (!turns)
        return;
    for (struct turns_owner *owner = turns->oldest, *newer; owner; owner = newer) {
        newer = owner->newer;
        forget(turns, owner);
    }
    free(turns->heap);
    free(turns);
}
