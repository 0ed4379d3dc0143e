/*
 * wallet: body ─► message, signature ─► {address, nonce} ─► SQL ─► token.
 */
#include "server/routes/wallet.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/auth/act_as.h"
#include "server/auth/auth.h"
#include "server/http/problem.h"
#include "server/http/rpc.h"
#include "server/auth/siwe.h"

#define MAX_AGE_SECONDS 3600 /* the nonce's life, which SQL holds, is never longer */

/* ---- the body ---- */

static json_t *load_body(struct request *r, struct err *err)
{
    json_t *body =
        r->body ? json_loadb(r->body, r->body_bytes, JSON_REJECT_DUPLICATES, NULL) : NULL;

    if (json_is_object(body))
        return body;
    json_decref(body);
    err_set(err, "KN006", "the body must be a JSON object");
    return NULL;
}

/* Only these fields, all of them texts. */
static bool has_only(json_t *body, const char *const fields[], size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!json_is_string(json_object_get(body, fields[i]))) {
            char pointer[32];
            snprintf(pointer, sizeof(pointer), "/%s", fields[i]);
            return problem_field(err, pointer, "must be a string");
        }
    return json_object_size(body) == n
           || problem_field(err, "", "has fields that are not known here");
}

/* ---- what is signed ---- */

static const char *origins_of(struct request *r)
{
    const struct cfg *cfg = r->server->cfg;

    if (cfg->siwe_domain[0])
        return cfg->siwe_domain;
    if (cfg->public_url[0])
        return cfg->public_url;
    return arena_printf(r->arena, "http://localhost:%d,http://127.0.0.1:%d", cfg->port, cfg->port);
}

/* {"address", "nonce"} of a good message, in the request's arena. */
static const char *signed_facts(struct request *r, json_t *body, struct err *err)
{
    static const char *const fields[] = { "message", "signature" };
    struct siwe_policy  policy = { origins_of(r), r->server->cfg->siwe_chains, MAX_AGE_SECONDS };
    const json_t       *text   = json_object_get(body, "message");
    struct siwe_message message;
    char                address[SIWE_ADDRESS_CHARS + 1];

    if (!has_only(body, fields, countof(fields), err)
        || !siwe_verify(json_string_value(text), json_string_length(text),
                        json_string_value(json_object_get(body, "signature")), &policy,
                        base_unix_seconds(), &message, address, err))
        return NULL;
    /* hexadecimal digits, and letters and digits: nothing to escape */
    return arena_printf(r->arena, "{\"address\":\"%s\",\"nonce\":\"%s\"}", address, message.nonce);
}

static void send_facts(struct request *r, const char *facts, db_reply_fn *on_reply, struct err *err)
{
    if (facts)
        rpc_route_then(r, facts, on_reply);
    else
        request_problem(r, err);
}

/* ---- signing in ---- */

/* SQL gives {claims, expires_at, account}: the claims become the token. */
static char *answer_of(const struct auth *auth, const char *said)
{
    json_t *json   = json_loads(said, 0, NULL);
    char   *claims = json_dumps(json_object_get(json, "claims"), JSON_COMPACT);
    char   *token, *answer;

    if (!json || !claims)
        abort();
    token = auth_sign(auth, claims);
    json_object_del(json, "claims");
    json_object_set_new(json, "token", json_string(token));
    answer = json_dumps(json, JSON_COMPACT);
    if (!answer)
        abort();
    free(token);
    free(claims);
    json_decref(json);
    return answer;
}

static void on_signed_in(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r = ctx;
    char           *answer;

    if (err || PQntuples(result) != 1 || PQgetisnull(result, 0, 0)) {
        rpc_answer(r, result, err);
        return;
    }
    answer = answer_of(r->server->auth, PQgetvalue(result, 0, 0));
    PQclear(result);
    request_answer(r, r->route->status,
                   request_text_response(answer, strlen(answer), "application/json"));
}

static void finish_sign_in(struct request *r)
{
    struct err  err;
    json_t     *body  = load_body(r, &err);
    const char *facts = body ? signed_facts(r, body, &err) : NULL;

    json_decref(body);
    send_facts(r, facts, on_signed_in, &err);
}

const struct handler wallet_sign_in = { .finish = finish_sign_in };

/* ---- linking ---- */

/* The identity of another token, as act_as would be told. */
static const char *token_facts(struct request *r, json_t *body, struct err *err)
{
    static const char *const fields[] = { "token" };
    const struct identity   *identity;
    int64_t                  expires_at;
    char                    *json;
    const char              *facts;

    if (!has_only(body, fields, countof(fields), err))
        return NULL;
    if (!auth_identity(r->server->auth, json_string_value(json_object_get(body, "token")),
                       base_unix_seconds(), &identity, &expires_at, err)) {
        if (!err_is(err, "HJ001")) /* a key that may still come says nothing of the token */
            problem_field(err, "/token", "is not a token that is valid here");
        return NULL;
    }
    json  = act_as_json(&(struct act_as) { .identity = identity });
    facts = arena_strdup(r->arena, json);
    free(json);
    return facts;
}

static void on_linked(void *ctx, PGresult *result, const struct err *err)
{
    rpc_answer(ctx, result, err);
}

static void finish_link(struct request *r)
{
    struct err  err;
    json_t     *body  = load_body(r, &err);
    const char *facts = NULL;

    if (body)
        facts = json_object_get(body, "token") ? token_facts(r, body, &err)
                                               : signed_facts(r, body, &err);
    json_decref(body);
    send_facts(r, facts, on_linked, &err);
}

const struct handler wallet_link = { .finish = finish_link };
