/* stream: ffprobe and ffmpeg on untrusted files; see ffmpeg.h. */
#include "media/files/ffmpeg.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "media/files/canvas.h"
#include "media/files/picture.h"
#include "media/tool/program.h"

/* What ffprobe is to tell. */
static const char entries[] =
    "format=duration,start_time:stream=codec_type,codec_name,width,height:stream_disposition=attached_pic"
    ":stream_side_data=rotation";

enum {
    PROBE_SECONDS    = 20,
    DECODE_SECONDS   = 120,
    SIDE_MOST        = 8192,
    FRAME_BYTES_MOST = 256 << 20,
    HERTZ            = 8000,
    DURATION_MOST_S  = 3600
};

static void take_stream(const json_t *stream, struct ffmpeg_facts *facts)
{
    const char *type  = json_string_value(json_object_get(stream, "codec_type"));
    const char *codec = json_string_value(json_object_get(stream, "codec_name"));
    bool        is_cover =
        json_integer_value(json_object_get(json_object_get(stream, "disposition"), "attached_pic"))
        != 0;
    json_t *side = json_object_get(stream, "side_data_list"), *item;
    size_t  i;

    if (type == NULL || codec == NULL || is_cover)
        return;
    if (strcmp(type, "audio") == 0 && !facts->has_audio) {
        facts->has_audio = true;
        g_strlcpy(facts->audio_codec, codec, sizeof facts->audio_codec);
    }
    if (strcmp(type, "video") != 0 || facts->has_video)
        return;
    facts->has_video = true;
    g_strlcpy(facts->video_codec, codec, sizeof facts->video_codec);
    facts->width  = (int)CLAMP(json_integer_value(json_object_get(stream, "width")), 0, INT32_MAX);
    facts->height = (int)CLAMP(json_integer_value(json_object_get(stream, "height")), 0, INT32_MAX);
    json_array_foreach(side, i, item)
    {
        if (llabs(json_integer_value(json_object_get(item, "rotation"))) % 180 == 90) {
            int width     = facts->width;
            facts->width  = facts->height;
            facts->height = width;
        }
    }
}

/* Of a recording only its sound is opened, since ffmpeg takes what programs write behind it for
 * damage. The usual probesize stands for "no option". */
struct ffmpeg_input ffmpeg_input_of(const char *path, enum format format)
{
    struct ffmpeg_input input   = { NULL, format_demuxer(format), "-probesize", "5000000",
                                    "-xerror" };
    struct sniffed      sniffed = { 0 };
    struct fault        ignored = { 0 };

    if ((format == FORMAT_MP3 || format == FORMAT_WAV) && sniff_file(path, &sniffed, &ignored)) {
        if (sniffed.end < sniffed.bytes)
            input.url = g_strdup_printf("subfile,,start,0,end,%" G_GINT64_FORMAT ",,:file:%s",
                                        sniffed.end, path);
        if (sniffed.is_endless) {
            input.option = "-ignore_length";
            input.value  = "1";
            input.strict = "-nostdin";
        }
    }
    if (input.url == NULL)
        input.url = g_strconcat("file:", path, NULL);
    return input;
}

void ffmpeg_input_free(struct ffmpeg_input *input)
{
    g_free(input->url);
}

static double number_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? g_ascii_strtod(text, NULL) : 0;
}

/* What the file says of itself; its duration goes to *claimed_s (0: it does not say). A recording
 * that was cut out of a live stream begins late, and some containers count from the stream's
 * beginning (RFC 7845, 4.5). */
static bool ask(const struct ffmpeg_input *in, struct ffmpeg_facts *facts, double *claimed_s,
                struct fault *fault)
{
    const char *const argv[] = { "ffprobe", "-hide_banner",  "-v",    "error",           "-of",
                                 "json",    "-show_entries", entries, FFMPEG_INPUT(*in), NULL };
    char             *text   = NULL;
    size_t            length, i;
    json_t           *root, *streams, *stream;

