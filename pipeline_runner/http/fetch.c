/*
 * fetch: one file after the other, each in as many pieces as the network makes of it.
 */
#include "pipeline_runner/http/fetch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/failpoint.h"
#include "pipeline_runner/http/attachments.h"

#define TRIES     4 /* in a row that brought it no further */
#define HOPS      5
#define IDLE_MS   20000
#define AGAIN_MS  200
#define MAX_BYTES ((size_t)512 << 20)

struct fetch {
    struct loop         *loop;
    struct transfers    *transfers;
    const struct folder *folder;
    json_t              *files;
    uint64_t             until_ms;
    fetch_end_fn        *on_end;
    void                *ctx;

    size_t at;
    int    fd;
    char  *url; /* where the file is looked for now */
    char  *validator;
    bool   is_moved; /* no longer where the provider said: without its secret */
    int    tries, hops;
    off_t  had;

    int               status;
    struct transfer  *transfer;
    struct loop_timer again;
    struct loop_task  start;
};

static void next_file(struct fetch *f);
static void ask(void *ctx);

static void close_file(struct fetch *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    free(f->url);
    free(f->validator);
    f->url = f->validator = NULL;
}

static void fetch_free(struct fetch *f)
{
    if (f->transfer)
        transfer_stop(f->transfer);
    loop_timer_stop(f->loop, &f->again);
    loop_defer_cancel(f->loop, &f->start);
    close_file(f);
    json_decref(f->files);
    free(f);
}

void fetch_stop(struct fetch *f)
{
    fetch_free(f);
}

static void fail(struct fetch *f, const char *code, const char *message)
{
    struct fetch_end end = { .status = f->status, .code = code, .message = message };

    f->on_end(f->ctx, &end);
    fetch_free(f);
}

static const json_t *file_of(const struct fetch *f)
{
    return json_array_get(f->files, f->at);
}

static size_t most_bytes(const json_t *file)
{
    json_int_t most = json_integer_value(json_object_get(file, "max_bytes"));

    return most > 0 ? (size_t)most : MAX_BYTES;
}

static off_t have_bytes(const struct fetch *f)
{
    off_t size = lseek(f->fd, 0, SEEK_END);

    return size < 0 ? 0 : size;
}

/* ---- one reply ---- */

static void try_again(struct fetch *f, const char *code, const char *message)
{
    off_t have = have_bytes(f);

    f->tries = have > f->had ? 0 : f->tries + 1;
    f->had   = have > f->had ? have : f->had;
    if (f->tries >= TRIES || base_now_ms() >= f->until_ms)
        fail(f, code, message);
    else
        loop_timer_set(f->loop, &f->again, (uint64_t)AGAIN_MS << f->tries);
}

static void follow(struct fetch *f, const json_t *headers)
{
    const char *location = json_string_value(json_object_get(headers, "location"));
    char       *url      = location ? url_policy_follow(transfer_url(f->transfer), location) : NULL;

    f->transfer = NULL;
    if (!url || ++f->hops > HOPS) {
        free(url);
        fail(f, "reply", "it is moved about");
        return;
    }
    free(f->url);
    f->url      = url;
    f->is_moved = true;
    ask(f);
}

/* A reply that never came (no headers) says nothing about the file that we have a part of. */
static void keep_validator(struct fetch *f, const json_t *headers)
{
    const char *etag = json_string_value(json_object_get(headers, "etag"));
    const char *date = json_string_value(json_object_get(headers, "last-modified"));
    const char *best = etag && etag[0] == '"' ? etag : date; /* a weak one is none for ranges */

    if (json_object_size(headers) == 0)
        return;
    free(f->validator);
    f->validator = best ? strdup(best) : NULL;
}

/* "bytes 0-99/1000": a server may give less than the rest that was asked for. */
static bool is_whole(const struct fetch *f, const struct transfer_end *end)
{
    const char *range = json_string_value(json_object_get(end->headers, "content-range"));
    const char *total = range ? strchr(range, '/') : NULL;

    return end->status != 206 || !total || total[1] == '*'
           || (uint64_t)have_bytes(f) >= strtoull(total + 1, NULL, 10);
}

