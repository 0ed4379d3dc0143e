/*
 * draw and finish: what a newcomer sees first. Goldens are compared by how they look (another
 * machine's libm may round another way), repetition by bytes.
 */
#include "tests/c/media/bench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define JOB(prompt, seed, params, media)                     \
    "{\"input\":{\"prompt\":\"" prompt "\",\"seed\":\"" seed \
    "\",\"media_type\":\"image\",\"params\":{" params "}},\"media\":[" media "]}"
#define SMALL "\"width\":256,\"height\":256"

static void draw_to(const char *request, const char *path)
{
    struct outcome outcome = bench_run("draw", request);

    assert_int_equal(outcome.exit_code, 0);
    assert_int_equal(rename("out/draw.png", path), 0);
}

static void the_same_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    draw_to(JOB("a lighthouse at dusk", "7", "", ""), "a.png");
    draw_to(JOB("a lighthouse at dusk", "7", "", ""), "b.png");
    assert_true(bench_same_bytes("a.png", "b.png"));
}

static void another_seed_or_prompt_looks_different(void **state)
{
    double mean, most;

    (void)state;
    draw_to(JOB("a lighthouse at dusk", "7", SMALL, ""), "a.png");
    draw_to(JOB("a lighthouse at dusk", "8", SMALL, ""), "b.png");
    draw_to(JOB("a city at night", "7", SMALL, ""), "c.png");
    draw_to(JOB("a quiet thought", "7", SMALL, ""), "d.png");
    draw_to(JOB("a loud thought", "7", SMALL, ""), "e.png");
    bench_compare("a.png", "b.png", &mean, &most);
    assert_true(mean > 8);
    bench_compare("a.png", "c.png", &mean, &most);
    assert_true(mean > 20);
    bench_compare("d.png", "e.png", &mean, &most);
    assert_true(mean > 8);
}

/* Chance must not hang on how the file is written: one picture in three formats is one picture. */
static void the_format_does_not_change_the_picture(void **state)
{
    (void)state;
    draw_to(JOB("hills", "7", SMALL ",\"format\":\"png\"", ""), "a.png");
    draw_to(JOB("hills", "7", SMALL ",\"format\":\"webp\",\"quality\":50", ""), "b.png");
    assert_true(bench_same_bytes("a.png", "b.png"));
}

static void a_motif_can_be_chosen_over_the_prompt(void **state)
{
    struct outcome outcome =
        bench_run("draw", JOB("a city", "1", SMALL ",\"motif\":\"space\"", ""));

    (void)state;
    assert_string_equal(
        json_string_value(json_object_get(
            json_object_get(json_object_get(outcome.answer, "output"), "draw"), "motif")),
        "space");
}

/* Every motif, every hour, each weather: none paints outside its sheet (ASan) and each looks as it
 * did. */
static void every_motif_looks_like_its_golden(void **state)
{
    static const struct {
        const char *name, *request;
    } goldens[] = {
        { "mountain", JOB("snowy mountain lake at sunset", "1", SMALL ",\"caption\":false", "") },
        { "sea", JOB("a lighthouse by the sea, sailing boats, dawn", "1",
                     SMALL ",\"caption\":false", "") },
        { "forest", JOB("misty forest in the morning", "1", SMALL ",\"caption\":false", "") },
        { "city", JOB("city at night in the rain", "1", SMALL ",\"caption\":false", "") },
        { "desert", JOB("desert dunes by day", "1", SMALL ",\"caption\":false", "") },
        { "meadow", JOB("meadow with red flowers and birds", "1", SMALL ",\"caption\":false", "") },
        { "space", JOB("purple planet in space", "1", SMALL ",\"caption\":false", "") },
        { "flow", JOB("abstract", "1", SMALL ",\"caption\":false", "") },
        { "aurora", JOB("aurora over the winter fjord", "1", SMALL ",\"caption\":false", "") },
        { "caption",
          JOB("mountains & <b>clouds</b> \\u201cquoted\\u201d \\n and a text that is much too long for one line of a small picture",
              "1", SMALL, "") },
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(goldens); i++) {
        char   file[64], *golden;
        double mean, most;

        snprintf(file, sizeof file, "golden-%s.webp", goldens[i].name);
        golden = g_strdup(bench_fixture(file));
        draw_to(goldens[i].request, "now.png");
        if (g_getenv("MEDIA_TEST_WRITE_GOLDENS") != NULL) {
            VipsImage *image = vips_image_new_from_file("now.png", NULL);
            assert_int_equal(
                vips_webpsave(image, golden, "Q", 84, "effort", 6, "smart_subsample", TRUE, NULL),
                0);
            g_object_unref(image);
        }
        bench_compare_looks("now.png", golden, &mean, &most);
        if (mean > 4 || most > 70)
            fail_msg("%s: mean difference %.2f, largest %.0f", goldens[i].name, mean, most);
        g_free(golden);
    }
}

