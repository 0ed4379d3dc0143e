/*
 * cfg: configuration from the environment. The table in cfg.c is the only list of variables, with
 * type, default, unit and help; `.env.example` and --help follow it.
 *
 * An unknown KILN_ variable or a malformed value is an error that names the variable: a typing
 * mistake must not become a silent default.
 */
#ifndef KILN_CFG_H
#define KILN_CFG_H

#include <stdio.h>

#include "lib/base.h"
#include "lib/err.h"
#include "lib/log.h"

/* Strings point into the environment and are never NULL (empty where unset and without default). */
struct cfg {
    const char *home;
    int         port;
    const char *bind;
    const char *database_url;
    const char *listen_url; /* database_url where KILN_LISTEN_URL is empty */
    bool        is_preparing;
    const char *jwt_secret;
    const char *jwt_secret_previous;
    const char *jwt_issuer;
    const char *jwt_audience;
    const char *jwks_url;
    const char *admin_key;
    const char *siwe_domain;
    const char *siwe_chains;
    const char *trusted_proxies;
    int         auth_per_minute;
    int         webhooks_per_minute;
    const char *media, *s3_access_key, *s3_secret_key;
    int         log_level;  /* enum log_level */
    int         log_format; /* enum cfg_log_format */
    const char *public_url;
    const char *allowed_origins;
    int         db_readers;
    int         db_writers;
    int         max_streams;
    int         max_connections;
    int         connections_per_address;
    int         client_timeout_ms;
    int         client_bytes_per_second;
    int64_t     upload_max_bytes;
    const char *runner_name; /* empty: the runner takes host:pid */
    int         runner_slots;
    const char *runner_queues;
    int         runner_drain_ms;
    int         runners; /* how many the kiln script starts; the programs do not look at it */
    const char *tools, *tools_read, *tools_write;
    int         tools_disk_mb;
    bool        needs_sandbox;
    const char *trusted_hosts;
    const char *webhook_hosts; /* the kiln script's; the programs do not look at it */
    const char *smtp_url, *smtp_user, *smtp_password, *smtp_tls, *smtp_ca, *mail_from;
    const char *fal_key;
    const char *stripe_secret_key;
    const char *stripe_webhook_secret;
    const char *otlp_endpoint;
};

enum cfg_log_format { CFG_LOG_JSON, CFG_LOG_TEXT };

/* Reads the whole environment; false: *err names the variable (F0000). */
MUST_CHECK bool cfg_load(struct cfg *cfg, struct err *err);

/* The same from any NULL-ended list of NAME=value, which must outlive cfg. */
MUST_CHECK bool cfg_load_from(struct cfg *cfg, const char *const *environ_list, struct err *err);

/* Parses a decimal in min..max, nothing before or after it: for flags. */
MUST_CHECK bool cfg_parse_int(const char *text, int64_t min, int64_t max, int64_t *value);

/* One line a variable: name, default, unit, help. Secrets have no default to show. */
void cfg_help(FILE *out);

#endif
