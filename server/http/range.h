/*
 * range: the conditional headers of RFC 9110 that media answers honour.
 */
#ifndef KILN_RANGE_H
#define KILN_RANGE_H

#include "lib/base.h"

enum range_kind {
    RANGE_WHOLE, /* none, malformed, of another unit, or several: a server may ignore those */
    RANGE_PART,  /* first..last, both included */
    RANGE_UNSATISFIABLE, /* begins behind the end: 416 */
};

/* header may be NULL. */
enum range_kind range_parse(const char *header, uint64_t size, uint64_t *first, uint64_t *last);

/* If-None-Match: a list of tags or *, compared weakly. etag is with its quotes. */
bool range_etag_matches(const char *header, const char *etag);

#endif