static void wrong_params_are_named(void **state)
{
    static const struct {
        const char *request, *field;
    } wrong[] = {
        { JOB("x", "1", "\"width\":100", ""), "/params/width" },
        { JOB("x", "1", "\"width\":4096", ""), "/params/width" },
        { JOB("x", "1", "\"height\":300.5", ""), "/params/height" },
        { JOB("x", "1", "\"height\":\"big\"", ""), "/params/height" },
        { JOB("x", "1", "\"format\":\"tiff\"", ""), "/params/format" },
        { JOB("x", "1", "\"motif\":3", ""), "/params/motif" },
        { JOB("x", "1", "\"caption\":1", ""), "/params/caption" },
        { JOB("x", "1", "\"quality\":0", ""), "/params/quality" },
        { JOB("x", "1", "", "{\"file\":\"in/../../etc/passwd\"}"), "/media/0/file" },
        { JOB("x", "1", "", "{\"file\":\"/etc/passwd\"}"), "/media/0/file" },
        { "{\"input\":{\"prompt\":7}}", "/prompt" },
        { "{\"input\":{\"params\":[]}}", "/params" },
        { "{\"input\":7}", "/input" },
        { "{\"input\":{},\"media\":{}}", "/media" },
        { "[1]", "stdin" },
        { "not json", "stdin" },
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        struct outcome outcome = bench_run("draw", wrong[i].request);

        assert_int_equal(outcome.exit_code, EXIT_INVALID);
        assert_non_null(strstr(outcome.reason, wrong[i].field));
    }
}

