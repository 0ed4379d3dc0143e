/* probe: sniff, decode completely, tell; see probe.h. */
#include "media/files/probe.h"

#include "media/files/picture.h"
#include "media/files/ffmpeg.h"

static bool probe_picture(const char *path, const char *thumbnail, struct probe *probe,
                          struct fault *fault)
{
    VipsImage *image;
    bool       ok;

    probe->media_type   = "image";
    probe->content_type = format_content_type(probe->format, true);
    if (!picture_check(path, probe->format, &probe->width, &probe->height, fault))
        return false;
    if (thumbnail == NULL)
        return true;
    image = picture_open(path, probe->format, false, fault);
    ok    = image != NULL && picture_thumbnail(image, thumbnail, fault);
    if (image != NULL)
        g_object_unref(image);
    return ok;
}

static bool probe_recording(const char *path, const char *thumbnail, struct probe *probe,
                            struct fault *fault)
{
    struct ffmpeg_facts facts;
    struct wave         wave = { 0 };
    VipsImage          *picture;
    bool                ok;

    if (!ffmpeg_check(path, probe->format, &facts, &wave, fault))
        return false;
    probe->media_type   = facts.has_video ? "video" : "audio";
    probe->content_type = format_content_type(probe->format, facts.has_video);
    if (probe->content_type == NULL)
        return fault_set(fault, EXIT_INVALID, "a film in an audio file is not accepted");
    probe->duration_ms = facts.duration_ms;
    if (facts.has_video) {
        probe->width  = facts.width;
        probe->height = facts.height;
    }
    if (thumbnail == NULL)
        return true;
    picture = facts.has_video
                  ? ffmpeg_frame(path, probe->format, MIN(1000, facts.duration_ms / 3), fault)
                  : wave_picture(&wave);
    ok      = picture != NULL && picture_thumbnail(picture, thumbnail, fault);
    if (picture != NULL)
        g_object_unref(picture);
    return ok;
}

bool probe_file(const char *path, const char *thumbnail, struct probe *probe, struct fault *fault)
{
    struct sniffed sniffed;

    *probe = (struct probe) { .duration_ms = -1, .width = -1, .height = -1 };
    if (!sniff_file(path, &sniffed, fault))
        return false;
    probe->format = sniffed.format;
    probe->bytes  = sniffed.bytes;
    return format_is_picture(probe->format) ? probe_picture(path, thumbnail, probe, fault)
                                            : probe_recording(path, thumbnail, probe, fault);
}

static json_t *number_or_null(int64_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

json_t *probe_json(const struct probe *probe)
{
    return json_pack("{s:s, s:s, s:I, s:o, s:o, s:o}", "media_type", probe->media_type,
                     "content_type", probe->content_type, "bytes", (json_int_t)probe->bytes,
                     "width", number_or_null(probe->width), "height", number_or_null(probe->height),
                     "duration_ms", number_or_null(probe->duration_ms));
}
