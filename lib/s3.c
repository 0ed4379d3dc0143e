/*
 * s3: requests, answers, parts; see s3.h.
 */
#include "lib/s3.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/failpoint.h"
#include "lib/sigv4.h"

#define CONNECT_MS  3000
#define STALL_S     15
#define TRIES       3
#define PAUSE_US    200000
#define ANSWER_MOST ((size_t)1 << 20)
#define PARTS_MOST  10000

struct place {
    char *scheme, *host; /* of the URL, with a port where it has one */
};

struct s3 {
    char             *bucket, *region, *access_key, *secret_key, *session_token;
    struct place      inside, outside;
    bool              has_host_style;
    struct sigv4_keys keys;
};

/* ---- the URL ---- */

static char *copy_text(const char *text, size_t bytes)
{
    char *copy = strndup(text, bytes);

    if (!copy)
        abort();
    return copy;
}

/* Values are as they are: no percent signs, since endpoints and regions need none. */
static char *parameter(const char *query, const char *name)
{
    size_t bytes = strlen(name);

    while (query && *query) {
        size_t length = strcspn(query, "&");

        if (strncmp(query, name, bytes) == 0 && query[bytes] == '=')
            return copy_text(query + bytes + 1, length - bytes - 1);
        query += length + (query[length] == '&');
    }
    return NULL;
}

static bool read_place(const char *text, struct place *place)
{
    const char *host = strstr(text, "://");
    size_t      bytes;

    if (!host || (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0))
        return false;
    host += 3;
    bytes         = strcspn(host, "/");
    place->scheme = copy_text(text, (size_t)(host - 3 - text));
    place->host   = copy_text(host, bytes);
    return bytes > 0 && (host[bytes] == '\0' || strcmp(host + bytes, "/") == 0)
           && !strpbrk(place->host, "?#@ ");
}

static bool is_bucket_name(const char *name)
{
    size_t bytes = strlen(name);

    return bytes >= 3 && bytes <= 63
           && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-")] == '\0';
}

static char *secret(const char *own, const char *common)
{
    const char *value = getenv(own);

    if (!value || !value[0])
        value = getenv(common);
    return value && value[0] ? copy_text(value, strlen(value)) : NULL;
}

static const char *read_url(struct s3 *s3, const char *url)
{
    const char *name = url + 5, *query = strchr(name, '?');
    char       *inside = parameter(query ? query + 1 : NULL, "endpoint"),
         *outside      = parameter(query ? query + 1 : NULL, "public");
    char *style        = parameter(query ? query + 1 : NULL, "style");
    char  aws[128];
    bool  ok;

    s3->bucket = copy_text(name, query ? (size_t)(query - name) : strlen(name));
    s3->region = parameter(query ? query + 1 : NULL, "region");
    if (!s3->region)
        s3->region = copy_text("us-east-1", 9);
    s3->has_host_style = style ? strcmp(style, "host") == 0 : !inside;
    snprintf(aws, sizeof(aws), "https://s3.%.64s.amazonaws.com", s3->region);
    ok = is_bucket_name(s3->bucket) && read_place(inside ? inside : aws, &s3->inside)
         && read_place(outside  ? outside
                       : inside ? inside
                                : aws,
                       &s3->outside)
         && (!style || strcmp(style, "host") == 0 || strcmp(style, "path") == 0);
    free(inside);
    free(outside);
    free(style);
    return ok ? NULL
              : "KILN_MEDIA must be s3://bucket?endpoint=https://host&region=name[&public=https://host][&style=path|host]";
}

struct s3 *s3_open(const char *url, struct err *err)
{
    struct s3  *s3 = calloc(1, sizeof(*s3));
    const char *wrong;

