/*
 * prng: reproducible chance. The same key gives the same numbers on every machine and for ever.
 *
 * A key comes from hashing what the user asked for; sub-keys are made by label, so that adding a
 * star to the sky does not move the mountains.
 */
#ifndef MEDIA_PRNG_H
#define MEDIA_PRNG_H

#include <stdint.h>

struct prng {
    uint64_t state;
};

uint64_t    prng_hash(uint64_t key, const char *text); /* FNV-1a, then mixed */
struct prng prng_of(uint64_t key, const char *label);
uint64_t    prng_next(struct prng *prng);
float       prng_unit(struct prng *prng); /* 0 <= x < 1 */
float       prng_range(struct prng *prng, float low, float high);
int         prng_below(struct prng *prng, int bound); /* 0 .. bound-1 */

/* Smooth noise in -1 .. 1 and its fractal sum (octaves halve in size and weight). */
float noise_at(uint32_t seed, float x, float y);
float noise_fbm(uint32_t seed, float x, float y, int octaves);

#endif
