/* abstract: pictures without a horizon: strokes that follow a field, and the space between stars;
 * see scene.h. */
#include "media/sample/scene.h"

#include <math.h>

#include <glib.h>

enum { STEPS_MOST = 46 };

/* Palettes for strokes: ground first, then the colours, lights last. */
static const uint32_t palettes[][6] = {
    { 0xf4ecdc, 0x1f3b4d, 0x2f7f86, 0xe8a33d, 0xd9583b, 0x8c2f39 },
    { 0x0e1b2c, 0x16425b, 0x2f8f9d, 0xf2c14e, 0xf78154, 0xfdf0d5 },
    { 0xfaf3ea, 0x3d2c5e, 0x8456a5, 0xe56b8a, 0xf6ae72, 0x2d7f8f },
    { 0x14141f, 0x3a2e5c, 0x8a3ffc, 0xff5d8f, 0xffb86b, 0x6ee7d8 },
    { 0xf1efe7, 0x24443a, 0x5a8f62, 0xb9c95a, 0xf0b549, 0xd2603a },
    { 0x101d1a, 0x1e5245, 0x47a078, 0xcfe08a, 0xf3d9a4, 0xe8744a },
    { 0xfbf1e6, 0x17324d, 0x3f6fb5, 0x8fc1e3, 0xf3a683, 0xd1495b },
};

static struct rgb colour_of(const struct scene *scene, uint32_t hex, float turn)
{
    struct rgb c = rgb_turn(rgb_hex(hex), turn, 1.08f, 0);

    return scene->subject.has_hue ? rgb_towards_hue(c, scene->subject.hue_deg, 0.45f) : c;
}

void abstract_paint(struct scene *scene)
{
    struct canvas  *canvas = scene->canvas;
    struct prng     prng   = prng_of(scene->key, "flow");
    float           unit = scene->unit, w = (float)canvas->width, h = (float)canvas->height;
    const uint32_t *palette = palettes[prng_below(&prng, G_N_ELEMENTS(palettes))];
    float           turn    = prng_range(&prng, -18, 18);
    uint32_t        seed    = (uint32_t)prng_next(&prng);
    float           zoom = prng_range(&prng, 0.75f, 1.35f), twist = prng_range(&prng, 2.2f, 4.2f),
          bias          = prng_range(&prng, 0, 6.2832f);
    struct rgb   ground = colour_of(scene, palette[0], turn), colours[5];
    struct point suns[3];
    float        radii[3];
    int          sun_count = 1 + prng_below(&prng, 3);

    for (int i = 0; i < 5; i++)
        colours[i] = colour_of(scene, palette[i + 1], turn);
    for (int y = 0; y < canvas->height; y++)
        for (int x = 0; x < canvas->width; x++) {
            float n = noise_fbm(seed + 9, (float)x / unit * 1.1f, (float)y / unit * 1.1f, 4);
            canvas->px[(long)y * canvas->width + x] =
                rgb_mix(ground, colours[1], clamp01(0.06f + 0.20f * n + 0.10f * (float)y / h));
        }
    for (int i = 0; i < sun_count; i++) {
        radii[i] = unit * prng_range(&prng, 0.07f, 0.19f);
        suns[i]  = (struct point) { w * prng_range(&prng, 0.15f, 0.85f),
                                    h * prng_range(&prng, 0.15f, 0.8f) };
    }
    /* Strokes: wide and few first, fine and many after. */
    for (int pass = 0; pass < 3; pass++) {
        static const float wide[]   = { 0.020f, 0.009f, 0.0032f };
        static const int   counts[] = { 420, 1000, 1500 };
        int                count    = (int)((float)counts[pass] * w * h / (unit * unit));

        for (int i = 0; i < count; i++) {
            struct point at = { prng_range(&prng, -0.1f, 1.1f) * w,
                                prng_range(&prng, -0.1f, 1.1f) * h };
            float        pick =
                clamp01(0.5f + 0.9f * noise_at(seed + 21, at.x / unit * 1.2f, at.y / unit * 1.2f)
                        + prng_range(&prng, -0.22f, 0.22f));
            struct rgb colour = rgb_turn(colours[MIN(4, (int)(pick * 5))], prng_range(&prng, -6, 6),
                                         1, prng_range(&prng, -0.05f, 0.05f));
            float      width  = unit * wide[pass] * prng_range(&prng, 0.45f, 1.25f);
            int        steps  = 12 + prng_below(&prng, STEPS_MOST - 12);
            float      alpha  = pass == 2 ? 0.85f : 0.92f;

            struct point ribbon[2 * STEPS_MOST];

            for (int s = 0; s < steps; s++) {
                float angle =
                    bias + twist * noise_fbm(seed, at.x / unit * zoom, at.y / unit * zoom, 2);
                float half = width / 2 * sinf((float)M_PI * ((float)s + 0.4f) / (float)steps);

                for (int k = 0; k < sun_count; k++) { /* strokes bend round the discs */
                    float dx = at.x - suns[k].x, dy = at.y - suns[k].y;
                    float pull = smooth(2.4f, 1.0f, hypotf(dx, dy) / radii[k]);
                    float off  = atan2f(dy, dx) + (float)M_PI / 2 - angle;

                    off -= 2 * (float)M_PI * roundf(off / (2 * (float)M_PI));
                    angle += off * pull;
                }
                struct point ahead = { cosf(angle), sinf(angle) };
                ribbon[s] = (struct point) { at.x - ahead.y * half, at.y + ahead.x * half };
                ribbon[2 * steps - 1 - s] =
                    (struct point) { at.x + ahead.y * half, at.y - ahead.x * half };
                at.x += ahead.x * unit * 0.011f;
                at.y += ahead.y * unit * 0.011f;
            }
            canvas_poly(canvas, ribbon, 2 * steps, colour, alpha);
        }
    }
    for (int i = 0; i < sun_count; i++) {
        struct rgb disc = colours[(2 + i) % 5], edge = rgb_turn(disc, 25, 1, 0.10f);
        int        rings = 26;

        canvas_disc(canvas, suns[i].x, suns[i].y + radii[i] * 0.07f, radii[i] * 1.03f,
                    rgb_scale(ground, 0.15f), 0.22f);
        for (int k = 0; k < rings; k++) {
            float t = (float)k / (float)rings;
            canvas_disc(canvas, suns[i].x - radii[i] * 0.20f * t, suns[i].y - radii[i] * 0.20f * t,
                        radii[i] * (1 - t * 0.75f), rgb_blend(disc, edge, t), k == 0 ? 1 : 0.5f);
        }
    }
}

