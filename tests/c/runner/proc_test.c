/* proc and spawn: real children, short ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "pipeline_runner/exec/proc.h"

static struct sandbox sandbox; /* the strongest that this machine has */

struct run {
    struct loop      *loop;
    struct proc      *proc;
    struct proc_end   end;
    char              out[1 << 16];
    char              last_line[PROC_LINE_MAX];
    char              lines[4096];
    struct loop_timer stop;
};

static void on_end(void *ctx, const struct proc_end *end)
{
    struct run *run = ctx;

    run->end     = *end;
    run->end.out = NULL;
    snprintf(run->out, sizeof run->out, "%s", end->out);
    snprintf(run->last_line, sizeof run->last_line, "%s", end->last_line);
    run->proc = NULL;
    loop_stop(run->loop);
}

static bool on_line(void *ctx, const char *line)
{
    struct run *run = ctx;
    size_t      len = strlen(run->lines);

    snprintf(run->lines + len, sizeof(run->lines) - len, "%s|", line);
    return strncmp(line, "progress ", 9) == 0;
}

static void on_stop(void *ctx)
{
    struct run *run = ctx;

    if (run->proc)
        proc_kill(run->proc);
}

static struct run *start(const char *script, struct proc_options opt)
{
    static char *const env[]  = { "PATH=/usr/bin:/bin", NULL };
    struct run        *run    = calloc(1, sizeof *run);
    char              *argv[] = { "sh", "-c", (char *)(uintptr_t)script, NULL };

    run->loop         = loop_open(NULL);
    run->stop         = (struct loop_timer) { .on_time = on_stop, .ctx = run };
    opt.spawn.path    = "/bin/sh";
    opt.spawn.argv    = argv;
    opt.spawn.sandbox = &sandbox;
    if (!opt.spawn.envp)
        opt.spawn.envp = env;
    opt.timeout_ms  = opt.timeout_ms ? opt.timeout_ms : 10000;
    opt.stdout_most = opt.stdout_most ? opt.stdout_most : 60000;
    opt.on_line     = on_line;
    opt.on_end      = on_end;
    opt.ctx         = run;
    run->proc       = proc_start(run->loop, &opt, NULL);
    assert_non_null(run->proc);
    return run;
}

static struct run *finish(struct run *run)
{
    loop_run(run->loop);
    return run;
}

static void done(struct run *run)
{
    loop_close(run->loop);
    free(run);
}

static void stdin_goes_in_and_stdout_comes_back(void **state)
{
    struct proc_options opt = { .input = "hello", .input_bytes = 5 };
    struct run         *run = finish(start("cat; exit 65", opt));

    (void)state;
    assert_int_equal(run->end.cause, PROC_EXITED);
    assert_int_equal(WEXITSTATUS(run->end.status), 65);
    assert_string_equal(run->out, "hello");
    done(run);
}

static void a_tool_that_does_not_read_its_input_is_no_error(void **state)
{
    size_t              bytes = 1 << 20;
    char               *input = calloc(1, bytes);
    struct proc_options opt   = { .input = input, .input_bytes = bytes };
    struct run         *run   = finish(start("exec 0<&-; sleep 0.1; echo fine", opt));

    (void)state;
    assert_int_equal(run->end.cause, PROC_EXITED);
    assert_int_equal(run->end.status, 0);
    assert_string_equal(run->out, "fine\n");
    done(run);
    free(input);
}

static void stderr_comes_by_lines_and_the_last_is_kept(void **state)
{
    struct run *run = finish(
        start("printf 'one\\r\\n\\nprogress 0.5\\nthe reason' >&2; printf '\\nprogress 1' >&2",
              (struct proc_options) { 0 }));

    (void)state;
    assert_string_equal(run->lines, "one|progress 0.5|the reason|progress 1|");
    assert_string_equal(run->last_line, "the reason");
    done(run);
}

static void a_line_without_end_is_cut_not_gathered(void **state)
{
    struct run *run =
        finish(start("head -c 3000000 /dev/zero | tr '\\0' x >&2", (struct proc_options) { 0 }));

    (void)state;
    assert_int_equal(run->end.cause, PROC_EXITED);
    assert_int_equal(strlen(run->last_line), PROC_LINE_MAX - 1);
    done(run);
}

static void more_stdout_than_allowed_ends_it(void **state)
{
    struct run *run = finish(start("yes", (struct proc_options) { .stdout_most = 50000 }));

    (void)state;
    assert_int_equal(run->end.cause, PROC_FLOODED);
    assert_in_range(run->end.out_bytes, 50001, 140000);
    done(run);
}

