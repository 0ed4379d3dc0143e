/*
 * sandbox: a hostile program in it, at each strength that this machine has, as the user who runs
 * the test and, where that is root, as the service user too. What the machine lacks is skipped, and
 * said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/c/runner/hostile.h"
#include "pipeline_runner/exec/proc.h"

#define LISTENERS 4
#define LIMIT     ((uint64_t)64 << 20)

struct world {
    char root[64], folder[128], tools[96], program[128], shared[64], abstract[64], port[8];
    int  sockets[LISTENERS];
    struct sandbox sandbox;
    bool           is_open;

    struct loop    *loop;
    struct proc_end end;
    char            out[8192], last_line[PROC_LINE_MAX];
};

/* The strengths, from SANDBOX_ANY down. */
static const struct strength {
    const char            *name;
    struct sandbox_options options;
} strengths[] = {
    { "the strongest here", { 7, true, true } },
    { "Landlock 2 as in Debian 12", { 2, false, true } },
    { "Landlock without namespaces", { 7, false, false } },
    { "Landlock 2 without namespaces", { 2, false, false } },
    { "bubblewrap", { 0, true, false } },
};

/* ---- the world ---- */

static const char *at(const struct world *w, const char *path)
{
    static char full[4][256];
    static int  turn;

    turn = (turn + 1) % 4;
    snprintf(full[turn], sizeof full[turn], "%s/%s", w->root, path);
    return full[turn];
}

