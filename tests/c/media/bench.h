/*
 * bench: what the tests of kiln-media share: a folder of their own, a way to run an op as the
 * runner does, pictures to feed it, and a way to compare two pictures by how they look.
 */
#ifndef TEST_MEDIA_BENCH_H
#define TEST_MEDIA_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <vips/vips.h>

#include "media/tool/fault.h"

int bench_open(void **state); /* group setup: starts libvips, goes to a new folder */
int bench_close(void **state);
int bench_clean(void **state); /* test setup: empty in/ and out/ */

/* One run of the program: exit code; the answer (owned by bench until the next run) and the last
 * line of stderr. */
struct outcome {
    int         exit_code;
    json_t     *answer;
    const char *reason, *log;
};

struct outcome bench_run(const char *op, const char *request);
struct outcome bench_probe(const char *path, const char *thumbnail);

/* "out/x" is taken as in/x of the next stage. */
void bench_hand_over(const char *out, const char *in);

void  bench_write(const char *path, const void *bytes, size_t count);
char *bench_read(const char *path, size_t *count); /* g_free */
bool  bench_same_bytes(const char *a, const char *b);

/* A picture of `width` x `height` with a gradient that differs by `hue`. */
VipsImage *bench_picture(int width, int height, int hue);
void       bench_save(VipsImage *image, const char *path);

/* How far apart two files look: mean and largest difference of a sample, 0 .. 255. Sizes must
 * agree. bench_compare_looks first takes the mean of each 2 x 2 pixels, as a lossy golden is only
 * true at that grain. */
void bench_compare(const char *a, const char *b, double *mean, double *most);
void bench_compare_looks(const char *a, const char *b, double *mean, double *most);

const char *bench_fixture(const char *name); /* its path in tests/fixtures/media */

#endif
