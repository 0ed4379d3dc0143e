/*
 * Files of daily life: those of tests/fixtures/media/odd (odd.json says what each is to become) and
 * of media/cases, which other programs show and we once refused. Each is checked as an upload is;
 * its clean copy, its thumbnail and what a stage is given are upright, of the right size and as
 * see-through as before, and hold nothing that stood behind the end.
 */
#include "tests/c/media/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/files/picture.h"

static json_t *rows(void)
{
    json_error_t error;
    json_t      *list = json_load_file(bench_fixture("odd/odd.json"), 0, &error);

    if (list == NULL)
        fail_msg("odd.json: %s", error.text);
    return list;
}

static const char *text_of(const json_t *row, const char *name)
{
    return json_string_value(json_object_get(row, name));
}

static void take(const char *folder, const char *name)
{
    char   path[200];
    size_t count;
    char  *bytes;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    bytes = bench_read(bench_fixture(path), &count);
    bench_write("in/file", bytes, count);
    g_free(bytes);
}

static void check(const char *name)
{
    struct outcome outcome = bench_run(
        "check",
        "{\"config\":{},\"input\":{},\"media\":[{\"media_id\":\"1\",\"file\":\"in/file\"}]}");

    if (outcome.exit_code != 0)
        fail_msg("%s is refused: %s", name, outcome.reason);
}

static void prepare(const char *name)
{
    struct outcome outcome;

    bench_hand_over("out/checked", "in/1");
    outcome = bench_run(
        "prepare",
        "{\"config\":{},\"input\":{\"prompt\":\"x\",\"params\":{},\"media_type\":\"image\"},"
        "\"media\":[{\"file\":\"in/1\"}]}");
    if (outcome.exit_code != 0)
        fail_msg("%s cannot be used: %s", name, outcome.reason);
}

static void pixel(VipsImage *image, int x, int y, double colour[4])
{
    double *found;
    int     count;

    assert_int_equal(vips_getpoint(image, &found, &count, x, y, NULL), 0);
    for (int i = 0; i < 4; i++)
        colour[i] = i < count ? found[i] : 255;
    g_free(found);
}

static void is_near(const char *name, const char *where, VipsImage *image, int x, int y,
                    const double wanted[4], double most)
{
    double found[4];

    pixel(image, x, y, found);
    for (int i = 0; i < 4; i++)
        if (fabs(found[i] - wanted[i]) > most)
            fail_msg("%s, %s at %d,%d: %.0f %.0f %.0f %.0f, not %.0f %.0f %.0f %.0f", name, where,
                     x, y, found[0], found[1], found[2], found[3], wanted[0], wanted[1], wanted[2],
                     wanted[3]);
}

/* Red, green, blue, white; CMYK and the coarsest sampling of colours are some way from that. */
static void looks_right(const json_t *row, const char *where, const char *path)
{
    static const double corners[4][3] = {
        { 255, 0, 0 }, { 0, 255, 0 }, { 0, 0, 255 }, { 255, 255, 255 }
    };
    const char  *name     = text_of(row, "file");
    bool         is_clear = json_is_true(json_object_get(row, "alpha"));
    struct fault fault    = { 0 };
    VipsImage   *image    = picture_load(path, 4096, &fault);

    if (image == NULL)
        fail_msg("%s, %s: %s", name, where, fault.sentence);
    assert_int_equal(vips_image_get_width(image), 64);
    assert_int_equal(vips_image_get_height(image), 48);
    if (is_clear && vips_image_get_bands(image) != 4)
        fail_msg("%s, %s: nothing is see-through", name, where);
    for (int i = 0; i < 4 && !json_is_false(json_object_get(row, "quadrants")); i++) {
        double wanted[4] = { corners[i][0], corners[i][1], corners[i][2],
                             is_clear && i % 2 ? 128 : 255 };
        is_near(name, where, image, i % 2 ? 50 : 14, i / 2 ? 38 : 10, wanted, 70);
    }
    if (is_clear && strstr(name, ".gif") == NULL) {
        double found[4];
        pixel(image, 48, 24, found);
        if (fabs(found[3] - 128) > 3)
            fail_msg("%s, %s: alpha is %.0f, not 128", name, where, found[3]);
    }
    g_object_unref(image);
}

