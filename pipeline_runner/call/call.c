/*
 * call: the steps of one task, and what its files need.
 */
#include "pipeline_runner/call/call.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline_runner/http/accept.h"
#include "pipeline_runner/call/answer.h"
#include "lib/failpoint.h"
#include "pipeline_runner/http/fetch.h"
#include "pipeline_runner/exec/folder.h"
#include "pipeline_runner/call/outputs.h"
#include "pipeline_runner/call/polls.h"
#include "pipeline_runner/http/attachments.h"
#include "pipeline_runner/http/transfer.h"

#define AGAIN_MS   300
#define STORE_MS   3000
#define REPLY_MAX  ((size_t)1 << 20)
#define BODY_MAX   ((size_t)96 << 20)
#define NO_CALL_ID "0"

struct call {
    struct task *task;

    json_t     *step;
    char       *output;         /* the step's, as SQL wrote it */
    uint64_t    asked_ms;       /* of transfer_now_ms(), before the step was asked for */
    bool        has_asked;      /* begin_call went out once already, and no step came back */
    const char *call_id, *kind; /* in the step */

    struct transfer *transfer;
    struct fetch    *fetch;
    int              binary_fd; /* where a reply goes that is a file itself; -1 = none */

    /* the reply whose files are being stored */
    struct transfer_end end;
    char               *body;

    struct arena         *arena; /* with the folder, once there are files */
    struct folder         folder;
    struct protocol_reply reply;
    struct outputs       *outputs;
    size_t                nfiles;

    struct jbuf       answer;
    bool              is_asking;
    bool              is_refused; /* SQL could not take the answer as it came */
    struct loop_timer again;
};

static void take_step(struct call *call, PGresult *result);
static void ask_begin(void *ctx);
static void ask_answer(void *ctx);

/* ---- end ---- */

static void close_binary(struct call *call)
{
    if (call->binary_fd >= 0)
        close(call->binary_fd);
    call->binary_fd = -1;
}

static void drop_files(struct call *call)
{
    close_binary(call);
    if (!call->arena)
        return;
    folder_remove(&call->folder);
    protocol_reply_free(&call->reply);
    arena_close(call->arena);
    call->arena  = NULL;
    call->nfiles = 0;
}

static void drop_reply(struct call *call)
{
    json_decref(call->end.headers);
    free(call->body);
    call->body = NULL;
    call->end  = (struct transfer_end) { 0 };
}

static void call_free(struct call *call)
{
    loop_timer_stop(call->task->runner->loop, &call->again);
    drop_files(call);
    drop_reply(call);
    json_decref(call->step);
    free(call->output);
    jbuf_free(&call->answer);
    free(call);
}

static void call_fail(struct call *call, enum outcome outcome, const char *message)
{
    struct task *task = call->task;
    char         kept[512];

    snprintf(kept, sizeof kept, "%s", message);
    call_free(call);
    task_fail(task, outcome, -1, "%s", kept);
}

static void call_lost(struct call *call, const char *message)
{
    call->task->stopping = STOP_LOST;
    call_fail(call, OUTCOME_UNKNOWN, message);
}

static void call_done(struct call *call, char *output)
{
    struct task *task = call->task;

    call_free(call);
    task_able(task);
    task_done_owned(task, output);
}

/* SQL has moved the task; there is nothing to report. */
static void call_over(struct call *call)
{
    struct task *task  = call->task;
    const char  *state = json_string_value(json_object_get(call->step, "state"));
    const char  *why   = json_string_value(json_object_get(call->step, "why"));
    bool         waits = state && strcmp(state, "waiting") == 0;

    task_log(task, state && strcmp(state, "held") == 0 ? LOG_LEVEL_WARN : task_level(task),
             "put aside", "state", state, "reason", why);
    call_free(call);
    if (waits)
        polls_wake(task->runner->polls);
    task_gone(task);
}

static void later(struct call *call, void (*what)(void *ctx), uint64_t ms)
{
    call->again = (struct loop_timer) { .on_time = what, .ctx = call };
    loop_timer_set(call->task->runner->loop, &call->again, ms);
}

/* ---- telling SQL ---- */

static void refused_answer(struct call *call, const struct err *err)
{
    task_log(call->task, LOG_LEVEL_ERROR, "an answer was refused", "sqlstate", err->sqlstate,
             "error", err->message);
    if (call->is_refused) {
        call_fail(call, OUTCOME_UNKNOWN, err->message);
        return;
    }
    call->is_refused = true;
    jbuf_reset(&call->answer);
    answer_error(&call->answer, call->call_id, call->kind, 0, "reply",
                 "the answer could not be recorded", true);
    later(call, ask_answer, AGAIN_MS);
}

