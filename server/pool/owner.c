/*
 * owner: the numbers of owners, and the table of those whose account is known.
 */
#include "server/pool/owner.h"

#include <stdlib.h>
#include <string.h>

#define PLACES   8192                /* a power of two */
#define STRANGER (UINT64_C(1) << 63) /* no account has it */

struct known {
    uint64_t owner; /* 0: nobody */
    int64_t  account;
};

struct owners {
    struct known places[PLACES];
};

struct owners *owners_open(void)
{
    struct owners *owners = calloc(1, sizeof(*owners));

    if (!owners)
        abort();
    return owners;
}

void owners_close(struct owners *owners)
{
    free(owners);
}

uint64_t owner_of(enum owner_kind kind, const unsigned char digest[32])
{
    uint64_t number;

    memcpy(&number, digest, sizeof(number));
    return (number ^ (uint64_t)kind) | STRANGER;
}

uint64_t owner_of_account(int64_t account)
{
    return (uint64_t)account & ~STRANGER;
}

static size_t place_of(uint64_t owner)
{
    return (size_t)(owner % PLACES); /* it is a hash already */
}

void owners_learn(struct owners *owners, uint64_t owner, int64_t account)
{
    if (owner & STRANGER)
        owners->places[place_of(owner)] = (struct known) { owner, account };
}

uint64_t owners_known(const struct owners *owners, uint64_t owner)
{
    const struct known *known = &owners->places[place_of(owner)];

    return owner & STRANGER && known->owner == owner ? owner_of_account(known->account) : owner;
}
