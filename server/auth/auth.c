/*
 * auth: tokens to contexts, with a small cache in front of the verification (4 µs in libjwt and as
 * much again in jansson, against half a microsecond for the hash).
 */
#include "server/auth/auth.h"

#include <jansson.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/arena.h"
#include "server/auth/act_as.h"
#include "server/auth/hex.h"
#include "server/http/request.h"
#include "server/pool/owner.h"
#include "lib/jbuf.h"
#include "server/http/route.h"
#include "server/http/uri.h"

#define CACHE_SIZE 1024 /* a power of two; one place a token, the newer one stays */

#define IDENTITY_BYTES     512 /* what most fit in */
#define KEY_BYTES          77
#define KEY_STREAM_SECONDS 3600 /* then a stream that a key opened asks again */

struct verified {
    unsigned char          digest[SHA256_DIGEST_LENGTH];
    struct arena          *arena; /* of the identity; NULL: empty place */
    const struct identity *identity;
    int64_t                expires_at, not_before;
    uint64_t               owner; /* of its issuer and subject */

    const struct jwks_key *key; /* NULL: the secret */
};

struct auth {
    struct token_keys keys;
    bool              has_admin_key;
    unsigned char     admin_key[SHA256_DIGEST_LENGTH]; /* its digest */
    uint64_t          verifications;
    struct jwks      *jwks;

    auth_unknown_key_fn *on_unknown_key;
    void                *unknown_key_ctx;

    struct verified cache[CACHE_SIZE];
};

static void digest_of(const char *text, unsigned char digest[SHA256_DIGEST_LENGTH])
{
    SHA256((const unsigned char *)text, strlen(text), digest);
}

struct auth *auth_open(const struct token_keys *keys, const char *admin_key)
{
    struct auth *auth = calloc(1, sizeof(*auth));

    if (!auth)
        abort();
    auth->keys          = *keys;
    auth->has_admin_key = admin_key[0] != '\0';
    digest_of(admin_key, auth->admin_key);
    return auth;
}

void auth_close(struct auth *auth)
{
    if (!auth)
        return;
    for (size_t i = 0; i < CACHE_SIZE; i++)
        arena_close(auth->cache[i].arena);
    jwks_free(auth->jwks);
    free(auth);
}

void auth_expect_jwks(struct auth *auth, auth_unknown_key_fn *on_unknown_key, void *ctx)
{
    auth->keys.has_issuer_keys = true;
    auth->on_unknown_key       = on_unknown_key;
    auth->unknown_key_ctx      = ctx;
}

/* What a key verified that the new set has no more is forgotten; the rest moves to the new set. */
void auth_set_jwks(struct auth *auth, struct jwks *jwks)
{
    for (size_t i = 0; i < CACHE_SIZE; i++) {
        struct verified *place = &auth->cache[i];
        if (!place->arena || !place->key)
            continue;
        place->key = jwks_find_same(jwks, place->key);
        if (place->key)
            continue;
        arena_close(place->arena);
        place->arena = NULL;
    }
    jwks_free(auth->jwks);
    auth->jwks      = jwks;
    auth->keys.jwks = jwks;
}

uint64_t auth_verifications(const struct auth *auth)
{
    return auth->verifications;
}

/* Digests are compared, so that neither the key nor its length shows in the time it takes. */
bool auth_is_admin_key(const struct auth *auth, const char *key)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    digest_of(key, digest);
    return CRYPTO_memcmp(digest, auth->admin_key, sizeof(digest)) == 0 && auth->has_admin_key;
}

/* The claims lie in the caller's memory. */
static struct identity identity_of(const struct token_claims *claims)
{
    const char *role = claims->is_admin ? "admin" : "user";

    return (struct identity) { .sub        = claims->sub,
                               .iss        = claims->iss[0] ? claims->iss : NULL,
                               .issued_us  = claims->issued_us,
                               .has_issued = true,
                               .scope      = claims->has_scope ? claims->scope : NULL,
                               .role       = claims->has_role ? role : NULL };
}

static uint64_t owner_of_claims(const struct token_claims *claims)
{
    unsigned char digests[2][SHA256_DIGEST_LENGTH], digest[SHA256_DIGEST_LENGTH];

    digest_of(claims->iss, digests[0]);
    digest_of(claims->sub, digests[1]);
    SHA256(digests[0], sizeof(digests), digest);
    return owner_of(OWNER_TOKEN, digest);
}

