/*
 * sandbox: one list of places, applied by Landlock or by bubblewrap.
 */
#include "pipeline_runner/exec/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/capability.h>
#include <unistd.h>

#include "lib/log.h"

#define BUBBLEWRAP "/usr/bin/bwrap"
#define SHM        "67108864" /* bytes of /dev/shm, for semaphores and the like */

/* ---- the places ---- */

enum access {
    READ,    /* and list */
    EXECUTE, /* and READ */
    DEVICE,  /* READ, and write */
};

/* What programs of Debian read before they do anything: loader, locale, fonts, names, time,
 * certificates. Nothing with a secret: of /etc what everybody may know, of /var nothing that a
 * program keeps for itself, of /proc and /sys what says how large the machine is. */
static const struct place {
    const char *path;
    enum access access;
} places[] = {
    { "/usr", EXECUTE },
    { "/bin", EXECUTE },
    { "/sbin", EXECUTE },
    { "/lib", EXECUTE },
    { "/lib32", EXECUTE },
    { "/lib64", EXECUTE },
    { "/libx32", EXECUTE },
    { "/etc/ld.so.cache", READ },
    { "/etc/ld.so.conf", READ },
    { "/etc/ld.so.conf.d", READ },
    { "/etc/ld.so.preload", READ },
    { "/etc/alternatives", READ },
    { "/etc/fonts", READ },
    { "/etc/ImageMagick-6", READ },
    { "/etc/ImageMagick-7", READ },
    { "/etc/OpenCL", READ },
    { "/etc/vulkan", READ },
    { "/etc/glvnd", READ },
    { "/etc/perl", READ },
    { "/etc/python3", READ },
    { "/etc/python3.11", READ },
    { "/etc/mime.types", READ },
    { "/etc/magic", READ },
    { "/etc/localtime", READ },
    { "/etc/timezone", READ },
    { "/etc/passwd", READ },
    { "/etc/group", READ },
    { "/etc/nsswitch.conf", READ },
    { "/etc/host.conf", READ },
    { "/etc/hosts", READ },
    { "/etc/resolv.conf", READ },
    { "/etc/gai.conf", READ },
    { "/etc/services", READ },
    { "/etc/protocols", READ },
    { "/etc/ssl/certs", READ },
    { "/etc/ssl/openssl.cnf", READ },
    { "/etc/ca-certificates.conf", READ },
    { "/var/cache/fontconfig", READ },
    { "/sys/devices/system/cpu", READ },
    { "/sys/devices/system/node", READ },
    { "/dev/null", DEVICE },
    { "/dev/zero", DEVICE },
    { "/dev/full", DEVICE },
    { "/dev/random", READ },
    { "/dev/urandom", READ },
};

/* /proc of one's own process namespace has nobody else's in it; of the machine's only what is our
 * own is read. */
static const char *const own_proc[]    = { "/proc" };
static const char *const common_proc[] = { "/proc/self",        "/proc/cpuinfo", "/proc/meminfo",
                                           "/proc/stat",        "/proc/uptime",  "/proc/loadavg",
                                           "/proc/filesystems", "/proc/version", "/proc/sys" };

/* The next of the paths that colons divide; false: there is none. */
static bool next_path(const char **list, char path[4096])
{
    while (*list && **list) {
        size_t len  = strcspn(*list, ":");
        bool   fits = len > 0 && len < 4096 && **list == '/';

        if (fits) {
            memcpy(path, *list, len);
            path[len] = '\0';
        }
        *list += len + ((*list)[len] == ':');
        if (fits)
            return true;
    }
    return false;
}

/* ---- Landlock ---- */

/* Rights and fields that the headers of Debian 12 (ABI 2) do not know yet. */
#define FS_TRUNCATE    (UINT64_C(1) << 14) /* ABI 3 */
#define FS_IOCTL_DEV   (UINT64_C(1) << 15) /* ABI 5 */
#define NET_BIND_TCP   (UINT64_C(1) << 0)  /* ABI 4 */
#define NET_CONNECT    (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT (UINT64_C(1) << 0) /* ABI 6 */
#define SCOPE_SIGNAL   (UINT64_C(1) << 1)

#define FS_READ  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
#define FS_MAKE                                                                                   \
    (LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR \
     | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM   \
     | LANDLOCK_ACCESS_FS_REFER)
