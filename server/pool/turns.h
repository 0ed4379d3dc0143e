/*
 * turns: who goes next among those that wait for one kind of database link.
 *
 * Start-time fair queueing (Goyal, Vin, Cheng 1996) over owners, which are accounts or, where nobody
 * says who it is, addresses: each owner has a queue of its own (first in, first out), and the owner
 * that has used the least time goes first. Who comes seldom therefore never stands behind the queue of
 * who comes often, and owners who all want everything share the time evenly.
 *
 * Bounds: how many turns of one owner are under way (and how much time these are expected to take),
 * how many of it wait, and how many wait in all. No owner's debt is more than a second, so that
 * nobody starves. Owners without turns are remembered for their debt, 4,096 of them.
 * Ownership: a turn is embedded in what waits; its memory stays until turns_end() or turns_leave().
 */
#ifndef KILN_TURNS_H
#define KILN_TURNS_H

#include "lib/base.h"

struct turns;
struct turns_owner;

struct turn {
    struct turns_owner *owner;
    struct turn        *next, *prev;     /* of the same owner */
    struct turn        *later, *earlier; /* all that wait, as they came */
    uint64_t            due_ms;          /* until when it waits */
    uint32_t            cost_us;         /* what it is expected to take */
    bool                is_waiting;
};

struct turns_bounds {
    size_t under_way; /* of one owner */
    uint32_t
        under_way_us; /* of one owner: the time they are expected to take; one may take more. 0: any */
    size_t waiting; /* of one owner */
    size_t waiting_all;
};

enum turns_answer { TURNS_JOINED, TURNS_OWNER_FULL, TURNS_FULL };

struct turns *turns_open(const struct turns_bounds *bounds);
void          turns_close(struct turns *turns); /* nothing waits or is under way any more */

/* cost_us: what the caller expects it to take; what its owner's turns took may say more. */
MUST_CHECK enum turns_answer turns_join(struct turns *turns, struct turn *turn, uint64_t owner,
                                        uint32_t cost_us, uint64_t due_ms);

/* The same without bounds: for one that was under way and has to go once more. */
void turns_join_again(struct turns *turns, struct turn *turn, uint64_t id, uint32_t cost_us,
                      uint64_t due_ms);

/* The one whose turn it is, or NULL: nobody waits, or those that wait have as many under way as they may. */
struct turn *turns_first(const struct turns *turns);

/* It leaves the queue and is under way; it is turns_first(). */
void turns_start(struct turns *turns, struct turn *turn);

/* It is no longer under way, and took so long. */
void turns_end(struct turns *turns, struct turn *turn, uint64_t cost_us);

/* The next one that waits behind it in its owner's queue, or NULL. */
struct turn *turns_behind(const struct turn *turn);

/* It leaves the queue without having been started. */
void turns_leave(struct turns *turns, struct turn *turn);

/* One that waits and whose time is over, or NULL. It waits until it leaves. */
struct turn *turns_late(const struct turns *turns, uint64_t now_ms);

size_t turns_waiting(const struct turns *turns);
size_t turns_under_way(const struct turns *turns);

#endif
