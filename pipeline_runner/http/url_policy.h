/*
 * url_policy: where a request may go. A provider's description, and still more a URL in a
 * provider's reply, is data; without this it could have the runner speak to the machine's own
 * services, to a cloud's metadata or to the house's network, with a secret in its hand.
 *
 * Three checks: the scheme is https; host and port are among those the request itself names; the
 * address that the name resolves to is a public one, looked at when the socket is made, so that a
 * name that resolves differently the second time gains nothing. Hosts that the
 * operator lists are excused from the first and the third: in KILN_TRUSTED_HOSTS for providers, in
 * kiln.config.webhook_hosts for what users have posted, which has a policy of its own.
 *
 * Ownership: end url_policy_open() with url_policy_close().
 */
#ifndef RUNNER_URL_POLICY_H
#define RUNNER_URL_POLICY_H

#include <curl/curl.h>
#include <jansson.h>
#include <sys/socket.h>

#include "lib/base.h"

#define URL_POLICY_HOST_MAX 255 /* what DNS allows, and enough for an address in brackets */

struct url_policy;

/* trusted: "host[:port],…"; "" = none. */
struct url_policy *url_policy_open(const char *trusted);
void               url_policy_close(struct url_policy *policy);

/* A URL that was looked at: parsed once, and sent as it was parsed. */
struct url_policy_url {
    CURLU *parts;
    char   host[URL_POLICY_HOST_MAX + 1]; /* lower case, without the port: all that logs may show */
    int    port;
    bool   is_https;
    bool   is_trusted;
};

/* hosts: JSON array of "host[:port]" or "*.domain[:port]". False: *why is a word for an answer's
 * error: it names no more of the URL than its host. End it with url_policy_url_free(), also
 * then. */
MUST_CHECK bool url_policy_check(const struct url_policy *policy, const char *text,
                                 const json_t *hosts, struct url_policy_url *url, char *why,
                                 size_t size);

/* Where `location` leads from `base`, malloc'ed; NULL: nowhere. */
char *url_policy_follow(const struct url_policy_url *base, const char *location);
void  url_policy_url_free(struct url_policy_url *url);

/* "host[:port]", or "*.domain[:port]"; without a port it means the scheme's own. */
bool url_policy_matches(const char *pattern, const struct url_policy_url *url);

/* Whether it is an address of the public internet. */
bool url_policy_address_is_public(const struct sockaddr *address);

#endif
