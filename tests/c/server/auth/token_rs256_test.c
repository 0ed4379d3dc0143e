/*
 * token: RS256 with an issuer's keys, beside HS256 with the secret. Each trap is tried with its
 * vector where there is one (made with another library), else with keys made here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/hmac.h>
#include <stdio.h>

#include "server/auth/base64.h"
#include "tests/c/server/rsa.h"
#include "server/auth/token.h"

#define ISSUER   "https://tenant.example.auth0.com/"
#define AUDIENCE "https://api.example.com"
#define SECRET   "0123456789abcdef0123456789abcdef"
#define NOW      2000000000
#define HEADER   "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"one\"}"
#define GOOD \
    "\"sub\":\"auth0|64f\",\"iss\":\"" ISSUER "\",\"aud\":\"" AUDIENCE "\",\"exp\":2000000001"
#define PAYLOAD "{" GOOD "}"

static const char vector_jwks[] =
    "{\"keys\":[{\"kty\":\"RSA\",\"use\":\"sig\",\"alg\":\"RS256\",\"kid\":\"test-key"
    "-1\",\"n\":\"4x-9HOwJt_M4Dpfgu4cY_dN0nyIANuRjE8vL7J9FeWN0-ku4nYW9Z392umNOAroY9ML"
    "ldIPcQmTP8864KyMZ3f2xc5-fmDdmBjnZ6a3ljf47RilSmLncU1HcQ6_Fh2_HZtQbAuNMDO_5o60iP-T"
    "_U1Rkg5gVgbzDyeliEqg3W8pbqTnlQX7ltviDdMZYym6L-n4BFbvu2hR1GiOZDQ1CDHj4CEG2x4c1unV"
    "7EC6YAcCdwn-mRrg0yHiGnjvhM1ttPTkxtagn48c4ziimuRN2uRRPRoB6AIXwEusSt-suEOA13AHy0HX"
    "OGdQmBkoSq3cBQYcPZ01D-CWIixrBuxRSCw\",\"e\":\"AQAB\"}]}";
static const char vector_token[] =
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InRlc3Qta2V5LTEifQ.eyJpc3MiOiJodHRwc"
    "zovL3RlbmFudC5leGFtcGxlLmF1dGgwLmNvbS8iLCJzdWIiOiJhdXRoMHw2NGYwYzBmZmVlMDEyMzQ1N"
    "jc4OWFiY2QiLCJhdWQiOlsiaHR0cHM6Ly9hcGkuZXhhbXBsZS5jb20iLCJodHRwczovL3RlbmFudC5le"
    "GFtcGxlLmF1dGgwLmNvbS91c2VyaW5mbyJdLCJpYXQiOjE3NjAwMDAwMDAsImV4cCI6NDEwMjQ0NDgwM"
    "CwiYXpwIjoiQWJDZEVmR2hJaktsTW5PcFFyU3RVdld4WXowMTIzNDUiLCJzY29wZSI6Im9wZW5pZCBwc"
    "m9maWxlIGNyZWF0ZTpqb2JzIiwicGVybWlzc2lvbnMiOlsiY3JlYXRlOmpvYnMiXX0.Zy0JrBDl8t8hP"
    "JXqckFFrdEQBi4iZKydWJK6sHtXU4AEauy9x_l5nb4-hpmephjX40ZPKS9Dj20C6PIjmEmnIXXs67nnp"
    "qSuX3FW2NaIW3AKMuf9BegYCJnB8vhgQhwVAyhvP3EPiScfgG1Hvm1twAbcBP0ymnn9nhh-SzChz-usc"
    "rktG-7nODvhn2K9TlISPjbyJLVahjZmQ895VsoZacYvBVSd3-JHSHO5NPinGEMRoCIprAEiINT20r-1R"
    "3DLyGl-0_lQn0usJiDivsrRdilrzebmKA_hWfO04m5o5-GUyQusmfvcbixAaK7-c212hI9kQKVqUJD0K"
    "YbEn08P4g";
static const char none_token[] =
    "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczovL3RlbmFudC5leGFtcGxlLmF1"
    "dGgwLmNvbS8iLCJzdWIiOiJhdXRoMHw2NGYwYzBmZmVlMDEyMzQ1Njc4OWFiY2QiLCJhdWQiOlsiaHR0"
    "cHM6Ly9hcGkuZXhhbXBsZS5jb20iLCJodHRwczovL3RlbmFudC5leGFtcGxlLmF1dGgwLmNvbS91c2Vy"
    "aW5mbyJdLCJpYXQiOjE3NjAwMDAwMDAsImV4cCI6NDEwMjQ0NDgwMCwiYXpwIjoiQWJDZEVmR2hJakts"
    "TW5PcFFyU3RVdld4WXowMTIzNDUiLCJzY29wZSI6Im9wZW5pZCBwcm9maWxlIGNyZWF0ZTpqb2JzIiwi"
    "cGVybWlzc2lvbnMiOlsiY3JlYXRlOmpvYnMiXX0.";
static const char confused_token[] =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InRlc3Qta2V5LTEifQ.eyJpc3MiOiJodHRwc"
    "zovL3RlbmFudC5leGFtcGxlLmF1dGgwLmNvbS8iLCJzdWIiOiJhdXRoMHxhZG1pbiIsImF1ZCI6Imh0d"
    "HBzOi8vYXBpLmV4YW1wbGUuY29tIiwiZXhwIjo0MTAyNDQ0ODAwfQ.mJFqIgaDHH2uS-BTsgykIX_Iti"
    "dC-MfQsiQPxvIGpD4";
static const char vector_pem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA4x+9HOwJt/M4Dpfgu4cY\n"
    "/dN0nyIANuRjE8vL7J9FeWN0+ku4nYW9Z392umNOAroY9MLldIPcQmTP8864KyMZ\n"
    "3f2xc5+fmDdmBjnZ6a3ljf47RilSmLncU1HcQ6/Fh2/HZtQbAuNMDO/5o60iP+T/\n"
    "U1Rkg5gVgbzDyeliEqg3W8pbqTnlQX7ltviDdMZYym6L+n4BFbvu2hR1GiOZDQ1C\n"
    "DHj4CEG2x4c1unV7EC6YAcCdwn+mRrg0yHiGnjvhM1ttPTkxtagn48c4ziimuRN2\n"
    "uRRPRoB6AIXwEusSt+suEOA13AHy0HXOGdQmBkoSq3cBQYcPZ01D+CWIixrBuxRS\n"
    "CwIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

static struct token_keys keys = { SECRET, "", ISSUER, AUDIENCE, true, NULL };
static EVP_PKEY         *own_key, *other_key;

static struct jwks *vector_set(void)
{
    struct jwks *jwks = jwks_parse(vector_jwks, strlen(vector_jwks), NULL);

    assert_non_null(jwks);
    return jwks;
}

static const char *why(const struct token_keys *with, const char *token)
{
    static struct err   err;
    struct token_claims claims;

    if (token_verify(with, token, NOW, &claims, &err))
        return "";
    assert_true(err_is(&err, "KN009") || err_is(&err, "HJ001"));
    return err_is(&err, "HJ001") ? "unknown key" : err.message;
}

#define assert_refused(token, sentence) assert_string_equal(why(&keys, token), sentence)
#define assert_passes(token)            assert_string_equal(why(&keys, token), "")

static const char *hs256(const char *secret, const char *header, const char *payload)
{
    static char   token[4000];
    unsigned char mac[32];
    char         *end = base64url_write(token, header, strlen(header));

    *end++ = '.';
    end    = base64url_write(end, payload, strlen(payload));
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (unsigned char *)token, (size_t)(end - token),
         mac, NULL);
    *end++ = '.';
    base64url_write(end, mac, sizeof(mac));
    return token;
}

static void the_vector_passes_with_its_set_and_gives_its_claims(void **state)
{
    struct jwks        *jwks   = vector_set();
    struct token_keys   vector = { SECRET, "", ISSUER, AUDIENCE, true, jwks };
    struct token_claims claims;
    struct err          err;

    (void)state;
    assert_true(token_verify(&vector, vector_token, NOW, &claims, &err));
    assert_string_equal(claims.sub, "auth0|64f0c0ffee0123456789abcd");
    assert_string_equal(claims.iss, ISSUER);
    assert_string_equal(claims.scope, "openid profile create:jobs");
    assert_int_equal(claims.issued_us, INT64_C(1760000000000000));
    assert_int_equal(claims.expires_at, 4102444800);
    assert_ptr_equal(claims.key, jwks_find(jwks, "test-key-1"));
    assert_false(token_verify(&vector, vector_token, 4102444800, &claims, &err));
    assert_string_equal(err.message, "the token has expired");
    vector.audience = "https://other.example.com";
    assert_string_equal(why(&vector, vector_token), "the token is meant for another audience");
    vector.audience = AUDIENCE;
    vector.issuer   = "https://tenant.example.auth0.com"; /* without the slash */
    assert_string_equal(why(&vector, vector_token), "the token is of another issuer");
    jwks_free(jwks);
}

