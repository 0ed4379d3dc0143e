/* request: the tool protocol; see request.h. */
#include "media/tool/request.h"

#include <math.h>
#include <string.h>

#include <glib.h>

enum { STDIN_MOST = 4 << 20, PROMPT_MOST = 8000 };

static bool read_files(struct request *request, struct fault *fault)
{
    json_t *media = json_object_get(request->root, "media");
    size_t  i;
    json_t *item;

    if (media != NULL && !json_is_array(media))
        return fault_set(fault, EXIT_INVALID, "/media: must be an array");
    request->files = g_new0(struct request_file, json_array_size(media) + 1);
    json_array_foreach(media, i, item)
    {
        struct request_file *file = &request->files[request->file_count++];

        file->media_id   = json_string_value(json_object_get(item, "media_id"));
        file->file       = json_string_value(json_object_get(item, "file"));
        file->media_type = json_string_value(json_object_get(item, "media_type"));
        if (file->file == NULL || !g_str_has_prefix(file->file, "in/")
            || strstr(file->file, "..") != NULL)
            return fault_set(fault, EXIT_INVALID, "/media/%zu/file: must be a file in in/", i);
    }
    return true;
}

bool request_read(struct request *request, FILE *in, FILE *log, struct fault *fault)
{
    GByteArray  *text = g_byte_array_new();
    guint8       block[16384];
    size_t       got;
    json_error_t error;
    json_t      *prompt;

    memset(request, 0, sizeof *request);
    request->log         = log;
    request->progress_to = 1;
    while (text->len <= STDIN_MOST && (got = fread(block, 1, sizeof block, in)) > 0)
        g_byte_array_append(text, block, (guint)got);
    request->root =
        text->len > STDIN_MOST ? NULL : json_loadb((char *)text->data, text->len, 0, &error);
    g_byte_array_free(text, TRUE);
    if (!json_is_object(request->root))
        return fault_set(fault, EXIT_INVALID, "the request on stdin is not one JSON object");
    request->config = json_object_get(request->root, "config");
    request->input  = json_object_get(request->root, "input");
    if (!json_is_object(request->input))
        return fault_set(fault, EXIT_INVALID, "/input: must be an object");
    request->params = json_object_get(request->input, "params");
    if (request->params != NULL && !json_is_object(request->params)
        && !json_is_null(request->params))
        return fault_set(fault, EXIT_INVALID, "/params: must be an object");
    prompt = json_object_get(request->input, "prompt");
    if (prompt != NULL && !json_is_string(prompt) && !json_is_null(prompt))
        return fault_set(fault, EXIT_INVALID, "/prompt: must be a text");
    if (json_string_length(prompt) > PROMPT_MOST)
        return fault_set(fault, EXIT_INVALID, "/prompt: is longer than %d bytes", PROMPT_MOST);
    request->prompt_owned = g_strstrip(
        g_strdup(prompt != NULL && json_is_string(prompt) ? json_string_value(prompt) : ""));
    request->prompt = request->prompt_owned;
    return read_files(request, fault);
}

void request_free(struct request *request)
{
    json_decref(request->root);
    g_free(request->files);
    g_free(request->prompt_owned);
    memset(request, 0, sizeof *request);
}

void request_progress(const struct request *request, float done, const char *label)
{
    fprintf(request->log, "progress %.2f %s\n", (double)done, label);
    fflush(request->log);
}

bool request_number(const struct request *request, const char *name, double fallback, double low,
                    double high, double *value, struct fault *fault)
{
    const json_t *given = json_object_get(request->params, name);

    *value = given == NULL ? fallback : json_number_value(given);
    if ((given != NULL && !json_is_number(given)) || !(*value >= low && *value <= high))
        return fault_set(fault, EXIT_INVALID, "/params/%s: must be a number from %g to %g", name,
                         low, high);
    return true;
}

bool request_integer(const struct request *request, const char *name, int fallback, int low,
                     int high, int *value, struct fault *fault)
{
    double number = 0;

    if (!request_number(request, name, fallback, low, high, &number, fault))
        return false;
    if (number != floor(number))
        return fault_set(fault, EXIT_INVALID, "/params/%s: must be a whole number", name);
    *value = (int)number;
    return true;
}

bool request_flag(const struct request *request, const char *name, bool fallback, bool *value,
                  struct fault *fault)
{
    const json_t *given = json_object_get(request->params, name);

    *value = given == NULL ? fallback : json_is_true(given);
    if (given != NULL && !json_is_boolean(given))
        return fault_set(fault, EXIT_INVALID, "/params/%s: must be true or false", name);
    return true;
}

bool request_choice(const struct request *request, const char *name, const char *const *choices,
                    const char **value, struct fault *fault)
{
    const json_t *given = json_object_get(request->params, name);
    char         *list;

    *value = choices[0];
    if (given == NULL)
        return true;
    for (const char *const *choice = choices; *choice != NULL; choice++)
        if (json_is_string(given) && strcmp(json_string_value(given), *choice) == 0) {
            *value = *choice;
            return true;
        }
    list = g_strjoinv(", ", (gchar **)(uintptr_t)choices);
    fault_set(fault, EXIT_INVALID, "/params/%s: must be one of %s", name, list);
    g_free(list);
    return false;
}

json_t *request_answer(const struct request *request, const char *op, json_t *findings,
                       const char *file, const char *role)
{
    json_t *output = json_copy(request->input), *media = json_array();

    json_object_set_new(output, op, findings);
    if (file != NULL)
        json_array_append_new(media, json_pack("{s:s, s:s}", "file", file, "role", role));
    return json_pack("{s:o, s:o}", "output", output, "media", media);
}
