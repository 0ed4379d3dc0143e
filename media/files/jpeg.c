/* jpeg: libjpeg with its warnings read one by one; see jpeg.h. */
#include "media/files/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include <glib.h>

/* A progressive picture comes in some ten scans; each costs a pass over all of it, so thousands are
 * an attack. */
enum { SCANS_MOST = 100 };

struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr         errors;
    struct jpeg_progress_mgr      progress;
    jmp_buf                       gave_up;
    struct fault                 *fault;
};

static _Noreturn void give_up(struct decoder *decoder, const char *what)
{
    char text[JMSG_LENGTH_MAX] = "";

    if (decoder->errors.msg_code != 0)
        decoder->errors.format_message((j_common_ptr)&decoder->jpeg, text);
    fault_set(decoder->fault, EXIT_INVALID, "the JPEG file %s%s%s", what, text[0] ? ": " : "",
              text);
    longjmp(decoder->gave_up, 1);
}

static void on_error(j_common_ptr jpeg)
{
    give_up(jpeg->client_data, "cannot be decoded");
}

/* What is missing or wrong among the pixels. All other warnings are of headers, and the picture is
 * whole. */
static void on_message(j_common_ptr jpeg, int level)
{
    struct decoder *decoder = jpeg->client_data;

    if (level >= 0)
        return;
    switch (decoder->errors.msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER: give_up(decoder, "is cut off before its end");
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC: give_up(decoder, "is damaged");
    default: break;
    }
}

static void on_progress(j_common_ptr jpeg)
{
    struct decoder *decoder = jpeg->client_data;

    if (decoder->jpeg.input_scan_number > SCANS_MOST) {
        decoder->errors.msg_code = 0;
        give_up(decoder, "comes in more than 100 scans");
    }
}

static void read_rows(struct decoder *decoder)
{
    struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    JSAMPARRAY                     rows;

    jpeg_read_header(jpeg, TRUE);
    jpeg->out_color_space     = jpeg->jpeg_color_space; /* nobody looks at the pixels */
    jpeg->do_fancy_upsampling = FALSE;
    jpeg->dct_method          = JDCT_IFAST;
    jpeg_start_decompress(jpeg);
    rows = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE,
                                   jpeg->output_width * (JDIMENSION)jpeg->output_components,
                                   (JDIMENSION)jpeg->rec_outbuf_height);
    while (jpeg->output_scanline < jpeg->output_height)
        jpeg_read_scanlines(jpeg, rows, (JDIMENSION)jpeg->rec_outbuf_height);
    jpeg_finish_decompress(jpeg);
}

bool jpeg_check(const uint8_t *bytes, size_t count, struct fault *fault)
{
    struct decoder *decoder = g_new0(struct decoder, 1);
    bool            ok      = false;

    decoder->fault               = fault;
    decoder->jpeg.err            = jpeg_std_error(&decoder->errors);
    decoder->jpeg.client_data    = decoder;
    decoder->errors.error_exit   = on_error;
    decoder->errors.emit_message = on_message;
    if (setjmp(decoder->gave_up) == 0) {
        jpeg_create_decompress(&decoder->jpeg);
        decoder->progress.progress_monitor = on_progress;
        decoder->jpeg.progress             = &decoder->progress;
        jpeg_mem_src(&decoder->jpeg, bytes, (unsigned long)count);
        read_rows(decoder);
        ok = true;
    }
    jpeg_destroy_decompress(&decoder->jpeg);
    g_free(decoder);
    return ok;
}

bool jpeg_check_file(const char *path, struct fault *fault)
{
    GMappedFile *file = g_mapped_file_new(path, FALSE, NULL);
    bool         ok;

    if (file == NULL)
        return fault_set(fault, EXIT_INVALID, "%s is not a file that can be read", path);
    ok = jpeg_check((const uint8_t *)g_mapped_file_get_contents(file),
                    g_mapped_file_get_length(file), fault);
    g_mapped_file_unref(file);
    return ok;
}
