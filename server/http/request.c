/*
 * request: headers, suspending, and answers.
 */
#include "server/http/request.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jbuf.h"
#include "lib/log.h"
#include "server/http/cors.h"
#include "server/http/mhd.h"
#include "server/http/problem.h"

const char *request_header(struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, name);
}

struct limit_address request_client(struct request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    return limits_client(r->server->limits, info ? info->client_addr : NULL,
                         request_header(r, "X-Forwarded-For"));
}

void request_suspend(struct request *r)
{
    r->is_suspended = true;
    MHD_suspend_connection(r->conn);
}

void request_resume(struct request *r)
{
    if (!r->is_suspended)
        return;
    r->is_suspended = false;
    MHD_resume_connection(r->conn);
    mhd_run_again(r->server->mhd);
}

static void add_cors(struct request *r, struct MHD_Response *response)
{
    struct cors_header headers[CORS_HEADERS_MAX];
    size_t n = cors_headers(r->server->cfg->allowed_origins, request_header(r, "Origin"),
                            r->preflight, headers);

    for (size_t i = 0; i < n; i++)
        MHD_add_response_header(response, headers[i].name, headers[i].value);
}

void request_answer(struct request *r, unsigned status, struct MHD_Response *response)
{
    assert(!r->answer); /* one answer a request */
    if (!response)
        abort(); /* out of memory */
    MHD_add_response_header(response, "X-Request-Id", r->id);
    add_cors(r, response);
    if (r->server->is_draining)
        MHD_add_response_header(response, "Connection", "close");
    r->answer       = response;
    r->status       = status;
    r->discard_from = r->received_bytes;
    request_resume(r); /* else we are inside on_request of http.c, which queues it */
}

struct MHD_Response *request_text_response(char *text, size_t bytes, const char *content_type)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(bytes, text, free);

    if (!response)
        abort();
    MHD_add_response_header(response, "Content-Type", content_type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    return response;
}

static void log_problem(const struct request *r, const struct problem *problem,
                        const struct err *err)
{
    log_write(problem->status == 500 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "request failed",
              "request_id", r->id, "route", r->route ? r->route->pattern : NULL, "sqlstate",
              err->sqlstate, "error", err->message, "detail", err->detail[0] ? err->detail : NULL,
              NULL);
}

void request_problem(struct request *r, const struct err *err)
{
    const struct problem *problem     = problem_find(err);
    unsigned              retry_after = problem_retry_after(problem, err);
    struct jbuf           j           = { 0 };
    struct MHD_Response  *response;
    char                  seconds[16];

    if (!problem->is_ours)
        log_problem(r, problem, err);
    problem_json(&j, problem, err, r->id);
    response = request_text_response(j.text, j.len, "application/problem+json");
    snprintf(seconds, sizeof(seconds), "%u", retry_after);
    if (retry_after)
        MHD_add_response_header(response, "Retry-After", seconds);
    if (problem->status == 401 && r->route->auth != AUTH_NONE)
        /* RFC 6750: no error code where no token was sent */
        MHD_add_response_header(response, "WWW-Authenticate",
                                r->has_token ? "Bearer realm=\"kiln\", error=\"invalid_token\""
                                             : "Bearer realm=\"kiln\"");
    request_answer(r, problem->status, response);
}

void request_refuse(struct request *r, const char *sqlstate, const char *sentence)
{
    struct err err;

    err_set(&err, sqlstate, "%s", sentence);
    request_problem(r, &err);
}
