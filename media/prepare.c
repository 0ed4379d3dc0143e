/*
 * prepare: the op that looks before anything is made: prompt and params are checked, every input is
 * decoded to its end and each picture handed on upright, in sRGB, without the camera's notes, its
 * long side at most config.max_side pixels (2048 where the stage says nothing). Of a film one frame
 * is handed on.
 */
#include <stdio.h>
#include <string.h>

#include "media/ops.h"
#include "media/files/picture.h"
#include "media/sample/sample.h"
#include "media/files/probe.h"
#include "media/files/ffmpeg.h"

/* Which kinds of input a stage takes: config.accept, else what its media type can use. */
static bool is_accepted(const struct request *request, const char *wanted, const char *media_type)
{
    json_t *accept = json_object_get(request->config, "accept"), *item;
    size_t  i;

    if (!json_is_array(accept))
        return strcmp(media_type, "image") == 0
                   ? strcmp(wanted, "audio") != 0
                   : strcmp(media_type, "video") == 0 && strcmp(wanted, "video") == 0;
    json_array_foreach(accept, i,
                       item) if (json_is_string(item)
                                 && strcmp(json_string_value(item), media_type) == 0) return true;
    return false;
}

static bool check_params(const struct request *request, const char *wanted, struct fault *fault)
{
    struct sketch_params sketch;
    struct film_params   film;
    struct speech_params speech;

    if (strcmp(wanted, "video") == 0)
        return film_params(request, &film, fault);
    if (strcmp(wanted, "audio") == 0)
        return speech_params(request, &speech, fault);
    return sketch_params(request, &sketch, fault);
}

static int longest_side(const struct request *request)
{
    json_int_t side = json_integer_value(json_object_get(request->config, "max_side"));

    return side > 0 ? (int)MIN(side, VIPS_MAX_COORD) : PICTURE_SIDE;
}

/* One input: its facts are appended to `facts`, its picture is written and appended to `media`. */
static bool prepare_file(const struct request *request, const char *wanted, int i, json_t *facts,
                         json_t *media, struct fault *fault)
{
    const struct request_file *file  = &request->files[i];
    struct fault               inner = { 0 };
    struct probe               probe;
    VipsImage                 *lazy, *image = NULL;
    char                       path[32];
    bool                       ok;

    if (!probe_file(file->file, NULL, &probe, &inner))
        return fault_set(fault, inner.exit_code, "/media/%d: %s", i, inner.sentence);
    if (!is_accepted(request, wanted, probe.media_type))
        return fault_set(fault, EXIT_INVALID, "/media/%d: %s input cannot be used for %s", i,
                         probe.media_type, wanted);
    lazy = strcmp(probe.media_type, "image") == 0
               ? picture_open(file->file, probe.format, false, &inner)
           : strcmp(probe.media_type, "video") == 0
               ? ffmpeg_frame(file->file, probe.format, probe.duration_ms / 3, &inner)
               : NULL;
    if (lazy != NULL) {
        image = picture_normal(lazy, longest_side(request), &inner);
        g_object_unref(lazy);
    }
    json_t *fact = probe_json(&probe);
    json_object_set_new(fact, "media_id",
                        file->media_id != NULL ? json_string(file->media_id) : json_null());
    ok = inner.exit_code == 0
         || fault_set(fault, inner.exit_code, "/media/%d: %s", i, inner.sentence);
    if (ok && image != NULL) {
        snprintf(path, sizeof path, "out/%d.png", i);
        ok = picture_save_png(image, path, 3, true, fault);
        json_object_set_new(fact, "picture",
                            json_pack("{s:i, s:i}", "width", vips_image_get_width(image), "height",
                                      vips_image_get_height(image)));
        json_array_append_new(media, json_pack("{s:s, s:s}", "file", path, "role", "work"));
    }
    json_array_append_new(facts, fact);
    if (image != NULL)
        g_object_unref(image);
    return ok;
}

json_t *op_prepare(struct request *request, struct fault *fault)
{
    const char *wanted = json_string_value(json_object_get(request->input, "media_type"));
    json_t     *facts, *media, *answer;

    if (wanted == NULL
        || (strcmp(wanted, "image") != 0 && strcmp(wanted, "video") != 0
            && strcmp(wanted, "audio") != 0)) {
        fault_set(fault, EXIT_INVALID, "/media_type: must be image, video or audio");
        return NULL;
    }
    if (request->prompt[0] == '\0' && (request->file_count == 0 || strcmp(wanted, "audio") == 0)) {
        fault_set(fault, EXIT_INVALID,
                  strcmp(wanted, "audio") == 0
                      ? "/prompt: must say what to speak"
                      : "/prompt: must not be empty where no media is given");
        return NULL;
    }
    if (request->file_count > PICTURES_MOST) {
        fault_set(fault, EXIT_INVALID, "/media: at most %d inputs", PICTURES_MOST);
        return NULL;
    }
    if (!check_params(request, wanted, fault))
        return NULL;
    facts = json_array();
    media = json_array();
    for (int i = 0; i < request->file_count; i++) {
        request_progress(request, (float)(i + 1) / (float)(request->file_count + 1),
                         "checking media");
        if (!prepare_file(request, wanted, i, facts, media, fault)) {
            json_decref(facts);
            json_decref(media);
            return NULL;
        }
    }
    answer = request_answer(request, "prepare", json_pack("{s:o}", "media", facts), NULL, NULL);
    json_object_set_new(answer, "media", media);
    return answer;
}
