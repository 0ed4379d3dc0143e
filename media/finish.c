/*
 * finish: the op that makes the file people get, decoded once more before it is handed over. What
 * was drawn here is encoded as asked and marked as a local sample of Kiln. What came from a
 * provider stays as it came, byte for byte: it is no sample, and whoever paid for it paid for all
 * of its pixels.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "media/files/mark.h"
#include "media/ops.h"
#include "media/files/picture.h"
#include "media/sample/sample.h"
#include "media/files/probe.h"
#include "media/tool/program.h"

static const char *finish_picture(const struct request *request, const char *file,
                                  struct fault *fault)
{
    struct sketch_params params;
    VipsImage           *image, *copy = NULL;
    const char          *path = NULL;
    bool                 ok   = false;

    if (!sketch_params(request, &params, fault))
        return NULL;
    image = picture_load(file, PICTURE_SIDE, fault);
    if (image != NULL)
        copy = mark_picture(image, MARK_LOCAL_TITLE, MARK_LOCAL_TEXT, NULL);
    if (copy != NULL && strcmp(params.format, "jpeg") == 0)
        ok = picture_save_jpeg(copy, path = "out/image.jpg", params.quality, fault);
    else if (copy != NULL && strcmp(params.format, "webp") == 0)
        ok = picture_save_webp(copy, path = "out/image.webp", params.quality, fault);
    else if (copy != NULL)
        ok = picture_save_png(copy, path = "out/image.png", 6, false, fault);
    if (copy != NULL)
        g_object_unref(copy);
    if (image != NULL)
        g_object_unref(image);
    return ok ? path : NULL;
}

/* codec: two arguments or more for ffmpeg, ending with NULL. */
static const char *convert(const char *file, enum format format, const char *const *codec,
                           const char *path, struct fault *fault)
{
    char       *in = g_strconcat("file:", file, NULL), *title = g_strdup("title=" MARK_LOCAL_TITLE);
    char       *comment = g_strdup("comment=" MARK_LOCAL_TEXT), *out = NULL;
    size_t      bytes;
    const char *argv[48] = { "ffmpeg",    "-nostdin",  "-hide_banner",
                             "-v",        "error",     "-y",
                             "-threads",  "1",         "-protocol_whitelist",
                             "file,pipe", "-f",        format_demuxer(format),
                             "-i",        in,          "-map_metadata",
                             "-1",        "-metadata", title,
                             "-metadata", comment,     "-threads",
                             "1",         "-fflags",   "+bitexact",
                             "-fs",       "128M" };
    int         n        = 26;
    bool        ok;

    while (*codec != NULL)
        argv[n++] = *codec++;
    argv[n++] = path;
    argv[n]   = NULL;
    ok        = program_run(argv, NULL, &out, &bytes, 4096, 120, false, EXIT_TRANSIENT, fault);
    g_free(out);
    g_free(in);
    g_free(title);
    g_free(comment);
    return ok ? path : NULL;
}

static const char *finish_film(const char *file, enum format format, struct fault *fault)
{
    static const char *const copy[] = {
        "-c", "copy", "-movflags", "+faststart", "-f", "mp4", NULL
    };

    return convert(file, format, copy, "out/video.mp4", fault);
}

static const char *finish_speech(const struct request *request, const char *file,
                                 enum format format, struct fault *fault)
{
    static const char *const mp3[]  = { "-c:a",      "libmp3lame",     "-b:a", "96k", "-flags:a",
                                        "+bitexact", "-id3v2_version", "3",    "-f",  "mp3",
                                        NULL };
    static const char *const opus[] = { "-c:a",      "libopus", "-b:a", "40k", "-flags:a",
                                        "+bitexact", "-f",      "ogg",  NULL };
    static const char *const wav[]  = { "-c:a", "pcm_s16le", "-f", "wav", NULL };
    struct speech_params     params;

    if (!speech_params(request, &params, fault))
        return NULL;
    if (strcmp(params.format, "wav") == 0)
        return convert(file, format, wav, "out/speech.wav", fault);
    if (strcmp(params.format, "opus") == 0)
        return convert(file, format, opus, "out/speech.opus", fault);
    return convert(file, format, mp3, "out/speech.mp3", fault);
}

static bool copy_bytes(int from, int to)
{
    char    block[65536];
    ssize_t got;

    while ((got = read(from, block, sizeof block)) > 0)
        for (ssize_t done = 0, put; done < got; done += put)
            if ((put = write(to, block + done, (size_t)(got - done))) < 0)
                return false;
    return got == 0;
}

static const char *keep(const char *file, struct fault *fault)
{
    static const char path[] = "out/result";
    int               from = open(file, O_RDONLY | O_CLOEXEC), to = -1;
    bool              ok;

    if (from >= 0)
        to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ok = to >= 0 && copy_bytes(from, to);
    if (!ok)
        fault_set(fault, EXIT_TRANSIENT, "the result cannot be copied: %s", g_strerror(errno));
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return ok ? path : NULL;
}

static const char *encode(const struct request *request, const char *file, const struct probe *work,
                          struct fault *fault)
{
    if (strcmp(work->media_type, "image") == 0)
        return finish_picture(request, file, fault);
    if (strcmp(work->media_type, "video") == 0)
        return finish_film(file, work->format, fault);
    return finish_speech(request, file, work->format, fault);
}

json_t *op_finish(struct request *request, struct fault *fault)
{
    struct probe work, final;
    const char  *file, *path;
    json_t      *findings;
    bool         is_local = sample_is_local(request);

    if (request->file_count == 0) {
        fault_set(fault, EXIT_INVALID, "/media: the stage before handed over no file");
        return NULL;
    }
    file = request->files[request->file_count - 1].file;
    request_progress(request, 0.1f, "checking");
    if (!probe_file(file, NULL, &work, fault))
        return NULL;
    request_progress(request, 0.3f, is_local ? "encoding" : "copying");
    path = is_local ? encode(request, file, &work, fault) : keep(file, fault);
    if (path == NULL)
        return NULL;
    request_progress(request, 0.8f, "checking");
    if (!probe_file(path, NULL, &final, fault)) {
        fault->exit_code = EXIT_TRANSIENT; /* our own file: not the user's fault */
        return NULL;
    }
    findings = probe_json(&final);
    if (is_local) {
        json_object_set_new(findings, "sample", json_string("local"));
        json_object_set_new(findings, "comment", json_string(MARK_LOCAL_TEXT));
    }
    return request_answer(request, "finish", findings, path, "output");
}
