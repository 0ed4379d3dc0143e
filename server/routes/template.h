/*
 * template: HTML that lies in a file of server/pages, in blocks. A block begins behind its line
 * `<!-- block: NAME -->` and ends before the line break in front of the next one. In it {{name}}
 * stands for a value, which is escaped, always.
 */
#ifndef KILN_TEMPLATE_H
#define KILN_TEMPLATE_H

#include <stdio.h>

#include "lib/base.h"

struct template
{
    const char *start, *end; /* of a file that is part of the program */
};

struct template_value {
    const char *name, *text;
};

/* values ends with one without a name, or is NULL. Blocks and names are ours: one that is not there
 * ends the program. */
void template_put(FILE *out, const struct template *template, const char *block,
                  const struct template_value *values);

#endif