static void put(const struct world *w, const char *path, mode_t mode)
{
    int fd = open(at(w, path), O_WRONLY | O_CREAT | O_CLOEXEC, mode);

    assert_int_equal(write(fd, "SECRET", 6), 6);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void copy_self(const struct world *w)
{
    int     from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int     to   = open(w->program, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    char    block[65536];
    ssize_t got;

    while ((got = read(from, block, sizeof block)) > 0)
        assert_int_equal(write(to, block, (size_t)got), got);
    assert_int_equal(got, 0);
    close(from);
    close(to);
}

static int bound(int family, int type, const void *address, size_t bytes)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, address, (socklen_t)bytes), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static void open_sockets(struct world *w)
{
    struct sockaddr_un stream = { .sun_family = AF_UNIX }, datagram = stream, abstract = stream;
    struct sockaddr_in tcp   = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t          bytes = sizeof tcp;
    size_t             name  = strlen(w->abstract);

    snprintf(stream.sun_path, sizeof stream.sun_path, "%s", at(w, "run/.s.PGSQL.5432"));
    snprintf(datagram.sun_path, sizeof datagram.sun_path, "%s", at(w, "run/datagrams"));
    memcpy(abstract.sun_path + 1, w->abstract, name);
    w->sockets[0] = bound(AF_UNIX, SOCK_STREAM, &stream, sizeof stream);
    w->sockets[1] = bound(AF_UNIX, SOCK_DGRAM, &datagram, sizeof datagram);
    w->sockets[2] =
        bound(AF_UNIX, SOCK_STREAM, &abstract, offsetof(struct sockaddr_un, sun_path) + 1 + name);
    w->sockets[3] = bound(AF_INET, SOCK_STREAM, &tcp, sizeof tcp);
    assert_int_equal(getsockname(w->sockets[3], (struct sockaddr *)&tcp, &bytes), 0);
    snprintf(w->port, sizeof w->port, "%d", ntohs(tcp.sin_port));
}

static int open_world(void **state)
{
    static const char *const folders[] = { "tools",
                                           "run",
                                           "home",
                                           "home/bin",
                                           "home/media",
                                           "home/media/ab",
                                           "home/work",
                                           "home/work/1-1",
                                           "home/work/1-1/in",
                                           "home/work/1-1/out",
                                           "home/work/2-2",
                                           "home/work/2-2/in",
                                           "home/work/2-2/out" };
    struct world            *w         = calloc(1, sizeof *w);
    int                      shared;

    strcpy(w->root, "/tmp/kiln-sandbox-XXXXXX");
    assert_non_null(mkdtemp(w->root));
    for (size_t i = 0; i < countof(folders); i++)
        assert_int_equal(mkdir(at(w, folders[i]), 0755), 0);
    snprintf(w->folder, sizeof w->folder, "%s/home/work/1-1", w->root);
    snprintf(w->tools, sizeof w->tools, "%s/tools", w->root);
    snprintf(w->program, sizeof w->program, "%s/hostile", w->tools);
    snprintf(w->abstract, sizeof w->abstract, "kiln-sandbox-test-%d", (int)getpid());
    snprintf(w->shared, sizeof w->shared, "/kiln-%d", (int)getpid());
    put(w, "home/secrets.env", 0600);
    put(w, "home/pgpass", 0600);
    put(w, "home/media/ab/picture", 0640);
    put(w, "home/bin/kiln-server", 0755);
    put(w, "home/work/2-2/in/0.png", 0600);
    put(w, "tools/data", 0644);
    copy_self(w);
    open_sockets(w);
    shared = shm_open(w->shared, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(shared, "SECRET", 6), 6);
    close(shared);
    *state = w;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int close_world(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < LISTENERS; i++)
        close(w->sockets[i]);
    shm_unlink(w->shared);
    nftw(w->root, remove_one, 64, FTW_PHYS | FTW_DEPTH);
    if (w->is_open)
        sandbox_close(&w->sandbox);
    free(w);
    return 0;
}

static void on_end(void *ctx, const struct proc_end *end)
{
    struct world *w = ctx;

    w->end = *end;
    snprintf(w->out, sizeof w->out, "%s", end->out);
    snprintf(w->last_line, sizeof w->last_line, "%s", end->last_line);
    loop_stop(w->loop);
}

/* False: this machine does not have this strength (sandbox_open() then takes a weaker one). */
static bool has(struct world *w, const struct strength *strength)
{
    enum sandbox_way wanted =
        strength->options.landlock_most > 0 ? SANDBOX_LANDLOCK : SANDBOX_BUBBLEWRAP;

    if (w->is_open)
        sandbox_close(&w->sandbox);
    assert_true(sandbox_open(&w->sandbox, &strength->options, NULL));
    w->is_open = true;
    if (strength == &strengths[0]
            ? w->sandbox.way != SANDBOX_NONE
            : w->sandbox.way == wanted
                  && w->sandbox.has_namespaces == strength->options.has_namespaces)
        return true;
    printf("# not here: %s\n", strength->name);
    return false;
}

static void run(struct world *w, char **argv, struct proc_options opt)
{
    char home[160], tmp[160], *env[] = { "PATH=/usr/bin:/bin", home, tmp, "LANG=C.UTF-8", NULL };
    struct err err = { 0 };

    snprintf(home, sizeof home, "HOME=%s", w->folder);
    snprintf(tmp, sizeof tmp, "TMPDIR=%s", w->folder);
    opt.spawn.path    = opt.spawn.path ? opt.spawn.path : w->program;
    opt.spawn.argv    = argv;
    opt.spawn.envp    = env;
    opt.spawn.folder  = w->folder;
    opt.spawn.sandbox = &w->sandbox;
    opt.spawn.reads   = opt.spawn.reads ? opt.spawn.reads : w->tools;
    opt.timeout_ms    = 60000;
    opt.stdout_most   = sizeof w->out - 1;
    opt.on_end        = on_end;
    opt.ctx           = w;
    w->loop           = loop_open(NULL);
    if (!proc_start(w->loop, &opt, &err))
        fail_msg("%s", err.message);
    loop_run(w->loop);
    loop_close(w->loop);
}

static void assert_untouched(const struct world *w, const char *path, mode_t mode)
{
    struct stat st;

    assert_int_equal(stat(at(w, path), &st), 0);
    assert_int_equal(st.st_size, 6);
    assert_int_equal(st.st_mode & 07777, mode);
    assert_true(st.st_mtime > 1);
}

/* ---- the tests ---- */

static void attack(struct world *w, const struct strength *strength)
{
    char  runner[16], *argv[] = { "hostile", w->root, runner, w->port, w->abstract, NULL };
    char *end;

    snprintf(runner, sizeof runner, "%d", (int)getpid());
    run(w, argv, (struct proc_options) { 0 });
    if (w->end.cause != PROC_EXITED || w->end.status != 0)
        fail_msg("%s: cause %d, status %d, \"%s\"", strength->name, w->end.cause, w->end.status,
                 w->last_line);
    (void)strtol(w->out, &end, 10);
    if (strncmp(end, " tricks\n", 8) != 0)
        fail_msg("%s lets a tool: %s", strength->name, w->out);
    assert_true(strtol(w->out, NULL, 10) > 60);
    assert_untouched(w, "home/secrets.env", 0600);
    assert_untouched(w, "home/pgpass", 0600);
    assert_untouched(w, "home/media/ab/picture", 0640);
    assert_untouched(w, "home/bin/kiln-server", 0755);
    assert_untouched(w, "home/work/2-2/in/0.png", 0600);
    assert_untouched(w, "tools/data", 0644);
}

/* Those it made in its own folder must not be there again. */
static void empty_folder(struct world *w)
{
    nftw(w->folder, remove_one, 64, FTW_PHYS | FTW_DEPTH);
    assert_int_equal(mkdir(w->folder, 0755), 0);
    assert_int_equal(mkdir(at(w, "home/work/1-1/in"), 0755), 0);
    assert_int_equal(mkdir(at(w, "home/work/1-1/out"), 0755), 0);
}

static void a_hostile_tool_gets_nowhere(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < countof(strengths); i++) {
        if (!has(w, &strengths[i]))
            continue;
        attack(w, &strengths[i]);
        empty_folder(w);
        printf("# refused all: %s (%s)\n", strengths[i].name, w->sandbox.word);
    }
}

