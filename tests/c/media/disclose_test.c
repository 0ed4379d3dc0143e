/*
 * furnish and disclose: the local sample of a staging, and the label that says so: legible on any
 * ground and at any size, with the same words in the file, and nothing else of the picture touched.
 */
#include "tests/c/media/bench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define STAGE(seed, more)                                    \
    "{\"input\":{\"prompt\":\"\",\"seed\":\"" seed "\"" more \
    "},\"media\":[{\"file\":\"in/0.png\"}]}"
#define ROOM ",\"room_type\":\"living_room\",\"style\":\"scandinavian\""

static json_t *finding(const struct outcome *outcome, const char *op, const char *name)
{
    return json_object_get(json_object_get(json_object_get(outcome->answer, "output"), op), name);
}

static int whole(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

/* Counts the differing pixels inside of the box; outside of it there may be none. */
static size_t only_within(const char *before, const char *after, const json_t *box)
{
    VipsImage *a = vips_image_new_from_file(before, NULL),
              *b = vips_image_new_from_file(after, NULL);
    int width = vips_image_get_width(a), height = vips_image_get_height(a),
        bands = vips_image_get_bands(a), left = whole(box, "left"), top = whole(box, "top");
    size_t bytes, inside = 0;

    assert_int_equal(vips_image_get_width(b), width);
    assert_int_equal(vips_image_get_height(b), height);
    assert_int_equal(vips_image_get_bands(b), bands);
    uint8_t *p = vips_image_write_to_memory(a, &bytes), *q = vips_image_write_to_memory(b, &bytes);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            bool differs = memcmp(p + ((long)y * width + x) * bands,
                                  q + ((long)y * width + x) * bands, (size_t)bands)
                           != 0;
            bool is_inside = x >= left && x < left + whole(box, "width") && y >= top
                             && y < top + whole(box, "height");

            assert_true(is_inside || !differs);
            inside += differs;
        }
    g_free(p);
    g_free(q);
    g_object_unref(a);
    g_object_unref(b);
    return inside;
}

static void furniture_stays_within_its_region(void **state)
{
    static const char *const requests[] = {
        STAGE("5", ROOM),
        STAGE("5", ROOM ",\"mode\":\"declutter\""),
        STAGE("5", ",\"room_type\":\"bedroom\",\"style\":\"art_deco\",\"mode\":\"restyle\""),
        STAGE("5", ",\"room_type\":\"dining_room\""),
    };
    static const int sizes[][2] = { { 640, 400 }, { 300, 700 }, { 40, 30 } };

    (void)state;
    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        bench_save(bench_picture(sizes[s][0], sizes[s][1], 10), "in/0.png");
        for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
            struct outcome outcome = bench_run("furnish", requests[i]);

            assert_int_equal(outcome.exit_code, 0);
            assert_true(
                only_within("in/0.png", "out/furnish-0.png", finding(&outcome, "furnish", "region"))
                > 20);
        }
    }
}

static void the_same_seed_stages_the_same_and_each_variation_another(void **state)
{
    struct outcome outcome;
    double         mean, most;

    (void)state;
    bench_save(bench_picture(320, 240, 10), "in/0.png");
    outcome = bench_run("furnish", STAGE("5", ROOM ",\"variations\":3"));
    assert_int_equal(json_array_size(json_object_get(outcome.answer, "media")), 3);
    bench_hand_over("out/furnish-0.png", "in/a.png");
    bench_hand_over("out/furnish-2.png", "in/c.png");
    bench_compare("in/a.png", "in/c.png", &mean, &most);
    assert_true(mean > 0.5);
    assert_int_equal(bench_run("furnish", STAGE("5", ROOM)).exit_code, 0);
    assert_true(bench_same_bytes("out/furnish-0.png", "in/a.png"));
    assert_int_equal(bench_run("furnish", STAGE("6", ROOM)).exit_code, 0);
    bench_compare("out/furnish-0.png", "in/a.png", &mean, &most);
    assert_true(mean > 0.5);
}

static void a_staged_room_looks_like_its_golden(void **state)
{
    char  *golden = g_strdup(bench_fixture("golden-furnish.webp"));
    double mean, most;

    (void)state;
    bench_save(bench_picture(360, 270, 30), "in/0.png");
    assert_int_equal(bench_run("furnish", STAGE("5", ROOM)).exit_code, 0);
    if (g_getenv("MEDIA_TEST_WRITE_GOLDENS") != NULL) {
        VipsImage *image = vips_image_new_from_file("out/furnish-0.png", NULL);
        assert_int_equal(
            vips_webpsave(image, golden, "Q", 84, "effort", 6, "smart_subsample", TRUE, NULL), 0);
        g_object_unref(image);
    }
    bench_compare_looks("out/furnish-0.png", golden, &mean, &most);
    assert_true(mean <= 4 && most <= 70);
    g_free(golden);
}

