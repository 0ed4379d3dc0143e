/* cli: op table and exit codes; see cli.h. */
#include "media/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "media/ops.h"
#include "media/sample/sample.h"
#include "media/files/probe.h"

static const char usage[] =
    "usage: kiln-media check|prepare|draw|film|speak|finish|furnish|disclose   (request on stdin, files in in/ and out/ of this folder)\n"
    "       kiln-media probe FILE [--thumbnail OUT]\n"
    "       kiln-media --help | --version\n"
    "Makes local sample media with libvips, ffmpeg and espeak-ng, and tells the facts of media files.\n"
    "Exit: 0 done, 64 usage, 65 the input is at fault (last line says why), 75 try again later.\n";

static const struct op {
    const char *name;
    json_t *(*run)(struct request *request, struct fault *fault);
} ops[] = {
    { "check", op_check },     { "prepare", op_prepare },   { "draw", op_draw },
    { "film", op_film },       { "speak", op_speak },       { "finish", op_finish },
    { "furnish", op_furnish }, { "disclose", op_disclose },
};

/* What libvips warns of also comes back as an error, and the protocol wants one line. */
static void say_nothing(const gchar *domain, GLogLevelFlags level, const gchar *message,
                        gpointer data)
{
    (void)domain;
    (void)level;
    (void)message;
    (void)data;
}

int cli_start(const char *program)
{
    signal(SIGPIPE, SIG_IGN); /* a child that dies early is an answer, not our end */
    if (vips_init(program) != 0)
        return -1;
    g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING, say_nothing, NULL);
    vips_block_untrusted_set(TRUE);
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    return 0;
}

static int fail(const struct fault *fault, FILE *log)
{
    fprintf(log, "%s\n", fault->sentence);
    return fault->exit_code;
}

static int answer(json_t *json, FILE *out)
{
    int written = json_dumpf(json, out, JSON_COMPACT | JSON_ENSURE_ASCII);

    json_decref(json);
    fputc('\n', out);
    return written == 0 && fflush(out) == 0 ? 0 : EXIT_TRANSIENT;
}

static int run_op(const struct op *op, FILE *in, FILE *out, FILE *log)
{
    struct request request;
    struct fault   fault = { 0 };
    json_t        *json  = NULL;

    mkdir("out", 0700);
    if (request_read(&request, in, log, &fault))
        json = op->run(&request, &fault);
    if (json != NULL)
        request_progress(&request, 1, op->name);
    request_free(&request);
    return json != NULL ? answer(json, out) : fail(&fault, log);
}

static int run_probe(int argc, char **argv, FILE *out, FILE *log)
{
    struct probe probe;
    struct fault fault = { 0 };

    if (argc != 3 && !(argc == 5 && strcmp(argv[3], "--thumbnail") == 0)) {
        fputs(usage, log);
        return 64;
    }
    if (!probe_file(argv[2], argc == 5 ? argv[4] : NULL, &probe, &fault))
        return fail(&fault, log);
    return answer(probe_json(&probe), out);
}

int cli_run(int argc, char **argv, FILE *in, FILE *out, FILE *log)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        fputs(usage, out);
        return 0;
    }
    if (strcmp(name, "--version") == 0) {
        fprintf(out, "kiln-media 1 (libvips %s)\n", vips_version_string());
        return 0;
    }
    if (strcmp(name, "probe") == 0)
        return run_probe(argc, argv, out, log);
    for (size_t i = 0; argc == 2 && i < G_N_ELEMENTS(ops); i++)
        if (strcmp(name, ops[i].name) == 0)
            return run_op(&ops[i], in, out, log);
    fputs(usage, log);
    return 64;
}
