/*
 * json_text: a string of a JSON object, by its name.
 */
#ifndef KILN_JSON_TEXT_H
#define KILN_JSON_TEXT_H

#include <jansson.h>

/* "" where there is none. Lives as long as the object. */
static inline const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

#endif
