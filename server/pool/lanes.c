/*
 * lanes: links, and what waits for them.
 */
#include "server/pool/lanes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/http/call.h"
#include "lib/failpoint.h"
#include "server/pool/refusal.h"
#include "server/server.h"
#include "server/pool/turns.h"

#define LOOK_MS        250  /* for those that waited too long */
#define PARKED_MS      1500 /* a restart of the database takes about a second */
#define DRAIN_EARLY_MS 3000 /* so much less time do calls wait in a process that is stopping */
#define OWNER_US       4000 /* of one owner, expected */
#define LATE_NS        UINT64_C(10000000) /* a statement in flight, for others to be put behind it */
#define LARGE_BYTES    262144             /* of an answer: it waits in memory for its reader */
#define FIRST_COST_US  100                /* of a statement that was never sent */

static const struct kind {
    const char         *name, *application;
    struct turns_bounds bounds;
    size_t              depth;   /* in flight on one link */
    uint32_t            link_us; /* and what these are expected to take, where they are several */
    uint32_t            statement_ms, deadline_ms;
    uint64_t            waiting_ms;
    bool                is_read, is_shared;
} kinds[LANES] = {
    /* Half of the writers are one account's: open_lane(). */
    [POOL_WRITE - 1] = { .name         = "write",
                         .application  = "kiln-server write",
                         .bounds       = { .waiting = 256, .waiting_all = 1024 },
                         .depth        = 1,
                         .statement_ms = 8500,
                         .deadline_ms  = 10000,
                         .waiting_ms   = 5000 },

    [POOL_READ - 1] = { .name         = "read",
                        .application  = "kiln-server read",
                        .bounds       = { 64, OWNER_US, .waiting = 512, .waiting_all = 8192 },
                        .depth        = 64,
                        .link_us      = 4000,
                        .statement_ms = 3000,
                        .deadline_ms  = 4500,
                        .waiting_ms   = 3000,
                        .is_read      = true },

    [POOL_PAGE - 1] = { .name         = "page",
                        .application  = "kiln-server page",
                        .bounds       = { 64, OWNER_US, .waiting = 256, .waiting_all = 4096 },
                        .depth        = 64,
                        .link_us      = 4000,
                        .statement_ms = 4000,
                        .deadline_ms  = 5500,
                        .waiting_ms   = 4000,
                        .is_read      = true },

    [POOL_LONG - 1] = { .name         = "long",
                        .application  = "kiln-server long",
                        .bounds       = { 1, .waiting = 16, .waiting_all = 512 },
                        .depth        = 1,
                        .statement_ms = 5000,
                        .deadline_ms  = 6500,
                        .waiting_ms   = 5000,
                        .is_read      = true },

    /* Streams and connections are bounded, and so what waits here is. */
    [POOL_STREAM - 1] = { .name         = "stream",
                          .application  = "kiln-server stream",
                          .bounds       = { 64, OWNER_US, SIZE_MAX, SIZE_MAX },
                          .depth        = 256,
                          .link_us      = 20000,
                          .statement_ms = 5000,
                          .deadline_ms  = 6500,
                          .waiting_ms   = 5000,
                          .is_read      = true },

    [POOL_HEALTH - 1] = { .name         = "health",
                          .application  = "kiln-server health",
                          .bounds       = { 1, 0, SIZE_MAX, SIZE_MAX },
                          .depth        = 1,
                          .statement_ms = 3000,
                          .deadline_ms  = 4500,
                          .waiting_ms   = 3000,
                          .is_read      = true,
                          .is_shared    = true },
};

struct link {
    struct lane *lane;
    struct db   *db;
    size_t       under_way;
    uint64_t     expected_us;   /* what is in flight is expected to take */
    uint64_t     busy_since_ns; /* when the oldest in flight began to be worked on */
    bool         is_broken;     /* until it is up again */
};

struct lane {
    struct lanes      *lanes;
    const struct kind *kind;
    struct link       *links;
    size_t             nlinks;
    struct turns      *turns;
    uint32_t          *cost_us; /* of each statement in this lane, smoothed */
    uint64_t           refused_owner, refused_all, late;
};

