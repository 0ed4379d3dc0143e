/*
 * receiving: the right of one request to write bytes of an account to the store. SQL gives it
 * (kiln.upload_session), one for each upload, and counts it towards the quota. While the body comes it
 * is renewed each 20 seconds (or each KILN_CLIENT_TIMEOUT_MS, where that is less).
 *
 * Ownership: receiving_close() frees it with its request; where SQL has not ended it by then, SQL
 *            is told, which may outlast the request. The right of a process that dies ends a
 *            minute after its last renewal.
 */
#ifndef KILN_RECEIVING_H
#define KILN_RECEIVING_H

#include <jansson.h>

#include "lib/base.h"
#include "lib/err.h"
#include "server/http/request.h"

struct receiving;

/* answer: of begin_upload or begin_tryon. on_lost: the right has ended in the middle of the body;
 * write nothing further. */
struct receiving *receiving_open(struct request *r, const json_t *answer,
                                 void (*on_lost)(struct request *r, const struct err *err));
const char       *receiving_token(const struct receiving *receiving);
uint64_t          receiving_bytes(const struct receiving *receiving); /* how many it may write */
void receiving_done(struct receiving *receiving); /* SQL has ended it, or will be asked again */
void receiving_close(struct receiving *receiving);

#endif
