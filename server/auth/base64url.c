/* base64url: six bits at a time. */
#include "server/auth/base64url.h"

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool base64url_read(const char *text, size_t chars, void *out, size_t *bytes)
{
    unsigned char *to   = out;
    unsigned       bits = 0, held = 0;

    *bytes = 0;
    for (size_t i = 0; i < chars; i++) {
        int value = sextet(text[i]);
        if (value < 0)
            return false;
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            to[(*bytes)++] = (unsigned char)(bits >> held & 0xff);
        }
    }
    return chars % 4 != 1 && (bits & ((1u << held) - 1)) == 0;
}

char *base64url_write(char *out, const void *data, size_t bytes)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *in   = data;
    unsigned             bits = 0, held = 0;

    for (size_t i = 0; i < bytes; i++) {
        bits = (bits << 8 | in[i]) & 0xffff;
        for (held += 8; held >= 6; held -= 6)
            *out++ = letters[bits >> (held - 6) & 63];
    }
    if (held)
        *out++ = letters[bits << (6 - held) & 63];
    *out = '\0';
    return out;
}
