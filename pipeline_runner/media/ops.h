/*
 * ops: the ops of the tool protocol. Each reads a request and gives the answer for stdout, or NULL with *fault.
 */
#ifndef MEDIA_OPS_H
#define MEDIA_OPS_H

#include <jansson.h>

#include "fault.h"
#include "picture.h"
#include "request.h"

json_t *op_check(struct request *request, struct fault *fault);
json_t *op_prepare(struct request *request, struct fault *fault);
json_t *op_draw(struct request *request, struct fault *fault);
json_t *op_film(struct request *request, struct fault *fault);
json_t *op_speak(struct request *request, struct fault *fault);
json_t *op_finish(struct request *request, struct fault *fault);
json_t *op_furnish(struct request *request, struct fault *fault);
json_t *op_disclose(struct request *request, struct fault *fault);

/* The request's pictures, in order, at most PICTURES_MOST; each is g_object_unref'd by pictures_free. */
enum { PICTURES_MOST = 12, PICTURE_SIDE = 2048 };

struct pictures {
    VipsImage *image[PICTURES_MOST];
    int        count;
};

bool pictures_load(struct pictures *pictures, const struct request *request, struct fault *fault);
void pictures_free(struct pictures *pictures);

/* The sizes and switches of the ops: read by prepare too, so that a wrong one fails before any work is done. */
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

/* compose.c: paints the others, or a small scene, into one region of the base; all else keeps every bit. */
struct region {
    int left, top, width, height;
};

VipsImage *compose(const struct pictures *pictures, const struct request *request, bool has_caption,
                   struct region *region, struct fault *fault);

#endif
