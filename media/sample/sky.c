/* sky: light of the hour, sun or moon, stars, clouds, aurora, and what falls from it; see
 * scene.h. */
#include "media/sample/scene.h"

#include <math.h>

#include <glib.h>

/* Four stops a sky, zenith to horizon, then the light's colour and the dark of near things. */
static const struct hour_light {
    enum hour hour;
    uint32_t  stops[4], sun, dark;
} lights[] = {
    { HOUR_DAWN, { 0x2f3f73, 0x7d74a8, 0xefa9a0, 0xffe0b8 }, 0xfff0d0, 0x2a2f4a },
    { HOUR_DAWN, { 0x23507f, 0x6f9cc0, 0xf2c6bc, 0xfff1da }, 0xfff6e0, 0x2b3a52 },
    { HOUR_DAWN, { 0x3a3468, 0xa06fa0, 0xf59b9b, 0xffd7a8 }, 0xffe6c0, 0x2f2646 },
    { HOUR_DAY, { 0x1f64b0, 0x4f9bd9, 0x9fd0ee, 0xe6f3f6 }, 0xfffbe8, 0x1d3a4c },
    { HOUR_DAY, { 0x2f74b8, 0x72b3de, 0xbfe0ec, 0xfdf5e2 }, 0xfff8da, 0x24424a },
    { HOUR_SUNSET, { 0x1b2250, 0x692f70, 0xd94f6c, 0xffb45f }, 0xffe0a0, 0x1b1430 },
    { HOUR_SUNSET, { 0x281b4c, 0x863072, 0xef6a4e, 0xffd27c }, 0xfff0b8, 0x20122c },
    { HOUR_SUNSET, { 0x14365c, 0x56618f, 0xe28c74, 0xffd79c }, 0xffecc0, 0x14222f },
    { HOUR_NIGHT, { 0x050a1e, 0x0b1a3c, 0x173463, 0x34608c }, 0xeaf2ff, 0x03060f },
    { HOUR_NIGHT, { 0x080618, 0x171038, 0x32225f, 0x644688 }, 0xf4ecff, 0x06040f },
    { HOUR_NIGHT, { 0x03101c, 0x07263c, 0x11495c, 0x348080 }, 0xe8fff8, 0x020a0c },
};

void sky_light(struct scene *scene)
{
    struct prng              prng  = prng_of(scene->key, "light");
    struct prng              sun   = prng_of(scene->key, "sun");
    const struct hour_light *light = NULL;
    float                    w = (float)scene->canvas->width, h = (float)scene->canvas->height;
    float                    turn     = prng_range(&prng, -14, 14);
    int                      matching = 0, pick = prng_below(&prng, 6);

    while (light == NULL)
        for (size_t i = 0; i < G_N_ELEMENTS(lights) && light == NULL; i++)
            if (lights[i].hour == scene->subject.hour && matching++ == pick)
                light = &lights[i];
    scene->sky.stops = 4;
    for (int i = 0; i < 4; i++) {
        scene->sky.stop[i] =
            rgb_turn(rgb_hex(light->stops[i]), turn, prng_range(&prng, 0.92f, 1.12f), 0);
        if (scene->subject.has_hue)
            scene->sky.stop[i] =
                rgb_towards_hue(scene->sky.stop[i], scene->subject.hue_deg, i == 3 ? 0.45f : 0.62f);
    }
    scene->sun  = rgb_hex(light->sun);
    scene->dark = rgb_turn(rgb_hex(light->dark), turn, 1, 0);
    if (scene->subject.has_hue)
        scene->dark = rgb_towards_hue(scene->dark, scene->subject.hue_deg, 0.4f);
    scene->haze = rgb_blend(scene->sky.stop[3], scene->sky.stop[2], 0.35f);

    static const float horizons[PLACES] = { .6f, .70f, .56f, .60f, .74f, .60f, .58f, .6f, .6f };
    scene->horizon = h * (horizons[scene->subject.place] + prng_range(&sun, -0.02f, 0.03f));
    float left = prng_range(&sun, 0.18f, 0.42f), size = prng_range(&sun, 0.9f, 1.15f);
    bool  on_right = prng_below(&sun, 2) == 0;
    float above    = prng_range(&sun, 0.9f, 1.1f);

    scene->sun_at.x = w * (on_right ? 1 - left : left);
    switch (scene->subject.hour) {
    case HOUR_DAWN:
        scene->sun_at.y   = scene->horizon - 0.17f * above * h;
        scene->sun_radius = 0.045f * size * scene->unit;
        break;
    case HOUR_SUNSET:
        scene->sun_at.y   = scene->horizon - 0.11f * above * h;
        scene->sun_radius = 0.085f * size * scene->unit;
        break;
    case HOUR_NIGHT:
        scene->sun_at.y   = scene->horizon - 0.40f * above * h;
        scene->sun_radius = 0.048f * size * scene->unit;
        scene->stars      = 1;
        scene->lamps      = 0.55f;
        break;
    default:
        scene->sun_at.y   = scene->horizon - 0.42f * above * h;
        scene->sun_radius = 0.04f * size * scene->unit;
        break;
    }
    if (scene->subject.hour == HOUR_SUNSET) {
        scene->stars = 0.12f;
        scene->lamps = 0.30f;
    } else if (scene->subject.hour == HOUR_DAWN) {
        scene->lamps = 0.10f;
    }
}

