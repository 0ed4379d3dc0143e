/* sniff: magic bytes and the walk to the end of each format; see sniff.h. */
#include "media/files/sniff.h"

#include <string.h>

#include <glib.h>

struct bytes {
    const uint8_t *at;
    size_t         count;
};

static const struct format_row {
    const char *name, *content_type, *without_video, *demuxer;
} rows[FORMATS] = {
    [FORMAT_PNG]       = { "PNG", "image/png", NULL, NULL },
    [FORMAT_JPEG]      = { "JPEG", "image/jpeg", NULL, NULL },
    [FORMAT_WEBP]      = { "WebP", "image/webp", NULL, NULL },
    [FORMAT_GIF]       = { "GIF", "image/gif", NULL, NULL },
    [FORMAT_HEIC]      = { "HEIC", "image/heic", NULL, NULL },
    [FORMAT_AVIF]      = { "AVIF", "image/avif", NULL, NULL },
    [FORMAT_MP4]       = { "MP4", "video/mp4", "audio/mp4", "mov" },
    [FORMAT_QUICKTIME] = { "QuickTime", "video/quicktime", "audio/mp4", "mov" },
    [FORMAT_WEBM]      = { "WebM", "video/webm", "audio/webm", "matroska" },
    [FORMAT_MATROSKA]  = { "Matroska", "video/x-matroska", "audio/x-matroska", "matroska" },
    [FORMAT_WAV]       = { "WAV", NULL, "audio/wav", "wav" },
    [FORMAT_MP3]       = { "MP3", NULL, "audio/mpeg", "mp3" },
    [FORMAT_OGG]       = { "Ogg", "video/ogg", "audio/ogg", "ogg" },
    [FORMAT_FLAC]      = { "FLAC", NULL, "audio/flac", "flac" },
};

bool format_is_picture(enum format format)
{
    return format >= FORMAT_PNG && format <= FORMAT_AVIF;
}

const char *format_content_type(enum format format, bool has_video)
{
    return has_video ? rows[format].content_type : rows[format].without_video;
}

const char *format_demuxer(enum format format)
{
    return rows[format].demuxer;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static bool has(struct bytes b, size_t at, const char *text, size_t count)
{
    return at <= b.count && count <= b.count - at && memcmp(b.at + at, text, count) == 0;
}

/* Each walk gives NULL (the file reaches its end) or what is wrong. */
static const char truncated[] = "is cut off before its end";
static const char damaged[]   = "is damaged";

static uint32_t crc32_of(const uint8_t *at, size_t count)
{
    uint32_t crc = 0xffffffffu;

    static const uint32_t nibble[16] = { 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                         0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                         0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                         0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c };
    for (size_t i = 0; i < count; i++) {
        crc = nibble[(crc ^ at[i]) & 15] ^ (crc >> 4);
        crc = nibble[(crc ^ (uint32_t)(at[i] >> 4)) & 15] ^ (crc >> 4);
    }
    return ~crc;
}

static const char *walk_png(struct bytes b)
{
    size_t at = 8;

    while (b.count - at >= 12) {
        size_t length = be32(b.at + at);

        if (length > b.count - at - 12)
            return truncated;
        if (crc32_of(b.at + at + 4, length + 4) != be32(b.at + at + 8 + length))
            return damaged;
        if (at == 8 && (!has(b, at + 4, "IHDR", 4) || length != 13))
            return damaged;
        if (at == 8 && (uint64_t)be32(b.at + at + 8) * be32(b.at + at + 12) > PIXELS_MOST)
            return "has more than 50 million pixels";
        if (has(b, at + 4, "IEND", 4))
            return NULL;
        at += 12 + length;
    }
    return truncated;
}

/* The next marker at or behind `at`. Bytes before it are passed over as decoders do: cameras pad
 * with 0xff, and some write zeros between segments. */
static size_t next_marker(struct bytes b, size_t at)
{
    while (at + 1 < b.count && !(b.at[at] == 0xff && b.at[at + 1] != 0 && b.at[at + 1] != 0xff))
        at++;
    return at;
}

static const char *walk_jpeg(struct bytes b)
{
    size_t at      = 2;
    bool   is_scan = false;

    for (;;) {
        uint8_t marker;
        size_t  length;

        at = next_marker(b, at);
        if (at + 1 >= b.count)
            return truncated;
        marker = b.at[at + 1];
        at += 2;
        if (marker == 0xd9)
            return is_scan ? NULL : damaged;
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7))
            continue;
        if (b.count - at < 2)
            return truncated;
        length = (size_t)b.at[at] << 8 | b.at[at + 1];
        if (length < 2)
            return damaged;
        if (length > b.count - at)
            return truncated;
        is_scan = is_scan || marker == 0xda; /* coded data follows, up to the next marker */
        at += length;
    }
}

