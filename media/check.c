/*
 * check: the op that looks at what people send in, before anything may use it. The file must be
 * what was announced, within the caps, and decode to its end; what is handed on is a copy without
 * the camera's notes: a picture upright, a film or a recording in a new container with only its
 * pictures and its sound.
 *
 * config: max_pixels, max_duration_s. input: content_type and bytes as announced.
 */
#include <string.h>

#include <inttypes.h>

#include "media/ops.h"
#include "media/files/picture.h"
#include "media/files/probe.h"
#include "media/tool/program.h"
#include "media/files/ffmpeg.h"
#include "media/files/strip.h"

/* Recorders and phones mix the names of one family of containers; what is in the file counts from
 * here on. */
static bool are_of_one_family(const char *announced, const char *found)
{
    static const char *const families[][4] = { { "video/mp4", "video/quicktime", "audio/mp4", "" },
                                               { "video/webm", "audio/webm", "", "" },
                                               { "image/heic", "image/avif", "", "" } };

    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        int hits = 0;
        for (size_t k = 0; k < G_N_ELEMENTS(families[i]); k++)
            hits += strcmp(families[i][k], announced) == 0 || strcmp(families[i][k], found) == 0;
        if (hits == 2)
            return true;
    }
    return false;
}

static bool is_as_announced(const struct request *request, const struct probe *probe,
                            struct fault *fault)
{
    const char *type  = json_string_value(json_object_get(request->input, "content_type"));
    json_int_t  bytes = json_integer_value(json_object_get(request->input, "bytes"));

    if (type != NULL && strcmp(type, probe->content_type) != 0
        && !are_of_one_family(type, probe->content_type))
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

static bool is_of_phones(enum format format)
{
    return format == FORMAT_HEIC || format == FORMAT_AVIF;
}

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

/* The two cases in which pixels are coded anew: a picture that lies, and one of a phone's formats
 * (HEIC, AVIF), which few providers and not all browsers read. What is see-through stays so, in
 * PNG. */
static const char *write_upright(VipsImage *lying, enum format format, const char *path,
                                 struct fault *fault)
{
    VipsImage *image  = picture_normal(lying, VIPS_MAX_COORD, fault);
    int        failed = -1;

    if (image == NULL)
        return NULL;
    if (format == FORMAT_JPEG || (is_of_phones(format) && !vips_image_hasalpha(image)))
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
    if (is_of_phones(format)
        || (vips_image_get_orientation(image) > 1 && vips_image_get_n_pages(image) == 1))
        path = write_upright(image, format, "out/checked", fault);
    else
        path = write_stripped(file, format, "out/checked", fault);
    g_object_unref(image);
    return path;
}

/* ---- films and recordings ---- */

/* Copied stream by stream, not coded anew: pictures and sound, no cover (a picture with notes of
 * its own), no data track (which is where action cameras write their way). What a player needs to
 * turn a film upright stays with its pictures. */
static const char *clean_recording(const char *file, enum format format, struct fault *fault)
{
    static const char *const muxers[FORMATS] = {
        [FORMAT_MP4] = "mp4", [FORMAT_QUICKTIME] = "mov", [FORMAT_WEBM] = "webm",
        [FORMAT_WAV] = "wav", [FORMAT_MP3] = "mp3",       [FORMAT_OGG] = "ogg"
    };
    struct ffmpeg_input in  = ffmpeg_input_of(file, format);
    char               *out = NULL;
    size_t              bytes;
    bool                has_index = format == FORMAT_MP4 || format == FORMAT_QUICKTIME;
    bool                ok        = false;
    const char         *argv[48]  = { "ffmpeg",
                                      "-nostdin",
                                      "-hide_banner",
                                      "-v",
                                      "error",
                                      "-y",
                                      "-threads",
                                      "1",
                                      FFMPEG_INPUT(in),
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
    int                 n         = 32;

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
    ffmpeg_input_free(&in);
    return ok ? "out/checked" : NULL;
}

json_t *op_check(struct request *request, struct fault *fault)
{
    struct probe probe;
    const char  *file, *path;

    /* Somebody's answer was lost after the file had its row: then there is nothing left to look
     * at. */
    if (request->file_count == 0)
        return request_answer(request, "check", json_object(), NULL, NULL);
    file = request->files[0].file;
    request_progress(request, 0.1f, "checking");
    if (!probe_file(file, NULL, &probe, fault) || !is_as_announced(request, &probe, fault)
        || !is_within_caps(request, &probe, fault))
        return NULL;
    request_progress(request, 0.6f, "cleaning");
    path = strcmp(probe.media_type, "image") == 0 ? clean_picture(file, probe.format, fault)
                                                  : clean_recording(file, probe.format, fault);
    if (path == NULL)
        return NULL;
    return request_answer(request, "check", probe_json(&probe), path, "work");
}
