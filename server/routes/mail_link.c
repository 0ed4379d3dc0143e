/*
 * mail_link: two pages and a call, for each of the two links.
 */
#include "server/routes/mail_link.h"

#include <string.h>

#include "server/http/rpc.h"

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

static void show_result(struct request *r, PGresult *result, const struct err *err,
                        const char *page)
{
    if (err)
        request_problem(r, err);
    else
        show(r, page);
    PQclear(result);
}

/* The forms have no action: they go to the page's own address. */
static void ask_to_unsubscribe(struct request *r)
{
    show(r, PAGE("<p>Kiln will send no more mail to this address.</p>"
                 "<form method=\"post\"><button>Turn it off</button></form>"));
}

static void on_unsubscribed(void *ctx, PGresult *result, const struct err *err)
{
    show_result(ctx, result, err,
                PAGE("<p>Kiln sends no more mail to this address. The profile has the switch to "
                     "turn it on again.</p>"));
}

static void unsubscribe(struct request *r)
{
    rpc_route_then(r, NULL, on_unsubscribed);
}

static void ask_to_confirm(struct request *r)
{
    show(r, PAGE("<p>An account at Kiln wants its mail sent to this address. Confirm that only if "
                 "the account is yours.</p>"
                 "<form method=\"post\"><button>Confirm</button></form>"));
}

static void on_confirmed(void *ctx, PGresult *result, const struct err *err)
{
    show_result(ctx, result, err,
                PAGE("<p>This address is confirmed: the account may have mail sent to it.</p>"));
}

static void confirm(struct request *r)
{
    rpc_route_then(r, NULL, on_confirmed);
}

const struct handler unsubscribe_ask   = { .finish = ask_to_unsubscribe };
const struct handler unsubscribe_do    = { .finish = unsubscribe, .is_raw = true };
const struct handler confirm_email_ask = { .finish = ask_to_confirm };
const struct handler confirm_email_do  = { .finish = confirm, .is_raw = true };
