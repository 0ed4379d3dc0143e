/* tool and outputs: shell scripts as tools, a script as kiln-media, a real store, no database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "pipeline_runner/dispatch/dispatch.h"
#include "tests/c/runner/fake_link.h"
#include "pipeline_runner/exec/folder.h"
#include "pipeline_runner/exec/sandbox.h"
#include "pipeline_runner/call/tool.h"

#define KEY "ab/cdefcdefcdefcdefcdefcdefcdefcd"

static struct sandbox sandbox;

struct world {
    char            root[64], bin[96], home[96], media[96], url[112];
    struct cfg      cfg;
    struct runner   runner;
    struct dispatch dispatch;
    struct task     task;
    char            config[512];
};

static void write_script(const char *folder, const char *name, const char *text)
{
    char  path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", text);
    fchmod(fileno(file), 0755);
    fclose(file);
}

static void nothing(void *ctx)
{
    (void)ctx;
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    strcpy(w->root, "/tmp/kiln-tool-XXXXXX");
    assert_non_null(mkdtemp(w->root));
    snprintf(w->bin, sizeof(w->bin), "%s/bin", w->root);
    snprintf(w->home, sizeof(w->home), "%s/work", w->root);
    snprintf(w->media, sizeof(w->media), "%s/media", w->root);
    snprintf(w->url, sizeof(w->url), "file:%s", w->media);
    mkdir(w->bin, 0755);
    mkdir(w->home, 0755);
    write_script(w->bin, "kiln-media",
                 "[ \"$1\" = probe ] || { cat; exit 0; }\n"
                 "grep -q BAD \"$2\" && { echo 'not a picture' >&2; exit 65; }\n"
                 "cp \"$2\" \"$4\"\n"
                 "echo '{\"media_type\":\"image\",\"content_type\":\"image/png\",\"width\":2,"
                 "\"height\":3}'");
    w->cfg.tools         = w->bin;
    w->cfg.tools_disk_mb = 64;
    w->cfg.tools_read = w->cfg.tools_write = "";
    w->runner.cfg                          = &w->cfg;
    w->runner.loop                         = loop_open(NULL);
    w->runner.store                        = store_open(w->url, NULL);
    w->runner.work_folder                  = w->home;
    w->runner.self_folder                  = w->bin;
    w->runner.sandbox                      = &sandbox;
    w->runner.slots                        = 1;
    w->runner.dispatch                     = &w->dispatch;
    w->dispatch.runner                     = &w->runner;
    w->dispatch.slots                      = &w->task;
    w->dispatch.free_slots                 = calloc(1, sizeof(struct task *));
    w->dispatch.step                       = (struct loop_task) { .on_turn_end = nothing };
    w->task.runner                         = &w->runner;
    w->task.owner                          = &dispatch_task_owner;
    task_clear(&w->task);
    fake_link_open(w->runner.loop);
    *state = w;
    return w->runner.store ? 0 : -1;
}

static int nfiles;

static int count_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)path;
    (void)st;
    (void)at;
    nfiles += type == FTW_F;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int files_below(const char *path)
{
    nfiles = 0;
    assert_int_equal(nftw(path, count_file, 16, FTW_PHYS), 0);
    return nfiles;
}

static int close_world(void **state)
{
    struct world *w    = *state;
    int           left = files_below(w->home);

    task_clear(&w->task);
    store_close(w->runner.store);
    loop_close(w->runner.loop);
    free(w->dispatch.free_slots);
    nftw(w->root, remove_one, 16, FTW_PHYS | FTW_DEPTH);
    free(w);
    return left > 1; /* the lock; in each test no work folder may be left */
}

static struct task *begin(struct world *w, const char *script)
{
    struct task *task = &w->task;

    write_script(w->bin, "tool", script);
    task->state        = TASK_RUNNING;
    task->task_id      = 12;
    task->fence        = 34;
    task->stage_name   = "one";
    task->handler_name = "exec";
    task->timeout_ms   = task->timeout_ms ? task->timeout_ms : 8000;
    task->config       = "{\"command\":[\"tool\",\"an argument\"]}";
    task->input        = "{\"prompt\":\"hi\"}";
    task->media        = task->media ? task->media : "[]";
    task->started_ms   = base_now_ms();
    exec_start(task);
    return task;
}

