/*
 * film: the op that makes a short film: a slow pan over each picture with cross-fades, encoded by
 * ffmpeg.
 *
 * With only a prompt the pictures are drawn: the same land at following hours of the day, so that a
 * cross-fade is a day going by; places without a day give three different scenes. Frames are
 * sampled here, in floating point, because ffmpeg's zoompan moves by whole pixels and shakes.
 */
#include <math.h>
#include <string.h>

#include "media/sample/caption.h"
#include "media/sample/sample.h"
#include "media/tool/program.h"
#include "media/sample/scene.h"

enum { SHOTS_MOST = 8 };

static const double ROOM =
    1.15; /* how much larger a picture is than the frame that moves over it */

struct shot {
    uint8_t *pixels; /* RGB */
    int      width, height;
    double   from_x, from_y, from_zoom, to_x, to_y,
        to_zoom; /* where the frame's middle is, 0 .. 1; 1 = whole picture */
};

struct film {
    struct film_params params;
    struct shot        shots[SHOTS_MOST];
    int                count;
    uint8_t *caption, *veil; /* the strip's rows: its colour and how much of it, per pixel */
    int      strip_top;
};

static void film_free(struct film *film)
{
    for (int i = 0; i < film->count; i++)
        g_free(film->shots[i].pixels);
    g_free(film->caption);
    g_free(film->veil);
}

static void move_shot(struct shot *shot, struct prng *prng)
{
    double angle = prng_range(prng, 0, 6.2832f), reach = 0.09;
    bool   is_closing = prng_below(prng, 2) == 0;

    shot->from_x    = 0.5 - reach * cos(angle);
    shot->to_x      = 0.5 + reach * cos(angle);
    shot->from_y    = 0.5 - reach * 0.5 * sin(angle);
    shot->to_y      = 0.5 + reach * 0.5 * sin(angle);
    shot->from_zoom = is_closing ? 0.99 : 0.86;
    shot->to_zoom   = is_closing ? 0.86 : 0.99;
}

static bool shots_of_pictures(struct film *film, const struct request *request, struct fault *fault)
{
    struct pictures pictures;
    struct prng     prng = prng_of(sample_key(request), "shots");
    int             wanted;
    bool            ok = true;

    if (!pictures_load(&pictures, request, fault))
        return false;
    wanted = CLAMP(pictures.count, 2, SHOTS_MOST); /* one picture is shown in two movements */
    for (int i = 0; i < wanted && ok; i++) {
        struct shot *shot = &film->shots[i];
        VipsImage   *image;
        size_t       bytes;

        shot->width  = (int)(film->params.width * ROOM);
        shot->height = (int)(film->params.height * ROOM);
        image = picture_cover(pictures.image[i % pictures.count], shot->width, shot->height, fault);
        ok    = image != NULL;
        if (ok) {
            shot->pixels = vips_image_write_to_memory(image, &bytes);
            g_object_unref(image);
            ok = shot->pixels != NULL;
            film->count++;
            move_shot(shot, &prng);
        }
        request_progress(request, 0.05f + 0.2f * (float)(i + 1) / (float)wanted, "preparing");
    }
    pictures_free(&pictures);
    return ok || fault_vips(fault, EXIT_TRANSIENT, "a picture cannot be read");
}

static void shots_of_scenes(struct film *film, struct request *request)
{
    static const enum hour days[HOURS][3] = {
        [HOUR_NONE]   = { HOUR_DAWN, HOUR_SUNSET, HOUR_NIGHT },
        [HOUR_DAWN]   = { HOUR_NIGHT, HOUR_DAWN, HOUR_DAY },
        [HOUR_DAY]    = { HOUR_DAWN, HOUR_DAY, HOUR_SUNSET },
        [HOUR_SUNSET] = { HOUR_DAY, HOUR_SUNSET, HOUR_NIGHT },
        [HOUR_NIGHT]  = { HOUR_SUNSET, HOUR_NIGHT, HOUR_NIGHT },
    };
    uint64_t       key   = sample_key(request);
    struct subject asked = subject_read(request->prompt), decided;
    struct prng    prng  = prng_of(key, "shots");
    const json_t  *motif = json_object_get(request->params, "motif");

    if (json_is_string(motif) && subject_place(json_string_value(motif)) != PLACE_NONE)
        asked.place = subject_place(json_string_value(motif));
    decided = scene_decide(asked, key);
    for (int i = 0; i < 3; i++) {
        struct shot   *shot = &film->shots[film->count++];
        struct canvas *canvas;
        bool           has_hours = decided.place != PLACE_FLOW && decided.place != PLACE_SPACE;
        struct subject subject   = decided;
        uint64_t       scene_key = key;

        if (has_hours && !(asked.hour == HOUR_NIGHT && i == 2))
            subject.hour = days[asked.hour][i];
        else
            scene_key = prng_hash(key, i == 0 ? "" : i == 1 ? "second" : "third");
        shot->width            = (int)(film->params.width * ROOM);
        shot->height           = (int)(film->params.height * ROOM);
        canvas                 = canvas_new(shot->width, shot->height);
        request->progress_from = 0.02f + 0.12f * (float)i;
        request->progress_to   = request->progress_from + 0.12f;
        scene_paint(canvas, subject, scene_key, sample_progress, request);
        shot->pixels = g_malloc((gsize)shot->width * (gsize)shot->height * 3);
        canvas_to_bytes(canvas, shot->pixels, 3, shot->width * 3, 1);
        canvas_free(canvas);
        move_shot(shot, &prng);
        if (has_hours && i > 0) { /* one land: the camera goes on as it went */
            const struct shot *last = &film->shots[i - 1];
            shot->from_x            = last->to_x;
            shot->from_y            = last->to_y;
            shot->from_zoom         = last->to_zoom;
            shot->to_x              = last->from_x;
            shot->to_y              = 1 - last->from_y;
            shot->to_zoom           = last->from_zoom;
        }
    }
}

