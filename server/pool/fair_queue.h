/*
 * fair_queue: which of the calls that wait for one kind of database link goes next.
 *
 * Start-time fair queueing (Goyal, Vin, Cheng 1996). A flow is all that one owner sends: an account
 * or, where a client has not identified itself, an address (owner.h). Each flow has a queue of its
 * own (first in, first out), and the flow that has used the least time goes first. A client that
 * comes seldom therefore never stands behind the queue of one that comes often, and flows that want
 * everything share the time evenly.
 *
 * Bounds: how many entries of one flow are under way (and how much time these are expected to
 * take), how many of it wait, and how many wait in all. No flow's debt is more than a second, so
 * that none starves. Flows without entries are remembered for their debt, 4,096 of them.
 * Ownership: an entry is embedded in what waits; its memory stays until fair_queue_end() or
 * fair_queue_remove().
 */
#ifndef KILN_FAIR_QUEUE_H
#define KILN_FAIR_QUEUE_H

#include "lib/base.h"

struct fair_queue;
struct fair_flow;

struct fair_entry {
    struct fair_flow  *flow;
    struct fair_entry *next, *prev;     /* of the same flow */
    struct fair_entry *later, *earlier; /* all that wait, in order of arrival */
    uint64_t           due_ms;          /* until when it waits */
    uint32_t           cost_us;         /* what it is expected to take */
    bool               is_waiting;
};

struct fair_queue_bounds {
    size_t   under_way;    /* of one flow */
    uint32_t under_way_us; /* of one flow: their expected time; one entry may exceed it. 0: any */
    size_t   waiting;      /* of one flow */
    size_t   waiting_all;
};

enum fair_queue_answer { FAIR_QUEUE_JOINED, FAIR_QUEUE_FLOW_FULL, FAIR_QUEUE_FULL };

struct fair_queue *fair_queue_open(const struct fair_queue_bounds *bounds);
void fair_queue_close(struct fair_queue *queue); /* nothing waits or is under way any more */

/* cost_us: what the caller expects it to take; what the flow's entries took may say more. */
MUST_CHECK enum fair_queue_answer fair_queue_join(struct fair_queue *queue,
                                                  struct fair_entry *entry, uint64_t flow_id,
                                                  uint32_t cost_us, uint64_t due_ms);

/* The same without bounds: for an entry that was under way and has to go once more. */
void fair_queue_join_again(struct fair_queue *queue, struct fair_entry *entry, uint64_t flow_id,
                           uint32_t cost_us, uint64_t due_ms);

/* The entry that may start next, or NULL: none waits, or the flows that wait are at their
 * bounds. */
struct fair_entry *fair_queue_first(const struct fair_queue *queue);

/* The entry, which is fair_queue_first(), leaves the queue and is under way. */
void fair_queue_start(struct fair_queue *queue, struct fair_entry *entry);

/* The entry is no longer under way, and took so long. */
void fair_queue_end(struct fair_queue *queue, struct fair_entry *entry, uint64_t cost_us);

/* The next entry that waits behind it in its flow, or NULL. */
struct fair_entry *fair_queue_next(const struct fair_entry *entry);

/* The entry leaves the queue without having been started. */
void fair_queue_remove(struct fair_queue *queue, struct fair_entry *entry);

/* An entry that waits and whose time is over, or NULL. It waits until it is removed. */
struct fair_entry *fair_queue_late(const struct fair_queue *queue, uint64_t now_ms);

size_t fair_queue_waiting(const struct fair_queue *queue);
size_t fair_queue_under_way(const struct fair_queue *queue);

#endif
