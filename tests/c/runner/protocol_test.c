/* protocol: what a tool is told, and that nothing it says is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "pipeline_runner/exec/protocol.h"

#define EXITED(code)  ((code) << 8)
#define SIGNALED(sig) (sig)

/* ---- exit codes ---- */

static void the_exit_code_is_the_class(void **state)
{
    (void)state;
    assert_int_equal(protocol_exit(EXITED(0)), OUTCOME_DONE);
    assert_int_equal(protocol_exit(EXITED(65)), OUTCOME_INVALID);
    assert_int_equal(protocol_exit(EXITED(75)), OUTCOME_TRANSIENT);
    assert_int_equal(protocol_exit(EXITED(77)), OUTCOME_REFUSED);
    assert_int_equal(protocol_exit(EXITED(1)), OUTCOME_TRANSIENT);
    assert_int_equal(protocol_exit(EXITED(127)), OUTCOME_TRANSIENT);
    assert_int_equal(protocol_exit(SIGNALED(9)), OUTCOME_TRANSIENT);
    assert_int_equal(protocol_exit(SIGNALED(11)), OUTCOME_TRANSIENT);
}

static void classes_have_the_names_that_sql_knows(void **state)
{
    (void)state;
    assert_string_equal(outcome_name(OUTCOME_TRANSIENT), "transient");
    assert_string_equal(outcome_name(OUTCOME_RATE_LIMITED), "rate_limited");
    assert_string_equal(outcome_name(OUTCOME_INVALID), "invalid");
    assert_string_equal(outcome_name(OUTCOME_REFUSED), "refused");
    assert_string_equal(outcome_name(OUTCOME_TIMEOUT), "timeout");
    assert_string_equal(outcome_name(OUTCOME_UNKNOWN), "unknown");
    assert_string_equal(outcome_name(OUTCOME_CANCELLED), "cancelled");
}

/* ---- progress ---- */

static void progress_lines_are_read(void **state)
{
    double fraction;
    char   label[16];

    (void)state;
    assert_true(protocol_progress("progress 0.42 drawing it", &fraction, label, sizeof label));
    assert_float_equal(fraction, 0.42, 1e-6);
    assert_string_equal(label, "drawing it");
    assert_true(protocol_progress("progress 1", &fraction, label, sizeof label));
    assert_float_equal(fraction, 1, 1e-6);
    assert_string_equal(label, "");
    assert_true(protocol_progress("progress 250 %", &fraction, label, sizeof label));
    assert_float_equal(fraction, 1, 1e-6);
}

static void a_long_label_is_cut_between_characters(void **state)
{
    double fraction;
    char   label[6];

    (void)state;
    assert_true(
        protocol_progress("progress 0 ab\xC3\xA9\xC3\xA9z", &fraction, label, sizeof label));
    assert_string_equal(label, "ab\xC3\xA9");
}

static void other_lines_are_not_progress(void **state)
{
    static const char *const lines[] = {
        "",
        "progress",
        "progress ",
        "progress x",
        "progress nan",
        "progress inf",
        "progress -1",
        "progress 0x1p3",
        "progress  0.5",
        "progress 0.5x",
        "Progress 0.5",
        "progress .5",
        "progress 1e5",
        "in progress 0.5",
    };
    double fraction;
    char   label[8];

    (void)state;
    for (size_t i = 0; i < countof(lines); i++)
        assert_false(protocol_progress(lines[i], &fraction, label, sizeof label));
}

static void what_is_not_text_is_cleaned(void **state)
{
    char bytes[] = "a\x01\xC3\xA9 \xFF\xC3!\xED\xA0\x80\xF0\x9F\x98\x80\xC3";

    (void)state;
    protocol_clean(bytes);
    assert_string_equal(bytes, "a?\xC3\xA9 ?"
                               "?!??"
                               "?\xF0\x9F\x98\x80?");
}

/* ---- request ---- */

static void the_request_is_what_the_contract_says(void **state)
{
    static const char expected[] =
        "{\"job_id\":\"1\",\"task_id\":\"2\",\"stage\":\"generate\",\"attempt\":1,\"config\":{\"a\":1},\"input\":{},"
        "\"media\":[{\"media_id\":\"7\",\"file\":\"in/0.png\",\"content_type\":\"image/png\",\"media_type\":\"image\","
        "\"width\":4,\"height\":3,\"duration_ms\":null}]}";
    struct arena          *arena = arena_open(1024);
    struct protocol_input *inputs;
    size_t                 count;
    struct jbuf            out  = { 0 };
    struct protocol_task   task = { "1", "2", "generate", 1, "{\"a\":1}", "{}" };

    (void)state;
    assert_true(protocol_media(
        arena,
        "[{\"media_id\":\"7\",\"storage_key\":\"ab/cd\",\"content_type\":\"image/png\","
        "\"media_type\":\"image\",\"bytes\":9,\"width\":4,\"height\":3,\"duration_ms\":null}]",
        &inputs, &count, NULL));
    protocol_request(&out, &task, inputs, count);
    assert_string_equal(jbuf_text(&out), expected);
    jbuf_free(&out);
    arena_close(arena);
}

