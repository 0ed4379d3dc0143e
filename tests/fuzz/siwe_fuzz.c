/*
 * siwe_fuzz: whatever is sent as a message, the parser ends, and what it takes has an address and a
 * nonce of the promised form. A first line feed divides signature and message.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server/auth/siwe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const struct siwe_policy policy = { "https://app.example.com", "1", 600 };
    struct siwe_message      m;
    struct err               err;
    char                     address[SIWE_ADDRESS_CHARS + 1];
    const char              *lf        = memchr(data, '\n', bytes);
    size_t                   head      = lf ? (size_t)(lf - (const char *)data) : 0;
    char                    *signature = strndup((const char *)data, head);
    char                    *text      = malloc(bytes + 1); /* of its own: a read past it is seen */
    size_t                   rest      = lf ? bytes - head - 1 : bytes;

    memcpy(text, data + (lf ? head + 1 : 0), rest);
    if (siwe_parse(text, rest, &m, &err)) {
        assert(strlen(m.address) == SIWE_ADDRESS_CHARS && strlen(m.nonce) >= 8);
        if (!siwe_is_for_us(&m, &policy, m.issued_at, &err))
            assert(strcmp(err.sqlstate, "KN003") == 0);
    }
    if (siwe_recover(text, rest, signature, address, &err))
        assert(strlen(address) == SIWE_ADDRESS_CHARS);
    free(signature);
    free(text);
    return 0;
}
