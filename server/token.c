/*
 * token: JSON Web Tokens, checked in this order: form, header, signature, claims. Nothing of the
 * payload is looked at before the signature holds.
 */
#include "token.h"

#include <jansson.h>
#include <jwt.h>
#include <math.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Strict: no padding, no other characters, unused low bits zero, so that a token has one spelling
 * only. */
static bool decode_base64url(const char *text, size_t bytes, char *out, size_t *len)
{
    unsigned bits = 0, held = 0;

    *len = 0;
    for (size_t i = 0; i < bytes; i++) {
        int value = sextet(text[i]);
        if (value < 0)
            return false;
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[(*len)++] = (char)(bits >> held & 0xff);
        }
    }
    return bytes % 4 != 1 && (bits & ((1u << held) - 1)) == 0;
}

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

    if (!decode_base64url(parts->text[which], parts->bytes[which], buffer, &len))
        return NULL;
    json = json_loadb(buffer, len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

/* ---- header: the key decides the algorithm, the token has to agree ---- */

static bool header_is_ours(const struct parts *parts, struct err *err)
{
    json_t     *header = load_part(parts, 0);
    const char *alg    = json_string_value(json_object_get(header, "alg"));
    bool        ok     = alg && strcmp(alg, "HS256") == 0;
    bool        knows  = !json_object_get(header, "crit"); /* extensions we must understand: none */

    json_decref(header);
    if (!ok)
        return refuse(err, "the token's algorithm is not HS256");
    return knows || refuse(err, "the token needs extensions that are not known here");
}

/* ---- signature ---- */

static bool signature_holds(const char *token, const char *secret)
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

/* ---- claims ---- */

/* NumericDate: seconds, perhaps with a fraction. False: there, but not a sensible one. */
static bool read_date(const json_t *payload, const char *name, bool *is_given, int64_t *seconds)
{
    const json_t *value  = json_object_get(payload, name);
    double        number = json_number_value(value);

    *is_given = value != NULL;
    *seconds  = 0;
    if (!value)
        return true;
    if (!json_is_number(value) || !(number >= 0) || number >= 9007199254740992.0)
        return false;
    *seconds = (int64_t)floor(number);
    return true;
}

static bool dates_hold(const json_t *payload, int64_t now, struct token_claims *claims,
                       struct err *err)
{
    bool has_exp, has_nbf, has_iat;

    if (!read_date(payload, "exp", &has_exp, &claims->expires_at)
        || !read_date(payload, "nbf", &has_nbf, &claims->not_before)
        || !read_date(payload, "iat", &has_iat, &claims->issued_at))
        return refuse(err, "a date of the token is not a number of seconds");
    if (!has_exp)
        return refuse(err, "the token has no exp");
    if (now >= claims->expires_at)
        return refuse(err, "the token has expired");
    if (has_nbf && now < claims->not_before - TOKEN_LEEWAY_SECONDS)
        return refuse(err, "the token is not valid yet");
    if (has_iat && now < claims->issued_at - TOKEN_LEEWAY_SECONDS)
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
    if (keys->issuer[0] && strcmp(claims->iss, keys->issuer) != 0
        && strcmp(claims->iss, TOKEN_WALLET_ISSUER) != 0)
        return refuse(err, "the token is of another issuer");
    if (keys->audience[0] && !audience_holds(payload, keys->audience))
        return refuse(err, "the token is meant for another audience");
    if (!copy_claim(payload, "scope", claims->scope, sizeof(claims->scope)))
        return refuse(err, "the token has no usable scope");
    claims->has_role = named != NULL;
    claims->is_admin = role && strcmp(role, "admin") == 0;
    return true;
}

bool token_verify(const struct token_keys *keys, const char *token, int64_t now,
                  struct token_claims *claims, struct err *err)
{
    struct parts parts;
    json_t      *payload;
    bool         ok;

    if (strlen(token) >= TOKEN_BYTES_MAX || !split(token, &parts))
        return refuse(err, "this is not a JSON Web Token");
    if (!header_is_ours(&parts, err))
        return false;
    if (!signature_holds(token, keys->secret) && !signature_holds(token, keys->secret_previous))
        return refuse(err, "the token's signature is wrong");
    payload = load_part(&parts, 1);
    ok      = payload ? claims_hold(keys, payload, now, claims, err)
                      : refuse(err, "the token's payload is not a JSON object");
    json_decref(payload);
    return ok;
}

/* ---- signing ---- */

static char *write_base64url(char *out, const void *data, size_t bytes)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *in   = data;
    unsigned             bits = 0, held = 0;

    for (size_t i = 0; i < bytes; i++) {
        bits = (bits << 8 | in[i]) & 0xffff;
        for (held += 8; held >= 6; held -= 6)
            *out++ = letters[bits >> (held - 6) & 63];
    }
    if (held)
        *out++ = letters[bits << (6 - held) & 63];
    *out = '\0';
    return out;
}

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
    end    = write_base64url(token, header, sizeof(header) - 1);
    *end++ = '.';
    end    = write_base64url(end, claims, bytes);
    if (!HMAC(EVP_sha256(), keys->secret, (int)strlen(keys->secret), (unsigned char *)token,
              (size_t)(end - token), mac, &mac_bytes))
        abort();
    *end++ = '.';
    write_base64url(end, mac, mac_bytes);
    return token;
}
