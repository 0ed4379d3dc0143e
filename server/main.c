/*
 * kiln-server: HTTP and event streams in front of PostgreSQL. It turns a request into one call of a
 * kiln_api function and the answer back; it decides nothing and keeps nothing that a restart would
 * lose.
 *
 * This file: flags, configuration, the order of opening and closing, and the drain.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "server/auth/auth.h"
#include "server/stream/bus.h"
#include "server/http/http.h"
#include "server/http/limit.h"
#include "server/stream/instance.h"
#include "server/auth/issuer.h"
#include "lib/log.h"
#include "server/http/metrics.h"
#include "server/http/origin.h"
#include "server/http/statements.h"
#include "server/pool/owner.h"
#include "server/routes.h"
#include "server/server.h"
#include "server/stream/poll.h"
#include "server/stream/stream.h"
#include "lib/store.h"
#include "server/routes/webhook.h"
#include "server/routes/zip.h"
#include "server/routes/zipper.h"

#define PROGRAM "kiln-server"
#define DRAIN_MS \
    12000 /* beyond the deadline of a call, which answers what is still suspended then */

#define DRAIN_CUT_MS 3000 /* so long before that downloads are broken off */

struct options {
    unsigned roles;
    int64_t  port; /* 0: not given */
    char    *bind;
    bool     is_check, is_routes, is_zip;
};

struct program {
    struct server      server;
    struct cfg         cfg;
    struct statements *statements;
    struct loop_timer  drain_timer;
    uint64_t           drain_until_ms;
    char               media[4200];
};

static void print_help(void)
{
    puts(
        "kiln-server: the HTTP interface and the event streams of Kiln\n\n"
        "  --role api|realtime|both   which routes this process has (both)\n"
        "  --port N                   instead of KILN_PORT\n"
        "  --bind ADDRESS             instead of KILN_BIND\n"
        "  --check                    connect, prepare every statement, print one line, end\n"
        "  --routes                   print the routes of the role, JSON a line; asks for nothing\n"
        "  --zip                      (a server starts itself so: it packs a download)\n"
        "  --version, --help\n\n"
        "Environment:");
    cfg_help(stdout);
}

static bool parse_role(const char *word, unsigned *roles)
{
    *roles = strcmp(word, "api") == 0        ? ROLE_API
             : strcmp(word, "realtime") == 0 ? ROLE_REALTIME
             : strcmp(word, "both") == 0     ? ROLE_BOTH
                                             : 0;
    return *roles != 0;
}

/* -1: go on; else the exit code. */
static int parse_flags(int argc, char **argv, struct options *opt)
{
    static const struct option flags[] = { { "role", required_argument, NULL, 'r' },
                                           { "port", required_argument, NULL, 'p' },
                                           { "bind", required_argument, NULL, 'b' },
                                           { "check", no_argument, NULL, 'c' },
                                           { "routes", no_argument, NULL, 'R' },
                                           { "help", no_argument, NULL, 'h' },
                                           { "zip", no_argument, NULL, 'z' },
                                           { "version", no_argument, NULL, 'v' },
                                           { NULL, 0, NULL, 0 } };
    int                        flag;

    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        bool ok = true;
        switch (flag) {
        case 'r': ok = parse_role(optarg, &opt->roles); break;
        case 'p': ok = cfg_parse_int(optarg, 1, 65535, &opt->port); break;
        case 'b': opt->bind = optarg; break;
        case 'c': opt->is_check = true; break;
        case 'R': opt->is_routes = true; break;
        case 'z': opt->is_zip = true; break;
        case 'h': print_help(); return EXIT_OK;
        case 'v': puts(PROGRAM " " KILN_VERSION); return EXIT_OK;
        default: return EXIT_USAGE; /* getopt has said why */
        }
        if (!ok) {
            fprintf(stderr, PROGRAM ": --%s: not a value for it (see --help)\n",
                    flag == 'r' ? "role" : "port");
            return EXIT_USAGE;
        }
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, PROGRAM ": %s: no such argument (see --help)\n", argv[optind]);
    return EXIT_USAGE;
}

/* Names of our own making: the wallet's, the operator's key. */
static bool is_our_issuer(const char *issuer)
{
    return strncmp(issuer, "urn:kiln:", 9) == 0;
}

static bool check_jwks(const struct cfg *cfg, struct err *err)
{
    if (!cfg->jwks_url[0])
        return true;
    if (!cfg->jwt_issuer[0] || !cfg->jwt_audience[0])
        err_set(err, "F0000",
                "KILN_JWKS_URL needs KILN_JWT_ISSUER and KILN_JWT_AUDIENCE: without them the "
                "issuer's tokens for anybody else would open this server");
    else if (is_our_issuer(cfg->jwt_issuer))
        err_set(err, "F0000", "KILN_JWT_ISSUER: urn:kiln:… are names of this server's own");
    else
        return issuer_check_url(cfg->jwks_url, cfg->trusted_hosts, err);
    return false;
}

