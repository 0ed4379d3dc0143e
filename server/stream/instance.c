/*
 * instance: registering, heartbeats, pings and their answers.
 *
 *   link up ─► register ─► heartbeat, heartbeat, … ─► deregister
 *                 └► prove ─notify or 300 ms─► prove … ─► proved | broken | alone
 *   notify with our role ─► answer, until there is nothing to answer
 *   streams opened, closed ─1 s─► presence, until all is reported and no account's report is due
 *
 * A notification of channel kiln_instance names its receiver: a role, or an instance by its number.
 */
#include "server/stream/instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/stream/presence.h"
#include "lib/db.h"
#include "lib/failpoint.h"
#include "lib/log.h"
#include "server/http/metrics.h"
#include "server/pool/refusal.h"
#include "server/server.h"

#define HEARTBEAT_MS 2000 /* kiln.config.lease, after which we are dead, is 5 s */
#define PROVE_MS     300  /* where no notification comes */
#define PRESENCE_MS  1000

enum asked { REGISTER, HEARTBEAT, PROVE, ANSWER, PRESENCE, DEREGISTER, ASKED };

static const struct db_statement statements[ASKED] = {
    [REGISTER]   = { "register_instance",
                     "select kiln_api.register_instance($1::text, $2::text, $3::int, $4::int, "
                       "$5::text)",
                     5 },
    [HEARTBEAT]  = { "beat_instance",
                     "select kiln_api.beat_instance($1::bigint, $2::int, $3::int, $4::int, $5::int, "
                      "$6::int, $7::int)",
                     7 },
    [PROVE]      = { "prove_bus",
                     "select state, number, answered_by, answered_at, round_trip_ms, pongs, p50_ms, "
                          "\"by\" from kiln_api.prove_bus($1::bigint)",
                     1 },
    [ANSWER]     = { "answer_ping",
                     "select is_new, asker, number, round_trip_ms "
                         "from kiln_api.answer_ping($1::bigint)",
                     1 },
    [PRESENCE]   = { "report_audience",
                     "select kiln_api.report_audience($1::bigint, $2::bigint[], $3::bigint[], "
                       "$4::boolean)",
                     4 },
    [DEREGISTER] = { "end_instance", "select kiln_api.end_instance($1::bigint)", 1 },
};

/* One question of each kind is under way at a time; what comes meanwhile asks once more. */
struct question {
    struct instance *instance;
    enum asked       what;
    bool             is_asked, is_again;
    uint64_t         asked_ms;
};

struct instance {
    struct server    *server; /* first: refusal.h */
    struct db        *link;
    int               port;
    char              id[24]; /* "": not registered */
    bool              is_proving, is_deregistering;
    uint64_t          heartbeat_due_ms;
    int64_t           database_ms;
    struct loop_timer heartbeat, prove, presence_timer;
    struct presence  *presence;
    bool              is_presence_due; /* its timer runs */
    struct question   questions[ASKED];
};

static const char *role_name(const struct server *server)
{
    return server->roles == ROLE_BOTH       ? "both"
           : server->roles == ROLE_REALTIME ? "realtime"
                                            : "api";
}

/* ---- asking ---- */

static void on_reply(void *ctx, PGresult *result, const struct err *err);

static void ask(struct instance *instance, enum asked what, const char *const params[])
{
    struct question *question = &instance->questions[what];
    struct err       err;

    if (question->is_asked) {
        question->is_again = true;
        return;
    }
    if (!db_is_up(instance->link))
        return; /* on_up comes back to all of it */
    question->asked_ms = base_now_ms();
    FAILPOINT("server.instance.asking");
    question->is_asked = db_send(instance->link, what, params, on_reply, question, &err);
}

static void ask_by_id(struct instance *instance, enum asked what)
{
    const char *params[1] = { instance->id };

    if (instance->id[0])
        ask(instance, what, params);
}

