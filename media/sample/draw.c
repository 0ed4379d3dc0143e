/*
 * draw: the op that makes a picture: painted from the prompt, or, with input pictures, composed of
 * them.
 */
#include <string.h>

#include "media/sample/caption.h"
#include "media/sample/sample.h"
#include "media/sample/scene.h"

static json_t *draw_composed(struct request *request, const struct sketch_params *params,
                             struct fault *fault)
{
    struct pictures pictures;
    struct region   region;
    VipsImage      *image  = NULL;
    json_t         *answer = NULL;

    if (!pictures_load(&pictures, request, fault))
        return NULL;
    request_progress(request, 0.3f, "composing");
    image = compose(&pictures, request, params->has_caption, &region, fault);
    if (image != NULL && picture_save_png(image, "out/draw.png", 3, true, fault))
        answer = request_answer(
            request, "draw",
            json_pack("{s:b, s:i, s:i, s:i, s:{s:i, s:i, s:i, s:i}}", "composed", 1, "pictures",
                      pictures.count, "width", vips_image_get_width(image), "height",
                      vips_image_get_height(image), "region", "left", region.left, "top",
                      region.top, "width", region.width, "height", region.height),
            "out/draw.png", "work");
    if (image != NULL)
        g_object_unref(image);
    pictures_free(&pictures);
    return answer;
}

static json_t *draw_painted(struct request *request, const struct sketch_params *params,
                            struct fault *fault)
{
    struct canvas *canvas  = canvas_new(params->width, params->height);
    uint8_t       *pixels  = g_malloc((gsize)params->width * (gsize)params->height * 3);
    uint64_t       key     = sample_key(request);
    struct subject subject = subject_read(request->prompt);
    VipsImage     *image;
    json_t        *answer = NULL;

    if (strcmp(params->motif, "auto") != 0)
        subject.place = subject_place(params->motif);
    subject                = scene_decide(subject, key);
    request->progress_from = 0.05f;
    request->progress_to   = 0.85f;
    scene_paint(canvas, subject, key, sample_progress, request);
    if (params->has_caption)
        caption_strip(canvas, request->prompt);
    canvas_to_bytes(canvas, pixels, 3, params->width * 3, 1);
    canvas_free(canvas);
    image = picture_of(pixels, params->width, params->height, 3);
    g_free(pixels);
    request_progress(request, 0.9f, "writing");
    if (picture_save_png(image, "out/draw.png", 3, true, fault))
        answer = request_answer(request, "draw",
                                json_pack("{s:b, s:i, s:i, s:s, s:s}", "composed", 0, "width",
                                          params->width, "height", params->height, "motif",
                                          subject_place_name(subject.place), "hour",
                                          subject_hour_name(subject.hour)),
                                "out/draw.png", "work");
    g_object_unref(image);
    return answer;
}

json_t *op_draw(struct request *request, struct fault *fault)
{
    struct sketch_params params;

    if (!sketch_params(request, &params, fault))
        return NULL;
    return request->file_count > 0 ? draw_composed(request, &params, fault)
                                   : draw_painted(request, &params, fault);
}
