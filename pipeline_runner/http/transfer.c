/*
 * transfer: libcurl's multi_socket interface in the loop, and what it must not do by itself.
 *
 * libcurl would send a request again when a kept connection dies before the first byte of the
 * reply; so what may be paid for gets a connection of its own, and a second call of on_request()
 * for the same transfer, for whatever reason, is refused.
 */
#include "pipeline_runner/http/transfer.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "pipeline_runner/http/accept.h"
#include "lib/failpoint.h"
#include "pipeline_runner/exec/protocol.h"
#include "pipeline_runner/http/retry_after.h"

#define KEPT_OPEN       64L
#define SLOW_BYTES      1024L
#define SOCKETS_MAX     ((size_t)16)    /* one, but where several addresses are tried */
#define ERROR_BYTES     ((size_t)65536) /* of what is not the file that was asked for */
#define LOOK_AGAIN_MS   50
#define LINE_BYTES      16384
#define ALL_HEADERS_MAX ((size_t)256 << 10)

struct transfers {
    struct loop       *loop;
    struct url_policy *url_policy;
    CURLM             *multi;
    struct loop_timer  timer;
    struct transfer   *first; /* of those that have a time after which nothing may leave */
};

/* One socket of libcurl's in the loop. */
struct transfer_socket {
    struct transfers *transfers;
    struct loop_watch watch;
    curl_socket_t     fd; /* as libcurl knows it */
};

struct transfer {
    struct transfers     *transfers;
    struct transfer      *next, *before;
    struct loop_timer     cut;
    struct url_policy_url url;
    CURL                 *easy;
    struct curl_slist    *headers;
    char                 *body;
    size_t                body_bytes, body_sent;
    bool                  is_once;
    uint64_t              send_by_ms, body_by_ms, started_ms;
    json_t               *accept;
    size_t                max_bytes;
    int                   fd;
    uint64_t              from;

    bool   was_sent;
    bool   is_refused; /* an address was; none was allowed */
    bool   is_opened;
    int    sockets[SOCKETS_MAX]; /* of what is sent once: copies, since libcurl closes its own */
    size_t nsockets;
    const char *code; /* what we ended it for ourselves */
    char        message[512];

    int              status; /* of the reply that is being read */
    char            *reply;
    size_t           reply_bytes, reply_cap;
    json_t          *reply_headers;
    size_t           header_bytes;
    size_t           all_header_bytes;
    transfer_end_fn *on_end;
    void            *ctx;
    struct loop_task refuse;
};

uint64_t transfer_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const struct url_policy_url *transfer_url(const struct transfer *t)
{
    return &t->url;
}

bool transfer_was_sent(const struct transfer *t)
{
    return t->was_sent;
}

const char *transfer_secret(const char *name)
{
    static const char *const own[] = {
        "KILN_", "PG", "DATABASE_", "STRIPE_", "LD_", "OTEL_", "AWS_"
    };
    const char *value;

    for (size_t i = 0; i < countof(own); i++)
        if (strncmp(name, own[i], strlen(own[i])) == 0)
            return NULL;
    value = getenv(name);
    return value && value[0] ? value : NULL;
}

/* ---- end ---- */

static void transfer_free(struct transfer *t)
{
    loop_defer_cancel(t->transfers->loop, &t->refuse);
    if (t->easy) {
        curl_multi_remove_handle(t->transfers->multi, t->easy);
        curl_easy_cleanup(t->easy);
    }
    for (size_t i = 0; i < t->nsockets; i++)
        close(t->sockets[i]);
    loop_timer_stop(t->transfers->loop, &t->cut);
    if (t->before)
        t->before->next = t->next;
    else if (t->transfers->first == t)
        t->transfers->first = t->next;
    if (t->next)
        t->next->before = t->before;
    url_policy_url_free(&t->url);
    curl_slist_free_all(t->headers);
    json_decref(t->reply_headers);
    json_decref(t->accept);
    free(t->body);
    free(t->reply);
    free(t);
}

