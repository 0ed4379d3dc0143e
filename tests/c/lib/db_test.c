/*
 * db: the link against a real server (PGHOST, PGUSER, PGDATABASE of the test run, with Kiln
 * installed), and against sockets that only look like one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/db.h"
#include "lib/log.h"

enum { ECHO, FAIL, SLEEP, TWICE, DIE, NOTIFY };

static const struct db_statement statements[] = {
    [ECHO]   = { "echo", "select $1::text", 1 },
    [FAIL]   = { "fail", "select 1 / $1::int", 1 },
    [SLEEP]  = { "sleep", "select pg_sleep($1::float8)", 1 },
    [TWICE]  = { "twice",
                 "insert into db_test.once select 1 from generate_series(1, $1::int) returning 1",
                 1 },
    [DIE]    = { "die", "select pg_terminate_backend(pg_backend_pid(), $1::bigint)", 1 },
    [NOTIFY] = { "notify", "select pg_notify('db_test', $1::text)", 1 },
};

static struct {
    struct loop *loop;
    struct db   *db;
    char         trace[400];
    int          wanted; /* answers, notifications and ups until the loop stops */
    int          ups;
    void (*script)(struct db *db);
} test;

static void note(const char *word)
{
    size_t len = strlen(test.trace);

    snprintf(test.trace + len, sizeof(test.trace) - len, "%s%s", len ? " " : "", word);
    if (--test.wanted == 0)
        loop_stop(test.loop);
}

static void on_reply(void *ctx, PGresult *result, const struct err *err)
{
    (void)ctx;
    note(err ? err->sqlstate : PQgetvalue(result, 0, 0));
    PQclear(result);
}

static void ask(size_t statement, const char *param)
{
    struct err err;

    if (!db_send(test.db, statement, &param, on_reply, NULL, &err))
        note(err.sqlstate);
}

static void on_up(void *ctx, struct db *db)
{
    (void)ctx;
    test.db = db;
    if (test.ups++ == 0)
        test.script(db);
    else
        note("up-again");
}

static void on_notify(void *ctx, struct db *db, const char *payload)
{
    (void)ctx;
    (void)db;
    note(payload);
}

static char url[300];

static struct db_options options(void)
{
    return (struct db_options) { .url                = url,
                                 .user               = getenv("PGUSER"),
                                 .application        = "db_test",
                                 .statements         = statements,
                                 .nstatements        = countof(statements),
                                 .is_preparing       = true,
                                 .request_timeout_ms = 4000,
                                 .on_up              = on_up,
                                 .on_notify          = on_notify };
}

/* Runs script once the link is up, until `wanted` notes have been taken. */
static void run(const struct db_options *opt, void (*script)(struct db *db), int wanted)
{
    struct err err;

    memset(&test, 0, sizeof(test));
    test.script = script;
    test.wanted = wanted;
    test.loop   = loop_open(&err);
    test.db     = db_open(test.loop, opt, &err);
    assert_non_null(test.db);
    loop_run(test.loop);
    db_close(test.db);
    loop_close(test.loop);
}

static void three_of_which_one_fails(struct db *db)
{
    (void)db;
    ask(ECHO, "a");
    ask(FAIL, "0");
    ask(ECHO, "c");
}

static void a_call_that_fails_aborts_itself_only_and_answers_keep_their_order(void **state)
{
    struct db_options opt = options();

    (void)state;
    run(&opt, three_of_which_one_fails, 3);
    assert_string_equal(test.trace, "a 22012 c");
    opt.is_preparing = false;
    run(&opt, three_of_which_one_fails, 3);
    assert_string_equal(test.trace, "a 22012 c");
}

static void insert_twice(struct db *db)
{
    (void)db;
    ask(TWICE, "2");
    ask(ECHO, "after");
}

/* The rows come before the commit, which is where a deferred constraint speaks. */
static void a_result_whose_commit_fails_is_an_error(void **state)
{
    struct db_options opt = options();

    (void)state;
    run(&opt, insert_twice, 2);
    assert_string_equal(test.trace, "23505 after");
}

static void die_with_another_in_flight(struct db *db)
{
    (void)db;
    ask(DIE, "0");
    ask(ECHO, "lost");
}

static void a_lost_link_answers_what_was_in_flight_and_comes_back(void **state)
{
    struct db_options opt = options();

    (void)state;
    run(&opt, die_with_another_in_flight, 3);
    /* Whether the server's last word is read before its end is seen is a race; both mean the
     * same. */
    assert_true(strcmp(test.trace, "08006 08006 up-again") == 0
                || strcmp(test.trace, "57P01 08006 up-again") == 0
                || strcmp(test.trace, "08006 57P01 up-again") == 0);
}

static void sleep_too_long(struct db *db)
{
    (void)db;
    ask(SLEEP, "3");
    ask(ECHO, "behind");
}

static void a_call_beyond_its_deadline_closes_the_link(void **state)
{
    struct db_options opt = options();

    (void)state;
    opt.request_timeout_ms   = 200;
    opt.statement_timeout_ms = 10000;
    run(&opt, sleep_too_long, 3);
    assert_string_equal(test.trace, "08006 08006 up-again");
}

static void the_server_ends_a_slow_statement_before_our_deadline(void **state)
{
    struct db_options opt = options();

    (void)state;
    opt.statement_timeout_ms = 100;
    run(&opt, sleep_too_long, 2);
    assert_string_equal(test.trace, "57014 behind");
}

static void send_two_at_once(struct db *db)
{
    ask(ECHO, "first");
    ask(ECHO, "second");
    assert_false(db_can_send(db));
}

