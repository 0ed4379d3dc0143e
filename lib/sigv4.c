/*
 * sigv4: canonical request, string to sign, signing key; see sigv4.h.
 */
#include "lib/sigv4.h"

#include <nettle/base16.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- text ---- */

struct text {
    char  *chars;
    size_t len, size;
};

static void add_bytes(struct text *text, const char *bytes, size_t count)
{
    if (text->len + count + 1 > text->size) {
        text->size  = (text->len + count + 1) * 2;
        text->chars = realloc(text->chars, text->size);
        if (!text->chars)
            abort();
    }
    memcpy(text->chars + text->len, bytes, count);
    text->len += count;
    text->chars[text->len] = '\0';
}

static void add(struct text *text, const char *chars)
{
    add_bytes(text, chars, strlen(chars));
}

static void add_encoded(struct text *text, const char *raw, bool is_path)
{
    for (; *raw; raw++) {
        unsigned char c = (unsigned char)*raw;
        char          hex[4];

        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
            || strchr("-._~", c) || (is_path && c == '/')) {
            add_bytes(text, raw, 1);
        } else {
            snprintf(hex, sizeof(hex), "%%%02X", c);
            add(text, hex);
        }
    }
}

static char *format(const char *fmt, ...) PRINTF_LIKE(1, 2);
static char *format(const char *fmt, ...)
{
    va_list args;
    char   *text;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        abort();
    va_end(args);
    return text;
}

/* ---- hashes ---- */

static void to_hex(const unsigned char *digest, char hex[65])
{
    base16_encode_update(hex, 32, digest);
    hex[64] = '\0';
}

void sigv4_sha256(const void *data, size_t bytes, char hex[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (EVP_Digest(data, bytes, digest, NULL, EVP_sha256(), NULL) != 1)
        abort();
    to_hex(digest, hex);
}

static void hmac(const void *key, size_t key_bytes, const char *text, unsigned char digest[32])
{
    unsigned int bytes = 32;

    if (!HMAC(EVP_sha256(), key, (int)key_bytes, (const unsigned char *)text, strlen(text), digest,
              &bytes))
        abort();
}

static void signing_key(const struct sigv4_keys *keys, const char *amz_date, unsigned char key[32])
{
    char *secret = format("AWS4%s", keys->secret_key), *day = format("%.8s", amz_date);

    hmac(secret, strlen(secret), day, key);
    hmac(key, 32, keys->region, key);
    hmac(key, 32, "s3", key);
    hmac(key, 32, "aws4_request", key);
    free(secret);
    free(day);
}

void sigv4_date(time_t at, char text[17])
{
    struct tm tm;

    gmtime_r(&at, &tm);
    strftime(text, 17, "%Y%m%dT%H%M%SZ", &tm);
}

/* ---- the canonical request ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted by byte, after encoding: upper case before lower. '=' sorts as '=' would in a name, which
 * no name has. */
static char *canonical_query(const struct sigv4_pair *query, size_t count)
{
    struct text all                        = { 0 };
    char       *parts[SIGV4_PAIRS_MAX * 2] = { 0 };

    for (size_t i = 0; i < count; i++) {
        struct text part = { 0 };

        add_encoded(&part, query[i].name, false);
        add(&part, "=");
        add_encoded(&part, query[i].value, false);
        parts[i] = part.chars;
    }
    qsort(parts, count, sizeof(*parts), by_text);
    add(&all, "");
    for (size_t i = 0; i < count; i++) {
        add(&all, i ? "&" : "");
        add(&all, parts[i]);
        free(parts[i]);
    }
    return all.chars;
}

/* Trimmed, and runs of spaces made one. */
static void add_value(struct text *text, const char *value)
{
    bool is_begun = false, is_waiting = false;

    for (; *value; value++) {
        if (*value == ' ') {
            is_waiting = is_begun;
            continue;
        }
        if (is_waiting)
            add(text, " ");
        add_bytes(text, value, 1);
        is_begun   = true;
        is_waiting = false;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sigv4_pair *)a)->name, ((const struct sigv4_pair *)b)->name);
}

static size_t sorted_headers(const struct sigv4_request *request,
                             struct sigv4_pair           sorted[SIGV4_PAIRS_MAX + 1])
{
    if (request->nheaders > SIGV4_PAIRS_MAX || request->nquery > SIGV4_PAIRS_MAX)
        abort();
    sorted[0] = (struct sigv4_pair) { "host", request->host };
    for (size_t i = 0; i < request->nheaders; i++)
        sorted[i + 1] = request->headers[i];
    qsort(sorted, request->nheaders + 1, sizeof(*sorted), by_name);
    return request->nheaders + 1;
}