static void set_error(struct transfer *t, const char *code, const char *what)
{
    if (t->code) /* the first is the cause */
        return;
    t->code = code;
    snprintf(t->message, sizeof t->message, "%.255s%s%.240s", t->url.host,
             t->url.host[0] ? ": " : "", what);
    protocol_clean(t->message);
}

static void finish(struct transfer *t)
{
    struct transfer_end end = {
        .status     = t->code ? 0 : t->status,
        .body       = t->reply ? t->reply : "",
        .body_bytes = t->reply_bytes,
        .headers    = t->reply_headers,
        .was_sent   = t->was_sent,
        .elapsed_ms = base_now_ms() - t->started_ms,
        .code       = t->code,
        .message    = t->code ? t->message : NULL,
    };

    t->on_end(t->ctx, &end);
    transfer_free(t);
}

/* What libcurl says, where we have not ended it ourselves. */
static void judge(struct transfer *t, CURLcode code)
{
    const char *what = curl_easy_strerror(code); /* names no address, unlike CURLOPT_ERRORBUFFER */

    switch (code) {
    case CURLE_OK: return;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        if (t->is_refused && !t->is_opened)
            set_error(t, "address",
                      "it has no public address, and is no host that the operator lists");
        else
            set_error(t, "connect", what);
        return;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR: set_error(t, "tls", what); return;
    case CURLE_OPERATION_TIMEDOUT:
        if (t->was_sent)
            set_error(t, "timeout", "no whole answer in time");
        else
            set_error(t, "connect", "no connection in time");
        return;
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND: set_error(t, "send", what); return;
    default: set_error(t, t->was_sent ? "reply" : "connect", what);
    }
}

static void reap(struct transfers *transfers)
{
    CURLMsg *message;
    int      left;

    while ((message = curl_multi_info_read(transfers->multi, &left))) {
        struct transfer *t    = NULL;
        CURLcode         code = message->data.result; /* the message goes with its handle */

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        FAILPOINT("runner.http.answered");
        judge(t, code);
        finish(t);
    }
}

static void refused(void *ctx)
{
    finish(ctx);
}

void transfer_stop(struct transfer *t)
{
    transfer_free(t);
}

/* ---- what may no longer leave ---- */

/* The connection goes with a reset, so that what the kernel still holds is not delivered later: at
 * once, and not when the last copy of the socket is closed, for a child may have one. (To connect
 * to nothing is Linux' word for it, tcp(7).) The sockets are our own list: CURLINFO_ACTIVESOCKET
 * knows none before a transfer has ended (7.88). */
static void reset_connection(const struct transfer *t)
{
    static const struct sockaddr nothing = { .sa_family = AF_UNSPEC };

    for (size_t i = 0; i < t->nsockets; i++)
        (void)!connect(t->sockets[i], &nothing, sizeof nothing);
}

/* libcurl asks for the body only when the socket takes more, and holds 64 KiB of it by then: so
 * whoever was frozen in the middle looks at the clock before it lets libcurl write. True: one was
 * cut off. */
static bool cut_off(struct transfers *transfers)
{
    uint64_t now = transfer_now_ms();

    for (struct transfer *t = transfers->first; t; t = t->next) {
        if (!t->was_sent || t->status != 0 || now < t->body_by_ms)
            continue;
        set_error(t, "clock", "it took too long to send");
        reset_connection(t);
        finish(t);
        return true; /* what on_end() began or ended may have changed the list */
    }
    return false;
}

static void cut_all(void *ctx)
{
    struct transfer  *t         = ctx;
    struct transfers *transfers = t->transfers; /* t may be gone after the call */

    loop_timer_set(transfers->loop, &t->cut, LOOK_AGAIN_MS); /* the clocks may differ */
    (void)cut_off(transfers);
}

