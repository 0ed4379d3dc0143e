/*
 * arena: memory that is freed all at once, one arena a request.
 *
 * Ownership: the caller ends arena_open() with arena_close(); what the others return lives until
 *            then.
 * Errors:    none. Without memory the program ends (abort): nothing sensible is left to do.
 * Bound:     none of its own; callers bound what they put in (the server's largest is one request
 *            body). Under AddressSanitizer a byte behind a piece is poisoned.
 */
#ifndef KILN_ARENA_H
#define KILN_ARENA_H

#include "lib/base.h"

struct arena;

/* One malloc holds the arena and its first block of first_bytes. */
struct arena *arena_open(size_t first_bytes);
void          arena_close(struct arena *arena);

/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *arena, size_t bytes) __attribute__((returns_nonnull, malloc));
char *arena_strdup(struct arena *arena, const char *text) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *arena, const char *text, size_t bytes)
    __attribute__((returns_nonnull));
char *arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3)
    __attribute__((returns_nonnull));

#endif
