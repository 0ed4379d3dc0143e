/*
 * share: from the JSON of open_share to HTML; see share.h.
 */
#include "server/routes/share.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/http/rpc.h"
#include "server/http/json_text.h"
#include "lib/store.h"

/* The only style; the Content-Security-Policy names it by its hash. */
static const char style[] =
    ":root{color-scheme:light dark;--edge:#8886}"
    "body{margin:0 auto;padding:1.5rem;max-width:72rem;font:1rem/1.5 system-ui,sans-serif}"
    "h1{font-size:1.4rem;margin:0 0 .5rem;overflow-wrap:anywhere}"
    ".note{border-left:.25rem solid #c80;padding:.25rem 0 .25rem 1rem;margin:1rem 0}"
    ".pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:1rem;margin:1.5rem 0}"
    "figure{margin:0}figcaption{font-weight:600;margin-bottom:.35rem}"
    "img,video{display:block;width:100%;height:auto;border:1px solid var(--edge)}"
    ".gone{border:1px dashed var(--edge);padding:2rem 1rem}"
    "code,footer{font-size:.85rem;overflow-wrap:anywhere}footer{opacity:.8}";

/* ---- writing ---- */

static void put_text(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        case '\'': fputs("&#39;", out); break;
        default: fputc(*text, out);
        }
}

/* living_room: Living room */
static void put_word(FILE *out, const char *word)
{
    char first[2] = { word[0] >= 'a' && word[0] <= 'z' ? (char)(word[0] - 'a' + 'A') : word[0],
                      '\0' };

    put_text(out, first);
    for (word += word[0] != '\0'; *word; word++) {
        first[0] = *word == '_' ? ' ' : *word;
        put_text(out, first);
    }
}

static void put_day(FILE *out, const char *time)
{
    fprintf(out, "%.10s", time);
}

static void put_size(FILE *out, const json_t *item)
{
    json_int_t width  = json_integer_value(json_object_get(item, "width")),
               height = json_integer_value(json_object_get(item, "height"));

    if (width > 0 && height > 0)
        fprintf(out, " width=\"%lld\" height=\"%lld\"", (long long)width, (long long)height);
}

static void put_head(FILE *out)
{
    fprintf(out,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
            "<meta name=\"robots\" content=\"noindex,nofollow\">"
            "<title>Shared by link</title><style>%s</style></head><body>\n",
            style);
}

/* ---- the parts of the page ---- */

static void put_heading(FILE *out, const json_t *page)
{
    const char *prompt = text_of(page, "prompt"), *room = text_of(page, "room_type");

    fputs("<h1 dir=\"auto\">", out);
    if (*prompt) {
        put_text(out, prompt);
    } else if (*room && strcmp(room, "auto") != 0) {
        put_word(out, room);
        if (*text_of(page, "style")) {
            fputs(", ", out);
            put_word(out, text_of(page, "style"));
        }
    } else {
        fputs("Shared by link", out);
    }
    fputs("</h1>\n", out);
}

static size_t originals_here(const json_t *originals)
{
    size_t  count = 0, i;
    json_t *item;

    json_array_foreach(originals, i, item) count += *text_of(item, "url") != '\0';
    return count;
}

static void put_disclosure_of_staging(FILE *out, const json_t *page)
{
    const json_t *originals = json_object_get(page, "originals");
    size_t        here = originals_here(originals), all = json_array_size(originals);
    const char   *label = text_of(page, "label");

    fputs("<p><strong dir=\"auto\">", out);
    put_text(out, *label ? label : "Virtually staged");
    fputs("</strong>: the pictures marked “Altered” were digitally altered on ", out);
    put_day(out, text_of(page, "made_at"));
    fputs("; furniture and things in them may not be there.</p>\n<p>", out);
    if (all > 0 && here == all)
        fputs("The unaltered original is on this page, marked “Original, unaltered”.", out);
    else if (here > 0)
        fputs(
            "Of the unaltered originals some are on this page, marked “Original, unaltered”; the others were deleted.",
            out);
    else
        fputs("The unaltered original was deleted and is no longer on this page.", out);
    fputs("</p>\n", out);
}

static void put_disclosure(FILE *out, const json_t *page)
{
    fputs("<div class=\"note\">", out);
    if (strcmp(text_of(page, "kind"), "staging") == 0) {
        put_disclosure_of_staging(out, page);
    } else {
        fputs("<p>This was made by a program on ", out);
        put_day(out, text_of(page, "made_at"));
        fputs("; it is no photograph or recording of anything.</p>\n", out);
    }
    if (json_is_true(json_object_get(page, "is_local_sample")))
        fputs("<p>It is a local sample made by Kiln, for trying and testing.</p>\n", out);
    fputs("</div>\n", out);
}

static void put_original(FILE *out, const json_t *item)
{
    const char *url = text_of(item, "url");

    fputs("<figure><figcaption>Original, unaltered</figcaption>", out);
    if (*url) {
        fputs("<a href=\"", out);
        put_text(out, url);
        fputs("\"><img alt=\"The unaltered original\" src=\"", out);
        put_text(out, url);
        fputc('"', out);
        put_size(out, item);
        fputs("></a>", out);
    } else {
        fputs("<p class=\"gone\">The original was deleted. Its SHA-256 was <code>", out);
        put_text(out, text_of(item, "sha256"));
        fputs("</code>.</p>", out);
    }
    fputs("</figure>\n", out);
}

