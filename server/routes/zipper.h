/*
 * zipper: what `kiln-server --zip` does: writes one download's ZIP to its standard output, in a
 * process of its own.
 *
 * The server starts it (zip.h) with the list of files as its standard input: what
 * kiln_internal.render_download() says, with request_id and server_pid. Here waiting is allowed:
 * for the bucket, for the disk, for whoever reads the pipe. It dies with the server, and by
 * SIGPIPE when nobody reads any more; SIGTERM and SIGINT are blocked, as in the server, so that a
 * drain lets it go on.
 *
 * Files are stored, not pressed (pictures are); memory holds BLOCK_BYTES and the list. Each file
 * must have the length and SHA-256 of its row. One that has not, is gone, or breaks off ends the
 * process: the list of contents, which comes last, is never written then, so that nothing takes
 * the pieces for a whole ZIP.
 *
 * Exit: EXIT_OK: all of it was written; ZIPPER_GONE: a file is not there; else any other.
 */
#ifndef KILN_ZIPPER_H
#define KILN_ZIPPER_H

#include "lib/store.h"

#define ZIPPER_GONE 3

int zipper_run(struct store *store);

#endif
