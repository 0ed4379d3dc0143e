/*
 * stream: films and recordings, read by ffprobe and ffmpeg.
 *
 * The demuxer is forced to the one that sniff.h names, files and pipes are the only protocols, one
 * thread, bounded time. A path is always given as file:PATH, so that no name is taken for an option
 * or another protocol.
 */
#ifndef MEDIA_FFMPEG_H
#define MEDIA_FFMPEG_H

#include <stdint.h>

#include <vips/vips.h>

#include "media/tool/fault.h"
#include "media/files/sniff.h"

/* How a file is opened: `-f` its demuxer, an option of its own, `-i` url. */
struct ffmpeg_input {
    char       *url;
    const char *demuxer, *option, *value;
    const char *strict; /* -xerror, but where the end of the file is the only end there is */
};

struct ffmpeg_input ffmpeg_input_of(const char *path, enum format format);
void                ffmpeg_input_free(struct ffmpeg_input *input);

#define FFMPEG_INPUT(input)                                                            \
    "-protocol_whitelist", "file,pipe,subfile", "-f", (input).demuxer, (input).option, \
        (input).value, "-i", (input).url

struct ffmpeg_facts {
    bool    has_video, has_audio;
    int     width, height; /* as shown: after rotation */
    int64_t duration_ms;   /* of what was decoded */
    char    video_codec[32], audio_codec[32];
};

enum { WAVE_COLUMNS = 512 };

struct wave {
    float high[WAVE_COLUMNS],
        low[WAVE_COLUMNS]; /* extremes of the samples of each column, -1 .. 1 */
};

/* Asks for the facts and decodes everything; wave may be NULL. */
bool ffmpeg_check(const char *path, enum format format, struct ffmpeg_facts *facts,
                  struct wave *wave, struct fault *fault);

/* The frame at a moment, as it is shown. */
VipsImage *ffmpeg_frame(const char *path, enum format format, int64_t at_ms, struct fault *fault);

/* The picture of a recording's loudness over time. */
VipsImage *wave_picture(const struct wave *wave);

#endif