    if (!program_run(argv, NULL, &text, &length, 1 << 20, PROBE_SECONDS, false, EXIT_INVALID,
                     fault))
        return false;
    root = json_loadb(text, length, 0, NULL);
    g_free(text);
    streams = json_object_get(root, "streams");
    json_array_foreach(streams, i, stream) take_stream(stream, facts);
    *claimed_s = number_of(json_object_get(root, "format"), "duration")
                 - fmax(0, number_of(json_object_get(root, "format"), "start_time"));
    json_decref(root);
    if (!facts->has_video && !facts->has_audio)
        return fault_set(fault, EXIT_INVALID, "the file holds neither pictures nor sound");
    if (facts->has_video
        && (facts->width < 1 || facts->height < 1 || facts->width > SIDE_MOST
            || facts->height > SIDE_MOST))
        return fault_set(fault, EXIT_INVALID, "the film's size of %d x %d is not accepted",
                         facts->width, facts->height);
    if (*claimed_s > DURATION_MOST_S)
        return fault_set(fault, EXIT_INVALID, "the file is longer than an hour");
    return true;
}

/* ffmpeg -progress writes out_time_us=… again and again: the last one is how far it came. */
static bool decode_video(const struct ffmpeg_input *in, double *seconds, struct fault *fault)
{
    const char *const argv[] = { "ffmpeg",
                                 "-nostdin",
                                 "-hide_banner",
                                 "-v",
                                 "error",
                                 in->strict,
                                 "-err_detect",
                                 "crccheck",
                                 "-threads",
                                 "1",
                                 FFMPEG_INPUT(*in),
                                 "-map",
                                 "0:v:0",
                                 "-map",
                                 "0:a?",
                                 "-threads",
                                 "1",
                                 "-progress",
                                 "pipe:1",
                                 "-f",
                                 "null",
                                 "-",
                                 NULL };
    char             *text   = NULL, *last;
    size_t            length;

    if (!program_run(argv, NULL, &text, &length, 4 << 20, DECODE_SECONDS, true, EXIT_INVALID,
                     fault))
        return false;
    last     = g_strrstr(text, "out_time_us=");
    *seconds = last != NULL ? (double)g_ascii_strtoll(last + 12, NULL, 10) / 1e6 : 0;
    g_free(text);
    return true;
}

static void take_samples(struct wave *wave, const int16_t *samples, size_t count, int64_t from,
                         double per_column)
{
    for (size_t i = 0; i < count; i++) {
        int   column = (int)fmin((double)(from + (int64_t)i) / per_column, WAVE_COLUMNS - 1);
        float value  = (float)samples[i] / 32768;

        wave->high[column] = fmaxf(wave->high[column], value);
        wave->low[column]  = fminf(wave->low[column], value);
    }
}

/* Every sample passes here once, at 8 kHz mono, in constant memory. */
static bool decode_audio(const struct ffmpeg_input *in, double claimed_s, double *seconds,
                         struct wave *wave, struct fault *fault)
{
    const char *const argv[] = { "ffmpeg",
                                 "-nostdin",
                                 "-hide_banner",
                                 "-v",
                                 "error",
                                 in->strict,
                                 "-err_detect",
                                 "crccheck+explode",
                                 "-threads",
                                 "1",
                                 FFMPEG_INPUT(*in),
                                 "-map",
                                 "0:a:0",
                                 "-threads",
                                 "1",
                                 "-ac",
                                 "1",
                                 "-ar",
                                 "8000",
                                 "-f",
                                 "s16le",
                                 "pipe:1",
                                 NULL };
    struct program    program;
    int16_t           samples[16384];
    size_t            held = 0;
    ssize_t           got;
    int64_t           count      = 0;
    double            per_column = fmax(claimed_s, 0.05) * HERTZ / WAVE_COLUMNS;

    if (!program_start(&program, argv, PROGRAM_OUT, DECODE_SECONDS, fault))
        return false;
    while ((got = read(program.out, (char *)samples + held, sizeof samples - held)) > 0) {
        held += (size_t)got;
        size_t whole = held / sizeof samples[0];

        if (wave != NULL)
            take_samples(wave, samples, whole, count, per_column);
        count += (int64_t)whole;
        if (count > (int64_t)DURATION_MOST_S * HERTZ) {
            program_kill(&program);
            return fault_set(fault, EXIT_INVALID, "the recording is longer than an hour");
        }
        memmove(samples, (char *)samples + whole * sizeof samples[0], held % sizeof samples[0]);
        held %= sizeof samples[0];
    }
    *seconds = (double)count / HERTZ;
    return program_finish(&program, true, EXIT_INVALID, fault);
}

bool ffmpeg_check(const char *path, enum format format, struct ffmpeg_facts *facts,
                  struct wave *wave, struct fault *fault)
{
    struct ffmpeg_input in        = ffmpeg_input_of(path, format);
    double              claimed_s = 0, seconds = 0;
    bool                ok;

