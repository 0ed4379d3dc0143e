/* call: the steps of a paid request: begun, sent once, told until it is taken, its files kept. */
#include "tests/c/runner/fake_transfer.h"

#include <fcntl.h>
#include <unistd.h>

#include "pipeline_runner/call/call.h"
#include "tests/c/runner/fake_link.h"
#include "pipeline_runner/http/fetch.h"
#include "pipeline_runner/call/outputs.h"
#include "pipeline_runner/call/polls.h"

/* ---- the runner around it: what the task was told, and what its files become ---- */

static struct {
    char         done[512], message[512], unable[64];
    enum outcome outcome;
    bool         is_done, is_failed, is_gone, is_unable;
    unsigned     woken;
    uint64_t     left_ms;
} seen;

static struct {
    void (*on_end)(void *ctx, const struct outputs_end *end);
    void  *ctx;
    size_t nfiles, nstopped, nstarted;
    char   first[64], role[8], file[16];
    bool   is_open;
} storing;

static struct {
    fetch_end_fn *on_end;
    void         *ctx;
    size_t        nfiles, nstopped;
    bool          is_open;
} fetching;

enum log_level task_level(const struct task *task)
{
    (void)task;
    return LOG_LEVEL_INFO;
}

void task_log(const struct task *task, enum log_level level, const char *msg, const char *key,
              const char *value, const char *key2, const char *value2)
{
    (void)task, (void)level, (void)msg, (void)key, (void)value, (void)key2, (void)value2;
}

uint64_t task_left_ms(const struct task *task)
{
    (void)task;
    return seen.left_ms;
}

void task_done_owned(struct task *task, char *output)
{
    task->work   = NULL;
    seen.is_done = true;
    snprintf(seen.done, sizeof seen.done, "%s", output);
    free(output);
}

void task_fail(struct task *task, enum outcome outcome, int retry_after_ms, const char *fmt, ...)
{
    va_list args;

    (void)retry_after_ms;
    task->work     = NULL;
    seen.is_failed = true;
    seen.outcome   = outcome;
    va_start(args, fmt);
    vsnprintf(seen.message, sizeof seen.message, fmt, args);
    va_end(args);
}

void task_unable(struct task *task, const char *reason, const char *detail)
{
    (void)detail;
    task->work     = NULL;
    seen.is_unable = true;
    snprintf(seen.unable, sizeof seen.unable, "%s", reason);
}

void task_gone(struct task *task)
{
    task->work   = NULL;
    seen.is_gone = true;
}

void task_able(struct task *task)
{
    (void)task;
}

void polls_wake(struct polls *polls)
{
    (void)polls;
    seen.woken++;
}

struct outputs *outputs_start(struct task *task, struct arena *arena, const struct folder *folder,
                              struct protocol_reply *reply,
                              void (*on_end)(void *ctx, const struct outputs_end *end), void *ctx)
{
    (void)task, (void)arena;
    storing.on_end  = on_end;
    storing.ctx     = ctx;
    storing.nfiles  = reply->nfiles;
    storing.is_open = true;
    storing.nstarted++;
    if (reply->nfiles > 0) {
        int     fd   = openat(folder->fd, reply->files[0].file, O_RDONLY);
        ssize_t size = fd < 0 ? -1 : read(fd, storing.first, sizeof storing.first - 1);

        snprintf(storing.file, sizeof storing.file, "%s", reply->files[0].file);
        snprintf(storing.role, sizeof storing.role, "%s", reply->files[0].role);
        storing.first[size < 0 ? 0 : size] = '\0';
        if (fd >= 0)
            close(fd);
    }
    return (struct outputs *)&storing;
}

void outputs_stop(struct outputs *outputs)
{
    (void)outputs;
    storing.nstopped++;
}

struct fetch *fetch_start(struct loop *loop, struct transfers *transfers,
                          const struct folder *folder, const json_t *files, uint64_t limit_ms,
                          fetch_end_fn *on_end, void *ctx)
{
    (void)loop, (void)transfers, (void)folder, (void)limit_ms;
    fetching.on_end  = on_end;
    fetching.ctx     = ctx;
    fetching.nfiles  = json_array_size(files);
    fetching.is_open = true;
    return (struct fetch *)&fetching;
}

void fetch_stop(struct fetch *fetch)
{
    (void)fetch;
    fetching.nstopped++;
}

