/*
 * furnish: the op that makes the local sample of a staging: furniture of flat shapes is drawn onto
 * the given picture, within one region that stands on the floor; outside of it no bit changes. It
 * is a sample for trying, and says so within the region. `declutter` only softens the region;
 * `restyle` softens it and draws. The same picture, words and seed give the same bytes; each
 * variation has a chance of its own.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "media/sample/caption.h"
#include "media/sample/sample.h"
#include "media/sample/prng.h"

enum { VARIATIONS_MOST = 4 };

struct palette {
    const char *style;
    uint32_t    cloth, wood, accent, rug;
};

/* Any other style has the last one's colours. */
static const struct palette palettes[] = {
    { "modern", 0x8d99a6, 0x3a3f47, 0xd9a441, 0xdfe3e6 },
    { "contemporary", 0xa9a29a, 0x5a4a3f, 0x2f6f73, 0xe9e4dc },
    { "scandinavian", 0xd6d3cb, 0xc79f6b, 0x7f9c8c, 0xf3efe7 },
    { "industrial", 0x6b4a36, 0x2c2c2e, 0xb5562d, 0x8b8680 },
    { "traditional", 0x7a2f34, 0x5b3420, 0xc9a227, 0xa65e4e },
    { "minimalist", 0xe4e2de, 0xb9b4ab, 0x4a4a4a, 0xf4f3f0 },
    { "luxury", 0x2f4858, 0x4b3621, 0xd4af37, 0xc9bfae },
    { "farmhouse", 0xcfc4b0, 0x8a6a48, 0x5e7f6a, 0xe6dcc8 },
    { "coastal", 0xa7c4d4, 0xcdb891, 0x2b7a9b, 0xe8eef0 },
    { "bohemian", 0xb5653a, 0x7b4b2a, 0x2f7f79, 0xcf8f4f },
    { "midcentury", 0xd08b3c, 0x7a4a24, 0x3f7f7a, 0xd9c9a8 },
    { "japandi", 0xbdb3a3, 0x8f6f4e, 0x4f5b4f, 0xe2dccf },
    { "art_deco", 0x1f5c56, 0x2b2118, 0xd4af37, 0x2f2b3a },
    { "rustic", 0x94764f, 0x5c3d22, 0xa2492c, 0xb59b74 },
    { "", 0x9aa3a8, 0x75573c, 0xc98a3c, 0xded9d0 },
};

static struct palette palette_of(const char *style)
{
    size_t i = 0;

    while (i + 1 < G_N_ELEMENTS(palettes) && strcmp(palettes[i].style, style) != 0)
        i++;
    return palettes[i];
}

/* A sheet with the floor's line, and what the pieces are measured in. */
struct room {
    struct canvas *canvas;
    struct palette colours;
    struct prng    chance;
    float          w, h, unit, floor; /* unit: a hundredth of the shorter side of the region */
};

static void shadow(struct room *r, float x0, float x1, float y)
{
    canvas_round_rect(r->canvas, x0, y - r->unit * 2, x1, y + r->unit * 3, r->unit * 2, r->unit * 4,
                      (struct rgb) { 0, 0, 0 }, 0.35f);
}

static void legs(struct room *r, float x0, float x1, float y, float tall)
{
    struct rgb wood = rgb_hex(r->colours.wood);

    canvas_rect(r->canvas, x0, y - tall, x0 + r->unit * 2, y, wood, 1);
    canvas_rect(r->canvas, x1 - r->unit * 2, y - tall, x1, y, wood, 1);
}

static void block(struct room *r, float x0, float y0, float x1, float y1, uint32_t hex, float shade)
{
    canvas_round_rect(r->canvas, x0, y0, x1, y1, fminf(r->unit * 2.5f, (x1 - x0) / 4), 0,
                      rgb_scale(rgb_hex(hex), shade), 1);
}

/* Long and low, with a back: a sofa, or with a wide front a bed. */
static void seat(struct room *r, float x, float y, float wide, float tall, bool is_bed)
{
    float u = r->unit, x1 = x + wide;

    shadow(r, x, x1, y);
    legs(r, x + 2 * u, x1 - 2 * u, y, 5 * u);
    block(r, x, y - tall, x1, y - 4 * u, is_bed ? r->colours.wood : r->colours.cloth, 0.82f);
    block(r, x + 3 * u, y - tall * 0.58f, x1 - 3 * u, y - 3 * u,
          is_bed ? r->colours.rug : r->colours.cloth, 1);
    for (int i = 0; i < 2 + is_bed; i++) {
        float px = x + wide * (0.14f + 0.3f * (float)i) + prng_range(&r->chance, -2, 2) * u;

        block(r, px, y - tall * 0.82f, px + 13 * u, y - tall * 0.5f,
              i % 2 == 0 ? r->colours.accent : r->colours.rug, 0.96f);
    }
}

static void table(struct room *r, float x, float y, float wide, float tall)
{
    shadow(r, x, x + wide, y);
    legs(r, x + 2 * r->unit, x + wide - 2 * r->unit, y, tall);
    block(r, x, y - tall - 3 * r->unit, x + wide, y - tall, r->colours.wood, 1.12f);
}