static char *header_names(const struct sigv4_request *request)
{
    struct sigv4_pair sorted[SIGV4_PAIRS_MAX + 1];
    size_t            count = sorted_headers(request, sorted);
    struct text       names = { 0 };

    for (size_t i = 0; i < count; i++) {
        add(&names, i ? ";" : "");
        add(&names, sorted[i].name);
    }
    return names.chars;
}

static char *canonical_request(const struct sigv4_request *request, const struct sigv4_signature *s)
{
    struct sigv4_pair sorted[SIGV4_PAIRS_MAX + 1];
    size_t            count = sorted_headers(request, sorted);
    struct text       text  = { 0 };

    add(&text, request->method);
    add(&text, "\n");
    add(&text, s->path);
    add(&text, "\n");
    add(&text, s->query);
    add(&text, "\n");
    for (size_t i = 0; i < count; i++) {
        add(&text, sorted[i].name);
        add(&text, ":");
        add_value(&text, sorted[i].value);
        add(&text, "\n");
    }
    add(&text, "\n");
    add(&text, s->signed_headers);
    add(&text, "\n");
    add(&text, request->payload_hash);
    return text.chars;
}

void sigv4_sign(const struct sigv4_keys *keys, const struct sigv4_request *request,
                struct sigv4_signature *s)
{
    struct text   path = { 0 };
    char         *canonical, *to_sign;
    unsigned char key[32], digest[32];

    *s = (struct sigv4_signature) { 0 };
    sigv4_date(request->at, s->amz_date);
    add_encoded(&path, request->path, true);
    s->path           = path.chars;
    s->query          = canonical_query(request->query, request->nquery);
    s->signed_headers = header_names(request);
    s->scope          = format("%.8s/%s/s3/aws4_request", s->amz_date, keys->region);
    canonical         = canonical_request(request, s);
    sigv4_sha256(canonical, strlen(canonical), s->canonical);
    to_sign = format("AWS4-HMAC-SHA256\n%s\n%s\n%s", s->amz_date, s->scope, s->canonical);
    signing_key(keys, s->amz_date, key);
    hmac(key, 32, to_sign, digest);
    to_hex(digest, s->signature);
    OPENSSL_cleanse(key, sizeof(key));
    free(canonical);
    free(to_sign);
}

void sigv4_free(struct sigv4_signature *s)
{
    free(s->path);
    free(s->query);
    free(s->signed_headers);
    free(s->scope);
}

char *sigv4_authorization(const struct sigv4_keys *keys, const struct sigv4_signature *s)
{
    return format("AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s",
                  keys->access_key, s->scope, s->signed_headers, s->signature);
}

char *sigv4_presign(const struct sigv4_keys *keys, const struct sigv4_request *request,
                    const char *scheme, unsigned expires_s)
{
    struct sigv4_pair      query[SIGV4_PAIRS_MAX + 6];
    struct sigv4_request   signed_one = *request;
    struct sigv4_signature s;
    char                   date[17], expires[16];
    char                  *names = header_names(request), *credential, *url;
    size_t                 n     = 0;

    sigv4_date(request->at, date);
    snprintf(expires, sizeof(expires), "%u", expires_s);
    credential = format("%s/%.8s/%s/s3/aws4_request", keys->access_key, date, keys->region);
    query[n++] = (struct sigv4_pair) { "X-Amz-Algorithm", "AWS4-HMAC-SHA256" };
    query[n++] = (struct sigv4_pair) { "X-Amz-Credential", credential };
    query[n++] = (struct sigv4_pair) { "X-Amz-Date", date };
    query[n++] = (struct sigv4_pair) { "X-Amz-Expires", expires };
    query[n++] = (struct sigv4_pair) { "X-Amz-SignedHeaders", names };
    if (keys->session_token && keys->session_token[0])
        query[n++] = (struct sigv4_pair) { "X-Amz-Security-Token", keys->session_token };
    for (size_t i = 0; i < request->nquery && n < SIGV4_PAIRS_MAX; i++)
        query[n++] = request->query[i];
    signed_one.query        = query;
    signed_one.nquery       = n;
    signed_one.payload_hash = SIGV4_UNSIGNED;
    sigv4_sign(keys, &signed_one, &s);
    url = format("%s://%s%s?%s&X-Amz-Signature=%s", scheme, request->host, s.path, s.query,
                 s.signature);
    sigv4_free(&s);
    free(credential);
    free(names);
    return url;
}
