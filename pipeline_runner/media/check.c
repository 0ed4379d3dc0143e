/*
 * check: the op that looks at what people send in, before anything may use it. The file must be what was announced, within
 * the caps, and decode to its end; what is handed on is a copy without the camera's notes: a picture upright, a film or a
 * recording in a new container with only its pictures and its sound.
 *
 * config: max_pixels, max_duration_s. input: content_type and bytes as announced.
 */
#include <string.h>

#include <inttypes.h>

#include "ops.h"
#include "probe.h"
#include "program.h"
#include "strip.h"

static bool is_as_announced(const struct request *request, const struct probe *probe,
                            struct fault *fault)
{
    const char *type  = json_string_value(json_object_get(request->input, "content_type"));
    json_int_t  bytes = json_integer_value(json_object_get(request->input, "bytes"));

    if (type != NULL && strcmp(type, probe->content_type) != 0)
        return fault_set(fault, EXIT_INVALID, "the file is %s, not %s as was announced",
                         probe->content_type, type);
    if (bytes > 0 && bytes != probe->bytes)
        return fault_set(fault, EXIT_INVALID,
                         "the file has %" PRId64 " bytes, not %" JSON_INTEGER_FORMAT
                         " as was announced",
                         probe->bytes, bytes);
    return true;
}

static bool is_within_caps(const struct request *request, const struct probe *probe,
                           struct fault *fault)
{
    json_int_t pixels  = json_integer_value(json_object_get(request->config, "max_pixels"));
    json_int_t seconds = json_integer_value(json_object_get(request->config, "max_duration_s"));

    if (pixels > 0 && (json_int_t)probe->width * probe->height > pixels)
        return fault_set(fault, EXIT_INVALID,
                         "the file has %d x %d pixels, more than %" JSON_INTEGER_FORMAT,
                         probe->width, probe->height, pixels);
    if (seconds > 0 && probe->duration_ms > seconds * 1000)
        return fault_set(fault, EXIT_INVALID,
                         "the file lasts %" PRId64 " s, more than %" JSON_INTEGER_FORMAT,
                         probe->duration_ms / 1000, seconds);
    return true;
}

/* ---- pictures ---- */

static const char *write_stripped(const char *file, enum format format, const char *path,
                                  struct fault *fault)
{
    GByteArray *out   = g_byte_array_new();
    GError     *error = NULL;
    char       *bytes = NULL;
    gsize       count = 0;
    bool        ok    = g_file_get_contents(file, &bytes, &count, &error)
              && strip_picture(format, (const uint8_t *)bytes, count, out)
              && g_file_set_contents_full(path, (const char *)out->data, out->len,
                                          G_FILE_SET_CONTENTS_NONE, 0600, &error);

    if (!ok)
        fault_set(fault, error != NULL ? EXIT_TRANSIENT : EXIT_INVALID, "%s",
                  error != NULL ? error->message : "the picture's parts do not add up");
    g_clear_error(&error);
    g_free(bytes);
    g_byte_array_free(out, TRUE);
    return ok ? path : NULL;
}

/* The one case in which pixels are coded anew. */
static const char *write_upright(VipsImage *lying, enum format format, const char *path,
                                 struct fault *fault)
{
    VipsImage *image  = picture_normal(lying, VIPS_MAX_COORD, fault);
    int        failed = -1;

    if (image == NULL)
        return NULL;
    if (format == FORMAT_JPEG)
        failed = vips_jpegsave(image, path, "Q", 95, "optimize_coding", TRUE, "strip", TRUE, NULL);
    else if (format == FORMAT_WEBP)
        failed = vips_webpsave(image, path, "Q", 95, "effort", 3, "strip", TRUE, NULL);
    else
        failed = vips_pngsave(image, path, "compression", 6, "strip", TRUE, NULL);
    g_object_unref(image);
    if (failed == 0)
        return path;
    fault_vips(fault, EXIT_TRANSIENT, "cannot write the upright picture");
    return NULL;
}

static const char *clean_picture(const char *file, enum format format, struct fault *fault)
{
    VipsImage  *image = picture_open(file, format, false, fault);
    const char *path  = NULL;

    if (image == NULL)
        return NULL;
    if (vips_image_get_orientation(image) > 1 && vips_image_get_n_pages(image) == 1)
        path = write_upright(image, format, "out/checked", fault);
    else
        path = write_stripped(file, format, "out/checked", fault);
    g_object_unref(image);
    return path;
}

/* ---- films and recordings ---- */

/* Copied stream by stream, not coded anew: pictures and sound, no cover (a picture with notes of its own), no data track
 * (which is where action cameras write their way). What a player needs to turn a film upright stays with its pictures. */
static const char *clean_stream(const char *file, enum format format, struct fault *fault)
{
    static const char *const muxers[FORMATS] = {
        [FORMAT_MP4] = "mp4", [FORMAT_QUICKTIME] = "mov", [FORMAT_WEBM] = "webm",
        [FORMAT_WAV] = "wav", [FORMAT_MP3] = "mp3",       [FORMAT_OGG] = "ogg"
    };
    char       *in = g_strconcat("file:", file, NULL), *out = NULL;
    size_t      bytes;
    bool        has_index = format == FORMAT_MP4 || format == FORMAT_QUICKTIME;
    bool        ok        = false;
    const char *argv[48]  = { "ffmpeg",
                              "-nostdin",
                              "-hide_banner",
                              "-v",
                              "error",
                              "-y",
                              "-threads",
                              "1",
                              "-protocol_whitelist",
                              "file,pipe",
                              "-f",
                              format_demuxer(format),
                              "-i",
                              in,
                              "-map",
                              "0:V?",
                              "-map",
                              "0:a?",
                              "-c",
                              "copy",
                              "-map_metadata",
                              "-1",
                              "-map_metadata:s",
                              "-1",
                              "-map_chapters",
                              "-1",
                              "-threads",
                              "1",
                              "-fflags",
                              "+bitexact" };
    int         n         = 30;

    if (has_index) {
        argv[n++] = "-movflags";
        argv[n++] = "+faststart";
    }
    argv[n++] = "-f";
    argv[n++] = muxers[format];
    argv[n++] = "out/checked";
    argv[n]   = NULL;
    if (muxers[format] != NULL)
        ok = program_run(argv, NULL, &out, &bytes, 4096, 240, false, EXIT_INVALID, fault);
    else
        fault_set(fault, EXIT_INVALID, "files of this kind are not accepted");
    g_free(out);
    g_free(in);
    return ok ? "out/checked" : NULL;
}

json_t *op_check(struct request *request, struct fault *fault)
{
    struct probe probe;
    const char  *file, *path;

    /* Somebody's answer was lost after the file had its row: then there is nothing left to look at. */
    if (request->file_count == 0)
        return request_answer(request, "check", json_object(), NULL, NULL);
    file = request->files[0].file;
    request_progress(request, 0.1f, "checking");
    if (!probe_file(file, NULL, &probe, fault) || !is_as_announced(request, &probe, fault)
        || !is_within_caps(request, &probe, fault))
        return NULL;
    request_progress(request, 0.6f, "cleaning");
    path = strcmp(probe.media_type, "image") == 0 ? clean_picture(file, probe.format, fault)
                                                  : clean_stream(file, probe.format, fault);
    if (path == NULL)
        return NULL;
    return request_answer(request, "check", probe_json(&probe), path, "work");
}
