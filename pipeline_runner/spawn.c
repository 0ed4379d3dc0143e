/*
 * spawn: fork, shut the child off, exec.
 *
 * Between fork and exec only async-signal-safe calls are made: libcurl's resolver may be running a
 * thread, and a lock it holds at the fork stays held in the child for ever. So everything that
 * needs memory or formatting is made before the fork; only the look at the descriptors, and our own
 * code in a child, take memory, whose locks glibc sees to. Of all others the resolver's are the only
 * ones that another thread can hold.
 */
#include "spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop.h"

#define OPEN_FILES 256

/* What the child needs and must not compute for itself. */
struct setup {
    const struct spawn *spawn;
    pid_t               parent;
    char                uid_map[48];
    char                gid_map[48];
    int                 in, out, err;

    volatile enum spawn_step *step;
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

static bool write_file(const char *path, const char *text)
{
    int  fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return ok;
}

/* Root may unshare the network alone. Others need a user namespace of their own around it, in
 * which they stay who they are; where that is switched off too (some kernels, most containers) the
 * tool keeps the network. */
static bool cut_network(const struct setup *setup)
{
    if (unshare(CLONE_NEWNET) == 0)
        return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return false;
    return write_file("/proc/self/setgroups", "deny")
           && write_file("/proc/self/uid_map", setup->uid_map)
           && write_file("/proc/self/gid_map", setup->gid_map);
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

/* A copy of a socket here would keep a connection that the runner has ended; one of a pipe would keep another
 * child waiting for the end of its input. */
static void close_links(int but)
{
    DIR           *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    struct stat    st;

    while (dir && (entry = readdir(dir))) {
        int fd = (int)strtol(entry->d_name, NULL, 10);

        if (fd > STDERR_FILENO && fd != but && fstat(fd, &st) == 0
            && (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode)))
            close(fd);
    }
    if (dir)
        closedir(dir);
}

static void shut_off(const struct setup *setup)
{
    const struct spawn *spawn = setup->spawn;

    if (setsid() < 0)
        give_up("make a session");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        give_up("set up the process");
    if (getppid() != setup->parent) /* the runner died before the line above */
        _exit(SPAWN_EXIT_SETUP);
    if (dup2(setup->in, STDIN_FILENO) < 0 || dup2(setup->out, STDOUT_FILENO) < 0
        || dup2(setup->err, STDERR_FILENO) < 0)
        give_up("set up the pipes");
    own_signals();
    close_links(-1); /* before the copies, which take their time */
    if (spawn->folder && chdir(spawn->folder) < 0)
        give_up("enter the work folder");
    for (size_t i = 0; i < spawn->nfiles; i++)
        copy_in(&spawn->files[i]);
    prctl(PR_SET_DUMPABLE,
          1); /* the runner is not; a process that is not cannot write its own uid_map */
    if (!spawn->has_network)
        (void)cut_network(setup);
    umask(077);
    limit(RLIMIT_AS, spawn->memory_bytes);
    limit(RLIMIT_CPU, spawn->cpu_seconds);
    limit(RLIMIT_FSIZE, spawn->file_bytes);
    limit(RLIMIT_NOFILE, OPEN_FILES);
    setrlimit(RLIMIT_CORE, &(struct rlimit) { 0, 0 });
}

static _Noreturn void exec_child(const struct setup *setup)
{
    shut_off(setup);
    close_range(3, ~0U, 0);       /* all are O_CLOEXEC; this is for those of libraries */
    *setup->step = SPAWN_RUNNING; /* with the exec the page is gone: no program can forge this */
    execve(setup->spawn->path, setup->spawn->argv, setup->spawn->envp);
    *setup->step = SPAWN_NOT_RUN;
    give_up("run the program");
}

/* Our own code in a process of its own: it keeps our files and limits. */
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

/* A page that the child shares until it execs: it says there where it stopped. */
static volatile enum spawn_step *make_step(void)
{
    volatile enum spawn_step *page = mmap(NULL, sizeof(enum spawn_step), PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return page == MAP_FAILED ? NULL : page;
}

void spawn_forget(volatile enum spawn_step *step)
{
    if (step)
        munmap((void *)(uintptr_t)step, sizeof *step);
}

static void prepare(struct setup *setup, const struct spawn *spawn, const int fds[6])
{
    *setup = (struct setup) {
        .spawn  = spawn,
        .parent = getpid(),
        .in     = fds[0],
        .out    = fds[3],
        .err    = fds[5],
    };
    snprintf(setup->uid_map, sizeof setup->uid_map, "%u %u 1", geteuid(), geteuid());
    snprintf(setup->gid_map, sizeof setup->gid_map, "%u %u 1", getegid(), getegid());
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
    setup.step = make_step();
    if (!setup.step) {
        err_errno(err, "share", "a page with a child");
        close_all(fds, 6);
        return false;
    }
    pid = fork();
    if (pid == 0 && spawn->run)
        run_child(&setup);
    if (pid == 0)
        exec_child(&setup);
    pidfd = pid > 0 ? pidfd_open(pid, 0)
                    : -1; /* the number cannot be another's: nobody else reaps it */
    if (pidfd < 0) {
        err_errno(err, "start", spawn->path ? spawn->path : "a child");
        if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
        spawn_forget(setup.step);
        close_all(fds, 6);
        return false;
    }
    close_all((int[]) { fds[0], fds[3], fds[5] }, 3);
    *child = (struct spawned) { pid, pidfd, fds[1], fds[2], fds[4], setup.step };
    return true;
}

bool spawn_can_cut_network(void)
{
    struct setup setup;
    int          fds[6] = { 0 };
    int          status = 1;
    pid_t        pid;

    prepare(&setup, NULL, fds);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_DUMPABLE, 1);
        _exit(cut_network(&setup) ? 0 : 1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status)
           && WEXITSTATUS(status) == 0;
}