static void holds_nothing_more(const char *name, const char *path)
{
    static const char *const behind[] = { "script",        "tail",   "SSSSSSSS",  "Somebody",
                                          "taken at home", "Camera", "some words" };
    size_t                   count;
    char                    *bytes = bench_read(path, &count);

    for (size_t i = 0; i < G_N_ELEMENTS(behind); i++)
        if (memmem(bytes, count, behind[i], strlen(behind[i])) != NULL)
            fail_msg("%s of %s has \"%s\"", path, name, behind[i]);
    g_free(bytes);
}

static void is_of_its_facts(const json_t *row, const json_t *facts)
{
    static const char *const names[] = { "width", "height", "duration_ms" };
    const char              *becomes = text_of(row, "becomes");

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const json_t *wanted = json_object_get(row, names[i]),
                     *found  = json_object_get(facts, names[i]);
        if (wanted != NULL && !json_equal(wanted, found))
            fail_msg("%s: %s is %" JSON_INTEGER_FORMAT ", not %" JSON_INTEGER_FORMAT,
                     text_of(row, "file"), names[i], json_integer_value(found),
                     json_integer_value(wanted));
    }
    if (becomes != NULL && strcmp(becomes, text_of(facts, "content_type")) != 0)
        fail_msg("%s becomes %s", text_of(row, "file"), text_of(facts, "content_type"));
}

static void files_of_daily_life_are_taken_upright_and_as_see_through_as_they_were(void **state)
{
    json_t *list = rows(), *row;
    size_t  i;

    (void)state;
    assert_true(json_array_size(list) >= 60);
    json_array_foreach(list, i, row)
    {
        const char    *name = text_of(row, "file");
        struct outcome outcome;

        bench_clean(NULL);
        take("odd", name);
        check(name);
        holds_nothing_more(name, "out/checked");
        outcome = bench_probe("out/checked", "out/thumbnail.webp");
        assert_int_equal(outcome.exit_code, 0);
        is_of_its_facts(row, outcome.answer);
        holds_nothing_more(name, "out/thumbnail.webp");
        if (strcmp(text_of(outcome.answer, "media_type"), "image") != 0)
            continue;
        looks_right(row, "checked", "out/checked");
        looks_right(row, "thumbnail", "out/thumbnail.webp");
        prepare(name);
        looks_right(row, "prepared", "out/0.png");
        holds_nothing_more(name, "out/0.png");
    }
    json_decref(list);
}

static void what_was_refused_in_life_is_taken(void **state)
{
    static const struct {
        const char *file;
        int         width, height, duration_ms;
    } cases[] = {
        { "sos-se0.jpg", 320, 200, 0 },       { "motion-photo.jpg", 320, 200, 0 },
        { "newline-after.png", 320, 200, 0 }, { "extraneous4.jpg", 320, 200, 0 },
        { "rgba16-icc.png", 256, 64, 0 },     { "mpeg25-8k.mp3", 0, 0, 2000 },
        { "late.ogg", 0, 0, 3000 },           { "oneframe.webm", 320, 200, 3000 },
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct outcome outcome;

        bench_clean(NULL);
        take("cases", cases[i].file);
        check(cases[i].file);
        outcome = bench_probe("out/checked", "out/thumbnail.webp");
        assert_int_equal(outcome.exit_code, 0);
        if (cases[i].width) {
            assert_int_equal(json_integer_value(json_object_get(outcome.answer, "width")),
                             cases[i].width);
            assert_int_equal(json_integer_value(json_object_get(outcome.answer, "height")),
                             cases[i].height);
        }
        if (cases[i].duration_ms)
            assert_in_range(json_integer_value(json_object_get(outcome.answer, "duration_ms")),
                            cases[i].duration_ms - 200, cases[i].duration_ms + 200);
    }
}

