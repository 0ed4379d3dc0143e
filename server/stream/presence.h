/*
 * presence: whose streams are open in this process, and what of it SQL has been told.
 *
 * Only the difference is told, so many streams that come at once are few statements, and one that
 * breaks off and is back between two of them is none.
 *
 * Bounds: one entry an account that has a stream here or is still to be told of.
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

/* Whether there is something to tell. */
bool presence_has_news(const struct presence *presence);

/* What is to be told next, as arrays of PostgreSQL that live until the next call; from now on it
 * counts as told. */
struct presence_news {
    const char *came, *went;
    bool        is_complete; /* what was told before does not count */
};
struct presence_news presence_next(struct presence *presence);

/* What was told may not have been heard: all is told anew. */
void presence_resync(struct presence *presence);

#endif