static void answer_taken(void *ctx, PGresult *result, const struct err *err)
{
    struct call *call = ctx;

    FAILPOINT("runner.call.reported");
    call->is_asking = false;
    if (result)
        take_step(call, result);
    else if (err_is_passing(err))
        later(call, ask_answer, AGAIN_MS);
    else if (err_is(err, "KN010"))
        call_lost(call, err->message);
    else
        refused_answer(call, err);
}

/* Told until it is taken: also when the task is no longer ours, for the call is. */
static void ask_answer(void *ctx)
{
    struct call *call = ctx;
    char         id[24], fence[24];
    const char  *params[] = { id, fence, call->call_id, jbuf_text(&call->answer) };

    snprintf(id, sizeof id, "%" PRId64, call->task->task_id);
    snprintf(fence, sizeof fence, "%" PRId64, call->task->fence);
    call->asked_ms = transfer_now_ms();
    FAILPOINT("runner.call.reporting");
    call->is_asking =
        db_send(call->task->runner->work, ST_CALL_ANSWER, params, answer_taken, call, NULL);
    if (!call->is_asking)
        later(call, ask_answer, AGAIN_MS);
}

static void tell_error(struct call *call, int status, const char *code, const char *message,
                       bool was_sent)
{
    jbuf_reset(&call->answer);
    answer_error(&call->answer, call->call_id, call->kind, status, code, message, was_sent);
    task_log(call->task, LOG_LEVEL_WARN, "no answer", "call_id", call->call_id, "error", message);
    ask_answer(call);
}

static void tell_reply(struct call *call, const char *media_ids)
{
    jbuf_reset(&call->answer);
    answer_write(&call->answer, call->call_id, call->kind, &call->end, media_ids);
    drop_reply(call);
    drop_files(call);
    ask_answer(call);
}

/* ---- files ---- */

static bool make_folder(struct call *call, struct err *err)
{
    struct task *task = call->task;

    if (call->arena)
        return true;
    call->arena = arena_open(16384);
    if (folder_make(&call->folder, task->runner->work_folder, task->task_id, task->fence, err))
        return true;
    arena_close(call->arena);
    call->arena = NULL;
    return false;
}

