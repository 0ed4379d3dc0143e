/*
 * filter: the list of calls, and how libseccomp makes a program of it.
 */
#include "pipeline_runner/exec/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAMESPACES 0x7e020000U /* CLONE_NEW*, as far as clone(2) takes them */

#define FAMILIES 64                /* of sockets; the kernel has some 46 */
#define NOTHING  SCMP_ACT_ERRNO(0) /* answers success and does nothing */
#define REFUSE   SCMP_ACT_ERRNO(EPERM)

/* Refused to every tool. Names that the libseccomp of Debian 12 does not know carry their number,
 * which is the same on all processors from 424 on. */
static const struct call {
    const char *name;
    int         number;
} never[] = {
    /* other processes */
    { "ptrace", 0 },
    { "process_vm_readv", 0 },
    { "process_vm_writev", 0 },
    { "process_madvise", 440 },
    { "process_mrelease", 448 },
    { "kcmp", 0 },
    { "pidfd_getfd", 438 },
    { "migrate_pages", 0 },
    { "move_pages", 0 },
    /* the kernel and the machine */
    { "kexec_load", 0 },
    { "kexec_file_load", 0 },
    { "init_module", 0 },
    { "finit_module", 0 },
    { "delete_module", 0 },
    { "reboot", 0 },
    { "swapon", 0 },
    { "swapoff", 0 },
    { "acct", 0 },
    { "quotactl", 0 },
    { "quotactl_fd", 443 },
    { "syslog", 0 },
    { "sethostname", 0 },
    { "setdomainname", 0 },
    { "settimeofday", 0 },
    { "clock_settime", 0 },
    { "iopl", 0 },
    { "ioperm", 0 },
    { "vhangup", 0 },
    { "bpf", 0 },
    { "perf_event_open", 0 },
    { "userfaultfd", 0 },
    { "keyctl", 0 },
    { "add_key", 0 },
    { "request_key", 0 },
    { "lookup_dcookie", 0 },
    { "modify_ldt", 0 },
    /* mounts and namespaces */
    { "mount", 0 },
    { "umount", 0 },
    { "umount2", 0 },
    { "pivot_root", 0 },
    { "chroot", 0 },
    { "move_mount", 429 },
    { "open_tree", 428 },
    { "open_tree_attr", 467 },
    { "fsopen", 430 },
    { "fsconfig", 431 },
    { "fsmount", 432 },
    { "fspick", 433 },
    { "mount_setattr", 442 },
    { "unshare", 0 },
    { "setns", 0 },
    /* files by another way than their path, and looking on as others work */
    { "name_to_handle_at", 0 },
    { "open_by_handle_at", 0 },
    { "fanotify_init", 0 },
    { "fanotify_mark", 0 },
    { "inotify_add_watch", 0 },
    /* memory that all processes of a user share: PostgreSQL's lies there */
    { "shmget", 0 },
    { "shmat", 0 },
    { "shmctl", 0 },
    { "semget", 0 },
    { "semctl", 0 },
    { "semop", 0 },
    { "semtimedop", 0 },
    { "msgget", 0 },
    { "msgctl", 0 },
    { "msgsnd", 0 },
    { "msgrcv", 0 },
    { "mq_open", 0 },
    { "mq_unlink", 0 },
},
  /* A program that hears of these takes the older call, whose arguments the filter can see. */
    unknown[] = {
        { "clone3", 435 },         { "openat2", 437 },           { "io_uring_setup", 425 },
        { "io_uring_enter", 426 }, { "io_uring_register", 427 },
    },
  /* Where the files of others can be named, their modes must not be changed (Landlock does not look
   * at that). A tool's own modes mean nothing: its folder is removed, and nothing in it can be
   * executed. */
    modes[] = {
        { "chmod", 0 },        { "fchmod", 0 },          { "fchmodat", 0 },   { "fchmodat2", 452 },
        { "chown", 0 },        { "lchown", 0 },          { "fchown", 0 },     { "fchownat", 0 },
        { "utime", 0 },        { "utimes", 0 },          { "futimesat", 0 },  { "utimensat", 0 },
        { "setxattr", 0 },     { "lsetxattr", 0 },       { "fsetxattr", 0 },  { "removexattr", 0 },
        { "lremovexattr", 0 }, { "fremovexattr", 0 },    { "setxattrat", 463 },
        { "removexattrat", 466 }, { "file_setattr", 469 },
    },
  /* Where the processes of others can be named. */
    strangers[] = {
        { "setsid", 0 },           { "setpgid", 0 },         { "tkill", 0 },
        { "rt_sigqueueinfo", 0 },  { "rt_tgsigqueueinfo", 0 }, { "pidfd_open", 434 },
        { "pidfd_send_signal", 424 }, { "ioprio_set", 0 },   { "sched_setscheduler", 0 },
        { "sched_setattr", 0 },    { "sched_setparam", 0 },
    };