static int whole(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

/* Composes `count` pictures and proves that only the reported region changed. */
static void compose_and_check(const char *request, int bands)
{
    struct outcome outcome = bench_run("draw", request);
    json_t        *region  = json_object_get(
                json_object_get(json_object_get(outcome.answer, "output"), "draw"), "region");
    VipsImage *base = vips_image_new_from_file("in/0.png", NULL),
              *done = vips_image_new_from_file("out/draw.png", NULL);
    size_t bytes, inside = 0;
    int    left = whole(region, "left"), top = whole(region, "top"),
        right = left + whole(region, "width"), bottom = top + whole(region, "height");

    assert_int_equal(outcome.exit_code, 0);
    assert_int_equal(vips_image_get_width(done), vips_image_get_width(base));
    assert_int_equal(vips_image_get_height(done), vips_image_get_height(base));
    assert_int_equal(vips_image_get_bands(done), bands);
    assert_true(left >= 0 && top >= 0 && right > left && bottom > top
                && right <= vips_image_get_width(base) && bottom <= vips_image_get_height(base));
    uint8_t *a = vips_image_write_to_memory(base, &bytes),
            *b = vips_image_write_to_memory(done, &bytes);
    for (int y = 0; y < vips_image_get_height(base); y++)
        for (int x = 0; x < vips_image_get_width(base); x++) {
            long at        = ((long)y * vips_image_get_width(base) + x) * bands;
            bool is_inside = x >= left && x < right && y >= top && y < bottom,
                 differs   = memcmp(a + at, b + at, (size_t)bands) != 0;
            if (!is_inside)
                assert_false(differs);
            inside += is_inside && differs;
        }
    assert_true(inside * 2 > (size_t)(right - left) * (size_t)(bottom - top));
    g_free(a);
    g_free(b);
    g_object_unref(base);
    g_object_unref(done);
}

static void outside_the_composed_region_no_pixel_changes(void **state)
{
    VipsImage *see_through, *base = bench_picture(320, 240, 10);

    (void)state;
    bench_save(bench_picture(640, 400, 10), "in/0.png");
    bench_save(bench_picture(200, 300, 90), "in/1.jpg");
    bench_save(bench_picture(300, 100, 160), "in/2.webp");
    compose_and_check(
        JOB("three of them", "5", "",
            "{\"file\":\"in/0.png\"},{\"file\":\"in/1.jpg\"},{\"file\":\"in/2.webp\"}"),
        3);
    compose_and_check(JOB("one with a moon", "5", "", "{\"file\":\"in/0.png\"}"), 3);
    compose_and_check(JOB("", "5", "", "{\"file\":\"in/0.png\"}"), 3);
    assert_int_equal(vips_addalpha(base, &see_through, NULL), 0);
    g_object_unref(base);
    bench_save(see_through, "in/0.png");
    compose_and_check(
        JOB("see through", "5", "", "{\"file\":\"in/0.png\"},{\"file\":\"in/1.jpg\"}"), 4);
    bench_save(bench_picture(24, 24, 10), "in/0.png");
    compose_and_check(JOB("tiny", "5", "", "{\"file\":\"in/0.png\"},{\"file\":\"in/1.jpg\"}"), 3);
    bench_save(bench_picture(2000, 60, 10), "in/0.png");
    compose_and_check(
        JOB("wide", "5", "",
            "{\"file\":\"in/0.png\"},{\"file\":\"in/1.jpg\"},{\"file\":\"in/1.jpg\"},{\"file\":\"in/1.jpg\"},{\"file\":\"in/1.jpg\"},{\"file\":\"in/1.jpg\"}"),
        3);
}

static void too_many_or_broken_inputs_are_refused(void **state)
{
    (void)state;
    bench_write("in/0.png", "not a picture", 13);
    assert_int_equal(bench_run("draw", JOB("x", "1", "", "{\"file\":\"in/0.png\"}")).exit_code,
                     EXIT_INVALID);
    assert_int_equal(bench_run("draw", JOB("x", "1", "", "{\"file\":\"in/gone.png\"}")).exit_code,
                     EXIT_INVALID);
#define F "{\"file\":\"in/0.png\"},"
    struct outcome outcome =
        bench_run("draw", JOB("x", "1", "", F F F F F F F F F F F F "{\"file\":\"in/0.png\"}"));
    assert_int_equal(outcome.exit_code, EXIT_INVALID);
    assert_string_equal(outcome.reason, "/media: at most 12 pictures");
}

/* What finish writes: the pixels of draw, the mark in the metadata, twice the same bytes. */
static void finish_marks_each_format_and_keeps_png_pixels(void **state)
{
    static const struct {
        const char *params, *file, *type;
    } formats[] = { { "\"format\":\"png\"", "out/image.png", "image/png" },
                    { "\"format\":\"jpeg\"", "out/image.jpg", "image/jpeg" },
                    { "\"format\":\"webp\"", "out/image.webp", "image/webp" } };
    double mean, most;

    (void)state;
    draw_to(JOB("sea", "3", SMALL, ""), "in/0.png");
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        char *request = g_strdup_printf(
            "{\"input\":{\"draw\":{},\"params\":{%s}},\"media\":[{\"file\":\"in/0.png\"}]}",
            formats[i].params);
        struct outcome outcome = bench_run("finish", request);
        VipsImage     *image;
        const char    *text, *file = json_string_value(json_object_get(
                                 json_array_get(json_object_get(outcome.answer, "media"), 0), "file"));
        const void    *xmp;
        size_t         length;

        assert_int_equal(outcome.exit_code, 0);
        assert_string_equal(file, formats[i].file);
        assert_string_equal(
            json_string_value(json_object_get(
                json_object_get(json_object_get(outcome.answer, "output"), "finish"),
                "content_type")),
            formats[i].type);
        image = vips_image_new_from_file(formats[i].file, NULL);
        assert_int_equal(vips_image_get_blob(image, VIPS_META_XMP_NAME, &xmp, &length), 0);
        assert_non_null(memmem(xmp, length, "Local sample made by Kiln", 25));
        /* libvips 8.14 writes no EXIF into a PNG: its text chunks say it. */
        assert_int_equal(
            vips_image_get_string(
                image, i == 0 ? "png-comment-2-Description" : "exif-ifd0-ImageDescription", &text),
            0);
        assert_non_null(strstr(text, "Local sample made by Kiln"));
        g_object_unref(image);
        bench_compare("in/0.png", formats[i].file, &mean, &most);
        assert_true(i == 0 ? most == 0 : mean < 4);
        bench_hand_over(formats[i].file, "first");
        assert_int_equal(bench_run("finish", request).exit_code, 0);
        assert_true(bench_same_bytes(formats[i].file, "first"));
        g_free(request);
    }
}

/* finish once called every result a local sample, also what a provider had been paid for, and coded
 * it anew. */
