/*
 * last_event_id: a position from a client that is let through cannot begin a new line of the
 * stream, whatever it says; and any event of any text is one chunk whose announced length is its
 * length.
 */
#include "server/stream/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct frame frame = { 0 };
    char        *text  = malloc(count + 1), *body;
    size_t       announced;

    memcpy(text, bytes, count);
    text[count] = '\0';
    if (frame_id_is_sane(text) && (strpbrk(text, "\r\n") || strlen(text) > 2048))
        __builtin_trap();
    frame_event(&frame, FRAME_SSE, text, "x", text);
    announced = strtoul(frame.text, &body, 16);
    if (memcmp(body, "\r\n", 2) != 0 || (size_t)(frame.text + frame.bytes - body) != announced + 4
        || memcmp(frame.text + frame.bytes - 4, "\n\n\r\n", 4) != 0)
        __builtin_trap();
    frame_free(&frame);
    free(text);
    return 0;
}
