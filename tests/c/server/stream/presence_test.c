/* presence: SQL is told the difference, each once, and all of it anew where what was told may be
 * lost. */
#include "server/stream/presence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void takes(struct presence *presence, const char *came, const char *went, bool is_complete)
{
    struct presence_news news = presence_next(presence);

    assert_string_equal(news.came, came);
    assert_string_equal(news.went, went);
    assert_int_equal(news.is_complete, is_complete);
}

static void the_first_stream_comes_and_the_last_one_goes(void **state)
{
    struct presence *presence = presence_open();

    (void)state;
    assert_false(presence_has_news(presence));
    presence_enter(presence, 7);
    presence_enter(presence, 7);
    assert_true(presence_has_news(presence));
    takes(presence, "{7}", "{}", false);
    presence_leave(presence, 7);
    assert_false(presence_has_news(presence));
    presence_leave(presence, 7);
    takes(presence, "{}", "{7}", false);
    assert_false(presence_has_news(presence));
    presence_close(presence);
}

static void who_is_back_before_it_was_told_was_never_away(void **state)
{
    struct presence *presence = presence_open();

    (void)state;
    presence_enter(presence, 7);
    takes(presence, "{7}", "{}", false);
    presence_leave(presence, 7);
    presence_enter(presence, 7);
    takes(presence, "{}", "{}", false);
    presence_enter(presence, 8);
    presence_leave(presence, 8);
    takes(presence, "{}", "{}", false);
    assert_false(presence_has_news(presence));
    presence_leave(presence, 7);
    takes(presence, "{}", "{7}", false);
    presence_close(presence);
}

static void what_may_be_lost_is_told_anew_but_not_of_who_has_gone(void **state)
{
    struct presence *presence = presence_open();

    (void)state;
    presence_enter(presence, 7);
    presence_enter(presence, 8);
    takes(presence, "{8,7}", "{}", false);
    presence_leave(presence, 8);
    presence_resync(presence);
    assert_true(presence_has_news(presence));
    takes(presence, "{7}", "{}", true);
    assert_false(presence_has_news(presence));
    presence_leave(presence, 7);
    takes(presence, "{}", "{7}", false);
    presence_resync(presence);
    assert_true(presence_has_news(presence)); /* nobody is here, and that counts */
    takes(presence, "{}", "{}", true);
    presence_close(presence);
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
    struct presence *presence   = presence_open();
    size_t           statements = 0, told = 0, went = 0;

    (void)state;
    for (int64_t i = 0; i < 10000; i++)
        presence_enter(presence, INT64_MAX - i); /* the longest there are */
    for (; presence_has_news(presence); statements++)
        told += accounts_in(presence_next(presence).came);
    assert_int_equal(statements, 10);
    assert_int_equal(told, 10000);
    for (int64_t i = 0; i < 10000; i++)
        presence_leave(presence, INT64_MAX - i);
    while (presence_has_news(presence))
        went += accounts_in(presence_next(presence).went);
    assert_int_equal(went, 10000);
    presence_close(presence);
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
