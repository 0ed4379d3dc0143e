/*
 * tool: runs one child process a task and speaks the protocol of protocol.h with it.
 *
 *   folder with in/ and out/ ──► child: JSON on stdin ──► exit 0 ──► outputs.c ──► task_done
 *                                  │ progress lines └► else: exit code → class, last line → reason
 *                                  └► task's time limit: SIGTERM, 2 s, SIGKILL → timeout
 */
#include "pipeline_runner/call/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "pipeline_runner/exec/folder.h"
#include "pipeline_runner/call/outputs.h"
#include "pipeline_runner/exec/child.h"
#include "pipeline_runner/exec/proc.h"

#define LOGGED_MAX    ((size_t)65536)     /* of a task's stderr */
#define FILE_BYTES    ((uint64_t)2 << 30) /* the largest file a tool may write */
#define MEMORY_MB     2048
#define MEMORY_MB_MAX 262144
#define ARGS_MAX      63

struct tool {
    struct task           *task;
    struct arena          *arena;
    struct folder          folder;
    char                 **argv;
    const char            *path;
    bool                   is_ours; /* the program is kiln-media */
    int                    memory_mb;
    bool                   has_network;
    struct protocol_input *inputs;
    size_t                 ninputs;
    struct spawn_file     *files;
    struct jbuf            request;
    size_t                 logged_bytes;
    struct proc           *proc;
    struct protocol_reply  reply;
    struct outputs        *outputs;
};

/* ---- end ---- */

static void close_files(struct tool *tool)
{
    for (size_t i = 0; tool->files && i < tool->ninputs; i++)
        if (tool->files[i].fd >= 0)
            close(tool->files[i].fd);
    tool->files = NULL;
}

static void tool_free(struct tool *tool)
{
    close_files(tool);
    folder_remove(&tool->folder);
    protocol_reply_free(&tool->reply);
    jbuf_free(&tool->request);
    arena_close(tool->arena);
    free(tool);
}

/* Where the runner works is nothing to its customers: of a path there they are told the part that
 * the tool knows. */
static void hide_folder(const struct folder *folder, char *text)
{
    size_t len = strlen(folder->path);

    while (len > 0 && (text = strstr(text, folder->path))) {
        size_t cut = text[len] == '/' ? len + 1 : len;

        memmove(text, text + cut, strlen(text + cut) + 1);
    }
}

static void tool_fail(struct tool *tool, enum outcome outcome, const char *message)
{
    struct task *task = tool->task;
    char         kept[512];

    err_format(kept, sizeof kept, "%s", message); /* it may lie in what is freed now */
    hide_folder(&tool->folder, kept);
    tool_free(tool);
    task_fail(task, outcome, -1, "%s", kept);
}

static void tool_unable(struct tool *tool, const char *reason, const char *detail)
{
    struct task *task = tool->task;
    char         kept[PROC_LINE_MAX];

    err_format(kept, sizeof kept, "%s", detail);
    tool_free(tool);
    task_unable(task, reason, kept);
}

static void outputs_ended(void *ctx, const struct outputs_end *end)
{
    struct tool *tool = ctx;
    struct task *task = tool->task;

    tool->outputs = NULL;
    if (end->is_lost)
        task->stopping = STOP_LOST;
    if (end->unable) {
        tool_unable(tool, end->unable, end->message);
        return;
    }
    if (end->outcome != OUTCOME_DONE) {
        tool_fail(tool, end->outcome, end->message);
        return;
    }
    tool_free(tool);
    task_able(task);
    task_done_owned(task, end->output);
}

/* ---- what it says ---- */

static bool on_line(void *ctx, const char *line)
{
    struct tool *tool = ctx;
    double       fraction;
    char         label[PROTOCOL_LABEL_MAX];
    size_t       bytes = strlen(line);

    if (protocol_progress(line, &fraction, label, sizeof label)) {
        task_progress(tool->task, fraction, label);
        return true;
    }
    if (tool->logged_bytes + bytes <= LOGGED_MAX)
        task_log(tool->task, LOG_LEVEL_INFO, "tool says", "line", line, NULL, NULL);
    tool->logged_bytes += bytes;
    return false;
}

static void read_answer(struct tool *tool, const struct proc_end *end)
{
    struct err err = { 0 };

    if (!protocol_parse(tool->arena, end->out, end->out_bytes, &tool->reply, &err)) {
        tool_fail(tool, OUTCOME_INVALID, err.message);
        return;
    }
    tool->outputs =
        outputs_start(tool->task, tool->arena, &tool->folder, &tool->reply, outputs_ended, tool);
}

