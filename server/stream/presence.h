/*
 * presence: which accounts have streams open in this process, and which of that SQL knows already.
 *
 * Only the difference is reported: many streams that open at once are few statements, and one that
 * breaks off and is back between two reports is none.
 *
 * Bounds: one entry for each account that has a stream here or is still to be reported.
 */
#ifndef KILN_PRESENCE_H
#define KILN_PRESENCE_H

#include "lib/base.h"

#define PRESENCE_BATCH 1000 /* accounts a statement */

struct presence;

struct presence *presence_open(void);
void             presence_close(struct presence *presence);

void presence_enter(struct presence *presence, int64_t account);
void presence_leave(struct presence *presence, int64_t account); /* once for each enter */

/* Whether there is something to report. */
bool presence_has_news(const struct presence *presence);

/* The next report, as arrays of PostgreSQL that live until the next call; from now on it counts as
 * reported. */
struct presence_news {
    const char *came, *went;
    bool        is_complete; /* replaces all that was reported before */
};
struct presence_news presence_next(struct presence *presence);

/* A report may have been lost: the next one has all accounts. */
void presence_resync(struct presence *presence);

#endif
