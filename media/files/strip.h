/*
 * strip: a picture file without what its camera and its editor noted: place, time, owner, previews,
 * comments.
 *
 * Nothing is decoded and no pixel changes: the parts that pixels need (and the colour profile) are
 * copied, all others are left out, known or not. A file that has nothing to lose comes out byte for
 * byte as it went in. Only for bytes that sniff_bytes() has found whole.
 */
#ifndef MEDIA_STRIP_H
#define MEDIA_STRIP_H

#include <stdint.h>

#include <glib.h>

#include "media/files/sniff.h"

/* Appends to `out`; false: the format is none of PNG, JPEG, WebP and GIF, or its parts do not add
 * up. */
bool strip_picture(enum format format, const uint8_t *bytes, size_t count, GByteArray *out);

#endif
