/*
 * base64: what nettle would forgive is refused before it is given to nettle.
 */
#include "server/auth/base64.h"

#include <ctype.h>
#include <nettle/base64.h>

/* nettle skips white space, and takes padding where it stands. */
static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* The padding that is not written makes nettle look at the unused bits. */
static bool end(struct base64_decode_ctx *ctx, size_t chars)
{
    uint8_t none;

    for (; chars % 4; chars++)
        if (base64_decode_single(ctx, &none, '=') != 0)
            return false;
    return base64_decode_final(ctx);
}

bool base64url_read(const char *text, size_t chars, void *out, size_t *bytes)
{
    struct base64_decode_ctx ctx;
    uint8_t                 *to = out;

    base64url_decode_init(&ctx);
    *bytes = 0;
    for (size_t i = 0; i < chars; i++) {
        if (!is_letter(text[i]))
            return false;
        *bytes += base64_decode_single(&ctx, &to[*bytes], text[i]) == 1;
    }
    return chars % 4 != 1 && end(&ctx, chars);
}

bool base64_read_any(const char *text, size_t chars, void *out, size_t size, size_t *bytes)
{
    struct base64_decode_ctx ctx;
    uint8_t                 *to = out;

    while (chars > 0 && text[chars - 1] == '=')
        chars--;
    base64url_decode_init(&ctx);
    *bytes = 0;
    for (size_t i = 0; i < chars; i++) {
        char    c = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
        uint8_t byte;
        if (!is_letter(c))
            return false;
        if (base64_decode_single(&ctx, &byte, c) != 1)
            continue;
        if (*bytes == size)
            return false;
        to[(*bytes)++] = byte;
    }
    return chars % 4 != 1 && end(&ctx, chars);
}

char *base64url_write(char *out, const void *data, size_t bytes)
{
    struct base64_encode_ctx ctx;
    size_t                   chars;

    base64url_encode_init(&ctx);
    chars = base64_encode_update(&ctx, out, bytes, data);
    chars += base64_encode_final(&ctx, out + chars);
    while (chars > 0 && out[chars - 1] == '=')
        chars--;
    out[chars] = '\0';
    return out + chars;
}
