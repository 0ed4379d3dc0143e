/* dispatch: claims, outcomes, leases, stop orders and the end of a runner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pipeline_runner/dispatch/heartbeat.h"
#include "pipeline_runner/dispatch/dispatch.h"
#include "pipeline_runner/dispatch/drain.h"
#include "pipeline_runner/dispatch/lease.h"
#include "tests/c/runner/fake_link.h"
#include "pipeline_runner/call/handlers.h"

static void add_task(PGresult *result, const char *task_id, const char *handler)
{
    const char *values[] = { task_id, "70",    "5",  "1",         "1",  "one",
                             "1",     handler, "{}", "{\"a\":1}", "[]", "5000" };
    int         row      = PQntuples(result);

    for (int i = 0; i < 12; i++)
        PQsetvalue(result, row, i, (char *)(uintptr_t)values[i], (int)strlen(values[i]));
}

static PGresult *tasks(const char *first, const char *second, const char *handler)
{
    PGresult *result = rows(12);

    if (first)
        add_task(result, first, handler);
    if (second)
        add_task(result, second, handler);
    return result;
}

/* ---- a runner with handlers of our own: `log` ends at once, `http` runs until it is told ---- */

static struct task *hanging[8];
static size_t       nhanging;

void call_start(struct task *task)
{
    hanging[nhanging++] = task;
}

void call_stop(struct task *task)
{
    task_fail(task, OUTCOME_CANCELLED, -1, "stopped");
}

struct world {
    struct runner runner;
    struct cfg    cfg;
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    nhanging               = 0;
    w->cfg.runner_drain_ms = 300;
    w->runner.cfg          = &w->cfg;
    w->runner.loop         = loop_open(NULL);
    w->runner.name         = "test";
    w->runner.slots        = 4;
    fake_link_open(w->runner.loop);
    w->runner.dispatch  = dispatch_open(&w->runner);
    w->runner.heartbeat = heartbeat_open(&w->runner);
    dispatch_link_up(w->runner.dispatch);
    answer(await(ST_REGISTER), one("11"));
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    lose_link();
    heartbeat_close(w->runner.heartbeat);
    dispatch_close(w->runner.dispatch);
    loop_close(w->runner.loop);
    free(w);
    return 0;
}

static struct dispatch *of(void **state)
{
    return ((struct world *)*state)->runner.dispatch;
}

/* ---- claims ---- */

static void the_first_claim_asks_for_all_slots_and_marks_asleep(void **state)
{
    struct sent *cycle = await(ST_CYCLE);

    (void)state;
    assert_string_equal(cycle->params[0], "11");
    assert_string_equal(cycle->params[1], "{}");
    assert_string_equal(cycle->params[4], "4");
    assert_string_equal(cycle->params[5], "{}");
    assert_string_equal(cycle->params[6], "t");
}

static void outcomes_go_with_the_next_claim_and_their_slots_are_asked_for(void **state)
{
    struct sent *cycle;

    (void)state;
    answer(await(ST_CYCLE), tasks("1", "2", "log"));
    cycle = await(ST_CYCLE);
    assert_string_equal(cycle->params[1], "{1,2}");
    assert_string_equal(cycle->params[2], "{70,70}");
    assert_string_equal(cycle->params[3], "{\"{\\\"a\\\":1}\",\"{\\\"a\\\":1}\"}");
    assert_string_equal(cycle->params[4], "4");
    assert_string_equal(cycle->params[6], "f");
    assert_int_equal(slots_in_use(of(state)), 2); /* until the database has taken them */
    answer(cycle, tasks(NULL, NULL, NULL));
    assert_int_equal(slots_in_use(of(state)), 0);
}

static void what_runs_is_named_busy_and_its_slots_are_not_asked_for(void **state)
{
    struct sent *cycle;

    (void)state;
    answer(await(ST_CYCLE), tasks("1", "2", "http"));
    cycle = await(ST_CYCLE);
    assert_string_equal(cycle->params[4], "2");
    assert_string_equal(cycle->params[5], "{1,1}");
}

static void with_all_slots_taken_nothing_is_claimed(void **state)
{
    (void)state;
    answer(await(ST_CYCLE), tasks("1", "2", "http"));
    answer(await(ST_CYCLE), tasks("3", "4", "http"));
    turn(100);
    assert_null(asked(ST_CYCLE));
    task_done(hanging[0], "{}");
    assert_string_equal(await(ST_CYCLE)->params[4], "1");
}

static void outcomes_of_a_moment_go_together(void **state)
{
    (void)state;
    answer(await(ST_CYCLE), tasks("1", "2", "http"));
    answer(await(ST_CYCLE), tasks("3", "4", "http"));
    task_done(hanging[0], "{}");
    task_done(hanging[2], "{}");
    assert_string_equal(await(ST_CYCLE)->params[1], "{1,3}");
}