static void media_without_id_or_key_is_refused(void **state)
{
    static const char *const lists[] = {
        "{}", "[7]", "[{\"media_id\":\"7\"}]", "[{\"storage_key\":\"ab\"}]", "x", ""
    };
    struct arena          *arena = arena_open(1024);
    struct protocol_input *inputs;
    size_t                 count;

    (void)state;
    for (size_t i = 0; i < countof(lists); i++)
        assert_false(protocol_media(arena, lists[i], &inputs, &count, NULL));
    arena_close(arena);
}

/* ---- reply ---- */

static bool parse(const char *text, struct protocol_reply *reply, struct err *err)
{
    struct arena *arena = arena_open(1024);
    bool          ok    = protocol_parse(arena, text, strlen(text), reply, err);

    if (ok) {
        assert_non_null(reply->output);
        protocol_reply_free(reply);
    }
    arena_close(arena);
    return ok;
}

static void a_reply_without_files_is_fine(void **state)
{
    struct protocol_reply reply;

    (void)state;
    assert_true(parse("{\"output\":{\"a\":[1]}}", &reply, NULL));
    assert_true(parse(" {\"output\":{},\"media\":[]} \n", &reply, NULL));
}

static void malformed_stdout_is_refused_with_a_sentence(void **state)
{
    static const char *const replies[] = {
        "",
        "{",
        "hello",
        "[]",
        "null",
        "{}",
        "{\"output\":[]}",
        "{\"output\":\"x\"}",
        "{\"output\":{}}{}",
        "{\"output\":{}} x",
        "{\"output\":{},\"output\":{}}",
        "{\"output\":{\"a\":\"\\u0000\"}}",
        "{\"output\":{\"a\":\"\xFF\"}}",
        "{\"output\":{\"a\":[1e131071]}}",
        "{\"output\":{\"a\":1e300}}",
        "{\"output\":{},\"media\":{}}",
        "{\"output\":{},\"media\":[1]}",
        "{\"output\":{},\"media\":[{\"role\":\"output\"}]}",
        "{\"output\":{},\"media\":[{\"file\":\"out/a\"}]}",
        "{\"output\":{},\"media\":[{\"file\":\"out/a\",\"role\":\"input\"}]}",
        "{\"output\":{},\"media\":[{\"file\":\"../a\",\"role\":\"output\"}]}",
        "{\"output\":{},\"media\":[{\"file\":\"out/a\",\"clean\":\"in/a\",\"role\":\"output\"}]}",
        "{\"output\":{},\"media\":[{\"file\":\"out/a\",\"clean\":\"out/../a\",\"role\":\"output\"}]}",
    };
    struct protocol_reply reply;
    struct err            err;

    (void)state;
    for (size_t i = 0; i < countof(replies); i++) {
        err_clear(&err);
        assert_false(parse(replies[i], &reply, &err));
        assert_true(err.message[0]);
    }
}

static void more_than_64_files_are_refused(void **state)
{
    char                  text[8192];
    size_t                len = 0;
    struct protocol_reply reply;

    (void)state;
    for (int i = 0; i < 65; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "%s{\"file\":\"out/a\",\"role\":\"work\"}",
                                i ? "," : "{\"output\":{},\"media\":[");
    snprintf(text + len, sizeof(text) - len, "]}");
    assert_false(parse(text, &reply, NULL));
}

static void ids_replace_the_media_of_the_output(void **state)
{
    static const char text[] =
        "{\"output\":{\"x\":1,\"media\":[\"5\"]},\"media\":[{\"file\":\"out/a\",\"role\":\"output\"}]}";
    struct arena         *arena = arena_open(1024);
    struct protocol_reply reply;
    char                 *output;

    (void)state;
    assert_true(protocol_parse(arena, text, strlen(text), &reply, NULL));
    output = protocol_output(&reply, (int64_t[]) { 12, 13 }, 2);
    assert_string_equal(output, "{\"x\":1,\"media\":[\"12\",\"13\"]}");
    free(output);
    output = protocol_output(&reply, NULL, 0);
    assert_string_equal(output, "{\"x\":1,\"media\":[\"12\",\"13\"]}");
    free(output);
    protocol_reply_free(&reply);
    arena_close(arena);
}

/* ---- paths ---- */

static void only_paths_below_out_are_taken(void **state)
{
    static const char *const good[] = { "out/a",   "out/a.png", "out/sub/b.mp4",
                                        "out/..a", "out/a..b",  "out/ \xC3\xA9" };
    static const char *const bad[]  = {
         "",       "out",      "out/",     "a",        "/etc/passwd",
         "/out/a", "./out/a",  "in/a",     "out/../a", "out/..",
         "out/.",  "out/./a",  "out//a",   "out/a/",   "out/a/../../b",
         "outx/a", "out/a\nb", "out/\x7F", "../out/a",
    };
    char long_path[400];

    (void)state;
    for (size_t i = 0; i < countof(good); i++)
        assert_true(protocol_path_ok(good[i]));
    for (size_t i = 0; i < countof(bad); i++)
        assert_false(protocol_path_ok(bad[i]));
    memset(long_path, 'a', sizeof long_path - 1);
    memcpy(long_path, "out/", 4);
    long_path[sizeof long_path - 1] = '\0';
    assert_false(protocol_path_ok(long_path));
}