static void gradient(struct scene *scene)
{
    struct canvas *canvas  = scene->canvas;
    struct rgb     warm    = rgb_mix(scene->sky.stop[3], scene->sun, 0.45f);
    bool           low_sun = scene->subject.hour == HOUR_SUNSET || scene->subject.hour == HOUR_DAWN;

    for (int y = 0; y < canvas->height; y++) {
        struct rgb row = ramp_at(&scene->sky, powf(clamp01((float)y / scene->horizon), 1.15f));

        for (int x = 0; x < canvas->width; x++) {
            struct rgb *p = &canvas->px[(long)y * canvas->width + x];

            *p = row;
            if (low_sun) {
                float dx = ((float)x - scene->sun_at.x) / scene->unit;
                float dy = ((float)y - scene->sun_at.y) / scene->unit * 2.1f;
                *p       = rgb_mix(row, warm, 0.50f * expf(-2.6f * sqrtf(dx * dx + dy * dy)));
            }
        }
    }
}

static void stars(struct scene *scene)
{
    struct prng prng = prng_of(scene->key, "stars");
    float       w = (float)scene->canvas->width, unit = scene->unit;
    int         count = (int)(900 * scene->stars * w / unit);
    uint32_t    cloud = (uint32_t)prng_next(&prng);
    float lean = prng_range(&prng, -0.5f, 0.5f), through = prng_range(&prng, 0.35f, 0.65f) * w;

    if (scene->stars > 0.5f) /* the milky way: a leaning, broken band */
        for (int y = 0; y < (int)scene->horizon; y++)
            for (int x = 0; x < scene->canvas->width; x++) {
                float across = ((float)x - through - lean * ((float)y - scene->horizon / 2)) / unit;
                float band   = expf(-across * across * 14);

                if (band < 0.02f)
                    continue;
                float cloudy  = noise_fbm(cloud, (float)x / unit * 3.5f, (float)y / unit * 3.5f, 5);
                float k       = band * clamp01(0.35f + cloudy * 1.1f) * 0.16f;
                struct rgb *p = &scene->canvas->px[(long)y * scene->canvas->width + x];
                *p = (struct rgb) { p->r + k * 0.55f, p->g + k * 0.6f, p->b + k * 0.85f };
            }
    for (int i = 0; i < count; i++) {
        float x = prng_unit(&prng) * w, y = prng_unit(&prng) * scene->horizon;
        float size = prng_unit(&prng), warmth = prng_unit(&prng),
              fade        = smooth(scene->horizon, scene->horizon * 0.55f, y);
        struct rgb colour = rgb_mix((struct rgb) { 0.75f, 0.85f, 1 },
                                    (struct rgb) { 1, 0.85f, 0.65f }, warmth * warmth);

        size = size * size * size * size;
        canvas_disc(scene->canvas, x, y, unit * (0.0006f + 0.0016f * size), colour,
                    (0.45f + 0.55f * size) * fade);
        if (size > 0.95f)
            canvas_glow(scene->canvas, x, y, unit * 0.012f, colour, 0.25f * fade);
    }
}

