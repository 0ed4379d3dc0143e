/*
 * scene: paints a subject. sky.c paints what is above the horizon, terrain.c what lies below it,
 * abstract.c the pictures without a horizon; scene.c puts the parts together.
 *
 * Each part (sky, land, weather) has a sequence of random numbers of its own: another hour over the
 * same key shows the same land.
 */
#ifndef MEDIA_SCENE_H
#define MEDIA_SCENE_H

#include <stdint.h>

#include "media/files/canvas.h"
#include "media/sample/prng.h"
#include "media/sample/subject.h"

struct scene {
    struct canvas *canvas;
    struct subject subject; /* place and hour are decided by now */
    uint64_t       key;
    float          unit;    /* pixels: the shorter side, what sizes are told in */
    float          horizon; /* pixels from the top */
    struct ramp    sky;     /* zenith .. horizon */
    struct rgb     sun, haze,
        dark; /* its light; what far things fade to; what near things start from */
    struct point sun_at;
    float        sun_radius;
    float        stars, lamps; /* 0 .. 1: how many of them are lit */
};

/* Tells how far painting has come, 0 .. 1. */
typedef void scene_progress(void *context, float done);

/* The subject with chance's choice where it says nothing. */
struct subject scene_decide(struct subject subject, uint64_t key);

void scene_paint(struct canvas *canvas, struct subject subject, uint64_t key,
                 scene_progress *progress, void *context);

/* Parts, for scene.c */
void sky_light(struct scene *scene); /* fills the colours and the sun from the hour */
void sky_paint(struct scene *scene);
void sky_weather(struct scene *scene); /* snow, rain and mist in front of everything */
void terrain_paint(struct scene *scene);
void terrain_reflect(struct scene *scene, float from_y, float ripple, struct rgb tint,
                     float tint_share);
void abstract_paint(struct scene *scene);
void abstract_paint_space(struct scene *scene);

#endif
