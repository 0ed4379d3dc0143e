/*
 * audience: whose streams are open in this process, and what of it SQL has been told.
 *
 * Only the difference is told, so many streams that come at once are few statements, and one that
 * breaks off and is back between two of them is none.
 *
 * Bounds: one entry an account that has a stream here or is still to be told of.
 */
#ifndef KILN_AUDIENCE_H
#define KILN_AUDIENCE_H

#include "lib/base.h"

#define AUDIENCE_BATCH 1000 /* accounts a statement */

struct audience;

struct audience *audience_open(void);
void             audience_close(struct audience *audience);

void audience_enter(struct audience *audience, int64_t account);
void audience_leave(struct audience *audience, int64_t account); /* once for each enter */

/* Whether there is something to tell. */
bool audience_has_news(const struct audience *audience);

/* What is to be told next, as arrays of PostgreSQL that live until the next call; from now on it
 * counts as told. */
struct audience_news {
    const char *came, *went;
    bool        is_anew; /* what was told before does not count */
};
struct audience_news audience_take(struct audience *audience);

/* What was told may not have been heard: all is told anew. */
void audience_forget(struct audience *audience);

#endif
