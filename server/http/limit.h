/*
 * limit: how often an address may call without authentication: sign-in, webhooks. GCRA, for
 * this process; what an account may do is counted in SQL, over all processes.
 *
 * An IPv6 address counts as its /64, which is what one customer gets. X-Forwarded-For is believed
 * only where a trusted proxy sent it, and only as far as the first address from its end that is not
 * one: what stands before that, anybody may have written.
 *
 * Bound: 4,096 addresses; beyond those, the one that would soonest be as if new makes room.
 */
#ifndef KILN_LIMIT_H
#define KILN_LIMIT_H

#include <sys/socket.h>

#include "lib/base.h"
#include "lib/cfg.h"
#include "lib/err.h"

enum limit_class { LIMIT_NONE, LIMIT_AUTH, LIMIT_WEBHOOKS, LIMIT_CLASSES };

struct limit_address {
    uint8_t bytes[16]; /* IPv4 mapped into IPv6 */
};

struct limits;

/* NULL: KILN_TRUSTED_PROXIES is malformed (F0000). */
struct limits *limits_open(const struct cfg *cfg, struct err *err);
void           limits_close(struct limits *limits);

/* An address as it is counted: of IPv6 its /64. */
struct limit_address limits_network_of(struct limit_address address);
struct limit_address limits_network(const struct sockaddr *peer);
/* Others stand behind it: 127.0.0.1, ::1 or one of KILN_TRUSTED_PROXIES. */
bool   limits_is_exempt(const struct limits *limits, const struct sockaddr *peer);
size_t limits_hash(const struct limits *limits, const struct limit_address *address);

/* Whose request it is: the peer, or whom a trusted peer names. forwarded may be NULL. */
struct limit_address limits_client(const struct limits *limits, const struct sockaddr *peer,
                                   const char *forwarded);

/* False: too often (KN007, with the seconds until it may). */
MUST_CHECK bool limits_take(struct limits              *limits, enum limit_class class,
                            const struct limit_address *address, uint64_t now_ms, struct err *err);

#endif
