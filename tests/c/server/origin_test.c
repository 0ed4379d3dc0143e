/* origin: which pages may open a WebSocket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "origin.h"

#define PUBLIC  "https://kiln.example/"
#define ALLOWED "https://app.example, https://two.example:8443"

static void who_is_no_page_may(void **state)
{
    (void)state;
    assert_true(origin_is_allowed(NULL, "kiln.example", "", ""));
}

static void pages_of_the_host_that_was_asked_may(void **state)
{
    (void)state;
    assert_true(origin_is_allowed("http://127.0.0.1:8080", "127.0.0.1:8080", "", ""));
    assert_true(origin_is_allowed("https://KILN.example", "kiln.example", "", ""));
    assert_false(origin_is_allowed("http://127.0.0.1:8081", "127.0.0.1:8080", "", ""));
    assert_false(origin_is_allowed("http://127.0.0.1", NULL, "", ""));
}

static void pages_of_the_public_address_and_those_listed_may(void **state)
{
    (void)state;
    assert_true(origin_is_allowed("https://kiln.example", "10.0.0.1:8080", PUBLIC, ALLOWED));
    assert_true(origin_is_allowed("https://app.example", "kiln.example", PUBLIC, ALLOWED));
    assert_true(origin_is_allowed("https://two.example:8443", "kiln.example", PUBLIC, ALLOWED));
    assert_true(origin_is_allowed("https://any.example", "kiln.example", "", "*"));
}

static void others_may_not_however_like_they_look(void **state)
{
    static const char *others[] = { "https://kiln.example.evil",
                                    "https://kiln.exampl",
                                    "http://kiln.example",
                                    "https://app.example.evil",
                                    "https://two.example",
                                    "https://app.exampl",
                                    "null",
                                    "",
                                    "kiln.example",
                                    "file://" };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(origin_is_allowed(others[i], "10.0.0.1:8080", PUBLIC, ALLOWED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_no_page_may),
        cmocka_unit_test(pages_of_the_host_that_was_asked_may),
        cmocka_unit_test(pages_of_the_public_address_and_those_listed_may),
        cmocka_unit_test(others_may_not_however_like_they_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