static void a_handler_nobody_has_fails_as_invalid_and_is_named(void **state)
{
    struct sent *fail;

    answer(await(ST_CYCLE), tasks("1", NULL, "sing"));
    fail = await(ST_FAIL);
    assert_string_equal(fail->params[2], "invalid");
    assert_non_null(strstr(fail->params[3], "\"sing\""));
    assert_string_equal(fail->params[4], "-");
    answer(fail, one("failed"));
    assert_int_equal(slots_in_use(of(state)), 0);
}

/* ---- errors ---- */

static void a_stale_completion_is_found_by_sending_each_alone(void **state)
{
    struct sent *first, *second;

    answer(await(ST_CYCLE), tasks("1", "2", "log"));
    refuse(await(ST_CYCLE), "KN010");
    first = await(ST_COMPLETE);
    assert_string_equal(first->params[0], "1");
    refuse(first, "KN010");
    second = await(ST_COMPLETE);
    assert_string_equal(second->params[0], "2");
    answer(second, one(""));
    assert_int_equal(slots_in_use(of(state)), 0);
    assert_string_equal(await(ST_CYCLE)->params[1], "{}");
}

static void an_output_that_cannot_be_stored_fails_as_invalid(void **state)
{
    answer(await(ST_CYCLE), tasks("1", NULL, "log"));
    refuse(await(ST_CYCLE), "22P05");
    refuse(await(ST_COMPLETE), "22P05");
    assert_string_equal(await(ST_FAIL)->params[2], "invalid");
    answer(await(ST_FAIL), one("failed"));
    assert_int_equal(slots_in_use(of(state)), 0);
}

static void a_lock_timeout_is_tried_again_as_it_was(void **state)
{
    (void)state;
    answer(await(ST_CYCLE), tasks("1", NULL, "log"));
    refuse(await(ST_CYCLE), "55P03");
    assert_string_equal(await(ST_CYCLE)->params[1], "{1}");
}

static void an_unknown_runner_registers_again_and_drops_what_it_ran(void **state)
{
    answer(await(ST_CYCLE), tasks("1", NULL, "http"));
    refuse(await(ST_CYCLE), "KN011");
    turn(5);
    assert_int_equal(slots_in_use(of(state)), 0);
    assert_null(asked(ST_FAIL));
    answer(await(ST_REGISTER), one("12"));
    assert_string_equal(await(ST_CYCLE)->params[0], "12");
}

/* ---- a machine that cannot work ---- */

static void a_fault_of_the_machine_is_no_attempt_and_claims_pause(void **state)
{
    struct dispatch *d = of(state);

    answer(await(ST_CYCLE), tasks("1", "2", "http"));
    answer(await(ST_CYCLE), tasks(NULL, NULL, NULL));
    turn(5);
    if (asked(ST_CYCLE)) /* it was on its way already */
        answer(asked(ST_CYCLE), tasks(NULL, NULL, NULL));
    task_unable(hanging[0], "it cannot sing", "cannot open /secret: no");
    assert_string_equal(await(ST_RELEASE)->params[2], "the runner cannot work: it cannot sing");
    answer(asked(ST_RELEASE), one(""));
    turn(100);
    assert_null(asked(ST_CYCLE));
    assert_null(asked(ST_FAIL));
    task_done(hanging[1], "{}"); /* what is done comes home all the same */
    assert_string_equal(await(ST_CYCLE)->params[1], "{2}");
    assert_string_equal(asked(ST_CYCLE)->params[4], "0");
    answer(asked(ST_CYCLE), tasks(NULL, NULL, NULL));
    turn(50);
    assert_null(asked(ST_CYCLE));
    d->claim_hold_ns = base_now_ns() + 50 * PACE_MS;
    slots_wake(d);
    assert_string_equal(await(ST_CYCLE)->params[4], "4");
}

static void the_pause_grows_until_work_succeeds(void **state)
{
    static const uint64_t seconds[] = { 2, 4, 8, 16, 30, 30 };
    struct dispatch      *d         = of(state);

    for (size_t i = 0; i < countof(seconds); i++) {
        d->claim_hold_ns = 0;
        dispatch_task_owner.on_machine(&d->slots[0], false);
        dispatch_task_owner.on_machine(&d->slots[0], false); /* the same fault met another task */
        assert_int_equal(d->claim_pause_ns, seconds[i] * 1000 * PACE_MS);
        assert_true(d->claim_hold_ns > base_now_ns() + (seconds[i] - 1) * 1000 * PACE_MS);
    }
    dispatch_task_owner.on_machine(&d->slots[0], true);
    d->claim_hold_ns = 0;
    dispatch_task_owner.on_machine(&d->slots[0], false);
    assert_int_equal(d->claim_pause_ns, 2000 * PACE_MS);
}

