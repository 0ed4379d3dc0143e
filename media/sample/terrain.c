/* terrain: mountains, water, woods, towns, dunes and meadows, far to near; see scene.h. */
#include "media/sample/scene.h"

#include <math.h>

#include <glib.h>

/* The outline of one layer of land: a height for each column. */
static float *outline(const struct scene *scene, uint32_t seed, float base, float amplitude,
                      float frequency, float ridged, int octaves)
{
    float *top = g_new0(float, (gsize)scene->canvas->width + 1);

    for (int x = 0; x <= scene->canvas->width; x++) {
        float u = (float)x / scene->unit * frequency, n = noise_fbm(seed, u, 0.5f, octaves);

        if (ridged > 0) { /* folded noise has the sharp crests of rock */
            float fold = 0, weight = 0.5f, at = u;
            for (int i = 0; i < octaves; i++) {
                float m = 1 - fabsf(noise_at(seed + 50 + (uint32_t)i, at, 9.3f)) * 1.6f;
                fold += weight * m;
                at = at * 2.1f + 3.3f;
                weight *= 0.48f;
            }
            n += (fold - n) * ridged;
        }
        top[x] = base - amplitude * n * scene->unit;
    }
    return top;
}

/* Mirrors what is above from_y into the water below it, broken by ripples that grow towards the
 * eye. */
void terrain_reflect(struct scene *scene, float from_y, float ripple, struct rgb tint,
                     float tint_share)
{
    struct canvas *canvas = scene->canvas;
    uint32_t       seed   = (uint32_t)prng_hash(scene->key, "ripples");
    float          unit = scene->unit, depth = (float)canvas->height - from_y;
    int            first = MAX(1, (int)from_y);

    for (int y = first; y < canvas->height; y++) {
        float far   = ((float)y - from_y) / depth; /* 0 at the shore, 1 at our feet */
        float scale = 0.02f + 0.16f * far;

        for (int x = 0; x < canvas->width; x++) {
            float u    = ((float)x - (float)canvas->width / 2) / unit;
            float wave = noise_fbm(seed, u * 0.9f / scale, far * 2.2f / (scale + 0.05f) * 3.0f, 3);
            float sway = ripple * wave * unit * (0.004f + 0.03f * far);
            float lift = ripple * wave * unit * (0.01f + 0.10f * far);
            int   sx   = CLAMP((int)((float)x + sway), 0, canvas->width - 1);
            int   sy =
                CLAMP((int)(2 * from_y - (float)y * 0.92f - from_y * 0.08f + lift), 0, first - 1);
            struct rgb image = canvas->px[(long)sy * canvas->width + sx];
            float      share = clamp01(tint_share + 0.30f * far - 0.25f * wave);

            canvas->px[(long)y * canvas->width + x] = rgb_mix(image, tint, share);
        }
    }
}

/* The path of light that a low sun or the moon lays on water. */
static void glitter(struct scene *scene, float from_y)
{
    struct prng prng = prng_of(scene->key, "glitter");
    float       h = (float)scene->canvas->height, unit = scene->unit;
    float       strength = scene->subject.hour == HOUR_DAY ? 0.45f : 0.85f;
    struct rgb  light    = scene->subject.hour == HOUR_NIGHT
                               ? rgb_hex(0xdfe9ff)
                               : rgb_mix(scene->sun, scene->sky.stop[3], 0.25f);

    for (int i = 0; i < 900; i++) {
        float        t = prng_unit(&prng), spread = (prng_unit(&prng) + prng_unit(&prng) - 1);
        float        y      = from_y + (h - from_y) * t * t;
        float        far    = (y - from_y) / (h - from_y);
        float        x      = scene->sun_at.x + spread * unit * (0.05f + 0.22f * far);
        float        length = unit * (0.004f + 0.030f * far) * prng_range(&prng, 0.4f, 1.2f);
        float        thick  = unit * (0.0010f + 0.0034f * far);
        struct point a = { x - length, y }, b = { x + length, y };

        canvas_line(scene->canvas, a, b, thick * 0.6f, thick, light,
                    strength * (1 - fabsf(spread)) * prng_range(&prng, 0.15f, 0.75f)
                        * (1 - 0.35f * far));
    }
}

/* The relief of rock: folded noise, whose creases are the gullies. */
static float crags(uint32_t seed, float x, float y)
{
    float sum = 0, weight = 0.5f, bend = noise_at(seed + 9, x * 0.7f, y * 0.7f) * 0.5f;

    x += bend;
    y += bend;
    for (uint32_t i = 0; i < 5; i++) {
        sum += weight * (1 - 1.5f * fabsf(noise_at(seed + i, x, y)));
        x = x * 2.07f + 5.1f;
        y = y * 2.07f + 1.7f;
        weight *= 0.52f;
    }
    return sum;
}

