/* signature: a webhook is believed when its signature, its time and its key are right, and never
 * else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <strings.h>

#include "server/auth/signature.h"

struct pair {
    const char *name, *value;
};

static const char *find_header(void *ctx, const char *name)
{
    for (const struct pair *pair = ctx; pair->name; pair++)
        if (strcasecmp(pair->name, name) == 0)
            return pair->value;
    return NULL;
}

/* ---- fal: the vector of a key that RFC 8032 publishes ---- */

#define FAL_NOW 1760000000
#define FAL_ID  "123e4567-e89b-12d3-a456-426614174000"
#define FAL_SIGNATURE                                                  \
    "4a08812cde8d81ba3a731a4034f37c6a0f78de54fe9a2e945fa5645b40fe96bc" \
    "a1c53e506bc3af3f19cab0b6f5ffc04ddd0761c45cde3465747d80988656f106"
#define FAL_JWK \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
/* RFC 8032's second key: as good a key, and not this one's. */
#define OTHER_JWK \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw\"}"

static const char x25519_jwks[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":"
                                  "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static const char fal_body[] =
    "{\"request_id\":\"" FAL_ID "\",\"gateway_request_id\":\"" FAL_ID
    "\",\"status\":\"OK\",\"payload\":{\"images\":[{\"url\":\"https://v3.fal.media/files/x/y.png\","
    "\"content_type\":\"image/png\",\"width\":1024,\"height\":768}],\"seed\":42}}";

struct fal {
    struct pair headers[5];
    char        body[sizeof(fal_body)];
    const char *jwks;
    int64_t     now;
};

static struct fal fal_vector(void)
{
    struct fal fal = { .headers = { { "X-Fal-Webhook-Request-Id", FAL_ID },
                                    { "X-Fal-Webhook-User-Id", "user_0001" },
                                    { "X-Fal-Webhook-Timestamp", "1760000000" },
                                    { "X-Fal-Webhook-Signature", FAL_SIGNATURE } },
                       .jwks    = "{\"keys\":[" FAL_JWK "]}",
                       .now     = FAL_NOW };

    memcpy(fal.body, fal_body, sizeof(fal_body));
    return fal;
}

static enum signature_verdict fal_verdict(struct fal *fal)
{
    struct signature_keys    keys    = { .jwks = fal->jwks, .tolerance_s = 300 };
    struct signature_request request = { find_header, fal->headers, fal->body,
                                         sizeof(fal_body) - 1 };

    return signature_check("fal-ed25519", &keys, &request, fal->now);
}

static void fals_vector_verifies(void **state)
{
    struct fal fal = fal_vector();

    (void)state;
    assert_int_equal(sizeof(fal_body) - 1, 258);
    assert_int_equal(fal_verdict(&fal), SIGNATURE_GOOD);
}

static void any_changed_byte_of_fals_body_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(fal_body) - 1; i++) {
        struct fal fal = fal_vector();
        fal.body[i] ^= 1;
        assert_int_equal(fal_verdict(&fal), SIGNATURE_UNMATCHED);
    }
}

static void a_body_that_is_cut_or_longer_is_refused(void **state)
{
    struct fal               fal     = fal_vector();
    struct signature_keys    keys    = { .jwks = fal.jwks, .tolerance_s = 300 };
    struct signature_request request = { find_header, fal.headers, fal.body, sizeof(fal_body) - 2 };

    (void)state;
    assert_int_equal(signature_check("fal-ed25519", &keys, &request, FAL_NOW), SIGNATURE_UNMATCHED);
    request.body_bytes = sizeof(fal_body); /* with its NUL */
    assert_int_equal(signature_check("fal-ed25519", &keys, &request, FAL_NOW), SIGNATURE_UNMATCHED);
    request.body       = NULL;
    request.body_bytes = 0;
    assert_int_equal(signature_check("fal-ed25519", &keys, &request, FAL_NOW), SIGNATURE_UNMATCHED);
}

