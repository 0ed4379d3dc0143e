/*
 * unsubscribe: two pages and a call.
 */
#include "unsubscribe.h"

#include <string.h>

#include "http.h"

#define PAGE(text)                                                            \
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"             \
    "<meta name=\"viewport\" content=\"width=device-width\">"                 \
    "<meta name=\"robots\" content=\"noindex\"><title>Mail from Kiln</title>" \
    "<body>" text "\n"

static void show(struct request *r, const char *page)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(page), (void *)(uintptr_t)page, MHD_RESPMEM_PERSISTENT);

    MHD_add_response_header(response, "Content-Type", "text/html; charset=utf-8");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Content-Security-Policy",
                            "default-src 'none'; form-action 'self'; frame-ancestors 'none'");
    request_answer(r, r->route->status, response);
}

/* The form has no action: it goes to the page's own address. */
static void ask(struct request *r)
{
    show(r, PAGE("<p>Kiln will send no more mail to this address.</p>"
                 "<form method=\"post\"><button>Turn it off</button></form>"));
}

static void on_done(void *ctx, PGresult *result, const struct err *err)
{
    if (err)
        request_problem(ctx, err);
    else
        show(ctx, PAGE("<p>Kiln sends no more mail to this address. The profile has the switch to "
                       "turn it on again.</p>"));
    PQclear(result);
}

static void turn_off(struct request *r)
{
    call_route_then(r, NULL, on_done);
}

const struct handler unsubscribe_ask = { .finish = ask };
const struct handler unsubscribe_do  = { .finish = turn_off, .is_raw = true };