/* ---- the link ---- */

static void results_wait_in_their_slots_while_the_database_is_away(void **state)
{
    struct dispatch *d = of(state);

    answer(await(ST_CYCLE), tasks("1", "2", "http"));
    lose_link();
    task_done(hanging[0], "{\"kept\":true}");
    task_fail(hanging[1], OUTCOME_REFUSED, -1, "no");
    turn(30);
    assert_int_equal(slots_in_use(d), 2);
    fake_link.is_up = true;
    dispatch_link_up(d);
    assert_string_equal(await(ST_FAIL)->params[2], "refused");
    if (asked(ST_REGISTER))
        answer(asked(ST_REGISTER), one("12"));
    assert_string_equal(await(ST_CYCLE)->params[3], "{\"{\\\"kept\\\":true}\"}");
}

/* If the claim was committed, tasks stand under the old id of which we know nothing. */
static void a_claim_whose_answer_was_lost_ends_that_registration(void **state)
{
    struct dispatch *d = of(state);

    await(ST_CYCLE);
    lose_link();
    fake_link.is_up = true;
    dispatch_link_up(d);
    answer(await(ST_REGISTER), one("12"));
    assert_string_equal(await(ST_UNREGISTER)->params[0], "11");
}

static void but_not_before_what_is_known_to_run_under_it_has_ended(void **state)
{
    struct dispatch *d = of(state);
    int64_t          ids[OLD_LEASES + 1];

    answer(await(ST_CYCLE), tasks("1", NULL, "http"));
    await(ST_CYCLE);
    lose_link();
    fake_link.is_up = true;
    dispatch_link_up(d);
    answer(await(ST_REGISTER), one("12"));
    turn(20);
    assert_null(asked(ST_UNREGISTER));
    assert_int_equal(lease_ids(d, ids), 2); /* heartbeats go out for both */
    assert_int_equal(ids[0], 12);
    assert_int_equal(ids[1], 11);
    task_fail(hanging[0], OUTCOME_TRANSIENT, -1, "x");
    answer(await(ST_FAIL), one("waiting"));
    assert_string_equal(await(ST_UNREGISTER)->params[0], "11");
    assert_int_equal(lease_ids(d, ids), 1);
}

/* ---- stop orders ---- */

static void a_cancelled_task_is_stopped_and_reported_so(void **state)
{
    struct dispatch *d = of(state);

    answer(await(ST_CYCLE), tasks("1", NULL, "http"));
    task_stop(slots_find(d, 1, 70), STOP_CANCELLED);
    assert_string_equal(await(ST_FAIL)->params[2], "cancelled");
}

static void a_lost_task_is_stopped_and_not_reported(void **state)
{
    struct dispatch *d = of(state);

    answer(await(ST_CYCLE), tasks("1", NULL, "http"));
    task_stop(slots_find(d, 1, 70), STOP_LOST);
    turn(20);
    assert_null(asked(ST_FAIL));
    assert_int_equal(slots_in_use(d), 0);
}

static void an_order_for_another_fence_is_for_another_claim(void **state)
{
    answer(await(ST_CYCLE), tasks("1", NULL, "http"));
    assert_null(slots_find(of(state), 1, 69));
    assert_non_null(slots_find(of(state), 1, 70));
}

/* ---- progress ---- */

static void progress_is_sent_twice_a_second_and_the_last_wins(void **state)
{
    (void)state;
    answer(await(ST_CYCLE), tasks("1", NULL, "http"));
    for (int i = 0; i <= 10; i++)
        task_progress(hanging[0], i / 10.0, "busy");
    assert_int_equal(count_of(ST_PROGRESS), 1);
    turn(600);
    assert_int_equal(count_of(ST_PROGRESS), 2);
    answer(asked(ST_PROGRESS), one(""));
    assert_string_equal(asked(ST_PROGRESS)->params[2], "1.0000");
}

static void stale_progress_ends_the_work(void **state)
{
    answer(await(ST_CYCLE), tasks("1", NULL, "http"));
    task_progress(hanging[0], 0.5, "busy");
    refuse(await(ST_PROGRESS), "KN010");
    turn(5);
    assert_int_equal(slots_in_use(of(state)), 0);
}

/* The answer carries no name: another task in that slot would be taken for the stale one. */
static void a_slot_is_not_given_away_while_an_answer_about_it_is_to_come(void **state)
{
    struct dispatch *d = of(state);

    answer(await(ST_CYCLE), tasks("1", NULL, "http"));
    task_progress(hanging[0], 0.5, "busy");
    task_stop(hanging[0], STOP_LOST);
    turn(5);
    assert_int_equal(slots_in_use(d), 1);
    answer(await(ST_PROGRESS), one(""));
    assert_int_equal(slots_in_use(d), 0);
}