static void aurora(struct scene *scene)
{
    struct prng prng = prng_of(scene->key, "aurora");
    uint32_t    seed = (uint32_t)prng_next(&prng);
    struct rgb  low  = rgb_lch(0.86f, 0.20f, 155),
               high  = rgb_lch(0.60f, 0.20f, prng_range(&prng, 285, 330));
    float unit       = scene->unit;

    for (int curtain = 0; curtain < 3; curtain++)
        for (int x = 0; x < scene->canvas->width; x++) {
            float u    = (float)x / unit;
            float foot = scene->horizon * (0.62f - 0.14f * (float)curtain)
                         + unit * 0.16f * noise_fbm(seed + (uint32_t)curtain, u * 1.3f, 3, 3);
            float rays =
                clamp01(0.5f + 0.8f * noise_fbm(seed + 40 + (uint32_t)curtain, u * 16, 7, 3));
            float tall     = unit * (0.16f + 0.22f * rays);
            float strength = clamp01(0.45f + noise_at(seed + 80 + (uint32_t)curtain, u * 1.6f, 1))
                             * (0.25f + 0.4f * rays);

            for (int y = (int)fmaxf(0, foot - tall);
                 y < (int)fminf(foot + unit * 0.02f, scene->horizon); y++) {
                float t = (foot - (float)y) / tall; /* 0 at the foot, 1 at the top */
                float k = strength * (t < 0 ? 1 + t * tall / (unit * 0.02f) : (1 - t) * (1 - t));
                struct rgb  c = rgb_mix(low, high, smooth(0.1f, 0.9f, t));
                struct rgb *p = &scene->canvas->px[(long)y * scene->canvas->width + x];
                *p            = (struct rgb) { p->r + c.r * k, p->g + c.g * k, p->b + c.b * k };
            }
        }
}

static void sun_or_moon(struct scene *scene)
{
    struct canvas *canvas = scene->canvas;
    float          x = scene->sun_at.x, y = scene->sun_at.y, r = scene->sun_radius;

    if (scene->subject.hour != HOUR_NIGHT) {
        canvas_glow(canvas, x, y, r * 8, scene->sun, 0.26f);
        canvas_glow(canvas, x, y, r * 2.6f, scene->sun, 0.20f);
        canvas_disc(canvas, x, y, r, rgb_scale(scene->sun, 1.1f), 1);
        return;
    }
    canvas_glow(canvas, x, y, r * 8, rgb_hex(0x9fc0ff), 0.28f);
    canvas_disc(canvas, x, y, r, rgb_hex(0xf3f1e4), 1);
    uint32_t seed = (uint32_t)prng_hash(scene->key, "moon");
    for (int py = (int)fmaxf(0, y - r); py < (int)fminf(y + r, (float)canvas->height); py++)
        for (int px = (int)fmaxf(0, x - r); px < (int)fminf(x + r, (float)canvas->width); px++) {
            float u = ((float)px - x) / r, v = ((float)py - y) / r;
            float sea = smooth(0.0f, 0.35f, noise_fbm(seed, u * 1.6f, v * 1.6f, 4));

            if (u * u + v * v < 0.93f)
                canvas_blend(canvas, px, py, rgb_hex(0xb9bcc6), sea * 0.55f);
        }
}

static void clouds(struct scene *scene)
{
    struct prng prng = prng_of(scene->key, "clouds");
    uint32_t    seed = (uint32_t)prng_next(&prng);
    float       unit = scene->unit, amount = prng_range(&prng, -0.02f, 0.14f);
    bool        is_day  = scene->subject.hour == HOUR_DAY;
    float       stretch = is_day ? 2.4f : 5.5f;
    struct rgb  lit, shade;

    if (scene->subject.weather == WEATHER_CLOUD || scene->subject.weather == WEATHER_RAIN)
        amount = -0.16f;
    if (scene->subject.hour == HOUR_NIGHT) {
        lit   = rgb_mix(scene->sky.stop[3], rgb_hex(0xffffff), 0.12f);
        shade = rgb_scale(scene->sky.stop[1], 0.9f);
        amount += 0.08f;
    } else {
        lit   = is_day ? rgb_hex(0xffffff) : rgb_mix(scene->sky.stop[3], scene->sun, 0.5f);
        shade = is_day ? rgb_mix(scene->sky.stop[2], rgb_hex(0x8fa6bd), 0.5f)
                       : rgb_blend(scene->sky.stop[2], scene->sky.stop[1], 0.55f);
    }
    if (scene->subject.weather == WEATHER_RAIN) {
        lit   = rgb_blend(lit, rgb_hex(0x8a94a2), 0.65f);
        shade = rgb_blend(shade, rgb_hex(0x4b5563), 0.7f);
    }
    for (int y = 0; y < (int)scene->horizon; y++) {
        float v = (float)y / unit, near = (float)y / scene->horizon;
        float fade = smooth(0, 0.25f, near) * smooth(1.0f, 0.82f, near) * 0.9f;

        for (int x = 0; x < scene->canvas->width; x++) {
            float u       = (float)x / unit;
            float warp    = noise_fbm(seed + 7, u * 1.1f, v * 2.2f, 3) * 0.6f;
            float squeeze = stretch * (0.7f + near);
            float n       = noise_fbm(seed, u * 1.5f + warp, v * squeeze, 5);
            float cover   = smooth(amount, amount + 0.34f, n) * fade;

            if (cover < 0.004f)
                continue;
            float dx = scene->sun_at.x / unit - u, dy = scene->sun_at.y / unit - v;
            float away   = fmaxf(hypotf(dx, dy), 0.05f);
            float behind = noise_fbm(seed, (u + 0.05f * dx / away) * 1.5f + warp,
                                     (v + 0.02f * dy / away) * squeeze, 4);
            float light  = clamp01(0.5f + 2.2f * (n - behind) + 0.25f * expf(-2 * away));
            canvas_blend(scene->canvas, x, y, rgb_mix(shade, lit, light), cover);
        }
    }
}

