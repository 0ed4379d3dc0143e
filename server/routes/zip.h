/*
 * zip: GET /projects/{id}/download, a project's files as one ZIP, made while it is sent.
 *
 *   SQL's list ─► kiln-server --zip (zipper.h) ─pipe─► MHD ─► client
 *
 * The files come from a folder or a bucket, and either may be slow: a process of its own waits for
 * them. This one moves what is in the pipe and holds no buffer. A client that reads slowly fills
 * the pipe, and the process waits; a client that leaves ends it. No status is sent before the
 * first bytes are here: an error at the start is answered as a problem, a later one breaks the
 * transfer off.
 *
 * Bounds: ZIPS_MOST at once (503), ZIPS_MOST_OF_ONE of one account (429), in each process: they
 * bound what a server holds, and are no rule about an account.
 */
#ifndef KILN_ZIP_H
#define KILN_ZIP_H

#include "server/http/route.h"
#include "server/server.h"

#define ZIPS_MOST        16
#define ZIPS_MOST_OF_ONE 2

extern const struct handler zip_project;

size_t zips_count(const struct server *server); /* whose process has not been reaped */
void   zips_cut(struct server *server);         /* the end of a drain: breaks all of them off */

#endif
