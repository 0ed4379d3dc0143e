/*
 * media: the one exception to "the body goes to PostgreSQL": bytes go from and to the store, SQL
 * sees facts only.
 *
 * PUT: SQL checks the signed URL, C streams to the store in constant memory and looks at the first
 * bytes, SQL notes what came. GET, HEAD: SQL checks the signed URL and names the file, C sends it,
 * whole or one range of it. With a bucket no bytes pass here: the presigned URL leads to the
 * bucket, and GET redirects there.
 */
#ifndef KILN_MEDIA_H
#define KILN_MEDIA_H

#include "server/http/route.h"

extern const struct handler media_presign, media_put, media_get;

#endif