static void alg_none_and_confusion_are_refused_by_their_vectors(void **state)
{
    struct jwks      *jwks   = vector_set();
    struct token_keys vector = { SECRET, "", ISSUER, AUDIENCE, true, jwks };

    (void)state;
    assert_string_equal(why(&vector, none_token), "this is not a JSON Web Token");
    assert_string_equal(why(&vector, confused_token), "the token's signature is wrong");
    /* Even with the public key as the secret: what the secret signs is never the issuer's. */
    vector.secret = vector_pem;
    assert_string_equal(why(&vector, confused_token), "the token is of another issuer");
    vector.secret = "";
    assert_string_equal(why(&vector, confused_token), "the token's signature is wrong");
    jwks_free(jwks);
}

static void without_keys_a_good_token_is_for_later_and_a_bad_one_is_bad(void **state)
{
    struct token_keys early = { SECRET, "", ISSUER, AUDIENCE, true, NULL };
    struct token_keys never = { SECRET, "", ISSUER, AUDIENCE, false, NULL };

    (void)state;
    assert_string_equal(why(&early, vector_token), "unknown key");
    assert_string_equal(why(&early, none_token), "this is not a JSON Web Token");
    assert_string_equal(why(&never, vector_token), "the token's algorithm is not HS256");
}

static void another_key_under_the_same_kid_does_not_verify(void **state)
{
    (void)state;
    assert_passes(rsa_sign(own_key, HEADER, PAYLOAD));
    assert_refused(rsa_sign(other_key, HEADER, PAYLOAD), "the token's signature is wrong");
    assert_refused(rsa_sign(own_key, "{\"alg\":\"RS256\",\"kid\":\"two\"}", PAYLOAD),
                   "unknown key");
    assert_refused(rsa_sign(own_key, "{\"alg\":\"RS256\",\"kid\":\"ONE\"}", PAYLOAD),
                   "unknown key");
}