static void at_its_time_limit_it_is_asked_to_end(void **state)
{
    uint64_t    begin = base_now_ms();
    struct run *run   = finish(start("trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done",
                                     (struct proc_options) { .timeout_ms = 200 }));

    (void)state;
    assert_int_equal(run->end.cause, PROC_TIMED_OUT);
    assert_int_equal(WEXITSTATUS(run->end.status), 3);
    assert_string_equal(run->out, "bye\n");
    assert_in_range(base_now_ms() - begin, 150, 1500);
    done(run);
}

/* Whether a process of the machine has this word in its command. Numbers of processes do not do: a
 * program's may be of its own namespace. */
static bool runs(const char *word)
{
    DIR           *proc = opendir("/proc");
    struct dirent *entry;
    bool           is_found = false;

    while ((entry = readdir(proc)) && !is_found) {
        char    path[300], command[256];
        ssize_t got;
        int     fd;

        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        got = read(fd, command, sizeof command); /* of a zombie it is empty */
        close(fd);
        is_found = got > 0 && memmem(command, (size_t)got, word, strlen(word) + 1) != NULL;
    }
    closedir(proc);
    return is_found;
}

/* Until it has gone or a second has passed. */
static bool is_gone(const char *word)
{
    for (int i = 0; i < 100; i++) {
        if (!runs(word))
            return true;
        usleep(10000);
    }
    return false;
}

/* A sleep that no other process of the machine sleeps. */
static const char *own_sleep(const char *format, char script[256], char word[32])
{
    static int count;

    snprintf(word, 32, "60.%d%d", (int)getpid(), count++);
    snprintf(script, 256, format, word);
    return script;
}

static void one_that_will_not_end_is_killed_with_its_whole_group(void **state)
{
    uint64_t    begin = base_now_ms();
    char        script[256], word[32];
    const char *all = "trap '' TERM; sh -c 'trap \"\" TERM; echo here; exec sleep %s' & "
                      "while :; do sleep 1; done";
    struct run *run =
        finish(start(own_sleep(all, script, word), (struct proc_options) { .timeout_ms = 1500 }));

    (void)state; /* by then both have set their traps */
    assert_int_equal(run->end.cause, PROC_TIMED_OUT);
    assert_true(WIFSIGNALED(run->end.status));
    assert_in_range(base_now_ms() - begin, 1500 + PROC_GRACE_MS - 100, 1500 + PROC_GRACE_MS + 3000);
    assert_string_equal(run->out, "here\n");
    assert_true(is_gone(word));
    done(run);
}

static void whoever_it_leaves_behind_ends_with_it_and_is_not_waited_for(void **state)
{
    uint64_t    begin = base_now_ms();
    char        script[256], word[32];
    struct run *run = finish(start(own_sleep("sleep %s & echo here; exit 0", script, word),
                                   (struct proc_options) { 0 }));

    (void)state;
    assert_int_equal(run->end.cause, PROC_EXITED);
    assert_true(base_now_ms() - begin < 2000); /* though the waiter holds its stdout open */
    assert_string_equal(run->out, "here\n");
    assert_true(is_gone(word));
    done(run);
}

static void a_daemon_ends_with_its_tool(void **state)
{
    char        script[256], word[32];
    struct run *run =
        finish(start(own_sleep("exec 2>/dev/null; setsid -f sleep %s; echo here", script, word),
                     (struct proc_options) { 0 }));

    (void)state;
    assert_int_equal(run->end.cause, PROC_EXITED);
    assert_string_equal(run->out, "here\n");
    assert_true(is_gone(word));
    done(run);
}

static void killed_on_order_it_says_so(void **state)
{
    struct run *run = start("trap '' TERM; sleep 60", (struct proc_options) { 0 });

    (void)state;
    loop_timer_set(run->loop, &run->stop, 50);
    finish(run);
    assert_int_equal(run->end.cause, PROC_STOPPED);
    assert_true(WIFSIGNALED(run->end.status));
    done(run);
}

static void it_has_three_descriptors_and_nothing_of_ours(void **state)
{
    int         leak = open("/dev/null", O_RDONLY); /* not close-on-exec, as a library's might be */
    struct run *run = finish(start("ls /proc/self/fd | tr '\\n' ' '", (struct proc_options) { 0 }));

    (void)state;
    assert_string_equal(run->out, "0 1 2 3 "); /* 3 is the folder ls reads */
    done(run);
    close(leak);
}

