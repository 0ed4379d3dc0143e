/*
 * sigv4: AWS Signature Version 4 for S3: presigned URLs and signed headers.
 *
 * Our own, since libcurl's CURLOPT_AWS_SIGV4 (7.88) signs no URLs, and whoever hands out URLs needs
 * the rest anyway. Paths and query values are given raw and encoded here, once, as S3 wants them
 * (RFC 3986, upper-case hex, a slash of the path stays).
 *
 * Ownership: texts are malloc'ed, the receiver's. Bounds: SIGV4_PAIRS_MAX headers, and as many
 * query parameters.
 */
#ifndef KILN_SIGV4_H
#define KILN_SIGV4_H

#include <time.h>

#include "lib/base.h"

#define SIGV4_PAIRS_MAX 24
#define SIGV4_UNSIGNED  "UNSIGNED-PAYLOAD"

struct sigv4_keys {
    const char *access_key, *secret_key;
    const char *session_token; /* NULL or empty: none */
    const char *region;
};

struct sigv4_pair {
    const char *name, *value;
};

struct sigv4_request {
    const char              *method;
    const char              *host; /* with its port where that is not the scheme's own */
    const char              *path; /* raw, beginning with a slash */
    const struct sigv4_pair *query;
    size_t                   nquery;
    const struct sigv4_pair *headers; /* names in lower case; host is added here */
    size_t                   nheaders;
    const char              *payload_hash; /* lower case hex, or SIGV4_UNSIGNED */
    time_t                   at;
};

struct sigv4_signature {
    char  amz_date[17];  /* 20130524T000000Z */
    char  canonical[65]; /* sha256 of the canonical request, in hex */
    char  signature[65];
    char *path;           /* encoded */
    char *query;          /* encoded, without the signature; empty: none */
    char *signed_headers; /* host;range */
    char *scope;          /* 20130524/us-east-1/s3/aws4_request */
};

/* The query as it is given; what signed requests carry in headers (x-amz-date and so on) the caller
 * has among the headers. */
void sigv4_sign(const struct sigv4_keys *keys, const struct sigv4_request *request,
                struct sigv4_signature *signature);
void sigv4_free(struct sigv4_signature *signature);

/* "METHOD https://…?X-Amz-…&X-Amz-Signature=…" as a URL: good from request->at for `expires_s`
 * seconds, for exactly these headers. scheme: http or https. payload_hash is not looked at. */
char *sigv4_presign(const struct sigv4_keys *keys, const struct sigv4_request *request,
                    const char *scheme, unsigned expires_s);

/* The value of the Authorization header. */
char *sigv4_authorization(const struct sigv4_keys *keys, const struct sigv4_signature *signature);

/* 20130524T000000Z */
void sigv4_date(time_t at, char text[17]);

/* Lower case hex of SHA-256. */
void sigv4_sha256(const void *data, size_t bytes, char hex[65]);

#endif
