/*
 * deliver: claim_deliveries → requests and mail → delivery_answers.
 */
#include "pipeline_runner/call/deliver.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/failpoint.h"
#include "lib/jbuf.h"
#include "pipeline_runner/call/mail.h"
#include "pipeline_runner/http/transfer.h"

#define AT_ONCE    32
#define FIRST_MS   1000
#define AGAIN_MS   6000
#define GATHER_MS  50
#define CONNECT_MS 5000
#define TIMEOUT_MS 20000
#define REPLY_MAX  ((size_t)16384)
#define REPLY_KEPT ((size_t)1024)

struct delivery {
    struct deliver  *deliver;
    struct delivery *next, *before;
    struct transfer *transfer; /* or */
    struct mail     *mail;
    char             id[24];
    json_int_t       attempt;
};

struct deliver {
    struct runner    *runner;
    struct mailer    *mailer;
    struct delivery  *first;
    size_t            in_flight;
    bool              is_asking;
    struct loop_timer ask, tell;
    json_t           *answers;
};

/* ---- telling ---- */

static void told(void *ctx, PGresult *result, const struct err *err)
{
    (void)ctx;
    FAILPOINT("runner.deliver.reported");
    PQclear(result);
    if (err && !err_is_passing(err))
        log_warn("outcomes of deliveries were refused", "sqlstate", err->sqlstate, "error",
                 err->message, NULL);
}

static void tell(void *ctx)
{
    struct deliver *deliver   = ctx;
    char           *text      = json_dumps(deliver->answers, JSON_COMPACT);
    const char     *params[1] = { text };

    FAILPOINT("runner.deliver.reporting");
    /* What is lost here is sent again, under the same id, when its time comes. */
    if (text)
        (void)!db_send(deliver->runner->work, ST_DELIVERY_ANSWERS, params, told, deliver, NULL);
    free(text);
    json_array_clear(deliver->answers);
}

static void delivery_free(struct delivery *delivery)
{
    struct deliver *deliver = delivery->deliver;

    if (delivery->before)
        delivery->before->next = delivery->next;
    else
        deliver->first = delivery->next;
    if (delivery->next)
        delivery->next->before = delivery->before;
    deliver->in_flight--;
    free(delivery);
}

/* The beginning of a mail server's answer, if it is text: bytes that are no UTF-8 or that
 * PostgreSQL's text cannot hold become question marks, and a letter is not cut in half. */
static json_t *reply_text(const char *body, size_t body_bytes)
{
    char   text[REPLY_KEPT + 1];
    size_t bytes = body_bytes < REPLY_KEPT ? body_bytes : REPLY_KEPT;

    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)body[i];

        text[i] = (char)(c >= 0x80 || c == '\n' || c == '\t' || (c >= ' ' && c != 0x7f) ? c : '?');
    }
    text[bytes] = '\0';
    for (size_t cut = 0; cut < 4 && bytes > cut; cut++) {
        json_t *json = json_stringn(text, bytes - cut);

        if (json)
            return json;
    }
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)text[i] >= 0x80)
            text[i] = '?';
    return json_stringn(text, bytes);
}

static void keep_answer(struct delivery *delivery, json_t *answer)
{
    struct deliver *deliver = delivery->deliver;

    FAILPOINT("runner.deliver.answered");
    if (json_array_size(deliver->answers) == 0)
        loop_timer_set(deliver->runner->loop, &deliver->tell, GATHER_MS);
    json_array_append_new(deliver->answers, answer);
    delivery_free(delivery);
}

/* Users read this. Whether a name is unknown, private or silent is said in one sentence, or the log
 * would tell them which names and ports there are inside the house. */
static const char *why_not(const struct transfer_end *end)
{
    if (!end->code)
        return NULL;
    if (strcmp(end->code, "host") == 0)
        return "Kiln does not post to this URL: it must be https, at a host of the public internet.";
    if (strcmp(end->code, "address") == 0 || strcmp(end->code, "connect") == 0)
        return "No connection to a public address of this host could be made.";
    return end->message;
}

/* The body of the reply is counted and dropped: it may be of a service that its reader cannot
 * ask. */
static void answered(void *ctx, const struct transfer_end *end)
{
    struct delivery *delivery = ctx;

    keep_answer(delivery, json_pack("{s:s, s:I, s:i, s:I, s:s?, s:I}", "delivery_id", delivery->id,
                                    "attempt", delivery->attempt, "status", end->status,
                                    "elapsed_ms", (json_int_t)end->elapsed_ms, "error",
                                    why_not(end), "reply_bytes", (json_int_t)end->body_bytes));
}

/* What is wrong with a mail: our own word, or what the server answered. */
static json_t *mail_error(const struct mail_end *end)
{
    json_t *reply, *error;

    if (end->message)
        return json_string(end->message);
    if (end->status >= 200 && end->status < 300)
        return json_null();
    reply = reply_text(end->reply, strlen(end->reply));
    error = json_sprintf("It answered: %s", json_string_value(reply));
    json_decref(reply);
    return error;
}

static void mailed(void *ctx, const struct mail_end *end)
{
    struct delivery *delivery = ctx;

    keep_answer(delivery, json_pack("{s:s, s:I, s:i, s:I, s:o, s:s}", "delivery_id", delivery->id,
                                    "attempt", delivery->attempt, "status", end->status,
                                    "elapsed_ms", (json_int_t)end->elapsed_ms, "error",
                                    mail_error(end), "stage", end->stage));
}

/* ---- sending ---- */

static struct delivery *delivery_new(struct deliver *deliver, const json_t *row)
{
    struct delivery *delivery = calloc(1, sizeof *delivery);
    const char      *id       = json_string_value(json_object_get(row, "delivery_id"));

