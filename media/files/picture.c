/* picture: libvips; see picture.h. */
#include "media/files/picture.h"

#include "media/files/jpeg.h"

enum { THUMBNAIL_SIDE = 512 };

VipsImage *picture_open(const char *path, enum format format, bool has_all, struct fault *fault)
{
    VipsImage *image  = NULL;
    int        failed = -1, n = has_all ? -1 : 1;

    switch (format) {
    case FORMAT_PNG:
        failed = vips_pngload(path, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                              VIPS_FAIL_ON_ERROR, NULL);
        break;
    case FORMAT_JPEG: /* what libjpeg warns of, jpeg_check() has judged */
        failed = vips_jpegload(path, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                               VIPS_FAIL_ON_ERROR, NULL);
        break;
    case FORMAT_HEIC:
    case FORMAT_AVIF: /* the picture that the file calls its own, turned as the file says */
        failed = vips_heifload(path, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                               VIPS_FAIL_ON_ERROR, NULL);
        break;
    case FORMAT_WEBP:
        failed = vips_webpload(path, &image, "n", n, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                               VIPS_FAIL_ON_ERROR, NULL);
        break;
    case FORMAT_GIF:
        failed = vips_gifload(path, &image, "n", n, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                              VIPS_FAIL_ON_ERROR, NULL);
        break;
    default: fault_set(fault, EXIT_INVALID, "the file is no picture"); return NULL;
    }
    if (failed != 0) {
        fault_vips(fault, EXIT_INVALID, "the picture cannot be decoded");
        return NULL;
    }
    int     pages = vips_image_get_n_pages(image), height = vips_image_get_page_height(image);
    int64_t pixels = (int64_t)vips_image_get_width(image) * height;

    if (pixels > PIXELS_MOST || pages > PAGES_MOST || pixels * pages > PAGE_PIXELS_MOST) {
        fault_set(fault, EXIT_INVALID, "the picture has too many pixels: %d x %d in %d pages",
                  vips_image_get_width(image), height, pages);
        g_object_unref(image);
        return NULL;
    }
    return image;
}

bool picture_check(const char *path, enum format format, int *width, int *height,
                   struct fault *fault)
{
    VipsImage *image =
        picture_open(path, format, format == FORMAT_GIF || format == FORMAT_WEBP, fault);
    double mean;
    bool   ok;

    if (image == NULL)
        return false;
    int turned = vips_image_get_orientation_swap(image);
    *width     = turned ? vips_image_get_page_height(image) : vips_image_get_width(image);
    *height    = turned ? vips_image_get_width(image) : vips_image_get_page_height(image);
    if (format == FORMAT_JPEG) {
        ok = jpeg_check_file(path, fault);
    } else {
        ok = vips_avg(image, &mean, NULL) == 0;
        if (!ok)
            fault_vips(fault, EXIT_INVALID, "the picture does not decode to its end");
    }
    g_object_unref(image);
    return ok;
}

/* Replaces *image by the outcome of one step; false leaves it as it was. */
static bool step(VipsImage **image, int failed, VipsImage **next)
{
    if (failed != 0 || *next == NULL)
        return false;
    g_object_unref(*image);
    *image = *next;
    *next  = NULL;
    return true;
}

/* sRGB by the picture's own profile, the see-through part aside: libvips before 8.16 takes it along
 * as it is, so that of 16 bits nothing would be left in 8. A broken profile is passed over: the
 * numbers are taken as they are. */
static bool to_srgb(VipsImage **now)
{
    VipsImage *colour = NULL, *alpha = NULL, *scaled = NULL, *plain = NULL, *next = NULL;
    int        bands = vips_image_get_bands(*now);
    bool       ok = true, has_alpha = vips_image_hasalpha(*now);

    if (!has_alpha)
        return step(now,
                    vips_icc_transform(*now, &next, "srgb", "embedded", TRUE, "depth", 8, NULL),
                    &next);
    ok = vips_extract_band(*now, &colour, 0, "n", bands - 1, NULL) == 0
         && vips_extract_band(*now, &alpha, bands - 1, NULL) == 0
         && vips_icc_transform(colour, &plain, "srgb", "embedded", TRUE, "depth", 8, NULL) == 0
         && vips_linear1(alpha, &scaled,
                         vips_image_get_format(alpha) == VIPS_FORMAT_USHORT ? 1 / 257.0 : 1, 0.5,
                         "uchar", TRUE, NULL)
                == 0;
    ok = ok && step(now, vips_bandjoin2(plain, scaled, &next, NULL), &next);
    g_clear_object(&colour);
    g_clear_object(&alpha);
    g_clear_object(&scaled);
    g_clear_object(&plain);
    return ok;
}

/* Where and with what a picture was taken is nobody's business. Saving with `strip` is not enough:
 * libvips 8.14 writes EXIF into WebP all the same. */
static void drop_notes(VipsImage *image)
{
    static const char *const notes[] = { "exif-",          "xmp-",         "iptc-",
                                         "photoshop-",     "png-comment-", "gif-comment",
                                         "jpeg-thumbnail-" };
    char                   **fields  = vips_image_get_fields(image);

    for (char **field = fields; *field != NULL; field++)
        for (size_t i = 0; i < G_N_ELEMENTS(notes); i++)
            if (g_str_has_prefix(*field, notes[i]))
                vips_image_remove(image, *field);
    g_strfreev(fields);
}