static void any_changed_header_is_refused(void **state)
{
    static const struct {
        int                    which;
        const char            *value;
        enum signature_verdict verdict;
    } changed[] = { { 0, "123e4567-e89b-12d3-a456-426614174001", SIGNATURE_UNMATCHED },
                    { 1, "user_0002", SIGNATURE_UNMATCHED },
                    { 2, "1760000001", SIGNATURE_UNMATCHED },
                    { 2, "01760000000", SIGNATURE_UNMATCHED },
                    { 2, "1760000000 ", SIGNATURE_INVALID },
                    { 2, "+1760000000", SIGNATURE_INVALID },
                    { 2, "1760000000.0", SIGNATURE_INVALID },
                    { 2, "9999999999999999999999", SIGNATURE_INVALID },
                    { 3, FAL_SIGNATURE "00", SIGNATURE_INVALID },
                    { 3, "00", SIGNATURE_INVALID },
                    { 3, "zz", SIGNATURE_INVALID },
                    { 3, "g", SIGNATURE_INVALID } };

    (void)state;
    for (size_t i = 0; i < countof(changed); i++) {
        struct fal fal                      = fal_vector();
        fal.headers[changed[i].which].value = changed[i].value;
        assert_int_equal(fal_verdict(&fal), changed[i].verdict);
    }
    for (size_t i = 0; i < strlen(FAL_SIGNATURE); i++) {
        struct fal fal       = fal_vector();
        char       text[129] = FAL_SIGNATURE;

        text[i]              = text[i] == '0' ? '1' : '0';
        fal.headers[3].value = text;
        assert_int_equal(fal_verdict(&fal), SIGNATURE_UNMATCHED);
        text[i] = 'g'; /* no hex */
        assert_int_equal(fal_verdict(&fal), SIGNATURE_INVALID);
        text[i] = '\0'; /* too short */
        assert_int_equal(fal_verdict(&fal), SIGNATURE_INVALID);
    }
}

static void any_missing_header_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct fal fal       = fal_vector();
        fal.headers[i].value = NULL;
        assert_int_equal(fal_verdict(&fal), SIGNATURE_INVALID);
        fal.headers[i].value = "";
        assert_int_equal(fal_verdict(&fal), SIGNATURE_INVALID);
    }
}

static void a_header_longer_than_any_of_theirs_is_refused(void **state)
{
    struct fal fal = fal_vector();
    char       text[10000];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (int i = 0; i < 4; i++) {
        fal                  = fal_vector();
        fal.headers[i].value = text;
        assert_int_equal(fal_verdict(&fal), SIGNATURE_INVALID);
    }
}

static void time_is_tolerated_for_five_minutes_either_way(void **state)
{
    struct fal fal = fal_vector();

    (void)state;
    fal.now = FAL_NOW + 300;
    assert_int_equal(fal_verdict(&fal), SIGNATURE_GOOD);
    fal.now = FAL_NOW + 301;
    assert_int_equal(fal_verdict(&fal), SIGNATURE_OLD);
    fal.now = FAL_NOW - 300;
    assert_int_equal(fal_verdict(&fal), SIGNATURE_GOOD);
    fal.now = FAL_NOW - 301;
    assert_int_equal(fal_verdict(&fal), SIGNATURE_OLD);
}

static void any_of_several_keys_may_have_made_it(void **state)
{
    struct fal fal = fal_vector();

    (void)state;
    fal.jwks = "{\"keys\":[" OTHER_JWK "," FAL_JWK "]}";
    assert_int_equal(fal_verdict(&fal), SIGNATURE_GOOD);
    fal.jwks = "{\"keys\":[" FAL_JWK "," OTHER_JWK "]}";
    assert_int_equal(fal_verdict(&fal), SIGNATURE_GOOD);
    fal.jwks = "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQ\",\"e\":\"AQAB\"},null,7,"
               "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"short\"}," FAL_JWK "]}";
    assert_int_equal(fal_verdict(&fal), SIGNATURE_GOOD);
    fal.jwks = "{\"keys\":[" OTHER_JWK "]}";
    assert_int_equal(fal_verdict(&fal), SIGNATURE_UNMATCHED);
}

static void without_a_key_nothing_is_believed(void **state)
{
    static const char *const none[] = { NULL,       "",   "null",          "{",
                                        "[]",       "{}", "{\"keys\":[]}", "{\"keys\":{}}",
                                        x25519_jwks };

    (void)state;
    for (size_t i = 0; i < countof(none); i++) {
        struct fal fal = fal_vector();
        fal.jwks       = none[i];
        assert_int_equal(fal_verdict(&fal), SIGNATURE_KEY_UNKNOWN);
    }
}

/* ---- Standard Webhooks: the vector of its specification ---- */

