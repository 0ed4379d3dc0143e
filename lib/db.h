/*
 * db: one asynchronous libpq link that lives in the loop and survives a restart of the server.
 *
 * At every connect: the contract is checked (`kiln.contract()`), what the role's or the database's
 * defaults could change is set (isolation, time-outs, search_path, forms of values …), every
 * statement of the table is prepared, LISTEN is issued where asked for; only then is the link up.
 * Where a pooler stands between, the settings go along with each request. Requests are answered in
 * order. A request that is not answered before its deadline closes the connection (a cancel needs a
 * server that answers, and a libpq call on a frozen one hangs for ever): everything in flight is
 * answered with 08006 and the link is made again, with backoff and jitter.
 *
 * Ownership: end db_open() with db_close(). The PGresult given to a reply callback belongs to that
 *            callback.
 * Errors:    *err carries the server's SQLSTATE, message and DETAIL unchanged.
 * Bounds:    max_in_flight requests; nothing waits here for a link that is down, db_send() refuses.
 * Blocking: only name resolution inside PQconnectStart; use addresses, sockets or a local resolver.
 */
#ifndef KILN_DB_H
#define KILN_DB_H

#include <libpq-fe.h>

#include "lib/base.h"
#include "lib/err.h"
#include "lib/loop.h"

struct db;

#define DB_CONTRACT_MAJOR 1
#define DB_PARAMS_MAX     16

struct db_statement {
    const char *name; /* name of the prepared statement, and in the log */
    const char *sql;  /* one function call; $1::type and so on, all sent as text */
    int         nparams;
};

struct db_options {
    const char                *url;  /* libpq URI or conninfo; several hosts are tried in turn */
    const char                *user; /* overrides the one in url */
    const char                *application; /* application_name */
    const struct db_statement *statements;  /* outlives the link */
    size_t                     nstatements;
    const char                *listen;        /* channel or NULL */
    bool                       is_preparing;  /* KILN_PREPARE: off = PQsendQueryParams each time */
    size_t                     max_in_flight; /* 1 = one at a time; 0 = 4096 */
    uint32_t                   connect_timeout_ms; /* per host; 0 = 3000 */
    uint32_t                   request_timeout_ms; /* 0 = 10000 */
    uint32_t statement_timeout_ms; /* 0 = 1500 below request_timeout_ms; locks: half */

    void *ctx;
    void (*on_up)(void *ctx, struct db *db); /* may send */
    void (*on_down)(void *ctx, struct db *db,
                    const struct err *err); /* lost, or an attempt failed */
    void (*on_notify)(void *ctx, struct db *db, const char *payload);
    void (*on_refused)(void *ctx, struct db *db,
                       const struct err *err); /* end the program with db_exit_code() */
};

/* Exactly one of result and err is given. result is PGRES_TUPLES_OK or PGRES_COMMAND_OK; PQclear()
 * it. */
typedef void db_reply_fn(void *ctx, PGresult *result, const struct err *err);

/* Starts connecting; fails only where url cannot be parsed (F0000) or the loop refuses. opt's
 * strings must outlive it. */
struct db *db_open(struct loop *loop, const struct db_options *opt, struct err *err);

/* Answers everything in flight with 08006, then calls nothing more. */
void db_close(struct db *db);

bool   db_is_up(const struct db *db);
size_t db_in_flight(const struct db *db);
bool   db_can_send(const struct db *db); /* up, and below max_in_flight */

/* statement is an index into the table; params[i] may be NULL (SQL null). They are copied.
 * False: nothing was sent and on_reply is not called; *err is 08003 (link down), 53300 (full) or
 * 08006. */
MUST_CHECK bool db_send(struct db *db, size_t statement, const char *const params[],
                        db_reply_fn *on_reply, void *ctx, struct err *err);

/* Blocking, with a loop of its own: connect, contract, prepare all. False: *err.message is a
 * sentence that names the function and its arguments where one is missing. db_exit_code() gives the
 * exit code that fits. */
MUST_CHECK bool db_check(const struct db_options *opt, struct err *err);
int             db_exit_code(const struct err *err);

/* The database came here from a backup, and kiln.after_restore() was not called (KN017). */
bool db_is_restored(const struct err *err);

/* Fills *err from a result that is an error. For those who use libpq directly, such as tests. */
void db_err_from_result(struct err *err, const PGresult *result);

#endif
