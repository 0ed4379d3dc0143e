/*
 * tool: the handlers `exec` and `media`: one child process a task, in a folder of its own.
 */
#ifndef RUNNER_TOOL_H
#define RUNNER_TOOL_H

#include "proc.h"
#include "task.h"

void exec_start(struct task *task);
void media_start(struct task *task);
void tool_stop(struct task *task);

/* The whole environment of a child, NULL-ended, in the arena: PATH HOME TMPDIR LANG and nothing of
 * the runner's. */
char **tool_environment(struct arena *arena, const char *tools, const char *folder);

/* For struct spawn. */
uint64_t tool_memory_bytes(int memory_mb);
uint64_t tool_folder_bytes(const struct runner *runner);
#define TOOL_ENTRIES_MOST 10000

/* The sentence for PROC_EXCESSIVE. */
const char *tool_excess(const struct runner *runner, const struct proc_end *end, char message[128]);

/* The program `name` in the first of the folders (separated by colons) that has it; NULL: none. A
 * name with a slash is never found: a stage's configuration says which tool, the operator's
 * KILN_TOOLS says where tools may lie. */
char *tool_find(struct arena *arena, const char *folders, const char *name);

#endif