/* ---- the end ---- */

static void draining_claims_nothing_and_signs_off_after_the_last(void **state)
{
    struct dispatch *d = of(state);
    struct sent     *cycle;

    answer(await(ST_CYCLE), tasks("1", NULL, "http"));
    answer(await(ST_CYCLE), tasks(NULL, NULL, NULL));
    drain(d);
    turn(20);
    task_done(hanging[0], "{}");
    cycle = await(ST_CYCLE);
    assert_string_equal(cycle->params[4], "0");
    answer(cycle, tasks(NULL, NULL, NULL));
    assert_string_equal(await(ST_UNREGISTER)->params[0], "11");
}

static void after_the_drain_time_what_runs_is_handed_back(void **state)
{
    struct dispatch *d = of(state);

    answer(await(ST_CYCLE), tasks("1", NULL, "http"));
    answer(await(ST_CYCLE), tasks(NULL, NULL, NULL));
    drain(d);
    turn(200);
    assert_null(asked(ST_RELEASE));
    assert_string_equal(await(ST_RELEASE)->params[0], "1");
}

static void a_second_order_hands_back_at_once(void **state)
{
    struct dispatch *d = of(state);

    answer(await(ST_CYCLE), tasks("1", NULL, "http"));
    answer(await(ST_CYCLE), tasks(NULL, NULL, NULL));
    drain(d);
    drain(d);
    turn(5);
    assert_non_null(asked(ST_RELEASE));
}

static void with_once_two_empty_claims_end_it(void **state)
{
    struct world *w = *state;

    w->runner.is_once = true;
    answer(await(ST_CYCLE), tasks(NULL, NULL, NULL));
    answer(await(ST_CYCLE), tasks(NULL, NULL, NULL));
    assert_non_null(await(ST_UNREGISTER));
}

static void heartbeats_are_for_this_runner_and_their_orders_are_obeyed(void **state)
{
    PGresult *orders = rows(3);

    (void)state;
    answer(await(ST_CYCLE), tasks("1", NULL, "http"));
    PQsetvalue(orders, 0, 0, "1", 1);
    PQsetvalue(orders, 0, 1, "70", 2);
    PQsetvalue(orders, 0, 2, "cancelled", 9);
    assert_string_equal(await(ST_HEARTBEAT)->params[0], "11");
    answer(asked(ST_HEARTBEAT), orders);
    assert_string_equal(await(ST_FAIL)->params[2], "cancelled");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest all[] = {
        TEST(the_first_claim_asks_for_all_slots_and_marks_asleep),
        TEST(outcomes_go_with_the_next_claim_and_their_slots_are_asked_for),
        TEST(what_runs_is_named_busy_and_its_slots_are_not_asked_for),
        TEST(with_all_slots_taken_nothing_is_claimed),
        TEST(outcomes_of_a_moment_go_together),
        TEST(a_handler_nobody_has_fails_as_invalid_and_is_named),
        TEST(a_stale_completion_is_found_by_sending_each_alone),
        TEST(an_output_that_cannot_be_stored_fails_as_invalid),
        TEST(a_lock_timeout_is_tried_again_as_it_was),
        TEST(an_unknown_runner_registers_again_and_drops_what_it_ran),
        TEST(a_fault_of_the_machine_is_no_attempt_and_claims_pause),
        TEST(the_pause_grows_until_work_succeeds),
        TEST(results_wait_in_their_slots_while_the_database_is_away),
        TEST(a_claim_whose_answer_was_lost_ends_that_registration),
        TEST(but_not_before_what_is_known_to_run_under_it_has_ended),
        TEST(a_cancelled_task_is_stopped_and_reported_so),
        TEST(a_lost_task_is_stopped_and_not_reported),
        TEST(an_order_for_another_fence_is_for_another_claim),
        TEST(progress_is_sent_twice_a_second_and_the_last_wins),
        TEST(stale_progress_ends_the_work),
        TEST(a_slot_is_not_given_away_while_an_answer_about_it_is_to_come),
        TEST(draining_claims_nothing_and_signs_off_after_the_last),
        TEST(after_the_drain_time_what_runs_is_handed_back),
        TEST(a_second_order_hands_back_at_once),
        TEST(with_once_two_empty_claims_end_it),
        TEST(heartbeats_are_for_this_runner_and_their_orders_are_obeyed),
    };

    log_setup("dispatch_test", LOG_LEVEL_ERROR, true);
    return cmocka_run_group_tests_name("dispatch", all, NULL, NULL);
}
