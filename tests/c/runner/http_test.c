/* http: calls to a small real server in a child, whose paths are the cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "dispatch.h"
#include "http.h"

/* ---- the server ---- */

static void answer(int fd, const char *path, const char *request)
{
    const char *body = strstr(request, "\r\n\r\n");
    char        text[16384];

    if (strcmp(path, "/echo") == 0)
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n{\"got\":%s}",
                 strlen(body + 4) + 8, body + 4);
    else if (strcmp(path, "/headers") == 0)
        snprintf(
            text, sizeof text,
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"key\":%s,\"type\":%s,\"expect\":%s}",
            strstr(request, "X-Key: secret-value\r\n") ? "true" : "false",
            strstr(request, "Content-Type: application/json\r\n") ? "true" : "false",
            strstr(request, "Expect") ? "true" : "false");
    else if (strcmp(path, "/busy") == 0)
        snprintf(text, sizeof text,
                 "HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nConnection: close\r\n\r\n");
    else if (strcmp(path, "/down") == 0)
        snprintf(text, sizeof text,
                 "HTTP/1.1 503 Down\r\nretry-after:  7 \r\nConnection: close\r\n\r\n{}");
    else if (strcmp(path, "/padded")
             == 0) /* a value at and around the bound of what is looked at */
        snprintf(text, sizeof text,
                 "HTTP/1.1 503 Down\r\nRetry-After:%126d\r\nRetry-After:%127d\r\n"
                 "Connection: close\r\n\r\n",
                 4, 5);
    else if (strcmp(path, "/wrong") == 0)
        snprintf(text, sizeof text, "HTTP/1.1 422 Wrong\r\nConnection: close\r\n\r\n{}");
    else if (strcmp(path, "/moved") == 0)
        snprintf(text, sizeof text,
                 "HTTP/1.1 302 Found\r\nLocation: /echo\r\nConnection: close\r\n\r\n");
    else if (strcmp(path, "/list") == 0)
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[1]");
    else if (strcmp(path, "/long") == 0)
        snprintf(text, sizeof text,
                 "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"a\":\"%0500d\"}", 0);
    else if (strcmp(path, "/cut") == 0)
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":1}");
    else {
        poll(NULL, 0, 1500); /* /slow */
        return;
    }
    send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void serve_one(int fd)
{
    char    request[8192] = "", path[64] = "";
    size_t  len = 0;
    ssize_t got;

    while (len < sizeof request - 1
           && (got = recv(fd, request + len, sizeof request - 1 - len, 0)) > 0) {
        len += (size_t)got;
        request[len] = '\0';
        if (strstr(request, "\r\n\r\n{") || strncmp(request, "GET", 3) == 0)
            break;
    }
    if (sscanf(request, "%*s %63s", path) == 1)
        answer(fd, path, request);
    close(fd);
}

static pid_t start_server(int *port)
{
    struct sockaddr_in at  = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          len = sizeof at;
    int                fd  = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t              pid;

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    pid   = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            serve_one(accept(fd, NULL, NULL));
    }
    close(fd);
    return pid;
}

/* ---- one task without a database ---- */

struct world {
    struct runner   runner;
    struct dispatch dispatch;
    struct task     task;
    pid_t           server;
    int             port;
};

static void outcome_is_there(void *ctx)
{
    loop_stop(((struct world *)ctx)->runner.loop);
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    w->server          = start_server(&w->port);
    w->runner.loop     = loop_open(NULL);
    w->runner.dispatch = &w->dispatch;
    w->runner.slots    = 1;
    w->dispatch.runner = &w->runner;
    w->dispatch.step   = (struct loop_task) { .on_turn_end = outcome_is_there, .ctx = w };
    w->runner.http     = http_open(&w->runner, NULL);
    *state             = w;
    return w->runner.http ? 0 : -1;
}

static int close_world(void **state)
{
    struct world *w = *state;

    task_clear(&w->task);
    http_close(w->runner.http);
    loop_close(w->runner.loop);
    kill(w->server, SIGKILL);
    waitpid(w->server, NULL, 0);
    free(w);
    return 0;
}

/* %d in the configuration is the server's port. */
static struct task *call(struct world *w, const char *config_format)
{
    static char config[1024];

    snprintf(config, sizeof config, config_format, w->port);
    w->task.runner = &w->runner;
    task_clear(&w->task);
    w->task.state      = TASK_RUNNING;
    w->task.stage_name = w->task.handler_name = "http";
    w->task.timeout_ms                        = 5000;
    w->task.started_ms                        = base_now_ms();
    w->task.config                            = config;
    w->task.input                             = "{\"a\":\"b\"}";
    http_start(&w->task);
    return &w->task;
}

static struct task *call_to_the_end(struct world *w, const char *config_format)
{
    call(w, config_format);
    loop_run(w->runner.loop);
    assert_int_equal(w->task.state, TASK_READY);
    return &w->task;
}

static void assert_failed(const struct task *task, enum outcome outcome, int retry_after_ms)
{
    assert_int_equal(task->report, REPORT_FAIL);
    assert_int_equal(task->outcome, outcome);
    assert_int_equal(task->retry_after_ms, retry_after_ms);
}

static void the_input_is_sent_and_the_answer_is_the_output(void **state)
{
    struct task *task = call_to_the_end(*state, "{\"url\":\"http://127.0.0.1:%d/echo\"}");

    assert_int_equal(task->report, REPORT_COMPLETE);
    assert_string_equal(task->output, "{\"got\":{\"a\":\"b\"}}");
}

