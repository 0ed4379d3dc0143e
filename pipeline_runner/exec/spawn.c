/*
 * spawn: clone, shut the child off, exec.
 *
 * Between clone and exec only async-signal-safe calls are made: libcurl's resolver may be running a
 * thread, and a lock it holds at the clone stays held in the child for ever. So everything that
 * needs memory or formatting is made before; and since clone(2), unlike fork(3), leaves even the
 * locks of malloc as they were, a program's watcher takes no memory at all. Our own code in a child
 * (run) is started by fork.
 */
#include "pipeline_runner/exec/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/loop.h"
#include "pipeline_runner/exec/usage.h"

#define OPEN_FILES 256
#define TASKS_SHARED \
    4096            /* RLIMIT_NPROC where all processes of the user count, not the child's alone */
#define LOOK_MS 100 /* between two looks at what the program has taken */

static const struct sandbox no_sandbox = { .way = SANDBOX_NONE };

/* What the child needs and must not compute for itself. */
struct setup {
    const struct spawn   *spawn;
    const struct sandbox *sandbox;
    struct sandbox_grant  grant;
    struct sandbox_ids    ids;
    const char           *path; /* bubblewrap's, where that is the way */
    char *const          *argv;
    char                **command; /* its memory */
    pid_t                 parent;
    int                   in, out, err;

    volatile struct spawn_report *report;
};

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

    (void)ignored; /* the pipe is our own and empty; without it there is nobody to tell */
}

static _Noreturn void give_up(const char *what)
{
    say("cannot ");
    say(what);
    say(": ");
    say(strerrordesc_np(errno) ? strerrordesc_np(errno) : "unknown error");
    say("\n");
    _exit(SPAWN_EXIT_SETUP);
}

static void limit(__rlimit_resource_t what, uint64_t amount)
{
    struct rlimit limits = { amount, amount };

    if (amount > 0 && setrlimit(what, &limits) < 0
        && errno != EPERM) /* EPERM: the limit is lower already */
        give_up("set a resource limit");
}

static void copy_in(const struct spawn_file *file)
{
    int     to = open(file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    ssize_t got;

    if (to < 0 || lseek(file->fd, 0, SEEK_SET) < 0)
        give_up("copy an input file");
    /* A copy, never a link: a tool that writes into its input must not change what the store
     * promised. */
    do
        got = copy_file_range(file->fd, NULL, to, NULL, (size_t)1 << 30, 0);
    while (got > 0);
    if (got < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
        char buffer[65536];

        /* The store lies on another file system, and this kernel copies within one only. */
        while ((got = read(file->fd, buffer, sizeof(buffer))) > 0)
            for (ssize_t done = 0, put; done < got; done += put)
                if ((put = write(to, buffer + done, (size_t)(got - done))) < 0)
                    give_up("copy an input file");
    }
    if (got < 0)
        give_up("copy an input file");
    close(to);
}

static void own_signals(void)
{
    loop_child_signals();
    signal(SIGPIPE, SIG_DFL);
}

/* A copy of a socket here would keep a connection that the runner has ended; one of a pipe would
 * keep another child waiting for the end of its input. */
static void close_links(int but)
{
    _Alignas(struct dirent64) char block[4096];
    struct stat                    st;
    int                            dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ssize_t                        got;

    while (dir >= 0 && (got = getdents64(dir, block, sizeof block)) > 0) {
        for (ssize_t at = 0; at < got;) {
            const struct dirent64 *entry = (const void *)(block + at);
            int                    fd    = (int)strtol(entry->d_name, NULL, 10);

            at += entry->d_reclen;
            if (fd > STDERR_FILENO && fd != but && fstat(fd, &st) == 0
                && (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode)))
                close(fd);
        }
    }
    if (dir >= 0)
        close(dir);
}

/* ---- the program ---- */

static void set_limits(const struct setup *setup)
{
    const struct spawn *spawn = setup->spawn;

    umask(077);
    limit(RLIMIT_AS, spawn->memory_bytes);
    limit(RLIMIT_CPU, spawn->cpu_seconds);
    limit(RLIMIT_FSIZE, spawn->file_bytes);
    limit(RLIMIT_NOFILE, OPEN_FILES);
    limit(RLIMIT_NPROC, setup->sandbox->has_namespaces ? SPAWN_PROCESSES_MOST : TASKS_SHARED);
    setrlimit(RLIMIT_CORE, &(struct rlimit) { 0, 0 });
}

