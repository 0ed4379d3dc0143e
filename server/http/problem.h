/*
 * problem: the one table from SQLSTATE to HTTP, and problem+json (RFC 9457).
 */
#ifndef KILN_PROBLEM_H
#define KILN_PROBLEM_H

#include "lib/base.h"
#include "lib/err.h"
#include "lib/jbuf.h"

struct problem {
    const char *sqlstate; /* a code, or a class of two letters and more */
    unsigned    status;
    const char *code; /* stable: clients may test it */
    const char *title;
    bool        is_ours; /* the message was written for clients; else it goes to the log only */
    unsigned    retry_after_seconds;
};

/* Never NULL. What the table does not know is 500 internal. */
const struct problem *problem_find(const struct err *err);

/* KN003 of one field, a JSON pointer into the body or the name of a parameter: the sentence says
 * what it must be. Returns false, for the caller to return. */
bool problem_field(struct err *err, const char *field, const char *sentence);

/* Seconds of Retry-After, 0 for none: KN007 says them in its DETAIL. */
unsigned problem_retry_after(const struct problem *problem, const struct err *err);

void problem_json(struct jbuf *j, const struct problem *problem, const struct err *err,
                  const char *request_id);

#endif