    if (!s3 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
    wrong             = read_url(s3, url);
    s3->access_key    = secret("KILN_S3_ACCESS_KEY", "AWS_ACCESS_KEY_ID");
    s3->secret_key    = secret("KILN_S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY");
    s3->session_token = secret("AWS_SESSION_TOKEN", "AWS_SESSION_TOKEN");
    if (!wrong && (!s3->access_key || !s3->secret_key))
        wrong =
            "KILN_MEDIA is s3://…: KILN_S3_ACCESS_KEY and KILN_S3_SECRET_KEY (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) are missing";
    if (wrong) {
        err_set(err, "F0000", "%s", wrong);
        s3_close(s3);
        return NULL;
    }
    s3->keys =
        (struct sigv4_keys) { s3->access_key, s3->secret_key, s3->session_token, s3->region };
    return s3;
}

void s3_close(struct s3 *s3)
{
    if (!s3)
        return;
    free(s3->bucket);
    free(s3->region);
    free(s3->access_key);
    free(s3->secret_key);
    free(s3->session_token);
    free(s3->inside.scheme);
    free(s3->inside.host);
    free(s3->outside.scheme);
    free(s3->outside.host);
    free(s3);
    curl_global_cleanup();
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

static char *host_of(const struct s3 *s3, const struct place *place)
{
    return s3->has_host_style ? format("%s.%s", s3->bucket, place->host)
                              : format("%s", place->host);
}

/* key empty: the bucket. */
static char *path_of(const struct s3 *s3, const char *key)
{
    return s3->has_host_style ? format("/%s", key)
                              : format("/%s%s%s", s3->bucket, key[0] ? "/" : "", key);
}

char *s3_presign(const struct s3 *s3, const struct s3_presign *what)
{
    struct sigv4_pair    headers[3], query[1];
    char                 length[24], *url;
    bool                 is_put = strcmp(what->method, "PUT") == 0;
    char                *host = host_of(s3, &s3->outside), *path = path_of(s3, what->key);
    struct sigv4_request request = { .method  = what->method,
                                     .host    = host,
                                     .path    = path,
                                     .headers = headers,
                                     .query   = query,
                                     .at      = what->at };

    if (is_put) {
        snprintf(length, sizeof(length), "%" PRIu64, what->bytes);
        headers[request.nheaders++] = (struct sigv4_pair) { "content-length", length };
        if (what->content_type)
            headers[request.nheaders++] =
                (struct sigv4_pair) { "content-type", what->content_type };
        if (what->content_md5)
            headers[request.nheaders++] = (struct sigv4_pair) { "content-md5", what->content_md5 };
    } else if (what->content_type) {
        query[request.nquery++] =
            (struct sigv4_pair) { "response-content-type", what->content_type };
    }
    url = sigv4_presign(&s3->keys, &request, s3->outside.scheme, what->expires_s);
    free(host);
    free(path);
    return url;
}

/* ---- one exchange ---- */

struct exchange {
    const char              *method, *key;
    const struct sigv4_pair *query;
    size_t                   nquery;
    const char              *copy_source;  /* or NULL */
    const char              *payload_hash; /* NULL: of nothing */
    const char              *body;         /* from memory … */
    int                      from_fd;      /* … or from here; -1: neither */
    off_t                    from;
    uint64_t                 bytes;
    uint64_t                 range; /* of the object, to its end */
    int                      to_fd; /* a good answer goes here, from `to` on; -1: into memory */
    off_t                    to;
    s3_bytes_fn             *on_bytes; /* … or is handed here, a piece at a time */
    void                    *ctx;

    long     status;
    char    *answer; /* malloc'ed, NUL-ended */
    size_t   answer_bytes;
    char     etag[128];
    uint64_t length; /* Content-Length of the answer */
    uint64_t sent, got;
    CURL    *easy;
};

static size_t give(char *to, size_t size, size_t n, void *ctx)
{
    struct exchange *x    = ctx;
    size_t           room = size * n, left = (size_t)(x->bytes - x->sent);
    ssize_t          got;

    room = left < room ? left : room;
    if (x->from_fd < 0) {
        memcpy(to, x->body + x->sent, room);
        got = (ssize_t)room;
    } else {
        got = pread(x->from_fd, to, room, x->from + (off_t)x->sent);
    }
    if (got < 0 || (got == 0 && room > 0))
        return CURL_READFUNC_ABORT;
    x->sent += (uint64_t)got;
    return (size_t)got;
}

static bool is_good(struct exchange *x)
{
    if (x->status == 0)
        curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &x->status);
    return x->status >= 200 && x->status < 300;
}

static size_t take(char *from, size_t size, size_t n, void *ctx)
{
    struct exchange *x     = ctx;
    size_t           bytes = size * n;

    if (x->range > 0 && is_good(x) && x->status != 206)
        return 0; /* the whole of it again, where the rest was asked for */
    if (x->on_bytes && is_good(x)) {
        x->on_bytes(x->ctx, from, bytes);
        x->got += bytes;
        return bytes;
    }
    if (x->to_fd >= 0 && is_good(x)) {
        for (size_t done = 0; done < bytes;) {
            ssize_t put = pwrite(x->to_fd, from + done, bytes - done, x->to + (off_t)x->got);

            if (put <= 0)
                return 0;
            done += (size_t)put;
            x->got += (uint64_t)put;
        }
        return bytes;
    }
    if (x->answer_bytes + bytes > ANSWER_MOST)
        return 0;
    x->answer = realloc(x->answer, x->answer_bytes + bytes + 1);
    if (!x->answer)
        abort();
    memcpy(x->answer + x->answer_bytes, from, bytes);
    x->answer_bytes += bytes;
    x->answer[x->answer_bytes] = '\0';
    return bytes;
}

static size_t take_header(char *line, size_t size, size_t n, void *ctx)
{
    struct exchange *x = ctx;

    if (size * n > 6 && strncasecmp(line, "etag:", 5) == 0) {
        const char *value = line + 5;
        size_t      bytes = size * n - 5;

        while (bytes > 0 && *value == ' ')
            value++, bytes--;
        while (bytes > 0 && (value[bytes - 1] == '\r' || value[bytes - 1] == '\n'))
            bytes--;
        snprintf(x->etag, sizeof(x->etag), "%.*s", (int)bytes, value);
    }
    return size * n;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
    char              *line = format("%s: %s", name, value);
    struct curl_slist *more = curl_slist_append(list, line);

    if (!more)
        abort();
    free(line);
    return more;
}

/* Builds, signs and carries out. false: no whole answer came; *err says of what kind it was. */
static bool once(const struct s3 *s3, struct exchange *x, struct err *err)
{
    char *host = host_of(s3, &s3->inside), *path = path_of(s3, x->key), *url, *authorization;
    char  empty[65], date[17], range[32];
    struct sigv4_pair      headers[4];
    struct sigv4_request   request = { .method  = x->method,
                                       .host    = host,
                                       .path    = path,
                                       .query   = x->query,
                                       .nquery  = x->nquery,
                                       .headers = headers,
                                       .at      = time(NULL) };
    struct sigv4_signature s;
    struct curl_slist     *list   = NULL;
    curl_off_t             length = -1;
    CURLcode               code;

    sigv4_sha256("", 0, empty);
    sigv4_date(request.at, date);
    request.payload_hash = x->payload_hash ? x->payload_hash : empty;
    headers[request.nheaders++] =
        (struct sigv4_pair) { "x-amz-content-sha256", request.payload_hash };
    headers[request.nheaders++] = (struct sigv4_pair) { "x-amz-date", date };
    if (x->copy_source)
        headers[request.nheaders++] = (struct sigv4_pair) { "x-amz-copy-source", x->copy_source };
    if (s3->session_token)
        headers[request.nheaders++] =
            (struct sigv4_pair) { "x-amz-security-token", s3->session_token };
    sigv4_sign(&s3->keys, &request, &s);
    authorization = sigv4_authorization(&s3->keys, &s);
    url = format("%s://%s%s%s%s", s3->inside.scheme, host, s.path, s.query[0] ? "?" : "", s.query);
    for (size_t i = 0; i < request.nheaders; i++)
        list = add_header(list, headers[i].name, headers[i].value);
    list = add_header(list, "Authorization", authorization);
    list = curl_slist_append(list, "Expect:");
    list = curl_slist_append(list, "Content-Type:");

    x->easy = curl_easy_init();
    if (!x->easy)
        abort();
    x->status = 0;
    x->sent = x->got = x->answer_bytes = 0;
    curl_easy_setopt(x->easy, CURLOPT_URL, url);
    curl_easy_setopt(x->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(x->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(x->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(x->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(x->easy, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(x->easy, CURLOPT_HEADERDATA, x);
    if (strcmp(x->method, "HEAD") == 0)
        curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L);
    else if (x->from_fd >= 0 || x->body || strcmp(x->method, "PUT") == 0) {
        curl_easy_setopt(x->easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(x->easy, CURLOPT_READFUNCTION, give);
        curl_easy_setopt(x->easy, CURLOPT_READDATA, x);
        curl_easy_setopt(x->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->bytes);
    }
    if (x->range > 0) {
        snprintf(range, sizeof(range), "%" PRIu64 "-", x->range);
        curl_easy_setopt(x->easy, CURLOPT_RANGE, range);
    }
    curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, x->method);
    FAILPOINT("store.bucket.asking");
    code = curl_easy_perform(x->easy);
    FAILPOINT("store.bucket.answered");
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &x->status);
    curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    x->length = length > 0 ? (uint64_t)length : 0;
    curl_easy_cleanup(x->easy);
    x->easy = NULL;
    curl_slist_free_all(list);
    sigv4_free(&s);
    free(authorization);
    free(url);
    free(path);
    free(host);
    if (code != CURLE_OK)
        err_set(err, "58030", "the S3 service at %s does not answer: %s", s3->inside.host,
                curl_easy_strerror(code));
    return code == CURLE_OK;
}

/* The text of an element of the answer's XML; empty where there is none. */
static const char *element(const char *xml, const char *name, char *text, size_t size)
{
    char        open[40], close[40];
    const char *from, *to = NULL;

    snprintf(open, sizeof(open), "<%s>", name);
    snprintf(close, sizeof(close), "</%s>", name);
    from = xml ? strstr(xml, open) : NULL;
    if (from)
        to = strstr(from += strlen(open), close);
    snprintf(text, size, "%.*s", to ? (int)(to - from) : 0, to ? from : "");
    return to;
}

static bool refused(const struct s3 *s3, const struct exchange *x, struct err *err)
{
    char code[64];

    element(x->answer, "Code", code, sizeof(code));
    if (x->status == 404 && (!code[0] || strcmp(code, "NoSuchKey") == 0))
        err_set(err, "58P01", "the file %s is gone", x->key);
    else
        err_set(err, "58030", "the S3 service at %s answered %ld %s to %s", s3->inside.host,
                x->status, code, x->method);
    return false;
}

/* Until it is good, or surely is not: again after a link that broke and what a service says when it
 * is busy. */
static bool exchange(const struct s3 *s3, struct exchange *x, struct err *err)
{
    for (int tries = 1;; tries++) {
        bool is_answered = once(s3, x, err);

        if (is_answered && is_good(x))
            return true;
        if (is_answered && x->status < 500 && x->status != 429)
            return refused(s3, x, err);
        if (tries == TRIES)
            return is_answered ? refused(s3, x, err) : false;
        if (x->got > 0) /* the caller goes on where it broke */
            return false;
        usleep((useconds_t)(PAUSE_US * tries));
    }
}

static struct exchange of(const char *method, const char *key)
{
    return (struct exchange) { .method = method, .key = key, .from_fd = -1, .to_fd = -1 };
}

/* ---- objects ---- */

bool s3_head(struct s3 *s3, const char *key, uint64_t *bytes, struct err *err)
{
    struct exchange x  = of("HEAD", key);
    bool            ok = exchange(s3, &x, err);

    *bytes = x.length;
    free(x.answer);
    return ok;
}

bool s3_delete(struct s3 *s3, const char *key, struct err *err)
{
    struct exchange x  = of("DELETE", key);
    bool            ok = exchange(s3, &x, err) || err_is(err, "58P01");

    free(x.answer);
    return ok;
}

bool s3_copy(struct s3 *s3, const char *from, const char *to, struct err *err)
{
    struct exchange x      = of("PUT", to);
    char           *source = format("/%s/%s", s3->bucket, from);
    char            code[64];
    bool            ok;

    x.copy_source = source;
    ok            = exchange(s3, &x, err);
    element(x.answer, "Code", code,
            sizeof(code)); /* it may say 200 first and that it failed then */
    if (ok && code[0]) {
        err_set(err, "58030", "the S3 service could not copy: %s", code);
        ok = false;
    }
    free(x.answer);
    free(source);
    return ok;
}

bool s3_get(struct s3 *s3, const char *key, int fd, uint64_t from, struct err *err)
{
    uint64_t whole;

    if (!s3_head(s3, key, &whole, err))
        return false;
    for (int breaks = 0; from < whole;) {
        struct exchange x = of("GET", key);
        bool            ok;

        x.range = from;
        x.to_fd = fd;
        x.to    = (off_t)from;
        ok      = exchange(s3, &x, err);
        free(x.answer);
        from += x.got;
        if (!ok && (!err_is(err, "58030") || x.got == 0 || ++breaks > TRIES))
            return false;
    }
    return true;
}

bool s3_read(struct s3 *s3, const char *key, uint64_t bytes, s3_bytes_fn *on_bytes, void *ctx,
             struct err *err)
{
    uint64_t at = 0;

    for (int breaks = 0; at < bytes;) {
        struct exchange x = of("GET", key);
        bool            ok;

        x.range    = at;
        x.on_bytes = on_bytes;
        x.ctx      = ctx;
        ok         = exchange(s3, &x, err);
        free(x.answer);
        at += x.got;
        if (ok)
            break;
        /* Who takes slowly may be cut off by the service time and again: only breaks without much
         * between them count. */
        breaks = x.got < S3_PART_BYTES ? breaks + 1 : 0;
        if (!err_is(err, "58030") || x.got == 0 || breaks > TRIES)
            return false;
    }
    if (at == bytes)
        return true;
    err_set(err, "58030", "the object %s has another length than it ought to", key);
    return false;
}

/* ---- in parts ---- */

static bool begin_parts(struct s3 *s3, const char *key, char *upload_id, size_t size,
                        struct err *err)
{
    struct exchange         x       = of("POST", key);
    const struct sigv4_pair query[] = { { "uploads", "" } };
    bool                    ok;

    x.query  = query;
    x.nquery = 1;
    ok       = exchange(s3, &x, err);
    if (ok && !element(x.answer, "UploadId", upload_id, size)) {
        err_set(err, "58030", "the S3 service began no upload");
        ok = false;
    }
    free(x.answer);
    return ok;
}

static bool hash_part(int fd, uint64_t from, uint64_t bytes, char hex[65])
{
    char *part = malloc((size_t)bytes);
    bool  ok   = part && pread(fd, part, (size_t)bytes, (off_t)from) == (ssize_t)bytes;

    if (ok)
        sigv4_sha256(part, (size_t)bytes, hex);
    free(part);
    return ok;
}

static bool put_part(struct s3 *s3, const char *key, const char *upload_id, unsigned number, int fd,
                     uint64_t from, uint64_t bytes, char etag[128], struct err *err)
{
    struct exchange         x = of("PUT", key);
    char                    hex[65], part[16];
    const struct sigv4_pair query[] = { { "partNumber", part }, { "uploadId", upload_id } };
    bool                    ok;

    snprintf(part, sizeof(part), "%u", number);
    if (!hash_part(fd, from, bytes, hex)) {
        err_errno(err, "read", "the file to store");
        return false;
    }
    x.query        = query;
    x.nquery       = 2;
    x.payload_hash = hex;
    x.from_fd      = fd;
    x.from         = (off_t)from;
    x.bytes        = bytes;
    ok             = exchange(s3, &x, err);
    snprintf(etag, 128, "%s", x.etag);
    free(x.answer);
    return ok;
}

static bool end_parts(struct s3 *s3, const char *key, const char *upload_id, const char *list,
                      struct err *err)
{
    struct exchange         x       = of(list ? "POST" : "DELETE", key);
    const struct sigv4_pair query[] = { { "uploadId", upload_id } };
    char                    hex[65], code[64] = "";
    bool                    ok;

    x.query  = query;
    x.nquery = 1;
    if (list) {
        sigv4_sha256(list, strlen(list), hex);
        x.payload_hash = hex;
        x.body         = list;
        x.bytes        = strlen(list);
    }
    ok = exchange(s3, &x, err);
    if (ok && list)
        element(x.answer, "Code", code, sizeof(code)); /* its 200 may hold an error */
    if (code[0]) {
        err_set(err, "58030", "the S3 service could not put the parts together: %s", code);
        ok = false;
    }
    free(x.answer);
    return ok;
}

static bool put_parts(struct s3 *s3, const char *key, int fd, uint64_t bytes, struct err *err)
{
    uint64_t part_bytes =
        bytes / S3_PART_BYTES >= PARTS_MOST ? bytes / (PARTS_MOST - 1) : S3_PART_BYTES;
    char     upload_id[256], etag[128];
    char    *list     = format("<CompleteMultipartUpload>");
    unsigned number   = 0;
    bool     ok       = begin_parts(s3, key, upload_id, sizeof(upload_id), err);
    bool     is_begun = ok;

    for (uint64_t from = 0; ok && from < bytes; from += part_bytes) {
        uint64_t left = bytes - from;
        char    *longer;

        ok = put_part(s3, key, upload_id, ++number, fd, from, left < part_bytes ? left : part_bytes,
                      etag, err);
        longer =
            format("%s<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", list, number, etag);
        free(list);
        list = longer;
    }
    if (ok) {
        char *whole = format("%s</CompleteMultipartUpload>", list);

        ok = end_parts(s3, key, upload_id, whole, err);
        free(whole);
    }
    if (is_begun && !ok) {
        struct err ignored;

        (void)!end_parts(
            s3, key, upload_id, NULL,
            &ignored); /* a rule of the bucket removes what this could not: docs/storage.md */
    }
    free(list);
    return ok;
}

bool s3_put(struct s3 *s3, const char *key, int fd, uint64_t bytes, const char *sha256,
            struct err *err)
{
    struct exchange x = of("PUT", key);
    bool            ok;

    if (bytes > S3_MULTIPART_BYTES)
        return put_parts(s3, key, fd, bytes, err);
    x.payload_hash = sha256;
    x.from_fd      = fd;
    x.bytes        = bytes;
    ok             = exchange(s3, &x, err);
    free(x.answer);
    return ok;
}

/* ---- the list ---- */

/* 2026-11-21T09:10:40.123Z */
static int64_t age_of(const char *modified)
{
    struct tm tm = { 0 };

    return strptime(modified, "%Y-%m-%dT%H:%M:%S", &tm) ? (int64_t)time(NULL) - (int64_t)timegm(&tm)
                                                        : 0;
}

bool s3_list(struct s3 *s3, const char *prefix, const char *after, size_t most,
             s3_object_fn *on_object, void *ctx, struct err *err)
{
    struct exchange   x = of("GET", "");
    struct sigv4_pair query[4];
    char              count[24], key[256], modified[64], bytes[32];
    const char       *at;
    bool              ok;

    snprintf(count, sizeof(count), "%zu", most);
    query[x.nquery++] = (struct sigv4_pair) { "list-type", "2" };
    query[x.nquery++] = (struct sigv4_pair) { "max-keys", count };
    query[x.nquery++] = (struct sigv4_pair) { "prefix", prefix };
    if (after)
        query[x.nquery++] = (struct sigv4_pair) { "start-after", after };
    x.query = query;
    ok      = exchange(s3, &x, err);
    at      = ok && x.answer ? strstr(x.answer, "<Contents>") : NULL;
    while (at) {
        element(at, "Key", key, sizeof(key));
        element(at, "LastModified", modified, sizeof(modified));
        element(at, "Size", bytes, sizeof(bytes));
        on_object(ctx, key, age_of(modified), strtoull(bytes, NULL, 10));
        at = strstr(at + 1, "<Contents>");
    }
    free(x.answer);
    return ok;
}
