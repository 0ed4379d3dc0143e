/*
 * instance: this process among the others of the server. It registers itself, sends heartbeats,
 * proves at its start by ten pings that the bus works in both directions, and answers the pings of
 * others. Every rule of that (which instance answers, when one is dead) is SQL's:
 * db/api/bus/instances.sql. It also reports presence (presence.h).
 *
 * It has a link of its own, so that a heartbeat waits for no other work. Nothing waits for it: a
 * proof that fails is written to the log and to kiln.instances.
 */
#ifndef KILN_INSTANCE_H
#define KILN_INSTANCE_H

#include "lib/base.h"
#include "lib/err.h"

struct instance;
struct server;

struct instance *instance_open(struct server *server, int port, struct err *err);
void             instance_close(struct instance *instance);
bool             instance_check(struct server *server, struct err *err);

/* A stream (or a waiting poll) of this account was opened or closed: reported within a second. */
void instance_stream_opened(struct instance *instance, int64_t account);
void instance_stream_closed(struct instance *instance, int64_t account);

/* Says goodbye; is_deregistering until that is answered. */
void instance_deregister(struct instance *instance);
bool instance_is_deregistering(const struct instance *instance);

#endif