static bool skip_blocks(struct bytes b, size_t *at)
{
    while (*at < b.count) {
        size_t length = b.at[(*at)++];

        if (length == 0)
            return true;
        if (length > b.count - *at)
            return false;
        *at += length;
    }
    return false;
}

static const char *walk_gif(struct bytes b)
{
    size_t   at = 13, pages = 0;
    uint64_t pixels;

    if (b.count < 14)
        return truncated;
    pixels = (uint64_t)(b.at[6] | b.at[7] << 8) * (uint64_t)(b.at[8] | b.at[9] << 8);
    if (b.at[10] & 0x80)
        at += (size_t)3 << ((b.at[10] & 7) + 1);
    while (at < b.count) {
        uint8_t kind = b.at[at++];

        if (kind == 0x3b)
            return pages == 0 ? damaged : NULL;
        if (kind == 0x21) {
            at++;
        } else if (kind == 0x2c) {
            if (b.count - at < 10)
                return truncated;
            if (++pages > PAGES_MOST)
                return "has more than 300 pictures in it";
            if (pixels * pages > PAGE_PIXELS_MOST || pixels > PIXELS_MOST)
                return "has too many pixels";
            at += 9 + (b.at[at + 8] & 0x80 ? (size_t)3 << ((b.at[at + 8] & 7) + 1) : 0) + 1;
        } else {
            return damaged;
        }
        if (at > b.count || !skip_blocks(b, &at))
            return truncated;
    }
    return truncated;
}

static bool is_endless_wav(struct bytes b)
{
    return has(b, 4, "\xff\xff\xff\xffWAVE", 8);
}

/* WebP and WAV: RIFF chunks. needed is the chunk without which it is nothing. */
static const char *walk_riff(struct bytes b, const char *needed)
{
    size_t at = 12, size = le32(b.at + 4);
    bool   is_endless = is_endless_wav(b);
    bool   is_found   = needed[0] == '\0';

    if (!is_endless && size + 8 > b.count)
        return truncated;
    if (!is_endless) /* what is behind it is no part of it */
        b.count = MIN(b.count, size + 8 + (size & 1));
    while (b.count - at >= 8) {
        size_t length = le32(b.at + at + 4);

        is_found = is_found || has(b, at, needed, 4);
        if (is_endless && has(b, at, needed, 4) && length >= b.count - at - 8)
            return NULL;
        if (length > b.count - at - 8)
            return truncated;
        at += 8 + length + (length & 1);
        if (at >= b.count)
            break;
    }
    return is_found && at >= b.count ? NULL : damaged;
}

/* A box's size with its head; 0: none begins here. */
static uint64_t box_size(struct bytes b, size_t at)
{
    uint64_t size = be32(b.at + at);

    for (size_t i = 4; i < 8; i++)
        if ((b.at[at + i] < ' ' || b.at[at + i] > '~') && b.at[at + i] != 0xa9)
            return 0;
    if (size == 1)
        size = b.count - at < 16 ? UINT64_MAX
                                 : (uint64_t)be32(b.at + at + 8) << 32 | be32(b.at + at + 12);
    else if (size == 0)
        size = b.count - at;
    return size < 8 ? 0 : size;
}

