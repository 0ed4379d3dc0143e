/* canvas: anti-aliased painting in linear light; see canvas.h. */
#include "media/files/canvas.h"

#include <math.h>
#include <string.h>

#include <glib.h>

struct canvas *canvas_new(int width, int height)
{
    struct canvas *canvas = g_new0(struct canvas, 1);

    canvas->width  = width;
    canvas->height = height;
    canvas->px     = g_new0(struct rgb, (gsize)width * (gsize)height);
    return canvas;
}

void canvas_free(struct canvas *canvas)
{
    if (canvas == NULL)
        return;
    g_free(canvas->px);
    g_free(canvas);
}

struct box {
    int x0, y0, x1, y1; /* inclusive low, exclusive high */
};

static struct box clip(const struct canvas *canvas, float x0, float y0, float x1, float y1)
{
    float w = (float)canvas->width, h = (float)canvas->height;

    return (struct box) { (int)floorf(fminf(fmaxf(x0, 0), w)), (int)floorf(fminf(fmaxf(y0, 0), h)),
                          (int)ceilf(fmaxf(fminf(x1, w), 0)), (int)ceilf(fmaxf(fminf(y1, h), 0)) };
}

void canvas_disc(struct canvas *canvas, float cx, float cy, float radius, struct rgb colour,
                 float alpha)
{
    struct box box =
        clip(canvas, cx - radius - 1, cy - radius - 1, cx + radius + 1, cy + radius + 1);

    for (int y = box.y0; y < box.y1; y++)
        for (int x = box.x0; x < box.x1; x++) {
            float d     = hypotf((float)x + 0.5f - cx, (float)y + 0.5f - cy);
            float cover = clamp01(radius - d + 0.5f);

            if (radius < 0.5f) /* smaller than a pixel: fainter, not gone */
                cover *= radius * 2;
            if (cover > 0)
                canvas_blend(canvas, x, y, colour, cover * alpha);
        }
}

static float overlap(float low, float high, int cell)
{
    return fmaxf(0, fminf(high, (float)cell + 1) - fmaxf(low, (float)cell));
}

void canvas_rect(struct canvas *canvas, float x0, float y0, float x1, float y1, struct rgb colour,
                 float alpha)
{
    struct box box = clip(canvas, x0, y0, x1, y1);

    for (int y = box.y0; y < box.y1; y++)
        for (int x = box.x0; x < box.x1; x++)
            canvas_blend(canvas, x, y, colour, alpha * overlap(x0, x1, x) * overlap(y0, y1, y));
}

void canvas_round_rect(struct canvas *canvas, float x0, float y0, float x1, float y1, float radius,
                       float softness, struct rgb colour, float alpha)
{
    struct box box = clip(canvas, x0 - softness, y0 - softness, x1 + softness, y1 + softness);
    float      cx = (x0 + x1) / 2, cy = (y0 + y1) / 2;
    float      half_x = (x1 - x0) / 2 - radius, half_y = (y1 - y0) / 2 - radius;

    for (int y = box.y0; y < box.y1; y++)
        for (int x = box.x0; x < box.x1; x++) {
            float dx      = fmaxf(fabsf((float)x + 0.5f - cx) - half_x, 0);
            float dy      = fmaxf(fabsf((float)y + 0.5f - cy) - half_y, 0);
            float outside = hypotf(dx, dy) - radius;
            float cover =
                softness > 0 ? 1 - smooth(-softness, softness, outside) : clamp01(0.5f - outside);

            if (cover > 0)
                canvas_blend(canvas, x, y, colour, cover * alpha);
        }
}

void canvas_line(struct canvas *canvas, struct point from, struct point to, float width_from,
                 float width_to, struct rgb colour, float alpha)
{
    float      reach = fmaxf(width_from, width_to) / 2 + 1;
    struct box box   = clip(canvas, fminf(from.x, to.x) - reach, fminf(from.y, to.y) - reach,
                            fmaxf(from.x, to.x) + reach, fmaxf(from.y, to.y) + reach);
    float      ax = to.x - from.x, ay = to.y - from.y, length2 = ax * ax + ay * ay;

    for (int y = box.y0; y < box.y1; y++)
        for (int x = box.x0; x < box.x1; x++) {
            float px = (float)x + 0.5f - from.x, py = (float)y + 0.5f - from.y;
            float t     = length2 > 0 ? clamp01((px * ax + py * ay) / length2) : 0;
            float half  = (width_from + (width_to - width_from) * t) / 2;
            float cover = clamp01(half - hypotf(px - ax * t, py - ay * t) + 0.5f);

            if (half < 0.5f)
                cover *= half * 2;
            if (cover > 0)
                canvas_blend(canvas, x, y, colour, cover * alpha);
        }
}

