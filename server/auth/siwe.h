/*
 * siwe: Sign-In with Ethereum (EIP-4361). A message is parsed strictly from its first to its last
 * byte, each of its fields is held against what this installation takes, and the address that
 * signed these very bytes (EIP-191, secp256k1) has to be the one it names.
 *
 * What is not decided here: whether the nonce is ours and unused, and whose account it is (SQL).
 *
 * Errors are KN003, with the field: /message and the part of it that is wrong, or /signature.
 * Accounts that are contracts have no key; their signatures (EIP-1271) are refused with that word.
 */
#ifndef KILN_SIWE_H
#define KILN_SIWE_H

#include "lib/base.h"
#include "lib/err.h"

#define SIWE_BYTES_MAX     4096
#define SIWE_ADDRESS_CHARS 42 /* 0x and 40 digits */
#define SIWE_NONCE_MAX     64
#define SIWE_SKEW_SECONDS  60 /* of a wallet's clock */

struct siwe_policy {
    const char *origins;         /* scheme://host[:port],…; without a scheme https is meant */
    const char *chains;          /* 1,10,… */
    int64_t     max_age_seconds; /* of issued-at */
};

struct siwe_message {
    char     scheme[16]; /* empty: none given */
    char     domain[256];
    char     address[SIWE_ADDRESS_CHARS + 1]; /* as it stands there */
    char     uri[1024];
    uint64_t chain_id;
    char     nonce[SIWE_NONCE_MAX + 1];
    int64_t  issued_at, expires_at, not_before; /* seconds; 0: not given */
};

MUST_CHECK bool siwe_parse(const char *text, size_t bytes, struct siwe_message *message,
                           struct err *err);
MUST_CHECK bool siwe_is_for_us(const struct siwe_message *message, const struct siwe_policy *policy,
                               int64_t now, struct err *err);

/* Who signed text: address gets 0x and 40 digits in lower case. signature is 0x and 130 digits. */
MUST_CHECK bool siwe_recover(const char *text, size_t bytes, const char *signature,
                             char address[SIWE_ADDRESS_CHARS + 1], struct err *err);

/* All of it; address as of siwe_recover(). */
MUST_CHECK bool siwe_verify(const char *text, size_t bytes, const char *signature,
                            const struct siwe_policy *policy, int64_t now,
                            struct siwe_message *message, char address[SIWE_ADDRESS_CHARS + 1],
                            struct err *err);

/* EIP-55: whether the letters of 0x and 40 digits are upper case exactly where they should be. */
bool siwe_is_checksummed(const char *address);

/* RFC 3339, capital T and Z; fractions of a second are dropped. */
MUST_CHECK bool siwe_parse_time(const char *text, size_t bytes, int64_t *seconds);

#endif
