/*
 * arena: a list of blocks; allocating moves a mark, closing frees the list.
 */
#include "lib/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
/* Under AddressSanitizer what nobody asked for is poisoned, and something lies between two pieces:
 * a byte too far is seen, as it is with malloc(). */
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define GAP alignof(max_align_t)
#else
#define ASAN_POISON_MEMORY_REGION(memory, bytes)   ((void)(memory), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(memory, bytes) ((void)(memory), (void)(bytes))
#define GAP                                        0
#endif

struct block {
    struct block *older;
    size_t        used;
    size_t        size;
    alignas(max_align_t) char data[];
};

struct arena {
    struct block *newest;
    alignas(max_align_t) struct block first;
};

static void *alloc_or_die(size_t bytes)
{
    void *memory = malloc(bytes);

    if (!memory)
        abort();
    return memory;
}

struct arena *arena_open(size_t first_bytes)
{
    struct arena *arena = alloc_or_die(sizeof(*arena) + first_bytes);

    arena->newest      = &arena->first;
    arena->first.older = NULL;
    arena->first.used  = 0;
    arena->first.size  = first_bytes;
    ASAN_POISON_MEMORY_REGION(arena->first.data, first_bytes);
    return arena;
}

void arena_close(struct arena *arena)
{
    if (!arena)
        return;
    for (struct block *block = arena->newest; block != &arena->first;) {
        struct block *older = block->older;
        free(block);
        block = older;
    }
    free(arena);
}

static void add_block(struct arena *arena, size_t bytes)
{
    size_t        size  = bytes > 4096 ? bytes : 4096;
    struct block *block = alloc_or_die(sizeof(*block) + size);

    block->older  = arena->newest;
    block->used   = 0;
    block->size   = size;
    arena->newest = block;
    ASAN_POISON_MEMORY_REGION(block->data, size);
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    size_t rounded = ((bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1)) + GAP;
    void  *memory;

    assert(rounded >= bytes && "callers bound what they ask for");
    if (arena->newest->size - arena->newest->used < rounded)
        add_block(arena, rounded);
    memory = arena->newest->data + arena->newest->used;
    arena->newest->used += rounded;
    ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
    return memset(memory, 0, bytes);
}

char *arena_strndup(struct arena *arena, const char *text, size_t bytes)
{
    char *copy = arena_alloc(arena, bytes + 1);

    memcpy(copy, text, bytes);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list args;
    int     bytes;
    char   *text;

    va_start(args, fmt);
    bytes = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    assert(bytes >= 0 && "the format is one of ours");
    text = arena_alloc(arena, (size_t)bytes + 1);
    va_start(args, fmt);
    vsnprintf(text, (size_t)bytes + 1, fmt, args);
    va_end(args);
    return text;
}
