/*
 * hostile: the tricks; see hostile.h. Each answers whether it did harm.
 */
#include "tests/c/runner/hostile.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/base.h"

extern char **environ;

static const char *root;     /* of the world */
static pid_t       runner;   /* as the world outside counts */
static uint16_t    port;     /* who listens on loopback */
static const char *abstract; /* who listens without a file */

static const char *at(const char *path)
{
    static char full[8][4200];
    static int  turn;

    turn = (turn + 1) % 8;
    snprintf(full[turn], sizeof full[turn], "%s/%s", root, path);
    return full[turn];
}

static bool opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool reads(const char *path)
{
    char    byte;
    int     fd  = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, &byte, 1) : -1;

    if (fd >= 0)
        close(fd);
    return got == 1;
}

static bool lists(const char *path)
{
    DIR *dir = opendir(path);
    bool ok  = dir && readdir(dir);

    if (dir)
        closedir(dir);
    return ok;
}

static const char *of_runner(const char *file)
{
    static char path[64];

    snprintf(path, sizeof path, "/proc/%d/%s", (int)runner, file);
    return path;
}

/* ---- reading ---- */

static bool read_secrets(void)
{
    return reads(at("home/secrets.env"));
}
static bool read_pgpass(void)
{
    return reads(at("home/pgpass"));
}
static bool read_media(void)
{
    return reads(at("home/media/ab/picture"));
}
static bool list_media(void)
{
    return lists(at("home/media"));
}
static bool read_another_task(void)
{
    return reads(at("home/work/2-2/in/0.png"));
}
static bool list_tasks(void)
{
    DIR           *dir = opendir(at("home/work"));
    struct dirent *entry;
    bool           any = false;

    while (dir && (entry = readdir(dir)))
        any = any || strcmp(entry->d_name, "2-2") == 0;
    if (dir)
        closedir(dir);
    return any;
}
static bool read_through_a_link(void)
{
    return symlink(at("home/secrets.env"), "out/link") == 0 && reads("out/link");
}
static bool read_through_dots(void)
{
    return reads("../2-2/in/0.png");
}
static bool read_through_proc_root(void)
{
    char path[4300];

    snprintf(path, sizeof path, "/proc/self/root%s", at("home/secrets.env"));
    return reads(path);
}
static bool read_through_another_cwd(void)
{
    char path[4300];

    snprintf(path, sizeof path, "/proc/%d/root%s", (int)runner, at("home/secrets.env"));
    return reads(path);
}
static bool read_shadow(void)
{
    return reads("/etc/shadow");
}
static bool list_homes(void)
{
    return lists("/home") || lists("/root");
}
static bool list_var_lib(void)
{
    return lists("/var/lib") || lists("/var/log");
}
static bool read_environment_of_the_runner(void)
{
    return reads(of_runner("environ"));
}
static bool read_memory_of_the_runner(void)
{
    return opens(of_runner("mem"), O_RDONLY);
}
static bool read_command_of_the_runner(void)
{
    return reads(of_runner("cmdline"));
}
static bool read_descriptors_of_the_runner(void)
{
    return lists(of_runner("fd"));
}
static size_t whole(const char *path, char text[8192])
{
    int     fd  = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, 8192) : -1;

    if (fd >= 0)
        close(fd);
    return got > 0 ? (size_t)got : 0;
}
/* Whether a process has a variable that this one was not given. (bubblewrap's own has those of the
 * tool.) */
static bool tells_more(const char *path)
{
    static char mine[8192], theirs[8192];
    size_t      all = whole("/proc/self/environ", mine), bytes = whole(path, theirs);
    bool        any = false;

    for (size_t i = 0; i < bytes; i += strnlen(theirs + i, bytes - i) + 1)
        any = any || !memmem(mine, all, theirs + i, strnlen(theirs + i, bytes - i));
    return any;
}
static bool read_environment_of_parent(void)
{
    char parent[64];

    snprintf(parent, sizeof parent, "/proc/%d/environ", (int)getppid());
    return tells_more(parent) || tells_more("/proc/1/environ");
}
static bool read_shared_memory_of_others(void)
{
    char path[64];

    snprintf(path, sizeof path, "/dev/shm/kiln-%d", (int)runner);
    return reads(path);
}
static bool watch_media(void)
{
    int fd = inotify_init1(IN_CLOEXEC);

    return fd >= 0 && inotify_add_watch(fd, at("home/media"), IN_ALL_EVENTS) >= 0;
}
static bool read_the_machines_memory(void)
{
    return reads("/dev/mem") || reads("/dev/kmsg");
}
static bool open_by_handle(void)
{
    char                handle[sizeof(struct file_handle) + 128];
    struct file_handle *h = (void *)handle;
    int                 mount;

    h->handle_bytes = 128;
    return name_to_handle_at(AT_FDCWD, at("home/secrets.env"), h, &mount, 0) == 0;
}

