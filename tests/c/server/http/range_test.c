/* range: which bytes of 1,000 a header asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "server/http/range.h"

static void check(const char *header, enum range_kind kind, uint64_t first, uint64_t last)
{
    uint64_t got_first = 0, got_last = 0;

    assert_int_equal(range_parse(header, 1000, &got_first, &got_last), kind);
    assert_int_equal(got_first, first);
    assert_int_equal(got_last, last);
}

static void single_ranges_are_honoured(void **state)
{
    (void)state;
    check("bytes=0-0", RANGE_PART, 0, 0);
    check("bytes=0-499", RANGE_PART, 0, 499);
    check("bytes=500-", RANGE_PART, 500, 999);
    check("bytes=-1", RANGE_PART, 999, 999);
    check("bytes=-5000", RANGE_PART, 0, 999);
    check("bytes=999-5000", RANGE_PART, 999, 999);
    check("Bytes= 1-2 ", RANGE_PART, 1, 2);
    check("bytes=0-99999999999999999999999", RANGE_PART, 0, 999);
    check("bytes=-18446744073709551616", RANGE_PART, 0, 999);
}

static void a_range_behind_the_end_cannot_be_satisfied(void **state)
{
    uint64_t first, last;

    (void)state;
    check("bytes=1000-", RANGE_UNSATISFIABLE, 0, 0);
    check("bytes=1000-2000", RANGE_UNSATISFIABLE, 0, 0);
    check("bytes=99999999999999999999999-", RANGE_UNSATISFIABLE, 0, 0);
    check("bytes=-0", RANGE_UNSATISFIABLE, 0, 0);
    assert_int_equal(range_parse("bytes=0-", 0, &first, &last), RANGE_UNSATISFIABLE);
    assert_int_equal(range_parse("bytes=-5", 0, &first, &last), RANGE_UNSATISFIABLE);
}

static void everything_else_means_the_whole(void **state)
{
    static const char *const odd[] = { "",           "bytes",     "bytes=",        "bytes=-",
                                       "bytes=a-b",  "bytes=5-2", "bytes=1-2,4-5", "items=1-2",
                                       "bytes=1-2x", "bytes=1",   "bytes=--1" };

    (void)state;
    check(NULL, RANGE_WHOLE, 0, 0);
    for (size_t i = 0; i < countof(odd); i++)
        check(odd[i], RANGE_WHOLE, 0, 0);
}

static void a_tag_is_found_in_a_list(void **state)
{
    (void)state;
    assert_true(range_etag_matches("\"abc\"", "\"abc\""));
    assert_true(range_etag_matches("W/\"abc\"", "\"abc\""));
    assert_true(range_etag_matches("\"x\", W/\"y\" ,\"abc\"", "\"abc\""));
    assert_true(range_etag_matches("*", "\"abc\""));
    assert_false(range_etag_matches("\"abcd\"", "\"abc\""));
    assert_false(range_etag_matches("abc", "\"abc\""));
    assert_false(range_etag_matches("", "\"abc\""));
    assert_false(range_etag_matches(NULL, "\"abc\""));
    assert_false(range_etag_matches("\"unended", "\"abc\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_ranges_are_honoured),
        cmocka_unit_test(a_range_behind_the_end_cannot_be_satisfied),
        cmocka_unit_test(everything_else_means_the_whole),
        cmocka_unit_test(a_tag_is_found_in_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
