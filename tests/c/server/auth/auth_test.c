/* auth: a verified token is remembered, but not beyond its time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "server/auth/act_as.h"
#include "server/auth/auth.h"
#include "tests/c/server/rsa.h"

#define SECRET "0123456789abcdef0123456789abcdef"

static const struct token_keys keys = { SECRET, "", "", "", false, NULL };

static void base64url(const unsigned char *from, size_t bytes, char *to)
{
    EVP_EncodeBlock((unsigned char *)to, from, (int)bytes);
    to[strcspn(to, "=")] = '\0';
    for (; *to; to++)
        *to = *to == '+' ? '-' : *to == '/' ? '_' : *to;
}

static void make_token(char token[600], const char *sub, int64_t expires_at)
{
    char          payload[200], *end;
    unsigned char mac[32];

    snprintf(payload, sizeof(payload), "{\"sub\":\"%s\",\"exp\":%lld}", sub, (long long)expires_at);
    base64url((const unsigned char *)"{\"alg\":\"HS256\"}", 15, token);
    end    = token + strlen(token);
    *end++ = '.';
    base64url((const unsigned char *)payload, strlen(payload), end);
    end += strlen(end);
    HMAC(EVP_sha256(), SECRET, 32, (const unsigned char *)token, (size_t)(end - token), mac, NULL);
    *end++ = '.';
    base64url(mac, sizeof(mac), end);
}

/* Good until the next call. */
static const char *context_of(const struct identity *identity)
{
    static char text[1000];
    char       *json = act_as_json(&(struct act_as) { .identity = identity });

    snprintf(text, sizeof(text), "%s", json);
    free(json);
    return text;
}

static void a_second_look_needs_no_second_verification(void **state)
{
    struct auth           *auth = auth_open(&keys, "");
    const struct identity *identity;
    int64_t                expires_at;
    struct err             err;
    char                   token[600];

    (void)state;
    make_token(token, "alice", 1000);
    for (int i = 0; i < 3; i++)
        assert_true(auth_identity(auth, token, 500, &identity, &expires_at, &err));
    assert_int_equal(auth_verifications(auth), 1);
    assert_string_equal(context_of(identity), "{\"sub\":\"alice\",\"iss\":null,\"iat\":0.000000}");
    assert_int_equal(expires_at, 1000);
    auth_close(auth);
}

static void a_remembered_token_expires_all_the_same(void **state)
{
    struct auth           *auth = auth_open(&keys, "");
    const struct identity *identity;
    int64_t                expires_at;
    struct err             err;
    char                   token[600];

    (void)state;
    make_token(token, "alice", 1000);
    assert_true(auth_identity(auth, token, 999, &identity, &expires_at, &err));
    assert_false(auth_identity(auth, token, 1000, &identity, &expires_at, &err));
    assert_string_equal(err.sqlstate, "KN009");
    auth_close(auth);
}

static void a_token_like_a_remembered_one_is_verified_itself(void **state)
{
    struct auth           *auth = auth_open(&keys, "");
    const struct identity *identity;
    int64_t                expires_at;
    struct err             err;
    char                   token[600];

    (void)state;
    make_token(token, "alice", 1000);
    assert_true(auth_identity(auth, token, 500, &identity, &expires_at, &err));
    token[strlen(token) - 1] ^= 1;
    assert_false(auth_identity(auth, token, 500, &identity, &expires_at, &err));
    auth_close(auth);
}

static void more_tokens_than_places_are_all_answered_for_whom_they_name(void **state)
{
    struct auth           *auth = auth_open(&keys, "");
    const struct identity *identity;
    int64_t                expires_at;
    struct err             err;
    char                   token[600], sub[20];

    (void)state;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 3000; i++) {
            snprintf(sub, sizeof(sub), "user-%d-", i);
            make_token(token, sub, 1000);
            assert_true(auth_identity(auth, token, 500, &identity, &expires_at, &err));
            assert_non_null(strstr(identity->sub, sub));
        }
    auth_close(auth);
}

static void a_subject_cannot_add_members_to_the_context(void **state)
{
    struct auth           *auth = auth_open(&keys, "");
    const struct identity *identity;
    int64_t                expires_at;
    struct err             err;
    char                   token[600];

    (void)state;
    make_token(token, "x\\\",\\\"role\\\":\\\"admin", 1000);
    assert_true(auth_identity(auth, token, 500, &identity, &expires_at, &err));
    assert_non_null(strstr(context_of(identity), "\\\",\\\"role"));
    assert_null(strstr(context_of(identity), "\"role\":\"admin\""));
    auth_close(auth);
}

static void the_admin_key_is_the_whole_key(void **state)
{
    struct auth *auth = auth_open(&keys, "0123456789abcdef0123456789abcdef");

    (void)state;
    assert_true(auth_is_admin_key(auth, "0123456789abcdef0123456789abcdef"));
    assert_false(auth_is_admin_key(auth, "0123456789abcdef0123456789abcdeF"));
    assert_false(auth_is_admin_key(auth, "0123456789abcdef0123456789abcde"));
    assert_false(auth_is_admin_key(auth, "0123456789abcdef0123456789abcdef0"));
    assert_false(auth_is_admin_key(auth, ""));
    auth_close(auth);
}

