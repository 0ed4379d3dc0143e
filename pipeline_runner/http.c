/*
 * http: one call a task, through libcurl's multi_socket interface in the runner's loop.
 *
 * The stage's configuration gives address, method, headers and bounds; the task's input is the
 * body, the answer must be a JSON object and is the output. Addresses and headers may hold keys: no
 * line of the log and no message carries them, only the host's name. Redirects are not followed:
 * the operator named the host that may be asked.
 */
#include "http.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "failpoint.h"
#include "retry_after.h"

#define CONNECT_MS      10000
#define ANSWER_BYTES    ((size_t)1 << 20)
#define ANSWER_MAX      ((size_t)8 << 20)
#define HEADERS_MAX     32
#define CALLS_KEPT_OPEN 256L

struct http {
    struct runner    *runner;
    CURLM            *multi;
    struct loop_timer timer;
};

/* One socket of libcurl's in the loop. */
struct http_socket {
    struct http      *http;
    struct loop_watch watch;
};

struct call {
    struct task       *task;
    struct http       *http;
    CURL              *easy;
    struct curl_slist *headers;
    char              *body;
    size_t             body_bytes, body_most;
    bool               is_too_long;
    int                retry_after_ms;
};

enum outcome http_outcome(long status)
{
    if (status >= 200 && status < 300)
        return OUTCOME_DONE;
    if (status == 429)
        return OUTCOME_RATE_LIMITED;
    if (status == 408 || status == 425 || status >= 500)
        return OUTCOME_TRANSIENT;
    return OUTCOME_INVALID;
}

/* ---- end of a call ---- */

static void call_free(struct call *call)
{
    if (call->easy) {
        curl_multi_remove_handle(call->http->multi, call->easy);
        curl_easy_cleanup(call->easy);
    }
    curl_slist_free_all(call->headers);
    free(call->body);
    free(call);
}

static void call_fail(struct call *call, enum outcome outcome, const char *message)
{
    struct task *task        = call->task;
    int          retry_after = call->retry_after_ms;
    char         kept[256];

    snprintf(kept, sizeof kept, "%s", message);
    call_free(call);
    task_fail(task, outcome, retry_after, "%s", kept);
}

static void take_answer(struct call *call)
{
    struct task *task = call->task;
    json_t      *answer =
        json_loadb(call->body ? call->body : "", call->body_bytes, JSON_REJECT_DUPLICATES, NULL);
    char *output = json_is_object(answer) ? json_dumps(answer, JSON_COMPACT) : NULL;

    json_decref(answer);
    if (!output) {
        call_fail(call, OUTCOME_INVALID, "the answer is not a JSON object");
        return;
    }
    call_free(call);
    task_done_owned(task, output);
}

static void answered(struct call *call)
{
    long status = 0;
    char message[64];

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (http_outcome(status) == OUTCOME_DONE) {
        take_answer(call);
        return;
    }
    snprintf(message, sizeof message, "the service answered %ld%s", status,
             status >= 300 && status < 400 ? " (redirects are not followed)" : "");
    call_fail(call, http_outcome(status), message);
}

static void call_ended(struct call *call, CURLcode code)
{
    curl_off_t connected_us = 0;

    FAILPOINT("runner.http.answered");
    curl_easy_getinfo(call->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
    switch (code) {
    case CURLE_OK: answered(call); break;
    case CURLE_WRITE_ERROR:
        call_fail(call, call->is_too_long ? OUTCOME_INVALID : OUTCOME_TRANSIENT,
                  call->is_too_long ? "the answer is longer than max_bytes"
                                    : curl_easy_strerror(code));
        break;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        call_fail(call, OUTCOME_INVALID, "the stage's \"url\" is not an http or https address");
        break;
    case CURLE_OPERATION_TIMEDOUT:
        call_fail(call, connected_us > 0 ? OUTCOME_TIMEOUT : OUTCOME_TRANSIENT,
                  connected_us > 0 ? "the service did not answer in time"
                                   : "no connection in time");
        break;
    default:
        call_fail(call, OUTCOME_TRANSIENT,
                  curl_easy_strerror(code)); /* names no address, unlike CURLOPT_ERRORBUFFER */
    }
}

static void reap(struct http *http)
{
    CURLMsg *message;
    int      left;

    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct call *call = NULL;
        CURLcode     code = message->data.result; /* the message goes with its handle */

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        call_ended(call, code);
    }
}

