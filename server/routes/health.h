/*
 * health: /healthz and /readyz, for load balancers and supervisors.
 */
#ifndef KILN_HEALTH_H
#define KILN_HEALTH_H

#include "server/http/route.h"

extern const struct handler health_live, health_ready;

#endif
