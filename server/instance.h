/*
 * instance: this process among the others of the server. It registers itself, beats, proves at its
 * start by ten pings that the bus works in both directions, and answers the pings of others. Every
 * rule of that (who answers which, when one is dead) is SQL's: db/api/instances.sql.
 *
 * It has a link of its own, so that a beat waits for nobody's work. Nothing waits for it: a proof
 * that fails is said in the log and in kiln.instances.
 */
#ifndef KILN_INSTANCE_H
#define KILN_INSTANCE_H

#include "base.h"
#include "err.h"

struct instance;
struct server;

struct instance *instance_open(struct server *server, int port, struct err *err);
void             instance_close(struct instance *instance);
bool             instance_check(struct server *server, struct err *err);

/* Says goodbye; is_leaving until that is answered. */
void instance_leave(struct instance *instance);
bool instance_is_leaving(const struct instance *instance);

#endif
