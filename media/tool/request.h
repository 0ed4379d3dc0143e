/*
 * request: the tool protocol: one JSON object on stdin, one on stdout, progress lines on stderr.
 *
 * Ownership: request_free ends what request_read began; strings handed out live as long as the
 * request.
 * Errors: false or NULL means *fault is filled; a wrong field is named as a JSON pointer
 * (/params/width).
 */
#ifndef MEDIA_REQUEST_H
#define MEDIA_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "media/tool/fault.h"

struct request_file {
    const char *media_id, *file, *media_type;
};

struct request {
    json_t              *root;
    json_t              *config, *input, *params; /* within root */
    const char          *prompt;                  /* never NULL, surrounding space cut off */
    char                *prompt_owned;
    struct request_file *files;
    int                  file_count;
    FILE                *log;
    float                progress_from, progress_to; /* the part of the work now under way */
};

bool request_read(struct request *request, FILE *in, FILE *log, struct fault *fault);
void request_free(struct request *request);

/* One `progress 0.42 drawing` line. */
void request_progress(const struct request *request, float done, const char *label);

/* A parameter, its default when absent; a wrong type or value is the user's fault. */
bool request_integer(const struct request *request, const char *name, int fallback, int low,
                     int high, int *value, struct fault *fault);
bool request_number(const struct request *request, const char *name, double fallback, double low,
                    double high, double *value, struct fault *fault);
bool request_flag(const struct request *request, const char *name, bool fallback, bool *value,
                  struct fault *fault);
/* choices ends with NULL; the first is the default. */
bool request_choice(const struct request *request, const char *name, const char *const *choices,
                    const char **value, struct fault *fault);

/* {"output": input + findings under the op's name, "media": [{file, role}]}; steals findings. file
 * may be NULL. */
json_t *request_answer(const struct request *request, const char *op, json_t *findings,
                       const char *file, const char *role);

#endif
