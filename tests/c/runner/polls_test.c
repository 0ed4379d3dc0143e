/* polls: what is due is asked of providers, and the answers go home together. */
#include "tests/c/runner/fake_transfer.h"

#include "tests/c/runner/fake_link.h"
#include "pipeline_runner/call/polls.h"

struct world {
    struct runner runner;
    struct polls *polls;
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    nstopped            = 0;
    w->runner.loop      = loop_open(NULL);
    w->runner.runner_id = 11;
    fake_link_open(w->runner.loop);
    w->polls = polls_open(&w->runner);
    *state   = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    polls_close(w->polls);
    polls_close(NULL);
    assert_int_equal(nexchanges, 0);
    loop_close(w->runner.loop);
    free(w);
    return 0;
}

static void add(PGresult *result, const char *row)
{
    PQsetvalue(result, PQntuples(result), 0, (char *)(uintptr_t)row, (int)strlen(row));
}

static PGresult *due(size_t count)
{
    PGresult *result = rows(1);
    char      row[160];

    for (size_t i = 0; i < count; i++) {
        snprintf(
            row, sizeof row,
            "{\"call_id\":\"%zu\",\"kind\":\"poll\",\"request\":{\"url\":\"https://a.example/%zu\"}}",
            i + 1, i + 1);
        add(result, row);
    }
    return result;
}

static void what_is_due_is_asked_and_the_answers_go_home_together(void **state)
{
    struct sent *take, *tell;

    (void)state;
    take = await(ST_TAKE_POLLS);
    assert_string_equal(take->params[0], "11");
    assert_string_equal(take->params[1], "64");
    answer(take, due(2));
    assert_int_equal(nexchanges, 2);
    assert_string_equal(exchanges[0]->url, "https://a.example/1");
    assert_string_equal(exchanges[0]->method, "GET");
    assert_false(exchanges[0]->opt.is_once);
    reply(1, 200, "{\"state\":\"done\"}");
    break_off(0, "timeout", true);
    assert_null(asked(ST_POLL_ANSWERS)); /* a moment is waited for more of them */
    tell = await(ST_POLL_ANSWERS);
    assert_int_equal(count_of(ST_POLL_ANSWERS), 1);
    assert_non_null(strstr(tell->params[0], "\"call_id\":\"2\""));
    assert_non_null(strstr(tell->params[0], "\"status\":200"));
    assert_non_null(strstr(tell->params[0], "\"call_id\":\"1\""));
    assert_non_null(strstr(tell->params[0], "\"code\":\"timeout\""));
    answer(tell, one(""));
}

static void a_request_is_as_the_row_says_and_one_that_changes_something_is_sent_once(void **state)
{
    PGresult *result = rows(1);

    (void)state;
    add(result,
        "{\"call_id\":\"7\",\"kind\":\"cancel\",\"request\":{\"url\":\"https://a.example/stop\","
        "\"method\":\"PUT\",\"body\":\"{}\",\"timeout_ms\":1234,\"max_bytes\":99}}");
    answer(await(ST_TAKE_POLLS), result);
    assert_int_equal(nexchanges, 1);
    assert_string_equal(exchanges[0]->method, "PUT");
    assert_true(exchanges[0]->opt.is_once);
    assert_int_equal(exchanges[0]->opt.timeout_ms, 1234);
    assert_int_equal(exchanges[0]->opt.max_bytes, 99);
    assert_string_equal(exchanges[0]->opt.body, "{}");
    reply(0, 202, "");
    assert_non_null(strstr(await(ST_POLL_ANSWERS)->params[0], "\"kind\":\"cancel\""));
}

static void a_row_without_an_address_is_nobodys_request(void **state)
{
    PGresult *result = rows(1);

    (void)state;
    add(result, "no json");
    add(result, "{\"call_id\":\"1\",\"request\":{}}");
    add(result, "{\"request\":{\"url\":\"https://a.example/x\"}}");
    answer(await(ST_TAKE_POLLS), result);
    assert_int_equal(nexchanges, 1);
    reply(0, 200, "{}");
    assert_non_null(strstr(await(ST_POLL_ANSWERS)->params[0], "\"call_id\":\"0\""));
}