static void lamp(struct room *r, float x, float y, float tall)
{
    float u = r->unit;

    canvas_line(r->canvas, (struct point) { x, y }, (struct point) { x, y - tall }, u * 1.4f, u,
                rgb_hex(r->colours.wood), 1);
    canvas_poly(r->canvas,
                (struct point[]) { { x - 8 * u, y - tall * 0.78f },
                                   { x + 8 * u, y - tall * 0.78f },
                                   { x + 5 * u, y - tall },
                                   { x - 5 * u, y - tall } },
                4, rgb_hex(r->colours.accent), 1);
}

static void plant(struct room *r, float x, float y, float tall)
{
    float u = r->unit;

    shadow(r, x - 5 * u, x + 5 * u, y);
    for (int i = 0; i < 9; i++) {
        float lean = prng_range(&r->chance, -0.45f, 0.45f) * tall;

        canvas_line(r->canvas, (struct point) { x, y - 8 * u },
                    (struct point) { x + lean, y - tall + fabsf(lean) * 0.6f }, u * 4, u * 0.6f,
                    rgb_lch(0.45f + 0.02f * (float)i, 0.11f, 140), 1);
    }
    canvas_poly(r->canvas,
                (struct point[]) { { x - 5 * u, y - 10 * u },
                                   { x + 5 * u, y - 10 * u },
                                   { x + 4 * u, y },
                                   { x - 4 * u, y } },
                4, rgb_hex(r->colours.accent), 1);
}

static void rug(struct room *r)
{
    canvas_poly(r->canvas,
                (struct point[]) { { r->w * 0.16f, r->floor - r->h * 0.16f },
                                   { r->w * 0.84f, r->floor - r->h * 0.16f },
                                   { r->w * 0.96f, r->floor },
                                   { r->w * 0.04f, r->floor } },
                4, rgb_hex(r->colours.rug), 0.9f);
}

static void furnish_room(struct room *r, const char *room_type)
{
    bool is_bed   = strcmp(room_type, "bedroom") == 0 || strcmp(room_type, "kids_room") == 0;
    bool is_board = strcmp(room_type, "dining_room") == 0 || strcmp(room_type, "kitchen") == 0
                    || strcmp(room_type, "home_office") == 0;
    bool  is_turned = prng_below(&r->chance, 2) == 1;
    float at = prng_range(&r->chance, 0.2f, 0.3f), back = r->floor - r->h * 0.1f;

    rug(r);
    lamp(r, r->w * (is_turned ? 0.09f : 0.91f), back, r->h * 0.78f);
    if (is_board) {
        for (int i = 0; i < 3; i++)
            seat(r, r->w * (0.2f + 0.21f * (float)i), back, r->w * 0.15f, r->h * 0.5f, false);
        table(r, r->w * 0.16f, r->floor - r->h * 0.03f, r->w * 0.66f, r->h * 0.3f);
    } else {
        seat(r, r->w * at, back, r->w * (is_bed ? 0.56f : 0.5f), r->h * (is_bed ? 0.55f : 0.48f),
             is_bed);
        table(r, r->w * (at + 0.12f), r->floor - r->h * 0.02f, r->w * 0.24f, r->h * 0.14f);
    }
    plant(r, r->w * (is_turned ? 0.92f : 0.08f), r->floor - r->h * 0.04f,
          r->h * prng_range(&r->chance, 0.42f, 0.58f));
}

/* The region's pixels without their small things. */
static bool soften(VipsImage *base, const struct region *region, struct canvas *canvas,
                   struct fault *fault)
{
    VipsImage *part = NULL, *soft = NULL, *flat = NULL;
    uint8_t   *pixels = NULL;
    size_t     bytes;

    if (vips_extract_area(base, &part, region->left, region->top, region->width, region->height,
                          NULL)
            == 0
        && vips_gaussblur(part, &soft, MAX(1.0, MIN(region->width, region->height) / 24.0), NULL)
               == 0
        && vips_cast_uchar(soft, &flat, NULL) == 0)
        pixels = vips_image_write_to_memory(flat, &bytes);
    if (pixels != NULL)
        canvas_from_bytes(canvas, pixels, vips_image_get_bands(base),
                          region->width * vips_image_get_bands(base));
    g_clear_object(&part);
    g_clear_object(&soft);
    g_clear_object(&flat);
    g_free(pixels);
    return pixels != NULL || fault_vips(fault, EXIT_TRANSIENT, "the picture cannot be softened");
}

struct wanted {
    const char *mode, *room_type, *style;
    int         variations;
};

static VipsImage *furnished(VipsImage *base, const struct wanted *wanted, uint64_t key,
                            struct region *region, struct fault *fault)
{
    int width = vips_image_get_width(base), height = vips_image_get_height(base),
        bands = vips_image_get_bands(base);
    size_t         bytes;
    uint8_t       *pixels = vips_image_write_to_memory(base, &bytes), *corner;
    struct canvas *canvas;
    VipsImage     *done = NULL;
    bool           ok;