/* ---- libcurl and the loop ---- */

static void on_socket(void *ctx, uint32_t events)
{
    struct http_socket *s    = ctx;
    struct http        *http = s->http; /* s may be gone after the call */
    int                 running;
    int                 what = ((events & EPOLLIN) ? CURL_CSELECT_IN : 0)
               | ((events & EPOLLOUT) ? CURL_CSELECT_OUT : 0)
               | ((events & (EPOLLERR | EPOLLHUP)) ? CURL_CSELECT_ERR : 0);

    curl_multi_socket_action(http->multi, s->watch.fd, what, &running);
    reap(http);
}

static void on_time(void *ctx)
{
    struct http *http = ctx;
    int          running;

    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    reap(http);
}

static int timer_wanted(CURLM *multi, long ms, void *ctx)
{
    struct http *http = ctx;

    (void)multi;
    if (ms < 0)
        loop_timer_stop(http->runner->loop, &http->timer);
    else
        loop_timer_set(http->runner->loop, &http->timer,
                       (uint64_t)ms); /* 0: next turn, never from in here */
    return 0;
}

static struct http_socket *socket_new(struct http *http, curl_socket_t fd)
{
    struct http_socket *s = calloc(1, sizeof *s);

    if (!s)
        abort();
    s->http  = http;
    s->watch = (struct loop_watch) { .on_event = on_socket, .ctx = s, .fd = -1 };
    curl_multi_assign(http->multi, fd, s);
    return s;
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct http        *http   = ctx;
    struct http_socket *s      = socket_ctx;
    uint32_t            events = ((what & CURL_POLL_IN) ? (uint32_t)EPOLLIN : 0)
                      | ((what & CURL_POLL_OUT) ? (uint32_t)EPOLLOUT : 0);

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            loop_del(http->runner->loop, &s->watch);
        free(s);
        curl_multi_assign(http->multi, fd, NULL);
        return 0;
    }
    if (!s)
        s = socket_new(http, fd);
    if (s->watch.fd >= 0)
        loop_mod(http->runner->loop, &s->watch, events);
    else if (!loop_add(http->runner->loop, &s->watch, fd, events, NULL))
        return -1;
    return 0;
}

/* ---- a call ---- */

static size_t take_body(char *data, size_t one, size_t bytes, void *ctx)
{
    struct call *call = ctx;

    (void)one;
    if (bytes > call->body_most - call->body_bytes) {
        call->is_too_long = true;
        return 0;
    }
    call->body = realloc(call->body, call->body_bytes + bytes + 1);
    if (!call->body)
        abort();
    memcpy(call->body + call->body_bytes, data, bytes);
    call->body_bytes += bytes;
    return bytes;
}

static size_t take_header(char *data, size_t one, size_t bytes, void *ctx)
{
    static const char name[]     = "retry-after:";
    const size_t      name_bytes = sizeof(name) - 1;
    struct call      *call       = ctx;
    char              value[128];

    (void)one;
    if (bytes < name_bytes || bytes - name_bytes >= sizeof(value)
        || strncasecmp(data, name, name_bytes) != 0)
        return bytes;
    memcpy(value, data + name_bytes, bytes - name_bytes);
    value[bytes - name_bytes] = '\0';
    call->retry_after_ms      = retry_after_ms(value, time(NULL));
    return bytes;
}

static bool add_header(struct call *call, const char *name, const char *value)
{
    char               line[4096];
    struct curl_slist *longer;
    int                len = snprintf(line, sizeof line, value[0] ? "%s: %s" : "%s;", name, value);

    /* A line break would begin another header, of the writer's choice. */
    if (len < 0 || (size_t)len >= sizeof line || !name[0] || strpbrk(name, ":; \t")
        || strpbrk(line, "\r\n"))
        return false;
    longer = curl_slist_append(call->headers, line);
    if (!longer)
        abort();
    call->headers = longer;
    return true;
}

