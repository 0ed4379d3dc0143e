/*
 * lanes: the links to PostgreSQL, in kinds of calls that do not stand in each other's way.
 *
 *   read    one thing by its key; many in flight a link, half of KILN_DB_READERS
 *   page    a page of a list, which may be a hundred large things; a quarter of them
 *   long    searches, exports, reports, lists of administration: one in flight a link; the rest of them
 *   stream  what opens a stream and what replays its log: one link, in processes with streams
 *   health  /readyz and /metrics: one link; those that wait at the same moment share one answer
 *   write   one in flight a link, KILN_DB_WRITERS of them
 *
 * In each lane accounts take turns (turns.h). Reads whose link is lost before the answer are sent once
 * more. A write whose link is lost may have happened or not: the client gets 503 and repeats it under
 * its Idempotency-Key.
 *
 * Pipelining: a link takes another statement while what is in flight on it is expected to be done
 * within four milliseconds, and its oldest one is not late itself. Statements of 30 µs thus stand 30 deep,
 * and nobody is put behind one that takes long.
 *
 * Bounds: see kinds[] in lanes.c; who is beyond its own is refused with KN007, who is beyond all with
 * 53300, and who has waited too long likewise. A statement is cut before the link's own deadline.
 */
#ifndef KILN_LANES_H
#define KILN_LANES_H

#include "lib/base.h"
#include "lib/db.h"
#include "lib/err.h"
#include "server/routes.h"

struct call;
struct held;
struct lanes;
struct server;

struct lanes *lanes_open(struct server *server, const struct db_statement *statements,
                         size_t nstatements, struct err *err);
void          lanes_close(struct lanes *lanes); /* all that wait are answered with 57P01 */

/* False: nothing will be replied. */
MUST_CHECK bool lanes_start(struct lanes *lanes, struct call *call, struct err *err);

/* Inside the reply of a long read, or of one whose answer is large: its owner's turn lasts until lanes_release(),
 * because the answer waits in memory and its reader may be slow. NULL: there is nothing to hold. */
struct held *lanes_hold(struct lanes *lanes);
void         lanes_release(struct held *held);

struct lane_counts {
    const char *name;
    size_t      links, links_up, waiting, under_way;
    uint64_t    refused_owner, refused_all, late;
};

#define LANES 6
struct lane_counts lanes_count(const struct lanes *lanes, size_t i);

/* For a check of the database: a link of one kind with every statement. */
struct db_options lanes_options(const struct server *server, const struct db_statement *statements,
                                size_t nstatements);

#endif
