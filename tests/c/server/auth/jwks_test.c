/*
 * jwks: which keys of an issuer's set are taken, and that what is taken is the key it says.
 */
#include "server/auth/jwks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/pem.h>

#include "tests/c/server/rsa.h"

#define N                                                                                  \
    "4x-9HOwJt_M4Dpfgu4cY_dN0nyIANuRjE8vL7J9FeWN0-ku4nYW9Z392umNOAroY9MLldIPcQmTP8864KyMZ" \
    "3f2xc5-fmDdmBjnZ6a3ljf47RilSmLncU1HcQ6_Fh2_HZtQbAuNMDO_5o60iP-T_U1Rkg5gVgbzDyeliEqg3" \
    "W8pbqTnlQX7ltviDdMZYym6L-n4BFbvu2hR1GiOZDQ1CDHj4CEG2x4c1unV7EC6YAcCdwn-mRrg0yHiGnjvh" \
    "M1ttPTkxtagn48c4ziimuRN2uRRPRoB6AIXwEusSt-suEOA13AHy0HXOGdQmBkoSq3cBQYcPZ01D-CWIixrB" \
    "uxRSCw"

static const char public_pem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA4x+9HOwJt/M4Dpfgu4cY\n"
    "/dN0nyIANuRjE8vL7J9FeWN0+ku4nYW9Z392umNOAroY9MLldIPcQmTP8864KyMZ\n"
    "3f2xc5+fmDdmBjnZ6a3ljf47RilSmLncU1HcQ6/Fh2/HZtQbAuNMDO/5o60iP+T/\n"
    "U1Rkg5gVgbzDyeliEqg3W8pbqTnlQX7ltviDdMZYym6L+n4BFbvu2hR1GiOZDQ1C\n"
    "DHj4CEG2x4c1unV7EC6YAcCdwn+mRrg0yHiGnjvhM1ttPTkxtagn48c4ziimuRN2\n"
    "uRRPRoB6AIXwEusSt+suEOA13AHy0HXOGdQmBkoSq3cBQYcPZ01D+CWIixrBuxRS\n"
    "CwIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

static struct jwks *parse(const char *text)
{
    struct err   err  = { 0 };
    struct jwks *jwks = jwks_parse(text, strlen(text), &err);

    if (!jwks)
        assert_string_equal(err.sqlstate, "22023");
    return jwks;
}

/* How many keys are taken of a set of the vector's, with these members, and a good one besides. */
static size_t taken(const char *members)
{
    char         text[4000];
    struct jwks *jwks;
    size_t       count;

    snprintf(text, sizeof(text),
             "{\"keys\":[{%s},{\"kty\":\"RSA\",\"kid\":\"good\",\"n\":\"" N "\",\"e\":\"AQAB\"}]}",
             members);
    jwks = parse(text);
    assert_non_null(jwks);
    assert_non_null(jwks_find(jwks, "good"));
    count = jwks_count(jwks) - 1;
    jwks_free(jwks);
    return count;
}

static void the_vector_becomes_the_pem_that_openssl_would_write(void **state)
{
    struct jwks *jwks = parse("{\"keys\":[{\"kty\":\"RSA\",\"use\":\"sig\",\"alg\":\"RS256\","
                              "\"kid\":\"test-key-1\",\"n\":\"" N "\",\"e\":\"AQAB\"}]}");
    BIO         *bio  = BIO_new(BIO_s_mem());
    char        *text;
    long         bytes;

    (void)state;
    assert_non_null(jwks);
    assert_int_equal(jwks_count(jwks), 1);
    assert_int_equal(PEM_write_bio_PUBKEY(bio, jwks_find(jwks, "test-key-1")->public_key), 1);
    bytes = BIO_get_mem_data(bio, &text);
    assert_int_equal(bytes, sizeof(public_pem) - 1);
    assert_memory_equal(text, public_pem, sizeof(public_pem) - 1);
    assert_null(jwks_find(jwks, "test-key-2"));
    assert_null(jwks_find(jwks, ""));
    BIO_free(bio);
    jwks_free(jwks);
}

#define KEY  "\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"" N "\",\"e\":\"AQAB\""
#define NO_E "\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"" N "\""

