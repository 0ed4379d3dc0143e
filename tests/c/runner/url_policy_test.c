/*
 * url_policy: what is no address of the public internet is refused however it is written, and so is
 * what the description does not name.
 */
#include "pipeline_runner/http/url_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool allows(const char *trusted, const char *hosts_json, const char *text)
{
    struct url_policy    *policy = url_policy_open(trusted);
    json_t               *hosts  = json_loads(hosts_json, 0, NULL);
    struct url_policy_url url;
    char                  why[400];
    bool                  ok = url_policy_check(policy, text, hosts, &url, why, sizeof why);

    if (!ok)
        assert_true(strlen(why) > 0);
    url_policy_url_free(&url);
    json_decref(hosts);
    url_policy_close(policy);
    return ok;
}

static bool is_public(const char *text)
{
    struct sockaddr_in  v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return url_policy_address_is_public((const struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return url_policy_address_is_public((const struct sockaddr *)&v6);
}

static void a_named_host_over_https_may_be_asked(void **state)
{
    (void)state;
    assert_true(allows("", "[\"queue.fal.run\"]", "https://queue.fal.run/fal-ai/x?a=1"));
    assert_true(allows("", "[\"queue.fal.run\"]", "https://QUEUE.fal.run:443/"));
    assert_true(allows("", "[\"a.example:8443\"]", "https://a.example:8443/"));
}

static void what_is_not_named_is_refused(void **state)
{
    (void)state;
    assert_false(allows("", "[\"queue.fal.run\"]", "https://evil.example/"));
    assert_false(allows("", "[\"queue.fal.run\"]", "https://queue.fal.run:444/"));
    assert_false(allows("", "[\"queue.fal.run\"]", "https://queue.fal.run.evil.example/"));
    assert_false(allows("", "[]", "https://queue.fal.run/"));
    assert_false(allows("", "{}", "https://queue.fal.run/"));
}

static void a_pattern_needs_a_label_of_its_own(void **state)
{
    (void)state;
    assert_true(allows("", "[\"*.fal.media\"]", "https://v3.fal.media/f.png"));
    assert_true(allows("", "[\"*.fal.media\"]", "https://a.b.fal.media/f.png"));
    assert_false(allows("", "[\"*.fal.media\"]", "https://fal.media/f.png"));
    assert_false(allows("", "[\"*.fal.media\"]", "https://evilfal.media/f.png"));
    assert_false(allows("", "[\"*.fal.media\"]", "https://v3.fal.media:8443/f.png"));
}

static void only_https_is_spoken_to_who_is_not_trusted(void **state)
{
    static const char hosts[] = "[\"127.0.0.1:8080\", \"a.example:80\", \"a.example\"]";

    (void)state;
    assert_false(allows("", hosts, "http://a.example/"));
    assert_false(allows("127.0.0.1:8081", hosts, "http://127.0.0.1:8080/"));
    assert_true(allows("x.example, 127.0.0.1:8080", hosts, "http://127.0.0.1:8080/"));
    assert_false(allows("a.example", hosts, "ftp://a.example/"));
    assert_false(allows("a.example", hosts, "file:///etc/passwd"));
    assert_false(allows("a.example", hosts, "gopher://a.example:80/"));
}

static void a_url_that_two_readers_read_differently_is_refused(void **state)
{
    static const char *const urls[] = {
        "https://user@a.example/",
        "https://user:pass@a.example/",
        "https://a.example\\@evil.example/",
        "https://a.example\t/",
        "https://a.example/\r\nX: 1",
        " https://a.example/",
        "https:///",
        "https://",
        "",
        "//a.example/",
    };

    (void)state;
    for (size_t i = 0; i < countof(urls); i++)
        assert_false(allows("", "[\"a.example\", \"evil.example\"]", urls[i]));
}

/* libcurl makes 127.0.0.1 of each of these, which is not what the request names. */
static void an_address_in_another_notation_is_not_the_host_that_was_named(void **state)
{
    (void)state;
    assert_false(allows("", "[\"2130706433\"]", "https://2130706433/"));
    assert_false(allows("", "[\"0x7f000001\"]", "https://0x7f000001/"));
    assert_false(allows("", "[\"0177.0.0.1\"]", "https://0177.0.0.1/"));
    assert_false(allows("", "[\"127.1\"]", "https://127.1/"));
    assert_false(allows("127.0.0.1:8080", "[\"0x7f.1:8080\"]", "http://0x7f.1:8080/"));
}

static bool becomes(const char *text, const char *wanted)
{
    struct url_policy    *policy = url_policy_open("");
    json_t               *hosts  = json_loads("[\"a.example\"]", 0, NULL);
    struct url_policy_url url;
    char                  why[400], *seen = NULL;
    bool                  ok = url_policy_check(policy, text, hosts, &url, why, sizeof why)
              && curl_url_get(url.parts, CURLUPART_URL, &seen, 0) == CURLUE_OK
              && strcmp(seen, wanted) == 0;

    curl_free(seen);
    url_policy_url_free(&url);
    json_decref(hosts);
    url_policy_close(policy);
    return ok;
}

static void behind_the_host_a_url_is_escaped_as_browsers_do(void **state)
{
    (void)state;
    assert_true(
        becomes("https://a.example/a b \xC3\xA9.png", "https://a.example/a%20b%20%C3%A9.png"));
    assert_true(becomes("https://a.example/x?n=a b'\xC3\xA9\"&s=%2F+{}",
                        "https://a.example/x?n=a%20b%27%C3%A9%22&s=%2F+{}"));
    assert_true(
        becomes("https://a.example/{a}|<b>^`%zz", "https://a.example/%7Ba%7D|%3Cb%3E%5E%60%zz"));
    assert_true(becomes("https://a.example/a ", "https://a.example/a"));
    assert_true(becomes("https://a.example/%20%C3%A9", "https://a.example/%20%C3%A9"));
}

static void in_front_of_its_end_nothing_is_mended(void **state)
{
    (void)state;
    assert_false(allows("", "[\"a.example\"]", "https://a.example b/"));
    assert_false(allows("", "[\"a.example\"]", "https://a.example @evil.example/"));
    assert_false(allows("", "[\"a.example\"]", "https://\xC3\xA9.example/"));
    assert_false(allows("", "[\"a.example\"]", "ht tps://a.example/"));
    assert_false(allows("", "[\"a.example\"]", "https://a.example/a\tb"));
}

static void no_private_address_is_public(void **state)
{
    static const char *const addresses[] = {
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.9.9.9",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001::1",
    };

    (void)state;
    for (size_t i = 0; i < countof(addresses); i++)
        if (is_public(addresses[i]))
            fail_msg("%s passes for public", addresses[i]);
}

static void public_addresses_are_public(void **state)
{
    static const char *const addresses[] = {
        "8.8.8.8",    "1.1.1.1",    "100.63.255.255",  "100.128.0.0",
        "172.15.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808",
    };

    (void)state;
    for (size_t i = 0; i < countof(addresses); i++)
        if (!is_public(addresses[i]))
            fail_msg("%s is refused", addresses[i]);
}

static void other_families_are_not_public(void **state)
{
    struct sockaddr local = { .sa_family = AF_UNIX };

    (void)state;
    assert_false(url_policy_address_is_public(&local));
}

static char *followed(const char *location)
{
    struct url_policy    *policy = url_policy_open("");
    json_t               *hosts  = json_loads("[\"a.example\"]", 0, NULL);
    struct url_policy_url url;
    char                  why[400], *to;

    assert_true(
        url_policy_check(policy, "https://a.example/x/y?k=1", hosts, &url, why, sizeof why));
    to = url_policy_follow(&url, location);
    url_policy_url_free(&url);
    json_decref(hosts);
    url_policy_close(policy);
    return to;
}

static void a_location_is_read_from_where_it_was_given(void **state)
{
    char *relative = followed("z"), *absolute = followed("https://b.example/q");
    char *odd = followed("/a b?u=http://c d"), *other = followed("//b.example/a b");

    (void)state;
    assert_string_equal(relative, "https://a.example/x/z");
    assert_string_equal(absolute, "https://b.example/q");
    assert_string_equal(odd, "https://a.example/a%20b?u=http://c%20d");
    assert_string_equal(other, "https://b.example/a%20b");
    free(odd);
    free(other);
    free(relative);
    free(absolute);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_named_host_over_https_may_be_asked),
        cmocka_unit_test(what_is_not_named_is_refused),
        cmocka_unit_test(a_pattern_needs_a_label_of_its_own),
        cmocka_unit_test(only_https_is_spoken_to_who_is_not_trusted),
        cmocka_unit_test(a_url_that_two_readers_read_differently_is_refused),
        cmocka_unit_test(an_address_in_another_notation_is_not_the_host_that_was_named),
        cmocka_unit_test(behind_the_host_a_url_is_escaped_as_browsers_do),
        cmocka_unit_test(in_front_of_its_end_nothing_is_mended),
        cmocka_unit_test(no_private_address_is_public),
        cmocka_unit_test(public_addresses_are_public),
        cmocka_unit_test(other_families_are_not_public),
        cmocka_unit_test(a_location_is_read_from_where_it_was_given),
    };

    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