/* One range of mountains: facets lit from the sun's side, snow above a line, mist at its foot. */
static void mountain_range(struct scene *scene, uint32_t seed, const float *top, float foot,
                           float nearness, bool has_snow)
{
    struct canvas *canvas = scene->canvas;
    float          unit = scene->unit, to_sun = scene->sun_at.x > (float)canvas->width / 2 ? 1 : -1;
    struct rgb     rock = rgb_blend(scene->haze, scene->dark, 0.25f + 0.75f * nearness);
    struct rgb     lit =
        rgb_mix(rock, rgb_mix(scene->sky.stop[3], scene->sun, 0.3f), 0.42f - 0.10f * nearness);
    struct rgb snow_lit =
        rgb_mix(scene->haze, rgb_hex(0xffffff), scene->subject.hour == HOUR_NIGHT ? 0.15f : 0.75f);
    struct rgb snow_shade = rgb_blend(scene->sky.stop[1], snow_lit, 0.35f);
    float      peak       = foot;

    for (int x = 0; x < canvas->width; x++)
        peak = fminf(peak, top[x]);
    for (int x = 0; x < canvas->width; x++)
        for (int y = MAX(0, (int)top[x] - 1); y < canvas->height; y++) {
            float below = ((float)y - top[x]) / unit, u = (float)x / unit, v = (float)y / unit;
            float rough  = noise_fbm(seed + 11, u * 9, v * 9, 3);
            float bulk   = crags(seed + 17, u * 3.4f, below * 2.6f);
            float behind = crags(seed + 17, (u + 0.016f * to_sun) * 3.4f, (below - 0.007f) * 2.6f);
            float facing = smooth(-0.075f, 0.085f, bulk - behind + 0.012f * rough);
            struct rgb c = rgb_mix(rock, lit, facing);

            if (has_snow) {
                float line = 0.42f + 0.30f * rough + 0.18f * noise_at(seed + 19, u * 6, v * 2);
                float high = (foot - (float)y) / fmaxf(foot - peak, 1);
                c          = rgb_mix(c, rgb_mix(snow_shade, snow_lit, facing),
                                     smooth(line - 0.03f, line + 0.08f, high));
            }
            float mist = smooth(0.25f, 1.05f, ((float)y - peak) / fmaxf(foot - peak, 1))
                         * (0.85f - 0.55f * nearness);
            c = rgb_mix(c, scene->haze, mist);
            canvas_blend(canvas, x, y, c, clamp01((float)y + 1 - top[x]));
        }
}

/* A fir: drooping boughs row by row. */
static void fir(struct canvas *canvas, float x, float foot, float height, struct rgb colour,
                struct prng *prng)
{
    float boughs = prng_range(prng, 6, 10), lean = prng_range(prng, -0.03f, 0.03f),
          width = prng_range(prng, 0.17f, 0.24f);

    canvas_rect(canvas, x - height * 0.014f, foot - height * 0.2f, x + height * 0.014f, foot,
                colour, 1);
    for (int y = MAX(0, (int)(foot - height));
         y < (int)fminf(foot - height * 0.06f, (float)canvas->height); y++) {
        float t    = clamp01(((float)y - (foot - height)) / height); /* 0 tip, 1 foot */
        float step = t * boughs - floorf(t * boughs);
        float half = height * width * powf(t, 0.85f) * (0.62f + 0.42f * step);
        float cx   = x + lean * height * (1 - t);

        canvas_rect(canvas, cx - half, (float)y, cx + half, (float)y + 1, colour, 1);
    }
}

static void firs(struct scene *scene, const char *label, const float *top, float height,
                 float spacing, struct rgb colour)
{
    struct prng prng = prng_of(scene->key, label);
    int         w    = scene->canvas->width;

    for (float x = -height * 0.2f; x < (float)w + height * 0.2f;
         x += height * spacing * prng_range(&prng, 0.4f, 1.4f)) {
        float tall = height * prng_range(&prng, 0.55f, 1.15f);
        fir(scene->canvas, x, top[CLAMP((int)x, 0, w)] + height * 0.05f, tall, colour, &prng);
    }
}

/* Fills from an outline down, fading from one colour to another. */
static void fill_below(struct scene *scene, const float *top, struct rgb crest, struct rgb foot,
                       float reach)
{
    struct canvas *canvas = scene->canvas;

    for (int x = 0; x < canvas->width; x++)
        for (int y = MAX(0, (int)top[x] - 1); y < canvas->height; y++)
            canvas_blend(canvas, x, y, rgb_mix(crest, foot, clamp01(((float)y - top[x]) / reach)),
                         clamp01((float)y + 1 - top[x]));
}

