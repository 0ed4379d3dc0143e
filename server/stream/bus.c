/*
 * bus: when to read the log, and which listeners get what was read.
 *
 *   ASLEEP ─first listener─► HEADING ─head─► READING ─rows─► PAUSING ─timer, notify─► READING …
 *     ▲────────────────────last listener leaves─────────────────┘
 *
 * A listener with a position waits among those that have `come` until a head or a read is asked
 * for, then among the `waiting` for its answer.
 *
 * Pauses: 5 ms while events come and for 10 ms after; then reads that mark this process asleep (so
 * that writers notify it) after 3, 30 and 300 ms, then each second: a trigger cannot close the race
 * between the last read and falling asleep; these reads do. Without a listener nothing is read, the
 * head is dropped, and the mark is taken back: a notification costs writers half of their commits.
 *
 * A large batch (an announcement to all, a long pause) is read in pieces, all up to the same head.
 * A listener that joins between two pieces begins at that head and is passed over by the rest of
 * the batch. One that brings a position, which may be beyond the head, waits for a later head.
 */
#include "server/stream/bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/db.h"
#include "lib/failpoint.h"
#include "lib/log.h"
#include "server/http/metrics.h"
#include "server/pool/refusal.h"
#include "server/server.h"

#define BUCKETS        8192 /* of accounts; a power of two */
#define ENDED_KEPT     256  /* for the time that a handshake takes */
#define BUSY_PAUSE_MS  5
#define BUSY_MS        10
#define ERROR_PAUSE_MS 200
#define POSITION_BYTES 2100
#define REST_BYTES     (2 * POSITION_BYTES + 32) /* two of them and an event */

enum state { ASLEEP, HEADING, READING, PAUSING };
enum { STATEMENT_HEAD, STATEMENT_READ };

static const struct db_statement statements[] = {
    { "bus_head", "select kiln_api.bus_head()", 0 },
    { "bus_read",
      "select account_id, position, type, data, head, place, state, latest, rest "
      "from kiln_api.bus_read($1::text, $2::boolean, $3::boolean)",
      3 },
};

static const uint64_t idle_pauses_ms[] = { 3, 30, 300, 1000 };

/* An end of a session, which the pump read. */
struct ended {
    int64_t  account;
    uint64_t seen_ns;
};

struct bus {
    struct server    *server; /* first: refusal.h */
    struct db        *link;
    enum state        state;
    bool              is_in_flight; /* a head or a read is under way */
    bool              is_notified;  /* while one was */
    bool              is_resetting; /* the next head is a new beginning */
    bool              is_marked;    /* writers notify this process */
    char              head[POSITION_BYTES];
    char              rest[REST_BYTES]; /* "": all up to the head was handed out */
    uint64_t          batch;            /* which one leads to the head */
    uint64_t          busy_until_ms;
    size_t            idle_looks;
    struct loop_timer timer;
    struct bus_event  event;
    struct ended      ended[ENDED_KEPT]; /* the latest, round and round */
    size_t            next_ended;
    size_t            listeners;
    struct listener  *come, *waiting;
    struct listener  *watching; /* all accounts */
    struct listener  *buckets[BUCKETS];
};

static void read_log(struct bus *bus);

/* ---- lists of listeners ---- */

static void link_in(struct listener **list, struct listener *listener)
{
    listener->next = *list;
    listener->at   = list;
    if (*list)
        (*list)->at = &listener->next;
    *list = listener;
}

static void link_out(struct listener *listener)
{
    *listener->at = listener->next;
    if (listener->next)
        listener->next->at = listener->at;
    listener->at = NULL;
}

static struct listener **bucket(struct bus *bus, int64_t account)
{
    return &bus->buckets[((uint64_t)account * UINT64_C(0x9e3779b97f4a7c15)) >> 51];
}

static bool is_session(const struct bus_event *event)
{
    return strcmp(event->type, "session.ended") == 0;
}

static bool has_ended(const struct bus *bus, const struct listener *listener)
{
    for (size_t i = 0; i < ENDED_KEPT; i++)
        if (bus->ended[i].account == listener->account
            && bus->ended[i].seen_ns >= listener->since_ns)
            return true;
    return false;
}

