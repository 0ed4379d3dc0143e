/*
 * jscan: whatever the bytes, it ends and reads none beyond them; what was blanked has no huge number
 * any more and is JSON still; a text that passes holds nothing that jansson could not give back.
 */
#include "lib/jscan.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check_blanked(char *text, size_t count)
{
    json_t *before = json_loadb(text, count, JSON_DECODE_ANY, NULL), *after;

    jscan_blank_numbers(text, count);
    after = json_loadb(text, count, JSON_DECODE_ANY, NULL);
    if (jscan_has_huge_number(text, count) || (before && !after))
        __builtin_trap();
    json_decref(before);
    json_decref(after);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char      *text = malloc(count);
    struct err err  = { 0 };
    json_t    *detail;

    if (count)
        memcpy(text, bytes, count);
    if (jscan_check(text, count, &err)) {
        if (jscan_has_huge_number(text, count))
            __builtin_trap();
    } else if (err_is(&err, "KN003")) {
        detail = json_loads(err.detail, 0, NULL);
        if (!json_is_array(detail))
            __builtin_trap();
        json_decref(detail);
    }
    check_blanked(text, count);
    free(text);
    return 0;
}
