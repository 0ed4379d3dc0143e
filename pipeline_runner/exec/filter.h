/*
 * filter: which system calls a tool may make: a seccomp program, written by libseccomp.
 *
 * What it lists is refused with an errno that a library expects there (EPERM, or EAFNOSUPPORT for
 * sockets); all else passes. It is made once, before any fork; loading it is one prctl(2), which is
 * async-signal-safe.
 *
 * Ownership: filter_build() to filter_free().
 */
#ifndef RUNNER_FILTER_H
#define RUNNER_FILTER_H

#include <linux/filter.h>
#include <sys/types.h>

#include "lib/base.h"
#include "lib/err.h"

struct filter {
    struct sock_fprog program;
    int               fd; /* the same in a file without a name, for bubblewrap */
};

struct filter_options {
    bool has_network; /* sockets of IPv4 and IPv6; else none */
    bool
        has_own_mounts; /* all but the work folder is mounted read-only: modes of others are safe */
    bool has_own_pids;  /* it sees no process but its own */
    bool has_truncate;  /* Landlock looks at truncate(2) (from ABI 3) */
};

MUST_CHECK bool filter_build(struct filter *filter, const struct filter_options *options,
                             struct err *err);
void            filter_free(struct filter *filter);

/* Puts the calling process under it, for ever. False: errno. Async-signal-safe. */
MUST_CHECK bool filter_load(const struct filter *filter);

#endif
