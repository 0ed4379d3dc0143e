/* webhook: what SQL says of a provider's signatures is remembered for a minute, within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>

#include "server/routes/webhook.h"

static const char fal[] = "{\"scheme\":\"fal-ed25519\",\"keys\":{\"keys\":[{\"x\":\"1\"}]},"
                          "\"tolerance_s\":120,\"secret_env\":null}";
static const char replicate[] =
    "{\"scheme\":\"standard-webhooks\",\"keys\":null,\"secret_env\":\"REPLICATE_WEBHOOK_SECRET\"}";

static void what_sql_says_is_taken_over(void **state)
{
    struct webhooks           *webhooks = webhooks_open();
    const struct webhook_rule *rule     = webhooks_put(webhooks, "fal", fal, 5);

    (void)state;
    assert_non_null(rule);
    assert_string_equal(rule->scheme, "fal-ed25519");
    assert_string_equal(rule->jwks, "{\"keys\":[{\"x\":\"1\"}]}");
    assert_string_equal(rule->secret_env, "");
    assert_int_equal(rule->tolerance_s, 120);
    rule = webhooks_put(webhooks, "replicate", replicate, 5);
    assert_non_null(rule);
    assert_null(rule->jwks);
    assert_string_equal(rule->secret_env, "REPLICATE_WEBHOOK_SECRET");
    assert_int_equal(rule->tolerance_s, 300);
    webhooks_close(webhooks);
}

static void what_is_no_rule_is_not_taken(void **state)
{
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"scheme\":\"none\"}",
        "{\"scheme\":7}",
        "{\"scheme\":\"hmac-sha256\",\"tolerance_s\":-1}",
        "{\"scheme\":\"hmac-sha256\",\"tolerance_s\":86401}",
        "{\"scheme\":\"hmac-sha256-and-a-name-that-is-much-too-long\"}",
    };
    struct webhooks *webhooks = webhooks_open();
    char             name[65];

    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        assert_null(webhooks_put(webhooks, "fal", bad[i], 5));
    memset(name, 'x', 64);
    name[64] = '\0';
    assert_null(webhooks_put(webhooks, name, fal, 5));
    assert_null(webhooks_put(webhooks, "", fal, 5));
    assert_null(webhooks_find(webhooks, "", 5));
    webhooks_close(webhooks);
}

static void keys_beyond_64_KiB_are_not_taken(void **state)
{
    static const char head[]   = "{\"scheme\":\"fal-ed25519\",\"keys\":{\"k\":\"";
    struct webhooks  *webhooks = webhooks_open();
    char             *json     = malloc(80000);

    (void)state;
    memset(json, 'x', 80000);
    memcpy(json, head, sizeof(head) - 1);
    memcpy(json + 70000, "\"}}", 4);
    assert_null(webhooks_put(webhooks, "fal", json, 5));
    free(json);
    webhooks_close(webhooks);
}

static void it_is_remembered_for_a_minute(void **state)
{
    struct webhooks *webhooks = webhooks_open();

    (void)state;
    assert_null(webhooks_find(webhooks, "fal", 1000));
    assert_non_null(webhooks_put(webhooks, "fal", fal, 1000));
    assert_non_null(webhooks_find(webhooks, "fal", 60999));
    assert_null(webhooks_find(webhooks, "fal", 61000));
    assert_null(webhooks_find(webhooks, "fa", 1000));
    webhooks_close(webhooks);
}

static void newer_keys_replace_older_ones_but_not_when_they_were_last_fetched(void **state)
{
    struct webhooks     *webhooks = webhooks_open();
    struct webhook_rule *rule     = webhooks_put(webhooks, "fal", fal, 1000);

    (void)state;
    rule->fetch_asked_at_ms = 900;
    rule =
        webhooks_put(webhooks, "fal", "{\"scheme\":\"fal-ed25519\",\"keys\":{\"keys\":[]}}", 2000);
    assert_string_equal(rule->jwks, "{\"keys\":[]}");
    assert_int_equal(rule->fetch_asked_at_ms, 900);
    assert_ptr_equal(webhooks_find(webhooks, "fal", 2000), rule);
    webhooks_close(webhooks);
}

static void of_too_many_providers_the_oldest_is_forgotten(void **state)
{
    struct webhooks *webhooks = webhooks_open();
    char             name[20];

    (void)state;
    for (unsigned i = 0; i <= WEBHOOK_PROVIDERS_MAX; i++) {
        snprintf(name, sizeof(name), "provider-%u", i);
        assert_non_null(webhooks_put(webhooks, name, fal, 1000 + i));
    }
    assert_null(webhooks_find(webhooks, "provider-0", 2000));
    for (unsigned i = 1; i <= WEBHOOK_PROVIDERS_MAX; i++) {
        snprintf(name, sizeof(name), "provider-%u", i);
        assert_non_null(webhooks_find(webhooks, name, 2000));
    }
    webhooks_close(webhooks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_sql_says_is_taken_over),
        cmocka_unit_test(what_is_no_rule_is_not_taken),
        cmocka_unit_test(keys_beyond_64_KiB_are_not_taken),
        cmocka_unit_test(it_is_remembered_for_a_minute),
        cmocka_unit_test(newer_keys_replace_older_ones_but_not_when_they_were_last_fetched),
        cmocka_unit_test(of_too_many_providers_the_oldest_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
