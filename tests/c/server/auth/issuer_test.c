/*
 * issuer: which addresses it goes to, how long it believes an answer, which answers are none, and
 * when it gives up the keys of one that stays away (by a clock that is set forward). How it goes
 * on else is tested end to end.
 */
#include "server/auth/issuer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/c/server/rsa.h"

/* In libc's place, for the loop, the issuer and libcurl alike: the kernel's clock, and what a test
 * adds to it. */
static int64_t later_s;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's names are reserved */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, now);

    if (clock == CLOCK_MONOTONIC)
        now->tv_sec += later_s;
    return failed;
}

static bool may(const char *url, const char *trusted)
{
    struct err err = { 0 };
    bool       ok  = issuer_check_url(url, trusted, &err);

    if (!ok)
        assert_string_equal(err.sqlstate, "F0000");
    return ok;
}

static void only_https_but_to_this_machine_and_to_hosts_that_are_listed(void **state)
{
    (void)state;
    assert_true(may("https://tenant.example.auth0.com/.well-known/jwks.json", ""));
    assert_true(may("http://127.0.0.1:9000/jwks.json", ""));
    assert_true(may("http://localhost/jwks.json", ""));
    assert_true(may("http://[::1]:9000/jwks.json", ""));
    assert_false(may("http://tenant.example.com/jwks.json", ""));
    assert_false(may("http://127.0.0.1.example.com/jwks.json", ""));
    assert_false(may("http://localhost.example.com/jwks.json", ""));
    assert_true(may("http://keys.local:8080/jwks", "fal.local:1, keys.local:8080"));
    assert_true(may("http://keys.local/jwks", "keys.local"));
    assert_false(may("http://keys.local:8081/jwks", "keys.local:8080"));
    assert_false(may("http://keys.local:8080/jwks", "keys.local"));
    assert_false(may("http://keys.locals:8080/jwks", "keys.local:8080"));
    assert_false(may("http://eys.local:8080/jwks", "keys.local:8080"));
}

static void what_is_no_such_address_is_refused_at_start(void **state)
{
    static const char *const bad[] = { "tenant.example.com",
                                       "ftp://127.0.0.1/x",
                                       "file:///etc/passwd",
                                       "https://",
                                       "https://user@tenant.example.com/x",
                                       "https://user:word@tenant.example.com/x",
                                       "/jwks.json" };

    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        assert_false(may(bad[i], ""));
}

static void an_answer_is_believed_for_its_max_age_within_bounds(void **state)
{
    (void)state;
    assert_int_equal(issuer_fresh_ms(NULL), 600000);
    assert_int_equal(issuer_fresh_ms("public"), 600000);
    assert_int_equal(issuer_fresh_ms(" public, max-age=900, must-revalidate"), 900000);
    assert_int_equal(issuer_fresh_ms("MAX-AGE=900"), 900000);
    assert_int_equal(issuer_fresh_ms("max-age=15"), 60000);
    assert_int_equal(issuer_fresh_ms("max-age=0"), 60000);
    assert_int_equal(issuer_fresh_ms("no-store"), 60000);
    assert_int_equal(issuer_fresh_ms("no-cache, max-age=900"), 60000);
    assert_int_equal(issuer_fresh_ms("max-age=31536000"), 3600000);
    assert_int_equal(issuer_fresh_ms("max-age=99999999999999999999999"), 3600000);
    assert_int_equal(issuer_fresh_ms("max-age=-1"), 600000);
    assert_int_equal(issuer_fresh_ms("max-age="), 600000);
}

/* ---- what the other side may answer ---- */

struct watch {
    struct loop      *loop;
    struct issuer    *issuer;
    struct loop_timer timer;
    struct jwks      *keys;
    unsigned          wait_s;
    uint64_t          until_ms;
};

static void on_keys(void *ctx, struct jwks *keys)
{
    struct watch *watch = ctx;

    watch->keys = keys;
}

/* One second is the answer while a fetch runs. */
static void look(void *ctx)
{
    struct watch *watch = ctx;

    watch->wait_s = issuer_wait_s(watch->issuer);
    if (watch->wait_s != 1 || base_now_ms() > watch->until_ms)
        loop_stop(watch->loop);
    else
        loop_timer_set(watch->loop, &watch->timer, 5);
}

