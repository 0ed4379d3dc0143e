/*
 * err: what went wrong, as one SQLSTATE and one sentence. No allocation, so it can be filled when
 * memory is short.
 *
 * It travels unchanged from SQL to the server's one SQLSTATE-to-HTTP table and to the log. C's own
 * errors use SQLSTATEs too: 08006 link lost, 08001 cannot connect, 53300 too many waiting, 58030
 * input/output, 53100 disk full, F0000 configuration, XX000 our own mistake.
 */
#ifndef KILN_ERR_H
#define KILN_ERR_H

#include "lib/base.h"

struct err {
    char sqlstate[6];
    char message[512];
    char detail[2048]; /* empty, or what SQL gave as DETAIL (JSON for KN003 and KN007) */
};

/* err may be NULL everywhere: the caller does not want to know. */
void err_clear(struct err *err);
void err_set(struct err *err, const char *sqlstate, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* "cannot VERB WHAT: reason of errno"; ENOSPC and EDQUOT become 53100, the rest 58030. */
void err_errno(struct err *err, const char *verb, const char *what);

/* Of a text that was cut to fit into size bytes: ends it after a whole word, with an ellipsis. */
void err_end_sentence(char *text, size_t size);

/* snprintf, with such an end where it was cut. */
void err_format(char *to, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* err_is(err, "08") tests a class, err_is(err, "08006") a code. */
bool err_is(const struct err *err, const char *prefix);

/* Whether an error says nothing about what was asked, so that asking again later is right. */
bool err_is_passing(const struct err *err);

#endif
