/*
 * pools: links, and the calls that wait for them.
 */
#include "server/pool/pools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/failpoint.h"
#include "server/pool/refusal.h"
#include "server/server.h"

#define LOOK_MS        250  /* for those that waited too long */
#define RESEND_MS      1500 /* to wait for a link again; a restart of the database takes a second */
#define DRAIN_EARLY_MS 3000 /* so much less time do calls wait in a process that is stopping */
#define OWNER_US       4000 /* of one owner, expected */
#define LATE_NS        UINT64_C(10000000) /* of a statement in flight: no other goes behind it */
#define LARGE_BYTES    262144             /* of an answer: it waits in memory for its reader */
#define FIRST_COST_US  100                /* of a statement that was never sent */

static const struct kind {
    const char              *name, *application;
    struct fair_queue_bounds bounds;
    size_t                   depth; /* in flight on one link */
    uint32_t link_us; /* and what these are expected to take, where they are several */
    uint32_t statement_ms, deadline_ms;
    uint64_t waiting_ms;
    bool     is_read, is_shared;
} kinds[POOLS] = {
    /* Half of the writers are one account's: open_pool(). */
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
    struct server *server; /* first: refusal.h */
    struct pool   *pool;
    struct db     *db;
    size_t         under_way;
    uint64_t       expected_us;   /* what is in flight is expected to take */
    uint64_t       busy_since_ns; /* when the oldest in flight began to be worked on */
    bool           is_broken;     /* until it is up again */
};

struct pool {
    struct pools      *pools;
    const struct kind *kind;
    struct link       *links;
    size_t             nlinks;
    struct fair_queue *queue;
    uint32_t          *cost_us; /* of each statement in this pool, smoothed */
    uint64_t           refused_owner, refused_all, late;
};

/* The queue's entry of the call that is being replied to. */
struct reply {
    struct pool      *pool;
    struct fair_entry entry;
    uint64_t          took_us;
};

struct held {
    struct reply reply;
};

struct pools {
    struct server             *server;
    const struct db_statement *statements;
    size_t                     nstatements;
    struct pool                pools[POOLS];
    struct loop_timer          timer;
    struct reply              *reply; /* inside a reply */
    bool                       is_closing;
};

static void on_answer(void *ctx, PGresult *result, const struct err *err);

static struct call *call_of(struct fair_entry *entry)
{
    return (struct call *)(void *)((char *)entry - offsetof(struct call, entry));
}

/* ---- links ---- */

static bool can_accept(const struct link *link, uint32_t cost_us, uint64_t now_ns)
{
    if (link->is_broken || !db_can_send(link->db))
        return false;
    return link->under_way == 0
           || (link->expected_us + cost_us <= link->pool->kind->link_us
               && now_ns - link->busy_since_ns < LATE_NS);
}

/* The lowest first: few connections stay warm under little load. */
static struct link *free_link(struct pool *pool, uint32_t cost_us)
{
    uint64_t now = base_now_ns();

    for (size_t i = 0; i < pool->nlinks; i++)
        if (can_accept(&pool->links[i], cost_us, now))
            return &pool->links[i];
    return NULL;
}

static size_t links_up(const struct pool *pool)
{
    size_t n = 0;

    for (size_t i = 0; i < pool->nlinks; i++)
        n += db_is_up(pool->links[i].db);
    return n;
}

/* ---- waiting ---- */

static void look_later(struct pools *pools)
{
    if (pools->timer.slot == 0)
        loop_timer_set(pools->server->loop, &pools->timer, LOOK_MS);
}

/* In a shared pool the statement is the flow: all calls of it wait in one queue. */
static uint64_t owner_in(const struct pool *pool, const struct call *call)
{
    return pool->kind->is_shared ? call->statement : call->owner;
}

static void join_again(struct pool *pool, struct call *call, uint64_t ms)
{
    fair_queue_join_again(pool->queue, &call->entry, owner_in(pool, call),
                          pool->cost_us[call->statement], base_now_ms() + ms);
    look_later(pool->pools);
}

static bool join(struct pool *pool, struct call *call, struct err *err)
{
    uint64_t due = base_now_ms() + pool->kind->waiting_ms;

    switch (fair_queue_join(pool->queue, &call->entry, owner_in(pool, call),
                            pool->cost_us[call->statement], due)) {
    case FAIR_QUEUE_JOINED: look_later(pool->pools); return true;
    case FAIR_QUEUE_FLOW_FULL:
        pool->refused_owner++;
        err_set(err, "KN007", "too many requests of this account are waiting: let some end first");
        if (err)
            snprintf(err->detail, sizeof(err->detail), "{\"retry_after\":1}");
        return false;
    case FAIR_QUEUE_FULL: pool->refused_all++; break;
    }
    err_set(err, "53300", "too many requests are waiting for the database");
    return false;
}

