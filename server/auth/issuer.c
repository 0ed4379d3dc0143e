/*
 * issuer: timer ─► GET ─► jwks_parse ─► on_keys, and the timer again.
 */
#include "server/auth/issuer.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/failpoint.h"
#include "lib/log.h"

#define STEP_MS        20
#define CONNECT_MS     5000L
#define TIMEOUT_MS     10000L
#define FRESH_MS       UINT64_C(600000) /* where the answer does not say */
#define FRESH_MS_MIN   UINT64_C(60000)
#define FRESH_MS_MAX   UINT64_C(3600000)
#define RETRY_MS       UINT64_C(2000)
#define RETRY_MS_MAX   UINT64_C(60000)
#define UNCONFIRMED_MS UINT64_C(86400000)
#define PAUSE_MS       (ISSUER_PAUSE_S * UINT64_C(1000))

struct issuer {
    struct loop      *loop;
    const char       *url;
    issuer_keys_fn   *on_keys;
    void             *ctx;
    struct loop_timer due; /* the next fetch, or the next look at the one that runs */

    CURLM *multi;
    CURL  *easy; /* NULL: none runs */
    char  *body;
    size_t body_bytes;
    bool   is_too_long;
    char   cache_control[256];

    bool     has_keys, is_good; /* is_good: the last fetch was */
    uint64_t tried_ms;          /* when it began; 0: never */
    uint64_t confirmed_ms, retry_ms;
};

/* ---- the address ---- */

static bool is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0
           || strcmp(host, "[::1]") == 0;
}

/* "host[:port],…"; without a port it means 80, since http is what it is asked for. */
static bool is_listed(const char *trusted, const char *host, const char *port)
{
    char with_port[300];

    snprintf(with_port, sizeof(with_port), "%s:%s", host, port);
    while (*trusted) {
        size_t len = strcspn(trusted, ",");
        if ((len == strlen(with_port) && strncasecmp(trusted, with_port, len) == 0)
            || (strcmp(port, "80") == 0 && len == strlen(host)
                && strncasecmp(trusted, host, len) == 0))
            return true;
        trusted += len;
        trusted += strspn(trusted, ", ");
    }
    return false;
}

static bool part(CURLU *url, CURLUPart which, unsigned flags, char *out, size_t size)
{
    char *text = NULL;
    bool  ok   = curl_url_get(url, which, &text, flags) == CURLUE_OK && strlen(text) < size;

    snprintf(out, size, "%s", ok ? text : "");
    curl_free(text);
    return ok;
}

bool issuer_check_url(const char *text, const char *trusted, struct err *err)
{
    CURLU *url = curl_url();
    char   scheme[16], host[256], port[16], user[256];
    bool   ok;

    if (!url)
        abort();
    ok = curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK
         && part(url, CURLUPART_SCHEME, 0, scheme, sizeof(scheme))
         && part(url, CURLUPART_HOST, 0, host, sizeof(host))
         && part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof(port))
         && !part(url, CURLUPART_USER, 0, user, sizeof(user));
    curl_url_cleanup(url);
    if (!ok) {
        err_set(err, "F0000", "KILN_JWKS_URL is not a URL https://host/path without a user");
        return false;
    }
    if (strcmp(scheme, "https") == 0
        || (strcmp(scheme, "http") == 0 && (is_loopback(host) || is_listed(trusted, host, port))))
        return true;
    err_set(err, "F0000",
            "KILN_JWKS_URL must be https, or http to this machine or a host in "
            "KILN_TRUSTED_HOSTS");
    return false;
}

/* ---- what comes in ---- */

static size_t take_body(char *data, size_t one, size_t bytes, void *ctx)
{
    struct issuer *issuer = ctx;

    (void)one;
    if (bytes > JWKS_BYTES_MAX - issuer->body_bytes) {
        issuer->is_too_long = true;
        return 0;
    }
    memcpy(issuer->body + issuer->body_bytes, data, bytes);
    issuer->body_bytes += bytes;
    return bytes;
}

static size_t take_header(char *data, size_t one, size_t bytes, void *ctx)
{
    static const char name[] = "cache-control:";
    struct issuer    *issuer = ctx;
    size_t            skip   = sizeof(name) - 1;

    (void)one;
    if (bytes > skip && bytes - skip < sizeof(issuer->cache_control)
        && strncasecmp(data, name, skip) == 0) {
        memcpy(issuer->cache_control, data + skip, bytes - skip);
        issuer->cache_control[bytes - skip] = '\0';
    }
    return bytes;
}

uint64_t issuer_fresh_ms(const char *cache_control)
{
    const char *age = cache_control ? strcasestr(cache_control, "max-age=") : NULL;
    uint64_t    ms;

    if (cache_control
        && (strcasestr(cache_control, "no-store") || strcasestr(cache_control, "no-cache")))
        return FRESH_MS_MIN;
    if (!age || age[8] < '0' || age[8] > '9')
        return FRESH_MS;
    ms = strtoull(age + 8, NULL, 10);
    ms = ms > FRESH_MS_MAX / 1000 ? FRESH_MS_MAX : ms * 1000;
    return ms < FRESH_MS_MIN ? FRESH_MS_MIN : ms;
}

/* ---- a fetch ends ---- */

static void end_fetch(struct issuer *issuer)
{
    curl_multi_remove_handle(issuer->multi, issuer->easy);
    curl_easy_cleanup(issuer->easy);
    issuer->easy = NULL;
}

