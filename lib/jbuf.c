/*
 * jbuf: a JSON writer over one growing buffer.
 */
#include "lib/jbuf.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct jbuf *j, size_t more)
{
    size_t need = j->len + more + 1;
    size_t cap  = j->cap ? j->cap : 256;
    char  *text;

    if (need <= j->cap)
        return;
    while (cap < need)
        cap *= 2;
    text = realloc(j->text, cap);
    if (!text)
        abort();
    j->text = text;
    j->cap  = cap;
}

static void append(struct jbuf *j, const char *text, size_t bytes)
{
    reserve(j, bytes);
    memcpy(j->text + j->len, text, bytes);
    j->len += bytes;
    j->text[j->len] = '\0';
}

void jbuf_free(struct jbuf *j)
{
    free(j->text);
    *j = (struct jbuf) { 0 };
}

void jbuf_reset(struct jbuf *j)
{
    char  *text = j->text;
    size_t cap  = j->cap;

    *j = (struct jbuf) { .text = text, .cap = cap };
    if (text)
        text[0] = '\0';
}

/* What comes before a value: nothing after a key or at the top, else a comma from the second member
 * on. */
static void before_value(struct jbuf *j)
{
    uint64_t bit = (uint64_t)1 << j->depth;

    if (j->is_after_key) {
        j->is_after_key = false;
        return;
    }
    if (j->depth == 0)
        return;
    assert((j->is_array & bit) && "a value in an object needs a key");
    if (j->has_member & bit)
        append(j, ",", 1);
    j->has_member |= bit;
}

static void open_level(struct jbuf *j, bool is_array)
{
    uint64_t bit;

    before_value(j);
    append(j, is_array ? "[" : "{", 1);
    assert(j->depth < 60);
    j->depth++;
    bit = (uint64_t)1 << j->depth;
    j->has_member &= ~bit;
    j->is_array = is_array ? j->is_array | bit : j->is_array & ~bit;
}

void jbuf_object(struct jbuf *j)
{
    open_level(j, false);
}

void jbuf_array(struct jbuf *j)
{
    open_level(j, true);
}

void jbuf_end(struct jbuf *j)
{
    assert(j->depth > 0 && !j->is_after_key);
    append(j, j->is_array & ((uint64_t)1 << j->depth) ? "]" : "}", 1);
    j->depth--;
}

/* Length of the valid UTF-8 sequence at text, or 0. Overlong forms, surrogates and > U+10FFFF are
 * not valid. */
static size_t utf8_length(const unsigned char *text, size_t bytes)
{
    unsigned char c = text[0];
    size_t        n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

    if (n == 0 || n > bytes)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] > 0x9f)
        || (c == 0xf0 && text[1] < 0x90) || (c == 0xf4 && text[1] > 0x8f))
        return 0;
    return n;
}

bool jbuf_is_utf8(const char *text, size_t bytes)
{
    const unsigned char *from = (const unsigned char *)text;

    for (size_t i = 0, n; i < bytes; i += n) {
        n = utf8_length(from + i, bytes - i);
        if (n == 0)
            return false;
    }
    return true;
}

static void append_escaped(struct jbuf *j, unsigned char c)
{
    char escape[8];

    switch (c) {
    case '"': append(j, "\\\"", 2); break;
    case '\\': append(j, "\\\\", 2); break;
    case '\n': append(j, "\\n", 2); break;
    case '\r': append(j, "\\r", 2); break;
    case '\t': append(j, "\\t", 2); break;
    default: snprintf(escape, sizeof(escape), "\\u%04x", c); append(j, escape, 6);
    }
}

static void append_string(struct jbuf *j, const char *text, size_t bytes)
{
    const unsigned char *from  = (const unsigned char *)text;
    size_t               plain = 0; /* start of what can be copied as it is */

    append(j, "\"", 1);
    for (size_t i = 0; i < bytes;) {
        size_t n          = utf8_length(from + i, bytes - i);
        bool   is_special = from[i] < 0x20 || from[i] == '"' || from[i] == '\\' || from[i] == 0x7f;

        if (n > 0 && !is_special) {
            i += n;
            continue;
        }
        append(j, text + plain, i - plain);
        if (n == 0)
            append(j, "\xef\xbf\xbd", 3);
        else
            append_escaped(j, from[i]);
        plain = ++i;
    }
    append(j, text + plain, bytes - plain);
    append(j, "\"", 1);
}

void jbuf_key(struct jbuf *j, const char *key)
{
    uint64_t bit = (uint64_t)1 << j->depth;

    assert(j->depth > 0 && !(j->is_array & bit) && !j->is_after_key);
    if (j->has_member & bit)
        append(j, ",", 1);
    j->has_member |= bit;
    append_string(j, key, strlen(key));
    append(j, ":", 1);
    j->is_after_key = true;
}

void jbuf_strn(struct jbuf *j, const char *text, size_t bytes)
{
    before_value(j);
    append_string(j, text, bytes);
}

void jbuf_str(struct jbuf *j, const char *text)
{
    if (text)
        jbuf_strn(j, text, strlen(text));
    else
        jbuf_null(j);
}

void jbuf_raw(struct jbuf *j, const char *json)
{
    before_value(j);
    append(j, json, strlen(json));
}

void jbuf_i64(struct jbuf *j, int64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, number);
    jbuf_raw(j, text);
}

void jbuf_i64s(struct jbuf *j, int64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, number);
    jbuf_str(j, text);
}

void jbuf_f64(struct jbuf *j, double number)
{
    char text[40];

    if (!isfinite(number)) { /* JSON has no word for it */
        jbuf_null(j);
        return;
    }
    snprintf(text, sizeof(text), "%.17g", number);
    jbuf_raw(j, text);
}

void jbuf_bool(struct jbuf *j, bool is_true)
{
    jbuf_raw(j, is_true ? "true" : "false");
}

void jbuf_null(struct jbuf *j)
{
    jbuf_raw(j, "null");
}

const char *jbuf_text(const struct jbuf *j)
{
    assert(j->depth == 0);
    return j->text ? j->text : "";
}

char *jbuf_take(struct jbuf *j)
{
    char *text;

    assert(j->depth == 0);
    reserve(j, 0);
    j->text[j->len] = '\0';
    text            = j->text;
    *j              = (struct jbuf) { 0 };
    return text;
}