static void bound_sending(struct transfer *t)
{
    uint64_t now = transfer_now_ms();

    t->next = t->transfers->first;
    if (t->next)
        t->next->before = t;
    t->transfers->first = t;
    t->cut              = (struct loop_timer) { .on_time = cut_all, .ctx = t };
    loop_timer_set(t->transfers->loop, &t->cut, t->body_by_ms > now ? t->body_by_ms - now : 0);
}

/* ---- libcurl and the loop ---- */

static void on_socket(void *ctx, uint32_t events)
{
    struct transfer_socket *s         = ctx;
    struct transfers       *transfers = s->transfers; /* s may be gone after the call */
    int                     running;
    int                     what = ((events & EPOLLIN) ? CURL_CSELECT_IN : 0)
               | ((events & EPOLLOUT) ? CURL_CSELECT_OUT : 0)
               | ((events & (EPOLLERR | EPOLLHUP)) ? CURL_CSELECT_ERR : 0);

    if (cut_off(transfers)) /* s may be gone; if not, it is told again */
        return;
    curl_multi_socket_action(transfers->multi, s->fd, what, &running);
    reap(transfers);
}

static void on_time(void *ctx)
{
    struct transfers *transfers = ctx;
    int               running;

    if (cut_off(transfers)) {
        loop_timer_set(transfers->loop, &transfers->timer, 0);
        return;
    }
    curl_multi_socket_action(transfers->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    reap(transfers);
}

static int timer_wanted(CURLM *multi, long ms, void *ctx)
{
    struct transfers *transfers = ctx;

    (void)multi;
    if (ms < 0)
        loop_timer_stop(transfers->loop, &transfers->timer);
    else
        loop_timer_set(transfers->loop, &transfers->timer,
                       (uint64_t)ms); /* 0: next turn, never from in here */
    return 0;
}

static struct transfer_socket *socket_new(struct transfers *transfers, curl_socket_t fd)
{
    struct transfer_socket *s = calloc(1, sizeof *s);

    if (!s)
        abort();
    s->transfers = transfers;
    s->fd        = fd;
    s->watch     = (struct loop_watch) { .on_event = on_socket, .ctx = s, .fd = -1 };
    curl_multi_assign(transfers->multi, fd, s);
    return s;
}

/* libcurl 7.88 closes a socket that did not connect before it takes it back here. */
static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct transfers       *transfers = ctx;
    struct transfer_socket *s         = socket_ctx;
    uint32_t                events    = ((what & CURL_POLL_IN) ? (uint32_t)EPOLLIN : 0)
                      | ((what & CURL_POLL_OUT) ? (uint32_t)EPOLLOUT : 0);

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            loop_del(transfers->loop, &s->watch);
        free(s);
        curl_multi_assign(transfers->multi, fd, NULL);
        return 0;
    }
    if (!s)
        s = socket_new(transfers, fd);
    if (s->watch.fd >= 0)
        loop_mod(transfers->loop, &s->watch, events);
    else if (!loop_add_copy(transfers->loop, &s->watch, fd, events, NULL))
        return -1;
    return 0;
}

/* ---- on the way out ---- */

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *t = ctx;
    int              fd;

    (void)purpose;
    if (!t->url.is_trusted && !url_policy_address_is_public(&address->addr)) {
        t->is_refused = true;
        return CURL_SOCKET_BAD;
    }
    if (t->nsockets >= SOCKETS_MAX)
        return CURL_SOCKET_BAD;
    t->is_opened = true;
    fd           = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0 && t->is_once) {
        t->sockets[t->nsockets] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (t->sockets[t->nsockets] < 0) { /* what could not be reset is not opened */
            close(fd);
            return CURL_SOCKET_BAD;
        }
        t->nsockets++;
    }
    return fd;
}

