/*
 * watch: GET /admin/events, the stream of everybody's events, filtered by kind, state and account.
 */
#ifndef KILN_WATCH_H
#define KILN_WATCH_H

#include "server/http/route.h"

extern const struct handler watch_events;

#endif
