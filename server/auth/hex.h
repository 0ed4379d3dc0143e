/*
 * hex: bytes as hexadecimal digits, by nettle; what is read is exactly as long as it should be.
 */
#ifndef KILN_HEX_H
#define KILN_HEX_H

#include <nettle/base16.h>
#include <string.h>

#include "lib/base.h"

/* Writes a NUL too; out has room for 2 * bytes + 1. */
static inline void hex_write(char *out, const uint8_t *data, size_t bytes)
{
    base16_encode_update(out, bytes, data);
    out[2 * bytes] = '\0';
}

/* Exactly `bytes` bytes, of either case, nothing before or after. nettle would skip white space. */
static inline bool hex_read(const char *text, uint8_t *out, size_t bytes)
{
    struct base16_decode_ctx ctx;

    if (strlen(text) != 2 * bytes || strspn(text, "0123456789abcdefABCDEF") != 2 * bytes)
        return false;
    base16_decode_init(&ctx);
    return base16_decode_update(&ctx, &bytes, out, 2 * bytes, text);
}

#endif