static void finish_leaves_what_a_provider_made_as_it_came(void **state)
{
    static const char *const files[] = { "in/0.png", "in/0.jpg", "in/0.webp" };
    VipsImage               *image;

    (void)state;
    draw_to(JOB("sea", "3", SMALL, ""), "in/0.png");
    image = vips_image_new_from_file("in/0.png", NULL);
    assert_int_equal(vips_jpegsave(image, files[1], NULL), 0);
    assert_int_equal(vips_webpsave(image, files[2], NULL), 0);
    g_object_unref(image);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        char *request = g_strdup_printf(
            "{\"input\":{\"prompt\":\"sea\",\"prepare\":{},\"params\":{\"format\":\"png\"}},"
            "\"media\":[{\"file\":\"%s\"}]}",
            files[i]);
        struct outcome outcome = bench_run("finish", request);
        const json_t  *found = json_object_get(json_object_get(outcome.answer, "output"), "finish");

        assert_int_equal(outcome.exit_code, 0);
        assert_true(bench_same_bytes("out/result", files[i]));
        assert_string_equal(
            json_string_value(json_object_get(
                json_array_get(json_object_get(outcome.answer, "media"), 0), "file")),
            "out/result");
        assert_non_null(json_object_get(found, "content_type"));
        assert_null(json_object_get(found, "sample"));
        assert_null(json_object_get(found, "comment"));
        g_free(request);
    }
}

/* A provider's result of more than 2048 pixels on a side was made smaller. */
static void finish_makes_no_result_of_a_provider_smaller(void **state)
{
    struct outcome outcome;
    VipsImage     *image;

    (void)state;
    assert_int_equal(vips_black(&image, 3000, 40, "bands", 3, NULL), 0);
    assert_int_equal(vips_pngsave(image, "in/0.png", NULL), 0);
    g_object_unref(image);
    outcome = bench_run("finish", "{\"input\":{},\"media\":[{\"file\":\"in/0.png\"}]}");
    assert_int_equal(outcome.exit_code, 0);
    assert_int_equal(
        json_integer_value(json_object_get(
            json_object_get(json_object_get(outcome.answer, "output"), "finish"), "width")),
        3000);
}

static void finish_needs_a_file_that_decodes(void **state)
{
    (void)state;
    assert_int_equal(bench_run("finish", "{\"input\":{}}").exit_code, EXIT_INVALID);
    bench_write("in/0.png", "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal(
        bench_run("finish", "{\"input\":{},\"media\":[{\"file\":\"in/0.png\"}]}").exit_code,
        EXIT_INVALID);
}

static void progress_is_told_as_it_goes(void **state)
{
    struct outcome outcome = bench_run("draw", JOB("x", "1", SMALL, ""));

    (void)state;
    assert_non_null(strstr(outcome.log, "progress 0.85 drawing\n"));
    assert_non_null(strstr(outcome.log, "progress 1.00 draw"));
}

static void unknown_words_print_the_usage(void **state)
{
    (void)state;
    assert_int_equal(bench_run("paint", "{}").exit_code, 64);
    assert_int_equal(bench_run("probe", "{}").exit_code, 64);
    assert_int_equal(bench_run("--help", "{}").exit_code, 0);
    assert_int_equal(bench_run("--version", "{}").exit_code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_same_seed_gives_the_same_bytes, bench_clean),
        cmocka_unit_test_setup(another_seed_or_prompt_looks_different, bench_clean),
        cmocka_unit_test_setup(the_format_does_not_change_the_picture, bench_clean),
        cmocka_unit_test_setup(a_motif_can_be_chosen_over_the_prompt, bench_clean),
        cmocka_unit_test_setup(every_motif_looks_like_its_golden, bench_clean),
        cmocka_unit_test_setup(wrong_params_are_named, bench_clean),
        cmocka_unit_test_setup(outside_the_composed_region_no_pixel_changes, bench_clean),
        cmocka_unit_test_setup(too_many_or_broken_inputs_are_refused, bench_clean),
        cmocka_unit_test_setup(finish_marks_each_format_and_keeps_png_pixels, bench_clean),
        cmocka_unit_test_setup(finish_leaves_what_a_provider_made_as_it_came, bench_clean),
        cmocka_unit_test_setup(finish_makes_no_result_of_a_provider_smaller, bench_clean),
        cmocka_unit_test_setup(finish_needs_a_file_that_decodes, bench_clean),
        cmocka_unit_test_setup(progress_is_told_as_it_goes, bench_clean),
        cmocka_unit_test_setup(unknown_words_print_the_usage, bench_clean),
    };

    return cmocka_run_group_tests(tests, bench_open, bench_close);
}