static struct task *finish(struct world *w)
{
    for (int i = 0; i < 1600 && w->task.state == TASK_RUNNING; i++)
        turn(5);
    assert_int_equal(w->task.state, TASK_READY);
    return &w->task;
}

static void assert_failed(const struct task *task, enum outcome outcome, const char *message)
{
    assert_int_equal(task->report, REPORT_FAIL);
    assert_string_equal(outcome_name(task->outcome), outcome_name(outcome));
    assert_non_null(strstr(task->message, message));
}

#define MAKES(path)                                                   \
    "echo PIXELS > out/a.png; echo '{\"output\":{\"x\":1},\"media\":" \
    "[{\"file\":\"" path "\",\"role\":\"output\"}]}'"

/* ---- the process ---- */

static void a_tool_gets_its_request_and_its_output_is_taken(void **state)
{
    begin(*state, "printf '{\"output\":{\"arg\":\"%s\",\"request\":' \"$1\"; cat; echo '}}'");
    assert_string_equal(finish(*state)->output,
                        "{\"arg\":\"an argument\",\"request\":{\"job_id\":\"0\",\"task_id\":\"12\","
                        "\"stage\":\"one\",\"attempt\":0,\"config\":{\"command\":[\"tool\","
                        "\"an argument\"]},\"input\":{\"prompt\":\"hi\"},\"media\":[]}}");
}

static void a_stage_that_is_configured_wrongly_is_invalid_and_starts_nothing(void **state)
{
    static const struct {
        void (*start)(struct task *task);
        const char *config, *message;
    } bad[] = {
        { exec_start, "[]", "not an object" },
        { exec_start, "{}", "\"command\"" },
        { exec_start, "{\"command\":[]}", "\"command\"" },
        { exec_start, "{\"command\":[\"tool\",7]}", "\"command\"" },
        { exec_start, "{\"command\":[\"tool\"],\"network\":1}", "\"network\"" },
        { exec_start, "{\"command\":[\"tool\"],\"memory_mb\":15}", "\"memory_mb\"" },
        { exec_start, "{\"command\":[\"no such\"]}", "there is no tool \"no such\"" },
        { exec_start, "{\"command\":[\"../tool\"]}", "there is no tool" },
        { media_start, "{\"op\":\"draw\",\"memory_mb\":\"all\"}", "\"memory_mb\"" },
        { media_start, "{\"op\":\"sing\"}", "\"op\"" },
        { media_start, "{}", "\"op\"" },
    };
    struct world *w = *state;

    for (size_t i = 0; i < countof(bad); i++) {
        task_clear(&w->task);
        w->dispatch.others = (struct task_list) { 0 };
        w->task.state      = TASK_RUNNING;
        w->task.timeout_ms = 8000;
        w->task.config     = bad[i].config;
        w->task.input      = "{}";
        w->task.media      = "[]";
        w->task.stage_name = "one";
        bad[i].start(&w->task);
        assert_int_equal(w->task.state, TASK_READY);
        assert_failed(&w->task, OUTCOME_INVALID, bad[i].message);
    }
}

static void input_media_lie_in_its_folder(void **state)
{
    struct world *w = *state;
    char          path[160];
    FILE         *file;

    snprintf(path, sizeof(path), "%s/ab", w->media);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/" KEY, w->media);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("PICTURE", file);
    fclose(file);
    w->task.media =
        "[{\"media_id\":\"7\",\"storage_key\":\"" KEY "\",\"content_type\":\"image/png\"}]";
    begin(w, "cat >/dev/null; printf '{\"output\":{\"in\":\"%s\"}}' \"$(cat in/0.png)\"");
    assert_string_equal(finish(w)->output, "{\"in\":\"PICTURE\"}");
}

