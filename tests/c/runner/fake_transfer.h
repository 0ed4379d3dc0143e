/*
 * fake_transfer: the providers as a test plays them: pipeline_runner/transfer.h with nothing behind
 * it. What was asked waits in exchanges[] until the test answers it.
 *
 * With its bodies in a header, for the one source of a test program: an object of this folder is
 * linked into every test, and transfer_test.c needs the true one.
 */
#ifndef TEST_FAKE_TRANSFER_H
#define TEST_FAKE_TRANSFER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pipeline_runner/http/transfer.h"

#define EXCHANGES_MAX 80

struct transfer {
    struct transfer_options opt; /* without what was only lent */
    char                    method[8], url[128];
    struct url_policy_url   at;
    bool                    was_sent;
};

static struct transfer *exchanges[EXCHANGES_MAX]; /* not answered yet, in order */
static size_t           nexchanges, nstopped;

struct transfer *transfer_start(struct transfers *transfers, const struct transfer_options *opt)
{
    struct transfer *t = calloc(1, sizeof *t);

    (void)transfers;
    assert_non_null(t);
    assert_true(nexchanges < EXCHANGES_MAX);
    t->opt         = *opt;
    t->opt.hosts   = NULL;
    t->opt.headers = NULL;
    t->opt.auth    = NULL;
    snprintf(t->method, sizeof t->method, "%s", opt->method);
    snprintf(t->url, sizeof t->url, "%s", opt->url);
    snprintf(t->at.host, sizeof t->at.host, "provider.example");
    exchanges[nexchanges++] = t;
    return t;
}

static inline void exchange_free(struct transfer *t)
{
    size_t i = 0;

    while (exchanges[i] != t)
        assert_true(++i < nexchanges);
    memmove(&exchanges[i], &exchanges[i + 1], (--nexchanges - i) * sizeof(exchanges[0]));
    free(t->opt.body);
    free(t);
}

void transfer_stop(struct transfer *t)
{
    nstopped++;
    exchange_free(t);
}

bool transfer_was_sent(const struct transfer *t)
{
    return t->was_sent;
}

const struct url_policy_url *transfer_url(const struct transfer *t)
{
    return &t->at;
}

uint64_t transfer_now_ms(void)
{
    return base_now_ms();
}

/* on_end() may start and stop others, so the place is not looked at again. */
static inline void exchange_end(size_t n, const struct transfer_end *end)
{
    struct transfer *t;

    assert_true(n < nexchanges);
    t = exchanges[n];
    t->opt.on_end(t->opt.ctx, end);
    exchange_free(t);
}

/* The n-th that waits is answered; or it ends without an answer. */
static inline void reply(size_t n, int status, const char *body)
{
    struct transfer_end end = {
        .status     = status,
        .body       = body,
        .body_bytes = strlen(body),
        .headers    = json_pack("{s:s}", "x-said", "the provider"),
        .was_sent   = true,
    };

    exchange_end(n, &end);
    json_decref(end.headers);
}

static inline void break_off(size_t n, const char *code, bool was_sent)
{
    const struct transfer_end end = {
        .body     = "",
        .was_sent = was_sent,
        .code     = code,
        .message  = "it broke off",
    };

    exchange_end(n, &end);
}

#endif