/* Called when the connection stands, TLS and all, before the first byte of the request. */
static int on_request(void *ctx, char *peer, char *own, int peer_port, int own_port)
{
    struct transfer *t = ctx;

    (void)peer;
    (void)own;
    (void)peer_port;
    (void)own_port;
    if (t->was_sent && t->is_once) {
        set_error(t, "reply", "the connection was lost, and the request is not sent again");
        return CURL_PREREQFUNC_ABORT;
    }
    FAILPOINT("runner.http.connected");
    if (t->send_by_ms && transfer_now_ms() >= t->send_by_ms) {
        set_error(t, "clock", "too late to send it");
        return CURL_PREREQFUNC_ABORT;
    }
    t->was_sent  = true;
    t->body_sent = 0;
    return CURL_PREREQFUNC_OK;
}

static size_t give_body(char *buffer, size_t one, size_t room, void *ctx)
{
    struct transfer *t = ctx;
    size_t left = t->body_bytes - t->body_sent, now = left < one * room ? left : one * room;

    FAILPOINT("runner.http.writing");
    if (t->body_by_ms && transfer_now_ms() >= t->body_by_ms) {
        set_error(t, "clock", "it took too long to send");
        reset_connection(t);
        return CURL_READFUNC_ABORT;
    }
    memcpy(buffer, t->body + t->body_sent, now);
    t->body_sent += now;
    return now;
}

/* ---- on the way in ---- */

static bool write_all(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t done = write(fd, data, bytes);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        data += done;
        bytes -= (size_t)done;
    }
    return true;
}

static bool is_for_file(const struct transfer *t)
{
    return t->fd >= 0 && accept_is_success(t->accept, t->status);
}

/* The first bytes for a file that is there in part: the rest of it, or all of it anew. */
static bool begin_file(struct transfer *t)
{
    const char *range = json_string_value(json_object_get(t->reply_headers, "content-range"));

    if (t->status == 206)
        return range && strncasecmp(range, "bytes ", 6) == 0
               && strtoull(range + 6, NULL, 10) == t->from;
    t->from = 0;
    return ftruncate(t->fd, 0) == 0 && lseek(t->fd, 0, SEEK_SET) == 0;
}

static size_t take_body(char *data, size_t one, size_t bytes, void *ctx)
{
    struct transfer *t    = ctx;
    size_t           most = t->fd >= 0 && !is_for_file(t) ? ERROR_BYTES : t->max_bytes;

    (void)one;
    if (is_for_file(t) && t->reply_bytes == 0 && !begin_file(t)) {
        set_error(t, "reply", "it gave another part of the file than was asked for");
        return 0;
    }
    if (bytes > most - t->reply_bytes
        || (is_for_file(t) && t->from > most - t->reply_bytes - bytes)) {
        set_error(t, "too_long", "the answer is longer than allowed");
        return 0;
    }
    if (is_for_file(t)) {
        if (!write_all(t->fd, data, bytes)) {
            set_error(t, "file", "the answer cannot be written to a file here");
            return 0;
        }
    } else {
        if (t->reply_bytes + bytes + 1 > t->reply_cap) {
            t->reply_cap = (t->reply_bytes + bytes) * 3 / 2 + 1024;
            t->reply     = realloc(t->reply, t->reply_cap);
            if (!t->reply)
                abort();
        }
        memcpy(t->reply + t->reply_bytes, data, bytes);
        t->reply[t->reply_bytes + bytes] = '\0';
    }
    t->reply_bytes += bytes;
    return bytes;
}

/* Dates become seconds, so that one form of it is read behind us. */
static const char *plain_value(const char *name, const char *value, char *text, size_t size)
{
    int ms = strcmp(name, "retry-after") == 0 ? retry_after_ms(value, time(NULL)) : -1;

    if (ms < 0)
        return value;
    snprintf(text, size, "%d", ms / 1000 + (ms % 1000 > 0));
    return text;
}