static int listen_here(char url[64])
{
    struct sockaddr_in address  = { .sin_family      = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          bytes    = sizeof(address);
    int                listener = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(listener, 5), 0);
    getsockname(listener, (struct sockaddr *)&address, &bytes);
    snprintf(url, 64, "http://127.0.0.1:%d/jwks.json", ntohs(address.sin_port));
    return listener;
}

static void answer_once(int listener, const char *answer, size_t bytes)
{
    char request[4096];
    int  fd = accept(listener, NULL, NULL);

    alarm(20);
    if (read(fd, request, sizeof(request)) > 0)
        while (bytes > 0) {
            ssize_t done = send(fd, answer, bytes, MSG_NOSIGNAL);
            if (done <= 0)
                break;
            answer += done;
            bytes -= (size_t)done;
        }
    _exit(0);
}

/* What an issuer makes of this answer: keys (the caller's), and seconds to wait. */
static struct watch fetch(const char *answer)
{
    struct watch watch = { .loop = loop_open(NULL), .until_ms = base_now_ms() + 15000 };
    char         url[64];
    int          listener = listen_here(url);
    pid_t        pid      = fork();

    if (pid == 0)
        answer_once(listener, answer, strlen(answer));
    close(listener);
    watch.issuer = issuer_open(watch.loop, url, on_keys, &watch, NULL);
    watch.timer  = (struct loop_timer) { .on_time = look, .ctx = &watch };
    loop_timer_set(watch.loop, &watch.timer, 5);
    loop_run(watch.loop);
    loop_timer_stop(watch.loop, &watch.timer);
    issuer_close(watch.issuer);
    loop_close(watch.loop);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return watch;
}

#define OK "HTTP/1.1 200 OK\r\nConnection: close\r\n"

static char *set_text, *twice_text;

static void a_good_answer_brings_its_keys(void **state)
{
    char         answer[4000];
    struct watch watch;

    (void)state;
    snprintf(answer, sizeof(answer), OK "Cache-Control: max-age=900\r\n\r\n%s", set_text);
    watch = fetch(answer);
    assert_int_equal(jwks_count(watch.keys), 1);
    assert_int_equal(watch.wait_s, 0); /* a key that is not among them does not exist */
    jwks_free(watch.keys);
}

static void a_bad_answer_brings_none_and_is_tried_again_in_two_seconds(void **state)
{
    char       *much = malloc(200000), text[3000], redirect[200], cut[200];
    char        error[4000], twice[8000];
    const char *bad[] = { much,
                          redirect,
                          cut,
                          error,
                          twice,
                          "",
                          "nonsense",
                          OK "\r\n",
                          OK "\r\n<html>down for maintenance</html>",
                          OK "\r\n{\"keys\":[]}" };
    int         head;

    (void)state;
    snprintf(text, sizeof(text), "%s", set_text);
    head = sprintf(much, OK "\r\n%s", set_text);
    memset(much + head, ' ', 70000);
    much[head + 70000] = '\0';
    snprintf(redirect, sizeof(redirect),
             "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n");
    snprintf(cut, sizeof(cut), OK "Content-Length: 5000\r\n\r\n%.20s", set_text);
    snprintf(error, sizeof(error), "HTTP/1.1 500 Oh\r\nConnection: close\r\n\r\n%s", text);
    snprintf(twice, sizeof(twice), OK "\r\n%s", twice_text);
    for (size_t i = 0; i < countof(bad); i++) {
        struct watch watch = fetch(bad[i]);
        assert_null(watch.keys);
        assert_int_equal(watch.wait_s, 2);
    }
    free(much);
}

/* ---- an issuer that stays away ---- */

struct outage {
    struct loop      *loop;
    struct issuer    *issuer;
    struct loop_timer timer;
    struct jwks      *keys; /* owned */
    int               brought, given_up;
    uint64_t          until_ms;
    bool (*is_over)(const struct outage *outage);
};

static void on_change(void *ctx, struct jwks *keys)
{
    struct outage *outage = ctx;

    jwks_free(outage->keys);
    outage->keys = keys;
    outage->brought += keys != NULL;
    outage->given_up += keys == NULL;
}

static void look_again(void *ctx)
{
    struct outage *outage = ctx;

    if (outage->is_over(outage) || base_now_ms() > outage->until_ms)
        loop_stop(outage->loop);
    else
        loop_timer_set(outage->loop, &outage->timer, 5);
}

