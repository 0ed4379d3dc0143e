/*
 * array_literal: builds PostgreSQL array literals ({1,2}, {"a","b"}) in a buffer that is used again
 * and again.
 *
 * Bound: none of its own; the dispatcher bounds what it sends in one call. Without memory the
 *        program ends.
 */
#ifndef KILN_ARRAY_LITERAL_H
#define KILN_ARRAY_LITERAL_H

#include "lib/base.h"

struct array_literal {
    char  *text;
    size_t len, cap;
};

void array_literal_free(struct array_literal *literal);

void        array_literal_begin(struct array_literal *literal);
void        array_literal_add_i64(struct array_literal *literal, int64_t number);
void        array_literal_add(struct array_literal *literal,
                              const char           *text); /* quoted as an array element needs it */
const char *array_literal_end(
    struct array_literal *literal); /* valid until the next array_literal_begin() */

#endif