/* Even-odd filling: four sub-rows a pixel, exact horizontal coverage. */
void canvas_poly(struct canvas *canvas, const struct point *points, int count, struct rgb colour,
                 float alpha)
{
    enum { SUB = 4, CROSSINGS = 64 };
    float      left = points[0].x, right = left, top = points[0].y, bottom = top;
    struct box box;
    float     *cover;

    for (int i = 1; i < count; i++) {
        left   = fminf(left, points[i].x);
        right  = fmaxf(right, points[i].x);
        top    = fminf(top, points[i].y);
        bottom = fmaxf(bottom, points[i].y);
    }
    box = clip(canvas, left, top, right, bottom);
    if (box.x0 >= box.x1)
        return;
    cover = g_new(float, (gsize)(box.x1 - box.x0));
    for (int y = box.y0; y < box.y1; y++) {
        memset(cover, 0, (size_t)(box.x1 - box.x0) * sizeof *cover);
        for (int sub = 0; sub < SUB; sub++) {
            float cross[CROSSINGS], at = (float)y + ((float)sub + 0.5f) / SUB;
            int   n = 0;

            for (int i = 0, j = count - 1; i < count; j = i++) {
                if ((points[i].y > at) == (points[j].y > at) || n == CROSSINGS)
                    continue;
                float x = points[i].x
                          + (at - points[i].y) / (points[j].y - points[i].y)
                                * (points[j].x - points[i].x);
                int k = n++;
                for (; k > 0 && cross[k - 1] > x; k--)
                    cross[k] = cross[k - 1];
                cross[k] = x;
            }
            for (int k = 0; k + 1 < n; k += 2)
                for (int x = (int)fmaxf(floorf(cross[k]), (float)box.x0);
                     x < box.x1 && (float)x < cross[k + 1]; x++)
                    cover[x - box.x0] += overlap(cross[k], cross[k + 1], x) / SUB;
        }
        for (int x = box.x0; x < box.x1; x++)
            if (cover[x - box.x0] > 0)
                canvas_blend(canvas, x, y, colour, clamp01(cover[x - box.x0]) * alpha);
    }
    g_free(cover);
}

void canvas_glow(struct canvas *canvas, float cx, float cy, float radius, struct rgb colour,
                 float strength)
{
    struct box box = clip(canvas, cx - radius, cy - radius, cx + radius, cy + radius);

    for (int y = box.y0; y < box.y1; y++)
        for (int x = box.x0; x < box.x1; x++) {
            float       dx = ((float)x + 0.5f - cx) / radius, dy = ((float)y + 0.5f - cy) / radius;
            float       d2 = dx * dx + dy * dy;
            struct rgb *p  = &canvas->px[(long)y * canvas->width + x];

            if (d2 >= 1)
                continue;
            float k = strength * (1 - d2) * (1 - d2) / (1 + 9 * d2);
            p->r += colour.r * k;
            p->g += colour.g * k;
            p->b += colour.b * k;
        }
}

/* One running-mean pass along a line of `count` pixels that are `step` apart. */
static void blur_line(struct rgb *line, struct rgb *copy, int count, int step, int reach)
{
    struct rgb sum   = { 0, 0, 0 };
    float      share = 1 / (float)(2 * reach + 1);

    for (int i = 0; i < count; i++)
        copy[i] = line[(long)i * step];
    for (int i = -reach; i <= reach; i++) {
        struct rgb p = copy[CLAMP(i, 0, count - 1)];
        sum          = (struct rgb) { sum.r + p.r, sum.g + p.g, sum.b + p.b };
    }
    for (int i = 0; i < count; i++) {
        struct rgb in = copy[MIN(i + reach + 1, count - 1)], out = copy[MAX(i - reach, 0)];

        line[(long)i * step] = rgb_scale(sum, share);
        sum = (struct rgb) { sum.r + in.r - out.r, sum.g + in.g - out.g, sum.b + in.b - out.b };
    }
}