static void keep_header(struct transfer *t, char *line)
{
    char *colon = strchr(line, ':'), *value, number[24];

    if (!colon || colon == line)
        return;
    *colon                        = '\0';
    value                         = colon + 1 + strspn(colon + 1, " \t");
    value[strcspn(value, "\r\n")] = '\0';
    for (char *c = line; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    protocol_clean(line);
    protocol_clean(value);
    t->header_bytes += strlen(line) + strlen(value) + 8;
    if (t->header_bytes <= TRANSFER_HEADERS_MAX && !json_object_get(t->reply_headers, line))
        json_object_set_new(t->reply_headers, line,
                            json_string(plain_value(line, value, number, sizeof number)));
}

static size_t take_header(char *data, size_t one, size_t bytes, void *ctx)
{
    struct transfer *t = ctx;
    char             line[LINE_BYTES];

    (void)one;
    t->all_header_bytes += bytes;
    if (t->all_header_bytes
        > ALL_HEADERS_MAX) { /* of every interim reply too: libcurl keeps them */
        set_error(t, "too_long", "its headers are longer than allowed");
        return 0;
    }
    if (bytes >= sizeof line)
        return bytes; /* none that anybody wants */
    memcpy(line, data, bytes);
    line[bytes] = '\0';
    if (strncmp(line, "HTTP/", 5) == 0) {
        char *space = strchr(line, ' ');

        t->status = space ? (int)strtol(space, NULL, 10) : 0;
        json_object_clear(t->reply_headers);
        t->header_bytes = 0;
    } else {
        keep_header(t, line);
    }
    return bytes;
}

/* ---- begin ---- */

static bool add_header(struct transfer *t, const char *name, const char *prefix, const char *value)
{
    char               line[LINE_BYTES];
    struct curl_slist *longer;
    int  len = snprintf(line, sizeof line, prefix[0] || value[0] ? "%s: %s%s" : "%s;", name, prefix,
                        value);
    bool ok  = len > 0 && (size_t)len < sizeof line && name[0] && !strpbrk(name, ":; \t\r\n");

    for (int i = 0; ok && i < len; i++) /* a line break would begin another header */
        ok = (unsigned char)line[i] >= ' ' || line[i] == '\t';
    longer = ok ? curl_slist_append(t->headers, line) : NULL;
    if (longer)
        t->headers = longer;
    explicit_bzero(line, sizeof line);
    return longer != NULL;
}

static bool is_given(const json_t *headers, const char *wanted)
{
    const char   *name;
    const json_t *value;

    json_object_foreach((json_t *)(uintptr_t)headers, name,
                        value) if (strcasecmp(name, wanted) == 0) return true;
    return false;
}

static bool add_headers(struct transfer *t, const struct transfer_options *opt)
{
    const char   *name;
    const json_t *value;
    bool          ok = true;

    if (opt->body && !is_given(opt->headers, "content-type"))
        ok = add_header(t, "Content-Type", "", "application/json");
    t->headers = curl_slist_append(t->headers, "Expect:"); /* else a large body waits for a "100" */
    json_object_foreach((json_t *)(uintptr_t)opt->headers, name, value) ok =
        ok && json_is_string(value) && add_header(t, name, "", json_string_value(value));
    if (!ok)
        set_error(t, "host", "a header of the request is malformed");
    return ok;
}

static bool add_secret(struct transfer *t, const json_t *auth)
{
    const char *header = json_string_value(json_object_get(auth, "header"));
    const char *prefix = json_string_value(json_object_get(auth, "prefix"));
    const char *name   = json_string_value(json_object_get(auth, "env"));
    const char *secret = name ? transfer_secret(name) : NULL;
    char        what[160];

    if (!json_is_object(auth))
        return true;
    if (!secret) {
        snprintf(what, sizeof what, "this runner has no %.100s", name ? name : "name of a secret");
        set_error(t, "secret", what);
    } else if (!add_header(t, header ? header : "Authorization", prefix ? prefix : "", secret)) {
        snprintf(what, sizeof what, "%.100s cannot be part of a header", name);
        set_error(t, "secret", what);
    }
    return !t->code;
}

static void set_method(struct transfer *t, const char *method)
{
    CURL *easy = t->easy;

    if (t->body) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body_bytes);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(easy, CURLOPT_READDATA, t);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_way(struct transfer *t)
{
    CURL *easy = t->easy;

    curl_easy_setopt(easy, CURLOPT_CURLU, t->url.parts);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY,
                     ""); /* the policy looks at addresses; a proxy would hide them */
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, t);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, t->is_once ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, t->is_once ? 1L : 0L);
}