static void no_more_than_the_bound_is_in_flight(void **state)
{
    struct db_options opt = options();

    (void)state;
    opt.max_in_flight = 1;
    run(&opt, send_two_at_once, 2);
    assert_string_equal(test.trace, "53300 first");
}

static void notify(struct db *db)
{
    (void)db;
    ask(NOTIFY, "news");
}

static void a_notification_is_heard_once_the_link_is_up(void **state)
{
    struct db_options opt = options();

    (void)state;
    opt.listen = "db_test";
    run(&opt, notify, 2);
    assert_non_null(strstr(test.trace, "news"));
}

/* ---- db_check ---- */

static void a_missing_function_is_named_with_its_arguments(void **state)
{
    static const struct db_statement missing[] = {
        { "gone", "select kiln.nobody_wrote_this($1::bigint)", 1 }
    };
    struct db_options opt = options();
    struct err        err;

    (void)state;
    opt.statements  = missing;
    opt.nstatements = 1;
    assert_false(db_check(&opt, &err));
    assert_string_equal(err.sqlstate, "42883");
    assert_non_null(strstr(err.message, "kiln.nobody_wrote_this(bigint)"));
    assert_int_equal(db_exit_code(&err), EXIT_CONTRACT);
}

/* The database's sentence says what to run, so it must come through as it is. */
static void a_restored_database_has_an_exit_code_of_its_own(void **state)
{
    struct err err;

    (void)state;
    err_set(&err, "KN017", "this database was restored from a backup");
    assert_true(db_is_restored(&err));
    assert_int_equal(db_exit_code(&err), EXIT_RESTORED);
    err_set(&err, "KN012", "the database speaks contract 2");
    assert_false(db_is_restored(&err));
    assert_int_equal(db_exit_code(&err), EXIT_CONTRACT);
}

static void a_server_that_fits_passes(void **state)
{
    struct db_options opt = options();
    struct err        err;

    (void)state;
    assert_true(db_check(&opt, &err));
}

static void a_host_that_refuses_is_passed_over_for_the_next(void **state)
{
    struct db_options opt = options();
    struct err        err;
    char              two[400];

    (void)state;
    snprintf(two, sizeof(two), "host=/nonexistent,%s dbname=%s", getenv("PGHOST"),
             getenv("PGDATABASE"));
    opt.url = two;
    assert_true(db_check(&opt, &err));
}

static int listen_somewhere(int *port)
{
    struct sockaddr_in address = { .sin_family      = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          bytes   = sizeof(address);
    int                fd      = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void a_server_that_never_speaks_is_given_up(void **state)
{
    struct db_options opt = options();
    struct err        err;
    char              silent[100];
    int               port, fd = listen_somewhere(&port);
    uint64_t          start = base_now_ms();

    (void)state;
    snprintf(silent, sizeof(silent), "host=127.0.0.1 port=%d dbname=x", port);
    opt.url                = silent;
    opt.connect_timeout_ms = 150;
    assert_false(db_check(&opt, &err));
    assert_string_equal(err.sqlstate, "08001");
    assert_int_equal(db_exit_code(&err), EXIT_NO_DB);
    assert_true(base_now_ms() - start < 2000);
    close(fd);
}

static void a_url_that_does_not_parse_is_not_repeated(void **state)
{
    struct db_options opt = options();
    struct err        err;

    (void)state;
    opt.url = "postgres://u:hunter2@[::1/x";
    assert_false(db_check(&opt, &err));
    assert_string_equal(err.sqlstate, "F0000");
    assert_null(strstr(err.message, "hunter2"));
}

static int setup(void **state)
{
    static const char *const sql =
        "drop schema if exists db_test cascade; create schema db_test;"
        "create table db_test.once (n int unique deferrable initially deferred)";
    PGconn   *conn;
    PGresult *result;
    bool      ok;

    (void)state;
    log_setup("db_test", LOG_LEVEL_ERROR, false);
    if (!getenv("PGHOST") || !getenv("PGDATABASE")) {
        fputs("db_test needs PGHOST and PGDATABASE; tests/run gives them\n", stderr);
        return -1;
    }
    snprintf(url, sizeof(url), "dbname=%s", getenv("PGDATABASE"));
    conn = PQconnectdb(url);
    PQclear(PQexec(conn, "set client_min_messages = warning"));
    result = PQexec(conn, sql);
    ok     = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    PQfinish(conn);
    return ok ? 0 : -1;
}

static int teardown(void **state)
{
    PGconn *conn = PQconnectdb(url);

    (void)state;
    PQclear(PQexec(conn, "set client_min_messages = warning"));
    PQclear(PQexec(conn, "drop schema db_test cascade"));
    PQfinish(conn);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_fails_aborts_itself_only_and_answers_keep_their_order),
        cmocka_unit_test(a_result_whose_commit_fails_is_an_error),
        cmocka_unit_test(a_lost_link_answers_what_was_in_flight_and_comes_back),
        cmocka_unit_test(a_call_beyond_its_deadline_closes_the_link),
        cmocka_unit_test(the_server_ends_a_slow_statement_before_our_deadline),
        cmocka_unit_test(no_more_than_the_bound_is_in_flight),
        cmocka_unit_test(a_notification_is_heard_once_the_link_is_up),
        cmocka_unit_test(a_missing_function_is_named_with_its_arguments),
        cmocka_unit_test(a_restored_database_has_an_exit_code_of_its_own),
        cmocka_unit_test(a_server_that_fits_passes),
        cmocka_unit_test(a_host_that_refuses_is_passed_over_for_the_next),
        cmocka_unit_test(a_server_that_never_speaks_is_given_up),
        cmocka_unit_test(a_url_that_does_not_parse_is_not_repeated),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