/* The issuer is asked for its keys; what it did not have just now it does not have. */
static void ask_for_key(struct auth *auth, struct err *err)
{
    unsigned seconds = auth->on_unknown_key ? auth->on_unknown_key(auth->unknown_key_ctx) : 0;

    if (seconds == 0)
        err_set(err, "KN009", "the token was signed by a key that its issuer does not have");
    else
        snprintf(err->detail, sizeof(err->detail), "{\"retry_after\":%u}", seconds);
}

static bool verify_into(struct auth *auth, const char *token, int64_t now, struct verified *place,
                        struct err *err)
{
    struct token_claims claims;
    struct identity     identity;

    auth->verifications++;
    if (!token_verify(&auth->keys, token, now, &claims, err)) {
        if (err_is(err, "HJ001"))
            ask_for_key(auth, err);
        return false;
    }
    arena_close(place->arena);
    identity          = identity_of(&claims);
    place->arena      = arena_open(IDENTITY_BYTES);
    place->identity   = identity_copy(place->arena, &identity);
    place->expires_at = claims.expires_at;
    place->not_before = claims.not_before;
    place->key        = claims.key;
    place->owner      = owner_of_claims(&claims);
    return true;
}

/* NULL: it is no good. */
static const struct verified *verify(struct auth *auth, const char *token, int64_t now,
                                     struct err *err)
{
    unsigned char    digest[SHA256_DIGEST_LENGTH];
    struct verified *place;

    digest_of(token, digest);
    place = &auth->cache[(digest[0] | (unsigned)digest[1] << 8) % CACHE_SIZE];
    if (!place->arena || CRYPTO_memcmp(place->digest, digest, sizeof(digest)) != 0
        || now >= place->expires_at || now < place->not_before - TOKEN_LEEWAY_SECONDS) {
        if (!verify_into(auth, token, now, place, err))
            return NULL;
        memcpy(place->digest, digest, sizeof(digest));
    }
    return place;
}

bool auth_identity(struct auth *auth, const char *token, int64_t now,
                   const struct identity **identity, int64_t *expires_at, struct err *err)
{
    const struct verified *verified = verify(auth, token, now, err);

    if (!verified)
        return false;
    *identity   = verified->identity;
    *expires_at = verified->expires_at;
    return true;
}

char *auth_sign(const struct auth *auth, const char *claims)
{
    json_t *json = json_loads(claims, 0, NULL);
    char   *text, *token;

    if (!json
        || (auth->keys.audience[0]
            && json_object_set_new(json, "aud", json_string(auth->keys.audience)) < 0))
        abort();
    text = json_dumps(json, JSON_COMPACT);
    if (!text)
        abort();
    token = token_sign(&auth->keys, text);
    free(text);
    json_decref(json);
    return token;
}

/* ---- requests ---- */

static const char *bearer_token(struct request *r)
{
    const char *header = request_header(r, "Authorization");

    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return NULL;
    return header + 7 + strspn(header + 7, " ");
}

/* A call names its function, whose scope SQL looks up, and says when it changes something: then it
 * counts towards the account's rate. A route without a function opens a stream. Only creating
 * functions read the key; one that is too long is refused rather than cut, which could make two
 * keys one. */
static bool set_context(struct request *r, const struct identity *identity, struct err *err)
{
    const char   *stream = r->route->auth == AUTH_WATCH ? "open_watch" : "open_stream";
    const char   *key    = request_header(r, "Idempotency-Key");
    struct act_as act_as = { .identity        = identity,
                             .function        = r->route->function ? r->route->function : stream,
                             .writes          = r->route->pool == POOL_WRITE,
                             .idempotency_key = key,
                             .request_id      = r->id };
    char         *json;

    if (key && (!key[0] || strlen(key) > 255 || !jbuf_is_utf8(key, strlen(key)))) {
        err_set(err, "KN006", "Idempotency-Key must have 1 to 255 characters");
        return false;
    }
    json       = act_as_json(&act_as);
    r->context = arena_strdup(r->arena, json);
    free(json);
    if (route_is_stream(r->route)) /* the stream's own calls name others */
        r->identity = identity_copy(r->arena, identity);
    return true;
}

