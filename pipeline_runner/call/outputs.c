/*
 * outputs: probe → store → put_media, for each file in turn.
 *
 * Storing means fsync, which takes as long as the disk likes; it is done in a forked child, so that
 * heartbeats and other tasks go on meanwhile.
 */
#include "pipeline_runner/call/outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/failpoint.h"
#include "pipeline_runner/exec/child.h"
#include "pipeline_runner/exec/proc.h"

#define PROBE_MS         60000
#define STORE_MS         120000
#define ASK_AGAIN_MS     300
#define PROBE_MEMORY_MB  2048
#define PROBE_FILE_BYTES ((uint64_t)64 << 20) /* of a thumbnail, and what decoders put aside */

/* What the storing child writes to its stdout. */
struct receipt {
    struct stored file;
    struct stored thumbnail; /* key empty = none, as below */
    struct stored clean;     /* the same without its label */
};

struct outputs {
    struct task           *task;
    struct arena          *arena;
    const struct folder   *folder;
    struct protocol_reply *reply;
    void (*on_end)(void *ctx, const struct outputs_end *end);
    void *ctx;

    size_t                at; /* index of the file in hand */
    struct protocol_probe probe;
    const char           *thumbnail;
    struct receipt        receipt;
    int64_t               ids[PROTOCOL_FILES_MAX];

    struct proc      *proc;
    bool              is_stopping;
    bool              is_asking;
    struct jbuf       fact;
    struct loop_timer again;
    struct loop_task  start;
};

static void next_file(struct outputs *o);

static void finish(struct outputs *o, const struct outputs_end *end)
{
    loop_timer_stop(o->task->runner->loop, &o->again);
    loop_defer_cancel(o->task->runner->loop, &o->start);
    jbuf_free(&o->fact);
    o->on_end(o->ctx, end);
    free(o);
}

static void fail(struct outputs *o, enum outcome outcome, const char *message)
{
    finish(o, &(struct outputs_end) { .outcome = outcome, .message = message });
}

static void unable(struct outputs *o, const char *reason, const char *detail)
{
    finish(o, &(struct outputs_end) {
                  .outcome = OUTCOME_TRANSIENT, .unable = reason, .message = detail });
}

static void succeed(struct outputs *o)
{
    char *output = protocol_output(o->reply, o->ids, o->reply->nfiles);

    if (!output)
        fail(o, OUTCOME_INVALID, "the tool's output cannot be written as JSON");
    else
        finish(o, &(struct outputs_end) { .outcome = OUTCOME_DONE, .output = output });
}

static uint64_t at_most(const struct outputs *o, uint64_t ms)
{
    uint64_t left = task_left_ms(o->task);

    return left < ms ? left : ms;
}

/* ---- put_media ---- */

/* No row will ever name these files. Not called where the database may have taken the row after
 * all. In a bucket, which would have to be waited for, they are left to the sweep of strays. */
static void unstore(struct outputs *o)
{
    struct store *store = o->task->runner->store;

    if (store_is_remote(store))
        return;
    if (o->receipt.file.key[0] && !store_unlink(store, o->receipt.file.key, NULL))
        log_warn("an unused file stays in the store", "storage_key", o->receipt.file.key, NULL);
    if (o->receipt.thumbnail.key[0] && !store_unlink(store, o->receipt.thumbnail.key, NULL))
        log_warn("an unused file stays in the store", "storage_key", o->receipt.thumbnail.key,
                 NULL);
    if (o->receipt.clean.key[0] && !store_unlink(store, o->receipt.clean.key, NULL))
        log_warn("an unused file stays in the store", "storage_key", o->receipt.clean.key, NULL);
}

static void refused(struct outputs *o, const struct err *err)
{
    /* The row of a lost answer is there after all, and its file stays. The next attempt makes its
     * own. */
    if (err_is(err, "23505")) {
        fail(o, OUTCOME_TRANSIENT, "the database has this file already");
        return;
    }
    unstore(o);
    if (err_is(err, "KN010"))
        finish(o, &(struct outputs_end) {
                      .outcome = OUTCOME_UNKNOWN, .is_lost = true, .message = err->message });
    else
        fail(o, OUTCOME_INVALID, err->message);
}

static void media_answered(void *ctx, PGresult *result, const struct err *err)
{
    struct outputs *o = ctx;

    FAILPOINT("runner.put_media.answered");
    o->is_asking = false;
    if (result) {
        o->ids[o->at++] = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        PQclear(result);
        next_file(o);
    } else if (!err_is_passing(err))
        refused(o, err);
    else if (o->is_stopping)
        fail(o, OUTCOME_TRANSIENT, "stopped");
    else
        loop_timer_set(o->task->runner->loop, &o->again, ASK_AGAIN_MS);
}

static void put_media(void *ctx)
{
    struct outputs *o = ctx;
    char            id[24], fence[24];
    const char     *params[] = { id, fence, jbuf_text(&o->fact) };

    snprintf(id, sizeof id, "%" PRId64, o->task->task_id);
    snprintf(fence, sizeof fence, "%" PRId64, o->task->fence);
    FAILPOINT("runner.put_media.asking");
    o->is_asking = db_send(o->task->runner->work, ST_PUT_MEDIA, params, media_answered, o, NULL);
    if (!o->is_asking) /* the file is stored; the row waits for the database, however long */
        loop_timer_set(o->task->runner->loop, &o->again, ASK_AGAIN_MS);
}