static void a_token_that_names_no_key_is_refused(void **state)
{
    static const char *const headers[] = { "{\"alg\":\"RS256\"}",
                                           "{\"alg\":\"RS256\",\"kid\":\"\"}",
                                           "{\"alg\":\"RS256\",\"kid\":null}",
                                           "{\"alg\":\"RS256\",\"kid\":[\"one\"]}" };

    (void)state;
    for (size_t i = 0; i < countof(headers); i++)
        assert_refused(rsa_sign(own_key, headers[i], PAYLOAD),
                       "the token does not say which key signed it");
}

static void no_other_algorithm_is_taken_from_the_token(void **state)
{
    static const char *const algs[] = { "none",  "None",  "rs256", "RS384", "RS512",
                                        "PS256", "ES256", "HS384", "EdDSA", "" };
    char                     header[100];

    (void)state;
    for (size_t i = 0; i < countof(algs); i++) {
        snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"one\"}", algs[i]);
        assert_refused(rsa_sign(own_key, header, PAYLOAD),
                       "the token's algorithm is neither HS256 nor RS256");
    }
    /* The header of one, the signature of the other. */
    assert_refused(rsa_sign(own_key, "{\"alg\":\"HS256\",\"kid\":\"one\"}", PAYLOAD),
                   "the token's signature is wrong");
    assert_refused(hs256(SECRET, HEADER, PAYLOAD), "the token's signature is wrong");
}

static void keys_in_the_token_itself_are_not_looked_at(void **state)
{
    char *jwk = rsa_jwk(other_key, "one", ""), header[2000];

    (void)state;
    snprintf(header, sizeof(header),
             "{\"alg\":\"RS256\",\"kid\":\"one\",\"jwk\":%s,\"jku\":\"https://evil.example/\"}",
             jwk);
    assert_refused(rsa_sign(other_key, header, PAYLOAD), "the token's signature is wrong");
    assert_passes(rsa_sign(own_key, header, PAYLOAD));
    free(jwk);
}