struct world {
    struct runner runner;
    struct task   task;
    char          folder[32];
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    memset(&seen, 0, sizeof seen);
    memset(&storing, 0, sizeof storing);
    memset(&fetching, 0, sizeof fetching);
    nstopped     = 0;
    seen.left_ms = 60000;
    strcpy(w->folder, "/tmp/kiln-call-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    w->runner.loop        = loop_open(NULL);
    w->runner.work_folder = w->folder;
    w->task               = (struct task) {
                      .runner = &w->runner, .task_id = 5, .fence = 70, .config = "{}", .state = TASK_RUNNING
    };
    fake_link_open(w->runner.loop);
    call_start(&w->task);
    *state = w;
    return 0;
}

/* Every test ends its task: what it left would be a leak, or a folder that stays. */
static int close_world(void **state)
{
    struct world *w = *state;
    char          lock[48];

    assert_null(w->task.work);
    assert_int_equal(nexchanges, 0);
    loop_close(w->runner.loop);
    snprintf(lock, sizeof lock, "%s/.lock", w->folder);
    unlink(lock);
    assert_int_equal(rmdir(w->folder), 0);
    free(w);
    return 0;
}

static struct task *task_of(void **state)
{
    return &((struct world *)*state)->task;
}

static PGresult *step(const char *json, const char *output)
{
    PGresult *result = rows(2);

    PQsetvalue(result, 0, 0, (char *)(uintptr_t)json, (int)strlen(json));
    PQsetvalue(result, 0, 1, (char *)(uintptr_t)output, output ? (int)strlen(output) : -1);
    return result;
}

#define SEND(rest)                                                                                 \
    "{\"do\":\"send\",\"call_id\":\"7\",\"kind\":\"submit\",\"send_within_ms\":5000,\"request\":{" \
    "\"url\":\"https://a.example/x\"" rest "}}"
#define FETCH \
    "{\"do\":\"fetch\",\"call_id\":\"7\",\"files\":[{\"url\":\"https://a.example/1\",\"role\":\"work\"}]}"
#define NOTHING "{\"do\":\"nothing\",\"state\":\"waiting\"}"

static void begin(const char *json)
{
    answer(await(ST_BEGIN_CALL), step(json, NULL));
}

/* What SQL is told, as text; it then puts the task aside. */
static const char *told(const char *next)
{
    static char  text[512];
    struct sent *question = await(ST_CALL_ANSWER);

    snprintf(text, sizeof text, "%s", question->params[3]);
    answer(question, step(next, NULL));
    return text;
}

static void stored(struct outputs_end end)
{
    assert_true(storing.is_open);
    storing.is_open = false;
    if (end.output)
        end.output = strdup(end.output);
    storing.on_end(storing.ctx, &end);
}

/* ---- begin ---- */

static void a_request_is_sent_as_the_step_says_and_its_answer_is_told(void **state)
{
    uint64_t     now = base_now_ms();
    struct sent *question;

    (void)state;
    assert_string_equal(await(ST_BEGIN_CALL)->params[0], "5");
    assert_string_equal(asked(ST_BEGIN_CALL)->params[1], "70");
    assert_string_equal(asked(ST_BEGIN_CALL)->params[2], "f");
    begin(SEND(",\"body\":\"{}\",\"timeout_ms\":2000,\"max_bytes\":99"));
    assert_int_equal(nexchanges, 1);
    assert_string_equal(exchanges[0]->method, "POST");
    assert_string_equal(exchanges[0]->opt.body, "{}");
    assert_true(exchanges[0]->opt.is_once);
    assert_int_equal(exchanges[0]->opt.max_bytes, 99);
    assert_in_range(exchanges[0]->opt.send_by_ms, now, now + 5500);
    assert_int_equal(exchanges[0]->opt.body_by_ms, exchanges[0]->opt.send_by_ms + 2000);
    reply(0, 200, "{\"id\":\"abc\"}");
    question = await(ST_CALL_ANSWER);
    assert_string_equal(question->params[1], "70");
    assert_string_equal(question->params[2], "7");
    assert_non_null(strstr(question->params[3], "\"status\":200"));
    assert_non_null(strstr(question->params[3], "\"x-said\":\"the provider\""));
    assert_non_null(strstr(question->params[3], "abc"));
    answer(question, step(NOTHING, NULL));
    assert_true(seen.is_gone);
    assert_int_equal(seen.woken, 1);
}

static void what_is_held_is_put_aside_and_wakes_nobody(void **state)
{
    (void)state;
    begin("{\"do\":\"nothing\",\"state\":\"held\",\"why\":\"unknown\"}");
    assert_true(seen.is_gone);
    assert_int_equal(seen.woken, 0);
}

static void a_begin_whose_answer_was_lost_says_so_when_it_asks_again(void **state)
{
    (void)state;
    refuse(await(ST_BEGIN_CALL), "08006");
    assert_string_equal(await(ST_BEGIN_CALL)->params[2], "t");
    begin(NOTHING);
}

static void a_begin_that_never_left_does_not(void **state)
{
    (void)state;
    begin(NOTHING); /* the one of the setup */
    fake_link.is_up = false;
    call_start(task_of(state));
    turn(400);
    fake_link.is_up = true;
    assert_string_equal(await(ST_BEGIN_CALL)->params[2], "f");
    begin(NOTHING);
}

static void a_task_that_is_no_longer_ours_is_lost(void **state)
{
    refuse(await(ST_BEGIN_CALL), "KN010");
    assert_int_equal(task_of(state)->stopping, STOP_LOST);
    assert_true(seen.is_failed);
}

static void a_begin_that_is_refused_is_tried_another_time(void **state)
{
    (void)state;
    refuse(await(ST_BEGIN_CALL), "22023");
    assert_int_equal(seen.outcome, OUTCOME_TRANSIENT);
}

static void a_begin_is_not_repeated_for_a_task_that_was_stopped(void **state)
{
    task_of(state)->stopping = STOP_CANCELLED;
    refuse(await(ST_BEGIN_CALL), "08006");
    assert_int_equal(seen.outcome, OUTCOME_CANCELLED);
}

static void a_task_stopped_while_it_waits_to_ask_ends_at_once(void **state)
{
    refuse(await(ST_BEGIN_CALL), "08006");
    task_of(state)->stopping = STOP_CANCELLED;
    call_stop(task_of(state));
    assert_int_equal(seen.outcome, OUTCOME_CANCELLED);
}

static void a_task_stopped_while_sql_is_asked_waits_for_its_answer_and_sends_nothing(void **state)
{
    const char *text;

    task_of(state)->stopping = STOP_CANCELLED;
    call_stop(task_of(state));
    assert_false(seen.is_failed);
    begin(SEND(""));
    assert_int_equal(nexchanges, 0);
    text = told(NOTHING);
    assert_non_null(strstr(text, "\"code\":\"connect\""));
    assert_non_null(strstr(text, "\"was_sent\":false"));
}

static void a_step_that_cannot_be_read_is_tried_another_time(void **state)
{
    static const char *const steps[] = { "no json", "{}", "{\"do\":7}" };

    for (size_t i = 0; i < countof(steps); i++) {
        if (i > 0)
            call_start(task_of(state));
        seen.is_failed = false;
        begin(steps[i]);
        assert_true(seen.is_failed);
        assert_int_equal(seen.outcome, OUTCOME_TRANSIENT);
    }
    call_start(task_of(state));
    seen.is_failed = false;
    answer(await(ST_BEGIN_CALL), rows(2));
    assert_true(seen.is_failed);
}

static void a_step_of_a_newer_database_is_refused(void **state)
{
    (void)state;
    begin("{\"do\":\"dance\"}");
    assert_int_equal(seen.outcome, OUTCOME_INVALID);
}

static void the_output_of_a_completed_call_is_kept_to_the_last_digit(void **state)
{
    answer(await(ST_BEGIN_CALL),
           step("{\"do\":\"complete\"}", "{\"seed\": 18446744073709551615, \"x\": 1.10}"));
    assert_string_equal(seen.done, "{\"seed\": 18446744073709551615, \"x\": 1.10}");
    call_start(task_of(state));
    begin("{\"do\":\"complete\"}");
    assert_string_equal(seen.done, "{}");
}

/* ---- send ---- */

static void a_lookup_is_asked_with_get_and_may_be_repeated_by_others(void **state)
{
    (void)state;
    begin(
        "{\"do\":\"send\",\"call_id\":\"7\",\"kind\":\"lookup\",\"request\":{\"url\":\"https://a.example/x\"}}");
    assert_string_equal(exchanges[0]->method, "GET");
    assert_false(exchanges[0]->opt.is_once);
    reply(0, 404, "");
    assert_non_null(strstr(told(NOTHING), "\"status\":404"));
}

static void a_request_that_cannot_be_made_is_not_sent_and_sql_hears_so(void **state)
{
    static const char *const steps[] = {
        "{\"do\":\"send\",\"call_id\":\"7\",\"request\":{}}",
        SEND(",\"body\":\"{{f}}\",\"files\":[{\"token\":\"{{f}}\",\"as\":\"base64\"}]"),
    };

    for (size_t i = 0; i < countof(steps); i++) {
        const char *text;

        if (i > 0)
            call_start(task_of(state));
        begin(steps[i]);
        assert_int_equal(nexchanges, 0);
        text = told(NOTHING);
        assert_non_null(strstr(text, "\"code\":\"file\""));
        assert_non_null(strstr(text, "\"was_sent\":false"));
    }
}

static void an_exchange_that_broke_off_is_told_with_whether_it_was_sent(void **state)
{
    const char *text;

    begin(SEND(""));
    break_off(0, "timeout", true);
    text = told(NOTHING);
    assert_non_null(strstr(text, "\"code\":\"timeout\""));
    assert_non_null(strstr(text, "\"was_sent\":true"));
    call_start(task_of(state));
    begin(SEND(""));
    break_off(0, "connect", false);
    assert_non_null(strstr(told(NOTHING), "\"was_sent\":false"));
}

/* ---- telling ---- */

static void an_answer_is_told_until_it_is_taken(void **state)
{
    char first[512];

    (void)state;
    begin(SEND(""));
    fake_link.is_up = false;
    reply(0, 200, "{}");
    turn(400);
    fake_link.is_up = true;
    snprintf(first, sizeof first, "%s", await(ST_CALL_ANSWER)->params[3]);
    refuse(asked(ST_CALL_ANSWER), "08006");
    assert_string_equal(await(ST_CALL_ANSWER)->params[3], first);
    refuse(asked(ST_CALL_ANSWER), "40001");
    assert_string_equal(told(NOTHING), first);
}

static void the_answer_of_a_task_that_was_lost_is_told_and_then_it_ends(void **state)
{
    begin(SEND(""));
    task_of(state)->stopping = STOP_LOST;
    call_stop(task_of(state)); /* it may be paid: the exchange goes on */
    assert_int_equal(nexchanges, 1);
    reply(0, 200, "{}");
    refuse(await(ST_CALL_ANSWER), "KN010");
    assert_true(seen.is_failed);
    assert_int_equal(task_of(state)->stopping, STOP_LOST);
}

static void an_answer_that_sql_cannot_take_is_told_as_unreadable_and_then_given_up(void **state)
{
    const char *text;

    (void)state;
    begin(SEND(""));
    reply(0, 200, "{}");
    refuse(await(ST_CALL_ANSWER), "22P05");
    text = await(ST_CALL_ANSWER)->params[3];
    assert_non_null(strstr(text, "the answer could not be recorded"));
    assert_non_null(strstr(text, "\"was_sent\":true"));
    refuse(asked(ST_CALL_ANSWER), "22P05");
    assert_int_equal(seen.outcome, OUTCOME_UNKNOWN); /* never tried again by itself */
}

/* ---- files in a reply ---- */

static void a_reply_that_is_a_file_is_kept_and_told_with_its_media(void **state)
{
    const char *text;

    (void)state;
    begin(SEND(",\"binary\":true"));
    assert_true(exchanges[0]->opt.fd >= 0);
    assert_int_equal(write(exchanges[0]->opt.fd, "picture", 7), 7);
    reply(0, 200, "");
    assert_int_equal(storing.nfiles, 1);
    assert_string_equal(storing.file, "out/0");
    assert_string_equal(storing.role, "output");
    assert_string_equal(storing.first, "picture");
    assert_null(asked(ST_CALL_ANSWER)); /* not before it is stored */
    stored((struct outputs_end) { .outcome = OUTCOME_DONE, .output = "{\"media\":[41]}" });
    text = told(NOTHING);
    assert_non_null(strstr(text, "\"media\":[41]"));
    assert_non_null(strstr(text, "{\\\"$file\\\": 0}"));
}

static void the_error_in_place_of_a_file_is_told_as_it_is(void **state)
{
    (void)state;
    begin(SEND(",\"binary\":true"));
    reply(0, 402, "{\"error\":\"no money\"}");
    assert_int_equal(storing.nstarted, 0);
    assert_non_null(strstr(told(NOTHING), "no money"));
}

static void what_is_a_success_is_the_descriptions_word(void **state)
{
    (void)state;
    begin(SEND(",\"take\":[\"/a\"],\"accept\":[200,303,409]"));
    reply(0, 409, "{\"a\":\"aGk=\"}");
    assert_string_equal(storing.first, "hi");
    stored((struct outputs_end) { .outcome = OUTCOME_DONE, .output = "{\"media\":[42]}" });
    assert_non_null(strstr(told(NOTHING), "\"media\":[42]"));
    call_start(task_of(state));
    begin(SEND(",\"take\":[\"/a\"],\"accept\":[200]"));
    reply(0, 201, "{\"a\":\"aGk=\"}");
    assert_int_equal(storing.nstarted, 1); /* the first alone */
    assert_non_null(strstr(told(NOTHING), "aGk="));
}

static void files_inside_a_reply_are_cut_out_and_kept(void **state)
{
    const char *text;

    task_of(state)->config = "{\"role\":\"work\"}"; /* of the stage: for the next one alone */
    begin(SEND(",\"take\":[\"/a\"]"));
    reply(0, 200, "{\"a\":\"aGk=\",\"n\":1.10}");
    assert_string_equal(storing.first, "hi");
    assert_string_equal(storing.role, "work");
    stored((struct outputs_end) { .outcome = OUTCOME_DONE, .output = "{\"media\":[42]}" });
    text = told(NOTHING);
    assert_non_null(strstr(text, "\\\"a\\\":{\\\"$file\\\": 0},\\\"n\\\":1.10"));
    assert_non_null(strstr(text, "\"media\":[42]"));
}

static void more_files_than_are_kept_are_an_error_that_was_paid(void **state)
{
    char   body[1024] = "[";
    size_t at         = 1;

    (void)state;
    for (int i = 0; i <= PROTOCOL_FILES_MAX; i++)
        at += (size_t)snprintf(body + at, sizeof body - at, "%s\"aGk=\"", i ? "," : "");
    snprintf(body + at, sizeof body - at, "]");
    begin(SEND(",\"take\":[\"/*\"]"));
    reply(0, 200, body);
    assert_int_equal(storing.nstarted, 0);
    assert_non_null(strstr(told(NOTHING), "\"was_sent\":true"));
}

static void a_file_that_is_no_picture_loses_nothing_of_the_reply(void **state)
{
    const char *text;

    (void)state;
    begin(SEND(",\"take\":[\"/a\"]"));
    reply(0, 200, "{\"a\":\"aGk=\",\"id\":\"paid\"}");
    stored((struct outputs_end) { .outcome = OUTCOME_INVALID, .message = "no picture" });
    text = told(NOTHING);
    assert_non_null(strstr(text, "paid"));
    assert_null(strstr(text, "\"media\""));
}

static void a_full_disk_is_waited_for_since_it_is_paid(void **state)
{
    (void)state;
    begin(SEND(",\"take\":[\"/a\"]"));
    reply(0, 200, "{\"a\":\"aGk=\"}");
    stored((struct outputs_end) {
        .outcome = OUTCOME_TRANSIENT, .unable = "it cannot store", .message = "disk full" });
    assert_null(asked(ST_CALL_ANSWER));
    for (int i = 0; i < 400 && storing.nstarted < 2; i++)
        turn(10);
    assert_int_equal(storing.nstarted, 2);
    assert_string_equal(storing.first, "hi");
    seen.left_ms = 1000; /* and not longer than the task may take */
    stored((struct outputs_end) { .outcome = OUTCOME_TRANSIENT, .message = "disk full" });
    assert_non_null(strstr(told(NOTHING), "a file of the reply could not be kept: disk full"));
}

/* ---- fetch ---- */

static void fetched_files_join_the_output(void **state)
{
    static const char *const outputs[][2] = {
        { "{\"seed\": 18446744073709551615}", "{\"seed\": 18446744073709551615,\"media\":[1,2]}" },
        { "{ }", "{\"media\":[1,2]}" },
        { NULL, "{\"media\":[1,2]}" },
    };

    for (size_t i = 0; i < countof(outputs); i++) {
        const struct fetch_end ok = { .status = 200 };

        if (i > 0)
            call_start(task_of(state));
        answer(await(ST_BEGIN_CALL), step(FETCH, outputs[i][0]));
        assert_int_equal(fetching.nfiles, 1);
        fetching.on_end(fetching.ctx, &ok);
        assert_string_equal(storing.role, "work");
        stored((struct outputs_end) { .outcome = OUTCOME_DONE, .output = "{\"media\":[1,2]}" });
        assert_true(seen.is_done);
        assert_string_equal(seen.done, outputs[i][1]);
    }
}

static void files_that_cannot_be_had_are_told_and_not_when_it_was_stopped(void **state)
{
    const struct fetch_end gone = { .status = 410, .code = "reply", .message = "gone" };
    const char            *text;

    begin(FETCH);
    fetching.on_end(fetching.ctx, &gone);
    text = told(NOTHING);
    assert_non_null(strstr(text, "\"status\":410"));
    assert_non_null(strstr(text, "\"kind\":\"fetch\""));
    call_start(task_of(state));
    begin(FETCH);
    task_of(state)->stopping = STOP_CANCELLED;
    fetching.on_end(fetching.ctx, &gone);
    assert_int_equal(seen.outcome, OUTCOME_CANCELLED);
}

static void fetched_files_that_cannot_be_kept(void **state)
{
    const struct fetch_end ok = { .status = 200 };

    begin(FETCH);
    fetching.on_end(fetching.ctx, &ok);
    stored((struct outputs_end) { .outcome = OUTCOME_INVALID, .message = "no picture" });
    assert_non_null(strstr(told(NOTHING), "\"code\":\"content\",\"message\":\"no picture\""));

    call_start(task_of(state));
    begin(FETCH);
    fetching.on_end(fetching.ctx, &ok);
    stored((struct outputs_end) { .outcome = OUTCOME_TRANSIENT, .message = "no room" });
    assert_non_null(strstr(told(NOTHING), "\"code\":\"file\",\"message\":\"no room\""));

    call_start(task_of(state));
    begin(FETCH);
    fetching.on_end(fetching.ctx, &ok);
    stored((struct outputs_end) {
        .outcome = OUTCOME_TRANSIENT, .unable = "it cannot store", .message = "disk full" });
    assert_string_equal(seen.unable, "it cannot store");

    call_start(task_of(state));
    begin(FETCH);
    fetching.on_end(fetching.ctx, &ok);
    stored((struct outputs_end) { .is_lost = true, .message = "not ours" });
    assert_int_equal(task_of(state)->stopping, STOP_LOST);
}

static void too_many_files_and_no_folder_for_them(void **state)
{
    struct world *w         = *state;
    char          json[600] = "{\"do\":\"fetch\",\"files\":[0";
    size_t        at        = strlen(json);

    for (int i = 0; i < PROTOCOL_FILES_MAX; i++)
        at += (size_t)snprintf(json + at, sizeof json - at, ",0");
    snprintf(json + at, sizeof json - at, "]}");
    begin(json);
    assert_non_null(strstr(told(NOTHING), "more than 64 files"));
    w->runner.work_folder = "/tmp/kiln-call-none/none";
    call_start(&w->task);
    begin(FETCH);
    assert_string_equal(seen.unable, "it cannot set up a work folder");
    seen.is_gone = false;
    call_start(&w->task);
    begin(SEND(",\"binary\":true"));
    assert_int_equal(nexchanges, 0); /* not paid for what could not be kept */
    assert_non_null(strstr(told(NOTHING), "\"was_sent\":false"));
}

/* ---- stop ---- */

static void a_paid_exchange_goes_on_when_its_task_is_cancelled(void **state)
{
    begin(SEND(""));
    task_of(state)->stopping = STOP_CANCELLED;
    call_stop(task_of(state));
    assert_int_equal(nexchanges, 1);
    reply(0, 200, "{\"id\":\"abc\"}");
    assert_non_null(strstr(told(NOTHING), "abc"));
}

static void at_the_runners_end_it_is_cut_and_told_as_sent_or_not(void **state)
{
    const char *text;

    for (int was_sent = 0; was_sent < 2; was_sent++) {
        if (was_sent)
            call_start(task_of(state));
        task_of(state)->stopping = STOP_NO;
        begin(SEND(""));
        exchanges[0]->was_sent   = was_sent;
        task_of(state)->stopping = STOP_RELEASE;
        call_stop(task_of(state));
        assert_int_equal(nexchanges, 0);
        text = told(NOTHING);
        assert_non_null(strstr(text, was_sent ? "\"code\":\"reply\"" : "\"code\":\"connect\""));
        assert_non_null(strstr(text, was_sent ? "\"was_sent\":true" : "\"was_sent\":false"));
    }
}

static void what_costs_nothing_is_stopped_at_once(void **state)
{
    begin(
        "{\"do\":\"send\",\"call_id\":\"7\",\"kind\":\"lookup\",\"request\":{\"url\":\"https://a.example/x\"}}");
    task_of(state)->stopping = STOP_CANCELLED;
    call_stop(task_of(state));
    assert_int_equal(nstopped, 1);
    assert_int_equal(seen.outcome, OUTCOME_CANCELLED);

    task_of(state)->stopping = STOP_NO;
    call_start(task_of(state));
    begin(FETCH);
    call_stop(task_of(state));
    assert_int_equal(fetching.nstopped, 1);
    assert_int_equal(seen.outcome, OUTCOME_CANCELLED);

    call_start(task_of(state));
    task_of(state)->stopping = STOP_CANCELLED;
    begin(FETCH);
    assert_int_equal(seen.outcome, OUTCOME_CANCELLED);
}

static void storing_is_told_to_stop_and_says_itself_how_it_ended(void **state)
{
    const struct fetch_end ok = { .status = 200 };

    begin(FETCH);
    fetching.on_end(fetching.ctx, &ok);
    task_of(state)->stopping = STOP_CANCELLED;
    call_stop(task_of(state));
    assert_int_equal(storing.nstopped, 1);
    assert_false(seen.is_failed);
    stored((struct outputs_end) { .outcome = OUTCOME_CANCELLED, .message = "stopped" });
    assert_int_equal(seen.outcome, OUTCOME_CANCELLED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest all[] = {
        TEST(a_request_is_sent_as_the_step_says_and_its_answer_is_told),
        TEST(what_is_held_is_put_aside_and_wakes_nobody),
        TEST(a_begin_whose_answer_was_lost_says_so_when_it_asks_again),
        TEST(a_begin_that_never_left_does_not),
        TEST(a_task_that_is_no_longer_ours_is_lost),
        TEST(a_begin_that_is_refused_is_tried_another_time),
        TEST(a_begin_is_not_repeated_for_a_task_that_was_stopped),
        TEST(a_task_stopped_while_it_waits_to_ask_ends_at_once),
        TEST(a_task_stopped_while_sql_is_asked_waits_for_its_answer_and_sends_nothing),
        TEST(a_step_that_cannot_be_read_is_tried_another_time),
        TEST(a_step_of_a_newer_database_is_refused),
        TEST(the_output_of_a_completed_call_is_kept_to_the_last_digit),
        TEST(a_lookup_is_asked_with_get_and_may_be_repeated_by_others),
        TEST(a_request_that_cannot_be_made_is_not_sent_and_sql_hears_so),
        TEST(an_exchange_that_broke_off_is_told_with_whether_it_was_sent),
        TEST(an_answer_is_told_until_it_is_taken),
        TEST(the_answer_of_a_task_that_was_lost_is_told_and_then_it_ends),
        TEST(an_answer_that_sql_cannot_take_is_told_as_unreadable_and_then_given_up),
        TEST(a_reply_that_is_a_file_is_kept_and_told_with_its_media),
        TEST(the_error_in_place_of_a_file_is_told_as_it_is),
        TEST(what_is_a_success_is_the_descriptions_word),
        TEST(files_inside_a_reply_are_cut_out_and_kept),
        TEST(more_files_than_are_kept_are_an_error_that_was_paid),
        TEST(a_file_that_is_no_picture_loses_nothing_of_the_reply),
        TEST(a_full_disk_is_waited_for_since_it_is_paid),
        TEST(fetched_files_join_the_output),
        TEST(files_that_cannot_be_had_are_told_and_not_when_it_was_stopped),
        TEST(fetched_files_that_cannot_be_kept),
        TEST(too_many_files_and_no_folder_for_them),
        TEST(a_paid_exchange_goes_on_when_its_task_is_cancelled),
        TEST(at_the_runners_end_it_is_cut_and_told_as_sent_or_not),
        TEST(what_costs_nothing_is_stopped_at_once),
        TEST(storing_is_told_to_stop_and_says_itself_how_it_ended),
    };

    log_setup("call_test", LOG_LEVEL_ERROR, true);
    return cmocka_run_group_tests_name("call", all, NULL, NULL);
}
