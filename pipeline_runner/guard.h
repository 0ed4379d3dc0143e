/*
 * guard: where a request may go. A provider's description, and still more a URL in a provider's
 * reply, is data; without this it could have the runner speak to the machine's own services, to a
 * cloud's metadata or to the house's network, with a secret in its hand.
 *
 * Three checks: the scheme is https; host and port are among those the request itself names; the
 * address that the name resolves to is a public one, looked at when the socket is made, so that a
 * name that resolves differently the second time gains nothing. Hosts that the
 * operator lists are excused from the first and the third: in KILN_TRUSTED_HOSTS for providers, in
 * kiln.config.webhook_hosts for what users have posted, which has a guard of its own.
 *
 * Ownership: end guard_open() with guard_close().
 */
#ifndef RUNNER_GUARD_H
#define RUNNER_GUARD_H

#include <curl/curl.h>
#include <jansson.h>
#include <sys/socket.h>

#include "base.h"

#define GUARD_HOST_MAX 255 /* what DNS allows, and enough for an address in brackets */

struct guard;

/* trusted: "host[:port],…"; "" = none. */
struct guard *guard_open(const char *trusted);
void          guard_close(struct guard *guard);

/* A URL that was looked at: parsed once, and sent as it was parsed. */
struct guard_url {
    CURLU *parts;
    char   host[GUARD_HOST_MAX + 1]; /* lower case, without the port: all that logs may show */
    int    port;
    bool   is_https;
    bool   is_trusted;
};

/* hosts: JSON array of "host[:port]" or "*.domain[:port]". False: *why is a word for an answer's
 * error: it names no more of the URL than its host. End it with guard_url_free(), also then. */
MUST_CHECK bool guard_url(const struct guard *guard, const char *text, const json_t *hosts,
                          struct guard_url *url, char *why, size_t size);

/* Where `location` leads from `base`, malloc'ed; NULL: nowhere. */
char *guard_follow(const struct guard_url *base, const char *location);
void  guard_url_free(struct guard_url *url);

/* "host[:port]", or "*.domain[:port]"; without a port it means the scheme's own. */
bool guard_matches(const char *pattern, const struct guard_url *url);

/* Whether it is an address of the public internet. */
bool guard_address_is_public(const struct sockaddr *address);

#endif