static void without_an_admin_key_none_is_it(void **state)
{
    struct auth *auth = auth_open(&keys, "");

    (void)state;
    assert_false(auth_is_admin_key(auth, ""));
    assert_false(auth_is_admin_key(auth, "x"));
    auth_close(auth);
}

#define ISSUER_PAYLOAD(sub) \
    "{\"sub\":\"" sub "\",\"iss\":\"https://i/\",\"aud\":\"us\",\"exp\":1000}"

struct asked {
    int      times;
    unsigned seconds;
};

static unsigned asked_for_keys(void *ctx)
{
    struct asked *asked = ctx;

    asked->times++;
    return asked->seconds;
}

static struct jwks *set_of(EVP_PKEY *const of[], const char *const kids[], size_t count)
{
    char        *jwk[4] = { NULL }, *text;
    struct jwks *jwks;

    for (size_t i = 0; i < count; i++)
        jwk[i] = rsa_jwk(of[i], kids[i], "");
    text = rsa_jwks((const char *const *)jwk, count);
    jwks = jwks_parse(text, strlen(text), NULL);
    assert_non_null(jwks);
    free(text);
    for (size_t i = 0; i < count; i++)
        free(jwk[i]);
    return jwks;
}

static void a_remembered_token_goes_when_its_key_does(void **state)
{
    static const struct token_keys rs256 = { SECRET, "", "https://i/", "us", false, NULL };
    static const char *const kids[] = { "a", "b" }, *const swapped[] = { "b", "a" };
    EVP_PKEY    *made[] = { rsa_make(2048), rsa_make(2048) };
    struct asked asked  = { 0, 0 };
    struct auth *auth   = auth_open(&rs256, "");
    char        *one =
        strdup(rsa_sign(made[0], "{\"alg\":\"RS256\",\"kid\":\"a\"}", ISSUER_PAYLOAD("ann")));
    char *two =
        strdup(rsa_sign(made[1], "{\"alg\":\"RS256\",\"kid\":\"b\"}", ISSUER_PAYLOAD("bob")));
    const struct identity *identity;
    int64_t                expires_at;
    struct err             err;

    (void)state;
    auth_expect_jwks(auth, asked_for_keys, &asked);
    auth_set_jwks(auth, set_of(made, kids, 2));
    for (int i = 0; i < 3; i++) {
        assert_true(auth_identity(auth, one, 500, &identity, &expires_at, &err));
        assert_true(auth_identity(auth, two, 500, &identity, &expires_at, &err));
    }
    assert_int_equal(auth_verifications(auth), 2);
    assert_string_equal(context_of(identity),
                        "{\"sub\":\"bob\",\"iss\":\"https://i/\",\"iat\":0.000000}");

    auth_set_jwks(auth, set_of(made, kids, 2)); /* the same keys again: nothing to verify anew */
    assert_true(auth_identity(auth, one, 500, &identity, &expires_at, &err));
    assert_int_equal(auth_verifications(auth), 2);

    auth_set_jwks(auth, set_of(made, kids, 1)); /* b is gone */
    assert_true(auth_identity(auth, one, 500, &identity, &expires_at, &err));
    assert_int_equal(auth_verifications(auth), 2);
    assert_false(auth_identity(auth, two, 500, &identity, &expires_at, &err));
    assert_string_equal(err.sqlstate, "KN009");
    assert_int_equal(asked.times, 1);

    auth_set_jwks(auth, set_of(made, swapped, 2)); /* a is another key now */
    assert_false(auth_identity(auth, one, 500, &identity, &expires_at, &err));
    assert_string_equal(err.message, "the token's signature is wrong");

    auth_set_jwks(auth, NULL);
    asked.seconds = 7;
    assert_false(auth_identity(auth, one, 500, &identity, &expires_at, &err));
    assert_string_equal(err.sqlstate, "HJ001");
    assert_string_equal(err.detail, "{\"retry_after\":7}");
    auth_close(auth);
    free(one);
    free(two);
    EVP_PKEY_free(made[0]);
    EVP_PKEY_free(made[1]);
}

static void the_secrets_tokens_stay_when_an_issuers_keys_change(void **state)
{
    struct auth           *auth = auth_open(&keys, "");
    const struct identity *identity;
    int64_t                expires_at;
    struct err             err;
    char                   token[600];

    (void)state;
    make_token(token, "alice", 1000);
    assert_true(auth_identity(auth, token, 500, &identity, &expires_at, &err));
    auth_set_jwks(auth, NULL);
    assert_true(auth_identity(auth, token, 500, &identity, &expires_at, &err));
    assert_int_equal(auth_verifications(auth), 1);
    auth_close(auth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_look_needs_no_second_verification),
        cmocka_unit_test(a_remembered_token_expires_all_the_same),
        cmocka_unit_test(a_token_like_a_remembered_one_is_verified_itself),
        cmocka_unit_test(more_tokens_than_places_are_all_answered_for_whom_they_name),
        cmocka_unit_test(a_subject_cannot_add_members_to_the_context),
        cmocka_unit_test(the_admin_key_is_the_whole_key),
        cmocka_unit_test(without_an_admin_key_none_is_it),
        cmocka_unit_test(a_remembered_token_goes_when_its_key_does),
        cmocka_unit_test(the_secrets_tokens_stay_when_an_issuers_keys_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
