/*
 * url_policy: URLs are parsed by libcurl, whose view of them is the one that counts.
 */
#include "pipeline_runner/http/url_policy.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define URL_MAX 8192

struct url_policy {
    char  *text;
    char **patterns;
    size_t count;
};

struct url_policy *url_policy_open(const char *trusted)
{
    struct url_policy *policy = calloc(1, sizeof *policy);
    char              *rest, *item;

    if (!policy)
        abort();
    policy->text     = strdup(trusted);
    policy->patterns = calloc(strlen(trusted) + 1, sizeof *policy->patterns);
    if (!policy->text || !policy->patterns)
        abort();
    rest = policy->text;
    while (rest && (item = strsep(&rest, ","))) {
        item += strspn(item, " ");
        item[strcspn(item, " ")] = '\0';
        if (item[0])
            policy->patterns[policy->count++] = item;
    }
    return policy;
}

void url_policy_close(struct url_policy *policy)
{
    if (!policy)
        return;
    free(policy->patterns);
    free(policy->text);
    free(policy);
}

/* ---- names ---- */

/* Where the port begins in "host:port"; an address in brackets has colons of its own. */
static const char *port_of(const char *pattern)
{
    const char *bracket = strchr(pattern, ']');

    return strchr(bracket ? bracket : pattern, ':');
}

bool url_policy_matches(const char *pattern, const struct url_policy_url *url)
{
    const char *colon    = port_of(pattern);
    size_t      len      = colon ? (size_t)(colon - pattern) : strlen(pattern);
    size_t      host_len = strlen(url->host);
    char        port[16];

    snprintf(port, sizeof port, "%d", url->port);
    if (colon ? strcmp(colon + 1, port) != 0 : url->port != (url->is_https ? 443 : 80))
        return false;
    if (len > 2 && pattern[0] == '*' && pattern[1] == '.') /* at least one label before it */
        return host_len > len - 1
               && strncasecmp(url->host + host_len - (len - 1), pattern + 1, len - 1) == 0;
    return len > 0 && host_len == len && strncasecmp(url->host, pattern, len) == 0;
}

static bool is_trusted(const struct url_policy *policy, const struct url_policy_url *url)
{
    for (size_t i = 0; i < policy->count; i++)
        if (url_policy_matches(policy->patterns[i], url))
            return true;
    return false;
}

static bool is_named(const json_t *hosts, const struct url_policy_url *url)
{
    size_t        i;
    const json_t *item;

    json_array_foreach(hosts, i,
                       item) if (json_is_string(item)
                                 && url_policy_matches(json_string_value(item), url)) return true;
    return false;
}

static bool has_part(CURLU *parts, CURLUPart part)
{
    char *text = NULL;
    bool  has  = curl_url_get(parts, part, &text, 0) == CURLUE_OK;

    curl_free(text);
    return has;
}

/* Copies a part, in lower case; false: it is missing or too long. */
static bool take_part(CURLU *parts, CURLUPart part, unsigned flags, char *out, size_t size)
{
    char *text = NULL;
    bool  ok   = curl_url_get(parts, part, &text, flags) == CURLUE_OK && strlen(text) < size;

    for (size_t i = 0; ok && i <= strlen(text); i++)
        out[i] = (char)tolower((unsigned char)text[i]);
    curl_free(text);
    return ok;
}

static bool is_clean(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7F || *text == '\\')
            return false;
    return true;
}

/* Where the host and its port end; the whole text, where there is no "//". */
static size_t authority_len(const char *text)
{
    const char *slashes = strstr(text, "//");

    return slashes ? (size_t)(slashes + 2 - text) + strcspn(slashes + 2, "/?#") : strlen(text);
}

/* As browsers do (URL Standard, percent-encode sets of path and query): a blank, what is not of
 * ASCII and some signs stand as %XX from there on. In front of it nothing is mended. malloc'ed. */
static char *escaped(const char *text, size_t from)
{
    const char *signs = " \"<>`{}^";
    size_t      len = 0, bytes = strlen(text);
    char       *out = malloc(bytes * 3 + 1);

    if (!out)
        abort();
    while (bytes > from && text[bytes - 1] == ' ')
        bytes--;
    for (size_t i = 0; i < bytes; i++) {
        if (i >= from && text[i] == '?')
            signs = " \"<>'";
        if (i >= from && ((unsigned char)text[i] >= 0x80 || strchr(signs, text[i])))
            len += (size_t)sprintf(out + len, "%%%02X", (unsigned char)text[i]);
        else
            out[len++] = text[i];
    }
    out[len] = '\0';
    return out;
}

/* Whether it names a scheme and a host, or a host. */
static bool is_absolute(const char *text)
{
    size_t scheme =
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

    return strncmp(text, "//", 2) == 0 || (scheme > 0 && text[scheme] == ':');
}

