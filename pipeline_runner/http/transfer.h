/*
 * transfer: one HTTP exchange, bounded in every direction, through libcurl in the runner's loop.
 *
 * What it promises to those who pay for an exchange:
 *   - it is sent once: a fresh connection, no redirect, no retry, no second request by libcurl
 *   itself;
 *   - was_sent is false only where certainly not one byte of the request has left;
 *   - no first byte after send_by_ms, and no further byte of the body after body_by_ms: the
 *   connection
 *     is reset. Both count on CLOCK_BOOTTIME, which goes on while the machine sleeps.
 *
 * Messages name a host at most: addresses and headers may hold keys.
 *
 * Ownership: transfer_start() gives an object that lives until on_end() has returned or
 * transfer_stop() was called. on_end() comes exactly once, never from within transfer_start(), and
 * not after transfer_stop(). End transfers_open() with transfers_close(), when no transfer is left.
 */
#ifndef RUNNER_TRANSFER_H
#define RUNNER_TRANSFER_H

#include <jansson.h>

#include "lib/base.h"
#include "lib/err.h"
#include "pipeline_runner/http/url_policy.h"
#include "lib/loop.h"

#define TRANSFER_HEADERS_MAX 8192

struct transfers;
struct transfer;

struct transfer_end {
    int         status; /* 0 where there is no whole reply */
    const char *body;   /* NUL-ended; empty where it went into a file */
    size_t      body_bytes;
    json_t     *headers; /* of the reply, names in lower case; borrowed */
    bool        was_sent;
    uint64_t    elapsed_ms;
    /* NULL, or what went wrong: host address connect tls send reply timeout too_long clock file
     * secret */
    const char *code;
    const char *message;
};

typedef void transfer_end_fn(void *ctx, const struct transfer_end *end);

struct transfer_options {
    const char              *method;
    const char              *url;
    const json_t            *hosts;      /* for url_policy_check() */
    const struct url_policy *url_policy; /* of its own, lent; NULL: the one of KILN_TRUSTED_HOSTS */
    const json_t            *headers;    /* object of strings, or NULL */
    const json_t            *auth;       /* {"header", "prefix", "env"}, null or NULL */
    char                    *body;       /* malloc'ed, taken over; NULL = none */
    size_t                   body_bytes;
    bool                     is_once; /* it may be paid for */
    const json_t            *accept;  /* for accept_is_success() */
    uint64_t                 connect_ms, timeout_ms;
    uint64_t                 send_by_ms, body_by_ms; /* of transfer_now_ms(); 0 = whenever */
    size_t                   max_bytes;              /* of the reply's body */
    uint64_t idle_ms; /* fewer than 1 KiB a second for so long: it ends; 0 = never */
    int      fd;   /* the body of a success goes here, and stays the caller's; -1 = into memory */
    uint64_t from; /* so much of it is in the file: a 206 goes on there */
    transfer_end_fn *on_end;
    void            *ctx;
};

struct transfers *transfers_open(struct loop *loop, const char *trusted_hosts, struct err *err);
void              transfers_close(struct transfers *transfers);

/* What opt points to is not needed after the call, but for the body. */
struct transfer *transfer_start(struct transfers *transfers, const struct transfer_options *opt);
void             transfer_stop(struct transfer *transfer);

/* Whether a byte of the request may have left by now. */
bool transfer_was_sent(const struct transfer *transfer);

/* Of the URL that was asked, for redirects and logs. */
const struct url_policy_url *transfer_url(const struct transfer *transfer);

/* Milliseconds of CLOCK_BOOTTIME. */
uint64_t transfer_now_ms(void);

/* The value of a variable that may hold a provider's secret, NULL where it is unset, empty or not
 * to be given away: the names of Kiln's own secrets are nobody's. */
const char *transfer_secret(const char *name);

#endif
