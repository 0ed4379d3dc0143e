/*
 * cfg: the one table of variables, and what reads the environment by it.
 */
#include "lib/cfg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

enum kind { TEXT, SECRET, INT, INT64, SWITCH, LEVEL, FORMAT };

struct variable {
    const char *name;
    enum kind   kind;
    size_t      offset;
    const char *fallback;
    int64_t     min, max; /* of a number; of a text's length in bytes where max > 0 */
    const char *help;
};

#define AT(member) offsetof(struct cfg, member)

static const struct variable variables[] = {
    /* The house */
    { "KILN_HOME", TEXT, AT(home), ".kiln", 1, 4000, "folder of everything the stack writes" },
    { "KILN_PORT", INT, AT(port), "8080", 1, 65535, "TCP port of the server" },
    { "KILN_BIND", TEXT, AT(bind), "127.0.0.1", 1, 64, "address the server listens on" },
    { "KILN_PUBLIC_URL", TEXT, AT(public_url), "", 0, 0,
      "where Kiln is reached from outside (written to the database by ./kiln)" },
    { "KILN_ALLOWED_ORIGINS", TEXT, AT(allowed_origins), "", 0, 0,
      "origins of other web pages that may use the API, by commas; * for all" },
    { "KILN_LOG_LEVEL", LEVEL, AT(log_level), "info", 0, 0, "debug | info | warn | error" },
    { "KILN_LOG_FORMAT", FORMAT, AT(log_format), "json", 0, 0, "json | text" },

    /* The database */
    { "DATABASE_URL", TEXT, AT(database_url), "", 0, 0,
      "libpq URI or conninfo without user; empty: embedded" },
    { "KILN_LISTEN_URL", TEXT, AT(listen_url), "", 0, 0,
      "direct link for LISTEN; empty: DATABASE_URL" },
    { "KILN_PREPARE", SWITCH, AT(is_preparing), "on", 0, 0,
      "on | off (poolers without prepared statements)" },
    { "KILN_DB_READERS", INT, AT(db_readers), "4", 3, 64,
      "connections for reads: half for single things, a quarter for pages, the rest for searches" },
    { "KILN_DB_WRITERS", INT, AT(db_writers), "8", 1, 256,
      "connections for writes, one call in flight each" },

    /* Who may */
    { "KILN_JWT_SECRET", SECRET, AT(jwt_secret), "", 32, 4096,
      "HS256 secret as raw text, at least 32 bytes" },
    { "KILN_JWT_SECRET_PREVIOUS", SECRET, AT(jwt_secret_previous), "", 32, 4096,
      "still accepted while rotating" },
    { "KILN_JWT_ISSUER", TEXT, AT(jwt_issuer), "", 0, 0, "iss must equal it; empty: not checked" },
    { "KILN_JWT_AUDIENCE", TEXT, AT(jwt_audience), "", 0, 0,
      "aud must contain it; empty: not checked" },
    { "KILN_JWKS_URL", TEXT, AT(jwks_url), "", 0, 0,
      "where the issuer publishes its RS256 keys; needs issuer and audience; empty: HS256 only" },
    { "KILN_ADMIN_KEY", SECRET, AT(admin_key), "", 32, 4096,
      "X-API-Key of administration, at least 32 bytes; empty: none" },

    { "KILN_SIWE_DOMAIN", TEXT, AT(siwe_domain), "", 0, 0,
      "sites whose wallet messages are taken: [scheme://]host[:port],…; empty: KILN_PUBLIC_URL, or "
      "localhost" },
    { "KILN_SIWE_CHAINS", TEXT, AT(siwe_chains), "1", 1, 200, "chain ids of wallet messages" },
    { "KILN_TRUSTED_PROXIES", TEXT, AT(trusted_proxies), "", 0, 0,
      "address[/bits],… whose X-Forwarded-For is believed" },
    { "KILN_AUTH_PER_MINUTE", INT, AT(auth_per_minute), "60", 1, 1000000,
      "sign-in calls an address may make, a process" },
    { "KILN_WEBHOOKS_PER_MINUTE", INT, AT(webhooks_per_minute), "6000", 1, 10000000,
      "webhooks an address may send, a process" },

    /* Media and streams */
    { "KILN_MEDIA", TEXT, AT(media), "", 0, 0,
      "file:/absolute/folder or s3://bucket?endpoint=…&region=…; empty: KILN_HOME/media" },
    { "KILN_S3_ACCESS_KEY", SECRET, AT(s3_access_key), "", 0, 0,
      "of the bucket; empty: AWS_ACCESS_KEY_ID" },
    { "KILN_S3_SECRET_KEY", SECRET, AT(s3_secret_key), "", 0, 0,
      "of the bucket; empty: AWS_SECRET_ACCESS_KEY" },
    { "KILN_UPLOAD_MAX_BYTES", INT64, AT(upload_max_bytes), "67108864", 1, INT64_C(1) << 40,
      "largest upload, bytes" },
    { "KILN_MAX_STREAMS", INT, AT(max_streams), "19000", 1, 1000000,
      "event streams one process holds" },
    { "KILN_MAX_CONNECTIONS", INT, AT(max_connections), "900", 10, 1000000,
      "connections besides streams one process holds; the oldest idle ones make room" },
    { "KILN_CONNECTIONS_PER_ADDRESS", INT, AT(connections_per_address), "256", 0, 1000000,
      "connections and streams of one address (IPv6: /64), 0: any number; 127.0.0.1, ::1 and "
      "KILN_TRUSTED_PROXIES are exempt" },
    { "KILN_CLIENT_TIMEOUT_MS", INT, AT(client_timeout_ms), "20000", 100, 3600000,
      "time for the headers of a request, and the stretch that the next rate is measured in, ms" },
    { "KILN_CLIENT_BYTES_PER_SECOND", INT, AT(client_bytes_per_second), "4096", 0, 1000000000,
      "a body or the reading of an answer that is slower is cut" },

    /* Runners */
    { "KILN_RUNNERS", INT, AT(runners), "2", 0, 256, "runners that `kiln up` starts" },
    { "KILN_RUNNER_NAME", TEXT, AT(runner_name), "", 0, 0, "empty: host:pid" },
    { "KILN_RUNNER_SLOTS", INT, AT(runner_slots), "8", 1, 10000,
      "tasks one runner works on at a time" },
    { "KILN_RUNNER_QUEUES", TEXT, AT(runner_queues), "", 0, 0,
      "names divided by commas; empty: all" },
    { "KILN_RUNNER_DRAIN_MS", INT, AT(runner_drain_ms), "10000", 0, 3600000,
      "time to finish at SIGTERM, ms" },
    { "KILN_TOOLS", TEXT, AT(tools), "", 0, 0, "folders of exec commands, divided by colons" },
    { "KILN_TOOLS_READ", TEXT, AT(tools_read), "", 0, 0,
      "paths that tools read and execute beside system folders and their own, by colons" },
    { "KILN_TOOLS_WRITE", TEXT, AT(tools_write), "", 0, 0,
      "paths that tools read and write beside their work folder, by colons" },
    { "KILN_TOOLS_DISK_MB", INT, AT(tools_disk_mb), "4096", 64, 16777216,
      "most that one task's files may take, MiB" },
    { "KILN_REQUIRE_SANDBOX", SWITCH, AT(needs_sandbox), "off", 0, 0,
      "on | off (a runner that has none for its tools warns and works)" },
    { "KILN_TRUSTED_HOSTS", TEXT, AT(trusted_hosts), "", 0, 0,
      "host[:port],… that may be http or private, for providers" },
    { "KILN_WEBHOOK_HOSTS", TEXT, AT(webhook_hosts), "", 0, 0,
      "the same for users' webhooks (written to the database by ./kiln)" },

    /* Mail */
    { "KILN_SMTP_URL", TEXT, AT(smtp_url), "", 0, 1000,
      "smtp://host[:587] or smtps://host[:465], by which runners send mail; empty: none" },
    { "KILN_SMTP_USER", TEXT, AT(smtp_user), "", 0, 255, "who signs in there; empty: nobody" },
    { "KILN_SMTP_PASSWORD", SECRET, AT(smtp_password), "", 0, 1000, "with what" },
    { "KILN_SMTP_TLS", TEXT, AT(smtp_tls), "auto", 0, 8,
      "of smtp://: on | off | auto (on, but for loopback)" },
    { "KILN_SMTP_CA", TEXT, AT(smtp_ca), "", 0, 4000,
      "PEM file of authorities for that server; empty: the system's" },
    { "KILN_MAIL_FROM", TEXT, AT(mail_from), "", 0, 254, "address that mail comes from" },

    /* Outside */
    { "FAL_KEY", SECRET, AT(fal_key), "", 0, 0, "key of fal.ai; other providers likewise" },
    { "STRIPE_SECRET_KEY", SECRET, AT(stripe_secret_key), "", 0, 0,
      "key of Stripe (not used yet)" },
    { "STRIPE_WEBHOOK_SECRET", SECRET, AT(stripe_webhook_secret), "", 0, 0,
      "of Stripe's webhooks (not used yet)" },
    { "OTEL_EXPORTER_OTLP_ENDPOINT", TEXT, AT(otlp_endpoint), "", 0, 0,
      "where traces go (not used yet)" },
};

