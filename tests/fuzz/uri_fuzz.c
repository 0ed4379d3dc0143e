/*
 * uri: what is accepted of a path or query is UTF-8 without NUL and no longer than it was; a query
 * that is accepted is a JSON object.
 */
#include "server/http/uri.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "server/routes.h"
#include "server/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check_query(const char *text)
{
    struct jbuf j = { 0 };
    char        value[64];
    struct err  err;

    if (uri_query_json(&j, text, &err)) {
        json_t *json = json_loads(jbuf_text(&j), 0, NULL);
        if (!json_is_object(json))
            __builtin_trap();
        json_decref(json);
    }
    jbuf_free(&j);
    if (uri_query_get(text, "ticket", value, sizeof(value)) && strlen(value) >= sizeof(value))
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char              *text = malloc(count + 1), *out = malloc(count + 1);
    struct route_match match;
    size_t             len;

    memcpy(text, bytes, count);
    text[count] = '\0';
    if (uri_decode(text, count, true, out, &len)
        && (len > count || strlen(out) != len || !jbuf_is_utf8(out, len)))
        __builtin_trap();
    check_query(text);
    if (routes_match(&server_routes, ROLE_BOTH, "GET", text, &match) == ROUTE_FOUND && match.id
        && (match.id < text || match.id + match.id_bytes > text + count))
        __builtin_trap();
    free(text);
    free(out);
    return 0;
}
