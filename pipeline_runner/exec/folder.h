/*
 * folder: a task's private folder, $KILN_HOME/work/<task_id>-<fence>/ with in/ and out/.
 *
 * Ownership: folder_make() to folder_remove(). In between the folder is locked; the lock goes with
 *            the process, so folder_sweep() of another runner can tell the folders of the dead from
 *            those of the living.
 */
#ifndef RUNNER_FOLDER_H
#define RUNNER_FOLDER_H

#include "lib/base.h"
#include "lib/err.h"

struct folder {
    int  fd; /* -1 = none */
    int  parent_fd;
    char name[48];
    char path[4096];
};

MUST_CHECK bool folder_make(struct folder *folder, const char *work_folder, int64_t task_id,
                            int64_t fence, struct err *err);
void            folder_remove(struct folder *folder);

/* Makes work_folder where it is missing, removes the folders of dead runners and ends what still
 * runs in them. */
MUST_CHECK bool folder_sweep(const char *work_folder, struct err *err);

#endif