bool cfg_parse_int(const char *text, int64_t min, int64_t max, int64_t *value)
{
    char     *end;
    long long number;

    /* strtoll would take spaces and a plus sign; a configuration should not. */
    if ((*text < '0' || *text > '9') && *text != '-')
        return false;
    errno  = 0;
    number = strtoll(text, &end, 10);
    if (errno || end == text || *end != '\0' || number < min || number > max)
        return false;
    *value = number;
    return true;
}

static int word_index(const char *value, const char *const words[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(value, words[i]) == 0)
            return (int)i;
    return -1;
}

static bool set_number(void *member, const struct variable *v, const char *value, struct err *err)
{
    int64_t number;

    if (!cfg_parse_int(value, v->min, v->max, &number)) {
        err_set(err, "F0000", "%s must be a whole number from %lld to %lld", v->name,
                (long long)v->min, (long long)v->max);
        return false;
    }
    if (v->kind == INT64)
        *(int64_t *)member = number;
    else
        *(int *)member = (int)number;
    return true;
}

/* The value of a secret is never repeated in the message; nor is any other, which may be a secret
 * put in the wrong place. */
static bool set_text(void *member, const struct variable *v, const char *value, struct err *err)
{
    size_t bytes = strlen(value);

    if (v->max > 0 && bytes > 0 && ((int64_t)bytes < v->min || (int64_t)bytes > v->max)) {
        err_set(err, "F0000", "%s must be %lld to %lld bytes long, it has %zu", v->name,
                (long long)v->min, (long long)v->max, bytes);
        return false;
    }
    *(const char **)member = value;
    return true;
}

