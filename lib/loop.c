/*
 * loop: epoll, a heap of timers, a list of things to do at the end of the turn.
 *
 * One turn: wait → timers that are due → events → deferred tasks. Deferred tasks may defer others
 * (MHD runs, a handler sends a query, the link wants its flush), so the list is walked a few
 * rounds; what is left then makes the next wait return at once, so no pair of tasks can keep
 * sockets from being looked at.
 */
#include "lib/loop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EVENTS_A_TURN 512
#define ROUNDS_A_TURN 8

struct signal_handler {
    void (*on_signal)(void *ctx, int signo);
    void *ctx;
};

struct loop {
    int                epoll_fd;
    bool               is_stopping;
    bool               has_no_pwait2; /* a kernel or a container's filter without epoll_pwait2 */
    struct epoll_event ready[EVENTS_A_TURN];
    int                nready, at;

    struct loop_timer **heap;
    size_t              ntimers, heap_size;

    struct loop_task *first_task, **last_task;

    sigset_t              signals;
    struct loop_watch     signal_watch;
    struct signal_handler handlers[32];
};

static void stop_watching(struct loop_watch *watch)
{
    watch->fd      = -1;
    watch->events  = 0;
    watch->is_copy = false;
}

struct loop *loop_open(struct err *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        abort();
    loop->last_task = &loop->first_task;
    sigemptyset(&loop->signals);
    stop_watching(&loop->signal_watch);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        err_errno(err, "create", "epoll");
        free(loop);
        return NULL;
    }
    return loop;
}

void loop_close(struct loop *loop)
{
    if (!loop)
        return;
    if (loop->signal_watch.fd >= 0)
        close(loop->signal_watch.fd);
    close(loop->epoll_fd);
    free(loop->heap);
    free(loop);
}

/* ---- file descriptors ---- */

bool loop_add(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events, struct err *err)
{
    struct epoll_event event = { .events = events, .data.ptr = watch };

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        err_errno(err, "watch", "a descriptor");
        stop_watching(watch);
        return false;
    }
    watch->fd      = fd;
    watch->events  = events;
    watch->is_copy = false;
    return true;
}

bool loop_add_copy(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
                   struct err *err)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (copy < 0) {
        err_errno(err, "copy", "a descriptor");
        stop_watching(watch);
        return false;
    }
    if (!loop_add(loop, watch, copy, events, err)) {
        close(copy);
        return false;
    }
    watch->is_copy = true;
    return true;
}

void loop_mod(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = watch };

    if (watch->fd < 0 || watch->events == events)
        return;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) == 0)
        watch->events = events;
}

void loop_del(struct loop *loop, struct loop_watch *watch)
{
    if (watch->fd < 0)
        return;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    if (watch->is_copy)
        close(watch->fd);
    stop_watching(watch);
    for (int i = loop->at; i < loop->nready;
         i++) /* its events of this turn point at memory that may go now */
        if (loop->ready[i].data.ptr == watch)
            loop->ready[i].data.ptr = NULL;
}

/* ---- timers: a binary heap of pointers, each timer knows its slot ---- */

static void heap_put(struct loop *loop, size_t slot, struct loop_timer *timer)
{
    loop->heap[slot - 1] = timer;
    timer->slot          = slot;
}

static void heap_up(struct loop *loop, size_t slot, struct loop_timer *timer)
{
    while (slot > 1 && loop->heap[slot / 2 - 1]->due_ns > timer->due_ns) {
        heap_put(loop, slot, loop->heap[slot / 2 - 1]);
        slot /= 2;
    }
    heap_put(loop, slot, timer);
}

static void heap_down(struct loop *loop, size_t slot, struct loop_timer *timer)
{
    for (;;) {
        size_t child = slot * 2;

        if (child < loop->ntimers && loop->heap[child]->due_ns < loop->heap[child - 1]->due_ns)
            child++;
        if (child > loop->ntimers || loop->heap[child - 1]->due_ns >= timer->due_ns)
            break;
        heap_put(loop, slot, loop->heap[child - 1]);
        slot = child;
    }
    heap_put(loop, slot, timer);
}

void loop_timer_at(struct loop *loop, struct loop_timer *timer, uint64_t due_ns)
{
    loop_timer_stop(loop, timer);
    if (loop->ntimers == loop->heap_size) {
        loop->heap_size = loop->heap_size ? loop->heap_size * 2 : 64;
        loop->heap      = realloc(loop->heap, loop->heap_size * sizeof(struct loop_timer *));
        if (!loop->heap)
            abort();
    }
    timer->due_ns = due_ns;
    heap_up(loop, ++loop->ntimers, timer);
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms)
{
    loop_timer_at(loop, timer, base_now_ns() + delay_ms * 1000000u);
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
    size_t             slot = timer->slot;
    struct loop_timer *last;

    if (slot == 0)
        return;
    timer->slot = 0;
    last        = loop->heap[loop->ntimers - 1];
    loop->ntimers--;
    if (last == timer)
        return;
    if (slot > 1 && loop->heap[slot / 2 - 1]->due_ns > last->due_ns)
        heap_up(loop, slot, last);
    else
        heap_down(loop, slot, last);
}

