/*
 * film and speak, and their finishing: what moves and what sounds.
 */
#include "tests/c/media/bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "media/tool/program.h"

#define SMALL "\"width\":256,\"height\":256,\"duration_s\":3,\"fps\":10"
#define FILM(prompt, seed, media)                            \
    "{\"input\":{\"prompt\":\"" prompt "\",\"seed\":\"" seed \
    "\",\"media_type\":\"video\",\"params\":{" SMALL "}},\"media\":[" media "]}"
#define SPEECH(prompt, seed, params)                         \
    "{\"input\":{\"prompt\":\"" prompt "\",\"seed\":\"" seed \
    "\",\"media_type\":\"audio\",\"params\":{" params "}},\"media\":[]}"

static char *capture(const char *const *argv)
{
    struct fault fault = { 0 };
    char        *out;
    size_t       bytes;

    if (!program_run(argv, NULL, &out, &bytes, 1 << 20, 60, false, EXIT_TRANSIENT, &fault))
        fail_msg("%s", fault.sentence);
    return out;
}

static void assert_shown_by_ffprobe(const char *file, const char *entries, const char *const *words)
{
    char *text = capture(
        (const char *const[]) { "ffprobe", "-v", "error", "-show_entries", entries, file, NULL });

    for (; *words != NULL; words++)
        if (strstr(text, *words) == NULL)
            fail_msg("%s: no \"%s\" in\n%s", file, *words, text);
    g_free(text);
}

static void frame(const char *film, const char *second, const char *png)
{
    g_free(capture((const char *const[]) { "ffmpeg", "-v", "error", "-y", "-ss", second, "-i", film,
                                           "-frames:v", "1", png, NULL }));
}

static void a_prompt_becomes_a_film_of_several_scenes(void **state)
{
    double mean, most;

    (void)state;
    assert_int_equal(bench_run("film", FILM("mountains by a lake", "3", "")).exit_code, 0);
    assert_shown_by_ffprobe("out/film.mp4", "stream=codec_name,pix_fmt,width,height,nb_frames",
                            (const char *const[]) { "codec_name=h264", "pix_fmt=yuv420p",
                                                    "width=256", "nb_frames=30", NULL });
    frame("out/film.mp4", "0.2", "a.png");
    frame("out/film.mp4", "2.6", "b.png");
    bench_compare("a.png", "b.png", &mean, &most);
    assert_true(mean > 15);
    bench_hand_over("out/film.mp4", "first.mp4");
    assert_int_equal(bench_run("film", FILM("mountains by a lake", "3", "")).exit_code, 0);
    assert_true(bench_same_bytes("out/film.mp4", "first.mp4"));
}

static void every_kind_of_prompt_can_be_filmed(void **state)
{
    (void)state;
    assert_int_equal(bench_run("film", FILM("city at night", "3", "")).exit_code, 0);
    assert_int_equal(bench_run("film", FILM("planets", "3", "")).exit_code, 0);
}

/* The film shows the pictures: its first frames look like the first, its last like the second. */
static void input_pictures_are_what_the_film_shows(void **state)
{
    VipsImage *red, *image;
    double     mean;

    (void)state;
    bench_save(bench_picture(400, 300, 10), "in/0.png");
    bench_save(bench_picture(300, 500, 120), "in/1.png");
    assert_int_equal(
        bench_run("film", FILM("", "3", "{\"file\":\"in/0.png\"},{\"file\":\"in/1.png\"}"))
            .exit_code,
        0);
    for (int i = 0; i < 2; i++) {
        double shown;
        char   file[] = "in/0.png";

        frame("out/film.mp4", i == 0 ? "0" : "2.8", "a.png");
        image = vips_image_new_from_file("a.png", NULL);
        assert_int_equal(vips_extract_band(image, &red, 0, NULL), 0);
        assert_int_equal(vips_avg(red, &shown, NULL), 0);
        g_object_unref(red);
        g_object_unref(image);
        file[3] = (char)('0' + i);
        image   = vips_image_new_from_file(file, NULL);
        assert_int_equal(vips_extract_band(image, &red, 0, NULL), 0);
        assert_int_equal(vips_avg(red, &mean, NULL), 0);
        g_object_unref(red);
        g_object_unref(image);
        assert_true(shown > mean - 25 && shown < mean + 25);
    }
    assert_int_equal(bench_run("film", FILM("one", "3", "{\"file\":\"in/0.png\"}")).exit_code, 0);
}