/* A session may have ended after its listener was authenticated and before it is admitted: then the
 * event has passed it, and is sent now. */
static void admit(struct bus *bus, struct listener *listener)
{
    struct bus_event ended = {
        .account = listener->account, .position = bus->head, .type = "session.ended", .data = "{}"
    };

    listener->batch = bus->batch;
    link_in(listener->wants_all ? &bus->watching : bucket(bus, listener->account), listener);
    listener->ops->begin(listener, bus->head);
    if (listener->at && has_ended(bus, listener))
        listener->ops->event(listener, &ended);
}

static void admit_waiting(struct bus *bus)
{
    while (bus->waiting) {
        struct listener *listener = bus->waiting;
        link_out(listener);
        admit(bus, listener);
    }
}

/* A head that is asked for now is late enough for all that have come. */
static void wait_for_answer(struct bus *bus)
{
    while (bus->come) {
        struct listener *listener = bus->come;
        link_out(listener);
        link_in(&bus->waiting, listener);
    }
}

static void reset_list(struct bus *bus, struct listener *first)
{
    struct listener *next;

    for (struct listener *l = first; l; l = next) {
        next = l->next; /* one that breaks leaves the list */
        l->ops->reset(l, bus->head);
    }
}

static void reset_all(struct bus *bus)
{
    for (size_t i = 0; i < BUCKETS; i++)
        reset_list(bus, bus->buckets[i]);
    reset_list(bus, bus->watching);
}

static void forget_head(struct bus *bus)
{
    bus->head[0] = '\0';
    bus->rest[0] = '\0';
}

/* ---- pauses ---- */

static void pause_for(struct bus *bus, uint64_t ms)
{
    bus->state = PAUSING;
    loop_timer_set(bus->server->loop, &bus->timer, ms);
}

static void pause_after_read(struct bus *bus, size_t events)
{
    uint64_t now = base_now_ms();

    if (events > 0) {
        bus->busy_until_ms = now + BUSY_MS;
        bus->idle_looks    = 0;
    }
    if (bus->is_notified || bus->come || bus->rest[0]) {
        bus->is_notified = false;
        pause_for(bus, 0);
    } else if (now < bus->busy_until_ms) {
        pause_for(bus, BUSY_PAUSE_MS);
    } else {
        pause_for(bus, idle_pauses_ms[bus->idle_looks]);
        if (bus->idle_looks < countof(idle_pauses_ms) - 1)
            bus->idle_looks++;
    }
}

static void ask_head(struct bus *bus);

/* A process that asks for the head is awake: on_head() comes back here without the mark. */
static void fall_asleep(struct bus *bus)
{
    loop_timer_stop(bus->server->loop, &bus->timer);
    forget_head(bus);
    if (bus->is_marked)
        ask_head(bus);
    else
        bus->state = ASLEEP;
}

/* ---- the head ---- */

static bool take_position(struct bus *bus, const char *position)
{
    size_t bytes = strlen(position);

    if (bytes >= sizeof(bus->head)) {
        log_error("a position of the bus is too long", "bytes", LOG_I64(bytes), NULL);
        return false;
    }
    memcpy(bus->head, position, bytes + 1);
    return true;
}

static void on_head(void *ctx, PGresult *result, const struct err *err)
{
    struct bus *bus = ctx;

    FAILPOINT("server.bus.head.answered");
    bus->is_in_flight = false;
    if (err || PQntuples(result) != 1 || !take_position(bus, PQgetvalue(result, 0, 0))) {
        if (err && !err_is(err, "08"))
            log_warn("the bus has no head", "sqlstate", err->sqlstate, "error", err->message, NULL);
        pause_for(bus, ERROR_PAUSE_MS);
    } else if (bus->listeners == 0) {
        fall_asleep(bus);
    } else {
        if (bus->is_resetting)
            reset_all(bus);
        bus->is_resetting  = false;
        bus->busy_until_ms = base_now_ms() + BUSY_MS;
        bus->idle_looks    = 0;
        admit_waiting(bus);
        pause_after_read(bus, 0);
    }
    PQclear(result);
}