/* ISO base media: the file is whole when both the index and the data it speaks of are. */
static const char *walk_boxes(struct bytes b, const char *index)
{
    size_t at        = 0;
    bool   has_index = false, has_data = false;

    while (b.count - at >= 8) {
        uint64_t size    = box_size(b, at);
        bool     is_data = has(b, at + 4, "mdat", 4), is_index = has(b, at + 4, index, 4);

        if (size == 0)
            return has_index && has_data ? NULL : damaged;
        if (size > b.count - at)
            return has_index && has_data && !is_data && !has(b, at + 4, "moof", 4) ? NULL
                                                                                   : truncated;
        has_index = has_index || is_index;
        has_data  = has_data || is_data;
        at += (size_t)size;
    }
    return has_index && has_data ? NULL : truncated;
}

/* Length of an EBML number, and its value; all ones means "unknown". */
static size_t ebml_number(struct bytes b, size_t at, bool is_id, uint64_t *value)
{
    size_t length = 1;

    if (at >= b.count)
        return 0;
    while (length <= 8 && !(b.at[at] & (0x100 >> length)))
        length++;
    if (length > 8 || length > b.count - at)
        return 0;
    *value = is_id ? b.at[at] : b.at[at] & (0xffu >> length);
    for (size_t i = 1; i < length; i++)
        *value = *value << 8 | b.at[at + i];
    if (!is_id && *value == (UINT64_C(1) << (7 * length)) - 1)
        *value = UINT64_MAX;
    return length;
}

static const char *walk_ebml(struct bytes b)
{
    size_t at          = 0;
    bool   has_segment = false;

    while (at < b.count) {
        uint64_t id = 0, size = 0;
        size_t   n = ebml_number(b, at, true, &id),
               m   = n > 0 ? ebml_number(b, at + n, false, &size) : 0;

        if (n == 0 || m == 0)
            return has_segment ? NULL : truncated;
        if (id != 0x1a45dfa3 && id != 0x18538067 && id != 0xec)
            return has_segment ? NULL : damaged;
        has_segment = has_segment || id == 0x18538067;
        if (size == UINT64_MAX && id == 0x18538067)
            return NULL;
        if (size > b.count - at - n - m)
            return truncated;
        at += n + m + (size_t)size;
    }
    return has_segment ? NULL : truncated;
}

static const char *walk_ogg(struct bytes b)
{
    size_t  at    = 0;
    uint8_t flags = 0;

    while (at < b.count) {
        size_t length = 27;

        if (!has(b, at, "OggS", 4))
            return flags & 4 ? NULL : damaged;
        if (b.count - at < 27 || b.count - at < 27 + (size_t)b.at[at + 26])
            return truncated;
        flags = b.at[at + 5];
        for (size_t i = 0; i < b.at[at + 26]; i++)
            length += b.at[at + 27 + i];
        length += b.at[at + 26];
        if (length > b.count - at)
            return truncated;
        at += length;
    }
    return flags & 4 ? NULL : truncated;
}

/* Length of the MPEG layer III frame at `at`; 0: there is none. */
static size_t mp3_frame(struct bytes b, size_t at)
{
    static const uint16_t rates[2][15] = {
        { 0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320 },
        { 0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160 }
    };
    static const uint16_t hertz[3] = { 44100, 48000, 32000 };
    unsigned              version, rate, sampling;

    if (b.count < 4 || at > b.count - 4 || b.at[at] != 0xff || (b.at[at + 1] & 0xe6) != 0xe2)
        return 0;
    version  = b.at[at + 1] >> 3 & 3; /* 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5 */
    rate     = b.at[at + 2] >> 4;
    sampling = b.at[at + 2] >> 2 & 3;
    if (version == 1 || rate == 0 || rate == 15 || sampling == 3)
        return 0;
    return (version == 3 ? 144000u : 72000u) * rates[version != 3][rate]
               / (hertz[sampling] >> (version == 3   ? 0
                                      : version == 2 ? 1
                                                     : 2))
           + (b.at[at + 2] >> 1 & 1);
}