static void refuse_late(struct pool *pool, struct call *call)
{
    bool       is_ending = pool->pools->is_closing || pool->pools->server->is_draining;
    struct err err;

    pool->late++;
    if (is_ending)
        err_set(&err, "57P01", "the server is stopping");
    else if (call->was_sent_again)
        err_set(&err, "08006", "the database did not come back in time");
    else
        err_set(&err, "53300", "no connection to the database became free in time");
    call->on_reply(call->ctx, NULL, &err);
}

static void end_waiting(struct pool *pool, uint64_t until_ms)
{
    struct fair_entry *entry;

    while ((entry = fair_queue_late(pool->queue, until_ms))) {
        fair_queue_remove(pool->queue, entry);
        refuse_late(pool, call_of(entry));
    }
}

static void on_look(void *ctx)
{
    struct pools *pools   = ctx;
    uint64_t      until   = base_now_ms() + (pools->server->is_draining ? DRAIN_EARLY_MS : 0);
    size_t        waiting = 0;

    for (size_t i = 0; i < POOLS; i++) {
        end_waiting(&pools->pools[i], until);
        waiting += fair_queue_waiting(pools->pools[i].queue);
    }
    if (waiting)
        look_later(pools);
}

/* ---- sending ---- */

/* All calls that wait for the same answer get it from one statement. */
static void coalesce(struct pool *pool, struct call *call)
{
    struct call      **last = &call->shares;
    struct fair_entry *entry;

    while (pool->kind->is_shared && (entry = fair_queue_next(&call->entry))) {
        fair_queue_remove(pool->queue, entry);
        *last = call_of(entry);
        last  = &(*last)->shares;
    }
    *last = NULL;
}

/* False: the link must be opened again; not a byte of the statement was sent. */
static bool send_on(struct link *link, struct call *call)
{
    struct err err;

    if (link->pool->kind->is_read) {
        FAILPOINT("server.read.asking");
    }
    if (!link->pool->kind->is_read) {
        FAILPOINT("server.write.asking");
    }
    if (!db_send(link->db, call->statement, call->params, on_answer, call, &err)) {
        link->is_broken = true;
        return false;
    }
    if (link->under_way++ == 0)
        link->busy_since_ns = base_now_ns();
    link->expected_us += call->entry.cost_us;
    call->link = link;
    return true;
}

static void dispatch(struct pool *pool)
{
    struct fair_entry *entry;
    struct link       *link;

    while (!pool->pools->is_closing && (entry = fair_queue_first(pool->queue))
           && (link = free_link(pool, entry->cost_us))) {
        fair_queue_start(pool->queue, entry);
        coalesce(pool, call_of(entry));
        if (send_on(link, call_of(entry)))
            continue;
        fair_queue_end(pool->queue, entry, 0);
        for (struct call *call = call_of(entry), *next; call; call = next) {
            next = call->shares;
            join_again(pool, call, pool->kind->waiting_ms);
        }
    }
}

/* While others are up, the links of a pool will soon be, and its calls wait for them. */
static bool is_any_up(const struct pools *pools)
{
    for (size_t i = 0; i < POOLS; i++)
        if (links_up(&pools->pools[i]) > 0)
            return true;
    return false;
}

bool pools_send(struct pools *pools, struct call *call, struct err *err)
{
    struct pool *pool = &pools->pools[call->pool - 1];

    call->was_sent_again = false;
    call->shares         = NULL;
    if (pools->is_closing) { /* some of the links are gone already */
        err_set(err, "57P01", "the server is stopping");
        return false;
    }
    if (pool->nlinks == 0 || !is_any_up(pools)) {
        err_set(err, "08003", "the database cannot be reached");
        refusal_explain(pools->server, err);
        return false;
    }
    if (!join(pool, call, err))
        return false;
    dispatch(pool);
    return true;
}

/* ---- answers ---- */

/* 57P01, 57P02: the server is going down and has not run it. */
static bool is_link_lost(const struct err *err)
{
    return err && (err_is(err, "08006") || err_is(err, "57P01") || err_is(err, "57P02"));
}

static void note_cost(struct pool *pool, size_t statement, uint64_t took_us)
{
    int64_t old = pool->cost_us[statement];
    int64_t now = took_us > UINT32_MAX / 2 ? UINT32_MAX / 2 : (int64_t)took_us;

    pool->cost_us[statement] = (uint32_t)(old + (now - old) / 16);
}

/* Sending again is right for reads; once, since a statement may be what breaks the link. */
static bool send_again(struct pool *pool, struct call *call, const struct err *err)
{
    const struct pools *pools = pool->pools;

    if (!is_link_lost(err) || !pool->kind->is_read || call->was_sent_again || pools->is_closing
        || pools->server->is_draining)
        return false;
    call->was_sent_again = true;
    join_again(pool, call, RESEND_MS);
    return true;
}

