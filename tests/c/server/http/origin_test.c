/* origin: which pages of other origins may come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "server/http/origin.h"

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

/* A page of this host sends Origin with its POSTs, too, and needs no header. */
static void only_listed_origins_are_named_to_the_browser(void **state)
{
    const char *app = "https://app.example";

    (void)state;
    assert_string_equal(origin_listed(app, ALLOWED), app);
    assert_string_equal(origin_listed(app, "*"), "*");
    assert_string_equal(origin_listed(app, "*, https://app.example"), app);
    assert_string_equal(origin_listed("null", "*"), "*");
    assert_null(origin_listed("https://kiln.example", ALLOWED));
    assert_null(origin_listed("https://app.example.evil", ALLOWED));
    assert_null(origin_listed("https://app.example, https://two.example:8443", ALLOWED));
    assert_null(origin_listed("", ALLOWED));
    assert_null(origin_listed("*", ALLOWED));
    assert_null(origin_listed(NULL, "*"));
    assert_null(origin_listed(app, ""));
}

static void an_entry_that_no_browser_would_send_is_named(void **state)
{
    static const char *good[] = { "",
                                  "*",
                                  "null",
                                  ALLOWED,
                                  "http://localhost:5173",
                                  "capacitor://localhost",
                                  "http://[::1]:8080",
                                  "https://a:8443," };
    static const char *bad[]  = { "https://app.example/",
                                  "https://app.example/path",
                                  "app.example",
                                  "https://",
                                  "://app.example",
                                  "https://app.example:443",
                                  "http://app.example:80",
                                  "https://*.example",
                                  "https://user@app.example",
                                  "https://app.example?a",
                                  "https://a\tb" };
    struct err         err;
    char               list[200];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(origin_check_list(good[i], &err));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(list, sizeof(list), "https://first.example, %s", bad[i]);
        assert_false(origin_check_list(list, &err));
        assert_non_null(strstr(err.message, "KILN_ALLOWED_ORIGINS: entry 2"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_no_page_may),
        cmocka_unit_test(pages_of_the_host_that_was_asked_may),
        cmocka_unit_test(pages_of_the_public_address_and_those_listed_may),
        cmocka_unit_test(others_may_not_however_like_they_look),
        cmocka_unit_test(only_listed_origins_are_named_to_the_browser),
        cmocka_unit_test(an_entry_that_no_browser_would_send_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
