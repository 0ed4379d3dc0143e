/* rsa: what an issuer does, by OpenSSL. */
#include "tests/c/server/rsa.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/auth/base64.h"

EVP_PKEY *rsa_make(unsigned bits)
{
    EVP_PKEY *key = EVP_RSA_gen(bits);

    if (!key)
        abort();
    return key;
}

static void number(const EVP_PKEY *key, const char *name, char *out)
{
    unsigned char raw[2048];
    BIGNUM       *bn = NULL;

    if (EVP_PKEY_get_bn_param(key, name, &bn) != 1)
        abort();
    base64url_write(out, raw, (size_t)BN_bn2bin(bn, raw));
    BN_free(bn);
}

char *rsa_jwk(const EVP_PKEY *key, const char *kid, const char *more)
{
    char  n[3000], e[20];
    char *jwk = NULL;

    number(key, OSSL_PKEY_PARAM_RSA_N, n);
    number(key, OSSL_PKEY_PARAM_RSA_E, e);
    if (asprintf(&jwk, "{\"kty\":\"RSA\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"%s}", kid, n, e,
                 more)
        < 0)
        abort();
    return jwk;
}

char *rsa_jwks(const char *const jwk[], size_t count)
{
    char  *jwks  = NULL;
    size_t bytes = 0;
    FILE  *out   = open_memstream(&jwks, &bytes);

    if (!out)
        abort();
    fputs("{\"keys\":[", out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%s", i ? "," : "", jwk[i]);
    fputs("]}", out);
    fclose(out);
    return jwks;
}

const char *rsa_sign(EVP_PKEY *key, const char *header, const char *payload)
{
    static char   token[20000];
    unsigned char signature[2048];
    size_t        bytes = sizeof(signature);
    EVP_MD_CTX   *ctx   = EVP_MD_CTX_new();
    char         *end   = base64url_write(token, header, strlen(header));

    *end++ = '.';
    end    = base64url_write(end, payload, strlen(payload));
    if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1
        || EVP_DigestSign(ctx, signature, &bytes, (unsigned char *)token, (size_t)(end - token))
               != 1)
        abort();
    EVP_MD_CTX_free(ctx);
    *end++ = '.';
    base64url_write(end, signature, bytes);
    return token;
}
