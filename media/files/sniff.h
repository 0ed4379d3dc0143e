/*
 * sniff: what a file is, by its first bytes, and whether it reaches the end of its format.
 *
 * A truncated file is refused before any decoder sees it. Bytes behind the end are no fault: phones
 * put films, depth maps and notes there, mail programs line feeds. The clean copy ends with the
 * format (strip.h, and ffmpeg's copy), so an archive or a page of script behind a picture goes no
 * further. Only lengths and markers are read, never past the file.
 */
#ifndef MEDIA_SNIFF_H
#define MEDIA_SNIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/tool/fault.h"

enum format {
    FORMAT_NONE,
    FORMAT_PNG,
    FORMAT_JPEG,
    FORMAT_WEBP,
    FORMAT_GIF,
    FORMAT_HEIC,
    FORMAT_AVIF,
    FORMAT_MP4,
    FORMAT_QUICKTIME,
    FORMAT_WEBM,
    FORMAT_MATROSKA,
    FORMAT_WAV,
    FORMAT_MP3,
    FORMAT_OGG,
    FORMAT_FLAC,
    FORMATS
};

enum { PIXELS_MOST = 50 * 1000 * 1000, PAGES_MOST = 300, PAGE_PIXELS_MOST = 200 * 1000 * 1000 };

struct sniffed {
    enum format format;
    int64_t     bytes;
    int64_t     end;        /* of a recording: what is behind it is no sound; else all bytes */
    bool        is_endless; /* a WAV that was written to a pipe: its sizes say nothing */
};

bool sniff_file(const char *path, struct sniffed *sniffed, struct fault *fault);
bool sniff_bytes(const uint8_t *bytes, size_t count, struct sniffed *sniffed, struct fault *fault);

bool        format_is_picture(enum format format);
const char *format_content_type(enum format format, bool has_video);
const char *format_demuxer(
    enum format format); /* ffmpeg's name for the one reader that may open it */

#endif
