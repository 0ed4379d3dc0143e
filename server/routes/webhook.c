/*
 * webhook: keys ─► signature ─► kiln_api.receive_webhook().
 */
#include "server/routes/webhook.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/http/rpc.h"
#include "lib/jscan.h"
#include "lib/log.h"
#include "server/auth/signature.h"
#include "server/http/uri.h"

#define KEYS_MS         60000
#define LOOK_AGAIN_MS   1000
#define FETCH_AGAIN_MS  10000
#define JWKS_BYTES_MAX  65536
#define TOLERANCE_S     300
#define TOLERANCE_S_MAX 86400

struct webhooks {
    struct webhook_rule rules[WEBHOOK_PROVIDERS_MAX];
};

/* ---- what is remembered ---- */

struct webhooks *webhooks_open(void)
{
    struct webhooks *webhooks = calloc(1, sizeof(*webhooks));

    if (!webhooks)
        abort();
    return webhooks;
}

void webhooks_close(struct webhooks *webhooks)
{
    if (!webhooks)
        return;
    for (size_t i = 0; i < WEBHOOK_PROVIDERS_MAX; i++)
        free(webhooks->rules[i].jwks);
    free(webhooks);
}

static bool copy_string(const json_t *json, const char *name, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(json, name));

    return (size_t)snprintf(to, size, "%s", text ? text : "") < size;
}

static bool read_jwks(const json_t *keys, char **jwks)
{
    *jwks = json_is_object(keys) ? json_dumps(keys, JSON_COMPACT) : NULL;
    if (!*jwks || strlen(*jwks) <= JWKS_BYTES_MAX)
        return true;
    free(*jwks);
    *jwks = NULL;
    return false;
}

static bool read_rule(const json_t *json, struct webhook_rule *rule)
{
    const json_t *tolerance = json_object_get(json, "tolerance_s");

    rule->tolerance_s = json_is_integer(tolerance) ? json_integer_value(tolerance) : TOLERANCE_S;
    return copy_string(json, "scheme", rule->scheme, sizeof(rule->scheme))
           && copy_string(json, "secret_env", rule->secret_env, sizeof(rule->secret_env))
           && rule->tolerance_s >= 0 && rule->tolerance_s <= TOLERANCE_S_MAX
           && signature_knows(rule->scheme)
           && read_jwks(json_object_get(json, "keys"), &rule->jwks);
}

static struct webhook_rule *find_place(struct webhooks *webhooks, const char *provider)
{
    struct webhook_rule *place = webhooks->rules;

    for (size_t i = 0; i < WEBHOOK_PROVIDERS_MAX; i++) {
        struct webhook_rule *rule = &webhooks->rules[i];
        if (strcmp(rule->provider, provider) == 0)
            return rule;
        if (!rule->provider[0] || (place->provider[0] && rule->read_at_ms < place->read_at_ms))
            place = rule;
    }
    return place;
}

struct webhook_rule *webhooks_put(struct webhooks *webhooks, const char *provider, const char *json,
                                  uint64_t now_ms)
{
    struct webhook_rule  rule = { .read_at_ms = now_ms };
    struct webhook_rule *place;
    json_t              *said = json_loads(json, 0, NULL);
    bool                 ok   = provider[0]
              && (size_t)snprintf(rule.provider, sizeof(rule.provider), "%s", provider)
                     < sizeof(rule.provider)
              && read_rule(said, &rule);

    json_decref(said);
    if (!ok)
        return NULL;
    place = find_place(webhooks, provider);
    if (strcmp(place->provider, provider) == 0)
        rule.fetch_asked_at_ms = place->fetch_asked_at_ms;
    free(place->jwks);
    *place = rule;
    return place;
}

struct webhook_rule *webhooks_find(struct webhooks *webhooks, const char *provider, uint64_t now_ms)
{
    for (size_t i = 0; i < WEBHOOK_PROVIDERS_MAX; i++) {
        struct webhook_rule *rule = &webhooks->rules[i];
        if (rule->provider[0] && strcmp(rule->provider, provider) == 0)
            return now_ms - rule->read_at_ms < KEYS_MS ? rule : NULL;
    }
    return NULL;
}

/* ---- one webhook ---- */

static void call(struct request *r, size_t statement, enum pool_kind pool, const char *body,
                 db_reply_fn *on_reply)
{
    struct err err;

    if (!rpc_send(r, statement, pool, body, on_reply, &err))
        request_problem(r, &err);
    else if (!r->is_suspended)
        request_suspend(r);
}

static const char *header(void *ctx, const char *name)
{
    return request_header(ctx, name);
}

