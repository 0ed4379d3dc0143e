/*
 * fetch: downloads the files of a result into a task's folder, one after the other.
 *
 * What breaks off is resumed where it broke (Range with If-Range) or begun anew, a few times; what
 * makes no progress ends. Redirects are followed to hosts that the step allows, and never carry a
 * secret. data: URIs are files too.
 *
 * Ownership: fetch_start() gives an object that lives until on_end() has returned or fetch_stop()
 * was called; on_end() comes exactly once, never from within fetch_start(). The rest lives longer.
 */
#ifndef RUNNER_FETCH_H
#define RUNNER_FETCH_H

#include <jansson.h>

#include "pipeline_runner/exec/folder.h"
#include "pipeline_runner/exec/protocol.h"
#include "pipeline_runner/http/transfer.h"

struct fetch;

struct fetch_end {
    int         status; /* of the last reply; 0 = none */
    const char *code;   /* NULL: all files are there */
    const char *message;
};

typedef void fetch_end_fn(void *ctx, const struct fetch_end *end);

/* "out/<n>": where the n-th file of a step lies in the folder. */
#define FETCH_NAME "out/%zu"

/* files: the step's list; at most PROTOCOL_FILES_MAX. limit_ms: for all of them. */
struct fetch *fetch_start(struct loop *loop, struct transfers *transfers,
                          const struct folder *folder, const json_t *files, uint64_t limit_ms,
                          fetch_end_fn *on_end, void *ctx);
void          fetch_stop(struct fetch *fetch);

#endif
