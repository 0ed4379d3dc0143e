/*
 * db: the asynchronous libpq link; db.h says what it promises.
 *
 * DOWN ─timer─► CONNECTING ─PQconnectPoll─► STARTING ─every prepare answered─► UP ─lost, deadline─►
 * DOWN
 *
 * The link is always in pipeline mode with one sync a request, so that an error aborts its own
 * request only; "one in flight" is the same with a bound of 1. A result is given out when its sync
 * has arrived, not before: the implicit transaction commits at the sync, and a commit can still
 * fail.
 */
#include "lib/db.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/failpoint.h"
#include "lib/jbuf.h"
#include "lib/log.h"

#define CONNINFO_MAX   64
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 3000

enum state { DOWN, CONNECTING, STARTING, UP };

struct request {
    db_reply_fn *on_reply;
    void        *ctx;
    PGresult    *result;
    uint64_t     due_ms;
    size_t       settings; /* results that come before its own */
};

struct db {
    struct db_options opt;
    struct loop      *loop;
    PGconn           *conn;
    enum state        state;
    bool is_pooled;  /* another program stands between, and gives each transaction a connection */
    bool is_calling; /* inside a callback: db_close() would pull the ground away */

    char             *session_sql, *local_sql; /* the settings, for all and for one transaction */
    PQconninfoOption *conninfo;
    size_t            nhosts, attempts; /* attempts since the link was last up */

    size_t     started; /* results of the start seen: contract, settings, each statement, LISTEN */
    bool       has_start_failed;
    struct err start_err;

    struct request *ring; /* in flight, in order */
    size_t          ring_size, head, count;

    struct loop_watch watch;
    struct loop_timer timer;    /* DOWN: when to try; CONNECTING, STARTING: when to give up */
    struct loop_timer deadline; /* UP: of the oldest request, looked at lazily */
    struct loop_task  flush;
};

static void try_connect(void *ctx);
static void on_socket(void *ctx, uint32_t events);
static void on_deadline(void *ctx);
static void flush(void *ctx);

/* ---- conninfo ---- */

static const char *option(const struct db *db, const char *keyword)
{
    for (PQconninfoOption *o = db->conninfo; o->keyword; o++)
        if (o->val && o->val[0] && strcmp(o->keyword, keyword) == 0)
            return o->val;
    return NULL;
}

static size_t items(const char *list)
{
    size_t n = list != NULL;

    for (; list && *list; list++)
        n += *list == ',';
    return n;
}

/* The nth item of a list; a list of one stands for all, as libpq does with ports. */
static const char *item(const char *list, size_t n, char *buffer, size_t size)
{
    const char *comma;

    if (!list)
        return NULL;
    for (n = items(list) == 1 ? 0 : n; n > 0 && (comma = strchr(list, ',')); n--)
        list = comma + 1;
    snprintf(buffer, size, "%.*s", (int)strcspn(list, ","), list);
    return buffer;
}

/* One host an attempt: libpq would wait for a silent first host without end, since its
 * connect_timeout binds only the blocking functions. With several hosts the one that takes writes
 * is meant. */
static PGconn *connect_start(struct db *db)
{
    static const char *const own[] = { "user", "application_name", "client_encoding",
                                       "host", "hostaddr",         "port" };
    const char              *keys[CONNINFO_MAX], *values[CONNINFO_MAX];
    char                     host[256], hostaddr[256], port[16];
    size_t                   at = db->attempts % db->nhosts, n = countof(own);

    memcpy(keys, own, sizeof(own));
    values[0] = db->opt.user;
    values[1] = db->opt.application;
    values[2] = "UTF8";
    values[3] = item(option(db, "host"), at, host, sizeof(host));
    values[4] = item(option(db, "hostaddr"), at, hostaddr, sizeof(hostaddr));
    values[5] = item(option(db, "port"), at, port, sizeof(port));
    for (PQconninfoOption *o = db->conninfo; o->keyword && n < CONNINFO_MAX - 2; o++) {
        bool is_ours = false;
        for (size_t i = 0; i < countof(own); i++)
            is_ours = is_ours || strcmp(o->keyword, own[i]) == 0;
        if (is_ours || !o->val)
            continue;
        keys[n]     = o->keyword;
        values[n++] = o->val;
    }
    if (db->nhosts > 1 && !option(db, "target_session_attrs")) {
        keys[n]     = "target_session_attrs";
        values[n++] = "primary"; /* read-write would refuse a role whose default is read only */
    }
    keys[n] = values[n] = NULL;
    FAILPOINT("db.connecting");
    return PQconnectStartParams(keys, values, 0);
}

