/* cfg: a typing mistake in the environment stops a program, with the name of the variable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/cfg.h"

static void an_empty_environment_gives_the_defaults(void **state)
{
    const char *const env[] = { "PATH=/bin", NULL };
    struct cfg        cfg;
    struct err        err;

    (void)state;
    assert_true(cfg_load_from(&cfg, env, &err));
    assert_int_equal(cfg.port, 8080);
    assert_string_equal(cfg.home, ".kiln");
    assert_string_equal(cfg.bind, "127.0.0.1");
    assert_string_equal(cfg.jwt_secret, "");
    assert_int_equal(cfg.db_writers, 8);
    assert_int_equal(cfg.upload_max_bytes, 67108864);
    assert_true(cfg.is_preparing);
    assert_int_equal(cfg.log_level, LOG_LEVEL_INFO);
    assert_int_equal(cfg.log_format, CFG_LOG_JSON);
}

static void an_empty_value_means_the_default(void **state)
{
    const char *const env[] = { "KILN_PORT=", "KILN_LISTEN_URL=", "DATABASE_URL=dbname=x", NULL };
    struct cfg        cfg;
    struct err        err;

    (void)state;
    assert_true(cfg_load_from(&cfg, env, &err));
    assert_int_equal(cfg.port, 8080);
    assert_string_equal(cfg.listen_url, "dbname=x");
}

static void refused(const char *pair, const char *name)
{
    const char *const env[] = { pair, NULL };
    struct cfg        cfg;
    struct err        err;

    assert_false(cfg_load_from(&cfg, env, &err));
    assert_string_equal(err.sqlstate, "F0000");
    assert_non_null(strstr(err.message, name));
}

static void an_unknown_variable_is_named(void **state)
{
    (void)state;
    refused("KILN_PROT=8080", "KILN_PROT");
    refused("KILN_=x", "KILN_");
    refused("KILN_PORT_8080_TCP=tcp://10.0.0.1", "KILN_PORT_8080_TCP");
}

static void a_malformed_value_is_named(void **state)
{
    (void)state;
    refused("KILN_PORT=80a", "KILN_PORT");
    refused("KILN_PORT= 80", "KILN_PORT");
    refused("KILN_PORT=+80", "KILN_PORT");
    refused("KILN_PORT=0", "KILN_PORT");
    refused("KILN_PORT=65536", "KILN_PORT");
    refused("KILN_PORT=99999999999999999999", "KILN_PORT");
    refused("KILN_PREPARE=yes", "KILN_PREPARE");
    refused("KILN_LOG_LEVEL=verbose", "KILN_LOG_LEVEL");
    refused("KILN_LOG_FORMAT=xml", "KILN_LOG_FORMAT");
    refused("KILN_JWT_SECRET=short", "KILN_JWT_SECRET");
    refused("KILN_ADMIN_KEY=short", "KILN_ADMIN_KEY");
}

static void a_refused_secret_is_not_repeated(void **state)
{
    const char *const env[] = { "KILN_JWT_SECRET=hunter2", NULL };
    struct cfg        cfg;
    struct err        err;

    (void)state;
    assert_false(cfg_load_from(&cfg, env, &err));
    assert_null(strstr(err.message, "hunter2"));
}

static void the_last_of_two_values_counts(void **state)
{
    const char *const env[] = { "KILN_RUNNER_SLOTS=3", "KILN_RUNNER_SLOTS=4", "KILN_PREPARE=off",
                                NULL };
    struct cfg        cfg;
    struct err        err;

    (void)state;
    assert_true(cfg_load_from(&cfg, env, &err));
    assert_int_equal(cfg.runner_slots, 4);
    assert_false(cfg.is_preparing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_environment_gives_the_defaults),
        cmocka_unit_test(an_empty_value_means_the_default),
        cmocka_unit_test(an_unknown_variable_is_named),
        cmocka_unit_test(a_malformed_value_is_named),
        cmocka_unit_test(a_refused_secret_is_not_repeated),
        cmocka_unit_test(the_last_of_two_values_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
