/*
 * route: matching of paths, and the table as text.
 */
#include "server/http/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jbuf.h"
#include "server/server.h"

static const char *auth_name(enum auth_kind auth)
{
    switch (auth) {
    case AUTH_NONE: return "none";
    case AUTH_USER: return "user";
    case AUTH_ADMIN: return "admin";
    case AUTH_SIGNED: return "signed";
    case AUTH_STREAM: return "stream";
    case AUTH_WATCH: return "watch";
    }
    abort();
}

static void write_route(struct jbuf *j, const struct route *route)
{
    jbuf_object(j);
    jbuf_key(j, "method");
    jbuf_str(j, route->method);
    jbuf_key(j, "path");
    jbuf_str(j, route->pattern);
    jbuf_key(j, "auth");
    jbuf_str(j, auth_name(route->auth));
    jbuf_key(j, "function");
    jbuf_str(j, route->function);
    jbuf_key(j, "status");
    jbuf_i64(j, route->status);
    jbuf_key(j, "role");
    jbuf_str(j, route->roles == ROLE_BOTH ? "both" : route->roles == ROLE_API ? "api" : "realtime");
    jbuf_end(j);
}

void routes_print(const struct routes *routes, unsigned roles, FILE *out)
{
    struct jbuf j = { 0 };

    for (size_t i = 0; i < routes->count; i++) {
        if (!(routes->rows[i].roles & roles))
            continue;
        jbuf_reset(&j);
        write_route(&j, &routes->rows[i]);
        fprintf(out, "%s\n", jbuf_text(&j));
    }
    jbuf_free(&j);
}

/* The pattern's text before its parameter is compared as it is; after {id} comes the end or a
 * literal tail. */
static bool path_fits(const char *pattern, const char *path, struct route_match *match)
{
    const char *open  = strchr(pattern, '{');
    size_t      fixed = open ? (size_t)(open - pattern) : 0;
    const char *tail;

    match->id = NULL;
    if (!open)
        return strcmp(pattern, path) == 0;
    if (strncmp(pattern, path, fixed) != 0)
        return false;
    tail            = strchr(open, '}') + 1;
    match->id       = path + fixed;
    match->id_bytes = tail[-2] == '.' ? strlen(match->id) : strcspn(match->id, "/");
    return match->id_bytes > 0 && strcmp(match->id + match->id_bytes, tail) == 0;
}

bool route_is_stream(const struct route *route)
{
    return route->auth == AUTH_STREAM || route->auth == AUTH_WATCH;
}

static bool method_fits(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0
           || (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0
               && !route_is_stream(route));
}

static void allow(struct route_match *match, const struct route *route)
{
    size_t      len   = strlen(match->allow);
    const char *comma = len ? ", " : "";
    bool        head  = strcmp(route->method, "GET") == 0 && !route_is_stream(route);

    snprintf(match->allow + len, sizeof(match->allow) - len, "%s%s%s", comma, route->method,
             head ? ", HEAD" : "");
}

enum route_result routes_match(const struct routes *routes, unsigned roles, const char *method,
                               const char *path, struct route_match *match)
{
    match->allow[0] = '\0';
    for (size_t i = 0; i < routes->count; i++) {
        if (!(routes->rows[i].roles & roles) || !path_fits(routes->rows[i].pattern, path, match))
            continue;
        if (method_fits(&routes->rows[i], method)) {
            match->route = &routes->rows[i];
            return ROUTE_FOUND;
        }
        allow(match, &routes->rows[i]);
    }
    return match->allow[0] ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}
