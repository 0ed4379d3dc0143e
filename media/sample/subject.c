/* subject: a table of words; see subject.h. */
#include "media/sample/subject.h"

#include <string.h>

#include <glib.h>

enum field { PLACE, HOUR, WEATHER, HUE, BOAT, LIGHTHOUSE, BIRDS, AURORA, MOON, FLOWERS, LAKE };

static const struct word {
    const char *text;
    enum field  field;
    int         value;
} words[] = {
    { "mountain", PLACE, PLACE_MOUNTAIN },
    { "mountains", PLACE, PLACE_MOUNTAIN },
    { "alps", PLACE, PLACE_MOUNTAIN },
    { "peak", PLACE, PLACE_MOUNTAIN },
    { "peaks", PLACE, PLACE_MOUNTAIN },
    { "summit", PLACE, PLACE_MOUNTAIN },
    { "valley", PLACE, PLACE_MOUNTAIN },
    { "glacier", PLACE, PLACE_MOUNTAIN },
    { "cliff", PLACE, PLACE_MOUNTAIN },
    { "volcano", PLACE, PLACE_MOUNTAIN },
    { "ridge", PLACE, PLACE_MOUNTAIN },
    { "fjord", PLACE, PLACE_MOUNTAIN },
    { "fjord", LAKE, 1 },
    { "lake", PLACE, PLACE_MOUNTAIN },
    { "lake", LAKE, 1 },
    { "sea", PLACE, PLACE_SEA },
    { "ocean", PLACE, PLACE_SEA },
    { "beach", PLACE, PLACE_SEA },
    { "coast", PLACE, PLACE_SEA },
    { "harbour", PLACE, PLACE_SEA },
    { "harbor", PLACE, PLACE_SEA },
    { "island", PLACE, PLACE_SEA },
    { "wave", PLACE, PLACE_SEA },
    { "waves", PLACE, PLACE_SEA },
    { "water", PLACE, PLACE_SEA },
    { "ship", PLACE, PLACE_SEA },
    { "ship", BOAT, 1 },
    { "boat", PLACE, PLACE_SEA },
    { "boat", BOAT, 1 },
    { "sailboat", PLACE, PLACE_SEA },
    { "sailboat", BOAT, 1 },
    { "sail", BOAT, 1 },
    { "sailing", PLACE, PLACE_SEA },
    { "sailing", BOAT, 1 },
    { "harbour", BOAT, 1 },
    { "lighthouse", PLACE, PLACE_SEA },
    { "lighthouse", LIGHTHOUSE, 1 },
    { "forest", PLACE, PLACE_FOREST },
    { "wood", PLACE, PLACE_FOREST },
    { "woods", PLACE, PLACE_FOREST },
    { "tree", PLACE, PLACE_FOREST },
    { "trees", PLACE, PLACE_FOREST },
    { "pine", PLACE, PLACE_FOREST },
    { "pines", PLACE, PLACE_FOREST },
    { "fir", PLACE, PLACE_FOREST },
    { "jungle", PLACE, PLACE_FOREST },
    { "fox", PLACE, PLACE_FOREST },
    { "deer", PLACE, PLACE_FOREST },
    { "city", PLACE, PLACE_CITY },
    { "town", PLACE, PLACE_CITY },
    { "skyline", PLACE, PLACE_CITY },
    { "street", PLACE, PLACE_CITY },
    { "building", PLACE, PLACE_CITY },
    { "buildings", PLACE, PLACE_CITY },
    { "tower", PLACE, PLACE_CITY },
    { "towers", PLACE, PLACE_CITY },
    { "skyscraper", PLACE, PLACE_CITY },
    { "neon", PLACE, PLACE_CITY },
    { "downtown", PLACE, PLACE_CITY },
    { "desert", PLACE, PLACE_DESERT },
    { "dune", PLACE, PLACE_DESERT },
    { "dunes", PLACE, PLACE_DESERT },
    { "sand", PLACE, PLACE_DESERT },
    { "sahara", PLACE, PLACE_DESERT },
    { "camel", PLACE, PLACE_DESERT },
    { "canyon", PLACE, PLACE_DESERT },
    { "meadow", PLACE, PLACE_MEADOW },
    { "field", PLACE, PLACE_MEADOW },
    { "fields", PLACE, PLACE_MEADOW },
    { "hill", PLACE, PLACE_MEADOW },
    { "hills", PLACE, PLACE_MEADOW },
    { "garden", PLACE, PLACE_MEADOW },
    { "garden", FLOWERS, 1 },
    { "flower", PLACE, PLACE_MEADOW },
    { "flower", FLOWERS, 1 },
    { "flowers", PLACE, PLACE_MEADOW },
    { "flowers", FLOWERS, 1 },
    { "grass", PLACE, PLACE_MEADOW },
    { "spring", PLACE, PLACE_MEADOW },
    { "spring", FLOWERS, 1 },
    { "countryside", PLACE, PLACE_MEADOW },
    { "farm", PLACE, PLACE_MEADOW },
    { "vineyard", PLACE, PLACE_MEADOW },
    { "landscape", PLACE, PLACE_MEADOW },
    { "space", PLACE, PLACE_SPACE },
    { "planet", PLACE, PLACE_SPACE },
    { "planets", PLACE, PLACE_SPACE },
    { "galaxy", PLACE, PLACE_SPACE },
    { "nebula", PLACE, PLACE_SPACE },
    { "cosmos", PLACE, PLACE_SPACE },
    { "universe", PLACE, PLACE_SPACE },
    { "astronaut", PLACE, PLACE_SPACE },
    { "rocket", PLACE, PLACE_SPACE },
    { "saturn", PLACE, PLACE_SPACE },
    { "abstract", PLACE, PLACE_FLOW },
    { "flow", PLACE, PLACE_FLOW },
    { "pattern", PLACE, PLACE_FLOW },
    { "dream", PLACE, PLACE_FLOW },
    { "music", PLACE, PLACE_FLOW },
    { "wind", PLACE, PLACE_FLOW },
    { "dawn", HOUR, HOUR_DAWN },
    { "sunrise", HOUR, HOUR_DAWN },
    { "morning", HOUR, HOUR_DAWN },
    { "day", HOUR, HOUR_DAY },
    { "noon", HOUR, HOUR_DAY },
    { "sunny", HOUR, HOUR_DAY },
    { "summer", HOUR, HOUR_DAY },
    { "bright", HOUR, HOUR_DAY },
    { "sunset", HOUR, HOUR_SUNSET },
    { "dusk", HOUR, HOUR_SUNSET },
    { "evening", HOUR, HOUR_SUNSET },
    { "autumn", HOUR, HOUR_SUNSET },
    { "golden", HOUR, HOUR_SUNSET },
    { "twilight", HOUR, HOUR_SUNSET },
    { "night", HOUR, HOUR_NIGHT },
    { "midnight", HOUR, HOUR_NIGHT },
    { "star", HOUR, HOUR_NIGHT },
    { "stars", HOUR, HOUR_NIGHT },
    { "starry", HOUR, HOUR_NIGHT },
    { "dark", HOUR, HOUR_NIGHT },
    { "moon", HOUR, HOUR_NIGHT },
    { "moon", MOON, 1 },
    { "moonlight", HOUR, HOUR_NIGHT },
    { "moonlight", MOON, 1 },
    { "aurora", HOUR, HOUR_NIGHT },
    { "aurora", AURORA, 1 },
    { "northern", AURORA, 1 },
    { "northern", HOUR, HOUR_NIGHT },
    { "snow", WEATHER, WEATHER_SNOW },
    { "snowy", WEATHER, WEATHER_SNOW },
    { "winter", WEATHER, WEATHER_SNOW },
    { "ice", WEATHER, WEATHER_SNOW },
    { "rain", WEATHER, WEATHER_RAIN },
    { "rainy", WEATHER, WEATHER_RAIN },
    { "storm", WEATHER, WEATHER_RAIN },
    { "mist", WEATHER, WEATHER_MIST },
    { "misty", WEATHER, WEATHER_MIST },
    { "fog", WEATHER, WEATHER_MIST },
    { "foggy", WEATHER, WEATHER_MIST },
    { "cloud", WEATHER, WEATHER_CLOUD },
    { "clouds", WEATHER, WEATHER_CLOUD },
    { "cloudy", WEATHER, WEATHER_CLOUD },
    { "bird", BIRDS, 1 },
    { "birds", BIRDS, 1 },
    { "gulls", BIRDS, 1 },
    { "seagulls", BIRDS, 1 },
    { "geese", BIRDS, 1 },
    { "pink", HUE, 0 },
    { "rose", HUE, 5 },
    { "red", HUE, 27 },
    { "crimson", HUE, 20 },
    { "orange", HUE, 55 },
    { "copper", HUE, 50 },
    { "amber", HUE, 75 },
    { "gold", HUE, 85 },
    { "yellow", HUE, 100 },
    { "lime", HUE, 125 },
    { "green", HUE, 145 },
    { "emerald", HUE, 160 },
    { "teal", HUE, 190 },
    { "turquoise", HUE, 195 },
    { "cyan", HUE, 205 },
    { "blue", HUE, 255 },
    { "indigo", HUE, 280 },
    { "violet", HUE, 300 },
    { "purple", HUE, 310 },
    { "lavender", HUE, 300 },
    { "magenta", HUE, 330 },
};

