/*
 * framing: whether the head of a request can be read in one way only (RFC 9112). Where two servers
 * read it in two ways, one of them sees a second request in the body of the first (request
 * smuggling).
 *
 * libmicrohttpd 0.9.75 reads a folded line as a part of the header's name, takes the first of two
 * Content-Lengths, and keeps a blank before a colon as a part of the name. It keeps the head where
 * it was read, with a NUL instead of each colon and two instead of each CRLF. So what it reports
 * is compared with where it lies: each name begins where the line before has ended.
 *
 * One fault is not visible there: a NUL before a lone LF looks like a CRLF. It ends the line for
 * every server that accepts a lone LF; the others refuse it.
 *
 * Pure: pointers in, a verdict out. The bytes of a head are read only behind what was found sound.
 */
#ifndef KILN_FRAMING_H
#define KILN_FRAMING_H

#include "lib/base.h"

struct framing {
    const char *at;    /* where the next line begins */
    const char *wrong; /* the first fault, as a sentence; NULL: none */
    unsigned    lengths, encodings, hosts;
    bool        is_1_0;
};

/* No blank, no control character: as a first line may hold it. */
bool framing_target_is_sound(const char *target);

/* The first line, `method SP target SP version`; target_bytes as it was sent, 0 where it is not
 * sound. */
void framing_begin(struct framing *framing, const char *method, const char *target,
                   size_t target_bytes, const char *version);

/* Each header, in the order in which they came. */
void framing_header(struct framing *framing, const char *name, size_t name_bytes, const char *value,
                    size_t value_bytes);

/* NULL, or what is wrong; end: behind the empty line. */
const char *framing_end(struct framing *framing, const char *end);

#endif
