/*
 * instance: this process among the others of the server. It registers itself, beats, proves at its
 * start by ten pings that the bus works in both directions, and answers the pings of others. Every
 * rule of that (who answers which, when one is dead) is SQL's: db/api/cluster/instances.sql. It also tells
 * whose first stream was opened here and whose last one closed, of which SQL makes who is online.
 *
 * It has a link of its own, so that a beat waits for nobody's work. Nothing waits for it: a proof
 * that fails is said in the log and in kiln.instances.
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

/* A stream (or a poll that waits) of this account was opened here, or closed: told within a second. */
void instance_stream_opened(struct instance *instance, int64_t account);
void instance_stream_closed(struct instance *instance, int64_t account);

/* Says goodbye; is_deregistering until that is answered. */
void instance_deregister(struct instance *instance);
bool instance_is_deregistering(const struct instance *instance);

#endif
