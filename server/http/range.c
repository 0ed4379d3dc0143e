/*
 * range: `Range: bytes=…` and `If-None-Match`.
 */
#include "server/http/range.h"

#include <string.h>
#include <strings.h>

/* Digits at *text; false: none. What no file can have is the largest number there is. */
static bool take_number(const char **text, uint64_t *number)
{
    const char *at = *text;

    *number = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        *number        = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *number * 10 + digit;
    }
    if (at == *text)
        return false;
    *text = at;
    return true;
}

static bool at_end(const char *text)
{
    return text[strspn(text, " \t")] == '\0';
}

/* `-500`: the last 500 bytes. */
static enum range_kind parse_suffix(const char *at, uint64_t size, uint64_t *first, uint64_t *last)
{
    uint64_t count;

    if (!take_number(&at, &count) || !at_end(at))
        return RANGE_WHOLE;
    if (count == 0 || size == 0)
        return RANGE_UNSATISFIABLE;
    *first = count < size ? size - count : 0;
    *last  = size - 1;
    return RANGE_PART;
}

enum range_kind range_parse(const char *header, uint64_t size, uint64_t *first, uint64_t *last)
{
    uint64_t from, to = UINT64_MAX;

    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return RANGE_WHOLE;
    header += 6 + strspn(header + 6, " \t");
    if (*header == '-')
        return parse_suffix(header + 1, size, first, last);
    if (!take_number(&header, &from) || *header++ != '-')
        return RANGE_WHOLE;
    if (!at_end(header) && (!take_number(&header, &to) || !at_end(header) || to < from))
        return RANGE_WHOLE; /* among them the comma of several ranges */
    if (from >= size)
        return RANGE_UNSATISFIABLE;
    *first = from;
    *last  = to < size - 1 ? to : size - 1;
    return RANGE_PART;
}

bool range_etag_matches(const char *header, const char *etag)
{
    size_t bytes = strlen(etag);

    while (header && *header) {
        header += strspn(header, " \t,");
        if (*header == '*')
            return true;
        if (strncmp(header, "W/", 2) == 0)
            header += 2;
        if (strncmp(header, etag, bytes) == 0 && strchr(" \t,", header[bytes]))
            return true;
        if (*header == '"') { /* a comma inside the quotes does not divide */
            const char *quote = strchr(header + 1, '"');
            header            = quote ? quote + 1 : "";
        }
        header += strcspn(header, ",");
    }
    return false;
}
