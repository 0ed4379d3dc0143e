/*
 * probe and prepare: what comes from outside. A file is believed when it ends where its format ends
 * and decodes to there.
 */
#include "tests/c/media/bench.h"

#include <stdio.h>
#include <string.h>

#include "media/tool/program.h"
#include "media/files/sniff.h"

static void make(const char *const *argv)
{
    struct fault fault = { 0 };
    char        *out;
    size_t       bytes;

    if (!program_run(argv, NULL, &out, &bytes, 1 << 20, 60, false, EXIT_TRANSIENT, &fault))
        fail_msg("%s", fault.sentence);
    g_free(out);
}

#define FFMPEG(...)                                                                          \
    make((const char *const[]) { "ffmpeg", "-nostdin", "-v", "error", "-y", "-threads", "1", \
                                 __VA_ARGS__, NULL })
#define TONE "-f", "lavfi", "-i", "sine=440:duration=1.5"
#define BARS "-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=2"

static void everything(void)
{
    bench_save(bench_picture(120, 80, 20), "a.png");
    bench_save(bench_picture(120, 80, 20), "a.jpg");
    bench_save(bench_picture(120, 80, 20), "a.webp");
    bench_save(bench_picture(120, 80, 20), "a.gif");
    FFMPEG(BARS, "-c:v", "libx264", "-pix_fmt", "yuv420p", "a.mp4");
    FFMPEG(BARS, TONE, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest", "-f",
           "mov", "a.mov");
    FFMPEG(BARS, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "a.webm");
    FFMPEG(BARS, "-c:v", "libx264", "-pix_fmt", "yuv420p", "a.mkv");
    FFMPEG(TONE, "a.wav");
    FFMPEG(TONE, "-c:a", "libmp3lame", "a.mp3");
    FFMPEG(TONE, "-c:a", "libopus", "a.ogg");
    FFMPEG(TONE, "a.flac");
    FFMPEG(TONE, "-c:a", "aac", "a.m4a");
}

static const struct good {
    const char *file, *media_type, *content_type;
    bool        is_cut_found; /* by its structure, wherever it is cut */
} goods[] = {
    { "a.png", "image", "image/png", true },   { "a.jpg", "image", "image/jpeg", true },
    { "a.webp", "image", "image/webp", true }, { "a.gif", "image", "image/gif", true },
    { "a.mp4", "video", "video/mp4", true },   { "a.mov", "video", "video/quicktime", true },
    { "a.webm", "video", "video/webm", true }, { "a.mkv", "video", "video/x-matroska", true },
    { "a.wav", "audio", "audio/wav", true },   { "a.mp3", "audio", "audio/mpeg", true },
    { "a.ogg", "audio", "audio/ogg", true },   { "a.flac", "audio", "audio/flac", false },
    { "a.m4a", "audio", "audio/mp4", true },
};

static void facts_of_every_format(void **state)
{
    (void)state;
    everything();
    for (size_t i = 0; i < G_N_ELEMENTS(goods); i++) {
        char          *thumbnail = g_strdup_printf("t%s", i % 2 ? ".jpg" : ".webp");
        struct outcome outcome   = bench_probe(goods[i].file, thumbnail);
        const char    *type      = json_string_value(json_object_get(outcome.answer, "media_type"));
        VipsImage     *small;

        if (outcome.exit_code != 0)
            fail_msg("%s: %s", goods[i].file, outcome.reason);
        assert_string_equal(type, goods[i].media_type);
        assert_string_equal(json_string_value(json_object_get(outcome.answer, "content_type")),
                            goods[i].content_type);
        assert_int_equal(json_is_null(json_object_get(outcome.answer, "duration_ms")),
                         strcmp(type, "image") == 0);
        assert_int_equal(json_is_null(json_object_get(outcome.answer, "width")),
                         strcmp(type, "audio") == 0);
        if (strcmp(type, "audio") == 0)
            assert_in_range(json_integer_value(json_object_get(outcome.answer, "duration_ms")),
                            1400, 1700);
        small = vips_image_new_from_file(thumbnail, NULL);
        assert_non_null(small);
        assert_true(vips_image_get_width(small) <= 512 && vips_image_get_height(small) <= 512);
        g_object_unref(small);
        remove(thumbnail);
        g_free(thumbnail);
    }
}

