/*
 * jpeg: whether a JPEG decodes to its end, by libjpeg itself.
 *
 * libvips either passes over every warning of libjpeg, also the one that half of the picture is
 * missing, or fails at every warning, also at those about odd headers that phones and cameras write
 * and every browser shows. Here each is told apart.
 */
#ifndef MEDIA_JPEG_H
#define MEDIA_JPEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/tool/fault.h"

/* Decodes every row and keeps none. False: it is cut off, damaged, or made to take for ever
 * (EXIT_INVALID). */
bool jpeg_check(const uint8_t *bytes, size_t count, struct fault *fault);
bool jpeg_check_file(const char *path, struct fault *fault);

#endif
