/*
 * store: media files, in one folder (KILN_MEDIA=file:/abs/dir) or in a bucket (s3://bucket?…, see
 * s3.h), behind one interface.
 *
 * In a bucket objects appear whole by themselves; a writer gathers the bytes in a file without a
 * name (TMPDIR) and sends them at its commit, and a reader is given such a file. Both wait for the
 * network: the server's loop does neither (it signs URLs), a runner's does it in child processes
 * wherever a file may be large. store_is_remote() tells.
 *
 * In a folder:
 * A file appears under its key whole and durable or not at all: temporary file, sha256 while
 * writing, fsync, rename, fsync of the folder. Keys are random: 32 hex digits as `ab/cdef…` (2,
 * slash, 30), so a folder has at most 256 children and nothing of a person's wording reaches the
 * file system. Any other key is refused, so that no path can be smuggled in through a row.
 *
 * Ownership: end store_open() with store_close(); a writer ends in store_commit() or
 *            store_abandon(), both free it.
 * Errors:    58030, and 53100 when the disk is full; then nothing is left behind.
 */
#ifndef KILN_STORE_H
#define KILN_STORE_H

#include "lib/base.h"
#include "lib/err.h"

struct store;
struct store_writer;

#define STORE_KEY_CHARS 33

struct stored {
    char     key[STORE_KEY_CHARS + 1];
    char     sha256[65]; /* lower case hex */
    uint64_t bytes;
};

/* Makes the folder where it is missing; sweeps temporary files that nobody writes any more. Of a
 * bucket nothing is asked. */
struct store *store_open(const char *url, struct err *err);
void          store_close(struct store *store);

bool store_is_remote(const struct store *store);

/* Exactly the form above, lower case. */
bool store_key_is_valid(const char *key);

struct store_writer *store_create(struct store *store, struct err *err);
MUST_CHECK bool      store_write(struct store_writer *writer, const void *data, size_t bytes,
                                 struct err *err);
MUST_CHECK bool store_commit(struct store_writer *writer, struct stored *stored, struct err *err);
void            store_abandon(struct store_writer *writer);

/* Copies a whole file (from the start of fd) into the store. */
MUST_CHECK bool store_put_fd(struct store *store, int fd, struct stored *stored, struct err *err);

/* A descriptor for reading (close it), or -1. ENOENT is 58P01. */
int store_read(struct store *store, const char *key, uint64_t *bytes, struct err *err);

/* Hands a file on, piece by piece; it must have exactly so many bytes and this SHA-256 (hex), else
 * false: what was handed on is to be thrown away. In a bucket nothing of it is kept on this
 * machine. */
typedef void    store_bytes_fn(void *ctx, const void *data, size_t bytes);
MUST_CHECK bool store_stream(struct store *store, const char *key, uint64_t bytes,
                             const char *sha256, store_bytes_fn *on_bytes, void *ctx,
                             struct err *err);

/* Of a remote store, malloc'ed: a URL under which somebody else may send exactly these bytes
 * (content_md5: base64, or NULL), or read them (method GET or HEAD), for so long. NULL: the store
 * is a folder. */
char *store_presign_put(struct store *store, const char *key, const char *content_type,
                        const char *content_md5, uint64_t bytes, unsigned expires_s);
char *store_presign_get(struct store *store, const char *method, const char *key,
                        const char *content_type, unsigned expires_s);

/* Whether it is there and how large; 58P01. */
MUST_CHECK bool store_head(struct store *store, const char *key, uint64_t *bytes, struct err *err);

/* A whole file under a key that is known: for moving from store to store. sha256 as it ought to be
 * (NULL: not known); bytes that have another are not stored. One that is there already is
 * replaced. */
MUST_CHECK bool store_put_as(struct store *store, const char *key, int fd, const char *sha256,
                             struct err *err);

/* Of a folder: one of its 256 folders, 0 to 255: each file's key and age in seconds, `skip` of them
 * left out, at most `most` told; how many were told. The folder need not exist. */
typedef void store_file_fn(void *ctx, const char *key, int64_t age_s);
size_t       store_list(struct store *store, unsigned folder, size_t skip, size_t most,
                        store_file_fn *on_file, void *ctx);

/* Of a bucket: what lies behind `after` in the order of keys ("": from the first), at most `most`
 * and 1,000; after becomes the last of them. One request, which is waited for. False: it could not
 * be asked. */
#define STORE_AFTER_BYTES 257
MUST_CHECK bool store_list_after(struct store *store, char after[STORE_AFTER_BYTES], size_t most,
                                 store_file_fn *on_file, void *ctx, size_t *told);

/* A file that is gone already is fine. */
MUST_CHECK bool store_unlink(struct store *store, const char *key, struct err *err);

#endif
