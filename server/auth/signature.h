/*
 * signature: whether a webhook was sent by the provider that it names. Three schemes, chosen by
 * the provider's description, each over the body's bytes as they were received:
 *
 *   fal-ed25519        X-Fal-Webhook-{Request-Id, User-Id, Timestamp, Signature}: Ed25519, in hex,
 *                      over the first three and SHA-256 of the body, divided by LF; any key of the
 *                      provider's JWKS
 *   standard-webhooks  webhook-{id, timestamp, signature}: HMAC-SHA256, `v1,` and base64, over
 *                      "id.timestamp.body"; several signatures, divided by spaces
 *   hmac-sha256        X-Hub-Signature-256: `sha256=` and hex of HMAC-SHA256 over the body. It
 *                      carries no time, so an old one verifies for ever: what it says must be such
 *                      that saying it twice does no harm
 *
 * Secrets may be two, divided by a comma, while one is replaced. Nothing is allocated for the
 * caller; comparisons take the same time whatever they compare.
 */
#ifndef KILN_SIGNATURE_H
#define KILN_SIGNATURE_H

#include "lib/base.h"

enum signature_verdict {
    SIGNATURE_GOOD,
    SIGNATURE_INVALID,     /* a header is missing or malformed */
    SIGNATURE_UNMATCHED,   /* no key made this signature for these bytes */
    SIGNATURE_OLD,         /* its time is further from ours than is tolerated, either way */
    SIGNATURE_KEY_UNKNOWN, /* there is no usable key to check with */
};

/* A header of the request by its name, NULL where it is not there. */
typedef const char *signature_header_fn(void *ctx, const char *name);

struct signature_request {
    signature_header_fn *header;
    void                *ctx;
    const char          *body; /* NULL where body_bytes is 0 */
    size_t               body_bytes;
};

struct signature_keys {
    const char *jwks;    /* {"keys": […]}: of fal-ed25519; NULL: none yet */
    const char *secrets; /* of the others; NULL or empty: none */
    int64_t     tolerance_s;
};

bool signature_knows(const char *scheme);

/* An unknown scheme is SIGNATURE_KEY_UNKNOWN. now: seconds since 1970. */
enum signature_verdict signature_check(const char *scheme, const struct signature_keys *keys,
                                       const struct signature_request *request, int64_t now);

#endif
