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
#include "server/routes/template.h"

extern const char _binary_share_html_start[], _binary_share_html_end[];
extern const char _binary_share_css_start[], _binary_share_css_end[];

static const struct template parts = { _binary_share_html_start, _binary_share_html_end };

/* ---- writing ---- */

#define VALUES(...) ((const struct template_value[]) { __VA_ARGS__, { NULL, NULL } })

static void put(FILE *out, const char *block, const struct template_value *values)
{
    template_put(out, &parts, block, values);
}

static size_t style_bytes(void)
{
    return (size_t)(_binary_share_css_end - _binary_share_css_start);
}

static void put_head(FILE *out)
{
    put(out, "head", NULL);
    fwrite(_binary_share_css_start, 1, style_bytes(), out);
    put(out, "body", NULL);
}

static void put_size(FILE *out, const json_t *item)
{
    json_int_t width  = json_integer_value(json_object_get(item, "width")),
               height = json_integer_value(json_object_get(item, "height"));
    char texts[2][24];

    if (width <= 0 || height <= 0)
        return;
    snprintf(texts[0], sizeof(texts[0]), "%lld", (long long)width);
    snprintf(texts[1], sizeof(texts[1]), "%lld", (long long)height);
    put(out, "size", VALUES({ "width", texts[0] }, { "height", texts[1] }));
}

/* living_room: Living room */
static void add_words(FILE *out, const char *name)
{
    for (const char *c = name; *c; c++)
        fputc(*c == '_' && c > name                 ? ' '
              : c == name && *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A'
                                                    : *c,
              out);
}

/* "Living room, Modern"; malloc'ed. */
static char *title_of(const char *room, const char *style)
{
    char  *title = NULL;
    size_t bytes;
    FILE  *out = open_memstream(&title, &bytes);

    if (!out)
        abort();
    add_words(out, room);
    if (*style) {
        fputs(", ", out);
        add_words(out, style);
    }
    if (fclose(out) != 0)
        abort();
    return title;
}

/* ---- the parts of the page ---- */

static void put_heading(FILE *out, const json_t *page)
{
    const char *prompt = text_of(page, "prompt"), *room = text_of(page, "room_type");
    char       *title = NULL;

    if (!*prompt && *room && strcmp(room, "auto") != 0)
        title = title_of(room, text_of(page, "style"));
    put(out, "heading", VALUES({ "text", *prompt ? prompt : title ? title : "Shared by link" }));
    free(title);
}

static size_t originals_here(const json_t *originals)
{
    size_t  count = 0, i;
    json_t *item;

    json_array_foreach(originals, i, item) count += *text_of(item, "url") != '\0';
    return count;
}

static void put_disclosure_of_staging(FILE *out, const json_t *page, const char *day)
{
    const json_t *originals = json_object_get(page, "originals");
    size_t        here = originals_here(originals), all = json_array_size(originals);
    const char   *label = text_of(page, "label");

    put(out, "note of a staging",
        VALUES({ "label", *label ? label : "Virtually staged" }, { "day", day }));
    put(out,
        all > 0 && here == all ? "all originals"
        : here > 0             ? "some originals"
                               : "no originals",
        NULL);
}

static void put_disclosure(FILE *out, const json_t *page)
{
    char day[11];

    snprintf(day, sizeof(day), "%s", text_of(page, "made_at"));
    put(out, "note", NULL);
    if (strcmp(text_of(page, "kind"), "staging") == 0)
        put_disclosure_of_staging(out, page, day);
    else
        put(out, "note of a generation", VALUES({ "day", day }));
    if (json_is_true(json_object_get(page, "is_local_sample")))
        put(out, "note of a sample", NULL);
    put(out, "note end", NULL);
}

static void put_original(FILE *out, const json_t *item)
{
    const char *url = text_of(item, "url");

    if (!*url) {
        put(out, "original gone", VALUES({ "sha256", text_of(item, "sha256") }));
        return;
    }
    put(out, "original", VALUES({ "url", url }));
    put_size(out, item);
    put(out, "image end", NULL);
}

static void put_result(FILE *out, const json_t *item, const char *caption)
{
    const char                  *type = text_of(item, "media_type");
    const struct template_value *values =
        VALUES({ "caption", caption }, { "url", text_of(item, "url") });

    if (strcmp(type, "image") == 0) {
        put(out, "image", values);
        put_size(out, item);
        put(out, "image end", NULL);
    } else {
        put(out, strcmp(type, "video") == 0 ? "video" : "audio", values);
    }
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
        put(out, "pair", NULL);
        json_array_foreach(originals, k, original) put_original(out, original);
        put_result(out, item, is_staging ? "Altered" : "Result");
        put(out, "pair end", NULL);
    }
}

static void put_footer(FILE *out, const json_t *page)
{
    const char *until = text_of(page, "expires_at");

    if (*until)
        put(out, "footer until", VALUES({ "until", until }));
    else
        put(out, "footer", NULL);
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
    put_footer(out, page);
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
    put(out, "nowhere", NULL);
    if (fclose(out) != 0)
        abort();
    return text;
}

/* ---- answering ---- */

/* "https://host:port" of a bucket, where browsers are sent for its files; empty for a folder.
 * malloc'ed. */
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

/* The one style is named by its hash. */
static void add_page_headers(struct request *r, struct MHD_Response *response)
{
    unsigned char digest[SHA256_DIGEST_LENGTH], hash[64];
    char         *origin = bucket_origin(r->server->store), *policy;

    SHA256((const unsigned char *)_binary_share_css_start, style_bytes(), digest);
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
