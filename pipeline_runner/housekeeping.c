/*
 * housekeeping: trash → unlink → trash_done, then strays → unlink.
 *
 * The row goes first and the file after, so a row never lacks its file; a runner that dies in
 * between leaves the key in the trash for the next one. Removing a file twice is harmless, so
 * runners need not agree on who does it.
 *
 * A runner or server that dies between storing a file and writing its row leaves a stray. So the
 * store is gone through, some thousand names at a time, and SQL says which of them nothing names.
 *
 * A bucket answers when it likes. So what is asked of one is asked by a child process, one at a
 * time, which tells on its stdout what it has done, line by line: a child that is ended has done
 * that much.
 */
#include "pipeline_runner/housekeeping.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/failpoint.h"
#include "lib/array_literal.h"
#include "lib/log.h"
#include "pipeline_runner/exec/proc.h"

#define FIRST_MS  1000 /* what a runner that died left is not left for long */
#define EVERY_MS  10000
#define MORE_MS   200
#define AT_ONCE   "100"
#define AT_ONCE_N 100
#define FOLDERS   256
#define LOOK_AT   2000 /* names of the store in one question */
#define PAGE      1000 /* of a bucket's list, in one request */
#define CHILD_MS  60000
#define CHILD_OUT 262144
#define NEXT      "next "

struct housekeeping {
    struct runner       *runner;
    struct loop_timer    timer;
    struct array_literal gone;

    unsigned             folder;                   /* of the store, where the next look begins */
    size_t               skip;                     /* names of it that were looked at */
    char                 after[STORE_AFTER_BYTES]; /* of a bucket: the last that was looked at */
    struct array_literal keys, ages;

    struct proc *proc; /* what asks the bucket */
    PGresult    *rows; /* that it works on */
    bool         is_more;
};

typedef void ended_fn(void *ctx, const struct proc_end *end);

static void again(struct housekeeping *h, uint64_t ms)
{
    loop_timer_set(h->runner->loop, &h->timer, ms);
}

static void emptied(void *ctx, PGresult *result, const struct err *err)
{
    (void)ctx;
    FAILPOINT("runner.trash.emptied");
    PQclear(result);
    if (err && !err_is_passing(err))
        log_warn("the trash could not be emptied", "sqlstate", err->sqlstate, "error", err->message,
                 NULL);
}

/* With the keys of h->gone, whose files are. */
static void tell_gone(struct housekeeping *h)
{
    const char *params[] = { array_literal_end(&h->gone) };

    FAILPOINT("runner.trash.emptying");
    (void)!db_send(h->runner->work, ST_TRASH_DONE, params, emptied, h,
                   NULL); /* else they come again */
}

static void unlink_all(struct housekeeping *h, const PGresult *rows)
{
    struct err err = { 0 };

    array_literal_begin(&h->gone);
    for (int i = 0; i < PQntuples(rows); i++) {
        const char *key = PQgetvalue(rows, i, 0);

        if (store_unlink(h->runner->store, key, &err))
            array_literal_add(&h->gone, key);
        else
            log_warn("a file could not be removed", "storage_key", key, "error", err.message, NULL);
    }
    tell_gone(h);
}

/* ---- a bucket: in a child ---- */

static bool start_child(struct housekeeping *h, int (*run)(void *ctx, int stdout_fd),
                        ended_fn            *on_end)
{
    struct err          err = { 0 };
    struct proc_options opt = {
        .spawn       = { .run = run, .ctx = h, .has_network = true },
        .timeout_ms  = CHILD_MS,
        .stdout_most = CHILD_OUT,
        .on_end      = on_end,
        .ctx         = h,
    };

    h->proc = proc_start(h->runner->loop, &opt, &err);
    if (!h->proc)
        log_warn("the store could not be tidied", "error", err.message, NULL);
    return h->proc;
}

/* Runs in the child: each key that is gone is a line. */
static int remove_rows(void *ctx, int stdout_fd)
{
    struct housekeeping *h   = ctx;
    struct err           err = { 0 };

    for (int i = 0; i < PQntuples(h->rows); i++) {
        const char *key = PQgetvalue(h->rows, i, 0);

        if (store_unlink(h->runner->store, key, &err))
            dprintf(stdout_fd, "%s\n", key);
        else
            dprintf(STDERR_FILENO, "%s: %s\n", key, err.message);
    }
    return 0;
}

/* The next whole line of what a child wrote, ended in place; NULL: none. */
static char *next_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');

    if (!end)
        return NULL;
    *end = '\0';
    *at  = end + 1;
    return line;
}

/* How many keys a child has removed; they are in h->gone. */
static int end_removal(struct housekeeping *h, const struct proc_end *end)
{
    char *text = strdup(end->out), *at = text, *line;
    int   done = 0;

    if (!text)
        abort();
    h->proc = NULL;
    array_literal_begin(&h->gone);
    for (; (line = next_line(&at)); done++)
        array_literal_add(&h->gone, line);
    free(text);
    if (done < PQntuples(h->rows))
        log_warn("files could not be removed", "error",
                 end->last_line[0] ? end->last_line : "the store is slow", NULL);
    PQclear(h->rows);
    h->rows = NULL;
    return done;
}

/* ---- what never had a row ---- */

static void strays_removed(void *ctx, const struct proc_end *end)
{
    if (end_removal(ctx, end) > 0)
        log_info("files that no row names were removed", NULL);
}