struct build {
    scmp_filter_ctx context;
    int             error; /* of the first rule that could not be added, negative */
};

static void add(struct build *b, uint32_t action, const char *name, int number, unsigned count,
                const struct scmp_arg_cmp *arguments)
{
    int known = seccomp_syscall_resolve_name(name), error;

    if (known == __NR_SCMP_ERROR)
        known = number;
    if (known == __NR_SCMP_ERROR || known < 0 || (known == 0 && strcmp(name, "read") != 0))
        return; /* this processor has no such call */
    error = seccomp_rule_add_array(b->context, action, known, count, arguments);
    if (error < 0 && b->error == 0)
        b->error = error;
}

static void add_all(struct build *b, uint32_t action, const struct call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(b, action, calls[i].name, calls[i].number, 0, NULL);
}

static void add_if(struct build *b, uint32_t action, const char *name, struct scmp_arg_cmp argument)
{
    add(b, action, name, 0, 1, &argument);
}

/* The kernel reads an int from the lower half of the register: so must the filter. */
#define INT_IS(n, value)     SCMP_CMP32((n), SCMP_CMP_EQ, (uint32_t)(value), 0)
#define INT_IS_NOT(n, value) SCMP_CMP32((n), SCMP_CMP_NE, (uint32_t)(value), 0)
#define HAS(n, mask, value)  SCMP_CMP64((n), SCMP_CMP_MASKED_EQ, (mask), (value))

/* A pair of connected stream sockets reaches nobody else; a datagram socket can be sent
 * anywhere. */
static void add_sockets(struct build *b, bool has_network)
{
    const uint32_t action = SCMP_ACT_ERRNO(EAFNOSUPPORT);

    if (!has_network)
        add(b, action, "socket", 0, 0, NULL);
    for (int family = 0; has_network && family < FAMILIES; family++) /* a rule compares once */
        if (family != AF_INET && family != AF_INET6)
            add_if(b, action, "socket", INT_IS(0, family));
    if (has_network) {
        add_if(b, action, "socket", SCMP_CMP32(0, SCMP_CMP_GE, FAMILIES, 0));
        add_if(b, action, "socket", HAS(1, 0xf, SOCK_RAW));
    }
    add_if(b, action, "socketpair", HAS(1, 0xf, SOCK_DGRAM));
    add_if(b, action, "socketpair", INT_IS_NOT(0, AF_UNIX));
}

static void add_memory_and_terminals(struct build *b)
{
    add_if(b, REFUSE, "ioctl", INT_IS(1, TIOCSTI));
    add_if(b, REFUSE, "ioctl", INT_IS(1, 0x541C)); /* TIOCLINUX */
    for (uint64_t flag = 1; flag != 0 && flag <= NAMESPACES; flag <<= 1)
        if (flag & NAMESPACES)
            add_if(b, REFUSE, "clone", HAS(0, flag, flag));
}

/* What the walk through the work folder cannot see: room without bytes, and files that have no name
 * from the start. */
static void add_hidden_bytes(struct build *b)
{
    const uint64_t unnamed = O_TMPFILE & ~(uint64_t)O_DIRECTORY;

    add(b, SCMP_ACT_ERRNO(EOPNOTSUPP), "fallocate", 0, 0, NULL);
    add_if(b, SCMP_ACT_ERRNO(EOPNOTSUPP), "open", HAS(1, unnamed, unnamed));
    add_if(b, SCMP_ACT_ERRNO(EOPNOTSUPP), "openat", HAS(2, unnamed, unnamed));
}