static void the_issuers_name_is_worth_nothing_under_the_secret(void **state)
{
    static const char header[] = "{\"alg\":\"HS256\"}";

    (void)state;
    assert_refused(hs256(SECRET, header, PAYLOAD), "the token is of another issuer");
    assert_refused(hs256(SECRET, header,
                         "{\"sub\":\"x\",\"exp\":2000000001,\"aud\":\"" AUDIENCE
                         "\",\"iss\":\"urn:kiln:admin-key\"}"),
                   "the token is of another issuer");
    assert_passes(
        hs256(SECRET, header, "{\"sub\":\"x\",\"exp\":2000000001,\"aud\":\"" AUDIENCE "\"}"));
    assert_passes(hs256(SECRET, header,
                        "{\"sub\":\"x\",\"exp\":2000000001,\"aud\":\"" AUDIENCE
                        "\",\"iss\":\"" TOKEN_WALLET_ISSUER "\"}"));
}

static void an_issuer_cannot_speak_for_wallets_nor_for_anybody_else(void **state)
{
    static const char *const issuers[] = { TOKEN_WALLET_ISSUER, "urn:kiln:admin-key", "",
                                           "https://tenant.example.auth0.com",
                                           "https://TENANT.example.auth0.com/" };
    struct token_keys        odd       = keys;
    char                     payload[300];

    (void)state;
    for (size_t i = 0; i < countof(issuers); i++) {
        snprintf(payload, sizeof(payload),
                 "{\"sub\":\"x\",\"exp\":2000000001,\"aud\":\"" AUDIENCE "\",\"iss\":\"%s\"}",
                 issuers[i]);
        assert_refused(rsa_sign(own_key, HEADER, payload), "the token is of another issuer");
    }
    assert_refused(
        rsa_sign(own_key, HEADER, "{\"sub\":\"x\",\"exp\":2000000001,\"aud\":\"" AUDIENCE "\"}"),
        "the token is of another issuer");
    odd.issuer = TOKEN_WALLET_ISSUER; /* nor where it is configured so */
    snprintf(payload, sizeof(payload),
             "{\"sub\":\"x\",\"exp\":2000000001,\"aud\":\"" AUDIENCE
             "\",\"iss\":\"" TOKEN_WALLET_ISSUER "\"}");
    assert_string_equal(why(&odd, rsa_sign(own_key, HEADER, payload)),
                        "the token is of another issuer");
}

static void a_role_in_an_issuers_token_makes_nobody_an_administrator(void **state)
{
    struct token_claims claims;
    struct err          err;

    (void)state;
    assert_true(token_verify(&keys, rsa_sign(own_key, HEADER, "{" GOOD ",\"role\":\"admin\"}"), NOW,
                             &claims, &err));
    assert_false(claims.is_admin);
    assert_false(claims.has_role); /* then the account's own holds */
}

static void dates_audience_and_subject_count_as_for_the_secret(void **state)
{
#define AS "\"iss\":\"" ISSUER "\","
    static const struct {
        const char *payload, *why;
    } cases[] = {
        { "{" AS "\"sub\":\"x\",\"aud\":\"" AUDIENCE "\"}", "the token has no exp" },
        { "{" AS "\"sub\":\"x\",\"aud\":\"" AUDIENCE "\",\"exp\":2000000000}",
          "the token has expired" },
        { "{" AS "\"sub\":\"x\",\"aud\":\"" AUDIENCE "\",\"exp\":2000000001,\"nbf\":2000000031}",
          "the token is not valid yet" },
        { "{" AS "\"sub\":\"x\",\"aud\":\"" AUDIENCE "\",\"exp\":2000000001,\"iat\":2000000031}",
          "the token was issued in the future" },
        { "{" AS "\"sub\":\"x\",\"exp\":2000000001}", "the token is meant for another audience" },
        { "{" AS "\"sub\":\"x\",\"aud\":\"client-id\",\"exp\":2000000001}",
          "the token is meant for another audience" },
        { "{" AS "\"aud\":\"" AUDIENCE "\",\"exp\":2000000001}", "the token has no usable sub" },
        { "{" GOOD ",\"sub\":\"somebody else\"}", "the token's payload is not a JSON object" },
        { "[]", "the token's payload is not a JSON object" },
        { "{" AS "\"sub\":\"x\",\"aud\":[\"" AUDIENCE
          "\",\"https://x/userinfo\"],\"exp\":2000000001}",
          "" },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++)
        assert_refused(rsa_sign(own_key, HEADER, cases[i].payload), cases[i].why);
}