static void a_thumbnail_is_at_most_512_and_upright(void **state)
{
    VipsImage *image = bench_picture(1200, 600, 30), *small;

    (void)state;
    vips_image_set_int(image, VIPS_META_ORIENTATION, 6);
    bench_save(image, "a.jpg");
    struct outcome outcome = bench_probe("a.jpg", "t.webp");
    assert_int_equal(json_integer_value(json_object_get(outcome.answer, "width")), 600);
    assert_int_equal(json_integer_value(json_object_get(outcome.answer, "height")), 1200);
    small = vips_image_new_from_file("t.webp", NULL);
    assert_int_equal(vips_image_get_width(small), 256);
    assert_int_equal(vips_image_get_height(small), 512);
    g_object_unref(small);
}

static void cut_anywhere_is_refused(void **state)
{
    (void)state;
    everything();
    for (size_t i = 0; i < G_N_ELEMENTS(goods); i++) {
        size_t count;
        char  *bytes = bench_read(goods[i].file, &count);

        for (int eighth = 0; eighth < 8; eighth++) {
            struct fault   fault = { 0 };
            struct sniffed sniffed;
            size_t         cut = MIN(count * (size_t)eighth / 8 + (size_t)eighth, count - 1);

            if (goods[i].is_cut_found && sniff_bytes((uint8_t *)bytes, cut, &sniffed, &fault))
                fail_msg("%s cut to %zu of %zu bytes passes", goods[i].file, cut, count);
        }
        bench_write("cut", bytes, count * 6 / 10);
        struct outcome outcome = bench_probe("cut", "t.webp");
        if (outcome.exit_code != EXIT_INVALID)
            fail_msg("%s cut: exit %d", goods[i].file, outcome.exit_code);
        assert_true(outcome.reason[0] != '\0' && strchr(outcome.log, '\n') == NULL);
        g_free(bytes);
    }
}

/* An archive or a script behind the end is no fault of the picture: browsers, phones and mail
 * programs put bytes there. What is kept ends where the format ends (odd_test.c). */
static void what_is_behind_the_end_is_no_fault(void **state)
{
    static const char tail[] = "<script>alert(1)</script>PK\x05\x06 and more of another file";

    (void)state;
    everything();
    for (size_t i = 0; i < G_N_ELEMENTS(goods); i++) {
        size_t count;
        char  *bytes = bench_read(goods[i].file, &count);

        bytes = g_realloc(bytes, count + sizeof tail);
        memcpy(bytes + count, tail, sizeof tail);
        bench_write("both", bytes, count + sizeof tail);
        if (strcmp(goods[i].file, "a.flac") != 0 && bench_probe("both", NULL).exit_code != 0)
            fail_msg("%s with a tail is refused: %s", goods[i].file,
                     bench_probe("both", NULL).reason);
        g_free(bytes);
    }
}

static void phones_may_pad_or_append_pictures_to_a_jpeg(void **state)
{
    size_t count;
    char  *bytes, *more;

    (void)state;
    bench_save(bench_picture(120, 80, 20), "a.jpg");
    bytes = bench_read("a.jpg", &count);
    more  = g_malloc0(2 * count + 64);
    memcpy(more, bytes, count);
    bench_write("padded.jpg", more, count + 64);
    assert_int_equal(bench_probe("padded.jpg", NULL).exit_code, 0);
    memcpy(more + count + 16, bytes, count);
    bench_write("two.jpg", more, 2 * count + 16);
    assert_int_equal(bench_probe("two.jpg", NULL).exit_code, 0);
    g_free(more);
    g_free(bytes);
}

/* A flipped bit in the middle of the pixels: checksums (PNG, Ogg, MP4's decoder) or the decoder
 * itself find it. */
