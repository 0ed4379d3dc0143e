/*
 * mail_link: two pages and a call, for each of the two links.
 */
#include "server/routes/mail_link.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/http/rpc.h"
#include "server/routes/template.h"

extern const char _binary_mail_link_html_start[], _binary_mail_link_html_end[];

static const struct template parts = { _binary_mail_link_html_start, _binary_mail_link_html_end };

static void show(struct request *r, const char *block)
{
    char                *text = NULL;
    size_t               bytes;
    FILE                *out = open_memstream(&text, &bytes);
    struct MHD_Response *response;

    if (!out)
        abort();
    template_put(out, &parts, "head", NULL);
    template_put(out, &parts, block, NULL);
    if (fclose(out) != 0)
        abort();
    response = request_text_response(text, bytes, "text/html; charset=utf-8");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Content-Security-Policy",
                            "default-src 'none'; form-action 'self'; frame-ancestors 'none'");
    request_answer(r, r->route->status, response);
}

static void show_result(struct request *r, PGresult *result, const struct err *err,
                        const char *block)
{
    if (err)
        request_problem(r, err);
    else
        show(r, block);
    PQclear(result);
}

static void ask_to_unsubscribe(struct request *r)
{
    show(r, "unsubscribe");
}

static void on_unsubscribed(void *ctx, PGresult *result, const struct err *err)
{
    show_result(ctx, result, err, "unsubscribed");
}

static void unsubscribe(struct request *r)
{
    rpc_route_then(r, NULL, on_unsubscribed);
}

static void ask_to_confirm(struct request *r)
{
    show(r, "confirm");
}

static void on_confirmed(void *ctx, PGresult *result, const struct err *err)
{
    show_result(ctx, result, err, "confirmed");
}

static void confirm(struct request *r)
{
    rpc_route_then(r, NULL, on_confirmed);
}

const struct handler unsubscribe_ask   = { .finish = ask_to_unsubscribe };
const struct handler unsubscribe_do    = { .finish = unsubscribe, .is_raw = true };
const struct handler confirm_email_ask = { .finish = ask_to_confirm };
const struct handler confirm_email_do  = { .finish = confirm, .is_raw = true };
