/* audience: SQL is told the difference, each once, and all of it anew where what was told may be lost. */
#include "server/stream/audience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void takes(struct audience *audience, const char *came, const char *went, bool is_anew)
{
    struct audience_news news = audience_take(audience);

    assert_string_equal(news.came, came);
    assert_string_equal(news.went, went);
    assert_int_equal(news.is_anew, is_anew);
}

static void the_first_stream_comes_and_the_last_one_goes(void **state)
{
    struct audience *audience = audience_open();

    (void)state;
    assert_false(audience_has_news(audience));
    audience_enter(audience, 7);
    audience_enter(audience, 7);
    assert_true(audience_has_news(audience));
    takes(audience, "{7}", "{}", false);
    audience_leave(audience, 7);
    assert_false(audience_has_news(audience));
    audience_leave(audience, 7);
    takes(audience, "{}", "{7}", false);
    assert_false(audience_has_news(audience));
    audience_close(audience);
}

static void who_is_back_before_it_was_told_was_never_away(void **state)
{
    struct audience *audience = audience_open();

    (void)state;
    audience_enter(audience, 7);
    takes(audience, "{7}", "{}", false);
    audience_leave(audience, 7);
    audience_enter(audience, 7);
    takes(audience, "{}", "{}", false);
    audience_enter(audience, 8);
    audience_leave(audience, 8);
    takes(audience, "{}", "{}", false);
    assert_false(audience_has_news(audience));
    audience_leave(audience, 7);
    takes(audience, "{}", "{7}", false);
    audience_close(audience);
}

static void what_may_be_lost_is_told_anew_but_not_of_who_has_gone(void **state)
{
    struct audience *audience = audience_open();

    (void)state;
    audience_enter(audience, 7);
    audience_enter(audience, 8);
    takes(audience, "{8,7}", "{}", false);
    audience_leave(audience, 8);
    audience_forget(audience);
    assert_true(audience_has_news(audience));
    takes(audience, "{7}", "{}", true);
    assert_false(audience_has_news(audience));
    audience_leave(audience, 7);
    takes(audience, "{}", "{7}", false);
    audience_forget(audience);
    assert_true(audience_has_news(audience)); /* nobody is here, and that counts */
    takes(audience, "{}", "{}", true);
    audience_close(audience);
}

static size_t accounts_in(const char *list)
{
    size_t commas = 0;

    for (const char *at = list; *at; at++)
        commas += *at == ',';
    return strcmp(list, "{}") == 0 ? 0 : commas + 1;
}

static void ten_thousand_at_once_are_ten_statements(void **state)
{
    struct audience *audience   = audience_open();
    size_t           statements = 0, told = 0, went = 0;

    (void)state;
    for (int64_t i = 0; i < 10000; i++)
        audience_enter(audience, INT64_MAX - i); /* the longest there are */
    for (; audience_has_news(audience); statements++)
        told += accounts_in(audience_take(audience).came);
    assert_int_equal(statements, 10);
    assert_int_equal(told, 10000);
    for (int64_t i = 0; i < 10000; i++)
        audience_leave(audience, INT64_MAX - i);
    while (audience_has_news(audience))
        went += accounts_in(audience_take(audience).went);
    assert_int_equal(went, 10000);
    audience_close(audience);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_stream_comes_and_the_last_one_goes),
        cmocka_unit_test(who_is_back_before_it_was_told_was_never_away),
        cmocka_unit_test(what_may_be_lost_is_told_anew_but_not_of_who_has_gone),
        cmocka_unit_test(ten_thousand_at_once_are_ten_statements),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
