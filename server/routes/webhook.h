/*
 * webhook: what providers tell us by themselves. The body is taken as it was sent (1 MiB), its
 * signature is checked here (signature.h) by what SQL says of the provider, and SQL decides what
 * the news means. Who is not believed hears 401 and one of three codes, and nothing more.
 *
 * What SQL says of a provider is kept for KEYS_MS. Where no key fits, SQL is asked once more, and
 * then to have the provider's keys fetched again; the provider sends its webhook again anyway.
 *
 * Bounds: WEBHOOK_PROVIDERS_MAX remembered providers of 64 KiB of keys; for each, keys are asked
 * for again at most every second, and fetched again at most every ten.
 */
#ifndef KILN_WEBHOOK_H
#define KILN_WEBHOOK_H

#include "lib/base.h"
#include "server/http/route.h"

#define WEBHOOK_PROVIDERS_MAX 32

/* How a provider signs, by kiln_api.webhook_keys(). */
struct webhook_rule {
    char     provider[64]; /* empty: a free place */
    char     scheme[32];
    char     secret_env[128]; /* the variable that holds the secrets; empty: none */
    char    *jwks;            /* NULL: none (yet) */
    int64_t  tolerance_s;
    uint64_t read_at_ms, fetch_asked_at_ms;
};

struct webhooks;

struct webhooks *webhooks_open(void);
void             webhooks_close(struct webhooks *webhooks);

/* Remembers what SQL said, in the place of the oldest where all are taken. NULL: json is not what
 * it should be, or the provider's name is too long to be one. The rule lives until the next put. */
struct webhook_rule *webhooks_put(struct webhooks *webhooks, const char *provider, const char *json,
                                  uint64_t now_ms);

/* NULL: not remembered, or for too long. */
struct webhook_rule *webhooks_find(struct webhooks *webhooks, const char *provider,
                                   uint64_t now_ms);

extern const struct handler webhook_receive;

#endif