static bool is_passing(int status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

static void begin_again(struct fetch *f)
{
    if (ftruncate(f->fd, 0) != 0)
        f->tries = TRIES;
}

static void got_status(struct fetch *f, const struct transfer_end *end)
{
    char message[400];

    snprintf(message, sizeof message, "%s answered %d", transfer_url(f->transfer)->host,
             end->status);
    f->transfer = NULL;
    if (end->status == 416) { /* no such part: it is another file by now */
        begin_again(f);
        try_again(f, "reply", message);
    } else if (is_passing(end->status)) {
        try_again(f, "reply", message);
    } else {
        fail(f, "reply", message);
    }
}

static bool may_pass(const char *code)
{
    return strcmp(code, "connect") == 0 || strcmp(code, "reply") == 0
           || strcmp(code, "timeout") == 0 || strcmp(code, "send") == 0;
}

static void transferred(void *ctx, const struct transfer_end *end)
{
    struct fetch *f = ctx;
    char          message[512];

    FAILPOINT("runner.fetch.answered");
    if (end->code) {
        snprintf(message, sizeof message, "%s", end->message);
        f->transfer = NULL;
        keep_validator(f, end->headers);
        if (may_pass(end->code))
            try_again(f, end->code, message);
        else
            fail(f, end->code, message);
        return;
    }
    f->status = end->status;
    if ((end->status == 200 || end->status == 206) && !is_whole(f, end)) {
        f->transfer = NULL;
        keep_validator(f, end->headers);
        try_again(f, "reply", "it gave less of the file than there is");
    } else if (end->status == 200 || end->status == 206) {
        f->transfer = NULL;
        close_file(f);
        f->at++;
        next_file(f);
    } else if (end->status >= 301 && end->status <= 308 && end->status != 304) {
        follow(f, end->headers);
    } else {
        got_status(f, end);
    }
}

/* ---- one request ---- */

static json_t *range_headers(const struct fetch *f, off_t have)
{
    json_t *headers = json_object();
    char    range[40];

    if (have > 0) {
        snprintf(range, sizeof range, "bytes=%lld-", (long long)have);
        json_object_set_new(headers, "Range", json_string(range));
        json_object_set_new(headers, "If-Range", json_string(f->validator));
    }
    return headers;
}

static void ask(void *ctx)
{
    struct fetch *f    = ctx;
    const json_t *file = file_of(f);
    uint64_t      now  = base_now_ms();
    json_t       *headers;

    if (!f->validator) /* nothing says that the rest would be of the same file */
        begin_again(f);
    headers                     = range_headers(f, have_bytes(f));
    struct transfer_options opt = {
        .method     = "GET",
        .url        = f->url,
        .hosts      = json_object_get(file, "hosts"),
        .headers    = headers,
        .auth       = f->is_moved ? NULL : json_object_get(file, "auth"),
        .timeout_ms = f->until_ms > now ? f->until_ms - now : 1,
        .idle_ms    = IDLE_MS,
        .max_bytes  = most_bytes(file),
        .fd         = f->fd,
        .from       = (uint64_t)have_bytes(f),
        .on_end     = transferred,
        .ctx        = f,
    };
    FAILPOINT("runner.fetch.asking");
    f->transfer = transfer_start(f->transfers, &opt);
    json_decref(headers);
}

/* ---- one file ---- */

static bool write_data(struct fetch *f, const uint8_t *data, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t now = write(f->fd, data + done, bytes - done);

        if (now <= 0)
            return false;
        done += (size_t)now;
    }
    return true;
}

static void next_data(struct fetch *f, const char *url)
{
    uint8_t *data;
    size_t   bytes;
    bool     is_written;

    if (!attachments_decode(url, strlen(url), &data, &bytes)) {
        fail(f, "content", "a data: URI of the result cannot be read");
        return;
    }
    if (bytes > most_bytes(file_of(f))) {
        free(data);
        fail(f, "too_long", "a data: URI of the result is longer than allowed");
        return;
    }
    is_written = write_data(f, data, bytes);
    free(data);
    if (!is_written) {
        fail(f, "file", "a file of the result cannot be written here");
        return;
    }
    close_file(f);
    f->at++;
    next_file(f);
}

static void next_file(struct fetch *f)
{
    const char *url;
    char        name[32];

    if (f->at == json_array_size(f->files)) {
        fail(f, NULL, NULL);
        return;
    }
    url = json_string_value(json_object_get(file_of(f), "url"));
    snprintf(name, sizeof name, FETCH_NAME, f->at);
    f->fd = openat(f->folder->fd, name,
                   O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (f->fd < 0 || !url) {
        fail(f, "file", url ? "a file cannot be made here" : "a file of the result has no address");
        return;
    }
    f->is_moved = false;
    f->tries = f->hops = 0;
    f->had             = 0;
    if (strncasecmp(url, "data:", 5) == 0) {
        next_data(f, url);
        return;
    }
    f->url = strdup(url);
    ask(f);
}

static void begin(void *ctx)
{
    next_file(ctx);
}

struct fetch *fetch_start(struct loop *loop, struct transfers *transfers,
                          const struct folder *folder, const json_t *files, uint64_t limit_ms,
                          fetch_end_fn *on_end, void *ctx)
{
    struct fetch *f = calloc(1, sizeof *f);

    if (!f)
        abort();
    *f = (struct fetch) {
        .loop      = loop,
        .transfers = transfers,
        .folder    = folder,
        .files     = json_incref((json_t *)(uintptr_t)files),
        .until_ms  = base_now_ms() + limit_ms,
        .on_end    = on_end,
        .ctx       = ctx,
        .fd        = -1,
        .again     = { .on_time = ask, .ctx = f },
        .start     = { .on_turn_end = begin, .ctx = f },
    };
    loop_defer(loop, &f->start);
    return f;
}
