/* program: child processes; see program.h. */
#include "media/tool/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

/* Runs in the child: only async-signal-safe calls from here on. */
static void become(const char *path, const char *const *argv, int in, int out, int err,
                   unsigned seconds, pid_t parent)
{
    struct sigaction plain = { .sa_handler = SIG_DFL };
    sigset_t         none;

    sigemptyset(&none);
    sigaction(SIGPIPE, &plain, NULL);
    sigaction(SIGALRM, &plain, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(127);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        _exit(127);
    close_range(3, ~0u, 0);
    alarm(seconds);
    execv(path, (char *const *)(uintptr_t)argv);
    _exit(127);
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

bool program_start(struct program *program, const char *const *argv, int pipes, unsigned seconds,
                   struct fault *fault)
{
    int   in[2] = { -1, -1 }, out[2] = { -1, -1 }, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    char *path     = g_find_program_in_path(argv[0]);
    pid_t parent   = getpid();
    bool  is_ready = null >= 0 && path != NULL;

    *program     = (struct program) { .pid = -1, .in = -1, .out = -1, .name = argv[0] };
    program->err = memfd_create(argv[0], MFD_CLOEXEC);
    if ((pipes & PROGRAM_IN) && is_ready)
        is_ready = pipe2(in, O_CLOEXEC) == 0;
    if ((pipes & PROGRAM_OUT) && is_ready)
        is_ready = pipe2(out, O_CLOEXEC) == 0;
    if (is_ready && program->err >= 0) {
        program->pid = fork();
        if (program->pid == 0)
            become(path, argv, in[0] >= 0 ? in[0] : null, out[1] >= 0 ? out[1] : null, program->err,
                   seconds, parent);
    }
    program->in  = in[1];
    program->out = out[0];
    close_one(&in[0]);
    close_one(&out[1]);
    close_one(&null);
    if (path == NULL)
        fault_set(fault, EXIT_TRANSIENT, "%s is not installed on this machine", argv[0]);
    g_free(path);
    if (program->pid < 0) {
        program_kill(program);
        return fault_set(fault, EXIT_TRANSIENT, "cannot start %s: %s", argv[0], g_strerror(errno));
    }
    return true;
}

bool program_write(struct program *program, const void *bytes, size_t count)
{
    const char *at = bytes;

    while (count > 0) {
        ssize_t sent = write(program->in, at, count);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        at += sent;
        count -= (size_t)sent;
    }
    return true;
}

void program_end_input(struct program *program)
{
    close_one(&program->in);
}

/* The first line the child wrote to stderr. */
static void complaint(const struct program *program, char line[200])
{
    ssize_t got = pread(program->err, line, 199, 0);
    char   *end;

    line[MAX(got, 0)] = '\0';
    end               = strchr(line, '\n');
    if (end != NULL)
        *end = '\0';
}

bool program_finish(struct program *program, bool is_strict, int exit_code, struct fault *fault)
{
    char line[200];
    int  status = 0;

    program_end_input(program);
    close_one(&program->out);
    while (waitpid(program->pid, &status, 0) < 0 && errno == EINTR)
        ;
    program->pid = -1;
    complaint(program, line);
    close_one(&program->err);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return fault_set(fault, exit_code, "%s took too long and was stopped", program->name);
    if (WIFSIGNALED(status))
        return fault_set(fault, exit_code, "%s was stopped by signal %d", program->name,
                         WTERMSIG(status));
    if (WEXITSTATUS(status) != 0 || (is_strict && line[0] != '\0'))
        return fault_set(fault, exit_code, "%s: %s", program->name,
                         line[0] != '\0' ? line : "failed without a word");
    return true;
}

void program_kill(struct program *program)
{
    if (program->pid > 0) {
        kill(program->pid, SIGKILL);
        while (waitpid(program->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    program->pid = -1;
    close_one(&program->in);
    close_one(&program->out);
    close_one(&program->err);
}

bool program_run(const char *const *argv, const char *in, char **out, size_t *out_bytes,
                 size_t most, unsigned seconds, bool is_strict, int exit_code, struct fault *fault)
{
    struct program program;
    GByteArray    *text = g_byte_array_new();
    guint8         block[65536];
    ssize_t        got = 0;

    *out       = NULL;
    *out_bytes = 0;
    if (!program_start(&program, argv, PROGRAM_OUT | (in != NULL ? PROGRAM_IN : 0), seconds,
                       fault)) {
        g_byte_array_free(text, TRUE);
        return false;
    }
    if (in != NULL)
        program_write(&program, in, strlen(in)); /* what it does not read it will complain about */
    program_end_input(&program);
    while (text->len <= most
           && ((got = read(program.out, block, sizeof block)) > 0 || (got < 0 && errno == EINTR)))
        if (got > 0)
            g_byte_array_append(text, block, (guint)got);
    if (text->len > most) {
        program_kill(&program);
        g_byte_array_free(text, TRUE);
        return fault_set(fault, exit_code, "%s wrote more than %zu bytes", argv[0], most);
    }
    if (!program_finish(&program, is_strict, exit_code, fault)) {
        g_byte_array_free(text, TRUE);
        return false;
    }
    *out_bytes = text->len;
    g_byte_array_append(text, (const guint8 *)"", 1);
    *out = (char *)g_byte_array_free(text, FALSE);
    return true;
}
