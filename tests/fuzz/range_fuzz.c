/*
 * range: whatever the header says, a part lies inside the file; and comparing tags ends.
 */
#include "server/http/range.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    uint64_t size = count ? bytes[0] : 0, first = 0, last = 0;
    char    *text = malloc(count + 1);

    memcpy(text, bytes, count);
    text[count] = '\0';
    if (range_parse(text, size, &first, &last) == RANGE_PART && (first > last || last >= size))
        __builtin_trap();
    range_etag_matches(text, "\"0123\"");
    free(text);
    return 0;
}