    region->width  = MAX(1, width * 84 / 100);
    region->height = MAX(1, height * 46 / 100);
    region->left   = (width - region->width) / 2;
    region->top    = height - region->height - height * 4 / 100;
    if (pixels == NULL || bands < 3) {
        g_free(pixels);
        fault_vips(fault, EXIT_TRANSIENT, "the picture cannot be read");
        return NULL;
    }
    corner = pixels + ((long)region->top * width + region->left) * bands;
    canvas = canvas_new(region->width, region->height);
    canvas_from_bytes(canvas, corner, bands, width * bands);
    ok = strcmp(wanted->mode, "stage") == 0 || soften(base, region, canvas, fault);
    if (ok) {
        struct room room = { canvas,
                             palette_of(wanted->style),
                             prng_of(key, "furniture"),
                             (float)region->width,
                             (float)region->height,
                             (float)MIN(region->width, region->height) / 100,
                             (float)region->height * 0.97f };

        if (strcmp(wanted->mode, "declutter") != 0)
            furnish_room(&room, wanted->room_type);
        canvas_round_rect(canvas, 0, 0, MIN(room.w * 0.64f, room.unit * 62), room.unit * 11,
                          room.unit * 2, 0, rgb_hex(0x10121c), 0.5f);
        caption_line(canvas, "Kiln local sample", room.unit * 3, room.unit * 2, room.w * 0.6f,
                     MAX(8, (int)(room.unit * 6)), rgb_hex(0xffffff), 0.9f, false);
        canvas_to_bytes(canvas, corner, bands, width * bands, 0);
        for (int y = 0; bands == 4 && y < region->height; y++)
            for (int x = 0; x < region->width; x++)
                corner[((long)y * width + x) * 4 + 3] = 255;
        done = picture_of(pixels, width, height, bands);
    }
    canvas_free(canvas);
    g_free(pixels);
    return done;
}

/* A word of the input, or "" where it is not said. */
static const char *word(const struct request *request, const char *name)
{
    const char *text = json_string_value(json_object_get(request->input, name));

    return text != NULL ? text : "";
}

static bool wanted_read(const struct request *request, struct wanted *wanted, struct fault *fault)
{
    const json_t *count = json_object_get(request->input, "variations");

    *wanted = (struct wanted) { word(request, "mode"), word(request, "room_type"),
                                word(request, "style"), 1 };
    if (*wanted->mode == '\0')
        wanted->mode = "stage";
    if (strcmp(wanted->mode, "stage") != 0 && strcmp(wanted->mode, "declutter") != 0
        && strcmp(wanted->mode, "restyle") != 0)
        return fault_set(fault, EXIT_INVALID, "/mode: must be one of stage, declutter, restyle");
    if (count != NULL && !json_is_null(count)) {
        json_int_t value = json_integer_value(count);

        if (!json_is_integer(count) || value < 1 || value > VARIATIONS_MOST)
            return fault_set(fault, EXIT_INVALID,
                             "/variations: must be a whole number from 1 to %d", VARIATIONS_MOST);
        wanted->variations = (int)value;
    }
    return request->file_count > 0
           || fault_set(fault, EXIT_INVALID, "/media: must be the picture to stage");
}

json_t *op_furnish(struct request *request, struct fault *fault)
{
    struct wanted wanted;
    struct region region = { 0 };
    VipsImage    *base;
    json_t       *media, *answer = NULL;
    uint64_t      key;
    bool          ok = true;

    if (!wanted_read(request, &wanted, fault))
        return NULL;
    base = picture_load(request->files[0].file, PICTURE_SIDE, fault);
    if (base == NULL)
        return NULL;
    key   = prng_hash(prng_hash(prng_hash(sample_key(request), wanted.mode), wanted.room_type),
                      wanted.style);
    media = json_array();
    for (int i = 0; ok && i < wanted.variations; i++) {
        char       path[32], turn[16];
        VipsImage *image;

        request_progress(request, (float)i / (float)wanted.variations, "furnishing");
        snprintf(path, sizeof path, "out/furnish-%d.png", i);
        snprintf(turn, sizeof turn, "%d", i);
        image = furnished(base, &wanted, prng_hash(key, turn), &region, fault);
        ok    = image != NULL && picture_save_png(image, path, 3, true, fault);
        json_array_append_new(media, json_pack("{s:s, s:s}", "file", path, "role", "work"));
        g_clear_object(&image);
    }
    if (ok) {
        answer = request_answer(request, "furnish",
                                json_pack("{s:s, s:i, s:i, s:{s:i, s:i, s:i, s:i}}", "mode",
                                          wanted.mode, "width", vips_image_get_width(base),
                                          "height", vips_image_get_height(base), "region", "left",
                                          region.left, "top", region.top, "width", region.width,
                                          "height", region.height),
                                NULL, NULL);
        json_object_set(answer, "media", media);
    }
    json_decref(media);
    g_object_unref(base);
    return answer;
}
