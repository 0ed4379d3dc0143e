/*
 * jwks: the public keys of an issuer, out of the JSON Web Key Set (RFC 7517) that it publishes.
 *
 * Taken are RSA keys of 2,048 bits and more for RS256 signatures, each with a kid; keys of other
 * kinds and uses are passed over, as the RFC asks. A set with none of ours, or with one kid twice,
 * is no set: whoever has an older one keeps that.
 *
 * Bounds: JWKS_KEYS_MAX keys; the caller bounds the text.
 */
#ifndef KILN_JWKS_H
#define KILN_JWKS_H

#include <openssl/evp.h>

#include "lib/base.h"
#include "lib/err.h"

#define JWKS_BYTES_MAX ((size_t)65536)
#define JWKS_KEYS_MAX  64
#define JWKS_KID_MAX   128

/* A key and the one algorithm it is for: RS256. It is never anything else, so that no token can
 * have it taken for a secret. */
struct jwks_key {
    char      kid[JWKS_KID_MAX + 1];
    EVP_PKEY *public_key;
};

struct jwks;

/* NULL: *err says why (22023). End it with jwks_free(). */
struct jwks *jwks_parse(const char *text, size_t bytes, struct err *err);
void         jwks_free(struct jwks *jwks);

size_t                 jwks_count(const struct jwks *jwks);
const struct jwks_key *jwks_find(const struct jwks *jwks, const char *kid);

/* The key of the same kid, where it is the same key too. */
const struct jwks_key *jwks_find_same(const struct jwks *jwks, const struct jwks_key *key);

/* Whether this key made the signature of these bytes, RSASSA-PKCS1-v1_5 with SHA-256. */
bool jwks_key_signed(const struct jwks_key *key, const void *text, size_t text_bytes,
                     const void *signature, size_t signature_bytes);

#endif
