/*
 * jwks: whatever an issuer answers, looking at it stays within it; what is taken is an RSA key of
 * 2,048 bits at least, under a name by which it is found.
 */
#include "server/auth/jwks.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct err             err  = { 0 };
    struct jwks           *jwks = jwks_parse((const char *)bytes, count, &err);
    const struct jwks_key *key  = jwks_find(jwks, "k");

    if (jwks ? jwks_count(jwks) == 0 || jwks_count(jwks) > JWKS_KEYS_MAX
             : strcmp(err.sqlstate, "22023") != 0)
        __builtin_trap();
    if (key
        && (EVP_PKEY_get_bits(key->public_key) < 2048 || jwks_find_same(jwks, key) != key
            || jwks_key_signed(key, "text", 4, bytes, count < 256 ? count : 256)))
        __builtin_trap();
    jwks_free(jwks);
    return 0;
}
