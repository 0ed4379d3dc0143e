/* frame: what goes over the wire, byte for byte, and how much of it may wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "server/stream/frame.h"

static void check(struct frame *frame, const char *wanted)
{
    assert_int_equal(frame->bytes, strlen(wanted));
    assert_memory_equal(frame->text, wanted, frame->bytes);
    frame_free(frame);
}

static void an_event_is_one_chunk(void **state)
{
    struct frame frame = { 0 };

    (void)state;
    frame_event(&frame, FRAME_SSE, "e1:7", "job.queued", "{}");
    check(&frame, "25\r\nid: e1:7\nevent: job.queued\ndata: {}\n\n\r\n");
}

static void an_event_without_a_position_has_no_id_line(void **state)
{
    struct frame frame = { 0 };

    (void)state;
    frame_event(&frame, FRAME_SSE, NULL, "x", "1");
    check(&frame, "12\r\nevent: x\ndata: 1\n\n\r\n");
}

static void line_breaks_in_data_become_data_lines(void **state)
{
    struct frame frame = { 0 };

    (void)state;
    frame_event(&frame, FRAME_SSE, NULL, "x", "a\nb\r\nc\rd\n");
    check(&frame, "31\r\nevent: x\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n\r\n");
}

static void an_id_cannot_forge_a_line(void **state)
{
    struct frame frame = { 0 };

    (void)state;
    frame_event(&frame, FRAME_SSE, "1\ndata: forged", "x", "1");
    check(&frame, "12\r\nevent: x\ndata: 1\n\n\r\n");
    frame_event(&frame, FRAME_SSE, "1\rdata: forged", "x\ny", "1");
    check(&frame, "9\r\ndata: 1\n\n\r\n");
}

static void a_frame_can_be_used_again(void **state)
{
    struct frame frame = { 0 };

    (void)state;
    frame_event(&frame, FRAME_SSE, "1", "long event type", "long data long data long data");
    frame_raw(&frame, ":\n\n");
    check(&frame, "3\r\n:\n\n\r\n");
}

static void the_last_frame_ends_the_body(void **state)
{
    struct frame frame = { 0 };

    (void)state;
    frame_last(&frame, "retry: 1\n\n");
    check(&frame, "a\r\nretry: 1\n\n\r\n0\r\n\r\n");
}

static void only_printable_short_text_can_be_a_position(void **state)
{
    char text[2100];

    (void)state;
    assert_true(frame_id_is_sane("7331:1:100:120:105,110"));
    assert_false(frame_id_is_sane(""));
    assert_false(frame_id_is_sane("a b"));
    assert_false(frame_id_is_sane("a\nb"));
    assert_false(frame_id_is_sane("\xc3\xa9"));
    memset(text, '1', sizeof(text));
    text[2048] = '\0';
    assert_true(frame_id_is_sane(text));
    text[2048] = '1';
    text[2049] = '\0';
    assert_false(frame_id_is_sane(text));
}

static void a_queue_keeps_order_and_its_bound(void **state)
{
    struct outq q = { 0 };

    (void)state;
    assert_true(outq_add(&q, "abc", 3, 8));
    assert_true(outq_add(&q, "defgh", 5, 8));
    assert_false(outq_add(&q, "i", 1, 8));
    assert_int_equal(q.bytes, 8);
    outq_consume(&q, 2);
    assert_true(outq_add(&q, "ij", 2, 8));
    assert_memory_equal(q.data + q.start, "cdefghij", 8);
    outq_consume(&q, 8);
    assert_null(q.data); /* an empty queue holds no memory */
}

static void a_queue_that_is_never_empty_does_not_grow_for_ever(void **state)
{
    struct outq q = { 0 };
    char        block[1000];

    (void)state;
    memset(block, 'x', sizeof(block));
    assert_true(outq_add(&q, block, sizeof(block), 65536));
    for (int i = 0; i < 10000; i++) {
        assert_true(outq_add(&q, block, sizeof(block), 65536));
        outq_consume(&q, sizeof(block));
    }
    assert_true(q.size <= 8192);
    outq_free(&q);
}

static void holds(const struct outq *q, const char *wanted)
{
    assert_int_equal(q->bytes, strlen(wanted));
    assert_memory_equal(q->data + q->start, wanted, q->bytes);
}

static void what_waits_under_a_key_is_replaced_and_goes_to_the_end(void **state)
{
    struct outq q = { 0 };

    (void)state;
    assert_true(outq_add(&q, "ab", 2, 100));
    assert_true(outq_add_latest(&q, "7:one ", 6, 100, 7));
    assert_true(outq_add(&q, "cd", 2, 100));
    assert_true(outq_add_latest(&q, "8:one ", 6, 100, 8));
    assert_true(outq_add_latest(&q, "7:second ", 9, 100, 7));
    holds(&q, "abcd8:one 7:second ");
    assert_true(outq_add_latest(&q, "8:two", 5, 100, 8));
    assert_true(outq_add_latest(&q, "7:3 ", 4, 100, 7));
    holds(&q, "abcd8:two7:3 ");
    outq_free(&q);
}

