/*
 * caption: text on a canvas, set by Pango through libvips.
 */
#ifndef MEDIA_CAPTION_H
#define MEDIA_CAPTION_H

#include <stdbool.h>

#include "media/files/canvas.h"

/* The prompt in a soft dark strip along the foot of the canvas, and a word on where it was made. */
void caption_strip(struct canvas *canvas, const char *text);

/* One line within a box, cut with an ellipsis where it does not fit; size_px is the height of the
 * font. */
void caption_line(struct canvas *canvas, const char *text, float left, float baseline_box_top,
                  float width, int size_px, struct rgb colour, float alpha, bool is_right_aligned);

#endif
