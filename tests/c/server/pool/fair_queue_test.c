/* fair_queue: which entry goes next, and which is refused. Costs are given, so nothing here
 * depends on a clock. */
#include "server/pool/fair_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MANY 600

static struct {
    struct fair_queue *queue;
    struct fair_entry  entry[MANY];
    char               name[MANY]; /* of the owner */
    size_t             count;
} t;

static void begin(struct fair_queue_bounds bounds)
{
    memset(&t, 0, sizeof(t));
    t.queue = fair_queue_open(&bounds);
}

static enum fair_queue_answer join(char owner)
{
    t.name[t.count] = owner;
    return fair_queue_join(t.queue, &t.entry[t.count++], (uint64_t)owner, 100, 5000);
}

static struct fair_entry *start(void)
{
    struct fair_entry *entry = fair_queue_first(t.queue);

    if (entry)
        fair_queue_start(t.queue, entry);
    return entry;
}

static char name_of(const struct fair_entry *entry)
{
    return entry ? t.name[entry - t.entry] : '-';
}

/* One after the other, each for cost_us; the owners in the order in which they were served. */
static const char *serve(size_t count, uint64_t cost_us)
{
    static char order[MANY];

    for (size_t i = 0; i < count; i++) {
        struct fair_entry *entry = start();
        order[i]                 = name_of(entry);
        if (entry)
            fair_queue_end(t.queue, entry, cost_us);
    }
    order[count] = '\0';
    return order;
}

static void finish(void)
{
    struct fair_entry *entry;

    while ((entry = start()))
        fair_queue_end(t.queue, entry, 1);
    assert_int_equal(fair_queue_waiting(t.queue), 0);
    assert_int_equal(fair_queue_under_way(t.queue), 0);
    fair_queue_close(t.queue);
}

static void one_owner_is_served_in_the_order_of_coming(void **state)
{
    (void)state;
    begin((struct fair_queue_bounds) { 1, 0, 100, 100 });
    for (int i = 0; i < 5; i++)
        assert_int_equal(join('a'), FAIR_QUEUE_JOINED);
    for (int i = 0; i < 5; i++) {
        struct fair_entry *entry = start();
        assert_ptr_equal(entry, &t.entry[i]);
        assert_null(fair_queue_first(t.queue)); /* one at a time */
        fair_queue_end(t.queue, entry, 50);
    }
    finish();
}

static void owners_that_all_want_everything_take_turns(void **state)
{
    (void)state;
    begin((struct fair_queue_bounds) { 4, 0, 100, 100 });
    for (int i = 0; i < 4; i++)
        assert_int_equal(join('a'), FAIR_QUEUE_JOINED);
    for (int i = 0; i < 4; i++)
        assert_int_equal(join('b'), FAIR_QUEUE_JOINED);
    assert_string_equal(serve(8, 1000), "abababab");
    finish();
}

static void who_comes_after_sixty_four_of_another_is_next(void **state)
{
    (void)state;
    begin((struct fair_queue_bounds) { 4, 0, 100, 100 });
    for (int i = 0; i < 64; i++)
        assert_int_equal(join('a'), FAIR_QUEUE_JOINED);
    assert_string_equal(serve(3, 200000), "aaa");
    assert_int_equal(join('b'), FAIR_QUEUE_JOINED);
    assert_string_equal(serve(3, 1000), "baa");
    finish();
}

static void who_uses_little_goes_before_eight_who_use_much(void **state)
{
    (void)state;
    begin((struct fair_queue_bounds) { 1, 0, 100, 1000 });
    for (int owner = 'a'; owner <= 'h'; owner++)
        for (int i = 0; i < 20; i++)
            assert_int_equal(join((char)owner), FAIR_QUEUE_JOINED);
    for (uint64_t i = 0; i < 40; i++)
        serve(1, 9000 + i % 8 * 200);
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(join('x'), FAIR_QUEUE_JOINED);
        assert_string_equal(serve(1, 100), "x");
        for (uint64_t k = 0; k < 3; k++)
            serve(1, 9000 + (3 * i + k) % 8 * 200);
    }
    finish();
}

/* A loop that asks again once it is answered never has a queue; its debt is remembered all the
 * same. */
static void who_comes_back_at_once_still_owes_what_it_used(void **state)
{
    (void)state;
    begin((struct fair_queue_bounds) { 1, 0, 100, 100 });
    assert_int_equal(join('b'), FAIR_QUEUE_JOINED);
    assert_int_equal(join('a'), FAIR_QUEUE_JOINED);
    assert_string_equal(serve(2, 100), "ba");
    assert_int_equal(join('a'), FAIR_QUEUE_JOINED);
    assert_string_equal(serve(1, 500000), "a");
    assert_int_equal(join('b'), FAIR_QUEUE_JOINED);
    assert_string_equal(serve(1, 100), "b");
    assert_int_equal(join('a'), FAIR_QUEUE_JOINED);
    assert_int_equal(join('b'), FAIR_QUEUE_JOINED);
    assert_string_equal(serve(2, 100), "ba");
    finish();
}

static void a_debt_ends_after_a_second_of_the_others(void **state)
{
    size_t served = 0;

    (void)state;
    begin((struct fair_queue_bounds) { 1, 0, 500, 500 });
    assert_int_equal(join('a'), FAIR_QUEUE_JOINED);
    serve(1, UINT64_C(3600000000));
    assert_int_equal(join('a'), FAIR_QUEUE_JOINED);
    for (int i = 0; i < 200; i++)
        assert_int_equal(join('b'), FAIR_QUEUE_JOINED);
    while (serve(1, 10000)[0] == 'b')
        served++;
    assert_in_range(served, 1, 101);
    finish();
}