static void damage_inside_is_refused(void **state)
{
    static const char *const files[] = { "a.png", "a.jpg", "a.flac" };

    (void)state;
    everything();
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        size_t count;
        char  *bytes = bench_read(files[i], &count);

        for (size_t k = 0; k < 40 && i != 1; k++)
            bytes[count / 2 + k] = (char)(bytes[count / 2 + k] ^ 0x5a);
        if (i == 1) /* JPEG has no checksum: a marker out of place is what shows */
            bytes[count * 2 / 3] = (char)0xff, bytes[count * 2 / 3 + 1] = (char)0xd5;
        bench_write("bad", bytes, count);
        if (bench_probe("bad", NULL).exit_code != EXIT_INVALID)
            fail_msg("a damaged %s passes", files[i]);
        g_free(bytes);
    }
}

static void what_is_no_media_is_named(void **state)
{
    static const struct {
        const char *bytes;
        size_t      count;
        const char *word;
    } others[] = {
        { "", 0, "empty" },
        { "just a text file called picture.png", 35, "no kind" },
        { "<svg xmlns=\"http://www.w3.org/2000/svg\"/>", 40, "no kind" },
        { "%PDF-1.7", 8, "PDF" },
        { "II*\0\b\0\0\0", 8, "TIFF" },
        { "\0\0\0\x10"
          "ftypheic\0\0\0\0",
          16, "HEIC" },
        { "P6 1 1 255 abc", 14, "no kind" },
        { "#EXTM3U\nfile:///etc/passwd\n", 27, "no kind" },
        { "ffconcat version 1.0\nfile /etc/passwd\n", 38, "no kind" },
        { "\xff", 1, "no kind" },
        { "RIFF", 4, "no kind" },
        { "GIF89a", 6, "cut off" },
        { "GIF89a\1\0\1\0\0\0\0;", 14, "damaged" },
        { "\x89PNG\r\n\x1a\n", 8, "cut off" },
        { "\xff\xd8\xff\xe0", 4, "cut off" },
        { "\xff\xd8\xff\xe0\0\1", 6, "damaged" },
        { "OggS", 4, "cut off" },
        { "\0\0\0\x0c"
          "ftypisom",
          12, "cut off" },
        { "\0\0\0\4"
          "ftypisom",
          12, "damaged" },
        { "\x1a\x45\xdf\xa3\x01", 5, "cut off" },
        { "ID3\3\0\0\0\0\0\0 ", 11, "damaged" },
        { "fLaC", 4, "ffprobe" },
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        bench_write("other.png", others[i].bytes, others[i].count);
        struct outcome outcome = bench_probe("other.png", NULL);
        assert_int_equal(outcome.exit_code, EXIT_INVALID);
        if (strstr(outcome.reason, others[i].word) == NULL)
            fail_msg("%zu: \"%s\" does not say \"%s\"", i, outcome.reason, others[i].word);
    }
    assert_int_equal(bench_probe("gone.png", NULL).exit_code, EXIT_INVALID);
    assert_int_equal(bench_probe("in", NULL).exit_code, EXIT_INVALID);
}

/* 30,000 x 30,000 pixels in 109 KiB; and a GIF of a thousand pictures. Refused by their headers, in
 * no time. */
static void bombs_are_refused_before_decoding(void **state)
{
    VipsImage *black, *strip;
    gint64     before;

    (void)state;
    assert_int_equal(vips_black(&black, 30000, 30000, NULL), 0);
    assert_int_equal(vips_pngsave(black, "bomb.png", "bitdepth", 1, "compression", 9, NULL), 0);
    g_object_unref(black);
    before                 = g_get_monotonic_time();
    struct outcome outcome = bench_probe("bomb.png", "t.webp");
    assert_int_equal(outcome.exit_code, EXIT_INVALID);
    assert_string_equal(outcome.reason, "the PNG file has more than 50 million pixels");
    assert_true(g_get_monotonic_time() - before < (gint64)2 * G_USEC_PER_SEC);

    strip = bench_picture(8, 8 * 400, 40);
    vips_image_set_int(strip, VIPS_META_PAGE_HEIGHT, 8);
    assert_int_equal(vips_gifsave(strip, "long.gif", NULL), 0);
    g_object_unref(strip);
    outcome = bench_probe("long.gif", "t.webp");
    assert_int_equal(outcome.exit_code, EXIT_INVALID);
    assert_non_null(strstr(outcome.reason, "300 pictures"));
}