/* ---- writing; the test looks at what is there afterwards too ---- */

static bool write_server(void)
{
    return opens(at("home/bin/kiln-server"), O_WRONLY);
}
static bool write_media(void)
{
    return opens(at("home/media/ab/picture"), O_WRONLY);
}
static bool make_media(void)
{
    return opens(at("home/media/ab/new"), O_WRONLY | O_CREAT);
}
static bool write_own_program(void)
{
    return opens(at("tools/hostile"), O_WRONLY);
}
static bool truncate_by_reading(void)
{
    struct stat st;

    opens(at("tools/data"), O_RDONLY | O_TRUNC);
    return stat(at("tools/data"), &st) == 0 && st.st_size == 0;
}
static bool truncate_media(void)
{
    return truncate(at("home/media/ab/picture"), 0) == 0;
}
static bool truncate_own_data(void)
{
    return truncate(at("tools/data"), 0) == 0;
}
static bool make_outside(void)
{
    return opens(at("new"), O_WRONLY | O_CREAT) || opens("/tmp/kiln-hostile", O_WRONLY | O_CREAT)
           || opens("/var/tmp/kiln-hostile", O_WRONLY | O_CREAT)
           || opens("/usr/kiln-hostile", O_WRONLY | O_CREAT) || mkdir(at("new"), 0700) == 0;
}
static bool make_in_another_task(void)
{
    return opens("../2-2/out/new", O_WRONLY | O_CREAT);
}
static bool remove_media(void)
{
    return unlink(at("home/media/ab/picture")) == 0;
}
static bool rename_media(void)
{
    return rename(at("home/media/ab/picture"), "out/picture") == 0;
}
static bool link_secrets(void)
{
    return link(at("home/secrets.env"), "out/secrets") == 0;
}
static bool link_into_media(void)
{
    return opens("out/mine", O_WRONLY | O_CREAT) && link("out/mine", at("home/media/ab/mine")) == 0;
}
static bool mode_of(const char *path, mode_t mode)
{
    struct stat st;

    (void)!chmod(path, mode);
    (void)!fchmodat(AT_FDCWD, path, mode, 0);
    syscall(452, AT_FDCWD, path, mode, 0); /* fchmodat2 */
    return stat(path, &st) == 0 && (st.st_mode & 07777) == mode;
}
static bool change_mode_of_secrets(void)
{
    return mode_of(at("home/secrets.env"), 0666);
}
static bool change_mode_of_server(void)
{
    return mode_of(at("home/bin/kiln-server"), 0777);
}
static bool change_mode_of_program(void)
{
    struct stat st;
    int         fd = open(at("tools/data"), O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        fchmod(fd, 0777);
        close(fd);
    }
    return stat(at("tools/data"), &st) == 0 && (st.st_mode & 0777) == 0777;
}
static bool change_times(void)
{
    struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
    struct stat     st;

    utimensat(AT_FDCWD, at("home/media/ab/picture"), times, 0);
    return stat(at("home/media/ab/picture"), &st) == 0 && st.st_mtime == 1;
}
static bool set_attribute(void)
{
    char value[4];

    setxattr(at("home/media/ab/picture"), "user.kiln", "x", 1, 0);
    return getxattr(at("home/media/ab/picture"), "user.kiln", value, sizeof value) > 0;
}
static bool make_a_device(void)
{
    return mknod("out/disk", S_IFBLK | 0600, makedev(8, 0)) == 0;
}
static bool execute_what_it_wrote(void)
{
    char   *argv[] = { "sh", NULL };
    int     fd = open("out/program", O_WRONLY | O_CREAT | O_CLOEXEC, 0700), status = 1;
    ssize_t put = write(fd, "#!/bin/sh\nexit 0\n", 17);
    pid_t   pid;

    fchmod(fd, 0700);
    close(fd);
    pid = fork();
    if (pid == 0) {
        execv("out/program", argv);
        _exit(1);
    }
    return put == 17 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* ---- others ---- */

static bool connects(int type, const char *name, bool is_abstract)
{
    struct sockaddr_un to  = { .sun_family = AF_UNIX };
    int                fd  = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    size_t             len = strlen(name);

    memcpy(to.sun_path + is_abstract, name, len + !is_abstract);
    return fd >= 0
           && connect(fd, (struct sockaddr *)&to,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1))
                  == 0;
}
static bool connect_to_the_database(void)
{
    return connects(SOCK_STREAM, at("run/.s.PGSQL.5432"), false);
}
static bool connect_to_an_abstract_socket(void)
{
    return connects(SOCK_STREAM, abstract, true);
}
static bool send_from_a_pair(void)
{
    int                pair[2];
    struct sockaddr_un to = { .sun_family = AF_UNIX };

    snprintf(to.sun_path, sizeof to.sun_path, "%s", at("run/datagrams"));
    return socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0
           && sendto(pair[0], "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1;
}
static bool connect_to_loopback(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port   = htons(port),
                              .sin_addr   = { htonl(INADDR_LOOPBACK) } };
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
}
static bool listen_on_loopback(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && bind(fd, (struct sockaddr *)&to, sizeof to) == 0 && listen(fd, 1) == 0;
}
static bool open_other_sockets(void)
{
    static const int families[] = { AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH, AF_XDP };
    bool             any        = false;

    for (size_t i = 0; i < countof(families); i++) {
        int fd = socket(families[i], SOCK_RAW, 0);
        if (fd < 0)
            continue;
        any = true;
        close(fd);
    }
    return any;
}
static bool trace_the_runner(void)
{
    return ptrace(PTRACE_SEIZE, runner, 0, 0) == 0;
}
static bool trace_its_parent(void)
{
    return ptrace(PTRACE_SEIZE, getppid(), 0, 0) == 0;
}
static bool read_memory_by_call(void)
{
    char         byte;
    struct iovec mine = { &byte, 1 }, theirs = { (void *)(uintptr_t)&root, 1 };

    return process_vm_readv(runner, &mine, 1, &theirs, 1, 0) == 1
           || process_vm_readv(getppid(), &mine, 1, &theirs, 1, 0) == 1;
}
static bool signal_the_runner(void)
{
    return kill(runner, 0) == 0;
}
static bool signal_its_group(void)
{
    return kill(-runner, 0) == 0;
}
static bool signal_by_descriptor(void)
{
    int fd = (int)syscall(SYS_pidfd_open, runner, 0);

    return fd >= 0 && syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0;
}
/* Whoever counts its bytes would count no more. In a process namespace that is the first process,
 * which nobody stops. */