static void ended_badly(struct tool *tool, const struct proc_end *end)
{
    char message[512];

    if (end->last_line[0])
        err_format(message, sizeof message, "%s", end->last_line);
    else if (WIFSIGNALED(end->status))
        snprintf(message, sizeof message, "the tool was ended by signal %d", WTERMSIG(end->status));
    else
        snprintf(message, sizeof message, "the tool ended with exit code %d",
                 WEXITSTATUS(end->status));
    tool_fail(tool, protocol_exit(end->status), message);
}

/* kiln-media is a part of the runner; a tool that cannot be run is for whoever configured it. */
static void not_run(struct tool *tool, const struct proc_end *end)
{
    if (tool->is_ours)
        tool_unable(tool, "it cannot run kiln-media",
                    arena_printf(tool->arena, "%s: %s", tool->path, end->last_line));
    else
        ended_badly(tool, end);
}

static void on_end(void *ctx, const struct proc_end *end)
{
    struct tool *tool = ctx;
    char         message[128];

    tool->proc = NULL;
    switch (end->cause) {
    case PROC_STOPPED: tool_fail(tool, OUTCOME_CANCELLED, "stopped"); return;
    case PROC_TIMED_OUT:
        snprintf(message, sizeof message, "the tool did not end within %d ms",
                 tool->task->timeout_ms);
        tool_fail(tool, OUTCOME_TIMEOUT, message);
        return;
    case PROC_FLOODED:
        tool_fail(tool, OUTCOME_INVALID, "the tool wrote more than 1 MiB to its stdout");
        return;
    case PROC_EXCESSIVE:
        tool_fail(tool, OUTCOME_INVALID,
                  child_excess(tool->task->runner->cfg->tools_disk_mb, end, message));
        return;
    case PROC_NOT_SET_UP:
        tool_unable(tool, "it cannot set up a work folder", end->last_line);
        return;
    case PROC_NOT_RUN: not_run(tool, end); return;
    case PROC_EXITED: break;
    }
    if (protocol_exit(end->status) == OUTCOME_DONE)
        read_answer(tool, end);
    else
        ended_badly(tool, end);
}

/* ---- begin ---- */

static bool read_inputs(struct tool *tool, struct err *err)
{
    if (!protocol_media(tool->arena, tool->task->media, &tool->inputs, &tool->ninputs, err))
        return false;
    tool->files = arena_alloc(tool->arena, (tool->ninputs + 1) * sizeof *tool->files);
    for (size_t i = 0; i < tool->ninputs; i++)
        tool->files[i] = (struct spawn_file) { .fd = -1, .name = tool->inputs[i].file };
    return true;
}

static bool open_inputs(struct tool *tool, struct err *err)
{
    struct store *store = tool->task->runner->store;
    uint64_t      bytes;

    for (size_t i = 0; i < tool->ninputs; i++) {
        tool->files[i].fd = store_read(store, tool->inputs[i].storage_key, &bytes, err);
        if (tool->files[i].fd < 0)
            return false;
    }
    return true;
}

static void write_request(struct tool *tool)
{
    const struct task   *task = tool->task;
    struct protocol_task said = {
        .job_id  = arena_printf(tool->arena, "%lld", (long long)task->job_id),
        .task_id = arena_printf(tool->arena, "%lld", (long long)task->task_id),
        .stage   = task->stage_name,
        .attempt = task->attempt,
        .config  = task->config,
        .input   = task->input,
    };

    protocol_request(&tool->request, &said, tool->inputs, tool->ninputs);
}

/* Twice the wall clock for each core: enough for any honest tool, and an end for one that hides
 * from its time limit. */
static uint64_t cpu_seconds(const struct task *task)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return ((uint64_t)task->timeout_ms / 1000 + 10) * (uint64_t)(cores > 0 ? cores : 1) * 2;
}