#define PREPARE(media_type, prompt, params, media)                            \
    "{\"config\":{},\"input\":{\"prompt\":\"" prompt "\",\"params\":{" params \
    "},\"media_type\":\"" media_type "\"},\"media\":[" media "]}"

static void prepare_turns_scales_and_strips_pictures(void **state)
{
    VipsImage  *image = bench_picture(3000, 1000, 30), *work;
    const char *text;

    (void)state;
    vips_image_set_int(image, VIPS_META_ORIENTATION, 6);
    vips_image_set_string(image, "exif-ifd0-Model",
                          "a camera (a camera, ASCII, 9 components, 9 bytes)");
    bench_save(image, "in/0.jpg");
    struct outcome outcome = bench_run(
        "prepare", PREPARE("image", "", "", "{\"media_id\":\"9\",\"file\":\"in/0.jpg\"}"));
    json_t *fact = json_array_get(
        json_object_get(json_object_get(json_object_get(outcome.answer, "output"), "prepare"),
                        "media"),
        0);
    json_t *media = json_array_get(json_object_get(outcome.answer, "media"), 0);

    assert_int_equal(outcome.exit_code, 0);
    assert_string_equal(json_string_value(json_object_get(fact, "media_id")), "9");
    assert_int_equal(json_integer_value(json_object_get(fact, "width")), 1000);
    assert_string_equal(json_string_value(json_object_get(media, "file")), "out/0.png");
    assert_string_equal(json_string_value(json_object_get(media, "role")), "work");
    work = vips_image_new_from_file("out/0.png", NULL);
    assert_int_equal(vips_image_get_height(work), 2048);
    assert_in_range(vips_image_get_width(work), 682, 683);
    assert_int_equal(vips_image_get_string(work, "exif-ifd0-Model", &text), -1);
    assert_int_equal(vips_image_get_orientation(work), 1);
    g_object_unref(work);
}

static void a_stage_says_how_large_its_pictures_may_be(void **state)
{
    VipsImage *work;

    (void)state;
    bench_save(bench_picture(3000, 1000, 30), "in/0.jpg");
    assert_int_equal(
        bench_run("prepare",
                  "{\"config\":{\"max_side\":2500},\"input\":{\"prompt\":\"x\",\"params\":{},"
                  "\"media_type\":\"image\"},\"media\":[{\"file\":\"in/0.jpg\"}]}")
            .exit_code,
        0);
    work = vips_image_new_from_file("out/0.png", NULL);
    assert_int_equal(vips_image_get_width(work), 2500);
    g_object_unref(work);
}

/* Turned by 6, the left upper corner of what the camera saw is at the right. */
static void the_camera_s_orientation_is_applied(void **state)
{
    VipsImage *image = bench_picture(64, 32, 0), *expected;
    double     mean, most;

    (void)state;
    assert_int_equal(vips_rot(image, &expected, VIPS_ANGLE_D90, NULL), 0);
    assert_int_equal(vips_pngsave(expected, "expected.png", NULL), 0);
    g_object_unref(expected);
    vips_image_set_int(image, VIPS_META_ORIENTATION, 6);
    assert_int_equal(vips_jpegsave(image, "in/0.jpg", "Q", 98, NULL), 0);
    g_object_unref(image);
    assert_int_equal(
        bench_run("prepare", PREPARE("image", "x", "", "{\"file\":\"in/0.jpg\"}")).exit_code, 0);
    bench_compare("out/0.png", "expected.png", &mean, &most);
    assert_true(mean < 3);
}

