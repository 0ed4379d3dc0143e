/* array_literal: array literals that PostgreSQL reads as what was meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/array_literal.h"

static void numbers_are_separated_by_commas(void **state)
{
    struct array_literal l = { 0 };

    (void)state;
    array_literal_begin(&l);
    array_literal_add_i64(&l, 1);
    array_literal_add_i64(&l, -9223372036854775807 - 1);
    array_literal_add_i64(&l, 9223372036854775807);
    assert_string_equal(array_literal_end(&l), "{1,-9223372036854775808,9223372036854775807}");
    array_literal_free(&l);
}

static void nothing_is_an_empty_array(void **state)
{
    struct array_literal l = { 0 };

    (void)state;
    array_literal_begin(&l);
    assert_string_equal(array_literal_end(&l), "{}");
    array_literal_free(&l);
}

static void quotes_and_backslashes_are_escaped_and_nothing_else(void **state)
{
    struct array_literal l = { 0 };

    (void)state;
    array_literal_begin(&l);
    array_literal_add(&l, "{\"a\":\"b\\n, {}\"}");
    array_literal_add(&l, "");
    array_literal_add(&l, "NULL");
    assert_string_equal(array_literal_end(&l),
                        "{\"{\\\"a\\\":\\\"b\\\\n, {}\\\"}\",\"\",\"NULL\"}");
    array_literal_free(&l);
}

static void a_second_use_begins_empty(void **state)
{
    struct array_literal l = { 0 };

    (void)state;
    array_literal_begin(&l);
    array_literal_add(&l, "first");
    array_literal_end(&l);
    array_literal_begin(&l);
    array_literal_add_i64(&l, 2);
    assert_string_equal(array_literal_end(&l), "{2}");
    array_literal_free(&l);
}

static void a_megabyte_of_quotes_fits(void **state)
{
    struct array_literal l      = { 0 };
    size_t               size   = 1 << 20;
    char                *quotes = malloc(size + 1);

    (void)state;
    memset(quotes, '"', size);
    quotes[size] = '\0';
    array_literal_begin(&l);
    array_literal_add(&l, quotes);
    array_literal_add(&l, quotes);
    assert_int_equal(strlen(array_literal_end(&l)), 2 * (2 * size + 2) + 3);
    array_literal_free(&l);
    free(quotes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_separated_by_commas),
        cmocka_unit_test(nothing_is_an_empty_array),
        cmocka_unit_test(quotes_and_backslashes_are_escaped_and_nothing_else),
        cmocka_unit_test(a_second_use_begins_empty),
        cmocka_unit_test(a_megabyte_of_quotes_fits),
    };

    return cmocka_run_group_tests_name("literal", tests, NULL, NULL);
}
