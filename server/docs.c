/*
 * docs: docs/openapi.json and its page as they were when the program was built (the linker's -b
 * binary made an object of each file, and named its ends).
 */
#include "docs.h"

#include "http.h"

extern const char _binary_docs_openapi_json_start[], _binary_docs_openapi_json_end[];
extern const char _binary_docs_api_html_start[], _binary_docs_api_html_end[];

static void answer(struct request *r, const char *start, const char *end, const char *content_type)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        (size_t)(end - start), (void *)(uintptr_t)start, MHD_RESPMEM_PERSISTENT);

    if (response) {
        MHD_add_response_header(response, "Content-Type", content_type);
        MHD_add_response_header(response, "Cache-Control", "no-cache");
        MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    }
    request_answer(r, 200, response);
}

/* The page's own policy forbids it all else; this one only a header can say. */
static void page(struct request *r)
{
    answer(r, _binary_docs_api_html_start, _binary_docs_api_html_end, "text/html; charset=utf-8");
    MHD_add_response_header(r->answer, "Content-Security-Policy", "frame-ancestors 'none'");
}

static void description(struct request *r)
{
    answer(r, _binary_docs_openapi_json_start, _binary_docs_openapi_json_end, "application/json");
}

const struct handler docs_page        = { .finish = page };
const struct handler docs_description = { .finish = description };
