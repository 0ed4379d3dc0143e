/*
 * token: JSON Web Tokens, checked in this order: form, header, signature, claims. Nothing of the
 * payload is looked at before the signature holds.
 */
#include "server/auth/token.h"

#include <jansson.h>
#include <jwt.h>
#include <math.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/auth/base64.h"

static bool refuse(struct err *err, const char *sentence)
{
    err_set(err, "KN009", "%s", sentence);
    return false;
}

/* ---- form: three parts of base64url, the shortest encoding of whole bytes ---- */

struct parts {
    const char *text[3];
    size_t      bytes[3];
};

static bool split(const char *token, struct parts *parts)
{
    for (int i = 0; i < 3; i++) {
        parts->text[i]  = token;
        parts->bytes[i] = strcspn(token, ".");
        token += parts->bytes[i];
        if (parts->bytes[i] == 0 || (i < 2 ? *token != '.' : *token != '\0'))
            return false;
        token++;
    }
    return true;
}

/* A JSON object of one part, or NULL. Twice the same key is refused: two readers could take
 * different ones. */
static json_t *load_part(const struct parts *parts, int which)
{
    char    buffer[TOKEN_BYTES_MAX];
    size_t  len;
    json_t *json;

    if (!base64url_read(parts->text[which], parts->bytes[which], buffer, &len))
        return NULL;
    json = json_loadb(buffer, len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

/* ---- header: the key decides the algorithm, the token has to agree ---- */

struct header {
    bool is_rs256; /* else HS256 */
    char kid[JWKS_KID_MAX + 1];
};

/* What a token is for (RFC 7519, 5.1; RFC 8725, 3.11): JWT or nothing, and with an issuer's keys
 * also an access token of RFC 9068. libjwt takes no other type than JWT for HS256, and calls it a
 * wrong signature. */
static bool type_holds(const json_t *header, bool is_rs256)
{
    const json_t *typ  = json_object_get(header, "typ");
    const char   *text = json_string_value(typ);

    if (!typ || (text && strcasecmp(text, "JWT") == 0))
        return true;
    return is_rs256 && text
           && (strcasecmp(text, "at+jwt") == 0 || strcasecmp(text, "application/at+jwt") == 0);
}

static bool read_header(const struct parts *parts, bool may_be_rs256, struct header *header,
                        struct err *err)
{
    json_t       *json     = load_part(parts, 0);
    const char   *alg      = json_string_value(json_object_get(json, "alg"));
    const json_t *kid      = json_object_get(json, "kid");
    bool          is_hs256 = alg && strcmp(alg, "HS256") == 0;
    bool          has_kid  = json_string_length(kid) > 0 && json_string_length(kid) <= JWKS_KID_MAX;
    bool          knows    = !json_object_get(json, "crit"); /* what we must understand: nothing */
    bool          has_type;

    header->is_rs256 = alg && strcmp(alg, "RS256") == 0;
    has_type         = type_holds(json, header->is_rs256);
    snprintf(header->kid, sizeof(header->kid), "%s", has_kid ? json_string_value(kid) : "");
    json_decref(json);
    if (!is_hs256 && !(header->is_rs256 && may_be_rs256))
        return refuse(err, may_be_rs256 ? "the token's algorithm is neither HS256 nor RS256"
                                        : "the token's algorithm is not HS256");
    if (!knows)
        return refuse(err, "the token needs extensions that are not known here");
    if (!has_type)
        return refuse(err, is_hs256 ? "the token's typ is not JWT"
                                    : "the token's typ is neither JWT nor at+jwt");
    return is_hs256 || has_kid || refuse(err, "the token does not say which key signed it");
}

/* ---- signature ---- */

static bool secret_signed(const char *token, const char *secret)
{
    jwt_t *jwt  = NULL;
    bool   ok   = false;
    size_t size = strlen(secret);

    if (size == 0) /* libjwt takes an absent key for "do not check" */
        return false;
    ok = jwt_decode(&jwt, token, (const unsigned char *)secret, (int)size) == 0
         && jwt_get_alg(jwt) == JWT_ALG_HS256;
    jwt_free(jwt);
    return ok;
}

static bool key_signed(const struct parts *parts, const struct jwks_key *key)
{
    char   signature[TOKEN_BYTES_MAX];
    size_t bytes;

    return base64url_read(parts->text[2], parts->bytes[2], signature, &bytes)
           && jwks_key_signed(key, parts->text[0], parts->bytes[0] + 1 + parts->bytes[1], signature,
                              bytes);
}

static bool signature_holds(const struct token_keys *keys, const struct parts *parts,
                            const struct header *header, const struct jwks_key **key,
                            struct err *err)
{
    const char *token = parts->text[0];

    *key = NULL;
    if (!header->is_rs256)
        return secret_signed(token, keys->secret) || secret_signed(token, keys->secret_previous)
               || refuse(err, "the token's signature is wrong");
    *key = jwks_find(keys->jwks, header->kid);
    if (*key)
        return key_signed(parts, *key) || refuse(err, "the token's signature is wrong");
    err_set(err, "HJ001", "The key that the token names is not known here yet.");
    return false;
}

/* ---- claims ---- */

#define SECOND_US 1000000
#define DATE_MAX  253402300800.0 /* the year 10000 */

/* NumericDate: seconds, perhaps with a fraction. False: there, but not a sensible one. */
static bool read_date(const json_t *payload, const char *name, bool *is_given, int64_t *us)
{
    const json_t *value  = json_object_get(payload, name);
    double        number = json_number_value(value);

    *is_given = value != NULL;
    *us       = 0;
    if (!value)
        return true;
    if (!json_is_number(value) || !(number >= 0) || number >= DATE_MAX)
        return false;
    *us = llround(number * SECOND_US);
    return true;
}

static bool dates_hold(const json_t *payload, int64_t now, struct token_claims *claims,
                       struct err *err)
{
    int64_t exp_us, nbf_us;
    bool    has_exp, has_nbf, has_iat;

    if (!read_date(payload, "exp", &has_exp, &exp_us)
        || !read_date(payload, "nbf", &has_nbf, &nbf_us)
        || !read_date(payload, "iat", &has_iat, &claims->issued_us))
        return refuse(err, "a date of the token is not a number of seconds");
    claims->expires_at = exp_us / SECOND_US;
    claims->not_before = nbf_us / SECOND_US;
    if (!has_exp)
        return refuse(err, "the token has no exp");
    if (now >= claims->expires_at)
        return refuse(err, "the token has expired");
    if (has_nbf && now < claims->not_before - TOKEN_LEEWAY_SECONDS)
        return refuse(err, "the token is not valid yet");
    if (has_iat && now < claims->issued_us / SECOND_US - TOKEN_LEEWAY_SECONDS)
        return refuse(err, "the token was issued in the future");
    return true;
}

static bool audience_holds(const json_t *payload, const char *wanted)
{
    const json_t *aud  = json_object_get(payload, "aud");
    const char   *text = json_string_value(aud);

    if (text)
        return strcmp(text, wanted) == 0;
    for (size_t i = 0; i < json_array_size(aud); i++) {
        text = json_string_value(json_array_get(aud, i));
        if (text && strcmp(text, wanted) == 0)
            return true;
    }
    return false;
}

static bool copy_claim(const json_t *payload, const char *name, char *to, size_t size)
{
    const json_t *value = json_object_get(payload, name);
    const char   *text  = json_string_value(value);

    to[0] = '\0';
    if (!value)
        return true;
    return text && (size_t)snprintf(to, size, "%s", text) < size;
}

/* Who may sign for whom: see token.h. */
static bool issuer_holds(const struct token_keys *keys, const struct token_claims *claims)
{
    bool is_issuer = strcmp(claims->iss, keys->issuer) == 0;

    if (claims->key)
        return is_issuer && strcmp(claims->iss, TOKEN_WALLET_ISSUER) != 0;
    if (strcmp(claims->iss, TOKEN_WALLET_ISSUER) == 0)
        return true;
    return keys->has_issuer_keys ? claims->iss[0] == '\0' : is_issuer || !keys->issuer[0];
}

static bool claims_hold(const struct token_keys *keys, const json_t *payload, int64_t now,
                        struct token_claims *claims, struct err *err)
{
    const json_t *named = json_object_get(payload, "role");
    const char   *role  = json_string_value(named);

    if (!dates_hold(payload, now, claims, err))
        return false;
    if (!copy_claim(payload, "sub", claims->sub, sizeof(claims->sub)) || !claims->sub[0])
        return refuse(err, "the token has no usable sub");
    if (!copy_claim(payload, "iss", claims->iss, sizeof(claims->iss)))
        return refuse(err, "the token has no usable iss");
    if (!issuer_holds(keys, claims))
        return refuse(err, "the token is of another issuer");
    if (keys->audience[0] && !audience_holds(payload, keys->audience))
        return refuse(err, "the token is meant for another audience");
    claims->has_scope = json_object_get(payload, "scope") != NULL;
    if (!copy_claim(payload, "scope", claims->scope, sizeof(claims->scope)))
        return refuse(err, "the token's scope is not a string of at most 1,023 bytes");
    /* what somebody else's token calls a role is not what we call one */
    claims->has_role = !claims->key && named != NULL;
    claims->is_admin = claims->has_role && role && strcmp(role, "admin") == 0;
    return true;
}

bool token_verify(const struct token_keys *keys, const char *token, int64_t now,
                  struct token_claims *claims, struct err *err)
{
    struct parts  parts;
    struct header header;
    json_t       *payload;
    bool          ok;

    if (strlen(token) >= TOKEN_BYTES_MAX || !split(token, &parts))
        return refuse(err, "this is not a JSON Web Token");
    if (!read_header(&parts, keys->has_issuer_keys, &header, err)
        || !signature_holds(keys, &parts, &header, &claims->key, err))
        return false;
    payload = load_part(&parts, 1);
    ok      = payload ? claims_hold(keys, payload, now, claims, err)
                      : refuse(err, "the token's payload is not a JSON object");
    json_decref(payload);
    return ok;
}

/* ---- signing ---- */

char *token_sign(const struct token_keys *keys, const char *claims)
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    size_t            bytes    = strlen(claims);
    char             *token    = malloc(sizeof(header) * 2 + bytes * 2 + EVP_MAX_MD_SIZE * 2);
    unsigned char     mac[EVP_MAX_MD_SIZE];
    unsigned          mac_bytes = 0;
    char             *end;

    if (!token || !keys->secret[0])
        abort();
    end    = base64url_write(token, header, sizeof(header) - 1);
    *end++ = '.';
    end    = base64url_write(end, claims, bytes);
    if (!HMAC(EVP_sha256(), keys->secret, (int)strlen(keys->secret), (unsigned char *)token,
              (size_t)(end - token), mac, &mac_bytes))
        abort();
    *end++ = '.';
    base64url_write(end, mac, mac_bytes);
    return token;
}
