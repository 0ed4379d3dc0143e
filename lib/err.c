/*
 * err: filling struct err.
 */
#include "lib/err.h"

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

void err_end_sentence(char *text, size_t size)
{
    static const char ellipsis[] = "…";
    size_t            room = size - sizeof(ellipsis), end = strnlen(text, size), word;

    end = end < room ? end : room;
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    for (word = end; word > 0 && text[word] != ' '; word--)
        ;
    if (word > end / 2) /* one long word is cut where it is */
        end = word;
    while (end > 0 && strchr(" ,;:.(", text[end - 1]))
        end--;
    memcpy(text + end, ellipsis, sizeof(ellipsis));
}

void err_format(char *to, size_t size, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (vsnprintf(to, size, fmt, args) >= (int)size)
        err_end_sentence(to, size);
    va_end(args);
}

void err_set(struct err *err, const char *sqlstate, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return;
    snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
    err->detail[0] = '\0';
    va_start(args, fmt);
    if (vsnprintf(err->message, sizeof(err->message), fmt, args) >= (int)sizeof(err->message))
        err_end_sentence(err->message, sizeof(err->message));
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

bool err_is_passing(const struct err *err)
{
    static const char *const classes[] = {
        "08",    /* the link */
        "57P0",  /* the server is stopping or starting */
        "57014", /* statement_timeout */
        "55P03", /* lock_timeout */
        "40",    /* serialization, deadlock */
        "53",    /* no memory, no disk, too many connections */
        "25006", /* read-only: a standby, for a moment after a failover */
    };

    for (size_t i = 0; i < countof(classes); i++)
        if (err_is(err, classes[i]))
            return true;
    return false;
}