static void an_owner_has_no_more_under_way_than_it_may(void **state)
{
    struct fair_entry *under_way[4];

    (void)state;
    begin((struct fair_queue_bounds) { 3, 0, 100, 100 });
    for (int i = 0; i < 10; i++)
        assert_int_equal(join('a'), FAIR_QUEUE_JOINED);
    for (int i = 0; i < 3; i++)
        assert_non_null(under_way[i] = start());
    assert_null(fair_queue_first(t.queue));
    assert_int_equal(join('b'), FAIR_QUEUE_JOINED);
    assert_int_equal(name_of(under_way[3] = start()), 'b');
    fair_queue_end(t.queue, under_way[0], 10);
    assert_int_equal(name_of(fair_queue_first(t.queue)), 'a');
    for (int i = 1; i < 4; i++)
        fair_queue_end(t.queue, under_way[i], 10);
    finish();
}

static void who_is_slow_has_one_under_way_and_who_is_quick_has_many(void **state)
{
    struct fair_entry *under_way[16];
    size_t             quick = 0;

    (void)state;
    begin((struct fair_queue_bounds) { 64, 1000, 100, 1000 });
    for (int i = 0; i < 60; i++)
        assert_int_equal(join('s'), FAIR_QUEUE_JOINED);
    serve(20, 20000);
    while (fair_queue_first(t.queue) && quick < 16)
        under_way[quick++] = start();
    for (size_t i = 0; i < quick; i++)
        fair_queue_end(t.queue, under_way[i], 20000);
    assert_in_range(quick, 1, 10); /* these were asked for before it was known to be slow */
    while (fair_queue_first(t.queue))
        serve(1, 20000);
    for (int i = 0; i < 5; i++)
        assert_int_equal(join('s'), FAIR_QUEUE_JOINED);
    under_way[0] = start();
    assert_null(fair_queue_first(t.queue));
    for (int i = 0; i < 20; i++)
        assert_int_equal(join('q'), FAIR_QUEUE_JOINED);
    for (quick = 1; fair_queue_first(t.queue); quick++)
        assert_int_equal(name_of(under_way[quick] = start()), 'q');
    assert_int_equal(quick, 11); /* of a tenth of a millisecond each */
    for (size_t i = 0; i < quick; i++)
        fair_queue_end(t.queue, under_way[i], 100);
    finish();
}

static void an_owner_that_has_enough_waiting_is_refused_and_others_are_not(void **state)
{
    (void)state;
    begin((struct fair_queue_bounds) { 1, 0, 3, 5 });
    for (int i = 0; i < 3; i++)
        assert_int_equal(join('a'), FAIR_QUEUE_JOINED);
    assert_int_equal(join('a'), FAIR_QUEUE_FLOW_FULL);
    assert_int_equal(join('b'), FAIR_QUEUE_JOINED);
    assert_int_equal(join('c'), FAIR_QUEUE_JOINED);
    assert_int_equal(join('d'), FAIR_QUEUE_FULL);
    serve(1, 100);
    assert_int_equal(join('d'), FAIR_QUEUE_JOINED);
    finish();
}

static void who_waits_too_long_leaves_and_those_behind_go_on(void **state)
{
    (void)state;
    begin((struct fair_queue_bounds) { 1, 0, 100, 100 });
    for (int i = 0; i < 3; i++)
        assert_int_equal(join('a'), FAIR_QUEUE_JOINED);
    t.entry[1].due_ms = 1000;
    assert_null(fair_queue_late(t.queue, 999));
    assert_ptr_equal(fair_queue_late(t.queue, 1000), &t.entry[1]);
    fair_queue_remove(t.queue, &t.entry[1]);
    assert_null(fair_queue_late(t.queue, 1000));
    assert_ptr_equal(fair_queue_next(&t.entry[0]), &t.entry[2]);
    assert_ptr_equal(fair_queue_first(t.queue), &t.entry[0]);
    serve(1, 100);
    assert_ptr_equal(fair_queue_first(t.queue), &t.entry[2]);
    finish();
}

static void ten_thousand_owners_that_come_and_go_are_forgotten(void **state)
{
    static struct fair_entry entry;

    (void)state;
    begin((struct fair_queue_bounds) { 1, 0, 100, 100 });
    for (uint64_t owner = 1; owner <= 10000; owner++) {
        assert_int_equal(fair_queue_join(t.queue, &entry, owner, 100, 5000), FAIR_QUEUE_JOINED);
        fair_queue_start(t.queue, fair_queue_first(t.queue));
        fair_queue_end(t.queue, &entry, 100);
    }
    finish(); /* under ASan: nothing is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_owner_is_served_in_the_order_of_coming),
        cmocka_unit_test(owners_that_all_want_everything_take_turns),
        cmocka_unit_test(who_comes_after_sixty_four_of_another_is_next),
        cmocka_unit_test(who_uses_little_goes_before_eight_who_use_much),
        cmocka_unit_test(who_comes_back_at_once_still_owes_what_it_used),
        cmocka_unit_test(a_debt_ends_after_a_second_of_the_others),
        cmocka_unit_test(an_owner_has_no_more_under_way_than_it_may),
        cmocka_unit_test(who_is_slow_has_one_under_way_and_who_is_quick_has_many),
        cmocka_unit_test(an_owner_that_has_enough_waiting_is_refused_and_others_are_not),
        cmocka_unit_test(who_waits_too_long_leaves_and_those_behind_go_on),
        cmocka_unit_test(ten_thousand_owners_that_come_and_go_are_forgotten),
    };

    return cmocka_run_group_tests_name("fair_queue", tests, NULL, NULL);
}