static void configured_headers_are_sent_and_no_expect(void **state)
{
    struct task *task = call_to_the_end(
        *state,
        "{\"url\":\"http://127.0.0.1:%d/headers\",\"headers\":{\"X-Key\":\"secret-value\"}}");

    assert_string_equal(task->output, "{\"key\":true,\"type\":true,\"expect\":false}");
}

static void a_429_is_rate_limited_until_retry_after(void **state)
{
    assert_failed(call_to_the_end(*state, "{\"url\":\"http://127.0.0.1:%d/busy\"}"),
                  OUTCOME_RATE_LIMITED, 3000);
}

static void a_503_is_transient_and_its_retry_after_is_kept(void **state)
{
    assert_failed(call_to_the_end(*state, "{\"url\":\"http://127.0.0.1:%d/down\"}"),
                  OUTCOME_TRANSIENT, 7000);
}

/* The first version wrote one byte behind its buffer at exactly this length. */
static void a_retry_after_longer_than_any_is_passed_over(void **state)
{
    assert_failed(call_to_the_end(*state, "{\"url\":\"http://127.0.0.1:%d/padded\"}"),
                  OUTCOME_TRANSIENT, -1);
}

static void other_4xx_are_invalid(void **state)
{
    assert_failed(call_to_the_end(*state, "{\"url\":\"http://127.0.0.1:%d/wrong\"}"),
                  OUTCOME_INVALID, -1);
}

static void redirects_are_not_followed(void **state)
{
    assert_failed(call_to_the_end(*state, "{\"url\":\"http://127.0.0.1:%d/moved\"}"),
                  OUTCOME_INVALID, -1);
}

static void an_answer_that_is_no_object_is_invalid(void **state)
{
    assert_failed(call_to_the_end(*state, "{\"url\":\"http://127.0.0.1:%d/list\"}"),
                  OUTCOME_INVALID, -1);
}

static void an_answer_over_its_bound_is_invalid(void **state)
{
    assert_failed(
        call_to_the_end(*state, "{\"url\":\"http://127.0.0.1:%d/long\",\"max_bytes\":100}"),
        OUTCOME_INVALID, -1);
}

static void an_answer_cut_off_is_transient(void **state)
{
    assert_failed(call_to_the_end(*state, "{\"url\":\"http://127.0.0.1:%d/cut\"}"),
                  OUTCOME_TRANSIENT, -1);
}

static void no_answer_in_time_is_a_timeout(void **state)
{
    uint64_t begin = base_now_ms();

    assert_failed(
        call_to_the_end(*state, "{\"url\":\"http://127.0.0.1:%d/slow\",\"timeout_ms\":200}"),
        OUTCOME_TIMEOUT, -1);
    assert_in_range(base_now_ms() - begin, 150, 1200);
}

static void nobody_there_is_transient_and_no_message_names_the_address(void **state)
{
    struct task *task =
        call_to_the_end(*state, "{\"url\":\"http://user:secret@127.0.0.1:1/%d?key=secret\"}");

    assert_failed(task, OUTCOME_TRANSIENT, -1);
    assert_null(strstr(task->message, "secret"));
}

static void only_http_addresses_and_sound_settings_are_taken(void **state)
{
    static const char *const configs[] = {
        "{\"url\":\"file:///etc/passwd\"}",
        "{\"url\":\"ftp://127.0.0.1:%d/\"}",
        "{\"url\":\"127.0.0.1:%d\"}",
        "{}",
        "{\"url\":7}",
        "{\"url\":\"http://127.0.0.1:%d/echo\",\"method\":\"DELETE\"}",
        "{\"url\":\"http://127.0.0.1:%d/echo\",\"timeout_ms\":0}",
        "{\"url\":\"http://127.0.0.1:%d/echo\",\"max_bytes\":99999999}",
        "{\"url\":\"http://127.0.0.1:%d/echo\",\"headers\":[]}",
        "{\"url\":\"http://127.0.0.1:%d/echo\",\"headers\":{\"A\":1}}",
        "{\"url\":\"http://127.0.0.1:%d/echo\",\"headers\":{\"A\":\"b\\r\\nC: d\"}}",
        "{\"url\":\"http://127.0.0.1:%d/echo\",\"headers\":{\"A b\":\"c\"}}",
        "{\"url\":\"http://127.0.0.1:%d/echo\",\"headers\":{\"\":\"c\"}}",
    };

    for (size_t i = 0; i < countof(configs); i++)
        assert_failed(call_to_the_end(*state, configs[i]), OUTCOME_INVALID, -1);
}

static void a_call_can_be_stopped(void **state)
{
    struct world *w    = *state;
    struct task  *task = call(w, "{\"url\":\"http://127.0.0.1:%d/slow\"}");

    task->stopping = STOP_CANCELLED;
    http_stop(task);
    loop_run(w->runner.loop);
    assert_failed(task, OUTCOME_CANCELLED, -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_input_is_sent_and_the_answer_is_the_output),
        TEST(configured_headers_are_sent_and_no_expect),
        TEST(a_429_is_rate_limited_until_retry_after),
        TEST(a_503_is_transient_and_its_retry_after_is_kept),
        TEST(a_retry_after_longer_than_any_is_passed_over),
        TEST(other_4xx_are_invalid),
        TEST(redirects_are_not_followed),
        TEST(an_answer_that_is_no_object_is_invalid),
        TEST(an_answer_over_its_bound_is_invalid),
        TEST(an_answer_cut_off_is_transient),
        TEST(no_answer_in_time_is_a_timeout),
        TEST(nobody_there_is_transient_and_no_message_names_the_address),
        TEST(only_http_addresses_and_sound_settings_are_taken),
        TEST(a_call_can_be_stopped),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
