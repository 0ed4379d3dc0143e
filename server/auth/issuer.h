/*
 * issuer: fetches the keys of KILN_JWKS_URL and keeps them fresh, without a request ever waiting
 * for it. The server starts, and goes on, without the issuer.
 *
 *   - a good answer holds for its max-age, within 1 minute and 1 hour (10 minutes where it names
 *     none), and is asked for again when four fifths of that have passed;
 *   - a bad one changes nothing; the fetch is tried again after 2 s, 4 s, … 60 s. Keys that
 *     could not be confirmed for 24 hours are given up;
 *   - a token that names a key that is not here has the keys fetched, at most once in
 *     ISSUER_PAUSE_S for the whole process, however many such tokens come.
 *
 * A fetch is rare and may be slow, so it is one easy handle of libcurl's that is looked after every
 * 20 ms while it lasts; names are resolved in libcurl's own thread. Bounds: 64 KiB, 10 s, no
 * redirect, no proxy.
 */
#ifndef KILN_ISSUER_H
#define KILN_ISSUER_H

#include "lib/base.h"
#include "lib/err.h"
#include "server/auth/jwks.h"
#include "lib/loop.h"

#define ISSUER_PAUSE_S 5

/* keys go over to it; NULL: the ones it has hold no longer. */
typedef void issuer_keys_fn(void *ctx, struct jwks *keys);

struct issuer;

/* on_keys comes from the loop, not before issuer_open() has returned. url outlives it. */
struct issuer *issuer_open(struct loop *loop, const char *url, issuer_keys_fn *on_keys, void *ctx,
                           struct err *err);
void           issuer_close(struct issuer *issuer);

/* https, or http to this machine or to a host of trusted ("host[:port],…"). False: F0000. */
MUST_CHECK bool issuer_check_url(const char *url, const char *trusted, struct err *err);

/* A token names a key that is not here: seconds after which the answer may be another; 0: the
 * issuer was asked just now, and has no such key. */
unsigned issuer_wait_s(struct issuer *issuer);

/* For how long an answer with this Cache-Control (NULL: none) is not asked for again. */
uint64_t issuer_fresh_ms(const char *cache_control);

#endif