static void pair(struct jbuf *j, const char *key, const char *text)
{
    jbuf_key(j, key);
    jbuf_str(j, text);
}

static void number_or_null(struct jbuf *j, const char *key, int64_t number)
{
    jbuf_key(j, key);
    if (number < 0)
        jbuf_null(j);
    else
        jbuf_i64(j, number);
}

static void write_fact(struct outputs *o)
{
    struct jbuf          *j       = &o->fact;
    const struct receipt *receipt = &o->receipt;

    jbuf_reset(j);
    jbuf_object(j);
    pair(j, "storage_key", receipt->file.key);
    pair(j, "thumbnail_key", receipt->thumbnail.key[0] ? receipt->thumbnail.key : NULL);
    pair(j, "clean_key", receipt->clean.key[0] ? receipt->clean.key : NULL);
    pair(j, "role", o->reply->files[o->at].role);
    pair(j, "media_type", o->probe.media_type);
    pair(j, "content_type", o->probe.content_type);
    number_or_null(j, "bytes", (int64_t)receipt->file.bytes);
    pair(j, "sha256", receipt->file.sha256);
    number_or_null(j, "width", o->probe.width);
    number_or_null(j, "height", o->probe.height);
    number_or_null(j, "duration_ms", o->probe.duration_ms);
    jbuf_end(j);
}

/* ---- store ---- */

/* The exit code of the storing child. */
static int complain(const struct err *err, int otherwise)
{
    dprintf(STDERR_FILENO, "%s\n", err->message);
    return err_is(err, "58030") || err_is(err, "53100") ? EX_IOERR : otherwise;
}

/* Only our own child says it so: a tool that ends with these codes has failed by itself. */
static bool is_store_fault(const struct proc_end *end)
{
    return end->cause == PROC_NOT_SET_UP
           || (end->cause == PROC_EXITED && WIFEXITED(end->status)
               && WEXITSTATUS(end->status) == EX_IOERR);
}

static bool store_one(const struct outputs *o, const char *path, struct stored *stored,
                      struct err *err)
{
    uint64_t bytes;
    int      fd = protocol_open(o->folder->fd, path, &bytes, err);
    bool     ok = fd >= 0 && store_put_fd(o->task->runner->store, fd, stored, err);

    if (fd >= 0)
        close(fd);
    return ok;
}

/* Runs in the child: the file and what belongs to it. */
static int store_all(void *ctx, int stdout_fd)
{
    const struct outputs *o       = ctx;
    struct receipt        receipt = { 0 };
    struct err            err     = { 0 };

    if (!store_one(o, o->reply->files[o->at].file, &receipt.file, &err))
        return complain(&err, err_is(&err, "22023") ? EX_DATAERR : EX_TEMPFAIL);
    /* Sound has no picture; a thumbnail that is not there is no error. */
    if (faccessat(o->folder->fd, o->thumbnail, F_OK, AT_SYMLINK_NOFOLLOW) == 0
        && !store_one(o, o->thumbnail, &receipt.thumbnail, &err))
        return complain(&err, EX_TEMPFAIL);
    if (o->reply->files[o->at].clean
        && !store_one(o, o->reply->files[o->at].clean, &receipt.clean, &err))
        return complain(&err, err_is(&err, "22023") ? EX_DATAERR : EX_TEMPFAIL);
    return write(stdout_fd, &receipt, sizeof receipt) == (ssize_t)sizeof receipt ? 0 : EX_TEMPFAIL;
}

static void stored(void *ctx, const struct proc_end *end)
{
    struct outputs *o = ctx;

    o->proc = NULL;
    if (end->cause == PROC_EXITED && protocol_exit(end->status) == OUTCOME_DONE
        && end->out_bytes == sizeof o->receipt)
        memcpy(&o->receipt, end->out, sizeof o->receipt);
    else if (is_store_fault(end)) {
        unable(o, "it cannot write its media store", end->last_line);
        return;
    } else {
        fail(o, end->cause == PROC_EXITED ? protocol_exit(end->status) : OUTCOME_TRANSIENT,
             end->last_line[0] ? end->last_line : "a file could not be stored");
        return;
    }
    if (o->is_stopping) {
        unstore(o);
        fail(o, OUTCOME_TRANSIENT, "stopped");
        return;
    }
    FAILPOINT("runner.file.stored");
    write_fact(o);
    put_media(o);
}

static void store_file(struct outputs *o)
{
    struct err          err = { 0 };
    struct proc_options opt = {
        .spawn       = { .run = store_all, .ctx = o },
        .timeout_ms  = STORE_MS, /* not the task's limit: the work is done, only the disk is slow */
        .stdout_most = sizeof(struct receipt),
        .on_end      = stored,
        .ctx         = o,
    };

    FAILPOINT("runner.file.storing");
    o->proc = proc_start(o->task->runner->loop, &opt, &err);
    if (!o->proc)
        unable(o, "it cannot start a program", err.message);
}

