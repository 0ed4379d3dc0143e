/*
 * err: filling struct err.
 */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void err_clear(struct err *err)
{
    if (!err)
        return;
    err->sqlstate[0] = err->message[0] = err->detail[0] = '\0';
}

void err_set(struct err *err, const char *sqlstate, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return;
    snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
    err->detail[0] = '\0';
    va_start(args, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
}

void err_errno(struct err *err, const char *verb, const char *what)
{
    int         number = errno;
    const char *state  = number == ENOSPC || number == EDQUOT ? "53100" : "58030";
    char        reason[128];

    err_set(err, state, "cannot %s %s: %s", verb, what, strerror_r(number, reason, sizeof(reason)));
}

bool err_is(const struct err *err, const char *prefix)
{
    return strncmp(err->sqlstate, prefix, strlen(prefix)) == 0;
}