static void planet(struct scene *scene, struct prng *prng, float cx, float cy, float radius,
                   bool has_ring)
{
    struct canvas *canvas = scene->canvas;
    uint32_t       seed   = (uint32_t)prng_next(prng);
    float          hue = scene->subject.has_hue ? scene->subject.hue_deg : prng_range(prng, 0, 360);
    struct rgb     a   = rgb_lch(0.80f, 0.10f, hue),
               b       = rgb_lch(0.50f, 0.13f, hue + prng_range(prng, -60, 60)),
               c       = rgb_lch(0.90f, 0.06f, hue + 40);
    float tilt = prng_range(prng, -0.5f, 0.5f), bands = prng_range(prng, 3, 7), lx = -0.62f,
          ly = -0.52f, lz = 0.58f;
    float cosine = cosf(tilt), sine = sinf(tilt);

    canvas_glow(canvas, cx, cy, radius * 1.9f, b, 0.30f);
    for (int side = 0; side < 2; side++) { /* the ring's far half, the ball, the near half */
        if (has_ring)
            for (int y = 0; y < canvas->height; y++)
                for (int x = 0; x < canvas->width; x++) {
                    float dx = ((float)x - cx) / radius, dy = ((float)y - cy) / radius;
                    float u = dx * cosine + dy * sine, v = (dy * cosine - dx * sine) / 0.26f,
                          r = sqrtf(u * u + v * v);
                    if (r < 1.35f || r > 2.3f || (side == 0) != (v < 0))
                        continue;
                    float grain = 0.55f + 0.6f * noise_at(seed + 5, r * 22, 0.5f);
                    float edge  = smooth(1.35f, 1.42f, r) * smooth(2.3f, 2.18f, r);
                    float shadow =
                        u > 0.1f && v < 0 && fabsf(v * 0.26f) < 0.9f && u < 1.6f ? 0.35f : 1.0f;
                    canvas_blend(canvas, x, y, rgb_scale(c, shadow), clamp01(edge * grain * 0.8f));
                }
        if (side == 1)
            break;
        for (int y = MAX(0, (int)(cy - radius - 1));
             y < MIN(canvas->height, (int)(cy + radius + 2)); y++)
            for (int x = MAX(0, (int)(cx - radius - 1));
                 x < MIN(canvas->width, (int)(cx + radius + 2)); x++) {
                float dx = ((float)x + .5f - cx) / radius, dy = ((float)y + .5f - cy) / radius,
                      d     = sqrtf(dx * dx + dy * dy);
                float cover = clamp01((1 - d) * radius + 0.5f);
                if (cover <= 0)
                    continue;
                float dz = sqrtf(fmaxf(0, 1 - d * d)), v = dy * cosine - dx * sine,
                      u          = dx * cosine + dy * sine;
                float      swirl = noise_fbm(seed, u * 2 + 3, v * 6, 5);
                float      band  = 0.5f + 0.5f * sinf(bands * v * 3 + swirl * 3.2f);
                float      light = clamp01(dx * lx + dy * ly + dz * lz), rim = powf(1 - dz, 3);
                struct rgb skin = rgb_mix(rgb_mix(b, a, band), c, clamp01(swirl));
                skin            = rgb_scale(skin, 0.03f + 1.05f * light);
                skin = rgb_mix(skin, rgb_mix(a, c, 0.5f), rim * 0.65f * clamp01(light + 0.15f));
                canvas_blend(canvas, x, y, skin, cover);
            }
    }
}