static void its_signals_are_as_if_nobody_had_touched_them(void **state)
{
    /* 32 and 33 are glibc's own: it lets nobody set them, and leaves them ignored in what
     * posix_spawn starts (make does). */
    const uint64_t reserved = (uint64_t)3 << 31;
    struct run    *run;
    sigset_t       set, old;
    uint64_t       blocked, ignored;
    char          *rest;

    (void)state;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &old);
    signal(SIGPIPE, SIG_IGN);
    run = finish(start("grep -E 'Sig(Blk|Ign)' /proc/self/status | tr -d '\\t\\n'",
                       (struct proc_options) { 0 }));
    assert_int_equal(strncmp(run->out, "SigBlk:", 7), 0);
    blocked = strtoull(run->out + 7, &rest, 16);
    assert_int_equal(strncmp(rest, "SigIgn:", 7), 0);
    ignored = strtoull(rest + 7, &rest, 16);
    assert_int_equal(blocked, 0);
    assert_int_equal(ignored & ~reserved, 0);
    sigprocmask(SIG_SETMASK, &old, NULL);
    done(run);
}

/* Its watcher leads both: so the signals of its own group reach the runner as little as the
 * runner's reach it. */
static void its_session_and_group_are_not_the_runners(void **state)
{
    struct run *run = finish(start("cut -d ' ' -f 5,6 /proc/$$/stat", (struct proc_options) { 0 }));
    char       *rest;
    long        group = strtol(run->out, &rest, 10);

    (void)state;
    assert_true(group > 0 && group != getpgrp());
    assert_int_equal(strtol(rest, &rest, 10), group); /* session */
    done(run);
}

static void limits_are_in_force(void **state)
{
    struct proc_options opt = {
        .spawn = { .memory_bytes = (uint64_t)512 << 20, .cpu_seconds = 7, .file_bytes = 1 << 20 }
    };
    struct run *run = finish(start("ulimit -v; ulimit -t; ulimit -f; ulimit -c", opt));

    (void)state;
    assert_string_equal(run->out, "524288\n7\n2048\n0\n");
    done(run);
}

static void it_cannot_gain_rights(void **state)
{
    struct run *run =
        finish(start("grep NoNewPrivs /proc/self/status", (struct proc_options) { 0 }));

    (void)state;
    assert_string_equal(run->out, "NoNewPrivs:\t1\n");
    done(run);
}

static void it_has_no_network_unless_the_stage_says_so(void **state)
{
    struct run *run;

    (void)state;
    if (!sandbox.has_namespaces)
        skip();
    run = finish(
        start("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' \\n'; tail -n +2 /proc/net/route",
              (struct proc_options) { 0 }));
    assert_string_equal(run->out, "lo");
    done(run);
    run              = finish(start("readlink /proc/self/ns/net",
                                    (struct proc_options) { .spawn = { .has_network = true } }));
    char    ours[64] = "";
    ssize_t len      = readlink("/proc/self/ns/net", ours, sizeof ours - 2);
    assert_true(len > 0);
    ours[len] = '\n';
    assert_string_equal(run->out, ours);
    done(run);
}

/* Where SIGCHLD is ignored the kernel keeps no status. */
static void an_end_that_is_not_known_is_no_success(void **state)
{
    struct run *run;

    (void)state;
    signal(SIGCHLD, SIG_IGN);
    run = finish(start("exit 0", (struct proc_options) { 0 }));
    signal(SIGCHLD, SIG_DFL);
    assert_int_equal(run->end.cause, PROC_EXITED);
    assert_int_not_equal(run->end.status, 0);
    done(run);
}

static void input_files_are_copies(void **state)
{
    char              folder[] = "/tmp/kiln-proc-XXXXXX", path[64], text[8] = "";
    struct spawn_file file = { .name = "copy" };
    struct run       *run;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/original", folder);
    file.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(file.fd, "abc", 3), 3);
    run = finish(start(
        "cat copy; echo changed >> copy; rm copy original2 2>/dev/null; pwd",
        (struct proc_options) { .spawn = { .folder = folder, .files = &file, .nfiles = 1 } }));
    assert_memory_equal(run->out, "abc", 3);
    snprintf(path, sizeof path, "%s\n", folder);
    assert_string_equal(strchr(run->out, '/'), path);
    assert_int_equal(pread(file.fd, text, sizeof text, 0), 3);
    done(run);
    close(file.fd);
    snprintf(path, sizeof path, "%s/original", folder);
    unlink(path);
    rmdir(folder);
}

static int answer(void *ctx, int stdout_fd)
{
    return write(stdout_fd, ctx, strlen(ctx)) > 0 ? 0 : 1;
}

static void our_own_code_can_run_in_a_child(void **state)
{
    struct run         *run = calloc(1, sizeof *run);
    struct proc_options opt = {
        .spawn       = { .run = answer, .ctx = "from the child" },
        .timeout_ms  = 5000,
        .stdout_most = 100,
        .on_end      = on_end,
        .ctx         = run,
    };

    (void)state;
    run->loop = loop_open(NULL);
    run->proc = proc_start(run->loop, &opt, NULL);
    finish(run);
    assert_int_equal(run->end.status, 0);
    assert_string_equal(run->out, "from the child");
    done(run);
}