static enum signature_verdict check_signature(struct request *r, const struct webhook_rule *rule)
{
    struct signature_request said = { header, r, r->body, r->body_bytes };
    struct signature_keys    keys = { .jwks    = rule->jwks,
                                      .secrets = rule->secret_env[0] ? getenv(rule->secret_env) : NULL,
                                      .tolerance_s = rule->tolerance_s };

    return signature_check(rule->scheme, &keys, &said, base_unix_seconds());
}

/* One sentence a code, whatever was wrong: a forger learns nothing from it. */
static void refuse(struct request *r, enum signature_verdict verdict)
{
    struct err err;

    if (verdict == SIGNATURE_OLD)
        err_set(&err, "HW002", "The webhook's time is too far from ours.");
    else if (verdict == SIGNATURE_KEY_UNKNOWN)
        err_set(&err, "HW003", "There is no key here to check this webhook with.");
    else
        err_set(&err, "HW001", "The webhook's signature is missing or wrong.");
    request_problem(r, &err);
}

static void on_answer(void *ctx, PGresult *result, const struct err *err)
{
    rpc_answer(ctx, result, err);
}

static void on_fetch_asked(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r = ctx;

    if (err)
        log_warn("the keys of a provider could not be asked for", "request_id", r->id, "error",
                 err->message, NULL);
    PQclear(result);
    refuse(r, *(enum signature_verdict *)r->data);
}

/* Also where a secret is missing: the operator has to be told, though not for each webhook. */
static void ask_for_keys(struct request *r, struct webhook_rule *rule, enum signature_verdict why)
{
    enum signature_verdict *kept = arena_alloc(r->arena, sizeof(*kept));

    *kept                   = why;
    r->data                 = kept;
    rule->fetch_asked_at_ms = base_now_ms();
    log_warn("no key fits a webhook", "request_id", r->id, "provider", rule->provider, "scheme",
             rule->scheme, "secret_env", rule->secret_env[0] ? rule->secret_env : NULL, "is_set",
             rule->secret_env[0] && getenv(rule->secret_env) ? "yes" : NULL, NULL);
    call(r, STATEMENT_WEBHOOK_KEYS, POOL_WRITE, "{\"fetch\":true}", on_fetch_asked);
}

static void on_keys(void *ctx, PGresult *result, const struct err *err);

static void receive(struct request *r, struct webhook_rule *rule)
{
    enum signature_verdict verdict = check_signature(r, rule);
    bool     lacks_key = verdict == SIGNATURE_UNMATCHED || verdict == SIGNATURE_KEY_UNKNOWN;
    uint64_t now = base_now_ms(), asked = rule->fetch_asked_at_ms;

    if (verdict == SIGNATURE_GOOD
        && r->body) /* after a refusal a provider would send it for hours */
        jscan_blank_numbers(r->body, r->body_bytes);
    if (verdict == SIGNATURE_GOOD)
        call(r, statement_of_route(r->server->routes, r->route), r->route->pool,
             r->body ? r->body : "", on_answer);
    else if (lacks_key && now - rule->read_at_ms >= LOOK_AGAIN_MS)
        call(r, STATEMENT_WEBHOOK_KEYS, POOL_READ, NULL, on_keys);
    else if (lacks_key && (!asked || now - asked >= FETCH_AGAIN_MS))
        ask_for_keys(r, rule, verdict);
    else
        refuse(r, verdict);
}

/* The name as it stands in the path, decoded; empty where it cannot be one. */
static const char *provider_name(struct request *r)
{
    char  *name = arena_alloc(r->arena, r->path_id_bytes + 1);
    size_t len;

    return uri_decode(r->path_id, r->path_id_bytes, false, name, &len) ? name : "";
}

static bool has_row(const PGresult *result)
{
    return PQntuples(result) == 1 && !PQgetisnull(result, 0, 0);
}

static void on_keys(void *ctx, PGresult *result, const struct err *err)
{
    struct request      *r    = ctx;
    struct webhook_rule *rule = NULL;
    struct err           own;

    if (!err && !has_row(result))
        err_set(&own, "KN002", "There is no such provider."), err = &own;
    if (!err) {
        rule = webhooks_put(r->server->webhooks, provider_name(r), PQgetvalue(result, 0, 0),
                            base_now_ms());
        if (!rule)
            err_set(&own, "XX000", "SQL's word on a provider's webhooks is not understood"),
                err = &own;
    }
    PQclear(result);
    if (rule)
        receive(r, rule);
    else
        request_problem(r, err);
}

static void finish(struct request *r)
{
    struct webhook_rule *rule = webhooks_find(r->server->webhooks, provider_name(r), base_now_ms());

    if (rule)
        receive(r, rule);
    else
        call(r, STATEMENT_WEBHOOK_KEYS, POOL_READ, NULL, on_keys);
}

const struct handler webhook_receive = { .finish = finish, .is_raw = true };
