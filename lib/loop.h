/*
 * loop: one thread, one epoll, shared by server and runner.
 *
 * Ownership: watches, timers and tasks are embedded in the caller's structs; the loop only points
 *            at them. Stop, delete or let them run out before their memory goes. A watch deleted in
 *            the middle of a turn gets no further call in that turn, so a callback may free another
 *            one's owner.
 * Threads:   one. Nothing here may be called from another thread or from a signal handler.
 * Bound:     512 events a turn; the rest comes with the next epoll_wait.
 */
#ifndef KILN_LOOP_H
#define KILN_LOOP_H

#include <sys/epoll.h>

#include "lib/base.h"
#include "lib/err.h"

struct loop;

struct loop *loop_open(struct err *err);
void         loop_close(struct loop *loop);

/* Runs until loop_stop(); what was deferred before the stop is still run. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* ---- file descriptors ---- */
struct loop_watch {
    void (*on_event)(void    *ctx,
                     uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR */
    void    *ctx;
    int      fd;
    uint32_t events;  /* what the kernel has been asked for; 0 and fd -1 when not added */
    bool     is_copy; /* fd is the loop's own, see loop_add_copy() */
};

/* Fill on_event and ctx first. Adding again, or another fd, is loop_del() and then loop_add(). */
MUST_CHECK bool loop_add(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
                         struct err *err);

/* For a descriptor that others close, when they like: libpq at an error, libcurl before it says so.
 * Its number may then be another's, whom a loop_del() would blind; and while a child has a copy of
 * it, the kernel goes on reporting it to a watch that can be deleted no more. So a copy is watched,
 * which loop_del() closes. */
MUST_CHECK bool loop_add_copy(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
                              struct err *err);
void            loop_mod(struct loop *loop, struct loop_watch *watch, uint32_t events);
void loop_del(struct loop *loop, struct loop_watch *watch); /* before close(fd); twice is fine */

/* ---- timers: one shot, CLOCK_MONOTONIC ---- */
struct loop_timer {
    void (*on_time)(void *ctx);
    void    *ctx;
    uint64_t due_ns;
    size_t   slot; /* place in the heap + 1; 0 = not set */
};

/* Sets or moves it. 0 runs in the next turn, never at once. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms);
void loop_timer_at(struct loop *loop, struct loop_timer *timer,
                   uint64_t due_ns); /* as base_now_ns() counts */
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

/* ---- deferred: once at the end of this turn, however often it is asked for ---- */
struct loop_task {
    void (*on_turn_end)(void *ctx);
    void             *ctx;
    struct loop_task *next;
    bool              is_queued;
};

void loop_defer(struct loop *loop, struct loop_task *task);
void loop_defer_cancel(struct loop *loop, struct loop_task *task); /* before its memory goes */

/* ---- signals: SIGTERM, SIGINT, SIGHUP, SIGCHLD by signalfd ---- Blocks signo in the process. A
 * child inherits the mask: clear it between fork and exec (loop_child_signals). SIGCHLD coalesces:
 * reap with waitpid(-1, …, WNOHANG) until nothing is left. */
MUST_CHECK bool loop_on_signal(struct loop *loop, int                         signo,
                               void (*on_signal)(void *ctx, int signo), void *ctx, struct err *err);
void            loop_child_signals(void); /* async-signal-safe */

#endif