static void birds(struct scene *scene)
{
    struct prng prng = prng_of(scene->key, "birds");
    float       unit = scene->unit, w = (float)scene->canvas->width;
    float       cx = w - scene->sun_at.x + prng_range(&prng, -0.1f, 0.1f) * w,
          cy       = scene->horizon * prng_range(&prng, 0.4f, 0.6f);
    int  count     = 5 + prng_below(&prng, 6);
    bool is_night  = scene->subject.hour == HOUR_NIGHT;

    if (is_night || (!scene->subject.has_birds && prng_below(&prng, 3) == 0))
        return;
    for (int i = 0; i < count; i++) {
        float x    = cx + prng_range(&prng, -0.16f, 0.16f) * unit,
              y    = cy + prng_range(&prng, -0.07f, 0.07f) * unit;
        float span = unit * prng_range(&prng, 0.008f, 0.016f),
              lift = span * prng_range(&prng, 0.3f, 0.7f);

        for (int side = -1; side <= 1; side += 2) {
            float        s    = (float)side;
            struct point root = { x, y }, bend = { x + s * span * 0.5f, y - lift },
                         tip = { x + s * span, y - lift * 0.5f };
            canvas_line(scene->canvas, root, bend, unit * 0.0028f, unit * 0.0024f, scene->dark,
                        0.85f);
            canvas_line(scene->canvas, bend, tip, unit * 0.0024f, unit * 0.0008f, scene->dark,
                        0.85f);
        }
    }
}

void sky_paint(struct scene *scene)
{
    gradient(scene);
    if (scene->stars > 0)
        stars(scene);
    if (scene->subject.has_aurora)
        aurora(scene);
    sun_or_moon(scene);
    clouds(scene);
}

static void falling(struct scene *scene, bool is_snow)
{
    struct prng prng = prng_of(scene->key, "falling");
    float w = (float)scene->canvas->width, h = (float)scene->canvas->height, unit = scene->unit;
    float slant = prng_range(&prng, -0.35f, 0.35f);
    int   count = (int)((is_snow ? 520 : 700) * w * h / (unit * unit));

    for (int i = 0; i < count; i++) {
        float x = prng_unit(&prng) * w, y = prng_unit(&prng) * h, near = prng_unit(&prng);

        near = near * near;
        if (is_snow) {
            canvas_disc(scene->canvas, x, y, unit * (0.0010f + 0.0036f * near), rgb_hex(0xffffff),
                        0.65f - 0.35f * near);
        } else {
            struct point top = { x, y }, end = { x + slant * unit * 0.04f * (0.4f + near),
                                                 y + unit * 0.04f * (0.4f + near) };
            canvas_line(scene->canvas, top, end, unit * 0.0006f, unit * (0.0008f + 0.001f * near),
                        rgb_hex(0xd5e2f0), 0.16f + 0.2f * near);
        }
    }
}

void sky_weather(struct scene *scene)
{
    birds(scene); /* after the land: still water would show them as blots */
    if (scene->subject.weather == WEATHER_SNOW)
        falling(scene, true);
    if (scene->subject.weather == WEATHER_RAIN)
        falling(scene, false);
    if (scene->subject.weather != WEATHER_MIST && scene->subject.weather != WEATHER_RAIN)
        return;
    uint32_t seed = (uint32_t)prng_hash(scene->key, "mist");
    float    most = scene->subject.weather == WEATHER_MIST ? 0.75f : 0.25f;

    for (int y = 0; y < scene->canvas->height; y++)
        for (int x = 0; x < scene->canvas->width; x++) {
            float u = (float)x / scene->unit, v = (float)y / scene->unit;
            float low =
                1
                - fabsf((float)y - scene->horizon * 1.08f) / ((float)scene->canvas->height * 0.5f);
            float k = most * clamp01(low) * clamp01(0.55f + noise_fbm(seed, u * 1.2f, v * 4, 4));
            canvas_blend(scene->canvas, x, y, scene->haze, k);
        }
}