static void ask_register(struct instance *instance)
{
    char        host[256] = "", pid[24], port[24];
    const char *params[5] = { role_name(instance->server), host, pid, port, KILN_VERSION };

    gethostname(host, sizeof(host) - 1);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    snprintf(port, sizeof(port), "%d", instance->port);
    ask(instance, REGISTER, params);
}

static int64_t memory_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    char  line[128], *space = NULL;

    if (!file)
        return 0;
    if (fgets(line, sizeof(line), file)) /* all of its memory, then what is resident, in pages */
        space = strchr(line, ' ');
    fclose(file);
    return space ? strtol(space, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024) : 0;
}

static void ask_heartbeat(struct instance *instance)
{
    struct server *server = instance->server;
    uint64_t       now = base_now_ms(), due = instance->heartbeat_due_ms;
    int64_t        values[6] = { (int64_t)metrics_streams(server->metrics, TRANSPORT_SSE),
                                 (int64_t)metrics_streams(server->metrics, TRANSPORT_WEBSOCKET),
                                 (int64_t)metrics_streams(server->metrics, TRANSPORT_POLL),
                                 memory_kib(),
                          now > due ? (int64_t)(now - due) : 0,
                                 instance->database_ms };
    char           texts[6][24];
    const char    *params[7] = { instance->id };

    for (size_t i = 0; i < countof(values); i++) {
        snprintf(texts[i], sizeof(texts[i]), "%lld", (long long)values[i]);
        params[i + 1] = texts[i];
    }
    ask(instance, HEARTBEAT, params);
}

/* No report waits in the link: what happens while one is under way is in the next. */
static void ask_presence(struct instance *instance)
{
    struct question     *question = &instance->questions[PRESENCE];
    struct presence_news news;
    const char          *params[4] = { instance->id };

    if (!instance->id[0] || question->is_asked || !db_is_up(instance->link)
        || instance->server->is_draining)
        return; /* the answer, the link or the registration comes back here */
    news      = presence_next(instance->presence);
    params[1] = news.came;
    params[2] = news.went;
    params[3] = news.is_complete ? "true" : "false";
    ask(instance, PRESENCE, params);
    if (!question->is_asked)
        presence_resync(instance->presence);
}

static void on_presence_time(void *ctx)
{
    struct instance *instance = ctx;

    instance->is_presence_due = false;
    if (presence_has_news(instance->presence))
        ask_presence(instance);
}

static void ask_presence_soon(struct instance *instance)
{
    if (instance->is_presence_due)
        return;
    instance->is_presence_due = true;
    loop_timer_set(instance->server->loop, &instance->presence_timer, PRESENCE_MS);
}

void instance_stream_opened(struct instance *instance, int64_t account)
{
    presence_enter(instance->presence, account);
    ask_presence_soon(instance);
}

void instance_stream_closed(struct instance *instance, int64_t account)
{
    presence_leave(instance->presence, account);
    ask_presence_soon(instance);
}

static void report_all(struct instance *instance)
{
    presence_resync(instance->presence);
    ask_presence(instance);
}

static void on_heartbeat_time(void *ctx)
{
    struct instance *instance = ctx;

    if (instance->server->is_draining)
        return;
    if (instance->id[0])
        ask_heartbeat(instance);
    else
        ask_register(instance);
    instance->heartbeat_due_ms = base_now_ms() + HEARTBEAT_MS;
    loop_timer_set(instance->server->loop, &instance->heartbeat, HEARTBEAT_MS);
}

static void on_prove_time(void *ctx)
{
    ask_by_id(ctx, PROVE);
}

/* ---- answers ---- */

