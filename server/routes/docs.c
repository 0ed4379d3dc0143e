/*
 * docs: docs/openapi.json, the page that shows it and the page's script as they were when the
 * program was built. The Makefile makes an object of each file, as it is and packed by gzip; the
 * linker's -b binary named its ends.
 */
#include "server/routes/docs.h"

#include <string.h>
#include <strings.h>

#include "server/http/request.h"

extern const char _binary_openapi_json_start[], _binary_openapi_json_end[];
extern const char _binary_openapi_json_gz_start[], _binary_openapi_json_gz_end[];
extern const char _binary_scalar_js_start[], _binary_scalar_js_end[];
extern const char _binary_scalar_js_gz_start[], _binary_scalar_js_gz_end[];
extern const char _binary_api_html_start[], _binary_api_html_end[];

/* The place in the page that each answer fills; it stands there as often as there are scripts. */
#define NONCE       "{{nonce}}"
#define NONCE_CHARS 32

/* The library writes style elements as it needs them. All else is of this host, and no script runs
 * that the answer does not name. */
#define POLICY                                                                                    \
    "default-src 'none'; script-src 'nonce-%s'; style-src 'unsafe-inline'; img-src 'self' data: " \
    "blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; " \
    "form-action 'none'; frame-ancestors 'none'"

static bool is_weight_0(const char *parameters)
{
    size_t blanks = strspn(parameters, " \t");

    if (parameters[blanks] != ';')
        return false;
    parameters += blanks + 1;
    parameters += strspn(parameters, " \t");
    if (strncasecmp(parameters, "q=", 2) != 0)
        return false;
    parameters += 2 + strspn(parameters + 2, "0.");
    return *parameters < '1' || *parameters > '9';
}

/* Of Accept-Encoding (RFC 9110, 12.5.3); without one the file goes out as it is. */
static bool takes_gzip(const char *accepted)
{
    for (const char *at = accepted; at && *at; at = strchr(at, ',')) {
        at += strspn(at, ", \t");
        size_t name = strcspn(at, ",; \t");

        if (name == 4 && strncasecmp(at, "gzip", 4) == 0)
            return !is_weight_0(at + name);
    }
    return false;
}

static void head(struct MHD_Response *response, const char *content_type, const char *cache)
{
    MHD_add_response_header(response, "Content-Type", content_type);
    MHD_add_response_header(response, "Cache-Control", cache);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
}

struct ends {
    const char *start, *end;
};

static void answer(struct request *r, struct ends plain, struct ends packed,
                   const char *content_type, const char *cache)
{
    bool                 is_packed = takes_gzip(request_header(r, "Accept-Encoding"));
    struct ends          it        = is_packed ? packed : plain;
    struct MHD_Response *response  = MHD_create_response_from_buffer(
         (size_t)(it.end - it.start), (void *)(uintptr_t)it.start, MHD_RESPMEM_PERSISTENT);

    if (response) {
        head(response, content_type, cache);
        MHD_add_response_header(response, "Vary", "Accept-Encoding");
        if (is_packed)
            MHD_add_response_header(response, "Content-Encoding", "gzip");
    }
    request_answer(r, 200, response);
}

/* The page with this answer's nonce in each of its places. */
static char *filled(struct arena *arena, struct ends html, const char *nonce)
{
    char *text = arena_strndup(arena, html.start, (size_t)(html.end - html.start));

    for (char *place = strstr(text, NONCE); place; place = strstr(text, NONCE)) {
        *place = '\0';
        text   = arena_printf(arena, "%s%s%s", text, nonce, place + sizeof(NONCE) - 1);
    }
    return text;
}

static void page(struct request *r)
{
    struct ends          html = { _binary_api_html_start, _binary_api_html_end };
    char                 nonce[NONCE_CHARS + 1];
    char                *text;
    struct MHD_Response *response;

    base_random_hex(nonce, NONCE_CHARS);
    text     = filled(r->arena, html, nonce);
    response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
    if (response) {
        head(response, "text/html; charset=utf-8", "no-store"); /* a nonce is for one answer */
        MHD_add_response_header(response, "Content-Security-Policy",
                                arena_printf(r->arena, POLICY, nonce));
        MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    }
    request_answer(r, 200, response);
}

/* The page names it with its version, so a day in a cache shows nobody a former one. */
static void script(struct request *r)
{
    answer(r, (struct ends) { _binary_scalar_js_start, _binary_scalar_js_end },
           (struct ends) { _binary_scalar_js_gz_start, _binary_scalar_js_gz_end },
           "text/javascript; charset=utf-8", "public, max-age=86400");
}

static void description(struct request *r)
{
    answer(r, (struct ends) { _binary_openapi_json_start, _binary_openapi_json_end },
           (struct ends) { _binary_openapi_json_gz_start, _binary_openapi_json_gz_end },
           "application/json", "no-cache");
}

const struct handler docs_page        = { .finish = page };
const struct handler docs_script      = { .finish = script };
const struct handler docs_description = { .finish = description };