/* The turn of a reply that is being given. */
struct given {
    struct lane *lane;
    struct turn  turn;
    uint64_t     took_us;
};

struct held {
    struct given given;
};

struct lanes {
    struct server             *server;
    const struct db_statement *statements;
    size_t                     nstatements;
    struct lane                lanes[LANES];
    struct loop_timer          timer;
    struct given              *given; /* inside a reply */
    bool                       is_closing;
};

static void on_answer(void *ctx, PGresult *result, const struct err *err);

static struct call *call_of(struct turn *turn)
{
    return (struct call *)(void *)((char *)turn - offsetof(struct call, turn));
}

/* ---- links ---- */

static bool can_take(const struct link *link, uint32_t cost_us, uint64_t now_ns)
{
    if (link->is_broken || !db_can_send(link->db))
        return false;
    return link->under_way == 0
           || (link->expected_us + cost_us <= link->lane->kind->link_us
               && now_ns - link->busy_since_ns < LATE_NS);
}

/* The lowest first: few connections stay warm under little load. */
static struct link *free_link(struct lane *lane, uint32_t cost_us)
{
    uint64_t now = base_now_ns();

    for (size_t i = 0; i < lane->nlinks; i++)
        if (can_take(&lane->links[i], cost_us, now))
            return &lane->links[i];
    return NULL;
}

static size_t links_up(const struct lane *lane)
{
    size_t n = 0;

    for (size_t i = 0; i < lane->nlinks; i++)
        n += db_is_up(lane->links[i].db);
    return n;
}

/* ---- waiting ---- */

static void look_later(struct lanes *lanes)
{
    if (lanes->timer.slot == 0)
        loop_timer_set(lanes->server->loop, &lanes->timer, LOOK_MS);
}

/* In a shared lane a statement is the owner: all who ask it wait in one queue. */
static uint64_t owner_in(const struct lane *lane, const struct call *call)
{
    return lane->kind->is_shared ? call->statement : call->owner;
}

static void join_again(struct lane *lane, struct call *call, uint64_t ms)
{
    turns_join_again(lane->turns, &call->turn, owner_in(lane, call), lane->cost_us[call->statement],
                     base_now_ms() + ms);
    look_later(lane->lanes);
}

static bool join(struct lane *lane, struct call *call, struct err *err)
{
    uint64_t due = base_now_ms() + lane->kind->waiting_ms;

    switch (turns_join(lane->turns, &call->turn, owner_in(lane, call),
                       lane->cost_us[call->statement], due)) {
    case TURNS_JOINED: look_later(lane->lanes); return true;
    case TURNS_OWNER_FULL:
        lane->refused_owner++;
        err_set(err, "KN007", "too many requests of this account are waiting: let some end first");
        if (err)
            snprintf(err->detail, sizeof(err->detail), "{\"retry_after\":1}");
        return false;
    case TURNS_FULL: lane->refused_all++; break;
    }
    err_set(err, "53300", "too many requests are waiting for the database");
    return false;
}

static void refuse_late(struct lane *lane, struct call *call)
{
    bool       is_ending = lane->lanes->is_closing || lane->lanes->server->is_draining;
    struct err err;

    lane->late++;
    if (is_ending)
        err_set(&err, "57P01", "the server is stopping");
    else if (call->was_sent_again)
        err_set(&err, "08006", "the database did not come back in time");
    else
        err_set(&err, "53300", "no connection to the database became free in time");
    call->on_reply(call->ctx, NULL, &err);
}

static void end_waiting(struct lane *lane, uint64_t until_ms)
{
    struct turn *turn;

    while ((turn = turns_late(lane->turns, until_ms))) {
        turns_leave(lane->turns, turn);
        refuse_late(lane, call_of(turn));
    }
}

static void on_look(void *ctx)
{
    struct lanes *lanes   = ctx;
    uint64_t      until   = base_now_ms() + (lanes->server->is_draining ? DRAIN_EARLY_MS : 0);
    size_t        waiting = 0;

    for (size_t i = 0; i < LANES; i++) {
        end_waiting(&lanes->lanes[i], until);
        waiting += turns_waiting(lanes->lanes[i].turns);
    }
    if (waiting)
        look_later(lanes);
}