static bool add_headers(struct call *call, json_t *config)
{
    json_t     *headers = json_object_get(config, "headers");
    const char *name;
    json_t     *value;

    if (headers && (!json_is_object(headers) || json_object_size(headers) > HEADERS_MAX))
        return false;
    add_header(call, "Content-Type", "application/json");
    add_header(call, "Accept", "application/json");
    call->headers = curl_slist_append(call->headers,
                                      "Expect:"); /* else a large body waits a second for a "100" */
    json_object_foreach(
        headers, name,
        value) if (!json_is_string(value)
                   || !add_header(call, name, json_string_value(value))) return false;
    return true;
}

/* false: malformed; without the key *number stays. */
static bool read_number(const json_t *config, const char *key, int64_t most, int64_t *number)
{
    const json_t *value = json_object_get(config, key);

    if (!value)
        return true;
    *number = json_integer_value(value);
    return json_is_integer(value) && *number > 0 && *number <= most;
}

static bool set_method(struct call *call, const char *method)
{
    static const char *const with_body[] = { "POST", "PUT", "PATCH" };

    if (strcmp(method, "GET") == 0)
        return curl_easy_setopt(call->easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    for (size_t i = 0; i < countof(with_body); i++) {
        if (strcmp(method, with_body[i]) != 0)
            continue;
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS,
                         call->task->input); /* lives as long as the slot */
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)strlen(call->task->input));
        /* On a kept connection that dies without an answer libcurl would send the body once more by
         * itself, and the attempt that is recorded would have been two calls. A fresh one it does
         * not repeat. */
        curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, 1L);
        return curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK;
    }
    return false;
}

static void set_options(struct call *call, const char *url, int64_t timeout_ms)
{
    CURL *easy = call->easy;

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
                     16384L); /* 15.7 KiB a call in all, with thousands in flight */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "kiln-runner/" KILN_VERSION);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
}

static const char *configure(struct call *call, json_t *config)
{
    const char *url        = json_string_value(json_object_get(config, "url"));
    const char *method     = json_string_value(json_object_get(config, "method"));
    int64_t     timeout_ms = call->task->timeout_ms;
    int64_t     max_bytes  = ANSWER_BYTES;

    if (!url || (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0))
        return "the stage's \"url\" is not an http or https address";
    if (!read_number(config, "timeout_ms", 86400000, &timeout_ms)
        || !read_number(config, "max_bytes", ANSWER_MAX, &max_bytes))
        return "the stage's \"timeout_ms\" or \"max_bytes\" is out of range";
    if (!set_method(call, method ? method : "POST"))
        return "the stage's \"method\" is none of GET, POST, PUT, PATCH";
    if (!add_headers(call, config))
        return "the stage's \"headers\" are malformed";
    call->body_most = (size_t)max_bytes;
    set_options(call, url,
                timeout_ms < call->task->timeout_ms ? timeout_ms : call->task->timeout_ms);
    return NULL;
}

void http_start(struct task *task)
{
    struct call *call   = calloc(1, sizeof *call);
    json_t      *config = json_loads(task->config, 0, NULL);
    const char  *why;

    if (!call)
        abort();
    *call      = (struct call) { .task = task, .http = task->runner->http, .retry_after_ms = -1 };
    task->work = call;
    call->easy = curl_easy_init();
    if (!call->easy)
        abort();
    why = configure(call, config);
    json_decref(config);
    FAILPOINT("runner.http.sending");
    if (why)
        call_fail(call, OUTCOME_INVALID, why);
    else
        curl_multi_add_handle(call->http->multi, call->easy);
}

void http_stop(struct task *task)
{
    call_fail(task->work, OUTCOME_CANCELLED, "stopped");
}

/* ---- start and end ---- */

struct http *http_open(struct runner *runner, struct err *err)
{
    struct http *http = calloc(1, sizeof *http);

    if (!http)
        abort();
    http->runner = runner;
    http->timer  = (struct loop_timer) { .on_time = on_time, .ctx = http };
    http->multi  = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init() : NULL;
    if (!http->multi) {
        err_set(err, "XX000", "libcurl cannot be started");
        free(http);
        return NULL;
    }
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, CALLS_KEPT_OPEN);
    return http;
}

void http_close(struct http *http)
{
    if (!http)
        return;
    curl_multi_cleanup(http->multi);
    curl_global_cleanup();
    loop_timer_stop(http->runner->loop, &http->timer);
    free(http);
}
