/* keys: a provider's public keys are fetched one after the other, and one that has none keeps
 * nobody waiting. */
#include "tests/c/runner/fake_transfer.h"

#include "tests/c/runner/fake_link.h"
#include "pipeline_runner/call/keys.h"

struct world {
    struct runner runner;
    struct keys  *keys;
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    w->runner.loop = loop_open(NULL);
    fake_link_open(w->runner.loop);
    w->keys = keys_open(&w->runner);
    *state  = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    keys_close(w->keys);
    keys_close(NULL);
    assert_int_equal(nexchanges, 0); /* what was under way went with it */
    loop_close(w->runner.loop);
    free(w);
    return 0;
}

/* The list of what is wanted: one text column, one row a provider. */
static PGresult *wanted(size_t count, const char *const list[])
{
    PGresult *result = rows(1);

    for (size_t i = 0; i < count; i++)
        PQsetvalue(result, (int)i, 0, (char *)(uintptr_t)list[i], (int)strlen(list[i]));
    return result;
}

#define WANTS(name)                                                                                \
    "{\"provider\":\"" name "\",\"jwks_url\":\"https://" name ".example/keys\",\"hosts\":[\"" name \
    ".example\"]}"

/* The one that is asked now, and no other. */
static void assert_asked(const char *url)
{
    assert_int_equal(nexchanges, 1);
    assert_string_equal(exchanges[0]->url, url);
}

static void what_is_wanted_is_fetched_and_stored_one_after_the_other(void **state)
{
    static const char *const list[] = { WANTS("a"), WANTS("b") };
    struct sent             *store;

    (void)state;
    answer(await(ST_WEBHOOK_KEYS_WANTED), wanted(countof(list), list));
    assert_asked("https://a.example/keys");
    assert_string_equal(exchanges[0]->method, "GET");
    reply(0, 200, "{\"keys\":[]}");
    assert_int_equal(nexchanges, 0); /* the second waits until the first is stored */
    store = await(ST_STORE_WEBHOOK_KEYS);
    assert_string_equal(store->params[0], "a");
    assert_string_equal(store->params[1], "{\"keys\":[]}");
    answer(store, one(""));
    assert_asked("https://b.example/keys");
    reply(0, 200, "{\"keys\":[]}");
    assert_string_equal(await(ST_STORE_WEBHOOK_KEYS)->params[0], "b");
    answer(asked(ST_STORE_WEBHOOK_KEYS), one(""));
    assert_int_equal(nexchanges, 0);
}

static void whatever_becomes_of_one_the_next_has_its_turn(void **state)
{
    static const char *const list[] = { WANTS("page"), WANTS("missing"), WANTS("away"),
                                        "no row",      WANTS("refused"), WANTS("late"),
                                        "{}",          WANTS("last") };

    (void)state;
    answer(await(ST_WEBHOOK_KEYS_WANTED), wanted(countof(list), list));
    assert_asked("https://page.example/keys");
    reply(0, 200, "<html>");
    assert_asked("https://missing.example/keys");
    reply(0, 404, "{}");
    assert_asked("https://away.example/keys");
    break_off(0, "connect", false);
    assert_asked("https://refused.example/keys");
    assert_null(asked(ST_STORE_WEBHOOK_KEYS)); /* of none of these is anything stored */
    reply(0, 200, "{\"keys\":7}");
    refuse(await(ST_STORE_WEBHOOK_KEYS), "22023");
    assert_asked("https://late.example/keys");
    fake_link.is_up = false;
    reply(0, 200, "{\"keys\":[]}");
    fake_link.is_up = true;
    assert_asked(""); /* the row without an address: the exchange itself says so */
    break_off(0, "host", false);
    assert_asked("https://last.example/keys");
    assert_null(asked(ST_STORE_WEBHOOK_KEYS)); /* what came late is fetched again another time */
    reply(0, 200, "");
    assert_int_equal(nexchanges, 0);
}

static void a_list_that_cannot_be_had_ends_the_round(void **state)
{
    (void)state;
    refuse(await(ST_WEBHOOK_KEYS_WANTED), "42501");
    assert_int_equal(nexchanges, 0);
    turn(20);
    assert_null(asked(ST_WEBHOOK_KEYS_WANTED));
}

static void the_end_stops_what_is_under_way(void **state)
{
    static const char *const list[] = { WANTS("a") };

    (void)state;
    answer(await(ST_WEBHOOK_KEYS_WANTED), wanted(countof(list), list));
    assert_int_equal(nexchanges, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest all[] = {
        TEST(what_is_wanted_is_fetched_and_stored_one_after_the_other),
        TEST(whatever_becomes_of_one_the_next_has_its_turn),
        TEST(a_list_that_cannot_be_had_ends_the_round),
        TEST(the_end_stops_what_is_under_way),
    };

    log_setup("keys_test", LOG_LEVEL_ERROR, true);
    return cmocka_run_group_tests_name("keys", all, NULL, NULL);
}