/* ---- sending ---- */

/* All who wait for the same answer ride along. */
static void gather_riders(struct lane *lane, struct call *call)
{
    struct call **last = &call->rider;
    struct turn  *turn;

    while (lane->kind->is_shared && (turn = turns_behind(&call->turn))) {
        turns_leave(lane->turns, turn);
        *last = call_of(turn);
        last  = &(*last)->rider;
    }
    *last = NULL;
}

/* False: the link must be made anew; not a byte of the statement was sent. */
static bool send_on(struct link *link, struct call *call)
{
    struct err err;

    if (link->lane->kind->is_read) {
        FAILPOINT("server.read.asking");
    }
    if (!link->lane->kind->is_read) {
        FAILPOINT("server.write.asking");
    }
    if (!db_send(link->db, call->statement, call->params, on_answer, call, &err)) {
        link->is_broken = true;
        return false;
    }
    if (link->under_way++ == 0)
        link->busy_since_ns = base_now_ns();
    link->expected_us += call->turn.cost_us;
    call->link = link;
    return true;
}

static void dispatch(struct lane *lane)
{
    struct turn *turn;
    struct link *link;

    while (!lane->lanes->is_closing && (turn = turns_first(lane->turns))
           && (link = free_link(lane, turn->cost_us))) {
        turns_start(lane->turns, turn);
        gather_riders(lane, call_of(turn));
        if (send_on(link, call_of(turn)))
            continue;
        turns_end(lane->turns, turn, 0);
        for (struct call *call = call_of(turn), *next; call; call = next) {
            next = call->rider;
            join_again(lane, call, lane->kind->waiting_ms);
        }
    }
}

/* While others are up, the links of a lane will soon be, and its calls wait for them. */
static bool is_any_up(const struct lanes *lanes)
{
    for (size_t i = 0; i < LANES; i++)
        if (links_up(&lanes->lanes[i]) > 0)
            return true;
    return false;
}

bool lanes_start(struct lanes *lanes, struct call *call, struct err *err)
{
    struct lane *lane = &lanes->lanes[call->pool - 1];

    call->was_sent_again = false;
    call->rider          = NULL;
    if (lanes->is_closing) { /* some of the links are gone already */
        err_set(err, "57P01", "the server is stopping");
        return false;
    }
    if (lane->nlinks == 0 || !is_any_up(lanes)) {
        err_set(err, "08003", "the database cannot be reached");
        refusal_explain(lanes->server, err);
        return false;
    }
    if (!join(lane, call, err))
        return false;
    dispatch(lane);
    return true;
}

/* ---- answers ---- */

/* 57P01, 57P02: the server is going down and has not run it. */
static bool is_link_lost(const struct err *err)
{
    return err && (err_is(err, "08006") || err_is(err, "57P01") || err_is(err, "57P02"));
}

static void note_cost(struct lane *lane, size_t statement, uint64_t took_us)
{
    int64_t old = lane->cost_us[statement];
    int64_t now = took_us > UINT32_MAX / 2 ? UINT32_MAX / 2 : (int64_t)took_us;

    lane->cost_us[statement] = (uint32_t)(old + (now - old) / 16);
}

/* Sending again is right for reads; once, since a statement may be what breaks the link. */
static bool send_again(struct lane *lane, struct call *call, const struct err *err)
{
    const struct lanes *lanes = lane->lanes;

    if (!is_link_lost(err) || !lane->kind->is_read || call->was_sent_again || lanes->is_closing
        || lanes->server->is_draining)
        return false;
    call->was_sent_again = true;
    join_again(lane, call, PARKED_MS);
    return true;
}

static void give_riders(struct lane *lane, struct call *first, const PGresult *result,
                        const struct err *err)
{
    for (struct call *call = first, *next; call; call = next) {
        next = call->rider;
        if (!send_again(lane, call, err))
            call->on_reply(call->ctx, result ? PQcopyResult(result, PG_COPYRES_TUPLES) : NULL, err);
    }
}

