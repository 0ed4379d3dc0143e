/*
 * rpc: from a request to the parameters of a call, and from its result to the answer.
 */
#include "server/http/rpc.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jbuf.h"
#include "server/http/uri.h"
#include "server/pool/owner.h"

/* The parameter has the name that the route's pattern gives it: {id}, {provider}. */
static const char *path_name(struct request *r)
{
    const char *open = strchr(r->route->pattern, '{') + 1;

    return arena_strndup(r->arena, open, strcspn(open, ".}"));
}

static const char *path_json(struct request *r, struct err *err)
{
    struct jbuf j = { 0 };
    size_t      len;
    const char *json;
    char       *id;

    if (!r->path_id)
        return "{}";
    id = arena_alloc(r->arena, r->path_id_bytes + 1);
    if (!uri_decode(r->path_id, r->path_id_bytes, false, id, &len)) {
        err_set(err, "KN006", "The path is not properly percent-encoded UTF-8.");
        return NULL;
    }
    jbuf_object(&j);
    jbuf_key(&j, path_name(r));
    jbuf_strn(&j, id, len);
    jbuf_end(&j);
    json = arena_strdup(r->arena, jbuf_text(&j));
    jbuf_free(&j);
    return json;
}

static const char *query_json(struct request *r, struct err *err)
{
    struct jbuf j    = { 0 };
    const char *json = NULL;

    if (!r->query)
        return "{}";
    if (uri_query_json(&j, r->query, err))
        json = arena_strdup(r->arena, jbuf_text(&j));
    jbuf_free(&j);
    return json;
}

/* An IPv6 address counts as its /64. */
static uint64_t owner_of_client(struct request *r)
{
    struct limit_address network = limits_network_of(request_client(r));
    unsigned char        digest[SHA256_DIGEST_LENGTH];

    SHA256(network.bytes, sizeof(network.bytes), digest);
    return owner_of(OWNER_ADDRESS, digest);
}

/* Anyone can make up a key that has the form of one: until the database has known it, its address
 * counts. */
uint64_t rpc_owner(struct request *r)
{
    uint64_t known = owners_known(r->server->owners, r->owner);

    return known == r->owner && !r->is_proven ? owner_of_client(r) : known;
}

/* As jbuf writes a member; inside a string its quotes would be escaped. */
static enum pool_kind pool_with(enum pool_kind pool, const char *query)
{
    if (pool != POOL_SEARCH)
        return pool;
    return strstr(query, "\"q\":") ? POOL_LONG : POOL_PAGE;
}

static void on_reply_of_request(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r = ctx;

    if (result && PQnfields(result) == 2 && PQntuples(result) == 1 && PQgetlength(result, 0, 1) > 0)
        owners_learn(r->server->owners, r->owner, strtoll(PQgetvalue(result, 0, 1), NULL, 10));
    r->on_reply(r, result, err);
}

bool rpc_send(struct request *r, size_t statement, enum pool_kind pool, const char *body,
              db_reply_fn *on_reply, struct err *err)
{
    const char *path  = path_json(r, err);
    const char *query = path ? query_json(r, err) : NULL;

    if (!query)
        return false;
    r->on_reply = on_reply;
    r->call     = (struct call) { .pool      = pool_with(pool, query),
                                  .statement = statement,
                                  .params    = { r->context, path, query, body },
                                  .owner     = rpc_owner(r),
                                  .on_reply  = on_reply_of_request,
                                  .ctx       = r };
    return pools_send(r->server->pools, &r->call, err);
}

struct answer {
    PGresult    *result;
    struct held *held;
};

static void free_answer(void *ctx)
{
    struct answer *answer = ctx;

    PQclear(answer->result);
    pools_release(answer->held);
    free(answer);
}

static struct answer *make_answer(struct request *r, PGresult *result)
{
    struct answer *answer = malloc(sizeof(*answer));

    if (!answer)
        abort();
    *answer = (struct answer) { result, pools_hold(r->server->pools) };
    return answer;
}

/* The text goes out from libpq's own memory, which MHD frees when the last byte is sent. */
void rpc_answer(struct request *r, PGresult *result, const struct err *err)
{
    struct MHD_Response *response;
    bool                 is_empty;

    if (err) {
        request_problem(r, err);
        return;
    }
    is_empty = PQntuples(result) != 1 || PQgetisnull(result, 0, 0);
    if (is_empty) {
        PQclear(result);
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    } else {
        response = MHD_create_response_from_buffer_with_free_callback_cls(
            (size_t)PQgetlength(result, 0, 0), PQgetvalue(result, 0, 0), free_answer,
            make_answer(r, result));
    }
    if (!is_empty)
        MHD_add_response_header(response, "Content-Type", "application/json");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    request_answer(r, r->route->status, response);
}

static void on_route_reply(void *ctx, PGresult *result, const struct err *err)
{
    rpc_answer(ctx, result, err);
}

bool rpc_send_route(struct request *r, const char *body, db_reply_fn *on_reply, struct err *err)
{
    return rpc_send(r, statement_of_route(r->server->routes, r->route), r->route->pool, body,
                    on_reply, err);
}

void rpc_route_then(struct request *r, const char *body, db_reply_fn *on_reply)
{
    struct err err;

    if (rpc_send_route(r, body, on_reply, &err))
        request_suspend(r);
    else
        on_reply(r, NULL, &err);
}

void rpc_route(struct request *r, const char *body)
{
    rpc_route_then(r, body, on_route_reply);
}

static void finish(struct request *r)
{
    rpc_route(r, r->body);
}

const struct handler rpc_handler = { .finish = finish };
