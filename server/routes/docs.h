/*
 * docs: the description of the API and the page that shows it, which are part of the program.
 */
#ifndef KILN_DOCS_H
#define KILN_DOCS_H

#include "server/http/route.h"

extern const struct handler docs_page, docs_script, docs_description;

#endif