/* ---- errors ---- */

static void copy_field(char *to, size_t size, const PGresult *result, int field)
{
    const char *text = PQresultErrorField(result, field);

    snprintf(to, size, "%s", text ? text : "");
}

void db_err_from_result(struct err *err, const PGresult *result)
{
    const char *message;

    if (!err)
        return;
    copy_field(err->sqlstate, sizeof(err->sqlstate), result, PG_DIAG_SQLSTATE);
    message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    err_format(err->message, sizeof(err->message), "%s", message ? message : "");
    copy_field(err->detail, sizeof(err->detail), result, PG_DIAG_MESSAGE_DETAIL);
    if (!err->sqlstate[0]) /* made by libpq, not by the server: the link broke in between */
        err_set(err, "08006", "the link to the database was lost");
}

/* libpq's sentences have line ends; ours have none. */
static void err_from_conn(struct err *err, const char *sqlstate, PGconn *conn, const char *what)
{
    const char *text = conn ? PQerrorMessage(conn) : "out of memory";

    if (!err)
        return;
    err_set(err, sqlstate, "%s: %s", what, text[0] ? text : "the server closed the connection");
    for (char *c = err->message; *c; c++)
        if (*c == '\n')
            *c = c[1] ? ' ' : '\0';
}

bool db_is_restored(const struct err *err)
{
    return err_is(err, "KN017");
}

/* What no waiting mends: a function or a right that is not there, another contract. */
static bool is_refusal(const struct err *err)
{
    return err_is(err, "42") || err_is(err, "3F") || err_is(err, "KN012") || db_is_restored(err);
}

/* ---- the queue of requests ---- */

static struct request *oldest(struct db *db)
{
    return &db->ring[db->head & (db->ring_size - 1)];
}

static struct request *push(struct db *db)
{
    if (db->count == db->ring_size) {
        size_t          size = db->ring_size ? db->ring_size * 2 : 16;
        struct request *ring = malloc(size * sizeof(*ring));
        if (!ring)
            abort();
        for (size_t i = 0; i < db->count; i++)
            ring[i] = db->ring[(db->head + i) & (db->ring_size - 1)];
        free(db->ring);
        db->ring      = ring;
        db->ring_size = size;
        db->head      = 0;
    }
    return &db->ring[(db->head + db->count++) & (db->ring_size - 1)];
}

static struct request pop(struct db *db)
{
    struct request request = *oldest(db);

    db->head++;
    db->count--;
    return request;
}

static void answer(struct db *db, struct request *request, const struct err *lost)
{
    bool       was_calling = db->is_calling;
    struct err err;

    db->is_calling = true;
    if (request->result && PQresultStatus(request->result) == PGRES_FATAL_ERROR) {
        db_err_from_result(&err, request->result);
        PQclear(request->result);
        request->on_reply(request->ctx, NULL, &err);
    } else if (lost || !request->result) {
        PQclear(
            request->result); /* rows without their sync: whether it was committed is not known */
        err_set(&err, "08006", "the answer is missing");
        request->on_reply(request->ctx, NULL, lost ? lost : &err);
    } else {
        request->on_reply(request->ctx, request->result, NULL);
    }
    db->is_calling = was_calling;
}

/* ---- going down ---- */

static void disconnect(struct db *db)
{
    loop_del(db->loop, &db->watch);
    loop_timer_stop(db->loop, &db->timer);
    loop_timer_stop(db->loop, &db->deadline);
    loop_defer_cancel(db->loop, &db->flush);
    PQfinish(db->conn); /* sends a goodbye without waiting for one */
    db->conn  = NULL;
    db->state = DOWN;
}

