/* err: one SQLSTATE, one sentence, never too long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "lib/err.h"

static void a_full_disk_has_its_own_code(void **state)
{
    struct err err;

    (void)state;
    errno = ENOSPC;
    err_errno(&err, "write", "a file");
    assert_string_equal(err.sqlstate, "53100");
    assert_string_equal(err.message, "cannot write a file: No space left on device");
    errno = EACCES;
    err_errno(&err, "open", "a file");
    assert_string_equal(err.sqlstate, "58030");
}

static void a_long_message_is_cut_and_ended(void **state)
{
    struct err err;
    char       text[2000];

    (void)state;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    err_set(&err, "XX000 and more", "%s", text);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
    assert_string_equal(err.sqlstate, "XX000");
}

static void a_sentence_that_is_cut_ends_after_a_word(void **state)
{
    char text[24];

    (void)state;
    err_format(text, sizeof(text), "must be one of %s", "a");
    assert_string_equal(text, "must be one of a");
    err_format(text, sizeof(text), "must be one of %s", "living, dining, bath");
    assert_string_equal(text, "must be one of…");
    err_format(text, sizeof(text), "%s", "日本語の文章です。日本語");
    assert_string_equal(text, "日本語の文章…");
}

static void a_class_is_a_prefix(void **state)
{
    struct err err;

    (void)state;
    err_set(&err, "08006", "lost");
    assert_true(err_is(&err, "08"));
    assert_true(err_is(&err, "08006"));
    assert_false(err_is(&err, "08003"));
    err_clear(&err);
    assert_false(err_is(&err, "08"));
    err_set(NULL, "08006", "nobody wants to know");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_has_its_own_code),
        cmocka_unit_test(a_long_message_is_cut_and_ended),
        cmocka_unit_test(a_sentence_that_is_cut_ends_after_a_word),
        cmocka_unit_test(a_class_is_a_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