    if (!delivery)
        abort();
    delivery->deliver = deliver;
    delivery->attempt = json_integer_value(json_object_get(row, "attempt"));
    delivery->next    = deliver->first;
    if (delivery->next)
        delivery->next->before = delivery;
    deliver->first = delivery;
    deliver->in_flight++;
    snprintf(delivery->id, sizeof delivery->id, "%s", id ? id : "0");
    return delivery;
}

static void start_mail(struct deliver *deliver, const json_t *row)
{
    const char      *from    = json_string_value(json_object_get(row, "from"));
    const char      *to      = json_string_value(json_object_get(row, "to"));
    const char      *message = json_string_value(json_object_get(row, "message"));
    struct delivery *delivery;

    if (!from || !to || !message)
        return;
    delivery = delivery_new(deliver, row);
    FAILPOINT("runner.deliver.sending");
    delivery->mail = mail_start(deliver->mailer, from, to, message, mailed, delivery);
}

static void start_webhook(struct deliver *deliver, const json_t *row)
{
    const char             *url       = json_string_value(json_object_get(row, "url"));
    const char             *body      = json_string_value(json_object_get(row, "body"));
    const json_t           *hosts     = json_object_get(row, "hosts");
    const char             *host      = json_string_value(json_array_get(hosts, 0));
    bool                    is_listed = json_is_true(json_object_get(row, "is_listed"));
    struct url_policy      *policy;
    struct transfer_options opt = {
        .method     = "POST",
        .url        = url,
        .hosts      = hosts,
        .headers    = json_object_get(row, "headers"),
        .is_once    = true,
        .connect_ms = CONNECT_MS,
        .timeout_ms = TIMEOUT_MS,
        .max_bytes  = REPLY_MAX,
        .fd         = -1,
        .on_end     = answered,
    };

    if (!url || !body)
        return;
    opt.body = strdup(body);
    if (!opt.body)
        abort();
    opt.body_bytes = strlen(body);
    opt.ctx        = delivery_new(deliver, row);
    opt.url_policy = policy = url_policy_open(is_listed && host ? host : "");
    FAILPOINT("runner.deliver.sending");
    ((struct delivery *)opt.ctx)->transfer = transfer_start(deliver->runner->transfers, &opt);
    url_policy_close(policy);
}

/* ---- asking the database ---- */

static void taken(void *ctx, PGresult *result, const struct err *err)
{
    struct deliver *deliver = ctx;
    json_t         *answer =
        result && PQntuples(result) == 1 ? json_loads(PQgetvalue(result, 0, 0), 0, NULL) : NULL;
    const json_t *wait = json_object_get(answer, "wait_ms"), *row;
    size_t        i;

    FAILPOINT("runner.deliver.claimed");
    deliver->is_asking = false;
    json_array_foreach(json_object_get(answer, "deliveries"), i, row)
    {
        if (json_object_get(row, "message"))
            start_mail(deliver, row);
        else
            start_webhook(deliver, row);
    }
    loop_timer_set(deliver->runner->loop, &deliver->ask,
                   json_is_integer(wait) ? (uint64_t)json_integer_value(wait) : AGAIN_MS);
    json_decref(answer);
    PQclear(result);
    if (err && !err_is_passing(err) && !err_is(err, "KN011"))
        log_warn("deliveries could not be taken", "sqlstate", err->sqlstate, "error", err->message,
                 NULL);
}

static void ask(void *ctx)
{
    struct deliver      *deliver = ctx;
    const struct runner *runner  = deliver->runner;
    char                 id[24], limit[24];
    const char          *params[] = { id, limit, mailer_from(deliver->mailer) };

    loop_timer_set(deliver->runner->loop, &deliver->ask, AGAIN_MS);
    if (deliver->is_asking || deliver->in_flight >= AT_ONCE || runner->runner_id == 0
        || runner->drain != NOT_DRAINING) {
        loop_timer_set(deliver->runner->loop, &deliver->ask, FIRST_MS);
        return;
    }
    snprintf(id, sizeof id, "%" PRId64, runner->runner_id);
    snprintf(limit, sizeof limit, "%zu", AT_ONCE - deliver->in_flight);
    FAILPOINT("runner.deliver.claiming");
    deliver->is_asking =
        db_send(deliver->runner->work, ST_TAKE_DELIVERIES, params, taken, deliver, NULL);
}

struct deliver *deliver_open(struct runner *runner, struct err *err)
{
    struct mailer  *mailer  = mailer_open(runner->loop, runner->cfg, err);
    struct deliver *deliver = mailer ? calloc(1, sizeof *deliver) : NULL;

    if (!mailer)
        return NULL;
    if (!deliver)
        abort();
    deliver->mailer  = mailer;
    deliver->runner  = runner;
    deliver->answers = json_array();
    deliver->ask     = (struct loop_timer) { .on_time = ask, .ctx = deliver };
    deliver->tell    = (struct loop_timer) { .on_time = tell, .ctx = deliver };
    loop_timer_set(runner->loop, &deliver->ask, FIRST_MS);
    return deliver;
}

void deliver_close(struct deliver *deliver)
{
    if (!deliver)
        return;
    for (struct delivery *delivery = deliver->first, *next; delivery; delivery = next) {
        next = delivery->next;
        if (delivery->transfer)
            transfer_stop(delivery->transfer);
        if (delivery->mail)
            mail_stop(delivery->mail);
        delivery_free(delivery);
    }
    mailer_close(deliver->mailer);
    loop_timer_stop(deliver->runner->loop, &deliver->ask);
    loop_timer_stop(deliver->runner->loop, &deliver->tell);
    json_decref(deliver->answers);
    free(deliver);
}
