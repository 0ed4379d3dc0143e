/* bench: see bench.h. */
#include "tests/c/media/bench.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/cli.h"

static char    folder[64], fixtures[4096];
static char   *out_text, *log_text;
static json_t *answer;

int bench_open(void **state)
{
    char here[sizeof fixtures - 64];

    (void)state;
    if (getcwd(here, sizeof here) == NULL || cli_start("media_test") != 0)
        return -1;
    snprintf(fixtures, sizeof fixtures, "%s/tests/fixtures/media/", here);
    snprintf(folder, sizeof folder, "/tmp/kiln-media-test-XXXXXX");
    return mkdtemp(folder) == NULL || chdir(folder) != 0 ? -1 : bench_clean(NULL);
}

static int forget(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    return ftw->level > 0 ? remove(path) : 0;
}

int bench_clean(void **state)
{
    (void)state;
    nftw(folder, forget, 8, FTW_DEPTH | FTW_PHYS);
    return mkdir("in", 0700) | mkdir("out", 0700);
}

int bench_close(void **state)
{
    (void)state;
    nftw(folder, forget, 8, FTW_DEPTH | FTW_PHYS);
    rmdir(folder);
    json_decref(answer);
    free(out_text);
    free(log_text);
    vips_shutdown();
    return 0;
}

static struct outcome run(int argc, char **argv, const char *request)
{
    size_t         out_bytes, log_bytes;
    FILE          *in, *out, *log;
    struct outcome outcome;
    char          *end;

    json_decref(answer);
    free(out_text);
    free(log_text);
    in                = fmemopen((void *)(uintptr_t)request, strlen(request), "r");
    out               = open_memstream(&out_text, &out_bytes);
    log               = open_memstream(&log_text, &log_bytes);
    outcome.exit_code = cli_run(argc, argv, in, out, log);
    fclose(in);
    fclose(out);
    fclose(log);
    answer         = json_loads(out_text, 0, NULL);
    outcome.answer = answer;
    outcome.log    = log_text;
    end            = log_text + strlen(log_text);
    if (end > log_text && end[-1] == '\n')
        *--end = '\0';
    outcome.reason = strrchr(log_text, '\n') != NULL ? strrchr(log_text, '\n') + 1 : log_text;
    if (outcome.exit_code != 0 && outcome.exit_code != 64 && getenv("MEDIA_TEST_VERBOSE") != NULL)
        print_message("  (%d) %s\n", outcome.exit_code, outcome.reason);
    return outcome;
}

struct outcome bench_run(const char *op, const char *request)
{
    char *argv[] = { (char *)(uintptr_t) "kiln-media", (char *)(uintptr_t)op, NULL };

    return run(2, argv, request);
}

struct outcome bench_probe(const char *path, const char *thumbnail)
{
    char *argv[] = { (char *)(uintptr_t) "kiln-media", (char *)(uintptr_t) "probe",
                     (char *)(uintptr_t)path,          (char *)(uintptr_t) "--thumbnail",
                     (char *)(uintptr_t)thumbnail,     NULL };

    return run(thumbnail != NULL ? 5 : 3, argv, " ");
}

void bench_hand_over(const char *out, const char *in)
{
    assert_int_equal(rename(out, in), 0);
}

void bench_write(const char *path, const void *bytes, size_t count)
{
    assert_true(g_file_set_contents(path, bytes, (gssize)count, NULL));
}

char *bench_read(const char *path, size_t *count)
{
    char *bytes = NULL;

    assert_true(g_file_get_contents(path, &bytes, count, NULL));
    return bytes;
}

bool bench_same_bytes(const char *a, const char *b)
{
    size_t m, n;
    char  *x = bench_read(a, &m), *y = bench_read(b, &n);
    bool   same = m == n && memcmp(x, y, m) == 0;

    g_free(x);
    g_free(y);
    return same;
}

VipsImage *bench_picture(int width, int height, int hue)
{
    uint8_t   *pixels = g_malloc((gsize)width * (gsize)height * 3), *at = pixels;
    VipsImage *image;

    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            *at++ = (uint8_t)(hue + x * 120 / width);
            *at++ = (uint8_t)(hue * 3 + y * 120 / height);
            *at++ = (uint8_t)(255 - hue + (x ^ y) % 16);
        }
    image       = vips_image_new_from_memory_copy(pixels, (size_t)width * (size_t)height * 3, width,
                                                  height, 3, VIPS_FORMAT_UCHAR);
    image->Type = VIPS_INTERPRETATION_sRGB;
    g_free(pixels);
    return image;
}

/* By the suffix of its name; the image is given up. */
void bench_save(VipsImage *image, const char *path)
{
    assert_int_equal(vips_image_write_to_file(image, path, NULL), 0);
    g_object_unref(image);
}

static void compare(const char *a, const char *b, int grain, double *mean, double *most)
{
    VipsImage *x = vips_image_new_from_file(a, NULL), *y = vips_image_new_from_file(b, NULL);
    VipsImage *coarse_x, *coarse_y, *difference, *positive;

    assert_non_null(x);
    assert_non_null(y);
    assert_int_equal(vips_image_get_width(x), vips_image_get_width(y));
    assert_int_equal(vips_image_get_height(x), vips_image_get_height(y));
    assert_int_equal(vips_shrink(x, &coarse_x, grain, grain, NULL), 0);
    assert_int_equal(vips_shrink(y, &coarse_y, grain, grain, NULL), 0);
    assert_int_equal(vips_subtract(coarse_x, coarse_y, &difference, NULL), 0);
    assert_int_equal(vips_abs(difference, &positive, NULL), 0);
    assert_int_equal(vips_avg(positive, mean, NULL), 0);
    assert_int_equal(vips_max(positive, most, NULL), 0);
    g_object_unref(positive);
    g_object_unref(difference);
    g_object_unref(coarse_x);
    g_object_unref(coarse_y);
    g_object_unref(x);
    g_object_unref(y);
}

void bench_compare(const char *a, const char *b, double *mean, double *most)
{
    compare(a, b, 1, mean, most);
}

void bench_compare_looks(const char *a, const char *b, double *mean, double *most)
{
    compare(a, b, 2, mean, most);
}

const char *bench_fixture(const char *name)
{
    static char path[4200];

    snprintf(path, sizeof path, "%s%s", fixtures, name);
    return path;
}
