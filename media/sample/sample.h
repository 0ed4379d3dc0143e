/*
 * sample: the renderer of the demo. It makes pictures, films and recordings on this machine, at no
 * cost, for trying and testing.
 *
 * Its ops read a request of the tool protocol and give the answer for stdout, or NULL with *fault.
 */
#ifndef MEDIA_SAMPLE_H
#define MEDIA_SAMPLE_H

#include <jansson.h>

#include "media/tool/fault.h"
#include "media/files/picture.h"
#include "media/tool/request.h"

json_t *op_draw(struct request *request, struct fault *fault);
json_t *op_film(struct request *request, struct fault *fault);
json_t *op_speak(struct request *request, struct fault *fault);
json_t *op_furnish(struct request *request, struct fault *fault);

/* What chance grows from: prompt, seed and params, without those that only say how the file is
 * written and how large it is, so the same picture can be had in another size or format. */
uint64_t sample_key(const struct request *request);

/* Whether what the stages before handed over was made here, by our own ops: their findings lie in
 * the input, and a provider's stage hands none of them on. The one rule of what may be called a
 * local sample: finish and disclose note it in the output, where kiln_internal.is_local_sample()
 * reads it. */
bool sample_is_local(const struct request *request);

/* A scene_progress whose context is the request: scales to the part of the work under way. */
void sample_progress(void *context, float done);

/* The request's pictures, in order, at most PICTURES_MOST; each is g_object_unref'd by
 * pictures_free. */
enum { PICTURES_MOST = 12, PICTURE_SIDE = 2048 };

struct pictures {
    VipsImage *image[PICTURES_MOST];
    int        count;
};

bool pictures_load(struct pictures *pictures, const struct request *request, struct fault *fault);
void pictures_free(struct pictures *pictures);

/* The sizes and switches of the ops: read by prepare too, so that a wrong one fails before any work
 * is done. */
struct film_params {
    int    width, height, fps;
    double duration_s;
    bool   has_caption;
};

struct speech_params {
    const char *voice, *format;
    int         speed, pitch;
};

struct sketch_params {
    int         width, height, quality;
    const char *format, *motif;
    bool        has_caption;
};

bool sketch_params(const struct request *request, struct sketch_params *params,
                   struct fault *fault);
bool film_params(const struct request *request, struct film_params *params, struct fault *fault);
bool speech_params(const struct request *request, struct speech_params *params,
                   struct fault *fault);

/* compose.c: paints the others, or a small scene, into one region of the base; all else keeps every
 * bit. */
struct region {
    int left, top, width, height;
};

VipsImage *compose(const struct pictures *pictures, const struct request *request, bool has_caption,
                   struct region *region, struct fault *fault);

#endif
