/*
 * attachments: a walk over JSON text that notes where the strings lie, and base64.
 */
#include "pipeline_runner/http/attachments.h"

#include <assert.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define DEEPEST 64

struct span {
    const char *from, *to; /* of a string, without its quotes */
};

struct walk {
    const char *at, *end;
    struct span spans[ATTACHMENTS_MAX];
    size_t      count;
    bool        is_full;
};

/* ---- the walk ---- */

static void skip_space(struct walk *w)
{
    while (w->at < w->end && (*w->at == ' ' || *w->at == '\t' || *w->at == '\n' || *w->at == '\r'))
        w->at++;
}

static bool eat(struct walk *w, char c)
{
    skip_space(w);
    if (w->at == w->end || *w->at != c)
        return false;
    w->at++;
    return true;
}

static bool read_string(struct walk *w, struct span *span)
{
    if (!eat(w, '"'))
        return false;
    span->from = w->at;
    while (w->at < w->end && *w->at != '"') {
        if (*w->at == '\\')
            w->at++;
        if (w->at < w->end)
            w->at++;
    }
    span->to = w->at;
    if (w->at >= w->end)
        return false;
    w->at++;
    return true;
}

/* Whether the first part of a pointer is this key; an escaped key matches nothing. */
static const char *rest_if(const char *pointer, const char *key, size_t bytes)
{
    size_t used = 0;

    if (!pointer || *pointer++ != '/')
        return NULL;
    for (; *pointer && *pointer != '/'; pointer++, used++) {
        char c = *pointer;

        if (c == '~' && (pointer[1] == '0' || pointer[1] == '1'))
            c = *++pointer == '0' ? '~' : '/';
        if (used >= bytes || key[used] != c)
            return NULL;
    }
    return used == bytes ? pointer : NULL;
}

static const char *rest_of_element(const char *pointer, size_t index)
{
    char number[24];

    if (pointer && pointer[0] == '/' && pointer[1] == '*' && (!pointer[2] || pointer[2] == '/'))
        return pointer + 2;
    return rest_if(pointer, number, (size_t)snprintf(number, sizeof number, "%zu", index));
}

static bool walk_value(struct walk *w, const char *pointer, int depth);

static bool walk_object(struct walk *w, const char *pointer, int depth)
{
    struct span key;

    if (eat(w, '}'))
        return true;
    do {
        if (!read_string(w, &key) || !eat(w, ':')
            || !walk_value(w, rest_if(pointer, key.from, (size_t)(key.to - key.from)), depth + 1))
            return false;
    } while (eat(w, ','));
    return eat(w, '}');
}

static bool walk_array(struct walk *w, const char *pointer, int depth)
{
    size_t index = 0;

    if (eat(w, ']'))
        return true;
    do {
        if (!walk_value(w, rest_of_element(pointer, index++), depth + 1))
            return false;
    } while (eat(w, ','));
    return eat(w, ']');
}

static bool walk_text(struct walk *w, const char *pointer)
{
    struct span span;

    if (!read_string(w, &span))
        return false;
    if (!pointer || *pointer)
        return true;
    w->is_full = w->count == ATTACHMENTS_MAX;
    if (w->is_full)
        return false;
    w->spans[w->count++] = span;
    return true;
}

/* pointer: what is left of it here, "" = this very value, NULL = not on its way. */
static bool walk_value(struct walk *w, const char *pointer, int depth)
{
    const char *from;

    skip_space(w);
    if (w->at == w->end || depth > DEEPEST)
        return false;
    if (*w->at == '"')
        return walk_text(w, pointer);
    if (eat(w, '{'))
        return walk_object(w, pointer, depth);
    if (eat(w, '['))
        return walk_array(w, pointer, depth);
    from = w->at; /* NaN and Infinity too: SQL mends what is no JSON for their sake */
    while (w->at < w->end && strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzEIN", *w->at) && *w->at)
        w->at++;
    return w->at > from;
}

/* ---- base64 ---- */

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

static int hex(const char *text, size_t digits)
{
    int value = 0;

    for (size_t i = 0; i < digits; i++) {
        const char *at = text[i] ? strchr("0123456789abcdef", text[i] | 0x20) : NULL;

        if (!at)
            return -1;
        value = value * 16 + (int)(at - "0123456789abcdef");
    }
    return value;
}

/* The next character of a string in JSON; -1: its end or none that could stand in base64. */
static int next_char(const char **at, const char *end)
{
    int c;

    if (*at == end)
        return -1;
    if (**at != '\\')
        return (unsigned char)*(*at)++;
    if (end - *at < 2)
        return -1;
    c = (unsigned char)(*at)[1];
    *at += 2;
    if (c == 'n' || c == 'r' || c == 't')
        return ' ';
    if (c == '/')
        return c;
    if (c != 'u' || end - *at < 4)
        return -1;
    c = hex(*at, 4);
    *at += 4;
    return c > 0 && c < 0x80 ? c : -1;
}

/* In a data: URI padding may be written %3D. */
static int next_of_base64(const char **at, const char *end)
{
    int c = next_char(at, end);

    if (c != '%')
        return c;
    c = end - *at >= 2 ? hex(*at, 2) : -1;
    *at += c < 0 ? 0 : 2;
    return c;
}

static bool decode_base64(const char *at, const char *end, uint8_t *out, size_t *out_bytes)
{
    uint32_t bits = 0;
    unsigned have = 0, pads = 0;
    size_t   digits = 0, len = 0;

    while (at < end) {
        int c = next_of_base64(&at, end), value;

        if (c < 0)
            return false;
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
            continue;
        if (c == '=') {
            pads++;
            continue;
        }
        value = digit((char)c);
        if (value < 0 || pads > 0)
            return false;
        digits++;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[len++] = (uint8_t)(bits >> have);
        }
    }
    *out_bytes = len;
    return digits > 0 && digits % 4 != 1 && pads <= 2 && (pads == 0 || (digits + pads) % 4 == 0);
}