static int linger(void *ctx, int stdout_fd)
{
    (void)ctx;
    (void)stdout_fd;
    sleep(20);
    return 0;
}

/* Who reads its input to the end waits for all who could still write there. */
static void our_own_code_in_a_child_keeps_no_pipe_open_that_is_another_s(void **state)
{
    struct loop        *loop = loop_open(NULL);
    struct proc_options opt  = {
         .spawn = { .run = linger }, .timeout_ms = 30000, .on_end = on_end, .ctx = NULL
    };
    struct proc  *proc;
    int           ends[2];
    struct pollfd other;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    proc = proc_start(loop, &opt, NULL);
    assert_non_null(proc);
    close(ends[1]);
    other = (struct pollfd) { .fd = ends[0], .events = POLLIN };
    assert_int_equal(poll(&other, 1, 10000), 1);
    assert_true(other.revents & POLLHUP);
    proc_abandon(proc);
    close(ends[0]);
    loop_close(loop);
}

static void a_program_that_does_not_exist_says_why(void **state)
{
    char               *argv[] = { "none", NULL }, *env[] = { NULL };
    struct run         *run = calloc(1, sizeof *run);
    struct proc_options opt = {
        .spawn       = { .path = "/nonexistent", .argv = argv, .envp = env },
        .timeout_ms  = 5000,
        .stdout_most = 100,
        .on_end      = on_end,
        .ctx         = run,
    };

    (void)state;
    run->loop = loop_open(NULL);
    run->proc = proc_start(run->loop, &opt, NULL);
    finish(run);
    assert_int_equal(WEXITSTATUS(run->end.status), SPAWN_EXIT_SETUP);
    assert_int_equal(run->end.cause, PROC_NOT_RUN);
    assert_string_equal(run->last_line, "cannot run the program: No such file or directory");
    done(run);
}

static void a_child_that_cannot_be_set_up_is_told_from_a_program_that_failed(void **state)
{
    struct proc_options opt = { .spawn = { .folder = "/nonexistent" } };
    struct run         *run = finish(start("exit 0", opt));

    (void)state;
    assert_int_equal(run->end.cause, PROC_NOT_SET_UP);
    assert_string_equal(run->last_line, "cannot enter the work folder: No such file or directory");
    done(run);
    run = finish(start("exit 125", (struct proc_options) { 0 }));
    assert_int_equal(run->end.cause, PROC_EXITED);
    done(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stdin_goes_in_and_stdout_comes_back),
        cmocka_unit_test(a_tool_that_does_not_read_its_input_is_no_error),
        cmocka_unit_test(stderr_comes_by_lines_and_the_last_is_kept),
        cmocka_unit_test(a_line_without_end_is_cut_not_gathered),
        cmocka_unit_test(more_stdout_than_allowed_ends_it),
        cmocka_unit_test(at_its_time_limit_it_is_asked_to_end),
        cmocka_unit_test(one_that_will_not_end_is_killed_with_its_whole_group),
        cmocka_unit_test(whoever_it_leaves_behind_ends_with_it_and_is_not_waited_for),
        cmocka_unit_test(a_daemon_ends_with_its_tool),
        cmocka_unit_test(killed_on_order_it_says_so),
        cmocka_unit_test(it_has_three_descriptors_and_nothing_of_ours),
        cmocka_unit_test(its_signals_are_as_if_nobody_had_touched_them),
        cmocka_unit_test(its_session_and_group_are_not_the_runners),
        cmocka_unit_test(limits_are_in_force),
        cmocka_unit_test(it_cannot_gain_rights),
        cmocka_unit_test(it_has_no_network_unless_the_stage_says_so),
        cmocka_unit_test(an_end_that_is_not_known_is_no_success),
        cmocka_unit_test(input_files_are_copies),
        cmocka_unit_test(our_own_code_can_run_in_a_child),
        cmocka_unit_test(our_own_code_in_a_child_keeps_no_pipe_open_that_is_another_s),
        cmocka_unit_test(a_program_that_does_not_exist_says_why),
        cmocka_unit_test(a_child_that_cannot_be_set_up_is_told_from_a_program_that_failed),
    };

    signal(SIGPIPE, SIG_IGN);
    if (!sandbox_open(&sandbox, &SANDBOX_ANY, NULL))
        return EXIT_FAILURE;
    printf("# sandbox: %s\n", sandbox.word);
    return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