static void no_more_are_taken_than_there_is_room_for(void **state)
{
    struct sent *take;

    (void)state;
    answer(await(ST_TAKE_POLLS), due(64));
    assert_int_equal(nexchanges, 64);
    polls_wake(((struct world *)*state)->polls);
    turn(400);
    assert_null(asked(ST_TAKE_POLLS));
    for (int i = 0; i < 33; i++)
        reply(0, 200, "{}");
    turn(1); /* with half of them answered there is room: at once, not in a second */
    take = asked(ST_TAKE_POLLS);
    assert_non_null(take);
    assert_string_equal(take->params[1], "33");
}

static void a_large_batch_goes_home_before_its_moment_is_over(void **state)
{
    char *body = malloc(700001);

    (void)state;
    memset(body, 'x', 700000);
    body[700000] = '\0';
    answer(await(ST_TAKE_POLLS), due(2));
    reply(0, 200, body);
    assert_null(asked(ST_POLL_ANSWERS));
    reply(0, 200, body);
    assert_non_null(asked(ST_POLL_ANSWERS));
    free(body);
}

static void answers_that_cannot_be_told_are_dropped_and_asked_for_again_in_time(void **state)
{
    (void)state;
    answer(await(ST_TAKE_POLLS), due(2));
    reply(0, 200, "{}");
    fake_link.is_up = false;
    turn(200);
    fake_link.is_up = true;
    reply(0, 200, "{}");
    /* the second alone: the first is SQL's to hand out anew */
    assert_null(strstr(await(ST_POLL_ANSWERS)->params[0], "\"call_id\":\"1\""));
    refuse(asked(ST_POLL_ANSWERS), "22023");
}

static void nothing_is_taken_by_one_who_leaves_or_is_not_registered(void **state)
{
    struct world *w = *state;

    w->runner.runner_id = 0;
    turn(600);
    assert_null(asked(ST_TAKE_POLLS));
    w->runner.runner_id = 11;
    w->runner.drain     = DRAINING;
    polls_wake(w->polls);
    turn(600);
    assert_null(asked(ST_TAKE_POLLS));
    w->runner.drain = NOT_DRAINING;
    polls_wake(w->polls);
    await(ST_TAKE_POLLS);
}

static void a_refusal_is_no_end_and_a_call_that_was_accepted_wakes_it(void **state)
{
    struct world *w = *state;

    polls_wake(NULL);
    refuse(await(ST_TAKE_POLLS), "42501");
    polls_wake(w->polls);
    refuse(await(ST_TAKE_POLLS), "KN011");
    polls_wake(w->polls);
    polls_wake(w->polls); /* the second finds it awake */
    await(ST_TAKE_POLLS);
    assert_int_equal(count_of(ST_TAKE_POLLS), 1);
}

static void a_link_that_is_back_is_one_question(void **state)
{
    struct world *w = *state;

    answer(await(ST_TAKE_POLLS), due(0));
    runner_tell(&w->runner, RUNNER_REGISTERED);
    answer(await(ST_TAKE_POLLS), due(0));
    turn(1500);
    assert_null(asked(ST_TAKE_POLLS)); /* nothing was accepted here, so nothing is hurried for */
}

static void the_end_stops_what_is_under_way(void **state)
{
    struct world *w = *state;

    answer(await(ST_TAKE_POLLS), due(3));
    reply(1, 200, "{}"); /* from the middle of the list */
    polls_close(w->polls);
    assert_int_equal(nstopped, 2);
    w->polls = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest all[] = {
        TEST(what_is_due_is_asked_and_the_answers_go_home_together),
        TEST(a_request_is_as_the_row_says_and_one_that_changes_something_is_sent_once),
        TEST(a_row_without_an_address_is_nobodys_request),
        TEST(no_more_are_taken_than_there_is_room_for),
        TEST(a_large_batch_goes_home_before_its_moment_is_over),
        TEST(answers_that_cannot_be_told_are_dropped_and_asked_for_again_in_time),
        TEST(nothing_is_taken_by_one_who_leaves_or_is_not_registered),
        TEST(a_refusal_is_no_end_and_a_call_that_was_accepted_wakes_it),
        TEST(a_link_that_is_back_is_one_question),
        TEST(the_end_stops_what_is_under_way),
    };

    log_setup("polls_test", LOG_LEVEL_ERROR, true);
    return cmocka_run_group_tests_name("polls", all, NULL, NULL);
}
