/*
 * mark: what a picture's file says of itself: PNG text, EXIF ImageDescription, and XMP with the
 * IPTC digital source type.
 */
#ifndef MEDIA_MARK_H
#define MEDIA_MARK_H

#include <vips/vips.h>

#define MARK_LOCAL_TITLE "Kiln local sample"
#define MARK_LOCAL_TEXT \
    "Local sample made by Kiln on this machine (kiln-media), for trying and testing."

/* A copy that shares the pixels; any mark of before is replaced. source: the last part of an
 * address of IPTC's vocabulary of digital source types, or NULL. NULL: libvips has no memory. */
VipsImage *mark_picture(VipsImage *image, const char *title, const char *text, const char *source);

#endif