/* The other side: without a sandbox the same program gets nearly everywhere, so the test above
 * tests something. */
static void without_a_sandbox_it_gets_far(void **state)
{
    struct world *w = *state;
    char          runner[16], *argv[] = { "hostile", w->root, runner, w->port, w->abstract, NULL };
    static const char *const    harms[] = { "read_secrets\n",          "write_media\n",
                                            "signal_the_runner\n",     "connect_to_the_database\n",
                                            "change_mode_of_server\n", "limit_the_runner\n" };
    static const struct sandbox none    = { .way = SANDBOX_NONE };
    pid_t                       victim;

    victim = fork(); /* a runner that may be hurt */
    if (victim == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    snprintf(runner, sizeof runner, "%d", (int)victim);
    w->sandbox = none;
    run(w, argv, (struct proc_options) { 0 });
    kill(victim, SIGKILL);
    waitpid(victim, NULL, 0);
    for (size_t i = 0; i < countof(harms); i++)
        if (!strstr(w->out, harms[i]))
            fail_msg("%s is not among: %s", harms[i], w->out);
}

static void expect_excess(struct world *w, const char *how, enum spawn_excess excess)
{
    char               *argv[] = { "hostile", (char *)(uintptr_t)how, NULL };
    struct proc_options opt    = { .spawn = { .folder_bytes = LIMIT, .folder_entries = 500 } };

    run(w, argv, opt);
    if (w->end.cause != PROC_EXCESSIVE || w->end.excess != excess)
        fail_msg("%s: %s: cause %d, excess %d, \"%s\"", w->sandbox.word, how, w->end.cause,
                 w->end.excess, w->last_line);
    empty_folder(w);
}

static void too_much_in_its_folder_ends_it(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < countof(strengths); i++) {
        if (!has(w, &strengths[i]))
            continue;
        expect_excess(w, "fill", SPAWN_BYTES);
        expect_excess(w, "many-files", SPAWN_ENTRIES);
        expect_excess(w, "deep", SPAWN_ENTRIES);
        if (w->sandbox.has_namespaces)
            expect_excess(w, "fill-unnamed", SPAWN_BYTES);
    }
}

static void what_it_wrote_just_before_its_end_counts_too(void **state)
{
    struct world       *w      = *state;
    char               *argv[] = { "sh", "-c", "truncate -s 100M out/hole", NULL };
    struct proc_options opt    = {
           .spawn = { .path = "/bin/sh", .folder_bytes = LIMIT, .folder_entries = 500 }
    };

    assert_true(has(w, &strengths[0]));
    run(w, argv, opt);
    assert_int_equal(w->end.cause, PROC_EXCESSIVE);
    assert_int_equal(w->end.excess, SPAWN_BYTES);
}

/* A user's processes are counted by the kernel, in a namespace of the tool's own; root's by the
 * watcher. */
static void a_fork_bomb_ends(void **state)
{
    struct world *w      = *state;
    char         *argv[] = { "hostile", "bomb", NULL };

    if (!has(w, &strengths[0]) || !w->sandbox.has_namespaces)
        skip();
    run(w, argv,
        (struct proc_options) { .spawn = { .folder_bytes = LIMIT, .folder_entries = 500 } });
    if (geteuid() == 0) {
        assert_int_equal(w->end.cause, PROC_EXCESSIVE);
        assert_int_equal(w->end.excess, SPAWN_PROCESSES);
    } else {
        assert_int_equal(w->end.cause, PROC_EXITED);
        assert_string_equal(w->out, "stopped by the kernel\n");
    }
}

