/*
 * refusal: the database refuses this server; refusal.h says what follows.
 */
#include "server/pool/refusal.h"

#include <stdlib.h>

#include "lib/db.h"
#include "lib/log.h"

void refusal_on_refused(void *ctx, struct db *db, const struct err *err)
{
    struct server *server = *(struct server **)ctx;

    (void)db;
    if (!db_is_restored(err) || !server->has_served) {
        log_error("the database does not fit this program", "sqlstate", err->sqlstate, "error",
                  err->message, NULL);
        exit(db_exit_code(err));
    }
    if (!server->refusal.sqlstate[0]) /* once, not at each look of each link */
        log_error("the database refuses this server", "sqlstate", err->sqlstate, "error",
                  err->message, NULL);
    server->refusal = *err;
}

void refusal_end(struct server *server)
{
    server->has_served = true;
    err_clear(&server->refusal);
}

void refusal_explain(const struct server *server, struct err *err)
{
    if (err && server->refusal.sqlstate[0] && err_is(err, "08"))
        *err = server->refusal;
}
