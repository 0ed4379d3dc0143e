/*
 * routes: the whole public surface as one table; see routes.c.
 */
#ifndef KILN_ROUTES_H
#define KILN_ROUTES_H

#include "server/http/route.h"

extern const struct routes server_routes;

#endif