static bool act_as_user(struct auth *auth, struct request *r, struct err *err)
{
    const char            *token = bearer_token(r);
    const struct verified *verified;

    if (!token) {
        err_set(err, "KN009", "Authorization: Bearer <token> is missing");
        return false;
    }
    r->has_token = true;
    verified     = verify(auth, token, base_unix_seconds(), err);
    if (!verified || !set_context(r, verified->identity, err))
        return false;
    r->expires_at = verified->expires_at;
    r->owner      = verified->owner;
    r->is_proven  = true;
    return true;
}

/* kiln_, 64 hexadecimal digits, and 8 more that begin the SHA-256 of what precedes them. */
static bool has_key_form(const char *key)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char          check[9];

    if (strlen(key) != KEY_BYTES || strncmp(key, "kiln_", 5) != 0
        || strspn(key + 5, "0123456789abcdef") != KEY_BYTES - 5)
        return false;
    SHA256((const unsigned char *)key, KEY_BYTES - 8, digest);
    hex_write(check, digest, 4);
    return strcmp(key + KEY_BYTES - 8, check) == 0;
}

/* The key's hash goes along with the call; what it opens, SQL knows. */
static bool act_as_key(struct request *r, const char *key, struct err *err)
{
    unsigned char   digest[SHA256_DIGEST_LENGTH];
    char            hex[2 * SHA256_DIGEST_LENGTH + 1];
    struct identity identity = { .key = hex };

    r->has_token = true;
    if (!has_key_form(key)) {
        err_set(err, "KN009", "X-API-Key is not an API key");
        return false;
    }
    digest_of(key, digest);
    hex_write(hex, digest, sizeof(digest));
    if (!set_context(r, &identity, err))
        return false;
    r->owner      = owner_of(OWNER_KEY, digest);
    r->expires_at = base_unix_seconds() + KEY_STREAM_SECONDS;
    return true;
}

/* The account of the operator: an identity that no token has, since tokens name no such issuer. */
static bool act_as_operator(struct auth *auth, struct request *r, const char *key, struct err *err)
{
    static const struct identity operator= { .sub  = "operator",
                                             .iss  = "urn:kiln:admin-key",
                                             .role = "admin" };

    if (!auth_is_admin_key(auth, key)) {
        err_set(err, "KN009", "X-API-Key is not the key of administration");
        return false;
    }
    if (!set_context(r, &operator, err))
        return false;
    r->owner      = owner_of(OWNER_KEY, auth->admin_key);
    r->is_proven  = true;
    r->expires_at = INT64_MAX;
    return true;
}

static bool act_as_admin(struct auth *auth, struct request *r, struct err *err)
{
    const char *key = request_header(r, "X-API-Key");

    if (!key)
        return act_as_user(auth, r, err);
    return has_key_form(key) && !auth_is_admin_key(auth, key) ? act_as_key(r, key, err)
                                                              : act_as_operator(auth, r, key, err);
}

/* Both headers: the key goes first, as with administration. */
static bool act_as_someone(struct auth *auth, struct request *r, struct err *err)
{
    const char *key = request_header(r, "X-API-Key");

    return key && !auth_is_admin_key(auth, key) ? act_as_key(r, key, err)
                                                : act_as_user(auth, r, err);
}

/* The caller of a route that asks for no token, or one that a ticket opens. */
static void act_as_nobody(struct request *r)
{
    struct identity identity = { .ticket = r->ticket };
    char           *json     = act_as_json(&(struct act_as) { .request_id = r->id });

    r->context = arena_strdup(r->arena, json);
    free(json);
    if (r->ticket)
        r->identity = identity_copy(r->arena, &identity);
}

bool auth_request(struct request *r, struct err *err)
{
    struct auth   *auth = r->server->auth;
    enum auth_kind kind = r->route->auth;
    char           ticket[1024];

    if (kind == AUTH_STREAM && uri_query_get(r->query, "ticket", ticket, sizeof(ticket)))
        r->ticket = arena_strdup(r->arena, ticket);
    else if (kind == AUTH_USER || kind == AUTH_STREAM)
        return act_as_someone(auth, r, err);
    else if (kind == AUTH_ADMIN || kind == AUTH_WATCH)
        return act_as_admin(auth, r, err);
    act_as_nobody(r);
    return true;
}
