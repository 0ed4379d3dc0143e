/*
 * routes: every path this server answers, in reading order. A row that is missing here does not
 * exist; a row whose function is missing in the database ends the program at start.
 */
#include "server/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/http/call.h"
#include "server/routes/docs.h"
#include "lib/jbuf.h"
#include "server/routes/mail_link.h"
#include "server/routes/media.h"
#include "server/http/metrics.h"
#include "server/stream/poll.h"
#include "server/server.h"
#include "server/routes/share.h"
#include "server/stream/sse.h"
#include "server/routes/tryon.h"
#include "server/routes/wallet.h"
#include "server/stream/watch.h"
#include "server/routes/webhook.h"
#include "server/stream/websocket.h"
#include "server/routes/zip.h"

#define V1 "/api/v1"

const struct route routes[] = {
    /* Authentication */
    { "POST", V1 "/auth/nonce", AUTH_NONE, &call_sql, "create_nonce", 201, POOL_WRITE, ROLE_API },
    { "POST", V1 "/auth/siwe", AUTH_NONE, &wallet_sign_in, "sign_in", 200, POOL_WRITE, ROLE_API },
    { "GET", V1 "/me", AUTH_USER, &call_sql, "get_me", 200, POOL_READ, ROLE_API },
    { "PATCH", V1 "/me", AUTH_USER, &call_sql, "update_me", 200, POOL_WRITE, ROLE_API },
    { "DELETE", V1 "/me", AUTH_USER, &call_sql, "delete_me", 204, POOL_WRITE, ROLE_API },
    { "GET", V1 "/me/export", AUTH_USER, &call_sql, "export_me", 200, POOL_LONG, ROLE_API },
    { "POST", V1 "/me/email/confirmation", AUTH_USER, &call_sql, "send_confirmation", 200,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/me/sign-out-everywhere", AUTH_USER, &call_sql, "sign_out_everywhere", 200,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/me/identities", AUTH_USER, &call_sql, "list_identities", 200, POOL_PAGE,
      ROLE_API },
    { "POST", V1 "/me/identities", AUTH_USER, &wallet_link, "create_identity", 201, POOL_WRITE,
      ROLE_API },
    { "DELETE", V1 "/me/identities/{id}", AUTH_USER, &call_sql, "delete_identity", 204, POOL_WRITE,
      ROLE_API },

    /* API keys */
    { "POST", V1 "/api-keys", AUTH_USER, &call_sql, "create_api_key", 201, POOL_WRITE, ROLE_API },
    { "GET", V1 "/api-keys", AUTH_USER, &call_sql, "list_api_keys", 200, POOL_PAGE, ROLE_API },
    { "DELETE", V1 "/api-keys/{id}", AUTH_USER, &call_sql, "delete_api_key", 204, POOL_WRITE,
      ROLE_API },

    /* Webhooks */
    { "POST", V1 "/webhook-endpoints", AUTH_USER, &call_sql, "create_webhook_endpoint", 201,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/webhook-endpoints", AUTH_USER, &call_sql, "list_webhook_endpoints", 200,
      POOL_PAGE, ROLE_API },
    { "DELETE", V1 "/webhook-endpoints/{id}", AUTH_USER, &call_sql, "delete_webhook_endpoint", 204,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/webhook-endpoints/{id}/rotate", AUTH_USER, &call_sql, "rotate_webhook_secret",
      200, POOL_WRITE, ROLE_API },
    { "POST", V1 "/webhook-endpoints/{id}/enable", AUTH_USER, &call_sql, "enable_webhook_endpoint",
      200, POOL_WRITE, ROLE_API },
    { "GET", V1 "/webhook-endpoints/{id}/deliveries", AUTH_USER, &call_sql, "list_deliveries", 200,
      POOL_PAGE, ROLE_API },
    { "POST", V1 "/deliveries/{id}/resend", AUTH_USER, &call_sql, "resend_delivery", 200,
      POOL_WRITE, ROLE_API },

    /* Email links: the token in the link is the permission */
    { "GET", V1 "/confirm-email/{token}", AUTH_NONE, &confirm_email_ask, NULL, 200, POOL_NONE,
      ROLE_API },
    { "POST", V1 "/confirm-email/{token}", AUTH_NONE, &confirm_email_do, "confirm_email", 200,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/unsubscribe/{token}", AUTH_NONE, &unsubscribe_ask, NULL, 200, POOL_NONE,
      ROLE_API },
    { "POST", V1 "/unsubscribe/{token}", AUTH_NONE, &unsubscribe_do, "unsubscribe", 200, POOL_WRITE,
      ROLE_API },

    /* Generations */
    { "POST", V1 "/generate", AUTH_USER, &call_sql, "create_generation", 202, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/generate/estimate", AUTH_USER, &call_sql, "estimate_generation", 200, POOL_PAGE,
      ROLE_API },
    { "GET", V1 "/generations", AUTH_USER, &call_sql, "list_generations", 200, POOL_SEARCH,
      ROLE_API },
    { "GET", V1 "/generations/{id}", AUTH_USER, &call_sql, "get_generation", 200, POOL_READ,
      ROLE_API },
    { "DELETE", V1 "/generations/{id}", AUTH_USER, &call_sql, "delete_generation", 204, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/generations/{id}/cancel", AUTH_USER, &call_sql, "cancel_generation", 202,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/generations/{id}/retry", AUTH_USER, &call_sql, "retry_generation", 202,
      POOL_WRITE, ROLE_API },

    /* Models */
    { "GET", V1 "/models", AUTH_NONE, &call_sql, "list_models", 200, POOL_PAGE, ROLE_API },
    { "GET", V1 "/models/{id...}", AUTH_NONE, &call_sql, "get_model", 200, POOL_READ, ROLE_API },

    /* Try-ons */
    { "POST", V1 "/tryons", AUTH_ADMIN, &tryon_create, "create_tryon", 202, POOL_WRITE, ROLE_API },
    { "GET", V1 "/tryons", AUTH_ADMIN, &call_sql, "list_tryons", 200, POOL_PAGE, ROLE_API },
    { "GET", V1 "/tryons/{id}", AUTH_ADMIN, &call_sql, "get_tryon", 200, POOL_READ, ROLE_API },
    { "POST", V1 "/tryons/{id}/cancel", AUTH_ADMIN, &call_sql, "cancel_tryon", 202, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/tryons/{id}/retry", AUTH_ADMIN, &call_sql, "retry_tryon", 202, POOL_WRITE,
      ROLE_API },

    /* Virtual staging */
    { "POST", V1 "/projects", AUTH_USER, &call_sql, "create_project", 201, POOL_WRITE, ROLE_API },
    { "GET", V1 "/projects", AUTH_USER, &call_sql, "list_projects", 200, POOL_PAGE, ROLE_API },
    { "GET", V1 "/projects/{id}", AUTH_USER, &call_sql, "get_project", 200, POOL_READ, ROLE_API },
    { "PUT", V1 "/projects/{id}", AUTH_USER, &call_sql, "update_project", 200, POOL_WRITE,
      ROLE_API },
    { "DELETE", V1 "/projects/{id}", AUTH_USER, &call_sql, "delete_project", 204, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/projects/{id}/stage", AUTH_USER, &call_sql, "stage_project", 202, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/projects/{id}/download", AUTH_USER, &zip_project, "download_project", 200,
      POOL_LONG, ROLE_API },
    { "GET", V1 "/projects/{id}/images", AUTH_USER, &call_sql, "list_project_images", 200,
      POOL_PAGE, ROLE_API },
    { "POST", V1 "/images", AUTH_USER, &call_sql, "create_image", 202, POOL_WRITE, ROLE_API },
    { "GET", V1 "/images", AUTH_USER, &call_sql, "list_images", 200, POOL_PAGE, ROLE_API },
    { "GET", V1 "/images/options", AUTH_NONE, &call_sql, "get_staging_options", 200, POOL_PAGE,
      ROLE_API },
    { "GET", V1 "/images/{id}", AUTH_USER, &call_sql, "get_image", 200, POOL_READ, ROLE_API },
    { "DELETE", V1 "/images/{id}", AUTH_USER, &call_sql, "delete_image", 204, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/images/{id}/cancel", AUTH_USER, &call_sql, "cancel_image", 202, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/images/{id}/retry", AUTH_USER, &call_sql, "retry_image", 202, POOL_WRITE,
      ROLE_API },

    /* Uploads and media */
    { "POST", V1 "/uploads/presign", AUTH_USER, &media_presign, "create_upload", 201, POOL_WRITE,
      ROLE_API },
    { "PUT", V1 "/media/{id}", AUTH_SIGNED, &media_put, "finish_upload", 200, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/uploads/{id}/complete", AUTH_USER, &call_sql, "complete_upload", 202, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/uploads/{id}", AUTH_USER, &call_sql, "get_upload", 200, POOL_READ, ROLE_API },
    { "DELETE", V1 "/uploads/{id}", AUTH_USER, &call_sql, "delete_upload", 204, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/media/{id}", AUTH_SIGNED, &media_get, "open_media", 200, POOL_READ, ROLE_API },

    /* Sharing */
    { "POST", V1 "/shares", AUTH_USER, &call_sql, "create_share", 201, POOL_WRITE, ROLE_API },
    { "GET", V1 "/shares", AUTH_USER, &call_sql, "list_shares", 200, POOL_PAGE, ROLE_API },
    { "DELETE", V1 "/shares/{id}", AUTH_USER, &call_sql, "delete_share", 204, POOL_WRITE,
      ROLE_API },
    { "GET", "/s/{token}", AUTH_NONE, &share_open, "open_share", 200, POOL_READ, ROLE_API },

    /* Chat */
    { "GET", V1 "/people", AUTH_USER, &call_sql, "find_people", 200, POOL_LONG, ROLE_API },
    { "POST", V1 "/invites", AUTH_USER, &call_sql, "create_invite", 201, POOL_WRITE, ROLE_API },
    { "GET", V1 "/invites", AUTH_USER, &call_sql, "list_invites", 200, POOL_PAGE, ROLE_API },
    { "DELETE", V1 "/invites/{id}", AUTH_USER, &call_sql, "delete_invite", 204, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/invites/find", AUTH_USER, &call_sql, "find_invite", 200, POOL_WRITE, ROLE_API },
    { "POST", V1 "/invites/accept", AUTH_USER, &call_sql, "accept_invite", 200, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/conversations", AUTH_USER, &call_sql, "create_conversation", 201, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/conversations", AUTH_USER, &call_sql, "list_conversations", 200, POOL_PAGE,
      ROLE_API },
    { "GET", V1 "/conversations/{id}", AUTH_USER, &call_sql, "get_conversation", 200, POOL_READ,
      ROLE_API },
    { "GET", V1 "/conversations/{id}/members", AUTH_USER, &call_sql, "list_members", 200, POOL_PAGE,
      ROLE_API },
    { "POST", V1 "/conversations/{id}/members", AUTH_USER, &call_sql, "add_member", 200, POOL_WRITE,
      ROLE_API },
    { "DELETE", V1 "/conversations/{id}/members", AUTH_USER, &call_sql, "remove_member", 204,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/conversations/{id}/messages", AUTH_USER, &call_sql, "create_message", 201,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/conversations/{id}/messages", AUTH_USER, &call_sql, "list_messages", 200,
      POOL_PAGE, ROLE_API },
    { "POST", V1 "/conversations/{id}/delivered", AUTH_USER, &call_sql, "mark_delivered", 200,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/conversations/{id}/read", AUTH_USER, &call_sql, "mark_read", 200, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/conversations/{id}/typing", AUTH_USER, &call_sql, "tell_typing", 204, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/messages/{id}", AUTH_USER, &call_sql, "get_message", 200, POOL_READ, ROLE_API },
    { "PATCH", V1 "/messages/{id}", AUTH_USER, &call_sql, "edit_message", 200, POOL_WRITE,
      ROLE_API },
    { "DELETE", V1 "/messages/{id}", AUTH_USER, &call_sql, "delete_message", 204, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/blocks", AUTH_USER, &call_sql, "create_block", 201, POOL_WRITE, ROLE_API },
    { "GET", V1 "/blocks", AUTH_USER, &call_sql, "list_blocks", 200, POOL_PAGE, ROLE_API },
    { "DELETE", V1 "/blocks/{id}", AUTH_USER, &call_sql, "delete_block", 204, POOL_WRITE,
      ROLE_API },

    /* Notifications */
    { "GET", V1 "/notifications", AUTH_USER, &call_sql, "list_notifications", 200, POOL_PAGE,
      ROLE_API },
    { "POST", V1 "/notifications/read", AUTH_USER, &call_sql, "read_notifications", 200, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/admin/notifications", AUTH_ADMIN, &call_sql, "announce", 201, POOL_WRITE,
      ROLE_API },

    /* Event stream */
    { "POST", V1 "/stream-tickets", AUTH_USER, &sse_ticket, "create_ticket", 201, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/events", AUTH_STREAM, &sse_events, NULL, 200, POOL_STREAM, ROLE_REALTIME },
    { "GET", V1 "/events/poll", AUTH_STREAM, &poll_events, NULL, 200, POOL_STREAM, ROLE_REALTIME },
    { "GET", V1 "/ws", AUTH_STREAM, &websocket_events, NULL, 101, POOL_STREAM, ROLE_REALTIME },

    /* Provider callbacks: their signature is the permission */
    { "POST", V1 "/webhooks/{provider}", AUTH_NONE, &webhook_receive, "receive_webhook", 200,
      POOL_WRITE, ROLE_API },

    /* Administration */
    { "GET", V1 "/admin/jobs", AUTH_ADMIN, &call_sql, "list_jobs", 200, POOL_LONG, ROLE_API },
    { "POST", V1 "/admin/jobs/{id}/cancel", AUTH_ADMIN, &call_sql, "cancel_job", 202, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/admin/jobs/{id}/retry", AUTH_ADMIN, &call_sql, "retry_job", 202, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/admin/jobs/{id}/resolve", AUTH_ADMIN, &call_sql, "resolve_job", 200, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/admin/accounts", AUTH_ADMIN, &call_sql, "list_accounts", 200, POOL_LONG,
      ROLE_API },
    { "POST", V1 "/admin/accounts/{id}/role", AUTH_ADMIN, &call_sql, "set_account_role", 200,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/admin/accounts/{id}/suspend", AUTH_ADMIN, &call_sql, "suspend_account", 200,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/admin/accounts/{id}/unsuspend", AUTH_ADMIN, &call_sql, "unsuspend_account", 200,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/admin/accounts/{id}/grant", AUTH_ADMIN, &call_sql, "grant_account", 200,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/admin/events", AUTH_WATCH, &watch_events, NULL, 200, POOL_STREAM, ROLE_REALTIME },
    { "GET", V1 "/admin/providers", AUTH_ADMIN, &call_sql, "list_providers", 200, POOL_LONG,
      ROLE_API },
    { "GET", V1 "/admin/queues", AUTH_ADMIN, &call_sql, "list_queues", 200, POOL_LONG, ROLE_API },
    { "POST", V1 "/admin/queues/{name}/pause", AUTH_ADMIN, &call_sql, "pause_queue", 200,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/admin/queues/{name}/resume", AUTH_ADMIN, &call_sql, "resume_queue", 200,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/admin/runners", AUTH_ADMIN, &call_sql, "list_runners", 200, POOL_LONG, ROLE_API },
    { "GET", V1 "/admin/pipelines", AUTH_ADMIN, &call_sql, "list_pipelines", 200, POOL_LONG,
      ROLE_API },
    { "PUT", V1 "/admin/pipelines", AUTH_ADMIN, &call_sql, "put_pipeline", 200, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/admin/pipelines/{name...}", AUTH_ADMIN, &call_sql, "get_pipeline", 200, POOL_READ,
      ROLE_API },
    { "GET", V1 "/admin/categories", AUTH_ADMIN, &call_sql, "list_categories", 200, POOL_LONG,
      ROLE_API },
    { "PUT", V1 "/admin/categories/{name}", AUTH_ADMIN, &call_sql, "put_category", 200, POOL_WRITE,
      ROLE_API },

    /* System: this description, health, metrics */
    { "GET", V1 "/docs", AUTH_NONE, &docs_page, NULL, 200, POOL_NONE, ROLE_BOTH },
    { "GET", V1 "/docs/scalar.js", AUTH_NONE, &docs_script, NULL, 200, POOL_NONE, ROLE_BOTH },
    { "GET", V1 "/openapi.json", AUTH_NONE, &docs_description, NULL, 200, POOL_NONE, ROLE_BOTH },
    { "GET", "/openapi.json", AUTH_NONE, &docs_description, NULL, 200, POOL_NONE, ROLE_BOTH },

    { "GET", "/healthz", AUTH_NONE, &metrics_health, NULL, 200, POOL_NONE, ROLE_BOTH },
    { "GET", "/readyz", AUTH_NONE, &metrics_ready, "ready", 200, POOL_HEALTH, ROLE_BOTH },
    { "GET", "/metrics", AUTH_NONE, &metrics_page, "metrics", 200, POOL_HEALTH, ROLE_BOTH },
};
const size_t nroutes = countof(routes);

size_t routes_statement(const char *function)
{
    for (size_t i = 0; i < nroutes; i++)
        if (routes[i].function && strcmp(routes[i].function, function) == 0)
            return i;
    abort(); /* our own mistake, found by the first test that asks for it */
}

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

void routes_print(unsigned roles, FILE *out)
{
    struct jbuf j = { 0 };

    for (size_t i = 0; i < nroutes; i++) {
        if (!(routes[i].roles & roles))
            continue;
        jbuf_reset(&j);
        write_route(&j, &routes[i]);
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

static bool is_stream(const struct route *route)
{
    return route->auth == AUTH_STREAM || route->auth == AUTH_WATCH;
}

static bool method_fits(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0
           || (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0
               && !is_stream(route));
}

static void allow(struct route_match *match, const struct route *route)
{
    size_t      len   = strlen(match->allow);
    const char *comma = len ? ", " : "";
    bool        head  = strcmp(route->method, "GET") == 0 && !is_stream(route);

    snprintf(match->allow + len, sizeof(match->allow) - len, "%s%s%s", comma, route->method,
             head ? ", HEAD" : "");
}

enum route_result routes_match(unsigned roles, const char *method, const char *path,
                               struct route_match *match)
{
    match->allow[0] = '\0';
    for (size_t i = 0; i < nroutes; i++) {
        if (!(routes[i].roles & roles) || !path_fits(routes[i].pattern, path, match))
            continue;
        if (method_fits(&routes[i], method)) {
            match->route = &routes[i];
            return ROUTE_FOUND;
        }
        allow(match, &routes[i]);
    }
    return match->allow[0] ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}
