/*
 * jscan: one pass over a JSON text.
 */
#include "lib/jscan.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/jbuf.h"

#define POINTER_BYTES 200

/* Where the pass stands in one object or array. */
struct level {
    uint32_t key_at, key_bytes; /* of an object: the last key, without its quotes */
    uint32_t index;             /* of an array */
    bool     is_array;
};

struct scan {
    const char  *text;
    size_t       bytes, at;
    bool         wants_key;
    unsigned     depth;
    struct level levels[JSCAN_DEPTH];
};

/* ---- numbers ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool begins_number(char c)
{
    return is_digit(c) || c == '-' || c == '+' || c == '.';
}

static size_t number_length(const char *text, size_t bytes)
{
    size_t n = 0;

    while (n < bytes && (begins_number(text[n]) || text[n] == 'e' || text[n] == 'E'))
        n++;
    return n;
}

static bool number_is_huge(const char *text, size_t bytes)
{
    size_t digits = 0, at = 0;

    if (bytes > JSCAN_NUMBER_CHARS)
        return true;
    while (at < bytes && text[at] != 'e' && text[at] != 'E')
        at++;
    for (; at < bytes; at++)
        digits += is_digit(text[at]);
    return digits > JSCAN_EXPONENT_DIGITS;
}

/* The end of the string whose first character is at: where its closing quote stands, or the end of
 * the text. */
static size_t string_end(const char *text, size_t bytes, size_t at)
{
    while (at < bytes && text[at] != '"')
        at += text[at] == '\\' ? 2 : 1;
    return at < bytes ? at : bytes;
}

/* The next number beyond the bounds, from *at on; its length, or 0. */
static size_t next_huge(const char *text, size_t bytes, size_t *at)
{
    while (*at < bytes) {
        size_t n = 1;

        if (text[*at] == '"') {
            *at = string_end(text, bytes, *at + 1);
        } else if (begins_number(text[*at])) {
            n = number_length(text + *at, bytes - *at);
            if (number_is_huge(text + *at, n))
                return n;
        }
        *at += n;
    }
    return 0;
}

bool jscan_has_huge_number(const char *text, size_t bytes)
{
    size_t at = 0;

    return next_huge(text, bytes, &at) > 0;
}

void jscan_blank_numbers(char *text, size_t bytes)
{
    size_t at = 0;

    for (size_t n; (n = next_huge(text, bytes, &at)) > 0; at += n) {
        memset(text + at, ' ', n);
        text[at] = text[at + 1] = '"'; /* a huge one has three characters at least */
    }
}

/* ---- escapes ---- */