static bool stop_its_watcher(void)
{
    pid_t watcher = getppid();
    bool  stopped = watcher != 1
                   && (kill(watcher, SIGSTOP) == 0 || kill(watcher, SIGTSTP) == 0
                       || syscall(SYS_tgkill, watcher, watcher, SIGTTIN) == 0);

    if (stopped)
        kill(watcher, SIGCONT);
    return stopped;
}
static bool limit_the_runner(void)
{
    struct rlimit none = { 0, 0 };

    return prlimit(runner, RLIMIT_NOFILE, &none, NULL) == 0;
}
static bool slow_the_runner(void)
{
    return setpriority(PRIO_PROCESS, (id_t)runner, 19) == 0;
}
static bool take_system_v_memory(void)
{
    return shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) >= 0;
}

/* ---- the kernel ---- */

static bool become_another(void)
{
    uid_t other = getuid() == 0 ? 1 : 0;

    return setuid(other) == 0 || setresuid(other, other, other) == 0;
}
static bool has_powers(void)
{
    char  line[256];
    FILE *file = fopen("/proc/self/status", "re");
    bool  any  = false;

    while (file && fgets(line, sizeof line, file))
        any = any
              || ((strncmp(line, "CapEff:", 7) == 0 || strncmp(line, "CapPrm:", 7) == 0)
                  && strtoull(line + 7, NULL, 16) != 0);
    if (file)
        fclose(file);
    return any;
}
static bool mount_something(void)
{
    return mount("none", "out", "tmpfs", 0, NULL) == 0
           || mount(at("home"), "out", NULL, MS_BIND, NULL) == 0
           || mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) == 0
           || umount2("/proc", MNT_DETACH) == 0;
}
static bool change_root(void)
{
    return chroot("out") == 0;
}
static bool unshare_users(void)
{
    return unshare(CLONE_NEWUSER) == 0 || unshare(CLONE_NEWNS) == 0;
}
static bool clone_users(void)
{
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

    if (pid == 0)
        _exit(0);
    return pid > 0;
}
static bool clone3_users(void)
{
    uint64_t arguments[8] = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD };
    pid_t    pid          = (pid_t)syscall(SYS_clone3, arguments, sizeof arguments);

    if (pid == 0)
        _exit(0);
    return pid > 0;
}
static bool enter_namespaces_of_the_runner(void)
{
    int fd = open(of_runner("ns/mnt"), O_RDONLY | O_CLOEXEC);

    return fd >= 0 && setns(fd, 0) == 0;
}
/* The kernel looks at its arguments only after the filter: whoever gets EFAULT or EINVAL was let
 * in. */