/* bubblewrap has no word for it. */
static void with_landlock_it_executes_nothing_that_it_wrote(void **state)
{
    struct world *w      = *state;
    char         *argv[] = { "hostile", "execute", NULL };

    for (size_t i = 0; i < countof(strengths); i++) {
        if (!has(w, &strengths[i]) || w->sandbox.way != SANDBOX_LANDLOCK)
            continue;
        run(w, argv, (struct proc_options) { 0 });
        assert_int_equal(WEXITSTATUS(w->end.status), 77);
        empty_folder(w);
    }
}

/* What tools of all kinds do. */
static void good_tools_work(void **state)
{
    static const char script[] =
        "set -e; umask; mkdir out/a; echo hi > out/a/b; mv out/a/b out/c; cp -p out/c out/d; chmod 600 out/d;"
        "ln -s c out/e; cat out/e; rm -r out/a; touch out/f; sort out/c > /dev/null; head -c 3 /dev/urandom > out/g;"
        "(sleep 60 & kill $!; wait $! || true); test \"$(id -un)\"; trap 'true' TERM; kill -TERM $$;"
        "cat <(echo piped); grep -c processor /proc/cpuinfo > out/h; test -r /proc/self/status; nproc > out/i;"
        "timeout 5 true; date +%Z; printf '%s' \"$HOME\" > out/j; awk 'BEGIN { print 6 * 7 }'";
    struct world *w      = *state;
    char         *argv[] = { "bash", "-c", (char *)(uintptr_t)script, NULL };

    for (size_t i = 0; i < countof(strengths); i++) {
        if (!has(w, &strengths[i]))
            continue;
        run(w, argv, (struct proc_options) { .spawn = { .path = "/bin/bash" } });
        if (w->end.cause != PROC_EXITED || w->end.status != 0)
            fail_msg("%s: status %d, \"%s\", \"%s\"", strengths[i].name, w->end.status, w->out,
                     w->last_line);
        assert_non_null(strstr(w->out, "piped\n"));
        assert_non_null(strstr(w->out, "42\n"));
        empty_folder(w);
    }
}

static void programs_of_debian_work(void **state)
{
    static const struct {
        const char *path, *script;
    } programs[] = {
        { "/usr/bin/ffmpeg",
          "ffmpeg -v error -f lavfi -i testsrc=d=0.2:s=64x64 -f lavfi -i sine=d=0.2 -c:v libx264 -y out/a.mp4 && "
          "ffprobe -v error out/a.mp4" },
        { "/usr/bin/espeak-ng",
          "echo hello | espeak-ng -w out/a.wav --stdin && test -s out/a.wav" },
        { "/usr/bin/python3",
          "python3 -c 'import tempfile, shutil, subprocess, socket, multiprocessing, threading, getpass\n"
          "open(\"out/p\", \"w\").write(\"x\"); shutil.copy2(\"out/p\", \"out/q\"); getpass.getuser()\n"
          "subprocess.run([\"true\"], check=True); a, b = socket.socketpair(); tempfile.TemporaryFile().write(b\"x\")\n"
          "t = threading.Thread(target=print, args=(\"thread\",)); t.start(); t.join()\n"
          "p = multiprocessing.Process(target=print, args=(\"process\",)); p.start(); p.join(); assert p.exitcode == 0'" },
    };
    struct world *w = *state;

    for (size_t i = 0; i < countof(strengths); i++) {
        for (size_t j = 0; has(w, &strengths[i]) && j < countof(programs); j++) {
            char *argv[] = { "sh", "-c", (char *)(uintptr_t)programs[j].script, NULL };

            if (access(programs[j].path, X_OK) < 0)
                continue;
            run(w, argv,
                (struct proc_options) { .spawn = { .path = "/bin/sh", .file_bytes = LIMIT } });
            if (w->end.cause != PROC_EXITED || w->end.status != 0)
                fail_msg("%s: %s: status %d, \"%s\", \"%s\"", strengths[i].name, programs[j].path,
                         w->end.status, w->out, w->last_line);
        }
        empty_folder(w);
    }
}

