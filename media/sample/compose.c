/*
 * compose: the first picture is the base; the others are laid as cards into one region in its lower
 * right corner, with the prompt below. With one picture the card is a small scene drawn from the
 * prompt. Outside the region no bit changes: only the region's own pixels are read, painted on and
 * written back.
 */
#include <math.h>
#include <string.h>

#include "media/sample/caption.h"
#include "media/sample/sample.h"
#include "media/sample/scene.h"

static void no_progress(void *context, float done)
{
    (void)context;
    (void)done;
}

/* A card: shadow, white border, picture. */
static void card(struct canvas *canvas, const uint8_t *pixels, int x0, int y0, int width,
                 int height, float unit)
{
    struct canvas *picture = canvas_new(width, height);
    float          border = fmaxf(2, unit * 0.025f), x = (float)x0, y = (float)y0, w = (float)width,
          h = (float)height;

    canvas_from_bytes(picture, pixels, 3, width * 3);
    canvas_round_rect(canvas, x - border, y - border + unit * 0.02f, x + w + border,
                      y + h + border + unit * 0.02f, border, unit * 0.045f,
                      (struct rgb) { 0, 0, 0 }, 0.45f);
    canvas_round_rect(canvas, x - border, y - border, x + w + border, y + h + border, border * 0.8f,
                      0, rgb_hex(0xfdfcf8), 1);
    for (int row = 0; row < height; row++)
        for (int column = 0; column < width; column++)
            canvas_blend(canvas, x0 + column, y0 + row, picture->px[(long)row * width + column], 1);
    canvas_free(picture);
}

/* The pixels of card i: one of the other pictures, or the scene. */
static uint8_t *card_pixels(const struct pictures *pictures, const struct request *request, int i,
                            int side, struct fault *fault)
{
    uint8_t *pixels = NULL;
    size_t   bytes;

    if (pictures->count == 1) {
        struct canvas *canvas = canvas_new(side, side);
        uint64_t       key    = sample_key(request);

        pixels = g_malloc((gsize)side * (gsize)side * 3);
        scene_paint(canvas, subject_read(request->prompt), key, no_progress, NULL);
        canvas_to_bytes(canvas, pixels, 3, side * 3, 1);
        canvas_free(canvas);
        return pixels;
    }
    VipsImage *small = picture_cover(pictures->image[i + 1], side, side, fault);
    if (small == NULL)
        return NULL;
    if (vips_image_get_bands(small) == 3)
        pixels = vips_image_write_to_memory(small, &bytes);
    g_object_unref(small);
    if (pixels == NULL)
        fault_vips(fault, EXIT_TRANSIENT, "a picture cannot be scaled");
    return pixels;
}

VipsImage *compose(const struct pictures *pictures, const struct request *request, bool has_caption,
                   struct region *region, struct fault *fault)
{
    VipsImage *base = pictures->image[0], *done = NULL;
    int        width = vips_image_get_width(base), height = vips_image_get_height(base),
        bands = vips_image_get_bands(base);
    int cards = MAX(1, pictures->count - 1), columns = MIN(cards, 4),
        rows = (cards + columns - 1) / columns;
    int unit = MIN(width, height);
    int side = MAX(8, (int)fminf((float)unit * 0.26f,
                                 fminf((float)width * 0.80f / (1.12f * (float)columns + 0.12f),
                                       (float)height * 0.55f / (1.12f * (float)rows + 0.3f))));
    int gap = MAX(2, side * 12 / 100), size = MAX(8, side / 11),
        line = has_caption && request->prompt[0] != '\0' ? size * 2 : 0;
    size_t bytes;

    region->width  = MIN(width, columns * (side + gap) + gap);
    region->height = MIN(height, rows * (side + gap) + gap + line);
    region->left   = MAX(0, width - region->width - unit / 40);
    region->top    = MAX(0, height - region->height - unit / 40);

    uint8_t       *pixels = vips_image_write_to_memory(base, &bytes);
    struct canvas *canvas = canvas_new(region->width, region->height);
    bool           ok     = pixels != NULL && bands >= 3;

    if (ok) {
        uint8_t *corner = pixels + ((long)region->top * width + region->left) * bands;

        canvas_from_bytes(canvas, corner, bands, width * bands);
        canvas_round_rect(canvas, 0, 0, (float)region->width, (float)region->height, (float)gap, 0,
                          rgb_hex(0x10121c), 0.34f);
        for (int i = 0; i < cards && ok; i++) {
            uint8_t *picture = card_pixels(pictures, request, i, side, fault);

            ok = picture != NULL;
            if (ok && gap + (i % columns) * (side + gap) + side <= region->width
                && gap + (i / columns) * (side + gap) + side <= region->height)
                card(canvas, picture, gap + (i % columns) * (side + gap),
                     gap + (i / columns) * (side + gap), side, side, (float)side);
            g_free(picture);
        }
        if (line > 0)
            caption_line(canvas, request->prompt, (float)gap,
                         (float)(region->height - line) - (float)gap * 0.3f + (float)size * 0.4f,
                         (float)(region->width - 2 * gap), size, rgb_hex(0xffffff), 0.95f, false);
        canvas_to_bytes(canvas, corner, bands, width * bands, 0);
        if (bands == 4) /* a see-through base: the region is laid on solidly */
            for (int y = 0; y < region->height; y++)
                for (int x = 0; x < region->width; x++)
                    corner[((long)y * width + x) * 4 + 3] = 255;
        if (ok)
            done = picture_of(pixels, width, height, bands);
    } else {
        fault_vips(fault, EXIT_TRANSIENT, "the base picture cannot be read");
    }
    canvas_free(canvas);
    g_free(pixels);
    return done;
}