/* That it will be cut again should be said, rather than that it may be tried again. */
static const struct err *explain(const struct lane *lane, const struct err *err, struct err *own)
{
    if (!err || !err_is(err, "57014") || lane->kind != &kinds[POOL_LONG - 1])
        return err;
    err_set(own, "HT001",
            "This took longer than the %u seconds that a search, a report or an export may take: "
            "ask for less at a time.",
            lane->kind->statement_ms / 1000);
    return own;
}

/* Of what is large, or always of a long read, the turn lasts until the client has read it. */
static bool is_held(const struct lane *lane, const PGresult *result)
{
    if (!result || !lane->kind->is_read || lane->kind->is_shared)
        return false;
    return lane->kind == &kinds[POOL_LONG - 1]
           || (PQntuples(result) == 1 && PQgetlength(result, 0, 0) > LARGE_BYTES);
}

/* The call may be gone after its reply. */
static void give(struct lane *lane, struct call *call, uint64_t took_us, PGresult *result,
                 const struct err *err)
{
    struct lanes *lanes = lane->lanes;
    struct given  given = { lane, call->turn, took_us }, *outer = lanes->given;
    struct err    own;

    lanes->given = is_held(lane, result) ? &given : NULL;
    give_riders(lane, call->rider, result, err);
    call->on_reply(call->ctx, result, explain(lane, err, &own));
    if (given.lane)
        turns_end(lane->turns, &given.turn, took_us);
    lanes->given = outer;
}

static void on_answer(void *ctx, PGresult *result, const struct err *err)
{
    struct call *call = ctx;
    struct link *link = call->link;
    struct lane *lane = link->lane;
    uint64_t     now  = base_now_ns();
    uint64_t     took = (now - link->busy_since_ns) / 1000;

    if (lane->kind->is_read) {
        FAILPOINT("server.read.answered");
    }
    if (!lane->kind->is_read) {
        FAILPOINT("server.write.answered");
    }
    link->busy_since_ns = now;
    link->under_way--;
    link->expected_us -= call->turn.cost_us;
    if (is_link_lost(err))
        took = 0;
    else
        note_cost(lane, call->statement, took);
    if (is_link_lost(err) && lane->kind->is_read && !call->was_sent_again) {
        struct call *rider = call->rider;
        turns_end(lane->turns, &call->turn, 0);
        give_riders(lane, rider, NULL, err);
        if (!send_again(lane, call, err))
            call->on_reply(call->ctx, NULL, err);
    } else {
        give(lane, call, took, result, err);
    }
    dispatch(lane);
}

struct held *lanes_hold(struct lanes *lanes)
{
    struct held *held;

    if (!lanes->given)
        return NULL;
    held = malloc(sizeof(*held));
    if (!held)
        abort();
    held->given        = *lanes->given;
    lanes->given->lane = NULL;
    lanes->given       = NULL;
    return held;
}

void lanes_release(struct held *held)
{
    struct lane *lane;

    if (!held)
        return;
    lane = held->given.lane;
    turns_end(lane->turns, &held->given.turn, held->given.took_us);
    free(held);
    dispatch(lane);
}

struct lane_counts lanes_count(const struct lanes *lanes, size_t i)
{
    const struct lane *lane = &lanes->lanes[i];

    return (struct lane_counts) { .name          = lane->kind->name,
                                  .links         = lane->nlinks,
                                  .links_up      = links_up(lane),
                                  .waiting       = turns_waiting(lane->turns),
                                  .under_way     = turns_under_way(lane->turns),
                                  .refused_owner = lane->refused_owner,
                                  .refused_all   = lane->refused_all,
                                  .late          = lane->late };
}

/* ---- opening and closing ---- */

static void on_up(void *ctx, struct db *db)
{
    struct link *link = ctx;

    (void)db;
    link->is_broken = false;
    refusal_end(link->lane->lanes->server);
    dispatch(link->lane);
}

static void on_refused(void *ctx, struct db *db, const struct err *err)
{
    struct link *link = ctx;

    (void)db;
    refusal_take(link->lane->lanes->server, err);
}