static bool decode_percent(const char *at, const char *end, uint8_t *out, size_t *out_bytes)
{
    size_t len = 0;

    while (at < end) {
        int c = next_char(&at, end);

        if (c == '%' && end - at >= 2) {
            c = hex(at, 2);
            at += 2;
        }
        if (c < 0)
            return false;
        out[len++] = (uint8_t)c;
    }
    *out_bytes = len;
    return len > 0;
}

bool attachments_decode(const char *text, size_t bytes, uint8_t **data, size_t *data_bytes)
{
    static const char mark[]    = ";base64";
    const size_t      mark_len  = sizeof(mark) - 1;
    const char       *end       = text + bytes, *comma;
    bool              is_base64 = true, ok;

    if (bytes >= 5 && strncasecmp(text, "data:", 5) == 0) {
        comma = memchr(text, ',', bytes);
        if (!comma)
            return false;
        is_base64 = (size_t)(comma - text) >= mark_len
                    && strncasecmp(comma - mark_len, mark, mark_len) == 0;
        text = comma + 1;
    }
    *data = malloc((size_t)(end - text) + 1);
    if (!*data)
        abort();
    ok = is_base64 ? decode_base64(text, end, *data, data_bytes)
                   : decode_percent(text, end, *data, data_bytes);
    if (!ok) {
        free(*data);
        *data = NULL;
    }
    return ok;
}

/* ---- out of replies ---- */

struct taken {
    struct span span;
    size_t      n;
};

static int by_place(const void *a, const void *b)
{
    const struct taken *left = a, *right = b;

    return left->span.from < right->span.from ? -1 : left->span.from > right->span.from;
}

static void cut(const char *text, size_t bytes, struct taken *taken, size_t count, char **out,
                size_t *out_bytes)
{
    const char *at  = text;
    size_t      len = 0;

    /* Each file's place takes at most 32 bytes more than the string it stands for. */
    *out = malloc(bytes + count * 32 + 1);
    if (!*out)
        abort();
    qsort(taken, count, sizeof *taken, by_place);
    for (size_t i = 0; i < count; i++) {
        size_t before = (size_t)(taken[i].span.from - 1 - at);

        memcpy(*out + len, at, before);
        len += before;
        len += (size_t)sprintf(*out + len, "{\"$file\": %zu}", taken[i].n);
        at = taken[i].span.to + 1;
    }
    memcpy(*out + len, at, (size_t)(text + bytes - at));
    len += (size_t)(text + bytes - at);
    (*out)[len] = '\0';
    *out_bytes  = len;
}

static bool is_taken(const struct taken *taken, size_t count, const struct span *span)
{
    for (size_t i = 0; i < count; i++)
        if (taken[i].span.from == span->from)
            return true;
    return false;
}

static bool take_span(const struct span *span, struct taken *taken, size_t *count,
                      attachments_file_fn *on_file, void *ctx, struct err *err)
{
    uint8_t *data;
    size_t   bytes;
    bool     ok;

    if (is_taken(taken, *count, span)
        || !attachments_decode(span->from, (size_t)(span->to - span->from), &data, &bytes))
        return true; /* a link, say: it stays */
    if (*count == ATTACHMENTS_MAX) {
        free(data);
        err_set(err, "22023", "the reply carries more than 64 files");
        return false;
    }
    ok = on_file(ctx, *count, data, bytes, err);
    free(data);
    taken[*count] = (struct taken) { *span, *count };
    *count += ok;
    return ok;
}