static bool set_word(void *member, const struct variable *v, const char *value, struct err *err)
{
    static const char *const switches[] = { "off", "on" };
    static const char *const levels[]   = { "debug", "info", "warn", "error" };
    static const char *const formats[]  = { "json", "text" };
    int                      index;

    index = v->kind == SWITCH  ? word_index(value, switches, countof(switches))
            : v->kind == LEVEL ? word_index(value, levels, countof(levels))
                               : word_index(value, formats, countof(formats));
    if (index < 0) {
        err_set(err, "F0000", "%s must be one of %s", v->name,
                v->kind == SWITCH  ? "on, off"
                : v->kind == LEVEL ? "debug, info, warn, error"
                                   : "json, text");
        return false;
    }
    if (v->kind == SWITCH)
        *(bool *)member = index == 1;
    else
        *(int *)member = index;
    return true;
}

static bool set(struct cfg *cfg, const struct variable *v, const char *value, struct err *err)
{
    void *member = (char *)cfg + v->offset;

    switch (v->kind) {
    case TEXT:
    case SECRET: return set_text(member, v, value, err);
    case INT:
    case INT64: return set_number(member, v, value, err);
    default: return set_word(member, v, value, err);
    }
}

static const struct variable *find(const char *name, size_t bytes)
{
    for (size_t i = 0; i < countof(variables); i++)
        if (strlen(variables[i].name) == bytes && memcmp(variables[i].name, name, bytes) == 0)
            return &variables[i];
    return NULL;
}

/* An empty value means the default, as in `KILN_PORT=` of a commented .env. */
static bool set_from_pair(struct cfg *cfg, const char *pair, struct err *err)
{
    const char            *equals = strchr(pair, '=');
    const struct variable *v;

    if (!equals)
        return true;
    v = find(pair, (size_t)(equals - pair));
    if (v)
        return equals[1] == '\0' || set(cfg, v, equals + 1, err);
    if (strncmp(pair, "KILN_", 5) != 0)
        return true;
#ifdef KILN_FAILPOINTS
    if (strncmp(pair, "KILN_FAILPOINT", 14) == 0)
        return true;
#endif
    err_set(err, "F0000", "%.*s is not a variable of Kiln (kiln-server --help lists them)",
            (int)(equals - pair > 100 ? 100 : equals - pair), pair);
    return false;
}

bool cfg_load_from(struct cfg *cfg, const char *const *environ_list, struct err *err)
{
    *cfg = (struct cfg) { 0 };
    for (size_t i = 0; i < countof(variables); i++) {
        const struct variable *v = &variables[i];
        if (!v->fallback[0] ? !set_text((char *)cfg + v->offset, v, "", err)
                            : !set(cfg, v, v->fallback, err))
            return false;
    }
    for (; *environ_list; environ_list++)
        if (!set_from_pair(cfg, *environ_list, err))
            return false;
    if (!cfg->listen_url[0])
        cfg->listen_url = cfg->database_url;
    return true;
}

bool cfg_load(struct cfg *cfg, struct err *err)
{
    return cfg_load_from(cfg, (const char *const *)environ, err);
}

void cfg_help(FILE *out)
{
    for (size_t i = 0; i < countof(variables); i++)
        fprintf(out, "  %-28s %-12s %s\n", variables[i].name,
                variables[i].fallback[0] ? variables[i].fallback : "-", variables[i].help);
}