/* The strip is painted once on black and once on white: their difference is how much shows
 * through. */
static void prepare_caption(struct film *film, const char *prompt)
{
    int            w = film->params.width, h = film->params.height, rows = MIN(h, h / 8);
    struct canvas *black = canvas_new(w, h), *white = canvas_new(w, h);
    uint8_t       *on_white = g_malloc((gsize)w * (gsize)h * 3),
            *on_black       = g_malloc((gsize)w * (gsize)h * 3);
    size_t from = (size_t)w * (size_t)(h - rows) * 3, count = (size_t)w * (size_t)rows * 3;

    for (long i = 0; i < (long)w * h; i++)
        white->px[i] = (struct rgb) { 1, 1, 1 };
    caption_strip(black, prompt);
    caption_strip(white, prompt);
    canvas_to_bytes(black, on_black, 3, w * 3, 0);
    canvas_to_bytes(white, on_white, 3, w * 3, 0);
    film->strip_top = h - rows;
    film->caption   = g_memdup2(on_black + from, count);
    film->veil      = g_malloc(count);
    for (size_t i = 0; i < count; i++)
        film->veil[i] = (uint8_t)(on_white[from + i] - on_black[from + i]);
    g_free(on_black);
    g_free(on_white);
    canvas_free(black);
    canvas_free(white);
}

/* Adds share/256 of a shot at moment t (0 .. 1 of its time) to the frame. */
static void sample(const struct film *film, const struct shot *shot, double t, unsigned share,
                   uint8_t *frame, bool is_first)
{
    int    w = film->params.width, h = film->params.height;
    double ease   = t * t * (3 - 2 * t) * 0.5 + t * 0.5;
    double zoom   = shot->from_zoom + (shot->to_zoom - shot->from_zoom) * ease;
    double span_x = (shot->width - 2) * zoom, span_y = (shot->height - 2) * zoom;
    double left =
        (shot->width - 2 - span_x)
        * CLAMP(0.5 + ((shot->from_x + (shot->to_x - shot->from_x) * ease) - 0.5) * 5, 0, 1);
    double top =
        (shot->height - 2 - span_y)
        * CLAMP(0.5 + ((shot->from_y + (shot->to_y - shot->from_y) * ease) - 0.5) * 5, 0, 1);
    int step_x = (int)(span_x / w * 65536), start_x = (int)(left * 65536), stride = shot->width * 3;

    for (int y = 0; y < h; y++) {
        double         at_y = top + span_y * y / h;
        unsigned       fy   = (unsigned)((at_y - floor(at_y)) * 256);
        const uint8_t *row  = shot->pixels + (long)at_y * stride;
        uint8_t       *out  = frame + (long)y * w * 3;

        for (int x = 0; x < w; x++, out += 3) {
            int            at_x = start_x + x * step_x;
            unsigned       fx   = (unsigned)(at_x >> 8 & 255);
            const uint8_t *p = row + (long)(at_x >> 16) * 3, *q = p + stride;

            for (int c = 0; c < 3; c++) {
                unsigned upper = p[c] * (256 - fx) + p[c + 3] * fx,
                         lower = q[c] * (256 - fx) + q[c + 3] * fx;
                unsigned value = (upper * (256 - fy) + lower * fy + 32768) >> 16;

                out[c] = (uint8_t)(is_first ? value
                                            : (out[c] * (256 - share) + value * share + 128) >> 8);
            }
        }
    }
}