static void mountains(struct scene *scene)
{
    struct prng prng = prng_of(scene->key, "mountains");
    float       h = (float)scene->canvas->height, unit = scene->unit, horizon = scene->horizon;
    bool        has_lake = scene->subject.has_lake || prng_below(&prng, 2) == 0;
    float       shore    = horizon + (h - horizon) * 0.30f;
    bool        has_snow = scene->subject.weather == WEATHER_SNOW || prng_below(&prng, 4) != 0;

    for (int i = 0; i < 4; i++) {
        float    t    = (float)i / 3;
        uint32_t seed = (uint32_t)prng_next(&prng);
        float   *top  = outline(scene, seed, horizon + unit * (0.0f + 0.14f * t), 0.62f - 0.36f * t,
                                1.25f + 0.5f * t, 0.80f - 0.5f * t, 7);

        mountain_range(scene, seed, top, horizon + unit * 0.12f, 0.14f + 0.62f * t,
                       has_snow && i < 2);
        g_free(top);
    }
    struct rgb woods =
        rgb_blend(scene->dark, rgb_hex(0x12301f), scene->subject.hour == HOUR_DAY ? 0.6f : 0.25f);
    uint32_t seed = (uint32_t)prng_next(&prng);
    float   *bank =
        outline(scene, seed, has_lake ? shore : horizon + (h - horizon) * 0.42f, 0.05f, 1.4f, 0, 4);
    struct rgb far_woods = rgb_mix(woods, scene->haze, 0.35f);

    fill_below(scene, bank, far_woods, far_woods, unit);
    firs(scene, "bank", bank, unit * 0.055f, 0.22f, far_woods);
    g_free(bank);
    if (has_lake) {
        terrain_reflect(scene, shore + unit * 0.03f, 0.55f,
                        rgb_blend(scene->sky.stop[1], scene->dark, 0.35f), 0.10f);
        if (scene->subject.hour != HOUR_DAY)
            glitter(scene, shore + unit * 0.03f);
    }
    float *front = outline(scene, (uint32_t)prng_next(&prng), h - unit * 0.02f, 0.16f, 0.9f, 0, 4);
    fill_below(scene, front, woods, rgb_scale(woods, 0.6f), unit * 0.2f);
    firs(scene, "front", front, unit * 0.17f, 0.20f, rgb_scale(woods, 0.75f));
    g_free(front);
}

static void boat(struct scene *scene, float x, float y, float size)
{
    struct canvas *canvas      = scene->canvas;
    struct rgb     hull        = scene->dark;
    struct rgb     sail        = scene->subject.hour == HOUR_NIGHT
                                     ? rgb_hex(0xa9b8d0)
                                     : rgb_mix(rgb_hex(0xfff6e6), scene->haze, 0.25f);
    struct point   body[]      = { { x - size * .5f, y - size * .10f },
                                   { x + size * .55f, y - size * .12f },
                                   { x + size * .38f, y + size * .06f },
                                   { x - size * .36f, y + size * .06f } };
    struct point   main_sail[] = { { x + size * .03f, y - size * 1.15f },
                                   { x + size * .46f, y - size * .2f },
                                   { x + size * .03f, y - size * .18f } };
    struct point   jib[]       = { { x - size * .03f, y - size * 1.0f },
                                   { x - size * .44f, y - size * .18f },
                                   { x - size * .03f, y - size * .2f } };

    for (int i = 0; i < 12; i++) { /* its broken image in the water */
        float        v = (float)i / 12, half = size * (0.34f - 0.26f * v) * (i % 2 ? 0.8f : 1.0f);
        struct point a = { x - half, y + size * (0.12f + 0.8f * v) },
                     b = { x + half, y + size * (0.12f + 0.8f * v) };
        canvas_line(canvas, a, b, size * 0.03f, size * 0.03f, i < 3 ? hull : sail, 0.40f * (1 - v));
    }
    canvas_poly(canvas, body, 4, hull, 1);
    canvas_poly(canvas, main_sail, 3, sail, 1);
    canvas_poly(canvas, jib, 3, rgb_mix(sail, scene->haze, 0.35f), 1);
    canvas_rect(canvas, x - size * .015f, y - size * 1.2f, x + size * .015f, y - size * .1f, hull,
                1);
}