void canvas_bloom(struct canvas *canvas, float threshold, float strength)
{
    int w = (canvas->width + 3) / 4, h = (canvas->height + 3) / 4, reach = MAX(2, h / 36);
    struct canvas *small = canvas_new(w, h);
    struct rgb    *copy  = g_new(struct rgb, (gsize)MAX(w, h));

    for (int y = 0; y < canvas->height; y++)
        for (int x = 0; x < canvas->width; x++) {
            struct rgb p    = canvas->px[(long)y * canvas->width + x];
            float      peak = fmaxf(p.r, fmaxf(p.g, p.b)),
                  k         = fmaxf(0, peak - threshold) / fmaxf(peak, 1e-4f) / 16;
            struct rgb *q   = &small->px[(long)(y / 4) * w + x / 4];

            *q = (struct rgb) { q->r + p.r * k, q->g + p.g * k, q->b + p.b * k };
        }
    for (int pass = 0; pass < 3; pass++) {
        for (int y = 0; y < h; y++)
            blur_line(&small->px[(long)y * w], copy, w, 1, reach);
        for (int x = 0; x < w; x++)
            blur_line(&small->px[x], copy, h, w, reach);
    }
    for (int y = 0; y < canvas->height; y++)
        for (int x = 0; x < canvas->width; x++) {
            float u = fmaxf(((float)x + 0.5f) / 4 - 0.5f, 0),
                  v = fmaxf(((float)y + 0.5f) / 4 - 0.5f, 0);
            int ix = MIN((int)u, w - 1), iy = MIN((int)v, h - 1), jx = MIN(ix + 1, w - 1),
                jy        = MIN(iy + 1, h - 1);
            float      fx = u - (float)ix, fy = v - (float)iy;
            struct rgb a = rgb_mix(small->px[(long)iy * w + ix], small->px[(long)iy * w + jx], fx);
            struct rgb b = rgb_mix(small->px[(long)jy * w + ix], small->px[(long)jy * w + jx], fx);
            struct rgb light = rgb_scale(rgb_mix(a, b, fy), strength),
                       *p    = &canvas->px[(long)y * canvas->width + x];

            *p = (struct rgb) { p->r + light.r, p->g + light.g, p->b + light.b };
        }
    g_free(copy);
    canvas_free(small);
}

void canvas_vignette(struct canvas *canvas, float strength)
{
    for (int y = 0; y < canvas->height; y++)
        for (int x = 0; x < canvas->width; x++) {
            float       u = 2 * ((float)x + 0.5f) / (float)canvas->width - 1;
            float       v = 2 * ((float)y + 0.5f) / (float)canvas->height - 1;
            struct rgb *p = &canvas->px[(long)y * canvas->width + x];

            *p = rgb_scale(*p, 1 - strength * smooth(0.5f, 2.0f, u * u + v * v));
        }
}

void canvas_mask(struct canvas *canvas, const uint8_t *mask, int width, int height, int left,
                 int top, struct rgb colour, float alpha)
{
    for (int y = MAX(0, -top); y < height && top + y < canvas->height; y++)
        for (int x = MAX(0, -left); x < width && left + x < canvas->width; x++)
            canvas_blend(canvas, left + x, top + y, colour,
                         alpha * (float)mask[(long)y * width + x] / 255);
}

/* Encoding by table: powf for every sample would cost more than the painting. */
enum { ENCODE_STEPS = 4096 };

static float *encode_table(void)
{
    float *table = g_new(float, ENCODE_STEPS + 2);

    for (int i = 0; i <= ENCODE_STEPS + 1; i++) { /* square-root spacing keeps the dark end fine */
        float root = (float)i / ENCODE_STEPS;
        table[i]   = 255 * srgb_encode(root * root);
    }
    return table;
}

static uint8_t encode(const float *table, float linear, float offset)
{
    float at    = sqrtf(clamp01(linear)) * ENCODE_STEPS;
    int   i     = (int)at;
    float value = table[i] + (table[i + 1] - table[i]) * (at - (float)i) + offset;

    return (uint8_t)CLAMP(value + 0.5f, 0, 255);
}

void canvas_to_bytes(const struct canvas *canvas, uint8_t *bytes, int bands, int stride_bytes,
                     float dither)
{
    float *table = encode_table();

    for (int y = 0; y < canvas->height; y++)
        for (int x = 0; x < canvas->width; x++) {
            uint8_t   *out = bytes + (long)y * stride_bytes + (long)x * bands;
            struct rgb p   = canvas->px[(long)y * canvas->width + x];
            float      grain =
                0.06711056f * (float)x + 0.00583715f * (float)y; /* interleaved gradient noise */

            grain  = 52.9829189f * (grain - floorf(grain));
            grain  = (grain - floorf(grain) - 0.5f) * dither;
            out[0] = encode(table, p.r, grain);
            out[1] = encode(table, p.g, grain);
            out[2] = encode(table, p.b, grain);
        }
    g_free(table);
}

void canvas_from_bytes(struct canvas *canvas, const uint8_t *bytes, int bands, int stride_bytes)
{
    float decode[256];

    for (int i = 0; i < 256; i++)
        decode[i] = srgb_decode((float)i / 255);
    for (int y = 0; y < canvas->height; y++)
        for (int x = 0; x < canvas->width; x++) {
            const uint8_t *in = bytes + (long)y * stride_bytes + (long)x * bands;

            canvas->px[(long)y * canvas->width + x] =
                (struct rgb) { decode[in[0]], decode[in[1]], decode[in[2]] };
        }
}