static int make_file(struct call *call, size_t n, struct err *err)
{
    char name[32];
    int  fd;

    if (!make_folder(call, err))
        return -1;
    snprintf(name, sizeof name, FETCH_NAME, n);
    fd = openat(call->folder.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        err_errno(err, "make", "a file of the task's folder");
    return fd;
}

/* "output", unless the stage says that the next one alone needs it. */
static const char *role_of(const struct call *call, const json_t *file)
{
    json_t     *config = json_loads(call->task->config, 0, NULL);
    const char *role   = json_string_value(json_object_get(file, "role"));
    bool        is_work;

    if (!role)
        role = json_string_value(json_object_get(config, "role"));
    is_work = role && strcmp(role, "work") == 0;
    json_decref(config);
    return is_work ? "work" : "output";
}

static void store(struct call *call, size_t count, const json_t *files,
                  void (*on_end)(void *ctx, const struct outputs_end *end))
{
    struct protocol_reply *reply = &call->reply;

    protocol_reply_free(reply);
    reply->output = json_object();
    reply->nfiles = count;
    reply->files  = arena_alloc(call->arena, (count + 1) * sizeof *reply->files);
    for (size_t i = 0; i < count; i++)
        reply->files[i] = (struct protocol_file) {
            .file = arena_printf(call->arena, FETCH_NAME, i),
            .role = role_of(call, json_array_get(files, i)),
        };
    call->nfiles  = count;
    call->outputs = outputs_start(call->task, call->arena, &call->folder, reply, on_end, call);
}

/* ---- a reply with files in it ---- */

static void reply_stored(void *ctx, const struct outputs_end *end);

static void store_reply(void *ctx)
{
    struct call *call = ctx;

    store(call, call->nfiles, NULL, reply_stored);
}

/* It is paid: a disk that is full for the moment is waited for as long as the task may take. */
static void not_stored(struct call *call, const struct outputs_end *end)
{
    bool can_wait = call->task->stopping == STOP_NO && task_left_ms(call->task) > STORE_MS;
    char message[512];

    snprintf(message, sizeof message, "a file of the reply could not be kept: %.400s",
             end->message);
    if (end->unable)
        task_log(call->task, LOG_LEVEL_ERROR, "the runner cannot work", "reason", end->unable,
                 "error", end->message);
    if (end->outcome == OUTCOME_INVALID || end->is_lost) {
        tell_reply(call, NULL); /* what the provider did is known all the same */
    } else if (can_wait) {
        later(call, store_reply, STORE_MS);
    } else {
        drop_reply(call);
        drop_files(call);
        tell_error(call, 0, "file", message, true);
    }
}

static void reply_stored(void *ctx, const struct outputs_end *end)
{
    struct call *call = ctx;
    json_t      *output;
    char        *ids;

    call->outputs = NULL;
    if (end->outcome != OUTCOME_DONE || end->is_lost) {
        not_stored(call, end);
        return;
    }
    output = json_loads(end->output, 0, NULL);
    ids    = json_dumps(json_object_get(output, "media"), JSON_COMPACT);
    json_decref(output);
    free(end->output);
    tell_reply(call, ids);
    free(ids);
}

static bool take_one(void *ctx, size_t n, const void *data, size_t bytes, struct err *err)
{
    struct call *call = ctx;
    int          fd   = make_file(call, n, err);
    const char  *at   = data;

    while (fd >= 0 && bytes > 0) {
        ssize_t done = write(fd, at, bytes);

        if (done <= 0) {
            err_errno(err, "write", "a file of the task's folder");
            break;
        }
        at += done;
        bytes -= (size_t)done;
    }
    if (fd >= 0)
        close(fd);
    return fd >= 0 && bytes == 0;
}

/* Keeps the reply, without the files in it; how many there are, or -1. */
static long keep_reply(struct call *call, const struct transfer_end *end, struct err *err)
{
    const json_t *request = json_object_get(call->step, "request");
    const json_t *take    = json_object_get(request, "take");
    bool          is_good = accept_is_success(json_object_get(request, "accept"), end->status);
    size_t        count   = 0;

    drop_reply(call);
    call->end = *end;
    json_incref(call->end.headers);
    if (json_is_true(json_object_get(request, "binary")) && is_good) {
        call->end.body       = "{\"$file\": 0}"; /* as where a file is cut out of a reply */
        call->end.body_bytes = strlen(call->end.body);
        return 1;
    }
    if (!json_is_array(take) || !is_good)
        take = NULL;
    if (!attachments_extract(end->body, end->body_bytes, take, take_one, call, &call->body,
                             &call->end.body_bytes, &count, err)) {
        call->end.body_bytes = 0;
        call->end.body       = "";
        return -1;
    }
    call->end.body = call->body;
    return (long)count;
}

static void sent(void *ctx, const struct transfer_end *end)
{
    struct call *call = ctx;
    struct err   err  = { 0 };
    long         count;

    FAILPOINT("runner.call.answered");
    call->transfer = NULL;
    close_binary(call);
    if (end->code) {
        tell_error(call, 0, end->code, end->message, end->was_sent);
        return;
    }
    task_log(call->task, task_level(call->task), "answered", "call_id", call->call_id, "status",
             LOG_I64(end->status));
    count = keep_reply(call, end, &err);
    if (count < 0) {
        drop_reply(call);
        tell_error(call, 0, "file", err.message, true);
    } else if (count > 0) {
        call->nfiles = (size_t)count;
        store_reply(call);
    } else {
        tell_reply(call, NULL);
    }
}

/* ---- send ---- */

static uint64_t number_of(const json_t *object, const char *key, uint64_t otherwise)
{
    const json_t *value  = json_object_get(object, key);
    json_int_t    number = json_integer_value(value);

    return json_is_number(value) && number >= 0 ? (uint64_t)number : otherwise;
}

static bool make_body(struct call *call, const json_t *request, struct transfer_options *opt,
                      struct err *err)
{
    const char *body = json_string_value(json_object_get(request, "body"));

    return !body
           || attachments_fill(call->task->runner->store, body, json_object_get(request, "files"),
                               BODY_MAX, &opt->body, &opt->body_bytes, err);
}

static bool make_request(struct call *call, struct transfer_options *opt, struct err *err)
{
    const json_t *request = json_object_get(call->step, "request");
    const char   *method  = json_string_value(json_object_get(request, "method"));
    bool          is_once = strcmp(call->kind, "submit") == 0;
    uint64_t      timeout = number_of(request, "timeout_ms", 60000);

    *opt = (struct transfer_options) {
        .method     = method    ? method
                      : is_once ? "POST"
                                : "GET",
        .url        = json_string_value(json_object_get(request, "url")),
        .hosts      = json_object_get(request, "hosts"),
        .headers    = json_object_get(request, "headers"),
        .auth       = json_object_get(request, "auth"),
        .is_once    = is_once,
        .accept     = json_object_get(request, "accept"),
        .connect_ms = number_of(request, "connect_timeout_ms", 10000),
        .timeout_ms = timeout,
        .send_by_ms = call->asked_ms + number_of(call->step, "send_within_ms", 10000),
        .max_bytes  = (size_t)number_of(request, "max_bytes", REPLY_MAX),
        .fd         = -1,
        .on_end     = sent,
        .ctx        = call,
    };
    opt->body_by_ms = opt->send_by_ms + timeout;
    if (!opt->url) {
        err_set(err, "22023", "the request has no address");
        return false;
    }
    if (json_is_true(json_object_get(request, "binary"))) {
        close_binary(call);
        opt->fd = call->binary_fd = make_file(call, 0, err);
        if (opt->fd < 0)
            return false;
    }
    return make_body(call, request, opt, err);
}

static void do_send(struct call *call)
{
    struct transfer_options opt;
    struct err              err = { 0 };

    if (call->task->stopping != STOP_NO) {
        tell_error(call, 0, "connect", "stopped before it was sent", false);
        return;
    }
    if (!make_request(call, &opt, &err)) {
        drop_files(call);
        tell_error(call, 0, "file", err.message, false);
        return;
    }
    FAILPOINT("runner.call.sending");
    call->transfer = transfer_start(call->task->runner->transfers, &opt);
    task_log(call->task, task_level(call->task), "sending", "call_id", call->call_id, "host",
             transfer_url(call->transfer)->host);
}

/* ---- fetch ---- */

/* The step's output with the media's ids: its text is kept, for numbers that C has no type for. */
static char *with_media(const char *output, const char *media_json)
{
    size_t len  = output ? strlen(output) : 0;
    char  *text = NULL;
    bool   is_empty;

    while (len > 0 && output[len - 1] != '}')
        len--;
    is_empty = len < 2 || output[1 + strspn(output + 1, " \n")] == '}';
    if (asprintf(&text, "%.*s%s\"media\":%s}", is_empty ? 0 : (int)len - 1, output ? output : "",
                 is_empty ? "{" : ",", media_json)
        < 0)
        abort();
    return text;
}

static void fetch_failed(struct call *call, int status, const char *code, const char *message)
{
    drop_files(call);
    if (call->task->stopping != STOP_NO)
        call_fail(call, OUTCOME_CANCELLED, "stopped");
    else
        tell_error(call, status, code, message, true);
}

static void files_stored(void *ctx, const struct outputs_end *end)
{
    struct call *call = ctx;
    struct task *task = call->task;
    json_t      *output;
    char        *media, *whole, message[512];

    call->outputs = NULL;
    if (end->is_lost) {
        call_lost(call, end->message);
        return;
    }
    snprintf(message, sizeof message, "%s", end->message ? end->message : "");
    if (end->unable) {
        call_free(call);
        task_unable(task, end->unable, message);
        return;
    }
    if (end->outcome != OUTCOME_DONE) {
        fetch_failed(call, 0, end->outcome == OUTCOME_INVALID ? "content" : "file", message);
        return;
    }
    output = json_loads(end->output, 0, NULL);
    media  = json_dumps(json_object_get(output, "media"), JSON_COMPACT);
    json_decref(output);
    free(end->output);
    whole = with_media(call->output, media ? media : "[]");
    free(media);
    call_done(call, whole);
}

static void fetched(void *ctx, const struct fetch_end *end)
{
    struct call  *call  = ctx;
    const json_t *files = json_object_get(call->step, "files");

    FAILPOINT("runner.call.fetched");
    call->fetch = NULL;
    if (end->code)
        fetch_failed(call, end->status, end->code, end->message);
    else
        store(call, json_array_size(files), files, files_stored);
}

static void do_fetch(struct call *call)
{
    const json_t *files = json_object_get(call->step, "files");
    struct task  *task  = call->task;
    struct err    err   = { 0 };

    call->kind = "fetch";
    if (task->stopping != STOP_NO) {
        call_fail(call, OUTCOME_CANCELLED, "stopped");
    } else if (json_array_size(files) > PROTOCOL_FILES_MAX) {
        tell_error(call, 0, "file", "the result has more than 64 files", true);
    } else if (!make_folder(call, &err)) {
        call_free(call);
        task_unable(task, "it cannot set up a work folder", err.message);
    } else {
        call->fetch = fetch_start(task->runner->loop, task->runner->transfers, &call->folder, files,
                                  task_left_ms(task), fetched, call);
    }
}

/* ---- steps ---- */

static bool read_step(struct call *call, const PGresult *result)
{
    json_decref(call->step);
    free(call->output);
    call->step    = json_loads(PQgetvalue(result, 0, 0), 0, NULL);
    call->output  = PQgetisnull(result, 0, 1) ? NULL : strdup(PQgetvalue(result, 0, 1));
    call->call_id = json_string_value(json_object_get(call->step, "call_id"));
    call->kind    = json_string_value(json_object_get(call->step, "kind"));
    if (!call->call_id)
        call->call_id = NO_CALL_ID;
    if (!call->kind)
        call->kind = "submit";
    return call->step != NULL;
}

static void take_step(struct call *call, PGresult *result)
{
    bool        ok   = PQntuples(result) == 1 && read_step(call, result);
    const char *what = ok ? json_string_value(json_object_get(call->step, "do")) : NULL;

    PQclear(result);
    call->is_refused = false;
    if (!what)
        call_fail(call, OUTCOME_TRANSIENT, "the database gave a step that cannot be read");
    else if (strcmp(what, "send") == 0)
        do_send(call);
    else if (strcmp(what, "fetch") == 0)
        do_fetch(call);
    else if (strcmp(what, "complete") == 0)
        call_done(call, strdup(call->output ? call->output : "{}"));
    else if (strcmp(what, "nothing") == 0)
        call_over(call);
    else
        call_fail(call, OUTCOME_INVALID,
                  "this runner does not know the step that the database gave");
}

static void begun(void *ctx, PGresult *result, const struct err *err)
{
    struct call *call = ctx;

    FAILPOINT("runner.call.begun");
    call->is_asking = false;
    if (result)
        take_step(call, result);
    else if (err_is(err, "KN010"))
        call_lost(call, err->message);
    else if (!err_is_passing(err))
        call_fail(call, OUTCOME_TRANSIENT, err->message);
    else if (call->task->stopping != STOP_NO)
        call_fail(call, OUTCOME_CANCELLED, "stopped");
    else
        later(call, ask_begin, AGAIN_MS);
}

/* Asked again only while no step has come back: then this runner has certainly sent nothing. */
static void ask_begin(void *ctx)
{
    struct call *call = ctx;
    char         id[24], fence[24];
    const char  *params[] = { id, fence, call->has_asked ? "t" : "f" };

    snprintf(id, sizeof id, "%" PRId64, call->task->task_id);
    snprintf(fence, sizeof fence, "%" PRId64, call->task->fence);
    call->asked_ms = transfer_now_ms();
    FAILPOINT("runner.call.beginning");
    call->is_asking = db_send(call->task->runner->work, ST_BEGIN_CALL, params, begun, call, NULL);
    if (call->is_asking)
        call->has_asked = true;
    else
        later(call, ask_begin, AGAIN_MS);
}

void call_start(struct task *task)
{
    struct call *call = calloc(1, sizeof *call);

    if (!call)
        abort();
    call->task      = task;
    call->call_id   = NO_CALL_ID;
    call->kind      = "submit";
    call->binary_fd = -1;
    call->folder    = (struct folder) { .fd = -1 };
    task->work      = call;
    ask_begin(call);
}

/* ---- stop ---- */

static void stop_transfer(struct call *call)
{
    bool was_sent = transfer_was_sent(call->transfer);

    /* It may be paid for, so its answer is waited for: as long as this program has. */
    if (strcmp(call->kind, "submit") == 0 && call->task->stopping != STOP_RELEASE)
        return;
    transfer_stop(call->transfer);
    call->transfer = NULL;
    drop_files(call);
    if (strcmp(call->kind, "submit") == 0)
        tell_error(call, 0, was_sent ? "reply" : "connect",
                   "the runner had to stop before the answer came", was_sent);
    else
        call_fail(call, OUTCOME_CANCELLED, "stopped");
}

void call_stop(struct task *task)
{
    struct call *call = task->work;

    if (call->transfer) {
        stop_transfer(call);
    } else if (call->fetch) {
        fetch_stop(call->fetch);
        call->fetch = NULL;
        call_fail(call, OUTCOME_CANCELLED, "stopped");
    } else if (call->outputs && strcmp(call->kind, "fetch") == 0) {
        outputs_stop(call->outputs);
    } else if (call->again.slot != 0 && call->again.on_time == ask_begin) {
        call_fail(call, OUTCOME_CANCELLED, "stopped");
    }
    /* else: SQL is asked, or told what a paid request brought; that comes to its end first */
}
