/* framing_test: heads as libmicrohttpd leaves them in memory, and what is said of them. */
#include "server/http/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Cuts a head as libmicrohttpd does, in place and without a look at the rules, and hands the
 * pieces on. */
static const char *verdict(const char *text)
{
    struct framing framing;
    size_t         bytes  = strlen(text);
    char          *head   = strdup(text);
    char          *line   = strstr(head, "\r\n");
    char          *target = strchr(head, ' '), *version;
    const char    *wrong;

    assert_non_null(line);
    line[0] = line[1] = '\0';
    *target++         = '\0';
    version           = strrchr(target, ' ');
    *version++        = '\0';
    framing_begin(&framing, head, target, framing_target_is_sound(target) ? strlen(target) : 0,
                  version);
    for (line += 2; line[0] != '\r'; line += 2) {
        char *end = strstr(line, "\r\n"), *colon = strchr(line, ':'), *value = colon + 1;

        end[0] = end[1] = *colon = '\0';
        value += strspn(value, " \t");
        framing_header(&framing, line, strlen(line), value, strlen(value));
        line = end;
    }
    line[0] = line[1] = '\0';
    wrong             = framing_end(&framing, head + bytes);
    free(head);
    return wrong;
}

static void a_sound_head_has_no_fault(void **state)
{
    (void)state;
    assert_null(verdict("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_null(verdict("GET / HTTP/1.0\r\n\r\n"));
    assert_null(verdict("POST /a?b HTTP/1.1\r\nX:\r\nhost:\ta\r\nContent-Length: 5\r\n\r\n"));
    assert_null(verdict("POST / HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: Chunked\r\n\r\n"));
}

static void a_head_with_two_lengths_two_hosts_or_another_coding_is_named(void **state)
{
    (void)state;
    assert_string_equal(
        verdict("P / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n"),
        "There must be one Content-Length at most.");
    assert_string_equal(
        verdict(
            "P / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        "Content-Length and Transfer-Encoding exclude each other.");
    assert_string_equal(verdict("P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
                        "Transfer-Encoding must be chunked.");
    assert_string_equal(verdict("P / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
                        "HTTP/1.0 knows no Transfer-Encoding.");
    assert_string_equal(verdict("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
                        "There must be exactly one Host.");
    assert_string_equal(verdict("GET / HTTP/1.1\r\n\r\n"), "There must be exactly one Host.");
    assert_non_null(verdict("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"));
    assert_non_null(verdict("GET / HTTP/1.1\r\nHost : a\r\n\r\n"));
    assert_non_null(verdict("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"));
    assert_non_null(verdict("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"));
}

/* So it hands on a folded line: in a copy, its text behind the name. */
static void a_name_that_does_not_lie_where_the_line_before_ends_is_a_fault(void **state)
{
    struct framing framing;
    char           head[] = "GET\0/\0HTTP/1.1\0\0X\0 a\0\0 b\0\0\0";

    (void)state;
    framing_begin(&framing, head, head + 4, 1, head + 6);
    assert_ptr_equal(framing.at, head + 16);
    framing_header(&framing, "Xb", 2, head + 19, 1);
    assert_non_null(framing_end(&framing, head + sizeof(head)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_head_has_no_fault),
        cmocka_unit_test(a_head_with_two_lengths_two_hosts_or_another_coding_is_named),
        cmocka_unit_test(a_name_that_does_not_lie_where_the_line_before_ends_is_a_fault),
    };
    return cmocka_run_group_tests_name("framing", tests, NULL, NULL);
}
