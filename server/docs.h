/*
 * docs: the description of the API, which is part of the program.
 */
#ifndef KILN_DOCS_H
#define KILN_DOCS_H

#include "routes.h"

extern const struct handler docs_page, docs_description;

#endif