static bool is_let_in(long result)
{
    return result >= 0 || (errno != EPERM && errno != ENOSYS && errno != EACCES);
}
static bool load_a_bpf_program(void)
{
    return is_let_in(syscall(SYS_bpf, BPF_MAP_CREATE, NULL, 0));
}
static bool count_events(void)
{
    return is_let_in(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
}
static bool open_a_ring(void)
{
    return is_let_in(syscall(SYS_io_uring_setup, 1, NULL));
}
static bool handle_page_faults(void)
{
    return is_let_in(syscall(SYS_userfaultfd, 1));
}
static bool use_keys(void)
{
    return is_let_in(syscall(SYS_keyctl, 0, -3, 0, 0, 0));
}
static bool load_a_kernel(void)
{
    return is_let_in(syscall(SYS_kexec_load, 0, 0, NULL, 0))
           || is_let_in(syscall(SYS_finit_module, -1, "", 0));
}
static bool regain_rights(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

/* ---- what it was given ---- */

static bool has_more_descriptors(void)
{
    bool any = false;

    for (int fd = 3; fd < 1024; fd++)
        any = any || fcntl(fd, F_GETFD) >= 0;
    return any;
}
static bool has_more_environment(void)
{
    static const char *const known[] = { "PATH=", "HOME=", "TMPDIR=", "LANG=", "PWD=" };
    bool                     any     = false;

    for (char **e = environ; *e; e++) {
        bool is_known = false;

        for (size_t i = 0; i < countof(known); i++)
            is_known = is_known || strncmp(*e, known[i], strlen(known[i])) == 0;
        any = any || !is_known;
    }
    return any;
}

#define TRICK(name) \
    {               \
#name, name \
    }

static const struct {
    const char *name;
    bool (*does_harm)(void);
} tricks[] = {
    TRICK(has_more_descriptors), /* before the others open some */
    TRICK(read_secrets),
    TRICK(read_pgpass),
    TRICK(read_media),
    TRICK(list_media),
    TRICK(read_another_task),
    TRICK(list_tasks),
    TRICK(read_through_a_link),
    TRICK(read_through_dots),
    TRICK(read_through_proc_root),
    TRICK(read_through_another_cwd),
    TRICK(read_shadow),
    TRICK(list_homes),
    TRICK(list_var_lib),
    TRICK(read_environment_of_the_runner),
    TRICK(read_memory_of_the_runner),
    TRICK(read_command_of_the_runner),
    TRICK(read_descriptors_of_the_runner),
    TRICK(read_environment_of_parent),
    TRICK(read_shared_memory_of_others),
    TRICK(watch_media),
    TRICK(read_the_machines_memory),
    TRICK(open_by_handle),
    TRICK(write_server),
    TRICK(write_media),
    TRICK(make_media),
    TRICK(write_own_program),
    TRICK(truncate_by_reading),
    TRICK(truncate_media),
    TRICK(truncate_own_data),
    TRICK(make_outside),
    TRICK(make_in_another_task),
    TRICK(remove_media),
    TRICK(rename_media),
    TRICK(link_secrets),
    TRICK(link_into_media),
    TRICK(change_mode_of_secrets),
    TRICK(change_mode_of_server),
    TRICK(change_mode_of_program),
    TRICK(change_times),
    TRICK(set_attribute),
    TRICK(make_a_device),
    TRICK(connect_to_the_database),
    TRICK(connect_to_an_abstract_socket),
    TRICK(send_from_a_pair),
    TRICK(connect_to_loopback),
    TRICK(listen_on_loopback),
    TRICK(open_other_sockets),
    TRICK(trace_the_runner),
    TRICK(trace_its_parent),
    TRICK(read_memory_by_call),
    TRICK(signal_the_runner),
    TRICK(signal_its_group),
    TRICK(signal_by_descriptor),
    TRICK(stop_its_watcher),
    TRICK(limit_the_runner),
    TRICK(slow_the_runner),
    TRICK(take_system_v_memory),
    TRICK(become_another),
    TRICK(has_powers),
    TRICK(mount_something),
    TRICK(change_root),
    TRICK(unshare_users),
    TRICK(clone_users),
    TRICK(clone3_users),
    TRICK(enter_namespaces_of_the_runner),
    TRICK(load_a_bpf_program),
    TRICK(count_events),
    TRICK(open_a_ring),
    TRICK(handle_page_faults),
    TRICK(use_keys),
    TRICK(load_a_kernel),
    TRICK(regain_rights),
    TRICK(has_more_environment),
};

int hostile_main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "execute") == 0)
        return execute_what_it_wrote() ? 0 : 77;
    if (argc == 2)
        return hostile_excess(argv[1]);
    if (argc != 5)
        return 64;
    root     = argv[1];
    runner   = (pid_t)strtol(argv[2], NULL, 10);
    port     = (uint16_t)strtol(argv[3], NULL, 10);
    abstract = argv[4];
    for (size_t i = 0; i < countof(tricks); i++)
        if (tricks[i].does_harm())
            printf("%s\n", tricks[i].name);
    printf("%zu tricks\n", countof(tricks));
    fflush(stdout);
    return 0;
}

