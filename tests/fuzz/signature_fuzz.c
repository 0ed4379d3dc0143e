/*
 * signature: whatever headers and body are sent, nothing is believed that our keys did not sign.
 * The first byte chooses the scheme; then come header values, a line each; the rest is the body.
 */
#include "server/auth/signature.h"

#include <stdlib.h>
#include <string.h>

#define VALUES 4

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* Headers are given out in the order they are asked for. */
struct said {
    char *values[VALUES];
    int   next;
};

static const char *header(void *ctx, const char *name)
{
    struct said *said = ctx;

    (void)name;
    return said->next < VALUES ? said->values[said->next++] : NULL;
}

static void check(const char *scheme, const char *jwks, struct said *said, const char *body,
                  bool is_ours)
{
    struct signature_keys    keys    = { .jwks        = jwks,
                                         .secrets     = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,other",
                                         .tolerance_s = 300 };
    struct signature_request request = { header, said, body, strlen(body) };

    said->next = 0;
    if (signature_check(scheme, &keys, &request, 1760000000) == SIGNATURE_GOOD && is_ours)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const char *const schemes[] = { "fal-ed25519", "standard-webhooks", "hmac-sha256" };
    struct said              said      = { 0 };
    char                    *text, *at;

    if (count < 1)
        return 0;
    text = malloc(count);
    memcpy(text, bytes + 1, count - 1);
    text[count - 1] = '\0';
    at              = text;
    for (int i = 0; i < VALUES && strchr(at, '\n'); i++) {
        said.values[i] = at;
        at             = strchr(at, '\n');
        *at++          = '\0';
    }
    check(schemes[bytes[0] % countof(schemes)],
          "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
          "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
          &said, at, true);
    check("fal-ed25519", at, &said, at, false); /* keys that are anything */
    free(text);
    return 0;
}
