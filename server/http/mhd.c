/*
 * mhd: the listening socket, the epoll descriptor and the timer of libmicrohttpd.
 */
#include "server/http/mhd.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct mhd {
    struct loop       *loop;
    struct MHD_Daemon *daemon;
    struct loop_watch  watch;
    struct loop_timer  timer;
    struct loop_task   run;
};

static void run(void *ctx)
{
    struct mhd            *mhd = ctx;
    MHD_UNSIGNED_LONG_LONG ms;

    MHD_run(mhd->daemon);
    if (MHD_get_timeout(mhd->daemon, &ms) == MHD_YES)
        loop_timer_set(mhd->loop, &mhd->timer, ms);
    else
        loop_timer_stop(mhd->loop, &mhd->timer);
}

void mhd_run_again(struct mhd *mhd)
{
    loop_defer(mhd->loop, &mhd->run);
}

static void on_time(void *ctx)
{
    mhd_run_again(ctx);
}

static void on_socket(void *ctx, uint32_t events)
{
    (void)events;
    mhd_run_again(ctx);
}

/* ---- listening ---- */

static bool parse_address(const char *bind, int port, struct sockaddr_storage *address,
                          socklen_t *bytes)
{
    struct sockaddr_in  *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

    memset(address, 0, sizeof(*address));
    if (inet_pton(AF_INET, bind, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port   = htons((uint16_t)port);
        *bytes         = sizeof(*v4);
        return true;
    }
    if (inet_pton(AF_INET6, bind, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port   = htons((uint16_t)port);
        *bytes          = sizeof(*v6);
        return true;
    }
    return false;
}

int mhd_listen(const char *bind_to, int port, struct err *err)
{
    struct sockaddr_storage address;
    socklen_t               bytes;
    char                    what[100];
    int                     one = 1, fd;

    if (!parse_address(bind_to, port, &address, &bytes)) {
        err_set(err, "F0000", "KILN_BIND must be an IPv4 or IPv6 address");
        return -1;
    }
    snprintf(what, sizeof(what), "on %s port %d", bind_to, port);
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0
        || bind(fd, (struct sockaddr *)&address, bytes) < 0 || listen(fd, 4096) < 0) {
        err_errno(err, "listen", what);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* ---- opening and closing ---- */

struct mhd *mhd_open(struct loop *loop, struct MHD_Daemon *daemon, struct err *err)
{
    struct mhd                 *mhd  = calloc(1, sizeof(*mhd));
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);

    if (!mhd)
        abort();
    mhd->loop   = loop;
    mhd->daemon = daemon;
    mhd->watch  = (struct loop_watch) { .on_event = on_socket, .ctx = mhd, .fd = -1 };
    mhd->timer  = (struct loop_timer) { .on_time = on_time, .ctx = mhd };
    mhd->run    = (struct loop_task) { .on_turn_end = run, .ctx = mhd };
    if (info && loop_add(loop, &mhd->watch, info->epoll_fd, EPOLLIN, err))
        return mhd;
    free(mhd);
    return NULL;
}

void mhd_stop_accepting(struct mhd *mhd)
{
    int fd = MHD_quiesce_daemon(mhd->daemon);

    if (fd >= 0)
        close(fd);
    mhd_run_again(mhd);
}

void mhd_close(struct mhd *mhd)
{
    if (!mhd)
        return;
    loop_del(mhd->loop, &mhd->watch);
    loop_timer_stop(mhd->loop, &mhd->timer);
    loop_defer_cancel(mhd->loop, &mhd->run);
    MHD_stop_daemon(mhd->daemon);
    free(mhd);
}
