/* sigv4: the vectors, each by its name: those AWS has published, and those computed by two signers
 * that agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/sigv4.h"

static const struct sigv4_keys aws   = { "AKIAIOSFODNN7EXAMPLE",
                                         "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL,
                                         "us-east-1" };
static const struct sigv4_keys minio = { "minioadmin", "minioadmin", NULL, "us-east-1" };

#define AWS_DAY   1369353600 /* 2013-05-24 */
#define NEW_YEAR  1767225600 /* 2026-01-01 */
#define EMPTY_SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HEADERS(...)                                         \
    .headers  = (const struct sigv4_pair[]) { __VA_ARGS__ }, \
    .nheaders = countof(((const struct sigv4_pair[]) { __VA_ARGS__ }))
#define QUERY(...)                                         \
    .query  = (const struct sigv4_pair[]) { __VA_ARGS__ }, \
    .nquery = countof(((const struct sigv4_pair[]) { __VA_ARGS__ }))

static void ends_with(char *url, const char *signature)
{
    const char *at = strstr(url, "&X-Amz-Signature=");

    assert_non_null(at);
    assert_string_equal(at + 17, signature);
    free(url);
}

static void vector_1_presigned_get_as_aws_publishes_it(void **state)
{
    struct sigv4_request get = { "GET", "examplebucket.s3.amazonaws.com", "/test.txt",
                                 .at = AWS_DAY };
    char                *url = sigv4_presign(&aws, &get, "https", 86400);

    (void)state;
    assert_string_equal(
        url,
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
        "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    free(url);
}

static void vector_1_canonical_request_has_its_hash(void **state)
{
    struct sigv4_request get = {
        "GET",
        "examplebucket.s3.amazonaws.com",
        "/test.txt",
        .at           = AWS_DAY,
        .payload_hash = SIGV4_UNSIGNED,
        QUERY({ "X-Amz-SignedHeaders", "host" }, { "X-Amz-Expires", "86400" },
              { "X-Amz-Date", "20130524T000000Z" },
              { "X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request" },
              { "X-Amz-Algorithm", "AWS4-HMAC-SHA256" })
    };
    struct sigv4_signature s;

    (void)state;
    sigv4_sign(&aws, &get, &s);
    assert_string_equal(s.canonical,
                        "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04");
    assert_string_equal(s.signature,
                        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    sigv4_free(&s);
}

#define PUT_UMLAUT                                         \
    "PUT", "127.0.0.1:9000", "/media/in/a b+\xc3\xbc.png", \
        .at = NEW_YEAR, HEADERS({ "content-type", "image/png" }, { "content-length", "12345" })

static void vector_2_presigned_put_bound_to_size_and_type(void **state)
{
    struct sigv4_request put = { PUT_UMLAUT };
    char                *url = sigv4_presign(&minio, &put, "http", 900);

    (void)state;
    assert_non_null(strstr(url, "/media/in/a%20b%2B%C3%BC.png?"));
    assert_non_null(strstr(url, "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost"));
    ends_with(url, "7ceac2a98cffb9fe2ffabaf071a16186464f2eff714bb15f6c1ef440af1c8583");
}

static void vector_2_with_the_sdk_s_two_parameters(void **state)
{
    struct sigv4_request put = {
        PUT_UMLAUT, QUERY({ "x-id", "PutObject" }, { "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD" })
    };

    (void)state;
    ends_with(sigv4_presign(&minio, &put, "http", 900),
              "af6650100d19d9347e35fd41041c11df5864051f187985281d53d0b1b5644e7f");
}

static void vector_3_presigned_get_with_a_disposition(void **state)
{
    struct sigv4_request get = { "GET", "127.0.0.1:9000", "/media/out/1.png", .at = NEW_YEAR,
                                 QUERY({ "response-content-disposition",
                                         "attachment; filename=\"a b.png\"" }) };

    (void)state;
    ends_with(sigv4_presign(&minio, &get, "http", 300),
              "ef5e4111121d5602e4162d696881c6344804b4cbb6fa2ada7855d9021ad7244b");
}

static void header_is(const struct sigv4_request *request, const char *signature)
{
    struct sigv4_signature s;

    sigv4_sign(&aws, request, &s);
    assert_string_equal(s.signature, signature);
    sigv4_free(&s);
}

static void header_vector_get_with_a_range(void **state)
{
    struct sigv4_request   get = { "GET",
                                   "examplebucket.s3.amazonaws.com",
                                   "/test.txt",
                                   .at           = AWS_DAY,
                                   .payload_hash = EMPTY_SHA,
                                   HEADERS({ "range", "bytes=0-9" },
                                           { "x-amz-content-sha256", EMPTY_SHA },
                                           { "x-amz-date", "20130524T000000Z" }) };
    struct sigv4_signature s;
    char                  *value;

    (void)state;
    header_is(&get, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    sigv4_sign(&aws, &get, &s);
    value = sigv4_authorization(&aws, &s);
    assert_string_equal(
        value,
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    free(value);
    sigv4_free(&s);
}

static void header_vector_put_with_a_body(void **state)
{
    char hash[65];

    (void)state;
    sigv4_sha256("Welcome to Amazon S3.", 21, hash);
    struct sigv4_request put = { "PUT",
                                 "examplebucket.s3.amazonaws.com",
                                 "/test$file.text",
                                 .at           = AWS_DAY,
                                 .payload_hash = hash,
                                 HEADERS({ "date", "Fri, 24 May 2013 00:00:00 GMT" },
                                         { "x-amz-content-sha256", hash },
                                         { "x-amz-date", "20130524T000000Z" },
                                         { "x-amz-storage-class", "REDUCED_REDUNDANCY" }) };
    header_is(&put, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void header_vector_list(void **state)
{
    struct sigv4_request get = { "GET",
                                 "examplebucket.s3.amazonaws.com",
                                 "/",
                                 .at           = AWS_DAY,
                                 .payload_hash = EMPTY_SHA,
                                 QUERY({ "prefix", "J" }, { "max-keys", "2" }),
                                 HEADERS({ "x-amz-content-sha256", EMPTY_SHA },
                                         { "x-amz-date", "20130524T000000Z" }) };

    (void)state;
    header_is(&get, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void values_are_trimmed_and_their_spaces_made_one(void **state)
{
    struct sigv4_request   a = { "GET",
                                 "h",
                                 "/",
                                 .at           = NEW_YEAR,
                                 .payload_hash = SIGV4_UNSIGNED,
                                 HEADERS({ "x-amz-meta-a", "  a   b " }) };
    struct sigv4_request   b = { "GET",
                                 "h",
                                 "/",
                                 .at           = NEW_YEAR,
                                 .payload_hash = SIGV4_UNSIGNED,
                                 HEADERS({ "x-amz-meta-a", "a b" }) };
    struct sigv4_signature s, t;

    (void)state;
    sigv4_sign(&minio, &a, &s);
    sigv4_sign(&minio, &b, &t);
    assert_string_equal(s.signature, t.signature);
    sigv4_free(&s);
    sigv4_free(&t);
}

static void a_session_s_token_is_part_of_what_is_signed(void **state)
{
    struct sigv4_keys    session = { "a", "b", "token+", "eu-central-1" };
    struct sigv4_request get     = { "GET", "h", "/k", .at = NEW_YEAR };
    char                *url     = sigv4_presign(&session, &get, "https", 60);

    (void)state;
    assert_non_null(strstr(url, "&X-Amz-Security-Token=token%2B&"));
    assert_non_null(strstr(url, "%2Feu-central-1%2Fs3%2F"));
    free(url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_1_presigned_get_as_aws_publishes_it),
        cmocka_unit_test(vector_1_canonical_request_has_its_hash),
        cmocka_unit_test(vector_2_presigned_put_bound_to_size_and_type),
        cmocka_unit_test(vector_2_with_the_sdk_s_two_parameters),
        cmocka_unit_test(vector_3_presigned_get_with_a_disposition),
        cmocka_unit_test(header_vector_get_with_a_range),
        cmocka_unit_test(header_vector_put_with_a_body),
        cmocka_unit_test(header_vector_list),
        cmocka_unit_test(values_are_trimmed_and_their_spaces_made_one),
        cmocka_unit_test(a_session_s_token_is_part_of_what_is_signed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
