/*
 * base: the few words every file uses.
 */
#ifndef KILN_BASE_H
#define KILN_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef KILN_VERSION
#error "KILN_VERSION comes from the Makefile, which reads the file VERSION"
#endif

#define MUST_CHECK            __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define countof(array)        (sizeof(array) / sizeof((array)[0]))

/* How the programs end; sysexits.h has the same numbers, but not EX_CONTRACT under that name. */
enum exit_code {
    EXIT_OK       = 0,
    EXIT_USAGE    = 64, /* a flag that does not exist or does not parse */
    EXIT_NO_DB    = 69, /* --check or --once: the database does not answer */
    EXIT_INTERNAL = 70, /* our own mistake, or the system refused something basic */
    EXIT_RESTORED = 75, /* the database was restored from a backup: ./kiln after-restore */
    EXIT_CONTRACT = 76, /* a function is missing or has other arguments */
    EXIT_CONFIG   = 78, /* an unknown or malformed KILN_ variable */
};

/* Fills out with `digits` random hex digits and a NUL (out holds digits + 1). Random means
 * getrandom(2). */
void base_random_hex(char *out, size_t digits);

/* Closes this process's memory and environment (in /proc), where secrets are, to others of the same
 * user. */
void base_hide_memory(void);

/* Milliseconds and nanoseconds of CLOCK_MONOTONIC: for deadlines, never for showing. */
uint64_t base_now_ms(void);
uint64_t base_now_ns(void);

/* Seconds since 1970: for tokens and log lines. */
int64_t base_unix_seconds(void);

#endif
