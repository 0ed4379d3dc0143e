/*
 * disclose: the op that says on the picture itself, and in its file, that it was altered. The label
 * is burnt in at the lower right, in a box of its own that makes it legible on any ground; every
 * other pixel stays. Beside each file lies the same picture without the label ("clean"), for who
 * answers for what he does with it; both carry the note in their metadata.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "media/files/canvas.h"
#include "media/files/mark.h"
#include "media/ops.h"
#include "media/files/picture.h"
#include "media/sample/sample.h"
#include "media/files/probe.h"

enum { DISCLOSE_SIDE = 8192, TEXT_MOST = 200, FILES_MOST = 16 };

static const char trained[] = "compositeWithTrainedAlgorithmicMedia";
static const char synthetic[] =
    "compositeSynthetic"; /* drawn by plain programs: nothing was trained */

struct disclosure {
    char       *label; /* burnt in */
    char       *note;  /* in the file */
    const char *source;
    bool        is_local;
    const char *format; /* jpeg, png or webp */
    int         quality;
};

/* input.disclosure, else config.text, else the usual words. An empty one is refused: the label
 * cannot be wished away. */
static bool disclosure_read(const struct request *request, struct disclosure *d,
                            struct fault *fault)
{
    static const char *const formats[] = { "jpeg", "png", "webp", NULL };
    const json_t            *asked     = json_object_get(request->input, "disclosure");
    const char              *text;

    if (asked == NULL || json_is_null(asked))
        asked = json_object_get(request->config, "text");
    text = asked == NULL || json_is_null(asked) ? "Virtually staged" : json_string_value(asked);
    if (text == NULL || *text == '\0' || !g_utf8_validate(text, -1, NULL)
        || g_utf8_strlen(text, -1) > TEXT_MOST || text[strspn(text, " \t\r\n")] == '\0')
        return fault_set(fault, EXIT_INVALID, "/disclosure: must be a text of 1 to %d characters",
                         TEXT_MOST);
    if (!request_choice(request, "format", formats, &d->format, fault)
        || !request_integer(request, "quality", 90, 1, 100, &d->quality, fault))
        return false;
    d->is_local = sample_is_local(request);
    d->source   = d->is_local ? synthetic : trained;
    d->label    = d->is_local ? g_strdup_printf("%s \u00b7 local sample", text) : g_strdup(text);
    for (char *c = d->label; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    d->note = g_strdup_printf(
        "%s. This picture was digitally altered; the unaltered original is kept.%s%s", text,
        d->is_local ? " " : "", d->is_local ? MARK_LOCAL_TEXT : "");
    return true;
}

/* The label's letters as coverage, at most `width` wide: smaller first, down to 11 pixels, then in
 * lines. */
static VipsImage *letters(const char *label, int size_px, int width, int height,
                          struct fault *fault)
{
    char      *markup = g_markup_escape_text(label, -1);
    VipsImage *mask   = NULL;

    for (;;) {
        char *font    = g_strdup_printf("DejaVu Sans Bold %d", size_px);
        bool  is_last = size_px <= 11;
        int   failed  = is_last ? vips_text(&mask, markup, "font", font, "dpi", 72, "width", width,
                                            "wrap", VIPS_TEXT_WRAP_WORD_CHAR, NULL)
                                : vips_text(&mask, markup, "font", font, "dpi", 72, NULL);

        g_free(font);
        if (failed != 0 || is_last || vips_image_get_width(mask) <= width)
            break;
        size_px = MAX(11, MIN(size_px - 1, size_px * width / vips_image_get_width(mask)));
        g_clear_object(&mask);
    }
    g_free(markup);
    /* Where even that is too much, the whole label is made smaller: a part of it would say
     * something else. */
    if (mask != NULL
        && (vips_image_get_width(mask) > width || vips_image_get_height(mask) > height)) {
        VipsImage *small = NULL;
        double     scale = fmin((double)width / vips_image_get_width(mask),
                                (double)height / vips_image_get_height(mask));

        if (vips_resize(mask, &small, scale, NULL) != 0)
            small = NULL;
        g_object_unref(mask);
        mask = small;
    }
    if (mask == NULL)
        fault_vips(fault, EXIT_TRANSIENT, "the label cannot be set");
    return mask;
}

/* The label's box on its own pixels; everything outside *box keeps every bit. */
static VipsImage *labelled(VipsImage *image, const char *label, struct region *box,
                           struct fault *fault)
{
    int width = vips_image_get_width(image), height = vips_image_get_height(image),
        bands = vips_image_get_bands(image), unit = MIN(width, height);
    int size = MAX(11, MIN(unit / 26, 120)), margin = MIN(size / 2, unit / 16),
        pad             = MAX(1, MIN(size / 2, unit / 16));
    VipsImage     *done = NULL, *mask = letters(label, size, MAX(1, width - 2 * margin - 2 * pad),
                                                MAX(1, height - 2 * margin - 2 * pad), fault);
    size_t         bytes, letter_bytes;
    uint8_t       *pixels, *cover, *corner;
    struct canvas *canvas;