/* libvips before 8.16 took 16 bits of alpha into 8 as they were: all that was not quite clear
 * became opaque. */
static void sixteen_bits_of_alpha_are_the_same_in_eight(void **state)
{
    static const int         at[]    = { 0, 16, 64, 128, 200, 255 };
    static const char *const paths[] = { "in/1", "out/thumbnail.webp", "out/0.png" };

    (void)state;
    take("cases", "rgba16-icc.png");
    check("rgba16-icc.png");
    assert_int_equal(bench_probe("out/checked", "out/thumbnail.webp").exit_code, 0);
    prepare("rgba16-icc.png");
    for (size_t k = 0; k < G_N_ELEMENTS(paths); k++) {
        struct fault fault = { 0 };
        VipsImage   *image = picture_load(paths[k], 4096, &fault);

        assert_non_null(image);
        for (size_t i = 0; i < G_N_ELEMENTS(at); i++) {
            double found[4];
            pixel(image, at[i], 32, found);
            if (fabs(found[3] - at[i]) > 0.5)
                fail_msg("%s: alpha at %d is %.0f", paths[k], at[i], found[3]);
        }
        g_object_unref(image);
    }
}

/* The motion photo's film goes no further than the upload. */
static void what_is_behind_the_end_of_a_picture_is_cut_off(void **state)
{
    size_t count;
    char  *bytes;

    (void)state;
    take("cases", "motion-photo.jpg");
    check("motion-photo.jpg");
    bytes = bench_read("out/checked", &count);
    assert_int_equal((unsigned char)bytes[count - 2], 0xff);
    assert_int_equal((unsigned char)bytes[count - 1], 0xd9);
    assert_null(memmem(bytes, count, "ftyp", 4));
    g_free(bytes);
}

/* Libvips knows two answers to a warning of libjpeg; these are the pictures for which neither is
 * right. */
static void pictures_that_are_cut_off_or_damaged_are_not_odd_but_refused(void **state)
{
    static const struct {
        size_t      from_end, put;
        const char *word;
    } wrong[] = { { 400, 0, "cut off" }, { 400, 2, "cut off" }, { 0, 0, "damaged" } };

    (void)state;
    bench_save(bench_picture(320, 200, 20), "whole.jpg");
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        size_t         count;
        char          *bytes = bench_read("whole.jpg", &count);
        struct outcome outcome;

        if (wrong[i].from_end
            == 0) { /* a marker in the middle of the pixels that does not belong there */
            bytes[count - 300] = (char)0xff;
            bytes[count - 299] = (char)0xd5;
        } else { /* cut; with an end put behind it no marker shows it, only the pixels */
            count -= wrong[i].from_end;
            bytes[count]     = (char)0xff;
            bytes[count + 1] = (char)0xd9;
            count += wrong[i].put;
        }
        bench_write("bad.jpg", bytes, count);
        outcome = bench_probe("bad.jpg", NULL);
        assert_int_equal(outcome.exit_code, EXIT_INVALID);
        if (strstr(outcome.reason, wrong[i].word) == NULL
            && strstr(outcome.reason, "cut off") == NULL)
            fail_msg("%zu: \"%s\" does not say \"%s\"", i, outcome.reason, wrong[i].word);
        g_free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(
            files_of_daily_life_are_taken_upright_and_as_see_through_as_they_were, bench_clean),
        cmocka_unit_test_setup(what_was_refused_in_life_is_taken, bench_clean),
        cmocka_unit_test_setup(sixteen_bits_of_alpha_are_the_same_in_eight, bench_clean),
        cmocka_unit_test_setup(what_is_behind_the_end_of_a_picture_is_cut_off, bench_clean),
        cmocka_unit_test_setup(pictures_that_are_cut_off_or_damaged_are_not_odd_but_refused,
                               bench_clean),
    };

    return cmocka_run_group_tests(tests, bench_open, bench_close);
}
