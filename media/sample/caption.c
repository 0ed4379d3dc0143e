/* caption: Pango text; see caption.h. */
#include "media/sample/caption.h"

#include <math.h>

#include <vips/vips.h>

enum { TEXT_MOST = 160 };

/* The first `characters` of the text as markup-safe one-liner; an ellipsis stands for the rest. */
static char *as_markup(const char *text, glong characters)
{
    glong length = g_utf8_strlen(text, -1);
    char *head   = g_utf8_substring(text, 0, MIN(length, characters)), *escaped, *markup;

    for (char *c = head; *c != '\0'; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    escaped = g_markup_escape_text(g_strchomp(head), -1);
    markup  = g_strconcat(escaped, length > characters ? "\u2026" : "", NULL);
    g_free(head);
    g_free(escaped);
    return markup;
}

static VipsImage *set(const char *text, glong characters, int size_px)
{
    char *markup = as_markup(text, characters), *font = g_strdup_printf("DejaVu Sans %d", size_px);
    VipsImage *mask = NULL;

    if (vips_text(&mask, markup, "font", font, "dpi", 72, NULL) != 0) {
        vips_error_clear(); /* a caption is not worth failing for */
        mask = NULL;
    }
    g_free(markup);
    g_free(font);
    return mask;
}

void caption_line(struct canvas *canvas, const char *text, float left, float top, float width,
                  int size_px, struct rgb colour, float alpha, bool is_right_aligned)
{
    glong      characters = MIN(g_utf8_strlen(text, -1), TEXT_MOST);
    VipsImage *mask       = characters > 0 ? set(text, characters, size_px) : NULL;

    while (mask != NULL && (float)vips_image_get_width(mask) > width && characters > 3) {
        glong fewer = (glong)((float)characters * width / (float)vips_image_get_width(mask));

        characters = MAX(3, MIN(characters - 1, fewer));
        g_object_unref(mask);
        mask = set(text, characters, size_px);
    }
    if (mask == NULL)
        return;
    size_t   bytes  = 0;
    uint8_t *pixels = vips_image_write_to_memory(mask, &bytes);
    int      w = vips_image_get_width(mask), h = vips_image_get_height(mask);

    if (pixels != NULL && vips_image_get_bands(mask) == 1)
        canvas_mask(canvas, pixels, w, h,
                    (int)lroundf(is_right_aligned ? left + width - (float)w : left),
                    (int)lroundf(top) + (size_px - h) / 2, colour, alpha);
    g_free(pixels);
    g_object_unref(mask);
}

void caption_strip(struct canvas *canvas, const char *text)
{
    int   size = MAX(10, MIN(canvas->width, canvas->height) / 40);
    float w = (float)canvas->width, h = (float)canvas->height, tall = (float)size * 3.4f,
          side = (float)size * 1.1f;

    for (int y = MAX(0, (int)(h - tall)); y < canvas->height; y++) {
        float k = 0.62f * smooth(h - tall, h - tall * 0.25f, (float)y);
        for (int x = 0; x < canvas->width; x++)
            canvas_blend(canvas, x, y, (struct rgb) { 0.004f, 0.005f, 0.010f }, k);
    }
    caption_line(canvas, text, side, h - (float)size * 1.85f, w * 0.70f - side, size,
                 rgb_hex(0xffffff), 0.95f, false);
    caption_line(canvas, "Kiln local sample", w * 0.72f, h - (float)size * 1.85f, w * 0.28f - side,
                 size * 4 / 5, rgb_hex(0xffffff), 0.62f, true);
}