static void answer_all(struct db *db, const struct err *err)
{
    for (size_t n = db->count; n > 0;
         n--) { /* those of now: callbacks find the link down and cannot add */
        struct request request = pop(db);
        answer(db, &request, err);
    }
}

/* Half of the pause is chance, so that many programs do not come back in one step. */
static uint64_t backoff_ms(const struct db *db)
{
    size_t   rounds = db->attempts / db->nhosts;
    uint64_t ms     = BACKOFF_MIN_MS;
    char     hex[3];

    if (db->attempts % db->nhosts != 0)
        return 0; /* another host is left to try */
    while (rounds-- > 1 && ms < BACKOFF_MAX_MS)
        ms *= 2;
    base_random_hex(hex, 2);
    ms = ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : ms;
    return ms / 2 + ms * (uint64_t)strtoul(hex, NULL, 16) / 512;
}

/* err may be lost with the connection, so it is copied by whoever calls. */
static void go_down(struct db *db, const struct err *err)
{
    bool was_up = db->state == UP;

    disconnect(db);
    db->attempts = was_up ? 0 : db->attempts + 1;
    if (was_up || (db->attempts == db->nhosts && !is_refusal(err))) /* once an outage */
        log_warn("database link down", "link", db->opt.application, "error", err->message,
                 "sqlstate", err->sqlstate, NULL);
    loop_timer_set(db->loop, &db->timer, was_up ? 0 : backoff_ms(db));
    answer_all(db, err);
    db->is_calling = true;
    if (is_refusal(err) && !was_up && db->opt.on_refused)
        db->opt.on_refused(db->opt.ctx, db, err);
    else if (db->opt.on_down)
        db->opt.on_down(db->opt.ctx, db, err);
    db->is_calling = false;
}

static void lose(struct db *db, const char *sqlstate, const char *what)
{
    struct err err;

    err_from_conn(&err, sqlstate, db->conn, what);
    go_down(db, &err);
}

/* ---- connecting ---- */

/* The timer ran out while connecting, or db_send() left half a request on a link that was up. */
static void give_up(struct db *db)
{
    struct err err;

    if (db->state == UP)
        err_set(&err, "08006", "the link to the database was lost while sending");
    else
        err_set(&err, "08001", "cannot connect: no answer from the database in time");
    go_down(db, &err);
}

/* libpq may change its socket between two polls, so the watch is made anew; and it closes it by
 * itself when the link breaks, while answers are still given out. */
static void watch_socket(struct db *db, uint32_t events)
{
    struct err err;

    loop_del(db->loop, &db->watch);
    if (!loop_add_copy(db->loop, &db->watch, PQsocket(db->conn), events, &err))
        go_down(db, &err);
}

static void on_notice(void *ctx, const PGresult *result)
{
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    (void)ctx;
    log_debug("database notice", "notice", text, NULL);
}

/* ---- settings ---- */

/* What a role's or a database's defaults could change under our statements. */
static const char *const settings[][2] = {
    { "search_path", "pg_catalog, pg_temp" },
    { "role", "none" },
    { "row_security", "on" },
    { "DateStyle", "ISO, MDY" },
    { "IntervalStyle", "postgres" },
    { "TimeZone", "UTC" },
    { "extra_float_digits", "1" },
    { "bytea_output", "hex" },
    { "lc_monetary", "C" },
    { "lc_numeric", "C" },
    { "lc_time", "C" },
    { "standard_conforming_strings", "on" },
    { "transform_null_equals", "off" },
    { "array_nulls", "on" },
    { "quote_all_identifiers", "off" },
    { "plpgsql.extra_errors", "none" },
    { "exit_on_error", "off" },
    { "client_min_messages", "notice" },
    { "idle_session_timeout", "0" },
    { "idle_in_transaction_session_timeout", "60000" },
};

/* Those of transactions hold from the next one on. */
static const char *const transaction_settings[][2] = {
    { "default_transaction_isolation", "read committed" },
    { "default_transaction_read_only", "off" },
    { "default_transaction_deferrable", "off" },
};

/* For the transaction that is under way, before its first snapshot; unlike SET LOCAL they log no
 * warning. */