    memset(facts, 0, sizeof *facts);
    ok = ask(&in, facts, &claimed_s, fault)
         && (facts->has_video ? decode_video(&in, &seconds, fault)
                              : decode_audio(&in, claimed_s, &seconds, wave, fault));
    ffmpeg_input_free(&in);
    if (!ok)
        return false;
    if (seconds <= 0)
        return fault_set(fault, EXIT_INVALID, "the file holds nothing that plays");
    if (claimed_s > 0 && seconds < claimed_s * 0.97 - 0.5)
        return fault_set(fault, EXIT_INVALID,
                         "the file says %.1f s but holds %.1f s: it is cut off", claimed_s,
                         seconds);
    facts->duration_ms = llround(seconds * 1000);
    return true;
}

VipsImage *ffmpeg_frame(const char *path, enum format format, int64_t at_ms, struct fault *fault)
{
    struct ffmpeg_input in  = ffmpeg_input_of(path, format);
    char               *png = NULL;
    char *at = g_strdup_printf("%lld.%03lld", (long long)(at_ms / 1000), (long long)(at_ms % 1000));
    size_t            length = 0;
    const char *const argv[] = {
        "ffmpeg",   "-nostdin", "-hide_banner",   "-v",     "error", "-threads",  "1",
        "-ss",      at,         FFMPEG_INPUT(in), "-map",   "0:v:0", "-frames:v", "1",
        "-threads", "1",        "-c:v",           "png",    "-pred", "none",      "-pix_fmt",
        "rgb24",    "-f",       "image2pipe",     "pipe:1", NULL
    };
    VipsImage *lazy = NULL, *frame = NULL;

    if (program_run(argv, NULL, &png, &length, FRAME_BYTES_MOST, PROBE_SECONDS, false, EXIT_INVALID,
                    fault)) {
        if (length == 0 && at_ms > 0) /* its last picture stands for longer than that */
            frame = ffmpeg_frame(path, format, 0, fault);
        else if (vips_pngload_buffer(png, length, &lazy, NULL) == 0)
            frame = vips_image_copy_memory(lazy);
        if (frame == NULL && fault->exit_code == 0)
            fault_vips(fault, EXIT_INVALID, "no picture could be taken from the film");
    }
    if (lazy != NULL)
        g_object_unref(lazy);
    g_free(png);
    g_free(at);
    ffmpeg_input_free(&in);
    return frame;
}

VipsImage *wave_picture(const struct wave *wave)
{
    enum { HEIGHT = 192 };
    struct canvas *canvas = canvas_new(WAVE_COLUMNS, HEIGHT);
    uint8_t       *pixels = g_malloc((gsize)WAVE_COLUMNS * HEIGHT * 3);
    struct ramp    ramp   = { 3, { rgb_hex(0xf6b26b), rgb_hex(0xe8577e), rgb_hex(0x6f4fd0) } };
    struct rgb     ground = rgb_hex(0x14142b);
    float          most   = 0.05f;
    VipsImage     *image;

    for (int x = 0; x < WAVE_COLUMNS; x++)
        most = fmaxf(most, fmaxf(wave->high[x], -wave->low[x]));
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WAVE_COLUMNS; x++)
            canvas_blend(canvas, x, y, rgb_scale(ground, 1 + 0.6f * (float)y / HEIGHT), 1);
    canvas_rect(canvas, 0, HEIGHT / 2.0f - 0.5f, WAVE_COLUMNS, HEIGHT / 2.0f + 0.5f,
                rgb_hex(0x6f6f9a), 0.5f);
    for (int x = 1; x + 2 < WAVE_COLUMNS; x += 4) { /* bars of three columns and a gap */
        float high = 0, low = 0, room = HEIGHT * 0.42f / most;
        for (int k = 0; k < 4 && x + k < WAVE_COLUMNS; k++) {
            high = fmaxf(high, wave->high[x + k]);
            low  = fminf(low, wave->low[x + k]);
        }
        canvas_round_rect(canvas, (float)x, HEIGHT / 2.0f - high * room - 1.5f, (float)x + 3,
                          HEIGHT / 2.0f - low * room + 1.5f, 1.5f, 0,
                          ramp_at(&ramp, (float)x / WAVE_COLUMNS), 1);
    }
    canvas_to_bytes(canvas, pixels, 3, WAVE_COLUMNS * 3, 1);
    image = picture_of(pixels, WAVE_COLUMNS, HEIGHT, 3);
    g_free(pixels);
    canvas_free(canvas);
    return image;
}