/* Takes rows. Where a child is at work already, the next round finds them again. */
static void remove_strays(struct housekeeping *h, PGresult *rows)
{
    if (!h->proc) {
        h->rows = rows;
        if (start_child(h, remove_rows, strays_removed))
            return;
        h->rows = NULL;
    }
    PQclear(rows);
}

static void stray_told(void *ctx, PGresult *result, const struct err *err)
{
    struct housekeeping *h   = ctx;
    struct err           own = { 0 };

    FAILPOINT("runner.orphans.listed");
    if (err && !err_is_passing(err))
        log_warn("strays could not be asked for", "sqlstate", err->sqlstate, "error", err->message,
                 NULL);
    if (result && PQntuples(result) > 0 && store_is_remote(h->runner->store)) {
        remove_strays(h, result);
        return;
    }
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

    array_literal_add(&h->keys, key);
    array_literal_add_i64(&h->ages, age_s);
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

static void ask_strays(struct housekeeping *h)
{
    const char *params[] = { array_literal_end(&h->keys), array_literal_end(&h->ages) };

    FAILPOINT("runner.orphans.asking");
    (void)!db_send(h->runner->work, ST_STRAYS, params, stray_told, h,
                   NULL); /* the next round does */
}

/* Goes on where the last look ended; a small store is seen whole each time. */
static void look_here(struct housekeeping *h)
{
    array_literal_begin(&h->keys);
    array_literal_begin(&h->ages);
    if (look_at_folders(h) > 0)
        ask_strays(h);
}

static void print_file(void *ctx, const char *key, int64_t age_s)
{
    dprintf(*(const int *)ctx, "%s %" PRId64 "\n", key, age_s);
}

/* Runs in the child: one page, and where that was the end one from the beginning; last, where the
 * next look begins. */
static int look_at_bucket(void *ctx, int stdout_fd)
{
    struct housekeeping *h    = ctx;
    size_t               told = 0, more = 0;

    if (!store_list_after(h->runner->store, h->after, PAGE, print_file, &stdout_fd, &told))
        return EX_TEMPFAIL;
    if (told < PAGE) {
        h->after[0] = '\0';
        if (!store_list_after(h->runner->store, h->after, PAGE - told, print_file, &stdout_fd,
                              &more))
            h->after[0] = '\0';
    }
    dprintf(stdout_fd, NEXT "%s\n", h->after);
    return 0;
}

static void bucket_looked(void *ctx, const struct proc_end *end)
{
    struct housekeeping *h    = ctx;
    char                *text = strdup(end->out), *at = text, *line, *age;
    size_t               told = 0;

    if (!text)
        abort();
    h->proc = NULL;
    array_literal_begin(&h->keys);
    array_literal_begin(&h->ages);
    while ((line = next_line(&at))) {
        age = strchr(line, ' ');
        if (strncmp(line, NEXT, strlen(NEXT)) == 0) {
            snprintf(h->after, sizeof(h->after), "%s", line + strlen(NEXT));
        } else if (age) {
            *age = '\0';
            add_file(h, line, strtoll(age + 1, NULL, 10));
            told++;
        }
    }
    free(text);
    if (told > 0)
        ask_strays(h);
    again(h, h->is_more ? MORE_MS : EVERY_MS);
}

static void look_there(struct housekeeping *h)
{
    if (!start_child(h, look_at_bucket, bucket_looked))
        again(h, EVERY_MS);
}

/* ---- what has none any more ---- */

static void trash_removed(void *ctx, const struct proc_end *end)
{
    struct housekeeping *h = ctx;

    if (end_removal(h, end) > 0)
        tell_gone(h);
    else
        h->is_more = false; /* it would be no use to hurry */
    look_there(h);
}

/* Takes rows. */
static void tidy_bucket(struct housekeeping *h, PGresult *rows)
{
    h->is_more = PQntuples(rows) == AT_ONCE_N;
    h->rows    = rows;
    if (PQntuples(rows) > 0 && start_child(h, remove_rows, trash_removed))
        return;
    h->rows = NULL;
    PQclear(rows);
    look_there(h);
}

static void listed(void *ctx, PGresult *result, const struct err *err)
{
    struct housekeeping *h = ctx;

    FAILPOINT("runner.trash.listed");
    if (err && !err_is_passing(err))
        log_warn("the trash could not be listed", "sqlstate", err->sqlstate, "error", err->message,
                 NULL);
    if (result && store_is_remote(h->runner->store) && !h->proc) {
        tidy_bucket(h, result);
        return;
    }
    if (result && store_is_remote(h->runner->store)) { /* strays came first */
        PQclear(result);
        again(h, MORE_MS);
        return;
    }
    if (result && PQntuples(result) > 0)
        unlink_all(h, result);
    if (result)
        look_here(h);
    again(h, result && PQntuples(result) == AT_ONCE_N ? MORE_MS : EVERY_MS);
    PQclear(result);
}

static void on_time(void *ctx)
{
    struct housekeeping *h        = ctx;
    const char          *params[] = { AT_ONCE };

    FAILPOINT("runner.trash.asking");
    if (h->proc || !db_send(h->runner->work, ST_TRASH, params, listed, h, NULL))
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
    if (h->proc)
        proc_abandon(h->proc);
    PQclear(h->rows);
    array_literal_free(&h->gone);
    array_literal_free(&h->keys);
    array_literal_free(&h->ages);
    free(h);
}
