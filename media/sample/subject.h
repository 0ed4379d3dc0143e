/*
 * subject: what the words of a prompt ask the painter for: a place, an hour, a weather, a hue, a
 * thing or two.
 *
 * It is a word list, nothing cleverer: words it does not know only change the chance (the PRNG
 * key).
 */
#ifndef MEDIA_SUBJECT_H
#define MEDIA_SUBJECT_H

#include <stdbool.h>

enum place {
    PLACE_NONE,
    PLACE_MOUNTAIN,
    PLACE_SEA,
    PLACE_FOREST,
    PLACE_CITY,
    PLACE_DESERT,
    PLACE_MEADOW,
    PLACE_SPACE,
    PLACE_FLOW,
    PLACES
};
enum hour { HOUR_NONE, HOUR_DAWN, HOUR_DAY, HOUR_SUNSET, HOUR_NIGHT, HOURS };
enum weather { WEATHER_CLEAR, WEATHER_SNOW, WEATHER_RAIN, WEATHER_MIST, WEATHER_CLOUD };

struct subject {
    enum place   place; /* PLACE_NONE, HOUR_NONE: not said, chance decides */
    enum hour    hour;
    enum weather weather;
    bool         has_hue;
    float        hue_deg; /* OKLCH hue of a colour word */
    bool         has_boat, has_lighthouse, has_birds, has_aurora, has_moon, has_flowers, has_lake;
};

struct subject subject_read(const char *prompt);
enum place     subject_place(
        const char *name); /* by its English name; PLACE_NONE when unknown or "auto" */
const char *subject_place_name(enum place place);
const char *subject_hour_name(enum hour hour);

#endif
