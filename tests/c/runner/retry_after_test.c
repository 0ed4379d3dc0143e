/* retry_after: what providers write into Retry-After, and what they should not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pipeline_runner/http/retry_after.h"

#define NOW ((time_t)784111777) /* Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110 */

static void seconds_become_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(retry_after_ms("120", NOW), 120000);
    assert_int_equal(retry_after_ms(" 7 \r\n", NOW), 7000);
    assert_int_equal(retry_after_ms("0", NOW), 0);
}

static void the_three_date_forms_of_http_are_read(void **state)
{
    (void)state;
    assert_int_equal(retry_after_ms("Sun, 06 Nov 1994 08:50:07 GMT", NOW), 30000);
    assert_int_equal(retry_after_ms("Sunday, 06-Nov-94 08:50:07 GMT", NOW), 30000);
    assert_int_equal(retry_after_ms("Sun Nov  6 08:50:07 1994", NOW), 30000);
}

static void a_moment_gone_by_is_now(void **state)
{
    (void)state;
    assert_int_equal(retry_after_ms("Sun, 06 Nov 1994 08:00:00 GMT", NOW), 0);
}

static void nobody_parks_us_for_more_than_a_day(void **state)
{
    (void)state;
    assert_int_equal(retry_after_ms("31536000", NOW), 86400000);
    assert_int_equal(retry_after_ms("99999999999999999999999999999999", NOW), 86400000);
    assert_int_equal(retry_after_ms("Fri, 31 Dec 2099 23:59:59 GMT", NOW), 86400000);
}

static void anything_else_says_nothing(void **state)
{
    static const char *const values[] = { "",      " ",  "soon", "-5",   "1.5",
                                          "12abc", "5;", "+5",   "0x10", "Sun, 99 Foo" };

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_int_equal(retry_after_ms(values[i], NOW), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_become_milliseconds),
        cmocka_unit_test(the_three_date_forms_of_http_are_read),
        cmocka_unit_test(a_moment_gone_by_is_now),
        cmocka_unit_test(nobody_parks_us_for_more_than_a_day),
        cmocka_unit_test(anything_else_says_nothing),
    };

    return cmocka_run_group_tests_name("retry_after", tests, NULL, NULL);
}
