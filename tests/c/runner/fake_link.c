/*
 * fake_link: see fake_link.h.
 */
#include "tests/c/runner/fake_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct fake_link fake_link;

bool db_is_up(const struct db *db)
{
    (void)db;
    return fake_link.is_up;
}

bool db_send(struct db *db, size_t statement, const char *const params[], db_reply_fn *on_reply,
             void *ctx, struct err *err)
{
    struct sent *sent;

    (void)db;
    if (!fake_link.is_up) {
        err_set(err, "08003", "down");
        return false;
    }
    assert_true(fake_link.count < SENT_MAX);
    sent  = &fake_link.sent[fake_link.count++];
    *sent = (struct sent) { .statement = statement, .on_reply = on_reply, .ctx = ctx };
    for (int i = 0; i < runner_statements[statement].nparams; i++)
        snprintf(sent->params[i], sizeof(sent->params[i]), "%s", params[i] ? params[i] : "-");
    return true;
}

static void stop_pause(void *ctx)
{
    loop_stop(ctx);
}

void fake_link_open(struct loop *loop)
{
    memset(&fake_link, 0, sizeof(fake_link));
    fake_link.loop  = loop;
    fake_link.pause = (struct loop_timer) { .on_time = stop_pause, .ctx = loop };
    fake_link.is_up = true;
}

void turn(uint64_t ms)
{
    loop_timer_set(fake_link.loop, &fake_link.pause, ms);
    loop_run(fake_link.loop);
    loop_timer_stop(fake_link.loop, &fake_link.pause);
}

struct sent *asked(size_t statement)
{
    for (size_t i = 0; i < fake_link.count; i++)
        if (fake_link.sent[i].statement == statement)
            return &fake_link.sent[i];
    return NULL;
}

size_t count_of(size_t statement)
{
    size_t count = 0;

    for (size_t i = 0; i < fake_link.count; i++)
        count += fake_link.sent[i].statement == statement;
    return count;
}

struct sent *await(size_t statement)
{
    for (int i = 0; i < 800 && !asked(statement); i++)
        turn(5);
    assert_non_null(asked(statement));
    return asked(statement);
}

static void take(struct sent *question, struct sent *taken)
{
    *taken = *question;
    fake_link.count--;
    memmove(question, question + 1,
            (size_t)(&fake_link.sent[fake_link.count] - question) * sizeof(*question));
}

void answer(struct sent *question, PGresult *result)
{
    struct sent taken;

    take(question, &taken);
    taken.on_reply(taken.ctx, result, NULL);
}

void refuse(struct sent *question, const char *sqlstate)
{
    struct sent taken;
    struct err  err;

    err_clear(&err);
    err_set(&err, sqlstate, "refused with %s", sqlstate);
    take(question, &taken);
    taken.on_reply(taken.ctx, NULL, &err);
}

void lose_link(void)
{
    fake_link.is_up = false;
    while (fake_link.count > 0)
        refuse(&fake_link.sent[0], "08006");
}

PGresult *rows(int ncolumns)
{
    PGresult    *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc columns[12];

    memset(columns, 0, sizeof(columns));
    for (int i = 0; i < ncolumns; i++)
        columns[i].name = "column";
    assert_int_equal(PQsetResultAttrs(result, ncolumns, columns), 1);
    return result;
}

PGresult *one(const char *value)
{
    PGresult *result = rows(1);

    PQsetvalue(result, 0, 0, (char *)(uintptr_t)value, (int)strlen(value));
    return result;
}
