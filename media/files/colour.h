/*
 * colour: linear-light RGB for painting, OKLab for choosing and blending colours that should look
 * evenly spaced.
 */
#ifndef MEDIA_COLOUR_H
#define MEDIA_COLOUR_H

#include <stdint.h>

struct rgb {
    float r, g, b; /* linear light, 0 .. 1 (more while painting) */
};

enum { RAMP_STOPS = 5 };

struct ramp {
    int        stops;
    struct rgb stop[RAMP_STOPS];
};

struct rgb rgb_hex(uint32_t hex);                                 /* 0xrrggbb, sRGB */
struct rgb rgb_lch(float lightness, float chroma, float hue_deg); /* OKLCH */
struct rgb rgb_blend(struct rgb a, struct rgb b, float t);        /* by the eye: OKLab */
struct rgb rgb_turn(struct rgb c, float hue_deg, float chroma_factor, float lightness_add);
struct rgb rgb_towards_hue(struct rgb c, float hue_deg, float amount);
struct rgb ramp_at(const struct ramp *ramp, float t);
float      srgb_encode(float linear); /* 0 .. 1 */
float      srgb_decode(float encoded);

static inline float clamp01(float x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

static inline float smooth(float low, float high, float x)
{
    float t = clamp01((x - low) / (high - low));

    return t * t * (3 - 2 * t);
}

/* By the light: what compositing uses. */
static inline struct rgb rgb_mix(struct rgb a, struct rgb b, float t)
{
    return (struct rgb) { a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t };
}

static inline struct rgb rgb_scale(struct rgb c, float k)
{
    return (struct rgb) { c.r * k, c.g * k, c.b * k };
}

#endif