static void an_input_that_is_not_in_the_store_is_invalid(void **state)
{
    struct world *w = *state;

    w->task.media = "[{\"media_id\":\"7\",\"storage_key\":\"" KEY "\"}]";
    begin(w, "exit 0");
    assert_failed(finish(w), OUTCOME_INVALID, "");
}

static void the_last_line_is_the_reason(void **state)
{
    begin(*state, "echo first >&2; echo 'progress 0.5 x' >&2; echo 'too dark' >&2; exit 77");
    assert_failed(finish(*state), OUTCOME_REFUSED, "too dark");
    assert_string_equal(asked(ST_PROGRESS)->params[3], "x");
}

static void a_signal_is_transient(void **state)
{
    begin(*state, "kill -SEGV $$");
    assert_failed(finish(*state), OUTCOME_TRANSIENT, "signal 11");
}

static void at_the_tasks_time_limit_it_is_a_timeout(void **state)
{
    struct world *w = *state;

    w->task.timeout_ms = 200;
    begin(w, "sleep 30");
    assert_failed(finish(w), OUTCOME_TIMEOUT, "200 ms");
}

static void a_flood_is_invalid(void **state)
{
    begin(*state, "yes");
    assert_failed(finish(*state), OUTCOME_INVALID, "1 MiB");
}

static void files_beyond_the_limit_are_invalid_and_the_limit_is_named(void **state)
{
    begin(*state, "truncate -s 70M out/a; cat >/dev/null; echo '{\"output\":{}}'");
    assert_failed(finish(*state), OUTCOME_INVALID,
                  "the tool's files took more than 64 MiB (KILN_TOOLS_DISK_MB)");
}

static void a_file_that_kiln_media_looks_at_can_read_nothing_else(void **state)
{
    struct world *w = *state;

    write_script(w->bin, "kiln-media",
                 "cat ../../media/secret >&2 || exit 65; echo '{\"media_type\":\"audio\","
                 "\"content_type\":\"audio/mpeg\"}'");
    write_script(w->media, "secret", "");
    begin(w, MAKES("out/a.png"));
    assert_failed(finish(w), OUTCOME_INVALID, "Permission denied");
    snprintf(w->config, sizeof w->config, "%s/secret", w->media);
    unlink(w->config);
}

static void malformed_stdout_is_invalid(void **state)
{
    begin(*state, "echo hello");
    assert_failed(finish(*state), OUTCOME_INVALID, "not JSON");
}

static void stopped_it_ends_at_once(void **state)
{
    struct world *w    = *state;
    struct task  *task = begin(w, "trap '' TERM; sleep 30");

    turn(50);
    task->stopping = STOP_CANCELLED;
    tool_stop(task);
    assert_failed(finish(w), OUTCOME_CANCELLED, "cancelled");
}

/* ---- its files ---- */

static void a_file_is_probed_stored_recorded_and_named_in_the_output(void **state)
{
    struct world *w = *state;
    struct sent  *put;

    begin(w, MAKES("out/a.png"));
    put = await(ST_PUT_MEDIA);
    assert_string_equal(put->params[0], "12");
    assert_string_equal(put->params[1], "34");
    assert_non_null(strstr(put->params[2], "\"role\":\"output\",\"media_type\":\"image\""));
    assert_non_null(strstr(put->params[2], "\"bytes\":7,\"sha256\":\""));
    assert_non_null(strstr(put->params[2], "\"width\":2,\"height\":3,\"duration_ms\":null}"));
    assert_int_equal(files_below(w->media),
                     2); /* durable before it is recorded; and its thumbnail */
    answer(put, one("99"));
    assert_string_equal(finish(w)->output, "{\"x\":1,\"media\":[\"99\"]}");
}

static void a_file_that_is_not_there_is_invalid(void **state)
{
    begin(*state, MAKES("out/b.png"));
    assert_failed(finish(*state), OUTCOME_INVALID, "does not exist");
}

static void a_path_out_of_the_folder_is_invalid(void **state)
{
    begin(*state, MAKES("out/../../../secret"));
    assert_failed(finish(*state), OUTCOME_INVALID, "not below out/");
}

