/*
 * sniff: magic bytes against content types.
 */
#include "server/routes/sniff.h"

#include <string.h>
#include <strings.h>

struct magic {
    const char *type;
    size_t      at;
    const char *bytes;
    size_t      nbytes;
};

#define MAGIC(type, at, bytes)             \
    {                                      \
        type, at, bytes, sizeof(bytes) - 1 \
    }

/* The first that fits wins; RIFF and ftyp share their first bytes, so their kinds are told by what
 * follows. */
static const struct magic magics[] = {
    MAGIC("image/png", 0, "\x89PNG\r\n\x1a\n"),
    MAGIC("image/jpeg", 0, "\xff\xd8\xff"),
    MAGIC("image/gif", 0, "GIF87a"),
    MAGIC("image/gif", 0, "GIF89a"),
    MAGIC("image/webp", 8, "WEBP"),
    MAGIC("audio/wav", 8, "WAVE"),
    MAGIC("image/tiff", 0, "II*\0"),
    MAGIC("image/tiff", 0, "MM\0*"),
    MAGIC("image/avif", 4, "ftypavif"),
    MAGIC("image/avif", 4, "ftypavis"),
    MAGIC("image/heic", 4, "ftyphei"),
    MAGIC("image/heic", 4, "ftyphev"),
    MAGIC("image/heic", 4, "ftypmif1"),
    MAGIC("image/heic", 4, "ftypmsf1"),
    MAGIC("audio/mp4", 4, "ftypM4A "),
    MAGIC("video/quicktime", 4, "ftypqt  "),
    MAGIC("video/mp4", 4, "ftyp"),
    MAGIC("video/quicktime", 4, "moov"), /* before 2001 nothing says what it is */
    MAGIC("video/quicktime", 4, "mdat"),
    MAGIC("video/quicktime", 4, "wide"),
    MAGIC("video/webm", 0, "\x1a\x45\xdf\xa3"),
    MAGIC("audio/ogg", 0, "OggS"),
    MAGIC("audio/flac", 0, "fLaC"),
    MAGIC("audio/mpeg", 0, "ID3"),
    MAGIC("audio/mpeg", 0, "\xff\xfb"), /* MPEG 1, 2 and 2.5, without and with a checksum */
    MAGIC("audio/mpeg", 0, "\xff\xfa"),
    MAGIC("audio/mpeg", 0, "\xff\xf3"),
    MAGIC("audio/mpeg", 0, "\xff\xf2"),
    MAGIC("audio/mpeg", 0, "\xff\xe3"),
    MAGIC("audio/mpeg", 0, "\xff\xe2"),
    MAGIC("audio/aac", 0, "\xff\xf1"),
    MAGIC("audio/aac", 0, "\xff\xf9"),
};

static const char *const aliases[][2] = {
    { "image/jpg", "image/jpeg" },        { "image/heif", "image/heic" },
    { "audio/x-wav", "audio/wav" },       { "audio/wave", "audio/wav" },
    { "audio/vnd.wave", "audio/wav" },    { "audio/mp3", "audio/mpeg" },
    { "audio/x-m4a", "audio/mp4" },       { "audio/x-flac", "audio/flac" },
    { "audio/opus", "audio/ogg" },        { "video/ogg", "audio/ogg" },
    { "video/x-matroska", "video/webm" }, { "audio/webm", "video/webm" },
};

const char *sniff_type(const void *head, size_t bytes)
{
    const char *from = head;

    for (size_t i = 0; i < countof(magics); i++) {
        const struct magic *m = &magics[i];
        if (m->at + m->nbytes > bytes || memcmp(from + m->at, m->bytes, m->nbytes) != 0)
            continue;
        if (m->at == 8 && memcmp(from, "RIFF", 4) != 0)
            continue;
        return m->type;
    }
    return NULL;
}

static const char *canonical(const char *type)
{
    for (size_t i = 0; i < countof(aliases); i++)
        if (strcasecmp(type, aliases[i][0]) == 0)
            return aliases[i][1];
    return type;
}

static bool is_either(const char *type, const char *one, const char *other)
{
    const char *slash = strchr(type, '/');

    return slash && (strcasecmp(slash + 1, one) == 0 || strcasecmp(slash + 1, other) == 0);
}

static bool are_both(const char *said, const char *found, const char *one, const char *other)
{
    return is_either(said, one, other) && is_either(found, one, other);
}

bool sniff_agrees(const char *content_type, const void *head, size_t bytes)
{
    const char *found = sniff_type(head, bytes);
    const char *said  = canonical(content_type);

    if (!found)
        return false;
    if (strcasecmp(said, found) == 0)
        return true;
    /* One family of containers, whose brands programs mix; mif1 says nothing of HEIC or AVIF. */
    return are_both(said, found, "mp4", "quicktime") || are_both(said, found, "heic", "avif");
}
