/* attachments: files out of replies, with every other byte as it was, and into requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "pipeline_runner/http/attachments.h"

static char   files[ATTACHMENTS_MAX][64];
static size_t nfiles, most_files;

static bool keep(void *ctx, size_t n, const void *data, size_t bytes, struct err *err)
{
    (void)ctx;
    if (n >= most_files) {
        err_set(err, "58030", "no room");
        return false;
    }
    snprintf(files[n], sizeof files[n], "%.*s", (int)bytes, (const char *)data);
    nfiles = n + 1;
    return true;
}

/* What is left of text; static. */
static const char *left(const char *pointers, const char *text)
{
    static char out[4096];
    json_t     *list  = json_loads(pointers, JSON_DECODE_ANY, NULL);
    char       *cut   = NULL;
    size_t      bytes = 0, count = 0;
    struct err  err = { 0 };

    nfiles     = 0;
    most_files = ATTACHMENTS_MAX;
    assert_true(
        attachments_extract(text, strlen(text), list, keep, NULL, &cut, &bytes, &count, &err));
    assert_int_equal(count, nfiles);
    assert_int_equal(strlen(cut), bytes);
    snprintf(out, sizeof out, "%s", cut);
    free(cut);
    json_decref(list);
    return out;
}

static void files_are_cut_out_and_numbered(void **state)
{
    (void)state;
    assert_string_equal(
        left("[\"/data/*/b64\"]", "{\"data\": [{\"b64\": \"aGk=\"}, {\"b64\":\"eW8\"}]}"),
        "{\"data\": [{\"b64\": {\"$file\": 0}}, {\"b64\":{\"$file\": 1}}]}");
    assert_string_equal(files[0], "hi");
    assert_string_equal(files[1], "yo");
    assert_string_equal(left("[\"/a\"]", "{\"a\":\"data:image/png;base64,aGk=\"}"),
                        "{\"a\":{\"$file\": 0}}");
    assert_string_equal(left("[\"/a\"]", "{\"a\":\"data:,h%69\"}"), "{\"a\":{\"$file\": 0}}");
    assert_string_equal(files[0], "hi");
    assert_string_equal(left("[\"\"]", " \"aGk=\" "), " {\"$file\": 0} ");
    assert_string_equal(left("[\"/1\"]", "[\"aGk=\",\"eW8=\"]"), "[\"aGk=\",{\"$file\": 0}]");
    assert_string_equal(left("[\"/a~1b~0\"]", "{\"a/b~\":\"aGk=\"}"), "{\"a/b~\":{\"$file\": 0}}");
}

static void their_order_is_that_of_the_pointers(void **state)
{
    (void)state;
    assert_string_equal(left("[\"/b\",\"/a\"]", "{\"a\":\"aGk=\",\"b\":\"eW8=\"}"),
                        "{\"a\":{\"$file\": 1},\"b\":{\"$file\": 0}}");
    assert_string_equal(files[0], "yo");
    assert_string_equal(left("[\"/a\",\"/*\",\"/a\"]", "{\"a\":\"aGk=\"}"),
                        "{\"a\":{\"$file\": 0}}");
}

static void every_other_byte_stays_as_it_was(void **state)
{
    static const char *const texts[] = {
        "{\"seed\":18446744073709551615,\"x\":1e400,\"y\":1.10,\"z\":-0,\"a\":\"aGk\"}",
        "{ \"a\" : \"no base64!\" , \"a\" : 7 }",
        "{\"a\":\"https://a.example/x.png\"}",
        "{\"a\":\"\"}",
        "{\"a\":\"a\"}",
        "{\"a\":\"aGk==\"}",
        "{\"a\":\"aG=k\"}",
        "{\"a\":null}",
        "{\"b\":{\"a\":\"aGk=\"}}",
        "{\"a\":\"aG\\u0000k\"}",
        "{\"a\":\"data:image/png;base64\"}",
        "{\"a\":\"data:image/png;base64,\"}",
    };

    (void)state;
    assert_string_equal(
        left("[\"/a\"]", texts[0]),
        "{\"seed\":18446744073709551615,\"x\":1e400,\"y\":1.10,\"z\":-0,\"a\":{\"$file\": 0}}");
    for (size_t i = 1; i < countof(texts); i++)
        assert_string_equal(left("[\"/a\", 7, null]", texts[i]), texts[i]);
    assert_string_equal(left("null", texts[0]), texts[0]);
}

static void what_is_no_json_is_left_alone(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "{\"a\":\"aGk=\"",
        "{\"a\":\"aGk=\"}}",
        "{\"a\":\"aGk=",
        "{\"a\" \"aGk=\"}",
        "{\"a\":\"aGk=\\",
        "[\"aGk=\"",
        "nothing",
        "{\"a\":\"aGk=\",}",
        "{a:\"aGk=\"}",
        "\xFF\xFE",
    };
    char deep[400];

    (void)state;
    for (size_t i = 0; i < countof(texts); i++)
        assert_string_equal(left("[\"/a\",\"/0\"]", texts[i]), texts[i]);
    memset(deep, '[', sizeof deep);
    deep[sizeof(deep) - 1] = '\0';
    assert_string_equal(left("[\"/a\"]", deep), deep);
}

