/* strip: what of a picture file is kept; see strip.h. */
#include "media/files/strip.h"

#include <string.h>

static bool is_one_of(const char *const *names, size_t count, const uint8_t *name)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(names[i], name, 4) == 0)
            return true;
    return false;
}

static void append(GByteArray *out, const uint8_t *bytes, size_t count)
{
    g_byte_array_append(out, bytes, (guint)count);
}

/* A capital first letter means that no picture comes without it. */
static bool strip_png(const uint8_t *b, size_t count, GByteArray *out)
{
    static const char *const kept[] = { "tRNS", "gAMA", "cHRM", "sRGB", "iCCP", "sBIT", "bKGD",
                                        "pHYs", "cICP", "hIST", "acTL", "fcTL", "fdAT" };
    size_t                   at     = 8;

    append(out, b, 8);
    while (count - at >= 12) {
        size_t length =
            (size_t)b[at] << 24 | (size_t)b[at + 1] << 16 | (size_t)b[at + 2] << 8 | b[at + 3];

        if (length > count - at - 12)
            return false;
        if (b[at + 4] < 'a' || is_one_of(kept, G_N_ELEMENTS(kept), b + at + 4))
            append(out, b + at, length + 12);
        at += length + 12;
        if (memcmp(b + at - length - 8, "IEND", 4) == 0)
            return true;
    }
    return false;
}

/* Kept of what programs may add: the plain JFIF head, colour profiles, and Adobe's word on how
 * colours are coded. */
static bool is_kept_segment(uint8_t marker, const uint8_t *data, size_t length)
{
    switch (marker) {
    case 0xe0: return length >= 5 && memcmp(data, "JFIF", 5) == 0;
    case 0xe2: return length >= 12 && memcmp(data, "ICC_PROFILE", 12) == 0;
    case 0xee: return length >= 5 && memcmp(data, "Adobe", 5) == 0;
    case 0xfe: return false;
    default: return marker < 0xe0 || marker > 0xef;
    }
}

/* Coded data goes up to the next marker that is neither a stuffed zero nor a restart. */
static size_t coded_end(const uint8_t *b, size_t count, size_t at)
{
    while (at + 1 < count
           && !(b[at] == 0xff && b[at + 1] != 0 && b[at + 1] != 0xff
                && (b[at + 1] < 0xd0 || b[at + 1] > 0xd7)))
        at++;
    return at;
}

static bool strip_jpeg(const uint8_t *b, size_t count, GByteArray *out)
{
    size_t at = 2;

    append(out, b, 2);
    while (count - at >= 2) {
        uint8_t marker = b[at + 1];
        size_t  length, end;

        if (b[at] != 0xff || marker == 0xff || marker == 0) { /* filling */
            at++;
            continue;
        }
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) { /* alone, and of no use here */
            at += 2;
            continue;
        }
        if (marker == 0xd9) {
            append(out, b + at, 2);
            return true;
        }
        if (count - at < 4)
            return false;
        length = (size_t)b[at + 2] << 8 | b[at + 3];
        if (length < 2 || length > count - at - 2)
            return false;
        end = at + 2 + length;
        if (marker == 0xda)
            end = coded_end(b, count, end);
        if (is_kept_segment(marker, b + at + 4, length - 2))
            append(out, b + at, end - at);
        at = end;
    }
    return false;
}

static bool strip_webp(const uint8_t *b, size_t count, GByteArray *out)
{
    static const char *const kept[] = { "VP8 ", "VP8L", "VP8X", "ANIM", "ANMF", "ALPH", "ICCP" };
    size_t                   at = 12, start = out->len;
    uint32_t                 size =
        (uint32_t)b[4] | (uint32_t)b[5] << 8 | (uint32_t)b[6] << 16 | (uint32_t)b[7] << 24;

    if (size < 4 || size > count - 8)
        return false;
    count = MIN(count, (size_t)size + 8 + (size & 1)); /* what is behind it stays behind */
    append(out, b, 12);
    while (count - at >= 8) {
        size_t length = (size_t)b[at + 4] | (size_t)b[at + 5] << 8 | (size_t)b[at + 6] << 16
                        | (size_t)b[at + 7] << 24;
        size_t whole;

        if (length > count - at - 8)
            return false;
        whole =
            MIN(8 + length + (length & 1), count - at); /* some leave out the last filling byte */
        if (is_one_of(kept, G_N_ELEMENTS(kept), b + at)) {
            append(out, b + at, whole);
            if (memcmp(b + at, "VP8X", 4) == 0 && length >= 1)
                out->data[out->len - whole + 8] &= (guint8)~0x0c; /* no EXIF, no XMP */
        }
        at += whole;
    }
    size = out->len - (guint)start - 8;
    for (unsigned i = 0; i < 4; i++)
        out->data[start + 4 + i] = (guint8)(size >> (8 * i));
    return at >= count || count - at < 8;
}

/* Behind `at`: blocks, each with its length before it, up to an empty one. 0: they do not end. */
static size_t blocks_end(const uint8_t *b, size_t count, size_t at)
{
    while (at < count) {
        size_t length = b[at++];

        if (length == 0)
            return at;
        if (length > count - at)
            return 0;
        at += length;
    }
    return 0;
}

static size_t colour_table_bytes(uint8_t flags)
{
    return flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0;
}

/* Of the extensions stay the timing of a picture and how often a film goes round. */
static bool is_kept_extension(const uint8_t *b, size_t at, size_t end)
{
    return b[at + 1] == 0xf9
           || (b[at + 1] == 0xff && end - at > 14 && b[at + 2] == 11
               && (memcmp(b + at + 3, "NETSCAPE2.0", 11) == 0
                   || memcmp(b + at + 3, "ANIMEXTS1.0", 11) == 0));
}

static bool strip_gif(const uint8_t *b, size_t count, GByteArray *out)
{
    size_t at = 13 + colour_table_bytes(b[10]);

    if (at > count)
        return false;
    append(out, b, at);
    while (at < count) {
        size_t end;

        if (b[at] == 0x3b) {
            append(out, b + at, 1);
            return true;
        }
        if (b[at] == 0x21 && count - at > 2) {
            end = blocks_end(b, count, at + 2);
            if (end > 0 && is_kept_extension(b, at, end))
                append(out, b + at, end - at);
        } else if (b[at] == 0x2c && count - at > 11) {
            end = blocks_end(b, count, at + 10 + colour_table_bytes(b[at + 9]) + 1);
            if (end > 0)
                append(out, b + at, end - at);
        } else {
            return false;
        }
        if (end == 0)
            return false;
        at = end;
    }
    return false;
}

bool strip_picture(enum format format, const uint8_t *bytes, size_t count, GByteArray *out)
{
    if (count < 14)
        return false;
    switch (format) {
    case FORMAT_PNG: return strip_png(bytes, count, out);
    case FORMAT_JPEG: return strip_jpeg(bytes, count, out);
    case FORMAT_WEBP: return strip_webp(bytes, count, out);
    case FORMAT_GIF: return strip_gif(bytes, count, out);
    default: return false;
    }
}