#define FS_FILE \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | FS_WRITE | FS_IOCTL_DEV)

struct rules {
    uint64_t fs, net, scoped;
};

/* All that this ABI can refuse is handled, so what is not granted is refused. */
static struct rules rules_of(int abi, bool has_network)
{
    uint64_t fs = (UINT64_C(1) << 13) - 1; /* ABI 1: EXECUTE to MAKE_SYM */

    fs |= abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0;
    fs |= abi >= 3 ? FS_TRUNCATE : 0;
    fs |= abi >= 5 ? FS_IOCTL_DEV : 0;
    return (struct rules) {
        .fs     = fs,
        .net    = abi >= 4 && !has_network ? NET_BIND_TCP | NET_CONNECT : 0,
        .scoped = abi >= 6 ? SCOPE_ABSTRACT | SCOPE_SIGNAL : 0,
    };
}

static size_t rules_bytes(int abi)
{
    return abi >= 6   ? sizeof(struct rules)
           : abi >= 4 ? offsetof(struct rules, scoped)
                      : offsetof(struct rules, net);
}

/* A path that is not there needs no rule. */
static bool grant_path(int ruleset, uint64_t handled, const char *path, uint64_t rights)
{
    struct stat                       st;
    struct landlock_path_beneath_attr rule = { .parent_fd = open(path, O_PATH | O_CLOEXEC) };
    bool                              ok;

    if (rule.parent_fd < 0)
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR;
    ok                  = fstat(rule.parent_fd, &st) == 0;
    rule.allowed_access = rights & handled & (S_ISDIR(st.st_mode) ? ~UINT64_C(0) : FS_FILE);
    ok                  = ok
         && (rule.allowed_access == 0
             || syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0);
    close(rule.parent_fd);
    return ok;
}

static uint64_t rights_of(enum access access)
{
    switch (access) {
    case EXECUTE: return FS_READ | LANDLOCK_ACCESS_FS_EXECUTE;
    case DEVICE: return FS_READ | FS_WRITE | FS_IOCTL_DEV;
    case READ: break;
    }
    return FS_READ;
}

static bool grant_list(int ruleset, uint64_t handled, const char *list, uint64_t rights)
{
    char path[4096];
    bool ok = true;

    while (ok && next_path(&list, path))
        ok = grant_path(ruleset, handled, path, rights);
    return ok;
}

static bool grant_all(const struct sandbox *sandbox, const struct sandbox_grant *grant, int ruleset,
                      uint64_t handled)
{
    const char *const *proc  = sandbox->has_namespaces ? own_proc : common_proc;
    size_t             count = sandbox->has_namespaces ? countof(own_proc) : countof(common_proc);
    bool               ok    = true;

    for (size_t i = 0; ok && i < countof(places); i++)
        ok = grant_path(ruleset, handled, places[i].path, rights_of(places[i].access));
    for (size_t i = 0; ok && i < count; i++)
        ok = grant_path(ruleset, handled, proc[i], FS_READ);
    if (ok && sandbox->has_namespaces)
        ok = grant_path(ruleset, handled, "/dev/shm", FS_READ | FS_WRITE | FS_MAKE);
    ok = ok && grant_list(ruleset, handled, grant->reads, rights_of(EXECUTE))
         && grant_list(ruleset, handled, grant->writes, rights_of(DEVICE) | FS_MAKE);
    if (ok && grant->folder)
        ok = grant_path(ruleset, handled, grant->folder, FS_READ | FS_WRITE | FS_MAKE);
#ifdef KILN_COVERAGE
    ok = ok && grant_path(ruleset, handled, KILN_COVERAGE, FS_READ | FS_WRITE | FS_MAKE);
#endif
    return ok;
}

static bool landlock(const struct sandbox *sandbox, const struct sandbox_grant *grant)
{
    struct rules rules = rules_of(sandbox->abi, grant->has_network);
    int  ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, rules_bytes(sandbox->abi), 0);
    bool ok      = ruleset >= 0 && grant_all(sandbox, grant, ruleset, rules.fs)
              && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;

    if (ruleset >= 0)
        close(ruleset);
    return ok;
}

static int landlock_abi(int most)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return abi < 0 ? 0 : abi < most ? (int)abi : most;
}