static void what_was_begun_to_be_sent_stays_as_it_is(void **state)
{
    struct outq q = { 0 };

    (void)state;
    assert_true(outq_add_latest(&q, "7:one ", 6, 100, 7));
    assert_true(outq_add_latest(&q, "8:one ", 6, 100, 8));
    outq_consume(&q, 1);
    assert_true(outq_add_latest(&q, "7:two ", 6, 100, 7));
    holds(&q, ":one 8:one 7:two ");
    assert_true(outq_add_latest(&q, "8:two ", 6, 100, 8));
    holds(&q, ":one 7:two 8:two ");
    outq_consume(&q, 5); /* exactly to the next */
    assert_true(outq_add_latest(&q, "7:three", 7, 100, 7));
    holds(&q, "8:two 7:three");
    outq_consume(&q, q.bytes);
    assert_null(q.marks);
}

static void of_one_key_any_number_fits(void **state)
{
    struct outq q = { 0 };

    (void)state;
    assert_true(outq_add(&q, "x", 1, 8));
    for (int i = 0; i < 1000; i++)
        assert_true(outq_add_latest(&q, "1234567", 7, 8, 7));
    assert_false(outq_add_latest(&q, "12345678", 8, 8, 7));
    outq_free(&q);
}

static void of_many_keys_the_latest_are_known(void **state)
{
    struct outq q = { 0 };

    (void)state;
    for (int64_t key = 1; key <= OUTQ_MARKS + 1; key++)
        assert_true(outq_add_latest(&q, "x", 1, 1000, key));
    assert_true(outq_add_latest(&q, "y", 1, 1000, 1)); /* forgotten: one more */
    assert_int_equal(q.bytes, OUTQ_MARKS + 2);
    assert_true(outq_add_latest(&q, "y", 1, 1000, OUTQ_MARKS));
    assert_int_equal(q.bytes, OUTQ_MARKS + 2);
    outq_free(&q);
}

static void a_message_has_the_position_as_its_first_member(void **state)
{
    struct frame frame = { 0 };

    (void)state;
    frame_event(&frame, FRAME_WS, "e1:7", "job.queued", "{\"type\":\"x\"}");
    check(&frame, "\x81\x1e{\"position\":\"e1:7\",\"type\":\"x\"}");
    frame_event(&frame, FRAME_WS, NULL, "typing", "{\"type\":\"x\"}");
    check(&frame, "\x81\x0c{\"type\":\"x\"}");
}

static void a_position_cannot_forge_a_member(void **state)
{
    struct frame frame = { 0 };

    (void)state;
    frame_event(&frame, FRAME_WS, "1\",\"type\":\"forged", "x", "{\"type\":\"x\"}");
    check(&frame, "\x81\x0c{\"type\":\"x\"}");
}

static void check_head(size_t bytes, const char *head, size_t head_bytes)
{
    struct frame frame = { 0 };
    char        *text  = malloc(bytes + 1);

    assert_non_null(text);
    memset(text, 'x', bytes);
    frame_text(&frame, text, bytes);
    assert_int_equal(frame.bytes, head_bytes + bytes);
    assert_memory_equal(frame.text, head, head_bytes);
    frame_free(&frame);
    free(text);
}

static void lengths_are_in_their_shortest_form(void **state)
{
    (void)state;
    check_head(5, "\x81\x05", 2);
    check_head(125, "\x81\x7d", 2);
    check_head(126, "\x81\x7e\x00\x7e", 4);
    check_head(65535, "\x81\x7e\xff\xff", 4);
    check_head(65536, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_one_chunk),
        cmocka_unit_test(an_event_without_a_position_has_no_id_line),
        cmocka_unit_test(line_breaks_in_data_become_data_lines),
        cmocka_unit_test(an_id_cannot_forge_a_line),
        cmocka_unit_test(a_frame_can_be_used_again),
        cmocka_unit_test(the_last_frame_ends_the_body),
        cmocka_unit_test(only_printable_short_text_can_be_a_position),
        cmocka_unit_test(a_message_has_the_position_as_its_first_member),
        cmocka_unit_test(a_position_cannot_forge_a_member),
        cmocka_unit_test(lengths_are_in_their_shortest_form),
        cmocka_unit_test(a_queue_keeps_order_and_its_bound),
        cmocka_unit_test(a_queue_that_is_never_empty_does_not_grow_for_ever),
        cmocka_unit_test(what_waits_under_a_key_is_replaced_and_goes_to_the_end),
        cmocka_unit_test(what_was_begun_to_be_sent_stays_as_it_is),
        cmocka_unit_test(of_one_key_any_number_fits),
        cmocka_unit_test(of_many_keys_the_latest_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