static void prepare_takes_a_frame_of_a_film(void **state)
{
    (void)state;
    FFMPEG(BARS, "-c:v", "libx264", "-pix_fmt", "yuv420p", "in/0.mp4");
    struct outcome outcome =
        bench_run("prepare", PREPARE("video", "", "", "{\"file\":\"in/0.mp4\"}"));
    assert_int_equal(outcome.exit_code, 0);
    assert_int_equal(json_array_size(json_object_get(outcome.answer, "media")), 1);
    assert_int_equal(bench_probe("out/0.png", NULL).exit_code, 0);
}

static void prepare_names_what_is_wrong(void **state)
{
    static const struct {
        const char *request, *word;
    } wrong[] = {
        { PREPARE("image", "  ", "", ""), "/prompt" },
        { PREPARE("audio", "", "", ""), "/prompt" },
        { PREPARE("smell", "x", "", ""), "/media_type" },
        { PREPARE("image", "x", "\"width\":1", ""), "/params/width" },
        { PREPARE("video", "x", "\"width\":641", ""), "/params/width: must be even" },
        { PREPARE("video", "x", "\"duration_s\":60", ""), "/params/duration_s" },
        { PREPARE("audio", "x", "\"voice\":\"-f/etc/passwd\"", ""), "/params/voice" },
        { PREPARE("audio", "x", "\"speed\":1000", ""), "/params/speed" },
        { PREPARE("image", "x", "", "{\"file\":\"in/0.wav\"}"), "/media/0: audio input" },
        { PREPARE("audio", "x", "", "{\"file\":\"in/0.png\"}"), "/media/0: image input" },
        { PREPARE("image", "x", "", "{\"file\":\"in/0.png\"},{\"file\":\"in/text.png\"}"),
          "/media/1: the file is of no kind" },
    };

    (void)state;
    FFMPEG(TONE, "in/0.wav");
    bench_save(bench_picture(60, 40, 20), "in/0.png");
    bench_write("in/text.png", "text", 4);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        struct outcome outcome = bench_run("prepare", wrong[i].request);
        if (outcome.exit_code != EXIT_INVALID || strstr(outcome.reason, wrong[i].word) == NULL)
            fail_msg("%zu: exit %d, \"%s\" does not say \"%s\"", i, outcome.exit_code,
                     outcome.reason, wrong[i].word);
    }
}

static void prepare_passes_the_input_on(void **state)
{
    struct outcome outcome = bench_run("prepare", PREPARE("image", "hello", "\"width\":512", ""));
    json_t        *output  = json_object_get(outcome.answer, "output");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(output, "prompt")), "hello");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(output, "params"), "width")), 512);
    assert_int_equal(json_array_size(json_object_get(outcome.answer, "media")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(facts_of_every_format, bench_clean),
        cmocka_unit_test_setup(a_thumbnail_is_at_most_512_and_upright, bench_clean),
        cmocka_unit_test_setup(cut_anywhere_is_refused, bench_clean),
        cmocka_unit_test_setup(what_is_behind_the_end_is_no_fault, bench_clean),
        cmocka_unit_test_setup(phones_may_pad_or_append_pictures_to_a_jpeg, bench_clean),
        cmocka_unit_test_setup(damage_inside_is_refused, bench_clean),
        cmocka_unit_test_setup(what_is_no_media_is_named, bench_clean),
        cmocka_unit_test_setup(bombs_are_refused_before_decoding, bench_clean),
        cmocka_unit_test_setup(prepare_turns_scales_and_strips_pictures, bench_clean),
        cmocka_unit_test_setup(a_stage_says_how_large_its_pictures_may_be, bench_clean),
        cmocka_unit_test_setup(the_camera_s_orientation_is_applied, bench_clean),
        cmocka_unit_test_setup(prepare_takes_a_frame_of_a_film, bench_clean),
        cmocka_unit_test_setup(prepare_names_what_is_wrong, bench_clean),
        cmocka_unit_test_setup(prepare_passes_the_input_on, bench_clean),
    };

    return cmocka_run_group_tests(tests, bench_open, bench_close);
}