static void succeed(struct issuer *issuer, struct jwks *keys)
{
    uint64_t fresh = issuer_fresh_ms(issuer->cache_control[0] ? issuer->cache_control : NULL);

    if (!issuer->is_good)
        log_info("the issuer's keys are here", "keys", LOG_I64(jwks_count(keys)), "next_s",
                 LOG_I64(fresh / 5 * 4 / 1000), NULL);
    issuer->has_keys = issuer->is_good = true;
    issuer->confirmed_ms               = base_now_ms();
    issuer->retry_ms                   = RETRY_MS;
    loop_timer_set(issuer->loop, &issuer->due, fresh / 5 * 4);
    issuer->on_keys(issuer->ctx, keys);
}

static void fail(struct issuer *issuer, const char *why)
{
    bool gives_up = issuer->has_keys && base_now_ms() - issuer->confirmed_ms >= UNCONFIRMED_MS;

    log_warn("the issuer's keys cannot be had", "error", why, "kept",
             issuer->has_keys && !gives_up ? "yes" : "no", "next_s",
             LOG_I64(issuer->retry_ms / 1000), NULL);
    issuer->is_good = false;
    loop_timer_set(issuer->loop, &issuer->due, issuer->retry_ms);
    issuer->retry_ms = issuer->retry_ms * 2 > RETRY_MS_MAX ? RETRY_MS_MAX : issuer->retry_ms * 2;
    if (!gives_up)
        return;
    issuer->has_keys = false;
    issuer->on_keys(issuer->ctx, NULL);
}

static void judge(struct issuer *issuer, CURLcode code)
{
    struct err   err;
    struct jwks *keys;
    long         status = 0;
    char         why[64];

    FAILPOINT("server.jwks.fetched");
    curl_easy_getinfo(issuer->easy, CURLINFO_RESPONSE_CODE, &status);
    end_fetch(issuer);
    if (code != CURLE_OK) {
        fail(issuer,
             issuer->is_too_long ? "the answer is longer than 64 KiB" : curl_easy_strerror(code));
        return;
    }
    if (status != 200) {
        snprintf(why, sizeof(why), "the answer has the status %ld", status);
        fail(issuer, why);
        return;
    }
    keys = jwks_parse(issuer->body, issuer->body_bytes, &err);
    if (keys)
        succeed(issuer, keys);
    else
        fail(issuer, err.message);
}

/* ---- a fetch begins and goes on ---- */

static void look(struct issuer *issuer)
{
    int      left = 0;
    CURLMsg *said;

    curl_multi_perform(issuer->multi, &left);
    while ((said = curl_multi_info_read(issuer->multi, &left)))
        if (said->msg == CURLMSG_DONE) {
            judge(issuer, said->data.result);
            return;
        }
    loop_timer_set(issuer->loop, &issuer->due, STEP_MS);
}

static CURL *request_keys(struct issuer *issuer)
{
    CURL *easy = curl_easy_init();

    if (!easy)
        abort();
    curl_easy_setopt(easy, CURLOPT_URL, issuer->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "kiln-server/" KILN_VERSION);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, issuer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, issuer);
    return easy;
}

static void begin(struct issuer *issuer)
{
    issuer->tried_ms         = base_now_ms();
    issuer->body_bytes       = 0;
    issuer->is_too_long      = false;
    issuer->cache_control[0] = '\0';
    issuer->easy             = request_keys(issuer);
    FAILPOINT("server.jwks.fetching");
    if (curl_multi_add_handle(issuer->multi, issuer->easy) != CURLM_OK)
        abort();
    look(issuer);
}

static void on_due(void *ctx)
{
    struct issuer *issuer = ctx;

    if (issuer->easy)
        look(issuer);
    else
        begin(issuer);
}

static unsigned seconds_of(uint64_t ms)
{
    return ms < 1000 ? 1 : (unsigned)((ms + 999) / 1000);
}

/* Until the fetch that is planned, or another is allowed. */
static unsigned next_s(const struct issuer *issuer, uint64_t passed_ms)
{
    uint64_t now_ns = base_now_ns(), pause_ms = PAUSE_MS - passed_ms;
    uint64_t due_ms = issuer->due.due_ns > now_ns ? (issuer->due.due_ns - now_ns) / 1000000 : 0;

    return seconds_of(due_ms < pause_ms ? due_ms : pause_ms);
}

unsigned issuer_wait_s(struct issuer *issuer)
{
    uint64_t passed_ms = base_now_ms() - issuer->tried_ms;

    if (issuer->easy || issuer->tried_ms == 0)
        return 1;
    if (passed_ms < PAUSE_MS)
        return issuer->is_good ? 0 : next_s(issuer, passed_ms);
    loop_timer_set(issuer->loop, &issuer->due, 0); /* not in the middle of a request */
    return 1;
}

struct issuer *issuer_open(struct loop *loop, const char *url, issuer_keys_fn *on_keys, void *ctx,
                           struct err *err)
{
    struct issuer *issuer = calloc(1, sizeof(*issuer));

    if (!issuer || !(issuer->body = malloc(JWKS_BYTES_MAX)))
        abort();
    issuer->multi = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init() : NULL;
    if (!issuer->multi) {
        err_set(err, "XX000", "libcurl cannot be started");
        free(issuer->body);
        free(issuer);
        return NULL;
    }
    issuer->loop     = loop;
    issuer->url      = url;
    issuer->on_keys  = on_keys;
    issuer->ctx      = ctx;
    issuer->retry_ms = RETRY_MS;
    issuer->due      = (struct loop_timer) { .on_time = on_due, .ctx = issuer };
    loop_timer_set(loop, &issuer->due, 0);
    return issuer;
}

void issuer_close(struct issuer *issuer)
{
    if (!issuer)
        return;
    loop_timer_stop(issuer->loop, &issuer->due);
    if (issuer->easy)
        end_fetch(issuer);
    curl_multi_cleanup(issuer->multi);
    curl_global_cleanup();
    free(issuer->body);
    free(issuer);
}
