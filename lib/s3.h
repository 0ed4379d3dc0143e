/*
 * s3: one bucket of an S3 service: objects in, out, away, listed. Signed by sigv4.h, over libcurl.
 *
 *   s3://BUCKET?endpoint=http://10.0.0.5:9000&region=us-east-1&public=https://files.example.com&style=path
 *
 * endpoint: default AWS's of the region; public: where clients reach it, default endpoint; style:
 * path or host (a bucket in the host's name), default path where an endpoint is given. Keys:
 * KILN_S3_ACCESS_KEY and KILN_S3_SECRET_KEY, else AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
 * AWS_SESSION_TOKEN.
 *
 * All calls wait for the service: a loop makes them in a child process, or not at all, but for
 * s3_presign(), which needs no network. What failed on the way is tried three times, within limits
 * of time: CONNECT_MS to connect, and no exchange without a byte for STALL_S seconds.
 *
 * Errors: 58P01 no such object; 58030 all else, with the service's own code.
 */
#ifndef KILN_S3_H
#define KILN_S3_H

#include "lib/base.h"
#include "lib/err.h"

struct s3;

#define S3_MULTIPART_BYTES ((uint64_t)64 << 20) /* larger ones go in parts */
#define S3_PART_BYTES      ((uint64_t)16 << 20)

/* Reads the URL and the environment; touches no network. F0000: which of them is wrong. */
struct s3 *s3_open(const char *url, struct err *err);
void       s3_close(struct s3 *s3);

/* The first `bytes` of fd; sha256 (hex) is theirs, and what the service checks where they go in one
 * piece. Parts that fail are sent again; if that does not help, none of them stays. */
MUST_CHECK bool s3_put(struct s3 *s3, const char *key, int fd, uint64_t bytes, const char *sha256,
                       struct err *err);

/* Appends the object to fd, from the byte `from` on; a download that breaks off goes on where it
 * broke. */
MUST_CHECK bool s3_get(struct s3 *s3, const char *key, int fd, uint64_t from, struct err *err);

/* Hands the object on, piece by piece, as fast as on_bytes takes them; one that breaks off goes on
 * where it broke. False where it has not exactly so many bytes; some may have been handed on then.
 * Nothing is kept but the piece in hand. */
typedef void    s3_bytes_fn(void *ctx, const void *data, size_t bytes);
MUST_CHECK bool s3_read(struct s3 *s3, const char *key, uint64_t bytes, s3_bytes_fn *on_bytes,
                        void *ctx, struct err *err);

MUST_CHECK bool s3_head(struct s3 *s3, const char *key, uint64_t *bytes, struct err *err);
MUST_CHECK bool s3_delete(struct s3 *s3, const char *key,
                          struct err *err); /* one that is gone is fine */
MUST_CHECK bool s3_copy(struct s3 *s3, const char *from, const char *to, struct err *err);

/* Keys that begin with prefix and come after `after` (NULL: all), at most `most` (1000) in order;
 * false: none was told. */
typedef void    s3_object_fn(void *ctx, const char *key, int64_t age_s, uint64_t bytes);
MUST_CHECK bool s3_list(struct s3 *s3, const char *prefix, const char *after, size_t most,
                        s3_object_fn *on_object, void *ctx, struct err *err);

struct s3_presign {
    const char *method;
    const char *key;
    const char *content_type; /* PUT: what must be sent; GET: what is answered. NULL: open */
    const char *content_md5;  /* PUT: base64, or NULL */
    uint64_t    bytes;        /* PUT: exactly so many */
    int64_t     at;           /* Unix seconds */
    unsigned    expires_s;
};

/* A URL for somebody else, malloc'ed. */
char *s3_presign(const struct s3 *s3, const struct s3_presign *what);

#endif