static void lighthouse(struct scene *scene, float x, float foot, float size)
{
    struct canvas *canvas = scene->canvas;
    bool       is_dark    = scene->subject.hour == HOUR_NIGHT || scene->subject.hour == HOUR_SUNSET;
    struct rgb white      = rgb_blend(rgb_hex(0xf4efe6), scene->dark, is_dark ? 0.45f : 0.05f);
    struct rgb red        = rgb_blend(rgb_hex(0xb93a32), scene->dark, is_dark ? 0.35f : 0.0f);
    float      top = foot - size, lamp = top - size * 0.07f;
    struct rgb glow = rgb_hex(0xffe3a0);

    if (is_dark)
        for (int side = -1; side <= 1; side += 2)
            for (int i = 0; i < 14; i++) { /* thin wedges add up to a soft beam */
                float        s = (float)side, open = 0.004f + 0.012f * (float)i;
                struct point wedge[] = {
                    { x, lamp },
                    { x + s * scene->unit * 2.2f, lamp - scene->unit * (0.10f + open * 1.1f) },
                    { x + s * scene->unit * 2.2f, lamp - scene->unit * (0.10f - open * 1.1f) }
                };
                canvas_poly(canvas, wedge, 3, glow, 0.022f);
            }
    for (int band = 0; band < 5; band++) {
        float        v0 = (float)band / 5, v1 = (float)(band + 1) / 5;
        float        w0 = size * (0.085f + 0.05f * v0), w1 = size * (0.085f + 0.05f * v1);
        struct point strip[] = { { x - w0, top + size * v0 },
                                 { x + w0, top + size * v0 },
                                 { x + w1, top + size * v1 },
                                 { x - w1, top + size * v1 } };
        canvas_poly(canvas, strip, 4, band % 2 ? red : white, 1);
        struct point shade[] = { { x, top + size * v0 },
                                 { x + w0, top + size * v0 },
                                 { x + w1, top + size * v1 },
                                 { x, top + size * v1 } };
        canvas_poly(canvas, shade, 4, scene->dark, 0.28f);
    }
    struct point roof[] = { { x - size * 0.09f, top - size * 0.13f },
                            { x, top - size * 0.23f },
                            { x + size * 0.09f, top - size * 0.13f } };
    canvas_rect(canvas, x - size * 0.115f, top - size * 0.015f, x + size * 0.115f,
                top + size * 0.015f, scene->dark, 1);
    canvas_rect(canvas, x - size * 0.06f, top - size * 0.13f, x + size * 0.06f, top - size * 0.015f,
                glow, 1);
    canvas_rect(canvas, x - size * 0.006f, top - size * 0.13f, x + size * 0.006f,
                top - size * 0.015f, scene->dark, 1);
    canvas_poly(canvas, roof, 3, red, 1);
    if (is_dark) {
        float strength = scene->subject.hour == HOUR_NIGHT ? 1.0f : 0.55f;
        canvas_glow(canvas, x, lamp, size * 0.8f, glow, 0.8f * strength);
        canvas_glow(canvas, x, lamp, size * 0.22f, glow, 0.9f * strength);
    }
}

static void sea(struct scene *scene)
{
    struct prng prng = prng_of(scene->key, "sea");
    float unit = scene->unit, w = (float)scene->canvas->width, h = (float)scene->canvas->height;
    float side      = scene->sun_at.x > w / 2 ? -1 : 1; /* things stand away from the sun */
    struct rgb deep = scene->subject.hour == HOUR_DAY
                          ? rgb_turn(rgb_hex(0x10587c), prng_range(&prng, -25, 15), 1, 0)
                          : rgb_blend(scene->sky.stop[0], scene->sky.stop[1], 0.35f);

    for (int i = 0; i < 2; i++) { /* far coasts */
        float     *top = outline(scene, (uint32_t)prng_next(&prng), scene->horizon + unit * 0.02f,
                                 0.10f, 1.2f + (float)i, 0.3f, 5);
        struct rgb c   = rgb_blend(scene->haze, scene->dark, 0.22f + 0.2f * (float)i);
        for (int x = 0; x <= scene->canvas->width; x++) {
            float away =
                ((float)x - w / 2) / w * side * 2; /* low on the sun's side, gone at its edge */
            top[x] += unit * (0.10f - 0.13f * away);
            top[x] = fminf(top[x], scene->horizon + 2);
            for (int y = MAX(0, (int)top[x] - 1);
                 x < scene->canvas->width && y < (int)scene->horizon + 1; y++)
                canvas_blend(scene->canvas, x, y, c, clamp01((float)y + 1 - top[x]));
        }
        g_free(top);
    }
    terrain_reflect(scene, scene->horizon, 1, deep, 0.26f);
    glitter(scene, scene->horizon);
    if (scene->subject.has_lighthouse) {
        float      x     = w / 2 + side * w * prng_range(&prng, 0.22f, 0.30f);
        uint32_t   seed  = (uint32_t)prng_next(&prng);
        float     *rock  = outline(scene, seed, h * 0.99f, 0.05f, 5, 0.7f, 5);
        struct rgb stone = rgb_blend(scene->dark, scene->haze, 0.10f);

        for (int i = 0; i <= scene->canvas->width; i++) {
            float away = fabsf((float)i - x) / (unit * 0.52f);
            rock[i] += unit * (-0.22f + 0.42f * powf(away, 1.7f));
        }
        float foot = rock[CLAMP((int)x, 0, scene->canvas->width)] + unit * 0.03f;
        lighthouse(scene, x, foot, unit * 0.40f);
        fill_below(scene, rock, stone, rgb_scale(scene->dark, 0.6f), unit * 0.25f);
        g_free(rock);
    }
    if (scene->subject.has_boat || (!scene->subject.has_lighthouse && prng_below(&prng, 3) > 0)) {
        float x = w / 2 + side * w * prng_range(&prng, -0.05f, 0.22f),
              y = scene->horizon + (h - scene->horizon) * prng_range(&prng, 0.16f, 0.34f);
        boat(scene, x, y, unit * prng_range(&prng, 0.085f, 0.13f));
        if (prng_below(&prng, 2) == 0)
            boat(scene, x + side * unit * 0.22f, scene->horizon + unit * 0.035f, unit * 0.045f);
    }
}

