/*
 * probe: the facts of a file, believed only after it was decoded to its end.
 */
#ifndef MEDIA_PROBE_H
#define MEDIA_PROBE_H

#include <stdint.h>

#include <jansson.h>

#include "media/tool/fault.h"
#include "media/files/sniff.h"

struct probe {
    enum format format;
    const char *media_type, *content_type;
    int64_t     bytes, duration_ms; /* duration_ms, width, height: -1 where there is none */
    int         width, height;
};

/* thumbnail: where to write a small picture of it, or NULL. */
bool probe_file(const char *path, const char *thumbnail, struct probe *probe, struct fault *fault);
json_t *probe_json(const struct probe *probe);

#endif
