/*
 * answer: any bytes a provider may send become JSON that PostgreSQL takes.
 */
#include "pipeline_runner/call/answer.h"

#include <stdlib.h>
#include <string.h>

#include "lib/jscan.h"

static void pair(struct jbuf *j, const char *key, const char *text)
{
    jbuf_key(j, key);
    jbuf_str(j, text);
}

/* NUL is the one character that JSON has and PostgreSQL's text has not; a number with a big
 * exponent would be written out there. The rest of a reply that was paid for is read all the
 * same. */
static void write_body(struct jbuf *j, const char *body, size_t bytes)
{
    char *copy;

    if (!memchr(body, '\0', bytes) && !jscan_has_huge_number(body, bytes)) {
        jbuf_strn(j, body, bytes);
        return;
    }
    copy = malloc(bytes);
    if (!copy)
        abort();
    for (size_t i = 0; i < bytes; i++)
        copy[i] = body[i] ? body[i] : '?';
    jscan_blank_numbers(copy, bytes);
    jbuf_strn(j, copy, bytes);
    free(copy);
}

static void write_headers(struct jbuf *j, const json_t *headers)
{
    const char   *name;
    const json_t *value;

    jbuf_key(j, "headers");
    jbuf_object(j);
    json_object_foreach((json_t *)(uintptr_t)headers, name, value)
        pair(j, name, json_string_value(value));
    jbuf_end(j);
}

static void write_error(struct jbuf *j, const char *code, const char *message, bool was_sent)
{
    jbuf_key(j, "error");
    jbuf_object(j);
    pair(j, "code", code);
    pair(j, "message", message);
    jbuf_key(j, "was_sent");
    jbuf_bool(j, was_sent);
    jbuf_end(j);
}

void answer_write(struct jbuf *out, const char *call_id, const char *kind,
                  const struct transfer_end *end, const char *media_ids_json)
{
    jbuf_object(out);
    pair(out, "call_id", call_id);
    pair(out, "kind", kind);
    jbuf_key(out, "elapsed_ms");
    jbuf_i64(out, (int64_t)end->elapsed_ms);
    if (end->code) {
        write_error(out, end->code, end->message, end->was_sent);
    } else {
        jbuf_key(out, "status");
        jbuf_i64(out, end->status);
        write_headers(out, end->headers);
        jbuf_key(out, "body");
        write_body(out, end->body, end->body_bytes);
        if (media_ids_json) {
            jbuf_key(out, "media");
            jbuf_raw(out, media_ids_json);
        }
    }
    jbuf_end(out);
}

void answer_error(struct jbuf *out, const char *call_id, const char *kind, int status,
                  const char *code, const char *message, bool was_sent)
{
    jbuf_object(out);
    pair(out, "call_id", call_id);
    pair(out, "kind", kind);
    if (status > 0) {
        jbuf_key(out, "status");
        jbuf_i64(out, status);
    }
    write_error(out, code, message, was_sent);
    jbuf_end(out);
}