static void forest(struct scene *scene)
{
    struct prng prng = prng_of(scene->key, "forest");
    float       unit = scene->unit, h = (float)scene->canvas->height;
    struct rgb  leaf = scene->subject.hour == HOUR_DAY || scene->subject.hour == HOUR_DAWN
                           ? rgb_hex(0x0f3a28)
                           : rgb_blend(scene->dark, rgb_hex(0x0a2a22), 0.4f);
    float *hills = outline(scene, (uint32_t)prng_next(&prng), scene->horizon - unit * 0.10f, 0.22f,
                           1.0f, 0.5f, 5);

    if (scene->subject.has_hue)
        leaf = rgb_towards_hue(leaf, scene->subject.hue_deg, 0.5f);
    fill_below(scene, hills, rgb_blend(scene->haze, scene->dark, 0.22f), scene->haze, unit * 0.3f);
    g_free(hills);
    for (int i = 0; i < 6; i++) {
        static const char *const labels[] = {
            "firs0", "firs1", "firs2", "firs3", "firs4", "firs5"
        };
        float      t = (float)i / 5, high = 0.055f + 0.30f * powf(t, 1.6f);
        struct rgb colour = rgb_blend(scene->haze, leaf, 0.28f + 0.72f * powf(t, 0.8f));
        float     *top    = outline(scene, (uint32_t)prng_next(&prng),
                                    scene->horizon + (h * 1.03f - scene->horizon) * powf(t, 1.3f),
                                    0.16f - 0.06f * t, 0.8f + 0.3f * t, 0, 3);

        firs(scene, labels[i], top, unit * high, 0.24f + 0.10f * t, colour);
        fill_below(scene, top, colour, rgb_mix(colour, scene->haze, i < 5 ? 0.75f : 0),
                   unit * 0.16f);
        g_free(top);
    }
    if (scene->subject.hour != HOUR_NIGHT) /* light falls through */
        for (int i = 0; i < 7; i++) {
            float spread = prng_range(&prng, -0.9f, 0.9f), open = prng_range(&prng, 0.02f, 0.06f);
            struct point ray[] = { scene->sun_at,
                                   { scene->sun_at.x + (spread - open) * unit, h },
                                   { scene->sun_at.x + (spread + open) * unit, h } };
            canvas_poly(scene->canvas, ray, 3, scene->sun, 0.055f);
        }
}

