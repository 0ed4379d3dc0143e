/*
 * jscan: what a JSON text must not hold, looked for before anything reads it.
 *
 * PostgreSQL keeps 1e131071 in a few bytes and writes 131,072 digits when it is asked for its text,
 * so numbers are bounded by how they are written. U+0000 and half a surrogate pair are JSON that no
 * text of PostgreSQL can hold. Whether the text is JSON at all is for its parser to say: of a text
 * that is none the answer here is of no meaning, and safe.
 *
 * One pass, no recursion, no memory of its own but 2 KiB of stack.
 */
#ifndef KILN_JSCAN_H
#define KILN_JSCAN_H

#include "lib/base.h"
#include "lib/err.h"

#define JSCAN_NUMBER_CHARS    40
#define JSCAN_EXPONENT_DIGITS 2
#define JSCAN_DEPTH           100

/* False: KN003 with the JSON pointer of the value as its field, or KN006 where it is nested too
 * deeply. At most 4 GiB. */
MUST_CHECK bool jscan_check(const char *text, size_t bytes, struct err *err);

/* For what must not be refused, such as a reply that was paid for: each number beyond the bounds
 * becomes an empty string (and blanks), so that the rest can be read. Not null: an absent value
 * says something in many replies. */
void jscan_blank_numbers(char *text, size_t bytes);

/* Each U+0000 and each half of a surrogate pair becomes a question mark, for the same. */
void jscan_blank_escapes(char *text, size_t bytes);

/* Whether jscan_blank_numbers() would change anything. */
bool jscan_has_huge_number(const char *text, size_t bytes);

#endif