/* ---- probe ---- */

static void probe_failed(struct outputs *o, const struct proc_end *end)
{
    char        message[600], excess[128];
    const char *why = end->cause == PROC_EXCESSIVE
                          ? child_excess(o->task->runner->cfg->tools_disk_mb, end, excess)
                      : end->last_line[0] ? end->last_line
                                          : "could not be looked at";

    err_format(message, sizeof message, "%.256s: %s", o->reply->files[o->at].file, why);
    if (end->cause == PROC_TIMED_OUT)
        fail(o, OUTCOME_TIMEOUT, message);
    else if (end->cause == PROC_EXCESSIVE)
        fail(o, OUTCOME_INVALID, message);
    else
        fail(o, end->cause == PROC_EXITED ? protocol_exit(end->status) : OUTCOME_TRANSIENT,
             message);
}

static void probed(void *ctx, const struct proc_end *end)
{
    struct outputs *o   = ctx;
    struct err      err = { 0 };

    o->proc = NULL;
    if (end->cause == PROC_NOT_SET_UP || end->cause == PROC_NOT_RUN)
        unable(o, "it cannot run kiln-media",
               arena_printf(o->arena, "%s/kiln-media: %s", o->task->runner->self_folder,
                            end->last_line));
    else if (end->cause != PROC_EXITED || protocol_exit(end->status) != OUTCOME_DONE)
        probe_failed(o, end);
    else if (o->is_stopping)
        fail(o, OUTCOME_TRANSIENT, "stopped");
    else if (!protocol_parse_probe(o->arena, end->out, end->out_bytes, &o->probe, &err))
        fail(o, OUTCOME_TRANSIENT, err.message);
    else
        store_file(o);
}

static void probe_file(struct outputs *o)
{
    struct runner *runner = o->task->runner;
    struct err     err    = { 0 };
    char          *argv[] = { "kiln-media",
                              "probe",
                              arena_strdup(o->arena, o->reply->files[o->at].file),
                              "--thumbnail",
                              arena_strdup(o->arena, o->thumbnail),
                              NULL };
    struct proc_options opt = {
        .spawn = {
            .path = arena_printf(o->arena, "%s/kiln-media", runner->self_folder),
            .argv = argv,
            .envp = child_environment(o->arena, "", o->folder->path),
            .folder = o->folder->path,
            .memory_bytes = child_memory_bytes(PROBE_MEMORY_MB),
            .file_bytes = PROBE_FILE_BYTES,
            .folder_bytes = child_folder_bytes(runner->cfg->tools_disk_mb),
            .folder_entries = CHILD_ENTRIES_MOST,
            .sandbox = runner->sandbox,
            .reads = runner->self_folder,
            .keeps_inputs = true,
        },
        .timeout_ms = at_most(o, PROBE_MS),
        .stdout_most = 65536,
        .on_end = probed,
        .ctx = o,
    };

    o->proc = proc_start(runner->loop, &opt, &err);
    if (!o->proc)
        unable(o, "it cannot start a program", err.message);
}

/* ---- one after the other ---- */

static void next_file(struct outputs *o)
{
    struct err err = { 0 };
    uint64_t   bytes;
    int        fd;

    if (o->is_stopping) {
        fail(o, OUTCOME_TRANSIENT, "stopped");
        return;
    }
    if (o->at == o->reply->nfiles) {
        succeed(o);
        return;
    }
    memset(&o->receipt, 0, sizeof o->receipt);
    o->thumbnail = arena_printf(o->arena, "out/.thumbnail-%zu", o->at);
    fd           = protocol_open(o->folder->fd, o->reply->files[o->at].file, &bytes, &err);
    if (fd < 0) {
        fail(o, OUTCOME_INVALID, err.message);
        return;
    }
    close(fd);
    unlinkat(o->folder->fd, o->thumbnail, 0); /* only what the probe makes is a thumbnail */
    probe_file(o);
}

static void begin(void *ctx)
{
    next_file(ctx);
}

struct outputs *outputs_start(struct task *task, struct arena *arena, const struct folder *folder,
                              struct protocol_reply *reply,
                              void (*on_end)(void *ctx, const struct outputs_end *end), void *ctx)
{
    struct outputs *o = calloc(1, sizeof *o);

    if (!o)
        abort();
    o->task   = task;
    o->arena  = arena;
    o->folder = folder;
    o->reply  = reply;
    o->on_end = on_end;
    o->ctx    = ctx;
    o->again  = (struct loop_timer) { .on_time = put_media, .ctx = o };
    o->start  = (struct loop_task) { .on_turn_end = begin, .ctx = o };
    loop_defer(task->runner->loop, &o->start);
    return o;
}

void outputs_stop(struct outputs *o)
{
    o->is_stopping = true;
    if (o->proc)
        proc_kill(o->proc);
    else if (!o->is_asking)
        fail(o, OUTCOME_TRANSIENT,
             "stopped"); /* was waiting for the database: the row may or may not be there */
}