/* ---- namespaces ---- */

unsigned long sandbox_clone_flags(const struct sandbox *sandbox, const struct sandbox_grant *grant)
{
    if (!sandbox->has_namespaces)
        return 0;
    return CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC
           | (grant->has_network ? 0UL : CLONE_NEWNET);
}

void sandbox_ids(struct sandbox_ids *ids)
{
    snprintf(ids->uid_map, sizeof ids->uid_map, "%u %u 1", geteuid(), geteuid());
    snprintf(ids->gid_map, sizeof ids->gid_map, "%u %u 1", getegid(), getegid());
}

static bool write_file(const char *path, const char *text)
{
    int  fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return ok;
}

/* The runner's memory, which this process is a copy of, stays closed to others but for this moment:
 * a process that is not dumpable cannot write its own uid_map. */
static bool map_ids(const struct sandbox_ids *ids)
{
    int  was = prctl(PR_GET_DUMPABLE);
    bool ok;

    prctl(PR_SET_DUMPABLE, 1);
    ok = write_file("/proc/self/setgroups", "deny")
         && write_file("/proc/self/uid_map", ids->uid_map)
         && write_file("/proc/self/gid_map", ids->gid_map);
    prctl(PR_SET_DUMPABLE, was > 0);
    return ok;
}

static bool set_mount(const char *path, unsigned flags, uint64_t set, uint64_t clear)
{
    struct mount_attr attr = { .attr_set = set, .attr_clr = clear };

    return syscall(SYS_mount_setattr, AT_FDCWD, path, flags, &attr, sizeof attr) == 0;
}

static bool open_mount(const char *path)
{
    return mount(path, path, NULL, MS_BIND, NULL) == 0
           && set_mount(path, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY);
}

/* A device is written through whatever mount it lies in. */
static bool open_mounts(const char *list)
{
    char        path[4096];
    struct stat st;
    bool        ok = true;

    while (ok && next_path(&list, path))
        ok = stat(path, &st) < 0 || !(S_ISDIR(st.st_mode) || S_ISREG(st.st_mode))
             || open_mount(path);
    return ok;
}

/* All is as it was, but only read: then nobody's mode, owner, time or length can be changed either,
 * which Landlock does not (or, before ABI 3, not wholly) look at. */
static bool mount_all(const struct sandbox_grant *grant)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0
        || !set_mount("/", AT_RECURSIVE, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, 0))
        return false;
#ifdef KILN_COVERAGE
    if (!open_mount(KILN_COVERAGE))
        return false;
#endif
    if ((grant->folder && !open_mount(grant->folder)) || !open_mounts(grant->writes))
        return false;
    if (mount("kiln", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=" SHM) < 0
        && errno != ENOENT)
        return false;
    return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
}

bool sandbox_enter(const struct sandbox *sandbox, const struct sandbox_grant *grant,
                   const struct sandbox_ids *ids)
{
    return !sandbox->has_namespaces || (map_ids(ids) && mount_all(grant));
}

bool sandbox_keep_inputs(const struct sandbox *sandbox, const struct sandbox_grant *grant)
{
    return !sandbox->has_namespaces || !grant->keeps_inputs
           || (mount("in", "in", NULL, MS_BIND, NULL) == 0
               && set_mount("in", 0, MOUNT_ATTR_RDONLY, 0));
}

/* ---- the child itself ---- */

/* Root keeps its number and loses its powers; others have none outside, and here lose those of
 * their namespace. */
static bool drop_powers(void)
{
    struct __user_cap_header_struct header  = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct   none[2] = { 0 };

    for (unsigned long power = 0; power < 64; power++)
        prctl(PR_CAPBSET_DROP, power, 0, 0, 0); /* refused to who has none to lose */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) == 0;
}

bool sandbox_confine(const struct sandbox *sandbox, const struct sandbox_grant *grant)
{
    if (sandbox->way == SANDBOX_BUBBLEWRAP)
        return sandbox_filter_fd(sandbox, grant);
    return drop_powers() && (sandbox->way != SANDBOX_LANDLOCK || landlock(sandbox, grant))
           && filter_load(&sandbox->filters[grant->has_network]);
}

/* ---- bubblewrap ---- */