static VipsImage *plain(int width, int height, int level, int bands)
{
    size_t     bytes  = (size_t)width * (size_t)height * (size_t)bands;
    uint8_t   *pixels = g_malloc(bytes);
    VipsImage *image;

    memset(pixels, level, bytes);
    image = vips_image_new_from_memory_copy(pixels, bytes, width, height, bands, VIPS_FORMAT_UCHAR);
    image->Type = VIPS_INTERPRETATION_sRGB;
    g_free(pixels);
    return image;
}

static double light(const uint8_t *p)
{
    double sum = 0, weight[] = { 0.2126, 0.7152, 0.0722 };

    for (int i = 0; i < 3; i++) {
        double c = p[i] / 255.0;

        sum += weight[i] * (c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4));
    }
    return sum;
}

/* WCAG's contrast between the lightest and the darkest pixel of the label's box. */
static double contrast(const char *file, const json_t *box)
{
    VipsImage *image = vips_image_new_from_file(file, NULL);
    size_t     bytes;
    uint8_t   *pixels = vips_image_write_to_memory(image, &bytes);
    int        bands = vips_image_get_bands(image), width = vips_image_get_width(image);
    double     low = 1, high = 0;

    for (int y = whole(box, "top"); y < whole(box, "top") + whole(box, "height"); y++)
        for (int x = whole(box, "left"); x < whole(box, "left") + whole(box, "width"); x++) {
            const uint8_t *p = pixels + ((long)y * width + x) * bands;

            low  = fmin(low, light(p));
            high = fmax(high, light(p));
            assert_true(bands == 3 || p[3] == 255);
        }
    g_free(pixels);
    g_object_unref(image);
    return (high + 0.05) / (low + 0.05);
}

static void the_label_is_legible_on_any_ground_and_at_any_size(void **state)
{
    static const int sizes[][2] = {
        { 1600, 1200 }, { 640, 480 }, { 256, 256 }, { 200, 900 }, { 900, 120 }
    };

    (void)state;
    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++)
        for (int level = 0; level <= 255; level += 255) {
            int            width = sizes[s][0], height = sizes[s][1];
            struct outcome outcome;
            json_t        *box;

            bench_save(plain(width, height, level, 3 + (level > 0)), "in/0.png");
            outcome = bench_run("disclose", STAGE("1", ",\"params\":{\"format\":\"png\"}"));
            assert_int_equal(outcome.exit_code, 0);
            box = json_array_get(finding(&outcome, "disclose", "boxes"), 0);
            assert_true(only_within("in/0.png", "out/image-0.png", box) > 50);
            assert_int_equal(only_within("in/0.png", "out/clean-0.png", box), 0);
            assert_true(contrast("out/image-0.png", box) >= 7);
            assert_true(whole(box, "left") + whole(box, "width")
                        > width * 9 / 10); /* lower right */
            assert_true(whole(box, "top") + whole(box, "height") > height * 9 / 10);
            assert_true(whole(box, "height") >= 14); /* letters of 11 pixels at least */
        }
}

static void a_label_too_long_for_one_line_is_set_whole(void **state)
{
    char           text[201], *request;
    struct outcome outcome;
    json_t        *box;

    (void)state;
    memset(text, 'W', 200);
    text[200] = '\0';
    request =
        g_strdup_printf(STAGE("1", ",\"disclosure\":\"%s\",\"params\":{\"format\":\"png\"}"), text);
    bench_save(plain(120, 90, 128, 3), "in/0.png");
    outcome = bench_run("disclose", request);
    assert_int_equal(outcome.exit_code, 0);
    box = json_array_get(finding(&outcome, "disclose", "boxes"), 0);
    assert_true(whole(box, "width") <= 120 && whole(box, "height") <= 90);
    only_within("in/0.png", "out/image-0.png", box);
    bench_save(plain(3, 2, 128, 3), "in/0.png"); /* the smallest of all is no crash */
    assert_int_equal(bench_run("disclose", request).exit_code, 0);
    g_free(request);
}

static bool has_xmp(const char *file, const char *words)
{
    VipsImage  *image = vips_image_new_from_file(file, NULL);
    const void *xmp;
    size_t      length;
    bool        ok = vips_image_get_blob(image, VIPS_META_XMP_NAME, &xmp, &length) == 0
              && memmem(xmp, length, words, strlen(words)) != NULL;

    g_object_unref(image);
    return ok;
}

static void both_files_say_in_their_metadata_what_was_done(void **state)
{
    static const struct {
        const char *format, *ending;
    } formats[] = { { "jpeg", "jpg" }, { "png", "png" }, { "webp", "webp" } };
    static const char type[] =
        "DigitalSourceType=\"http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia\"";

    (void)state;
    bench_save(bench_picture(320, 240, 10), "in/0.png");
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        char *request = g_strdup_printf(
            STAGE(
                "1",
                ",\"disclosure\":\"<b>Staged & \\\"so\\\"</b>\\n\",\"params\":{\"format\":\"%s\"}"),
            formats[i].format);
        struct outcome outcome = bench_run("disclose", request);

        assert_int_equal(outcome.exit_code, 0);
        for (int clean = 0; clean < 2; clean++) {
            char *file =
                g_strdup_printf("out/%s-0.%s", clean ? "clean" : "image", formats[i].ending);

            assert_string_equal(json_string_value(json_object_get(
                                    json_array_get(json_object_get(outcome.answer, "media"), 0),
                                    clean ? "clean" : "file")),
                                file);
            assert_true(has_xmp(file, type));
            assert_true(has_xmp(file, "&lt;b&gt;Staged &amp; &quot;so&quot;&lt;/b&gt;"));
            assert_true(has_xmp(file, "the unaltered original is kept"));
            assert_false(has_xmp(file, "Local sample"));
            g_free(file);
        }
        g_free(request);
    }
}