static bool check_cfg(struct program *program, struct err *err)
{
    const struct cfg *cfg = &program->cfg;

    if (!cfg->database_url[0])
        err_set(err, "F0000",
                "DATABASE_URL is empty (./kiln up sets it for the embedded database)");
    else if (!cfg->jwt_secret[0])
        err_set(err, "F0000", "KILN_JWT_SECRET is empty (./kiln up makes one)");
    else
        return origin_check_list(cfg->allowed_origins, err) && check_jwks(cfg, err);
    return false;
}

/* The default folder is named by an absolute path, since KILN_MEDIA must be one. */
static const char *media_url(struct program *program)
{
    char *home;

    if (program->cfg.media[0])
        return program->cfg.media;
    home = realpath(program->cfg.home, NULL);
    snprintf(program->media, sizeof(program->media), "file:%s/media",
             home ? home : program->cfg.home);
    free(home);
    return program->media;
}

/* Each stream and each connection is a descriptor; what the kernel does not allow cannot be
 * promised. */
static void raise_open_files(struct cfg *cfg)
{
    struct rlimit limit;
    const rlim_t  spare = 100;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur == RLIM_INFINITY
        || (rlim_t)cfg->max_streams + (rlim_t)cfg->max_connections + spare <= limit.rlim_cur)
        return;
    if ((rlim_t)cfg->max_connections > limit.rlim_cur / 4)
        cfg->max_connections = (int)(limit.rlim_cur / 4);
    if ((rlim_t)cfg->max_streams + (rlim_t)cfg->max_connections + spare > limit.rlim_cur)
        cfg->max_streams = limit.rlim_cur > 1000
                               ? (int)(limit.rlim_cur - spare) - cfg->max_connections
                               : (int)limit.rlim_cur / 2;
    log_warn("fewer streams and connections than configured: the limit of open files is lower",
             "streams", LOG_I64(cfg->max_streams), "connections", LOG_I64(cfg->max_connections),
             NULL);
}

/* ---- drain: SIGTERM, SIGINT ----
 * Nothing new comes in; streams end with a retry; calls in flight are answered, at the latest by
 * their deadline. MHD must not be stopped while a connection is suspended, so we wait for the last
 * one. */

static bool is_drained(const struct server *server)
{
    size_t left = http_requests(server->http);

    left += server->streams ? streams_count(server->streams) : 0;
    left += zips_count(server);
    return left == 0 && !instance_is_deregistering(server->instance);
}

static void watch_drain(void *ctx)
{
    struct program *program = ctx;
    struct server  *server  = &program->server;

    if (is_drained(server)) {
        loop_stop(server->loop);
        return;
    }
    if (base_now_ms() > program->drain_until_ms) {
        log_error("the drain took too long", "requests", LOG_I64(http_requests(server->http)),
                  NULL);
        exit(EXIT_INTERNAL);
    }
    if (base_now_ms() > program->drain_until_ms - DRAIN_CUT_MS) {
        zips_cut(server);
        http_cut(server->http);
    }
    loop_timer_set(server->loop, &program->drain_timer, 20);
}

static void on_stop(void *ctx, int signo)
{
    struct program *program = ctx;
    struct server  *server  = &program->server;

    if (server->is_draining)
        return;
    log_info("draining", "signal", LOG_I64(signo), "requests", LOG_I64(http_requests(server->http)),
             NULL);
    server->is_draining     = true;
    program->drain_until_ms = base_now_ms() + DRAIN_MS;
    http_stop_accepting(server->http);
    instance_deregister(server->instance);
    if (server->streams)
        streams_drain(server->streams);
    polls_drain(server);
    watch_drain(program);
}

/* ---- opening and closing ---- */

static void on_issuer_keys(void *ctx, struct jwks *keys)
{
    struct server *server = ctx;

    auth_set_jwks(server->auth, keys);
}

static unsigned on_unknown_key(void *ctx)
{
    struct server *server = ctx;

    return issuer_wait_s(server->issuer);
}

static bool open_auth(struct program *program, struct err *err)
{
    const struct cfg *cfg    = &program->cfg;
    struct server    *server = &program->server;
    struct token_keys keys   = { .secret          = cfg->jwt_secret,
                                 .secret_previous = cfg->jwt_secret_previous,
                                 .issuer          = cfg->jwt_issuer,
                                 .audience        = cfg->jwt_audience };

    server->auth = auth_open(&keys, cfg->admin_key);
    if (!cfg->jwks_url[0])
        return true;
    server->issuer = issuer_open(server->loop, cfg->jwks_url, on_issuer_keys, server, err);
    if (!server->issuer)
        return false;
    auth_expect_jwks(server->auth, on_unknown_key, server);
    return true;
}