static bool refuse(char *why, size_t size, const char *what, const char *host)
{
    snprintf(why, size, host ? "%s: %s" : "%s", what, host);
    return false;
}

bool url_policy_check(const struct url_policy *policy, const char *text, const json_t *hosts,
                      struct url_policy_url *url, char *why, size_t size)
{
    char  scheme[16], port[16];
    char *clean = escaped(text, authority_len(text));
    bool  is_url;

    *url = (struct url_policy_url) { .parts = curl_url() };
    if (!url->parts)
        abort();
    is_url =
        strlen(clean) <= URL_MAX && is_clean(clean)
        && curl_url_set(url->parts, CURLUPART_URL, clean, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
    free(clean);
    if (!is_url || !take_part(url->parts, CURLUPART_SCHEME, 0, scheme, sizeof scheme)
        || !take_part(url->parts, CURLUPART_HOST, 0, url->host, sizeof url->host) || !url->host[0])
        return refuse(why, size, "an address cannot be read", NULL);
    url->is_https = strcmp(scheme, "https") == 0;
    if (!url->is_https && strcmp(scheme, "http") != 0)
        return refuse(why, size, "only https is spoken, not to", url->host);
    if (!take_part(url->parts, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof port))
        return refuse(why, size, "an address has no port", url->host);
    url->port = (int)strtol(port, NULL, 10);
    if (has_part(url->parts, CURLUPART_USER) || has_part(url->parts, CURLUPART_PASSWORD))
        return refuse(why, size, "an address carries a user or password", url->host);
    url->is_trusted = is_trusted(policy, url);
    if (!is_named(hosts, url))
        return refuse(why, size, "the provider's description does not name the host", url->host);
    if (!url->is_https && !url->is_trusted)
        return refuse(why, size, "only https is spoken, and the operator does not list", url->host);
    return true;
}

char *url_policy_follow(const struct url_policy_url *base, const char *location)
{
    CURLU *parts = curl_url_dup(base->parts);
    char  *text = NULL, *copy = NULL, *clean = NULL;

    if (!parts)
        abort();
    clean = escaped(location, is_absolute(location) ? authority_len(location) : 0);
    if (curl_url_set(parts, CURLUPART_URL, clean, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK
        && curl_url_get(parts, CURLUPART_URL, &text, 0) == CURLUE_OK)
        copy = strdup(text);
    free(clean);
    curl_free(text);
    curl_url_cleanup(parts);
    return copy;
}

void url_policy_url_free(struct url_policy_url *url)
{
    curl_url_cleanup(url->parts);
    url->parts = NULL;
}

/* ---- addresses ---- */

struct range {
    uint32_t network;
    int      bits;
};

/* Not of the public internet: IANA's registry of special addresses. */
static const struct range special[] = {
    { 0x00000000, 8 },  /* this network */
    { 0x0A000000, 8 },  /* private */
    { 0x64400000, 10 }, /* carriers' NAT */
    { 0x7F000000, 8 },  /* loopback */
    { 0xA83F8110, 32 }, /* Azure's machines alone: 168.63.129.16 */
    { 0xA9FE0000, 16 }, /* link-local, with the metadata services of clouds */
    { 0xAC100000, 12 }, /* private */
    { 0xC0000000, 24 }, /* protocol assignments */
    { 0xC0000200, 24 }, /* examples */
    { 0xC0586300, 24 }, /* 6to4 relays */
    { 0xC0A80000, 16 }, /* private */
    { 0xC6120000, 15 }, /* benchmarks */
    { 0xC6336400, 24 }, /* examples */
    { 0xCB007100, 24 }, /* examples */
    { 0xE0000000, 4 },  /* multicast */
    { 0xF0000000, 4 },  /* reserved, broadcast */
};

static bool v4_is_public(uint32_t address)
{
    for (size_t i = 0; i < countof(special); i++)
        if ((address ^ special[i].network) >> (32 - special[i].bits) == 0)
            return false;
    return true;
}

static uint32_t word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Only global unicast (2000::/3), without what tunnels an IPv4 address of anyone's choice or is for
 * examples. v4-mapped addresses, ULA, link-local and multicast lie outside of it. */
static bool v6_is_public(const uint8_t *bytes)
{
    static const uint8_t nat64[12] = { 0x00, 0x64, 0xFF, 0x9B };
    uint32_t             head      = word(bytes);

    if (memcmp(bytes, nat64, sizeof nat64) == 0) /* how networks without IPv4 reach it */
        return v4_is_public(word(bytes + 12));
    return head >> 29 == 1 && head >> 9 != 0x20010000 >> 9 /* Teredo, ORCHID */
           && head != 0x20010DB8 && head >> 16 != 0x2002 /* 6to4 */ && head >> 12 != 0x3FFF0;
}

bool url_policy_address_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return v4_is_public(
            ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
    if (address->sa_family == AF_INET6)
        return v6_is_public(
            ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr);
    return false;
}