static long bounded_ms(uint64_t ms, uint64_t otherwise)
{
    return (long)(ms == 0 ? otherwise : ms < 86400000 ? ms : 86400000);
}

static void set_bounds(struct transfer *t, const struct transfer_options *opt)
{
    CURL *easy = t->easy;

    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, t->fd >= 0 ? 65536L : 16384L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, bounded_ms(opt->connect_ms, 10000));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, bounded_ms(opt->timeout_ms, 60000));
    if (opt->idle_ms > 0) {
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)(opt->idle_ms + 999) / 1000);
    }
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "kiln-runner/" KILN_VERSION);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
}

static bool prepare(struct transfer *t, const struct transfer_options *opt)
{
    char why[400];

    if (!url_policy_check(opt->url_policy ? opt->url_policy : t->transfers->url_policy, opt->url,
                          opt->hosts, &t->url, why, sizeof why)) {
        t->url.host[0] = '\0'; /* why names it */
        set_error(t, "host", why);
        return false;
    }
    if (!add_headers(t, opt) || !add_secret(t, opt->auth))
        return false;
    t->easy = curl_easy_init();
    if (!t->easy)
        abort();
    set_way(t);
    set_method(t, opt->method);
    set_bounds(t, opt);
    return true;
}

struct transfer *transfer_start(struct transfers *transfers, const struct transfer_options *opt)
{
    struct transfer *t = calloc(1, sizeof *t);

    if (!t)
        abort();
    *t = (struct transfer) {
        .transfers     = transfers,
        .body          = opt->body,
        .body_bytes    = opt->body_bytes,
        .is_once       = opt->is_once,
        .send_by_ms    = opt->send_by_ms,
        .body_by_ms    = opt->body_by_ms,
        .started_ms    = base_now_ms(),
        .accept        = json_incref((json_t *)(uintptr_t)opt->accept),
        .max_bytes     = opt->max_bytes,
        .fd            = opt->fd,
        .from          = opt->from,
        .reply_headers = json_object(),
        .on_end        = opt->on_end,
        .ctx           = opt->ctx,
        .refuse        = { .on_turn_end = refused, .ctx = t },
    };
    if (t->body_by_ms)
        bound_sending(t);
    FAILPOINT("runner.http.sending");
    if (!prepare(t, opt) || curl_multi_add_handle(transfers->multi, t->easy) != CURLM_OK) {
        set_error(t, "connect", "libcurl refuses it");
        loop_defer(transfers->loop, &t->refuse);
    }
    return t;
}

/* ---- start and end ---- */

struct transfers *transfers_open(struct loop *loop, const char *trusted_hosts, struct err *err)
{
    struct transfers *transfers = calloc(1, sizeof *transfers);

    if (!transfers)
        abort();
    transfers->loop  = loop;
    transfers->timer = (struct loop_timer) { .on_time = on_time, .ctx = transfers };
    transfers->multi = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init() : NULL;
    if (!transfers->multi) {
        err_set(err, "XX000", "libcurl cannot be started");
        free(transfers);
        return NULL;
    }
    transfers->url_policy = url_policy_open(trusted_hosts);
    curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETDATA, transfers);
    curl_multi_setopt(transfers->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    curl_multi_setopt(transfers->multi, CURLMOPT_TIMERDATA, transfers);
    curl_multi_setopt(transfers->multi, CURLMOPT_MAXCONNECTS, KEPT_OPEN);
    return transfers;
}

void transfers_close(struct transfers *transfers)
{
    if (!transfers)
        return;
    curl_multi_cleanup(transfers->multi);
    curl_global_cleanup();
    loop_timer_stop(transfers->loop, &transfers->timer);
    url_policy_close(transfers->url_policy);
    free(transfers);
}
