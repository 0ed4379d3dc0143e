/*
 * health: alive means that the process answers; ready, that it and the database take requests.
 */
#include "server/routes/health.h"

#include <string.h>

#include "lib/db.h"
#include "server/http/rpc.h"

static void health(struct request *r)
{
    const char body[] = "{\"status\":\"ok\",\"version\":\"" KILN_VERSION "\"}";

    request_answer(r, 200,
                   request_text_response(strdup(body), sizeof body - 1, "application/json"));
}

/* The operator reads here what to do; a client reads "try again" everywhere else. */
static void on_ready(void *ctx, PGresult *result, const struct err *err)
{
    struct err told;

    if (err && db_is_restored(err)) {
        err_set(&told, "HR001", "%s", err->message);
        err = &told;
    }
    rpc_answer(ctx, result, err);
}

/* A draining server is alive but should get nothing new. */
static void ready(struct request *r)
{
    struct err err;

    if (!r->server->is_draining) {
        rpc_route_then(r, NULL, on_ready);
        return;
    }
    err_set(&err, "57P01", "the server is stopping");
    request_problem(r, &err);
}

const struct handler health_live  = { .finish = health };
const struct handler health_ready = { .finish = ready };