#define FILM_DONE "{\"input\":{\"film\":{},\"params\":{}},\"media\":[{\"file\":\"in/0.mp4\"}]}"

static void finish_marks_a_film_and_keeps_its_bits_apart_from_that(void **state)
{
    (void)state;
    assert_int_equal(bench_run("film", FILM("sea", "3", "")).exit_code, 0);
    bench_hand_over("out/film.mp4", "in/0.mp4");
    struct outcome outcome = bench_run("finish", FILM_DONE);
    assert_int_equal(outcome.exit_code, 0);
    assert_shown_by_ffprobe("out/video.mp4", "format_tags",
                            (const char *const[]) { "comment=Local sample made by Kiln",
                                                    "title=Kiln local sample", NULL });
    size_t count;
    char  *bytes = bench_read("out/video.mp4", &count);
    char  *index = memmem(bytes, count, "moov", 4), *data = memmem(bytes, count, "mdat", 4);
    assert_true(index != NULL && data != NULL && index < data); /* plays before it is all there */
    g_free(bytes);
    bench_hand_over("out/video.mp4", "first.mp4");
    assert_int_equal(bench_run("finish", FILM_DONE).exit_code, 0);
    assert_true(bench_same_bytes("out/video.mp4", "first.mp4"));
}

static void speech_repeats_by_seed_and_varies_with_it(void **state)
{
    (void)state;
    assert_int_equal(bench_run("speak", SPEECH("Good morning", "1", "")).exit_code, 0);
    bench_hand_over("out/speech.wav", "a.wav");
    assert_int_equal(bench_run("speak", SPEECH("Good morning", "1", "")).exit_code, 0);
    assert_true(bench_same_bytes("out/speech.wav", "a.wav"));
    assert_int_equal(bench_run("speak", SPEECH("Good morning", "2", "")).exit_code, 0);
    assert_false(bench_same_bytes("out/speech.wav", "a.wav"));
    assert_int_equal(bench_run("speak", SPEECH("Guten Morgen [[;:]] <break/>", "1",
                                               "\"voice\":\"de\",\"speed\":300"))
                         .exit_code,
                     0);
}

static void silence_is_refused(void **state)
{
    (void)state;
    struct outcome outcome = bench_run("speak", SPEECH("", "1", ""));
    assert_int_equal(outcome.exit_code, EXIT_INVALID);
    assert_string_equal(outcome.reason, "/prompt: holds nothing that can be spoken");
}

static void finish_marks_speech_in_each_format(void **state)
{
    static const struct {
        const char *params, *file, *codec, *entries;
    } formats[] = { { "\"format\":\"mp3\"", "out/speech.mp3", "codec_name=mp3",
                      "stream=codec_name:format_tags" },
                    { "\"format\":\"wav\"", "out/speech.wav", "codec_name=pcm_s16le",
                      "stream=codec_name:format_tags" },
                    { "\"format\":\"opus\"", "out/speech.opus", "codec_name=opus",
                      "stream=codec_name:stream_tags" } };

    (void)state;
    assert_int_equal(bench_run("speak", SPEECH("Good morning", "1", "")).exit_code, 0);
    bench_hand_over("out/speech.wav", "in/0.wav");
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        char *request = g_strdup_printf(
            "{\"input\":{\"speak\":{},\"params\":{%s}},\"media\":[{\"file\":\"in/0.wav\"}]}",
            formats[i].params);

        struct outcome outcome = bench_run("finish", request);
        if (outcome.exit_code != 0)
            fail_msg("%s: %s", formats[i].file, outcome.reason);
        assert_shown_by_ffprobe(
            formats[i].file, formats[i].entries,
            (const char *const[]) { formats[i].codec, "omment=Local sample made by Kiln", NULL });
        bench_hand_over(formats[i].file, "first");
        assert_int_equal(bench_run("finish", request).exit_code, 0);
        assert_true(bench_same_bytes(formats[i].file, "first"));
        g_free(request);
    }
}

/* They were given the same title and comment as the samples of this machine, and recordings were
 * coded anew as MP3. */