static void a_link_out_of_the_folder_is_invalid(void **state)
{
    begin(*state, "ln -s /etc/passwd out/l; " MAKES("out/l"));
    assert_failed(finish(*state), OUTCOME_INVALID, "symbolic link");
}

static void what_does_not_decode_is_invalid_and_not_stored(void **state)
{
    struct world *w = *state;

    begin(w, "echo BAD > out/bad; " MAKES("out/bad"));
    assert_failed(finish(w), OUTCOME_INVALID, "not a picture");
    assert_int_equal(files_below(w->media), 0);
}

static void a_thumbnail_the_tool_made_itself_is_not_taken(void **state)
{
    struct world *w = *state;

    write_script(w->bin, "kiln-media",
                 "echo '{\"media_type\":\"audio\",\"content_type\":\"audio/mpeg\"}'");
    begin(w, "echo FORGED > out/.thumbnail-0; " MAKES("out/a.png"));
    assert_non_null(strstr(await(ST_PUT_MEDIA)->params[2], "\"thumbnail_key\":null"));
    answer(asked(ST_PUT_MEDIA), one("1"));
    finish(w);
}

static void of_a_task_that_is_no_longer_ours_no_file_stays(void **state)
{
    struct world *w = *state;

    begin(w, MAKES("out/a.png"));
    refuse(await(ST_PUT_MEDIA), "KN010");
    assert_int_equal(w->task.state, TASK_FREE);
    assert_int_equal(files_below(w->media), 0);
}

static void a_lost_answer_is_asked_for_again(void **state)
{
    struct world *w = *state;

    begin(w, MAKES("out/a.png"));
    await(ST_PUT_MEDIA);
    lose_link();
    turn(500);
    fake_link.is_up = true;
    answer(await(ST_PUT_MEDIA), one("5"));
    assert_string_equal(finish(w)->output, "{\"x\":1,\"media\":[\"5\"]}");
}

static void stopped_between_file_and_row_it_waits_for_the_answer(void **state)
{
    struct world *w = *state;

    begin(w, MAKES("out/a.png"));
    await(ST_PUT_MEDIA);
    w->task.stopping = STOP_CANCELLED;
    tool_stop(&w->task);
    turn(20);
    assert_int_equal(w->task.state, TASK_RUNNING);
    answer(asked(ST_PUT_MEDIA), one("5"));
    assert_failed(finish(w), OUTCOME_CANCELLED, "cancelled");
    assert_int_equal(files_below(w->media), 2); /* they have a row */
}

/* ---- faults of the machine ---- */

static void assert_handed_back(struct world *w, const char *reason)
{
    const struct task *task = finish(w);

    assert_int_equal(task->report, REPORT_RELEASE);
    assert_string_equal(task->message, reason);
    assert_true(w->dispatch.claim_hold_ns > base_now_ns());
}

static void without_a_work_folder_it_is_handed_back(void **state)
{
    struct world *w = *state;

    w->runner.work_folder = "/nowhere/at/all";
    begin(w, "exit 0");
    assert_handed_back(w, "the runner cannot work: it cannot make a work folder");
}

static void without_kiln_media_it_is_handed_back(void **state)
{
    struct world *w = *state;

    w->runner.self_folder = w->media;
    begin(w, MAKES("out/a.png"));
    assert_handed_back(w, "the runner cannot work: it cannot run kiln-media");
}

static void a_media_stage_without_kiln_media_is_handed_back(void **state)
{
    struct world *w    = *state;
    struct task  *task = &w->task;

    w->runner.self_folder = w->media;
    task->state           = TASK_RUNNING;
    task->timeout_ms      = 8000;
    task->config          = "{\"op\":\"draw\"}";
    task->input           = "{}";
    task->media           = "[]";
    task->started_ms      = base_now_ms();
    media_start(task);
    assert_handed_back(w, "the runner cannot work: it cannot run kiln-media");
}

static void a_store_that_cannot_be_written_hands_it_back(void **state)
{
    struct world *w = *state;
    char          path[160];

    snprintf(path, sizeof(path), "%s/tmp", w->media);
    assert_int_equal(rmdir(path), 0);
    begin(w, MAKES("out/a.png"));
    assert_handed_back(w, "the runner cannot work: it cannot write its media store");
}

