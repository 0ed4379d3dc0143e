/*
 * transfer: every end of an exchange with a provider that means harm, and what it says of whether a
 * byte of the request had left.
 */
#include "pipeline_runner/http/transfer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipeline_runner/call/answer.h"

#define LIMIT_S 20

typedef void act_fn(int fd);

struct server {
    pid_t pid;
    int   port, log_fd; /* log: what came in, of all connections */
};

/* A child that has a copy of each descriptor, as one that stores a file has: who closes a socket
 * while it lives has not ended the connection, nor taken it from the loop. */
struct holder {
    uint64_t          after_ms; /* 0 = there is none */
    uint64_t          turns_ms; /* how long the loop goes on after the end */
    int               listener; /* shut at the end; -1 = none */
    pid_t             pid;
    struct loop_timer begin, end;
};

struct seen {
    struct loop   *loop;
    struct holder *holder;
    int            status;
    bool           was_sent, has_error;
    char           code[16], message[512], body[256], type[64], answer[4096];
    size_t         body_bytes;
};

/* ---- the other side ---- */

static void put(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t done = send(fd, text, left, MSG_NOSIGNAL);

        if (done <= 0)
            _exit(0);
        text += done;
        left -= (size_t)done;
    }
}

static void serve(int listener, int log_fd, act_fn *act)
{
    char buffer[65536];

    alarm(LIMIT_S);
    for (;;) {
        int     fd  = accept(listener, NULL, NULL);
        ssize_t got = fd < 0 ? -1 : read(fd, buffer, sizeof buffer);

        if (got > 0 && write(log_fd, buffer, (size_t)got) == got)
            act(fd);
        close(fd);
    }
}

static struct server server_start(act_fn *act)
{
    struct sockaddr_in at  = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          len = sizeof at;
    int                listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ends[2];
    struct server      server;

