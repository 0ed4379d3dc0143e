/* loop: order, and that nothing of a deleted owner is called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <signal.h>
#include <unistd.h>

#include "lib/loop.h"

struct fixture {
    struct loop *loop;
    char         trace[64];
};

static struct fixture fixture;

static void add(char c)
{
    size_t len = strlen(fixture.trace);

    fixture.trace[len]     = c;
    fixture.trace[len + 1] = '\0';
}

static int setup(void **state)
{
    struct err err;

    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    fixture.loop = loop_open(&err);
    return fixture.loop ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    loop_close(fixture.loop);
    return 0;
}

static void trace_ctx(void *ctx)
{
    add(*(char *)ctx);
}

static void stop(void *ctx)
{
    (void)ctx;
    loop_stop(fixture.loop);
}

static void timers_fire_in_order_of_time(void **state)
{
    static char       names[]   = "dbac";
    static const int  delays[]  = { 8, 3, 1, 5 };
    struct loop_timer timers[4] = { 0 }, end = { .on_time = stop };

    (void)state;
    for (int i = 0; i < 4; i++) {
        timers[i].on_time = trace_ctx;
        timers[i].ctx     = &names[i];
        loop_timer_set(fixture.loop, &timers[i], (uint64_t)delays[i]);
    }
    loop_timer_set(fixture.loop, &end, 15);
    loop_run(fixture.loop);
    assert_string_equal(fixture.trace, "abcd");
}

static void a_stopped_timer_stays_silent_whatever_its_place(void **state)
{
    static char       name      = 'x';
    struct loop_timer timers[9] = { 0 }, end = { .on_time = stop };

    (void)state;
    for (int i = 0; i < 9; i++) {
        timers[i].on_time = trace_ctx;
        timers[i].ctx     = &name;
        loop_timer_set(fixture.loop, &timers[i], (uint64_t)(1 + i * 7 % 9));
    }
    for (int i = 0; i < 9; i += 2)
        loop_timer_stop(fixture.loop, &timers[i]);
    loop_timer_stop(fixture.loop, &timers[0]); /* twice is fine */
    loop_timer_set(fixture.loop, &end, 20);
    loop_run(fixture.loop);
    assert_string_equal(fixture.trace, "xxxx");
}

static struct loop_timer again;
static int               rounds;

static void set_again(void *ctx)
{
    (void)ctx;
    add('t');
    if (++rounds == 3)
        loop_stop(fixture.loop);
    else
        loop_timer_set(fixture.loop, &again, 0);
}

static void a_timer_that_sets_itself_to_nothing_waits_for_the_next_turn(void **state)
{
    (void)state;
    rounds = 0;
    again  = (struct loop_timer) { .on_time = set_again };
    loop_timer_set(fixture.loop, &again, 0);
    loop_run(fixture.loop);
    assert_string_equal(fixture.trace, "ttt");
}

struct pair {
    struct loop_watch watch;
    struct pair      *other;
    char              name;
};

/* Whoever comes first deletes both. */
static void delete_both(void *ctx, uint32_t events)
{
    struct pair *pair = ctx;

    (void)events;
    add('e');
    loop_del(fixture.loop, &pair->watch);
    loop_del(fixture.loop, &pair->other->watch);
    loop_stop(fixture.loop);
}

static void a_deleted_watch_gets_no_event_of_the_same_turn(void **state)
{
    struct pair a, b;
    int         one[2], two[2];
    struct err  err;

    (void)state;
    assert_int_equal(pipe(one), 0);
    assert_int_equal(pipe(two), 0);
    a = (struct pair) { { .on_event = delete_both, .ctx = &a, .fd = -1 }, &b, 'a' };
    b = (struct pair) { { .on_event = delete_both, .ctx = &b, .fd = -1 }, &a, 'b' };
    assert_true(loop_add(fixture.loop, &a.watch, one[0], EPOLLIN, &err));
    assert_true(loop_add(fixture.loop, &b.watch, two[0], EPOLLIN, &err));
    assert_int_equal(write(one[1], "x", 1) + write(two[1], "x", 1), 2);
    loop_run(fixture.loop);
    assert_string_equal(fixture.trace, "e");
    for (int i = 0; i < 2; i++) {
        close(one[i]);
        close(two[i]);
    }
}

static void say(void *ctx, uint32_t events)
{
    (void)events;
    add(*(char *)ctx);
    loop_stop(fixture.loop);
}

