/*
 * keccak: a sponge of rate 136 over nettle's permutation. The state's lanes are little-endian.
 */
#include "server/auth/keccak.h"

#include <nettle/sha3.h>

#define RATE 136

static void absorb(struct sha3_state *state, size_t at, uint8_t byte)
{
    state->a[at / 8] ^= (uint64_t)byte << (8 * (at % 8));
}

void keccak256(const void *data, size_t bytes, uint8_t digest[KECCAK256_BYTES])
{
    struct sha3_state state = { 0 };
    const uint8_t    *in    = data;
    size_t            at    = 0;

    for (size_t i = 0; i < bytes; i++) {
        absorb(&state, at++, in[i]);
        if (at == RATE) {
            sha3_permute(&state);
            at = 0;
        }
    }
    absorb(&state, at, 0x01);
    absorb(&state, RATE - 1, 0x80);
    sha3_permute(&state);
    for (size_t i = 0; i < KECCAK256_BYTES; i++)
        digest[i] = (uint8_t)(state.a[i / 8] >> (8 * (i % 8)));
}
