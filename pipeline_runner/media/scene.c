/* scene: the order of painting; see scene.h. */
#include "scene.h"

#include <stddef.h>

#include <glib.h>

struct wish scene_decide(struct wish wish, uint64_t key)
{
    struct prng             prng     = prng_of(key, "decide");
    static const enum place places[] = { PLACE_FLOW,     PLACE_FLOW, PLACE_FLOW,
                                         PLACE_MOUNTAIN, PLACE_SEA,  PLACE_MEADOW };
    static const enum hour  hours[] = { HOUR_DAWN, HOUR_DAY, HOUR_SUNSET, HOUR_SUNSET, HOUR_NIGHT };
    enum place              place   = places[prng_below(&prng, G_N_ELEMENTS(places))];
    enum hour               hour    = hours[prng_below(&prng, G_N_ELEMENTS(hours))];

    if (wish.place == PLACE_NONE)
        wish.place = place;
    if (wish.hour == HOUR_NONE)
        wish.hour = hour;
    return wish;
}

void scene_paint(struct canvas *canvas, struct wish wish, uint64_t key, scene_progress *progress,
                 void *context)
{
    struct scene scene = { .canvas = canvas,
                           .wish   = scene_decide(wish, key),
                           .key    = key,
                           .unit   = (float)MIN(canvas->width, canvas->height) };

    sky_light(&scene);
    if (scene.wish.place == PLACE_FLOW) {
        flow_paint(&scene);
    } else if (scene.wish.place == PLACE_SPACE) {
        space_paint(&scene);
    } else {
        sky_paint(&scene);
        progress(context, 0.4f);
        land_paint(&scene);
        progress(context, 0.7f);
        sky_weather(&scene);
    }
    progress(context, 0.8f);
    canvas_bloom(canvas, 0.86f, 0.30f);
    canvas_vignette(canvas, 0.30f);
    progress(context, 1);
}