static void a_header_that_can_be_read_in_two_ways_is_refused(void **state)
{
    (void)state;
    assert_refused(
        rsa_sign(own_key, "{\"alg\":\"RS256\",\"alg\":\"none\",\"kid\":\"one\"}", PAYLOAD),
        "the token's algorithm is neither HS256 nor RS256");
    assert_refused(
        rsa_sign(own_key, "{\"alg\":\"RS256\",\"kid\":\"two\",\"kid\":\"one\"}", PAYLOAD),
        "the token's algorithm is neither HS256 nor RS256");
    assert_refused(rsa_sign(own_key,
                            "{\"alg\":\"RS256\",\"kid\":\"one\",\"crit\":[\"b64\"],\"b64\":false}",
                            PAYLOAD),
                   "the token needs extensions that are not known here");
}

static void a_huge_token_is_refused_before_it_is_read(void **state)
{
    char payload[9000];
    int  len = snprintf(payload, sizeof(payload), "{" GOOD ",\"x\":\"");

    (void)state;
    memset(payload + len, 'x', 7000);
    memcpy(payload + len + 7000, "\"}", 3);
    assert_refused(rsa_sign(own_key, HEADER, payload), "this is not a JSON Web Token");
}

static void every_change_of_one_character_is_refused(void **state)
{
    char  *token = strdup(rsa_sign(own_key, HEADER, PAYLOAD));
    size_t len   = strlen(token);

    (void)state;
    for (size_t i = 0; i < len; i++) {
        char kept = token[i];
        for (const char *c = "AZaz09-_.=+/ "; *c; c++) {
            token[i] = *c;
            if (*c != kept)
                assert_string_not_equal(why(&keys, token), "");
        }
        token[i] = kept;
    }
    assert_passes(token);
    token[len - 4] = '\0'; /* a shorter signature, still of whole bytes */
    assert_refused(token, "the token's signature is wrong");
    free(token);
}

static int make_keys(void **state)
{
    char       *jwk;
    const char *one[1];
    char       *text;

    (void)state;
    own_key   = rsa_make(2048);
    other_key = rsa_make(2048);
    one[0] = jwk = rsa_jwk(own_key, "one", "");
    text         = rsa_jwks(one, 1);
    keys.jwks    = jwks_parse(text, strlen(text), NULL);
    free(text);
    free(jwk);
    return keys.jwks ? 0 : -1;
}

static int free_keys(void **state)
{
    (void)state;
    jwks_free((struct jwks *)(uintptr_t)keys.jwks);
    EVP_PKEY_free(own_key);
    EVP_PKEY_free(other_key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_passes_with_its_set_and_gives_its_claims),
        cmocka_unit_test(alg_none_and_confusion_are_refused_by_their_vectors),
        cmocka_unit_test(without_keys_a_good_token_is_for_later_and_a_bad_one_is_bad),
        cmocka_unit_test(another_key_under_the_same_kid_does_not_verify),
        cmocka_unit_test(a_token_that_names_no_key_is_refused),
        cmocka_unit_test(no_other_algorithm_is_taken_from_the_token),
        cmocka_unit_test(keys_in_the_token_itself_are_not_looked_at),
        cmocka_unit_test(the_issuers_name_is_worth_nothing_under_the_secret),
        cmocka_unit_test(an_issuer_cannot_speak_for_wallets_nor_for_anybody_else),
        cmocka_unit_test(a_role_in_an_issuers_token_makes_nobody_an_administrator),
        cmocka_unit_test(dates_audience_and_subject_count_as_for_the_secret),
        cmocka_unit_test(a_header_that_can_be_read_in_two_ways_is_refused),
        cmocka_unit_test(a_huge_token_is_refused_before_it_is_read),
        cmocka_unit_test(every_change_of_one_character_is_refused),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