static const char *const place_names[PLACES] = { "auto",   "mountain", "sea",   "forest", "city",
                                                 "desert", "meadow",   "space", "flow" };
static const char *const hour_names[HOURS]   = { "auto", "dawn", "day", "sunset", "night" };

static void take(struct subject *subject, const struct word *word)
{
    switch (word->field) {
    case PLACE: /* the first place named wins: "mountains by the sea" */
        if (subject->place == PLACE_NONE)
            subject->place = (enum place)word->value;
        break;
    case HOUR:
        if (subject->hour == HOUR_NONE)
            subject->hour = (enum hour)word->value;
        break;
    case WEATHER: subject->weather = (enum weather)word->value; break;
    case HUE:
        subject->has_hue = true;
        subject->hue_deg = (float)word->value;
        break;
    case BOAT: subject->has_boat = true; break;
    case LIGHTHOUSE: subject->has_lighthouse = true; break;
    case BIRDS: subject->has_birds = true; break;
    case AURORA: subject->has_aurora = true; break;
    case MOON: subject->has_moon = true; break;
    case FLOWERS: subject->has_flowers = true; break;
    case LAKE: subject->has_lake = true; break;
    }
}

struct subject subject_read(const char *prompt)
{
    struct subject subject = { 0 };
    char         **tokens  = g_strsplit_set(prompt, " \t\r\n.,;:!?()[]{}\"'`-_/\\|*&", -1);

    for (char **token = tokens; *token != NULL; token++)
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
            if (g_ascii_strcasecmp(*token, words[i].text) == 0)
                take(&subject, &words[i]);
    g_strfreev(tokens);
    if (subject.place == PLACE_NONE
        && (subject.hour != HOUR_NONE || subject.weather != WEATHER_CLEAR))
        subject.place = PLACE_MOUNTAIN; /* an hour needs a land to fall on */
    return subject;
}

enum place subject_place(const char *name)
{
    for (int i = 1; i < PLACES; i++)
        if (strcmp(name, place_names[i]) == 0)
            return (enum place)i;
    return PLACE_NONE;
}

const char *subject_place_name(enum place place)
{
    return place_names[place];
}

const char *subject_hour_name(enum hour hour)
{
    return hour_names[hour];
}