/* An answer that was just had says 0 to who asks for another key, one that failed says in how many
 * seconds to come back. */
static bool has_answered(const struct outage *outage)
{
    return issuer_wait_s(outage->issuer) == 0;
}

static bool has_failed(const struct outage *outage)
{
    return issuer_wait_s(outage->issuer) > 1;
}

static void goes_on_until(struct outage *outage, bool (*is_over)(const struct outage *))
{
    outage->is_over  = is_over;
    outage->until_ms = base_now_ms() + 15000;
    loop_timer_set(outage->loop, &outage->timer, 5);
    loop_run(outage->loop);
    assert_true(is_over(outage));
}

/* That much later the next fetch is over. */
static void fails_after(struct outage *outage, int64_t seconds)
{
    later_s += seconds;
    goes_on_until(outage, has_failed);
}

/* + is a good answer, - a connection that ends without one. */
static void answer_in_turn(int listener, const char *turns)
{
    char answer[4000], request[4096];
    int  bytes =
        snprintf(answer, sizeof(answer), OK "Cache-Control: max-age=900\r\n\r\n%s", set_text);

    alarm(20);
    for (; *turns; turns++) {
        int fd = accept(listener, NULL, NULL);

        if (read(fd, request, sizeof(request)) > 0 && *turns == '+'
            && send(fd, answer, (size_t)bytes, MSG_NOSIGNAL) < 0)
            _exit(1);
        close(fd);
    }
    _exit(0);
}

static void keys_of_an_issuer_that_stays_away_are_given_up_after_24_hours(void **state)
{
    enum { DAY_S = 24 * 60 * 60 };
    struct outage outage = { .loop = loop_open(NULL) };
    char          url[64];
    int           listener = listen_here(url);
    pid_t         pid      = fork();

    (void)state;
    if (pid == 0)
        answer_in_turn(listener, "+----+--");
    close(listener);
    outage.timer  = (struct loop_timer) { .on_time = look_again, .ctx = &outage };
    outage.issuer = issuer_open(outage.loop, url, on_change, &outage, NULL);
    goes_on_until(&outage, has_answered);
    assert_int_equal(outage.brought, 1);

    fails_after(&outage, DAY_S / 2);
    fails_after(&outage, DAY_S / 2 - 120);
    assert_non_null(outage.keys); /* a day but two minutes */
    assert_int_equal(outage.given_up, 0);
    fails_after(&outage, 121);
    assert_null(outage.keys);
    assert_int_equal(outage.given_up, 1);
    fails_after(&outage, DAY_S);
    assert_int_equal(outage.given_up, 1); /* told once */

    later_s += 61;
    goes_on_until(&outage, has_answered);
    assert_non_null(outage.keys); /* it is back: so are its keys, and a day begins anew */
    fails_after(&outage, DAY_S - 120);
    assert_non_null(outage.keys);
    fails_after(&outage, 121);
    assert_null(outage.keys);
    assert_int_equal(outage.given_up, 2);

    loop_timer_stop(outage.loop, &outage.timer);
    issuer_close(outage.issuer);
    loop_close(outage.loop);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static int make_sets(void **state)
{
    EVP_PKEY   *key  = rsa_make(2048);
    char       *jwk  = rsa_jwk(key, "k", "");
    const char *of[] = { jwk, jwk };

    (void)state;
    set_text   = rsa_jwks(of, 1);
    twice_text = rsa_jwks(of, 2);
    free(jwk);
    EVP_PKEY_free(key);
    return 0;
}

static int free_sets(void **state)
{
    (void)state;
    free(set_text);
    free(twice_text);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_https_but_to_this_machine_and_to_hosts_that_are_listed),
        cmocka_unit_test(what_is_no_such_address_is_refused_at_start),
        cmocka_unit_test(an_answer_is_believed_for_its_max_age_within_bounds),
        cmocka_unit_test(a_good_answer_brings_its_keys),
        cmocka_unit_test(a_bad_answer_brings_none_and_is_tried_again_in_two_seconds),
        cmocka_unit_test(keys_of_an_issuer_that_stays_away_are_given_up_after_24_hours),
    };
    return cmocka_run_group_tests(tests, make_sets, free_sets);
}
