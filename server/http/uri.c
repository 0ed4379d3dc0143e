/*
 * uri: percent-decoding, and queries as JSON.
 */
#include "server/http/uri.h"

#include <string.h>

#define QUERY_PAIRS_MAX 32
#define QUERY_BYTES_MAX 4096

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of the escape at text, or -1. */
static int escaped_byte(const char *text, size_t bytes)
{
    int high = bytes >= 3 ? hex_digit(text[1]) : -1;
    int low  = bytes >= 3 ? hex_digit(text[2]) : -1;

    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool uri_decode(const char *text, size_t bytes, bool is_query, char *out, size_t *len)
{
    size_t n = 0;

    for (size_t i = 0; i < bytes; i++) {
        int c = (unsigned char)text[i];
        if (c == '%') {
            c = escaped_byte(text + i, bytes - i);
            i += 2;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        if (c <= 0) /* a broken escape, or a NUL: PostgreSQL's text ends there */
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    *len   = n;
    return jbuf_is_utf8(out, n);
}

struct pair {
    const char *name, *value;
    size_t      name_bytes, value_bytes;
};

/* Takes the next `name=value` off *query; empty pairs (`&&`) are passed over. */
static bool next_pair(const char **query, struct pair *pair)
{
    const char *at = *query;
    size_t      bytes;

    while (*at == '&')
        at++;
    if (!*at)
        return false;
    bytes             = strcspn(at, "&");
    pair->name        = at;
    pair->name_bytes  = strcspn(at, "=&");
    pair->value       = at + pair->name_bytes + (at[pair->name_bytes] == '=');
    pair->value_bytes = (size_t)(at + bytes - pair->value);
    *query            = at + bytes;
    return true;
}

static bool write_pair(struct jbuf *j, const struct pair *pair)
{
    char   text[QUERY_BYTES_MAX + 1];
    size_t len;

    if (!uri_decode(pair->name, pair->name_bytes, true, text, &len))
        return false;
    jbuf_key(j, text);
    if (!uri_decode(pair->value, pair->value_bytes, true, text, &len))
        return false;
    jbuf_strn(j, text, len);
    return true;
}

static bool refuse(struct err *err, const char *sentence)
{
    err_set(err, "KN006", "%s", sentence);
    return false;
}

bool uri_query_json(struct jbuf *j, const char *query, struct err *err)
{
    struct pair pair;
    int         pairs = 0;

    if (query && strlen(query) > QUERY_BYTES_MAX)
        return refuse(err, "The query may have 4 KiB.");
    jbuf_object(j);
    while (query && next_pair(&query, &pair)) { /* refused, j is left half written */
        if (++pairs > QUERY_PAIRS_MAX)
            return refuse(err, "The query may have 32 parameters.");
        if (!write_pair(j, &pair))
            return refuse(err, "The query is not properly percent-encoded UTF-8.");
    }
    jbuf_end(j);
    return true;
}

static bool find_pair(const char *query, const char *name, struct pair *pair)
{
    size_t bytes = strlen(name);

    while (query && next_pair(&query, pair))
        if (pair->name_bytes == bytes && memcmp(pair->name, name, bytes) == 0)
            return true;
    return false;
}

bool uri_query_get(const char *query, const char *name, char *out, size_t size)
{
    size_t      len;
    struct pair pair;

    return find_pair(query, name, &pair) && pair.value_bytes < size
           && uri_decode(pair.value, pair.value_bytes, true, out, &len);
}

bool uri_query_has(const char *query, const char *name)
{
    struct pair pair;

    return find_pair(query, name, &pair);
}
