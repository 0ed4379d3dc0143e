/*
 * attachments: files that travel inside JSON: out of replies, and into requests.
 *
 * Text is cut, never parsed and written anew: every number, key and space that is not taken stays
 * the byte it was. What is no valid JSON is left alone; SQL says so.
 */
#ifndef RUNNER_ATTACHMENTS_H
#define RUNNER_ATTACHMENTS_H

#include <jansson.h>

#include "lib/arena.h"
#include "lib/base.h"
#include "lib/err.h"
#include "lib/jbuf.h"
#include "lib/store.h"

#define ATTACHMENTS_MAX 64

/* Takes one file; false (with *err): stop. */
typedef bool attachments_file_fn(void *ctx, size_t n, const void *data, size_t bytes,
                                 struct err *err);

/* Strings at the pointers (JSON array of JSON pointers; `*` = each element) that are base64 or
 * data: URIs go to on_file, numbered from 0 in the order of the pointers, and {"$file": n} stands
 * in their place. *out (to be freed) is the new text. False: *err says why (22023: more than
 * 64). */
MUST_CHECK bool attachments_extract(const char *text, size_t bytes, const json_t *pointers,
                                    attachments_file_fn *on_file, void *ctx, char **out,
                                    size_t *out_bytes, size_t *count, struct err *err);

/* base64 (with or without padding, white space, JSON's escapes; both alphabets) or a data: URI.
 * *data is malloc'ed. False: it is neither. */
MUST_CHECK bool attachments_decode(const char *text, size_t bytes, uint8_t **data,
                                   size_t *data_bytes);

/* Puts the store's files where their tokens stand: files is the request's list of {"token",
 * "storage_key", "content_type", "as": "data_uri"|"base64"}. *out is malloc'ed. */
MUST_CHECK bool attachments_fill(struct store *store, const char *body, const json_t *files,
                                 size_t most, char **out, size_t *out_bytes, struct err *err);

#endif