static _Noreturn void exec_program(const struct setup *setup, pid_t watcher)
{
    int kept = setup->sandbox->way == SANDBOX_BUBBLEWRAP ? SANDBOX_FILTER_FD : STDERR_FILENO;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        give_up("set up the process");
    if (getppid() != watcher)
        _exit(SPAWN_EXIT_SETUP);
    own_signals();
    signal(SIGTERM, SIG_DFL);
    set_limits(setup);
    if (!sandbox_confine(setup->sandbox, &setup->grant))
        give_up("confine the program");
    close_range((unsigned)kept + 1, ~0U, 0); /* all are O_CLOEXEC; this is for those of libraries */
    setup->report->step =
        SPAWN_RUNNING; /* with the exec the page is gone: no program can forge this */
    execve(setup->path, setup->argv, setup->spawn->envp);
    setup->report->step = SPAWN_NOT_RUN;
    give_up("run the program");
}

/* ---- its watcher ---- */

static enum spawn_excess excess(const struct setup *setup)
{
    const struct usage most = { .bytes = setup->spawn->folder_bytes,
                                /* beside in/, out/ and the inputs */
                                .entries =
                                    setup->spawn->folder_entries + 2 + setup->spawn->nfiles };
    struct usage       now  = { 0 };

    if (setup->sandbox->has_namespaces)
        usage_add_processes(&now, ".");
    if (now.processes > SPAWN_PROCESSES_MOST)
        return SPAWN_PROCESSES;
    if (most.bytes == 0)
        return SPAWN_NO_EXCESS;
    usage_add_folder(&now, ".", &most);
    return now.bytes > most.bytes       ? SPAWN_BYTES
           : now.entries > most.entries ? SPAWN_ENTRIES
                                        : SPAWN_NO_EXCESS;
}

/* Reaps whoever has ended; true: the program has. */
static bool has_ended(pid_t program, int *status)
{
    bool  is_over = false;
    int   found;
    pid_t pid;

    while ((pid = waitpid(-1, &found, WNOHANG)) > 0) {
        if (pid == program) {
            *status = found;
            is_over = true;
        }
    }
    return is_over || pid < 0;
}

static _Noreturn void watch(const struct setup *setup, pid_t program)
{
    const struct timespec pause   = { .tv_nsec = LOOK_MS * 1000000L };
    int                   status  = W_EXITCODE(EXIT_FAILURE, 0); /* not known: not well */
    bool                  is_over = false;
    sigset_t              ends;

    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    while (!is_over && setup->report->excess == SPAWN_NO_EXCESS) {
        sigtimedwait(&ends, NULL, &pause);
        is_over               = has_ended(program, &status);
        setup->report->excess = excess(setup);
    }
    if (setup->report->excess != SPAWN_NO_EXCESS)
        kill(0,
             /* the first process of a namespace is spared, and takes all others with it below */
             SIGKILL);
    setup->report->status     = status;
    setup->report->has_status = true;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

/* Nobody reads the pipe of errors any more: the runner has died before PR_SET_PDEATHSIG was in
 * force. (In a process namespace a parent outside has no number.) */
static bool is_orphan(void)
{
    struct pollfd errors = { .fd = STDERR_FILENO };

    return poll(&errors, 1, 0) == 1 && (errors.revents & POLLERR);
}

static void enter_folder(const struct setup *setup)
{
    if (setup->spawn->folder && chdir(setup->spawn->folder) < 0)
        give_up("enter the work folder");
}

static void shut_off(const struct setup *setup)
{
    if (setsid() < 0)
        give_up("make a session");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        give_up("set up the process");
    if (dup2(setup->in, STDIN_FILENO) < 0 || dup2(setup->out, STDOUT_FILENO) < 0
        || dup2(setup->err, STDERR_FILENO) < 0)
        give_up("set up the pipes");
    own_signals();
    signal(SIGTERM, SIG_IGN); /* it is the program that is asked to end */
    signal(SIGCHLD, SIG_DFL);
    close_links(-1); /* before the copies, which take their time */
    if (is_orphan())
        _exit(SPAWN_EXIT_SETUP);
    enter_folder(setup);
    if (!sandbox_enter(setup->sandbox, &setup->grant, &setup->ids))
        give_up("set up the namespaces");
}

static void fill_folder(const struct setup *setup)
{
    const struct spawn *spawn = setup->spawn;

    enter_folder(setup); /* once more: a mount of its own lies over it now */
    for (size_t i = 0; i < spawn->nfiles; i++)
        copy_in(&spawn->files[i]);
    if (!sandbox_keep_inputs(setup->sandbox, &setup->grant))
        give_up("keep the inputs");
}

static _Noreturn void run_program(const struct setup *setup)
{
    pid_t    self, program;
    sigset_t ends;

    shut_off(setup);
    fill_folder(setup);
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    self    = getpid();
    program = _Fork();
    if (program < 0)
        give_up("start a process");
    if (program == 0)
        exec_program(setup, self);
    watch(setup, program);
}

/* ---- our own code ---- */

/* In a process of its own: it keeps our files and limits. */
static _Noreturn void run_child(const struct setup *setup)
{
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != setup->parent)
        _exit(SPAWN_EXIT_SETUP);
    if (dup2(setup->err, STDERR_FILENO) < 0)
        _exit(SPAWN_EXIT_SETUP);
    own_signals();
    close_links(setup->out);
    _exit(setup->spawn->run(setup->spawn->ctx, setup->out));
}

