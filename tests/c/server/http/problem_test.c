/* problem: every row of the table, as a client sees it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>

#include "server/http/problem.h"

static const struct {
    const char *sqlstate;
    unsigned    status;
    const char *code;
    unsigned    retry_after;
    bool        tells; /* whether the message goes out */
} rows[] = {
    { "KN001", 409, "state_conflict", 0, true },
    { "KN002", 404, "not_found", 0, true },
    { "KN003", 422, "invalid_field", 0, true },
    { "KN004", 403, "forbidden", 0, true },
    { "KN005", 409, "idempotency_conflict", 0, true },
    { "KN006", 400, "malformed", 0, true },
    { "KN007", 429, "too_many_requests", 1, true },
    { "KN008", 403, "link_expired", 0, true },
    { "KN009", 401, "unauthorized", 0, true },
    { "54000", 422, "invalid_field", 0, false },
    { "54001", 422, "invalid_field", 0, false },
    { "57014", 503, "unavailable", 2, false },
    { "55P03", 503, "unavailable", 1, false },
    { "40001", 503, "unavailable", 1, false },
    { "40P01", 503, "unavailable", 1, false },
    { "53100", 503, "unavailable", 2, false },
    { "53300", 503, "unavailable", 2, false },
    { "57P01", 503, "unavailable", 2, false },
    { "57P03", 503, "unavailable", 2, false },
    { "08003", 503, "unavailable", 2, false },
    { "08006", 503, "unavailable", 2, false },
    { "KN015", 409, "already_created", 0, true },
    { "H0404", 404, "not_found", 0, true },
    { "H0405", 405, "method_not_allowed", 0, true },
    { "H0413", 413, "too_large", 0, true },
    { "H0415", 415, "unsupported_media_type", 0, true },
    { "H0505", 505, "http_version", 0, true },
    { "P0001", 500, "internal", 0, false },
    { "42883", 500, "internal", 0, false },
    { "KN010", 500, "internal", 0, false },
    { "XX000", 500, "internal", 0, false },
    /* What PostgreSQL itself complains of is no client's fault, and its words are not for
     * clients. */
    { "22012", 500, "internal", 0, false },
    { "22P02", 500, "internal", 0, false },
    { "22P05", 500, "internal", 0, false },
    { "22021", 500, "internal", 0, false },
    { "22023", 500, "internal", 0, false },
    { "22003", 500, "internal", 0, false },
    { "23505", 500, "internal", 0, false },
    { "23514", 500, "internal", 0, false },
    { "42703", 500, "internal", 0, false },
    { "", 500, "internal", 0, false },
};

static json_t *render(const struct err *err)
{
    struct jbuf j = { 0 };
    json_t     *json;

    problem_json(&j, problem_find(err), err, "request-1");
    json = json_loads(jbuf_text(&j), JSON_REJECT_DUPLICATES, NULL);
    jbuf_free(&j);
    assert_non_null(json);
    return json;
}

static void each_sqlstate_has_its_status_and_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct err            err;
        const struct problem *problem;
        json_t               *json;

        err_set(&err, rows[i].sqlstate, "the sentence");
        problem = problem_find(&err);
        json    = render(&err);
        assert_int_equal(problem->status, rows[i].status);
        assert_int_equal(json_integer_value(json_object_get(json, "status")), rows[i].status);
        assert_string_equal(json_string_value(json_object_get(json, "code")), rows[i].code);
        assert_string_equal(json_string_value(json_object_get(json, "request_id")), "request-1");
        assert_non_null(json_object_get(json, "type"));
        assert_non_null(json_object_get(json, "title"));
        assert_int_equal(problem_retry_after(problem, &err), rows[i].retry_after);
        json_decref(json);
    }
}

static void a_sentence_not_meant_for_clients_stays_inside(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct err  err;
        json_t     *json;
        const char *detail;

        err_set(&err, rows[i].sqlstate, "the sentence");
        json   = render(&err);
        detail = json_string_value(json_object_get(json, "detail"));
        assert_int_equal(strcmp(detail, "the sentence") == 0, rows[i].tells);
        json_decref(json);
    }
}

static void the_fields_of_a_wrong_body_are_listed(void **state)
{
    struct err err;
    json_t    *json;

    (void)state;
    err_set(&err, "KN003", "prompt is missing");
    snprintf(err.detail, sizeof(err.detail), "%s",
             "[{\"field\":\"/prompt\",\"message\":\"is missing\"}]");
    json = render(&err);
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(json, "errors"), 0), "field")),
                        "/prompt");
    json_decref(json);
}

static void a_detail_that_is_no_list_is_left_out(void **state)
{
    static const char *const details[] = { "", "[{\"field\":\"/pro", "{\"field\":1}", "\"x\"",
                                           "[1],\"admin\":true" };

    (void)state;
    for (size_t i = 0; i < countof(details); i++) {
        struct err err;
        json_t    *json;

        err_set(&err, "KN003", "x");
        snprintf(err.detail, sizeof(err.detail), "%s", details[i]);
        json = render(&err);
        assert_null(json_object_get(json, "errors"));
        json_decref(json);
    }
}

static void a_limit_says_when_to_come_back(void **state)
{
    static const struct {
        const char *detail;
        unsigned    seconds;
    } cases[] = { { "{\"retry_after\":7}", 7 },
                  { "{\"retry_after\":0.2}", 1 },
                  { "{\"retry_after\":-4}", 1 },
                  { "{\"retry_after\":1e99}", 86400 },
                  { "", 1 },
                  { "no json", 1 } };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct err err;

        err_set(&err, "KN007", "slow down");
        snprintf(err.detail, sizeof(err.detail), "%s", cases[i].detail);
        assert_int_equal(problem_retry_after(problem_find(&err), &err), cases[i].seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sqlstate_has_its_status_and_code),
        cmocka_unit_test(a_sentence_not_meant_for_clients_stays_inside),
        cmocka_unit_test(the_fields_of_a_wrong_body_are_listed),
        cmocka_unit_test(a_detail_that_is_no_list_is_left_out),
        cmocka_unit_test(a_limit_says_when_to_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