static bool start_process(struct tool *tool, struct err *err)
{
    struct runner *runner = tool->task->runner;
    struct proc_options opt = {
        .spawn = {
            .path = tool->path,
            .argv = tool->argv,
            .envp = child_environment(tool->arena, runner->cfg->tools, tool->folder.path),
            .folder = tool->folder.path,
            .files = tool->files,
            .nfiles = tool->ninputs,
            .memory_bytes = child_memory_bytes(tool->memory_mb),
            .cpu_seconds = cpu_seconds(tool->task),
            .file_bytes = FILE_BYTES,
            .folder_bytes = child_folder_bytes(runner->cfg->tools_disk_mb),
            .folder_entries = CHILD_ENTRIES_MOST,
            .sandbox = runner->sandbox,
            .reads = tool->is_ours ? runner->self_folder
                : arena_printf(tool->arena, "%s:%s", runner->cfg->tools, runner->cfg->tools_read),
            .writes = tool->is_ours ? NULL : runner->cfg->tools_write,
            .has_network = tool->has_network,
            .keeps_inputs = tool->is_ours,
        },
        .input = jbuf_text(&tool->request),
        .input_bytes = tool->request.len,
        .timeout_ms = task_left_ms(tool->task),
        .stdout_most = PROTOCOL_STDOUT_MAX,
        .on_line = on_line,
        .on_end = on_end,
        .ctx = tool,
    };

    tool->proc = proc_start(runner->loop, &opt, err);
    close_files(tool); /* the child has its own */
    return tool->proc != NULL;
}

static void begin_work(struct tool *tool)
{
    struct err err = { 0 };

    write_request(tool);
    if (!start_process(tool, &err))
        tool_unable(tool, "it cannot start a program", err.message);
}

/* ---- inputs from a bucket: a child brings them into the folder, since the network takes as long
 * as it likes ---- */

#define FETCHED "fetched-%zu"

static bool fetch_one(struct tool *tool, size_t i, struct err *err)
{
    char     name[32];
    char     block[65536];
    uint64_t bytes;
    ssize_t  got = 0;
    int  from = store_read(tool->task->runner->store, tool->inputs[i].storage_key, &bytes, err), to;
    bool ok;

    if (from < 0)
        return false;
    snprintf(name, sizeof name, FETCHED, i);
    to = openat(tool->folder.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ok = to >= 0 && lseek(from, 0, SEEK_SET) == 0;
    while (ok && (got = read(from, block, sizeof block)) > 0)
        ok = write(to, block, (size_t)got) == got;
    ok = ok && got == 0;
    if (!ok)
        err_errno(err, "write", name);
    close(from);
    if (to >= 0)
        close(to);
    return ok;
}

/* Runs in the child. */
static int fetch_all(void *ctx, int stdout_fd)
{
    struct tool *tool = ctx;
    struct err   err  = { 0 };

    (void)stdout_fd;
    for (size_t i = 0; i < tool->ninputs; i++) {
        if (!fetch_one(tool, i, &err)) {
            dprintf(STDERR_FILENO, "%s\n", err.message);
            return err_is(&err, "58P01") || err_is(&err, "XX000") ? EX_DATAERR : EX_IOERR;
        }
    }
    return 0;
}

static bool open_fetched(struct tool *tool)
{
    char name[32];

    for (size_t i = 0; i < tool->ninputs; i++) {
        snprintf(name, sizeof name, FETCHED, i);
        tool->files[i].fd = openat(tool->folder.fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (tool->files[i].fd < 0 || unlinkat(tool->folder.fd, name, 0) < 0)
            return false;
    }
    return true;
}

static void fetched(void *ctx, const struct proc_end *end)
{
    struct tool *tool = ctx;

    tool->proc = NULL;
    if (end->cause == PROC_STOPPED)
        tool_fail(tool, OUTCOME_CANCELLED, "stopped");
    else if (end->cause == PROC_TIMED_OUT)
        tool_fail(tool, OUTCOME_TIMEOUT, "the inputs did not come in time");
    else if (end->cause == PROC_EXITED && WIFEXITED(end->status)
             && WEXITSTATUS(end->status) == EX_DATAERR)
        tool_fail(tool, OUTCOME_INVALID, end->last_line);
    else if (end->cause != PROC_EXITED || end->status != 0)
        tool_unable(tool, "it cannot read its media store", end->last_line);
    else if (!open_fetched(tool))
        tool_unable(tool, "it cannot read its work folder", strerror(errno));
    else
        begin_work(tool);
}

static void fetch_inputs(struct tool *tool)
{
    struct err          err = { 0 };
    struct proc_options opt = {
        .spawn       = { .run = fetch_all, .ctx = tool },
        .timeout_ms  = task_left_ms(tool->task),
        .stdout_most = 1,
        .on_end      = fetched,
        .ctx         = tool,
    };

    tool->proc = proc_start(tool->task->runner->loop, &opt, &err);
    if (!tool->proc)
        tool_unable(tool, "it cannot start a program", err.message);
}

static void tool_begin(struct tool *tool)
{
    struct err err       = { 0 };
    bool       is_remote = store_is_remote(tool->task->runner->store);

    if (!read_inputs(tool, &err) || (!is_remote && !open_inputs(tool, &err))) {
        /* A file that is not there will not come back; a disk that does not answer may. */
        if (err_is(&err, "58030"))
            tool_unable(tool, "it cannot read its media store", err.message);
        else
            tool_fail(tool, OUTCOME_INVALID, err.message);
        return;
    }
    if (!folder_make(&tool->folder, tool->task->runner->work_folder, tool->task->task_id,
                     tool->task->fence, &err))
        tool_unable(tool, "it cannot make a work folder", err.message);
    else if (is_remote && tool->ninputs > 0)
        fetch_inputs(tool);
    else
        begin_work(tool);
}

static struct tool *tool_new(struct task *task)
{
    struct tool *tool = calloc(1, sizeof *tool);

    if (!tool)
        abort();
    tool->task      = task;
    tool->arena     = arena_open(4096);
    tool->folder.fd = tool->folder.parent_fd = -1;
    task->work                               = tool;
    return tool;
}

/* ---- the two handlers ---- */

static bool read_memory(struct tool *tool, const json_t *config)
{
    const json_t *memory = json_object_get(config, "memory_mb");

    tool->memory_mb = memory ? (int)json_integer_value(memory) : MEMORY_MB;
    return !memory
           || (json_is_integer(memory) && json_integer_value(memory) >= 16
               && json_integer_value(memory) <= MEMORY_MB_MAX);
}

/* Copies the strings of a JSON list behind argv[*count]. */
static bool read_args(struct tool *tool, const json_t *list)
{
    size_t count = json_array_size(list);

    if (count == 0 || count > ARGS_MAX)
        return false;
    tool->argv = arena_alloc(tool->arena, (count + 1) * sizeof *tool->argv);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));

        if (!text)
            return false;
        tool->argv[i] = arena_strdup(tool->arena, text);
    }
    return true;
}