VipsImage *picture_normal(VipsImage *image, int most, struct fault *fault)
{
    VipsImage *now = image, *next = NULL;
    int        side = MAX(vips_image_get_width(image), vips_image_get_height(image));
    bool       ok   = true;

    g_object_ref(now);
    if (vips_image_get_typeof(now, VIPS_META_ICC_NAME) != 0 && !to_srgb(&now))
        vips_error_clear();
    ok = ok && step(&now, vips_colourspace(now, &next, VIPS_INTERPRETATION_sRGB, NULL), &next);
    if (ok && side > most)
        ok = step(&now,
                  vips_thumbnail_image(now, &next, most, "height", most, "no_rotate", TRUE, "size",
                                       VIPS_SIZE_DOWN, NULL),
                  &next);
    ok = ok && step(&now, vips_cast_uchar(now, &next, NULL), &next);
    if (ok && vips_image_get_bands(now) > 4)
        ok = step(&now, vips_extract_band(now, &next, 0, "n", 4, NULL), &next);
    if (ok) { /* turning needs the whole picture at hand */
        next = vips_image_copy_memory(now);
        ok   = step(&now, 0, &next);
    }
    ok = ok && step(&now, vips_autorot(now, &next, NULL), &next);
    if (ok) {
        next = vips_image_copy_memory(now);
        ok   = step(&now, 0, &next);
    }
    if (ok) {
        drop_notes(now);
    } else {
        fault_vips(fault, EXIT_INVALID, "the picture cannot be decoded");
        g_clear_object(&now);
    }
    return now;
}

VipsImage *picture_load(const char *path, int most, struct fault *fault)
{
    struct sniffed sniffed;
    VipsImage     *image, *normal;

    if (!sniff_file(path, &sniffed, fault)
        || (sniffed.format == FORMAT_JPEG && !jpeg_check_file(path, fault)))
        return NULL;
    image = picture_open(path, sniffed.format, false, fault);
    if (image == NULL)
        return NULL;
    normal = picture_normal(image, most, fault);
    g_object_unref(image);
    return normal;
}

VipsImage *picture_of(const uint8_t *pixels, int width, int height, int bands)
{
    VipsImage *image =
        vips_image_new_from_memory_copy(pixels, (size_t)width * (size_t)height * (size_t)bands,
                                        width, height, bands, VIPS_FORMAT_UCHAR);

    if (image == NULL)
        g_error("no memory for a picture of %d x %d", width, height);
    image->Type = VIPS_INTERPRETATION_sRGB;
    return image;
}

static VipsImage *without_alpha(VipsImage *image)
{
    VipsImage       *flat  = NULL;
    VipsArrayDouble *white = vips_array_double_newv(3, 255.0, 255.0, 255.0);

    if (!vips_image_hasalpha(image)) {
        g_object_ref(image);
        flat = image;
    } else if (vips_flatten(image, &flat, "background", white, NULL) != 0) {
        flat = NULL;
    }
    vips_area_unref(VIPS_AREA(white));
    return flat;
}

VipsImage *picture_cover(VipsImage *image, int width, int height, struct fault *fault)
{
    VipsImage *flat = without_alpha(image), *covered = NULL, *kept = NULL;

    if (flat != NULL
        && vips_thumbnail_image(flat, &covered, width, "height", height, "crop",
                                VIPS_INTERESTING_CENTRE, "no_rotate", TRUE, NULL)
               == 0) {
        kept = vips_image_copy_memory(covered);
        g_object_unref(covered);
    }
    if (flat != NULL)
        g_object_unref(flat);
    if (kept == NULL)
        fault_vips(fault, EXIT_TRANSIENT, "a picture cannot be scaled");
    return kept;
}

bool picture_save_png(VipsImage *image, const char *path, int compression, bool is_bare,
                      struct fault *fault)
{
    if (vips_pngsave(image, path, "compression", compression, "strip", is_bare, NULL) != 0)
        return fault_vips(fault, EXIT_TRANSIENT, "cannot write the PNG file");
    return true;
}

bool picture_save_jpeg(VipsImage *image, const char *path, int quality, struct fault *fault)
{
    VipsImage *flat = without_alpha(image);
    bool       ok =
        flat != NULL && vips_jpegsave(flat, path, "Q", quality, "optimize_coding", TRUE, NULL) == 0;

    if (flat != NULL)
        g_object_unref(flat);
    return ok || fault_vips(fault, EXIT_TRANSIENT, "cannot write the JPEG file");
}

bool picture_save_webp(VipsImage *image, const char *path, int quality, struct fault *fault)
{
    if (vips_webpsave(image, path, "Q", quality, "effort", 3, NULL) != 0)
        return fault_vips(fault, EXIT_TRANSIENT, "cannot write the WebP file");
    return true;
}

bool picture_thumbnail(VipsImage *image, const char *path, struct fault *fault)
{
    VipsImage *small = picture_normal(image, THUMBNAIL_SIDE, fault), *flat = NULL;
    bool       ok = false;

    /* strip: where a picture was taken is nobody's business. */
    if (small != NULL && (g_str_has_suffix(path, ".jpg") || g_str_has_suffix(path, ".jpeg"))) {
        flat = without_alpha(small);
        ok   = flat != NULL && vips_jpegsave(flat, path, "Q", 82, "strip", TRUE, NULL) == 0;
    } else if (small != NULL) {
        ok = vips_webpsave(small, path, "Q", 80, "effort", 3, "strip", TRUE, NULL) == 0;
    }
    if (!ok)
        fault_vips(fault, EXIT_TRANSIENT, "cannot write the thumbnail");
    if (flat != NULL)
        g_object_unref(flat);
    if (small != NULL)
        g_object_unref(small);
    return ok;
}
