/*
 * zip: a child, the pipe it writes, and a connection that is suspended while the pipe is empty;
 * see zip.h.
 */
#include "server/routes/zip.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/http/mhd.h"
#include "server/http/rpc.h"
#include "server/http/json_text.h"
#include "server/routes/zipper.h"

#define PIECE_BYTES 65536

extern char **environ;

/* Freed when both are done with it: the child is reaped, and the connection (or the problem) is
 * through. */
struct zip {
    struct server         *server;
    struct zip            *next, **at;
    struct request        *request; /* until it is answered */
    struct MHD_Connection *conn;
    char                  *folder;
    int64_t                account;
    pid_t                  pid;
    int                    out, status;
    struct loop_watch      child, bytes, client;
    bool                   is_waiting;     /* suspended, until one of the watches wakes it */
    bool                   is_drained;     /* the pipe is at its end */
    bool                   is_reaped;      /* status holds */
    bool                   is_client_gone; /* seen while suspended, when MHD does not look */
    bool                   is_let_go;      /* nobody reads */
};

/* ---- its end ---- */

static void stop_waiting(struct zip *zip)
{
    loop_del(zip->server->loop, &zip->bytes);
    loop_del(zip->server->loop, &zip->client);
    zip->is_waiting = false;
}

static void free_if_over(struct zip *zip)
{
    if (!zip->is_reaped || !zip->is_let_go)
        return;
    *zip->at = zip->next;
    if (zip->next)
        zip->next->at = zip->at;
    free(zip->folder);
    free(zip);
}

static void let_go(void *ctx)
{
    struct zip *zip = ctx;

    stop_waiting(zip);
    close(zip->out);
    if (!zip->is_reaped)
        kill(zip->pid, SIGKILL);
    zip->is_let_go = true;
    free_if_over(zip);
}

