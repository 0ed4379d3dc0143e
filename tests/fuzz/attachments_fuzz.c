/*
 * attachments: whatever a provider replies, cutting files out keeps JSON JSON, and what is no JSON as it is.
 */
#include "pipeline_runner/http/attachments.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static bool count_file(void *ctx, size_t n, const void *data, size_t bytes, struct err *err)
{
    size_t *files = ctx;

    (void)err;
    if (n != (*files)++ || (bytes > 0 && !data))
        __builtin_trap();
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    json_t    *pointers = json_loads("[\"/a\",\"/*\",\"/*/b\",\"\",\"/a~1/0\"]", 0, NULL);
    char      *text     = malloc(count + 1), *out;
    size_t     files    = 0, told, out_bytes;
    uint8_t   *data;
    struct err err = { 0 };

    memcpy(text, bytes, count); /* exactly so long: a byte too far is seen */
    if (attachments_extract(text, count, pointers, count_file, &files, &out, &out_bytes, &told,
                            &err)) {
        json_t *before = json_loadb(text, count, JSON_DECODE_ANY, NULL);
        json_t *after  = json_loadb(out, out_bytes, JSON_DECODE_ANY, NULL);

        if (told != files || (before && !after)
            || (told == 0 && (out_bytes != count || memcmp(out, text, count) != 0)))
            __builtin_trap();
        json_decref(before);
        json_decref(after);
        free(out);
    }
    if (attachments_decode(text, count, &data, &out_bytes)) {
        if (out_bytes > count)
            __builtin_trap();
        free(data);
    }
    json_decref(pointers);
    free(text);
    return 0;
}
