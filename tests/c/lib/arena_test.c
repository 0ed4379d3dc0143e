/* arena: many blocks, one end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/arena.h"

static void memory_is_zeroed_and_aligned(void **state)
{
    struct arena *arena = arena_open(64);

    (void)state;
    for (size_t bytes = 1; bytes < 200; bytes += 7) {
        unsigned char *memory = arena_alloc(arena, bytes);
        assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, bytes);
    }
    arena_close(arena);
}

static void a_request_larger_than_a_block_gets_its_own(void **state)
{
    struct arena *arena = arena_open(16);
    char         *large = arena_alloc(arena, 100000);
    char         *small = arena_strdup(arena, "still here");

    (void)state;
    memset(large, 'x', 100000);
    assert_string_equal(small, "still here");
    arena_close(arena);
}

static void text_is_copied_and_formatted(void **state)
{
    struct arena *arena = arena_open(128);

    (void)state;
    assert_string_equal(arena_strndup(arena, "abcdef", 3), "abc");
    assert_string_equal(arena_printf(arena, "%d-%s", 7, "x"), "7-x");
    arena_close(arena);
}

/* In the programs under AddressSanitizer alone: elsewhere nothing is poisoned. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>

static void a_byte_behind_a_piece_is_poisoned(void **state)
{
    struct arena *arena = arena_open(64);
    char         *odd   = arena_alloc(arena, 5);
    char         *whole = arena_alloc(arena, 16);
    char         *large = arena_alloc(arena, 5000);

    (void)state;
    assert_false(__asan_address_is_poisoned(odd + 4));
    assert_true(__asan_address_is_poisoned(odd + 5));
    assert_true(__asan_address_is_poisoned(whole + 16));
    assert_true(__asan_address_is_poisoned(large + 5000));
    arena_close(arena);
}
#endif

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    arena_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(a_request_larger_than_a_block_gets_its_own),
        cmocka_unit_test(text_is_copied_and_formatted),
#if defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(a_byte_behind_a_piece_is_poisoned),
#endif
        cmocka_unit_test(closing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