static void a_success_ends_the_count_of_faults(void **state)
{
    struct world *w = *state;

    w->dispatch.claim_pause_ns = 8000 * PACE_MS;
    begin(w, "cat >/dev/null; echo '{\"output\":{}}'");
    finish(w);
    assert_int_equal(w->dispatch.claim_pause_ns, 0);
}

static void a_tool_cannot_pass_its_fault_for_the_machines(void **state)
{
    begin(*state, "echo 'cannot enter the work folder: no' >&2; exit 125");
    assert_failed(finish(*state), OUTCOME_TRANSIENT, "cannot enter");
}

static void a_tool_that_cannot_be_run_is_its_own_fault(void **state)
{
    struct world *w = *state;
    char          path[160];
    FILE         *file;

    snprintf(path, sizeof(path), "%s/broken", w->bin);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("#!/no/such/shell\n", file);
    fchmod(fileno(file), 0755);
    fclose(file);
    w->task.state      = TASK_RUNNING;
    w->task.timeout_ms = 8000;
    w->task.config     = "{\"command\":[\"broken\"]}";
    w->task.input      = "{}";
    w->task.media      = "[]";
    w->task.started_ms = base_now_ms();
    exec_start(&w->task);
    assert_failed(finish(w), OUTCOME_TRANSIENT, "cannot run the program");
}

static void where_the_work_folder_lies_is_not_told(void **state)
{
    struct world *w = *state;

    begin(w, "echo \"cannot read $HOME/in/0.png in $HOME\" >&2; exit 65");
    assert_failed(finish(w), OUTCOME_INVALID, "cannot read in/0.png in ");
    assert_null(strstr(w->task.message, w->root));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_tool_gets_its_request_and_its_output_is_taken),
        TEST(a_stage_that_is_configured_wrongly_is_invalid_and_starts_nothing),
        TEST(input_media_lie_in_its_folder),
        TEST(an_input_that_is_not_in_the_store_is_invalid),
        TEST(the_last_line_is_the_reason),
        TEST(a_signal_is_transient),
        TEST(at_the_tasks_time_limit_it_is_a_timeout),
        TEST(a_flood_is_invalid),
        TEST(files_beyond_the_limit_are_invalid_and_the_limit_is_named),
        TEST(a_file_that_kiln_media_looks_at_can_read_nothing_else),
        TEST(malformed_stdout_is_invalid),
        TEST(stopped_it_ends_at_once),
        TEST(a_file_is_probed_stored_recorded_and_named_in_the_output),
        TEST(a_file_that_is_not_there_is_invalid),
        TEST(a_path_out_of_the_folder_is_invalid),
        TEST(a_link_out_of_the_folder_is_invalid),
        TEST(what_does_not_decode_is_invalid_and_not_stored),
        TEST(a_thumbnail_the_tool_made_itself_is_not_taken),
        TEST(of_a_task_that_is_no_longer_ours_no_file_stays),
        TEST(a_lost_answer_is_asked_for_again),
        TEST(stopped_between_file_and_row_it_waits_for_the_answer),
        TEST(without_a_work_folder_it_is_handed_back),
        TEST(without_kiln_media_it_is_handed_back),
        TEST(a_media_stage_without_kiln_media_is_handed_back),
        TEST(a_store_that_cannot_be_written_hands_it_back),
        TEST(a_success_ends_the_count_of_faults),
        TEST(a_tool_cannot_pass_its_fault_for_the_machines),
        TEST(a_tool_that_cannot_be_run_is_its_own_fault),
        TEST(where_the_work_folder_lies_is_not_told),
    };

    signal(SIGPIPE, SIG_IGN);
    if (!sandbox_open(&sandbox, &SANDBOX_ANY, NULL))
        return EXIT_FAILURE;
    printf("# sandbox: %s\n", sandbox.word);
    log_setup("tool_test", LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("tool", tests, NULL, NULL);
}