bool sandbox_filter_fd(const struct sandbox *sandbox, const struct sandbox_grant *grant)
{
    /* bubblewrap reads to the end, and all copies of a descriptor share the place in the file. */
    char path[] = "/proc/self/fd/0000000000";
    int  fd     = sandbox->filters[grant->has_network].fd, own;

    for (char *at = path + sizeof path - 2; *at != '/'; at--, fd /= 10)
        *at = (char)('0' + fd % 10);
    for (char *at = strrchr(path, '/') + 1; *at == '0' && at[1] != '\0';)
        memmove(at, at + 1, strlen(at));
    own = open(path, O_RDONLY | O_CLOEXEC);
    return own >= 0 && dup2(own, SANDBOX_FILTER_FD) >= 0
           && fcntl(SANDBOX_FILTER_FD, F_SETFD, 0) == 0;
}

/* A command that grows; its texts that are not constants lie behind the list, in the same block. */
struct command {
    char **argv;
    size_t count;
    char  *text;
};

static void say(struct command *c, const char *word)
{
    c->argv[c->count++] = (char *)(uintptr_t)word;
}

static void bind(struct command *c, const char *how, const char *path)
{
    say(c, how);
    say(c, path);
    say(c, path);
}

static void bind_list(struct command *c, const char *how, const char *list)
{
    char path[4096];

    while (next_path(&list, path)) {
        char *kept = c->text;

        memcpy(kept, path, strlen(path) + 1);
        c->text += strlen(path) + 1;
        bind(c, how, kept);
    }
}

static void say_all(struct command *c, const char *const words[])
{
    for (size_t i = 0; words[i]; i++)
        say(c, words[i]);
}

static size_t length(const char *list)
{
    return list ? strlen(list) + 2 : 0;
}

char **sandbox_command(const struct sandbox_grant *grant, const char *path, char *const *argv)
{
    static const char *const first[] = { "bwrap",      "--unshare-all", "--die-with-parent",
                                         "--cap-drop", "ALL",           "--seccomp",
                                         "3",          "--proc",        "/proc",
                                         "--dev",      "/dev",          "--size",
                                         SHM,          "--tmpfs",       "/dev/shm",
                                         NULL };
    size_t                   nargs   = 0,
           texts = length(grant->reads) + length(grant->writes) + length(grant->folder) + 8;
    size_t         most;
    struct command c = { 0 };

    while (argv[nargs])
        nargs++;
    /* Three words a place: of the table, and of the lists, in which a path takes two bytes at
     * least. */
    most   = countof(first) + 3 * (countof(places) + texts / 2) + 24 + nargs;
    c.argv = calloc(1, most * sizeof *c.argv + texts);
    if (!c.argv)
        abort();
    c.text = (char *)(c.argv + most);
    say_all(&c, first);
    if (grant->has_network)
        say(&c, "--share-net");
    for (size_t i = 0; i < countof(places); i++)
        if (strncmp(places[i].path, "/dev/", 5) != 0)
            bind(&c, "--ro-bind-try", places[i].path);
    bind_list(&c, "--ro-bind-try", grant->reads);
    bind_list(&c, "--dev-bind-try", grant->writes);
    if (grant->folder) {
        bind(&c, "--bind", grant->folder);
        if (grant->keeps_inputs) {
            char *in = c.text;

            sprintf(in, "%s/in", grant->folder);
            bind(&c, "--ro-bind-try", in);
        }
        say_all(&c, (const char *const[]) { "--chdir", grant->folder, NULL });
    }
    say_all(&c, (const char *const[]) { "--remount-ro", "/dev", "--remount-ro", "/", "--", path,
                                        NULL });
    for (size_t i = 1; i < nargs; i++)
        say(&c, argv[i]);
    return c.argv;
}

/* ---- trying ---- */

static pid_t fork_with(unsigned long flags)
{
    return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static bool is_done_well(pid_t pid)
{
    int status;

    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status)
           && WEXITSTATUS(status) == 0;
}

static _Noreturn void try_in_child(const struct sandbox *sandbox, const struct sandbox_ids *ids)
{
    static const struct sandbox_grant grant = { 0 };

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || !sandbox_enter(sandbox, &grant, ids)
        || !sandbox_confine(sandbox, &grant))
        _exit(1);
    _exit(0);
}

