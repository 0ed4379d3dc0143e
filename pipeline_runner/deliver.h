/*
 * deliver: sends outgoing webhooks. SQL makes deliveries, signs them and says which are due; any runner
 * takes them, sends each, and brings the answers back. No task, no slot: paid work does not notice.
 *
 * Bounds: 32 deliveries in flight, 20 s and 16 KiB of reply each.
 * Ownership: end deliver_open() with deliver_close(), before the transfers are closed.
 */
#ifndef RUNNER_DELIVER_H
#define RUNNER_DELIVER_H

#include "runner.h"

struct deliver;

struct deliver *deliver_open(struct runner *runner);
void            deliver_close(struct deliver *deliver);

#endif
