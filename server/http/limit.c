/*
 * limit: a table of addresses with a few places each to stand in, and the list of proxies.
 */
#include "server/http/limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES      4096 /* a power of two */
#define PROBES      8
#define PROXIES_MAX 32
#define MINUTE_US   UINT64_C(60000000)

struct network {
    struct limit_address address;
    unsigned             bits;
};

struct place {
    struct limit_address address;
    enum limit_class class;
    uint64_t free_at_us; /* 0: nobody stands here */
};

struct limits {
    uint64_t       step_us[LIMIT_CLASSES];
    uint64_t       seed;
    struct network proxies[PROXIES_MAX];
    size_t         nproxies;
    struct place   places[PLACES];
};

/* ---- addresses ---- */

static struct limit_address mapped(const struct in_addr *v4)
{
    struct limit_address a = { { 0 } };

    a.bytes[10] = a.bytes[11] = 0xff;
    memcpy(a.bytes + 12, v4, 4);
    return a;
}

static bool is_v4(const struct limit_address *a)
{
    static const uint8_t head[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

    return memcmp(a->bytes, head, sizeof(head)) == 0;
}

static bool parse_address(const char *text, struct limit_address *address)
{
    struct in_addr v4;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        *address = mapped(&v4);
        return true;
    }
    return inet_pton(AF_INET6, text, address->bytes) == 1;
}

static struct limit_address address_of(const struct sockaddr *peer)
{
    struct limit_address a = { { 0 } };

    if (peer && peer->sa_family == AF_INET)
        return mapped(&((const struct sockaddr_in *)(const void *)peer)->sin_addr);
    if (peer && peer->sa_family == AF_INET6)
        memcpy(a.bytes, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, 16);
    return a;
}

static bool is_within(const struct limit_address *a, const struct network *n)
{
    size_t  whole = n->bits / 8;
    uint8_t mask  = (uint8_t)(0xff00 >> n->bits % 8);

    return memcmp(a->bytes, n->address.bytes, whole) == 0
           && (mask == 0 || (a->bytes[whole] & mask) == (n->address.bytes[whole] & mask));
}

static bool is_proxy(const struct limits *limits, const struct limit_address *a)
{
    for (size_t i = 0; i < limits->nproxies; i++)
        if (is_within(a, &limits->proxies[i]))
            return true;
    return false;
}

struct limit_address limits_network_of(struct limit_address address)
{
    if (!is_v4(&address))
        memset(address.bytes + 8, 0, 8);
    return address;
}

struct limit_address limits_network(const struct sockaddr *peer)
{
    return limits_network_of(address_of(peer));
}

/* What a proxy on this machine comes from. */
static bool is_local(const struct limit_address *a)
{
    static const uint8_t four[4] = { 127, 0, 0, 1 }, six[16] = { [15] = 1 };

    return (is_v4(a) && memcmp(a->bytes + 12, four, sizeof(four)) == 0)
           || memcmp(a->bytes, six, sizeof(six)) == 0;
}

bool limits_is_exempt(const struct limits *limits, const struct sockaddr *peer)
{
    struct limit_address a = address_of(peer);

    return is_local(&a) || is_proxy(limits, &a);
}

/* ---- the list of proxies ---- */

static bool parse_network(char *text, struct network *n)
{
    char   *slash = strchr(text, '/');
    int64_t bits  = 128;
    bool    is_four;

    if (slash)
        *slash = '\0';
    if (!parse_address(text, &n->address))
        return false;
    is_four = is_v4(&n->address);
    if (slash && !cfg_parse_int(slash + 1, 0, is_four ? 32 : 128, &bits))
        return false;
    n->bits = (unsigned)(slash && is_four ? bits + 96 : bits);
    return true;
}

static bool parse_proxies(struct limits *limits, const char *list, struct err *err)
{
    char  copy[2048];
    char *at = NULL;

    if ((size_t)snprintf(copy, sizeof(copy), "%s", list) < sizeof(copy)) {
        for (char *item = strtok_r(copy, ", ", &at); item; item = strtok_r(NULL, ", ", &at))
            if (limits->nproxies == PROXIES_MAX
                || !parse_network(item, &limits->proxies[limits->nproxies++]))
                goto malformed;
        return true;
    }
malformed:
    err_set(err, "F0000", "KILN_TRUSTED_PROXIES must be at most %d of address or address/bits",
            PROXIES_MAX);
    return false;
}

