/*
 * signature: headers are read strictly (one spelling each), then the time, then the keys.
 */
#include "server/auth/signature.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/auth/base64.h"
#include "server/auth/hex.h"

#define HEADER_BYTES_MAX  256 /* of an id or a user */
#define SIGNATURES_MAX    8   /* of one webhook */
#define KEYS_MAX          32  /* of one JWKS */
#define SECRET_BYTES_MAX  512
#define SECONDS_CHARS_MAX 12
#define ED25519_BYTES     32
#define SEAL_BYTES        64 /* of an Ed25519 signature */
#define SEAL_CHARS        128

/* ---- small forms ---- */

static bool read_seconds(const char *text, int64_t *seconds)
{
    size_t chars = strlen(text);

    if (chars == 0 || chars > SECONDS_CHARS_MAX || strspn(text, "0123456789") != chars)
        return false;
    *seconds = strtoll(text, NULL, 10);
    return true;
}

static bool is_near(int64_t then, int64_t now, int64_t tolerance_s)
{
    return then >= now - tolerance_s && then <= now + tolerance_s;
}

/* A header that is there and not longer than it may be. */
static const char *header(const struct signature_request *request, const char *name, size_t max)
{
    const char *value = request->header(request->ctx, name);

    return value && value[0] && strlen(value) <= max ? value : NULL;
}

/* ---- fal-ed25519 ---- */

/* A key that cannot be used is passed over: a JWKS may hold other kinds. */
static EVP_PKEY *read_jwk(const json_t *jwk)
{
    const char   *kty = json_string_value(json_object_get(jwk, "kty"));
    const char   *crv = json_string_value(json_object_get(jwk, "crv"));
    const char   *x   = json_string_value(json_object_get(jwk, "x"));
    unsigned char raw[ED25519_BYTES];
    size_t        len;

    if (!kty || !crv || !x || strcmp(kty, "OKP") != 0 || strcmp(crv, "Ed25519") != 0
        || !base64_read_any(x, strlen(x), raw, sizeof(raw), &len) || len != sizeof(raw))
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
}

static bool key_made(EVP_PKEY *key, const unsigned char *seal, const char *message)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool        ok =
        ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1
        && EVP_DigestVerify(ctx, seal, SEAL_BYTES, (const unsigned char *)message, strlen(message))
               == 1;

    EVP_MD_CTX_free(ctx);
    return ok;
}

static enum signature_verdict any_key_made(const char *jwks, const unsigned char *seal,
                                           const char *message)
{
    json_t                *set     = jwks ? json_loads(jwks, 0, NULL) : NULL;
    const json_t          *keys    = json_object_get(set, "keys");
    enum signature_verdict verdict = SIGNATURE_KEY_UNKNOWN;

    for (size_t i = 0; i < json_array_size(keys) && i < KEYS_MAX; i++) {
        EVP_PKEY *key = read_jwk(json_array_get(keys, i));
        if (!key)
            continue;
        if (verdict != SIGNATURE_GOOD)
            verdict = key_made(key, seal, message) ? SIGNATURE_GOOD : SIGNATURE_UNMATCHED;
        EVP_PKEY_free(key);
    }
    json_decref(set);
    return verdict;
}

/* "request_id LF user_id LF timestamp LF hex of SHA-256(body)" */
static bool write_fal_message(const struct signature_request *request, const char *id,
                              const char *user, const char *timestamp, char *message, size_t size)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char          hex[2 * SHA256_DIGEST_LENGTH + 1];

    SHA256((const unsigned char *)(request->body ? request->body : ""), request->body_bytes,
           digest);
    hex_write(hex, digest, sizeof(digest));
    return (size_t)snprintf(message, size, "%s\n%s\n%s\n%s", id, user, timestamp, hex) < size;
}

static enum signature_verdict check_fal(const struct signature_keys    *keys,
                                        const struct signature_request *request, int64_t now)
{
    const char   *id   = header(request, "X-Fal-Webhook-Request-Id", HEADER_BYTES_MAX);
    const char   *user = header(request, "X-Fal-Webhook-User-Id", HEADER_BYTES_MAX);
    const char   *time = header(request, "X-Fal-Webhook-Timestamp", SECONDS_CHARS_MAX);
    const char   *text = header(request, "X-Fal-Webhook-Signature", SEAL_CHARS);
    unsigned char seal[SEAL_BYTES];
    char          message[2 * HEADER_BYTES_MAX + 100];
    int64_t       seconds;

    if (!id || !user || !time || !text || !read_seconds(time, &seconds)
        || !hex_read(text, seal, sizeof(seal))
        || !write_fal_message(request, id, user, time, message, sizeof(message)))
        return SIGNATURE_INVALID;
    if (!is_near(seconds, now, keys->tolerance_s))
        return SIGNATURE_OLD;
    return any_key_made(keys->jwks, seal, message);
}

/* ---- secrets and HMAC ---- */

struct secret {
    unsigned char bytes[SECRET_BYTES_MAX];
    size_t        len;
};

/* `whsec_` and base64 is how Standard Webhooks writes a secret; without it the text is the key. */
static bool read_secret(const char *text, size_t chars, struct secret *secret)
{
    if (chars > 6 && strncmp(text, "whsec_", 6) == 0)
        return base64_read_any(text + 6, chars - 6, secret->bytes, sizeof(secret->bytes),
                               &secret->len)
               && secret->len > 0;
    if (chars == 0 || chars > sizeof(secret->bytes))
        return false;
    memcpy(secret->bytes, text, chars);
    secret->len = chars;
    return true;
}