static const char *value(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

static void on_registered(struct instance *instance, const PGresult *result)
{
    snprintf(instance->id, sizeof(instance->id), "%s", PQgetvalue(result, 0, 0));
    log_info("registered", "instance_id", instance->id, "role", role_name(instance->server), NULL);
    instance->is_proving = true;
    ask_by_id(instance, PROVE);
    report_all(instance);
}

static void on_heartbeat(struct instance *instance, const PGresult *result)
{
    struct question *question = &instance->questions[HEARTBEAT];

    const char *state = PQgetvalue(result, 0, 0);

    instance->database_ms = (int64_t)(base_now_ms() - question->asked_ms);
    if (strcmp(state, "unknown") == 0) {
        instance->id[0] = '\0'; /* a crash of the database forgot us */
        ask_register(instance);
    } else if (strcmp(state, "risen") == 0) {
        report_all(instance);
    } else if (strcmp(state, "due") == 0) {
        ask_presence(instance);
    }
}

/* NULL: we are not known to live; the next heartbeat says so, and all is reported again. */
static void on_presence(struct instance *instance, const PGresult *result)
{
    const char *is_more = value(result, 0, 0);

    if (!is_more)
        presence_resync(instance->presence);
    else if (is_more[0] == 't' || presence_has_news(instance->presence))
        ask_presence(instance);
}

static void log_proof(struct instance *instance, const char *state, const PGresult *result)
{
    instance->is_proving = false;
    if (strcmp(state, "alone") == 0)
        log_info("nobody else is there to prove the bus with", "instance_id", instance->id, NULL);
    else if (strcmp(state, "proved") == 0)
        log_info("the bus is proved", "instance_id", instance->id, "pongs", value(result, 0, 5),
                 "p50_ms", value(result, 0, 6), "by", value(result, 0, 7), NULL);
    else if (strcmp(state, "broken") == 0)
        log_error("the bus is not proved: pings were not answered", "instance_id", instance->id,
                  "pongs", value(result, 0, 5), "of", "10", "p50_ms", value(result, 0, 6), "by",
                  value(result, 0, 7), NULL);
}

static void on_step(struct instance *instance, const PGresult *result)
{
    const char *state = PQgetvalue(result, 0, 0);

    if (value(result, 0, 2))
        log_info("pong", "instance_id", instance->id, "ping", value(result, 0, 1), "answered_by",
                 value(result, 0, 2), "at", value(result, 0, 3), "round_trip_ms",
                 value(result, 0, 4), NULL);
    else if (value(result, 0, 1))
        log_warn("no pong", "instance_id", instance->id, "ping", value(result, 0, 1), NULL);
    if (strcmp(state, "waiting") == 0)
        loop_timer_set(instance->server->loop, &instance->prove, PROVE_MS);
    else
        log_proof(instance, state, result);
}

static void on_answered(struct instance *instance, const PGresult *result)
{
    bool is_new = false;

    for (int row = 0; row < PQntuples(result); row++) {
        if (PQgetvalue(result, row, 0)[0] == 't')
            is_new = true;
        else
            log_info("ping answered", "instance_id", instance->id, "asked_by",
                     value(result, row, 1), "ping", value(result, row, 2), "round_trip_ms",
                     value(result, row, 3), NULL);
    }
    if (is_new)
        ask_by_id(instance, ANSWER);
}

/* After an error there is nothing to do: the next heartbeat, notification or timer asks again. */
static void on_result(struct instance *instance, enum asked what, const PGresult *result)
{
    switch (what) {
    case REGISTER: on_registered(instance, result); break;
    case HEARTBEAT: on_heartbeat(instance, result); break;
    case PROVE: on_step(instance, result); break;
    case ANSWER: on_answered(instance, result); break;
    case PRESENCE: on_presence(instance, result); break;
    default: break;
    }
}

static void on_failure(struct instance *instance, enum asked what)
{
    if (what == PROVE)
        loop_timer_set(instance->server->loop, &instance->prove, PROVE_MS);
    if (what != PRESENCE)
        return;
    presence_resync(instance->presence);
    ask_presence_soon(instance);
}

/* A heartbeat that took longer than the time to the next is followed by that one. */
static void ask_again(struct instance *instance, enum asked what)
{
    if (what == HEARTBEAT)
        ask_heartbeat(instance);
    else if (what != REGISTER)
        ask_by_id(instance, what);
}

static void on_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct question *question = ctx;
    struct instance *instance = question->instance;
    bool             is_again = question->is_again;

    FAILPOINT("server.instance.answered");
    question->is_asked = question->is_again = false;
    if (question->what == DEREGISTER)
        instance->is_deregistering = false;
    if (!err)
        on_result(instance, question->what, result);
    else if (!err_is(err, "08") && !err_is(err, "57P"))
        log_warn("an instance's call failed", "call", statements[question->what].name, "sqlstate",
                 err->sqlstate, "error", err->message, NULL);
    if (err)
        on_failure(instance, question->what);
    else if (is_again)
        ask_again(instance, question->what);
    PQclear(result);
}

