/* prng: splitmix64 for chance, gradient noise for texture; see prng.h. */
#include "media/sample/prng.h"

#include <math.h>

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t prng_hash(uint64_t key, const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u ^ mix(key);

    for (const char *c = text; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
    return mix(hash);
}

struct prng prng_of(uint64_t key, const char *label)
{
    return (struct prng) { prng_hash(key, label) };
}

uint64_t prng_next(struct prng *prng)
{
    prng->state += 0x9e3779b97f4a7c15u;
    return mix(prng->state);
}

float prng_unit(struct prng *prng)
{
    return (float)(prng_next(prng) >> 40) * 0x1p-24f;
}

float prng_range(struct prng *prng, float low, float high)
{
    return low + (high - low) * prng_unit(prng);
}

int prng_below(struct prng *prng, int bound)
{
    return (int)(prng_next(prng) % (uint64_t)bound);
}

static uint32_t lattice(uint32_t seed, int x, int y)
{
    uint32_t h = seed ^ ((uint32_t)x * 0x8da6b343u) ^ ((uint32_t)y * 0xd8163841u);

    h ^= h >> 15;
    h *= 0x2c1b3c6du;
    h ^= h >> 12;
    h *= 0x297a2d39u;
    return h ^ (h >> 15);
}

/* One of 16 directions dotted with the way from the lattice point. */
static float slope(uint32_t seed, int x, int y, float dx, float dy)
{
    static const float cosine[16] = { 1,  .9239f,  .7071f,  .3827f,  0, -.3827f, -.7071f, -.9239f,
                                      -1, -.9239f, -.7071f, -.3827f, 0, .3827f,  .7071f,  .9239f };
    uint32_t           h          = lattice(seed, x, y) >> 28;

    return cosine[h] * dx + cosine[(h + 12) & 15] * dy;
}

float noise_at(uint32_t seed, float x, float y)
{
    float fx = floorf(x), fy = floorf(y);
    int   ix = (int)fx, iy = (int)fy;
    float dx = x - fx, dy = y - fy;
    float u = dx * dx * dx * (dx * (dx * 6 - 15) + 10);
    float v = dy * dy * dy * (dy * (dy * 6 - 15) + 10);
    float a = slope(seed, ix, iy, dx, dy), b = slope(seed, ix + 1, iy, dx - 1, dy);
    float c = slope(seed, ix, iy + 1, dx, dy - 1), d = slope(seed, ix + 1, iy + 1, dx - 1, dy - 1);
    float top = a + (b - a) * u, bottom = c + (d - c) * u;

    return 1.5f * (top + (bottom - top) * v);
}

float noise_fbm(uint32_t seed, float x, float y, int octaves)
{
    float sum = 0, weight = 0.5f;

    for (int i = 0; i < octaves; i++) {
        sum += weight * noise_at(seed + (uint32_t)i * 101u, x, y);
        x = x * 2.03f + 17.1f;
        y = y * 2.03f + 31.7f;
        weight *= 0.5f;
    }
    return sum;
}