static const char *const pooled_statements[] = {
    "set transaction_isolation = 'read committed'",
    "set transaction_read_only = off",
};

static void add_setting(struct jbuf *sql, const char *name, const char *value, bool is_local)
{
    jbuf_raw(sql, sql->len ? ", " : "select ");
    jbuf_raw(sql, "pg_catalog.set_config('");
    jbuf_raw(sql, name);
    jbuf_raw(sql, "', '");
    jbuf_raw(sql, value);
    jbuf_raw(sql, is_local ? "', true)" : "', false)");
}

static char *settings_sql(const struct db_options *opt, bool is_local)
{
    struct jbuf sql = { 0 };
    char        ms[24];

    for (size_t i = 0; i < countof(settings); i++)
        add_setting(&sql, settings[i][0], settings[i][1], is_local);
    for (size_t i = 0; !is_local && i < countof(transaction_settings); i++)
        add_setting(&sql, transaction_settings[i][0], transaction_settings[i][1], is_local);
    snprintf(ms, sizeof(ms), "%u", opt->statement_timeout_ms);
    add_setting(&sql, "statement_timeout", ms, is_local);
    snprintf(ms, sizeof(ms), "%u", opt->statement_timeout_ms / 2);
    add_setting(&sql, "lock_timeout", ms, is_local);
    return jbuf_take(&sql);
}

