/*
 * storage_key: a key that is accepted is one folder of two hex digits and one file of thirty, so it
 * can lead nowhere else.
 */
#include "lib/store.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char *text = malloc(count + 1);

    memcpy(text, bytes, count);
    text[count] = '\0';
    if (store_key_is_valid(text)
        && (strlen(text) != 33 || text[2] != '/' || strspn(text, "0123456789abcdef") != 2
            || strspn(text + 3, "0123456789abcdef") != 30))
        __builtin_trap();
    free(text);
    return 0;
}
