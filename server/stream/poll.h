/*
 * poll: GET /events/poll?after=&timeout=, the stream for clients that can hold neither of the
 * others.
 *
 * {"events": [{"position", "type", …}], "position"}: what came behind `after`, at most 100; or,
 * when nothing has, what comes first within `timeout` seconds (0 to 50; 25), or nothing. The next
 * call's `after` is `position`. Without `after`: the current end of the log. A position that is no
 * longer known: one event, `reset`. Ephemeral events (typing) are not sent here.
 *
 * Bound: each counts as one of KILN_MAX_STREAMS while it waits.
 */
#ifndef KILN_POLL_H
#define KILN_POLL_H

#include "server/http/route.h"

struct server;

extern const struct handler poll_events;

/* Answers all that wait, with nothing. */
void polls_drain(struct server *server);

#endif
