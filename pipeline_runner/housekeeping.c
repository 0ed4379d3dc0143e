/*
 * housekeeping: trash → unlink → trash_done, then strays → unlink.
 *
 * The row goes first and the file after, so a row never lacks its file; a runner that dies in
 * between leaves the key in the trash for the next one. Removing a file twice is harmless, so
 * runners need not agree on who does it.
 *
 * A runner or server that dies between storing a file and writing its row leaves a stray. So the
 * store is gone through, some thousand names at a time, and SQL says which of them nothing names.
 */
#include "housekeeping.h"

#include <stdio.h>
#include <stdlib.h>

#include "failpoint.h"
#include "literal.h"
#include "log.h"

#define FIRST_MS  1000 /* what a runner that died left is not left for long */
#define EVERY_MS  10000
#define MORE_MS   200
#define AT_ONCE   "100"
#define AT_ONCE_N 100
#define FOLDERS   256
#define LOOK_AT   2000 /* names of the store in one question */
#define PAGE      1000 /* of a bucket's list, in one request */

struct housekeeping {
    struct runner    *runner;
    struct loop_timer timer;
    struct literal    gone;

    unsigned       folder;                   /* of the store, where the next look begins */
    size_t         skip;                     /* names of it that were looked at */
    char           after[STORE_AFTER_BYTES]; /* of a bucket: the last that was looked at */
    struct literal keys, ages;
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

/* ---- what never had a row ---- */

static void stray_told(void *ctx, PGresult *result, const struct err *err)
{
    struct housekeeping *h   = ctx;
    struct err           own = { 0 };

    FAILPOINT("runner.strays.told");
    if (err && !runner_is_passing(err))
        log_warn("strays could not be asked for", "sqlstate", err->sqlstate, "error", err->message,
                 NULL);
    for (int i = 0; result && i < PQntuples(result); i++) {
        const char *key = PQgetvalue(result, i, 0);

        if (store_unlink(h->runner->store, key, &own))
            log_info("a file that no row names was removed", "storage_key", key, NULL);
        else
            log_warn("a file could not be removed", "storage_key", key, "error", own.message, NULL);
    }
    PQclear(result);
}

static void add_file(void *ctx, const char *key, int64_t age_s)
{
    struct housekeeping *h = ctx;

    literal_add(&h->keys, key);
    literal_add_i64(&h->ages, age_s);
}

static size_t look_at_folders(struct housekeeping *h)
{
    size_t told = 0;

    for (unsigned folders = 0; folders < FOLDERS && told < LOOK_AT; folders++) {
        size_t more = store_list(h->runner->store, h->folder, h->skip, LOOK_AT - told, add_file, h);

        told += more;
        h->skip += more;
        if (told == LOOK_AT)
            break;
        h->folder = (h->folder + 1) % FOLDERS;
        h->skip   = 0;
    }
    return told;
}

/* One page, and where that was the end one from the beginning. */
static size_t look_at_bucket(struct housekeeping *h)
{
    size_t told = 0, more = 0;

    if (!store_list_after(h->runner->store, h->after, PAGE, add_file, h, &told))
        return 0;
    if (told == PAGE)
        return told;
    h->after[0] = '\0';
    if (!store_list_after(h->runner->store, h->after, PAGE - told, add_file, h, &more))
        h->after[0] = '\0';
    return told + more;
}

/* Goes on where the last look ended; a small store is seen whole each time. */
static void ask_strays(struct housekeeping *h)
{
    const char *params[2];
    size_t      told;

    literal_begin(&h->keys);
    literal_begin(&h->ages);
    told      = store_is_remote(h->runner->store) ? look_at_bucket(h) : look_at_folders(h);
    params[0] = literal_end(&h->keys);
    params[1] = literal_end(&h->ages);
    if (told == 0)
        return;
    FAILPOINT("runner.strays.asking");
    (void)!db_send(h->runner->work, ST_STRAYS, params, stray_told, h,
                   NULL); /* the next round does */
}

/* ---- what has none any more ---- */

static void listed(void *ctx, PGresult *result, const struct err *err)
{
    struct housekeeping *h = ctx;

    FAILPOINT("runner.trash.listed");
    if (err && !runner_is_passing(err))
        log_warn("the trash could not be listed", "sqlstate", err->sqlstate, "error", err->message,
                 NULL);
    if (result && PQntuples(result) > 0)
        unlink_all(h, result);
    if (result)
        ask_strays(h);
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
    char                 start[3];

    if (!h)
        abort();
    base_random_hex(start, 2); /* anywhere, else one that starts often sees the same again */
    h->folder = (unsigned)strtoul(start, NULL, 16);
    snprintf(h->after, sizeof(h->after), "%s", start);
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
    literal_free(&h->keys);
    literal_free(&h->ages);
    free(h);
}
