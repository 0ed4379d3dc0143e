/*
 * keys: required_webhook_keys → GET → store_webhook_keys, one provider at a time.
 */
#include "pipeline_runner/call/keys.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/failpoint.h"
#include "lib/jscan.h"
#include "pipeline_runner/http/transfer.h"

#define FIRST_MS   2000
#define EVERY_MS   20000
#define KEYS_BYTES ((size_t)65536)
#define TIMEOUT_MS 10000

struct keys {
    struct runner    *runner;
    struct loop_timer timer;
    json_t           *wanted; /* what is left of the last list */
    struct transfer  *transfer;
};

static void next(struct keys *k);

static const char *provider_of(const struct keys *k)
{
    const char *name = json_string_value(json_object_get(json_array_get(k->wanted, 0), "provider"));

    return name ? name : "";
}

static void stored(void *ctx, PGresult *result, const struct err *err)
{
    struct keys *k = ctx;

    FAILPOINT("runner.keys.stored");
    PQclear(result);
    if (err && !err_is_passing(err))
        log_warn("a provider's keys were refused", "provider", provider_of(k), "error",
                 err->message, NULL);
    json_array_remove(k->wanted, 0);
    next(k);
}

static void fetched(void *ctx, const struct transfer_end *end)
{
    struct keys *k         = ctx;
    const char  *params[2] = { provider_of(k), end->body };
    json_t      *json      = jscan_check(end->body, end->body_bytes, NULL)
                                 ? json_loadb(end->body, end->body_bytes, 0, NULL)
                                 : NULL;
    bool         is_sent   = false;

    FAILPOINT("runner.keys.fetched");
    k->transfer = NULL;
    if (json && !end->code && end->status == 200) {
        FAILPOINT("runner.keys.storing");
        is_sent = db_send(k->runner->work, ST_STORE_WEBHOOK_KEYS, params, stored, k, NULL);
    } else {
        log_warn("a provider's keys cannot be had", "provider", provider_of(k), "error",
                 end->code ? end->message : "it is not 200 with JSON", NULL);
    }
    json_decref(json);
    if (!is_sent) {
        json_array_remove(k->wanted, 0);
        next(k);
    }
}

static void next(struct keys *k)
{
    const json_t           *row = json_array_get(k->wanted, 0);
    const char             *url = json_string_value(json_object_get(row, "jwks_url"));
    struct transfer_options opt = {
        .method     = "GET",
        .url        = url ? url : "",
        .hosts      = json_object_get(row, "hosts"),
        .connect_ms = TIMEOUT_MS,
        .timeout_ms = TIMEOUT_MS,
        .max_bytes  = KEYS_BYTES,
        .fd         = -1,
        .on_end     = fetched,
        .ctx        = k,
    };

    if (!row) {
        loop_timer_set(k->runner->loop, &k->timer, EVERY_MS);
        return;
    }
    FAILPOINT("runner.keys.fetching");
    k->transfer = transfer_start(k->runner->transfers, &opt);
}

static void listed(void *ctx, PGresult *result, const struct err *err)
{
    struct keys *k = ctx;

    FAILPOINT("runner.keys.listed");
    if (err && !err_is_passing(err))
        log_warn("the wanted keys could not be listed", "sqlstate", err->sqlstate, "error",
                 err->message, NULL);
    json_decref(k->wanted);
    k->wanted = json_array();
    for (int i = 0; result && i < PQntuples(result); i++) {
        json_t *row = json_loads(PQgetvalue(result, i, 0), 0, NULL);

        if (row)
            json_array_append_new(k->wanted, row);
    }
    PQclear(result);
    next(k);
}

static void ask(void *ctx)
{
    struct keys *k         = ctx;
    const char  *params[1] = { NULL };

    FAILPOINT("runner.keys.asking");
    if (!db_send(k->runner->work, ST_WEBHOOK_KEYS_WANTED, params, listed, k, NULL))
        loop_timer_set(k->runner->loop, &k->timer, EVERY_MS);
}

struct keys *keys_open(struct runner *runner)
{
    struct keys *k = calloc(1, sizeof *k);

    if (!k)
        abort();
    k->runner = runner;
    k->timer  = (struct loop_timer) { .on_time = ask, .ctx = k };
    loop_timer_set(runner->loop, &k->timer, FIRST_MS);
    return k;
}

void keys_close(struct keys *k)
{
    if (!k)
        return;
    if (k->transfer)
        transfer_stop(k->transfer);
    loop_timer_stop(k->runner->loop, &k->timer);
    json_decref(k->wanted);
    free(k);
}
