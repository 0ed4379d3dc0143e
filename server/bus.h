/*
 * bus: the pump. One connection LISTENs and reads the event log for all streams of this process; a
 * position (the head) says how far it has read. The doorbell only says when to look, so a bell that
 * is lost costs at most a second.
 *
 * A stream that joins with a position of its own is replayed up to the head of that moment by
 * another connection, while what the pump reads after that head is held back for it: nothing is
 * lost and nothing comes twice.
 */
#ifndef KILN_BUS_H
#define KILN_BUS_H

#include "base.h"
#include "err.h"

struct bus;
struct server;
struct stream;

struct bus *bus_open(struct server *server, struct err *err);
void        bus_close(struct bus *bus);
bool        bus_check(struct server *server, struct err *err);
bool        bus_is_up(const struct bus *bus);

/* The stream is given its head by stream_begin(), now or when it is known; from then on it gets its
 * account's events. */
void bus_join(struct bus *bus, struct stream *stream);
void bus_leave(struct bus *bus, struct stream *stream); /* twice is fine */

#endif
