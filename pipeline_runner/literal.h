/*
 * literal: builds PostgreSQL array literals ({1,2}, {"a","b"}) in a buffer that is used again and
 * again.
 *
 * Bound: none of its own; the dispatcher bounds what it sends in one call. Without memory the
 *        program ends.
 */
#ifndef RUNNER_LITERAL_H
#define RUNNER_LITERAL_H

#include "base.h"

struct literal {
    char  *text;
    size_t len, cap;
};

void literal_free(struct literal *literal);

void        literal_begin(struct literal *literal);
void        literal_add_i64(struct literal *literal, int64_t number);
void        literal_add(struct literal *literal,
                        const char     *text);        /* quoted as an array element needs it */
const char *literal_end(struct literal *literal); /* valid until the next literal_begin() */

#endif