static void add_truncate(struct build *b)
{
    const uint64_t both = O_ACCMODE | O_TRUNC;

    add(b, REFUSE, "truncate", 0, 0, NULL);
    add_if(b, REFUSE, "open", HAS(1, both, O_TRUNC)); /* O_RDONLY | O_TRUNC truncates too */
    add_if(b, REFUSE, "openat", HAS(2, both, O_TRUNC));
}

/* Of processes of the same user the runner itself is out of reach, and so is "all"; a process of
 * another tool is not, where the kernel has neither namespaces for us nor ABI 6 of Landlock. Nobody
 * is stopped: the program's own watcher, stopped, would count no bytes any more; one that is killed
 * takes the program along. */
static void add_strangers(struct build *b)
{
    const pid_t out_of_reach[] = { getpid(), -1, 1, -getpgrp() };
    const int   stops[]        = { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };

    add_all(b, REFUSE, strangers, countof(strangers));
    for (size_t i = 0; i < countof(out_of_reach); i++)
        add_if(b, REFUSE, "kill", INT_IS(0, out_of_reach[i]));
    add_if(b, REFUSE, "tgkill", INT_IS(0, getpid()));
    for (size_t i = 0; i < countof(stops); i++) {
        add_if(b, REFUSE, "kill", INT_IS(1, stops[i]));
        add_if(b, REFUSE, "tgkill", INT_IS(2, stops[i]));
    }
    add_if(b, REFUSE, "prlimit64", INT_IS_NOT(0, 0));
    add_if(b, REFUSE, "setpriority", INT_IS(0, PRIO_USER));
    add_if(b, REFUSE, "setpriority", INT_IS_NOT(1, 0));
}

static bool take_program(struct filter *filter, scmp_filter_ctx context, struct err *err)
{
    off_t bytes;
    int   error;

    filter->fd = memfd_create("kiln-filter", MFD_CLOEXEC);
    if (filter->fd < 0) {
        err_errno(err, "make", "a file without a name");
        return false;
    }
    error = seccomp_export_bpf(context, filter->fd);
    bytes = lseek(filter->fd, 0, SEEK_END);
    if (error < 0 || bytes <= 0) {
        err_set(err, "F0000", "libseccomp cannot write the filter of system calls: %s",
                strerror(-error));
        return false;
    }
    filter->program.filter = malloc((size_t)bytes);
    if (!filter->program.filter)
        abort();
    filter->program.len = (unsigned short)((size_t)bytes / sizeof *filter->program.filter);
    if (pread(filter->fd, filter->program.filter, (size_t)bytes, 0) != bytes) {
        err_errno(err, "read", "the filter of system calls");
        return false;
    }
    return true;
}

bool filter_build(struct filter *filter, const struct filter_options *options, struct err *err)
{
    struct build b  = { .context = seccomp_init(SCMP_ACT_ALLOW) };
    bool         ok = false;

    *filter = (struct filter) { .fd = -1 };
    if (!b.context)
        abort();
    /* Programs for another processor's calls (i386, x32) would pass by all of this. */
    (void)seccomp_attr_set(b.context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    (void)seccomp_attr_set(b.context, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
    add_all(&b, REFUSE, never, countof(never));
    add_all(&b, SCMP_ACT_ERRNO(ENOSYS), unknown, countof(unknown));
    add_sockets(&b, options->has_network);
    add_memory_and_terminals(&b);
    add_hidden_bytes(&b);
    if (!options->has_own_mounts)
        add_all(&b, NOTHING, modes, countof(modes));
    if (!options->has_own_mounts && !options->has_truncate)
        add_truncate(&b);
    if (!options->has_own_pids)
        add_strangers(&b);
    if (b.error < 0)
        err_set(err, "F0000", "libseccomp takes a rule not: %s", strerror(-b.error));
    else
        ok = take_program(filter, b.context, err);
    seccomp_release(b.context);
    if (!ok)
        filter_free(filter);
    return ok;
}

void filter_free(struct filter *filter)
{
    free(filter->program.filter);
    if (filter->fd > 0)
        close(filter->fd);
    *filter = (struct filter) { .fd = -1 };
}

bool filter_load(const struct filter *filter)
{
    return filter->program.len == 0
           || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter->program, 0, 0) == 0;
}