static void put_result(FILE *out, const json_t *item, const char *caption)
{
    const char *type = text_of(item, "media_type"), *url = text_of(item, "url");

    fprintf(out, "<figure><figcaption>%s</figcaption>", caption);
    if (strcmp(type, "image") == 0) {
        fputs("<a href=\"", out);
        put_text(out, url);
        fprintf(out, "\"><img alt=\"%s\" src=\"", caption);
        put_text(out, url);
        fputc('"', out);
        put_size(out, item);
        fputs("></a>", out);
    } else {
        const char *element = strcmp(type, "video") == 0 ? "video" : "audio";

        fprintf(out, "<%s controls preload=\"metadata\" src=\"", element);
        put_text(out, url);
        fprintf(out, "\"></%s>", element);
    }
    fputs("</figure>\n", out);
}

/* Each result beside the original, so that no scrolling parts them. */
static void put_results(FILE *out, const json_t *page)
{
    const json_t *originals = json_object_get(page, "originals"),
                 *results   = json_object_get(page, "results");
    bool    is_staging      = strcmp(text_of(page, "kind"), "staging") == 0;
    size_t  i, k;
    json_t *item, *original;

    json_array_foreach(results, i, item)
    {
        fputs("<div class=\"pair\">\n", out);
        json_array_foreach(originals, k, original) put_original(out, original);
        put_result(out, item, is_staging ? "Altered" : "Result");
        fputs("</div>\n", out);
    }
}

char *share_page(const char *json, size_t *bytes)
{
    json_t *page = json_loads(json, 0, NULL);
    char   *text = NULL;
    FILE   *out;

    if (!json_is_array(json_object_get(page, "results"))) {
        json_decref(page);
        return NULL;
    }
    out = open_memstream(&text, bytes);
    if (!out)
        abort();
    put_head(out);
    put_heading(out, page);
    put_disclosure(out, page);
    put_results(out, page);
    fputs("<footer>Whoever has this link can see this page", out);
    if (*text_of(page, "expires_at")) {
        fputs(" until ", out);
        put_text(out, text_of(page, "expires_at"));
    }
    fputs(".</footer>\n</body></html>\n", out);
    json_decref(page);
    if (fclose(out) != 0)
        abort();
    return text;
}

char *share_page_gone(size_t *bytes)
{
    char *text = NULL;
    FILE *out  = open_memstream(&text, bytes);

    if (!out)
        abort();
    put_head(out);
    fputs(
        "<h1>This link leads nowhere</h1>\n<p>It never did, it has expired, or it was taken back.</p>\n</body></html>\n",
        out);
    if (fclose(out) != 0)
        abort();
    return text;
}

/* ---- answering ---- */

/* "https://host:port" of what lies in a bucket, where browsers are sent for it; empty for a folder. malloc'ed. */
static char *bucket_origin(struct store *store)
{
    char *url =
        store_is_remote(store)
            ? store_presign_get(store, "GET", "00/000000000000000000000000000000", "image/png", 60)
            : NULL;
    char *host = url ? strstr(url, "://") : NULL;

    if (!host) {
        free(url);
        return strdup("");
    }
    host[3 + strcspn(host + 3, "/?")] = '\0';
    return url;
}

static void add_page_headers(struct request *r, struct MHD_Response *response)
{
    unsigned char digest[SHA256_DIGEST_LENGTH], hash[64];
    char         *origin = bucket_origin(r->server->store), *policy;

    SHA256((const unsigned char *)style, sizeof(style) - 1, digest);
    EVP_EncodeBlock(hash, digest, sizeof(digest));
    if (!origin
        || asprintf(
               &policy,
               "default-src 'none'; img-src 'self' %s; media-src 'self' %s; style-src 'sha256-%s'; "
               "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
               origin, origin, (const char *)hash)
               < 0)
        abort();
    MHD_add_response_header(response, "Content-Security-Policy", policy);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "X-Robots-Tag", "noindex, nofollow");
    MHD_add_response_header(response, "Referrer-Policy",
                            "no-referrer"); /* the address is the key */
    free(policy);
    free(origin);
}

static void send_page(struct request *r, unsigned status, char *text, size_t bytes)
{
    struct MHD_Response *response = request_text_response(text, bytes, "text/html; charset=utf-8");

    add_page_headers(r, response);
    request_answer(r, status, response);
}

static void refuse(struct request *r, const struct err *err)
{
    size_t bytes;
    char  *text;

    if (!err_is(err, "KN002") && !err_is(err, "KN006")) {
        request_problem(r, err);
        return;
    }
    text = share_page_gone(&bytes);
    send_page(r, 404, text, bytes);
}

static void on_open_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r = ctx;
    struct err      own;
    size_t          bytes;
    char           *text;

    if (err) {
        refuse(r, err);
    } else {
        text = share_page(PQgetvalue(result, 0, 0), &bytes);
        if (text) {
            send_page(r, 200, text, bytes);
        } else {
            err_set(&own, "XX000", "SQL gave nothing to show");
            request_problem(r, &own);
        }
    }
    PQclear(result);
}

static void open_finish(struct request *r)
{
    rpc_route_then(r, NULL, on_open_reply);
}

const struct handler share_open = { .finish = open_finish };
