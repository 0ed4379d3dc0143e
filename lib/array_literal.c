/*
 * array_literal: array literals for parameters of type bigint[], int[] and text[].
 *
 * Everything is quoted, so NULL, empty text, commas and braces need no thought; within quotes only
 * the quote and the backslash have a meaning (PostgreSQL 15, 8.15.6).
 */
#include "lib/array_literal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void room(struct array_literal *literal, size_t bytes)
{
    size_t need = literal->len + bytes + 1;

    if (need <= literal->cap)
        return;
    literal->cap  = need * 2;
    literal->text = realloc(literal->text, literal->cap);
    if (!literal->text)
        abort();
}

void array_literal_free(struct array_literal *literal)
{
    free(literal->text);
    *literal = (struct array_literal) { 0 };
}

void array_literal_begin(struct array_literal *literal)
{
    literal->len = 0;
    room(literal, 1);
    literal->text[literal->len++] = '{';
}

static void separate(struct array_literal *literal)
{
    if (literal->len > 1)
        literal->text[literal->len++] = ',';
}

void array_literal_add_i64(struct array_literal *literal, int64_t number)
{
    room(literal, 24);
    separate(literal);
    literal->len += (size_t)snprintf(literal->text + literal->len, 22, "%" PRId64, number);
}

void array_literal_add(struct array_literal *literal, const char *text)
{
    char *to;

    room(literal, 2 * strlen(text) + 3); /* every byte may need a backslash */
    separate(literal);
    to    = literal->text + literal->len;
    *to++ = '"';
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            *to++ = '\\';
        *to++ = *text;
    }
    *to++        = '"';
    literal->len = (size_t)(to - literal->text);
}

const char *array_literal_end(struct array_literal *literal)
{
    room(literal, 1);
    literal->text[literal->len++] = '}';
    literal->text[literal->len]   = '\0';
    return literal->text;
}
