/*
 * tryon: POST /tryons, a body that carries pictures and films: as base64 in JSON, or as
 * multipart/form-data. The bytes go to the store; SQL gets the rest of the body and what was
 * found: {"body": {...}, "files": [{storage_key, bytes, sha256, content_type}]}. What SQL refuses
 * is removed from the store.
 *
 * Bounds: 12 files; JSON of 32 MiB, four at a time (it is held in memory); a form's file as large
 *         as an upload may be, its other fields 64 KiB. Where the store is a bucket, files are
 *         sent to POST /uploads/presign and their ids named here.
 */
#ifndef KILN_TRYON_H
#define KILN_TRYON_H

#include "server/http/route.h"

extern const struct handler tryon_create;

#endif