/* ---- the link ---- */

static void on_up(void *ctx, struct db *db)
{
    struct instance *instance = ctx;

    (void)db;
    instance->heartbeat_due_ms = base_now_ms();
    on_heartbeat_time(instance);
    if (instance->is_proving)
        ask_by_id(instance, PROVE);
    report_all(instance); /* a crash may have lost the last report */
}

static void on_notify(void *ctx, struct db *db, const char *payload)
{
    struct instance *instance = ctx;
    const char      *role     = role_name(instance->server);

    (void)db;
    if (instance->server->is_draining)
        return;
    if (strcmp(payload, instance->id) == 0) {
        if (instance->is_proving)
            ask_by_id(instance, PROVE);
    } else if (strcmp(payload, "both") == 0 || strcmp(payload, role) == 0
               || (instance->server->roles == ROLE_BOTH && payload[0] > '9')) {
        ask_by_id(instance, ANSWER);
    }
}

static struct db_options options(struct server *server, struct instance *instance)
{
    return (struct db_options) { .url                = server->cfg->listen_url,
                                 .user               = "kiln_server",
                                 .application        = "kiln-server instance",
                                 .statements         = statements,
                                 .nstatements        = countof(statements),
                                 .listen             = "kiln_instance",
                                 .is_preparing       = server->cfg->is_preparing,
                                 .max_in_flight      = ASKED,
                                 .request_timeout_ms = 4000,
                                 .ctx                = instance,
                                 .on_up              = on_up,
                                 .on_notify          = on_notify,
                                 .on_refused         = refusal_on_refused };
}

struct instance *instance_open(struct server *server, int port, struct err *err)
{
    struct instance  *instance = calloc(1, sizeof(*instance));
    struct db_options opt      = options(server, instance);

    if (!instance)
        abort();
    instance->server    = server;
    instance->port      = port;
    instance->heartbeat = (struct loop_timer) { .on_time = on_heartbeat_time, .ctx = instance };
    instance->prove     = (struct loop_timer) { .on_time = on_prove_time, .ctx = instance };
    instance->presence_timer = (struct loop_timer) { .on_time = on_presence_time, .ctx = instance };
    instance->presence       = presence_open();
    for (enum asked what = 0; what < ASKED; what++)
        instance->questions[what] = (struct question) { .instance = instance, .what = what };
    instance->link = db_open(server->loop, &opt, err);
    if (!instance->link) {
        presence_close(instance->presence);
        free(instance);
        return NULL;
    }
    return instance;
}

void instance_close(struct instance *instance)
{
    if (!instance)
        return;
    db_close(instance->link);
    loop_timer_stop(instance->server->loop, &instance->heartbeat);
    loop_timer_stop(instance->server->loop, &instance->prove);
    loop_timer_stop(instance->server->loop, &instance->presence_timer);
    presence_close(instance->presence);
    free(instance);
}

bool instance_check(struct server *server, struct err *err)
{
    struct db_options opt = options(server, NULL);

    return db_check(&opt, err);
}

void instance_deregister(struct instance *instance)
{
    loop_timer_stop(instance->server->loop, &instance->heartbeat);
    loop_timer_stop(instance->server->loop, &instance->prove);
    ask_by_id(instance, DEREGISTER);
    instance->is_deregistering = instance->questions[DEREGISTER].is_asked;
}

bool instance_is_deregistering(const struct instance *instance)
{
    return instance->is_deregistering;
}