    assert_int_equal(bind(listener, (const struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listener, 8), 0);
    getsockname(listener, (struct sockaddr *)&at, &len);
    assert_int_equal(pipe(ends), 0);
    server.pid = fork();
    if (server.pid == 0)
        serve(listener, ends[1], act);
    close(listener);
    close(ends[1]);
    server.port   = ntohs(at.sin_port);
    server.log_fd = ends[0];
    return server;
}

/* Ends it; text is what it was sent, at most so much of it. */
static void server_end(struct server *server, char *text, size_t size)
{
    size_t  len = 0;
    ssize_t got;

    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    while ((got = read(server->log_fd, text + len, size - 1 - len)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    close(server->log_fd);
}

/* ---- our side ---- */

static void ended(void *ctx, const struct transfer_end *end)
{
    struct seen *seen = ctx;
    struct jbuf  j    = { 0 };
    const char  *type = json_string_value(json_object_get(end->headers, "content-type"));
    json_t      *answer;

    seen->status     = end->status;
    seen->was_sent   = end->was_sent;
    seen->has_error  = end->code != NULL;
    seen->body_bytes = end->body_bytes;
    snprintf(seen->code, sizeof seen->code, "%s", end->code ? end->code : "");
    snprintf(seen->message, sizeof seen->message, "%s", end->message ? end->message : "");
    snprintf(seen->type, sizeof seen->type, "%s", type ? type : "");
    memcpy(seen->body, end->body,
           end->body_bytes < sizeof seen->body ? end->body_bytes : sizeof seen->body);
    answer_write(&j, "12", "submit", end, NULL);
    answer = json_loads(jbuf_text(&j), 0, NULL); /* whatever came, what is told is JSON */
    assert_non_null(answer);
    json_decref(answer);
    snprintf(seen->answer, sizeof seen->answer, "%s", jbuf_text(&j));
    jbuf_free(&j);
    if (seen->holder && seen->holder->listener >= 0)
        shutdown(seen->holder->listener, SHUT_RD); /* what still knocks is refused from now on */
    if (seen->holder)
        loop_timer_set(seen->loop, &seen->holder->end, seen->holder->turns_ms);
    else
        loop_stop(seen->loop);
}

static struct transfer_options options(const char *url, const json_t *hosts)
{
    return (struct transfer_options) {
        .method     = "POST",
        .url        = url,
        .hosts      = hosts,
        .body       = strdup("{\"prompt\":\"x\"}"),
        .body_bytes = 14,
        .is_once    = true,
        .connect_ms = 2000,
        .timeout_ms = 5000,
        .max_bytes  = 4096,
        .fd         = -1,
    };
}

static void hold(void *ctx)
{
    struct holder *holder = ctx;

    holder->pid = fork();
    if (holder->pid == 0) {
        alarm(2 * LIMIT_S); /* not what ends the wait of a test */
        pause();
        _exit(0);
    }
}

static void stop(void *ctx)
{
    loop_stop(ctx);
}

static struct seen exchange_held(const char *trusted, struct transfer_options *opt,
                                 struct holder *holder)
{
    struct err              err       = { 0 };
    struct loop            *loop      = loop_open(&err);
    struct transfers       *transfers = transfers_open(loop, trusted, &err);
    struct seen             seen      = { .loop = loop, .holder = holder };
    struct transfer_options own       = *opt;

    own.on_end = ended;
    own.ctx    = &seen;
    if (holder) {
        holder->begin = (struct loop_timer) { .on_time = hold, .ctx = holder };
        holder->end   = (struct loop_timer) { .on_time = stop, .ctx = loop };
        loop_timer_set(loop, &holder->begin, holder->after_ms);
    }
    alarm(LIMIT_S);
    transfer_start(transfers, &own);
    loop_run(loop);
    alarm(0);
    transfers_close(transfers);
    loop_close(loop);
    return seen;
}

static struct seen exchange(const char *trusted, struct transfer_options *opt)
{
    return exchange_held(trusted, opt, NULL);
}

static void holder_end(const struct holder *holder)
{
    assert_true(holder->pid > 0);
    kill(holder->pid, SIGKILL);
    waitpid(holder->pid, NULL, 0);
}

static struct seen ask(act_fn *act, void (*change)(struct transfer_options *opt), char *log,
                       size_t size)
{
    struct server           server = server_start(act);
    char                    url[80], host[40];
    json_t                 *hosts = json_array();
    struct transfer_options opt;
    struct seen             seen;

    snprintf(host, sizeof host, "127.0.0.1:%d", server.port);
    snprintf(url, sizeof url, "http://%s/x", host);
    json_array_append_new(hosts, json_string(host));
    opt = options(url, hosts);
    if (change)
        change(&opt);
    seen = exchange(host, &opt);
    server_end(&server, log, size);
    json_decref(hosts);
    return seen;
}

static size_t requests_in(const char *log)
{
    size_t count = 0;

    for (; (log = strstr(log, " /x HTTP/1.1\r\n")); log++)
        count++;
    return count;
}

static void assert_ends(act_fn *act, void (*change)(struct transfer_options *opt), const char *code)
{
    char        log[8192];
    struct seen seen = ask(act, change, log, sizeof log);

    assert_string_equal(seen.code, code);
    assert_true(seen.was_sent);
    assert_int_equal(seen.status, 0);
    assert_int_equal(requests_in(log), 1); /* whatever went wrong, it was sent once */
}

/* ---- what the other side does ---- */

static void act_well(int fd)
{
    put(fd, "HTTP/1.1 201 Created\r\nContent-TYPE: application/json\r\nContent-Length: 8\r\n\r\n"
            "{\"a\": 1}");
}

static void act_short(int fd)
{
    put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\"");
}

static void act_reset(int fd)
{
    struct linger none = { .l_onoff = 1 };

    put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\"");
    usleep(50000);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

static void act_silent(int fd)
{
    (void)fd;
    sleep(LIMIT_S);
}

static void act_gone(int fd)
{
    (void)fd;
}

static void act_drip(int fd)
{
    put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n");
    for (;;) {
        put(fd, "x");
        usleep(50000);
    }
}

static void act_chunks(int fd)
{
    put(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (;;)
        put(fd, "10\r\n0123456789abcdef\r\n");
}

static void act_bad_chunk(int fd)
{
    put(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx");
}

static void act_redirect(int fd)
{
    put(fd, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
}

static void act_see_other(int fd)
{
    put(fd, "HTTP/1.1 303 See Other\r\nContent-Length: 4\r\n\r\nfile");
}

static void act_great_header(int fd)
{
    static char value[(1 << 20) + 1];

    memset(value, 'h', sizeof value - 1);
    put(fd, "HTTP/1.1 200 OK\r\nX-Great: ");
    put(fd, value);
    put(fd, "\r\nContent-Length: 0\r\n\r\n");
}

static void act_no_http(int fd)
{
    put(fd, "SSH-2.0-OpenSSH_9.2\r\n");
}

static void act_odd_bytes(int fd)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Type: \xFF\xFEtext\r\n"
                                "Content-Length: 6\r\n\r\na\0b\xFF\xC0z";

    if (send(fd, reply, sizeof reply - 1, MSG_NOSIGNAL) < 0)
        _exit(1);
}

static void act_gzip(int fd)
{
    put(fd, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1F\x8B"
            "zz");
}

static void act_other_part(int fd)
{
    put(fd,
        "HTTP/1.1 206 Partial\r\nContent-Range: bytes 9-12/20\r\nContent-Length: 4\r\n\r\nabcd");
}

/* ---- what is asked otherwise ---- */

static void soon(struct transfer_options *opt)
{
    opt->timeout_ms = 400;
}

static void too_late(struct transfer_options *opt)
{
    opt->send_by_ms = transfer_now_ms() - 1;
}

static void body_too_late(struct transfer_options *opt)
{
    opt->body_by_ms = transfer_now_ms() - 1;
}

static void large(struct transfer_options *opt)
{
    free(opt->body);
    opt->body_bytes = 40000;
    opt->body       = calloc(1, opt->body_bytes);
    if (!opt->body)
        abort();
}

static void into_file(struct transfer_options *opt)
{
    FILE *file = tmpfile();

    assert_non_null(file);
    opt->fd   = fileno(file);
    opt->from = 4;
}

static void into_file_at_303(struct transfer_options *opt)
{
    static json_t *accept;

    if (!accept)
        accept = json_pack("[i]", 303);
    into_file(opt);
    opt->from   = 0;
    opt->accept = accept;
}

/* ---- claims ---- */

static void a_whole_reply_comes_as_it_was(void **state)
{
    char        log[8192];
    struct seen seen = ask(act_well, NULL, log, sizeof log);

    (void)state;
    assert_false(seen.has_error);
    assert_int_equal(seen.status, 201);
    assert_int_equal(seen.body_bytes, 8);
    assert_memory_equal(seen.body, "{\"a\": 1}", 8);
    assert_string_equal(seen.type, "application/json");
    assert_non_null(strstr(log, "POST /x HTTP/1.1\r\n"));
    assert_non_null(strstr(log, "Content-Type: application/json\r\n"));
}

static void no_encoding_is_asked_for_and_no_hundred(void **state)
{
    char log[65536];

    (void)state;
    ask(act_well, large, log, sizeof log);
    assert_null(strcasestr(log, "accept-encoding"));
    assert_null(strcasestr(log, "expect:"));
}

static void a_broken_reply_was_sent_and_is_not_sent_again(void **state)
{
    (void)state;
    assert_ends(act_short, NULL, "reply");
    assert_ends(act_reset, NULL, "reply");
    assert_ends(act_gone, NULL, "reply");
    assert_ends(act_bad_chunk, NULL, "reply");
    assert_ends(act_no_http, NULL, "reply");
}

static void who_never_answers_is_waited_for_so_long(void **state)
{
    (void)state;
    assert_ends(act_silent, soon, "timeout");
    assert_ends(act_drip, soon, "timeout");
}

static void a_reply_without_end_is_cut(void **state)
{
    (void)state;
    assert_ends(act_chunks, NULL, "too_long");
}

static void a_header_of_a_mebibyte_is_no_reply(void **state)
{
    char        log[8192];
    struct seen seen = ask(act_great_header, NULL, log, sizeof log);

    (void)state;
    assert_true(seen.has_error && seen.was_sent);
    assert_int_equal(requests_in(log), 1);
}

static void a_redirect_is_an_answer(void **state)
{
    char        log[8192];
    struct seen seen = ask(act_redirect, NULL, log, sizeof log);

    (void)state;
    assert_false(seen.has_error);
    assert_int_equal(seen.status, 302);
}

static void any_bytes_can_be_told(void **state)
{
    char        log[8192];
    struct seen seen = ask(act_odd_bytes, NULL, log, sizeof log);

    (void)state;
    assert_false(seen.has_error);
    assert_int_equal(seen.body_bytes, 6);
    assert_memory_equal(seen.body, "a\0b\xFF\xC0z", 6);
    assert_null(strstr(seen.answer, "\\u0000"));
}

static void what_is_packed_stays_packed(void **state)
{
    char        log[8192];
    struct seen seen = ask(act_gzip, NULL, log, sizeof log);

    (void)state;
    assert_false(seen.has_error);
    assert_int_equal(seen.body_bytes, 4);
}

static void what_the_description_takes_for_a_success_goes_into_the_file(void **state)
{
    char        log[8192];
    struct seen seen;

    (void)state;
    seen = ask(act_see_other, into_file_at_303, log, sizeof log);
    assert_false(seen.has_error);
    assert_int_equal(seen.status, 303);
    assert_int_equal(seen.body_bytes, 4);
    assert_string_equal(seen.body, ""); /* not in memory */
}

static void another_part_of_a_file_is_not_taken(void **state)
{
    (void)state;
    assert_ends(act_other_part, into_file, "reply");
}

static void too_late_is_not_sent_at_all(void **state)
{
    char        log[8192];
    struct seen seen = ask(act_well, too_late, log, sizeof log);

    (void)state;
    assert_string_equal(seen.code, "clock");
    assert_false(seen.was_sent);
    assert_string_equal(log, "");
}

static void a_body_that_is_too_late_was_begun(void **state)
{
    char        log[8192];
    struct seen seen = ask(act_well, body_too_late, log, sizeof log);

    (void)state;
    assert_string_equal(seen.code, "clock");
    assert_true(seen.was_sent);
}

static struct seen refused(const char *trusted, const char *url, const char *auth_json)
{
    json_t                 *hosts = json_loads("[\"127.0.0.1:1\", \"localhost:1\"]", 0, NULL);
    json_t                 *auth  = auth_json ? json_loads(auth_json, 0, NULL) : NULL;
    struct transfer_options opt   = options(url, hosts);
    struct seen             seen;

    opt.auth = auth;
    seen     = exchange(trusted, &opt);
    assert_false(seen.was_sent);
    json_decref(hosts);
    json_decref(auth);
    return seen;
}

static int listen_here(int backlog, char *host, size_t size)
{
    struct sockaddr_in at  = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          len = sizeof at;
    int                listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), few = 4096;

    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
    assert_int_equal(bind(listener, (const struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listener, backlog), 0);
    getsockname(listener, (struct sockaddr *)&at, &len);
    snprintf(host, size, "127.0.0.1:%d", ntohs(at.sin_port));
    return listener;
}

/* A request of 16 MiB, which is more than any socket holds, to who does not read yet. */
static void assert_cut(struct holder *holder)
{
    char                    url[80], host[40], buffer[65536];
    int                     listener = listen_here(8, host, sizeof host), fd;
    json_t                 *hosts    = json_array();
    struct transfer_options opt;
    ssize_t                 got;

    snprintf(url, sizeof url, "http://%s/x", host);
    json_array_append_new(hosts, json_string(host));
    opt = options(url, hosts);
    free(opt.body);
    opt.body_bytes = (size_t)16 << 20;
    opt.body       = calloc(1, opt.body_bytes);
    assert_non_null(opt.body);
    opt.body_by_ms = transfer_now_ms() + 300;
    assert_string_equal(exchange_held(host, &opt, holder).code, "clock");
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    alarm(LIMIT_S);
    do
        got = read(fd, buffer, sizeof buffer);
    while (got > 0);
    assert_true(got < 0 && errno == ECONNRESET);
    alarm(0);
    close(fd);
    close(listener);
    json_decref(hosts);
}

/* CURLINFO_ACTIVESOCKET named no socket while the body went out, so none was ever reset: the kernel
 * went on delivering what it held, to a provider that may take it for an order. */
static void what_the_kernel_holds_is_not_delivered_after_the_cut(void **state)
{
    (void)state;
    assert_cut(NULL);
}

static void nor_while_a_child_has_a_copy_of_the_socket(void **state)
{
    struct holder holder = { .after_ms = 100, .turns_ms = 1, .listener = -1 };

    (void)state;
    assert_cut(&holder);
    holder_end(&holder);
}

/* libcurl 7.88 closes a socket that has not connected without a word (CURL_POLL_REMOVE comes after
 * it). With a copy in a child it stayed in epoll, and its next event went to memory that was
 * gone. */
static void a_connection_that_was_given_up_is_heard_of_no_more(void **state)
{
    char                    url[80], host[40];
    int                     listener = listen_here(0, host, sizeof host), waiting[3];
    json_t                 *hosts    = json_array();
    struct holder           holder   = { .after_ms = 50, .turns_ms = 1500 };
    struct sockaddr_in      at       = { .sin_family = AF_INET };
    struct transfer_options opt;

    (void)state;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port        = htons((uint16_t)strtoul(strchr(host, ':') + 1, NULL, 10));
    for (size_t i = 0; i < countof(waiting); i++) { /* they fill its backlog; the next waits */
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(waiting[i], (const struct sockaddr *)&at, sizeof at);
    }
    snprintf(url, sizeof url, "http://%s/x", host);
    json_array_append_new(hosts, json_string(host));
    opt             = options(url, hosts);
    opt.connect_ms  = 200;
    holder.listener = listener;
    assert_string_equal(exchange_held(host, &opt, &holder).code, "connect");
    holder_end(&holder);
    close(listener);
    for (size_t i = 0; i < countof(waiting); i++)
        close(waiting[i]);
    json_decref(hosts);
}

static void where_it_may_not_go_nothing_is_sent(void **state)
{
    (void)state;
    assert_string_equal(refused("", "http://127.0.0.1:1/", NULL).code, "host");
    assert_string_equal(refused("", "https://a.example/", NULL).code, "host");
    assert_string_equal(refused("", "https://127.0.0.1:1/", NULL).code, "address");
    assert_string_equal(refused("", "https://localhost:1/", NULL).code, "address");
    assert_string_equal(refused("127.0.0.1:1", "http://127.0.0.1:1/", NULL).code, "connect");
}

static void a_missing_secret_is_said_by_its_name(void **state)
{
    static const char auth[] =
        "{\"header\":\"Authorization\",\"prefix\":\"Key \",\"env\":\"T_KEY\"}";
    struct seen seen;

    (void)state;
    unsetenv("T_KEY");
    seen = refused("127.0.0.1:1", "http://127.0.0.1:1/", auth);
    assert_string_equal(seen.code, "secret");
    assert_non_null(strstr(seen.message, "T_KEY"));
    setenv("T_KEY", "hush\r\nX-Evil: 1", 1);
    seen = refused("127.0.0.1:1", "http://127.0.0.1:1/", auth);
    assert_string_equal(seen.code, "secret");
    assert_null(strstr(seen.message, "hush"));
    unsetenv("T_KEY");
}

static void kilns_own_secrets_are_nobodys(void **state)
{
    (void)state;
    setenv("KILN_JWT_SECRET", "x", 1);
    setenv("DATABASE_URL", "x", 1);
    setenv("T_KEY", "", 1);
    assert_null(transfer_secret("KILN_JWT_SECRET"));
    assert_null(transfer_secret("DATABASE_URL"));
    assert_null(transfer_secret("T_KEY"));
    unsetenv("T_KEY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_reply_comes_as_it_was),
        cmocka_unit_test(no_encoding_is_asked_for_and_no_hundred),
        cmocka_unit_test(a_broken_reply_was_sent_and_is_not_sent_again),
        cmocka_unit_test(who_never_answers_is_waited_for_so_long),
        cmocka_unit_test(a_reply_without_end_is_cut),
        cmocka_unit_test(a_header_of_a_mebibyte_is_no_reply),
        cmocka_unit_test(a_redirect_is_an_answer),
        cmocka_unit_test(any_bytes_can_be_told),
        cmocka_unit_test(what_is_packed_stays_packed),
        cmocka_unit_test(what_the_description_takes_for_a_success_goes_into_the_file),
        cmocka_unit_test(another_part_of_a_file_is_not_taken),
        cmocka_unit_test(too_late_is_not_sent_at_all),
        cmocka_unit_test(a_body_that_is_too_late_was_begun),
        cmocka_unit_test(what_the_kernel_holds_is_not_delivered_after_the_cut),
        cmocka_unit_test(nor_while_a_child_has_a_copy_of_the_socket),
        cmocka_unit_test(a_connection_that_was_given_up_is_heard_of_no_more),
        cmocka_unit_test(where_it_may_not_go_nothing_is_sent),
        cmocka_unit_test(a_missing_secret_is_said_by_its_name),
        cmocka_unit_test(kilns_own_secrets_are_nobodys),
    };

    return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}
