/*
 * accept: the description's list counts; without one 2xx does.
 */
#include "pipeline_runner/http/accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static bool accepts(const char *list, int status)
{
    json_t *accept = list ? json_loads(list, JSON_DECODE_ANY, NULL) : NULL;
    bool    ok     = accept_is_success(accept, status);

    json_decref(accept);
    return ok;
}

static void a_list_counts_alone(void **state)
{
    (void)state;
    assert_true(accepts("[200, 303, 409]", 409));
    assert_true(accepts("[200, 303, 409]", 303));
    assert_false(accepts("[200, 303, 409]", 201));
    assert_false(accepts("[]", 200));
    assert_false(accepts("[\"200\"]", 200));
}

static void without_one_2xx_is_success(void **state)
{
    (void)state;
    assert_true(accepts(NULL, 200));
    assert_true(accepts("null", 299));
    assert_false(accepts("null", 300));
    assert_false(accepts(NULL, 199));
    assert_false(accepts(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_counts_alone),
        cmocka_unit_test(without_one_2xx_is_success),
    };

    return cmocka_run_group_tests_name("accept", tests, NULL, NULL);
}