static void finish_leaves_a_provider_s_film_and_recording_as_they_came(void **state)
{
    (void)state;
    assert_int_equal(bench_run("film", FILM("sea", "3", "")).exit_code, 0);
    bench_hand_over("out/film.mp4", "in/0.mp4");
    assert_int_equal(
        bench_run("finish", "{\"input\":{},\"media\":[{\"file\":\"in/0.mp4\"}]}").exit_code, 0);
    assert_true(bench_same_bytes("out/result", "in/0.mp4"));
    assert_int_equal(bench_run("speak", SPEECH("Good morning", "1", "")).exit_code, 0);
    bench_hand_over("out/speech.wav", "in/0.wav");
    assert_int_equal(
        bench_run("finish", "{\"input\":{},\"media\":[{\"file\":\"in/0.wav\"}]}").exit_code, 0);
    assert_true(bench_same_bytes("out/result", "in/0.wav"));
}

static void a_program_that_is_missing_is_this_machine_s_fault(void **state)
{
    struct fault fault = { 0 };
    char        *out;
    size_t       bytes;

    (void)state;
    assert_false(program_run((const char *const[]) { "no-such-program", NULL }, NULL, &out, &bytes,
                             10, 5, false, EXIT_INVALID, &fault));
    assert_int_equal(fault.exit_code, EXIT_TRANSIENT);
    assert_string_equal(fault.sentence, "no-such-program is not installed on this machine");
}

static void a_program_is_bounded_in_time_and_output(void **state)
{
    struct fault slow = { 0 }, loud = { 0 }, wrong = { 0 }, grumbling = { 0 };
    char        *out;
    size_t       bytes;

    (void)state;
    assert_false(program_run((const char *const[]) { "sleep", "60", NULL }, NULL, &out, &bytes, 10,
                             1, false, EXIT_INVALID, &slow));
    assert_string_equal(slow.sentence, "sleep took too long and was stopped");
    assert_false(program_run((const char *const[]) { "yes", NULL }, NULL, &out, &bytes, 1000, 10,
                             false, EXIT_INVALID, &loud));
    assert_string_equal(loud.sentence, "yes wrote more than 1000 bytes");
    assert_false(program_run((const char *const[]) { "false", NULL }, NULL, &out, &bytes, 1000, 10,
                             false, EXIT_INVALID, &wrong));
    assert_string_equal(wrong.sentence, "false: failed without a word");
    assert_false(program_run((const char *const[]) { "sh", "-c", "echo hm >&2", NULL }, NULL, &out,
                             &bytes, 1000, 10, true, EXIT_INVALID, &grumbling));
    assert_string_equal(grumbling.sentence, "sh: hm");
}

/* kill -9 of kiln-media must not leave an encoder behind. */
static void a_program_dies_with_its_parent(void **state)
{
    int   tell[2];
    pid_t child, grandchild = 0;

    (void)state;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    assert_int_equal(pipe(tell), 0);
    child = fork();
    if (child == 0) {
        struct program program;
        struct fault   fault = { 0 };

        if (program_start(&program, (const char *const[]) { "sleep", "60", NULL }, 0, 60, &fault))
            (void)!write(tell[1], &program.pid, sizeof program.pid);
        usleep(200000); /* let it reach exec */
        raise(SIGKILL);
    }
    assert_int_equal(read(tell[0], &grandchild, sizeof grandchild), sizeof grandchild);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(waitpid(grandchild, NULL, 0),
                     grandchild); /* within the test's patience: at once */
    close(tell[0]);
    close(tell[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_prompt_becomes_a_film_of_several_scenes, bench_clean),
        cmocka_unit_test_setup(every_kind_of_prompt_can_be_filmed, bench_clean),
        cmocka_unit_test_setup(input_pictures_are_what_the_film_shows, bench_clean),
        cmocka_unit_test_setup(finish_marks_a_film_and_keeps_its_bits_apart_from_that, bench_clean),
        cmocka_unit_test_setup(speech_repeats_by_seed_and_varies_with_it, bench_clean),
        cmocka_unit_test_setup(silence_is_refused, bench_clean),
        cmocka_unit_test_setup(finish_marks_speech_in_each_format, bench_clean),
        cmocka_unit_test_setup(finish_leaves_a_provider_s_film_and_recording_as_they_came,
                               bench_clean),
        cmocka_unit_test_setup(a_program_that_is_missing_is_this_machine_s_fault, bench_clean),
        cmocka_unit_test_setup(a_program_is_bounded_in_time_and_output, bench_clean),
        cmocka_unit_test_setup(a_program_dies_with_its_parent, bench_clean),
    };

    return cmocka_run_group_tests(tests, bench_open, bench_close);
}
