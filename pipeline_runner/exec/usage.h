/*
 * usage: what a tool takes of the machine: bytes and entries of its work folder, processes.
 *
 * Called between fork and exec: allocates nothing.
 */
#ifndef RUNNER_USAGE_H
#define RUNNER_USAGE_H

#include "lib/base.h"

struct usage {
    uint64_t bytes;
    uint64_t entries; /* files, folders and links */
    uint64_t processes;
};

/* Adds what lies below the folder; stops where *usage has more than *most. */
void usage_add_folder(struct usage *usage, const char *folder, const struct usage *most);

/* Adds the processes of this process namespace but the caller, and the bytes of files of the
 * folder's file system that they hold open and whose name is gone. /proc has to be the namespace's
 * own. */
void usage_add_processes(struct usage *usage, const char *folder);

#endif
