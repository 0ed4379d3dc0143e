/*
 * fake_link: the database as a test plays it. db_send() and db_is_up() are defined here (lib/db is
 * not linked then), and a test says what is answered, and when.
 */
#ifndef TEST_FAKE_LINK_H
#define TEST_FAKE_LINK_H

#include "pipeline_runner/context/runner.h"

#define SENT_MAX 64

struct sent {
    size_t       statement;
    char         params[7][512]; /* "-" = null */
    db_reply_fn *on_reply;
    void        *ctx;
};

struct fake_link {
    bool              is_up;
    struct sent       sent[SENT_MAX]; /* not answered yet, in order */
    size_t            count;
    struct loop      *loop;
    struct loop_timer pause;
};

extern struct fake_link fake_link;

void fake_link_open(struct loop *loop);

/* Lets the loop turn for a while. */
void turn(uint64_t ms);

/* The first question of this kind that waits, or NULL; how many do. */
struct sent *asked(size_t statement);
size_t       count_of(size_t statement);

/* Turns until it has been asked, four seconds at most. */
struct sent *await(size_t statement);

void answer(struct sent *question, PGresult *result);
void refuse(struct sent *question, const char *sqlstate);

/* Everything in flight is answered with 08006, as lib/db does when the link goes. */
void lose_link(void);

/* An empty result of so many columns; one row of one column. */
PGresult *rows(int ncolumns);
PGresult *one(const char *value);

#endif
