/* pace: the wake-up discipline as claims that can be false. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pipeline_runner/dispatch/pace.h"

#define MS PACE_MS

static const uint64_t T0 = 1000 * MS;

/* Claims as often as pace says and finds nothing, until the claim due at or after `until`. */
static unsigned claim_in_vain(struct pace *pace, uint64_t until)
{
    unsigned claims = 0;

    while (pace->due_ns < until) {
        uint64_t now = pace->due_ns;

        pace_answered(pace, now, now, pace->is_idle, false);
        claims++;
    }
    return claims;
}

static void first_claim_is_due_at_once_and_asleep(void **state)
{
    struct pace pace;

    (void)state;
    pace_start(&pace, T0);
    assert_int_equal(pace.due_ns, T0);
    assert_true(pace.is_idle);
}

static void after_work_the_next_claim_is_a_millisecond_after_the_last_was_sent(void **state)
{
    struct pace pace;

    (void)state;
    pace_start(&pace, T0);
    pace_answered(&pace, T0, T0 + MS / 4, true, true);
    assert_int_equal(pace.due_ns, T0 + MS);
    assert_false(pace.is_idle);
}

static void a_slow_answer_does_not_put_the_next_claim_into_the_past(void **state)
{
    struct pace pace;

    (void)state;
    pace_start(&pace, T0);
    pace_answered(&pace, T0, T0 + 7 * MS, false, true);
    assert_int_equal(pace.due_ns, T0 + 7 * MS);
}

static void it_polls_each_millisecond_for_50_ms_after_work_and_not_longer(void **state)
{
    struct pace pace;
    unsigned    polls = 0;

    (void)state;
    pace_start(&pace, T0);
    pace_answered(&pace, T0, T0, true, true);
    while (!pace.is_idle) {
        uint64_t now = pace.due_ns;

        pace_answered(&pace, now, now, false, false);
        polls++;
        assert_in_range(polls, 1, 60);
    }
    assert_int_equal(polls, 50);
    assert_int_equal(pace.due_ns,
                     T0 + 50 * MS); /* the claim that marks it asleep follows at once */
}

static void asleep_it_looks_again_after_3_30_300_ms_and_then_each_second(void **state)
{
    static const uint64_t gaps[] = { 3, 30, 300, 1000, 1000, 1000 };
    struct pace           pace;

    (void)state;
    pace_start(&pace, T0);
    for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++) {
        uint64_t now = pace.due_ns;

        assert_true(pace.is_idle);
        pace_answered(&pace, now, now, true, false);
        assert_int_equal(pace.due_ns - now, gaps[i] * MS);
        assert_true(pace.is_idle);
    }
}

static void idle_for_an_hour_it_asks_once_a_second(void **state)
{
    struct pace pace;

    (void)state;
    pace_start(&pace, T0);
    assert_in_range(claim_in_vain(&pace, T0 + 3600 * (1000 * MS)), 3590, 3610);
}

static void a_notification_makes_a_claim_due_now_that_marks_it_asleep_again(void **state)
{
    struct pace pace;

    (void)state;
    pace_start(&pace, T0);
    claim_in_vain(&pace, T0 + 5000 * MS);
    pace_wake(&pace, T0 + 5000 * MS);
    assert_int_equal(pace.due_ns, T0 + 5000 * MS);
    assert_true(pace.is_idle);
    /* Another runner was faster: a few looks, not 50 ms of polling by each of them. */
    assert_in_range(claim_in_vain(&pace, T0 + 5100 * MS), 1, 4);
}

static void a_notification_does_not_put_an_awake_runner_to_sleep(void **state)
{
    struct pace pace;

    (void)state;
    pace_start(&pace, T0);
    pace_answered(&pace, T0, T0, true, true);
    pace_wake(&pace, T0 + MS / 2);
    assert_int_equal(pace.due_ns, T0 + MS / 2);
    assert_false(pace.is_idle);
}

static void a_claim_that_did_not_mark_it_asleep_is_followed_by_one_that_does(void **state)
{
    struct pace pace;

    (void)state;
    pace_start(&pace, T0);
    pace_answered(&pace, T0, T0, false, false);
    assert_int_equal(pace.due_ns, T0);
    assert_true(pace.is_idle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_claim_is_due_at_once_and_asleep),
        cmocka_unit_test(after_work_the_next_claim_is_a_millisecond_after_the_last_was_sent),
        cmocka_unit_test(a_slow_answer_does_not_put_the_next_claim_into_the_past),
        cmocka_unit_test(it_polls_each_millisecond_for_50_ms_after_work_and_not_longer),
        cmocka_unit_test(asleep_it_looks_again_after_3_30_300_ms_and_then_each_second),
        cmocka_unit_test(idle_for_an_hour_it_asks_once_a_second),
        cmocka_unit_test(a_notification_makes_a_claim_due_now_that_marks_it_asleep_again),
        cmocka_unit_test(a_notification_does_not_put_an_awake_runner_to_sleep),
        cmocka_unit_test(a_claim_that_did_not_mark_it_asleep_is_followed_by_one_that_does),
    };

    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
