/*
 * keccak: Keccak-256 as Ethereum means it: the sponge of SHA3-256 with the padding of the original
 * submission (0x01, where the standard has 0x06). No library of Debian 12 has it whole; nettle
 * gives the permutation, and the sponge is here.
 */
#ifndef KILN_KECCAK_H
#define KILN_KECCAK_H

#include "lib/base.h"

#define KECCAK256_BYTES 32

void keccak256(const void *data, size_t bytes, uint8_t digest[KECCAK256_BYTES]);

#endif