static size_t mp3_start(struct bytes b)
{
    size_t at = 0;

    if (has(b, 0, "ID3", 3) && b.count > 10)
        at = 10
             + ((size_t)(b.at[6] & 127) << 21 | (size_t)(b.at[7] & 127) << 14
                | (size_t)(b.at[8] & 127) << 7 | (b.at[9] & 127));
    return at;
}

/* Tags that programs put behind the sound: ID3v1 with its extension, APE, Lyrics3. */
static size_t without_end_tags(struct bytes b)
{
    size_t before;

    do {
        before = b.count;
        if (b.count >= 128 && has(b, b.count - 128, "TAG", 3))
            b.count -= 128;
        if (b.count >= 227 && has(b, b.count - 227, "TAG+", 4))
            b.count -= 227;
        if (b.count >= 64 && has(b, b.count - 32, "APETAGEX", 8)
            && le32(b.at + b.count - 20) <= b.count - 32)
            b.count -= le32(b.at + b.count - 20) + (b.at[b.count - 9] & 0x80 ? 32u : 0u);
        if (b.count >= 15 && has(b, b.count - 9, "LYRICS200", 9)) {
            char   digits[7] = { 0 };
            size_t length;

            memcpy(digits, b.at + b.count - 15, 6);
            length = (size_t)g_ascii_strtoull(digits, NULL, 10) + 15;
            b.count -= MIN(length, b.count);
        }
    } while (b.count < before);
    return b.count;
}

static const char *walk_mp3(struct bytes b, int64_t *end)
{
    size_t at = mp3_start(b), frames = 0, length;

    b.count = without_end_tags(b);
    if (at >= b.count)
        return truncated;
    while (at < b.count && (length = mp3_frame(b, at)) > 0) {
        if (length > b.count - at)
            return truncated;
        at += length;
        frames++;
    }
    if (frames == 0)
        return damaged;
    *end = (int64_t)at;
    return b.count - at > 0 && b.count - at < 4 && b.at[at] == 0xff ? truncated : NULL;
}

static bool is_brand(struct bytes b, const char *const *brands, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (has(b, 8, brands[i], strlen(brands[i])))
            return true;
    return false;
}

/* By its main brand; mif1 and msf1 are of the container and say nothing of the coding, which is
 * among the other brands. */
static enum format by_brand(struct bytes b)
{
    static const char *const heic[]  = { "heic", "heix", "heim", "heis",
                                         "hevc", "hevx", "hevm", "hevs" };
    static const char *const avif[]  = { "avif", "avis" };
    static const char *const still[] = { "mif1", "msf1", "mif2", "miaf" };
    size_t                   brands  = MIN(b.count, be32(b.at));

    if (is_brand(b, avif, G_N_ELEMENTS(avif)))
        return FORMAT_AVIF;
    if (is_brand(b, heic, G_N_ELEMENTS(heic)))
        return FORMAT_HEIC;
    if (is_brand(b, still, G_N_ELEMENTS(still)))
        return brands > 8 && memmem(b.at + 8, brands - 8, "avif", 4) != NULL ? FORMAT_AVIF
                                                                             : FORMAT_HEIC;
    return has(b, 8, "qt  ", 4) ? FORMAT_QUICKTIME : FORMAT_MP4;
}

/* QuickTime before 2001 has no box that says so: its first is one of these. */
static bool is_old_quicktime(struct bytes b)
{
    static const char *const firsts[] = { "moov", "mdat", "wide", "free", "skip", "pnot" };

    for (size_t i = 0; i < G_N_ELEMENTS(firsts); i++)
        if (has(b, 4, firsts[i], 4))
            return true;
    return false;
}

static enum format by_magic(struct bytes b)
{
    size_t frame;

