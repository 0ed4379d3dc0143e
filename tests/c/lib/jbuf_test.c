/* jbuf: what comes out is JSON whatever goes in; jansson is the judge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>

#include "lib/jbuf.h"

static void commas_and_nesting_are_right(void **state)
{
    struct jbuf j = { 0 };

    (void)state;
    jbuf_object(&j);
    jbuf_key(&j, "a");
    jbuf_array(&j);
    jbuf_i64(&j, 1);
    jbuf_object(&j);
    jbuf_end(&j);
    jbuf_array(&j);
    jbuf_end(&j);
    jbuf_bool(&j, true);
    jbuf_null(&j);
    jbuf_end(&j);
    jbuf_key(&j, "b");
    jbuf_i64s(&j, INT64_MIN);
    jbuf_key(&j, "c");
    jbuf_raw(&j, "{\"x\":[]}");
    jbuf_end(&j);
    assert_string_equal(
        jbuf_text(&j),
        "{\"a\":[1,{},[],true,null],\"b\":\"-9223372036854775808\",\"c\":{\"x\":[]}}");
    jbuf_free(&j);
}

static void every_byte_survives_or_becomes_a_replacement(void **state)
{
    (void)state;
    for (int first = 1; first < 256; first++) {
        char        text[4] = { (char)first, 'x', '"', '\0' };
        struct jbuf j       = { 0 };
        json_t     *json;

        jbuf_array(&j);
        jbuf_str(&j, text);
        jbuf_end(&j);
        json = json_loads(jbuf_text(&j), 0, NULL);
        assert_non_null(json);
        assert_string_equal(json_string_value(json_array_get(json, 0)),
                            first < 128 ? text : "\xef\xbf\xbdx\"");
        json_decref(json);
        jbuf_free(&j);
    }
}

static void utf8_is_told_from_what_only_looks_like_it(void **state)
{
    static const char *const good[] = {
        "", "a", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"
    };
    static const char *const bad[] = { "\x80",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xe0\x80\x80",
                                       "\xed\xa0\x80",
                                       "\xf0\x80\x80\x80",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xff",
                                       "\xe2\x82",
                                       "a\xc3" };

    (void)state;
    for (size_t i = 0; i < countof(good); i++)
        assert_true(jbuf_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < countof(bad); i++)
        assert_false(jbuf_is_utf8(bad[i], strlen(bad[i])));
}

static void numbers_that_json_cannot_say_are_null(void **state)
{
    struct jbuf j = { 0 };

    (void)state;
    jbuf_array(&j);
    jbuf_f64(&j, NAN);
    jbuf_f64(&j, -INFINITY);
    jbuf_f64(&j, 0.5);
    jbuf_end(&j);
    assert_string_equal(jbuf_text(&j), "[null,null,0.5]");
    jbuf_free(&j);
}

static void taken_text_is_the_callers(void **state)
{
    struct jbuf j = { 0 };
    char       *text;

    (void)state;
    jbuf_str(&j, NULL);
    text = jbuf_take(&j);
    assert_string_equal(text, "null");
    assert_string_equal(jbuf_text(&j), "");
    free(text);
}

static void a_reset_buffer_writes_from_the_start(void **state)
{
    struct jbuf j = { 0 };

    (void)state;
    jbuf_array(&j); /* left open: what a caller gave up half way */
    jbuf_reset(&j);
    jbuf_i64(&j, 5);
    assert_string_equal(jbuf_text(&j), "5");
    jbuf_free(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_nesting_are_right),
        cmocka_unit_test(every_byte_survives_or_becomes_a_replacement),
        cmocka_unit_test(utf8_is_told_from_what_only_looks_like_it),
        cmocka_unit_test(numbers_that_json_cannot_say_are_null),
        cmocka_unit_test(taken_text_is_the_callers),
        cmocka_unit_test(a_reset_buffer_writes_from_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