/* What others close under us: its number goes to the next who opens something. */
static void a_watch_of_a_copy_leaves_the_number_s_next_owner_alone(void **state)
{
    static char       names[] = "on";
    struct loop_watch old     = { .on_event = say, .ctx = &names[0], .fd = -1 };
    struct loop_watch new     = { .on_event = say, .ctx = &names[1], .fd = -1 };
    int        first[2], second[2], held, number;
    struct err err;

    (void)state;
    assert_int_equal(pipe(first), 0);
    number = first[0];
    held   = dup(number); /* as a child would hold it */
    assert_true(loop_add_copy(fixture.loop, &old, number, EPOLLIN, &err));
    close(number);
    assert_int_equal(pipe(second), 0);
    assert_int_equal(second[0], number);
    assert_true(loop_add(fixture.loop, &new, number, EPOLLIN, &err));
    assert_int_equal(write(first[1], "x", 1), 1);
    loop_del(fixture.loop, &old);
    assert_int_equal(write(second[1], "x", 1), 1);
    loop_run(fixture.loop);
    assert_string_equal(fixture.trace, "n"); /* heard, and nothing of the old one */
    loop_del(fixture.loop, &new);
    for (int i = 0; i < 2; i++)
        close(second[i]);
    close(first[1]);
    close(held);
}

static void a_deferred_task_runs_once_a_turn_however_often_it_is_asked_for(void **state)
{
    static char       name = 'd';
    struct loop_task  task = { .on_turn_end = trace_ctx, .ctx = &name };
    struct loop_timer end  = { .on_time = stop };

    (void)state;
    loop_defer(fixture.loop, &task);
    loop_defer(fixture.loop, &task);
    loop_timer_set(fixture.loop, &end, 0);
    loop_run(fixture.loop);
    assert_string_equal(fixture.trace, "d");
}

static struct loop_task cycle[2];

static void defer_other(void *ctx)
{
    size_t which = (size_t)(uintptr_t)ctx;

    loop_defer(fixture.loop, &cycle[1 - which]);
}

static void tasks_that_defer_one_another_do_not_starve_timers(void **state)
{
    struct loop_timer end = { .on_time = stop };

    (void)state;
    for (size_t i = 0; i < 2; i++)
        cycle[i] = (struct loop_task) { .on_turn_end = defer_other, .ctx = (void *)(uintptr_t)i };
    loop_defer(fixture.loop, &cycle[0]);
    loop_timer_set(fixture.loop, &end, 5);
    loop_run(fixture.loop); /* ends: that is the claim */
}

static void a_cancelled_task_does_not_run(void **state)
{
    static char       names[] = "abc";
    struct loop_task  tasks[3];
    struct loop_timer end = { .on_time = stop };

    (void)state;
    for (int i = 0; i < 3; i++) {
        tasks[i] = (struct loop_task) { .on_turn_end = trace_ctx, .ctx = &names[i] };
        loop_defer(fixture.loop, &tasks[i]);
    }
    loop_defer_cancel(fixture.loop, &tasks[2]); /* the last: the list's end moves back */
    loop_defer_cancel(fixture.loop, &tasks[0]);
    loop_defer(fixture.loop, &tasks[2]);
    loop_timer_set(fixture.loop, &end, 0);
    loop_run(fixture.loop);
    assert_string_equal(fixture.trace, "bc");
}

static void on_signal(void *ctx, int signo)
{
    (void)ctx;
    add(signo == SIGTERM ? 'T' : 'C');
    loop_stop(fixture.loop);
}

static void signals_arrive_as_events(void **state)
{
    struct err err;

    (void)state;
    assert_true(loop_on_signal(fixture.loop, SIGTERM, on_signal, NULL, &err));
    assert_true(loop_on_signal(fixture.loop, SIGCHLD, on_signal, NULL, &err));
    raise(SIGTERM);
    loop_run(fixture.loop);
    assert_string_equal(fixture.trace, "T");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_in_order_of_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stopped_timer_stays_silent_whatever_its_place, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_timer_that_sets_itself_to_nothing_waits_for_the_next_turn,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_watch_of_a_copy_leaves_the_number_s_next_owner_alone,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_deleted_watch_gets_no_event_of_the_same_turn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_deferred_task_runs_once_a_turn_however_often_it_is_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(tasks_that_defer_one_another_do_not_starve_timers, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_task_does_not_run, setup, teardown),
        cmocka_unit_test_setup_teardown(signals_arrive_as_events, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