    if (mask == NULL)
        return NULL;
    box->width  = MIN(width, vips_image_get_width(mask) + 2 * pad);
    box->height = MIN(height, vips_image_get_height(mask) + 2 * pad);
    box->left   = MAX(0, width - box->width - margin);
    box->top    = MAX(0, height - box->height - margin);
    pixels      = vips_image_write_to_memory(image, &bytes);
    cover       = vips_image_write_to_memory(mask, &letter_bytes);
    if (pixels == NULL || cover == NULL || bands < 3 || vips_image_get_bands(mask) != 1) {
        fault_vips(fault, EXIT_TRANSIENT, "the picture cannot be labelled");
    } else {
        corner = pixels + ((long)box->top * width + box->left) * bands;
        canvas = canvas_new(box->width, box->height);
        canvas_from_bytes(canvas, corner, bands, width * bands);
        canvas_rect(canvas, 0, 0, (float)box->width, (float)box->height, rgb_hex(0x0c0e14), 0.94f);
        canvas_mask(canvas, cover, vips_image_get_width(mask), vips_image_get_height(mask), pad,
                    pad, rgb_hex(0xffffff), 1);
        canvas_to_bytes(canvas, corner, bands, width * bands, 0);
        canvas_free(canvas);
        for (int y = 0; bands == 4 && y < box->height; y++) /* no see-through label */
            for (int x = 0; x < box->width; x++)
                corner[((long)y * width + x) * 4 + 3] = 255;
        done = picture_of(pixels, width, height, bands);
    }
    g_free(pixels);
    g_free(cover);
    g_object_unref(mask);
    return done;
}

static bool save(VipsImage *image, const struct disclosure *d, const char *name, char path[40],
                 struct fault *fault)
{
    VipsImage *copy =
        mark_picture(image, d->is_local ? MARK_LOCAL_TITLE : d->label, d->note, d->source);
    bool is_jpeg = strcmp(d->format, "jpeg") == 0, ok;

    snprintf(path, 40, "out/%s.%s", name, is_jpeg ? "jpg" : d->format);
    if (copy == NULL)
        return fault_vips(fault, EXIT_TRANSIENT, "the picture cannot be marked");
    ok = is_jpeg                          ? picture_save_jpeg(copy, path, d->quality, fault)
         : strcmp(d->format, "webp") == 0 ? picture_save_webp(copy, path, d->quality, fault)
                                          : picture_save_png(copy, path, 6, false, fault);
    g_object_unref(copy);
    return ok;
}

/* One picture: two files, and what was done to the one. */
static bool disclose_file(const struct request *request, const struct disclosure *d, int i,
                          json_t *media, json_t *facts, struct fault *fault)
{
    char          name[24], path[40], clean[40];
    struct region box   = { 0 };
    struct probe  probe = { 0 };
    VipsImage    *image = picture_load(request->files[i].file, DISCLOSE_SIDE, fault), *done = NULL;
    bool          ok = image != NULL;

    if (ok) {
        snprintf(name, sizeof name, "clean-%d", i);
        done = labelled(image, d->label, &box, fault);
        ok   = done != NULL && save(image, d, name, clean, fault);
        snprintf(name, sizeof name, "image-%d", i);
        ok = ok && save(done, d, name, path, fault);
    }
    g_clear_object(&done);
    g_clear_object(&image);
    if (!ok)
        return false;
    if (!probe_file(path, NULL, &probe, fault) || !probe_file(clean, NULL, &probe, fault)) {
        fault->exit_code = EXIT_TRANSIENT; /* our own file: not the user's fault */
        return false;
    }
    json_array_append_new(
        media, json_pack("{s:s, s:s, s:s}", "file", path, "clean", clean, "role", "output"));
    json_array_append_new(facts, json_pack("{s:i, s:i, s:i, s:i}", "left", box.left, "top", box.top,
                                           "width", box.width, "height", box.height));
    return true;
}

json_t *op_disclose(struct request *request, struct fault *fault)
{
    struct disclosure d     = { .format = "jpeg" };
    json_t           *media = json_array(), *boxes = json_array(), *answer = NULL;
    bool              ok;

    ok = request->file_count > 0 && request->file_count <= FILES_MOST
             ? disclosure_read(request, &d, fault)
             : fault_set(fault, EXIT_INVALID, "/media: must be 1 to %d pictures", FILES_MOST);
    for (int i = 0; ok && i < request->file_count; i++) {
        request_progress(request, (float)i / (float)request->file_count, "labelling");
        ok = disclose_file(request, &d, i, media, boxes, fault);
    }
    if (ok) {
        answer = request_answer(request, "disclose",
                                json_pack("{s:s, s:s, s:s, s:b, s:O}", "text", d.label,
                                          "description", d.note, "digital_source_type", d.source,
                                          "local_sample", d.is_local, "boxes", boxes),
                                NULL, NULL);
        json_object_set(answer, "media", media);
    }
    json_decref(media);
    json_decref(boxes);
    g_free(d.label);
    g_free(d.note);
    return answer;
}