static void keys_of_other_kinds_and_uses_are_passed_over(void **state)
{
    static const char *const others[] = {
        "",
        KEY ",\"use\":\"enc\"",
        KEY ",\"use\":null",
        KEY ",\"alg\":\"RS512\"",
        KEY ",\"alg\":\"PS256\"",
        KEY ",\"alg\":\"HS256\"",
        KEY ",\"alg\":\"none\"",
        KEY ",\"alg\":7",
        KEY ",\"key_ops\":[\"encrypt\"]",
        KEY ",\"key_ops\":\"verify\"",
        KEY ",\"d\":\"AQAB\"",
        NO_E,
        NO_E ",\"e\":\"AQ\"",   /* one: everything would be its own signature */
        NO_E ",\"e\":\"AQAC\"", /* even */
        NO_E ",\"e\":\"AQAAAAE\"",
        NO_E ",\"e\":\"\"",
        NO_E ",\"e\":65537",
        NO_E ",\"e\":\"AQAB=\"",
        "\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":\"AQAB\"",
        "\"kty\":\"RSA\",\"kid\":\"\",\"n\":\"" N "\",\"e\":\"AQAB\"",
        "\"kty\":\"RSA\",\"kid\":7,\"n\":\"" N "\",\"e\":\"AQAB\"",
        "\"kty\":\"oct\",\"kid\":\"k\",\"k\":\"c2VjcmV0\"",
        "\"kty\":\"rsa\",\"kid\":\"k\",\"n\":\"" N "\",\"e\":\"AQAB\"",
        "\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"" N "+/\",\"e\":\"AQAB\"",
        "\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k\",\"x\":\"AQAB\",\"y\":\"AQAB\"",
    };

    (void)state;
    for (size_t i = 0; i < countof(others); i++)
        assert_int_equal(taken(others[i]), 0);
    assert_int_equal(taken(KEY), 1);
    assert_int_equal(taken(KEY ",\"use\":\"sig\",\"alg\":\"RS256\",\"key_ops\":[\"verify\"],"
                               "\"x5c\":[\"ignored\"],\"x5t\":\"too\""),
                     1);
}

static void a_key_below_2048_bits_is_no_key(void **state)
{
    EVP_PKEY   *weak = rsa_make(2040), *big = rsa_make(3072);
    char       *weak_jwk = rsa_jwk(weak, "k", ""), *big_jwk = rsa_jwk(big, "k", "");
    const char *one[] = { weak_jwk };
    char       *text  = rsa_jwks(one, 1);

    (void)state;
    assert_null(parse(text)); /* and a set without a key is none */
    weak_jwk[strlen(weak_jwk) - 1] = big_jwk[strlen(big_jwk) - 1] = '\0';
    assert_int_equal(taken(weak_jwk + 1), 0);
    assert_int_equal(taken(big_jwk + 1), 1);
    free(text);
    free(weak_jwk);
    free(big_jwk);
    EVP_PKEY_free(weak);
    EVP_PKEY_free(big);
}

static void what_two_readers_could_read_differently_is_no_set(void **state)
{
    static const char *const bad[] = {
        "{\"keys\":[{" KEY "},{" KEY "}]}", /* one kid twice */
        "{\"keys\":[{" KEY ",\"kid\":\"other\"}]}",
        "{\"keys\":[{" KEY "}],\"keys\":[{" KEY "}]}",
        "{\"keys\":[{" KEY "}]} x",
        "[{" KEY "}]",
        "{\"keys\":{\"0\":{" KEY "}}}",
        "{\"keys\":[{\"kid\":\"a\\u0000b\"}]}",
        "{\"keys\":[]}",
        "{\"keys\":[null,7,[]]}",
        "{}",
        "",
        "<html>down for maintenance</html>",
    };

    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        assert_null(parse(bad[i]));
}

static void a_kid_of_a_key_that_is_passed_over_is_free(void **state)
{
    struct jwks *jwks = parse("{\"keys\":[{" KEY ",\"use\":\"enc\"},{" KEY ",\"use\":\"sig\"}]}");

    (void)state;
    assert_int_equal(jwks_count(jwks), 1);
    jwks_free(jwks);
}

static void more_keys_than_there_are_places_are_no_set(void **state)
{
    char  *text = malloc(100000);
    size_t len  = (size_t)sprintf(text, "{\"keys\":[");

    (void)state;
    for (int i = 0; i <= JWKS_KEYS_MAX; i++)
        len += (size_t)sprintf(text + len, "%s{\"kty\":\"EC\"}", i ? "," : "");
    memcpy(text + len, "]}", 3);
    assert_null(parse(text));
    free(text);
}

static void the_same_key_is_found_again_and_another_under_its_kid_is_not(void **state)
{
    EVP_PKEY              *other     = rsa_make(2048);
    char                  *other_jwk = rsa_jwk(other, "k", "");
    const char            *one[]     = { other_jwk };
    char                  *text      = rsa_jwks(one, 1);
    struct jwks           *before    = parse("{\"keys\":[{" KEY "}]}");
    struct jwks           *same      = parse("{\"keys\":[{" KEY ",\"use\":\"sig\"}]}");
    struct jwks           *changed   = parse(text);
    const struct jwks_key *key       = jwks_find(before, "k");

    (void)state;
    assert_ptr_equal(jwks_find_same(same, key), jwks_find(same, "k"));
    assert_null(jwks_find_same(changed, key));
    assert_null(jwks_find_same(NULL, key));
    jwks_free(before);
    jwks_free(same);
    jwks_free(changed);
    free(text);
    free(other_jwk);
    EVP_PKEY_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_becomes_the_pem_that_openssl_would_write),
        cmocka_unit_test(keys_of_other_kinds_and_uses_are_passed_over),
        cmocka_unit_test(a_key_below_2048_bits_is_no_key),
        cmocka_unit_test(what_two_readers_could_read_differently_is_no_set),
        cmocka_unit_test(a_kid_of_a_key_that_is_passed_over_is_free),
        cmocka_unit_test(more_keys_than_there_are_places_are_no_set),
        cmocka_unit_test(the_same_key_is_found_again_and_another_under_its_kid_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
