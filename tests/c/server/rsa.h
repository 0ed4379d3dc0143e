/*
 * rsa: keys and tokens of an issuer, for tests. Tokens are in static memory until the next one.
 */
#ifndef TESTS_RSA_H
#define TESTS_RSA_H

#include <openssl/evp.h>

EVP_PKEY *rsa_make(unsigned bits);

/* {"kty":"RSA","kid":kid,"n":…,"e":…MORE}; malloc'ed. more begins with a comma, or is empty. */
char *rsa_jwk(const EVP_PKEY *key, const char *kid, const char *more);

/* {"keys":[…]} of these; malloc'ed. */
char *rsa_jwks(const char *const jwk[], size_t count);

const char *rsa_sign(EVP_PKEY *key, const char *header, const char *payload);

#endif
