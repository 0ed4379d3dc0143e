/* uri: percent-encoding is decoded once, strictly, or refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>

#include "server/http/uri.h"

static const char *decoded(const char *text, bool is_query)
{
    static char out[200];
    size_t      len;

    return uri_decode(text, strlen(text), is_query, out, &len) && len == strlen(out) ? out
                                                                                     : "refused";
}

static void escapes_are_decoded_once(void **state)
{
    (void)state;
    assert_string_equal(decoded("a%20b%2Fc", false), "a b/c");
    assert_string_equal(decoded("%252F", false), "%2F");
    assert_string_equal(decoded("%e2%82%AC", false), "\xe2\x82\xac");
    assert_string_equal(decoded("", false), "");
}

static void plus_is_a_space_in_queries_only(void **state)
{
    (void)state;
    assert_string_equal(decoded("a+b", true), "a b");
    assert_string_equal(decoded("a+b", false), "a+b");
    assert_string_equal(decoded("a%2Bb", true), "a+b");
}

static void broken_escapes_nul_and_bad_utf8_are_refused(void **state)
{
    static const char *const bad[] = { "%",     "%2",  "%zz",    "%2g",       "a%",    "%00",
                                       "a%00b", "%ff", "%c0%80", "%ed%a0%80", "%e2%82" };

    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        assert_string_equal(decoded(bad[i], true), "refused");
}

static void a_query_becomes_an_object_of_strings(void **state)
{
    struct jbuf j = { 0 };
    struct err  err;

    (void)state;
    assert_true(uri_query_json(&j, "limit=20&q=a%22b+c&empty=&flag&&x=1=2", &err));
    assert_string_equal(
        jbuf_text(&j),
        "{\"limit\":\"20\",\"q\":\"a\\\"b c\",\"empty\":\"\",\"flag\":\"\",\"x\":\"1=2\"}");
    jbuf_reset(&j);
    assert_true(uri_query_json(&j, NULL, &err));
    assert_string_equal(jbuf_text(&j), "{}");
    jbuf_free(&j);
}

static void a_query_that_is_refused_hears_why(void **state)
{
    struct jbuf j           = { 0 };
    char        query[6000] = "";
    struct err  err;

    (void)state;
    for (int i = 0; i < 33; i++)
        memcpy(query + (size_t)i * 4, "a=1&", 4);
    assert_false(uri_query_json(&j, query, &err));
    assert_string_equal(err.message, "The query may have 32 parameters.");
    jbuf_reset(&j);
    memset(query, 'a', 5000);
    query[5000] = '\0';
    assert_false(uri_query_json(&j, query, &err));
    assert_string_equal(err.message, "The query may have 4 KiB.");
    jbuf_reset(&j);
    assert_false(uri_query_json(&j, "a=%zz", &err));
    assert_string_equal(err.message, "The query is not properly percent-encoded UTF-8.");
    assert_string_equal(err.sqlstate, "KN006");
    jbuf_free(&j);
}

static void one_value_is_found_by_its_whole_name(void **state)
{
    char out[8];

    (void)state;
    assert_true(uri_query_get("xticket=1&ticket=a%2Fb&ticket=2", "ticket", out, sizeof(out)));
    assert_string_equal(out, "a/b");
    assert_false(uri_query_get("tickets=1", "ticket", out, sizeof(out)));
    assert_false(uri_query_get(NULL, "ticket", out, sizeof(out)));
    assert_false(uri_query_get("ticket=12345678", "ticket", out, sizeof(out)));
    assert_true(uri_query_has("a&ticket=12345678", "ticket"));
    assert_true(uri_query_has("ticket=%00", "ticket"));
    assert_false(uri_query_has("tickets=1", "ticket"));
    assert_false(uri_query_has(NULL, "ticket"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_decoded_once),
        cmocka_unit_test(plus_is_a_space_in_queries_only),
        cmocka_unit_test(broken_escapes_nul_and_bad_utf8_are_refused),
        cmocka_unit_test(a_query_becomes_an_object_of_strings),
        cmocka_unit_test(a_query_that_is_refused_hears_why),
        cmocka_unit_test(one_value_is_found_by_its_whole_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