struct limits *limits_open(const struct cfg *cfg, struct err *err)
{
    struct limits *limits = calloc(1, sizeof(*limits));
    char           seed[17];

    if (!limits)
        abort();
    base_random_hex(seed, 16);
    limits->seed                    = strtoull(seed, NULL, 16);
    limits->step_us[LIMIT_AUTH]     = MINUTE_US / (uint64_t)cfg->auth_per_minute;
    limits->step_us[LIMIT_WEBHOOKS] = MINUTE_US / (uint64_t)cfg->webhooks_per_minute;
    if (parse_proxies(limits, cfg->trusted_proxies, err))
        return limits;
    limits_close(limits);
    return NULL;
}

void limits_close(struct limits *limits)
{
    free(limits);
}

/* ---- who ---- */

/* One address of the list, which may carry a port as some proxies write it: 1.2.3.4:5, [::1]:5. */
static bool parse_forwarded(const char *text, size_t bytes, struct limit_address *address)
{
    char   copy[64];
    size_t end;

    while (bytes && (*text == ' ' || *text == '\t'))
        text++, bytes--;
    while (bytes && (text[bytes - 1] == ' ' || text[bytes - 1] == '\t'))
        bytes--;
    if (bytes == 0 || bytes >= sizeof(copy))
        return false;
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    if (copy[0] == '[') {
        end = strcspn(copy, "]");
        memmove(copy, copy + 1, end);
        copy[end - 1] = '\0';
    } else if (strchr(copy, '.') && strchr(copy, ':') == strrchr(copy, ':')) {
        copy[strcspn(copy, ":")] = '\0';
    }
    return parse_address(copy, address);
}

struct limit_address limits_client(const struct limits *limits, const struct sockaddr *peer,
                                   const char *forwarded)
{
    struct limit_address client = address_of(peer), next;
    size_t               end    = forwarded ? strlen(forwarded) : 0;

    while (end > 0 && is_proxy(limits, &client)) {
        size_t start = end;
        while (start > 0 && forwarded[start - 1] != ',')
            start--;
        if (!parse_forwarded(forwarded + start, end - start, &next))
            break;
        client = next;
        end    = start ? start - 1 : 0;
    }
    return client;
}

/* ---- how often ---- */

size_t limits_hash(const struct limits *limits, const struct limit_address *a)
{
    uint64_t hash = limits->seed;

    for (size_t i = 0; i < sizeof(a->bytes); i++)
        hash = (hash ^ a->bytes[i]) * UINT64_C(0x100000001b3) + (hash >> 47);
    return (size_t)hash;
}

static struct place *find_place(struct limits              *limits, enum limit_class class,
                                const struct limit_address *a)
{
    size_t        hash  = limits_hash(limits, a) + (size_t) class * (PLACES / 2);
    struct place *spare = NULL;

    for (size_t i = 0; i < PROBES; i++) {
        struct place *place = &limits->places[(hash + i) % PLACES];
        if (place->free_at_us
            && place->class == class && memcmp(&place->address, a, sizeof(*a)) == 0)
            return place;
        if (!spare || place->free_at_us < spare->free_at_us)
            spare = place;
    }
    *spare = (struct place) { .address = *a, .class = class };
    return spare;
}

bool limits_take(struct limits *limits, enum limit_class class, const struct limit_address *address,
                 uint64_t now_ms, struct err *err)
{
    struct limit_address whose = limits_network_of(*address);
    uint64_t             now = now_ms * 1000, step = limits->step_us[class], next;
    struct place        *place;

    place = find_place(limits, class, &whose);
    next  = (place->free_at_us > now ? place->free_at_us : now) + step;
    if (next <= now + MINUTE_US) {
        place->free_at_us = next;
        return true;
    }
    err_set(err, "KN007", "too many requests came from this address in a short time");
    if (err)
        snprintf(err->detail, sizeof(err->detail), "{\"retry_after\":%llu}",
                 (unsigned long long)((next - now - MINUTE_US + 999999) / 1000000));
    return false;
}