static void ask_head(struct bus *bus)
{
    struct err err;

    if (bus->is_in_flight || !db_can_send(bus->link))
        return; /* on_up comes back here */
    bus->state     = HEADING;
    bus->is_marked = false;
    wait_for_answer(bus);
    FAILPOINT("server.bus.head.asking");
    bus->is_in_flight = db_send(bus->link, STATEMENT_HEAD, NULL, on_head, bus, &err);
}

/* ---- reading ---- */

const struct frame *bus_event_frame(struct bus_event *event, enum frame_kind kind)
{
    struct frame *frame = &event->frames[kind];

    if (!event->is_made[kind])
        frame_event(frame, kind, event->position, event->type, event->data);
    event->is_made[kind] = true;
    return frame;
}

/* The rest of a batch is the past for a listener that joined in the middle of it; the end of its
 * session is not. */
static bool is_news(const struct bus *bus, const struct listener *listener,
                    const struct bus_event *event)
{
    return listener->batch != bus->batch || !event->position
           || (listener->account == event->account && is_session(event));
}

static void deliver(struct bus *bus, const PGresult *result, int row)
{
    struct bus_event *event = &bus->event;
    struct listener  *next;

    if (PQgetisnull(result, row, 0))
        return;
    event->account  = strtoll(PQgetvalue(result, row, 0), NULL, 10);
    event->position = PQgetisnull(result, row, 1) ? NULL : PQgetvalue(result, row, 1);
    event->type     = PQgetvalue(result, row, 2);
    event->data     = PQgetvalue(result, row, 3);
    event->place    = PQgetisnull(result, row, 5) ? NULL : PQgetvalue(result, row, 5);
    event->state    = PQgetisnull(result, row, 6) ? NULL : PQgetvalue(result, row, 6);
    event->latest = PQgetisnull(result, row, 7) ? 0 : strtoll(PQgetvalue(result, row, 7), NULL, 10);
    memset(event->is_made, 0, sizeof(event->is_made));
    if (is_session(event)) {
        bus->ended[bus->next_ended] = (struct ended) { event->account, base_now_ns() };
        bus->next_ended             = (bus->next_ended + 1) % ENDED_KEPT;
    }
    for (struct listener *l = *bucket(bus, event->account); l; l = next) {
        next = l->next;
        if (l->account == event->account && is_news(bus, l, event))
            l->ops->event(l, event);
    }
    for (struct listener *l = bus->watching; l; l = next) {
        next = l->next;
        if (is_news(bus, l, event))
            l->ops->event(l, event);
    }
}

/* The first row has only the new head; the last event's, if the batch goes on, from where. */
static size_t deliver_all(struct bus *bus, const PGresult *result)
{
    int rows = PQntuples(result);

    if (rows < 1 || !take_position(bus, PQgetvalue(result, 0, 4)))
        return 0;
    if (!bus->rest[0])
        bus->batch++;
    bus->rest[0] = '\0';
    for (int row = 1; row < rows; row++) {
        if (!PQgetisnull(result, row, 8))
            snprintf(bus->rest, sizeof(bus->rest), "%s", PQgetvalue(result, row, 8));
        deliver(bus, result, row);
    }
    return (size_t)(rows - 1);
}

static void on_read_error(struct bus *bus, const struct err *err)
{
    if (err_is(
            err,
            "KN013")) { /* after a failover or a restore: one reset a stream, which is not a hole */
        log_warn("the bus starts again", "error", err->message, NULL);
        bus->is_resetting = true;
        forget_head(bus);
    } else if (!err_is(err, "08")) {
        log_warn("the bus cannot be read", "sqlstate", err->sqlstate, "error", err->message, NULL);
    }
    pause_for(bus, ERROR_PAUSE_MS);
}

static void on_read(void *ctx, PGresult *result, const struct err *err)
{
    struct bus *bus = ctx;

    FAILPOINT("server.bus.read.answered");
    bus->is_in_flight = false;
    metrics_pump_read(bus->server->metrics);
    if (err) {
        on_read_error(bus, err);
    } else {
        size_t events = deliver_all(bus, result);
        admit_waiting(bus);
        pause_after_read(bus, events);
    }
    PQclear(result);
    if (bus->listeners == 0)
        fall_asleep(bus);
}