static bool take_pointer(const char *text, size_t bytes, const char *pointer, struct taken *taken,
                         size_t *count, attachments_file_fn *on_file, void *ctx, struct err *err)
{
    bool        has_mark = bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
    struct walk w        = { .at = text + (has_mark ? 3 : 0), .end = text + bytes };
    bool        ok       = walk_value(&w, pointer, 0);

    skip_space(&w);
    if (w.is_full) {
        err_set(err, "22023", "the reply carries more than 64 files");
        return false;
    }
    for (size_t i = 0; ok && w.at == w.end && i < w.count; i++)
        if (!take_span(&w.spans[i], taken, count, on_file, ctx, err))
            return false;
    return true;
}

bool attachments_extract(const char *text, size_t bytes, const json_t *pointers,
                         attachments_file_fn *on_file, void *ctx, char **out, size_t *out_bytes,
                         size_t *count, struct err *err)
{
    struct taken  taken[ATTACHMENTS_MAX];
    size_t        i;
    const json_t *pointer;

    *count = 0;
    json_array_foreach(pointers, i,
                       pointer) if (json_is_string(pointer)
                                    && !take_pointer(text, bytes, json_string_value(pointer), taken,
                                                     count, on_file, ctx, err)) return false;
    cut(text, bytes, taken, *count, out, out_bytes);
    return true;
}

/* ---- into requests ---- */

struct buffer {
    char  *text;
    size_t len, cap;
};

static void append(struct buffer *b, const char *text, size_t bytes)
{
    if (!b->text || b->len + bytes + 1 > b->cap) {
        b->cap  = (b->len + bytes + 1) * 3 / 2;
        b->text = realloc(b->text, b->cap);
        if (!b->text)
            abort();
    }
    memcpy(b->text + b->len, text, bytes);
    b->len += bytes;
    b->text[b->len] = '\0';
}

/* So many bytes come in one piece at most; a multiple of three: base64 without a seam. */
#define CHUNK ((size_t)3 * 16384)

static void append_base64(struct buffer *b, const uint8_t *data, size_t bytes)
{
    char text[BASE64_ENCODE_RAW_LENGTH(CHUNK)];

    assert(bytes <= CHUNK);
    base64_encode_raw(text, bytes, data);
    append(b, text, BASE64_ENCODE_RAW_LENGTH(bytes));
}

static bool append_fd(struct buffer *b, int fd, uint64_t bytes, struct err *err)
{
    uint8_t chunk[CHUNK];

    while (bytes > 0) {
        size_t have = 0, want = bytes < sizeof chunk ? (size_t)bytes : sizeof chunk;

        while (have < want) {
            ssize_t got = read(fd, chunk + have, want - have);

            if (got <= 0) {
                err_set(err, "58030", "a file of the request cannot be read");
                return false;
            }
            have += (size_t)got;
        }
        append_base64(b, chunk, have);
        bytes -= have;
    }
    return true;
}

static bool append_file(struct buffer *b, struct store *store, const json_t *file, size_t most,
                        struct err *err)
{
    const char *key  = json_string_value(json_object_get(file, "storage_key"));
    const char *type = json_string_value(json_object_get(file, "content_type"));
    const char *as   = json_string_value(json_object_get(file, "as"));
    uint64_t    bytes;
    int         fd = key ? store_read(store, key, &bytes, err) : -1;
    bool        ok;

    if (fd < 0) {
        err_set(err, "58P01", "a file of the request is not in the store");
        return false;
    }
    ok = bytes <= most && b->len + bytes / 3 * 4 <= most;
    if (!ok)
        err_set(err, "54000", "the request's files are too large to send");
    if (ok && as && strcmp(as, "data_uri") == 0) {
        if (!type
            || type[strspn(type, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                 "./+-")])
            type = "application/octet-stream";
        append(b, "data:", 5);
        append(b, type, strlen(type));
        append(b, ";base64,", 8);
    }
    ok = ok && append_fd(b, fd, bytes, err);
    close(fd);
    return ok;
}

/* The file whose token stands first in text. */
static const json_t *first_token(const char *text, const json_t *files, const char **at,
                                 size_t *len)
{
    const json_t *found = NULL, *file;
    size_t        i;

    *at = NULL;
    json_array_foreach(files, i, file)
    {
        const char *token = json_string_value(json_object_get(file, "token"));
        const char *place = token && token[0] ? strstr(text, token) : NULL;

        if (!place || (*at && place >= *at))
            continue;
        found = file;
        *at   = place;
        *len  = strlen(token);
    }
    return found;
}

bool attachments_fill(struct store *store, const char *body, const json_t *files, size_t most,
                      char **out, size_t *out_bytes, struct err *err)
{
    struct buffer b = { 0 };
    const json_t *file;
    const char   *at;
    size_t        len;

    while ((file = first_token(body, files, &at, &len))) {
        append(&b, body, (size_t)(at - body));
        if (!append_file(&b, store, file, most, err)) {
            free(b.text);
            return false;
        }
        body = at + len;
    }
    append(&b, body, strlen(body));
    *out       = b.text;
    *out_bytes = b.len;
    return true;
}
