/*
 * refusal: what a server does when the database refuses it at a connect.
 *
 * Another contract, a missing function: the process ends, since starting again does not help. A
 * database that was restored from a backup (KN017) ends a process that starts; one that has served
 * stays, answers 503 with the database's sentence, /readyz first, and serves again by itself when
 * kiln.after_restore() was called.
 */
#ifndef KILN_REFUSAL_H
#define KILN_REFUSAL_H

#include "lib/db.h"
#include "lib/err.h"
#include "server/server.h"

/* The on_refused of every link's db_options; ctx begins with a struct server *. Does not return
 * where the process has to end. */
void refusal_on_refused(void *ctx, struct db *db, const struct err *err);

/* The read link is up: nothing is refused. */
void refusal_end(struct server *server);

/* Puts the refusal in force, if there is one, in the place of "the database cannot be reached". */
void refusal_explain(const struct server *server, struct err *err);

#endif