/* The time is taken once, so a timer that sets itself to 0 waits for the next turn. */
static void run_timers(struct loop *loop)
{
    uint64_t now = loop->ntimers ? base_now_ns() : 0;

    while (loop->ntimers && loop->heap[0]->due_ns <= now) {
        struct loop_timer *timer = loop->heap[0];
        loop_timer_stop(loop, timer);
        timer->on_time(timer->ctx);
    }
}

/* ---- deferred ---- */

void loop_defer(struct loop *loop, struct loop_task *task)
{
    if (task->is_queued)
        return;
    task->is_queued  = true;
    task->next       = NULL;
    *loop->last_task = task;
    loop->last_task  = &task->next;
}

void loop_defer_cancel(struct loop *loop, struct loop_task *task)
{
    if (!task->is_queued)
        return;
    for (struct loop_task **at = &loop->first_task; *at; at = &(*at)->next) {
        if (*at != task)
            continue;
        *at = task->next;
        if (loop->last_task == &task->next)
            loop->last_task = at;
        break;
    }
    task->is_queued = false;
}

static struct loop_task *pop_task(struct loop *loop)
{
    struct loop_task *task = loop->first_task;

    if (!task)
        return NULL;
    loop->first_task = task->next;
    if (!loop->first_task)
        loop->last_task = &loop->first_task;
    task->is_queued = false;
    return task;
}

/* Each task runs at most once a round: a marker in the list ends the round, wherever tasks are
 * added or cancelled. */
static void run_tasks(struct loop *loop)
{
    for (int round = 0; round < ROUNDS_A_TURN && loop->first_task; round++) {
        struct loop_task marker = { 0 }, *task;

        loop_defer(loop, &marker);
        while ((task = pop_task(loop)) != &marker)
            task->on_turn_end(task->ctx);
    }
}

/* ---- waiting ---- */

static int wait_ms(struct loop *loop, int64_t timeout_ns)
{
    int ms = timeout_ns < 0 ? -1 : (int)((timeout_ns + 999999) / 1000000);

    return epoll_wait(loop->epoll_fd, loop->ready, EVENTS_A_TURN, ms);
}

/* Nanoseconds, since the runner polls each millisecond and epoll_wait's rounding up would make that
 * two. */
static int wait_events(struct loop *loop, int64_t timeout_ns)
{
    struct timespec ts = { .tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000 };
    int             n;

    if (loop->has_no_pwait2)
        return wait_ms(loop, timeout_ns);
    n = epoll_pwait2(loop->epoll_fd, loop->ready, EVENTS_A_TURN, timeout_ns < 0 ? NULL : &ts, NULL);
    if (n < 0 && (errno == ENOSYS || errno == EPERM)) {
        loop->has_no_pwait2 = true;
        return wait_ms(loop, timeout_ns);
    }
    return n;
}

static int64_t time_to_wait(const struct loop *loop)
{
    uint64_t now;

    if (loop->first_task || loop->is_stopping)
        return 0;
    if (!loop->ntimers)
        return -1;
    now = base_now_ns();
    if (loop->heap[0]->due_ns <= now)
        return 0;
    if (loop->heap[0]->due_ns - now > UINT64_C(3600000000000))
        return INT64_C(3600000000000);
    return (int64_t)(loop->heap[0]->due_ns - now);
}

static void dispatch(struct loop *loop)
{
    for (loop->at = 0; loop->at < loop->nready; loop->at++) {
        struct epoll_event *event = &loop->ready[loop->at];
        struct loop_watch  *watch = event->data.ptr;
        if (watch)
            watch->on_event(watch->ctx, event->events);
    }
    loop->nready = 0;
}

void loop_run(struct loop *loop)
{
    loop->is_stopping = false;
    while (!loop->is_stopping) {
        int n = wait_events(loop, time_to_wait(loop));
        if (n < 0 && errno != EINTR)
            abort(); /* our own epoll descriptor is not one any more */
        loop->nready = n > 0 ? n : 0;
        loop->at     = 0;
        run_timers(loop);
        dispatch(loop);
        run_tasks(loop);
    }
}

void loop_stop(struct loop *loop)
{
    loop->is_stopping = true;
}

/* ---- signals ---- */

static void read_signals(void *ctx, uint32_t events)
{
    struct loop            *loop = ctx;
    struct signalfd_siginfo info;

    (void)events;
    while (read(loop->signal_watch.fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        struct signal_handler *handler = &loop->handlers[info.ssi_signo % countof(loop->handlers)];
        if (handler->on_signal)
            handler->on_signal(handler->ctx, (int)info.ssi_signo);
    }
}

bool loop_on_signal(struct loop *loop, int signo, void (*on_signal)(void *ctx, int signo),
                    void *ctx, struct err *err)
{
    int fd;

    assert(signo > 0 && (size_t)signo < countof(loop->handlers));
    loop->handlers[signo] = (struct signal_handler) { on_signal, ctx };
    sigaddset(&loop->signals, signo);
    sigprocmask(SIG_BLOCK, &loop->signals, NULL);
    fd = signalfd(loop->signal_watch.fd, &loop->signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        err_errno(err, "create", "signalfd");
        return false;
    }
    if (loop->signal_watch.fd >= 0)
        return true; /* the mask of the one we have was changed */
    loop->signal_watch.on_event = read_signals;
    loop->signal_watch.ctx      = loop;
    return loop_add(loop, &loop->signal_watch, fd, EPOLLIN, err);
}

void loop_child_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
}
