/*
 * kiln-runner: claims tasks from the queue, does the work, brings the outcome back.
 *
 * One process, one loop. This file reads flags and configuration, opens what the parts share, and
 * closes it again in the right order; dispatch.c is where the work is.
 */
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline_runner/dispatch/heartbeat.h"
#include "pipeline_runner/copy.h"
#include "pipeline_runner/call/deliver.h"
#include "pipeline_runner/dispatch/dispatch.h"
#include "pipeline_runner/dispatch/drain.h"
#include "pipeline_runner/exec/folder.h"
#include "pipeline_runner/call/handlers.h"
#include "pipeline_runner/housekeeping.h"
#include "pipeline_runner/call/keys.h"
#include "pipeline_runner/context/runner.h"
#include "pipeline_runner/exec/sandbox.h"
#include "pipeline_runner/call/polls.h"
#include "pipeline_runner/call/secrets.h"
#include "pipeline_runner/http/transfer.h"

#define IDLE_EXIT_S 1

struct flags {
    const char *name, *queues;
    int64_t     slots, idle_exit_s;
    bool        is_once, is_check;
};

static int refuse(const char *sentence, const char *what)
{
    fprintf(stderr, "kiln-runner: %s%s\n", sentence, what);
    return EXIT_USAGE;
}

static void help(void)
{
    fputs("Usage: kiln-runner [flags]\n"
          "Claims tasks from the queue in DATABASE_URL and runs them.\n\n"
          "  --queues A,B        only these queues (KILN_RUNNER_QUEUES; all)\n"
          "  --slots N           tasks at once (KILN_RUNNER_SLOTS; 8)\n"
          "  --name NAME         what kiln.runners calls it (KILN_RUNNER_NAME; host:pid)\n"
          "  --once              run until nothing can be claimed and nothing runs, then exit 0\n"
          "  --idle-exit[=S]     exit 0 after S seconds without work (1)\n"
          "  --check             connect, prepare every statement, say so, exit\n"
          "  --handlers          list the handlers this runner has\n"
          "  --help, --version\n\nHandlers:",
          stdout);
    for (size_t i = 0; handler_name(i); i++)
        printf(" %s", handler_name(i));
    puts("\n\nSIGTERM: claims nothing more and finishes; after KILN_RUNNER_DRAIN_MS, or at a\n"
         "second SIGTERM, hands back what still runs.\n\nEnvironment:");
    cfg_help(stdout);
}

static int list_handlers(void)
{
    for (size_t i = 0; handler_name(i); i++)
        puts(handler_name(i));
    return EXIT_OK;
}

/* -1: go on; else the exit code. */
static int read_flags(int argc, char **argv, struct flags *flags)
{
    static const struct option known[] = {
        { "queues", required_argument, NULL, 'q' },    { "slots", required_argument, NULL, 's' },
        { "name", required_argument, NULL, 'n' },      { "once", no_argument, NULL, 'o' },
        { "idle-exit", optional_argument, NULL, 'i' }, { "check", no_argument, NULL, 'c' },
        { "handlers", no_argument, NULL, 'l' },        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },         { 0 },
    };
    int flag;

    while ((flag = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (flag) {
        case 'q': flags->queues = optarg; break;
        case 'n': flags->name = optarg; break;
        case 'o': flags->is_once = true; break;
        case 'c': flags->is_check = true; break;
        case 's':
            if (!cfg_parse_int(optarg, 1, 10000, &flags->slots))
                return refuse("--slots takes 1 to 10000, not ", optarg);
            break;
        case 'i':
            flags->idle_exit_s = IDLE_EXIT_S;
            if (optarg && !cfg_parse_int(optarg, 1, 86400, &flags->idle_exit_s))
                return refuse("--idle-exit takes 1 to 86400 seconds, not ", optarg);
            break;
        case 'l': return list_handlers();
        case 'h': help(); return EXIT_OK;
        case 'v': puts("kiln-runner " KILN_VERSION); return EXIT_OK;
        default: return EXIT_USAGE; /* getopt has said what it was */
        }
    }
    return optind < argc ? refuse("takes no argument such as ", argv[optind]) : -1;
}

/* ---- settings ---- */

/* "a,b" as {"a","b"}; NULL where empty. */
static const char *queue_list(const char *text, struct array_literal *literal)
{
    char *copy = strdup(text), *rest = copy, *item;
    bool  has_any = false;

    array_literal_begin(literal);
    while (rest && (item = strsep(&rest, ","))) {
        item += strspn(item, " ");
        item[strcspn(item, " ")] = '\0';
        if (item[0])
            array_literal_add(literal, item);
        has_any = has_any || item[0];
    }
    free(copy);
    return has_any ? array_literal_end(literal) : NULL;
}