static bool send_plain(struct db *db, const char *sql)
{
    return PQsendQueryParams(db->conn, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

static bool send_settings(struct db *db)
{
    return send_plain(db, db->session_sql)
           && (PQserverVersion(db->conn) < 170000
               || send_plain(db,
                             "select pg_catalog.set_config('transaction_timeout', '0', false)"));
}

/* How many results the start has before the first statement's. */
static size_t start_steps(const struct db *db)
{
    return PQserverVersion(db->conn) < 170000 ? 2 : 3;
}

/* Behind a pooler each transaction may have another connection, which has heard nothing of ours. */
static bool send_pooled_settings(struct db *db)
{
    bool ok = true;

    for (size_t i = 0; ok && i < countof(pooled_statements); i++)
        ok = send_plain(db, pooled_statements[i]);
    return ok && send_plain(db, db->local_sql);
}

/* Without prepared statements the unnamed one is parsed all the same: it finds a missing function
 * as well. */
static bool send_start(struct db *db)
{
    char listen[80];
    bool ok =
        PQsetnonblocking(db->conn, 1) == 0 && PQenterPipelineMode(db->conn) == 1
        && send_plain(db, "select major, minor, pg_catalog.pg_backend_pid() from kiln.contract()")
        && send_settings(db);

    for (size_t i = 0; ok && i < db->opt.nstatements; i++) {
        const struct db_statement *s = &db->opt.statements[i];
        ok = PQsendPrepare(db->conn, db->opt.is_preparing ? s->name : "", s->sql, s->nparams, NULL)
             == 1;
    }
    if (ok && db->opt.listen) {
        snprintf(listen, sizeof(listen), "listen %s", db->opt.listen);
        ok = send_plain(db, listen);
    }
    return ok && PQpipelineSync(db->conn) == 1;
}

static void begin_start(struct db *db)
{
    db->state            = STARTING;
    db->started          = 0;
    db->has_start_failed = false;
    PQsetNoticeReceiver(db->conn, on_notice, NULL);
    FAILPOINT("db.starting");
    if (!send_start(db)) {
        lose(db, "08006", "cannot prepare");
        return;
    }
    loop_timer_set(db->loop, &db->timer, db->opt.request_timeout_ms);
    watch_socket(db, EPOLLIN);
    loop_defer(db->loop, &db->flush);
}

static void poll_connect(struct db *db)
{
    switch (PQconnectPoll(db->conn)) {
    case PGRES_POLLING_READING: watch_socket(db, EPOLLIN); break;
    case PGRES_POLLING_WRITING: watch_socket(db, EPOLLOUT); break;
    case PGRES_POLLING_OK: begin_start(db); break;
    default: lose(db, "08001", "cannot connect"); break;
    }
}

static void try_connect(void *ctx)
{
    struct db *db = ctx;

    if (db->state != DOWN) {
        give_up(db);
        return;
    }
    db->conn = connect_start(db);
    if (!db->conn || PQstatus(db->conn) == CONNECTION_BAD) {
        lose(db, "08001", "cannot connect");
        return;
    }
    db->state = CONNECTING;
    loop_timer_set(db->loop, &db->timer, db->opt.connect_timeout_ms);
    watch_socket(db, EPOLLOUT); /* PQconnectStart counts as a poll that answered WRITING */
}

/* ---- the start: contract, settings, statements, LISTEN; one sync for all ---- */

static void check_contract(struct db *db, const PGresult *result)
{
    int major = PQntuples(result) == 1 ? (int)strtol(PQgetvalue(result, 0, 0), NULL, 10) : 0;

    /* A pooler tells its clients numbers of its own. */
    db->is_pooled = PQntuples(result) == 1 && PQnfields(result) > 2
                    && strtol(PQgetvalue(result, 0, 2), NULL, 10) != PQbackendPID(db->conn);
    if (major == DB_CONTRACT_MAJOR)
        return;
    db->has_start_failed = true;
    err_set(&db->start_err, "KN012", "the database speaks contract %d, this program speaks %d",
            major, DB_CONTRACT_MAJOR);
}

static const char *start_step_name(const struct db *db)
{
    size_t steps = start_steps(db);

    if (db->started < steps)
        return db->started == 0 ? "contract" : "settings";
    if (db->started - steps < db->opt.nstatements)
        return db->opt.statements[db->started - steps].name;
    return "listen";
}

/* The server's sentence names the function with its arguments; ours says which statement wanted
 * it. */
static void start_failed(struct db *db, const PGresult *result)
{
    struct err err;

    db->has_start_failed = true;
    db_err_from_result(&err, result);
    if (db_is_restored(&err)) /* the database's own sentence says what to do */
        db->start_err = err;
    else
        err_set(&db->start_err, err.sqlstate, "statement %s cannot be prepared: %.400s",
                start_step_name(db), err.message);
}

static void on_start_result(struct db *db, PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_FATAL_ERROR:
        if (!db->has_start_failed)
            start_failed(db, result);
        break;
    case PGRES_TUPLES_OK:
        if (db->started == 0)
            check_contract(db, result);
        break;
    default: break; /* PGRES_COMMAND_OK, and PGRES_PIPELINE_ABORTED behind the first error */
    }
    db->started++;
    PQclear(result);
}

static void on_start_end(struct db *db)
{
    if (db->has_start_failed) {
        struct err err = db->start_err;
        go_down(db, &err);
        return;
    }
    FAILPOINT("db.listening");
    loop_timer_stop(db->loop, &db->timer);
    db->state    = UP;
    db->attempts = 0;
    log_info("database link up", "link", db->opt.application, NULL);
    db->is_calling = true;
    if (db->opt.on_up)
        db->opt.on_up(db->opt.ctx, db);
    db->is_calling = false;
}

/* ---- answers ---- */

static void keep_result(struct db *db, PGresult *result)
{
    struct request *request = oldest(db);

    bool is_error = PQresultStatus(result) == PGRES_FATAL_ERROR;

    if (!is_error && (request->result || request->settings > 0)) {
        request->settings -= request->settings > 0;
        PQclear(result);
        return;
    }
    PQclear(request->result); /* the commit failed after the rows had come */
    request->result = result;
}

static void on_sync(struct db *db)
{
    if (db->state == STARTING) {
        on_start_end(db);
    } else if (db->count > 0) {
        struct request request = pop(db);
        if (db->count == 0)
            loop_timer_stop(db->loop, &db->deadline);
        FAILPOINT("db.answered");
        answer(db, &request, NULL);
    }
}

/* Bounded in effect by max_in_flight: each sync answers one request. NULL only separates results in
 * a pipeline. */
static void read_results(struct db *db)
{
    while ((db->state == STARTING || db->count > 0) && !PQisBusy(db->conn)) {
        PGresult *result = PQgetResult(db->conn);

        if (result && PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            on_sync(db);
        } else if (result && db->state == STARTING) {
            on_start_result(db, result);
        } else if (result) {
            keep_result(db, result);
        }
        if (!db->conn || PQstatus(db->conn) == CONNECTION_BAD)
            return;
    }
}

static void read_notifications(struct db *db)
{
    PGnotify *notify;

    while (db->state == UP && (notify = PQnotifies(db->conn))) {
        if (db->opt.on_notify)
            db->opt.on_notify(db->opt.ctx, db, notify->extra);
        PQfreemem(notify);
    }
}

static void on_socket(void *ctx, uint32_t events)
{
    struct db *db = ctx;
    bool       is_read;

    if (db->state == CONNECTING) {
        poll_connect(db);
        return;
    }
    is_read = !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || PQconsumeInput(db->conn) == 1;
    read_results(db); /* also after a failed read: a FATAL message may have come before the end */
    if (db->state < STARTING)
        return;
    if (!is_read || PQstatus(db->conn) == CONNECTION_BAD) {
        struct err err;
        if (db->state == STARTING && db->has_start_failed) {
            err = db->start_err;
            go_down(db, &err);
        } else {
            lose(db, "08006", "link lost");
        }
        return;
    }
    read_notifications(db);
    if (db->state >= STARTING && (db->watch.events & EPOLLOUT))
        flush(db);
}

static void flush(void *ctx)
{
    struct db *db = ctx;
    int        left;

    if (db->state < STARTING)
        return;
    left = PQflush(db->conn);
    if (left < 0)
        lose(db, "08006", "link lost");
    else
        loop_mod(db->loop, &db->watch, left ? EPOLLIN | EPOLLOUT : EPOLLIN);
    if (left == 0 && db->count > 0)
        FAILPOINT("db.sent");
}

/* The timer is set when the queue fills and looks again when it fires: nothing to do for each
 * request. */
static void on_deadline(void *ctx)
{
    struct db *db  = ctx;
    uint64_t   now = base_now_ms();
    struct err err;

    if (db->count == 0)
        return;
    if (oldest(db)->due_ms > now) {
        loop_timer_set(db->loop, &db->deadline, oldest(db)->due_ms - now);
        return;
    }
    err_set(&err, "08006", "the database did not answer in time");
    go_down(db, &err);
}

/* ---- what others call ---- */

struct db *db_open(struct loop *loop, const struct db_options *opt, struct err *err)
{
    struct db *db     = calloc(1, sizeof(*db));
    char      *reason = NULL;

    if (!db)
        abort();
    db->opt      = *opt;
    db->loop     = loop;
    db->conninfo = PQconninfoParse(opt->url, &reason);
    if (!db->conninfo) { /* libpq's reason may repeat parts of the URL, which may hold a password */
        err_set(err, "F0000", "DATABASE_URL is neither a libpq URI nor a conninfo string");
        PQfreemem(reason);
        free(db);
        return NULL;
    }
    db->opt.max_in_flight      = opt->max_in_flight ? opt->max_in_flight : 4096;
    db->opt.connect_timeout_ms = opt->connect_timeout_ms ? opt->connect_timeout_ms : 3000;
    db->opt.request_timeout_ms = opt->request_timeout_ms ? opt->request_timeout_ms : 10000;
    if (!db->opt.statement_timeout_ms)
        db->opt.statement_timeout_ms = db->opt.request_timeout_ms > 3000
                                           ? db->opt.request_timeout_ms - 1500
                                           : db->opt.request_timeout_ms / 2;
    db->session_sql = settings_sql(&db->opt, false);
    db->local_sql   = settings_sql(&db->opt, true);
    db->nhosts      = items(option(db, "host"));
    if (items(option(db, "hostaddr")) > db->nhosts)
        db->nhosts = items(option(db, "hostaddr"));
    if (db->nhosts == 0)
        db->nhosts = 1;
    db->watch    = (struct loop_watch) { .on_event = on_socket, .ctx = db, .fd = -1 };
    db->timer    = (struct loop_timer) { .on_time = try_connect, .ctx = db };
    db->deadline = (struct loop_timer) { .on_time = on_deadline, .ctx = db };
    db->flush    = (struct loop_task) { .on_turn_end = flush, .ctx = db };
    loop_timer_set(loop, &db->timer, 0);
    return db;
}

void db_close(struct db *db)
{
    struct err err;

    if (!db)
        return;
    assert(!db->is_calling && "db_close() inside a callback of the same link");
    disconnect(db);
    err_set(&err, "08006", "the program is stopping");
    answer_all(db, &err);
    PQconninfoFree(db->conninfo);
    free(db->session_sql);
    free(db->local_sql);
    free(db->ring);
    free(db);
}

bool db_is_up(const struct db *db)
{
    return db->state == UP;
}

size_t db_in_flight(const struct db *db)
{
    return db->count;
}

bool db_can_send(const struct db *db)
{
    return db->state == UP && db->count < db->opt.max_in_flight;
}

static bool send_query(struct db *db, const struct db_statement *s, const char *const params[])
{
    int sent;

    FAILPOINT("db.sending");
    if (db->is_pooled && !send_pooled_settings(db))
        return false;
    sent = db->opt.is_preparing
               ? PQsendQueryPrepared(db->conn, s->name, s->nparams, params, NULL, NULL, 0)
               : PQsendQueryParams(db->conn, s->sql, s->nparams, NULL, params, NULL, NULL, 0);

    return sent == 1 && PQpipelineSync(db->conn) == 1;
}

bool db_send(struct db *db, size_t statement, const char *const params[], db_reply_fn *on_reply,
             void *ctx, struct err *err)
{
    struct request *request;

    assert(statement < db->opt.nstatements
           && db->opt.statements[statement].nparams <= DB_PARAMS_MAX);
    if (db->state != UP || db->count >= db->opt.max_in_flight) {
        err_set(err, db->state != UP ? "08003" : "53300",
                db->state != UP ? "the database cannot be reached"
                                : "too many requests are waiting for the database");
        return false;
    }
    if (!send_query(db, &db->opt.statements[statement], params)) {
        /* A half-sent request would put every later answer one place off: the link must go. The
         * loop does that, since the caller stands somewhere in the middle of its own work. */
        err_from_conn(err, "08006", db->conn, "cannot send");
        loop_timer_set(db->loop, &db->timer, 0);
        return false;
    }
    request  = push(db);
    *request = (struct request) { .on_reply = on_reply,
                                  .ctx      = ctx,
                                  .due_ms   = base_now_ms() + db->opt.request_timeout_ms,
                                  .settings = db->is_pooled ? countof(pooled_statements) + 1 : 0 };
    if (db->count == 1)
        loop_timer_set(db->loop, &db->deadline, db->opt.request_timeout_ms);
    loop_defer(db->loop, &db->flush);
    return true;
}

/* ---- checking, for --check and before a program begins to serve ---- */

struct check {
    struct loop *loop;
    struct err  *err;
    bool         is_ok;
};

static void check_up(void *ctx, struct db *db)
{
    struct check *check = ctx;

    (void)db;
    check->is_ok = true;
    loop_stop(check->loop);
}

static void check_refused(void *ctx, struct db *db, const struct err *err)
{
    struct check *check = ctx;

    (void)db;
    *check->err = *err;
    loop_stop(check->loop);
}

static void check_down(void *ctx, struct db *db, const struct err *err)
{
    if (db->attempts >= db->nhosts)
        check_refused(ctx, db, err);
}

bool db_check(const struct db_options *opt, struct err *err)
{
    struct check      check = { .err = err };
    struct db_options own   = *opt;
    struct db        *db;

    check.loop     = loop_open(err);
    own.ctx        = &check;
    own.on_up      = check_up;
    own.on_refused = check_refused;
    own.on_down    = check_down;
    own.on_notify  = NULL;
    db             = check.loop ? db_open(check.loop, &own, err) : NULL;
    if (db)
        loop_run(check.loop);
    db_close(db);
    loop_close(check.loop);
    return check.is_ok;
}

int db_exit_code(const struct err *err)
{
    if (db_is_restored(err))
        return EXIT_RESTORED;
    if (is_refusal(err))
        return EXIT_CONTRACT;
    return err_is(err, "F0000") ? EXIT_CONFIG : EXIT_NO_DB;
}
