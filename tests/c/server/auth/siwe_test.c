/*
 * siwe_test: the vectors of EIP-55, EIP-191 and EIP-4361 (signed by another library with published
 * test keys), each by its name, and one refusal a field.
 */
#include "server/auth/siwe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/auth/keccak.h"

#define ACCOUNT_0       "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
#define ACCOUNT_0_LOWER "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
#define NOW             1767225660 /* 2026-01-01T00:01:00Z */

#define V1_SIGNATURE                                                     \
    "0xf16ea9a3478698f695fd1401bfe27e9e4a7e8e3da94aa72b021125e31fa899cc" \
    "573c48ea3fe1d4ab61a9db10c19032026e3ed2dbccba5a178235ac27f94504311c"

#define HEAD "app.example.com wants you to sign in with your Ethereum account:\n" ACCOUNT_0 "\n\n"
#define REQUIRED                                                                             \
    "URI: https://app.example.com/login\nVersion: 1\nChain ID: 1\nNonce: 32891756abcdefgh\n" \
    "Issued At: 2026-01-01T00:00:00.000Z"
#define V2_MESSAGE                                                               \
    HEAD "Sign in to the media service.\n\n" REQUIRED                            \
         "\nExpiration Time: 2026-01-01T00:10:00.000Z\n"                         \
         "Not Before: 2026-01-01T00:00:00.000Z\nRequest ID: req-1\nResources:\n" \
         "- https://example.com/terms\n"                                         \
         "- ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/"
#define V2_SIGNATURE                                                     \
    "0x416c78811bd063c1de34ad3e92a75dfaff3cb5cf727424e5c3ad53964d7a744e" \
    "5a7e2b5bcfe151cacd5a40f25efa1cae349ee84e8215db19e7ea0a67c159f8ee1c"
#define V3_MESSAGE   HEAD "\n" REQUIRED
#define V3_R         "0xe96f0ca1df073918f098deae4b808134f48fa12cf26503510d2cf0ae29b02623"
#define V3_SIGNATURE V3_R "43fbcc27e716e1be8c70f0534cc4a60974213921ddf0c9509e98630b2e9c4c911c"
#define V3_HIGH_S    V3_R "bc0433d818e91e41738f0facb33b59f5468da3c4d157d6eb2139fb81a199f4b01b"

static const struct siwe_policy policy = { "https://app.example.com", "1,10", 600 };

static void digest_is(const char *text, const char *wanted)
{
    uint8_t digest[KECCAK256_BYTES];
    char    hex[2 * KECCAK256_BYTES + 1];

    keccak256(text, strlen(text), digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, wanted);
}