static void lay_caption(const struct film *film, uint8_t *frame)
{
    uint8_t *out = frame + (long)film->strip_top * film->params.width * 3;
    size_t count = (size_t)film->params.width * (size_t)(film->params.height - film->strip_top) * 3;

    for (size_t i = 0; i < count; i++)
        out[i] = (uint8_t)(film->caption[i] + (out[i] * film->veil[i] + 127) / 255);
}

static void frame_at(const struct film *film, double moment, uint8_t *frame)
{
    double slot = film->params.duration_s / film->count, fade = fmin(1.0, slot * 0.5);
    int    i      = MIN((int)(moment / slot), film->count - 1);
    double within = moment - i * slot;

    /* A shot lives from half a fade before its slot to half a fade after it. */
    sample(film, &film->shots[i], (within + fade / 2) / (slot + fade), 256, frame, true);
    if (within > slot - fade / 2 && i + 1 < film->count) {
        double k = (within - (slot - fade / 2)) / fade;
        sample(film, &film->shots[i + 1], (within - slot + fade / 2) / (slot + fade),
               (unsigned)(k * 256), frame, false);
    } else if (within < fade / 2 && i > 0) {
        double k = 0.5 - within / fade;
        sample(film, &film->shots[i - 1], (slot + within + fade / 2) / (slot + fade),
               (unsigned)(k * 256), frame, false);
    }
    if (film->caption != NULL)
        lay_caption(film, frame);
}

static bool encode(const struct film *film, const struct request *request, const char *path,
                   struct fault *fault)
{
    char             *size   = g_strdup_printf("%dx%d", film->params.width, film->params.height);
    char             *rate   = g_strdup_printf("%d", film->params.fps);
    const char *const argv[] = { "ffmpeg",
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
                                 "rawvideo",
                                 "-pix_fmt",
                                 "rgb24",
                                 "-s",
                                 size,
                                 "-r",
                                 rate,
                                 "-i",
                                 "pipe:0",
                                 "-vf",
                                 "scale=out_color_matrix=bt709:out_range=tv",
                                 "-c:v",
                                 "libx264",
                                 "-preset",
                                 "superfast",
                                 "-crf",
                                 "20",
                                 "-pix_fmt",
                                 "yuv420p",
                                 "-colorspace",
                                 "bt709",
                                 "-color_primaries",
                                 "bt709",
                                 "-color_trc",
                                 "bt709",
                                 "-color_range",
                                 "tv",
                                 "-threads",
                                 "1",
                                 "-filter_threads",
                                 "1",
                                 "-map_metadata",
                                 "-1",
                                 "-fflags",
                                 "+bitexact",
                                 "-flags:v",
                                 "+bitexact",
                                 "-movflags",
                                 "+faststart",
                                 "-fs",
                                 "128M",
                                 "-f",
                                 "mp4",
                                 path,
                                 NULL };
    size_t            frame_bytes = (size_t)film->params.width * (size_t)film->params.height * 3;
    uint8_t          *frame       = g_malloc(frame_bytes);
    int               frames      = (int)lround(film->params.duration_s * film->params.fps);
    struct program    program;
    bool              ok = program_start(&program, argv, PROGRAM_IN, 180, fault);

    if (ok) {
        for (int i = 0; i < frames; i++) {
            frame_at(film, (double)i / film->params.fps, frame);
            if (!program_write(&program, frame, frame_bytes))
                break; /* its own words say why, below */
            if (i % 12 == 0)
                request_progress(request, 0.4f + 0.58f * (float)i / (float)frames, "filming");
        }
        ok = program_finish(&program, false, EXIT_TRANSIENT, fault);
    }
    g_free(frame);
    g_free(size);
    g_free(rate);
    return ok;
}

json_t *op_film(struct request *request, struct fault *fault)
{
    struct film film   = { 0 };
    json_t     *answer = NULL;
    bool        ok     = film_params(request, &film.params, fault);

    if (ok && request->file_count > 0)
        ok = shots_of_pictures(&film, request, fault);
    else if (ok)
        shots_of_scenes(&film, request);
    if (ok && film.params.has_caption && request->prompt[0] != '\0')
        prepare_caption(&film, request->prompt);
    if (ok && encode(&film, request, "out/film.mp4", fault))
        answer =
            request_answer(request, "film",
                           json_pack("{s:i, s:i, s:i, s:f, s:i, s:b}", "width", film.params.width,
                                     "height", film.params.height, "fps", film.params.fps,
                                     "duration_s", film.params.duration_s, "shots", film.count,
                                     "of_pictures", request->file_count > 0),
                           "out/film.mp4", "work");
    film_free(&film);
    return answer;
}