static void reply_to_sharers(struct pool *pool, struct call *first, const PGresult *result,
                             const struct err *err)
{
    for (struct call *call = first, *next; call; call = next) {
        next = call->shares;
        if (!send_again(pool, call, err))
            call->on_reply(call->ctx, result ? PQcopyResult(result, PG_COPYRES_TUPLES) : NULL, err);
    }
}

/* That it will be cut again should be said, rather than that it may be tried again. */
static const struct err *explain(const struct pool *pool, const struct err *err, struct err *own)
{
    if (!err || !err_is(err, "57014") || pool->kind != &kinds[POOL_LONG - 1])
        return err;
    err_set(own, "HT001",
            "This took longer than the %u seconds that a search, a report or an export may take: "
            "ask for less at a time.",
            pool->kind->statement_ms / 1000);
    return own;
}

/* Of what is large, or always of a long read, the call counts until the client has read it. */
static bool is_held(const struct pool *pool, const PGresult *result)
{
    if (!result || !pool->kind->is_read || pool->kind->is_shared)
        return false;
    return pool->kind == &kinds[POOL_LONG - 1]
           || (PQntuples(result) == 1 && PQgetlength(result, 0, 0) > LARGE_BYTES);
}

/* The call may be gone after its reply. */
static void give(struct pool *pool, struct call *call, uint64_t took_us, PGresult *result,
                 const struct err *err)
{
    struct pools *pools = pool->pools;
    struct reply  reply = { pool, call->entry, took_us }, *outer = pools->reply;
    struct err    own;

    pools->reply = is_held(pool, result) ? &reply : NULL;
    reply_to_sharers(pool, call->shares, result, err);
    call->on_reply(call->ctx, result, explain(pool, err, &own));
    if (reply.pool)
        fair_queue_end(pool->queue, &reply.entry, took_us);
    pools->reply = outer;
}

static void on_answer(void *ctx, PGresult *result, const struct err *err)
{
    struct call *call = ctx;
    struct link *link = call->link;
    struct pool *pool = link->pool;
    uint64_t     now  = base_now_ns();
    uint64_t     took = (now - link->busy_since_ns) / 1000;

    if (pool->kind->is_read) {
        FAILPOINT("server.read.answered");
    }
    if (!pool->kind->is_read) {
        FAILPOINT("server.write.answered");
    }
    link->busy_since_ns = now;
    link->under_way--;
    link->expected_us -= call->entry.cost_us;
    if (is_link_lost(err))
        took = 0;
    else
        note_cost(pool, call->statement, took);
    if (is_link_lost(err) && pool->kind->is_read && !call->was_sent_again) {
        struct call *sharers = call->shares;
        fair_queue_end(pool->queue, &call->entry, 0);
        reply_to_sharers(pool, sharers, NULL, err);
        if (!send_again(pool, call, err))
            call->on_reply(call->ctx, NULL, err);
    } else {
        give(pool, call, took, result, err);
    }
    dispatch(pool);
}

struct held *pools_hold(struct pools *pools)
{
    struct held *held;

    if (!pools->reply)
        return NULL;
    held = malloc(sizeof(*held));
    if (!held)
        abort();
    held->reply        = *pools->reply;
    pools->reply->pool = NULL;
    pools->reply       = NULL;
    return held;
}

void pools_release(struct held *held)
{
    struct pool *pool;

    if (!held)
        return;
    pool = held->reply.pool;
    fair_queue_end(pool->queue, &held->reply.entry, held->reply.took_us);
    free(held);
    dispatch(pool);
}

size_t pools_waiting(const struct pools *pools)
{
    size_t waiting = 0;

    for (size_t i = 0; i < POOLS; i++)
        waiting += fair_queue_waiting(pools->pools[i].queue);
    return waiting;
}

bool pools_can_read(const struct pools *pools)
{
    for (size_t i = 0; i < POOLS; i++)
        if (pools->pools[i].kind->is_read && pools->pools[i].nlinks > 0
            && links_up(&pools->pools[i]) == 0)
            return false;
    return true;
}

size_t pools_writers_up(const struct pools *pools)
{
    return links_up(&pools->pools[POOL_WRITE - 1]);
}

struct pool_counts pools_count(const struct pools *pools, size_t i)
{
    const struct pool *pool = &pools->pools[i];

    return (struct pool_counts) { .name          = pool->kind->name,
                                  .links         = pool->nlinks,
                                  .links_up      = links_up(pool),
                                  .waiting       = fair_queue_waiting(pool->queue),
                                  .under_way     = fair_queue_under_way(pool->queue),
                                  .refused_owner = pool->refused_owner,
                                  .refused_all   = pool->refused_all,
                                  .late          = pool->late };
}

