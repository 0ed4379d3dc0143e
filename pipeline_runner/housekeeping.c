/*
 * housekeeping: trash → unlink → trash_done.
 *
 * The row goes first and the file after, so a row never lacks its file; a runner that dies in
 * between leaves the key in the trash for the next one. Removing a file twice is harmless, so
 * runners need not agree on who does it.
 */
#include "housekeeping.h"

#include <stdlib.h>

#include "failpoint.h"
#include "literal.h"
#include "log.h"

#define FIRST_MS  1000 /* what a runner that died left is not left for long */
#define EVERY_MS  10000
#define MORE_MS   200
#define AT_ONCE   "100"
#define AT_ONCE_N 100

struct housekeeping {
    struct runner    *runner;
    struct loop_timer timer;
    struct literal    gone;
};

static void again(struct housekeeping *h, uint64_t ms)
{
    loop_timer_set(h->runner->loop, &h->timer, ms);
}

static void emptied(void *ctx, PGresult *result, const struct err *err)
{
    (void)ctx;
    FAILPOINT("runner.trash.emptied");
    PQclear(result);
    if (err && !runner_is_passing(err))
        log_warn("the trash could not be emptied", "sqlstate", err->sqlstate, "error", err->message,
                 NULL);
}

static void unlink_all(struct housekeeping *h, const PGresult *rows)
{
    struct err  err = { 0 };
    const char *params[1];

    literal_begin(&h->gone);
    for (int i = 0; i < PQntuples(rows); i++) {
        const char *key = PQgetvalue(rows, i, 0);

        if (store_unlink(h->runner->store, key, &err))
            literal_add(&h->gone, key);
        else
            log_warn("a file could not be removed", "storage_key", key, "error", err.message, NULL);
    }
    params[0] = literal_end(&h->gone);
    FAILPOINT("runner.trash.emptying");
    (void)!db_send(h->runner->work, ST_TRASH_DONE, params, emptied, h,
                   NULL); /* else they come again */
}

static void listed(void *ctx, PGresult *result, const struct err *err)
{
    struct housekeeping *h = ctx;

    FAILPOINT("runner.trash.listed");
    if (err && !runner_is_passing(err))
        log_warn("the trash could not be listed", "sqlstate", err->sqlstate, "error", err->message,
                 NULL);
    if (result && PQntuples(result) > 0)
        unlink_all(h, result);
    again(h, result && PQntuples(result) == AT_ONCE_N ? MORE_MS : EVERY_MS);
    PQclear(result);
}

static void on_time(void *ctx)
{
    struct housekeeping *h        = ctx;
    const char          *params[] = { AT_ONCE };

    FAILPOINT("runner.trash.asking");
    if (!db_send(h->runner->work, ST_TRASH, params, listed, h, NULL))
        again(h, EVERY_MS);
}

struct housekeeping *housekeeping_open(struct runner *runner)
{
    struct housekeeping *h = calloc(1, sizeof *h);

    if (!h)
        abort();
    h->runner = runner;
    h->timer  = (struct loop_timer) { .on_time = on_time, .ctx = h };
    again(h, FIRST_MS);
    return h;
}

void housekeeping_close(struct housekeeping *h)
{
    if (!h)
        return;
    loop_timer_stop(h->runner->loop, &h->timer);
    literal_free(&h->gone);
    free(h);
}
