/*
 * scene: paints what a wish asks for. sky.c does what is above the horizon, land.c what lies under it,
 * flow.c the pictures without a horizon; scene.c puts them together.
 *
 * Chance has one stream a subject (sky, land, weather): another hour over the same key is the same land.
 */
#ifndef MEDIA_SCENE_H
#define MEDIA_SCENE_H

#include <stdint.h>

#include "canvas.h"
#include "prng.h"
#include "wish.h"

struct scene {
    struct canvas *canvas;
    struct wish    wish; /* place and hour are decided by now */
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

/* The wish with chance's choice where it says nothing. */
struct wish scene_decide(struct wish wish, uint64_t key);

void scene_paint(struct canvas *canvas, struct wish wish, uint64_t key, scene_progress *progress,
                 void *context);

/* Parts, for scene.c */
void sky_light(struct scene *scene); /* fills the colours and the sun from the hour */
void sky_paint(struct scene *scene);
void sky_weather(struct scene *scene); /* snow, rain and mist in front of everything */
void land_paint(struct scene *scene);
void land_reflect(struct scene *scene, float from_y, float ripple, struct rgb tint,
                  float tint_share);
void flow_paint(struct scene *scene);
void space_paint(struct scene *scene);

#endif