#define SW_NOW    1614265330
#define SW_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define SW_GOOD   "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define SW_OTHER  "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static enum signature_verdict sw_verdict(const char *id, const char *time, const char *signature,
                                         const char *body, const char *secrets, int64_t now)
{
    struct pair              headers[] = { { "webhook-id", id },
                                           { "webhook-timestamp", time },
                                           { "webhook-signature", signature },
                                           { NULL, NULL } };
    struct signature_keys    keys      = { .secrets = secrets, .tolerance_s = 300 };
    struct signature_request request   = { find_header, headers, body, strlen(body) };

    return signature_check("standard-webhooks", &keys, &request, now);
}

#define SW_ID   "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define SW_TIME "1614265330"
#define SW_BODY "{\"test\": 2432232314}"

static enum signature_verdict sw_signed(const char *signature)
{
    return sw_verdict(SW_ID, SW_TIME, signature, SW_BODY, SW_SECRET, SW_NOW);
}

static void the_standards_vector_verifies(void **state)
{
    (void)state;
    assert_int_equal(sw_signed(SW_GOOD), SIGNATURE_GOOD);
}

static void one_good_signature_of_several_is_enough(void **state)
{
    (void)state;
    assert_int_equal(sw_signed(SW_OTHER " " SW_GOOD), SIGNATURE_GOOD);
    assert_int_equal(sw_signed(SW_GOOD " " SW_OTHER), SIGNATURE_GOOD);
    assert_int_equal(sw_signed("v1a,Zm9v  v2,x v1, v1,!! " SW_GOOD), SIGNATURE_GOOD);
    assert_int_equal(sw_signed(SW_OTHER " " SW_OTHER), SIGNATURE_UNMATCHED);
    assert_int_equal(sw_signed("v1a,Zm9v"), SIGNATURE_INVALID);
    assert_int_equal(sw_signed("v1,Zm9v"), SIGNATURE_INVALID);
    assert_int_equal(sw_signed("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="), SIGNATURE_INVALID);
    assert_int_equal(sw_signed("v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
                     SIGNATURE_INVALID);
    assert_int_equal(sw_signed("   "), SIGNATURE_INVALID);
}

static void what_the_standard_signs_cannot_be_changed(void **state)
{
    (void)state;
    assert_int_equal(
        sw_verdict("msg_p5jXN8AQM9LWM0D4loKWxJel", SW_TIME, SW_GOOD, SW_BODY, SW_SECRET, SW_NOW),
        SIGNATURE_UNMATCHED);
    assert_int_equal(sw_verdict(SW_ID, "1614265331", SW_GOOD, SW_BODY, SW_SECRET, SW_NOW),
                     SIGNATURE_UNMATCHED);
    assert_int_equal(sw_verdict(SW_ID, SW_TIME, SW_GOOD, SW_BODY " ", SW_SECRET, SW_NOW),
                     SIGNATURE_UNMATCHED);
    assert_int_equal(sw_verdict(SW_ID, SW_TIME, SW_GOOD, SW_BODY,
                                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", SW_NOW),
                     SIGNATURE_UNMATCHED);
    assert_int_equal(sw_verdict(SW_ID, SW_TIME, SW_GOOD, SW_BODY, SW_SECRET, SW_NOW + 301),
                     SIGNATURE_OLD);
    assert_int_equal(sw_verdict(SW_ID, SW_TIME, SW_GOOD, SW_BODY, SW_SECRET, SW_NOW - 301),
                     SIGNATURE_OLD);
    assert_int_equal(sw_verdict(NULL, SW_TIME, SW_GOOD, SW_BODY, SW_SECRET, SW_NOW),
                     SIGNATURE_INVALID);
    assert_int_equal(sw_verdict(SW_ID, NULL, SW_GOOD, SW_BODY, SW_SECRET, SW_NOW),
                     SIGNATURE_INVALID);
    assert_int_equal(sw_verdict(SW_ID, SW_TIME, NULL, SW_BODY, SW_SECRET, SW_NOW),
                     SIGNATURE_INVALID);
}

static void while_a_secret_is_replaced_either_is_good(void **state)
{
    static const char *const good[] = { SW_SECRET ",whsec_bmV3c2VjcmV0bmV3c2VjcmV0",
                                        "whsec_bmV3c2VjcmV0bmV3c2VjcmV0," SW_SECRET,
                                        "whsec_bmV3c2VjcmV0bmV3c2VjcmV0 , " SW_SECRET,
                                        "whsec_!!broken!!," SW_SECRET };

    (void)state;
    for (size_t i = 0; i < countof(good); i++)
        assert_int_equal(sw_verdict(SW_ID, SW_TIME, SW_GOOD, SW_BODY, good[i], SW_NOW),
                         SIGNATURE_GOOD);
}

static void without_a_secret_nothing_is_believed(void **state)
{
    static const char *const none[] = { NULL, "", ",", " , ", "whsec_!!broken!!" };

    (void)state;
    for (size_t i = 0; i < countof(none); i++)
        assert_int_equal(sw_verdict(SW_ID, SW_TIME, SW_GOOD, SW_BODY, none[i], SW_NOW),
                         SIGNATURE_KEY_UNKNOWN);
}

/* ---- a plain HMAC of the body ---- */

static enum signature_verdict hmac_verdict(const char *signature, const char *body,
                                           const char *secrets)
{
    struct pair              headers[] = { { "X-Hub-Signature-256", signature }, { NULL, NULL } };
    struct signature_keys    keys      = { .secrets = secrets, .tolerance_s = 300 };
    struct signature_request request   = { find_header, headers, body, strlen(body) };

    return signature_check("hmac-sha256", &keys, &request, 0);
}

static void a_plain_hmac_is_of_the_body_and_the_secret(void **state)
{
    unsigned char mac[SHA256_DIGEST_LENGTH];
    char          text[80] = "sha256=";

    (void)state;
    HMAC(EVP_sha256(), "topsecret", 9, (const unsigned char *)"hello", 5, mac, NULL);
    for (size_t i = 0; i < sizeof(mac); i++)
        snprintf(text + 7 + 2 * i, 3, "%02X", mac[i]);
    assert_int_equal(hmac_verdict(text, "hello", "topsecret"), SIGNATURE_GOOD);
    assert_int_equal(hmac_verdict(text, "hello", "other,topsecret"), SIGNATURE_GOOD);
    assert_int_equal(hmac_verdict(text, "hellp", "topsecret"), SIGNATURE_UNMATCHED);
    assert_int_equal(hmac_verdict(text, "hello", "topsecrets"), SIGNATURE_UNMATCHED);
    assert_int_equal(hmac_verdict(text + 7, "hello", "topsecret"), SIGNATURE_INVALID);
    assert_int_equal(hmac_verdict("sha256=", "hello", "topsecret"), SIGNATURE_INVALID);
    assert_int_equal(hmac_verdict(NULL, "hello", "topsecret"), SIGNATURE_INVALID);
    assert_int_equal(hmac_verdict(text, "hello", NULL), SIGNATURE_KEY_UNKNOWN);
    text[10] = 'x';
    assert_int_equal(hmac_verdict(text, "hello", "topsecret"), SIGNATURE_INVALID);
}

static void a_scheme_that_is_not_known_verifies_nothing(void **state)
{
    struct signature_keys    keys    = { .secrets = "x", .tolerance_s = 300 };
    struct pair              none[]  = { { NULL, NULL } };
    struct signature_request request = { find_header, none, "", 0 };

    (void)state;
    assert_int_equal(signature_check("none", &keys, &request, 0), SIGNATURE_KEY_UNKNOWN);
    assert_int_equal(signature_check("", &keys, &request, 0), SIGNATURE_KEY_UNKNOWN);
    assert_false(signature_knows("none"));
    assert_true(signature_knows("fal-ed25519"));
    assert_true(signature_knows("standard-webhooks"));
    assert_true(signature_knows("hmac-sha256"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fals_vector_verifies),
        cmocka_unit_test(any_changed_byte_of_fals_body_is_refused),
        cmocka_unit_test(a_body_that_is_cut_or_longer_is_refused),
        cmocka_unit_test(any_changed_header_is_refused),
        cmocka_unit_test(any_missing_header_is_refused),
        cmocka_unit_test(a_header_longer_than_any_of_theirs_is_refused),
        cmocka_unit_test(time_is_tolerated_for_five_minutes_either_way),
        cmocka_unit_test(any_of_several_keys_may_have_made_it),
        cmocka_unit_test(without_a_key_nothing_is_believed),
        cmocka_unit_test(the_standards_vector_verifies),
        cmocka_unit_test(one_good_signature_of_several_is_enough),
        cmocka_unit_test(what_the_standard_signs_cannot_be_changed),
        cmocka_unit_test(while_a_secret_is_replaced_either_is_good),
        cmocka_unit_test(without_a_secret_nothing_is_believed),
        cmocka_unit_test(a_plain_hmac_is_of_the_body_and_the_secret),
        cmocka_unit_test(a_scheme_that_is_not_known_verifies_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
