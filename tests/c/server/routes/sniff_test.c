/* sniff: first bytes against what a client says they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "server/routes/sniff.h"

static const struct {
    const char *type, *bytes;
    size_t      nbytes;
} heads[] = {
#define HEAD(type, bytes)              \
    {                                  \
        type, bytes, sizeof(bytes) - 1 \
    }
    HEAD("image/png", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    HEAD("image/jpeg", "\xff\xd8\xff\xe0\0\x10JFIF"),
    HEAD("image/gif", "GIF89a\1\0\1\0"),
    HEAD("image/webp", "RIFF\x24\0\0\0WEBPVP8 "),
    HEAD("audio/wav", "RIFF\x24\0\0\0WAVEfmt "),
    HEAD("image/avif", "\0\0\0\x1c"
                       "ftypavif\0\0\0\0"),
    HEAD("video/mp4", "\0\0\0\x20"
                      "ftypisom\0\0\2\0"),
    HEAD("video/quicktime", "\0\0\0\x14"
                            "ftypqt  \0\0\0\0"),
    HEAD("audio/mp4", "\0\0\0\x20"
                      "ftypM4A \0\0\0\0"),
    HEAD("video/webm", "\x1a\x45\xdf\xa3\x9f\x42\x86\x81"),
    HEAD("audio/ogg", "OggS\0\2\0\0"),
    HEAD("audio/flac", "fLaC\0\0\0\x22"),
    HEAD("audio/mpeg", "ID3\4\0\0\0\0"),
    HEAD("audio/mpeg", "\xff\xfb\x90\x64"),
    HEAD("audio/mpeg", "\xff\xfa\x90\x64"), /* with a checksum */
    HEAD("audio/mpeg", "\xff\xe3\x18\xc4"), /* MPEG-2.5 */
    HEAD("audio/mpeg", "\xff\xe2\x18\xc4"),
    HEAD("audio/mpeg", "\xff\xf2\x18\xc4"),
    HEAD("image/heic", "\0\0\0\x1c"
                       "ftypheic\0\0\0\0"),
    HEAD("image/heic", "\0\0\0\x1c"
                       "ftypmif1\0\0\0\0"),
    HEAD("video/quicktime", "\0\0\4\x14"
                            "moov\0\0\0\x6c"
                            "mvhd"),
};

/* Of one family of containers, whose brands programs mix: what is in the file is found out
 * later. */
static bool are_of_one_family(const char *a, const char *b)
{
    static const char *const families[][3] = { { "video/mp4", "audio/mp4", "video/quicktime" },
                                               { "image/heic", "image/avif", "" } };

    for (size_t i = 0; i < countof(families); i++) {
        int hits = 0;
        for (size_t k = 0; k < 3; k++)
            hits += (strcmp(families[i][k], a) == 0) + (strcmp(families[i][k], b) == 0);
        if (hits == 2)
            return true;
    }
    return false;
}

static void each_kind_is_known_by_its_first_bytes_and_is_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(heads); i++) {
        assert_string_equal(sniff_type(heads[i].bytes, heads[i].nbytes), heads[i].type);
        for (size_t k = 0; k < countof(heads); k++) {
            bool same = strcmp(heads[i].type, heads[k].type) == 0
                        || are_of_one_family(heads[i].type, heads[k].type);
            assert_int_equal(sniff_agrees(heads[k].type, heads[i].bytes, heads[i].nbytes), same);
        }
    }
}

static void text_and_scripts_are_nothing_we_know(void **state)
{
    static const char *const texts[] = { "<html>", "<svg xmlns=", "#!/bin/sh", "%PDF-1.7",
                                         "",       "P6 1 1" };

    (void)state;
    for (size_t i = 0; i < countof(texts); i++) {
        assert_null(sniff_type(texts[i], strlen(texts[i])));
        assert_false(sniff_agrees("image/png", texts[i], strlen(texts[i])));
    }
}

static void a_cut_head_is_not_read_beyond_its_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(heads); i++)
        for (size_t n = 0; n < heads[i].nbytes; n++) {
            char *copy = malloc(n ? n : 1); /* the sanitizer sees one byte too far */
            memcpy(copy, heads[i].bytes, n);
            sniff_type(copy, n);
            free(copy);
        }
}

static void riff_alone_is_neither_picture_nor_sound(void **state)
{
    (void)state;
    assert_null(sniff_type("XXXX\x24\0\0\0WEBPVP8 ", 16));
    assert_null(sniff_type("RIFF\x24\0\0\0AVI LIST", 16));
}

static void other_names_of_a_type_count_as_it(void **state)
{
    (void)state;
    assert_true(sniff_agrees("audio/x-wav", "RIFF\x24\0\0\0WAVEfmt ", 16));
    assert_true(sniff_agrees("IMAGE/JPG", "\xff\xd8\xff\xe0", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_known_by_its_first_bytes_and_is_no_other),
        cmocka_unit_test(text_and_scripts_are_nothing_we_know),
        cmocka_unit_test(a_cut_head_is_not_read_beyond_its_end),
        cmocka_unit_test(riff_alone_is_neither_picture_nor_sound),
        cmocka_unit_test(other_names_of_a_type_count_as_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
