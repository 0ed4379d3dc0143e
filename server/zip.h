/*
 * zip: GET /projects/{id}/download, a project's files as one ZIP, made while it is sent.
 *
 * Files are stored, not pressed (pictures are); at most one is open, and 64 KiB of it in memory. A file that is missing is named in
 * the README, which comes last. Where media lie in a bucket, the loop cannot read them: the ZIP then holds the README alone, with
 * an address for each, good for a day.
 */
#ifndef KILN_ZIP_H
#define KILN_ZIP_H

#include "routes.h"

extern const struct handler zip_project;

#endif