/* One building with its windows; some are lit. */
static void building(struct scene *scene, struct prng *prng, float x0, float x1, float top,
                     float foot, struct rgb wall, float nearness)
{
    struct canvas        *canvas = scene->canvas;
    float                 unit = scene->unit, pitch = unit * (0.007f + 0.007f * nearness);
    int                   style = prng_below(prng, 4), columns = (int)((x1 - x0) / pitch);
    static const uint32_t lamp_colours[] = { 0xffd98a, 0xffc56b, 0xfff0c8, 0xffb870, 0xbfe3ff };

    if (style == 0) { /* a setback and a mast */
        float in = (x1 - x0) * 0.22f, mid = (x0 + x1) / 2;
        canvas_rect(canvas, x0 + in, top - unit * 0.03f, x1 - in, top + 1, wall, 1);
        canvas_rect(canvas, mid - unit * 0.0012f, top - unit * 0.085f, mid + unit * 0.0012f, top,
                    wall, 1);
        if (scene->lamps > 0.2f)
            canvas_glow(canvas, mid, top - unit * 0.085f, unit * 0.012f, rgb_hex(0xff5a4a), 1.2f);
    } else if (style == 1) {
        struct point roof[] = { { x0, top + 1 }, { x1, top + 1 }, { x1, top - (x1 - x0) * 0.35f } };
        canvas_poly(canvas, roof, 3, wall, 1);
    }
    canvas_rect(canvas, x0, top, x1, foot, wall, 1);
    canvas_rect(canvas, scene->sun_at.x > x0 ? x1 - (x1 - x0) * 0.16f : x0, top,
                scene->sun_at.x > x0 ? x1 : x0 + (x1 - x0) * 0.16f, foot,
                rgb_mix(wall, scene->haze, 0.5f), 0.25f);
    if (nearness < 0.3f)
        return;
    float inset = ((x1 - x0) - (float)columns * pitch) / 2;
    for (float y = top + pitch; y < foot - pitch; y += pitch * 1.35f) {
        float floor_mood = prng_unit(prng);
        for (int i = 0; i < columns; i++) {
            float      chance = prng_unit(prng), bright = prng_range(prng, 0.45f, 1.1f);
            struct rgb lamp   = rgb_hex(lamp_colours[prng_below(prng, G_N_ELEMENTS(lamp_colours))]);
            float      x      = x0 + inset + ((float)i + 0.25f) * pitch;
            bool       is_lit = chance < scene->lamps * (0.45f + floor_mood);

            canvas_rect(canvas, x, y, x + pitch * 0.5f, y + pitch * 0.72f,
                        is_lit ? rgb_scale(lamp, bright) : rgb_mix(wall, scene->sky.stop[2], 0.22f),
                        is_lit ? 0.95f : 0.6f);
        }
    }
}

static void city(struct scene *scene)
{
    struct prng prng = prng_of(scene->key, "city");
    float unit = scene->unit, w = (float)scene->canvas->width, quay = scene->horizon + unit * 0.04f;
    struct rgb day_wall = rgb_blend(scene->dark, scene->sky.stop[2], 0.25f);

    for (int layer = 0; layer < 4; layer++) {
        float      t = (float)layer / 3, centre = w * prng_range(&prng, 0.35f, 0.65f);
        struct rgb base =
            rgb_blend(scene->haze, scene->subject.hour == HOUR_DAY ? day_wall : scene->dark,
                      0.25f + 0.68f * t);

        for (float x = -unit * 0.05f; x < w + unit * 0.05f;) {
            float wide   = unit * prng_range(&prng, 0.035f, 0.085f) * (0.7f + 0.6f * t);
            float middle = expf(-powf((x - centre) / (w * 0.32f), 2));
            float tall   = unit
                         * (0.05f + 0.30f * middle * prng_range(&prng, 0.35f, 1.25f)
                            + prng_range(&prng, 0, 0.10f))
                         * (1.15f - 0.45f * t);
            struct rgb wall =
                rgb_turn(base, prng_range(&prng, -12, 12), 1, prng_range(&prng, -0.025f, 0.025f));

            building(scene, &prng, x, x + wide, quay - tall - unit * 0.02f * (1 - t), quay, wall,
                     t);
            x += wide + (prng_below(&prng, 3) == 0 ? unit * prng_range(&prng, 0, 0.03f) : 0);
        }
        if (layer < 3) /* air between the rows */
            for (int y = MAX(0, (int)(quay - unit * 0.30f)); y < (int)quay; y++)
                for (int x = 0; x < scene->canvas->width; x++)
                    canvas_blend(scene->canvas, x, y, scene->haze,
                                 0.30f * smooth(quay - unit * 0.30f, quay, (float)y)
                                     * (1 - 0.2f * t));
    }
    terrain_reflect(scene, quay, 0.8f, rgb_blend(scene->sky.stop[0], scene->dark, 0.4f), 0.22f);
    if (scene->subject.hour != HOUR_DAY)
        glitter(scene, quay);
    canvas_rect(scene->canvas, 0, quay - unit * 0.004f, w, quay + unit * 0.002f, scene->dark, 0.8f);
}

