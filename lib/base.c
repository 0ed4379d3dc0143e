/*
 * base: randomness, clocks, and a closed memory.
 */
#include "lib/base.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>

void base_random_hex(char *out, size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char     bytes[32];

    for (size_t done = 0; done < digits;) {
        size_t want = (digits - done + 1) / 2;
        if (want > sizeof(bytes))
            want = sizeof(bytes);
        /* Up to 256 bytes are never cut short once the pool is initialised; failing means no kernel
         * we know. */
        if (getrandom(bytes, want, 0) != (ssize_t)want)
            abort();
        for (size_t i = 0; i < want * 2 && done < digits; i++)
            out[done++] = hex[(i % 2 ? bytes[i / 2] : bytes[i / 2] >> 4) & 15];
    }
    out[digits] = '\0';
}

void base_hide_memory(void)
{
#if !defined(__SANITIZE_ADDRESS__) /* the leak checker attaches to us */
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

uint64_t base_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t base_now_ms(void)
{
    return base_now_ns() / 1000000u;
}

int64_t base_unix_seconds(void)
{
    return (int64_t)time(NULL);
}
