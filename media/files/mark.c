/* mark: notes in a picture's file; see mark.h. */
#include "media/files/mark.h"

#include <string.h>

static const char software[] = "Kiln kiln-media";

/* As XML text: no control character either, which XML 1.0 knows no escape for. */
static char *as_xml(const char *text)
{
    char *copy = g_strdup(text), *escaped;

    for (char *c = copy; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    escaped = g_markup_escape_text(copy, -1);
    g_free(copy);
    return escaped;
}

static char *packet(const char *text, const char *source)
{
    char *xml = as_xml(text);
    char *type =
        source == NULL
            ? g_strdup("")
            : g_strconcat(
                " xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\""
                " Iptc4xmpExt:DigitalSourceType=\"http://cv.iptc.org/newscodes/digitalsourcetype/",
                source, "\"", NULL);
    char *xmp = g_strconcat(
        "<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>"
        "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
        "<rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\""
        " xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" xmp:CreatorTool=\"",
        software, "\"", type, "><dc:description><rdf:Alt><rdf:li xml:lang=\"x-default\">", xml,
        "</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"r\"?>",
        NULL);

    g_free(xml);
    g_free(type);
    return xmp;
}

VipsImage *mark_picture(VipsImage *image, const char *title, const char *text, const char *source)
{
    VipsImage *copy = NULL;
    char      *xmp;

    if (vips_copy(image, &copy, NULL) != 0)
        return NULL;
    xmp = packet(text, source);
    vips_image_set_string(copy, "png-comment-0-Title", title);
    vips_image_set_string(copy, "png-comment-1-Description", text);
    vips_image_set_string(copy, "png-comment-2-Software", software);
    vips_image_set_string(copy, "exif-ifd0-ImageDescription", text);
    vips_image_set_string(copy, "exif-ifd0-Software", software);
    vips_image_set_blob_copy(copy, VIPS_META_XMP_NAME, xmp, strlen(xmp));
    g_free(xmp);
    return copy;
}