static void read_log(struct bus *bus)
{
    bool        is_idle   = base_now_ms() >= bus->busy_until_ms && !bus->is_notified;
    const char *from      = bus->rest[0] ? bus->rest : bus->head;
    const char *params[3] = { from, is_idle ? "true" : "false", bus->watching ? "true" : "false" };
    struct err  err;

    if (bus->is_in_flight || !db_can_send(bus->link))
        return;
    bus->is_notified = false;
    bus->is_marked   = is_idle;
    bus->state       = READING;
    if (from == bus->head) /* else it takes no new snapshot */
        wait_for_answer(bus);
    FAILPOINT("server.bus.read.asking");
    bus->is_in_flight = db_send(bus->link, STATEMENT_READ, params, on_read, bus, &err);
}

static void go_on(void *ctx)
{
    struct bus *bus = ctx;

    if (bus->listeners == 0)
        fall_asleep(bus);
    else if (bus->head[0])
        read_log(bus);
    else
        ask_head(bus);
}

/* ---- the link ---- */

static void on_up(void *ctx, struct db *db)
{
    (void)db;
    go_on(ctx); /* from the position we had: what happened meanwhile is read now */
}

static void on_notify(void *ctx, struct db *db, const char *payload)
{
    struct bus *bus = ctx;

    (void)db;
    (void)payload;
    if (bus->listeners == 0)
        return;
    bus->is_notified = true;
    if (bus->state == PAUSING)
        loop_timer_set(bus->server->loop, &bus->timer, 0); /* one read for many notifications */
}

static struct db_options options(struct server *server, struct bus *bus)
{
    return (struct db_options) { .url                = server->cfg->listen_url,
                                 .user               = "kiln_server",
                                 .application        = "kiln-server bus",
                                 .statements         = statements,
                                 .nstatements        = countof(statements),
                                 .listen             = "kiln_event",
                                 .is_preparing       = server->cfg->is_preparing,
                                 .max_in_flight      = 2,
                                 .request_timeout_ms = 5000,
                                 .ctx                = bus,
                                 .on_up              = on_up,
                                 .on_notify          = on_notify,
                                 .on_refused         = refusal_on_refused };
}

struct bus *bus_open(struct server *server, struct err *err)
{
    struct bus       *bus = calloc(1, sizeof(*bus));
    struct db_options opt = options(server, bus);

    if (!bus)
        abort();
    bus->server = server;
    bus->timer  = (struct loop_timer) { .on_time = go_on, .ctx = bus };
    bus->link   = db_open(server->loop, &opt, err);
    if (!bus->link) {
        free(bus);
        return NULL;
    }
    return bus;
}

void bus_close(struct bus *bus)
{
    if (!bus)
        return;
    db_close(bus->link);
    loop_timer_stop(bus->server->loop, &bus->timer);
    for (size_t i = 0; i < FRAME_KINDS; i++)
        frame_free(&bus->event.frames[i]);
    free(bus);
}

bool bus_check(struct server *server, struct err *err)
{
    struct db_options opt = options(server, NULL);

    return db_check(&opt, err);
}

bool bus_is_up(const struct bus *bus)
{
    return db_is_up(bus->link);
}

/* ---- joining ---- */

const char *bus_head(const struct bus *bus)
{
    return bus->head;
}

/* A listener without a position starts at the current head: what a read under way brings lies
 * behind it. Not one that wants all accounts: that read was asked for without places. */
void bus_join(struct bus *bus, struct listener *listener, bool has_position)
{
    bus->listeners++;
    if (bus->head[0] && !bus->is_resetting && db_is_up(bus->link) && !has_position
        && !listener->wants_all) {
        admit(bus, listener);
        return;
    }
    link_in(&bus->come, listener);
    if (bus->state == ASLEEP || !bus->head[0])
        ask_head(bus);
    else if (bus->state == PAUSING)
        loop_timer_set(bus->server->loop, &bus->timer, 0);
}

void bus_leave(struct bus *bus, struct listener *listener)
{
    if (!listener->at)
        return;
    link_out(listener);
    bus->listeners--;
    if (bus->listeners == 0 && !bus->is_in_flight)
        fall_asleep(bus);
}
