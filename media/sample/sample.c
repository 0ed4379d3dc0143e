/* sample: what the ops of the renderer share; see sample.h. */
#include "media/sample/sample.h"

#include <string.h>

#include <glib.h>

#include "media/sample/prng.h"

uint64_t sample_key(const struct request *request)
{
    static const char *const only_the_file[] = { "format", "quality",    "width",  "height",
                                                 "fps",    "duration_s", "caption" };
    json_t  *seed = json_object_get(request->input, "seed"), *params = json_copy(request->params);
    char    *seed_text, *params_text;
    uint64_t key = prng_hash(0, request->prompt);

    for (size_t i = 0; i < G_N_ELEMENTS(only_the_file); i++)
        json_object_del(params, only_the_file[i]);
    seed_text   = json_is_string(seed)
                      ? g_strdup(json_string_value(seed))
                      : g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(seed));
    params_text = json_is_object(params) ? json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    key         = prng_hash(key, seed_text);
    if (params_text != NULL && strcmp(params_text, "{}") != 0)
        key = prng_hash(key, params_text);
    g_free(seed_text);
    free(params_text);
    json_decref(params);
    return key;
}

bool sample_is_local(const struct request *request)
{
    static const char *const makers[] = { "draw", "film", "speak", "furnish" };

    for (size_t i = 0; i < G_N_ELEMENTS(makers); i++)
        if (json_object_get(request->input, makers[i]) != NULL)
            return true;
    return false;
}

void sample_progress(void *context, float done)
{
    const struct request *request = context;

    request_progress(
        request, request->progress_from + (request->progress_to - request->progress_from) * done,
        "drawing");
}

bool pictures_load(struct pictures *pictures, const struct request *request, struct fault *fault)
{
    pictures->count = 0;
    if (request->file_count > PICTURES_MOST)
        return fault_set(fault, EXIT_INVALID, "/media: at most %d pictures", PICTURES_MOST);
    for (int i = 0; i < request->file_count; i++) {
        VipsImage *image = picture_load(request->files[i].file, PICTURE_SIDE, fault);

        if (image == NULL) {
            pictures_free(pictures);
            return false;
        }
        pictures->image[pictures->count++] = image;
    }
    return true;
}

void pictures_free(struct pictures *pictures)
{
    for (int i = 0; i < pictures->count; i++)
        g_object_unref(pictures->image[i]);
    pictures->count = 0;
}
