/*
 * mhd: libmicrohttpd in our event loop.
 *
 * MHD has no thread of its own: its epoll descriptor is watched in our loop, and MHD_run() is
 * called at the end of an iteration. A resumed connection does not wake it (0.9.75), so whatever
 * changes a connection outside of MHD's callbacks asks for another run.
 */
#ifndef KILN_MHD_H
#define KILN_MHD_H

#include <microhttpd.h>

#include "lib/base.h"
#include "lib/err.h"
#include "lib/loop.h"

struct mhd;

/* A listening socket; -1: *err says why. Our own, so that the reason of a failure can be told, and
 * so that a restart finds the port free. */
int mhd_listen(const char *bind_to, int port, struct err *err);

/* Runs a daemon that was started with MHD_USE_EPOLL. NULL: it cannot be watched. */
struct mhd *mhd_open(struct loop *loop, struct MHD_Daemon *daemon, struct err *err);
void        mhd_stop_accepting(struct mhd *mhd);
void        mhd_close(struct mhd *mhd); /* stops the daemon */

/* MHD has something to do that no descriptor tells it of. */
void mhd_run_again(struct mhd *mhd);

#endif