    if (has(b, 0, "\x89PNG\r\n\x1a\n", 8))
        return FORMAT_PNG;
    if (has(b, 0, "\xff\xd8\xff", 3))
        return FORMAT_JPEG;
    if (has(b, 0, "RIFF", 4) && has(b, 8, "WEBP", 4))
        return FORMAT_WEBP;
    if (has(b, 0, "GIF87a", 6) || has(b, 0, "GIF89a", 6))
        return FORMAT_GIF;
    if (has(b, 4, "ftyp", 4) && b.count >= 12)
        return by_brand(b);
    if (is_old_quicktime(b))
        return FORMAT_QUICKTIME;
    if (has(b, 0, "\x1a\x45\xdf\xa3", 4))
        return memmem(b.at, MIN(b.count, 64), "\x42\x82\x84webm", 7) != NULL ? FORMAT_WEBM
                                                                             : FORMAT_MATROSKA;
    if (has(b, 0, "RIFF", 4) && has(b, 8, "WAVE", 4))
        return FORMAT_WAV;
    if (has(b, 0, "OggS", 4))
        return FORMAT_OGG;
    if (has(b, 0, "fLaC", 4))
        return FORMAT_FLAC;
    frame = mp3_frame(b, mp3_start(b));
    if (has(b, 0, "ID3", 3) || (frame > 0 && mp3_frame(b, frame) > 0))
        return FORMAT_MP3;
    return FORMAT_NONE;
}

/* Things people do send, which deserve a better word than "unknown". */
static const char *known_but_not_taken(struct bytes b)
{
    if (has(b, 0, "II*\0", 4) || has(b, 0, "MM\0*", 4))
        return "TIFF pictures are not accepted";
    if (has(b, 0, "%PDF", 4))
        return "PDF files are not accepted";
    return NULL;
}

bool sniff_bytes(const uint8_t *bytes, size_t count, struct sniffed *sniffed, struct fault *fault)
{
    struct bytes b     = { bytes, count };
    const char  *wrong = NULL, *refused = known_but_not_taken(b);

    sniffed->bytes = sniffed->end = (int64_t)count;
    sniffed->is_endless           = false;
    sniffed->format               = refused != NULL ? FORMAT_NONE : by_magic(b);
    switch (sniffed->format) {
    case FORMAT_NONE:
        if (count == 0)
            return fault_set(fault, EXIT_INVALID, "the file is empty");
        return fault_set(
            fault, EXIT_INVALID,
            "%s; PNG, JPEG, WebP, GIF, HEIC, AVIF, MP4, QuickTime, WebM, WAV, MP3 and Ogg "
            "are",
            refused != NULL ? refused : "the file is of no kind that is accepted");
    case FORMAT_PNG: wrong = walk_png(b); break;
    case FORMAT_JPEG: wrong = walk_jpeg(b); break;
    case FORMAT_WEBP: wrong = walk_riff(b, ""); break;
    case FORMAT_GIF: wrong = walk_gif(b); break;
    case FORMAT_HEIC:
    case FORMAT_AVIF: wrong = walk_boxes(b, "meta"); break;
    case FORMAT_MP4:
    case FORMAT_QUICKTIME: wrong = walk_boxes(b, "moov"); break;
    case FORMAT_WEBM:
    case FORMAT_MATROSKA: wrong = walk_ebml(b); break;
    case FORMAT_WAV:
        sniffed->is_endless = is_endless_wav(b);
        wrong               = walk_riff(b, "data");
        break;
    case FORMAT_MP3: wrong = walk_mp3(b, &sniffed->end); break;
    case FORMAT_OGG: wrong = walk_ogg(b); break;
    default: break; /* FLAC: its decoder knows its end */
    }
    if (wrong != NULL)
        return fault_set(fault, EXIT_INVALID, "the %s file %s", rows[sniffed->format].name, wrong);
    return true;
}

bool sniff_file(const char *path, struct sniffed *sniffed, struct fault *fault)
{
    GError      *error = NULL;
    GMappedFile *file;
    bool         ok;

    if (!g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return fault_set(fault, EXIT_INVALID, "%s is not a file that can be read", path);
    file = g_mapped_file_new(path, FALSE, &error);
    if (file == NULL) {
        fault_set(fault, EXIT_INVALID, "%s", error->message);
        g_error_free(error);
        return false;
    }
    ok = sniff_bytes((const uint8_t *)g_mapped_file_get_contents(file),
                     g_mapped_file_get_length(file), sniffed, fault);
    g_mapped_file_unref(file);
    return ok;
}