static const char *exec_config(struct tool *tool, const json_t *config)
{
    const json_t *network = json_object_get(config, "network");

    if (!read_args(tool, json_object_get(config, "command")))
        return "the stage's \"command\" is not a list of 1 to 63 texts";
    if (!read_memory(tool, config) || (network && !json_is_boolean(network)))
        return "the stage's \"memory_mb\" or \"network\" is malformed";
    tool->has_network = json_is_true(network);
    tool->path = child_find_program(tool->arena, tool->task->runner->cfg->tools, tool->argv[0]);
    return tool->path ? NULL
                      : arena_printf(tool->arena, "there is no tool \"%.64s\" in KILN_TOOLS",
                                     tool->argv[0]);
}

static const char *media_config(struct tool *tool, const json_t *config)
{
    static const char *const ops[] = { "check", "prepare", "draw",    "film",
                                       "speak", "finish",  "furnish", "disclose" };
    const char              *op    = json_string_value(json_object_get(config, "op"));

    if (!read_memory(tool, config))
        return "the stage's \"memory_mb\" is malformed";
    tool->path    = arena_printf(tool->arena, "%s/kiln-media", tool->task->runner->self_folder);
    tool->argv    = arena_alloc(tool->arena, 3 * sizeof *tool->argv);
    tool->argv[0] = "kiln-media";
    tool->is_ours = true;
    for (size_t i = 0; op && i < countof(ops); i++)
        if (strcmp(op, ops[i]) == 0)
            tool->argv[1] = arena_strdup(tool->arena, op);
    return tool->argv[1]
               ? NULL
               : "the stage's \"op\" is none of check, prepare, draw, film, speak, finish, furnish, disclose";
}

static void start_with(struct task *task, const char *(*read_config)(struct tool *, const json_t *))
{
    struct tool *tool   = tool_new(task);
    json_t      *config = json_loads(task->config, 0, NULL);
    const char  *why    = json_is_object(config) ? read_config(tool, config)
                                                 : "the stage's configuration is not an object";

    json_decref(config);
    if (why)
        tool_fail(tool, OUTCOME_INVALID, why);
    else
        tool_begin(tool);
}

void exec_start(struct task *task)
{
    start_with(task, exec_config);
}

void media_start(struct task *task)
{
    start_with(task, media_config);
}

/* At once, without SIGTERM: whatever it would still write is thrown away, and someone waits for
 * the cancellation. */
void tool_stop(struct task *task)
{
    struct tool *tool = task->work;

    if (tool->proc)
        proc_kill(tool->proc);
    else if (tool->outputs)
        outputs_stop(tool->outputs);
}
