/*
 * child: the environment and the limits of a child process that runs a tool or kiln-media.
 */
#ifndef RUNNER_CHILD_H
#define RUNNER_CHILD_H

#include "lib/arena.h"
#include "lib/base.h"
#include "pipeline_runner/exec/proc.h"

/* The whole environment of a child, NULL-ended, in the arena: PATH HOME TMPDIR LANG and nothing of
 * the runner's. */
char **child_environment(struct arena *arena, const char *tools, const char *folder);

/* For struct spawn. */
uint64_t child_memory_bytes(int memory_mb);
uint64_t child_folder_bytes(int disk_mb);
#define CHILD_ENTRIES_MOST 10000

/* The sentence for PROC_EXCESSIVE; disk_mb: KILN_TOOLS_DISK_MB. */
const char *child_excess(int disk_mb, const struct proc_end *end, char message[128]);

/* The program `name` in the first of the folders (separated by colons) that has it; NULL: none. A
 * name with a slash is never found: a stage's configuration says which tool, the operator's
 * KILN_TOOLS says where tools may lie. */
char *child_find_program(struct arena *arena, const char *folders, const char *name);

#endif