static void cut(const struct zip *zip)
{
    shutdown(MHD_get_connection_info(zip->conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
             SHUT_RDWR);
}

/* ---- waiting for bytes ---- */

static bool wait_on(struct zip *zip, struct err *err)
{
    struct loop *loop = zip->server->loop;
    int fd = MHD_get_connection_info(zip->conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

    zip->is_waiting = true;
    if (loop_add(loop, &zip->client, fd, EPOLLRDHUP, err)
        && (zip->is_drained || loop_add(loop, &zip->bytes, zip->out, EPOLLIN, err)))
        return true;
    stop_waiting(zip);
    return false;
}

/* MHD (0.9.75) may keep what it gave up open until its idle time of a minute is over. */
static ssize_t break_off(const struct zip *zip)
{
    cut(zip);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static ssize_t pause_pulling(struct zip *zip)
{
    struct err ignored;

    if (!wait_on(zip, &ignored))
        return break_off(zip);
    MHD_suspend_connection(zip->conn);
    return 0;
}

static ssize_t on_pull(void *ctx, uint64_t position, char *to, size_t most)
{
    struct zip *zip = ctx;
    ssize_t     got;

    (void)position;
    if (zip->is_client_gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    got = zip->is_drained ? 0 : read(zip->out, to, most);
    if (got > 0)
        return got;
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? pause_pulling(zip) : break_off(zip);
    zip->is_drained = true;
    if (!zip->is_reaped)
        return pause_pulling(zip);
    return zip->status == 0 ? MHD_CONTENT_READER_END_OF_STREAM : break_off(zip);
}

/* ---- the answer ---- */

static void answer(struct request *r, const char *folder, MHD_ContentReaderCallback pull,
                   struct zip *zip)
{
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, PIECE_BYTES, pull, zip, zip ? let_go : NULL);

    if (!response)
        abort();
    /* To HEAD MHD (0.9.75) would send the last chunk of a body that is none, and spoil the
     * connection. */
    if (!zip
        && MHD_set_response_options(response, MHD_RF_HTTP_VERSION_1_0_ONLY, MHD_RO_END) != MHD_YES)
        abort();
    MHD_add_response_header(response, "Content-Type", "application/zip");
    MHD_add_response_header(response, "Content-Disposition",
                            arena_printf(r->arena, "attachment; filename=\"%.120s.zip\"", folder));
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    request_answer(r, 200, response);
}

/* Nothing was written: the child has failed at once, or there is nobody to write to. */
static void answer_problem(struct zip *zip, struct err *err)
{
    struct request *r = zip->request;

    if (zip->is_client_gone)
        err_set(err, "HC001", "The client has gone.");
    else if (zip->server->is_draining)
        err_set(err, "57P01", "the server is stopping");
    else if (zip->is_reaped && WIFEXITED(zip->status) && WEXITSTATUS(zip->status) == ZIPPER_GONE)
        err_set(err, "H0410", "A file of this project is gone.");
    else
        err_set(err, "58030", "the files of a download cannot be read");
    zip->request = NULL;
    let_go(zip);
    request_problem(r, err);
}

static void answer_or_wait(struct zip *zip)
{
    struct request *r = zip->request;
    struct err      err;
    int             bytes = 0;

    if (!zip->is_client_gone && ioctl(zip->out, FIONREAD, &bytes) == 0 && bytes > 0) {
        zip->request = NULL;
        answer(r, zip->folder, on_pull, zip);
        return;
    }
    if (zip->is_client_gone || zip->is_reaped || !wait_on(zip, &err))
        answer_problem(zip, &err);
}

static void wake(struct zip *zip)
{
    if (!zip->is_waiting)
        return;
    stop_waiting(zip);
    if (zip->request) {
        answer_or_wait(zip);
        return;
    }
    MHD_resume_connection(zip->conn);
    mhd_run_again(zip->server->mhd);
}

static void on_bytes(void *ctx, uint32_t events)
{
    struct zip *zip   = ctx;
    int         bytes = 0;

    if (events & EPOLLHUP && ioctl(zip->out, FIONREAD, &bytes) == 0 && bytes == 0)
        zip->is_drained = true;
    wake(zip);
}

static void on_client(void *ctx, uint32_t events)
{
    struct zip *zip = ctx;

    (void)events;
    zip->is_client_gone = true;
    wake(zip);
}

static void on_child(void *ctx, uint32_t events)
{
    struct zip *zip = ctx;
    int         fd  = zip->child.fd;
    pid_t       found;

    (void)events;
    found = waitpid(zip->pid, &zip->status, WNOHANG);
    if (found == 0)
        return;
    if (found < 0)
        zip->status = W_EXITCODE(EXIT_INTERNAL, 0); /* how it ended is not known: not well */
    loop_del(zip->server->loop, &zip->child);
    close(fd);
    zip->is_reaped = true;
    if (zip->is_let_go) {
        free_if_over(zip);
        return;
    }
    if (!zip->request && zip->status != 0)
        cut(zip);
    wake(zip);
}

/* ---- the child ---- */

/* The list goes in by a file in memory: it may be larger than a pipe, and nobody waits for its
 * reader. As one text: jansson writes each word to a descriptor by itself, and streams would wait
 * for some hundred thousand of them. */
static int list_file(json_t *manifest, const char *request_id)
{
    int    fd = memfd_create("download", MFD_CLOEXEC);
    char  *text;
    size_t bytes;

    json_object_set_new(manifest, "request_id", json_string(request_id));
    json_object_set_new(manifest, "server_pid", json_integer(getpid()));
    text = json_dumps(manifest, JSON_COMPACT);
    if (!text)
        abort();
    bytes = strlen(text);
    if (fd >= 0 && (write(fd, text, bytes) != (ssize_t)bytes || lseek(fd, 0, SEEK_SET) < 0)) {
        close(fd);
        fd = -1;
    }
    free(text);
    return fd;
}

/* By vfork, so that neither what other threads hold nor the size of this process matters. It keeps
 * three descriptors, and our mask of signals: see zipper.h. */
static bool spawn_zipper(int in, int out, pid_t *pid)
{
    char *const                argv[] = { "kiln-server", "--zip", NULL };
    posix_spawn_file_actions_t files;
    int                        code;

    if (posix_spawn_file_actions_init(&files) != 0)
        abort();
    code = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    if (code == 0)
        code = posix_spawn_file_actions_addclosefrom_np(&files, 3);
    if (code == 0)
        code = posix_spawn(pid, "/proc/self/exe", &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    errno = code;
    return code == 0;
}

static bool start_child(struct zip *zip, json_t *manifest, struct err *err)
{
    int pipes[2] = { -1, -1 }, list = list_file(manifest, zip->request->id), pidfd = -1;

    if (list >= 0 && pipe2(pipes, O_CLOEXEC) == 0 && fcntl(pipes[0], F_SETFL, O_NONBLOCK) == 0
        && spawn_zipper(list, pipes[1], &zip->pid))
        pidfd = pidfd_open(zip->pid, 0);
    if (pidfd < 0 || !loop_add(zip->server->loop, &zip->child, pidfd, EPOLLIN, err)) {
        err_errno(err, "start", "a download");
        if (pidfd >= 0)
            close(pidfd);
        if (zip->pid > 0) {
            kill(zip->pid, SIGKILL);
            waitpid(zip->pid, NULL, 0);
        }
        if (pipes[0] >= 0)
            close(pipes[0]);
    } else {
        zip->out = pipes[0];
    }
    if (list >= 0)
        close(list);
    if (pipes[1] >= 0)
        close(pipes[1]);
    return zip->out >= 0;
}

static void start(struct request *r, json_t *manifest)
{
    struct server *server = r->server;
    struct zip    *zip    = calloc(1, sizeof(*zip));
    struct err     err;

    if (!zip || !(zip->folder = strdup(text_of(manifest, "folder"))))
        abort();
    zip->server  = server;
    zip->request = r;
    zip->conn    = r->conn;
    zip->account = json_integer_value(json_object_get(manifest, "account_id"));
    zip->out     = -1;
    zip->child   = (struct loop_watch) { .on_event = on_child, .ctx = zip, .fd = -1 };
    zip->bytes   = (struct loop_watch) { .on_event = on_bytes, .ctx = zip, .fd = -1 };
    zip->client  = (struct loop_watch) { .on_event = on_client, .ctx = zip, .fd = -1 };
    if (!start_child(zip, manifest, &err)) {
        free(zip->folder);
        free(zip);
        request_problem(r, &err);
        return;
    }
    zip->at   = &server->zips;
    zip->next = server->zips;
    if (zip->next)
        zip->next->at = &zip->next;
    server->zips = zip;
    answer_or_wait(zip);
}

/* ---- all of them ---- */

static size_t count(const struct server *server, int64_t account)
{
    size_t found = 0;

    for (const struct zip *zip = server->zips; zip; zip = zip->next)
        found += account == 0 || zip->account == account;
    return found;
}

size_t zips_count(const struct server *server)
{
    return count(server, 0);
}

void zips_cut(struct server *server)
{
    for (struct zip *zip = server->zips; zip; zip = zip->next) {
        if (!zip->is_reaped)
            kill(zip->pid, SIGKILL);
        if (!zip->is_let_go && !zip->request) /* a client that does not read would delay the end */
            cut(zip);
    }
}

static bool has_room(const struct server *server, const json_t *manifest, struct err *err)
{
    if (count(server, json_integer_value(json_object_get(manifest, "account_id")))
        >= ZIPS_MOST_OF_ONE) {
        err_set(err, "KN007", "%d of your downloads are running; another may begin when one ends.",
                ZIPS_MOST_OF_ONE);
        snprintf(err->detail, sizeof(err->detail), "{\"retry_after\": 10}");
        return false;
    }
    if (zips_count(server) < ZIPS_MOST)
        return true;
    err_set(err, "53300", "%d downloads are running", ZIPS_MOST);
    return false;
}

/* ---- the request ---- */

static ssize_t pull_nothing(void *ctx, uint64_t position, char *to, size_t most)
{
    (void)ctx;
    (void)position;
    (void)to;
    (void)most;
    return MHD_CONTENT_READER_END_OF_STREAM;
}

static void on_download_reply(void *ctx, PGresult *result, const struct err *err)
{
    struct request *r        = ctx;
    json_t         *manifest = err ? NULL : json_loads(PQgetvalue(result, 0, 0), 0, NULL);
    struct err      own;

    if (err) {
        request_problem(r, err);
    } else if (!json_is_array(json_object_get(manifest, "entries"))) {
        err_set(&own, "XX000", "SQL gave nothing to pack");
        request_problem(r, &own);
    } else if (strcmp(r->method, "HEAD") == 0) {
        answer(r, text_of(manifest, "folder"), pull_nothing, NULL);
    } else if (!has_room(r->server, manifest, &own)) {
        request_problem(r, &own);
    } else {
        start(r, manifest);
    }
    json_decref(manifest);
    PQclear(result);
}

static void download_finish(struct request *r)
{
    rpc_route_then(r, NULL, on_download_reply);
}

const struct handler zip_project = { .finish = download_finish };
