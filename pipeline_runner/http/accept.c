/*
 * accept: a look into a list.
 */
#include "pipeline_runner/http/accept.h"

bool accept_is_success(const json_t *accept, int status)
{
    const json_t *item;
    size_t        i;

    if (!json_is_array(accept))
        return status >= 200 && status < 300;
    json_array_foreach(accept, i, item) if (json_is_integer(item)
                                            && json_integer_value(item) == status) return true;
    return false;
}
