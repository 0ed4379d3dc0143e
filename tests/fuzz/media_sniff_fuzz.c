/*
 * media_sniff: any bytes whatever may be called a picture, a film or a recording; the walk to their end
 * stays within them.
 */
#include "media/files/sniff.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct sniffed sniffed;
    struct fault   fault = { 0 };

    if (!sniff_bytes(bytes, count, &sniffed, &fault) && fault.exit_code != EXIT_INVALID)
        __builtin_trap();
    return 0;
}
