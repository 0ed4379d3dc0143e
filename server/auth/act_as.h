/*
 * act_as: the context of a call, which is the JSON that kiln_api.act_as() takes: who calls which
 * function. SQL derives every right from it, so this file alone writes it.
 */
#ifndef KILN_ACT_AS_H
#define KILN_ACT_AS_H

#include "lib/arena.h"
#include "lib/base.h"

/* Who asks: a token's claims, an API key or a ticket. NULL: the member is not written. */
struct identity {
    const char *sub, *iss; /* of a token; without iss its member is null */
    const char *scope, *role;
    const char *key;       /* the SHA-256 of an API key, in hexadecimal */
    const char *ticket;    /* what opened a stream */
    int64_t     issued_us; /* a token's iat */
    bool        has_issued;
};

struct act_as {
    const struct identity *identity;        /* NULL: not said */
    const char            *function;        /* of kiln_api; SQL looks its scope up. NULL: none */
    bool                   writes;          /* counts towards the account's rate */
    const char            *idempotency_key; /* or NULL */
    const char            *request_id;      /* or NULL */
};

const struct identity *identity_copy(struct arena *arena, const struct identity *identity);

/* malloc'ed. */
char *act_as_json(const struct act_as *act_as);

#endif
