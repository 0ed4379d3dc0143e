/*
 * token: the one place that touches libjwt, which (1.10.2, measured) takes the algorithm from the
 * token, accepts anything with a NULL key, and never looks at exp. So the header is read here
 * first and must name the one algorithm that is bound to the key, the signature is checked after
 * that, and every claim is checked here again.
 *
 * Two kinds of keys, each with its algorithm and its issuers: the secret, HS256, for what this
 * house signs; and the keys of a JWKS, RS256, for KILN_JWT_ISSUER and nobody else. Where there is
 * a JWKS, that issuer's name is worth nothing under the secret. RS256 goes to OpenSSL directly:
 * libjwt would read a PEM each time, 0.36 ms against 0.02.
 *
 * Errors are KN009 (401) with a sentence that is safe to show, or HJ001 (503): the token names a
 * key that is not here, and nothing else about it was looked at.
 */
#ifndef KILN_TOKEN_H
#define KILN_TOKEN_H

#include "lib/base.h"
#include "lib/err.h"
#include "server/auth/jwks.h"

#define TOKEN_BYTES_MAX 8192
/* Tokens that this server makes after a wallet's login, whatever KILN_JWT_ISSUER is. */
#define TOKEN_WALLET_ISSUER "urn:kiln:wallet"

#define TOKEN_LEEWAY_SECONDS 30 /* of nbf and iat; exp is meant as it is written */

struct token_keys {
    const char *secret;
    const char *secret_previous; /* empty: none; still accepted while secrets are rotated */
    const char *issuer;          /* empty: any */
    const char *audience;        /* empty: any */
    bool        has_issuer_keys; /* issuer signs with keys of its own: RS256, and only these */
    const struct jwks *jwks;     /* those that are here; NULL: none yet */
};

struct token_claims {
    char    sub[256];
    char    iss[256];    /* empty: none given */
    char    scope[1024]; /* words, perhaps none */
    bool    has_scope;   /* the token restricts itself to them */
    bool    has_role;    /* the token names one, and we made it; else the account's own holds */
    bool    is_admin;    /* role = admin; any other role is a user */
    int64_t issued_us;   /* iat in microseconds: a NumericDate may have a fraction; 0: not given */
    int64_t expires_at;
    int64_t not_before;         /* 0: not given */
    const struct jwks_key *key; /* that signed it; NULL: the secret did */
};

MUST_CHECK bool token_verify(const struct token_keys *keys, const char *token, int64_t now,
                             struct token_claims *claims, struct err *err);

/* Signs claims (a JSON object's text) with the secret, HS256; the token is malloc'ed. */
char *token_sign(const struct token_keys *keys, const char *claims);

#endif
