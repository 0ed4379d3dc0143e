/*
 * origin: compared as text (RFC 6454, 6.1: scheme, host and port in lower case, no path).
 */
#include "origin.h"

#include <string.h>
#include <strings.h>

/* Behind the scheme. */
static const char *host_of(const char *origin)
{
    const char *mark = strstr(origin, "://");

    return mark ? mark + 3 : "";
}

static bool is_of_url(const char *origin, const char *url)
{
    size_t bytes = strlen(origin);

    return url[0] && strncasecmp(origin, url, bytes) == 0
           && (url[bytes] == '\0' || url[bytes] == '/');
}

static bool is_listed(const char *origin, const char *list)
{
    size_t bytes = strlen(origin);

    while (*list) {
        size_t part;

        list += strspn(list, ", ");
        part = strcspn(list, ", ");
        if ((part == 1 && *list == '*')
            || (part == bytes && part > 0 && strncasecmp(list, origin, bytes) == 0))
            return true;
        list += part;
    }
    return false;
}

bool origin_is_allowed(const char *origin, const char *host, const char *public_url,
                       const char *allowed)
{
    if (!origin)
        return true;
    if (strncasecmp(origin, "http://", 7) != 0 && strncasecmp(origin, "https://", 8) != 0)
        return is_listed(origin, allowed); /* `null`, and what browsers' extensions say */
    return (host && strcasecmp(host_of(origin), host) == 0) || is_of_url(origin, public_url)
           || is_listed(origin, allowed);
}