struct db_options lanes_options(const struct server *server, const struct db_statement *statements,
                                size_t nstatements)
{
    return (struct db_options) { .url          = server->cfg->database_url,
                                 .user         = "kiln_server",
                                 .application  = "kiln-server check",
                                 .statements   = statements,
                                 .nstatements  = nstatements,
                                 .is_preparing = server->cfg->is_preparing };
}

static bool open_link(struct lane *lane, struct link *link, struct err *err)
{
    struct lanes     *lanes = lane->lanes;
    struct db_options opt   = lanes_options(lanes->server, lanes->statements, lanes->nstatements);

    opt.application          = lane->kind->application;
    opt.max_in_flight        = lane->kind->depth;
    opt.request_timeout_ms   = lane->kind->deadline_ms;
    opt.statement_timeout_ms = lane->kind->statement_ms;
    opt.ctx                  = link;
    opt.on_up                = on_up;
    opt.on_refused           = on_refused;
    link->lane               = lane;
    link->db                 = db_open(lanes->server->loop, &opt, err);
    return link->db != NULL;
}

static size_t at_least_one(size_t links)
{
    return links ? links : 1;
}

/* How many links a lane has in this process; streams only read. */
static size_t links_of(const struct server *server, size_t lane)
{
    size_t readers = (size_t)server->cfg->db_readers;
    size_t pages   = at_least_one(readers / 4);
    bool   is_api  = server->roles & ROLE_API;

    switch (lane + 1) {
    case POOL_READ: return is_api ? readers / 2 : 0;
    case POOL_PAGE: return is_api ? pages : 0;
    case POOL_LONG: return is_api ? readers - readers / 2 - pages : 0;
    case POOL_WRITE: return is_api ? (size_t)server->cfg->db_writers : 0;
    case POOL_STREAM: return server->roles & ROLE_REALTIME ? 1 : 0;
    default: return 1;
    }
}

static void open_lane(struct lanes *lanes, size_t i)
{
    struct lane        *lane   = &lanes->lanes[i];
    struct turns_bounds bounds = kinds[i].bounds;
    size_t              links  = links_of(lanes->server, i);

    if (i + 1 == POOL_WRITE)
        bounds.under_way = (links + 1) / 2;
    lane->lanes   = lanes;
    lane->kind    = &kinds[i];
    lane->turns   = turns_open(&bounds);
    lane->links   = calloc(links + 1, sizeof(*lane->links));
    lane->cost_us = calloc(lanes->nstatements, sizeof(*lane->cost_us));
    if (!lane->links || !lane->cost_us)
        abort();
    for (size_t k = 0; k < lanes->nstatements; k++)
        lane->cost_us[k] = FIRST_COST_US;
}

static bool open_links(struct lane *lane, size_t links, struct err *err)
{
    for (; lane->nlinks < links; lane->nlinks++)
        if (!open_link(lane, &lane->links[lane->nlinks], err))
            return false;
    return true;
}

struct lanes *lanes_open(struct server *server, const struct db_statement *statements,
                         size_t nstatements, struct err *err)
{
    struct lanes *lanes = calloc(1, sizeof(*lanes));
    bool          ok    = true;

    if (!lanes)
        abort();
    lanes->server      = server;
    lanes->statements  = statements;
    lanes->nstatements = nstatements;
    lanes->timer       = (struct loop_timer) { .on_time = on_look, .ctx = lanes };
    for (size_t i = 0; i < LANES; i++)
        open_lane(lanes, i);
    for (size_t i = 0; ok && i < LANES; i++)
        ok = open_links(&lanes->lanes[i], links_of(server, i), err);
    if (ok)
        return lanes;
    lanes_close(lanes);
    return NULL;
}

void lanes_close(struct lanes *lanes)
{
    if (!lanes)
        return;
    lanes->is_closing = true;
    loop_timer_stop(lanes->server->loop, &lanes->timer);
    for (size_t i = 0; i < LANES; i++) {
        struct lane *lane = &lanes->lanes[i];
        end_waiting(lane, UINT64_MAX);
        for (size_t k = 0; k < lane->nlinks; k++)
            db_close(lane->links[k].db);
        turns_close(lane->turns);
        free(lane->links);
        free(lane->cost_us);
    }
    free(lanes);
}