/* One dune: the crest's line runs down the slope and parts light from shadow. */
static void dune(struct scene *scene, uint32_t seed, const float *top, float nearness)
{
    struct canvas *canvas = scene->canvas;
    float          unit = scene->unit, to_sun = scene->sun_at.x > (float)canvas->width / 2 ? 1 : -1;
    bool           is_night = scene->subject.hour == HOUR_NIGHT;
    struct rgb     sand     = is_night ? rgb_blend(scene->sky.stop[2], rgb_hex(0x8a7a86), 0.35f)
                                       : rgb_blend(rgb_hex(0xe0a25f), scene->sky.stop[2],
                                           scene->subject.hour == HOUR_DAY ? 0.05f : 0.30f);
    struct rgb     lit, shade;

    if (scene->subject.has_hue)
        sand = rgb_towards_hue(sand, scene->subject.hue_deg, 0.5f);
    lit   = rgb_mix(rgb_mix(sand, scene->sun, is_night ? 0.02f : 0.22f), scene->haze,
                    0.55f * (1 - nearness));
    shade = rgb_mix(rgb_blend(sand, scene->dark, 0.55f), scene->haze, 0.55f * (1 - nearness));
    for (int x = 0; x < canvas->width; x++)
        for (int y = MAX(0, (int)top[x] - 1); y < canvas->height; y++) {
            float below = ((float)y - top[x]) / unit, u = (float)x / unit;
            float spine =
                u + to_sun * below * 1.7f + 0.05f * noise_fbm(seed + 3, u * 3, below * 5, 3);
            float slope = noise_at(seed + 5, spine * 1.7f, 0.7f + below * 2)
                          + 0.25f * noise_at(seed + 6, spine * 4.1f, 2.7f);
            float      face   = smooth(-0.30f, 0.22f, slope + 0.10f - 0.25f * below);
            float      ripple = sinf((below * 190 + 9 * noise_fbm(seed + 7, u * 5, below * 8, 3))
                                     * (1.4f - 0.6f * nearness));
            struct rgb c = rgb_mix(shade, lit, face * (0.82f + 0.18f * smooth(0.4f, 0, below)));

            c = rgb_scale(c, 1 + 0.045f * nearness * ripple * (0.4f + face));
            canvas_blend(canvas, x, y, c, clamp01((float)y + 1 - top[x]));
        }
}

static void desert(struct scene *scene)
{
    struct prng prng = prng_of(scene->key, "desert");
    float       unit = scene->unit, h = (float)scene->canvas->height;

    float *mesa = outline(scene, (uint32_t)prng_next(&prng), scene->horizon + unit * 0.03f, 0.12f,
                          1.1f, 0.3f, 5);
    fill_below(scene, mesa, rgb_blend(scene->haze, scene->dark, 0.25f), scene->haze, unit * 0.12f);
    g_free(mesa);
    for (int i = 0; i < 5; i++) {
        float    t    = (float)i / 4;
        uint32_t seed = (uint32_t)prng_next(&prng);
        float   *top  = outline(scene, seed,
                                scene->horizon + unit * 0.04f
                                    + (h * 0.94f - scene->horizon) * powf(t, 1.25f) * 0.88f,
                                0.10f + 0.10f * t, 1.5f - 0.7f * t, 0.25f, 2);
        dune(scene, seed, top, 0.2f + 0.8f * t);
        g_free(top);
    }
}

static void round_tree(struct scene *scene, struct prng *prng, float x, float foot, float size,
                       struct rgb leaf)
{
    struct rgb lit = rgb_mix(leaf, scene->sun, scene->subject.hour == HOUR_NIGHT ? 0.04f : 0.22f);
    float      to_sun = scene->sun_at.x > x ? 1 : -1;

    canvas_rect(scene->canvas, x - size * 0.04f, foot - size * 0.5f, x + size * 0.04f, foot,
                rgb_blend(scene->dark, rgb_hex(0x3a2a1c), 0.4f), 1);
    for (int i = 0; i < 26; i++) {
        float angle = prng_range(prng, 0, 6.2832f), away = sqrtf(prng_unit(prng)) * size * 0.30f;
        float bx = x + cosf(angle) * away * 1.1f, by = foot - size * 0.68f + sinf(angle) * away;
        float light =
            clamp01(0.45f + (to_sun * (bx - x) - (by - (foot - size * 0.68f))) / (size * 0.75f));

        canvas_disc(scene->canvas, bx, by, size * prng_range(prng, 0.07f, 0.14f),
                    rgb_mix(leaf, lit, light), 0.9f);
    }
}

