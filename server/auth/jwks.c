/*
 * jwks: JSON ─► numbers ─► OpenSSL's keys.
 */
#include "server/auth/jwks.h"

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/auth/base64.h"
#include "server/http/json_text.h"

#define BITS_MIN      2048
#define BITS_MAX      8192 /* a longer one would only make each verification slow */
#define MODULUS_CHARS (BITS_MAX / 6 + 2)
#define EXPONENT_BITS 32

struct jwks {
    size_t          count;
    struct jwks_key keys[JWKS_KEYS_MAX];
};

/* ---- one key ---- */

/* What need not be there must still not say something else. */
static bool is_absent_or(const json_t *jwk, const char *name, const char *wanted)
{
    return !json_object_get(jwk, name) || strcmp(text_of(jwk, name), wanted) == 0;
}

static bool may_verify(const json_t *jwk)
{
    const json_t *operations = json_object_get(jwk, "key_ops");

    for (size_t i = 0; i < json_array_size(operations); i++) {
        const char *operation = json_string_value(json_array_get(operations, i));
        if (operation && strcmp(operation, "verify") == 0)
            return true;
    }
    return operations == NULL;
}

/* Ours: of RSA, for signatures by RS256, with a name, and without the private half, which nobody
 * may know. */
static bool is_ours(const json_t *jwk)
{
    const json_t *kid = json_object_get(jwk, "kid");

    return json_is_object(jwk) && strcmp(text_of(jwk, "kty"), "RSA") == 0
           && is_absent_or(jwk, "use", "sig") && is_absent_or(jwk, "alg", "RS256")
           && may_verify(jwk) && !json_object_get(jwk, "d") && json_string_length(kid) > 0
           && json_string_length(kid) <= JWKS_KID_MAX;
}

/* Base64urlUInt of RFC 7518. NULL: it is none, or too long. */
static BIGNUM *read_number(const json_t *jwk, const char *name)
{
    const char   *text  = text_of(jwk, name);
    size_t        chars = strlen(text), bytes;
    unsigned char raw[MODULUS_CHARS];

    if (chars == 0 || chars > MODULUS_CHARS || !base64url_read(text, chars, raw, &bytes))
        return NULL;
    return BN_bin2bn(raw, (int)bytes, NULL);
}

static bool are_sound(const BIGNUM *n, const BIGNUM *e)
{
    return n && e && BN_num_bits(n) >= BITS_MIN && BN_num_bits(n) <= BITS_MAX && BN_is_odd(n)
           && BN_is_odd(e) && !BN_is_one(e) && BN_num_bits(e) <= EXPONENT_BITS;
}

static EVP_PKEY *make_key(const BIGNUM *n, const BIGNUM *e)
{
    OSSL_PARAM_BLD *build  = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX   *ctx    = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM     *params = NULL;
    EVP_PKEY       *key    = NULL;

    if (!build || !ctx)
        abort();
    if (OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1
        && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        params = OSSL_PARAM_BLD_to_param(build);
    if (!params || EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return key;
}

static EVP_PKEY *read_key(const json_t *jwk)
{
    BIGNUM   *n   = read_number(jwk, "n");
    BIGNUM   *e   = read_number(jwk, "e");
    EVP_PKEY *key = are_sound(n, e) ? make_key(n, e) : NULL;

    BN_free(n);
    BN_free(e);
    return key;
}

/* ---- the set ---- */

static bool refuse(struct err *err, const char *sentence)
{
    err_set(err, "22023", "%s", sentence);
    return false;
}

static bool add_key(struct jwks *jwks, const json_t *jwk, struct err *err)
{
    const char      *kid = text_of(jwk, "kid");
    struct jwks_key *key = &jwks->keys[jwks->count];
    EVP_PKEY        *public_key;

    public_key = is_ours(jwk) ? read_key(jwk) : NULL;
    if (!public_key)
        return true;
    if (jwks_find(jwks, kid)) {
        EVP_PKEY_free(public_key);
        return refuse(err, "two keys have one kid");
    }
    snprintf(key->kid, sizeof(key->kid), "%s", kid);
    key->public_key = public_key;
    jwks->count++;
    return true;
}

static bool add_keys(struct jwks *jwks, const json_t *json, struct err *err)
{
    const json_t *keys = json_object_get(json, "keys");

    if (!json_is_array(keys))
        return refuse(err, "it is not a JSON object with an array \"keys\"");
    if (json_array_size(keys) > JWKS_KEYS_MAX)
        return refuse(err, "it has too many keys");
    for (size_t i = 0; i < json_array_size(keys); i++)
        if (!add_key(jwks, json_array_get(keys, i), err))
            return false;
    return jwks->count > 0 || refuse(err, "it has no RSA key for RS256 of at least 2048 bits");
}

struct jwks *jwks_parse(const char *text, size_t bytes, struct err *err)
{
    json_t      *json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    struct jwks *jwks = calloc(1, sizeof(*jwks));
    bool         ok;

    if (!jwks)
        abort();
    ok = add_keys(jwks, json, err);
    json_decref(json);
    if (ok)
        return jwks;
    jwks_free(jwks);
    return NULL;
}

void jwks_free(struct jwks *jwks)
{
    for (size_t i = 0; jwks && i < jwks->count; i++)
        EVP_PKEY_free(jwks->keys[i].public_key);
    free(jwks);
}

size_t jwks_count(const struct jwks *jwks)
{
    return jwks ? jwks->count : 0;
}

const struct jwks_key *jwks_find(const struct jwks *jwks, const char *kid)
{
    for (size_t i = 0; jwks && i < jwks->count; i++)
        if (strcmp(jwks->keys[i].kid, kid) == 0)
            return &jwks->keys[i];
    return NULL;
}

const struct jwks_key *jwks_find_same(const struct jwks *jwks, const struct jwks_key *key)
{
    const struct jwks_key *found = jwks_find(jwks, key->kid);

    return found && EVP_PKEY_eq(found->public_key, key->public_key) == 1 ? found : NULL;
}

bool jwks_key_signed(const struct jwks_key *key, const void *text, size_t text_bytes,
                     const void *signature, size_t signature_bytes)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool        ok;

    if (!ctx)
        abort();
    ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key->public_key) == 1
         && EVP_DigestVerify(ctx, signature, signature_bytes, text, text_bytes) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error(); /* a wrong signature leaves reasons that nobody reads */
    return ok;
}