static int make_folder(char *path)
{
    int fd;

    assert_non_null(mkdtemp(path));
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(fd, "out", 0700), 0);
    return fd;
}

static void remove_folder(int fd, const char *path, const char *const *names)
{
    for (; *names; names++)
        unlinkat(fd, *names, 0);
    unlinkat(fd, "out/sub", 0);
    unlinkat(fd, "out", AT_REMOVEDIR);
    close(fd);
    assert_int_equal(rmdir(path), 0);
}

static void a_regular_file_is_opened(void **state)
{
    char     path[] = "/tmp/kiln-protocol-XXXXXX";
    int      folder = make_folder(path), fd;
    uint64_t bytes  = 0;

    (void)state;
    fd = openat(folder, "out/a", O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "12345", 5), 5);
    close(fd);
    fd = protocol_open(folder, "out/a", &bytes, NULL);
    assert_true(fd >= 0);
    assert_int_equal(bytes, 5);
    close(fd);
    remove_folder(folder, path, (const char *const[]) { "out/a", NULL });
}

static void links_folders_pipes_and_nothing_are_refused(void **state)
{
    static const char *const names[] = { "out/link",       "out/fifo", "out/none",
                                         "out/sub/passwd", "out",      NULL };
    char                     path[]  = "/tmp/kiln-protocol-XXXXXX";
    int                      folder  = make_folder(path);
    uint64_t                 bytes;
    struct err               err;

    (void)state;
    assert_int_equal(symlinkat("/etc/passwd", folder, "out/link"), 0);
    assert_int_equal(mkfifoat(folder, "out/fifo", 0600), 0);
    assert_int_equal(symlinkat("/etc", folder, "out/sub"),
                     0); /* a folder on the way may be a link too */
    for (size_t i = 0; names[i]; i++) {
        err_clear(&err);
        assert_int_equal(protocol_open(folder, names[i], &bytes, &err), -1);
        assert_string_equal(err.sqlstate, "22023");
    }
    remove_folder(folder, path, (const char *const[]) { "out/link", "out/fifo", NULL });
}

static void a_path_that_climbs_out_is_refused_by_the_kernel_too(void **state)
{
    char     path[] = "/tmp/kiln-protocol-XXXXXX";
    int      folder = make_folder(path);
    uint64_t bytes;

    (void)state;
    assert_int_equal(protocol_open(folder, "../../etc/passwd", &bytes, NULL), -1);
    assert_int_equal(protocol_open(folder, "/etc/passwd", &bytes, NULL), -1);
    remove_folder(folder, path, (const char *const[]) { NULL });
}

/* ---- probe ---- */

static void a_probe_names_types_and_may_leave_out_sizes(void **state)
{
    static const char sound[] =
        "{\"media_type\":\"audio\",\"content_type\":\"audio/mpeg\",\"bytes\":5,\"width\":null,\"duration_ms\":12}";
    struct arena         *arena = arena_open(1024);
    struct protocol_probe probe;

    (void)state;
    assert_true(protocol_parse_probe(arena, sound, strlen(sound), &probe, NULL));
    assert_string_equal(probe.media_type, "audio");
    assert_int_equal(probe.width, -1);
    assert_int_equal(probe.duration_ms, 12);
    assert_false(protocol_parse_probe(arena, "{}", 2, &probe, NULL));
    assert_false(protocol_parse_probe(arena, "", 0, &probe, NULL));
    arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exit_code_is_the_class),
        cmocka_unit_test(classes_have_the_names_that_sql_knows),
        cmocka_unit_test(progress_lines_are_read),
        cmocka_unit_test(a_long_label_is_cut_between_characters),
        cmocka_unit_test(other_lines_are_not_progress),
        cmocka_unit_test(what_is_not_text_is_cleaned),
        cmocka_unit_test(the_request_is_what_the_contract_says),
        cmocka_unit_test(media_without_id_or_key_is_refused),
        cmocka_unit_test(a_reply_without_files_is_fine),
        cmocka_unit_test(malformed_stdout_is_refused_with_a_sentence),
        cmocka_unit_test(more_than_64_files_are_refused),
        cmocka_unit_test(ids_replace_the_media_of_the_output),
        cmocka_unit_test(only_paths_below_out_are_taken),
        cmocka_unit_test(a_regular_file_is_opened),
        cmocka_unit_test(links_folders_pipes_and_nothing_are_refused),
        cmocka_unit_test(a_path_that_climbs_out_is_refused_by_the_kernel_too),
        cmocka_unit_test(a_probe_names_types_and_may_leave_out_sizes),
    };

    return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}
