/*
 * canvas: a sheet of linear-light float RGB that scenes are painted on, with a few anti-aliased
 * shapes.
 *
 * Coordinates are pixels; x grows right, y down; shapes are clipped to the sheet. One owner:
 * canvas_free.
 */
#ifndef MEDIA_CANVAS_H
#define MEDIA_CANVAS_H

#include <stdint.h>

#include "media/files/colour.h"

struct canvas {
    int         width, height;
    struct rgb *px; /* row by row */
};

struct point {
    float x, y;
};

struct canvas *canvas_new(int width, int height);
void           canvas_free(struct canvas *canvas);

void canvas_disc(struct canvas *canvas, float cx, float cy, float radius, struct rgb colour,
                 float alpha);
void canvas_rect(struct canvas *canvas, float x0, float y0, float x1, float y1, struct rgb colour,
                 float alpha);
void canvas_round_rect(struct canvas *canvas, float x0, float y0, float x1, float y1, float radius,
                       float softness, struct rgb colour, float alpha);
void canvas_line(struct canvas *canvas, struct point from, struct point to, float width_from,
                 float width_to, struct rgb colour, float alpha);
void canvas_poly(struct canvas *canvas, const struct point *points, int count, struct rgb colour,
                 float alpha);
void canvas_glow(struct canvas *canvas, float cx, float cy, float radius, struct rgb colour,
                 float strength);
void canvas_bloom(struct canvas *canvas, float threshold,
                  float strength); /* bright places spill light */
void canvas_vignette(struct canvas *canvas, float strength);

/* Lays an 8-bit coverage mask (text) of the given size over the sheet. */
void canvas_mask(struct canvas *canvas, const uint8_t *mask, int width, int height, int left,
                 int top, struct rgb colour, float alpha);

/* Between the sheet and 8-bit sRGB with `bands` 3 or 4 (the fourth is left alone). Dithering hides
 * the steps of soft gradients; it is a fixed pattern, so the bytes stay reproducible. */
void canvas_to_bytes(const struct canvas *canvas, uint8_t *bytes, int bands, int stride_bytes,
                     float dither);
void canvas_from_bytes(struct canvas *canvas, const uint8_t *bytes, int bands, int stride_bytes);

static inline void canvas_blend(struct canvas *canvas, int x, int y, struct rgb colour, float alpha)
{
    struct rgb *p = &canvas->px[(long)y * canvas->width + x];

    *p = rgb_mix(*p, colour, alpha);
}

#endif
