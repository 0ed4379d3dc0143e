/* fault: one sentence and an exit code; see fault.h. */
#include "media/tool/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <vips/vips.h>

/* Always false, so that callers write `return fault_set(...)`. */
bool fault_set(struct fault *fault, int exit_code, const char *format, ...)
{
    va_list args;

    if (fault->exit_code != 0)
        return false;
    fault->exit_code = exit_code;
    va_start(args, format);
    vsnprintf(fault->sentence, sizeof fault->sentence, format, args);
    va_end(args);
    for (char *c = fault->sentence; *c != '\0'; c++) /* the protocol is line by line */
        if ((unsigned char)*c < ' ')
            *c = ' ';
    return false;
}

bool fault_vips(struct fault *fault, int exit_code, const char *what)
{
    char  line[200];
    char *end;

    g_strlcpy(line, vips_error_buffer(), sizeof line);
    vips_error_clear();
    end = strchr(line, '\n');
    if (end != NULL)
        *end = '\0';
    return fault_set(fault, exit_code, "%s: %s", what, line[0] != '\0' ? line : "no reason given");
}