static void with_the_network_it_has_sockets_of_ip_and_no_others(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < countof(strengths); i++) {
        char runner[16], *argv[] = { "hostile", w->root, runner, w->port, w->abstract, NULL };

        if (!has(w, &strengths[i]))
            continue;
        snprintf(runner, sizeof runner, "%d", (int)getpid());
        run(w, argv, (struct proc_options) { .spawn = { .has_network = true } });
        if (strncmp(w->out, "connect_to_loopback\nlisten_on_loopback\n7", 40) != 0)
            fail_msg("%s lets a tool: %s", strengths[i].name, w->out);
        empty_folder(w);
    }
}

static void inputs_of_kiln_media_are_only_read(void **state)
{
    struct world *w = *state;
    char *argv[]    = { "sh", "-c", "echo x 2>/dev/null > in/a || echo refused; echo y > out/b",
                        NULL };
    struct proc_options opt = { .spawn = { .path = "/bin/sh", .keeps_inputs = true } };

    if (!has(w, &strengths[0]) || !w->sandbox.has_namespaces)
        skip();
    run(w, argv, opt);
    assert_string_equal(w->out, "refused\n");
    assert_int_equal(access(at(w, "home/work/1-1/out/b"), F_OK), 0);
    if (has(w, &strengths[4])) {
        run(w, argv, opt);
        assert_string_equal(w->out, "refused\n");
    }
}

static void what_the_operator_adds_is_read_or_written_as_he_says(void **state)
{
    static const char text[] =
        "cat %s/home/media/ab/picture; echo x 2>/dev/null > %s/home/media/ab/picture || echo refused;"
        "echo x > %s/home/bin/new && cat %s/home/bin/new; rm %s/home/bin/new";
    struct world *w      = *state;
    char         *argv[] = { "sh", "-c", NULL, NULL }, script[1200], reads[256], writes[256];

    snprintf(script, sizeof script, text, w->root, w->root, w->root, w->root, w->root);
    snprintf(reads, sizeof reads, "%s:relative:%s/home/media:/nowhere", w->tools, w->root);
    snprintf(writes, sizeof writes, ":/dev/full:%s/home/bin:/nowhere", w->root);
    argv[2] = script;
    for (size_t i = 0; i < countof(strengths); i++) {
        if (!has(w, &strengths[i]))
            continue;
        run(w, argv,
            (struct proc_options) {
                .spawn = { .path = "/bin/sh", .reads = reads, .writes = writes } });
        if (strcmp(w->out, "SECRETrefused\nx\n") != 0)
            fail_msg("%s: \"%s\", \"%s\"", strengths[i].name, w->out, w->last_line);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

static int run_all(const char *user)
{
    const struct CMUnitTest tests[] = {
        TEST(a_hostile_tool_gets_nowhere),
        TEST(without_a_sandbox_it_gets_far),
        TEST(too_much_in_its_folder_ends_it),
        TEST(what_it_wrote_just_before_its_end_counts_too),
        TEST(a_fork_bomb_ends),
        TEST(with_landlock_it_executes_nothing_that_it_wrote),
        TEST(good_tools_work),
        TEST(programs_of_debian_work),
        TEST(with_the_network_it_has_sockets_of_ip_and_no_others),
        TEST(inputs_of_kiln_media_are_only_read),
        TEST(what_the_operator_adds_is_read_or_written_as_he_says),
    };

    printf("# as %s\n", user);
    fflush(stdout);
    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}

/* The embedded stack of root runs as postgres (./kiln). */
static int as_service_user(void)
{
    struct passwd found, *user = NULL;
    char          text[4096];
    pid_t         pid;
    int           status = 0;

    if (geteuid() != 0 || getpwnam_r("postgres", &found, text, sizeof text, &user) != 0 || !user)
        return 0;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        if (setgroups(0, NULL) < 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0
            || setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
            exit(EXIT_FAILURE);
        prctl(PR_SET_DUMPABLE, 1);
        exit(run_all("postgres"));
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    int failed;

    if (argc > 1) {
        int code = hostile_main(argc, argv);

        fflush(stdout);
        _exit(code); /* a leak checker could not trace it in there */
    }
    signal(SIGPIPE, SIG_IGN);
    failed = run_all(geteuid() == 0 ? "root" : "an ordinary user");
    return failed + as_service_user();
}