/* Takes the next secret off *list; false at its end. One that cannot be read is passed over. */
static bool next_secret(const char **list, struct secret *secret)
{
    while (*list && **list) {
        const char *text  = *list + strspn(*list, ", ");
        size_t      chars = strcspn(text, ", ");

        *list = text + chars;
        if (read_secret(text, chars, secret))
            return true;
    }
    return false;
}

/* HMAC-SHA256 over head and the body. */
static bool write_mac(const struct secret *secret, const char *head,
                      const struct signature_request *request,
                      unsigned char                   mac[SHA256_DIGEST_LENGTH])
{
    EVP_PKEY   *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, secret->bytes, secret->len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t      len = SHA256_DIGEST_LENGTH;
    bool        ok =
        key && ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1
        && EVP_DigestSignUpdate(ctx, head, strlen(head)) == 1
        && EVP_DigestSignUpdate(ctx, request->body ? request->body : "", request->body_bytes) == 1
        && EVP_DigestSignFinal(ctx, mac, &len) == 1 && len == SHA256_DIGEST_LENGTH;

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok;
}

struct macs {
    unsigned char mac[SIGNATURES_MAX][SHA256_DIGEST_LENGTH];
    size_t        count;
};

static enum signature_verdict any_secret_made(const char *secrets, const struct macs *macs,
                                              const char                     *head,
                                              const struct signature_request *request)
{
    enum signature_verdict verdict = SIGNATURE_KEY_UNKNOWN;
    unsigned char          ours[SHA256_DIGEST_LENGTH];
    struct secret          secret;

    while (next_secret(&secrets, &secret)) {
        if (verdict == SIGNATURE_KEY_UNKNOWN)
            verdict = SIGNATURE_UNMATCHED;
        if (!write_mac(&secret, head, request, ours))
            continue;
        for (size_t i = 0; i < macs->count; i++)
            if (CRYPTO_memcmp(ours, macs->mac[i], sizeof(ours)) == 0)
                verdict = SIGNATURE_GOOD;
    }
    OPENSSL_cleanse(&secret, sizeof(secret));
    return verdict;
}

/* ---- standard-webhooks ---- */

/* `v1,BASE64 v1,BASE64 …`; other versions, and more than we look at, are passed over. */
static void read_signatures(const char *text, struct macs *macs)
{
    macs->count = 0;
    while (*text && macs->count < SIGNATURES_MAX) {
        size_t chars = strcspn(text, " "), len;

        if (chars > 3 && strncmp(text, "v1,", 3) == 0
            && base64_read_any(text + 3, chars - 3, macs->mac[macs->count], SHA256_DIGEST_LENGTH,
                               &len)
            && len == SHA256_DIGEST_LENGTH)
            macs->count++;
        text += chars;
        text += strspn(text, " ");
    }
}

static enum signature_verdict check_standard(const struct signature_keys    *keys,
                                             const struct signature_request *request, int64_t now)
{
    const char *id   = header(request, "webhook-id", HEADER_BYTES_MAX);
    const char *time = header(request, "webhook-timestamp", SECONDS_CHARS_MAX);
    const char *text = header(request, "webhook-signature", 4096);
    struct macs macs;
    char        head[HEADER_BYTES_MAX + 20];
    int64_t     seconds;

    if (!id || !time || !text || !read_seconds(time, &seconds)
        || (size_t)snprintf(head, sizeof(head), "%s.%s.", id, time) >= sizeof(head))
        return SIGNATURE_INVALID;
    read_signatures(text, &macs);
    if (macs.count == 0)
        return SIGNATURE_INVALID;
    if (!is_near(seconds, now, keys->tolerance_s))
        return SIGNATURE_OLD;
    return any_secret_made(keys->secrets, &macs, head, request);
}

/* ---- hmac-sha256 ---- */

static enum signature_verdict check_hmac(const struct signature_keys    *keys,
                                         const struct signature_request *request, int64_t now)
{
    const char *text = header(request, "X-Hub-Signature-256", 7 + 2 * SHA256_DIGEST_LENGTH);
    struct macs macs = { .count = 1 };

    (void)now;
    if (!text || strncmp(text, "sha256=", 7) != 0
        || !hex_read(text + 7, macs.mac[0], SHA256_DIGEST_LENGTH))
        return SIGNATURE_INVALID;
    return any_secret_made(keys->secrets, &macs, "", request);
}

/* ---- which ---- */

typedef enum signature_verdict check_fn(const struct signature_keys *,
                                        const struct signature_request *, int64_t now);

static const struct {
    const char *name;
    check_fn   *check;
} schemes[] = {
    { "fal-ed25519", check_fal },
    { "standard-webhooks", check_standard },
    { "hmac-sha256", check_hmac },
};

static check_fn *find_scheme(const char *name)
{
    for (size_t i = 0; i < countof(schemes); i++)
        if (strcmp(schemes[i].name, name) == 0)
            return schemes[i].check;
    return NULL;
}

bool signature_knows(const char *scheme)
{
    return find_scheme(scheme) != NULL;
}

enum signature_verdict signature_check(const char *scheme, const struct signature_keys *keys,
                                       const struct signature_request *request, int64_t now)
{
    check_fn *check = find_scheme(scheme);

    return check ? check(keys, request, now) : SIGNATURE_KEY_UNKNOWN;
}
