/* colour: OKLab (Ottosson 2020) and sRGB transfer; see colour.h. */
#include "media/files/colour.h"

#include <math.h>

struct lab {
    float l, a, b;
};

float srgb_decode(float encoded)
{
    return encoded <= 0.04045f ? encoded / 12.92f : powf((encoded + 0.055f) / 1.055f, 2.4f);
}

float srgb_encode(float linear)
{
    linear = clamp01(linear);
    return linear <= 0.0031308f ? linear * 12.92f : 1.055f * powf(linear, 1 / 2.4f) - 0.055f;
}

struct rgb rgb_hex(uint32_t hex)
{
    return (struct rgb) { srgb_decode((float)(hex >> 16 & 255) / 255),
                          srgb_decode((float)(hex >> 8 & 255) / 255),
                          srgb_decode((float)(hex & 255) / 255) };
}

static struct lab lab_of(struct rgb c)
{
    float l = cbrtf(0.4122214708f * c.r + 0.5363325363f * c.g + 0.0514459929f * c.b);
    float m = cbrtf(0.2119034982f * c.r + 0.6806995451f * c.g + 0.1073969566f * c.b);
    float s = cbrtf(0.0883024619f * c.r + 0.2817188376f * c.g + 0.6299787005f * c.b);

    return (struct lab) { 0.2104542553f * l + 0.7936177850f * m - 0.0040720468f * s,
                          1.9779984951f * l - 2.4285922050f * m + 0.4505937099f * s,
                          0.0259040371f * l + 0.7827717662f * m - 0.8086757660f * s };
}

static struct rgb rgb_of(struct lab lab)
{
    float      l = lab.l + 0.3963377774f * lab.a + 0.2158037573f * lab.b;
    float      m = lab.l - 0.1055613458f * lab.a - 0.0638541728f * lab.b;
    float      s = lab.l - 0.0894841775f * lab.a - 1.2914855480f * lab.b;
    struct rgb c;

    l   = l * l * l;
    m   = m * m * m;
    s   = s * s * s;
    c.r = clamp01(4.0767416621f * l - 3.3077115913f * m + 0.2309699292f * s);
    c.g = clamp01(-1.2684380046f * l + 2.6097574011f * m - 0.3413193965f * s);
    c.b = clamp01(-0.0041960863f * l - 0.7034186147f * m + 1.7076147010f * s);
    return c;
}

struct rgb rgb_lch(float lightness, float chroma, float hue_deg)
{
    float hue = hue_deg * (float)M_PI / 180;

    return rgb_of((struct lab) { lightness, chroma * cosf(hue), chroma * sinf(hue) });
}

struct rgb rgb_blend(struct rgb a, struct rgb b, float t)
{
    struct lab x = lab_of(a), y = lab_of(b);

    return rgb_of(
        (struct lab) { x.l + (y.l - x.l) * t, x.a + (y.a - x.a) * t, x.b + (y.b - x.b) * t });
}

struct rgb rgb_turn(struct rgb c, float hue_deg, float chroma_factor, float lightness_add)
{
    struct lab lab = lab_of(c);
    float      hue = hue_deg * (float)M_PI / 180, cosine = cosf(hue), sine = sinf(hue);

    return rgb_of((struct lab) { lab.l + lightness_add,
                                 (lab.a * cosine - lab.b * sine) * chroma_factor,
                                 (lab.a * sine + lab.b * cosine) * chroma_factor });
}

struct rgb rgb_towards_hue(struct rgb c, float hue_deg, float amount)
{
    struct lab lab    = lab_of(c);
    float      chroma = hypotf(lab.a, lab.b), hue = hue_deg * (float)M_PI / 180;
    float      wanted = chroma > 0.09f ? chroma : 0.09f;

    lab.a += (wanted * cosf(hue) - lab.a) * amount;
    lab.b += (wanted * sinf(hue) - lab.b) * amount;
    return rgb_of(lab);
}

struct rgb ramp_at(const struct ramp *ramp, float t)
{
    float at = clamp01(t) * (float)(ramp->stops - 1);
    int   i  = (int)at;

    if (i >= ramp->stops - 1)
        return ramp->stop[ramp->stops - 1];
    return rgb_blend(ramp->stop[i], ramp->stop[i + 1], at - (float)i);
}
