/* routes: which row a request finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>

#include "server/routes.h"
#include "server/server.h"

static struct route_match match;

static const char *found(const char *method, const char *path)
{
    match = (struct route_match) { 0 };
    return routes_match(&server_routes, ROLE_BOTH, method, path, &match) == ROUTE_FOUND
               ? match.route->pattern
               : "-";
}

static void a_path_finds_its_row_and_its_parameter(void **state)
{
    (void)state;
    assert_string_equal(found("GET", "/api/v1/generations"), "/api/v1/generations");
    assert_null(match.id);
    assert_string_equal(found("GET", "/api/v1/generations/7"), "/api/v1/generations/{id}");
    assert_int_equal(match.id_bytes, 1);
    assert_memory_equal(match.id, "7", 1);
    assert_string_equal(found("POST", "/api/v1/generations/42/cancel"),
                        "/api/v1/generations/{id}/cancel");
    assert_int_equal(match.id_bytes, 2);
    assert_string_equal(found("GET", "/healthz"), "/healthz");
}

static void a_models_id_may_hold_slashes(void **state)
{
    (void)state;
    assert_string_equal(found("GET", "/api/v1/models/local/sketch"), "/api/v1/models/{id...}");
    assert_int_equal(match.id_bytes, strlen("local/sketch"));
    assert_string_equal(found("GET", "/api/v1/models/local%2Fsketch"), "/api/v1/models/{id...}");
}

static void an_escaped_slash_stays_inside_its_segment(void **state)
{
    (void)state;
    assert_string_equal(found("GET", "/api/v1/generations/a%2Fb"), "/api/v1/generations/{id}");
    assert_int_equal(match.id_bytes, strlen("a%2Fb"));
}

static void near_misses_are_no_paths(void **state)
{
    static const char *const bad[] = { "/",
                                       "",
                                       "/api/v1",
                                       "/api/v1/generations/",
                                       "/api/v1/generations/7/",
                                       "/api/v1/generations//cancel",
                                       "/api/v1/generations/7/cancel/x",
                                       "/api/v1/models/",
                                       "/API/v1/models",
                                       "/api/v1/healthz",
                                       "/healthz/",
                                       "//healthz",
                                       "/api/v2/models",
                                       "/api/v1/generations/7/8/cancel",
                                       "*" };

    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        assert_int_equal(routes_match(&server_routes, ROLE_BOTH, "GET", bad[i], &match),
                         ROUTE_NO_PATH);
}

static void another_method_is_told_what_there_is(void **state)
{
    (void)state;
    assert_int_equal(
        routes_match(&server_routes, ROLE_BOTH, "PATCH", "/api/v1/generations/7", &match),
        ROUTE_NO_METHOD);
    assert_string_equal(match.allow, "GET, HEAD, DELETE");
    assert_int_equal(routes_match(&server_routes, ROLE_BOTH, "POST", "/api/v1/events", &match),
                     ROUTE_NO_METHOD);
    assert_string_equal(match.allow, "GET");
    assert_int_equal(routes_match(&server_routes, ROLE_BOTH, "get", "/api/v1/models", &match),
                     ROUTE_NO_METHOD);
}

static void head_is_get_without_a_body_but_not_for_streams(void **state)
{
    (void)state;
    assert_string_equal(found("HEAD", "/api/v1/media/7"), "/api/v1/media/{id}");
    assert_string_equal(found("HEAD", "/api/v1/events"), "-");
}

static void a_role_has_its_own_routes_only(void **state)
{
    (void)state;
    assert_int_equal(routes_match(&server_routes, ROLE_API, "GET", "/api/v1/events", &match),
                     ROUTE_NO_PATH);
    assert_int_equal(routes_match(&server_routes, ROLE_REALTIME, "GET", "/api/v1/events", &match),
                     ROUTE_FOUND);
    assert_int_equal(
        routes_match(&server_routes, ROLE_REALTIME, "POST", "/api/v1/generate", &match),
        ROUTE_NO_PATH);
    assert_int_equal(routes_match(&server_routes, ROLE_REALTIME, "GET", "/readyz", &match),
                     ROUTE_FOUND);
}

static void no_two_rows_answer_the_same_request(void **state)
{
    char path[200];

    (void)state;
    for (size_t i = 0; i < server_routes.count; i++) {
        const char *open = strchr(server_routes.rows[i].pattern, '{');
        const char *shut = open ? strchr(open, '}') + 1 : "";

        snprintf(path, sizeof(path), "%.*s%s%s",
                 open ? (int)(open - server_routes.rows[i].pattern) : 200,
                 server_routes.rows[i].pattern, open ? "7" : "", shut);
        assert_int_equal(
            routes_match(&server_routes, ROLE_BOTH, server_routes.rows[i].method, path, &match),
            ROUTE_FOUND);
        assert_ptr_equal(match.route, &server_routes.rows[i]);
    }
}

/* A sign-in, a webhook or a link in a mail comes without a token, and each of them writes. */
static void a_client_that_may_write_without_a_token_is_counted_by_its_address(void **state)
{
    (void)state;
    for (size_t i = 0; i < server_routes.count; i++) {
        const struct route *route = &server_routes.rows[i];
        bool is_anonymous_write   = route->auth == AUTH_NONE && route->pool == POOL_WRITE;
        assert_int_equal(is_anonymous_write, route->limit != LIMIT_NONE);
        if (strcmp(route->pattern, "/api/v1/webhooks/{provider}") == 0)
            assert_int_equal(route->limit, LIMIT_WEBHOOKS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_finds_its_row_and_its_parameter),
        cmocka_unit_test(a_models_id_may_hold_slashes),
        cmocka_unit_test(an_escaped_slash_stays_inside_its_segment),
        cmocka_unit_test(near_misses_are_no_paths),
        cmocka_unit_test(another_method_is_told_what_there_is),
        cmocka_unit_test(head_is_get_without_a_body_but_not_for_streams),
        cmocka_unit_test(a_role_has_its_own_routes_only),
        cmocka_unit_test(no_two_rows_answer_the_same_request),
        cmocka_unit_test(a_client_that_may_write_without_a_token_is_counted_by_its_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
