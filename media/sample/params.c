/*
 * params: what may be said to each local model. The catalogue's JSON Schemas say the same to
 * clients; this is for the program's own safety, and for pipelines that someone else wrote.
 */
#include "media/sample/sample.h"

static const char *const motifs[]          = { "auto",   "mountain", "sea",   "forest", "city",
                                               "desert", "meadow",   "space", "flow",   NULL };
static const char *const picture_formats[] = { "png", "jpeg", "webp", NULL };
static const char *const sound_formats[]   = { "mp3", "wav", "opus", NULL };
static const char *const voices[]          = {
             "en-gb", "en-us", "en-gb-scotland", "de", "fr-fr", "es", "it", "nl", "pl", "pt", "sv", NULL
};

bool sketch_params(const struct request *request, struct sketch_params *params, struct fault *fault)
{
    return request_integer(request, "width", 1024, 256, 2048, &params->width, fault)
           && request_integer(request, "height", 768, 256, 2048, &params->height, fault)
           && request_integer(request, "quality", 88, 1, 100, &params->quality, fault)
           && request_choice(request, "format", picture_formats, &params->format, fault)
           && request_choice(request, "motif", motifs, &params->motif, fault)
           && request_flag(request, "caption", true, &params->has_caption, fault);
}

bool film_params(const struct request *request, struct film_params *params, struct fault *fault)
{
    const char *motif;

    if (!request_integer(request, "width", 1280, 256, 1920, &params->width, fault)
        || !request_integer(request, "height", 720, 256, 1080, &params->height, fault)
        || !request_integer(request, "fps", 25, 10, 30, &params->fps, fault)
        || !request_number(request, "duration_s", 5, 3, 6, &params->duration_s, fault)
        || !request_choice(request, "motif", motifs, &motif, fault)
        || !request_flag(request, "caption", true, &params->has_caption, fault))
        return false;
    if (params->width % 2 != 0 || params->height % 2 != 0) /* the colours of 4:2:0 come in pairs */
        return fault_set(fault, EXIT_INVALID, "/params/%s: must be even",
                         params->width % 2 != 0 ? "width" : "height");
    return true;
}

bool speech_params(const struct request *request, struct speech_params *params, struct fault *fault)
{
    return request_choice(request, "voice", voices, &params->voice, fault)
           && request_choice(request, "format", sound_formats, &params->format, fault)
           && request_integer(request, "speed", 160, 80, 320, &params->speed, fault)
           && request_integer(request, "pitch", 50, 0, 99, &params->pitch, fault);
}