static const char *runner_name(const char *given, char *own, size_t size)
{
    char host[200] = "localhost";

    gethostname(host, sizeof host - 1);
    snprintf(own, size, "%s:%d", host, (int)getpid());
    return given && given[0] ? given : own;
}

static void self_folder(char *folder, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", folder, size - 1);
    char   *slash;

    folder[len > 0 ? len : 0] = '\0';
    slash                     = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
}

static bool make_folders(const char *home, char *work, size_t size, struct err *err)
{
    char real[PATH_MAX];

    mkdir(home, 0755); /* its failure shows in the next line */
    if (!realpath(home, real)) {
        err_errno(err, "open", home);
        return false;
    }
    if ((size_t)snprintf(work, size, "%s/work", real) >= size) {
        err_set(err, "F0000", "KILN_HOME is too long");
        return false;
    }
    return folder_sweep(work, err);
}

/* ---- the links ---- */

static void work_up(void *ctx, struct db *db)
{
    struct runner *runner = ctx;

    (void)db;
    dispatch_link_up(runner->dispatch);
}

static void listen_up(void *ctx, struct db *db)
{
    struct runner *runner = ctx;

    (void)db;
    dispatch_notified(runner->dispatch); /* there may be work of which nobody was told */
}

static void on_notify(void *ctx, struct db *db, const char *payload)
{
    struct runner *runner = ctx;

    (void)db;
    (void)payload;
    dispatch_notified(runner->dispatch);
}

static void link_down(void *ctx, struct db *db, const struct err *err)
{
    struct runner *runner = ctx;

    (void)db;
    (void)err; /* lib/db has logged it */
    if (runner->is_once && runner->runner_id == 0) {
        runner->exit_code = EXIT_NO_DB;
        loop_stop(runner->loop);
    }
}

static void link_refused(void *ctx, struct db *db, const struct err *err)
{
    struct runner *runner = ctx;

    (void)db;
    log_fatal("kiln-runner", err);
    runner->exit_code = db_exit_code(err);
    loop_stop(runner->loop);
}

static struct db_options link_options(struct runner *runner, bool is_listening)
{
    return (struct db_options) {
        .url          = is_listening ? runner->cfg->listen_url : runner->cfg->database_url,
        .user         = "kiln_worker",
        .application  = is_listening ? "kiln-runner listen" : "kiln-runner",
        .statements   = runner_statements,
        .nstatements  = ST_COUNT,
        .listen       = is_listening ? "kiln_work" : NULL,
        .is_preparing = is_listening || runner->cfg->is_preparing,
        .ctx          = runner,
        .on_up        = is_listening ? listen_up : work_up,
        .on_down      = link_down,
        .on_notify    = is_listening ? on_notify : NULL,
        .on_refused   = link_refused,
    };
}

static int check(struct runner *runner)
{
    struct db_options opt = link_options(runner, false);
    struct err        err = { 0 };

    if (!db_check(&opt, &err)) {
        log_fatal("kiln-runner", &err);
        return db_exit_code(&err);
    }
    printf("kiln-runner: the database has all %d functions in the form this runner needs\n",
           ST_COUNT);
    return EXIT_OK;
}

/* ---- running ---- */

static void on_signal(void *ctx, int signo)
{
    struct runner *runner = ctx;

    (void)signo;
    drain(runner->dispatch);
}

static bool open_all(struct runner *runner, struct err *err)
{
    struct db_options work = link_options(runner, false), listen = link_options(runner, true);

    runner->store = store_open(runner->cfg->media, err);
    runner->transfers =
        runner->store ? transfers_open(runner->loop, runner->cfg->trusted_hosts, err) : NULL;
    if (!runner->transfers || !loop_on_signal(runner->loop, SIGTERM, on_signal, runner, err)
        || !loop_on_signal(runner->loop, SIGINT, on_signal, runner, err))
        return false;
    runner->deliver = deliver_open(runner, err);
    if (!runner->deliver)
        return false;
    runner->dispatch     = dispatch_open(runner);
    runner->heartbeat    = heartbeat_open(runner);
    runner->polls        = polls_open(runner);
    runner->secrets      = secrets_open(runner);
    runner->keys         = keys_open(runner);
    runner->housekeeping = housekeeping_open(runner);
    runner->work         = db_open(runner->loop, &work, err);
    runner->listen       = runner->work ? db_open(runner->loop, &listen, err) : NULL;
    return runner->listen != NULL;
}