static void keccak_256_of_nothing_and_of_hello(void **state)
{
    (void)state;
    digest_is("", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    digest_is("hello", "1c8aff950685c2ed4bc3174f3472287b56d9517b9c948127319a09a7a36deac8");
}

/* The digest of EIP-191's "hello", whose bytes are these. */
static void keccak_256_of_an_eip_191_text(void **state)
{
    (void)state;
    digest_is("\x19"
              "Ethereum Signed Message:\n5hello",
              "50b2c43fd39106bafbba0da34fc430e1f91e3c96ea2acee2bc34119f92b37750");
}

/* Around the rate of 136 bytes the padding has one byte, or a block of its own. */
static void keccak_256_at_the_edges_of_a_block(void **state)
{
    char text[138];

    (void)state;
    memset(text, 'a', sizeof(text));
    text[135] = '\0';
    digest_is(text, "34367dc248bbd832f4e3e69dfaac2f92638bd0bbd18f2912ba4ef454919cf446");
    text[135] = 'a';
    text[136] = '\0';
    digest_is(text, "a6c4d403279fe3e0af03729caada8374b5ca54d8065329a3ebcaeb4b60aa386e");
    text[136] = 'a';
    text[137] = '\0';
    digest_is(text, "d869f639c7046b4929fc92a4d988a8b22c55fbadb802c0c66ebcd484f1915f39");
}

static void eip_55_vectors_have_their_capitals(void **state)
{
    static const char *const good[] = {
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        "0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26",
    };

    (void)state;
    for (size_t i = 0; i < countof(good); i++)
        assert_true(siwe_is_checksummed(good[i]));
    assert_false(siwe_is_checksummed("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"));
    assert_false(siwe_is_checksummed("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD"));
    assert_false(siwe_is_checksummed("0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED"));
}

static void vector_1_hello_is_of_account_0(void **state)
{
    char       address[SIWE_ADDRESS_CHARS + 1];
    struct err err;

    (void)state;
    assert_true(siwe_recover("hello", 5, V1_SIGNATURE, address, &err));
    assert_string_equal(address, ACCOUNT_0_LOWER);
}

static bool passes(const char *text, const char *signature, struct err *err)
{
    struct siwe_message message;
    char                address[SIWE_ADDRESS_CHARS + 1];

    return siwe_verify(text, strlen(text), signature, &policy, NOW, &message, address, err);
}

static void vector_2_whole_message_passes(void **state)
{
    struct siwe_message m;
    char                address[SIWE_ADDRESS_CHARS + 1];
    struct err          err;

    (void)state;
    assert_int_equal(strlen(V2_MESSAGE), 463);
    assert_true(siwe_verify(V2_MESSAGE, 463, V2_SIGNATURE, &policy, NOW, &m, address, &err));
    assert_string_equal(address, ACCOUNT_0_LOWER);
    assert_string_equal(m.nonce, "32891756abcdefgh");
    assert_int_equal(m.issued_at, 1767225600);
    assert_int_equal(m.expires_at, 1767226200);
    assert_int_equal(m.not_before, 1767225600);
}

static void vector_3_message_without_statement_passes(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(strlen(V3_MESSAGE), 227);
    assert_true(passes(V3_MESSAGE, V3_SIGNATURE, &err));
}

static void names(const char *text, const char *signature, const char *field, const char *part)
{
    struct err err;
    char       wanted[200];

    assert_false(passes(text, signature, &err));
    assert_string_equal(err.sqlstate, "KN003");
    snprintf(wanted, sizeof(wanted), "[{\"field\":\"%s\",\"message\":\"%s", field, part);
    if (strncmp(err.detail, wanted, strlen(wanted)) != 0)
        fail_msg("%s does not begin with %s", err.detail, wanted);
}

static void vector_3_high_s_is_refused(void **state)
{
    (void)state;
    names(V3_MESSAGE, V3_HIGH_S, "/signature", "is not in its lower form");
}

/* v is the last byte; 0 and 1 stand for 27 and 28. */
static void v_may_be_27_28_0_or_1_and_nothing_else(void **state)
{
    char       signature[200] = V3_SIGNATURE;
    char      *v              = signature + strlen(signature) - 2;
    struct err err;

    (void)state;
    memcpy(v, "01", 2);
    assert_true(passes(V3_MESSAGE, signature, &err));
    memcpy(v, "00", 2);
    names(V3_MESSAGE, signature, "/signature", "is not of the message's address");
    memcpy(v, "1b", 2);
    names(V3_MESSAGE, signature, "/signature", "is not of the message's address");
    memcpy(v, "1d", 2);
    names(V3_MESSAGE, signature, "/signature", "ends with a v");
    memcpy(v, "02", 2);
    names(V3_MESSAGE, signature, "/signature", "ends with a v");
    memcpy(v, "ff", 2);
    names(V3_MESSAGE, signature, "/signature", "ends with a v");
}

static void a_signature_of_another_form_is_refused(void **state)
{
    char long_one[400] = "0x";

    (void)state;
    names(V3_MESSAGE, "", "/signature", "must be 0x");
    names(V3_MESSAGE, "0x", "/signature", "must have 65");
    names(V3_MESSAGE, V3_SIGNATURE + 2, "/signature", "must be 0x");
    names(V3_MESSAGE, V3_R "43fbcc27e716e1be8c70f0534cc4a60974213921ddf0c9509e98630b2e9c4c91",
          "/signature", "is of the compact form");
    memset(long_one + 2, 'a', 300);
    names(V3_MESSAGE, long_one, "/signature", "is longer than a key's: contract wallets");
    memset(long_one + 2, '0', 128);
    memcpy(long_one + 130, "1b", 3);
    names(V3_MESSAGE, long_one, "/signature", "is no signature");
    names(V3_MESSAGE, V2_SIGNATURE, "/signature", "is not of the message's address");
}

static void malformed(const char *text, const char *part)
{
    names(text, V3_SIGNATURE, "/message", part);
}

#define WITH(domain, uri, rest) \
    domain " wants you to sign in with your Ethereum account:\n" ACCOUNT_0 "\n\n\nURI: " uri rest
#define TAIL(chain, nonce, issued) \
    "\nVersion: 1\nChain ID: " chain "\nNonce: " nonce "\nIssued At: " issued
#define GOOD_TAIL TAIL("1", "32891756abcdefgh", "2026-01-01T00:00:00Z")
#define URI       "https://app.example.com"

static void each_refusal_names_its_field(void **state)
{
    (void)state;
    malformed("", "must have");
    malformed("hello", "does not begin");
    malformed(V3_MESSAGE "\n", "has more at its end");
    malformed(V3_MESSAGE "\nRequest ID: a\nNot Before: 2026-01-01T00:00:00Z",
              "has more at its end");
    malformed(V3_MESSAGE "\nResources: https://a.b", "resources:");
    malformed(V3_MESSAGE "\nResources:\n- no uri", "resources:");
    malformed(V3_MESSAGE "\nRequest ID: a b", "request-id:");
    malformed(V3_MESSAGE "\nExpiration Time: soon", "expiration-time:");
    malformed(V3_MESSAGE "\nExpiration Time: 2026-01-01T00:01:00Z", "expiration-time: has passed");
    malformed(V3_MESSAGE "\nNot Before: 2026-02-30T00:00:00Z", "not-before: must be");
    malformed(V3_MESSAGE "\nNot Before: 2026-01-01T00:03:00Z", "not-before: has not");
    malformed(WITH("evil.example.com", URI, GOOD_TAIL), "domain: is not this site");
    malformed(WITH("app.example.com:444", URI, GOOD_TAIL), "domain: is not this site");
    malformed(WITH("http://app.example.com", URI, GOOD_TAIL), "domain: is not this site");
    malformed(WITH("me@app.example.com", URI, GOOD_TAIL), "domain: must be");
    malformed(WITH("app.example.com.evil.com", URI, GOOD_TAIL), "domain: is not this site");
    malformed(WITH("app.example.com", "https://evil.com", GOOD_TAIL), "uri: is not of this site");
    malformed(WITH("app.example.com", "https://app.example.com.evil.com/", GOOD_TAIL),
              "uri: is not");
    malformed(WITH("app.example.com", "https://app.example.com@evil.com/", GOOD_TAIL),
              "uri: is not");
    malformed(WITH("app.example.com", "http://app.example.com/", GOOD_TAIL), "uri: is not");
    malformed(WITH("app.example.com", "login", GOOD_TAIL), "uri: must be");
    malformed(WITH("app.example.com", URI, TAIL("5", "abcdefgh", "2026-01-01T00:00:00Z")),
              "chain-id: is not one");
    malformed(WITH("app.example.com", URI, TAIL("-1", "abcdefgh", "2026-01-01T00:00:00Z")),
              "chain-id: must");
    malformed(WITH("app.example.com", URI,
                   TAIL("18446744073709551617", "abcdefgh", "2026-01-01T00:00:00Z")),
              "chain-id: must");
    malformed(WITH("app.example.com", URI, TAIL("1", "abcdefg", "2026-01-01T00:00:00Z")), "nonce:");
    malformed(WITH("app.example.com", URI, TAIL("1", "abcd-efgh", "2026-01-01T00:00:00Z")),
              "nonce:");
    malformed(WITH("app.example.com", URI, TAIL("1", "abcdefgh", "2026-01-01 00:00:00")),
              "issued-at: must");
    malformed(WITH("app.example.com", URI, TAIL("1", "abcdefgh", "2026-01-01T00:03:00Z")),
              "issued-at: lies in the future");
    malformed(WITH("app.example.com", URI, TAIL("1", "abcdefgh", "2025-12-31T23:50:00Z")),
              "issued-at: is too long ago");
    malformed(WITH("app.example.com", URI, "\nVersion: 2\nChain ID: 1"), "version:");
    malformed(WITH("app.example.com", URI, "\nVersion:1\nChain ID: 1"), "version:");
    malformed(WITH("app.example.com", URI, "\nChain ID: 1\nVersion: 1"), "version:");
}

static void line_ends_spaces_and_empty_lines_are_exact(void **state)
{
    (void)state;
    malformed(HEAD REQUIRED, "statement:");
    malformed(HEAD "\n\n\n" REQUIRED, "uri:");
    malformed("app.example.com wants you to sign in with your Ethereum account:\r\n" ACCOUNT_0,
              "does not begin");
    malformed(HEAD "a \"statement\"\n\n" REQUIRED, "statement:");
    malformed(HEAD "a st\xc3\xa4tement\n\n" REQUIRED, "statement:");
    malformed(HEAD "two\nlines\n\n" REQUIRED, "statement:");
    malformed("app.example.com wants you to sign in with your Ethereum account:\n"
              "0xf39fd6e51aad88F6F4ce6aB8827279cffFb92266\n\n\n" REQUIRED,
              "address: its capital");
    malformed("app.example.com wants you to sign in with your Ethereum account:\n0x12\n\n",
              "address: must be");
}

/* The signature is then wrong, but the grammar was taken. */
static void what_the_grammar_allows_is_taken(void **state)
{
    (void)state;
    names(HEAD "\n\n" REQUIRED, V3_SIGNATURE, "/signature", "is not of");
    names(WITH("https://app.example.com", URI, GOOD_TAIL), V3_SIGNATURE, "/signature", "is not of");
    names(WITH("APP.example.com:443", URI ":443/x?y#z", GOOD_TAIL), V3_SIGNATURE, "/signature",
          "is not of");
    names(V3_MESSAGE "\nRequest ID: ", V3_SIGNATURE, "/signature", "is not of");
    names(V3_MESSAGE "\nResources:", V3_SIGNATURE, "/signature", "is not of");
}

static void times_are_of_rfc_3339(void **state)
{
    int64_t at = 0;

    (void)state;
    assert_true(siwe_parse_time("2026-01-01T02:00:00.5+02:00", 27, &at));
    assert_int_equal(at, 1767225600);
    assert_true(siwe_parse_time("2024-02-29T00:00:00Z", 20, &at));
    assert_false(siwe_parse_time("2026-02-29T00:00:00Z", 20, &at));
    assert_false(siwe_parse_time("2026-01-01T00:00:00", 19, &at));
    assert_false(siwe_parse_time("2026-01-01T00:00:00.Z", 21, &at));
    assert_false(siwe_parse_time("2026-13-01T00:00:00Z", 20, &at));
    assert_false(siwe_parse_time("2026-01-01T24:00:00Z", 20, &at));
    assert_false(siwe_parse_time("2026-01-01T00:00:00Zx", 21, &at));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keccak_256_of_nothing_and_of_hello),
        cmocka_unit_test(keccak_256_of_an_eip_191_text),
        cmocka_unit_test(keccak_256_at_the_edges_of_a_block),
        cmocka_unit_test(eip_55_vectors_have_their_capitals),
        cmocka_unit_test(vector_1_hello_is_of_account_0),
        cmocka_unit_test(vector_2_whole_message_passes),
        cmocka_unit_test(vector_3_message_without_statement_passes),
        cmocka_unit_test(vector_3_high_s_is_refused),
        cmocka_unit_test(v_may_be_27_28_0_or_1_and_nothing_else),
        cmocka_unit_test(a_signature_of_another_form_is_refused),
        cmocka_unit_test(each_refusal_names_its_field),
        cmocka_unit_test(line_ends_spaces_and_empty_lines_are_exact),
        cmocka_unit_test(what_the_grammar_allows_is_taken),
        cmocka_unit_test(times_are_of_rfc_3339),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
