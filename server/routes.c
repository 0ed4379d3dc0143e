/*
 * routes: every path this server answers, in reading order. A row that is missing here does not
 * exist; a row whose function is missing in the database ends the program at start.
 */
#include "server/routes.h"

#include "server/http/rpc.h"
#include "server/routes/docs.h"
#include "server/routes/health.h"
#include "server/routes/mail_link.h"
#include "server/routes/media.h"
#include "server/routes/metrics_page.h"
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

/* A row that names no limit has none. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

static const struct route rows[] = {
    /* Authentication */
    { "POST", V1 "/auth/nonce", AUTH_NONE, &rpc_handler, "create_nonce", 201, POOL_WRITE, ROLE_API,
      LIMIT_AUTH },
    { "POST", V1 "/auth/siwe", AUTH_NONE, &wallet_sign_in, "sign_in", 200, POOL_WRITE, ROLE_API,
      LIMIT_AUTH },
    { "GET", V1 "/me", AUTH_USER, &rpc_handler, "get_me", 200, POOL_READ, ROLE_API },
    { "PATCH", V1 "/me", AUTH_USER, &rpc_handler, "update_me", 200, POOL_WRITE, ROLE_API },
    { "DELETE", V1 "/me", AUTH_USER, &rpc_handler, "delete_me", 204, POOL_WRITE, ROLE_API },
    { "GET", V1 "/me/export", AUTH_USER, &rpc_handler, "export_me", 200, POOL_LONG, ROLE_API },
    { "POST", V1 "/me/email/confirmation", AUTH_USER, &rpc_handler, "send_confirmation", 200,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/me/sign-out-everywhere", AUTH_USER, &rpc_handler, "sign_out_everywhere", 200,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/me/identities", AUTH_USER, &rpc_handler, "list_identities", 200, POOL_PAGE,
      ROLE_API },
    { "POST", V1 "/me/identities", AUTH_USER, &wallet_link, "create_identity", 201, POOL_WRITE,
      ROLE_API },
    { "DELETE", V1 "/me/identities/{id}", AUTH_USER, &rpc_handler, "delete_identity", 204,
      POOL_WRITE, ROLE_API },

    /* API keys */
    { "POST", V1 "/api-keys", AUTH_USER, &rpc_handler, "create_api_key", 201, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/api-keys", AUTH_USER, &rpc_handler, "list_api_keys", 200, POOL_PAGE, ROLE_API },
    { "DELETE", V1 "/api-keys/{id}", AUTH_USER, &rpc_handler, "delete_api_key", 204, POOL_WRITE,
      ROLE_API },

    /* Webhooks */
    { "POST", V1 "/webhook-endpoints", AUTH_USER, &rpc_handler, "create_webhook_endpoint", 201,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/webhook-endpoints", AUTH_USER, &rpc_handler, "list_webhook_endpoints", 200,
      POOL_PAGE, ROLE_API },
    { "DELETE", V1 "/webhook-endpoints/{id}", AUTH_USER, &rpc_handler, "delete_webhook_endpoint",
      204, POOL_WRITE, ROLE_API },
    { "POST", V1 "/webhook-endpoints/{id}/rotate", AUTH_USER, &rpc_handler, "rotate_webhook_secret",
      200, POOL_WRITE, ROLE_API },
    { "POST", V1 "/webhook-endpoints/{id}/enable", AUTH_USER, &rpc_handler,
      "enable_webhook_endpoint", 200, POOL_WRITE, ROLE_API },
    { "GET", V1 "/webhook-endpoints/{id}/deliveries", AUTH_USER, &rpc_handler, "list_deliveries",
      200, POOL_PAGE, ROLE_API },
    { "POST", V1 "/deliveries/{id}/resend", AUTH_USER, &rpc_handler, "resend_delivery", 200,
      POOL_WRITE, ROLE_API },

    /* Email links: the token in the link is the permission */
    { "GET", V1 "/confirm-email/{token}", AUTH_NONE, &confirm_email_ask, NULL, 200, POOL_NONE,
      ROLE_API },
    { "POST", V1 "/confirm-email/{token}", AUTH_NONE, &confirm_email_do, "confirm_email", 200,
      POOL_WRITE, ROLE_API, LIMIT_AUTH },
    { "GET", V1 "/unsubscribe/{token}", AUTH_NONE, &unsubscribe_ask, NULL, 200, POOL_NONE,
      ROLE_API },
    { "POST", V1 "/unsubscribe/{token}", AUTH_NONE, &unsubscribe_do, "unsubscribe", 200, POOL_WRITE,
      ROLE_API, LIMIT_AUTH },

    /* Generations */
    { "POST", V1 "/generate", AUTH_USER, &rpc_handler, "create_generation", 202, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/generate/estimate", AUTH_USER, &rpc_handler, "estimate_generation", 200,
      POOL_PAGE, ROLE_API },
    { "GET", V1 "/generations", AUTH_USER, &rpc_handler, "list_generations", 200, POOL_SEARCH,
      ROLE_API },
    { "GET", V1 "/generations/{id}", AUTH_USER, &rpc_handler, "get_generation", 200, POOL_READ,
      ROLE_API },
    { "DELETE", V1 "/generations/{id}", AUTH_USER, &rpc_handler, "delete_generation", 204,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/generations/{id}/cancel", AUTH_USER, &rpc_handler, "cancel_generation", 202,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/generations/{id}/retry", AUTH_USER, &rpc_handler, "retry_generation", 202,
      POOL_WRITE, ROLE_API },

    /* Models */
    { "GET", V1 "/models", AUTH_NONE, &rpc_handler, "list_models", 200, POOL_PAGE, ROLE_API },
    { "GET", V1 "/models/{id...}", AUTH_NONE, &rpc_handler, "get_model", 200, POOL_READ, ROLE_API },

    /* Try-ons */
    { "POST", V1 "/tryons", AUTH_ADMIN, &tryon_create, "create_tryon", 202, POOL_WRITE, ROLE_API },
    { "GET", V1 "/tryons", AUTH_ADMIN, &rpc_handler, "list_tryons", 200, POOL_PAGE, ROLE_API },
    { "GET", V1 "/tryons/{id}", AUTH_ADMIN, &rpc_handler, "get_tryon", 200, POOL_READ, ROLE_API },
    { "POST", V1 "/tryons/{id}/cancel", AUTH_ADMIN, &rpc_handler, "cancel_tryon", 202, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/tryons/{id}/retry", AUTH_ADMIN, &rpc_handler, "retry_tryon", 202, POOL_WRITE,
      ROLE_API },

    /* Virtual staging */
    { "POST", V1 "/projects", AUTH_USER, &rpc_handler, "create_project", 201, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/projects", AUTH_USER, &rpc_handler, "list_projects", 200, POOL_PAGE, ROLE_API },
    { "GET", V1 "/projects/{id}", AUTH_USER, &rpc_handler, "get_project", 200, POOL_READ,
      ROLE_API },
    { "PUT", V1 "/projects/{id}", AUTH_USER, &rpc_handler, "update_project", 200, POOL_WRITE,
      ROLE_API },
    { "DELETE", V1 "/projects/{id}", AUTH_USER, &rpc_handler, "delete_project", 204, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/projects/{id}/stage", AUTH_USER, &rpc_handler, "stage_project", 202, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/projects/{id}/download", AUTH_USER, &zip_project, "download_project", 200,
      POOL_LONG, ROLE_API },
    { "GET", V1 "/projects/{id}/images", AUTH_USER, &rpc_handler, "list_project_images", 200,
      POOL_PAGE, ROLE_API },
    { "POST", V1 "/images", AUTH_USER, &rpc_handler, "create_image", 202, POOL_WRITE, ROLE_API },
    { "GET", V1 "/images", AUTH_USER, &rpc_handler, "list_images", 200, POOL_PAGE, ROLE_API },
    { "GET", V1 "/images/options", AUTH_NONE, &rpc_handler, "get_staging_options", 200, POOL_PAGE,
      ROLE_API },
    { "GET", V1 "/images/{id}", AUTH_USER, &rpc_handler, "get_image", 200, POOL_READ, ROLE_API },
    { "DELETE", V1 "/images/{id}", AUTH_USER, &rpc_handler, "delete_image", 204, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/images/{id}/cancel", AUTH_USER, &rpc_handler, "cancel_image", 202, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/images/{id}/retry", AUTH_USER, &rpc_handler, "retry_image", 202, POOL_WRITE,
      ROLE_API },

    /* Uploads and media */
    { "POST", V1 "/uploads/presign", AUTH_USER, &media_presign, "create_upload", 201, POOL_WRITE,
      ROLE_API },
    { "PUT", V1 "/media/{id}", AUTH_SIGNED, &media_put, "finish_upload", 200, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/uploads/{id}/complete", AUTH_USER, &rpc_handler, "complete_upload", 202,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/uploads/{id}", AUTH_USER, &rpc_handler, "get_upload", 200, POOL_READ, ROLE_API },
    { "DELETE", V1 "/uploads/{id}", AUTH_USER, &rpc_handler, "delete_upload", 204, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/media/{id}", AUTH_SIGNED, &media_get, "open_media", 200, POOL_READ, ROLE_API },

    /* Sharing */
    { "POST", V1 "/shares", AUTH_USER, &rpc_handler, "create_share", 201, POOL_WRITE, ROLE_API },
    { "GET", V1 "/shares", AUTH_USER, &rpc_handler, "list_shares", 200, POOL_PAGE, ROLE_API },
    { "DELETE", V1 "/shares/{id}", AUTH_USER, &rpc_handler, "delete_share", 204, POOL_WRITE,
      ROLE_API },
    { "GET", "/s/{token}", AUTH_NONE, &share_open, "open_share", 200, POOL_READ, ROLE_API },

    /* Chat */
    { "GET", V1 "/people", AUTH_USER, &rpc_handler, "find_people", 200, POOL_LONG, ROLE_API },
    { "POST", V1 "/invites", AUTH_USER, &rpc_handler, "create_invite", 201, POOL_WRITE, ROLE_API },
    { "GET", V1 "/invites", AUTH_USER, &rpc_handler, "list_invites", 200, POOL_PAGE, ROLE_API },
    { "DELETE", V1 "/invites/{id}", AUTH_USER, &rpc_handler, "delete_invite", 204, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/invites/find", AUTH_USER, &rpc_handler, "find_invite", 200, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/invites/accept", AUTH_USER, &rpc_handler, "accept_invite", 200, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/conversations", AUTH_USER, &rpc_handler, "create_conversation", 201, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/conversations", AUTH_USER, &rpc_handler, "list_conversations", 200, POOL_PAGE,
      ROLE_API },
    { "GET", V1 "/conversations/{id}", AUTH_USER, &rpc_handler, "get_conversation", 200, POOL_READ,
      ROLE_API },
    { "GET", V1 "/conversations/{id}/members", AUTH_USER, &rpc_handler, "list_members", 200,
      POOL_PAGE, ROLE_API },
    { "POST", V1 "/conversations/{id}/members", AUTH_USER, &rpc_handler, "add_member", 200,
      POOL_WRITE, ROLE_API },
    { "DELETE", V1 "/conversations/{id}/members", AUTH_USER, &rpc_handler, "remove_member", 204,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/conversations/{id}/messages", AUTH_USER, &rpc_handler, "create_message", 201,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/conversations/{id}/messages", AUTH_USER, &rpc_handler, "list_messages", 200,
      POOL_PAGE, ROLE_API },
    { "POST", V1 "/conversations/{id}/delivered", AUTH_USER, &rpc_handler, "mark_delivered", 200,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/conversations/{id}/read", AUTH_USER, &rpc_handler, "mark_read", 200, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/conversations/{id}/typing", AUTH_USER, &rpc_handler, "send_typing", 204,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/messages/{id}", AUTH_USER, &rpc_handler, "get_message", 200, POOL_READ,
      ROLE_API },
    { "PATCH", V1 "/messages/{id}", AUTH_USER, &rpc_handler, "edit_message", 200, POOL_WRITE,
      ROLE_API },
    { "DELETE", V1 "/messages/{id}", AUTH_USER, &rpc_handler, "delete_message", 204, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/blocks", AUTH_USER, &rpc_handler, "create_block", 201, POOL_WRITE, ROLE_API },
    { "GET", V1 "/blocks", AUTH_USER, &rpc_handler, "list_blocks", 200, POOL_PAGE, ROLE_API },
    { "DELETE", V1 "/blocks/{id}", AUTH_USER, &rpc_handler, "delete_block", 204, POOL_WRITE,
      ROLE_API },

    /* Notifications */
    { "GET", V1 "/notifications", AUTH_USER, &rpc_handler, "list_notifications", 200, POOL_PAGE,
      ROLE_API },
    { "POST", V1 "/notifications/read", AUTH_USER, &rpc_handler, "read_notifications", 200,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/admin/notifications", AUTH_ADMIN, &rpc_handler, "announce", 201, POOL_WRITE,
      ROLE_API },

    /* Event stream */
    { "POST", V1 "/stream-tickets", AUTH_USER, &sse_ticket, "create_ticket", 201, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/events", AUTH_STREAM, &sse_events, NULL, 200, POOL_STREAM, ROLE_REALTIME },
    { "GET", V1 "/events/poll", AUTH_STREAM, &poll_events, NULL, 200, POOL_STREAM, ROLE_REALTIME },
    { "GET", V1 "/ws", AUTH_STREAM, &websocket_events, NULL, 101, POOL_STREAM, ROLE_REALTIME },

    /* Provider callbacks: their signature is the permission */
    { "POST", V1 "/webhooks/{provider}", AUTH_NONE, &webhook_receive, "receive_webhook", 200,
      POOL_WRITE, ROLE_API, LIMIT_WEBHOOKS },

    /* Administration */
    { "GET", V1 "/admin/jobs", AUTH_ADMIN, &rpc_handler, "list_jobs", 200, POOL_LONG, ROLE_API },
    { "POST", V1 "/admin/jobs/{id}/cancel", AUTH_ADMIN, &rpc_handler, "cancel_job", 202, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/admin/jobs/{id}/retry", AUTH_ADMIN, &rpc_handler, "retry_job", 202, POOL_WRITE,
      ROLE_API },
    { "POST", V1 "/admin/jobs/{id}/resolve", AUTH_ADMIN, &rpc_handler, "resolve_job", 200,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/admin/accounts", AUTH_ADMIN, &rpc_handler, "list_accounts", 200, POOL_LONG,
      ROLE_API },
    { "POST", V1 "/admin/accounts/{id}/role", AUTH_ADMIN, &rpc_handler, "set_account_role", 200,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/admin/accounts/{id}/suspend", AUTH_ADMIN, &rpc_handler, "suspend_account", 200,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/admin/accounts/{id}/unsuspend", AUTH_ADMIN, &rpc_handler, "unsuspend_account",
      200, POOL_WRITE, ROLE_API },
    { "POST", V1 "/admin/accounts/{id}/grant", AUTH_ADMIN, &rpc_handler, "grant_account", 200,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/admin/events", AUTH_WATCH, &watch_events, NULL, 200, POOL_STREAM, ROLE_REALTIME },
    { "GET", V1 "/admin/providers", AUTH_ADMIN, &rpc_handler, "list_providers", 200, POOL_LONG,
      ROLE_API },
    { "GET", V1 "/admin/queues", AUTH_ADMIN, &rpc_handler, "list_queues", 200, POOL_LONG,
      ROLE_API },
    { "POST", V1 "/admin/queues/{name}/pause", AUTH_ADMIN, &rpc_handler, "pause_queue", 200,
      POOL_WRITE, ROLE_API },
    { "POST", V1 "/admin/queues/{name}/resume", AUTH_ADMIN, &rpc_handler, "resume_queue", 200,
      POOL_WRITE, ROLE_API },
    { "GET", V1 "/admin/runners", AUTH_ADMIN, &rpc_handler, "list_runners", 200, POOL_LONG,
      ROLE_API },
    { "GET", V1 "/admin/pipelines", AUTH_ADMIN, &rpc_handler, "list_pipelines", 200, POOL_LONG,
      ROLE_API },
    { "PUT", V1 "/admin/pipelines", AUTH_ADMIN, &rpc_handler, "put_pipeline", 200, POOL_WRITE,
      ROLE_API },
    { "GET", V1 "/admin/pipelines/{name...}", AUTH_ADMIN, &rpc_handler, "get_pipeline", 200,
      POOL_READ, ROLE_API },
    { "GET", V1 "/admin/categories", AUTH_ADMIN, &rpc_handler, "list_categories", 200, POOL_LONG,
      ROLE_API },
    { "PUT", V1 "/admin/categories/{name}", AUTH_ADMIN, &rpc_handler, "put_category", 200,
      POOL_WRITE, ROLE_API },

    /* System: this description, health, metrics */
    { "GET", V1 "/docs", AUTH_NONE, &docs_page, NULL, 200, POOL_NONE, ROLE_BOTH },
    { "GET", V1 "/docs/scalar.js", AUTH_NONE, &docs_script, NULL, 200, POOL_NONE, ROLE_BOTH },
    { "GET", V1 "/openapi.json", AUTH_NONE, &docs_description, NULL, 200, POOL_NONE, ROLE_BOTH },
    { "GET", "/openapi.json", AUTH_NONE, &docs_description, NULL, 200, POOL_NONE, ROLE_BOTH },

    { "GET", "/healthz", AUTH_NONE, &health_live, NULL, 200, POOL_NONE, ROLE_BOTH },
    { "GET", "/readyz", AUTH_NONE, &health_ready, "ready", 200, POOL_HEALTH, ROLE_BOTH },
    { "GET", "/metrics", AUTH_NONE, &metrics_page_get, "metrics", 200, POOL_HEALTH, ROLE_BOTH },
};

const struct routes server_routes = { rows, countof(rows) };
