/* folder and tool: private folders, the sweep after a dead runner, the environment a tool gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "pipeline_runner/exec/folder.h"
#include "pipeline_runner/exec/child.h"

static char work[64];

static int make_work(void **state)
{
    (void)state;
    strcpy(work, "/tmp/kiln-work-XXXXXX");
    return mkdtemp(work) ? 0 : -1;
}

static int remove_work(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/.lock", work);
    unlink(path);
    return rmdir(work);
}

static bool exists(const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", work, name);
    return access(path, F_OK) == 0;
}

static void a_folder_is_private_and_has_in_and_out(void **state)
{
    struct folder folder;
    struct stat   st;

    (void)state;
    assert_true(folder_make(&folder, work, 12, 34, NULL));
    assert_true(exists("12-34/in"));
    assert_true(exists("12-34/out"));
    assert_int_equal(stat(folder.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    folder_remove(&folder);
    assert_false(exists("12-34"));
}

static void it_is_removed_whatever_a_tool_left_in_it(void **state)
{
    struct folder folder;
    char          outside[128];
    int           fd;

    (void)state;
    snprintf(outside, sizeof outside, "%s/outside", work);
    assert_int_equal(mkdir(outside, 0700), 0);
    assert_true(folder_make(&folder, work, 1, 2, NULL));
    assert_int_equal(mkdirat(folder.fd, "out/a", 0700), 0);
    assert_int_equal(mkdirat(folder.fd, "out/a/b", 0700), 0);
    fd = openat(folder.fd, "out/a/b/c", O_WRONLY | O_CREAT, 0000);
    close(fd);
    assert_int_equal(fchmodat(folder.fd, "out/a/b", 0000, 0), 0);
    assert_int_equal(symlinkat(outside, folder.fd, "out/link"), 0);
    assert_int_equal(mkfifoat(folder.fd, "out/fifo", 0600), 0);
    folder_remove(&folder);
    assert_false(exists("1-2"));
    assert_true(exists("outside")); /* the link went, not what it pointed at */
    rmdir(outside);
}

static void litter_of_the_same_name_does_not_stop_a_task(void **state)
{
    struct folder folder;
    char          path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/5-6", work);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(folder_make(&folder, work, 5, 6, NULL));
    folder_remove(&folder);
}

static void the_sweep_leaves_the_folders_of_the_living(void **state)
{
    struct folder folder;

    (void)state;
    assert_true(folder_make(&folder, work, 1, 1, NULL));
    assert_true(folder_sweep(work, NULL));
    assert_true(exists("1-1/out"));
    folder_remove(&folder);
}

static void the_sweep_removes_what_a_killed_runner_left(void **state)
{
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        struct folder folder;

        if (!folder_make(&folder, work, 7, 7, NULL))
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    assert_true(exists("7-7"));
    assert_true(folder_sweep(work, NULL));
    assert_false(exists("7-7"));
}

static void the_sweep_ends_processes_that_outlived_their_runner(void **state)
{
    char  path[128];
    int   status;
    pid_t pid;

    (void)state;
    snprintf(path, sizeof path, "%s/9-9", work);
    assert_int_equal(mkdir(path, 0700), 0);
    pid = fork();
    if (pid == 0) {
        if (chdir(path) == 0)
            execl("/bin/sleep", "sleep", "60", NULL);
        _exit(1);
    }
    usleep(100000);
    assert_true(folder_sweep(work, NULL));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_false(exists("9-9"));
}

/* ---- what a tool gets ---- */

static void the_environment_is_four_names(void **state)
{
    struct arena *arena = arena_open(1024);
    char        **env;

    (void)state;
    setenv("DATABASE_URL", "postgresql://secret", 1);
    setenv("PGPASSFILE", "/secret", 1);
    env = child_environment(arena, "/opt/tools", "/work/1-2");
    assert_string_equal(env[0], "PATH=/opt/tools:/usr/local/bin:/usr/bin:/bin");
    assert_string_equal(env[1], "HOME=/work/1-2");
    assert_string_equal(env[2], "TMPDIR=/work/1-2");
    assert_string_equal(env[3], "LANG=C.UTF-8");
    assert_null(env[4]);
    assert_string_equal(child_environment(arena, "", "/w")[0], "PATH=/usr/local/bin:/usr/bin:/bin");
    arena_close(arena);
}

static void tools_are_found_only_in_the_folders_named(void **state)
{
    struct arena *arena = arena_open(1024);

    (void)state;
    assert_string_equal(child_find_program(arena, "/nonexistent:/bin", "sh"), "/bin/sh");
    assert_null(child_find_program(arena, "", "sh"));
    assert_null(child_find_program(arena, "/bin", "/bin/sh"));
    assert_null(child_find_program(arena, "/usr", "../bin/sh"));
    assert_null(child_find_program(arena, "bin:.", "sh"));
    assert_null(child_find_program(arena, "/etc", "passwd")); /* not executable */
    assert_null(child_find_program(arena, "/", "bin"));       /* a folder */
    assert_null(child_find_program(arena, "/bin", ""));
    arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder_is_private_and_has_in_and_out, make_work,
                                        remove_work),
        cmocka_unit_test_setup_teardown(it_is_removed_whatever_a_tool_left_in_it, make_work,
                                        remove_work),
        cmocka_unit_test_setup_teardown(litter_of_the_same_name_does_not_stop_a_task, make_work,
                                        remove_work),
        cmocka_unit_test_setup_teardown(the_sweep_leaves_the_folders_of_the_living, make_work,
                                        remove_work),
        cmocka_unit_test_setup_teardown(the_sweep_removes_what_a_killed_runner_left, make_work,
                                        remove_work),
        cmocka_unit_test_setup_teardown(the_sweep_ends_processes_that_outlived_their_runner,
                                        make_work, remove_work),
        cmocka_unit_test(the_environment_is_four_names),
        cmocka_unit_test(tools_are_found_only_in_the_folders_named),
    };

    return cmocka_run_group_tests_name("folder", tests, NULL, NULL);
}