void abstract_paint_space(struct scene *scene)
{
    struct canvas *canvas = scene->canvas;
    struct prng    prng   = prng_of(scene->key, "space");
    float          unit = scene->unit, w = (float)canvas->width, h = (float)canvas->height;
    uint32_t       seed = (uint32_t)prng_next(&prng);
    float      hue  = scene->subject.has_hue ? scene->subject.hue_deg : prng_range(&prng, 200, 360);
    struct rgb deep = rgb_lch(0.13f, 0.04f, hue), one = rgb_lch(0.52f, 0.17f, hue),
               two  = rgb_lch(0.62f, 0.14f, hue + prng_range(&prng, 60, 150));
    struct rgb core = rgb_lch(0.93f, 0.06f, hue + 40);

    for (int y = 0; y < canvas->height; y++)
        for (int x = 0; x < canvas->width; x++) {
            float u = (float)x / unit * 1.3f, v = (float)y / unit * 1.3f;
            float wx = noise_fbm(seed + 1, u, v, 4), wy = noise_fbm(seed + 2, u, v, 4);
            float n          = noise_fbm(seed + 3, u + 1.6f * wx, v + 1.6f * wy, 6),
                  m          = noise_fbm(seed + 4, u * 1.4f + wy, v * 1.4f - wx, 5);
            float      cloud = smooth(-0.15f, 0.65f, n), other = smooth(-0.05f, 0.7f, m);
            struct rgb c = rgb_mix(deep, one, cloud * cloud);
            c            = rgb_mix(c, two, other * cloud * 0.9f);
            c            = rgb_mix(c, core, smooth(0.45f, 0.95f, n + 0.5f * m) * 0.7f);
            canvas->px[(long)y * canvas->width + x] = c;
        }
    int count = (int)(1300 * w * h / (unit * unit));
    for (int i = 0; i < count; i++) {
        float x = prng_unit(&prng) * w, y = prng_unit(&prng) * h, size = prng_unit(&prng),
              warm = prng_unit(&prng);
        struct rgb c =
            rgb_mix((struct rgb) { .7f, .82f, 1 }, (struct rgb) { 1, .8f, .6f }, warm * warm);

        size = powf(size, 6);
        canvas_disc(canvas, x, y, unit * (0.0006f + 0.0022f * size), c, 0.35f + 0.65f * size);
        if (size > 0.88f) {
            canvas_glow(canvas, x, y, unit * 0.02f, c, 0.35f);
            struct point l = { x - unit * .014f, y }, r = { x + unit * .014f, y },
                         t = { x, y - unit * .014f }, b = { x, y + unit * .014f };
            canvas_line(canvas, l, r, unit * .0009f, unit * .0009f, c, 0.6f);
            canvas_line(canvas, t, b, unit * .0009f, unit * .0009f, c, 0.6f);
        }
    }
    float side = prng_below(&prng, 2) ? 0.68f : 0.32f;
    planet(scene, &prng, w * (1 - side) + prng_range(&prng, -0.06f, 0.06f) * w,
           h * prng_range(&prng, 0.18f, 0.30f), unit * prng_range(&prng, 0.045f, 0.08f), false);
    planet(scene, &prng, w * side, h * prng_range(&prng, 0.48f, 0.62f),
           unit * prng_range(&prng, 0.17f, 0.25f), prng_below(&prng, 3) > 0);
}