static void meadow(struct scene *scene)
{
    struct prng prng = prng_of(scene->key, "meadow");
    float unit = scene->unit, w = (float)scene->canvas->width, h = (float)scene->canvas->height;
    bool  is_winter = scene->subject.weather == WEATHER_SNOW;
    struct rgb grass =
        is_winter ? rgb_hex(0xdfe8ee) : rgb_lch(0.62f, 0.165f, prng_range(&prng, 115, 142));
    float dim = scene->subject.hour == HOUR_NIGHT    ? 0.78f
                : scene->subject.hour == HOUR_SUNSET ? 0.38f
                : scene->subject.hour == HOUR_DAWN   ? 0.18f
                                                     : 0.0f;

    float *far = outline(scene, (uint32_t)prng_next(&prng), scene->horizon, 0.26f, 1.1f, 0.6f, 6);
    fill_below(scene, far, rgb_blend(scene->haze, scene->dark, 0.22f), scene->haze, unit * 0.2f);
    g_free(far);
    for (int i = 0; i < 6; i++) {
        float    t    = (float)i / 5;
        uint32_t seed = (uint32_t)prng_next(&prng);
        float   *top =
            outline(scene, seed,
                    scene->horizon + unit * 0.02f + (h - scene->horizon) * 0.84f * powf(t, 1.2f),
                    0.12f, 1.1f - 0.4f * t, 0, 3);
        struct rgb here = rgb_turn(grass, prng_range(&prng, -14, 10), 1,
                                   prng_range(&prng, -0.03f, 0.03f) - 0.05f * t);
        struct rgb lit  = rgb_blend(rgb_mix(here, scene->sun, 0.22f), scene->dark, dim * 0.75f),
                   base = rgb_blend(here, scene->dark, dim + 0.12f);

        lit  = rgb_mix(lit, scene->haze, 0.52f * (1 - t) * (1 - t));
        base = rgb_mix(base, scene->haze, 0.45f * (1 - t) * (1 - t));
        fill_below(scene, top, lit, base, unit * (0.09f + 0.12f * t));
        if (i >= 1 && i <= 4) {
            int groves = 2 + prng_below(&prng, 3);
            for (int g = 0; g < groves; g++) {
                float gx    = prng_unit(&prng) * w;
                int   trees = 1 + prng_below(&prng, 6);
                for (int k = 0; k < trees; k++) {
                    float x    = gx + prng_range(&prng, -0.10f, 0.10f) * unit,
                          size = unit * (0.03f + 0.09f * t * t) * prng_range(&prng, 0.7f, 1.2f);
                    struct rgb leaf = rgb_blend(rgb_lch(0.47f, 0.11f, prng_range(&prng, 100, 150)),
                                                scene->dark, dim);
                    leaf            = rgb_mix(leaf, scene->haze, 0.45f * (1 - t) * (1 - t));
                    round_tree(scene, &prng, x,
                               top[CLAMP((int)x, 0, scene->canvas->width)] + size * 0.06f, size,
                               leaf);
                }
            }
        }
        if (i >= 3 && !is_winter) { /* grass and flowers towards the eye */
            float hue = prng_range(&prng, 0, 360), reach = unit * 0.22f;
            int   blades = (int)(w / unit * (i == 5 ? 2600 : 1200));
            for (int k = 0; k < blades; k++) {
                float x = prng_unit(&prng) * w, deep = prng_unit(&prng),
                      y    = top[CLAMP((int)x, 0, scene->canvas->width)] + deep * reach;
                float tall = unit * (0.008f + 0.022f * t * t) * prng_range(&prng, 0.5f, 1.3f),
                      bend = prng_range(&prng, -0.4f, 0.5f);
                struct point foot = { x, y }, tip = { x + bend * tall, y - tall };
                canvas_line(scene->canvas, foot, tip, unit * 0.002f, unit * 0.0006f,
                            rgb_mix(base, lit, prng_range(&prng, 0, 1.1f)), 0.55f);
                if (prng_unit(&prng) < (scene->subject.has_flowers ? 0.22f : 0.05f)) {
                    struct rgb petal =
                        rgb_blend(rgb_lch(0.78f, 0.16f, hue + prng_range(&prng, -50, 50)),
                                  scene->dark, dim * 0.7f);
                    canvas_disc(scene->canvas, tip.x, tip.y, unit * (0.0016f + 0.0042f * t * t),
                                petal, 0.95f);
                }
            }
        }
        g_free(top);
    }
}

void terrain_paint(struct scene *scene)
{
    switch (scene->subject.place) {
    case PLACE_SEA: sea(scene); break;
    case PLACE_FOREST: forest(scene); break;
    case PLACE_CITY: city(scene); break;
    case PLACE_DESERT: desert(scene); break;
    case PLACE_MEADOW: meadow(scene); break;
    default: mountains(scene); break;
    }
}
