/* cors: what a browser is told about a page of another origin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "server/http/cors.h"

#define APP     "https://app.example"
#define ALLOWED APP ",https://two.example"

static struct cors_header headers[CORS_HEADERS_MAX];
static size_t             nheaders;

static const char *value_of(const char *name)
{
    for (size_t i = 0; i < nheaders; i++)
        if (strcmp(headers[i].name, name) == 0)
            return headers[i].value;
    return NULL;
}

static void ask(const char *allowed, const char *origin, const char *methods)
{
    nheaders = cors_headers(allowed, origin, methods, headers);
    assert_true(nheaders <= CORS_HEADERS_MAX);
}

static void without_the_variable_there_is_no_header(void **state)
{
    (void)state;
    ask("", APP, NULL);
    assert_int_equal(nheaders, 0);
    ask("", APP, "GET");
    assert_int_equal(nheaders, 0);
}

static void who_is_not_listed_learns_only_that_answers_differ(void **state)
{
    static const char *others[] = { "https://evil.example", "null", "", NULL };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        ask(ALLOWED, others[i], i % 2 ? "GET" : NULL);
        assert_int_equal(nheaders, 1);
        assert_string_equal(value_of("Vary"), "Origin");
    }
}

static void an_allowed_page_may_read_the_answer_and_its_headers(void **state)
{
    static const char *names[] = { "X-Request-Id",  "Retry-After",         "ETag",
                                   "Content-Range", "Content-Disposition", "Location",
                                   "Accept-Ranges" };

    (void)state;
    ask(ALLOWED, APP, NULL);
    assert_string_equal(value_of("Access-Control-Allow-Origin"), APP);
    assert_string_equal(value_of("Vary"), "Origin");
    assert_null(value_of("Access-Control-Allow-Methods"));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_non_null(strstr(value_of("Access-Control-Expose-Headers"), names[i]));
}

static void a_preflight_names_the_methods_of_the_path_and_what_requests_may_carry(void **state)
{
    static const char *names[] = { "Authorization",   "Content-Type", "Content-MD5",
                                   "Idempotency-Key", "X-API-Key",    "X-Request-Id",
                                   "Last-Event-ID",   "Range",        "If-None-Match",
                                   "If-Range" };

    (void)state;
    ask(ALLOWED, APP, "GET, HEAD, PUT");
    assert_string_equal(value_of("Access-Control-Allow-Origin"), APP);
    assert_string_equal(value_of("Access-Control-Allow-Methods"), "GET, HEAD, PUT");
    assert_non_null(value_of("Access-Control-Max-Age"));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_non_null(strstr(value_of("Access-Control-Allow-Headers"), names[i]));
}

/* With credentials a star would be wrong, and the page of any site could act for who looks at
 * it. */
static void no_answer_speaks_of_credentials(void **state)
{
    (void)state;
    ask("*", APP, NULL);
    assert_string_equal(value_of("Access-Control-Allow-Origin"), "*");
    assert_null(value_of("Access-Control-Allow-Credentials"));
    ask(ALLOWED, APP, "GET");
    assert_null(value_of("Access-Control-Allow-Credentials"));
}

static void a_preflight_is_the_question_of_an_allowed_page(void **state)
{
    (void)state;
    assert_true(cors_is_preflight(ALLOWED, "OPTIONS", APP, "PUT"));
    assert_false(cors_is_preflight("", "OPTIONS", APP, "PUT"));
    assert_false(cors_is_preflight(ALLOWED, "OPTIONS", "https://evil.example", "PUT"));
    assert_false(cors_is_preflight(ALLOWED, "OPTIONS", NULL, "PUT"));
    assert_false(cors_is_preflight(ALLOWED, "OPTIONS", APP, NULL));
    assert_false(cors_is_preflight(ALLOWED, "PUT", APP, "PUT"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_variable_there_is_no_header),
        cmocka_unit_test(who_is_not_listed_learns_only_that_answers_differ),
        cmocka_unit_test(an_allowed_page_may_read_the_answer_and_its_headers),
        cmocka_unit_test(a_preflight_names_the_methods_of_the_path_and_what_requests_may_carry),
        cmocka_unit_test(no_answer_speaks_of_credentials),
        cmocka_unit_test(a_preflight_is_the_question_of_an_allowed_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