/* What no trained program made is not called so. */
static void a_local_sample_is_labelled_as_one(void **state)
{
    struct outcome outcome;

    (void)state;
    bench_save(bench_picture(320, 240, 10), "in/0.png");
    outcome = bench_run("disclose", STAGE("1", ",\"furnish\":{\"mode\":\"stage\"}"));
    assert_int_equal(outcome.exit_code, 0);
    assert_string_equal(json_string_value(finding(&outcome, "disclose", "text")),
                        "Virtually staged \u00b7 local sample");
    assert_true(has_xmp("out/image-0.jpg", "digitalsourcetype/compositeSynthetic"));
    assert_true(has_xmp("out/image-0.jpg", "Local sample made by Kiln"));
    assert_false(has_xmp("out/image-0.jpg", "rained"));
}

static void the_stage_may_have_words_of_its_own_and_each_picture_gets_them(void **state)
{
    struct outcome outcome;

    (void)state;
    bench_save(bench_picture(200, 200, 10), "in/0.png");
    bench_save(bench_picture(300, 200, 90), "in/1.png");
    outcome = bench_run(
        "disclose",
        "{\"config\":{\"text\":\"Digitally altered\"},\"input\":{},\"media\":[{\"file\":\"in/0.png\"},{\"file\":\"in/1.png\"}]}");
    assert_int_equal(outcome.exit_code, 0);
    assert_string_equal(json_string_value(finding(&outcome, "disclose", "text")),
                        "Digitally altered");
    assert_int_equal(json_array_size(json_object_get(outcome.answer, "media")), 2);
    bench_hand_over("out/image-1.jpg", "in/first.jpg");
    bench_run(
        "disclose",
        "{\"config\":{\"text\":\"Digitally altered\"},\"input\":{},\"media\":[{\"file\":\"in/0.png\"},{\"file\":\"in/1.png\"}]}");
    assert_true(bench_same_bytes("out/image-1.jpg", "in/first.jpg"));
}

static void what_cannot_be_done_is_named(void **state)
{
    static const struct {
        const char *op, *request, *field;
    } wrong[] = {
        { "disclose", STAGE("1", ",\"disclosure\":\"\""), "/disclosure" },
        { "disclose", STAGE("1", ",\"disclosure\":\" \\n \""), "/disclosure" },
        { "disclose", STAGE("1", ",\"disclosure\":7"), "/disclosure" },
        { "disclose", STAGE("1", ",\"disclosure\":false"), "/disclosure" },
        { "disclose", STAGE("1", ",\"params\":{\"format\":\"gif\"}"), "/params/format" },
        { "disclose", STAGE("1", ",\"params\":{\"quality\":0}"), "/params/quality" },
        { "disclose", "{\"input\":{}}", "/media" },
        { "furnish", STAGE("1", ",\"mode\":\"burn\""), "/mode" },
        { "furnish", STAGE("1", ",\"variations\":5"), "/variations" },
        { "furnish", STAGE("1", ",\"variations\":\"2\""), "/variations" },
        { "furnish", "{\"input\":{}}", "/media" },
    };

    (void)state;
    bench_save(bench_picture(64, 64, 10), "in/0.png");
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        struct outcome outcome = bench_run(wrong[i].op, wrong[i].request);

        assert_int_equal(outcome.exit_code, EXIT_INVALID);
        assert_non_null(strstr(outcome.reason, wrong[i].field));
    }
    bench_write("in/0.png", "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal(bench_run("disclose", STAGE("1", "")).exit_code, EXIT_INVALID);
    assert_int_equal(bench_run("furnish", STAGE("1", "")).exit_code, EXIT_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(furniture_stays_within_its_region, bench_clean),
        cmocka_unit_test_setup(the_same_seed_stages_the_same_and_each_variation_another,
                               bench_clean),
        cmocka_unit_test_setup(a_staged_room_looks_like_its_golden, bench_clean),
        cmocka_unit_test_setup(the_label_is_legible_on_any_ground_and_at_any_size, bench_clean),
        cmocka_unit_test_setup(a_label_too_long_for_one_line_is_set_whole, bench_clean),
        cmocka_unit_test_setup(both_files_say_in_their_metadata_what_was_done, bench_clean),
        cmocka_unit_test_setup(a_local_sample_is_labelled_as_one, bench_clean),
        cmocka_unit_test_setup(the_stage_may_have_words_of_its_own_and_each_picture_gets_them,
                               bench_clean),
        cmocka_unit_test_setup(what_cannot_be_done_is_named, bench_clean),
    };

    return cmocka_run_group_tests(tests, bench_open, bench_close);
}