static void close_all(struct runner *runner)
{
    db_close(runner->listen);
    db_close(runner->work);
    housekeeping_close(runner->housekeeping);
    keys_close(runner->keys);
    secrets_close(runner->secrets);
    deliver_close(runner->deliver);
    polls_close(runner->polls);
    heartbeat_close(runner->heartbeat);
    dispatch_close(runner->dispatch);
    transfers_close(runner->transfers);
    store_close(runner->store);
    loop_close(runner->loop);
}

static int run(struct runner *runner)
{
    struct err err = { 0 };

    runner->loop = loop_open(&err);
    if (!runner->loop || !open_all(runner, &err)) {
        log_fatal("kiln-runner", &err);
        runner->exit_code = err_is(&err, "F0000") ? EXIT_CONFIG : EXIT_INTERNAL;
    } else {
        log_info("ready", "name", runner->name, "version", KILN_VERSION, "sandbox",
                 runner->sandbox->word, NULL);
        loop_run(runner->loop);
        log_info("stopped", NULL);
    }
    close_all(runner);
    return runner->exit_code;
}

/* What runs on this machine without one reads whatever the runner may read; see docs/tools.md. */
static void warn_of_weakness(const struct sandbox *sandbox)
{
    if (sandbox->way == SANDBOX_NONE)
        log_warn(
            "tools and kiln-media run without a sandbox: what users send could read the runner's "
            "secrets and other users' media",
            "needs", "Landlock (Linux 5.13, 6.1 or newer is better), or the package bubblewrap",
            "see", "docs/tools.md", NULL);
    if (geteuid() == 0)
        log_warn(
            "kiln-runner runs as root: its tools own what root owns; give it a user of its own",
            NULL);
}

static int run_with_sandbox(struct runner *runner)
{
    struct sandbox         sandbox;
    struct sandbox_options options = SANDBOX_ANY;
    struct err             err     = { 0 };
    int                    code    = EXIT_CONFIG;

    if (!sandbox_open(&sandbox, &options, &err)) {
        log_fatal("kiln-runner", &err);
        return code;
    }
    if (sandbox.way == SANDBOX_NONE && runner->cfg->needs_sandbox) {
        err_set(
            &err, "F0000",
            "KILN_REQUIRE_SANDBOX is on, and this machine has neither Landlock (Linux 5.13) nor "
            "a bubblewrap that works here");
        log_fatal("kiln-runner", &err);
    } else {
        warn_of_weakness(&sandbox);
        runner->sandbox = &sandbox;
        code            = run(runner);
    }
    runner->sandbox = NULL;
    sandbox_close(&sandbox);
    return code;
}

static int start(struct cfg *cfg, const struct flags *flags)
{
    char                 name[256], self[PATH_MAX], work[PATH_MAX];
    struct array_literal queues = { 0 };
    struct err           err    = { 0 };
    struct runner        runner = {
               .cfg  = cfg,
               .name = runner_name(flags->name ? flags->name : cfg->runner_name, name, sizeof name),
               .queues  = queue_list(flags->queues ? flags->queues : cfg->runner_queues, &queues),
               .slots   = flags->slots ? (int)flags->slots : cfg->runner_slots,
               .is_once = flags->is_once,
               .idle_exit_ms = (uint64_t)flags->idle_exit_s * 1000,
               .work_folder  = work,
               .self_folder  = self,
    };
    int code;

    self_folder(self, sizeof self);
    if (flags->is_check) {
        code = check(&runner);
    } else if (!make_folders(cfg->home, work, sizeof work, &err)) {
        log_fatal("kiln-runner", &err);
        code = EXIT_CONFIG;
    } else {
        code = run_with_sandbox(&runner);
    }
    array_literal_free(&queues);
    return code;
}

/* libpq would try its own defaults, and the runner wait for ever for a database nobody named. */
static bool check_cfg(const struct cfg *cfg, struct err *err)
{
    if (cfg->database_url[0])
        return true;
    err_set(err, "F0000", "DATABASE_URL is empty (./kiln up sets it for the embedded database)");
    return false;
}

int main(int argc, char **argv)
{
    struct flags flags = { 0 };
    struct cfg   cfg;
    struct err   err = { 0 };
    int          code;

    if (argc == 4 && strcmp(argv[1], "copy-media") == 0)
        return copy_media(argv[2], argv[3], stdin, stdout);
    code = read_flags(argc, argv, &flags);

    if (code >= 0)
        return code;
    if (!cfg_load(&cfg, &err) || !check_cfg(&cfg, &err)) {
        log_fatal("kiln-runner", &err);
        return EXIT_CONFIG;
    }
    log_setup("kiln-runner", (enum log_level)cfg.log_level, cfg.log_format == CFG_LOG_JSON);
    /* Where a parent has left it ignored, nobody learns how a child ended. */
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    base_hide_memory();
    return start(&cfg, &flags);
}