/* ---- opening and closing ---- */

static void on_up(void *ctx, struct db *db)
{
    struct link *link = ctx;

    (void)db;
    link->is_broken = false;
    refusal_end(link->pool->pools->server);
    dispatch(link->pool);
}

static struct db_options options_of(const struct server       *server,
                                    const struct db_statement *statements, size_t nstatements)
{
    return (struct db_options) { .url          = server->cfg->database_url,
                                 .user         = "kiln_server",
                                 .application  = "kiln-server check",
                                 .statements   = statements,
                                 .nstatements  = nstatements,
                                 .is_preparing = server->cfg->is_preparing };
}

static bool open_link(struct pool *pool, struct link *link, struct err *err)
{
    struct pools     *pools = pool->pools;
    struct db_options opt   = options_of(pools->server, pools->statements, pools->nstatements);

    opt.application          = pool->kind->application;
    opt.max_in_flight        = pool->kind->depth;
    opt.request_timeout_ms   = pool->kind->deadline_ms;
    opt.statement_timeout_ms = pool->kind->statement_ms;
    opt.ctx                  = link;
    opt.on_up                = on_up;
    opt.on_refused           = refusal_on_refused;
    link->server             = pools->server;
    link->pool               = pool;
    link->db                 = db_open(pools->server->loop, &opt, err);
    return link->db != NULL;
}

static size_t at_least_one(size_t links)
{
    return links ? links : 1;
}

/* How many links a pool has in this process; streams only read. */
static size_t links_of(const struct server *server, size_t pool)
{
    size_t readers = (size_t)server->cfg->db_readers;
    size_t pages   = at_least_one(readers / 4);
    bool   is_api  = server->roles & ROLE_API;

    switch (pool + 1) {
    case POOL_READ: return is_api ? readers / 2 : 0;
    case POOL_PAGE: return is_api ? pages : 0;
    case POOL_LONG: return is_api ? readers - readers / 2 - pages : 0;
    case POOL_WRITE: return is_api ? (size_t)server->cfg->db_writers : 0;
    case POOL_STREAM: return server->roles & ROLE_REALTIME ? 1 : 0;
    default: return 1;
    }
}

static void open_pool(struct pools *pools, size_t i)
{
    struct pool             *pool   = &pools->pools[i];
    struct fair_queue_bounds bounds = kinds[i].bounds;
    size_t                   links  = links_of(pools->server, i);

    if (i + 1 == POOL_WRITE)
        bounds.under_way = (links + 1) / 2;
    pool->pools   = pools;
    pool->kind    = &kinds[i];
    pool->queue   = fair_queue_open(&bounds);
    pool->links   = calloc(links + 1, sizeof(*pool->links));
    pool->cost_us = calloc(pools->nstatements, sizeof(*pool->cost_us));
    if (!pool->links || !pool->cost_us)
        abort();
    for (size_t k = 0; k < pools->nstatements; k++)
        pool->cost_us[k] = FIRST_COST_US;
}

static bool open_links(struct pool *pool, size_t links, struct err *err)
{
    for (; pool->nlinks < links; pool->nlinks++)
        if (!open_link(pool, &pool->links[pool->nlinks], err))
            return false;
    return true;
}

struct pools *pools_open(struct server *server, const struct db_statement *statements,
                         size_t nstatements, struct err *err)
{
    struct pools *pools = calloc(1, sizeof(*pools));
    bool          ok    = true;

    if (!pools)
        abort();
    pools->server      = server;
    pools->statements  = statements;
    pools->nstatements = nstatements;
    pools->timer       = (struct loop_timer) { .on_time = on_look, .ctx = pools };
    for (size_t i = 0; i < POOLS; i++)
        open_pool(pools, i);
    for (size_t i = 0; ok && i < POOLS; i++)
        ok = open_links(&pools->pools[i], links_of(server, i), err);
    if (ok)
        return pools;
    pools_close(pools);
    return NULL;
}

void pools_close(struct pools *pools)
{
    if (!pools)
        return;
    pools->is_closing = true;
    loop_timer_stop(pools->server->loop, &pools->timer);
    for (size_t i = 0; i < POOLS; i++) {
        struct pool *pool = &pools->pools[i];
        end_waiting(pool, UINT64_MAX);
        for (size_t k = 0; k < pool->nlinks; k++)
            db_close(pool->links[k].db);
        fair_queue_close(pool->queue);
        free(pool->links);
        free(pool->cost_us);
    }
    free(pools);
}

bool pools_check(const struct server *server, const struct db_statement *statements,
                 size_t nstatements, struct err *err)
{
    struct db_options opt = options_of(server, statements, nstatements);

    return db_check(&opt, err);
}
