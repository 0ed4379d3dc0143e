/*
 * origin: compared as text (RFC 6454, 6.1: scheme, host and port in lower case, no path).
 */
#include "server/http/origin.h"

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

/* The next entry of the list; false at its end. */
static bool next_entry(const char **list, const char **entry, size_t *bytes)
{
    *entry = *list + strspn(*list, ", ");
    *bytes = strcspn(*entry, ", ");
    *list  = *entry + *bytes;
    return *bytes > 0;
}

static bool is_star(const char *entry, size_t bytes)
{
    return bytes == 1 && *entry == '*';
}

const char *origin_listed(const char *origin, const char *allowed)
{
    const char *entry, *found = NULL;
    size_t      bytes;

    if (!origin)
        return NULL;
    while (next_entry(&allowed, &entry, &bytes)) {
        if (bytes == strlen(origin) && strncasecmp(entry, origin, bytes) == 0)
            return origin;
        if (is_star(entry, bytes))
            found = "*";
    }
    return found;
}

bool origin_is_allowed(const char *origin, const char *host, const char *public_url,
                       const char *allowed)
{
    if (!origin)
        return true;
    if (strncasecmp(origin, "http://", 7) != 0 && strncasecmp(origin, "https://", 8) != 0)
        return origin_listed(origin, allowed); /* `null`, and what browsers' extensions say */
    return (host && strcasecmp(host_of(origin), host) == 0) || is_of_url(origin, public_url)
           || origin_listed(origin, allowed);
}

static bool ends_with(const char *text, size_t bytes, const char *end)
{
    size_t end_bytes = strlen(end);

    return bytes >= end_bytes && memcmp(text + bytes - end_bytes, end, end_bytes) == 0;
}

/* Browsers leave the scheme's own port out, so an entry with it would never match. */
static bool has_default_port(const char *entry, size_t bytes)
{
    return (strncasecmp(entry, "http://", 7) == 0 && ends_with(entry, bytes, ":80"))
           || (strncasecmp(entry, "https://", 8) == 0 && ends_with(entry, bytes, ":443"));
}

static bool entry_is_sound(const char *entry, size_t bytes)
{
    const char *mark   = memmem(entry, bytes, "://", 3);
    size_t      scheme = mark ? (size_t)(mark - entry) : 0;

    if (is_star(entry, bytes) || (bytes == 4 && memcmp(entry, "null", 4) == 0))
        return true;
    if (scheme == 0 || scheme + 3 == bytes || has_default_port(entry, bytes))
        return false;
    for (size_t i = scheme + 3; i < bytes; i++)
        if (strchr("/?#@*", entry[i]) || entry[i] <= ' ' || entry[i] >= 0x7f)
            return false;
    return true;
}

bool origin_check_list(const char *allowed, struct err *err)
{
    const char *entry;
    size_t      bytes, number = 1;

    for (; next_entry(&allowed, &entry, &bytes); number++) {
        if (!entry_is_sound(entry, bytes)) {
            err_set(err, "F0000",
                    "KILN_ALLOWED_ORIGINS: entry %zu must be scheme://host[:port] as browsers "
                    "write it (no path, no slash at the end, no :80 or :443 of the scheme's own), "
                    "or * for all",
                    number);
            return false;
        }
    }
    return true;
}