static bool open_parts(struct program *program, const struct options *opt, struct err *err)
{
    struct server *server = &program->server;
    int            port   = opt->port ? (int)opt->port : program->cfg.port;

    if (!open_auth(program, err))
        return false;
    server->metrics  = metrics_open(server->routes);
    server->webhooks = webhooks_open();
    server->limits   = limits_open(&program->cfg, err);
    if (!server->limits)
        return false;
    server->owners      = owners_open();
    program->statements = statements_open(server->routes);
    server->pools = pools_open(server, program->statements->list, program->statements->count, err);
    if (!server->pools)
        return false;
    if (server->roles & ROLE_API && !(server->store = store_open(media_url(program), err)))
        return false;
    if (server->roles & ROLE_REALTIME) {
        server->streams = streams_open(server);
        server->bus     = bus_open(server, err);
        if (!server->bus)
            return false;
    }
    server->http =
        http_open(server, opt->bind ? opt->bind : program->cfg.bind, port, auth_request, err);
    server->instance = server->http ? instance_open(server, port, err) : NULL;
    return server->instance && loop_on_signal(server->loop, SIGTERM, on_stop, program, err)
           && loop_on_signal(server->loop, SIGINT, on_stop, program, err);
}

static void close_parts(struct program *program)
{
    struct server *server = &program->server;

    instance_close(server->instance);
    http_close(server->http);
    bus_close(server->bus);
    pools_close(server->pools);
    statements_close(program->statements);
    owners_close(server->owners);
    streams_close(server->streams);
    store_close(server->store);
    limits_close(server->limits);
    webhooks_close(server->webhooks);
    metrics_close(server->metrics);
    issuer_close(server->issuer);
    auth_close(server->auth);
    loop_close(server->loop);
}

static int exit_code(const struct err *err)
{
    return err_is(err, "F0000") ? EXIT_CONFIG : EXIT_INTERNAL;
}

static int serve(struct program *program, const struct options *opt)
{
    struct server *server = &program->server;
    struct err     err;
    int            code = EXIT_OK;

    server->loop = loop_open(&err);
    if (server->loop && open_parts(program, opt, &err)) {
        log_info("serving", "version", KILN_VERSION, "bind",
                 opt->bind ? opt->bind : program->cfg.bind, "port",
                 LOG_I64(opt->port ? opt->port : program->cfg.port), NULL);
        /* A kept connection may have brought another request in the iteration that stopped the
         * loop. */
        for (loop_run(server->loop); !is_drained(server); loop_run(server->loop))
            watch_drain(program);
        log_info("stopped", NULL);
    } else {
        log_fatal(PROGRAM, &err);
        code = exit_code(&err);
    }
    close_parts(program);
    return code;
}

static int zip(struct program *program)
{
    struct err    err;
    struct store *store = store_open(media_url(program), &err);
    int           code;

    if (!store) {
        log_fatal(PROGRAM, &err);
        return exit_code(&err);
    }
    code = zipper_run(store);
    store_close(store);
    return code;
}

static int check(struct program *program)
{
    struct statements *statements = statements_open(program->server.routes);
    struct err         err;
    bool ok = pools_check(&program->server, statements->list, statements->count, &err);

    statements_close(statements);
    if (!ok || !bus_check(&program->server, &err) || !instance_check(&program->server, &err)) {
        log_fatal(PROGRAM, &err);
        return db_exit_code(&err);
    }
    puts(PROGRAM ": the database answers and has every function");
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    struct program program = { 0 };
    struct options opt     = { .roles = ROLE_BOTH };
    struct err     err;
    int            code = parse_flags(argc, argv, &opt);

    if (code >= 0)
        return code;
    if (opt.is_routes) {
        routes_print(&server_routes, opt.roles, stdout);
        return EXIT_OK;
    }
    if (!cfg_load(&program.cfg, &err) || !check_cfg(&program, &err)) {
        log_fatal(PROGRAM, &err);
        return EXIT_CONFIG;
    }
    /* Where a parent has left it ignored, nobody learns how a child ended. */
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN); /* a client that has gone shows as EPIPE where we write */
    base_hide_memory();
    log_setup(PROGRAM, (enum log_level)program.cfg.log_level,
              program.cfg.log_format == CFG_LOG_JSON);
    program.server.cfg    = &program.cfg;
    program.server.roles  = opt.roles;
    program.server.routes = &server_routes;
    program.drain_timer   = (struct loop_timer) { .on_time = watch_drain, .ctx = &program };
    if (opt.is_zip)
        return zip(&program);
    if (opt.is_check)
        return check(&program);
    raise_open_files(&program.cfg);
    return serve(&program, &opt);
}