static void files_beside_what_is_no_json_are_taken_all_the_same(void **state)
{
    (void)state;
    assert_string_equal(left("[\"/a\"]", "\xEF\xBB\xBF{\"x\":[NaN,-Infinity],\"a\":\"aGk=\"}"),
                        "\xEF\xBB\xBF{\"x\":[NaN,-Infinity],\"a\":{\"$file\": 0}}");
    assert_string_equal(files[0], "hi");
    assert_string_equal(left("[\"/a\"]", "{\"p\":\"\\ud83d\",\"a\":\"aGk=\"}"),
                        "{\"p\":\"\\ud83d\",\"a\":{\"$file\": 0}}");
    assert_string_equal(left("[\"/a\"]", "{\"a\":\"data:image/png;base64,aGk%3D\"}"),
                        "{\"a\":{\"$file\": 0}}");
    assert_string_equal(files[0], "hi");
    assert_string_equal(left("[\"/a\"]", "{\"a\":\"data:;base64,aGk%3\"}"),
                        "{\"a\":\"data:;base64,aGk%3\"}");
}

static void escapes_and_line_breaks_in_base64_are_read(void **state)
{
    (void)state;
    assert_string_equal(left("[\"/a\"]", "{\"a\":\"Pz8\\/\\nPz8\\u002f\"}"),
                        "{\"a\":{\"$file\": 0}}");
    assert_string_equal(files[0], "?"
                                  "?"
                                  "?"
                                  "?"
                                  "?"
                                  "?");
}

static void there_are_never_too_many(void **state)
{
    char       text[2000] = "", *end = text, *cut = NULL;
    json_t    *list = json_loads("[\"/*\"]", 0, NULL);
    size_t     bytes, count;
    struct err err = { 0 };

    (void)state;
    for (int i = 0; i <= ATTACHMENTS_MAX; i++)
        end += snprintf(end, 16, "%s\"aGk=\"", i ? "," : "[");
    snprintf(end, 16, "]");
    most_files = ATTACHMENTS_MAX;
    assert_false(
        attachments_extract(text, strlen(text), list, keep, NULL, &cut, &bytes, &count, &err));
    assert_string_equal(err.sqlstate, "22023");
    most_files = 1; /* and a disk that is full stops it */
    assert_false(attachments_extract("[\"aGk=\",\"aGk=\"]", 15, list, keep, NULL, &cut, &bytes,
                                     &count, &err));
    assert_string_equal(err.sqlstate, "58030");
    assert_null(cut);
    json_decref(list);
}

/* ---- into requests ---- */

static struct store *open_store(char *folder)
{
    char          url[128];
    struct err    err = { 0 };
    struct store *store;

    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof url, "file:%s", folder);
    store = store_open(url, &err);
    assert_non_null(store);
    return store;
}

static void put(struct store *store, const char *text, struct stored *stored)
{
    struct err           err    = { 0 };
    struct store_writer *writer = store_create(store, &err);

    assert_non_null(writer);
    assert_true(store_write(writer, text, strlen(text), &err));
    assert_true(store_commit(writer, stored, &err));
}

static void tokens_become_files(void **state)
{
    char          folder[] = "/tmp/take_test.XXXXXX", *out = NULL, command[64];
    struct store *store = open_store(folder);
    struct stored a, b;
    size_t        bytes;
    struct err    err = { 0 };
    json_t       *list;

    (void)state;
    put(store, "hi", &a);
    put(store, "hello", &b);
    list = json_pack("[{s:s,s:s,s:s,s:s},{s:s,s:s,s:s,s:s}]", "token", "kiln-file-1", "storage_key",
                     a.key, "content_type", "image/png", "as", "data_uri", "token", "kiln-file-2",
                     "storage_key", b.key, "content_type", "x\"y", "as", "base64");
    assert_true(attachments_fill(
        store, "{\"b\":\"kiln-file-2\",\"a\":\"kiln-file-1\",\"c\":\"kiln-file-1\"}", list, 1000,
        &out, &bytes, &err));
    assert_string_equal(
        out, "{\"b\":\"aGVsbG8=\",\"a\":\"data:image/png;base64,aGk=\",\"c\":\"data:image/"
             "png;base64,aGk=\"}");
    assert_int_equal(bytes, strlen(out));
    free(out);
    assert_true(attachments_fill(store, "plain", NULL, 10, &out, &bytes, &err));
    assert_string_equal(out, "plain");
    free(out);
    assert_false(attachments_fill(store, "kiln-file-2", list, 4, &out, &bytes, &err));
    assert_string_equal(err.sqlstate, "54000");
    assert_true(store_unlink(store, a.key, &err));
    assert_false(attachments_fill(store, "kiln-file-1", list, 1000, &out, &bytes, &err));
    assert_string_equal(err.sqlstate, "58P01");
    json_decref(list);
    store_close(store);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a folder of our own naming */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_cut_out_and_numbered),
        cmocka_unit_test(their_order_is_that_of_the_pointers),
        cmocka_unit_test(every_other_byte_stays_as_it_was),
        cmocka_unit_test(what_is_no_json_is_left_alone),
        cmocka_unit_test(escapes_and_line_breaks_in_base64_are_read),
        cmocka_unit_test(files_beside_what_is_no_json_are_taken_all_the_same),
        cmocka_unit_test(there_are_never_too_many),
        cmocka_unit_test(tokens_become_files),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("attachments", tests, NULL, NULL);
}
