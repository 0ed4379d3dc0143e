/*
 * sandbox: what a program that works on strangers' files may do: a tool of an exec stage,
 * kiln-media.
 *
 *   files system folders and the tool's own are read and executed, the work folder is written,
 *   nothing else:
 *               Landlock (from ABI 1), or bubblewrap where the kernel has none
 *   calls       a filter (filter.h), with both
 *   neighbours  processes, mounts, network, users of its own (namespaces), where the kernel lets us
 *
 * sandbox_open() tries each in a child, once, at start; what does not work there is not used.
 *
 * Ownership: sandbox_open() to sandbox_close().
 */
#ifndef RUNNER_SANDBOX_H
#define RUNNER_SANDBOX_H

#include <sys/types.h>

#include "lib/base.h"
#include "lib/err.h"
#include "pipeline_runner/exec/filter.h"

enum sandbox_way { SANDBOX_NONE, SANDBOX_LANDLOCK, SANDBOX_BUBBLEWRAP };

struct sandbox_options {
    int  landlock_most; /* no higher ABI than this; 0 = none. Tests take that of an older kernel. */
    bool has_bubblewrap; /* may be used */
    bool has_namespaces; /* may be used */
};

#define SANDBOX_ANY ((struct sandbox_options) { 7, true, true })

struct sandbox {
    enum sandbox_way way;
    int              abi;            /* of Landlock, at most 7 */
    bool             has_namespaces; /* its own, around each child; bubblewrap makes some itself */
    const char      *bubblewrap;     /* its path */
    struct filter    filters[2];     /* [has_network] */
    char             word[64];       /* for people: "landlock 7, own namespaces" */
};

/* What one child is given. */
struct sandbox_grant {
    const char *folder; /* absolute; written. NULL: none */
    const char *reads;  /* paths divided by colons: read and executed */
    const char *writes; /* the same: read and written, devices too */
    bool        has_network;
    bool keeps_inputs; /* in/ of the folder is only read, where there are mounts of its own */
};

MUST_CHECK bool sandbox_open(struct sandbox *sandbox, const struct sandbox_options *options,
                             struct err *err);
void            sandbox_close(struct sandbox *sandbox);

const char *sandbox_name(const struct sandbox *sandbox); /* none, landlock, bubblewrap */

/* ---- in the child, by spawn.c; async-signal-safe; false: errno ---- */

/* For clone(2). */
unsigned long sandbox_clone_flags(const struct sandbox *sandbox, const struct sandbox_grant *grant);

/* The user's number inside is the one outside. */
struct sandbox_ids {
    char uid_map[48], gid_map[48];
};
void sandbox_ids(struct sandbox_ids *ids);

/* The first process of the namespaces sets them up: users, mounts, /proc. */
MUST_CHECK bool sandbox_enter(const struct sandbox *sandbox, const struct sandbox_grant *grant,
                              const struct sandbox_ids *ids);

/* Once the inputs lie in the folder. */
MUST_CHECK bool sandbox_keep_inputs(const struct sandbox       *sandbox,
                                    const struct sandbox_grant *grant);

/* Confines the calling process, which then may only execute. With bubblewrap that confines itself:
 * see below. */
MUST_CHECK bool sandbox_confine(const struct sandbox *sandbox, const struct sandbox_grant *grant);

/* ---- bubblewrap ---- */

#define SANDBOX_FILTER_FD 3 /* where bubblewrap finds the filter */

/* The command that runs path with argv under bubblewrap; one block of memory, to be freed. */
char **sandbox_command(const struct sandbox_grant *grant, const char *path, char *const *argv);

/* The filter as SANDBOX_FILTER_FD of the calling process. */
MUST_CHECK bool sandbox_filter_fd(const struct sandbox *sandbox, const struct sandbox_grant *grant);

#endif
