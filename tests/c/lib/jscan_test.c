/* jscan: what PostgreSQL would write out, or cannot hold, is refused by the name of its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "lib/jscan.h"

static void is_good(const char *text)
{
    struct err err = { 0 };

    if (!jscan_check(text, strlen(text), &err))
        fail_msg("%s: %s", text, err.message);
}

/* Refused, with one error of this field. */
static void is_wrong_at(const char *field, const char *text)
{
    struct err err = { 0 };
    json_t    *fields;

    if (jscan_check(text, strlen(text), &err))
        fail_msg("%s: let in", text);
    assert_string_equal(err.sqlstate, "KN003");
    fields = json_loads(err.detail, 0, NULL);
    assert_int_equal(json_array_size(fields), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(fields, 0), "field")),
                        field);
    json_decref(fields);
}

static void numbers_as_people_write_them_are_good(void **state)
{
    (void)state;
    is_good("{}");
    is_good("[0, -1, 1.5, 1e9, 1E+22, 2.5e-10, 1e99, 9223372036854775807]");
    is_good("{\"a\": 1234567890123456789012345678901234567890}");
    is_good(" 7 ");
}

static void a_number_with_a_big_exponent_is_refused_by_its_place(void **state)
{
    (void)state;
    is_wrong_at("", "1e100");
    is_wrong_at("/prompt", "{\"type\": \"image\", \"prompt\": 1e131071}");
    is_wrong_at("/prompt/2", "{\"prompt\": [1, {\"a\": [2]}, 1E+131071]}");
    is_wrong_at("/a/b/0/c", "{\"x\": [1, 2], \"a\": {\"y\": {}, \"b\": [{\"c\": -2e-300}]}}");
    is_wrong_at("/a", "{\"a\": 1e001}");
    is_wrong_at("/1", "[0, 12345678901234567890123456789012345678901]");
}

static void a_number_in_a_string_is_text(void **state)
{
    (void)state;
    is_good("{\"1e131071\": \"1e131071\", \"a\": \"\\\"1e131071\", \"b\": \"\\\\\"}");
    is_wrong_at("/c", "{\"b\": \"\\\\\", \"c\": 1e131071}");
}

static void a_character_that_no_text_holds_is_refused_by_its_place(void **state)
{
    (void)state;
    is_wrong_at("/prompt", "{\"prompt\": \"a\\u0000b\"}");
    is_wrong_at("/a/1", "{\"a\": [\"\", \"\\ud800\"]}");
    is_wrong_at("/a", "{\"a\": \"\\udc00\"}");
    is_wrong_at("/a", "{\"a\": \"\\ud800\\ud800\\udc00\"}");
    is_wrong_at("/a", "{\"a\": \"\\uD83Dx\"}");
    is_good("{\"a\": \"\\ud83d\\ude00 \\\\u0000 \\u00e9\"}");
}

static void of_a_name_the_object_is_told(void **state)
{
    (void)state;
    is_wrong_at("", "{\"a\\u0000\": 1}");
    is_wrong_at("/a", "{\"a\": {\"b\": 1, \"\\udfff\": 2}}");
}

static void a_pointer_is_as_in_rfc_6901(void **state)
{
    (void)state;
    is_wrong_at("/a~1b~0c/\xc3\xa9\xc3\xa9/\xf0\x9f\x98\x80\"",
                "{\"a/b~c\": {\"\\u00e9\xc3\xa9\": {\"\\ud83d\\ude00\\\"\": 1e999}}}");
}

static void a_long_pointer_is_cut_at_a_whole_character(void **state)
{
    char       text[4096] = "{\"";
    struct err err        = { 0 };

    (void)state;
    for (size_t i = 0; i < 500; i++)
        memcpy(text + 2 + 3 * i, "\xe6\x97\xa5", 4);
    memcpy(text + 1502, "\": 1e999}", sizeof "\": 1e999}");
    assert_false(jscan_check(text, strlen(text), &err));
    assert_non_null(strstr(err.detail, "\xe6\x97\xa5\xe2\x80\xa6\""));
}

static void depth_has_a_bound(void **state)
{
    char       text[4 * JSCAN_DEPTH] = "";
    struct err err                   = { 0 };

    (void)state;
    memset(text, '[', JSCAN_DEPTH);
    is_good(text);
    memset(text, '[', JSCAN_DEPTH + 1);
    assert_false(jscan_check(text, strlen(text), &err));
    assert_string_equal(err.sqlstate, "KN006");
}

static void what_is_no_json_is_survived(void **state)
{
    static const char *const texts[] = {
        "",     "\"",  "\"\\",  "\"\\u",        "\"\\u00", "{\"a\": \"\\ud8", "]]}",  "{,:,\"",
        "[1,]", "nul", "{1:2}", "\"\\ud800\\u", "-",       "}\"a\"",          ",,,,", "{\"a\"]"
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < countof(texts); i++) {
        size_t bytes = strlen(texts[i]);
        char  *copy  = malloc(bytes + 1); /* so that ASan sees one byte too many */

        memcpy(copy, texts[i], bytes);
        (void)!jscan_check(copy, bytes, &err);
        jscan_blank_numbers(copy, bytes);
        free(copy);
    }
}

static void a_huge_number_of_a_reply_becomes_an_empty_text(void **state)
{
    char text[] =
        "{\"id\": \"1e131071\", \"cost\": 1e131071, \"n\": [1e99, 1e100], \"url\": \"x\"}";
    json_t *json;

    (void)state;
    assert_true(jscan_has_huge_number(text, strlen(text)));
    jscan_blank_numbers(text, strlen(text));
    assert_false(jscan_has_huge_number(text, strlen(text)));
    json = json_loads(text, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json, "id")), "1e131071");
    assert_string_equal(json_string_value(json_object_get(json, "cost")), "");
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "n"), 1)), "");
    assert_string_equal(json_string_value(json_object_get(json, "url")), "x");
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_as_people_write_them_are_good),
        cmocka_unit_test(a_number_with_a_big_exponent_is_refused_by_its_place),
        cmocka_unit_test(a_number_in_a_string_is_text),
        cmocka_unit_test(a_character_that_no_text_holds_is_refused_by_its_place),
        cmocka_unit_test(of_a_name_the_object_is_told),
        cmocka_unit_test(a_pointer_is_as_in_rfc_6901),
        cmocka_unit_test(a_long_pointer_is_cut_at_a_whole_character),
        cmocka_unit_test(depth_has_a_bound),
        cmocka_unit_test(what_is_no_json_is_survived),
        cmocka_unit_test(a_huge_number_of_a_reply_becomes_an_empty_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
