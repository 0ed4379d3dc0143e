/*
 * picture: pictures in and out of libvips.
 *
 * In: only after sniff.h has named the format, only through that format's own loader, which stops
 * at the first error. Out: our own encoders' settings, without a date in the file, so that the same
 * pixels are the same bytes. Images are g_object_unref'd by who asked for them.
 */
#ifndef MEDIA_PICTURE_H
#define MEDIA_PICTURE_H

#include <stdint.h>

#include <vips/vips.h>

#include "media/tool/fault.h"
#include "media/files/sniff.h"

/* Header only: pixels come top to bottom as they are asked for. has_all: every page of an
 * animation. */
VipsImage *picture_open(const char *path, enum format format, bool has_all, struct fault *fault);

/* Decodes every pixel of every page and throws them away. */
bool picture_check(const char *path, enum format format, int *width, int *height,
                   struct fault *fault);

/* Upright, sRGB, 8 bits, 3 or 4 bands, in memory, its long side at most `most` pixels, without the
 * camera's notes. Takes its own reference. */
VipsImage *picture_normal(VipsImage *image, int most, struct fault *fault);

/* Sniffed, opened and normal in one step. */
VipsImage *picture_load(const char *path, int most, struct fault *fault);

/* Wraps pixels (copied) of 3 or 4 bands. */
VipsImage *picture_of(const uint8_t *pixels, int width, int height, int bands);

/* Fills a box: scaled until it covers it, cut to the middle; RGB without alpha. */
VipsImage *picture_cover(VipsImage *image, int width, int height, struct fault *fault);

/* is_bare: nothing but pixels, no camera's notes, no profile. */
bool picture_save_png(VipsImage *image, const char *path, int compression, bool is_bare,
                      struct fault *fault);
bool picture_save_jpeg(VipsImage *image, const char *path, int quality, struct fault *fault);
bool picture_save_webp(VipsImage *image, const char *path, int quality, struct fault *fault);

/* At most 512 pixels on the long side; JPEG when the name says so, else WebP. */
bool picture_thumbnail(VipsImage *image, const char *path, struct fault *fault);

#endif
