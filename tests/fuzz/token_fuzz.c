/*
 * token: without the secret no bytes whatever are a token, and looking at them stays within them.
 */
#include "server/auth/token.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const struct token_keys keys = {
        "kept from the fuzzer, long enough", "and this one", "", "", false, NULL
    };
    struct token_claims claims;
    struct err          err  = { 0 };
    char               *text = malloc(count + 1);

    memcpy(text, bytes, count);
    text[count] = '\0';
    if (token_verify(&keys, text, 1, &claims, &err) || strcmp(err.sqlstate, "KN009") != 0)
        __builtin_trap();
    free(text);
    return 0;
}
