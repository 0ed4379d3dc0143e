/*
 * pools: the connections (links) to PostgreSQL, in one pool for each kind of call, so that a slow
 * kind does not delay a fast one.
 *
 *   read    one thing by its key; many in flight a link, half of KILN_DB_READERS
 *   page    a page of a list, which may hold a hundred large things; a quarter of them
 *   long    searches, exports, reports, lists of administration: one in flight a link; the rest
 *   stream  what opens a stream and what replays its log: one link, in processes with streams
 *   health  /readyz and /metrics: one link; calls that wait at the same moment share one answer
 *   write   one in flight a link, KILN_DB_WRITERS of them
 *
 * Each pool has a fair queue (fair_queue.h). A read whose link is lost before the answer is sent
 * once more. A write whose link is lost may have happened or not: the client gets 503 and repeats
 * it under its Idempotency-Key.
 *
 * Pipelining: a link takes another statement while what is in flight on it is expected to be done
 * within four milliseconds, and its oldest one is not late itself. Statements of 30 µs thus stand
 * 30 deep, and nothing is queued behind a statement that takes long.
 *
 * Bounds: kinds[] in pools.c. An owner beyond its own bound is refused with KN007; a call beyond
 * the bound of all, or one that has waited too long, with 53300. A statement is cut before the
 * link's own deadline.
 */
#ifndef KILN_POOLS_H
#define KILN_POOLS_H

#include "lib/base.h"
#include "lib/db.h"
#include "lib/err.h"
#include "server/pool/fair_queue.h"

struct held;
struct link;
struct pools;
struct server;

enum pool_kind {
    POOL_NONE,
    POOL_READ,
    POOL_PAGE,
    POOL_LONG,
    POOL_STREAM,
    POOL_HEALTH,
    POOL_WRITE,
    POOL_SEARCH, /* POOL_PAGE, but POOL_LONG with q in the query: see rpc.c */
};
#define POOLS 6 /* POOL_READ to POOL_WRITE */

/* One call of a statement. Filled by the caller; parameters must live until the reply. */
struct call {
    enum pool_kind pool;
    size_t         statement; /* index in the list that pools_open() was reply */
    const char    *params[6];
    uint64_t       owner; /* for whom it counts: owner.h */
    db_reply_fn   *on_reply;
    void          *ctx;

    struct fair_entry entry; /* from here on pools.c's own */
    struct link      *link;
    struct call      *shares; /* the next call that gets the same answer */
    bool              was_sent_again;
};

/* The statements outlive the pools. */
struct pools *pools_open(struct server *server, const struct db_statement *statements,
                         size_t nstatements, struct err *err);
void          pools_close(struct pools *pools); /* all that wait are answered with 57P01 */

/* Blocking, for --check: one link, on which every statement is prepared. */
MUST_CHECK bool pools_check(const struct server *server, const struct db_statement *statements,
                            size_t nstatements, struct err *err);

/* False: nothing will be replied. */
MUST_CHECK bool pools_send(struct pools *pools, struct call *call, struct err *err);

/* Called inside the reply of a long read, or of one whose answer is large: the call counts as in
 * flight until pools_release(), since the answer stays in memory until its client has read it.
 * NULL: there is nothing to hold. */
struct held *pools_hold(struct pools *pools);
void         pools_release(struct held *held);

struct pool_counts {
    const char *name;
    size_t      links, links_up, waiting, under_way;
    uint64_t    refused_owner, refused_all, late;
};

struct pool_counts pools_count(const struct pools *pools, size_t i); /* i below POOLS */
size_t             pools_waiting(const struct pools *pools);         /* calls, in all pools */
bool               pools_can_read(const struct pools *pools); /* each read pool has a link up */
size_t             pools_writers_up(const struct pools *pools);

#endif