static bool works(const struct sandbox *sandbox)
{
    static const struct sandbox_grant grant = { 0 };
    struct sandbox_ids                ids   = { { 0 }, { 0 } };
    pid_t                             pid;

    sandbox_ids(&ids);
    pid = fork_with(sandbox_clone_flags(sandbox, &grant));
    if (pid == 0)
        try_in_child(sandbox, &ids);
    return is_done_well(pid);
}

static bool bubblewrap_works(const struct sandbox *sandbox)
{
    static const struct sandbox_grant grant   = { 0 };
    char                             *argv[]  = { "true", NULL };
    char                             *env[]   = { NULL };
    char                            **command = sandbox_command(&grant, "/bin/true", argv);
    pid_t                             pid     = fork();
    bool                              ok;

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        dup2(null, STDERR_FILENO);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && sandbox_filter_fd(sandbox, &grant)) {
            close_range(SANDBOX_FILTER_FD + 1, ~0U, 0);
            execve(sandbox->bubblewrap, command, env);
        }
        _exit(1);
    }
    ok = is_done_well(pid);
    free(command);
    return ok;
}

static bool build_filters(struct sandbox *sandbox, struct err *err)
{
    for (size_t i = 0; i < 2; i++) {
        struct filter_options options = {
            .has_network    = i == 1,
            .has_own_mounts = sandbox->has_namespaces || sandbox->way == SANDBOX_BUBBLEWRAP,
            .has_own_pids   = sandbox->has_namespaces || sandbox->way == SANDBOX_BUBBLEWRAP,
            .has_truncate   = sandbox->abi >= 3,
        };

        filter_free(&sandbox->filters[i]);
        if (!filter_build(&sandbox->filters[i], &options, err))
            return false;
    }
    return true;
}

/* The strongest that works; false: nothing but *err is to be said. */
static bool choose(struct sandbox *sandbox, const struct sandbox_options *options, struct err *err)
{
    const struct {
        enum sandbox_way way;
        bool             has_namespaces;
    } ways[] = {
        { SANDBOX_LANDLOCK, true }, { SANDBOX_LANDLOCK, false }, { SANDBOX_BUBBLEWRAP, false },
        { SANDBOX_NONE, true },     { SANDBOX_NONE, false },
    };
    int abi = landlock_abi(options->landlock_most);

    for (size_t i = 0; i < countof(ways); i++) {
        sandbox->way            = ways[i].way;
        sandbox->has_namespaces = ways[i].has_namespaces;
        sandbox->abi            = sandbox->way == SANDBOX_LANDLOCK ? abi : 0;
        if ((sandbox->way == SANDBOX_LANDLOCK && abi < 1)
            || (sandbox->has_namespaces && !options->has_namespaces)
            || (sandbox->way == SANDBOX_BUBBLEWRAP
                && (!options->has_bubblewrap || access(BUBBLEWRAP, X_OK) < 0)))
            continue;
        if (!build_filters(sandbox, err))
            return false;
        if (sandbox->way == SANDBOX_BUBBLEWRAP ? bubblewrap_works(sandbox) : works(sandbox))
            return true;
    }
    for (size_t i = 0; i < 2; i++) /* a kernel without seccomp */
        filter_free(&sandbox->filters[i]);
    return true;
}

bool sandbox_open(struct sandbox *sandbox, const struct sandbox_options *options, struct err *err)
{
    *sandbox = (struct sandbox) { .bubblewrap = BUBBLEWRAP };
    for (size_t i = 0; i < 2; i++)
        sandbox->filters[i].fd = -1;
    if (!choose(sandbox, options, err)) {
        sandbox_close(sandbox);
        return false;
    }
    if (sandbox->way == SANDBOX_LANDLOCK)
        snprintf(sandbox->word, sizeof sandbox->word, "landlock %d, %s", sandbox->abi,
                 sandbox->has_namespaces ? "own namespaces" : "no namespaces");
    else
        snprintf(sandbox->word, sizeof sandbox->word, "%s", sandbox_name(sandbox));
    return true;
}

void sandbox_close(struct sandbox *sandbox)
{
    for (size_t i = 0; i < 2; i++)
        filter_free(&sandbox->filters[i]);
}

const char *sandbox_name(const struct sandbox *sandbox)
{
    static const char *const names[] = { "none", "landlock", "bubblewrap" };

    return names[sandbox->way];
}