/* ---- too much of everything ---- */

static _Noreturn void wait_for_the_end(void)
{
    for (;;)
        pause();
}

static int bomb(void)
{
    for (int i = 0; i < 3000; i++) { /* more than it may; few enough for a machine that lets it */
        pid_t pid = fork();

        if (pid == 0)
            wait_for_the_end();
        if (pid < 0) {
            printf("stopped by the kernel\n");
            return 0;
        }
    }
    wait_for_the_end();
}

static int fill(bool is_named)
{
    static char block[1 << 16];

    for (int i = 0; i < 4096; i++) {
        char name[32];
        int  fd;

        snprintf(name, sizeof name, "out/%d", i);
        fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (!is_named)
            unlink(name);
        for (int n = 0; n < 16; n++) /* 1 MiB a file */
            if (write(fd, block, sizeof block) < 0)
                return 1;
        if (is_named)
            close(fd);
        if (i >= 100) /* the limit of the test is 64 */
            wait_for_the_end();
    }
    return 0;
}

static int many_files(void)
{
    for (int i = 0; i < 1000; i++) {
        char name[32];

        snprintf(name, sizeof name, "out/%d", i);
        close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
    wait_for_the_end();
}

static int deep(void)
{
    for (int i = 0; i < 100; i++)
        if (mkdir("d", 0700) < 0 || chdir("d") < 0)
            return 1;
    wait_for_the_end();
}

int hostile_excess(const char *how)
{
    return strcmp(how, "bomb") == 0           ? bomb()
           : strcmp(how, "fill") == 0         ? fill(true)
           : strcmp(how, "fill-unnamed") == 0 ? fill(false)
           : strcmp(how, "many-files") == 0   ? many_files()
           : strcmp(how, "deep") == 0         ? deep()
                                              : 64;
}
