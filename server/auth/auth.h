/*
 * auth: who is asking. Turns a request's token or key into the context that kiln_api.act_as()
 * takes (act_as.h). Its claims come from a verified token and from nowhere else, except for the
 * operator's key (KILN_ADMIN_KEY in X-API-Key), which opens administration's routes and no other.
 *
 * Bound: a cache of 1,024 verified tokens by SHA-256; dates are checked again at each hit, and a
 * token leaves the cache with the key that signed it.
 */
#ifndef KILN_AUTH_H
#define KILN_AUTH_H

#include "lib/base.h"
#include "lib/err.h"
#include "server/auth/token.h"

struct auth;
struct identity;
struct request;

/* keys' strings and admin_key outlive it; an empty admin_key opens nothing. */
struct auth *auth_open(const struct token_keys *keys, const char *admin_key);
void         auth_close(struct auth *auth);

/* Seconds after which a token with a key that is not here may be good; 0: never. */
typedef unsigned auth_unknown_key_fn(void *ctx);

/* From now on tokens of keys->issuer are RS256, with the keys that auth_set_jwks() brings. */
void auth_expect_jwks(struct auth *auth, auth_unknown_key_fn *on_unknown_key, void *ctx);

/* The keys from now on, which go over to auth; NULL: none. */
void auth_set_jwks(struct auth *auth, struct jwks *jwks);

/* Fills r->context (in its arena) and r->expires_at as the route's kind asks. */
MUST_CHECK bool auth_request(struct request *r, struct err *err);

/* The operator's key, compared in a time that tells nothing of it. */
bool auth_is_admin_key(const struct auth *auth, const char *key);

/* A token of our own, with the audience that is configured; malloc'ed. claims: a JSON object. */
char *auth_sign(const struct auth *auth, const char *claims);

/* For tests: how often a token was verified rather than found. */
uint64_t auth_verifications(const struct auth *auth);

/* HJ001: its key is not known yet; everything else is KN009.
 * The identity of a good token lives until the next call. */
MUST_CHECK bool auth_identity(struct auth *auth, const char *token, int64_t now,
                              const struct identity **identity, int64_t *expires_at,
                              struct err *err);

#endif
