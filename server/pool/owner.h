/*
 * owner: for whom a call counts, as one number. An account where it is known; before that what
 * says who is asking: the issuer and subject of a token that was verified, or an address. SQL
 * knows the account of a token and of a key and tells it with the first answer, so that all of one
 * account soon count as one; a key that SQL has not known yet counts for its address.
 *
 * Bound: 8,192 of these are remembered; two that meet in one place forget each other, which costs
 * nothing but a call that counts alone.
 */
#ifndef KILN_OWNER_H
#define KILN_OWNER_H

#include "lib/base.h"

struct owners;

struct owners *owners_open(void);
void           owners_close(struct owners *owners);

enum owner_kind { OWNER_TOKEN, OWNER_KEY, OWNER_ADDRESS };

/* digest: the SHA-256 of what says who is asking. Never the number of an account. */
uint64_t owner_of(enum owner_kind kind, const unsigned char digest[32]);
uint64_t owner_of_account(int64_t account);

void     owners_learn(struct owners *owners, uint64_t owner, int64_t account);
uint64_t owners_known(const struct owners *owners, uint64_t owner); /* its account's, or itself */

#endif