/* The four digits of \uXXXX at text, or -1. */
static int unicode_escape(const char *text, size_t bytes)
{
    int code = 0;

    if (bytes < 6 || text[0] != '\\' || text[1] != 'u')
        return -1;
    for (size_t i = 2; i < 6; i++) {
        char c     = (char)(text[i] | 0x20);
        int  digit = is_digit(text[i]) ? text[i] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static bool is_high(int code)
{
    return code >= 0xd800 && code <= 0xdbff;
}

static bool is_low(int code)
{
    return code >= 0xdc00 && code <= 0xdfff;
}

/* What is wrong with the escape at text, whose length becomes *n. */
static const char *escape_fault(const char *text, size_t bytes, size_t *n)
{
    int code = unicode_escape(text, bytes);

    *n = code < 0 ? 2 : 6;
    if (code == 0)
        return "the character U+0000";
    if (is_low(code) || (is_high(code) && !is_low(unicode_escape(text + 6, bytes - 6))))
        return "half of a surrogate pair";
    if (is_high(code))
        *n = 12;
    return NULL;
}

void jscan_blank_escapes(char *text, size_t bytes)
{
    static const char question_mark[6] = { '\\', 'u', '0', '0', '3', 'f' };

    for (size_t at = 0, n; at < bytes; at += n) {
        n = 1;
        if (text[at] == '\\' && escape_fault(text + at, bytes - at, &n))
            memcpy(text + at, question_mark, 6); /* n is 6: only \uXXXX has faults */
    }
}

/* ---- where it is ---- */

struct pointer {
    char   text[POINTER_BYTES + 4];
    size_t bytes;
    bool   is_full;
};

/* Cuts at a whole character. */
static void pointer_add(struct pointer *p, const char *text, size_t bytes)
{
    if (p->is_full)
        return;
    p->is_full = p->bytes + bytes > POINTER_BYTES;
    if (p->is_full) {
        text  = "…";
        bytes = strlen(text);
    }
    memcpy(p->text + p->bytes, text, bytes);
    p->bytes += bytes;
    p->text[p->bytes] = '\0';
}

static size_t put_utf8(char *out, unsigned code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* The escape at text as UTF-8; its length in *n. It has been looked at: halves have their other. */
static size_t unescape(const char *text, size_t bytes, char *out, size_t *n)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char       *known;
    int               code = unicode_escape(text, bytes), low;

    *n = code < 0 ? 2 : 6;
    if (code < 0) {
        known  = bytes > 1 && text[1] ? strchr(from, text[1]) : NULL;
        out[0] = known ? to[known - from] : bytes > 1 ? text[1] : '\\';
        return 1;
    }
    if (is_high(code)) {
        low  = unicode_escape(text + 6, bytes - 6);
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        *n   = 12;
    }
    return put_utf8(out, (unsigned)code);
}

static size_t character_bytes(const char *text, size_t bytes)
{
    size_t n = 1;

    while (n < bytes && ((unsigned char)text[n] & 0xc0) == 0x80)
        n++;
    return n;
}

static void pointer_add_key(struct pointer *p, const char *key, size_t bytes)
{
    char out[8];

    for (size_t at = 0, n; at < bytes && !p->is_full; at += n) {
        size_t len;

        if (key[at] == '\\') {
            len = unescape(key + at, bytes - at, out, &n);
        } else {
            n = len = character_bytes(key + at, bytes - at);
            memcpy(out, key + at, len < sizeof(out) ? len : sizeof(out));
            len = len < sizeof(out) ? len : sizeof(out);
        }
        if (len == 1 && (out[0] == '~' || out[0] == '/'))
            pointer_add(p, out[0] == '~' ? "~0" : "~1", 2);
        else
            pointer_add(p, out, len);
    }
}

/* RFC 6901, of the value at the innermost of so many levels. */
static void find_pointer(const struct scan *s, unsigned levels, struct pointer *p)
{
    char index[16];
    int  n;

    *p = (struct pointer) { 0 };
    for (unsigned i = 0; i < levels; i++) {
        const struct level *level = &s->levels[i];

        pointer_add(p, "/", 1);
        n = snprintf(index, sizeof(index), "%u", level->index);
        if (level->is_array)
            pointer_add(p, index, (size_t)n);
        else
            pointer_add_key(p, s->text + level->key_at, level->key_bytes);
    }
}

/* `verb what` completes the sentence that begins with the pointer. */
static bool refuse(const struct scan *s, unsigned levels, const char *verb, const char *what,
                   struct err *err)
{
    struct pointer p;
    struct jbuf    j = { 0 };
    char           message[160];

    if (!err)
        return false;
    find_pointer(s, levels, &p);
    snprintf(message, sizeof(message), "%s %s", verb, what);
    err_set(err, "KN003", "%s %s", p.bytes ? p.text : "the body", message);
    jbuf_array(&j);
    jbuf_object(&j);
    jbuf_key(&j, "field");
    jbuf_str(&j, p.text);
    jbuf_key(&j, "message");
    jbuf_str(&j, message);
    jbuf_end(&j);
    jbuf_end(&j);
    snprintf(err->detail, sizeof(err->detail), "%s", jbuf_text(&j));
    jbuf_free(&j);
    return false;
}

/* ---- the pass ---- */

static struct level *innermost(struct scan *s)
{
    return s->depth ? &s->levels[s->depth - 1] : NULL;
}

/* From the opening quote to the closing one. */
static bool take_string(struct scan *s, struct err *err)
{
    size_t        from   = s->at + 1, n;
    struct level *level  = innermost(s);
    bool          is_key = level && !level->is_array && s->wants_key;

    for (s->at = from; s->at < s->bytes && s->text[s->at] != '"'; s->at += n) {
        const char *fault = NULL;

        n = 1;
        if (s->text[s->at] == '\\')
            fault = escape_fault(s->text + s->at, s->bytes - s->at, &n);
        if (fault)
            return refuse(s, s->depth - is_key, is_key ? "has a name that holds" : "must not hold",
                          fault, err);
    }
    if (s->at > s->bytes)
        s->at = s->bytes;
    if (is_key) {
        level->key_at    = (uint32_t)from;
        level->key_bytes = (uint32_t)(s->at - from);
    }
    s->at++;
    return true;
}

static bool take_number(struct scan *s, struct err *err)
{
    size_t n = number_length(s->text + s->at, s->bytes - s->at);

    if (number_is_huge(s->text + s->at, n))
        return refuse(s, s->depth, "must be a number of at most 40 characters,",
                      "with at most two digits of exponent", err);
    s->at += n;
    return true;
}

static bool open_level(struct scan *s, bool is_array, struct err *err)
{
    if (s->depth == JSCAN_DEPTH) {
        err_set(err, "KN006", "The JSON is nested deeper than %d levels.", JSCAN_DEPTH);
        return false;
    }
    s->levels[s->depth++] = (struct level) { .is_array = is_array };
    s->wants_key          = !is_array;
    return true;
}

static bool take_mark(struct scan *s, struct err *err)
{
    struct level *level = innermost(s);
    char          c     = s->text[s->at++];

    if (c == '{' || c == '[')
        return open_level(s, c == '[', err);
    if ((c == '}' || c == ']') && level) {
        s->depth--;
        s->wants_key = false;
    } else if (c == ',' && level) {
        level->index += level->is_array;
        s->wants_key = !level->is_array;
    } else if (c == ':') {
        s->wants_key = false;
    }
    return true;
}

bool jscan_check(const char *text, size_t bytes, struct err *err)
{
    struct scan s  = { .text = text, .bytes = bytes };
    bool        ok = true;

    assert(bytes <= UINT32_MAX);
    while (ok && s.at < bytes) {
        if (text[s.at] == '"')
            ok = take_string(&s, err);
        else if (begins_number(text[s.at]))
            ok = take_number(&s, err);
        else
            ok = take_mark(&s, err);
    }
    return ok;
}
