/* scene: the order of painting; see scene.h. */
#include "media/sample/scene.h"

#include <stddef.h>

#include <glib.h>

struct subject scene_decide(struct subject subject, uint64_t key)
{
    struct prng             prng     = prng_of(key, "decide");
    static const enum place places[] = { PLACE_FLOW,     PLACE_FLOW, PLACE_FLOW,
                                         PLACE_MOUNTAIN, PLACE_SEA,  PLACE_MEADOW };
    static const enum hour  hours[] = { HOUR_DAWN, HOUR_DAY, HOUR_SUNSET, HOUR_SUNSET, HOUR_NIGHT };
    enum place              place   = places[prng_below(&prng, G_N_ELEMENTS(places))];
    enum hour               hour    = hours[prng_below(&prng, G_N_ELEMENTS(hours))];

    if (subject.place == PLACE_NONE)
        subject.place = place;
    if (subject.hour == HOUR_NONE)
        subject.hour = hour;
    return subject;
}

void scene_paint(struct canvas *canvas, struct subject subject, uint64_t key,
                 scene_progress *progress, void *context)
{
    struct scene scene = { .canvas  = canvas,
                           .subject = scene_decide(subject, key),
                           .key     = key,
                           .unit    = (float)MIN(canvas->width, canvas->height) };

    sky_light(&scene);
    if (scene.subject.place == PLACE_FLOW) {
        abstract_paint(&scene);
    } else if (scene.subject.place == PLACE_SPACE) {
        abstract_paint_space(&scene);
    } else {
        sky_paint(&scene);
        progress(context, 0.4f);
        terrain_paint(&scene);
        progress(context, 0.7f);
        sky_weather(&scene);
    }
    progress(context, 0.8f);
    canvas_bloom(canvas, 0.86f, 0.30f);
    canvas_vignette(canvas, 0.30f);
    progress(context, 1);
}
