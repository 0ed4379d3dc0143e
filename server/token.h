/*
 * token: the one place that touches libjwt, which (1.10.2, measured) takes the algorithm from the
 * token, accepts anything with a NULL key, and never looks at exp. So the header is read here first
 * and must name the one algorithm bound to the key, the signature is checked by libjwt after that,
 * and every claim is checked here again.
 *
 * HS256 only. Errors are KN009 (401) with a sentence that is safe to show.
 */
#ifndef KILN_TOKEN_H
#define KILN_TOKEN_H

#include "base.h"
#include "err.h"

#define TOKEN_BYTES_MAX 8192
/* Tokens that this server makes after a wallet's login, whatever KILN_JWT_ISSUER is. */
#define TOKEN_WALLET_ISSUER "urn:kiln:wallet"

#define TOKEN_LEEWAY_SECONDS 30 /* of nbf and iat; exp is meant as it is written */

struct token_keys {
    const char *secret;
    const char *secret_previous; /* empty: none; still accepted while secrets are rotated */
    const char *issuer;          /* empty: any */
    const char *audience;        /* empty: any */
};

struct token_claims {
    char    sub[256];
    char    iss[256];    /* empty: none given */
    char    scope[1024]; /* words; empty: none given */
    bool    has_role;    /* the token names one; else the account's own holds */
    bool    is_admin;    /* role = admin; any other role is a user */
    int64_t issued_at;   /* 0: not given */
    int64_t expires_at;
    int64_t not_before; /* 0: not given */
};

MUST_CHECK bool token_verify(const struct token_keys *keys, const char *token, int64_t now,
                             struct token_claims *claims, struct err *err);

/* Signs claims (a JSON object's text) with the secret, HS256; the token is malloc'ed. */
char *token_sign(const struct token_keys *keys, const char *claims);

#endif