static void close_all(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* fds: stdin read, write, stdout read, write, stderr read, write. */
static bool make_pipes(int fds[6])
{
    for (int i = 0; i < 6; i++)
        fds[i] = -1;
    return pipe2(&fds[0], O_CLOEXEC) == 0 && pipe2(&fds[2], O_CLOEXEC) == 0
           && pipe2(&fds[4], O_CLOEXEC) == 0
           /* only our ends: O_NONBLOCK would otherwise surprise the tool */
           && fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0 && fcntl(fds[2], F_SETFL, O_NONBLOCK) == 0
           && fcntl(fds[4], F_SETFL, O_NONBLOCK) == 0;
}

/* A page that the child shares until it execs. */
static volatile struct spawn_report *make_report(void)
{
    volatile struct spawn_report *page =
        mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return page == MAP_FAILED ? NULL : page;
}

void spawn_forget(volatile struct spawn_report *report)
{
    if (report)
        munmap((void *)(uintptr_t)report, sizeof *report);
}

static void prepare(struct setup *setup, const struct spawn *spawn, const int fds[6])
{
    *setup = (struct setup) {
        .spawn   = spawn,
        .sandbox = spawn->sandbox ? spawn->sandbox : &no_sandbox,
        .grant   = { .folder       = spawn->folder,
                     .reads        = spawn->reads,
                     .writes       = spawn->writes,
                     .has_network  = spawn->has_network,
                     .keeps_inputs = spawn->keeps_inputs },
        .path    = spawn->path,
        .argv    = spawn->argv,
        .parent  = getpid(),
        .in      = fds[0],
        .out     = fds[3],
        .err     = fds[5],
    };
    sandbox_ids(&setup->ids);
    if (spawn->path && setup->sandbox->way == SANDBOX_BUBBLEWRAP) {
        setup->command = sandbox_command(&setup->grant, spawn->path, spawn->argv);
        setup->path    = setup->sandbox->bubblewrap;
        setup->argv    = setup->command;
    }
}

/* fork(3) would wait for the locks of malloc and set them right in the child; clone(2) can make
 * namespaces. */
static pid_t start(const struct setup *setup)
{
    if (setup->spawn->run)
        return fork();
    return (pid_t)syscall(SYS_clone, sandbox_clone_flags(setup->sandbox, &setup->grant) | SIGCHLD,
                          0, 0, 0, 0);
}

bool spawn_start(const struct spawn *spawn, struct spawned *child, struct err *err)
{
    int          fds[6];
    struct setup setup;
    pid_t        pid;
    int          pidfd;

    if (!make_pipes(fds)) {
        err_errno(err, "make", "pipes");
        close_all(fds, 6);
        return false;
    }
    prepare(&setup, spawn, fds);
    setup.report = make_report();
    if (!setup.report) {
        err_errno(err, "share", "a page with a child");
        free(setup.command);
        close_all(fds, 6);
        return false;
    }
    pid = start(&setup);
    if (pid == 0 && spawn->run)
        run_child(&setup);
    if (pid == 0)
        run_program(&setup);
    free(setup.command);
    pidfd = pid > 0 ? pidfd_open(pid, 0)
                    : -1; /* the number cannot be another's: nobody else reaps it */
    if (pidfd < 0) {
        err_errno(err, "start", spawn->path ? spawn->path : "a child");
        if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
        spawn_forget(setup.report);
        close_all(fds, 6);
        return false;
    }
    close_all((int[]) { fds[0], fds[3], fds[5] }, 3);
    *child = (struct spawned) { pid, pidfd, fds[1], fds[2], fds[4], setup.report };
    return true;
}
