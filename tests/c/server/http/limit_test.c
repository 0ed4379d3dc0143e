/* limit_test: whose a request is, and how often one may come. */
#include "server/http/limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct limits *opened(const char *proxies)
{
    struct cfg     cfg = { .auth_per_minute     = 60,
                           .webhooks_per_minute = 6000,
                           .trusted_proxies     = proxies };
    struct err     err;
    struct limits *limits = limits_open(&cfg, &err);

    if (!limits)
        assert_string_equal(err.sqlstate, "F0000");
    return limits;
}

static struct limit_address client(struct limits *limits, const char *peer, const char *forwarded)
{
    struct sockaddr_in  v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

    if (inet_pton(AF_INET, peer, &v4.sin_addr) == 1)
        return limits_client(limits, (struct sockaddr *)&v4, forwarded);
    assert_int_equal(inet_pton(AF_INET6, peer, &v6.sin6_addr), 1);
    return limits_client(limits, (struct sockaddr *)&v6, forwarded);
}

static void is(struct limits *limits, const char *peer, const char *forwarded, const char *wanted)
{
    struct limit_address got = client(limits, peer, forwarded), is = client(limits, wanted, NULL);

    assert_memory_equal(&got, &is, sizeof(got));
}

static void forwarded_for_counts_from_trusted_proxies_only(void **state)
{
    struct limits *l = opened("10.0.0.0/8, 127.0.0.1,fd00::/16");

    (void)state;
    is(l, "9.9.9.9", "1.2.3.4", "9.9.9.9");
    is(l, "127.0.0.1", NULL, "127.0.0.1");
    is(l, "127.0.0.1", "", "127.0.0.1");
    is(l, "127.0.0.1", "1.2.3.4", "1.2.3.4");
    is(l, "127.0.0.2", "1.2.3.4", "127.0.0.2");
    is(l, "10.255.0.1", "6.6.6.6, 1.2.3.4 , 10.1.1.1",
       "1.2.3.4"); /* 6.6.6.6 is the client's word */
    is(l, "127.0.0.1", "10.1.1.1", "10.1.1.1");
    is(l, "127.0.0.1", "1.2.3.4, nonsense", "127.0.0.1");
    is(l, "127.0.0.1", "1.2.3.4:555", "1.2.3.4");
    is(l, "127.0.0.1", "[2001:db8::1]:555", "2001:db8::1");
    is(l, "127.0.0.1", "[", "127.0.0.1");
    is(l, "fd00::5", "2001:db8::1", "2001:db8::1");
    is(l, "fd01::5", "2001:db8::1", "fd01::5");
    limits_close(l);
}

static void a_malformed_list_is_refused(void **state)
{
    (void)state;
    assert_null(opened("10.0.0.0/33"));
    assert_null(opened("localhost"));
    assert_null(opened("::1/129"));
    assert_null(opened("10.0.0.1/"));
}

static unsigned taken(struct limits *l, enum limit_class class, const char *from, uint64_t at_ms,
                      unsigned tries)
{
    struct limit_address a = client(l, from, NULL);
    unsigned             n = 0;
    struct err           err;

    for (unsigned i = 0; i < tries; i++)
        n += limits_take(l, class, &a, at_ms, &err);
    return n;
}

static void a_burst_then_one_each_step(void **state)
{
    struct limits       *l = opened("");
    struct limit_address a = client(l, "1.2.3.4", NULL);
    struct err           err;

    (void)state;
    assert_int_equal(taken(l, LIMIT_AUTH, "1.2.3.4", 1000, 100), 60);
    assert_false(limits_take(l, LIMIT_AUTH, &a, 1000, &err));
    assert_string_equal(err.sqlstate, "KN007");
    assert_string_equal(err.detail, "{\"retry_after\":1}");
    assert_int_equal(taken(l, LIMIT_AUTH, "1.2.3.4", 3000, 100), 2);
    assert_int_equal(taken(l, LIMIT_AUTH, "1.2.3.5", 3000, 100), 60);
    assert_int_equal(taken(l, LIMIT_WEBHOOKS, "1.2.3.4", 3000, 7000), 6000);
    assert_int_equal(taken(l, LIMIT_AUTH, "1.2.3.4", 200000, 100), 60);
    limits_close(l);
}

static void a_network_of_ipv6_is_one_address(void **state)
{
    struct limits *l = opened("");

    (void)state;
    assert_int_equal(taken(l, LIMIT_AUTH, "2001:db8::1", 1000, 60), 60);
    assert_int_equal(taken(l, LIMIT_AUTH, "2001:db8::ffff:1", 1000, 1), 0);
    assert_int_equal(taken(l, LIMIT_AUTH, "2001:db8:0:1::1", 1000, 1), 1);
    limits_close(l);
}

/* More addresses than places: memory stays as it is, and everyone is answered. */
static void a_million_addresses_need_no_more_memory(void **state)
{
    struct limits *l = opened("");
    struct err     err;

    (void)state;
    for (uint32_t i = 0; i < 1000000; i++) {
        struct sockaddr_in   v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(i) };
        struct limit_address a  = limits_client(l, (struct sockaddr *)&v4, NULL);
        assert_true(limits_take(l, LIMIT_AUTH, &a, 1000, &err));
    }
    limits_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forwarded_for_counts_from_trusted_proxies_only),
        cmocka_unit_test(a_malformed_list_is_refused),
        cmocka_unit_test(a_burst_then_one_each_step),
        cmocka_unit_test(a_network_of_ipv6_is_one_address),
        cmocka_unit_test(a_million_addresses_need_no_more_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
